# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet.synthesis import draw_person
from toy_head import toy_model

N_PEOPLE = 60


@pytest.fixture(scope="module")
def many_people():
    return [draw_person(toy_model(), np.random.default_rng(seed)) for seed in range(N_PEOPLE)]


def test_same_seed_gives_the_same_person():
    first, again = (draw_person(toy_model(), np.random.default_rng(3)) for _ in range(2))

    np.testing.assert_array_equal(first.points_mm, again.points_mm)
    np.testing.assert_array_equal(first.landmarks_mm, again.landmarks_mm)
    assert first.description == again.description


def test_people_of_different_seeds_differ(many_people):
    shapes = np.array([person.landmarks_mm for person in many_people])

    apart = np.linalg.norm(shapes[:, None] - shapes[None], axis=3).mean(axis=2)

    assert apart[~np.eye(N_PEOPLE, dtype=bool)].min() > 0.5


def test_landmarks_are_points_of_the_head(many_people):
    model = toy_model()

    for person in many_people:
        np.testing.assert_array_equal(person.landmarks_mm, person.points_mm[model.landmark_points])


def test_heads_are_finite_and_of_human_size(many_people):
    height_mm = [np.ptp(person.points_mm[:, 1]) for person in many_people]

    assert np.isfinite([person.points_mm for person in many_people]).all()
    # The toy is 224 mm tall; the smallest child drawn is 0.7 of that, the largest adult 1.3.
    assert min(height_mm) > 0.6 * 224
    assert max(height_mm) < 1.45 * 224


def test_children_are_smaller_than_adults(many_people):
    size = np.array([np.ptp(person.points_mm[:, 0]) for person in many_people])
    childlike = np.array([person.description["childlike"] for person in many_people])

    assert 0 < np.count_nonzero(childlike) < N_PEOPLE
    assert size[childlike > 0.5].mean() < 0.95 * size[childlike == 0].mean()


def test_gaze_and_pupils_are_left_alone(many_people):
    names = {name for person in many_people for name in person.description["expressions"]}

    assert "jawOpen" in names
    assert not any(name.startswith(("eyeLook", "Pupil")) for name in names)


def test_mouth_is_open_where_the_jaw_is(many_people):
    for person in many_people:
        jaw = person.description["expressions"].get("jawOpen", 0.0)

        assert person.mouth_open == (jaw > 0.1)
    assert 0 < sum(person.mouth_open for person in many_people) < N_PEOPLE


def test_surface_and_landmarks_move_smoothly(many_people):
    """Neighbours stay neighbours: no bump tears the surface."""
    model = toy_model()
    ends = model.fine_triangles[:, :2]
    before = np.linalg.norm(np.diff(model.fine_template_mm[ends], axis=1)[:, 0], axis=1)

    for person in many_people:
        after = np.linalg.norm(np.diff(person.points_mm[ends], axis=1)[:, 0], axis=1)

        # An open jaw stretches the toy's mouth by 2.3 mm an edge; all else is below 2.
        assert (after - 1.6 * before).max() < 4.0


def test_drawing_leaves_the_model_as_it_was():
    model = toy_model()
    before = model.neutral_mm.copy(), model.identity_mm.copy(), model.expression_mm.copy()

    draw_person(model, np.random.default_rng(1))

    for array, kept in zip(
        (model.neutral_mm, model.identity_mm, model.expression_mm), before, strict=True
    ):
        np.testing.assert_array_equal(array, kept)
