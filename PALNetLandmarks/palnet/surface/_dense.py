# SPDX-License-Identifier: Apache-2.0
"""Meshes much denser than any later stage looks at: thinned first, which saves most of the time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from palnet.surface._canonical import BITS, MAX_PACKED, drop_unused, sort_points
from palnet.surface._interior import leave_out_interior
from palnet.surface._mesh import Finding, Mesh
from palnet.surface._prepare import prepare_surface
from palnet.surface._vectors import bounds, chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface._surface import Surface
    from palnet.surface._units import Unit

__all__ = ["prepare_scan", "thin_mesh"]

DENSE_POINTS = 400_000
"""A mesh of more vertices is thinned before a detection; scans mostly have 20,000 to 200,000."""

THIN_CELL_MM = 0.8
"""One vertex stays in a cell of this size, half the finest spacing that a detection samples. The
error of the landmarks stays as it is; they move 0.37 mm, in another pose of the same mesh 0.24
(20 generated people; benchmarks/thinning.py)."""

CELL_PARTS = 1 << 16
"""Positions within a cell are rounded to this share of it, so that their sums are exact and do not
depend on the order of the vertices."""

MADE_BY_THINNING = {
    "unreferenced_vertices",
    "duplicate_triangles",
    "non_manifold",
    "inconsistent_winding",
}
"""Findings that say nothing about the mesh of the file once two sheets met in one cell."""


def prepare_scan(mesh: Mesh, unit: Unit) -> Surface:
    """Prepare a surface for detection: nothing within the head, and not very many vertices.

    Convention: as `prepare_surface`; nothing depends on the numbering of the mesh.

    Parameters
    ----------
    mesh : Mesh
        What a file holds.
    unit : Unit
        The unit of its numbers.

    Returns
    -------
    Surface
        With the findings "interior" and "thinned" if something was left out and if it was thinned:
        a mesh of which most lies kilometres from the rest is not.

    Raises
    ------
    MeshError
        If no triangle with an area is left.
    """
    mesh = leave_out_interior(mesh)
    if len(mesh.points) <= DENSE_POINTS:
        return prepare_surface(mesh, unit)
    # An STL file has each vertex once for every triangle round it.
    points, number = sort_points(mesh.points)
    points, triangles = drop_unused(points, number[mesh.triangles])
    if len(points) <= DENSE_POINTS:
        return prepare_surface(mesh, unit)
    welded = replace(mesh, points=points, triangles=triangles)
    thinned = thin_mesh(welded, THIN_CELL_MM / unit.mm_per_unit)
    if thinned is welded:
        return prepare_surface(mesh, unit)
    surface = prepare_surface(thinned, unit)
    text = (
        f"Very many vertices: {len(points)}, thinned to {len(thinned.points)}, one in "
        f"{THIN_CELL_MM:g} mm. What else is said of the mesh is said of these."
    )
    kept = (each for each in surface.findings if each.code not in MADE_BY_THINNING)
    return replace(surface, findings=(Finding("thinned", text), *kept))


def thin_mesh(mesh: Mesh, cell: float) -> Mesh:
    """Merge the vertices within each cell of a grid into their mean.

    Parameters
    ----------
    mesh : Mesh
        What a file holds.
    cell : float
        Size of a cell in the mesh's own numbers.

    Returns
    -------
    Mesh
        Without the triangles that collapsed. What lies more than a million cells from the middle
        of the points goes to the edge of that, and mostly collapses; the same mesh if that is most
        of it.
    """
    if not (np.isfinite(cell) and cell > 0):
        msg = f"cell must be positive and finite; got {cell}."
        raise ValueError(msg)
    points = _within_reach(mesh.points, cell)
    if points is None:
        return mesh
    low, _ = bounds(points)
    keys = _cell_keys(points, low, cell)
    order = np.argsort(keys)
    keys = keys[order]
    is_new = np.concatenate([[True], keys[1:] != keys[:-1]])
    number = np.zeros(len(keys), dtype=np.int32)
    number[order] = np.cumsum(is_new, dtype=np.int32) - np.int32(1)
    starts = np.flatnonzero(is_new)
    parts = np.rint((points.take(order, axis=0) - low) * (CELL_PARTS / cell)).astype(np.int64)
    sums = np.add.reduceat(parts, starts, axis=0)
    counts = np.diff(np.append(starts, len(keys)))
    points = low + sums / counts[:, None] * (cell / CELL_PARTS)
    return replace(mesh, points=points, triangles=_renumber(mesh.triangles, number))


def _within_reach(points: NDArray[np.float64], cell: float) -> NDArray[np.float64] | None:
    """Draw in what lies farther away than cells have numbers; None if that is most of it."""
    low, high = bounds(points)
    reach = cell * (MAX_PACKED - 1)
    if (high - low).max() < reach:
        return points
    middle = np.partition(points, len(points) // 2, axis=0)[len(points) // 2]
    drawn_in = np.clip(points, middle - reach / 2, middle + reach / 2)
    is_kept = (drawn_in == points).all(axis=1)
    return drawn_in if is_kept.mean() > 1 / 2 else None


def _cell_keys(
    points: NDArray[np.float64], low: NDArray[np.float64], cell: float
) -> NDArray[np.int64]:
    """Cell of every point as one number."""
    keys = np.zeros(len(points), dtype=np.int64)
    for part in chunks(len(points)):
        cells = ((points[part] - low) / cell).astype(np.int64)
        keys[part] = (cells[:, 0] << 2 * BITS) | (cells[:, 1] << BITS) | cells[:, 2]
    return keys


def _renumber(triangles: NDArray[np.int32], number: NDArray[np.int32]) -> NDArray[np.int32]:
    """Triangles with new vertex numbers, without those that have one of them twice."""
    kept = []
    for part in chunks(len(triangles)):
        corners = number.take(triangles[part])
        a, b, c = corners.T
        kept.append(corners[(a != b) & (b != c) & (c != a)])
    return np.concatenate(kept)
