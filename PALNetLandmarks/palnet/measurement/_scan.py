# SPDX-License-Identifier: Apache-2.0
"""Bring a scan into the numbers of its landmarks, and check that they belong together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from palnet.errors import MeshError
from palnet.surface import (
    drop_unused,
    parse_unit,
    plausible_units,
    prepare_surface,
    project_onto_triangles,
)

if TYPE_CHECKING:
    from palnet.landmarks import LandmarkSet
    from palnet.surface import Mesh

__all__ = ["match_scan"]

# Half of the landmarks lie nearer than this to a vertex of their scan: landmarks lie on the skin,
# and vertices of a coarse scan 3 to 5 mm apart.
_MAX_MEDIAN_GAP_MM = 6.0
# Landmarks with other axes than the scan lie so near to it when these are turned, and a third as
# far from it as without.
_ON_SCAN_MM = 1.0
_CLEARLY_NEARER = 0.3
# Fewer may come near it by chance.
_FEWEST_TO_TURN = 8
# Findings of a scan whose normals are not those of the skin, or cancel.
_FACING_BOTH_WAYS = {"inconsistent_winding", "duplicate_triangles"}


def match_scan(mesh: Mesh, landmarks: LandmarkSet) -> Mesh:
    """Give a scan in the same numbers as its landmarks.

    Convention: landmarks in the frame ``"file"`` have the scan's own numbers; for those in
    ``"LPS"`` or ``"RAS"`` the scan's axes are turned and its numbers made millimetres, by the
    unit with which the landmarks lie on it.

    Parameters
    ----------
    mesh : Mesh
        The scan as its file holds it.
    landmarks : LandmarkSet
        Its landmarks.

    Returns
    -------
    Mesh
        The scan to be measured.

    Raises
    ------
    MeshError
        If the landmarks do not lie on this scan.
    UnitError
        If the scan's size fits no unit.
    """
    if len(mesh.triangles):  # a vertex without a triangle is not on the skin
        points, triangles = drop_unused(mesh.points, mesh.triangles)
        mesh = replace(mesh, points=points, triangles=triangles)
    scales = [1.0]
    signs = np.ones(3)
    if landmarks.frame != "file":
        scales = [unit.mm_per_unit for unit in plausible_units(mesh)]
        signs = np.ones(3) if mesh.space == landmarks.frame else np.array([-1.0, -1.0, 1.0])
    candidates = [replace(mesh, points=mesh.points * signs * scale) for scale in scales]
    gaps_mm = [_median_gap_mm(candidate, landmarks) for candidate in candidates]
    best = int(np.argmin(gaps_mm))
    _check_axes(candidates[best], landmarks)
    if not gaps_mm[best] <= _MAX_MEDIAN_GAP_MM:
        msg = (
            f"the landmarks of {landmarks.specimen!r} must lie on the scan {mesh.name!r}; half of "
            f"them are more than {gaps_mm[best]:.0f} mm away from it. Give the scan they were "
            "placed on, and the frame of the landmark file."
        )
        raise MeshError(msg)
    return _wound_alike(candidates[best], landmarks.mm_per_unit)


def _check_axes(mesh: Mesh, landmarks: LandmarkSet) -> None:
    """Refuse LPS taken for RAS: a face turned half about z may come to lie near itself."""
    if landmarks.is_placed.sum() < _FEWEST_TO_TURN:
        return
    turned = replace(mesh, points=mesh.points * [-1.0, -1.0, 1.0])
    # Vertices tell at once that it is the other way; where they lie wide apart triangles tell.
    if _median_gap_mm(turned, landmarks) >= _median_gap_mm(mesh, landmarks):
        return
    unit = parse_unit(landmarks.mm_per_unit)
    placed_mm = landmarks.positions_mm[landmarks.is_placed]
    gap_mm, turned_mm = (
        float(np.median(project_onto_triangles(surface, placed_mm).distances_mm))
        for surface in (prepare_surface(each, unit) for each in (mesh, turned))
    )
    if turned_mm < min(_ON_SCAN_MM, _CLEARLY_NEARER * gap_mm):
        msg = (
            f"the landmarks of {landmarks.specimen!r} must have the axes of the scan "
            f"{mesh.name!r}; they fit with x and y negated: LPS was taken for RAS, or the reverse. "
            "Give the frame of the landmark file."
        )
        raise MeshError(msg)


def _wound_alike(mesh: Mesh, mm_per_unit: float) -> Mesh:
    """Repair a scan whose triangles face both ways: an arc stands upright on the skin."""
    repaired = prepare_surface(mesh, parse_unit(mm_per_unit))
    if not _FACING_BOTH_WAYS & {finding.code for finding in repaired.findings}:
        return mesh
    points = repaired.points_mm / mm_per_unit
    return replace(mesh, points=points, triangles=repaired.triangles)


def _median_gap_mm(mesh: Mesh, landmarks: LandmarkSet) -> float:
    positions = landmarks.positions[landmarks.is_placed]
    if not len(positions) or not len(mesh.points):
        return float("inf")
    gaps, _ = KDTree(mesh.points).query(positions)
    return float(np.median(gaps)) * landmarks.mm_per_unit
