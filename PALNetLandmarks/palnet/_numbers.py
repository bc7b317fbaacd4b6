# SPDX-License-Identifier: Apache-2.0
"""Numbers from whatever a caller has: lists, tables, masked arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["to_numbers"]


def to_numbers(values: ArrayLike, *, name: str) -> NDArray[np.float64]:
    """Return values as numbers, NaN where masked: what lies under a mask is no measured value.

    An array of numbers is returned as it is, without a copy.
    """
    try:
        array: NDArray[Any] = np.asarray(values)
        if array.dtype.kind in "cmMV":  # numpy would drop a part, or take a date for a number
            msg = f"these are of type {array.dtype}"
            raise TypeError(msg)
        numbers = array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as err:
        msg = (
            f"{name} must be real numbers, as many in each row; got {type(values).__name__} "
            f"({err}). Give an array of the numbers alone, NaN where there is none."
        )
        raise ValueError(msg) from err
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        return np.where(np.ma.getmaskarray(values), np.nan, numbers)
    return numbers
