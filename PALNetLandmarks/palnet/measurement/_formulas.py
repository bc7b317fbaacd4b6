# SPDX-License-Identifier: Apache-2.0
"""Values of measurements and propagation of landmark errors to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["FORMULAS", "UNITS", "find_lost_length", "propagate_error"]

# Step of the central differences: far above rounding (1e-13 mm), far below the curvature of a face.
_STEP_MM = 1e-4


def _distance(points_mm: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(points_mm[1] - points_mm[0]))


def _angle(points_mm: NDArray[np.float64]) -> float:
    """Angle in degrees, by atan2, which is accurate near 0 and 180 where arccos is not."""
    first, second = points_mm[0] - points_mm[1], points_mm[2] - points_mm[1]
    if not first.any() or not second.any():
        return float("nan")
    sine = np.linalg.norm(np.cross(first, second))
    return float(np.degrees(np.arctan2(sine, first @ second)))


def _index(points_mm: NDArray[np.float64]) -> float:
    denominator = _distance(points_mm[2:])
    return 100.0 * _distance(points_mm[:2]) / denominator if denominator > 0 else float("nan")


FORMULAS: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "distance": _distance,
    "angle": _angle,
    "index": _index,
}
# Lengths that a value divides by: it is meaningless if they are as short as their own error.
DIVISORS = {"angle": ((0, 1), (2, 1)), "index": ((2, 3),)}
UNITS = {"distance": "mm", "angle": "deg", "index": "%", "arc": "mm"}


def propagate_error(
    formula: Callable[[NDArray[np.float64]], float],
    points_mm: NDArray[np.float64],
    errors_mm: NDArray[np.float64],
    landmarks: Sequence[int],
) -> float:
    """Compute the expected absolute error of a value from the expected errors of its landmarks.

    For independent isotropic errors, where landmark i has the expected error
    ``e_i = sigma_i * sqrt(8 / pi)`` (mean length of a 3D normal vector), the value has the standard
    deviation ``sqrt(sum(|dv/dp_i|^2 sigma_i^2))``. Its mean absolute error is ``sqrt(2 / pi)``
    times that: ``0.5 * sqrt(sum(|dv/dp_i|^2 e_i^2))``. NaN if a landmark's error is unknown.
    Rows with the same number in `landmarks` are the same landmark and move together. Coincident
    landmarks are moved slightly apart, since a zero length has no gradient.
    """
    points_mm = _apart(points_mm, landmarks)
    squared = 0.0
    for landmark in dict.fromkeys(landmarks):
        is_moved = np.array([row == landmark for row in landmarks])
        slopes = []
        for axis in range(3):
            step = np.zeros_like(points_mm)
            step[is_moved, axis] = _STEP_MM
            slopes.append((formula(points_mm + step) - formula(points_mm - step)) / (2 * _STEP_MM))
        error_mm = errors_mm[is_moved][0]
        squared += float(np.square(slopes).sum() * error_mm**2)
    return float(0.5 * np.sqrt(squared))


def _apart(points_mm: NDArray[np.float64], landmarks: Sequence[int]) -> NDArray[np.float64]:
    """Move different landmarks apart if a step would take one past the other."""
    moved = np.array(points_mm, dtype=np.float64)
    for row in range(1, len(moved)):
        others = [k for k in range(row) if landmarks[k] != landmarks[row]]
        while any(_distance(moved[[k, row]]) < 10 * _STEP_MM for k in others):
            moved[[k for k, same in enumerate(landmarks) if same == landmarks[row]], 0] += (
                20 * _STEP_MM
            )
    return moved


def find_lost_length(
    kind: str,
    points_mm: NDArray[np.float64],
    errors_mm: NDArray[np.float64],
    landmarks: Sequence[int],
) -> tuple[float, float] | None:
    """Find a length that a value divides by and that is indistinguishable from zero.

    Returns the length and its expected error, in millimetres; None if all are long enough, or if
    the errors of the landmarks are unknown. Rows of the same landmark have the same number.
    """
    for ends in DIVISORS.get(kind, ()):
        rows = list(ends)
        length_mm = _distance(points_mm[rows])
        own = [landmarks[row] for row in rows]
        error_mm = propagate_error(_distance, points_mm[rows], errors_mm[rows], own)
        if length_mm < error_mm:  # false if NaN
            return length_mm, error_mm
    return None
