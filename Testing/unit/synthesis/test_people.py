# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet.synthesis import draw_person
from palnet.synthesis.lids import reshape_lids
from palnet.synthesis.morphable import ClosedCorner, WholeHead
from palnet.synthesis.people import (
    BLINKS,
    CLOSED_EYES_SHARE,
    CLOSED_FROM,
    WIDE_CLOSED_EYES_SHARE,
    _choose_head,
    _mix_head,
)
from toy_head import toy_model, toy_scheme

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


# --- people wider than their source --------------------------------------------------------------


@pytest.fixture(scope="module")
def wide_people():
    wide = replace(toy_model(), wide_share=1.0)
    return [draw_person(wide, np.random.default_rng(seed)) for seed in range(N_PEOPLE)]


def test_share_of_wide_people_is_the_one_of_the_source():
    half = replace(toy_model(), wide_share=0.5)

    people = [draw_person(half, np.random.default_rng(seed)) for seed in range(N_PEOPLE)]

    assert np.mean(["regions" in p.description for p in people]) == pytest.approx(0.5, abs=0.2)


def test_wide_heads_are_none_that_the_modes_of_the_source_make():
    model = toy_model()
    modes = model.identity_mm.reshape(len(model.identity_mm), -1).astype(np.float64).T

    def left_mm(seed, *, is_wide):
        """Largest distance from the nearest mixture of the modes, and from the mean head."""
        head = _mix_head(model, np.random.default_rng(seed), is_wide=is_wide)
        moved = (head.points_mm - model.neutral_mm).astype(np.float64).ravel()
        weights = np.linalg.lstsq(modes, moved, rcond=None)[0]
        left = np.linalg.norm((moved - modes @ weights).reshape(-1, 3), axis=1).max()
        return left, np.linalg.norm(moved.reshape(-1, 3), axis=1).max()

    for seed in range(10):
        assert left_mm(seed, is_wide=False)[0] < 1e-3
        left, all_mm = left_mm(seed, is_wide=True)
        assert left > 0.1 * all_mm


def test_some_wide_people_are_infants_without_a_beard(wide_people):
    infants = [person for person in wide_people if not person.may_have_beard]

    assert 0.15 < len(infants) / N_PEOPLE < 0.45
    assert all(person.size <= 0.9 for person in infants)


def test_wide_people_are_whole_and_labelled(wide_people):
    model = toy_model()

    for person in wide_people:
        assert np.isfinite(person.points_mm).all()
        np.testing.assert_array_equal(person.landmarks_mm, person.points_mm[model.landmark_points])


# --- whole heads ---------------------------------------------------------------------------------


def test_lids_of_wide_people_alone_are_drawn_anew(many_people, wide_people):
    assert not any(person.is_covered.any() for person in many_people)
    assert not any("lids_sealed" in person.description for person in many_people)
    assert {person.description["lids_sealed"] for person in wide_people} == {True, False}


def test_eyes_of_wide_people_are_closed_more_often_and_sealed_then(many_people, wide_people):
    def closes(person):
        closed = [person.description["expressions"].get(name, 0) for name in BLINKS]
        return min(closed) >= CLOSED_FROM

    usual, wide = (np.mean([closes(p) for p in some]) for some in (many_people, wide_people))
    sealed = np.mean([p.description["lids_sealed"] for p in wide_people if closes(p)])
    blurred = np.mean([p.description["lids_sealed"] for p in wide_people if not closes(p)])

    assert usual == pytest.approx(CLOSED_EYES_SHARE, abs=0.15)
    assert wide == pytest.approx(WIDE_CLOSED_EYES_SHARE, abs=0.2)
    assert sealed > 0.6 > 0.45 > blurred


