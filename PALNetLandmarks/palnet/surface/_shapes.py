# SPDX-License-Identifier: Apache-2.0
"""Triangle sizes, vertex normals, and which way is outward."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from palnet.surface._vectors import chunks, cross_columns, dot_columns, norms
from palnet.surface._winding import unify_winding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface._winding import SortedEdges

__all__ = ["TriangleShapes", "measure_longest_edges", "measure_triangles", "orient"]

LARGE_SHARE = 0.01
"""A piece with at least this share of the area determines outward by its own shape."""

FLAT_FLUX = 0.02
"""Below this flux, as a share of area^(3/2), both doubled, a piece has no clear inside: it follows
the largest, and the largest keeps the file's winding. A sphere has 0.20, a plane 0; six real
scans have 0.06 to 0.17, and crops of them at 60 mm or more around the nose 0.024."""


class TriangleShapes(NamedTuple):
    """Measures of every triangle, computed in one pass.

    Convention: `crosses` are (b - a) x (c - a) as columns, `heights` their products with a.
    """

    crosses: NDArray[np.float64]
    doubled_areas: NDArray[np.float64]
    heights: NDArray[np.float64]
    longest_squared: NDArray[np.float64]

    def keep(self, is_kept: NDArray[np.bool_]) -> TriangleShapes:
        """Select triangles."""
        return TriangleShapes(*(each[..., is_kept] for each in self))

    def turn(self, is_turned: NDArray[np.bool_]) -> TriangleShapes:
        """Reverse the winding of some triangles."""
        sign = np.where(is_turned, -1.0, 1.0)
        return self._replace(crosses=self.crosses * sign, heights=self.heights * sign)


def measure_triangles(points: NDArray[np.float64], triangles: NDArray[np.int32]) -> TriangleShapes:
    """Measure all triangles."""
    n = len(triangles)
    shapes = TriangleShapes(np.zeros((3, n)), np.zeros(n), np.zeros(n), np.zeros(n))
    for part in chunks(n):
        corners = triangles[part].astype(np.intp)
        a, b, c = (points.take(corners[:, k], axis=0).T.copy() for k in range(3))
        ab, ac, bc = b - a, c - a, c - b
        crosses = cross_columns(ab, ac)
        shapes.crosses[:, part] = crosses
        shapes.doubled_areas[part] = np.sqrt(dot_columns(crosses, crosses))
        shapes.heights[part] = dot_columns(crosses, a)
        shapes.longest_squared[part] = _largest_square(ab, ac, bc)
    return shapes


def measure_longest_edges(
    points: NDArray[np.float64], triangles: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Measure the longest edge of all triangles, squared, as in `TriangleShapes`."""
    longest_squared = np.zeros(len(triangles))
    for part in chunks(len(triangles)):
        corners = triangles[part].astype(np.intp)
        a, b, c = (points.take(corners[:, k], axis=0).T.copy() for k in range(3))
        longest_squared[part] = _largest_square(b - a, c - a, c - b)
    return longest_squared


def _largest_square(*edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest squared length of several vectors given as columns."""
    largest: NDArray[np.float64] = np.maximum.reduce([dot_columns(edge, edge) for edge in edges])
    return largest


def orient(
    points: NDArray[np.float64],
    triangles: NDArray[np.int32],
    shapes: TriangleShapes,
    label: NDArray[np.int32],
    clashing: SortedEdges | None,
) -> tuple[NDArray[np.int32], NDArray[np.float64], tuple[int, int]]:
    """Reverse triangles that wind against their neighbours, then pieces that wind inward.

    Parameters
    ----------
    points : ndarray of shape (n_points, 3)
        Vertices.
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices, the smallest first in each row.
    shapes : TriangleShapes
        Measures of the triangles.
    label : ndarray of shape (n_points,)
        The connected piece of every vertex.
    clashing : SortedEdges or None
        All edges, if some neighbours wind against each other.

    Returns
    -------
    triangles : ndarray of shape (n_triangles, 3)
        In the same order, wound outward.
    normals : ndarray of shape (n_points, 3)
        Unit normals of the vertices.
    counts : tuple of int
        Number of triangles reversed as clashing and as inward.
    """
    flips = np.zeros(len(triangles), dtype=bool)
    if clashing is not None:
        flips = unify_winding(clashing, shapes.doubled_areas)
        shapes = shapes.turn(flips)
    sums = _sum_at_points(triangles, shapes, len(points))
    piece = label[triangles[:, 0]]
    is_inward = _inward_pieces(points, sums, shapes, label, piece)
    n_unified, n_inward = int(np.count_nonzero(flips)), 0
    if is_inward.any():
        inward = is_inward[piece]
        n_inward = int(np.count_nonzero(inward))
        flips ^= inward
        sums[is_inward[label]] *= -1.0
    if flips.any():
        triangles = np.where(flips[:, None], triangles[:, [0, 2, 1]], triangles)
    sums /= norms(sums)[:, None]
    return triangles, sums, (n_unified, n_inward)


def _sum_at_points(
    triangles: NDArray[np.int32], shapes: TriangleShapes, n_points: int
) -> NDArray[np.float64]:
    """Sum the area vectors of the triangles around every vertex; no sum is zero."""
    sums = np.zeros((n_points, 3))
    low, second, third = (column.astype(np.intp) for column in triangles.T)
    # By rank, not by position in the row, so that the file's winding does not change the rounding.
    for corners in (low, np.minimum(second, third), np.maximum(second, third)):
        for axis in range(3):
            sums[:, axis] += np.bincount(corners, shapes.crosses[axis], n_points)
    cancelled = np.flatnonzero(norms(sums) == 0)
    if len(cancelled):  # two sheets back to back: take one of them
        some_triangle = np.zeros(n_points, dtype=np.int64)
        for column in triangles.T:
            some_triangle[column] = np.arange(len(triangles))
        sums[cancelled] = shapes.crosses[:, some_triangle[cancelled]].T
    return sums


def _inward_pieces(
    points: NDArray[np.float64],
    sums: NDArray[np.float64],
    shapes: TriangleShapes,
    label: NDArray[np.int32],
    piece: NDArray[np.int32],
) -> NDArray[np.bool_]:
    """Find the pieces to reverse: those with a negative flux, sum of area * n . (c - middle).

    Small pieces and flat ones follow the largest.
    """
    area = np.bincount(piece, shapes.doubled_areas)
    weights = norms(sums)
    total = np.bincount(label, weights)
    flux: NDArray[np.float64] = np.bincount(piece, shapes.heights).astype(np.float64)
    for axis in range(3):
        middle = np.bincount(label, weights * points[:, axis]) / total
        flux -= middle * np.bincount(label, sums[:, axis]) / 3.0
    largest = int(np.argmax(area))
    decides = (area >= LARGE_SHARE * area.sum()) & (np.abs(flux) > FLAT_FLUX * area**1.5)
    turn_others = bool(decides[largest] and flux[largest] < 0)
    is_inward: NDArray[np.bool_] = np.where(decides, flux < 0, turn_others)
    return is_inward
