# SPDX-License-Identifier: Apache-2.0
"""Path along the skin in a plane, as of a tape measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from palnet.errors import PalnetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SectionError", "trace_section"]

# A landmark farther from the cut is on another part of the surface, or off it.
_MAX_GAP_MM = 3.0
# Vertices nearer to the plane are moved off it, so that a cut never passes through a vertex.
_OFF_PLANE_MM = 1e-9


class SectionError(PalnetError, ValueError):
    """No unbroken path along the surface joins the two points."""


def trace_section(
    points_mm: NDArray[np.float64],
    triangles: NDArray[np.int32],
    start_mm: NDArray[np.float64],
    end_mm: NDArray[np.float64],
    normal: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Trace the shorter path from one point to another along the cut of a plane with a surface.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        Vertices.
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.
    start_mm, end_mm : ndarray of shape (3,)
        Two points in the plane, on the surface.
    normal : ndarray of shape (3,)
        Normal of the plane.

    Returns
    -------
    ndarray of shape (n_corners, 3)
        The path from start to end, both included.

    Raises
    ------
    SectionError
        If an end is off the surface or a hole interrupts the path.
    """
    height = (points_mm - start_mm) @ (normal / np.linalg.norm(normal))
    height = np.where(np.abs(height) < _OFF_PLANE_MM, _OFF_PLANE_MM, height)
    nodes_mm, segments = _cut(points_mm, triangles, height)
    if not len(segments):
        msg = "the plane does not cut the surface"
        raise SectionError(msg)
    weights = np.linalg.norm(np.diff(nodes_mm[segments], axis=1)[:, 0], axis=1)
    n_nodes = len(nodes_mm)
    first = _attach(nodes_mm, segments, start_mm)
    last = _attach(nodes_mm, segments, end_mm)
    if first == last:
        return np.vstack([start_mm, end_mm])
    rows = np.concatenate([segments[:, 0], [n_nodes] * 2, segments[last]])
    columns = np.concatenate([segments[:, 1], segments[first], [n_nodes + 1] * 2])
    ends = [np.linalg.norm(nodes_mm[segments[first]] - start_mm, axis=1)]
    ends += [np.linalg.norm(nodes_mm[segments[last]] - end_mm, axis=1)]
    # In a sparse graph, a weight of 0 would mean no edge.
    values = np.maximum(np.concatenate([weights, *ends]), _OFF_PLANE_MM)
    # scipy 1.13, which Slicer 5.10 has, only accepts 32-bit indices.
    cells = rows.astype(np.int32), columns.astype(np.int32)
    graph = coo_array((values, cells), shape=(n_nodes + 2, n_nodes + 2)).tocsr()
    way = _shortest(graph, n_nodes, n_nodes + 1)
    return np.vstack([nodes_mm, start_mm, end_mm])[way]


def _cut(
    points_mm: NDArray[np.float64], triangles: NDArray[np.int32], height: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Compute where edges cross the plane, and which two crossings each cut triangle joins."""
    is_above = height[triangles] > 0
    is_cut_triangle = is_above.any(axis=1) & ~is_above.all(axis=1)
    corners = _joined(points_mm, triangles[is_cut_triangle])
    edges = np.sort(np.stack([corners, np.roll(corners, -1, axis=1)], axis=2), axis=2)
    is_cut = (height[edges] > 0).sum(axis=2) == 1
    pairs, node_of = np.unique(edges[is_cut], axis=0, return_inverse=True)
    low, high = height[pairs[:, 0]], height[pairs[:, 1]]
    share = (low / (low - high))[:, None]
    nodes_mm = points_mm[pairs[:, 0]] * (1 - share) + points_mm[pairs[:, 1]] * share
    return nodes_mm, node_of.reshape(-1, 2).astype(np.int64)


def _joined(points_mm: NDArray[np.float64], triangles: NDArray[np.int32]) -> NDArray[np.int64]:
    """Merge coincident vertices, which STL files and texture seams duplicate."""
    used, corners = np.unique(triangles, return_inverse=True)
    _, first, same = np.unique(points_mm[used], axis=0, return_index=True, return_inverse=True)
    joined = used[first][same.reshape(-1)[corners]]
    return joined.reshape(-1, 3).astype(np.int64)


def _attach(
    nodes_mm: NDArray[np.float64], segments: NDArray[np.int64], point_mm: NDArray[np.float64]
) -> int:
    """Find the segment of the cut nearest to a point."""
    start, end = nodes_mm[segments[:, 0]], nodes_mm[segments[:, 1]]
    along = end - start
    squared = np.maximum((along**2).sum(axis=1), _OFF_PLANE_MM**2)
    share = np.clip(((point_mm - start) * along).sum(axis=1) / squared, 0.0, 1.0)
    gap = np.linalg.norm(start + share[:, None] * along - point_mm, axis=1)
    nearest = int(gap.argmin())
    if gap[nearest] > _MAX_GAP_MM:
        msg = f"a landmark lies {gap[nearest]:.1f} mm off the surface's cut"
        raise SectionError(msg)
    return nearest


def _shortest(graph: coo_array, start: int, end: int) -> list[int]:
    _, before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    way = [end]
    while way[-1] != start:
        if before[way[-1]] < 0:
            msg = "a hole in the surface interrupts the arc"
            raise SectionError(msg)
        way.append(int(before[way[-1]]))
    return way[::-1]
