# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from palnet import refinement
from palnet.network.landmarks import LandmarkPrediction
from palnet.refinement import predict_from_atlas

STARTS_MM = np.array([[0.0, 0, 0], [40, 0, 0]])
FIRST_MM, GUIDED_MM, AGAIN_MM = STARTS_MM + 1.0, STARTS_MM + 2.0, STARTS_MM + 5.0


@pytest.fixture
def calls(monkeypatch):
    """What the stages were given; each says a place of its own."""
    calls = SimpleNamespace()

    def say(positions_mm, spread_mm):
        return LandmarkPrediction(positions_mm, np.full(2, spread_mm), np.ones(2))

    def refine(_weights, _fine, _coarse, starts_mm, _mirror):
        calls.starts_mm = starts_mm
        return say(FIRST_MM, 1.0)

    def guide(_atlas, _coarse, shape, landmarks_mm, spread_mm):
        calls.guide = (shape, landmarks_mm, spread_mm)
        return GUIDED_MM

    def predict(_weights, patches, _mirror):
        calls.again_mm = patches.centres_mm
        return say(AGAIN_MM, 1.0)

    monkeypatch.setattr(refinement, "refine_landmarks", refine)
    monkeypatch.setattr(refinement, "guide_fit", guide)
    monkeypatch.setattr(refinement, "predict_landmarks", predict)
    monkeypatch.setattr(
        refinement,
        "gather_patches",
        lambda _fine, _coarse, centres: SimpleNamespace(centres_mm=centres),
    )
    return calls


def test_second_prediction_starts_where_the_guided_atlas_puts_the_landmarks(calls):
    shape = np.array([0.5, -1.0])
    atlas = SimpleNamespace(shape_landmarks=lambda weights: STARTS_MM * (weights is shape))

    found = predict_from_atlas({}, atlas, shape, None, None, np.arange(2))

    np.testing.assert_array_equal(calls.starts_mm, STARTS_MM)
    assert calls.guide[0] is shape
    np.testing.assert_array_equal(calls.guide[1], FIRST_MM)
    np.testing.assert_array_equal(calls.guide[2], 1.0)
    np.testing.assert_array_equal(calls.again_mm, GUIDED_MM)
    np.testing.assert_allclose(found.positions_mm, (FIRST_MM + AGAIN_MM) / 2)
