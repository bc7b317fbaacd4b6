# SPDX-License-Identifier: Apache-2.0
"""How triangles meet: edges, connected pieces, and consistent outward winding."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from palnet.surface._vectors import chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "EdgeCounts",
    "SortedEdges",
    "boundary_edges",
    "count_edges",
    "label_points",
    "sort_edges",
    "unify_winding",
]

POINT_BITS = 31
"""Vertices are numbered by signed 32-bit integers."""


class EdgeCounts(NamedTuple):
    """How the triangles of a surface meet along their edges."""

    n_boundary: int
    n_non_manifold: int
    n_clashing: int


class SortedEdges(NamedTuple):
    """Every edge of every triangle, equal ones adjacent.

    Attributes
    ----------
    keys : ndarray of shape (3 n_triangles,)
        Ascending except for the lowest bit, which is the direction of the edge.
    triangles : ndarray of shape (3 n_triangles,)
        The triangle of each edge; ascending among edges with the same ends.
    """

    keys: NDArray[np.uint64]
    triangles: NDArray[np.int32]


def sort_edges(triangles: NDArray[np.int32]) -> SortedEdges:
    """Sort the edges of a surface, three per triangle."""
    starts, stops = triangles.ravel(), triangles[:, [1, 2, 0]].ravel()
    low, high = np.minimum(starts, stops), np.maximum(starts, stops)
    order = _sort_stably(high)
    order = order.take(_sort_stably(low.take(order)))
    keys = _edge_keys(starts.take(order), stops.take(order))
    return SortedEdges(keys, order // 3)


def _sort_stably(numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the order that sorts small numbers stably.

    Converting a sparse matrix with one entry per column from columns to rows is a counting sort,
    three times faster here than numpy's. 32-bit numbering excludes more than 700 million triangles.
    """
    from scipy.sparse import csc_matrix

    n = len(numbers)
    entries = (np.ones(n, dtype=np.int8), numbers, np.arange(n + 1, dtype=np.int32))
    rows = csc_matrix(entries, shape=(int(numbers.max(initial=0)) + 1, n)).tocsr()
    order: NDArray[np.int32] = rows.indices
    return order


def _edge_keys(starts: NDArray[np.int32], stops: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Encode every edge as one number: lower end, higher end, direction."""
    keys = np.zeros(len(starts), dtype=np.uint64)
    for part in chunks(len(starts)):
        first, second = starts[part], stops[part]
        low = np.minimum(first, second).astype(np.uint64)
        high = np.maximum(first, second).astype(np.uint64)
        keys[part] = (low << np.uint64(POINT_BITS + 1)) | (high << np.uint64(1)) | (first > second)
    return keys


def count_edges(edges: SortedEdges) -> EdgeCounts:
    """Count edges with one triangle, more than two, or two that wind against each other."""
    keys = edges.keys
    is_equal = np.concatenate([[False], keys[1:] == keys[:-1], [False]])
    ends = keys >> np.uint64(1)
    is_same = np.concatenate([[False], ends[1:] == ends[:-1], [False]])
    begins, continues = ~is_same[:-1], is_same[1:]
    begins_long = begins[:-1] & continues[:-1] & continues[1:]
    begins_pair = begins & continues
    begins_pair[:-1] &= ~begins_long
    return EdgeCounts(
        int(np.count_nonzero(begins & ~continues)),
        int(np.count_nonzero(begins_long)),
        int(np.count_nonzero(begins_pair & is_equal[1:])),
    )


def boundary_edges(triangles: NDArray[np.int32]) -> NDArray[np.int64]:
    """Find the edges that belong to one triangle only, (n_edges, 2), the lower end first."""
    if not len(triangles):
        return np.zeros((0, 2), dtype=np.int64)
    keys = _edge_keys(triangles.ravel(), triangles[:, [1, 2, 0]].ravel()) >> np.uint64(1)
    keys.sort()
    is_same = np.concatenate([[False], keys[1:] == keys[:-1], [False]])
    single = keys[~is_same[:-1] & ~is_same[1:]].astype(np.int64)
    return np.stack([single >> POINT_BITS, single & (2**POINT_BITS - 1)], axis=1)


def unify_winding(edges: SortedEdges, areas: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Find the triangles to reverse so that neighbours wind alike, reversing the smaller area.

    Triangles that wind alike are joined to patches. Every patch is then taken twice, as it is and
    reversed; patches that clash are linked crosswise. The connected components of this double cover
    are the consistent choices; a one-sided strip has only one and stays as it is.
    """
    first, second, is_clash = _neighbours(edges)
    patch = _components(len(areas), first[~is_clash], second[~is_clash])
    n = int(patch.max()) + 1
    left, right = patch[first[is_clash]], patch[second[is_clash]]
    sheet = _components(2 * n, np.append(left, left + n), np.append(right + n, right))
    patch_areas = np.bincount(patch, areas).astype(np.float64)
    return _lighter_sheet(sheet[:n], sheet[n:], patch_areas)[patch]


def _neighbours(
    edges: SortedEdges,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Find pairs of triangles that share an edge with no third, and whether they clash there."""
    keys, rows = edges
    ends = keys >> np.uint64(1)
    is_same = np.concatenate([[False], ends[1:] == ends[:-1], [False, False]])
    pairs = np.flatnonzero(~is_same[:-3] & is_same[1:-2] & ~is_same[2:-1])
    return rows[pairs], rows[pairs + 1], keys[pairs] == keys[pairs + 1]


def _components(
    n_nodes: int, first: NDArray[np.integer], second: NDArray[np.integer]
) -> NDArray[np.int32]:
    """Number the connected components of a graph, node by node."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = first.astype(np.int32), second.astype(np.int32)
    graph = coo_matrix((np.ones(len(first)), ends), shape=(n_nodes, n_nodes))
    label: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return label


def _lighter_sheet(
    as_is: NDArray[np.int32], turned: NDArray[np.int32], areas: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Choose, of the two consistent windings of each piece, the one that reverses less area."""
    n_labels = int(turned.max()) + 1
    area_as_is: NDArray[np.float64] = np.bincount(as_is, areas, n_labels).astype(np.float64)
    mine, other = area_as_is[as_is], area_as_is[turned]
    # Equal areas: the sheet with the lower label, which keeps the piece's first patch as it is.
    is_turned: NDArray[np.bool_] = (mine < other) | ((mine == other) & (as_is > turned))
    return is_turned


def label_points(triangles: NDArray[np.int32], n_points: int) -> NDArray[np.int32]:
    """Find the connected piece of every point, numbered from 0.

    Every point first hooks onto a neighbour of a lower number, since triangles have the smallest
    first; the few roots that remain are then joined as a small graph.
    """
    first, second, third = (column.astype(np.intp) for column in triangles.T)
    root = np.arange(n_points)
    for others in (second, third):
        root[others] = first
    while ((above := root.take(root)) != root).any():
        root = above
    is_root = np.zeros(n_points, dtype=bool)
    is_root[root] = True
    number = np.cumsum(is_root) - 1
    tree = number.take(root)
    ends = tree.take(first)
    rows, columns = [], []
    for others in (second, third):
        other_ends = tree.take(others)
        is_link = other_ends != ends
        rows.append(ends[is_link])
        columns.append(other_ends[is_link])
    n_trees = int(number[-1]) + 1
    joined = _components(n_trees, np.concatenate(rows), np.concatenate(columns))
    label: NDArray[np.int32] = joined.take(tree)
    return label
