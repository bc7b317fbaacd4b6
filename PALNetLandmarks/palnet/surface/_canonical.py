# SPDX-License-Identifier: Apache-2.0
"""A canonical numbering of a surface, independent of the numbering in its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from palnet.surface._vectors import bounds, chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BITS", "MAX_PACKED", "drop_unused", "sort_points", "sort_triangles"]

_Number = TypeVar("_Number", np.float32, np.float64, np.int64)

BITS = 21
"""Three numbers of this many bits fit into one 63-bit sorting key."""

MAX_PACKED = 1 << BITS


def drop_unused(
    points: NDArray[_Number], triangles: NDArray[np.int32]
) -> tuple[NDArray[_Number], NDArray[np.int32]]:
    """Drop points that no triangle uses, keeping the order of the others.

    If there are none, the given arrays are returned, not copies.
    """
    is_used = np.zeros(len(points), dtype=bool)
    for part in chunks(len(triangles)):
        is_used[triangles[part].astype(np.intp)] = True
    if is_used.all():
        return points, triangles
    number = np.cumsum(is_used, dtype=np.int32) - np.int32(1)
    return points[is_used], number[triangles]


def sort_points(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Merge equal points and sort them by position; return the new number of each old point."""
    key = _position_keys(points)
    order = np.argsort(key)
    key = key[order]
    ordered = points.take(order, axis=0)
    ordered += 0.0  # -0.0 becomes 0.0
    is_same_key = key[1:] == key[:-1]
    is_new = np.ones(len(points), dtype=bool)
    if is_same_key.any():
        differs = (ordered[1:] != ordered[:-1]).any(axis=1)
        if (is_same_key & differs).any():
            order = _settle_ties(points, key, order, is_same_key)
            ordered = points[order] + 0.0
            differs = (ordered[1:] != ordered[:-1]).any(axis=1)
        is_new[1:] = differs
        ordered = ordered[is_new]
    number = np.zeros(len(points), dtype=np.int32)
    number[order] = np.cumsum(is_new, dtype=np.int32) - np.int32(1)
    return ordered, number


def _position_keys(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Pack positions on a grid over the bounding box into one integer each, x first."""
    low, high = bounds(points)
    extent = float((high - low).max())
    scale = (MAX_PACKED - 1) / extent if extent > 0 else 0.0
    keys = np.zeros(len(points), dtype=np.int64)
    for part in chunks(len(points)):
        cells = ((points[part] - low) * scale).astype(np.int64)
        keys[part] = (cells[:, 0] << 2 * BITS) | (cells[:, 1] << BITS) | cells[:, 2]
    return keys


def _settle_ties(
    points: NDArray[np.float64],
    key: NDArray[np.int64],
    order: NDArray[np.int64],
    is_same_key: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Sort points that share a key by their exact coordinates."""
    is_tied = np.zeros(len(order), dtype=bool)
    is_tied[1:] |= is_same_key
    is_tied[:-1] |= is_same_key
    tied = order[is_tied]
    x, y, z = points[tied].T
    settled = order.copy()
    settled[is_tied] = tied[np.lexsort((z, y, x, key[is_tied]))]
    return settled


def sort_triangles(triangles: NDArray[np.int32], n_points: int) -> NDArray[np.int32]:
    """Put every triangle's smallest corner first, sort, and drop degenerate and repeated triangles.

    Of two triangles with the same corners, the one with ascending winding is kept.
    """
    a, b, c = triangles.T
    is_whole = (a != b) & (b != c) & (c != a)
    if not is_whole.all():
        triangles = triangles[is_whole]
    if n_points > MAX_PACKED:
        return _sort_rows(triangles)
    keys = np.zeros(len(triangles), dtype=np.uint64)
    for part in chunks(len(triangles)):
        corners, is_odd = _rank_corners(triangles[part])
        low, middle, high = corners.T.astype(np.uint64)
        keys[part] = (low << np.uint64(2 * BITS + 1)) | (middle << np.uint64(BITS + 1))
        keys[part] |= (high << np.uint64(1)) | is_odd.astype(np.uint64)
    # numpy sorts single integers many times faster than rows.
    keys.sort()
    is_repeated = (keys[1:] >> np.uint64(1)) == (keys[:-1] >> np.uint64(1))
    if is_repeated.any():
        keys = keys[np.concatenate([[True], ~is_repeated])]
    return _unpack(keys)


def _rank_corners(
    triangles: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Sort the corners in ascending order, and say whether that reversed the winding."""
    a, b, c = triangles.T
    ranked = np.zeros_like(triangles)
    ranked[:, 0] = np.minimum(np.minimum(a, b), c)
    ranked[:, 2] = np.maximum(np.maximum(a, b), c)
    ranked[:, 1] = a ^ b ^ c ^ ranked[:, 0] ^ ranked[:, 2]
    is_odd: NDArray[np.bool_] = ((a < b) ^ (b < c) ^ (c < a)).astype(bool)
    return ranked, is_odd


def _unpack(keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Recover triangles from their sorting keys."""
    triangles = np.zeros((len(keys), 3), dtype=np.int32)
    mask = np.uint64(MAX_PACKED - 1)
    for part in chunks(len(keys)):
        key = keys[part]
        is_odd = (key & np.uint64(1)).astype(bool)
        middle, high = (key >> np.uint64(BITS + 1)) & mask, (key >> np.uint64(1)) & mask
        triangles[part, 0] = key >> np.uint64(2 * BITS + 1)
        triangles[part, 1] = np.where(is_odd, high, middle)
        triangles[part, 2] = np.where(is_odd, middle, high)
    return triangles


def _sort_rows(triangles: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sort like `sort_triangles`, for more points than the keys can hold."""
    ranked, is_odd = _rank_corners(triangles)
    order = np.lexsort((is_odd, ranked[:, 2], ranked[:, 1], ranked[:, 0]))
    ranked, is_odd = ranked[order], is_odd[order]
    is_new = np.ones(len(ranked), dtype=bool)
    is_new[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    ranked, is_odd = ranked[is_new], is_odd[is_new]
    return np.where(is_odd[:, None], ranked[:, [0, 2, 1]], ranked)
