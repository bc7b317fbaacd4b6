# SPDX-License-Identifier: Apache-2.0
"""Checks of a single annotated scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_transform
from palnet._stored import unpack_array
from palnet.data_sets.dataset import Problem, load_scan, say_refusal
from palnet.detection.placing import OFF_SURFACE_MM
from palnet.errors import MeshError, TrainingError, UnitError
from palnet.landmarks import OTHER_AXES
from palnet.measurement import lies_turned
from palnet.similarity import apply_similarity, invert_similarity
from palnet.surface import UNIT_NAMES, parse_unit, prepare_scan, project_onto_triangles

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from palnet.data_sets.dataset import AnnotatedScan
    from palnet.landmarks import LandmarkSet
    from palnet.scheme import Scheme
    from palnet.surface import Mesh, Surface

__all__ = ["CheckedScan", "check_scan", "measure_profile", "read_matrix"]

# Landmarks are taken to be on the surface if their median distance is below this.
ON_SURFACE_MM = 3.0
# Two landmarks closer than this are one landmark saved twice.
COINCIDENT_MM = 0.01
# Smallest over largest extent: no face is this flat; a quarter is usual.
FLAT_SHARE = 0.02
# Minimum number of landmarks to judge flatness.
MIN_FOR_FLATNESS = 8
# With fewer vertices within the face, landmarks cannot be placed to a millimetre.
MIN_VERTICES = 2000
# Two meshes with so many alike are copies.
N_QUANTILES = 64
# Likely errors of scale in a file that declares no unit.
UNIT_FACTORS = {"1000": 1e3, "10": 10.0, "25.4": 25.4, "1/10": 0.1, "1/25.4": 1 / 25.4}
UNIT_FACTORS |= {"1/1000": 1e-3}
# Allowed deviation of a matrix from a rotation, as the largest element of R^T R - I.
RIGID_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False, slots=True)
class CheckedScan:
    """A scan that could be loaded.

    Attributes
    ----------
    mesh : Mesh
        As in the file.
    landmarks : LandmarkSet
        In the coordinates of the mesh.
    matrix : ndarray of shape (4, 4) or None
        From the scan in millimetres to the common frame, if the data set has one.
    """

    mesh: Mesh
    landmarks: LandmarkSet
    matrix: NDArray[np.float64] | None


def measure_profile(mesh: Mesh) -> NDArray[np.float64]:
    """Describe a mesh by numbers that stay when it is moved, scaled, mirrored or renumbered.

    Parameters
    ----------
    mesh : Mesh
        Any mesh.

    Returns
    -------
    ndarray of shape (1 + N_QUANTILES,)
        Number of vertices in use, then quantiles of their distances from their mean, as shares of
        the median distance.
    """
    points = mesh.points[np.unique(mesh.triangles)]
    if not len(points):
        return np.zeros(1 + N_QUANTILES)
    distances = np.linalg.norm(points - points.mean(axis=0), axis=1)
    shares = distances / max(float(np.median(distances)), np.finfo(float).tiny)
    return np.append(len(points), np.quantile(shares, np.linspace(0, 1, N_QUANTILES)))


def read_matrix(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Read the matrix that takes a scan to the common frame.

    Convention: it acts on column vectors from the left, in millimetres, and neither scales nor
    mirrors, so that distances stay true.

    Parameters
    ----------
    path : str or path
        A ``.npy`` file.

    Returns
    -------
    ndarray of shape (4, 4)
        ``frame_from_scan``.

    Raises
    ------
    TrainingError
        If the file is not such a matrix.
    """
    path = Path(path)
    try:
        stored = unpack_array(path.read_bytes())
        if stored.dtype.kind not in "fiu":
            msg = f"it holds {stored.dtype}"
            raise ValueError(msg)
        matrix = stored.astype(np.float64)
        check_transform(matrix, name="the matrix")
    except (OSError, ValueError) as err:
        msg = f"{path}: cannot be read as a 4 x 4 matrix ({err})."
        raise TrainingError(msg) from err
    rotation = matrix[:3, :3]
    deviation = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    if deviation > RIGID_TOLERANCE or np.linalg.det(rotation) < 0:
        msg = (
            f"{path}: must rotate and move only; got one that scales, shears or mirrors (off by "
            f"{deviation:.2g}). Remove that: errors must be in true millimeters."
        )
        raise TrainingError(msg)
    return matrix


def check_scan(scan: AnnotatedScan, scheme: Scheme) -> tuple[CheckedScan | None, list[Problem]]:
    """Load a scan and check it by itself.

    Parameters
    ----------
    scan : AnnotatedScan
        The scan.
    scheme : Scheme
        Landmark scheme.

    Returns
    -------
    checked : CheckedScan or None
        None if it could not be loaded.
    problems : list of Problem
        The problems found.
    """
    matrix, problems = None, []
    try:
        mesh, unit, landmarks = load_scan(scan, scheme)
        surface = prepare_scan(mesh, unit)
    except UnitError as err:
        return None, [Problem("bad_size", scan.specimen, say_refusal(err))]
    except MeshError as err:
        return None, [Problem("bad_mesh", scan.specimen, str(err))]
    if scan.matrix_path is not None:
        try:
            matrix = read_matrix(scan.matrix_path)
        except TrainingError as err:
            problems.append(Problem("bad_matrix", scan.specimen, str(err)))
    if not landmarks.is_placed.any():
        text = "no landmark is placed. Place some, or leave the scan out."
        return None, [*problems, Problem("all_missing", scan.specimen, text)]
    checked = CheckedScan(mesh, landmarks, matrix)
    found = list(_look(landmarks, mesh))
    if not {"flat", "at_origin"} & {problem.kind for problem in found}:
        # Otherwise it is already known why they are off the surface.
        found += _look_at_place(scan, checked, surface)
    if "other_unit" in {problem.kind for problem in found}:
        # Landmarks in meters that are read as millimeters coincide for that reason alone.
        found = [problem for problem in found if problem.kind != "coincident"]
    return checked, problems + found


