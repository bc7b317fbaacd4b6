# SPDX-License-Identifier: Apache-2.0
"""The nearest point on the triangles of a surface, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_finite, check_points, frozen_copy
from palnet.surface._vectors import cross, dot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface._surface import Surface

__all__ = ["Projection", "project_onto_triangles"]

N_SCOUTS = 4096
"""Vertices, evenly drawn, that give a first upper bound of each distance."""

LONG_SHARE = 0.995
"""Triangles longer than this share of all are tested one by one, so that a few huge ones do not
widen the search for the others."""

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
    query, triangle = _candidate_pairs(surface.points_mm, surface.triangles, queries)
    a, b, c = (surface.points_mm[surface.triangles[triangle, corner]] for corner in range(3))
    nearest = _closest_on_triangles(queries[query], a, b, c)
    squared = dot(nearest - queries[query], nearest - queries[query])
    order = np.lexsort((triangle, squared, query))
    first = order[np.searchsorted(query[order], np.arange(len(queries)))]
    return Projection(nearest[first], triangle[first], np.sqrt(squared[first]))


def _candidate_pairs(
    points: NDArray[np.float64], triangles: NDArray[np.int32], queries: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (query, triangle), among which the nearest triangle of every query surely is."""
    from scipy.spatial import cKDTree

    scouts = triangles[:: max(1, len(triangles) // N_SCOUTS), 0]
    bound = cKDTree(points[scouts]).query(queries)[0]
    longest = _longest_edges(points, triangles)
    rank = int(LONG_SHARE * (len(longest) - 1))
    limit = float(np.partition(longest, rank)[rank])
    is_near = _mark_near(points, queries, (bound + limit) * SLACK)
    is_candidate = is_near[triangles[:, 0]] | is_near[triangles[:, 1]] | is_near[triangles[:, 2]]
    is_long = longest > limit
    short = np.flatnonzero(is_candidate & ~is_long)
    long = np.flatnonzero(is_long)
    middle, radius = _bounding_spheres(points, triangles[short])
    if len(short):
        tree = cKDTree(middle, balanced_tree=False, compact_nodes=False)
        bound = np.minimum(bound, tree.query(queries)[0])
        reach = (bound + radius.max()) * SLACK
        found = tree.query_ball_point(queries, reach, return_sorted=False)
    else:
        found = [[] for _ in queries]
    query = np.repeat(np.arange(len(queries)), [len(each) for each in found])
    local = np.concatenate([np.asarray(each, dtype=np.int64) for each in found])
    gap = np.linalg.norm(middle[local] - queries[query], axis=1) - radius[local]
    is_close = gap <= bound[query] * SLACK
    far_query, far_long = _long_pairs(points, triangles[long], queries, bound)
    return (
        np.concatenate([query[is_close], far_query]),
        np.concatenate([short[local[is_close]], long[far_long]]),
    )


def _long_pairs(
    points: NDArray[np.float64],
    triangles: NDArray[np.int32],
    queries: NDArray[np.float64],
    bound: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (query, row) of long triangles whose bounding spheres come near enough."""
    middle, radius = _bounding_spheres(points, triangles)
    gap = np.sqrt(((queries[:, None] - middle) ** 2).sum(axis=2)) - radius
    query, row = np.nonzero(gap <= bound[:, None] * SLACK)
    return query, row


def _bounding_spheres(
    points: NDArray[np.float64], triangles: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroids of triangles and their distances from the farthest corner."""
    corners = points[triangles]
    middle = corners.mean(axis=1)
    offsets = corners - middle[:, None]
    return middle, np.sqrt(np.einsum("ijk,ijk->ij", offsets, offsets).max(axis=1))


def _longest_edges(
    points: NDArray[np.float64], triangles: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Length of the longest edge of each triangle."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    edges = (b - a, c - b, a - c)
    squared = [dot(each, each) for each in edges]
    longest: NDArray[np.float64] = np.sqrt(np.maximum.reduce(squared))
    return longest


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
    index = np.zeros(len(points), dtype=np.int64)
    for axis in range(3):
        at = np.floor((points[:, axis] - start[axis]) / cell) + 1
        index *= shape[axis]
        index += np.clip(at, 0, shape[axis] - 1).astype(np.int64)
    marks: NDArray[np.bool_] = is_near_cell.ravel()[index]
    return marks


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