def test_corners_move_to_where_the_slit_ends_as_far_as_the_eye_is_closed(monkeypatch):
    scheme, toy = toy_scheme(), toy_model()
    end = int(toy.landmark_points[scheme.index_of("t_r")])
    corner = ClosedCorner(scheme.index_of("ex_r"), "eyeBlink_R", end)
    model = replace(toy, closed_corners=(corner,))
    blink = toy.expression_names.index("eyeBlink_R")

    for weight, share in ((0.0, 0.0), (0.6, 0.0), (0.75, 0.5), (0.9, 1.0), (1.0, 1.0)):
        expressions = np.zeros(len(toy.expression_names), dtype=np.float32)
        expressions[blink] = weight
        monkeypatch.setattr(
            "palnet.synthesis.people._draw_expressions", lambda *rest, e=expressions: e
        )
        person, usual = (draw_person(m, np.random.default_rng(1)) for m in (model, toy))

        np.testing.assert_allclose(person.label_weights.sum(axis=1), 1, atol=1e-6)
        expected = (1 - share) * usual.landmarks_mm[corner.landmark] + share * usual.points_mm[end]
        np.testing.assert_allclose(person.landmarks_mm[corner.landmark], expected, atol=1e-3)
        others = np.arange(len(scheme)) != corner.landmark
        np.testing.assert_allclose(
            person.landmarks_mm[others], usual.landmarks_mm[others], atol=1e-4
        )


def test_corners_of_sealed_eyes_lie_where_their_slits_are_drawn_to(monkeypatch):
    """Wherever a source that has all but closed its eyes has the corner."""
    scheme, toy = toy_scheme(), toy_model()
    corners = tuple(
        ClosedCorner(scheme.index_of(f"ex_{side}"), f"eyeBlink_{side.upper()}", int(point))
        for side, point in zip("rl", _points_outwards_of_the_eyes(toy, scheme), strict=True)
    )
    model = replace(toy, closed_corners=corners, wide_share=1.0)
    expressions = np.zeros(len(toy.expression_names), dtype=np.float32)
    expressions[[toy.expression_names.index(name) for name in BLINKS]] = 0.75
    monkeypatch.setattr("palnet.synthesis.people._draw_expressions", lambda *rest: expressions)
    given = []
    monkeypatch.setattr(
        "palnet.synthesis.people.reshape_lids",
        lambda *rest, **more: given.append(more["slit_ends"]) or reshape_lids(*rest, **more),
    )

    people = [draw_person(model, np.random.default_rng(seed)) for seed in range(12)]

    assert {person.description["lids_sealed"] for person in people} == {True, False}
    assert given == [[corner.point for corner in corners]] * len(people)
    for person in people:
        for corner in corners:
            beside_mm = np.linalg.norm(
                person.landmarks_mm[corner.landmark] - person.points_mm[corner.point]
            )
            assert (beside_mm < 1e-3) == person.description["lids_sealed"]


def _points_outwards_of_the_eyes(model, scheme):
    """A point of the skin 5 mm outwards of each outer corner, right and left."""
    template_mm = model.fine_template_mm
    for side, outwards in (("ex_r", -5), ("ex_l", 5)):
        corner_mm = template_mm[model.landmark_points[scheme.index_of(side)]]
        yield np.argmin(np.linalg.norm(template_mm - corner_mm - [outwards, 0, 0], axis=1))


@pytest.fixture
def a_source_of_heads():
    """Two heads, the second half as large and of an infant."""
    neutral = toy_model().neutral_mm
    heads = (
        WholeHead(neutral, 1.0, {"age_group": "adult", "may_have_beard": True}),
        WholeHead(0.5 * neutral, 0.5, {"age_group": "infant", "may_have_beard": False}),
    )
    return replace(toy_model(), identity_mm=toy_model().identity_mm[:0], heads=heads)


def test_every_head_is_drawn_and_said_who_it_is(a_source_of_heads):
    drawn = [draw_person(a_source_of_heads, np.random.default_rng(seed)) for seed in range(20)]

    found = {(p.description["head"], p.description["age_group"], p.may_have_beard) for p in drawn}
    assert found == {(0, "adult", True), (1, "infant", False)}