def _look(landmarks: LandmarkSet, mesh: Mesh) -> Iterator[Problem]:
    """Check the landmarks by themselves."""
    placed, codes = landmarks.positions_mm[landmarks.is_placed], _placed_codes(landmarks)
    n_used = len(np.unique(mesh.triangles))
    if n_used < MIN_VERTICES:
        text = f"has {n_used} vertices in use; a scan of a face has over 2000."
        yield Problem("coarse_mesh", landmarks.specimen, text)
    apart = np.linalg.norm(placed[:, None] - placed[None], axis=2)
    rows, columns = np.nonzero(np.triu(apart < COINCIDENT_MM, k=1))
    if len(rows):
        names = ", ".join(f"{codes[i]} = {codes[j]}" for i, j in zip(rows, columns, strict=True))
        text = f"landmarks lie on the same spot: {names}. Place one of each again."
        same = tuple(codes[i] for i in np.unique([rows, columns]).tolist())
        yield Problem("coincident", landmarks.specimen, text, same)
    at_origin = [landmarks.scheme.codes[index] for index in np.flatnonzero(landmarks.is_at_origin)]
    if at_origin:
        text = (
            f"{', '.join(at_origin)} at 0, 0, 0: does this mean missing? If so, write them as "
            "missing."
        )
        yield Problem("at_origin", landmarks.specimen, text, tuple(at_origin))
    # Midline landmarks alone naturally lie in one plane.
    is_lateral = [landmark.side != "midline" for landmark in landmarks.scheme.landmarks]
    if len(placed) >= MIN_FOR_FLATNESS and (landmarks.is_placed & is_lateral).any():
        spread = np.linalg.svd(placed - placed.mean(axis=0), compute_uv=False)
        if spread[-1] < FLAT_SHARE * spread[0]:
            text = "all landmarks lie in one plane: was the depth lost?"
            yield Problem("flat", landmarks.specimen, text)


def _look_at_place(
    scan: AnnotatedScan, checked: CheckedScan, surface: Surface
) -> Iterator[Problem]:
    """Check that the landmarks lie on the surface, and if not, what would bring them there."""
    landmarks = checked.landmarks
    placed = landmarks.positions_mm[landmarks.is_placed]
    distances = _distances(surface, placed)
    if np.median(distances) > OFF_SURFACE_MM or lies_turned(surface, placed):
        kind, text = _explain(scan, checked, surface, placed, float(np.median(distances)))
        yield Problem(kind, landmarks.specimen, text)
        return
    far = distances > OFF_SURFACE_MM
    if far.any():
        codes = np.array(_placed_codes(landmarks))
        names = ", ".join(
            f"{code} {mm:.0f} mm" for code, mm in zip(codes[far], distances[far], strict=True)
        )
        text = f"not on the surface: {names}. Place them again, or mark them as missing."
        yield Problem("off_surface", landmarks.specimen, text, tuple(codes[far].tolist()))


def _explain(
    scan: AnnotatedScan,
    checked: CheckedScan,
    surface: Surface,
    placed: NDArray[np.float64],
    median_mm: float,
) -> tuple[str, str]:
    """Find what would bring landmarks back onto the surface if they are all off it."""
    if checked.matrix is not None:
        back = apply_similarity(invert_similarity(checked.matrix), placed)
        # Requiring a clear gain excludes a matrix that hardly moves anything.
        if np.median(_distances(surface, back)) < min(ON_SURFACE_MM, 0.5 * median_mm):
            text = (
                "the landmarks are in the common frame already. Give them in the scan's own frame."
            )
            return "already_moved", text
    if np.median(_distances(surface, placed * OTHER_AXES)) < ON_SURFACE_MM:
        text = "the landmarks fit with x and y negated: LPS was taken for RAS, or the reverse."
        return "other_axes", text
    for name, factor in UNIT_FACTORS.items():
        if np.median(_distances(surface, placed * factor)) < ON_SURFACE_MM:
            command = f"palnet convert FILE {_conversion(scan, checked, factor)} -o NEW"
            text = (
                "the landmarks are in another unit than the mesh, and fit when multiplied by "
                f"{name}. Replace FILE with what {command} writes."
            )
            return "other_unit", text
    text = (
        f"half of the landmarks lie over {median_mm:.0f} mm from the surface: do they belong to "
        "another scan?"
    )
    return "elsewhere", text


def _conversion(scan: AnnotatedScan, checked: CheckedScan, factor: float) -> str:
    """Options for `palnet convert` to correct the unit of the landmarks by a factor."""
    landmarks = checked.landmarks
    has_frame = scan.landmarks is not None and scan.landmarks.frame != "file"
    mm = factor * (1.0 if has_frame else landmarks.mm_per_unit)
    named = (name for name in UNIT_NAMES if np.isclose(parse_unit(name).mm_per_unit, mm))
    scheme = landmarks.scheme.name if landmarks.scheme.is_shipped else "SCHEME"
    # Without a frame, coordinates stay those of the mesh in any unit; with one, they become mm.
    frame = "" if has_frame else f"--from-frame {checked.mesh.space.lower()} "
    return f"--scheme {scheme} {frame}--unit {next(named, f'{mm:g}')} --to csv"


def _distances(surface: Surface, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    return project_onto_triangles(surface, points_mm).distances_mm


def _placed_codes(landmarks: LandmarkSet) -> list[str]:
    return [
        c for c, there in zip(landmarks.scheme.codes, landmarks.is_placed, strict=True) if there
    ]
