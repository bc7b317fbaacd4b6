# SPDX-License-Identifier: Apache-2.0
"""Decide whether a fit is a face: by the landmark network if it can tell, else by the relief."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from palnet.detection.fitting import predict_in_face
from palnet.face.refusal import MIN_COVERAGE, find_refusal, measure_broad_relief

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from palnet._stopwatch import Stopwatch
    from palnet.detection.fitting import FoundFace
    from palnet.model import Model
    from palnet.surface import Surface

__all__ = ["Judge", "Verdict"]

# If the network's uncertainty (the median spread of the landmarks over the largest that passes) is
# higher than this, the face is compared with the other guesses and the surest is taken. On 445
# usable scans (development) the surest was always the right one, even for people of a source that
# the model had not been trained on.
SURE_ENOUGH = 0.62


@dataclass(frozen=True, eq=False)
class Verdict:
    """The verdict on one guess.

    Attributes
    ----------
    face : FoundFace
        The fitted atlas.
    refusal : str, optional
        Why it is not a usable face, for the user; None if it is one.
    uncertainty : float
        Landmark spread over the largest that passes; 0 if the network cannot tell.
    """

    face: FoundFace
    refusal: str | None
    uncertainty: float = 0.0

    @property
    def is_sure(self) -> bool:
        """Whether it is a face beyond doubt."""
        return self.refusal is None and self.uncertainty <= SURE_ENOUGH

    @property
    def is_sure_refusal(self) -> bool:
        """Whether the network is sure of a face that is refused anyway, e.g. for its size."""
        is_asked = self.face.prediction is not None
        return self.refusal is not None and is_asked and self.uncertainty <= SURE_ENOUGH


class Judge:
    """Decides what is a face: by the landmark network if it knows when it is unsure.

    Parameters
    ----------
    model : Model
        Atlas, landmark network and calibration.
    watch : Stopwatch
        Records the time of the stages ``fit`` and ``network``.
    is_unit_known : bool
        Whether the unit was given rather than guessed from the size.
    """

    def __init__(self, model: Model, watch: Stopwatch, *, is_unit_known: bool) -> None:
        self.model, self.watch, self.is_unit_known = model, watch, is_unit_known
        self.by_network = math.isfinite(model.calibration.largest_spread_mm)

    def fit_and_judge(
        self,
        fit: Callable[[Surface, NDArray[np.float64], Model], FoundFace],
        surface: Surface,
        guess: NDArray[np.float64],
    ) -> Verdict:
        """Fit by `fit_face` or `fit_face_by_landmarks`, and judge the face."""
        with self.watch.stage("fit"):
            found = fit(surface, guess, self.model)
        return self.verdict_on(found)

    def verdict_on(self, found: FoundFace) -> Verdict:
        """Judge a fitted face by the network, else by the relief."""
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
            is_unit_known=self.is_unit_known,
        )
        return Verdict(found, refusal, uncertainty or 0.0)
