# SPDX-License-Identifier: Apache-2.0
"""Whether landmarks are those of a face, in the unit and in the order that they are taken for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from palnet.face.similarity import measure_offset_mm
from palnet.model import read_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.landmarks import LandmarkSet
    from palnet.model import Model

__all__ = ["WRONG_ORDER_MM", "doubt_order", "doubt_size"]

MIN_PLACED = 4
"""Of fewer landmarks the spread says nothing."""

MAX_TIMES_MEAN = 4.0
"""How far landmarks lie from their mean, on average, is held against the same ones of the mean
face: faces are 0.5 to 1.4 times as large, the next units 10 and 25.4 times off."""

MAX_SPREAD_MM = 200.0
"""Where these are unknown there is only what the landmarks of a whole head never reach."""

WRONG_ORDER_MM = 12.0
"""Median distance from the mean face laid over them: people lie around 4 mm, other orders at 20."""

MIN_IN_ORDER = 6
"""Fewer landmarks can be laid over nearly any others."""

MIN_UPPER = 3
"""So many of them have to lie above the middle of the face."""


def doubt_size(landmarks: LandmarkSet) -> str | None:
    """Say that landmarks are too near each other for a face, or too far: a wrong unit.

    Convention: held against the same landmarks of the mean face of the shipped model, since those
    of a mouth are no face of a tenth of the size. Without these there is no lower limit.

    Parameters
    ----------
    landmarks : LandmarkSet
        In any frame.

    Returns
    -------
    str or None
        What is odd, for a sentence; None of too few to tell.
    """
    if landmarks.is_placed.sum() < MIN_PLACED:
        return None
    spread = _spread(landmarks.positions[landmarks.is_placed]) * landmarks.mm_per_unit
    low, high = _usual_spread_mm(landmarks)
    if low < spread <= high:
        return None
    expected = f"{low:.3g} to {high:.3g}" if low else f"at most {high:g}"
    return f"they lie {spread:.3g} mm from their mean on average, expected {expected} mm"


def doubt_order(landmarks: LandmarkSet) -> str | None:
    """Say that landmarks are no face in the order that they have, if they are none.

    Convention: held against the same landmarks of the mean face of the shipped model; of others
    nothing is known.

    Parameters
    ----------
    landmarks : LandmarkSet
        In any frame.

    Returns
    -------
    str or None
        What is odd, in a sentence for a user.
    """
    place_of, side_of = _mean_face(), _sides()
    # A lab may call a side as it sees it.
    is_known = [side_of.get(entry.code) == entry.side for entry in landmarks.scheme.landmarks]
    chosen = np.flatnonzero(landmarks.is_placed & is_known)
    if len(chosen) < MIN_IN_ORDER:
        return None
    mean = np.array([place_of[landmarks.scheme.codes[index]] for index in chosen])
    positions = landmarks.positions_mm[chosen]
    # An open jaw takes what lies on it far from a closed one; the upper face holds the rest.
    if (mean[:, 1] > 0).sum() < MIN_UPPER or not np.ptp(positions, axis=0).any():
        return None
    off = measure_offset_mm(positions, mean)
    if off <= WRONG_ORDER_MM:
        return None
    if measure_offset_mm(positions * [-1, 1, 1], mean) <= WRONG_ORDER_MM:
        return "left and right are exchanged: the labels are swapped, or the numbers are mirrored."
    return f"landmarks lie {off:.0f} mm from those of a face: are they in the order of the scheme?"


def _usual_spread_mm(landmarks: LandmarkSet) -> tuple[float, float]:
    """Between what the spread of these landmarks lies on faces, infants' to large ones."""
    place_of = _mean_face()
    codes = np.array(landmarks.scheme.codes)[landmarks.is_placed]
    if not set(codes) <= set(place_of):
        return 0.0, MAX_SPREAD_MM
    usual = _spread(np.array([place_of[code] for code in codes]))
    return usual / MAX_TIMES_MEAN, usual * MAX_TIMES_MEAN


def _spread(points: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(points - points.mean(axis=0), axis=1).mean())


@cache
def _shipped() -> Model:
    """Read the shipped model once."""
    return read_model()


def _mean_face() -> dict[str, NDArray[np.float64]]:
    """Give the mean landmarks of the shipped model by their codes, in millimetres."""
    model = _shipped()
    return dict(zip(model.scheme.codes, model.atlas.landmark_mean_mm, strict=True))


def _sides() -> dict[str, str]:
    """Give the side of each landmark of the shipped model by its code."""
    return {entry.code: entry.side for entry in _shipped().scheme.landmarks}
