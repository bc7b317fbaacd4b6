# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet.synthesis.widening import PEOPLE, REGION_MM, SIZES, draw_regions, make_infantile
from toy_head import toy_model

N_DRAWN = 40


@pytest.fixture(scope="module")
def many_regions():
    template = toy_model().neutral_mm
    return [draw_regions(template, np.random.default_rng(seed)) for seed in range(N_DRAWN)]


@pytest.fixture(scope="module")
def many_infants():
    template = toy_model().neutral_mm
    return [make_infantile(template, template, np.random.default_rng(s)) for s in range(N_DRAWN)]


def test_shares_of_the_regions_sum_to_one_everywhere(many_regions):
    for shares in many_regions:
        assert (shares >= 0).all()
        np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)


def test_as_many_people_as_said_are_drawn_each_somewhere_the_most(many_regions):
    assert {len(shares) for shares in many_regions} == set(range(PEOPLE[0], PEOPLE[1] + 1))
    alone = [np.bincount(shares.argmax(axis=0), minlength=len(shares)) for shares in many_regions]
    # A narrow region may lie within a broad one that has more of it everywhere, rarely.
    assert np.mean([(counts > 0).all() for counts in alone]) > 0.8


def test_regions_change_smoothly_from_place_to_place(many_regions):
    model = toy_model()
    ends = model.triangles[:, :2]
    lengths_mm = np.linalg.norm(np.diff(model.neutral_mm[ends], axis=1)[:, 0], axis=1)
    # Of two people of the narrowest width, as far apart as a face is wide: distance / (4 width^2).
    steepest = 120 / (4 * REGION_MM[0] ** 2)

    for shares in many_regions:
        steps = np.abs(np.diff(shares[:, ends], axis=2)[..., 0])

        assert (steps <= steepest * lengths_mm + 1e-6).all()


def test_infants_are_small_and_of_the_size_that_is_said(many_infants):
    template = toy_model().neutral_mm

    for points, size, amount in many_infants:
        assert SIZES[0] <= size <= SIZES[1]
        assert 0.3 <= amount <= 1
        # The cranium keeps the proportions of the source, but for its axes and width.
        back = (template[:, 2] < -40) & (template[:, 1] > 34)
        assert np.ptp(points[back, 1]) == pytest.approx(size * np.ptp(template[back, 1]), rel=0.12)


def test_infants_have_short_flat_faces(many_infants):
    template = toy_model().neutral_mm

    def proportions(points):
        """Height of the face below the eyes, and how far it stands out, for its width."""
        face = template[:, 2] > 60
        below = points[face & (template[:, 1] < 34)]
        width = np.ptp(points[np.abs(template[:, 1] - 34) < 20, 0])
        return np.array([np.ptp(below[:, 1]), np.ptp(below[:, 2])]) / width

    usual = proportions(template)
    drawn = np.array([proportions(points) for points, _, _ in many_infants])
    amounts = np.array([amount for _, _, amount in many_infants])

    assert (drawn.mean(axis=0) < 0.95 * usual).all()
    for column in drawn.T:
        assert np.corrcoef(amounts, column)[0, 1] < -0.3


def test_infants_are_as_symmetrical_as_the_template():
    model = toy_model()
    template = model.neutral_mm
    mirrored = template * np.array([-1, 1, 1], dtype=np.float32)
    partner = np.linalg.norm(template[:, None] - mirrored[None], axis=2).argmin(axis=1)
    paired = np.linalg.norm(template - mirrored[partner], axis=1) < 1e-3
    points, _, _ = make_infantile(template, template, np.random.default_rng(2))

    across = points * np.array([-1, 1, 1], dtype=np.float32)

    assert paired.mean() > 0.9
    np.testing.assert_allclose(points[paired], across[partner][paired], atol=1e-2)


def test_drawing_leaves_its_input_as_it_was():
    template = toy_model().neutral_mm
    before = template.copy()

    draw_regions(template, np.random.default_rng(1))
    make_infantile(template, template, np.random.default_rng(1))

    np.testing.assert_array_equal(template, before)
