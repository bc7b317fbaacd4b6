# SPDX-License-Identifier: Apache-2.0
"""From a mesh file's content to a surface in millimetres: welded, sorted, wound outward."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._checks import check_finite, check_points, check_triangles, frozen_copy
from palnet.errors import MeshError
from palnet.surface._canonical import drop_unused, sort_points, sort_triangles
from palnet.surface._mesh import Finding, Mesh
from palnet.surface._units import Unit
from palnet.surface._vectors import cross, dot, norms
from palnet.surface._winding import (
    EdgeCounts,
    count_edges,
    label_pieces,
    outward_flips,
    unify_winding,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Surface", "crop_surface", "prepare_surface"]

SLIVER = 1e-12
"""A triangle whose doubled area is below this times its longest edge squared has no direction."""


def _frozen(values: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Copy what could still be written to."""
    values = np.asarray(values)
    if values.dtype == dtype and not values.flags.writeable:
        return values
    return frozen_copy(values, dtype)


@dataclass(frozen=True, eq=False, slots=True)
class Surface:
    """A triangulated surface ready to be worked with.

    Convention: millimetres; the frame of the file; right-handed winding, so that
    (b - a) x (c - a) of a triangle (a, b, c) points outward, as the normals do.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        Vertices, every one used by a triangle, no two equal.
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices, smallest first in each row, rows sorted.
    normals : ndarray of shape (n_points, 3)
        Outward unit normals at the vertices.
    unit : Unit
        The file's unit: file numbers are points_mm / unit.mm_per_unit.
    name : str
        Name of the scan.
    findings : tuple of Finding
        What was found and repaired.
    """

    points_mm: NDArray[np.float64]
    triangles: NDArray[np.int32]
    normals: NDArray[np.float64]
    unit: Unit = Unit("mm", 1.0)  # noqa: RUF009 - a frozen value
    name: str = "mesh"
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        """Check the arrays and keep them read-only."""
        n_points = len(self.points_mm)
        check_triangles(np.asarray(self.triangles), n_points, name="triangles")
        object.__setattr__(self, "triangles", _frozen(self.triangles, np.int32))
        for name in ("points_mm", "normals"):
            values = _frozen(getattr(self, name), np.float64)
            check_points(values, name=name)
            check_finite(values, name=name)
            object.__setattr__(self, name, values)
        if len(self.normals) != n_points:
            msg = f"normals must be as many as the {n_points} points; got {len(self.normals)}."
            raise ValueError(msg)

    def rescaled(self, unit: Unit) -> Surface:
        """Read the same surface in another unit.

        Parameters
        ----------
        unit : Unit
            The unit of the file's numbers.

        Returns
        -------
        Surface
            With the same numbering and normals.
        """
        factor = unit.mm_per_unit / self.unit.mm_per_unit
        return replace(self, points_mm=self.points_mm * factor, unit=unit)


def prepare_surface(mesh: Mesh, unit: Unit) -> Surface:
    """Weld, clean, sort and orient a mesh.

    Convention: the result does not depend on the numbering of vertices, on the order of triangles
    or on the corner that a triangle starts with: these give bit-identical arrays.

    Parameters
    ----------
    mesh : Mesh
        What a file holds.
    unit : Unit
        The unit of its numbers.

    Returns
    -------
    Surface
        In millimetres, with outward normals, and what was repaired as findings.

    Raises
    ------
    MeshError
        If no triangle with an area is left.
    """
    points, triangles = drop_unused(mesh.points, mesh.triangles)
    n_unused, n_used = len(mesh.points) - len(points), len(points)
    points, number = sort_points(points) if n_used else (points, np.zeros(0, dtype=np.int32))
    triangles = sort_triangles(number[triangles], len(points)) if n_used else triangles
    triangles, crosses, centroids = _drop_slivers(points, triangles)
    if not len(triangles):
        msg = f"{mesh.name}: no triangle of the mesh has an area. Export the scan again."
        raise MeshError(msg)
    n_dropped = len(mesh.triangles) - len(triangles)
    points, triangles = drop_unused(points, triangles)
    edges = count_edges(triangles, len(points))
    piece = label_pieces(triangles, len(points))
    triangles, crosses, turned = _orient(triangles, crosses, centroids, piece, edges)
    areas = norms(crosses)
    findings = (
        *mesh.findings,
        *_describe_cleaning(n_unused, n_dropped),
        *_describe_edges(edges, turned),
        *_describe_pieces(piece, areas),
    )
    normals = _vertex_normals(triangles, crosses, len(points))
    points = points * unit.mm_per_unit
    for each in (points, triangles, normals):
        each.flags.writeable = False
    return Surface(points, triangles, normals, unit, mesh.name, findings)


