# SPDX-License-Identifier: Apache-2.0
"""Meshes from formulas: parametric sheets, and surfaces of implicit solids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

from palnet.surface import Mesh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Points = NDArray[np.float64]

__all__ = ["capsule", "ellipsoid", "join", "sheet", "solid", "union"]


def sheet(
    shape: Callable[[Points, Points], Points], n_across: int, n_along: int, *, closed: bool = False
) -> Mesh:
    """Build a sheet ``shape(u, v)`` for u and v from 0 to 1.

    Parameters
    ----------
    shape : callable
        Takes two arrays of shape (n,), returns points (n, 3).
    n_across, n_along : int
        Vertices along u and v.
    closed : bool
        Whether u = 1 coincides with u = 0, as on a tube.

    Returns
    -------
    Mesh
        Two triangles per cell.
    """
    u, v = np.meshgrid(np.linspace(0, 1, n_across, endpoint=not closed), np.linspace(0, 1, n_along))
    index = np.arange(u.size).reshape(n_along, n_across)
    right = np.roll(index, -1, axis=1)
    last = n_across if closed else n_across - 1
    a, b = index[:-1, :last].ravel(), right[:-1, :last].ravel()
    d, c = index[1:, :last].ravel(), right[1:, :last].ravel()
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return Mesh(shape(u.ravel(), v.ravel()), triangles)


def solid(
    distance: Callable[[Points], NDArray[np.float64]], half_extent_mm: float, spacing_mm: float
) -> Mesh:
    """Extract the zero surface of ``distance(points)``, which is negative inside."""
    axis = np.arange(-half_extent_mm, half_extent_mm + spacing_mm / 2, spacing_mm)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    values = distance(np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1))
    image = vtkImageData()
    image.SetDimensions(len(axis), len(axis), len(axis))
    image.SetOrigin(axis[0], axis[0], axis[0])
    image.SetSpacing(spacing_mm, spacing_mm, spacing_mm)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(values), deep=True))
    contour = vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 0.0)
    contour.Update()
    surface = contour.GetOutput()
    points = vtk_to_numpy(surface.GetPoints().GetData()).astype(np.float64)
    corners = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return Mesh(points, corners)


def ellipsoid(points: Points, centre: tuple[float, ...], radii: tuple[float, ...]) -> Points:
    """Approximate distance of points from an ellipsoid."""
    scaled = (points - np.array(centre)) / np.array(radii)
    return np.asarray((np.linalg.norm(scaled, axis=1) - 1) * min(radii))


def capsule(
    points: Points, start: tuple[float, ...], stop: tuple[float, ...], radius: float
) -> Points:
    """Distance of points from a rod with round ends."""
    origin, along = np.array(start), np.array(stop) - np.array(start)
    share = np.clip((points - origin) @ along / (along @ along), 0, 1)
    return np.asarray(np.linalg.norm(points - origin - share[:, None] * along, axis=1) - radius)


def union(distances: Iterable[Points], blend_mm: float) -> Points:
    """Union of solids, with seams rounded by about `blend_mm`."""
    stacked = np.stack(list(distances))
    return np.asarray(-blend_mm * np.log(np.exp(-stacked / blend_mm).sum(axis=0)))


def join(meshes: Iterable[Mesh]) -> Mesh:
    """Join several meshes into one."""
    points, triangles, n_points = [], [], 0
    for mesh in meshes:
        points.append(mesh.points)
        triangles.append(mesh.triangles + n_points)
        n_points += len(mesh.points)
    return Mesh(np.concatenate(points), np.concatenate(triangles))
