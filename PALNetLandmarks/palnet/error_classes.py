# SPDX-License-Identifier: Apache-2.0
"""Classes of expected error: what may be used, what is to check, what is doubtful."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.landmarks import LandmarkSet

__all__ = ["CHECK_MM", "CLASS_COLORS", "GOOD_MM", "ErrorClass", "classify_errors"]

# An expected error below the first is as good as a person's own repeatability (about 2 mm on most
# landmarks); above the second a landmark should not be used without review.
GOOD_MM = 2.0
CHECK_MM = 4.0


class ErrorClass(IntEnum):
    """Good is below `GOOD_MM`, to check below `CHECK_MM`; unplaced has no position."""

    UNPLACED = -1
    GOOD = 0
    CHECK = 1
    DOUBTFUL = 2
    UNKNOWN = 3


# Blue, yellow, vermillion and grey: distinguishable in print and with common colour blindness.
CLASS_COLORS = ((0.0, 0.45, 0.70), (0.95, 0.90, 0.25), (0.84, 0.37, 0.0), (0.35, 0.35, 0.35))


def classify_errors(landmarks: LandmarkSet) -> NDArray[np.int64]:
    """Sort landmarks into the classes.

    Parameters
    ----------
    landmarks : LandmarkSet
        Landmarks with their expected errors.

    Returns
    -------
    ndarray of shape (n_landmarks,)
        An `ErrorClass` each; those with a position index `CLASS_COLORS`.
    """
    errors = landmarks.expected_error_mm
    classes = np.digitize(errors, [GOOD_MM, CHECK_MM]).astype(np.int64)
    classes[np.isnan(errors)] = ErrorClass.UNKNOWN
    classes[~landmarks.is_placed] = ErrorClass.UNPLACED
    return classes