def _drop_slivers(
    points: NDArray[np.float64], triangles: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Leave out triangles without an area; return the others, doubled area vectors, centroids."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    centroids = (a + b + c) / 3.0
    ab, ac = b - a, c - a
    crosses = cross(ab, ac)
    longest = np.maximum(dot(ab, ab), dot(ac, ac))
    squared = dot(crosses, crosses)
    is_kept = squared > (SLIVER * longest) ** 2
    if is_kept.all():
        return triangles, crosses, centroids
    return triangles[is_kept], crosses[is_kept], centroids[is_kept]


def _orient(
    triangles: NDArray[np.int32],
    crosses: NDArray[np.float64],
    centroids: NDArray[np.float64],
    piece: NDArray[np.int32],
    edges: EdgeCounts,
) -> tuple[NDArray[np.int32], NDArray[np.float64], tuple[int, int]]:
    """Turn what winds against its neighbours, then what winds inward; count both."""
    flips = np.zeros(len(triangles), dtype=bool)
    if edges.n_clashing:
        areas = norms(crosses)
        flips = unify_winding(triangles, int(triangles.max()) + 1, areas)
        crosses = np.where(flips[:, None], -crosses, crosses)
    inward = outward_flips(piece, centroids, crosses)
    n_unified, n_inward = int(np.count_nonzero(flips)), int(np.count_nonzero(inward[piece]))
    if n_inward:
        flips = flips ^ inward[piece]
        crosses = np.where(inward[piece][:, None], -crosses, crosses)
    if flips.any():
        triangles = np.where(flips[:, None], triangles[:, [0, 2, 1]], triangles)
    return triangles, crosses, (n_unified, n_inward)


def _vertex_normals(
    triangles: NDArray[np.int32], crosses: NDArray[np.float64], n_points: int
) -> NDArray[np.float64]:
    """Average the normals of the triangles around each vertex, weighted by area."""
    sums = np.zeros((n_points, 3))
    corners = triangles.ravel(order="F")
    for axis in range(3):
        weights = np.tile(crosses[:, axis], 3)
        sums[:, axis] = np.bincount(corners, weights=weights, minlength=n_points)
    lengths = norms(sums)
    cancelled = np.flatnonzero(lengths < np.finfo(float).tiny)
    if len(cancelled):  # two sheets back to back: take one of them
        any_triangle = np.zeros(n_points, dtype=np.int64)
        any_triangle[corners] = np.tile(np.arange(len(triangles)), 3)
        sums[cancelled] = crosses[any_triangle[cancelled]]
        lengths[cancelled] = np.linalg.norm(sums[cancelled], axis=1)
    sums /= lengths[:, None]
    return sums


def _describe_cleaning(n_unused: int, n_dropped: int) -> list[Finding]:
    """Say what was left out."""
    findings = []
    if n_unused:
        text = f"{n_unused} vertices belong to no triangle and were left out."
        findings.append(Finding("unreferenced_vertices", text))
    if n_dropped:
        text = f"{n_dropped} triangles are repeated or without an area and were left out."
        findings.append(Finding("duplicate_triangles", text))
    return findings


def _describe_edges(edges: EdgeCounts, turned: tuple[int, int]) -> list[Finding]:
    """Say how the triangles meet and which were turned."""
    findings = []
    if edges.n_boundary:
        text = f"The surface is open: {edges.n_boundary} edges belong to one triangle only."
        findings.append(Finding("holes", text))
    if edges.n_non_manifold:
        text = f"{edges.n_non_manifold} edges are shared by more than two triangles."
        findings.append(Finding("non_manifold", text))
    if edges.n_clashing:
        text = f"{turned[0]} triangles were wound against their neighbours and were turned."
        findings.append(Finding("inconsistent_winding", text))
    if turned[1]:
        text = f"{turned[1]} triangles were wound inward and were turned outward."
        findings.append(Finding("inward_normals", text))
    return findings


def _describe_pieces(piece: NDArray[np.int32], areas: NDArray[np.float64]) -> list[Finding]:
    """Say into how many pieces the surface falls."""
    totals = np.bincount(piece, weights=areas)
    if len(totals) < 2:
        return []
    share = 100.0 * (1.0 - float(totals.max() / totals.sum()))
    text = f"{len(totals) - 1} loose pieces besides the largest hold {share:.2g} % of the area."
    return [Finding("loose_pieces", text)]


def crop_surface(surface: Surface, keep_points: NDArray[np.bool_]) -> Surface:
    """Keep the triangles whose three vertices are all kept.

    Parameters
    ----------
    surface : Surface
        The whole surface.
    keep_points : ndarray of shape (n_points,)
        True for vertices to keep.

    Returns
    -------
    Surface
        Renumbered in the same order, with the normals of the whole surface; it may be empty.
    """
    keep_points = np.asarray(keep_points, dtype=bool)
    if keep_points.shape != (len(surface.points_mm),):
        msg = f"keep_points must have shape ({len(surface.points_mm)},); got {keep_points.shape}."
        raise ValueError(msg)
    triangles = surface.triangles[keep_points[surface.triangles].all(axis=1)]
    is_used = np.zeros(len(keep_points), dtype=bool)
    is_used[triangles] = True
    number = np.cumsum(is_used, dtype=np.int32) - np.int32(1)
    return replace(
        surface,
        points_mm=surface.points_mm[is_used],
        triangles=number[triangles],
        normals=surface.normals[is_used],
    )
