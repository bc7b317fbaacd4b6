# SPDX-License-Identifier: Apache-2.0
"""Output of meshes: as binary PLY, for generated scans, and to VTK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._files import replacing, to_path
from palnet.errors import OutputError

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from palnet.surface._mesh import Mesh

__all__ = ["to_polydata", "write_ply"]


def write_ply(mesh: Mesh, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write a mesh as little-endian binary PLY, positions in single precision, without colors.

    Parameters
    ----------
    mesh : Mesh
        The mesh, in its own numbers.
    path : path-like
        The output file.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    OutputExistsError
        If the file exists and may not be replaced.
    OutputError
        If the system does not allow it to be written.
    """
    space = "comment SPACE=RAS\n" if mesh.space == "RAS" else ""
    header = (
        f"ply\nformat binary_little_endian 1.0\n{space}"
        f"element vertex {len(mesh.points)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(mesh.triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.zeros(len(mesh.triangles), dtype=[("n", "u1"), ("corners", "<i4", 3)])
    faces["n"] = 3
    faces["corners"] = mesh.triangles
    target = to_path(path, name="path", error=OutputError)
    with replacing(target, overwrite=overwrite) as draft:
        draft.write_bytes(
            header.encode("ascii") + mesh.points.astype("<f4").tobytes() + faces.tobytes()
        )


def to_polydata(points: NDArray[Any], triangles: NDArray[np.int32]) -> Any:
    """Convert a mesh to VTK polygonal data.

    Parameters
    ----------
    points : ndarray of shape (n_points, 3)
        Vertices; VTK keeps their precision.
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.

    Returns
    -------
    vtkPolyData
        With copies of the arrays.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    data, vertices, cells = vtkPolyData(), vtkPoints(), vtkCellArray()
    vertices.SetData(numpy_to_vtk(np.ascontiguousarray(points), deep=True))
    offsets = np.arange(0, 3 * len(triangles) + 1, 3, dtype=np.int64)
    corners = triangles.astype(np.int64).ravel()
    cells.SetData(numpy_to_vtk(offsets, deep=True), numpy_to_vtk(corners, deep=True))
    data.SetPoints(vertices)
    data.SetPolys(cells)
    return data
