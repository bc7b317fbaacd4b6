# SPDX-License-Identifier: Apache-2.0
"""How triangles meet: edges, connected pieces, and turning all of a piece alike and outward."""

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
"""Vertices are numbered in 32 bits with a sign."""

WORD_BITS = 64


class EdgeCounts(NamedTuple):
    """How the triangles of a surface meet along their edges."""

    n_boundary: int
    n_non_manifold: int
    n_clashing: int


class SortedEdges(NamedTuple):
    """Every edge of every triangle, equal ones together.

    Attributes
    ----------
    keys : ndarray of shape (3 n_triangles,)
        Rising; two edges with the same ends differ at most in the lowest bit, their direction.
    triangles : ndarray of shape (3 n_triangles,)
        To which triangle each belongs.
    """

    keys: NDArray[np.uint64]
    triangles: NDArray[np.int64]


def sort_edges(triangles: NDArray[np.int32]) -> SortedEdges:
    """Sort the edges of a surface.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.

    Returns
    -------
    SortedEdges
        Three for each triangle.
    """
    n = len(triangles)
    point_bits, row_bits = int(triangles.max(initial=0)).bit_length(), n.bit_length()
    if 2 * point_bits + 1 + row_bits > WORD_BITS:
        keys = _edge_keys(triangles, POINT_BITS)
        order = np.argsort(keys)
        return SortedEdges(keys[order], order - n * (order // n))
    # With the triangle's number in its lowest bits a key takes it along: no indirect sort.
    packed = _edge_keys(triangles, point_bits).reshape(3, n) << np.uint64(row_bits)
    packed |= np.arange(n, dtype=np.uint64)
    packed = packed.ravel()
    packed.sort()
    rows = (packed & np.uint64((1 << row_bits) - 1)).astype(np.int64)
    return SortedEdges(packed >> np.uint64(row_bits), rows)


def _edge_keys(triangles: NDArray[np.int32], point_bits: int) -> NDArray[np.uint64]:
    """Every edge as one number (lower end, higher end, direction); edge k of all, k = 0, 1, 2."""
    keys = np.zeros((3, len(triangles)), dtype=np.uint64)
    high_bits = np.uint64(point_bits + 1)
    for part in chunks(len(triangles)):
        corners = np.ascontiguousarray(triangles[part].T)
        for row, (start, stop) in enumerate(((0, 1), (1, 2), (2, 0))):
            low = np.minimum(corners[start], corners[stop]).astype(np.uint64)
            high = np.maximum(corners[start], corners[stop]).astype(np.uint64)
            is_down = corners[start] > corners[stop]
            keys[row, part] = (low << high_bits) | (high << np.uint64(1)) | is_down
    return keys.ravel()


def count_edges(edges: SortedEdges) -> EdgeCounts:
    """Count edges with one triangle, with more than two, and with two that wind against each other.

    Parameters
    ----------
    edges : SortedEdges
        All edges.

    Returns
    -------
    EdgeCounts
        The three counts.
    """
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
    """Edges that belong to one triangle only.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.

    Returns
    -------
    ndarray of shape (n_edges, 2)
        Their ends, the lower number first.
    """
    keys = _edge_keys(triangles, POINT_BITS) >> np.uint64(1)
    keys.sort()
    is_same = np.concatenate([[False], keys[1:] == keys[:-1], [False]])
    single = keys[~is_same[:-1] & ~is_same[1:]].astype(np.int64)
    return np.stack([single >> POINT_BITS, single & (2**POINT_BITS - 1)], axis=1)


def unify_winding(edges: SortedEdges, areas: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which triangles to turn so that neighbours wind alike, turning the smaller area.

    Triangles that wind alike are joined to patches. Every patch is then taken twice, as it is and
    turned; patches that clash are linked crosswise. The connected components of this double cover
    are the consistent choices; a one-sided strip has only one and stays.

    Parameters
    ----------
    edges : SortedEdges
        All edges of the triangles.
    areas : ndarray of shape (n_triangles,)
        Triangle areas, in any unit.

    Returns
    -------
    ndarray of shape (n_triangles,)
        True for triangles to turn.
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
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Pairs of triangles that share an edge with no third, and whether they clash there."""
    keys, rows = edges
    ends = keys >> np.uint64(1)
    is_same = np.concatenate([[False], ends[1:] == ends[:-1], [False, False]])
    pairs = np.flatnonzero(~is_same[:-3] & is_same[1:-2] & ~is_same[2:-1])
    return rows[pairs], rows[pairs + 1], keys[pairs] == keys[pairs + 1]


def _components(
    n_nodes: int, first: NDArray[np.int64], second: NDArray[np.int64]
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
    """Choose, of the two consistent windings of each piece, the one that turns less area."""
    n_labels = int(turned.max()) + 1
    area_as_is: NDArray[np.float64] = np.bincount(as_is, areas, n_labels).astype(np.float64)
    mine, other = area_as_is[as_is], area_as_is[turned]
    # Equal areas: the sheet with the lower label, which holds the piece's first patch as it is.
    is_turned: NDArray[np.bool_] = (mine < other) | ((mine == other) & (as_is > turned))
    return is_turned


def label_points(triangles: NDArray[np.int32], n_points: int) -> NDArray[np.int32]:
    """Find the connected piece of every point.

    Every point first hooks onto a neighbour of a lower number; the few roots that remain are then
    joined as a small graph.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices, the smallest first in each row.
    n_points : int
        Number of vertices.

    Returns
    -------
    ndarray of shape (n_points,)
        Piece numbers from 0.
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
