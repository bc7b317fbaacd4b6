# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from palnet.errors import UsageError
from palnet.evaluation import (
    align_cohort,
    align_shapes,
    page_of_shapes,
    select_complete,
    tables_of_shapes,
)
from palnet.exchange import read_landmarks
from palnet.landmarks import LandmarkSet
from palnet.model import read_model
from palnet.samples import example_truth
from palnet.scheme import LandmarkDefinition, Scheme
from palnet_fakes import without

seeds = st.integers(0, 10**6)


def some_shapes(seed, n=6, k=12, spread=0.15):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(k, 3))
    return base + spread * rng.normal(size=(n, k, 3))


def somehow_placed(shapes, seed):
    """Each moved, turned and scaled by itself."""
    rng = np.random.default_rng(seed)
    turns = Rotation.random(len(shapes), random_state=seed).as_matrix()
    scales = rng.uniform(0.2, 5.0, (len(shapes), 1, 1))
    return scales * shapes @ turns + rng.normal(0, 50, (len(shapes), 1, 3))


def a_cohort(n=12, seed=0):
    rng = np.random.default_rng(seed)
    face = read_landmarks(example_truth())
    return [
        replace(
            face,
            specimen=f"case_{number}",
            positions=face.positions + rng.normal(0, 3.0, face.positions.shape),
        )
        for number in range(n)
    ]


@given(seeds)
def test_align_shapes_of_two_agrees_with_scipy(seed):
    first, second = some_shapes(seed, n=2)

    shapes, _ = align_shapes(np.stack([first, second]))

    # scipy scales the second freely: of unit shapes at angle a, its disparity is sin(a)^2.
    _, _, disparity = procrustes(first, second)
    expected = np.sqrt(2 - 2 * np.sqrt(1 - disparity))
    assert np.linalg.norm(shapes[0] - shapes[1]) == pytest.approx(expected, abs=1e-7)


@given(seeds)
@settings(max_examples=25)
def test_align_shapes_agrees_with_a_naive_loop(seed):
    positions = somehow_placed(some_shapes(seed), seed)

    shapes, mean = align_shapes(positions)

    naive = [points - points.mean(axis=0) for points in positions]
    naive = [points / np.linalg.norm(points) for points in naive]
    target = naive[0]
    for _ in range(100):
        turned = []
        for points in naive:
            rotation, _ = Rotation.align_vectors(target, points)
            turned.append(rotation.apply(points))
        target = sum(turned) / len(turned)
        target = target / np.linalg.norm(target)
    np.testing.assert_allclose(shapes, turned, atol=1e-6)
    np.testing.assert_allclose(mean, target, atol=1e-6)


@given(seeds)
@settings(max_examples=25)
def test_align_shapes_takes_out_place_turn_and_size(seed):
    shapes = some_shapes(seed)

    distances = [
        np.linalg.norm(aligned - mean, axis=(1, 2))
        for aligned, mean in map(align_shapes, (shapes, somehow_placed(shapes, seed + 1)))
    ]

    np.testing.assert_allclose(distances[1], distances[0], atol=1e-7)


def test_align_shapes_mirrors_none():
    shapes = some_shapes(3, n=2, spread=0.0)
    shapes[1] *= [-1.0, 1.0, 1.0]

    aligned, _ = align_shapes(shapes)

    assert np.linalg.norm(aligned[0] - aligned[1]) > 0.1


def test_align_cohort_scores_and_components_make_up_the_tangent_shapes():
    space = align_cohort(select_complete(a_cohort()))

    n_components = len(space.variances)
    flat = space.components.reshape(n_components, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(n_components), atol=1e-10)
    np.testing.assert_allclose(flat @ space.mean.ravel(), 0.0, atol=1e-10)
    np.testing.assert_allclose(space.scores.var(axis=0, ddof=1), space.variances, rtol=1e-9)
    assert (np.diff(space.variances) <= 0).all()
    assert space.shares.sum() == pytest.approx(1.0)
    shapes = space.shapes.reshape(12, -1)
    tangent = shapes - np.outer(shapes @ space.mean.ravel(), space.mean.ravel())
    np.testing.assert_allclose(tangent.mean(axis=0) + space.scores @ flat, tangent, atol=1e-10)


