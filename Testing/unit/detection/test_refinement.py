# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from palnet.detection import refinement
from palnet.detection.refinement import (
    FAR_MM,
    GUIDED_COUNTS,
    MOST_PASSES,
    predict_from_atlas,
    refine_landmarks,
)
from palnet.network.landmarks import LandmarkPrediction
from palnet.network.patches import FaceClouds

STARTS_MM = np.array([[0.0, 0, 0], [40, 0, 0]])
FIRST_MM, GUIDED_MM, AGAIN_MM = STARTS_MM + 1.0, STARTS_MM + 2.0, STARTS_MM + 5.0
FIRST_SPREAD_MM, AGAIN_SPREAD_MM = 2.0, 1.0
CLOUDS = FaceClouds(object(), object())


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
    return calls


class Again:
    """A network that always says the same, of the patches."""

    def predict(self, patches):
        assert patches == "the patches"
        return say(AGAIN_MM, AGAIN_SPREAD_MM)


def test_second_prediction_starts_where_the_guided_atlas_puts_the_landmarks(calls):
    shape, predictor = np.array([0.5, -1.0]), Again()
    atlas = SimpleNamespace(shape_landmarks=lambda weights: STARTS_MM if weights is shape else None)

    predict_from_atlas(predictor, atlas, shape, CLOUDS)

    assert calls["refine_landmarks"] == (predictor, CLOUDS, STARTS_MM)
    assert calls["guide_fit"][:3] == (atlas, CLOUDS.coarse, shape)
    guide = calls["guide_fit"][3]
    np.testing.assert_array_equal(guide.landmarks_mm, FIRST_MM)
    np.testing.assert_array_equal(guide.spread_mm, FIRST_SPREAD_MM)
    assert calls["gather_patches"] == (CLOUDS, GUIDED_MM)


def test_surer_prediction_and_the_guided_one_count_more(calls):
    atlas = SimpleNamespace(shape_landmarks=lambda _weights: STARTS_MM)

    found = predict_from_atlas(Again(), atlas, np.zeros(2), CLOUDS)

    again = GUIDED_COUNTS * (FIRST_SPREAD_MM / AGAIN_SPREAD_MM) ** 2
    np.testing.assert_allclose(found.positions_mm, (FIRST_MM + again * AGAIN_MM) / (1 + again))


TRUTH_MM = np.array([[0.0, 0, 0], [40, 0, 0], [0, 40, 0], [0, 0, 40]])


@pytest.fixture
def passes(monkeypatch):
    """A network that goes a share of the way to the truth; its spread is the number of the pass."""
    seen = []

    def predict(patches):
        seen.append(patches.centres_mm.copy())
        moved = patches.centres_mm + passes.share * (TRUTH_MM - patches.centres_mm)
        number = np.full(len(TRUTH_MM), float(len(seen)))
        return LandmarkPrediction(moved, number, np.ones(len(TRUTH_MM)))

    def refine(away_mm):
        starts = TRUTH_MM + np.array([[d, 0.0, 0.0] for d in away_mm])
        return refine_landmarks(passes, CLOUDS, starts)

    passes = SimpleNamespace(seen=seen, share=0.8, predict=predict, refine=refine)
    monkeypatch.setattr(
        refinement, "gather_patches", lambda _, centres: SimpleNamespace(centres_mm=centres)
    )
    return passes


def test_landmarks_that_stay_near_get_one_pass(passes):
    refined = passes.refine([0.5, 1.0, 2.4, 0.0])

    assert len(passes.seen) == 1
    np.testing.assert_array_equal(refined.spread_mm, 1)


def test_only_the_landmark_that_moved_far_is_placed_again(passes):
    refined = passes.refine([0.5, 6.0, 0.5, 0.5])

    assert len(passes.seen) == 2
    np.testing.assert_array_equal(refined.spread_mm, [1, 2, 1, 1])
    np.testing.assert_allclose(refined.positions_mm[1], TRUTH_MM[1] + [0.2 * 0.2 * 6, 0, 0])
    np.testing.assert_allclose(refined.positions_mm[0], TRUTH_MM[0] + [0.2 * 0.5, 0, 0])


def test_passes_begin_where_the_last_one_ended(passes):
    passes.refine([0.5, 20.0, 0.5, 0.5])

    np.testing.assert_allclose([c[1, 0] for c in passes.seen], 40 + 20 * 0.2 ** np.arange(3))
    np.testing.assert_allclose([c[0, 0] for c in passes.seen], [0.5, 0.1, 0.1])


