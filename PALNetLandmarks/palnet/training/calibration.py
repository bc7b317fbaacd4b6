# SPDX-License-Identifier: Apache-2.0
"""Calibrate the expected errors on people who were not used for training or validation."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from palnet.calibration import Calibration
from palnet.detection.finding import find_face_on
from palnet.detection.fitting import fit_face, predict_in_face
from palnet.errors import ScanRefusedError, TrainingError
from palnet.face.pose import find_poses
from palnet.face.refusal import MIN_COVERAGE
from palnet.similarity import apply_similarity, invert_similarity
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
MISFIT_POWERS = np.linspace(0.0, 2.0, 21)
# The network's visibility is a probability: a landmark more likely hidden than shown is missing.
MIN_VISIBILITY = 0.5
# A landmark's own factor weighs as much as the common one after this many errors.
SHRINKAGE = 40
# A scan is rejected as "no face" if the median spread of its landmarks exceeds this multiple of the
# 95th percentile of the calibration people. As fractions of that limit, on development data:
# correct poses of the shipped model reach at most 0.61, those of two models that had never seen
# the source of the people 0.85 (3 of 400 more, up to 0.96), and real scans 0.79 (0.97 if smoothed
# twice); wrong poses have at least 1.08, objects that are not faces at least 1.42.
SPREAD_ROOM = 1.8
# How small spreads get where there is no face is measured on this many scans, at poses that the
# search finds from other rotations at least 30 mm from the true one: about 170 poses. The limit
# stays below nearly all of them. If that leaves no margin above ordinary faces, the network cannot
# tell faces from other things: an early, small model placed 7 of 150 people of an unseen source at
# least 58 mm off, with spreads as small as those of correct poses.
N_ASTRAY_SCANS, ASTRAY_MM, MIN_ASTRAY = 25, 30.0, 20
ASTRAY_SHARE, LEAST_ROOM = 0.9, 1.3


@dataclass(frozen=True, eq=False)
class CalibrationSample:
    """Predictions of the networks and the true errors.

    Attributes
    ----------
    error_mm, spread_mm : ndarray of shape (n_scans, n_landmarks)
        True error, and the spread that the network predicted.
    visible : ndarray of shape (n_scans, n_landmarks)
        Which landmarks are visible in the scan.
    misfit : ndarray of shape (n_scans,)
        Misfit of the fitted atlas.
    astray_mm : ndarray of shape (n_poses,)
        Median spread of the landmarks in poses where there is no face.
    """

    error_mm: NDArray[np.float64]
    spread_mm: NDArray[np.float64]
    visible: NDArray[np.bool_]
    misfit: NDArray[np.float64]
    astray_mm: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def collect_sample(model: Model, scans: Sequence[Path]) -> CalibrationSample:
    """Run the full detection on every scan; refused scans are left out and counted in the log.

    Parameters
    ----------
    model : Model
        The model. Its calibration does not matter: faces that it was unsure of count as well.
    scans : sequence of Path
        Generated scans.

    Returns
    -------
    CalibrationSample
        In millimetres of the face frame.
    """
    any_spread = replace(model.calibration, largest_spread_mm=math.inf)
    model = replace(model, calibration=any_spread)
    rows = []
    for path in scans:
        scan = read_generated_scan(path)
        try:
            surface = prepare_surface(scan.to_mesh(), parse_unit("mm"))
            found = find_face_on(surface, model)
        except ScanRefusedError as err:
            logger.info("calibration: %s", err)
            continue
        prediction = predict_in_face(found, model)
        truth = apply_similarity(found.face_from_scan, scan.landmarks_mm)
        placed = project_onto_triangles(found.face, prediction.positions_mm).points_mm
        error = np.linalg.norm(placed - truth, axis=1)
        rows.append((error, prediction.spread_mm, scan.visible, found.fit.misfit))
    logger.info("calibration: %d of %d scans refused", len(scans) - len(rows), len(scans))
    if not rows:
        msg = (
            "every scan kept for the calibration was refused; the pose networks are not good "
            "enough yet."
        )
        raise TrainingError(msg)
    sample = CalibrationSample(*(np.array(column) for column in zip(*rows, strict=True)))
    return replace(sample, astray_mm=find_astray_spreads(model, scans[:N_ASTRAY_SCANS]))


def find_astray_spreads(model: Model, scans: Sequence[Path]) -> NDArray[np.float64]:
    """Measure the spread of the landmark network where there is no face.

    Parameters
    ----------
    model : Model
        The model.
    scans : sequence of Path
        Generated scans.

    Returns
    -------
    ndarray of shape (n_poses,)
        Median spread of the landmarks, in mm, in each wrong pose that covers enough of a face.
    """
    networks = model.network("pose_coarse"), model.network("pose_fine")
    spreads = []
    for path in scans:
        scan = read_generated_scan(path)
        try:
            surface = prepare_surface(scan.to_mesh(), parse_unit("mm"))
            candidates = next(find_poses(surface, model.atlas, *networks, once_more=True))
        except ScanRefusedError:  # counted in the log already
            continue
        for candidate in candidates:
            found = fit_face(surface, candidate.face_from_scan, model)
            scan_from_face = invert_similarity(found.face_from_scan)
            off = apply_similarity(scan_from_face, found.fit.landmarks_mm) - scan.landmarks_mm
            is_astray = np.linalg.norm(off, axis=1).mean() > ASTRAY_MM
            if is_astray and found.fit.coverage >= MIN_COVERAGE:
                spreads.append(np.median(predict_in_face(found, model).spread_mm))
    return np.array(spreads)


def fit_calibration(sample: CalibrationSample, *, misfit_power: float | None = None) -> Calibration:
    """Fit the factors and powers of the expected errors.

    Parameters
    ----------
    sample : CalibrationSample
        People held out for calibration.
    misfit_power : float, optional
        Known value, to keep it fixed: there is only one misfit per face, so a few dozen faces do
        not determine the power.

    Returns
    -------
    Calibration
        The maximum-likelihood powers for exponentially distributed errors, with the factor that
        makes the mean right; each landmark's own factor, shrunk towards the common one; the
        multiple of the expected error below which 90% of errors lie; and the largest spread that
        still counts as a face.
    """
    limit_mm = _largest_spread(sample)
    # Scans above the limit get no landmarks: a face found in the wrong place is at least 60 mm off.
    sample = _take_faces(sample, np.median(sample.spread_mm, axis=1) <= limit_mm)
    shown = sample.visible
    misfit_powers = MISFIT_POWERS if misfit_power is None else [misfit_power]
    best = min(product(POWERS, misfit_powers), key=lambda powers: _cost(sample, *powers))
    powered = np.where(shown, _powered(sample, *best), 0.0)
    errors = np.where(shown, sample.error_mm, 0.0)
    common = errors.sum() / powered.sum()
    n_seen = shown.sum(axis=0)
    own = errors.sum(axis=0) / np.maximum(powered.sum(axis=0), 1e-9)
    factor = (n_seen * own + SHRINKAGE * common) / (n_seen + SHRINKAGE)
    times_expected = (errors / np.maximum(factor * powered, 1e-9))[shown]
    ninety = float(np.percentile(times_expected, 90))
    return Calibration(factor, float(best[0]), MIN_VISIBILITY, ninety, float(best[1]), limit_mm)


def _largest_spread(sample: CalibrationSample) -> float:
    """Limit between the spreads of ordinary faces and of wrong poses; inf if they overlap."""
    usual_mm = np.percentile(np.median(sample.spread_mm, axis=1), 95)
    limit_mm = float(SPREAD_ROOM * usual_mm)
    if len(sample.astray_mm) >= MIN_ASTRAY:
        limit_mm = min(limit_mm, float(ASTRAY_SHARE * np.percentile(sample.astray_mm, 2)))
    if limit_mm < LEAST_ROOM * usual_mm:
        logger.warning(
            "calibration: the network is just as sure where there is no face; the relief will "
            "decide what is a face"
        )
        return math.inf
    return limit_mm


def _take_faces(sample: CalibrationSample, chosen: NDArray[np.bool_]) -> CalibrationSample:
    """Select the rows of some of the scans."""
    names = ("error_mm", "spread_mm", "visible", "misfit")
    return replace(sample, **{name: getattr(sample, name)[chosen] for name in names})


def _powered(sample: CalibrationSample, power: float, misfit_power: float) -> NDArray[np.float64]:
    """Expected errors before the factor is applied, (n_scans, n_landmarks)."""
    powered: NDArray[np.float64] = sample.spread_mm**power
    return powered * sample.misfit[:, None] ** misfit_power


def _cost(sample: CalibrationSample, power: float, misfit_power: float) -> float:
    """Mean negative log-likelihood of the errors for two powers."""
    powered = _powered(sample, power, misfit_power)[sample.visible]
    error = sample.error_mm[sample.visible]
    expected = powered * error.mean() / powered.mean()
    return float(np.mean(error / expected + np.log(expected)))
