# SPDX-License-Identifier: Apache-2.0
"""Turn a mesh into a surface in millimetres: welded, sorted, wound outward."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from palnet._frozen import freeze
from palnet.errors import MeshError
from palnet.surface._canonical import drop_unused, sort_points, sort_triangles
from palnet.surface._findings import (
    describe_cleaning,
    describe_edges,
    describe_neighbor,
    describe_pieces,
    describe_strays,
)
from palnet.surface._interior import leave_out_interior
from palnet.surface._mesh import Finding, Mesh
from palnet.surface._shapes import measure_triangles, orient
from palnet.surface._surface import Surface, pick_long_triangles
from palnet.surface._thin import thin_mesh
from palnet.surface._units import Unit, bulk_diameter, check_unit
from palnet.surface._winding import count_edges, label_points, sort_edges

__all__ = ["prepare_scan", "prepare_surface"]

DENSE_POINTS = 400_000
"""A mesh with more vertices is thinned before detection; most scans have 20,000 to 200,000."""

THIN_CELL_MM = 0.8
"""Cell size in which one vertex is kept, half the finest spacing that a detection samples. The
error of the landmarks does not change; they move 0.37 mm, in another pose of the same mesh 0.24
(20 generated people; benchmarks/thinning.py)."""

MADE_BY_THINNING = {
    "unreferenced_vertices",
    "duplicate_triangles",
    "non_manifold",
    "inconsistent_winding",
}
"""Findings that no longer describe the file's mesh once two sheets may share a cell."""

SLIVER = 1e-12
"""A triangle whose doubled area is below this times its longest edge squared has no direction."""

STRAY_EDGE = 10.0
"""A triangle with an edge this many times the size of the scan leads to a stray vertex. It would
dominate the area, by which the search for the face samples the scan."""


def prepare_scan(mesh: Mesh, unit: Unit) -> Surface:
    """Prepare a surface for detection: remove its interior, and thin it if it is very dense.

    Convention: as `prepare_surface`; nothing depends on the numbering of the mesh.

    Parameters
    ----------
    mesh : Mesh
        Content of a mesh file.
    unit : Unit
        The unit of its numbers.

    Returns
    -------
    Surface
        With the findings "interior" and "thinned" if it was reduced in these ways: a mesh of which
        most is kilometres away from the rest is not thinned.

    Raises
    ------
    MeshError
        If no triangle with a nonzero area is left.
    UnitError
        If `unit` is no `Unit`, such as only the name of one.
    """
    check_unit(unit)
    mesh = leave_out_interior(mesh)
    if len(mesh.points) <= DENSE_POINTS:
        return prepare_surface(mesh, unit)
    # An STL file stores each vertex once for every triangle around it.
    points, number = sort_points(mesh.points)
    points, triangles = drop_unused(points, number[mesh.triangles])
    if len(points) <= DENSE_POINTS:
        return prepare_surface(mesh, unit)
    freeze(points)
    freeze(triangles)
    welded = replace(mesh, points=points, triangles=triangles, colors=None)
    thinned = thin_mesh(welded, THIN_CELL_MM / unit.mm_per_unit)
    if thinned is welded:
        return prepare_surface(mesh, unit)
    surface = prepare_surface(thinned, unit)
    text = (
        f"Very many vertices: {len(points)}, thinned to {len(thinned.points)}, one every "
        f"{THIN_CELL_MM:g} mm. All other findings are about the thinned mesh."
    )
    kept = (each for each in surface.findings if each.code not in MADE_BY_THINNING)
    return replace(surface, findings=(Finding("thinned", text), *kept))


def prepare_surface(mesh: Mesh, unit: Unit) -> Surface:
    """Weld, clean, sort and orient a mesh.

    Convention: the result does not depend on the numbering of vertices, the order of triangles or
    the corner that a triangle starts with: these give bit-identical arrays.

    Parameters
    ----------
    mesh : Mesh
        Content of a mesh file.
    unit : Unit
        The unit of its numbers.

    Returns
    -------
    Surface
        In millimetres, with outward normals, and the repairs as findings.

    Raises
    ------
    MeshError
        If no triangle with a nonzero area is left.
    UnitError
        If `unit` is no `Unit`, such as only the name of one.
    """
    check_unit(unit)
    points, triangles = drop_unused(mesh.points, mesh.triangles)
    n_unused = len(mesh.points) - len(points)
    if len(points):
        points, number = sort_points(points)
        triangles = sort_triangles(number[triangles], len(points))
    shapes = measure_triangles(points, triangles)
    is_kept = shapes.doubled_areas > SLIVER * shapes.longest_squared
    if not is_kept.all():
        triangles, shapes = triangles[is_kept], shapes.keep(is_kept)
    cleaning = describe_cleaning(n_unused, len(mesh.triangles) - len(triangles))
    is_stray = shapes.longest_squared > (STRAY_EDGE * bulk_diameter(points)) ** 2
    if is_stray.any() and not is_stray.all():
        # Repeated without them, because the order of the others depends on the extent of all.
        findings = (*mesh.findings, *cleaning, *describe_strays(int(is_stray.sum())))
        points, triangles = drop_unused(points, triangles[~is_stray])
        rest = replace(mesh, points=points, triangles=triangles, findings=findings, colors=None)
        return prepare_surface(rest, unit)
    # Facets collapsed to a point or a line were dropped by the sorting.
    points, triangles = drop_unused(points, triangles)
    if not len(triangles):
        msg = f"{mesh.name}: no triangle of the mesh has an area. Export the scan again."
        raise MeshError(msg)
    edges = sort_edges(triangles)
    counts = count_edges(edges)
    label = label_points(triangles, len(points))
    triangles, normals, turned = orient(
        points, triangles, shapes, label, edges if counts.n_clashing else None
    )
    findings = (
        *mesh.findings,
        *cleaning,
        *describe_edges(counts, turned, len(triangles)),
        *describe_pieces(label[triangles[:, 0]], shapes.doubled_areas),
        *describe_neighbor(points, triangles, label[triangles[:, 0]], shapes.doubled_areas),
    )
    points = points * unit.mm_per_unit
    for each in (points, triangles, normals):
        freeze(each)
    sizes = pick_long_triangles(np.sqrt(shapes.longest_squared) * unit.mm_per_unit)
    return Surface(points, triangles, normals, unit, mesh.name, findings, sizes)
