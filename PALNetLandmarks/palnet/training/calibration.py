# SPDX-License-Identifier: Apache-2.0
"""Calibrate the expected errors on people that neither trained nor validated anything."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet.detector import find_face, predict_in_face
from palnet.errors import ScanRefusedError, TrainingError
from palnet.face.similarity import apply_similarity
from palnet.model import Calibration
from palnet.surface import parse_unit, prepare_surface, project_onto_triangles
from palnet.synthesis.folder import read_generated_scan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.model import Model

__all__ = ["CalibrationSample", "collect_sample", "fit_calibration"]

logger = logging.getLogger(__name__)

POWERS = np.linspace(0.4, 3.0, 53)
# The network's visibility is a probability: a landmark more likely hidden than shown is missing.
MIN_VISIBILITY = 0.5
# A landmark's own factor counts as much as the common one after this many errors were seen.
SHRINKAGE = 40


@dataclass(frozen=True, eq=False)
class CalibrationSample:
    """What the networks said and what was true, (n_scans, n_landmarks) each."""

    error_mm: NDArray[np.float64]
    spread_mm: NDArray[np.float64]
    visibility: NDArray[np.float64]
    visible: NDArray[np.bool_]


def collect_sample(model: Model, scans: Sequence[Path]) -> CalibrationSample:
    """Detect on every scan, from the mesh on; refused scans are left out and counted in the log.

    Parameters
    ----------
    model : Model
        The model, whatever its calibration.
    scans : sequence of Path
        Generated scans.

    Returns
    -------
    CalibrationSample
        In millimetres of the face frame.
    """
    millimetre = parse_unit("mm")
    rows = []
    for path in scans:
        scan = read_generated_scan(path)
        try:
            surface = prepare_surface(scan.to_mesh(), millimetre)
            found = find_face(surface, (millimetre,), model)
        except ScanRefusedError as err:
            logger.info("calibration: %s", err)
            continue
        prediction = predict_in_face(found, model)
        truth = apply_similarity(found.face_from_scan, scan.landmarks_mm)
        placed = project_onto_triangles(found.face, prediction.positions_mm).points_mm
        error = np.linalg.norm(placed - truth, axis=1)
        rows.append((error, prediction.spread_mm, prediction.visibility, scan.visible))
    if not rows:
        msg = "every scan kept for the calibration was refused; the pose networks are no good yet."
        raise TrainingError(msg)
    error, spread, visibility, visible = (np.array(column) for column in zip(*rows, strict=True))
    return CalibrationSample(error, spread, visibility, visible.astype(bool))


def fit_calibration(sample: CalibrationSample) -> Calibration:
    """Fit factors and power.

    Parameters
    ----------
    sample : CalibrationSample
        People kept apart for this.

    Returns
    -------
    Calibration
        The power and common factor of greatest likelihood for errors that are exponentially
        distributed about their expectation; each landmark's own factor, drawn to the common one;
        what times the expected error nine of ten are below.
    """
    shown = sample.visible
    best = min(POWERS, key=lambda power: _cost(sample, float(power)))
    powered = np.where(shown, sample.spread_mm**best, 0.0)
    errors = np.where(shown, sample.error_mm, 0.0)
    common = errors.sum() / powered.sum()
    n_seen = shown.sum(axis=0)
    own = errors.sum(axis=0) / np.maximum(powered.sum(axis=0), 1e-9)
    factor = (n_seen * own + SHRINKAGE * common) / (n_seen + SHRINKAGE)
    times_expected = (errors / np.maximum(factor * powered, 1e-9))[shown]
    ninety = float(np.percentile(times_expected, 90))
    return Calibration(factor, float(best), MIN_VISIBILITY, ninety)


def _cost(sample: CalibrationSample, power: float) -> float:
    """Mean negative log-likelihood of the errors for one power."""
    powered = sample.spread_mm[sample.visible] ** power
    error = sample.error_mm[sample.visible]
    expected = powered * error.mean() / powered.mean()
    return float(np.mean(error / expected + np.log(expected)))
