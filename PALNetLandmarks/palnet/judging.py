# SPDX-License-Identifier: Apache-2.0
"""Whether a fitted face is one: by the landmark network where it can say, else by the relief."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from palnet.face.refusal import MIN_COVERAGE, find_refusal, measure_broad_relief
from palnet.fitting import predict_in_face

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from palnet._stopwatch import Stopwatch
    from palnet.fitting import FoundFace
    from palnet.model import Model
    from palnet.surface import Surface

__all__ = ["Judge", "Verdict"]

# A face of which the landmark network is less sure than this (the median spread of its landmarks
# over the largest that passes) is compared with the other guesses, and the surest is taken. On 445
# usable scans (development) the surest was the right one each time, also where a model had never
# seen the source of the people.
SURE_ENOUGH = 0.62


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was made of a guess.

    Attributes
    ----------
    face : FoundFace
        The fitted atlas.
    refusal : str, optional
        Why it is no usable face, for a user; None if it is one.
    uncertainty : float
        The spread of the landmarks over the largest that passes; 0 where the network cannot say.
    """

    face: FoundFace
    refusal: str | None
    uncertainty: float = 0.0

    @property
    def is_sure(self) -> bool:
        """Whether it is a face, and nothing to doubt about it."""
        return self.refusal is None and self.uncertainty <= SURE_ENOUGH

    @property
    def is_sure_refusal(self) -> bool:
        """Whether the network is sure of a face that is refused all the same, as for its size."""
        is_asked = self.face.prediction is not None
        return self.refusal is not None and is_asked and self.uncertainty <= SURE_ENOUGH


class Judge:
    """Who says what is a face: the landmark network where it knows when it is unsure.

    Parameters
    ----------
    model : Model
        Atlas, landmark network and calibration.
    watch : Stopwatch
        Gets the time of the stages ``fit`` and ``network``.
    is_unit_known : bool
        Whether the unit was given, and not guessed from the size.
    """

    def __init__(self, model: Model, watch: Stopwatch, *, is_unit_known: bool) -> None:
        self.model, self.watch, self._is_unit_known = model, watch, is_unit_known
        self.by_network = math.isfinite(model.calibration.largest_spread_mm)

    def fit_and_judge(
        self,
        fit: Callable[[Surface, NDArray[np.float64], Model], FoundFace],
        surface: Surface,
        guess: NDArray[np.float64],
    ) -> Verdict:
        """Fit one way or the other, `fit_face` or `fit_face_by_landmarks`, and judge the face."""
        with self.watch.stage("fit"):
            found = fit(surface, guess, self.model)
        return self.verdict_on(found)

    def verdict_on(self, found: FoundFace) -> Verdict:
        """The verdict: by the network, else by the relief."""
        uncertainty, relief = None, math.nan
        if self.by_network and found.fit.coverage >= MIN_COVERAGE:
            with self.watch.stage("network"):
                prediction = predict_in_face(found, self.model)
            uncertainty = self.model.calibration.uncertainty(prediction.spread_mm)
            found = replace(found, prediction=prediction)
        else:
            with self.watch.stage("fit"):
                relief = measure_broad_relief(self.model.atlas, found.fit, found.coarse)
        refusal = find_refusal(
            found.fit,
            relief,
            found.face_from_scan,
            is_sure=None if uncertainty is None else uncertainty <= 1,
            is_unit_known=self._is_unit_known,
        )
        return Verdict(found, refusal, uncertainty or 0.0)
