# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from palnet.errors import ScanRefusedError, TrainingError
from palnet.model import read_model
from palnet.network.landmarks import LandmarkPrediction
from palnet.surface import Mesh, parse_unit, prepare_surface
from palnet.synthesis.folder import fill_folder, read_generated_scan
from palnet.training import calibration as calibration_module
from palnet.training.calibration import (
    CalibrationSample,
    collect_sample,
    find_astray_spreads,
    fit_calibration,
)
from toy_head import toy_model, toy_scheme

N_LANDMARKS = len(toy_scheme())


def make_sample(seed, n_scans=400, n_landmarks=6, power=1.3, misfit_power=0.8):
    """Errors that are exponential about factor * spread ** power * misfit ** misfit_power."""
    rng = np.random.default_rng(seed)
    factor = np.linspace(0.6, 1.8, n_landmarks)
    spread = np.exp(rng.normal(0.2, 0.6, (n_scans, n_landmarks)))
    visible = rng.random((n_scans, n_landmarks)) < 0.9
    misfit = np.clip(np.exp(rng.normal(0.0, 0.4, n_scans)), 0.5, 3.0)
    error = rng.exponential(factor * spread**power * misfit[:, None] ** misfit_power)
    error[~visible] = 50.0
    return CalibrationSample(error, spread, visible, misfit), factor


def expect(calibration, sample):
    return calibration.expected_error_mm(sample.spread_mm, sample.misfit[:, None])


@pytest.mark.parametrize(("power", "misfit_power"), [(0.7, 0.0), (1.0, 0.6), (1.3, 1.4)])
def test_calibration_recovers_powers_and_factors(power, misfit_power):
    sample, factor = make_sample(1, n_scans=3000, power=power, misfit_power=misfit_power)

    calibration = fit_calibration(sample)

    np.testing.assert_allclose(calibration.power, power, atol=0.06)
    np.testing.assert_allclose(calibration.misfit_power, misfit_power, atol=0.16)
    np.testing.assert_allclose(calibration.factor, factor, rtol=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_expected_errors_are_right_on_average(seed):
    calibration = fit_calibration(make_sample(seed)[0])
    fresh, _ = make_sample(seed + 50, n_scans=2000)

    expected = expect(calibration, fresh)

    for low, high in ((0, 0.5), (0.5, 1)):
        bounds = np.quantile(expected, [low, high])
        some = fresh.visible & (expected >= bounds[0]) & (expected <= bounds[1])
        ratio = fresh.error_mm[some].mean() / expected[some].mean()
        assert 0.85 < ratio < 1.15


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.8), (1.25, 2.0), (1.6, 3.0)])
def test_expected_errors_are_right_where_the_atlas_fits_well_and_badly(low, high):
    calibration = fit_calibration(make_sample(8)[0])
    fresh, _ = make_sample(58, n_scans=2000)
    some = (fresh.misfit >= low) & (fresh.misfit <= high)

    ratio = fresh.error_mm / expect(calibration, fresh)

    assert 0.9 < ratio[some][fresh.visible[some]].mean() < 1.1


def test_known_power_of_misfits_is_taken_as_it_is():
    """And what is fitted beside it makes up for it as well as can be."""
    sample, _ = make_sample(9, n_scans=2000)

    calibration = fit_calibration(sample, misfit_power=0.3)

    assert calibration.misfit_power == 0.3
    ratio = sample.error_mm / expect(calibration, sample)
    assert ratio[sample.visible].mean() == pytest.approx(1, abs=0.05)


def test_nine_of_ten_errors_are_below_the_limit():
    calibration = fit_calibration(make_sample(7)[0])
    fresh, _ = make_sample(57, n_scans=2000)

    limit_mm = calibration.ninety * expect(calibration, fresh)

    held = (fresh.error_mm <= limit_mm)[fresh.visible].mean()
    assert held == pytest.approx(0.9, abs=0.02)
    assert calibration.ninety == pytest.approx(np.log(10), rel=0.08)  # of exponential errors


def test_hidden_landmarks_calibrate_nothing():
    sample, _ = make_sample(2)
    wild = sample.error_mm.copy()
    wild[~sample.visible] = 1e6

    one, other = (fit_calibration(replace(sample, error_mm=e)) for e in (sample.error_mm, wild))

    np.testing.assert_array_equal(one.factor, other.factor)
    assert one.power == other.power


def test_landmark_that_was_never_seen_gets_the_common_factor():
    sample, _ = make_sample(3)
    sample.visible[:, 2] = False

    calibration = fit_calibration(sample)

    others = np.delete(calibration.factor, 2)
    assert others.min() < calibration.factor[2] < others.max()


