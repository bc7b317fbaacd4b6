# SPDX-License-Identifier: Apache-2.0
"""The nearest point on the triangles of a surface, exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._checks import check_finite, check_points, frozen_copy
from palnet.surface._surface import find_long_triangles
from palnet.surface._vectors import chunks, count_within, cross, dot, norms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface._surface import Surface

__all__ = ["Projection", "project_onto_triangles"]

SCOUT_FACTOR = 16
"""So many times the square root of the number of triangles are sounded for a first upper bound of
each distance; both the sounding and the search within the bound then stay cheap."""

MAX_CELLS = 128
"""Cells along an axis of the grid that picks the points near the queries."""

SLACK = 1.0 + 1e-9
"""Bounds are widened by this against rounding."""


@dataclass(frozen=True, eq=False, slots=True)
class Projection:
    """Nearest points on a surface.

    Parameters
    ----------
    points_mm : ndarray of shape (n_queries, 3)
        The nearest points.
    triangles : ndarray of shape (n_queries,)
        The triangles on which they lie.
    distances_mm : ndarray of shape (n_queries,)
        How far the queries are from them.
    """

    points_mm: NDArray[np.float64]
    triangles: NDArray[np.int64]
    distances_mm: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Keep read-only copies."""
        object.__setattr__(self, "points_mm", frozen_copy(self.points_mm))
        object.__setattr__(self, "triangles", frozen_copy(self.triangles, np.int64))
        object.__setattr__(self, "distances_mm", frozen_copy(self.distances_mm))


def project_onto_triangles(surface: Surface, queries_mm: NDArray[np.float64]) -> Projection:
    """Find the nearest point on the triangles, not the nearest vertex, for each query.

    Parameters
    ----------
    surface : Surface
        A surface with at least one triangle.
    queries_mm : ndarray of shape (n_queries, 3)
        Positions in millimetres, in the frame of the surface.

    Returns
    -------
    Projection
        Exact for every triangle; of equally near triangles the first.

    Raises
    ------
    ValueError
        If the surface is empty or the queries are not finite.
    """
    queries = np.asarray(queries_mm, dtype=np.float64)
    check_points(queries, name="queries_mm")
    check_finite(queries, name="queries_mm")
    if not len(surface.triangles):
        msg = "surface must have triangles to project onto; got none."
        raise ValueError(msg)
    if not len(queries):
        return Projection(queries, np.zeros(0, dtype=np.int64), np.zeros(0))
    query, triangle = _candidate_pairs(surface, queries)
    a, b, c = (surface.points_mm[surface.triangles[triangle, corner]] for corner in range(3))
    nearest = _closest_on_triangles(queries[query], a, b, c)
    squared = dot(nearest - queries[query], nearest - queries[query])
    order = np.lexsort((triangle, squared, query))
    first = order[np.searchsorted(query[order], np.arange(len(queries)))]
    return Projection(nearest[first], triangle[first], np.sqrt(squared[first]))


