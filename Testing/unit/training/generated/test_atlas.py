# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from palnet.synthesis import draw_person
from palnet.training.generated.atlas import build_atlas
from toy_head import toy_model, toy_scheme

N_PEOPLE, SEED = 9, 4


@pytest.fixture(scope="module")
def a_full_atlas():
    """As many modes as its people can have."""
    return build_atlas(
        [toy_model()], n_people=N_PEOPLE, n_modes=N_PEOPLE - 1, n_points=150, seed=SEED
    )


@pytest.fixture(scope="module")
def the_explanations(a_full_atlas):
    """Weights and misfit in mm of the atlas's landmarks for each person that it was built from."""
    found = []
    for i in range(N_PEOPLE):
        person = draw_person(toy_model(), np.random.default_rng([SEED, i]))

        def misfit(unknowns, landmarks=person.landmarks_mm):
            turn = Rotation.from_rotvec(unknowns[:3]).as_matrix()
            moved = np.exp(unknowns[6]) * landmarks @ turn.T + 100 * unknowns[3:6]
            return (moved - a_full_atlas.shape_landmarks(unknowns[7:])).ravel()

        # The atlas is in single precision: smaller steps than those of 3-point drown in it.
        start = np.zeros(7 + a_full_atlas.n_modes)
        solution = least_squares(misfit, start, "3-point", xtol=1e-12)
        apart = misfit(solution.x).reshape(-1, 3)
        found.append((solution.x[7:], np.linalg.norm(apart, axis=1).max()))
    return found


def test_components_reproduce_the_people_they_were_made_from(the_explanations):
    # Single precision of 100 mm through the decomposition: measured 0.001 mm.
    assert max(misfit_mm for _, misfit_mm in the_explanations) < 0.01


def test_modes_are_one_standard_deviation_long(the_explanations):
    weights = np.array([weights for weights, _ in the_explanations])

    np.testing.assert_allclose(weights.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(np.cov(weights.T), np.eye(N_PEOPLE - 1), atol=0.02)


def test_modes_are_orthogonal_and_sorted(a_full_atlas):
    both = np.concatenate([a_full_atlas.modes_mm, a_full_atlas.landmark_modes_mm], axis=1)
    flat = both.reshape(len(both), -1).astype(float)
    lengths = np.linalg.norm(flat, axis=1)

    assert (np.diff(lengths) < 0).all()
    cosines = flat @ flat.T / np.outer(lengths, lengths)
    np.testing.assert_allclose(cosines, np.eye(len(both)), atol=1e-3)


def test_same_seed_gives_the_same_atlas(a_full_atlas):
    again = build_atlas(
        [toy_model()], n_people=N_PEOPLE, n_modes=N_PEOPLE - 1, n_points=150, seed=SEED
    )

    np.testing.assert_array_equal(again.mean_mm, a_full_atlas.mean_mm)
    np.testing.assert_array_equal(again.modes_mm, a_full_atlas.modes_mm)


def test_atlas_keeps_the_size_and_place_of_the_template(a_full_atlas):
    template = toy_model().fine_template_mm[toy_model().landmark_points]

    apart = a_full_atlas.landmark_mean_mm - template
    # Nine people, a third of them children, differ on average by some millimetres from the mean.
    assert np.linalg.norm(apart, axis=1).mean() < 15
    left = [i for i, m in enumerate(toy_scheme().landmarks) if m.side == "left"]
    assert (a_full_atlas.landmark_mean_mm[left, 0] > 0).all()


def test_no_point_lies_on_eyeballs_or_in_the_mouth(a_full_atlas):
    model = toy_model()
    inner = model.neutral_mm[model.is_mouth | model.is_eyeball].mean(axis=0)

    assert a_full_atlas.mean_mm.shape == (150, 3)
    depth = a_full_atlas.mean_mm[a_full_atlas.core][:, 2]
    assert depth.min() > 40 > inner[2] - 40


def test_more_modes_than_people_are_cut():
    atlas = build_atlas([toy_model()], n_people=5, n_modes=50, n_points=60, seed=1)

    assert atlas.n_modes == 4
