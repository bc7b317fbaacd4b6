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
        values = _with_masks(values)
        array: NDArray[Any] = np.asarray(values)
        if array.dtype.kind in "cmMV":  # numpy would drop a part, or take a date for a number
            msg = f"these are of type {array.dtype}"
            raise TypeError(msg)
        numbers = array.astype(np.float64, copy=False)
    except (OverflowError, TypeError, ValueError) as err:
        msg = (
            f"{name} must be real numbers, as many in each row; got {type(values).__name__} "
            f"({err}). Give an array of the numbers alone, NaN where there is none."
        )
        raise ValueError(msg) from err
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        return np.where(np.ma.getmaskarray(values), np.nan, numbers)
    return numbers


def _with_masks(values: Any) -> Any:
    """Make one masked array of a list that holds some: numpy would drop their masks."""
    if not _holds_mask(values):
        return values
    return np.ma.stack([np.ma.asanyarray(_with_masks(each)) for each in values])


def _holds_mask(values: Any) -> bool:
    return isinstance(values, list | tuple) and any(
        isinstance(each, np.ma.MaskedArray) or _holds_mask(each) for each in values
    )
