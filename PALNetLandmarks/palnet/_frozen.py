# SPDX-License-Identifier: Apache-2.0
"""Read-only arrays, so that a frozen dataclass that holds them is deeply frozen."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Frozen", "freeze", "frozen", "frozen_copy"]


class Frozen:
    """Base of frozen dataclasses with arrays, so that a copy or one from another process is, too.

    Arrays that were pickled or copied can be written to; the class makes them read-only again.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Make the copy as the original was made, with all checks."""
        values = (getattr(self, each.name) for each in fields(self))  # type: ignore[arg-type]  # of a dataclass
        return type(self), tuple(values)


def frozen_copy(values: Any, dtype: Any = np.float64) -> NDArray[Any]:
    """Copy into a read-only array, so that a frozen dataclass is deeply frozen."""
    copy = np.array(values, dtype=dtype, order="C", copy=True)
    freeze(copy)
    return copy


def frozen(values: Any, dtype: Any = np.float64) -> NDArray[Any]:
    """Return a read-only array, without a copy of one that is read-only, as by `freeze`.

    Whoever gives that keeps to it: numpy cannot tell whether an earlier view of it is writable.
    """
    values = np.asarray(values)
    is_alike = values.dtype == dtype and values.flags.c_contiguous
    return values if is_alike and _is_frozen(values) else frozen_copy(values, dtype)


def _is_frozen(values: NDArray[Any]) -> bool:
    """Whether neither an array nor what it is a view of can be written to."""
    array: Any = values
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None


def freeze(values: NDArray[Any]) -> None:
    """Make an array read-only, with all that it is a view of: nobody else may hold these."""
    array: Any = values
    while isinstance(array, np.ndarray):
        array.flags.writeable = False
        array = array.base
