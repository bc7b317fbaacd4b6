# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from palnet.similarity import (
    apply_similarity,
    compose_similarity,
    fit_similarity,
    invert_similarity,
    rotate_directions,
    rotation_angle_deg,
    similarity_scale,
)

# Points of about 100 mm in double precision; measured 2e-11.
ATOL_MM = 1e-9

seeds = st.integers(0, 2**32 - 1)


def random_similarity(rng):
    rotation = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    return compose_similarity(np.exp(rng.normal(0, 1)), rotation, rng.normal(0, 200, 3))


def random_points(rng, n_points):
    return rng.normal(0, 60, (n_points, 3)) + rng.normal(0, 100, 3)


@given(seeds, st.integers(3, 20))
def test_fit_recovers_a_known_similarity(seed, n_points):
    rng = np.random.default_rng(seed)
    source, truth = random_points(rng, n_points), random_similarity(rng)

    fitted = fit_similarity(source, apply_similarity(truth, source))

    np.testing.assert_allclose(fitted, truth, rtol=1e-6, atol=1e-6)


@given(seeds)
def test_fit_without_scale_recovers_a_rigid_motion(seed):
    rng = np.random.default_rng(seed)
    source, truth = random_points(rng, 7), random_similarity(rng)
    truth[:3, :3] /= similarity_scale(truth)

    fitted = fit_similarity(source, apply_similarity(truth, source), with_scale=False)

    np.testing.assert_allclose(fitted, truth, atol=1e-6)


@given(seeds)
def test_fit_ignores_points_of_weight_zero(seed):
    rng = np.random.default_rng(seed)
    source, truth = random_points(rng, 9), random_similarity(rng)
    target = apply_similarity(truth, source)
    target[:3] += rng.normal(0, 500, (3, 3))
    weights = np.r_[np.zeros(3), rng.uniform(0.5, 2, 6)]

    fitted = fit_similarity(source, target, weights)

    np.testing.assert_allclose(fitted, truth, rtol=1e-6, atol=1e-6)


@given(seeds)
def test_fit_is_the_least_squares_optimum(seed):
    rng = np.random.default_rng(seed)
    source = random_points(rng, 12)
    target = apply_similarity(random_similarity(rng), source) + rng.normal(0, 5, source.shape)
    fitted = fit_similarity(source, target)
    best = _squared_error(fitted, source, target)

    for _ in range(5):
        turn = Rotation.from_rotvec(rng.normal(0, 0.01, 3)).as_matrix()
        nudge = compose_similarity(np.exp(rng.normal(0, 0.01)), turn, rng.normal(0, 0.5, 3))

        assert _squared_error(nudge @ fitted, source, target) >= best


def _squared_error(matrix, source, target):
    return float(((apply_similarity(matrix, source) - target) ** 2).sum())


@given(seeds)
def test_fit_of_mirrored_points_never_reflects(seed):
    rng = np.random.default_rng(seed)
    source = random_points(rng, 8)

    fitted = fit_similarity(source, source * [-1, 1, 1])

    rotation = fitted[:3, :3] / similarity_scale(fitted)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) > 0
    # The best of all scales, too, though no rotation fits well.
    target = source * [-1, 1, 1]
    middle = target.mean(axis=0)
    for factor in (0.98, 1.02):
        other = compose_similarity(factor, np.eye(3), middle - factor * middle) @ fitted
        assert _squared_error(other, source, target) > _squared_error(fitted, source, target)


@given(seeds)
def test_fit_of_flat_points_is_a_proper_rotation(seed):
    rng = np.random.default_rng(seed)
    source, truth = random_points(rng, 6) * [1, 1, 0], random_similarity(rng)

    fitted = fit_similarity(source, apply_similarity(truth, source))

    np.testing.assert_allclose(fitted, truth, rtol=1e-6, atol=1e-6)


def test_convention_matrix_acts_on_column_vectors_from_the_left():
    quarter_turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    matrix = compose_similarity(2.0, quarter_turn, np.array([10.0, 0, 0]))

    moved = apply_similarity(matrix, np.array([[1.0, 0, 0]]))

    np.testing.assert_allclose(moved[0], (matrix @ [1, 0, 0, 1])[:3], atol=ATOL_MM)
    np.testing.assert_allclose(moved[0], [10, 2, 0], atol=ATOL_MM)


def test_convention_directions_keep_their_length():
    rng = np.random.default_rng(1)
    matrix, directions = random_similarity(rng), random_points(rng, 5)

    turned = rotate_directions(matrix, directions)

    np.testing.assert_allclose(
        np.linalg.norm(turned, axis=1), np.linalg.norm(directions, axis=1), rtol=1e-12
    )


@given(seeds)
def test_convention_directions_turn_with_the_points(seed):
    rng = np.random.default_rng(seed)
    matrix, (start, stop) = random_similarity(rng), random_points(rng, 2)

    turned = rotate_directions(matrix, stop - start) * similarity_scale(matrix)

    moved = apply_similarity(matrix, stop) - apply_similarity(matrix, start)
    np.testing.assert_allclose(turned, moved, rtol=1e-9, atol=1e-8)


@given(seeds)
def test_invert_undoes(seed):
    rng = np.random.default_rng(seed)
    matrix, points = random_similarity(rng), random_points(rng, 5)

    back = apply_similarity(invert_similarity(matrix), apply_similarity(matrix, points))

    np.testing.assert_allclose(back, points, atol=ATOL_MM)


@given(seeds)
def test_product_of_matrices_applies_the_right_one_first(seed):
    rng = np.random.default_rng(seed)
    first, second, points = random_similarity(rng), random_similarity(rng), random_points(rng, 5)

    at_once = apply_similarity(second @ first, points)

    one_by_one = apply_similarity(second, apply_similarity(first, points))
    np.testing.assert_allclose(at_once, one_by_one, rtol=1e-9, atol=1e-7)


def test_apply_takes_points_in_any_number_of_axes():
    rng = np.random.default_rng(2)
    matrix, points = random_similarity(rng), rng.normal(size=(4, 5, 3))

    moved = apply_similarity(matrix, points)

    np.testing.assert_allclose(
        moved.reshape(-1, 3), apply_similarity(matrix, points.reshape(-1, 3)), atol=ATOL_MM
    )


@given(seeds, st.floats(0.1, 179.9))
def test_rotation_angle_is_the_angle_that_was_turned(seed, angle_deg):
    rng = np.random.default_rng(seed)
    matrix = random_similarity(rng)
    axis = rng.normal(size=3)
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.radians(angle_deg)).as_matrix()
    turned = compose_similarity(1.7, turn, rng.normal(size=3)) @ matrix

    measured = rotation_angle_deg(matrix, turned)

    np.testing.assert_allclose(measured, angle_deg, atol=1e-5)


def test_scale_is_the_factor_of_lengths():
    matrix = random_similarity(np.random.default_rng(3))
    ends = np.array([[0.0, 0, 0], [0, 7.0, 0]])

    start, stop = apply_similarity(matrix, ends)

    np.testing.assert_allclose(similarity_scale(matrix) * 7, np.linalg.norm(stop - start))
