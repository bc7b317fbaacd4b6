# SPDX-License-Identifier: Apache-2.0
"""How far a landmark is expected to lie from the truth, from what the network says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_finite, frozen_copy

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Calibration"]

# Of distances whose three axes err alike; for files written before it was fitted.
DEFAULT_NINETY = 1.7


@dataclass(frozen=True, eq=False)
class Calibration:
    """From the network's spread to an expected error, by landmark and by how badly the atlas fits.

    It is ``factor[landmark] * spread ** power * misfit ** misfit_power``.

    Convention: spread and expected error in millimetres of the face frame, where every face has the
    atlas's size. The paper's networks say no spread: there the power is 0 and the factor the
    expected error, in the true millimetres that these networks work in.

    Attributes
    ----------
    factor : ndarray of shape (n_landmarks,)
        One factor a landmark.
    power : float
        The same for all landmarks.
    min_visibility : float
        Landmarks whose predicted visibility is lower are called missing.
    ninety : float
        Nine of ten errors are below this times the expected one.
    misfit_power : float
        Of the fit's misfit (`palnet.face.fit.measure_misfit`); 0 in models that do not know it.
    largest_spread_mm : float
        Where the median spread of a scan's landmarks is larger, there is no face; infinite in
        models that do not know it.
    """

    factor: NDArray[np.float64]
    power: float
    min_visibility: float
    ninety: float = DEFAULT_NINETY
    misfit_power: float = 0.0
    largest_spread_mm: float = math.inf

    def __post_init__(self) -> None:
        """Check and freeze the factors."""
        check_finite(np.asarray(self.factor), name="factor")
        if not self.largest_spread_mm > 0:
            msg = f"largest_spread_mm must be above 0; got {self.largest_spread_mm!r}"
            raise ValueError(msg)
        object.__setattr__(self, "factor", frozen_copy(self.factor))

    def is_sure(self, spread_mm: NDArray[np.float64]) -> bool | None:
        """Whether landmarks of these spreads are those of a face; None if the model cannot say."""
        if math.isinf(self.largest_spread_mm):
            return None
        return bool(np.median(spread_mm) <= self.largest_spread_mm)

    def expected_error_mm(
        self, spread_mm: NDArray[np.float64], misfit: NDArray[np.float64] | float = 1.0
    ) -> NDArray[np.float64]:
        """Expected error in mm for each landmark's spread on a face that the atlas fits so."""
        return np.asarray(self.factor * spread_mm**self.power * misfit**self.misfit_power)
