# SPDX-License-Identifier: Apache-2.0
"""Turning triangles so that all of a piece wind alike and outward."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from palnet.surface._vectors import dot, norms

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "EdgeCounts",
    "boundary_edges",
    "count_edges",
    "label_pieces",
    "outward_flips",
    "unify_winding",
]

LARGE_SHARE = 0.01
"""A piece of at least this share of the area decides by its own shape where outward is."""

FLAT_FLUX = 0.02
"""Below this flux, as a share of area times radius, a piece has no inside: it stays as it is."""


class EdgeCounts(NamedTuple):
    """How the triangles of a surface meet along their edges."""

    n_boundary: int
    n_non_manifold: int
    n_clashing: int


def _directed_keys(triangles: NDArray[np.int32], n_points: int) -> NDArray[np.uint64]:
    """Every edge as one number: (lower end, higher end, direction), edge k of all, k = 0, 1, 2."""
    ends = [triangles[:, 0], triangles[:, 1], triangles[:, 2]]
    keys = np.zeros((3, len(triangles)), dtype=np.uint64)
    for row, (start, stop) in enumerate(((0, 1), (1, 2), (2, 0))):
        low, high = np.minimum(ends[start], ends[stop]), np.maximum(ends[start], ends[stop])
        keys[row] = low
        keys[row] *= np.uint64(n_points)
        keys[row] += high.astype(np.uint64)
        keys[row] <<= np.uint64(1)
        keys[row] |= (ends[start] > ends[stop]).astype(np.uint64)
    return keys.ravel()


def count_edges(triangles: NDArray[np.int32], n_points: int) -> EdgeCounts:
    """Count edges with one triangle, with more than two, and with two that wind against each other.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.
    n_points : int
        Number of vertices.

    Returns
    -------
    EdgeCounts
        The three counts.
    """
    keys = _directed_keys(triangles, n_points)
    keys.sort()
    edge = keys >> np.uint64(1)
    starts = np.flatnonzero(np.concatenate([[True], edge[1:] != edge[:-1]]))
    n_each = np.diff(np.append(starts, len(edge)))
    pairs = starts[n_each == 2]
    return EdgeCounts(
        int(np.count_nonzero(n_each == 1)),
        int(np.count_nonzero(n_each > 2)),
        int(np.count_nonzero(keys[pairs] == keys[pairs + 1])),
    )


def boundary_edges(triangles: NDArray[np.int32], n_points: int) -> NDArray[np.int64]:
    """Edges that belong to one triangle only.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.
    n_points : int
        Number of vertices.

    Returns
    -------
    ndarray of shape (n_edges, 2)
        Their ends, the lower number first.
    """
    edge = np.sort(_directed_keys(triangles, n_points) >> np.uint64(1))
    starts = np.flatnonzero(np.concatenate([[True], edge[1:] != edge[:-1]]))
    single = edge[starts[np.diff(np.append(starts, len(edge))) == 1]].astype(np.int64)
    return np.stack(np.divmod(single, n_points), axis=1)


def unify_winding(
    triangles: NDArray[np.int32], n_points: int, areas: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Say which triangles to turn so that neighbours wind alike, turning the smaller area.

    Every triangle is taken twice, as it is and turned. Neighbours that wind alike are linked
    as they are; neighbours that clash are linked crosswise. The connected components of this
    double cover are the consistent choices; a one-sided strip has only one and stays.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices.
    n_points : int
        Number of vertices.
    areas : ndarray of shape (n_triangles,)
        Triangle areas.

    Returns
    -------
    ndarray of shape (n_triangles,)
        True for triangles to turn.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    keys = _directed_keys(triangles, n_points)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    edge = keys >> np.uint64(1)
    starts = np.flatnonzero(np.concatenate([[True], edge[1:] != edge[:-1]]))
    pairs = starts[np.diff(np.append(starts, len(edge))) == 2]
    n = len(triangles)
    first, second = order[pairs] % n, order[pairs + 1] % n
    clashes = keys[pairs] == keys[pairs + 1]
    rows = np.concatenate([first, first + n])
    columns = np.concatenate([second + n * clashes, second + n * ~clashes])
    links = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(2 * n, 2 * n))
    _, label = connected_components(links, directed=False)
    return _lighter_sheet(label[:n], label[n:], areas)


def _lighter_sheet(
    as_is: NDArray[np.int32], turned: NDArray[np.int32], areas: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Choose, of the two consistent windings of each piece, the one that turns less area."""
    area_as_is: NDArray[np.float64] = np.bincount(
        as_is, weights=areas, minlength=int(turned.max()) + 1
    ).astype(float)
    mine, other = area_as_is[as_is], area_as_is[turned]
    # Equal areas: the sheet with the lower label, which holds the piece's first triangle as it is.
    is_turned: NDArray[np.bool_] = (mine < other) | ((mine == other) & (as_is > turned))
    return is_turned


def label_pieces(triangles: NDArray[np.int32], n_points: int) -> NDArray[np.int32]:
    """Find, for every triangle, the connected piece that it belongs to.

    Parameters
    ----------
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices, sorted by their first corner.
    n_points : int
        Number of vertices.

    Returns
    -------
    ndarray of shape (n_triangles,)
        Piece numbers from 0.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    starts = np.zeros(n_points + 1, dtype=np.int32)
    np.cumsum(2 * np.bincount(triangles[:, 0], minlength=n_points), out=starts[1:])
    columns = np.ascontiguousarray(triangles[:, 1:]).ravel()
    weights = np.ones(len(columns), dtype=np.int8)
    graph = csr_matrix((weights, columns, starts), shape=(n_points, n_points))
    label: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return label[triangles[:, 0]]


def outward_flips(
    piece: NDArray[np.int32], centroids: NDArray[np.float64], crosses: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Say which pieces to turn so that normals point away from the middle of each.

    The sign of the flux, sum of area * n . (c - middle), tells. Small pieces and flat ones follow
    the largest.

    Parameters
    ----------
    piece : ndarray of shape (n_triangles,)
        Piece number of every triangle.
    centroids : ndarray of shape (n_triangles, 3)
        Triangle centroids c.
    crosses : ndarray of shape (n_triangles, 3)
        Normals n, as long as twice the area.

    Returns
    -------
    ndarray of shape (n_pieces,)
        True for pieces to turn.
    """
    areas = norms(crosses)
    total = np.bincount(piece, weights=areas)
    moments = [np.bincount(piece, weights=areas * centroids[:, axis]) for axis in range(3)]
    middle = np.stack(moments, axis=1) / np.maximum(total, np.finfo(float).tiny)[:, None]
    arms = centroids - middle[piece]
    flux = np.bincount(piece, weights=dot(arms, crosses))
    reach = np.bincount(piece, weights=areas * norms(arms))
    largest = int(np.argmax(total))
    turn_main = bool(flux[largest] < 0)
    decides = (total >= LARGE_SHARE * total.sum()) & (np.abs(flux) > FLAT_FLUX * reach)
    return np.where(decides, flux < 0, turn_main)
