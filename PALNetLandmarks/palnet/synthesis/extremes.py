# SPDX-License-Identifier: Apache-2.0
"""Landmarks defined as an extreme of the shape, located on every generated head.

A labelled vertex is fixed in the topology; "the deepest point of the nasal root" or "the most
anterior point of the chin" is not. Annotators of scans look for the extreme.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from palnet._stored import parse_json
from palnet.errors import ModelFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.scheme import Scheme

__all__ = ["Extreme", "LabelledTopology", "find_label_weights", "read_extremes"]

# Points this much below the extreme have the weight 1/e. Together with the Gaussian around the
# labelled point, the result is close to the extreme if it is sharp, less so if it is flat.
SOFTNESS_MM = 0.25
# A midline landmark stays on the midline of the topology.
MIDLINE_MM = 0.6


@dataclass(frozen=True, eq=False)
class Extreme:
    """How one landmark is found.

    Attributes
    ----------
    landmark : int
        Its number in the scheme.
    direction : ndarray of shape (3,)
        Unit vector in the face frame; the farthest point in this direction is the landmark.
    reach_mm : float
        Search radius around the labelled point, on the template.
    across : tuple of int
        Two landmarks; the direction is made perpendicular to their line. Empty if there are none.
    """

    landmark: int
    direction: NDArray[np.float64]
    reach_mm: float
    across: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class LabelledTopology:
    """Data to locate the landmarks on any head of a source.

    Attributes
    ----------
    landmark_points : ndarray of shape (n_landmarks,)
        The labelled fine point of each landmark.
    n_points : int
        Number of fine points.
    searches : tuple
        For each extreme, its candidate points and their log weights by distance and area.
    """

    landmark_points: NDArray[np.int64]
    n_points: int
    searches: tuple[tuple[Extreme, NDArray[np.int64], NDArray[np.float64]], ...]

    @classmethod
    def build(
        cls,
        template_mm: NDArray[np.float32],
        triangles: NDArray[np.int32],
        landmark_points: NDArray[np.int64],
        extremes: tuple[Extreme, ...],
        usable: NDArray[np.bool_],
    ) -> LabelledTopology:
        """Choose the candidate points for each extreme.

        Parameters
        ----------
        template_mm : ndarray of shape (n_points, 3)
            The neutral head on the fine points, face frame.
        triangles : ndarray of shape (n_triangles, 3)
            Over the fine points.
        landmark_points : ndarray of shape (n_landmarks,)
            The labelled points.
        extremes : tuple of Extreme
            The extremes to find.
        usable : ndarray of shape (n_points,)
            Mask of the skin points.

        Returns
        -------
        LabelledTopology
            The topology.
        """
        area = _area_of_points(template_mm, triangles)
        searches = []
        for extreme in extremes:
            label = template_mm[landmark_points[extreme.landmark]]
            distance = np.linalg.norm(template_mm - label, axis=1)
            near = usable & (distance < extreme.reach_mm)
            if abs(label[0]) < MIDLINE_MM:
                near &= np.abs(template_mm[:, 0]) < MIDLINE_MM
            rows = np.flatnonzero(near)
            closeness = -((distance[rows] / (0.5 * extreme.reach_mm)) ** 2) / 2
            searches.append((extreme, rows, closeness + np.log(np.maximum(area[rows], 1e-6))))
        return cls(landmark_points, len(template_mm), tuple(searches))


def read_extremes(folder: Path, scheme: Scheme) -> tuple[Extreme, ...]:
    """Read ``extremes.<scheme>.json``; without it, a scheme only has labelled points.

    Parameters
    ----------
    folder : Path
        Folder with the labels.
    scheme : Scheme
        The scheme.

    Returns
    -------
    tuple of Extreme
        Right, midline and mirrored left ones.

    Raises
    ------
    ModelFileError
        If the file does not fit the scheme.
    """
    path = folder / f"extremes.{scheme.name}.json"
    if not path.is_file():
        return ()
    try:
        entries = parse_json(path.read_text(encoding="utf-8"))["extremes"]
        found = [_parse(scheme, code, entry) for code, entry in entries.items()]
    except (KeyError, ValueError, TypeError) as err:
        msg = f"{path}: is no list of extremes for scheme '{scheme.name}' ({err})."
        raise ModelFileError(msg) from err
    mirrored = [_mirror(each, scheme) for each in found]
    return (
        *found,
        *(each for each in mirrored if each.landmark not in {f.landmark for f in found}),
    )


def _parse(scheme: Scheme, code: str, entry: dict[str, Any]) -> Extreme:
    """Parse one entry of the file."""
    direction = np.array(entry["direction"], dtype=np.float64)
    if direction.shape != (3,) or not direction.any():
        msg = f"direction of {code} must be three numbers, not all zero"
        raise ValueError(msg)
    across = tuple(scheme.index_of(each) for each in entry.get("across", ()))
    unit = direction / np.linalg.norm(direction)
    return Extreme(scheme.index_of(code), unit, float(entry["reach_mm"]), across)


def _mirror(extreme: Extreme, scheme: Scheme) -> Extreme:
    """Mirror an extreme to the other side."""
    return Extreme(
        int(scheme.mirror[extreme.landmark]),
        extreme.direction * [-1.0, 1.0, 1.0],
        extreme.reach_mm,
        tuple(int(scheme.mirror[k]) for k in extreme.across),
    )


def _area_of_points(
    points_mm: NDArray[np.float32], triangles: NDArray[np.int32]
) -> NDArray[np.float64]:
    """A third of the area of the adjacent triangles, so that dense vertices do not count more."""
    a, b, c = (points_mm[triangles[:, k]].astype(np.float64) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    total = np.bincount(triangles.ravel(), np.repeat(area, 3), minlength=len(points_mm))
    return np.asarray(total, dtype=np.float64)


def find_label_weights(
    topology: LabelledTopology, points_mm: NDArray[np.float32]
) -> sparse.csr_array:
    """Locate the landmarks of a head, as weights of its points.

    Convention: points in the face frame, millimetres, +X the subject's left, +Y up, +Z front; the
    head looks along +Z.

    Parameters
    ----------
    topology : LabelledTopology
        Labels and extremes of the source.
    points_mm : ndarray of shape (n_points, 3)
        The head on the fine points.

    Returns
    -------
    sparse matrix of shape (n_landmarks, n_points)
        ``landmarks = weights @ points``; rows sum to one. A labelled landmark is its point; an
        extreme is a mean of nearby points, weighted by their closeness to the extreme.
    """
    rows = [np.arange(len(topology.landmark_points))]
    columns, values = [topology.landmark_points], [np.ones(len(topology.landmark_points))]
    labels = points_mm[topology.landmark_points].astype(np.float64)
    for extreme, near, closeness in topology.searches:
        height = points_mm[near].astype(np.float64) @ _direction(extreme, labels)
        score = height / SOFTNESS_MM + closeness
        weight = np.exp(score - score.max())
        values[0][extreme.landmark] = 0.0
        rows.append(np.full(len(near), extreme.landmark))
        columns.append(near)
        values.append(weight / weight.sum())
    cells = (np.concatenate(rows), np.concatenate(columns))
    shape = (len(topology.landmark_points), topology.n_points)
    weights = sparse.csr_array(sparse.coo_array((np.concatenate(values), cells), shape=shape))
    weights.eliminate_zeros()
    return weights


def _direction(extreme: Extreme, labels_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the direction of an extreme on this head."""
    if not extreme.across:
        return extreme.direction
    first, second = extreme.across
    along = labels_mm[second] - labels_mm[first]
    along /= max(float(np.linalg.norm(along)), 1e-9)
    turned = extreme.direction - (extreme.direction @ along) * along
    return np.asarray(turned / max(float(np.linalg.norm(turned)), 1e-9))