def test_align_cohort_finds_the_one_way_in_which_shapes_differ():
    rng = np.random.default_rng(8)
    base = read_landmarks(example_truth())
    row = base.scheme.index_of("prn")
    strengths = rng.normal(0, 2.0, 15)
    sets = []
    for number, strength in enumerate(strengths):
        positions = base.positions.copy()
        positions[row] += strength * np.array([0.6, 0.0, 0.8])
        sets.append(replace(base, specimen=str(number), positions=positions))

    space = align_cohort(select_complete(sets))

    assert space.shares[0] > 0.999
    moved = np.linalg.norm(space.components[0], axis=1)
    assert moved.argmax() == row
    assert abs(np.corrcoef(space.scores[:, 0], strengths)[0, 1]) > 0.999


def test_convention_shapes_stand_upright_and_sizes_are_millimetres():
    atlas = read_model().atlas
    face = read_landmarks(example_truth())
    metres = [
        replace(landmarks, positions=landmarks.positions / 1000, mm_per_unit=1000.0)
        for landmarks in a_cohort()
    ]

    space = align_cohort(select_complete(metres))

    centred = face.positions - face.positions.mean(axis=0)
    assert space.centroid_sizes_mm.mean() == pytest.approx(np.linalg.norm(centred), rel=0.01)
    target = atlas.landmark_mean_mm - atlas.landmark_mean_mm.mean(axis=0)
    assert np.linalg.norm(space.mean_mm - target, axis=1).mean() < 12.0
    left, right = (space.mean[face.scheme.index_of(code), 0] for code in ("ex_l", "ex_r"))
    assert left > 0 > right


def test_select_complete_drops_what_many_lack_then_who_lacks_more():
    sets = a_cohort(20)
    for number in (0, 1, 2):
        sets[number] = without(sets[number], "tr", "pa_l")
    sets[3] = without(sets[3], "prn", "gn")

    cohort = select_complete(sets)

    assert cohort.dropped_landmarks == {
        "tr": "missing in 3 of 20 specimens",
        "pa_l": "missing in 3 of 20 specimens",
    }
    assert cohort.dropped_specimens == {"case_3": "lacks prn, gn"}
    assert cohort.positions_mm.shape == (19, 48, 3)
    assert np.isfinite(cohort.positions_mm).all()


def test_select_complete_keeps_a_landmark_that_a_tenth_lacks():
    sets = a_cohort(20)
    for number in (0, 1):
        sets[number] = without(sets[number], "tr")

    cohort = select_complete(sets)

    assert cohort.dropped_landmarks == {}
    assert set(cohort.dropped_specimens) == {"case_0", "case_1"}


def test_select_complete_names_landmarks_that_the_first_scheme_lacks():
    sets = a_cohort(5)
    eight = Scheme("lab8", sets[0].scheme.landmarks[:8])
    sets[0] = sets[0].to_scheme(eight)
    sets[1:] = [without(landmarks, "gn") for landmarks in sets[1:]]

    cohort = select_complete(sets)

    assert cohort.codes == eight.codes
    assert cohort.dropped_landmarks == dict.fromkeys(
        [code for code in sets[1].scheme.codes[8:] if code != "gn"],
        "not in lab8, the scheme of case_0",
    )


def test_select_complete_specimen_that_is_there_twice_is_refused():
    sets = a_cohort(5)

    with pytest.raises(UsageError, match="more than one of case_3"):
        select_complete([*sets, sets[3]])


def test_select_complete_too_few_whole_specimens_is_refused():
    with pytest.raises(UsageError, match="got 2 of 50, out of 2 specimens"):
        select_complete(a_cohort(2))


def test_shape_at_lies_as_many_standard_deviations_off_the_mean():
    space = align_cohort(select_complete(a_cohort()))

    off = (space.shape_at_mm(1, 2.0) - space.mean_mm) / space.centroid_sizes_mm.mean()

    assert (off * space.components[1]).sum() == pytest.approx(2 * space.scores[:, 1].std(ddof=1))


def test_components_point_to_where_they_move_a_coordinate_most():
    components = align_cohort(select_complete(a_cohort())).components.reshape(11, -1)

    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(11), largest] > 0).all()


def test_scores_tell_the_farthest_landmark_in_millimetres():
    sets = [replace(face, positions=a_cohort(1)[0].positions) for face in a_cohort(20)]
    moved = sets[6].positions.copy()
    moved[sets[6].scheme.index_of("prn")] += [0.0, 12.0, 0.0]
    sets[6] = replace(sets[6], positions=moved)

    text = tables_of_shapes(align_cohort(select_complete(sets)))["scores.csv"]

    row = next(row for row in csv.DictReader(text.splitlines()) if row["specimen"] == "case_6")
    assert row["farthest"] == "prn"
    # The mean goes a twentieth of the way along; the registration takes up a little.
    assert float(row["farthest_mm"]) == pytest.approx(12 * 19 / 20, rel=0.05)


