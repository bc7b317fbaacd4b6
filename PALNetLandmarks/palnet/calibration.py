# SPDX-License-Identifier: Apache-2.0
"""The expected distance of a landmark from the truth, given what the network predicts."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_finite
from palnet._frozen import frozen_copy

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["UNSEEN_NINETY", "Calibration"]

# For distances along a surface, with equal errors along both its axes (1.57 with three axes in
# space); used where no factor was fitted.
DEFAULT_NINETY = 1.7
# Errors scatter wider where a source was held out: 1.78, 1.93 and 2.14 times the expected error
# hold nine of ten in three tests (`benchmarks.unseen_source`; 2.0 lies in their middle).
UNSEEN_NINETY = 2.0


def _is_finite_above_0(value: float) -> bool:
    return 0 < value < math.inf


# The condition that each number must meet, and its wording.
CHECKS: dict[str, tuple[Callable[[float], bool], str]] = {
    "power": (math.isfinite, "a finite number"),
    "min_visibility": (lambda value: 0 <= value <= 1, "a number from 0 to 1"),
    "ninety": (_is_finite_above_0, "above 0"),
    "misfit_power": (math.isfinite, "a finite number"),
    "largest_spread_mm": (lambda value: value > 0, "above 0"),
    "source_factor": (_is_finite_above_0, "above 0"),
    "source_power": (_is_finite_above_0, "above 0"),
}


@dataclass(frozen=True, eq=False)
class Calibration:
    """Convert the network's spread to an expected error, per landmark and given the atlas's misfit.

    On people like those the network was trained on it is
    ``factor[landmark] * spread ** power * misfit ** misfit_power``; on others it is larger, by an
    amount measured on a source of faces that was held out entirely (`on_unseen_source`).

    Convention: spread and expected error in millimetres of the face frame, where every face has the
    atlas's size. The paper's networks predict no spread: there the power is 0 and the factor is the
    expected error, in the true millimetres that these networks work in. `on_unseen_source` is in
    true millimetres on the scan.

    Attributes
    ----------
    factor : ndarray of shape (n_landmarks,)
        One factor per landmark.
    power : float
        Exponent of the spread, the same for all landmarks.
    min_visibility : float
        Landmarks with a lower predicted visibility are reported as missing.
    ninety : float
        Nine of ten errors are below this times the expected one, on people like those it was
        fitted to.
    misfit_power : float
        Exponent of the fit's misfit (`palnet.face.fit.measure_misfit`); 0 in models without it.
    largest_spread_mm : float
        If the median spread of a scan's landmarks is larger, there is no face; infinite in models
        without this limit.
    source_factor, source_power : float
        For `on_unseen_source`; 1 if the expected errors are those of a lab's own people, or if no
        source was held out.
    """

    factor: NDArray[np.float64]
    power: float
    min_visibility: float
    ninety: float = DEFAULT_NINETY
    misfit_power: float = 0.0
    largest_spread_mm: float = math.inf
    source_factor: float = 1.0
    source_power: float = 1.0

    def __post_init__(self) -> None:
        """Check and freeze the factors."""
        check_finite(np.asarray(self.factor), name="factor")
        if np.ndim(self.factor) != 1 or (np.asarray(self.factor) < 0).any():
            msg = "factor must be one number of at least 0 for each landmark"
            raise ValueError(msg)
        for name, (is_fitting, what) in CHECKS.items():
            value = getattr(self, name)
            is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
            if not is_number or not is_fitting(float(value)):
                msg = f"{name} must be {what}; got {value!r:.40}"
                raise ValueError(msg)
        object.__setattr__(self, "factor", frozen_copy(self.factor))

    def uncertainty(self, spread_mm: NDArray[np.float64]) -> float | None:
        """Median spread of a scan's landmarks, as a share of the largest that a face has.

        Above 1 there is no face; None if the model cannot say.
        """
        if math.isinf(self.largest_spread_mm):
            return None
        return float(np.median(spread_mm)) / self.largest_spread_mm

    def expected_error_mm(
        self, spread_mm: NDArray[np.float64], misfit: NDArray[np.float64] | float = 1.0
    ) -> NDArray[np.float64]:
        """Expected error in mm for each landmark's spread, given the misfit of the atlas."""
        return np.asarray(self.factor * spread_mm**self.power * misfit**self.misfit_power)

    def on_unseen_source(self, expected_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected error on a face unlike those the network was trained on, as every real one is.

        A network is overconfident there, most of all where it is very sure.

        Parameters
        ----------
        expected_mm : ndarray
            Expected errors on people of the sources trained on, in true millimetres.

        Returns
        -------
        ndarray of the same shape
            ``source_factor * expected_mm ** source_power``, but never less than `expected_mm`
            itself: with a power below 1 nothing is added to very large errors.
        """
        return np.maximum(expected_mm, self.source_factor * expected_mm**self.source_power)

    @property
    def shown_ninety(self) -> float:
        """Below what multiple of the expected error that a user is shown nine of ten errors lie."""
        return max(self.ninety, UNSEEN_NINETY) if self.is_for_unseen_source else self.ninety

    @property
    def is_for_unseen_source(self) -> bool:
        """Whether the model is for any faces, and not for a lab's own people and annotators."""
        return (self.source_factor, self.source_power) != (1.0, 1.0)
