# SPDX-License-Identifier: Apache-2.0
"""Products of many 3-vectors at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["cross", "dot", "norms"]


def cross(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row-wise vector product, several times faster than numpy.cross."""
    product = np.zeros_like(left)
    for axis in range(3):
        after, last = (axis + 1) % 3, (axis + 2) % 3
        np.multiply(left[:, after], right[:, last], out=product[:, axis])
        product[:, axis] -= left[:, last] * right[:, after]
    return product


def dot(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row-wise scalar product."""
    product: NDArray[np.float64] = np.einsum("ij,ij->i", left, right)
    return product


def norms(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row-wise Euclidean length."""
    return np.sqrt(dot(vectors, vectors))