def test_limit_of_the_spread_leaves_room_beyond_what_nearly_all_people_have():
    sample, _ = make_sample(6)

    limit = fit_calibration(sample).largest_spread_mm

    usual = np.median(sample.spread_mm, axis=1)
    assert (usual < limit / 1.8 * 1.0001).mean() >= 0.95
    np.testing.assert_allclose(limit, 1.8 * np.percentile(usual, 95))


ROOMY, TIGHT = 3.0, 1.5  # how many times what usual faces have, where there is no face


@pytest.mark.parametrize(
    ("astray", "times_usual"),
    [
        ([ROOMY] * 100, 1.8),  # far above: the faces alone decide
        ([TIGHT] * 100, 0.9 * TIGHT),  # below what there is where there is none
        ([TIGHT] * 10, 1.8),  # too few tell nothing
        ([1.4] * 100, math.inf),  # no room between: not to be told by the spread
        ([0.01] * 8 + [ROOMY] * 392, 1.8),  # one in fifty may be surer than the limit
        ([TIGHT] * 13 + [ROOMY] * 377, 0.9 * TIGHT),  # one in thirty may not
    ],
)
def test_limit_of_the_spread_stays_below_what_there_is_where_there_is_no_face(astray, times_usual):
    sample, _ = make_sample(6)
    usual_mm = np.percentile(np.median(sample.spread_mm, axis=1), 95)

    calibration = fit_calibration(replace(sample, astray_mm=usual_mm * np.array(astray)))

    np.testing.assert_allclose(calibration.largest_spread_mm, times_usual * usual_mm)


def test_all_people_shape_the_expected_errors_where_the_spread_tells_no_face():
    sample, _ = make_sample(6)
    unsure = replace(sample, astray_mm=np.full(100, 0.01))

    np.testing.assert_allclose(fit_calibration(unsure).factor, fit_calibration(sample).factor)


# --- collecting ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def the_scans(tmp_path_factory):
    return fill_folder(toy_model(), [0, 1, 2], tmp_path_factory.mktemp("scans"))


def refuse(surface, *_args, **_more):
    msg = f"{surface.name}: no face"
    raise ScanRefusedError(msg)


@pytest.fixture
def faces_are_found(monkeypatch):
    """In every scan, with any landmarks."""
    ones = np.ones(N_LANDMARKS)
    any_landmarks = LandmarkPrediction(np.zeros((N_LANDMARKS, 3)), ones, ones)
    monkeypatch.setattr(calibration_module, "find_face_on", lambda s, _: Found(s))
    monkeypatch.setattr(calibration_module, "predict_in_face", lambda *_: any_landmarks)


@pytest.fixture
def no_pose_is_astray(monkeypatch):
    """The search from other rotations, which takes seconds for each scan, finds nothing."""
    monkeypatch.setattr(calibration_module, "find_poses", lambda *_, once_more: iter([[]]))


class Found:
    """A face in a scan that is its own face frame, 1.25 times enlarged."""

    scale = 1.25
    fit = SimpleNamespace(misfit=1.5)

    def __init__(self, surface):
        self.surface = surface
        self.face_from_scan = np.diag([self.scale, self.scale, self.scale, 1.0])
        plate = np.array([[-1.0, -1, 0], [1, -1, 0], [0, 1, 0]]) * 1e4
        mesh = Mesh(plate, np.array([[0, 1, 2]], dtype=np.int32))
        self.face = prepare_surface(mesh, parse_unit("mm"))


@pytest.mark.usefixtures("no_pose_is_astray")
def test_sample_is_the_error_of_the_projected_landmarks_in_face_millimetres(the_scans, monkeypatch):
    """The plate at z = 0 stands for the surface."""

    def predict(found, model):
        scan = next(
            s for s in map(read_generated_scan, the_scans) if found.surface.name == _name(s)
        )
        truth = scan.landmarks_mm * Found.scale
        return LandmarkPrediction(
            truth + np.array([3.0, 0, 77.0]), np.full(N_LANDMARKS, 2.0), np.full(N_LANDMARKS, 0.9)
        )

    def _name(scan):
        return str(scan.description["seed"])

    monkeypatch.setattr(calibration_module, "find_face_on", lambda s, _: Found(s))
    monkeypatch.setattr(calibration_module, "predict_in_face", predict)

    sample = collect_sample(read_model(), the_scans)

    depth = np.array([read_generated_scan(p).landmarks_mm[:, 2] for p in the_scans]) * Found.scale
    np.testing.assert_allclose(sample.error_mm, np.sqrt(9 + depth**2), rtol=1e-5)
    np.testing.assert_array_equal(sample.spread_mm, 2.0)
    expected = np.array([read_generated_scan(p).visible for p in the_scans])
    np.testing.assert_array_equal(sample.visible, expected)
    np.testing.assert_array_equal(sample.misfit, [1.5, 1.5, 1.5])


