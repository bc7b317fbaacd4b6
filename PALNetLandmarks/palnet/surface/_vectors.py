# SPDX-License-Identifier: Apache-2.0
"""Products of many 3-vectors at once, and processing long arrays in chunks and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "bounds",
    "chunks",
    "count_within",
    "cross_columns",
    "dot_columns",
    "norms",
]

CHUNK_ROWS = 1 << 13
"""Intermediate results of this many rows stay in the processor's cache; with millions of rows that
is several times faster than passing whole arrays through memory."""


def chunks(n_rows: int) -> Iterator[slice]:
    """Split 0 to n_rows into slices whose intermediate results fit the cache."""
    for start in range(0, n_rows, CHUNK_ROWS):
        yield slice(start, min(start + CHUNK_ROWS, n_rows))


def count_within(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the members of groups of these sizes, restarting from 0 in each group."""
    starts = np.cumsum(counts) - counts
    numbers: NDArray[np.int64] = np.arange(int(counts.sum())) - np.repeat(starts, counts)
    return numbers


def bounds(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and highest corner of the bounding box."""
    lows, highs = [], []
    for part in chunks(len(points)):
        columns = points[part].T.copy()  # along rows of three it takes several times as long
        lows.append(columns.min(axis=1))
        highs.append(columns.max(axis=1))
    return np.min(lows, axis=0), np.max(highs, axis=0)


def cross_columns(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cross products of vectors given as columns."""
    product = np.zeros_like(left)
    for axis in range(3):
        after, last = (axis + 1) % 3, (axis + 2) % 3
        np.multiply(left[after], right[last], out=product[axis])
        product[axis] -= left[last] * right[after]
    return product


def dot_columns(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the dot products of vectors given as columns."""
    product: NDArray[np.float64] = np.einsum("ij,ij->j", left, right)
    return product


def norms(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the row-wise Euclidean length."""
    squared: NDArray[np.float64] = np.einsum("ij,ij->i", vectors, vectors)
    return np.sqrt(squared)
