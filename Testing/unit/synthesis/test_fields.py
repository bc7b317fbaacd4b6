# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from palnet.synthesis.fields import bump, random_unit_vectors, smooth_step, wave_field


def test_unit_vectors_have_length_one_and_no_direction():
    vectors = random_unit_vectors(np.random.default_rng(1), 20_000)

    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    # The mean of n directions has a spread of 1 / sqrt(3 n) = 0.004 along each axis.
    assert np.abs(vectors.mean(axis=0)).max() < 0.02
    np.testing.assert_allclose(vectors.T @ vectors / len(vectors), np.eye(3) / 3, atol=0.02)


def test_wave_field_has_unit_variance():
    points = np.random.default_rng(2).uniform(-500, 500, (4000, 3))

    fields = [wave_field(np.random.default_rng(seed), points, (5, 30)) for seed in range(20)]

    np.testing.assert_allclose(np.var(fields), 1, atol=0.05)


def test_wave_field_is_smooth_over_its_shortest_wavelength():
    points = np.random.default_rng(3).uniform(-100, 100, (2000, 3))
    step_mm = 0.5

    fields = [
        wave_field(np.random.default_rng(4), points + shift, (20, 60))
        for shift in ([0.0, 0, 0], [step_mm, 0, 0])
    ]

    # 14 waves of amplitude sqrt(2 / 14), each no steeper than 2 pi / 20 mm.
    steepest = np.abs(fields[1] - fields[0]).max() / step_mm
    assert 0 < steepest < 14 * np.sqrt(2 / 14) * 2 * np.pi / 20


def test_wave_field_follows_its_seed():
    points = np.random.default_rng(5).normal(0, 50, (50, 3))

    first, again, other = (
        wave_field(np.random.default_rng(seed), points, (5, 30)) for seed in (6, 6, 7)
    )

    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_bump_is_a_gaussian_of_height_one():
    points = np.array([[1.0, 2, 3], [1, 2, 13], [1, 2, 103]])

    height = bump(points, np.array([1.0, 2, 3]), 10.0)

    np.testing.assert_allclose(height, [1, np.exp(-0.5), np.exp(-50)], atol=1e-7)


def test_smooth_step_rises_from_zero_to_one_over_four_widths():
    values = np.array([-1e9, -4.0, 0, 4.0, 1e9])

    step = smooth_step(values, 2.0)

    np.testing.assert_allclose(step, [0, 1 / (1 + np.e**2), 0.5, 1 / (1 + np.e**-2), 1], atol=1e-6)
    assert (np.diff(step) > 0).all()
