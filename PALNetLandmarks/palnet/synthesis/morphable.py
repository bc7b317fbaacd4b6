# SPDX-License-Identifier: Apache-2.0
"""Source of heads from which faces are generated, subdivided for smooth lids and lips."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from palnet._stored import parse_json, unpack_arrays
from palnet.errors import ModelFileError
from palnet.synthesis.extremes import Extreme, LabelledTopology, read_extremes

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from palnet.scheme import Scheme

__all__ = ["MorphableModel", "loop_subdivision", "read_morphable_model"]

OUTER_PARTS = ("face", "head_and_neck", "eyeball_left", "eyeball_right")
MOUTH_PARTS = ("mouth_socket", "gums_and_tongue", "teeth")
LABELS_FOLDER = Path(__file__).parent / "labels"


@dataclass(frozen=True, eq=False)
class WholeHead:
    """One head of a source that consists of complete heads.

    Attributes
    ----------
    points_mm : ndarray of shape (n_points, 3)
        In the face frame, at its own size.
    size : float
        Its size as a share of the neutral head's.
    about : dict
        Description of the person: age group, sex and so on.
    """

    points_mm: NDArray[np.float32]
    size: float = 1.0
    about: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ClosedCorner:
    """An outer corner that is hidden under the upper lid when the source closes the eye.

    Attributes
    ----------
    landmark : int
        Number of the landmark.
    expression : str
        The expression that closes the eye.
    point : int
        The fine point at the visible end of the slit when the eye is fully closed.
    """

    landmark: int
    expression: str
    point: int


@dataclass(frozen=True, eq=False)
class MorphableModel:
    """A source of head shapes with labelled points: identity modes, or whole heads to choose from.

    Positions are millimetres in the face frame: +X the subject's left, +Y up, +Z front.

    Attributes
    ----------
    name : str
        Name of the model, for provenance.
    neutral_mm : ndarray of shape (n_points, 3)
        The mean head.
    identity_mm : ndarray of shape (n_identity, n_points, 3)
        Identity modes, one standard deviation each.
    expression_mm : ndarray of shape (n_expression, n_points, 3)
        Expression modes, for weights 0 to 1.
    expression_names : tuple of str
        Names of the expression modes.
    triangles : ndarray of shape (n_triangles, 3)
        Triangles over the unrefined points, outer surface and mouth.
    is_mouth : ndarray of shape (n_points,)
        Points of the inner mouth, seen only when the mouth is open.
    is_eyeball : ndarray of shape (n_points,)
        Points of the eyeballs.
    refine : sparse matrix of shape (n_fine, n_points)
        Loop subdivision; the first n_points fine points are the unrefined ones.
    fine_triangles : ndarray of shape (n_fine_triangles, 3)
        Triangles over the fine points.
    landmark_points : ndarray of shape (n_landmarks,)
        The labelled fine point of each landmark of the scheme; `extremes` start from there.
    heads : tuple of WholeHead
        Heads to choose from; empty if there are identity modes.
    extremes : tuple of Extreme
        Landmarks that are located on each head.
    closed_corners : tuple of ClosedCorner
        Landmarks that move as an eye closes.
    wide_share : float
        Share of the drawn people that vary more widely than the source
        (`palnet.synthesis.widening`), for training; tests use the source unchanged.
    """

    name: str
    neutral_mm: NDArray[np.float32]
    identity_mm: NDArray[np.float32]
    expression_mm: NDArray[np.float32]
    expression_names: tuple[str, ...]
    triangles: NDArray[np.int32]
    is_mouth: NDArray[np.bool_]
    is_eyeball: NDArray[np.bool_]
    refine: sparse.csr_array
    fine_triangles: NDArray[np.int32]
    landmark_points: NDArray[np.int64]
    heads: tuple[WholeHead, ...] = ()
    extremes: tuple[Extreme, ...] = ()
    closed_corners: tuple[ClosedCorner, ...] = ()
    wide_share: float = 0.0

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the source and its heads, twelve hexadecimal digits."""
        digest = hashlib.sha256(np.ascontiguousarray(self.neutral_mm).tobytes())
        for head in self.heads:
            digest.update(np.ascontiguousarray(head.points_mm).tobytes())
        return digest.hexdigest()[:12]

    @cached_property
    def topology(self) -> LabelledTopology:
        """Labels and extremes, prepared for locating them on heads of this source."""
        hidden = self.refine @ (self.is_mouth | self.is_eyeball).astype(np.float32) > 0
        return LabelledTopology.build(
            self.fine_template_mm,
            self.fine_triangles,
            self.landmark_points,
            self.extremes,
            ~np.asarray(hidden),
        )

    @property
    def fine_template_mm(self) -> NDArray[np.float32]:
        """The mean head on the fine points, on which regions such as the scalp are defined."""
        return np.asarray(self.refine @ self.neutral_mm, dtype=np.float32)

    def fine(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Carry a mask over points to the fine points (true where every parent is true)."""
        return np.asarray(self.refine @ mask.astype(np.float32)) > 0.999


def read_morphable_model(path: str | os.PathLike[str], scheme: Scheme) -> MorphableModel:
    """Read a packed source of heads and label it.

    Parameters
    ----------
    path : path-like
        The ``.npz`` with neutral_mm, triangles, identity_mm, expression_mm, expression_names,
        part_names and part_ranges. Files other than ICT-FaceKit have a model_name, and may have
        n_subdivisions (default 1) and heads_mm, heads_size, heads_about.
    scheme : Scheme
        The landmarks to label; their points are read from ``labels/<model_name>.<scheme>.json``.

    Returns
    -------
    MorphableModel
        Outer surface, eyeballs and inner mouth; other parts are dropped.

    Raises
    ------
    ModelFileError
        If the file is missing or not such a model, or if there are no labels for the scheme.
    """
    path = Path(path)
    if not path.is_file():
        msg = (
            f"{path}: no morphable model here. Give the path of the packed ICT-FaceKit model "
            "(ict_facekit_light.npz); docs/generated_faces.md says what it is."
        )
        raise ModelFileError(msg)
    data = _read_arrays(path)
    labels = _read_labels(data, scheme)
    try:
        parts = {
            str(name): (int(first), int(last))
            for name, (first, last) in zip(data["part_names"], data["part_ranges"], strict=True)
        }
        kept = np.concatenate([np.arange(*parts[p]) for p in (*OUTER_PARTS, *MOUTH_PARTS)])
        model = _assemble(data, parts, kept, labels)
    except ModelFileError:
        raise
    except (KeyError, ValueError, IndexError) as err:
        raise _not_a_model(path, err) from err
    _check_sides(model, scheme, labels.path)
    return replace(model, extremes=read_extremes(LABELS_FOLDER, scheme))


def _read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read all arrays of the file."""
    try:
        data: dict[str, NDArray[np.generic]] = unpack_arrays(path.read_bytes())
    except (ValueError, OSError) as err:
        raise _not_a_model(path, err) from err
    if "triangles" not in data:
        raise _not_a_model(path, KeyError("triangles"))
    return data


def _not_a_model(path: Path, err: Exception) -> ModelFileError:
    """Build the error for a file that holds something else."""
    return ModelFileError(
        f"{path}: not a packed ICT-FaceKit model or head file ({err}). Use ict_facekit_light.npz."
    )


def _assemble(
    data: dict[str, NDArray[np.generic]],
    parts: dict[str, tuple[int, int]],
    kept: NDArray[np.int64],
    labels: _Labels,
) -> MorphableModel:
    """Restrict all arrays to the kept vertices and renumber them."""
    n_all = len(data["neutral_mm"])
    new_index = np.full(n_all, -1, dtype=np.int64)
    new_index[kept] = np.arange(len(kept))
    triangles = new_index[data["triangles"]]
    triangles = triangles[(triangles >= 0).all(axis=1)].astype(np.int32)

    def in_parts(names: tuple[str, ...]) -> NDArray[np.bool_]:
        mask = np.zeros(n_all, dtype=bool)
        for name in names:
            mask[slice(*parts[name])] = True
        return mask[kept]

    refine, fine_triangles = _subdivide(triangles, len(kept), int(data.get("n_subdivisions", 1)))
    # Subdivision points come after the vertices; labels may refer to them if no part is dropped.
    fine_index = np.concatenate([new_index, np.arange(len(kept), refine.shape[0])])
    named = [*labels.points.tolist(), *(corner.point for corner in labels.closed_corners)]
    wrong = [v for v in named if not 0 <= v < len(fine_index) or fine_index[v] < 0]
    if wrong:
        msg = (
            f"{labels.path}: no points {', '.join(map(str, wrong))} on the parts that are kept. "
            f"Name points of face, head or eyes, up to {len(fine_index) - 1}."
        )
        raise ModelFileError(msg)
    landmark_points = fine_index[labels.points]
    closed_corners = tuple(
        replace(corner, point=int(fine_index[corner.point])) for corner in labels.closed_corners
    )
    return MorphableModel(
        name=str(data.get("model_name", "ict_facekit")),
        neutral_mm=np.ascontiguousarray(data["neutral_mm"][kept], dtype=np.float32),
        identity_mm=np.ascontiguousarray(data["identity_mm"][:, kept], dtype=np.float32),
        expression_mm=np.ascontiguousarray(data["expression_mm"][:, kept], dtype=np.float32),
        expression_names=tuple(str(name) for name in data["expression_names"]),
        triangles=triangles,
        is_mouth=in_parts(MOUTH_PARTS),
        is_eyeball=in_parts(("eyeball_left", "eyeball_right")),
        refine=refine,
        fine_triangles=fine_triangles,
        landmark_points=landmark_points,
        heads=_whole_heads(data, kept) if "heads_mm" in data else (),
        closed_corners=closed_corners,
    )


def _whole_heads(
    data: dict[str, NDArray[np.generic]], kept: NDArray[np.int64]
) -> tuple[WholeHead, ...]:
    """Return the heads of a source without identity modes."""
    columns = (data["heads_mm"][:, kept], data["heads_size"], data["heads_about"])
    return tuple(
        WholeHead(points_mm, float(size), parse_json(str(about)))
        for points_mm, size, about in zip(*columns, strict=True)
    )


def _subdivide(
    triangles: NDArray[np.int32], n_points: int, n_times: int
) -> tuple[sparse.csr_array, NDArray[np.int32]]:
    """Apply Loop subdivision several times, as one matrix."""
    refine, fine = loop_subdivision(triangles, n_points)
    for _ in range(n_times - 1):
        again, fine = loop_subdivision(fine, refine.shape[0])
        refine = sparse.csr_array(again @ refine)
    return refine, fine


class _Labels(NamedTuple):
    """Content of a label file, in the numbering of the model file."""

    points: NDArray[np.int64]
    closed_corners: tuple[ClosedCorner, ...]
    path: Path


def _read_labels(data: dict[str, NDArray[np.generic]], scheme: Scheme) -> _Labels:
    """Read the labelled point of each landmark of the scheme, and its point on closed eyes."""
    model_name, triangles = str(data.get("model_name", "ict_facekit")), data["triangles"]
    path = LABELS_FOLDER / f"{model_name}.{scheme.name}.json"
    if not path.is_file():
        msg = f"no labels of scheme '{scheme.name}' on {model_name}. Write {path}."
        raise ModelFileError(msg)
    labels = parse_json(path.read_text(encoding="utf-8"))
    found = hashlib.sha256(np.ascontiguousarray(triangles, dtype="<i4").tobytes()).hexdigest()
    if labels.get("triangles_sha256", found) != found:
        msg = f"{path}: for another mesh of {model_name}. Pack it with the version named there."
        raise ModelFileError(msg)
    vertex_of = labels["vertex_of"]
    absent = [code for code in scheme.codes if code not in vertex_of]
    if absent:
        msg = f"{path}: no vertex for {', '.join(absent)}. Add them."
        raise ModelFileError(msg)
    corners = [
        (code, expression, vertex)
        for expression, vertices in labels.get("closed_eyes", {}).items()
        for code, vertex in vertices.items()
    ]
    expressions = [str(name) for name in data.get("expression_names", ())]
    for code, expression, _ in corners:
        if code not in scheme.codes or expression not in expressions:
            msg = (
                f"{path}: closed_eyes names '{code}' and '{expression}'. Use a landmark of "
                f"{scheme.name} and an expression of {model_name}."
            )
            raise ModelFileError(msg)
    closed_corners = tuple(ClosedCorner(scheme.index_of(c), e, vertex) for c, e, vertex in corners)
    points = np.array([vertex_of[code] for code in scheme.codes], dtype=np.int64)
    return _Labels(points, closed_corners, path)


def _check_sides(model: MorphableModel, scheme: Scheme, path: Path) -> None:
    """Refuse slit ends that are not on the same side as their landmark."""
    x_mm = model.fine_template_mm[:, 0]
    for corner in model.closed_corners:
        if x_mm[corner.point] * x_mm[model.landmark_points[corner.landmark]] <= 0:
            msg = (
                f"{path}: the slit of {scheme.codes[corner.landmark]} ends on the other side of "
                "the face. Exchange the points of closed_eyes."
            )
            raise ModelFileError(msg)


def loop_subdivision(
    triangles: NDArray[np.int32], n_points: int
) -> tuple[sparse.csr_array, NDArray[np.int32]]:
    """Build one step of Loop subdivision as a matrix.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        The coarse triangles.
    n_points : int
        Number of coarse points.

    Returns
    -------
    refine : sparse matrix of shape (n_points + n_edges, n_points)
        ``fine = refine @ coarse``; rows sum to one; fine point i < n_points corresponds to coarse
        point i.
    fine_triangles : ndarray of shape (4 * n_triangles, 3)
        Four triangles for each coarse one, with its orientation.

    References
    ----------
    C. Loop, Smooth subdivision surfaces based on triangles, University of Utah, 1987; with the
    cubic spline rules at borders.
    """
    corners = np.asarray(triangles, dtype=np.int64)
    half_edges = corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    opposite = corners[:, [2, 0, 1]].reshape(-1)
    edges, edge_of, count = np.unique(
        np.sort(half_edges, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    edge_of = edge_of.reshape(-1)
    n_edges = len(edges)
    on_border = count == 1
    edge_rows = np.arange(n_edges)
    end_weight = np.where(on_border, 0.5, 0.375)
    inner_half = ~on_border[edge_of]
    # At an edge of more than two triangles, the opposite weight is split evenly.
    opposite_weight = (0.25 / np.maximum(count, 1))[edge_of]
    odd = sparse.coo_array(
        (
            np.concatenate([end_weight, end_weight, opposite_weight[inner_half]]),
            (
                np.concatenate([edge_rows, edge_rows, edge_of[inner_half]]),
                np.concatenate([edges[:, 0], edges[:, 1], opposite[inner_half]]),
            ),
        ),
        shape=(n_edges, n_points),
    )
    refine = sparse.vstack([_even_rule(edges, on_border, n_points), odd]).tocsr()
    middle = (edge_of + n_points).reshape(-1, 3)
    a, b, c = corners.T
    ab, bc, ca = middle.T
    fine = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], axis=1)
    return sparse.csr_array(refine), fine.reshape(-1, 3).astype(np.int32)


def _even_rule(
    edges: NDArray[np.int64], on_border: NDArray[np.bool_], n_points: int
) -> sparse.coo_array:
    """Build the rows that smooth the coarse points (Warren's weights; splines at borders)."""
    both = np.concatenate([edges, edges[:, ::-1]])
    border = np.concatenate([on_border, on_border])
    is_border_point = np.zeros(n_points, dtype=bool)
    is_border_point[both[border, 0]] = True
    used = border | ~is_border_point[both[:, 0]]
    rows, columns = both[used].T
    degree = np.bincount(rows, minlength=n_points)
    inner_weight = np.where(degree == 3, 3 / 16, 3 / (8 * np.maximum(degree, 1)))
    weight = np.where(is_border_point, 0.125, inner_weight)
    diagonal = 1 - weight * degree
    diagonal[degree == 0] = 1.0
    index = np.arange(n_points)
    return sparse.coo_array(
        (
            np.concatenate([weight[rows], diagonal]),
            (np.concatenate([rows, index]), np.concatenate([columns, index])),
        ),
        shape=(n_points, n_points),
    )