def test_passes_end(passes):
    """A landmark that never comes to rest keeps what the last pass says."""
    passes.share = 1.35  # beyond the truth, again and again

    refined = passes.refine([40.0, 0.0, 0.0, 0.0])

    assert len(passes.seen) == MOST_PASSES
    np.testing.assert_allclose(refined.positions_mm[0, 0], 40 * (-0.35) ** MOST_PASSES)


@pytest.mark.parametrize("share", [0.1, 0.29, 2.0])
def test_landmark_that_drifts_stays_where_the_last_pass_that_led_somewhere_left_it(passes, share):
    """A pass that moves as far as the one before it leads nowhere."""
    passes.share = share

    refined = passes.refine([30.0, 0.0, 0.0, 0.0])

    assert len(passes.seen) == 2
    np.testing.assert_allclose(refined.positions_mm[0, 0], 30 * (1 - share))
    assert refined.spread_mm[0] == 1


def test_landmark_that_comes_nearer_slowly_gets_all_passes(passes):
    passes.share = 0.31

    refined = passes.refine([30.0, 0.0, 0.0, 0.0])

    assert len(passes.seen) == MOST_PASSES
    np.testing.assert_allclose(refined.positions_mm[0, 0], 30 * 0.69**MOST_PASSES)


@pytest.mark.parametrize(("step_mm", "n_passes"), [(FAR_MM - 0.01, 1), (FAR_MM + 0.01, 2)])
def test_far_is_measured_by_the_step(passes, step_mm, n_passes):
    passes.refine([step_mm / passes.share, 0.0, 0.0, 0.0])

    assert len(passes.seen) == n_passes


# --- the mean of two predictions ------------------------------------------------------------------


def said(x_mm, spread_mm, visibility=0.9):
    """Landmarks on a line, one for each number."""
    x_mm = np.atleast_1d(np.asarray(x_mm, dtype=float))
    positions = np.stack([x_mm, 7 + 0 * x_mm, 0 * x_mm], axis=1)
    return LandmarkPrediction(
        positions, np.full(len(x_mm), spread_mm), np.full(len(x_mm), visibility)
    )


def test_mean_of_two_predictions_is_the_likeliest_place_of_two_measurements():
    """Of two with standard deviations 1 and 2 the second counts a fourth as much."""
    mean = said([0.0, 4.0], 1.0).averaged_with(said([5.0, 4.0], 2.0), 1)

    np.testing.assert_allclose(mean.positions_mm, [[1, 7, 0], [4, 7, 0]])


def test_prediction_that_counts_twice_is_as_two_that_say_the_same():
    """Three measurements of one place: their weighted mean, and how they scatter about it."""
    mean = said(0.0, 1.0).averaged_with(said(6.0, 2.0, visibility=0.3), 2)

    places, weights = np.array([0, 6, 6]), np.array([1, 1 / 4, 1 / 4])
    middle = np.average(places, weights=weights)
    np.testing.assert_allclose(mean.positions_mm, [[middle, 7, 0]])
    scatter = np.average((places - middle) ** 2, weights=weights)
    np.testing.assert_allclose(mean.spread_mm, np.sqrt(1 / weights.mean() + scatter))
    np.testing.assert_allclose(mean.visibility, np.mean([0.9, 0.3, 0.3]))


def test_mean_of_a_prediction_with_itself_is_itself():
    one = said([1.0, -3.0], 0.8)

    mean = one.averaged_with(one, 2)

    np.testing.assert_allclose(mean.positions_mm, one.positions_mm)
    np.testing.assert_allclose(mean.spread_mm, 0.8)
    np.testing.assert_allclose(mean.visibility, 0.9)


def test_mean_does_not_depend_on_who_is_first_where_both_count_the_same():
    first, second = said([0.0, 3.0], 0.7, 0.2), said([1.0, -2.0], 1.9, 0.6)

    one, other = first.averaged_with(second, 1), second.averaged_with(first, 1)

    np.testing.assert_allclose(one.positions_mm, other.positions_mm)
    np.testing.assert_allclose(one.spread_mm, other.spread_mm)
    np.testing.assert_allclose(one.visibility, 0.4)
