# SPDX-License-Identifier: Apache-2.0
"""Numbers that every reader accepts: fixed notation, six decimals, a decimal point."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["number_fields", "point_lines"]


def point_lines(positions: NDArray[np.float64], missing: str = "NA") -> str:
    """Write one point per line, with its numbers separated by one space."""
    text = "%.6f %.6f %.6f\n" * len(positions) % tuple(positions.ravel().tolist())
    # NaN is the only value that is written with letters.
    return text.replace("nan", missing)


def number_fields(positions: NDArray[np.float64], separator: str, missing: str = "") -> str:
    """Write all numbers in one row, point by point."""
    text = separator.join(["%.6f"] * positions.size) % tuple(positions.ravel().tolist())
    return text.replace("nan", missing)