def test_faces_found_elsewhere_do_not_shape_the_expected_errors():
    """A wrong pose is 60 mm off and more; a mean over the errors would be of little else."""
    sample, _ = make_sample(8)
    wrong = range(4)
    error, spread = sample.error_mm.copy(), sample.spread_mm.copy()
    error[wrong], spread[wrong] = 80.0, 50.0 * spread.max()
    right = fit_calibration(replace(sample, error_mm=np.delete(sample.error_mm, wrong, axis=0),
                                    spread_mm=np.delete(sample.spread_mm, wrong, axis=0),
                                    visible=np.delete(sample.visible, wrong, axis=0),
                                    misfit=np.delete(sample.misfit, wrong)))  # fmt: skip

    fitted = fit_calibration(replace(sample, error_mm=error, spread_mm=spread))

    np.testing.assert_allclose(fitted.factor, right.factor)
    assert (fitted.power, fitted.misfit_power) == (right.power, right.misfit_power)
    assert fitted.ninety == pytest.approx(right.ninety)


@pytest.mark.parametrize(
    ("shift_mm", "coverage", "is_counted"),
    [(40.0, 0.7, True), (20.0, 0.7, False), (40, 0.5, False)],
)
def test_poses_beside_the_face_that_cover_enough_say_how_sure_the_network_is_there(
    shift_mm, coverage, is_counted, the_scans, monkeypatch
):
    """Each scan has one candidate, whose frame is moved from that of the scan."""
    pose = np.eye(4)
    pose[0, 3] = shift_mm
    truth = iter([read_generated_scan(path).landmarks_mm for path in the_scans])

    def fit(surface, guess, model):
        # Where the landmarks would lie if the scan were in the face frame: moved back, they do not.
        fit = SimpleNamespace(landmarks_mm=next(truth), coverage=coverage)
        return SimpleNamespace(face_from_scan=guess, fit=fit)

    candidates = [SimpleNamespace(face_from_scan=pose)]
    searches = []

    def find_poses(*_, once_more):
        searches.append(once_more)
        return iter([candidates])

    monkeypatch.setattr(calibration_module, "find_poses", find_poses)
    monkeypatch.setattr(calibration_module, "fit_face", fit)
    spreads = np.array([0.1, 0.1, 2.5, 9.0, 9.0])
    monkeypatch.setattr(
        calibration_module,
        "predict_in_face",
        lambda found, model: SimpleNamespace(spread_mm=spreads),
    )

    found = find_astray_spreads(read_model(), the_scans)

    assert found.tolist() == ([2.5] * len(the_scans) if is_counted else [])
    assert searches == [True] * len(the_scans)


def test_scan_that_is_refused_says_nothing_of_poses_astray(the_scans, monkeypatch):
    monkeypatch.setattr(calibration_module, "find_poses", refuse)

    assert find_astray_spreads(read_model(), the_scans).tolist() == []


@pytest.mark.usefixtures("faces_are_found")
def test_sample_holds_how_sure_the_network_is_astray_on_the_first_scans(the_scans, monkeypatch):
    looked_at = []

    def find_astray(model, scans):
        looked_at.extend(scans)
        return np.array([2.0, 3.0])

    monkeypatch.setattr(calibration_module, "N_ASTRAY_SCANS", 2)
    monkeypatch.setattr(calibration_module, "find_astray_spreads", find_astray)

    sample = collect_sample(read_model(), the_scans)

    assert sample.astray_mm.tolist() == [2.0, 3.0]
    assert looked_at == list(the_scans[:2])


@pytest.mark.usefixtures("faces_are_found", "no_pose_is_astray")
def test_refused_scans_are_left_out_and_logged(the_scans, monkeypatch, caplog):
    def find(surface, model):
        return refuse(surface) if surface.name == "1" else Found(surface)

    monkeypatch.setattr(calibration_module, "find_face_on", find)

    with caplog.at_level(logging.INFO):
        sample = collect_sample(read_model(), the_scans)

    assert sample.error_mm.shape == (2, N_LANDMARKS)
    assert "1: no face" in caplog.text
    assert "1 of 3 scans refused" in caplog.text


def test_faces_that_the_model_is_unsure_of_count_as_well(the_scans, monkeypatch):
    """Their spread is what the new limit is fitted to. A sample of none at all is an error."""
    limits = []

    def find(surface, model):
        limits.append(model.calibration.largest_spread_mm)
        refuse(surface)

    monkeypatch.setattr(calibration_module, "find_face_on", find)
    assert np.isfinite(read_model().calibration.largest_spread_mm)

    with pytest.raises(TrainingError, match=r"every scan .* was refused"):
        collect_sample(read_model(), the_scans)

    assert limits == [np.inf] * 3
