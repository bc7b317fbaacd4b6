# SPDX-License-Identifier: Apache-2.0
"""One numbering for one surface, whatever the numbering of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["drop_unused", "sort_points", "sort_triangles"]

BITS = 21
"""Three numbers of this many bits fit one 63-bit sorting key."""

MAX_PACKED = 1 << BITS


def drop_unused(
    points: NDArray[np.float64], triangles: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Leave out points that no triangle uses, keeping the order of the others."""
    is_used = np.zeros(len(points), dtype=bool)
    is_used[triangles] = True
    if is_used.all():
        return points, triangles
    number = np.cumsum(is_used, dtype=np.int32) - np.int32(1)
    return points[is_used], number[triangles]


def sort_points(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Merge equal points and sort them by position; return the new number of each old point."""
    points = points + 0.0  # -0.0 becomes 0.0
    key = _position_key(points)
    order = np.argsort(key)
    key = key[order]
    ordered = points[order]
    is_same_key = key[1:] == key[:-1]
    is_new = np.ones(len(points), dtype=bool)
    is_new[1:] = ~is_same_key
    if is_same_key.any():
        differs = (ordered[1:] != ordered[:-1]).any(axis=1)
        if (is_same_key & differs).any():
            order = _settle_ties(points, key, order, is_same_key)
            ordered = points[order]
            differs = (ordered[1:] != ordered[:-1]).any(axis=1)
        is_new[1:] = differs
    number = np.zeros(len(points), dtype=np.int32)
    number[order] = np.cumsum(is_new, dtype=np.int32) - np.int32(1)
    return ordered if is_new.all() else ordered[is_new], number


def _position_key(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Position on a grid over the bounding box, packed into one integer, x first."""
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max())
    scale = (MAX_PACKED - 1) / extent if extent > 0 else 0.0
    key = np.zeros(len(points), dtype=np.int64)
    for axis in range(3):
        key <<= BITS
        key |= ((points[:, axis] - low[axis]) * scale).astype(np.int64)
    return key


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
    """Put every triangle's smallest corner first, sort them, drop collapsed and repeated ones.

    Of two triangles with the same corners the one that winds upwards through their numbers stays.
    """
    a, b, c = (np.ascontiguousarray(column) for column in triangles.T)
    low = np.minimum(np.minimum(a, b), c)
    high = np.maximum(np.maximum(a, b), c)
    is_odd = ((a < b).view(np.int8) + (b < c).view(np.int8) + (c < a).view(np.int8)) < 2
    middle = (a ^ b ^ c) ^ low ^ high
    is_whole = (low < middle) & (middle < high)
    if not is_whole.all():
        low, middle, high, is_odd = (each[is_whole] for each in (low, middle, high, is_odd))
    if n_points <= MAX_PACKED:
        low, middle, high, is_odd = _sort_packed(low, middle, high, is_odd)
    else:
        order = np.lexsort((is_odd, high, middle, low))
        low, middle, high, is_odd = (each[order] for each in (low, middle, high, is_odd))
        is_new = np.ones(len(low), dtype=bool)
        for each in (low, middle, high):
            is_new[1:] &= each[1:] == each[:-1]
        is_new[1:] = ~is_new[1:]
        low, middle, high, is_odd = (each[is_new] for each in (low, middle, high, is_odd))
    second, third = np.where(is_odd, high, middle), np.where(is_odd, middle, high)
    return np.stack([low, second, third], axis=1)


def _sort_packed(
    low: NDArray[np.int32],
    middle: NDArray[np.int32],
    high: NDArray[np.int32],
    is_odd: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Sort triangles as single integers, which numpy does much faster than by rows."""
    key = low.astype(np.uint64)
    for each in (middle, high):
        key <<= np.uint64(BITS)
        key |= each.astype(np.uint64)
    key <<= np.uint64(1)
    key |= is_odd.astype(np.uint64)
    key.sort()
    is_odd = (key & np.uint64(1)).astype(bool)
    key >>= np.uint64(1)
    is_new = np.ones(len(key), dtype=bool)
    is_new[1:] = key[1:] != key[:-1]
    if not is_new.all():
        key, is_odd = key[is_new], is_odd[is_new]
    mask = np.uint64(MAX_PACKED - 1)
    high = (key & mask).astype(np.int32)
    middle = ((key >> np.uint64(BITS)) & mask).astype(np.int32)
    low = (key >> np.uint64(2 * BITS)).astype(np.int32)
    return low, middle, high, is_odd
