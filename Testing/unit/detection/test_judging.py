# SPDX-License-Identifier: Apache-2.0
"""Who says whether a fitted guess of the pose is a face."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from cut_face import lay_cut_example
from palnet._stopwatch import Stopwatch
from palnet.calibration import Calibration
from palnet.detection import judging
from palnet.detection.fitting import FoundFace, fit_face, fit_face_by_landmarks
from palnet.detection.judging import SURE_ENOUGH, Judge, Verdict
from palnet.model import read_model


@pytest.fixture
def judge(monkeypatch):
    """The verdict on a face whose landmarks have such a spread; how often the network was asked."""
    asked = []

    def judge(spread_mm, *, limit_mm=1.5, coverage=0.9):
        prediction = SimpleNamespace(spread_mm=np.full(5, spread_mm))
        monkeypatch.setattr(judging, "predict_in_face", lambda *rest: asked.append(1) or prediction)
        monkeypatch.setattr(judging, "measure_broad_relief", lambda *rest: -0.5)
        fit = SimpleNamespace(coverage=coverage, residual_mm=0.4, mahalanobis=0.8)
        face = FoundFace(None, np.eye(4), None, None, fit)
        calibration = Calibration(np.ones(5), 1.0, 0.5, largest_spread_mm=limit_mm)
        model = SimpleNamespace(atlas=None, calibration=calibration)
        judge = Judge(model, Stopwatch(), is_unit_known=False)
        verdict = judge.verdict_on(face)
        return verdict.face.prediction is prediction, verdict.refusal, len(asked)

    return judge


def test_face_that_looks_like_none_is_accepted_where_the_network_is_sure(judge):
    assert judge(1.4) == (True, None, 1)


def test_face_is_refused_where_the_network_is_unsure(judge):
    kept, refusal, _ = judge(1.6)

    assert kept
    assert refusal.startswith("no face")


@pytest.mark.parametrize("given", [{"limit_mm": math.inf}, {"coverage": 0.3}])
def test_network_is_not_asked_where_it_cannot_say_or_too_little_is_there(given, judge):
    kept, refusal, asked = judge(0.1, **given)

    assert not kept
    assert "face" in refusal
    assert asked == 0


@pytest.mark.parametrize("is_asked", [True, False])
@pytest.mark.parametrize("refusal", [None, "too large"])
@pytest.mark.parametrize("uncertainty", [0.0, SURE_ENOUGH, SURE_ENOUGH + 0.01])
def test_only_a_network_that_was_asked_is_sure_of_a_face_that_is_refused(
    is_asked, refusal, uncertainty
):
    prediction = SimpleNamespace() if is_asked else None
    face = FoundFace(None, np.eye(4), None, None, None, prediction=prediction)
    is_low = uncertainty <= SURE_ENOUGH

    verdict = Verdict(face, refusal, uncertainty)

    assert verdict.is_sure == (refusal is None and is_low)
    assert verdict.is_sure_refusal == (refusal is not None and is_asked and is_low)


@pytest.mark.parametrize("fit", [fit_face, fit_face_by_landmarks])
def test_guess_beside_the_scan_is_refused(fit):
    surface, _, pose = lay_cut_example()
    beside = pose.copy()
    beside[:3, 3] += 1000.0

    verdict = Judge(read_model(), Stopwatch(), is_unit_known=True).fit_and_judge(
        fit, surface, beside
    )

    assert verdict.refusal.startswith("no usable face: only 0 %")
    assert not verdict.is_sure


def test_times_of_fit_and_network_are_taken():
    surface, _, pose = lay_cut_example()
    watch = Stopwatch()

    Judge(read_model(), watch, is_unit_known=True).fit_and_judge(fit_face, surface, pose)

    assert watch.seconds.keys() == {"fit", "network"}
