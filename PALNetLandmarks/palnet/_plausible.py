# SPDX-License-Identifier: Apache-2.0
"""Check that landmarks form a face, in the assumed unit and order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from palnet._mean_face import mean_landmarks
from palnet.model import read_model
from palnet.similarity import measure_offset_mm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.landmarks import LandmarkSet

__all__ = ["WRONG_ORDER_MM", "doubt_order", "doubt_size", "measure_oddness"]

MIN_PLACED = 4
"""With fewer landmarks the spread is not meaningful."""

MAX_TIMES_MEAN = 4.0
"""The mean distance of landmarks from their centroid is compared with that of the mean face: faces
are 0.5 to 1.4 times as large, the next units off by factors of 10 and 25.4."""

USUAL_TIMES_MEAN = 0.86
"""Middle of the sizes of faces, as a ratio to the mean face, that `palnet.face.refusal` accepts in
a guessed unit (0.54 to 1.37). The limits are a factor of 2.54 apart, as are centimeters and inches.
"""

MAX_SPREAD_MM = 200.0
"""Limit for landmarks unknown to the mean face, which those of a whole head never reach."""

WRONG_ORDER_MM = 12.0
"""Median distance after alignment to the mean face: people are around 4 mm, wrong orders at 20."""

MIN_IN_ORDER = 6
"""Fewer landmarks can be aligned to nearly any others."""

MIN_UPPER = 3
"""Number of landmarks needed in the upper half of the face."""


def doubt_size(landmarks: LandmarkSet) -> str | None:
    """Say if landmarks are too close together or too far apart for a face: a wrong unit.

    Convention: compared with the same landmarks of the shipped model's mean face, so that a mouth
    does not count as a face of a tenth of the size. For unknown landmarks there is no lower limit.
    Returns part of a sentence; None if nothing is odd, or if there are too few to tell.
    """
    if landmarks.is_placed.sum() < MIN_PLACED:
        return None
    spread = _spread(landmarks.positions[landmarks.is_placed]) * landmarks.mm_per_unit
    low, high = _usual_spread_mm(landmarks)
    if low < spread <= high:
        return None
    expected = f"{low:.3g} to {high:.3g}" if low else f"at most {high:g}"
    return f"they lie {spread:.3g} mm from their mean on average, expected {expected} mm"


def measure_oddness(landmarks: LandmarkSet) -> float | None:
    """Measure how far the size of landmarks is from that of a face, to compare units.

    Convention: absolute logarithm of the ratio. Landmarks unknown to the mean face are ignored;
    None if too few are known.
    """
    place_of = mean_landmarks()
    known = np.array([code in place_of for code in landmarks.scheme.codes])
    chosen = np.flatnonzero(landmarks.is_placed & known)
    if len(chosen) < MIN_PLACED:
        return None
    usual = _spread(np.array([place_of[landmarks.scheme.codes[index]] for index in chosen]))
    ratio = _spread(landmarks.positions[chosen]) * landmarks.mm_per_unit / usual
    return abs(math.log(ratio / USUAL_TIMES_MEAN)) if ratio > 0 else math.inf


def doubt_order(landmarks: LandmarkSet) -> str | None:
    """Say if landmarks in their given order do not form a face, as a sentence for the user.

    Convention: compared with the same landmarks of the shipped model's mean face; ignores others.
    """
    place_of = mean_landmarks()
    side_of = {entry.code: entry.side for entry in read_model().scheme.landmarks}
    # A lab may name the sides as seen by the observer.
    is_known = [side_of.get(entry.code) == entry.side for entry in landmarks.scheme.landmarks]
    chosen = np.flatnonzero(landmarks.is_placed & is_known)
    if len(chosen) < MIN_IN_ORDER:
        return None
    mean = np.array([place_of[landmarks.scheme.codes[index]] for index in chosen])
    positions = landmarks.positions_mm[chosen]
    # Landmarks of an open jaw are far from those of a closed one; the upper face anchors the fit.
    if (mean[:, 1] > 0).sum() < MIN_UPPER or not np.ptp(positions, axis=0).any():
        return None
    off = measure_offset_mm(positions, mean)
    if off <= WRONG_ORDER_MM:
        return None
    if measure_offset_mm(positions * [-1, 1, 1], mean) <= WRONG_ORDER_MM:
        return "left and right are exchanged: the labels are swapped, or the numbers are mirrored."
    return f"landmarks lie {off:.0f} mm from those of a face: are they in the order of the scheme?"


def _usual_spread_mm(landmarks: LandmarkSet) -> tuple[float, float]:
    """Return the limits of these landmarks' spread on faces, from infants to large adults."""
    place_of = mean_landmarks()
    codes = np.array(landmarks.scheme.codes)[landmarks.is_placed]
    if not set(codes) <= set(place_of):
        return 0.0, MAX_SPREAD_MM
    usual = _spread(np.array([place_of[code] for code in codes]))
    return usual / MAX_TIMES_MEAN, usual * MAX_TIMES_MEAN


def _spread(points: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(points - points.mean(axis=0), axis=1).mean())
