# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from palnet import refinement
from palnet.network.landmarks import LandmarkPrediction
from palnet.refinement import GUIDED_COUNTS, predict_from_atlas

STARTS_MM = np.array([[0.0, 0, 0], [40, 0, 0]])
FIRST_MM, GUIDED_MM, AGAIN_MM = STARTS_MM + 1.0, STARTS_MM + 2.0, STARTS_MM + 5.0
FIRST_SPREAD_MM, AGAIN_SPREAD_MM = 2.0, 1.0
WEIGHTS, FINE, COARSE, MIRROR = object(), object(), object(), object()


def say(positions_mm, spread_mm):
    return LandmarkPrediction(positions_mm, np.full(2, spread_mm), np.ones(2))


@pytest.fixture
def calls(monkeypatch):
    """What each stage was given, by name; each says a place of its own."""
    calls = {}

    def stage(name, answer):
        def call(*given):
            calls[name] = given
            return answer

        monkeypatch.setattr(refinement, name, call)

    stage("refine_landmarks", say(FIRST_MM, FIRST_SPREAD_MM))
    stage("guide_fit", GUIDED_MM)
    stage("gather_patches", "the patches")
    stage("predict_landmarks", say(AGAIN_MM, AGAIN_SPREAD_MM))
    return calls


def test_second_prediction_starts_where_the_guided_atlas_puts_the_landmarks(calls):
    shape = np.array([0.5, -1.0])
    atlas = SimpleNamespace(shape_landmarks=lambda weights: STARTS_MM if weights is shape else None)

    predict_from_atlas(WEIGHTS, atlas, shape, FINE, COARSE, MIRROR)

    assert calls["refine_landmarks"] == (WEIGHTS, FINE, COARSE, STARTS_MM, MIRROR)
    assert calls["guide_fit"][:3] == (atlas, COARSE, shape)
    np.testing.assert_array_equal(calls["guide_fit"][3], FIRST_MM)
    np.testing.assert_array_equal(calls["guide_fit"][4], FIRST_SPREAD_MM)
    assert calls["gather_patches"] == (FINE, COARSE, GUIDED_MM)
    assert calls["predict_landmarks"] == (WEIGHTS, "the patches", MIRROR)


def test_surer_prediction_and_the_guided_one_count_more(calls):
    atlas = SimpleNamespace(shape_landmarks=lambda _weights: STARTS_MM)

    found = predict_from_atlas(WEIGHTS, atlas, np.zeros(2), FINE, COARSE, MIRROR)

    again = GUIDED_COUNTS * (FIRST_SPREAD_MM / AGAIN_SPREAD_MM) ** 2
    np.testing.assert_allclose(found.positions_mm, (FIRST_MM + again * AGAIN_MM) / (1 + again))