def test_page_draws_a_component_both_ways_and_its_share_in_percent():
    space = align_cohort(select_complete(a_cohort()))

    page = page_of_shapes(space)

    first = page[page.index("<h2>PC1") : page.index("<h2>PC2")]
    first = first[first.index(">front<") : first.index(">left side<")]
    lines = re.findall(r'points="(\S+),(\S+) (\S+),(\S+)".*?<title>(\w+): ([+-])2 SD', first)
    steps = {(code, sign): np.array([float(c) - float(a), float(d) - float(b)])
             for a, b, c, d, code, sign in lines}  # fmt: skip
    assert {sign for _, sign in steps} == {"+", "-"}
    codes = [code for code, sign in steps if sign == "+"]
    plus, minus = (np.array([steps[code, sign] for code in codes]) for sign in "+-")
    np.testing.assert_allclose(plus, -minus, atol=0.3)
    assert np.abs(plus).max() > 5
    shown = page[page.index("<h2>Shape variance") : page.index("<h2>Specimens in shape space")]
    assert f">{100 * space.shares[0]:.1f}</text>" in shown


def test_page_shows_a_wrong_unit_by_its_size_and_exchanged_sides_by_their_shape():
    sets = a_cohort(30)
    sets[4] = replace(sets[4], positions=sets[4].positions / 2.54)
    sets[9] = replace(sets[9], positions=sets[9].positions[sets[9].scheme.mirror])

    page = page_of_shapes(align_cohort(select_complete(sets)))

    lead, far = page.split("</p>")[0], page[page.index("Farthest from the mean") :]
    assert re.search(r"average, standard deviation \d+ mm, from \d+ \(case_4\) to \d+ mm", lead)
    listed = re.findall(r"<tr><td>(\w+)</td>", far)
    assert listed[0] == "case_9"
    assert "case_4" not in listed
    assert "A wrong unit does not" in far


def test_equal_shapes_have_no_components_and_a_page():
    base = read_landmarks(example_truth())
    sets = [replace(base, specimen=str(number)) for number in range(4)]

    space = align_cohort(select_complete(sets))

    np.testing.assert_allclose(space.distances, 0.0, atol=1e-12)
    assert "nan" not in page_of_shapes(space).lower()


def test_cohort_of_a_labs_own_scheme_has_a_page_without_drawings(a_small_scheme):
    chin = LandmarkDefinition("chin", "Chin", "midline", "Lowest point.")
    scheme = replace(a_small_scheme, landmarks=(*a_small_scheme.landmarks, chin))
    rng = np.random.default_rng(1)
    positions = np.array([[0.0, 0, 60], [-45, 30, 0], [45, 30, 0], [0, -70, 20]])
    sets = [
        LandmarkSet(
            scheme, positions + rng.normal(0, 1, (4, 3)), ("confirmed",) * 4,
            np.full(4, np.nan), 1.0, "file", str(number),
        )
        for number in range(5)
    ]  # fmt: skip

    page = page_of_shapes(align_cohort(select_complete(sets)))

    assert "No drawings" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda shapes: shapes[0], r"got \(12, 3\)"),
        (lambda shapes: shapes[:0], r"got \(0, 12, 3\)"),
        (lambda shapes: np.where(shapes > 0, shapes, np.nan), "positions must be finite; got"),
        (lambda shapes: [np.ones((12, 3)), *shapes], "must differ; got one with all in the same"),
    ],
)
def test_align_shapes_refuses_what_has_no_shape(change, message):
    with pytest.raises(ValueError, match=message):
        align_shapes(change(some_shapes(3)))


def test_align_shapes_takes_lists():
    shapes = some_shapes(3)

    np.testing.assert_array_equal(align_shapes(shapes.tolist())[0], align_shapes(shapes)[0])


def test_a_specimen_with_all_landmarks_in_one_place_is_named():
    sets = a_cohort()
    sets[2] = replace(sets[2], positions=np.ones_like(sets[2].positions))

    with pytest.raises(UsageError, match="landmarks of case_2 must differ; all lie in one place"):
        align_cohort(select_complete(sets))


def test_a_cohort_of_nobody_is_refused():
    with pytest.raises(UsageError, match="needs at least one landmark set; got none"):
        select_complete([])