def _candidate_pairs(
    surface: Surface, queries: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (query, triangle), among which the nearest triangle of every query surely is."""
    points, triangles = surface.points_mm, surface.triangles
    limit_mm, long_rows = find_long_triangles(surface)
    step = max(1, int(math.sqrt(len(triangles)) / SCOUT_FACTOR))
    bound = _tree(points[triangles[::step, 0]]).query(queries)[0]
    # A short triangle that comes within the bound has its first corner within bound + limit.
    near_points = np.flatnonzero(_mark_near(points, queries, (bound + limit_mm) * SLACK))
    rows = _rows_of_first_corners(triangles, near_points)
    # One long triangle among them would have every query look as far as that one is large.
    rows = rows[~np.isin(rows, long_rows)]
    query, row = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    if len(rows):
        middle, radius = _bounding_spheres(points, triangles[rows])
        tree = _tree(middle)
        bound = np.minimum(bound, tree.query(queries)[0])
        found = tree.query_ball_point(queries, (bound + radius.max()) * SLACK)
        query = np.repeat(np.arange(len(queries)), [len(each) for each in found])
        local = np.concatenate([np.asarray(each, dtype=np.int64) for each in found])
        gap = norms(middle[local] - queries[query]) - radius[local]
        is_close = gap <= bound[query] * SLACK
        query, row = query[is_close], rows[local[is_close]]
    long_query, long_at = _long_pairs(points, triangles[long_rows], queries, bound)
    return np.concatenate([query, long_query]), np.concatenate([row, long_rows[long_at]])


def _rows_of_first_corners(
    triangles: NDArray[np.int32], points: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rows of the triangles that have some points as first corners."""
    first, points = np.ascontiguousarray(triangles[:, 0]), points.astype(triangles.dtype)
    order = None
    if (first[1:] < first[:-1]).any():  # a surface that prepare_surface did not make
        order = np.argsort(first)
        first = first[order]
    starts = np.searchsorted(first, points)
    counts = np.searchsorted(first, points, side="right") - starts
    rows: NDArray[np.int64] = np.repeat(starts, counts) + count_within(counts)
    return rows if order is None else order[rows]


def _tree(points: NDArray[np.float64]) -> Any:
    """Build a search tree quickly, for few searches."""
    from scipy.spatial import cKDTree

    return cKDTree(points, balanced_tree=False, compact_nodes=False)


def _long_pairs(
    points: NDArray[np.float64],
    triangles: NDArray[np.int32],
    queries: NDArray[np.float64],
    bound: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (query, row) of long triangles whose bounding spheres come near enough."""
    middle, radius = _bounding_spheres(points, triangles)
    squared = np.zeros((len(queries), len(middle)))
    for axis in range(3):
        squared += (queries[:, axis, None] - middle[:, axis]) ** 2
    gap = np.sqrt(squared) - radius
    query, row = np.nonzero(gap <= bound[:, None] * SLACK)
    return query, row


def _bounding_spheres(
    points: NDArray[np.float64], triangles: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroids of triangles and their distances from the farthest corner."""
    a, b, c = (points.take(column.astype(np.intp), axis=0) for column in triangles.T)
    middle = (a + b + c) / 3.0
    squared = [dot(offset, offset) for offset in (a - middle, b - middle, c - middle)]
    return middle, np.sqrt(np.maximum(np.maximum(squared[0], squared[1]), squared[2]))


def _mark_near(
    points: NDArray[np.float64], queries: NDArray[np.float64], reach: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Mark at least the points within reach of any query, by boxes on a grid."""
    low, high = queries - reach[:, None], queries + reach[:, None]
    start, stop = low.min(axis=0), high.max(axis=0)
    cell = max(float(np.median(reach)), float((stop - start).max()) / MAX_CELLS)
    shape = np.floor((stop - start) / cell).astype(np.int64) + 3
    is_near_cell = np.zeros(shape, dtype=bool)
    first = np.floor((low - start) / cell).astype(np.int64) + 1
    last = np.floor((high - start) / cell).astype(np.int64) + 2
    for (x0, y0, z0), (x1, y1, z1) in zip(first, last, strict=True):
        is_near_cell[x0:x1, y0:y1, z0:z1] = True
    is_near = np.zeros(len(points), dtype=bool)
    top, strides = shape - 1, np.array([shape[1] * shape[2], shape[2], 1])
    flat = is_near_cell.ravel()
    for part in chunks(len(points)):
        cells = (points[part] - (start - cell)) / cell
        np.clip(cells, 0.0, top, out=cells)
        is_near[part] = flat.take(cells.astype(np.int64) @ strides)
    return is_near


def _closest_on_triangles(
    queries: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    c: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Nearest point of triangle k to query k: the foot inside, or the best of the three edges."""
    normal = cross(b - a, c - a)
    squared = dot(normal, normal)
    height = dot(queries - a, normal) / np.where(squared > 0, squared, 1.0)
    foot = queries - height[:, None] * normal
    is_inside = squared > 0
    for start, stop in ((a, b), (b, c), (c, a)):
        side = dot(cross(stop - start, foot - start), normal)
        is_inside &= side >= 0
    best, nearest = np.full(len(queries), np.inf), np.zeros_like(queries)
    for start, stop in ((a, b), (b, c), (c, a)):
        on_edge = _closest_on_segments(queries, start, stop)
        distance = dot(on_edge - queries, on_edge - queries)
        is_better = distance < best
        best = np.where(is_better, distance, best)
        nearest = np.where(is_better[:, None], on_edge, nearest)
    return np.where(is_inside[:, None], foot, nearest)


def _closest_on_segments(
    queries: NDArray[np.float64], start: NDArray[np.float64], stop: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Nearest point of segment k to query k."""
    along = stop - start
    squared = dot(along, along)
    share = dot(queries - start, along) / np.where(squared > 0, squared, 1.0)
    return start + np.clip(share, 0.0, 1.0)[:, None] * along
