# SPDX-License-Identifier: Apache-2.0
"""Make meshes coarser: evenly, or as decimation programs do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.surface import drop_unused, to_polydata

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["cluster_vertices", "decimate"]


def decimate(
    points_mm: NDArray[np.float32], triangles: NDArray[np.int32], share_away: float
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Decimate a mesh: large triangles where it is flat, small ones where it is curved.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        The mesh.
    triangles : ndarray of shape (n_triangles, 3)
        Its triangles.
    share_away : float
        Share of the triangles to remove.

    Returns
    -------
    points_mm : ndarray of shape (n_kept_points, 3)
        Vertices, all of them used.
    triangles : ndarray of shape (n_kept, 3)
        Triangles.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkQuadricDecimation

    shrink = vtkQuadricDecimation()
    shrink.SetInputData(to_polydata(points_mm, triangles))
    shrink.SetTargetReduction(share_away)
    shrink.Update()
    result = shrink.GetOutput()
    kept = vtk_to_numpy(result.GetPoints().GetData()).astype(np.float32)
    corners = vtk_to_numpy(result.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return drop_unused(kept, corners.astype(np.int32))


def cluster_vertices(
    points_mm: NDArray[np.float32],
    triangles: NDArray[np.int32],
    spacing_mm: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Thin a mesh to about one vertex per cell of a randomly placed grid.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        The dense mesh.
    triangles : ndarray of shape (n_triangles, 3)
        Its triangles.
    spacing_mm : float
        Edge length of the grid cells.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    points_mm : ndarray of shape (n_cells, 3)
        The mean of the vertices in each cell.
    triangles : ndarray of shape (n_kept, 3)
        Triangles whose corners are in three different cells.
    """
    cells = np.floor((points_mm + rng.uniform(0, 100, 3)) / spacing_mm).astype(np.int64)
    cells -= cells.min(axis=0)
    size = cells.max(axis=0) + 1
    key = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    _, cell_of, count = np.unique(key, return_inverse=True, return_counts=True)
    means = np.stack(
        [np.bincount(cell_of, points_mm[:, axis]) / count for axis in range(3)], axis=1
    )
    merged = cell_of[triangles]
    a, b, c = merged.T
    proper = (a != b) & (b != c) & (c != a)
    return means.astype(np.float32), merged[proper].astype(np.int32)