def test_regions_of_a_wide_head_are_of_heads_of_its_age(a_source_of_heads):
    """Of two heads of one age each region has its share; an infant gets nothing of an adult."""
    neutral = toy_model().neutral_mm
    shifted = neutral + np.array([0, 0, 9], dtype=np.float32)
    other = WholeHead(shifted, 1.0, {"age_group": "adult", "may_have_beard": True})
    heads = (*a_source_of_heads.heads, other)
    source = replace(a_source_of_heads, heads=heads, wide_share=1.0)
    plain = replace(source, wide_share=0.0)

    def depths(model, seed):
        """How far each point lies before the neutral head's, in the size of that."""
        rng = np.random.default_rng(seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("palnet.synthesis.people.HEAD_MIXING", 0.0)
            head = _choose_head(model, rng, is_wide=model.wide_share > 0)
        assert ("regions" in head.about) == (model.wide_share > 0)
        return head.about["age_group"], head.points_mm[:, 2] / head.size - neutral[:, 2]

    drawn = [depths(source, seed) for seed in range(40)]

    adults = [depth for age, depth in drawn if age == "adult"]
    assert any(np.ptp(depth) > 3 for depth in adults)
    assert all(np.ptp(depth) < 0.1 for _, depth in (depths(plain, seed) for seed in range(40)))
    for age, depth in drawn:
        assert depth.min() > -0.1
        assert depth.max() < (9.1 if age == "adult" else 0.1)


def test_whole_heads_keep_their_own_size(a_source_of_heads):
    neutral_mm = np.ptp(toy_model().fine_template_mm[:, 0])

    for seed in range(20):
        person = draw_person(a_source_of_heads, np.random.default_rng(seed))

        # Bumps, shear and its own size change the width by up to a quarter, an infant's by more.
        size = a_source_of_heads.heads[person.description["head"]].size
        width = np.ptp(person.points_mm[:, 0]) / neutral_mm
        grown = 1.12 if person.description["age_group"] == "infant" else 1.0
        assert width == pytest.approx(grown * size, rel=0.25)


def test_expressions_shrink_with_the_head(a_source_of_heads, monkeypatch):
    weights = np.zeros(len(a_source_of_heads.expression_names), dtype=np.float32)
    weights[a_source_of_heads.expression_names.index("jawOpen")] = 1.0
    monkeypatch.setattr("palnet.synthesis.people._warp", lambda points_mm, rng: points_mm)
    monkeypatch.setattr("palnet.synthesis.people.deform", lambda points_mm, *rest: (points_mm, ""))
    monkeypatch.setattr("palnet.synthesis.people.add_scars", lambda points_mm, *rest: points_mm)
    monkeypatch.setattr("palnet.synthesis.people.HEAD_SIZE_SPREAD", 0.0)
    monkeypatch.setattr("palnet.synthesis.people.INFANT_GROWTH", (1.0, 1.0))

    def draw(expressions, seed=0):
        monkeypatch.setattr("palnet.synthesis.people._draw_expressions", lambda *rest: expressions)
        return draw_person(a_source_of_heads, np.random.default_rng(seed))

    for seed in range(6):
        moved = draw(weights, seed).points_mm - draw(0 * weights, seed).points_mm

        size = a_source_of_heads.heads[draw(weights, seed).description["head"]].size
        expected = size * (a_source_of_heads.refine @ a_source_of_heads.expression_mm[8])
        # Differences of single precision numbers of 100 mm.
        np.testing.assert_allclose(moved, expected, atol=1e-4)


def test_people_of_identity_modes_may_have_beards(many_people):
    assert all(person.may_have_beard for person in many_people)


def test_conditions_of_grown_heads_shrink_with_them(monkeypatch):
    """A child's swelling is as large for the child's face as an adult's for an adult's."""
    sizes = []
    monkeypatch.setattr(
        "palnet.synthesis.people.deform",
        lambda points_mm, template_mm, size, rng: (sizes.append(size), (points_mm, "none"))[1],
    )
    people = [draw_person(toy_model(), np.random.default_rng(seed)) for seed in range(N_PEOPLE)]

    assert [person.size for person in people] == sizes
    # Its own axes, bumps and modes change a head's volume by a tenth; its size by half.
    volumes = [np.prod(np.ptp(person.points_mm, axis=0)) for person in people]
    assert np.corrcoef(np.cbrt(volumes), sizes)[0, 1] > 0.85
    assert min(sizes) < 0.9
