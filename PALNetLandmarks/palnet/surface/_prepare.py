# SPDX-License-Identifier: Apache-2.0
"""From a mesh file's content to a surface in millimetres: welded, sorted, wound outward."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from palnet.errors import MeshError
from palnet.surface._canonical import drop_unused, sort_points, sort_triangles
from palnet.surface._findings import (
    describe_cleaning,
    describe_edges,
    describe_pieces,
    describe_strays,
)
from palnet.surface._interior import leave_out_interior
from palnet.surface._mesh import Finding, Mesh
from palnet.surface._shapes import measure_triangles, orient
from palnet.surface._surface import Surface, pick_long_triangles
from palnet.surface._thin import thin_mesh
from palnet.surface._units import Unit, bulk_diameter
from palnet.surface._winding import count_edges, label_points, sort_edges

__all__ = ["prepare_scan", "prepare_surface"]

DENSE_POINTS = 400_000
"""A mesh of more vertices is thinned before a detection; scans mostly have 20,000 to 200,000."""

THIN_CELL_MM = 0.8
"""One vertex stays in a cell of this size, half the finest spacing that a detection samples. The
error of the landmarks stays as it is; they move 0.37 mm, in another pose of the same mesh 0.24
(20 generated people; benchmarks/thinning.py)."""

MADE_BY_THINNING = {
    "unreferenced_vertices",
    "duplicate_triangles",
    "non_manifold",
    "inconsistent_winding",
}
"""Findings that say nothing about the mesh of the file once two sheets met in one cell."""

SLIVER = 1e-12
"""A triangle whose doubled area is below this times its longest edge squared has no direction."""

STRAY_EDGE = 10.0
"""A triangle with an edge this many times the size of the scan leads to a vertex that went astray.
It would be most of the area, by which the search for the face samples the scan."""


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
        f"Very many vertices: {len(points)}, thinned to {len(thinned.points)}, one every "
        f"{THIN_CELL_MM:g} mm. All other findings are about the thinned mesh."
    )
    kept = (each for each in surface.findings if each.code not in MADE_BY_THINNING)
    return replace(surface, findings=(Finding("thinned", text), *kept))


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
        # Once more without them, since the order of the others depends on how far all reach.
        findings = (*mesh.findings, *cleaning, *describe_strays(int(is_stray.sum())))
        points, triangles = drop_unused(points, triangles[~is_stray])
        rest = replace(mesh, points=points, triangles=triangles, findings=findings)
        return prepare_surface(rest, unit)
    # A facet that has collapsed to a point or a line is gone since it was sorted.
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
        *describe_edges(counts, turned),
        *describe_pieces(label[triangles[:, 0]], shapes.doubled_areas),
    )
    points = points * unit.mm_per_unit
    for each in (points, triangles, normals):
        each.flags.writeable = False
    sizes = pick_long_triangles(np.sqrt(shapes.longest_squared) * unit.mm_per_unit)
    return Surface(points, triangles, normals, unit, mesh.name, findings, sizes)
