# SPDX-License-Identifier: Apache-2.0
"""Whether landmarks span a face in the unit that they are taken for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from palnet.model import read_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.landmarks import LandmarkSet

__all__ = ["MIN_PLACED", "measure_spread", "usual_spread_mm"]

MIN_PLACED = 4
"""Of fewer landmarks the spread says nothing."""

MAX_TIMES_MEAN = 4.0
"""How far landmarks lie from their mean, on average, is held against the same ones of the mean
face: faces are 0.5 to 1.4 times as large, the next units 10 and 25.4 times off."""

MAX_SPREAD_MM = 200.0
"""Where these are unknown there is only what the landmarks of a whole head never reach."""


def measure_spread(landmarks: LandmarkSet) -> float:
    """Give the mean distance of the placed landmarks from their mean, in their own numbers.

    Parameters
    ----------
    landmarks : LandmarkSet
        With at least one landmark placed.

    Returns
    -------
    float
        Times `LandmarkSet.mm_per_unit` it is in millimetres.
    """
    return _spread(landmarks.positions[landmarks.is_placed])


def usual_spread_mm(landmarks: LandmarkSet) -> tuple[float, float]:
    """Give between what the spread of these landmarks lies on faces, infants' to large ones.

    Convention: held against the same landmarks of the mean face of the shipped model, since those
    of a mouth are no face of a tenth of the size. Without these there is no lower limit (0).

    Parameters
    ----------
    landmarks : LandmarkSet
        With at least one landmark placed.

    Returns
    -------
    tuple of float
        Lowest and highest, in millimetres.
    """
    place_of = _mean_face()
    codes = np.array(landmarks.scheme.codes)[landmarks.is_placed]
    if not set(codes) <= set(place_of):
        return 0.0, MAX_SPREAD_MM
    usual = _spread(np.array([place_of[code] for code in codes]))
    return usual / MAX_TIMES_MEAN, usual * MAX_TIMES_MEAN


def _spread(points: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(points - points.mean(axis=0), axis=1).mean())


@cache
def _mean_face() -> dict[str, NDArray[np.float64]]:
    """Give the mean landmarks of the shipped model by their codes, in millimetres."""
    model = read_model()
    return dict(zip(model.scheme.codes, model.atlas.landmark_mean_mm, strict=True))
