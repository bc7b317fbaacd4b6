# SPDX-License-Identifier: Apache-2.0
"""Convert a scan to the coordinates of its landmarks, and check that they belong together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from palnet.errors import MeshError
from palnet.landmarks import OTHER_AXES, check_landmark_set
from palnet.surface import (
    Mesh,
    drop_unused,
    parse_unit,
    plausible_units,
    prepare_surface,
    project_onto_triangles,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.landmarks import LandmarkSet
    from palnet.surface import Surface

__all__ = ["lies_turned", "match_scan"]

# The median distance of landmarks from their scan is below this: to a vertex, which is fast to
# compute, or for sparse vertices, to a triangle.
_MAX_MEDIAN_GAP_MM = 6.0
# A face turned about z may still be near itself, 3 to 5 mm off. Turned back, landmarks must be much
# nearer to the surface: within this distance and this share of the previous one. With fewer
# landmarks, that may happen by chance.
_TURNED_BACK_MM, _TURNED_BACK_SHARE, _FEWEST_TO_TURN = 1.0, 0.3, 8
# Findings for scans whose normals are not those of the skin, or cancel out.
_FACING_BOTH_WAYS = {"inconsistent_winding", "duplicate_triangles"}


def match_scan(mesh: Mesh, landmarks: LandmarkSet) -> Mesh:
    """Convert a scan to the coordinates of its landmarks.

    Convention: landmarks in the frame ``"file"`` are in the scan's own coordinates; for those in
    ``"LPS"`` or ``"RAS"``, the scan is converted to these axes and to millimetres, with the unit in
    which the landmarks lie on it.

    Parameters
    ----------
    mesh : Mesh
        The scan as in its file.
    landmarks : LandmarkSet
        Its landmarks.

    Returns
    -------
    Mesh
        The scan in the landmarks' coordinates.

    Raises
    ------
    MeshError
        If `mesh` is no mesh, no landmark is placed, or they do not lie on this scan.
    UnitError
        If the size of the scan fits no unit.
    ValueError
        If `landmarks` is no landmark set, such as a detection.
    """
    _check_kinds(mesh, landmarks)
    if len(mesh.triangles):  # a vertex without a triangle is not on the skin
        points, triangles = drop_unused(mesh.points, mesh.triangles)
        mesh = replace(mesh, points=points, triangles=triangles, colors=None)
    scales = [1.0]
    signs = np.ones(3)
    if landmarks.frame != "file":
        scales = [unit.mm_per_unit for unit in plausible_units(mesh)]
        signs = np.ones(3) if mesh.space == landmarks.frame else OTHER_AXES
    candidates = [replace(mesh, points=mesh.points * signs * scale) for scale in scales]
    gaps_mm = [_median_gap_mm(candidate, landmarks) for candidate in candidates]
    best = int(np.argmin(gaps_mm))
    _check_axes(candidates[best], landmarks)
    gap_mm = gaps_mm[best]
    if gap_mm > _MAX_MEDIAN_GAP_MM and len(mesh.triangles):
        gap_mm = _gap_to_skin_mm(candidates[best], landmarks)
    if not gap_mm <= _MAX_MEDIAN_GAP_MM:
        msg = (
            f"the landmarks of {landmarks.specimen!r} must lie on the scan {mesh.name!r}; half of "
            f"them are more than {gap_mm:.0f} mm away from it. Give the scan they were placed on, "
            "and the frame of the landmark file."
        )
        raise MeshError(msg)
    return _wound_alike(candidates[best], landmarks.mm_per_unit)


def _check_kinds(mesh: object, landmarks: LandmarkSet) -> None:
    """Require a scan as in its file, and landmarks that can lie on it."""
    if not isinstance(mesh, Mesh):
        msg = f"mesh must be a palnet.Mesh; got {type(mesh).__name__}. Read it with read_mesh."
        raise MeshError(msg)
    check_landmark_set(landmarks, name="landmarks")
    if not landmarks.is_placed.any():
        msg = (
            f"the landmarks of {landmarks.specimen!r} must be placed to lie on a scan; got none "
            "that is. Place them, or leave the specimen out."
        )
        raise MeshError(msg)


def lies_turned(surface: Surface, placed_mm: NDArray[np.float64]) -> bool:
    """Detect landmarks that lie on a surface only with x and y negated: LPS taken for RAS.

    Landmarks that are already on the surface are accepted, whatever its symmetry.

    Parameters
    ----------
    surface : Surface
        The scan.
    placed_mm : ndarray of shape (n_placed, 3)
        Landmarks in the scan's frame, in millimetres.

    Returns
    -------
    bool
        False if there are too few landmarks, which may be near the surface by chance.
    """
    if len(placed_mm) < _FEWEST_TO_TURN:
        return False
    usual_mm, turned_mm = (
        float(np.median(project_onto_triangles(surface, points).distances_mm))
        for points in (placed_mm, placed_mm * OTHER_AXES)
    )
    limit_mm = min(_TURNED_BACK_MM, _TURNED_BACK_SHARE * usual_mm)
    return usual_mm >= _TURNED_BACK_MM and turned_mm < limit_mm


def _check_axes(mesh: Mesh, landmarks: LandmarkSet) -> None:
    """Refuse landmarks with other axes, even if they happen to be near the scan."""
    turned = replace(mesh, points=mesh.points * OTHER_AXES)
    # Distances to vertices rule this out quickly; otherwise triangles decide.
    if _median_gap_mm(turned, landmarks) >= _median_gap_mm(mesh, landmarks):
        return
    surface = prepare_surface(mesh, parse_unit(landmarks.mm_per_unit))
    if lies_turned(surface, landmarks.positions_mm[landmarks.is_placed]):
        msg = (
            f"the landmarks of {landmarks.specimen!r} must have the axes of the scan "
            f"{mesh.name!r}; they fit with x and y negated: LPS was taken for RAS, or the reverse. "
            "Give the frame of the landmark file."
        )
        raise MeshError(msg)


def _wound_alike(mesh: Mesh, mm_per_unit: float) -> Mesh:
    """Repair inconsistent winding, since the plane of an arc depends on the skin's normals."""
    repaired = prepare_surface(mesh, parse_unit(mm_per_unit))
    if not _FACING_BOTH_WAYS & {finding.code for finding in repaired.findings}:
        return mesh
    points = repaired.points_mm / mm_per_unit
    return replace(mesh, points=points, triangles=repaired.triangles, colors=None)


def _gap_to_skin_mm(mesh: Mesh, landmarks: LandmarkSet) -> float:
    surface = prepare_surface(mesh, parse_unit(landmarks.mm_per_unit))
    placed_mm = landmarks.positions_mm[landmarks.is_placed]
    if not len(placed_mm):
        return float("inf")
    return float(np.median(project_onto_triangles(surface, placed_mm).distances_mm))


def _median_gap_mm(mesh: Mesh, landmarks: LandmarkSet) -> float:
    positions = landmarks.positions[landmarks.is_placed]
    if not len(positions) or not len(mesh.points):
        return float("inf")
    gaps, _ = KDTree(mesh.points).query(positions)
    return float(np.median(gaps)) * landmarks.mm_per_unit
