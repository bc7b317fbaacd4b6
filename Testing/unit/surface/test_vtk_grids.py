# SPDX-License-Identifier: Apache-2.0
"""Unstructured grids in VTK legacy files, as Gmsh, meshio and ParaView write surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from palnet.errors import MeshError
from palnet.surface import read_mesh

CORNERS = [(0, 0, 0), (2, 0, 0), (2, 1, 0), (0, 1, 0), (4, 0, 1), (4, 1, 1), (6, 0, 0), (6, 1, 0)]
# Type of VTK and corners: vertex, line, triangle, strip, polygon, pixel, quad.
CELLS = [
    (1, [0]), (3, [0, 1]), (5, [0, 1, 2]), (6, [1, 2, 4, 5, 6, 7]), (7, [0, 1, 4, 5, 3]),
    (8, [0, 1, 3, 2]), (9, [4, 6, 7, 5]), (5, [0, 2, 3]),
]  # fmt: skip


def _grid(cells, points=CORNERS):
    from vtkmodules.vtkCommonCore import vtkIdList, vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkUnstructuredGrid

    grid, place = vtkUnstructuredGrid(), vtkPoints()
    for point in points:
        place.InsertNextPoint(point)
    grid.SetPoints(place)
    for kind, corners in cells:
        ids = vtkIdList()
        for corner in corners:
            ids.InsertNextId(corner)
        grid.InsertNextCell(kind, ids)
    return grid


def _write(grid, path, *, version, binary):
    from vtkmodules.vtkIOLegacy import vtkUnstructuredGridWriter

    writer = vtkUnstructuredGridWriter()
    writer.SetFileName(str(path))
    writer.SetFileVersion(version)
    writer.SetFileType(2 if binary else 1)
    writer.SetInputData(grid)
    writer.Write()
    return path


def _vector_areas(points, triangles):
    """Half the cross products, which know size, plane and winding."""
    a, b, c = (np.asarray(points, dtype=float)[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a) / 2


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("version", [42, 51])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"type_{cell[0]}")
def test_each_kind_of_cell_has_the_area_and_winding_of_vtk(version, binary, cell, tmp_path):
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter
    from vtkmodules.vtkFiltersGeometry import vtkDataSetSurfaceFilter

    grid = _grid([cell, (5, [4, 6, 7])])
    path = _write(grid, tmp_path / "a.vtk", version=version, binary=binary)

    mesh = read_mesh(path)

    surface, split = vtkDataSetSurfaceFilter(), vtkTriangleFilter()
    surface.SetInputData(grid)
    split.SetInputConnection(surface.GetOutputPort())
    split.Update()
    polys = split.GetOutput().GetPolys()
    triangles = vtk_to_numpy(polys.GetConnectivityArray()).reshape(-1, 3)
    points = vtk_to_numpy(split.GetOutput().GetPoints().GetData())
    assert mesh.points.tolist() == [list(corner) for corner in CORNERS]
    assert len(mesh.triangles) == len(triangles)
    np.testing.assert_allclose(
        _vector_areas(mesh.points, mesh.triangles).sum(axis=0),
        _vector_areas(points, triangles).sum(axis=0),
        atol=1e-12,
    )


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("version", [42, 51])
def test_all_kinds_of_cells_in_one_grid_are_read(version, binary, tmp_path):
    path = _write(_grid(CELLS), tmp_path / "a.vtk", version=version, binary=binary)

    triangles = {tuple(sorted(row)) for row in read_mesh(path).triangles.tolist()}

    of_strip, of_polygon = {(1, 2, 4), (2, 4, 5), (4, 5, 6), (5, 6, 7)}, {(0, 1, 4), (0, 4, 5)}
    of_pixel, of_quad = {(0, 1, 2), (0, 2, 3)}, {(4, 6, 7), (4, 5, 7)}
    assert triangles == of_strip | of_polygon | {(0, 3, 5)} | of_pixel | of_quad


@pytest.mark.parametrize("kind", [10, 12, 13, 22, 69])
def test_cells_that_are_no_flat_surface_are_refused(kind, tmp_path):
    text = (
        "# vtk DataFile Version 2.0\nbox, Created by Gmsh\nASCII\nDATASET UNSTRUCTURED_GRID\n"
        "POINTS 4 double\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n\nCELLS 2 9\n3 0 1 2\n4 0 1 2 3\n\n"
        f"CELL_TYPES 2\n5\n{kind}\n"
    )
    path = tmp_path / "box.vtk"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(MeshError, match=f"with cells of type {kind}, .*Extract Surface"):
        read_mesh(path)


HEAD = (
    "# vtk DataFile Version 4.2\nwritten by meshio\nASCII\nDATASET UNSTRUCTURED_GRID\n"
    "POINTS 4 double\n0 0 0 1 0 0 0 1 0 0 0 1\n"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CELLS 1 4\n3 0 1 2\nCELL_TYPES 2\n5\n5\n", "2 cell types for 1 cells"),
        ("CELLS 2 8\n3 0 1 2\n3 0 1 3\nCELL_TYPES 1\n5\n", "1 cell types for 2 cells"),
        ("CELLS 1 4\n3 0 1 2\nCELL_TYPES 1\n", "1 numbers of CELL_TYPES are promised, but 0"),
        ("CELLS 1 4\n3 0 1 2\n", "holds 4 points and no triangles"),
        ("CELLS 4 8\n1 0\n1 1\n1 2\n1 3\nCELL_TYPES 4\n1\n1\n1\n1\n", "a point cloud"),
        ("CELLS 1 4\n3 0 1 4\nCELL_TYPES 1\n5\n", "a triangle names vertex 4"),
        ("CELLS 1 4\n3 0 1 2\nCELL_TYPES 1\n5.5\n", "CELL_TYPES holds numbers that are not whole"),
    ],
)
def test_faults_of_grids_are_named(text, message, tmp_path):
    path = tmp_path / "bad.vtk"
    path.write_text(HEAD + text, encoding="utf-8")

    with pytest.raises(MeshError, match=message):
        read_mesh(path)


def test_a_grid_is_read_up_to_its_data(tmp_path):
    path = tmp_path / "data.vtk"
    path.write_text(
        HEAD + "CELLS 2 8\n3 0 1 2\n3 0 1 3\nCELL_TYPES 2\n5\n5\nCELL_DATA 2\nSCALARS a int\n",
        encoding="utf-8",
    )

    assert read_mesh(path).triangles.tolist() == [[0, 1, 2], [0, 1, 3]]


def test_cells_without_area_are_left_out(tmp_path):
    """Vertices, lines, and empty cells, even pixels."""
    path = tmp_path / "mixed.vtk"
    cells = "0\n0\n2 0 1\n3 1 2 3\n1 3\n3 0 1 2\n"
    types = "8\n0\n2\n4\n1\n5\n"
    path.write_text(f"{HEAD}CELLS 6 15\n{cells}CELL_TYPES 6\n{types}", encoding="utf-8")

    assert read_mesh(path).triangles.tolist() == [[0, 1, 2]]


def test_pixel_of_three_corners_keeps_its_winding(tmp_path):
    path = tmp_path / "pixel.vtk"
    path.write_text(HEAD + "CELLS 1 4\n3 0 1 2\nCELL_TYPES 1\n8\n", encoding="utf-8")

    assert read_mesh(path).triangles.tolist() == [[0, 1, 2]]
