# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from palnet._mean_face import atlas_of
from palnet.errors import FormatError, MeshError
from palnet.exchange import read_landmarks
from palnet.landmarks import LandmarkSet
from palnet.measurement import (
    SectionError,
    has_shipped_plan,
    load_measurement_plan,
    match_scan,
    measure,
    measure_asymmetry,
    page_of_measurements,
    plan_for,
    trace_section,
)
from palnet.measurement._arc import Arc, length
from palnet.measurement._formulas import FORMULAS, find_lost_length, propagate_error
from palnet.samples import example_scan, example_truth
from palnet.scheme import Angle, Distance, LandmarkDefinition, Scheme, load_scheme
from palnet.similarity import apply_similarity, fit_similarity
from palnet.surface import (
    Mesh,
    parse_unit,
    prepare_surface,
    project_onto_triangles,
    read_mesh,
    thin_mesh,
)
from palnet_fakes import move_landmarks, without

seeds = st.integers(0, 10**6)


def a_face(errors_mm=2.0) -> LandmarkSet:
    truth = read_landmarks(example_truth())
    return replace(truth, expected_error_mm=np.full(len(truth), errors_mm))


def write_plan(folder, *rows, **changes):
    """Write a plan of measurements, all of one source."""
    rows = [{"source": "lab"} | row for row in rows]
    content = {"scheme": "lab3", "sources": {"lab": "x"}, "measurements": rows}
    path = folder / "plan.json"
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def by_code(measurements):
    return {entry.code: entry for entry in measurements}


def a_sphere(radius_mm=80.0, n=120):
    """Points and triangles of a closed sphere, by latitude and longitude."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, n), np.linspace(0, 2 * np.pi, n, endpoint=False))
    points = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=2
    )
    index = np.arange(n * n).reshape(n, n)
    after = np.roll(index, -1, axis=0)
    quads = [index[:, :-1], after[:, :-1], after[:, 1:], index[:, 1:]]
    a, b, c, d = (quad.ravel() for quad in quads)
    triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([a, d, c], 1)])
    # Rounded, so that all vertices at a pole lie in one place.
    return radius_mm * points.reshape(-1, 3).round(12), triangles.astype(np.int32)


@given(seeds, st.floats(0.3, 2.6))
def test_trace_section_great_circle_of_sphere_has_length_radius_times_angle(seed, angle):
    points, triangles = a_sphere()
    frame = Rotation.random(random_state=seed).as_matrix()
    start = 80.0 * frame[0]
    end = 80.0 * (np.cos(angle) * frame[0] + np.sin(angle) * frame[1])

    way = trace_section(points, triangles, start, end, frame[2])

    assert length(way) == pytest.approx(80.0 * angle, rel=0.01)


def test_trace_section_on_plane_is_the_straight_line():
    points = np.array([[0.0, 0, 0], [50, 0, 0], [50, 50, 0], [0, 50, 0]])
    triangles = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    start, end = np.array([5.0, 11, 0]), np.array([41.0, 38, 0])

    way = trace_section(points, triangles, start, end, np.cross(end - start, [0, 0, 1.0]))

    np.testing.assert_allclose(length(way), 45.0, atol=1e-9)


def test_trace_section_between_two_pieces_is_refused():
    points = np.array([[0.0, -9, 0], [9, 9, 0], [-9, 9, 0]])
    two = np.vstack([points, points + np.array([100.0, 0, 0])])
    triangles = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32)

    with pytest.raises(SectionError, match="hole"):
        trace_section(two, triangles, np.zeros(3), np.array([100.0, 0, 0]), np.array([0, 1.0, 0]))


def test_trace_section_far_from_surface_is_refused():
    points, triangles = a_sphere()

    with pytest.raises(SectionError, match="off the surface"):
        trace_section(
            points,
            triangles,
            np.array([100.0, 0, 0]),
            np.array([0.0, 80, 0]),
            np.array([0, 0, 1.0]),
        )


@pytest.mark.parametrize("through", [("eye_r", "eye_l"), ("eye_r", "tip", "eye_l")])
def test_measure_arc_on_sphere_in_centimetres(a_small_scheme, tmp_path, through):
    points, triangles = a_sphere(radius_mm=8.0)
    # Two as well as all three of one great circle fix its plane.
    positions = 8.0 * np.array([[0, -1.0, 0], [-0.6, -0.8, 0], [0.6, -0.8, 0]])
    landmarks = LandmarkSet(
        a_small_scheme, positions, ("confirmed",) * 3, np.full(3, 2.0), 10.0, "file", "s"
    )
    row = {"code": "arc", "name": "Arc", "kind": "arc", "landmarks": through}
    path = write_plan(tmp_path, row)

    arc = measure(landmarks, Mesh(points, triangles), load_measurement_plan(path))[0]

    # A great circle is a shortest way: moving an end across it changes nothing.
    assert arc.value == pytest.approx(80.0 * 2 * np.arcsin(0.6), rel=0.01)
    assert arc.expected_error == pytest.approx(0.5 * np.hypot(2, 2), rel=1e-3)
    assert length(arc.polyline) * 10.0 == pytest.approx(arc.value)


def small_circle_arc(points):
    """Length of the way a - m - b on the circle through three points of a sphere."""
    a, m, b = points
    normal = np.cross(m - a, b - a)
    normal /= np.linalg.norm(normal)
    centre = (a @ normal) * normal
    spokes = points - centre
    radius = np.linalg.norm(spokes[0])
    cosines = [spokes[0] @ spokes[1], spokes[1] @ spokes[2]] / radius**2
    return radius * np.arccos(cosines).sum()


def test_arc_expected_error_is_that_of_a_small_circle_of_a_sphere():
    vertices, triangles = a_sphere(n=300)
    height = 50.0
    angles = np.array([0.2, 1.3, 2.0])
    ring = np.sqrt(80.0**2 - height**2)
    points = np.stack([ring * np.cos(angles), ring * np.sin(angles), np.full(3, height)], axis=1)
    errors = np.array([1.0, 2.0, 3.0])

    # On the sphere itself, along the two directions in its surface.
    squared = 0.0
    for row in range(3):
        for direction in np.linalg.svd(points[row : row + 1])[2][1:]:
            ends = []
            for sign in (1e-4, -1e-4):
                moved = points.copy()
                moved[row] += sign * direction
                moved[row] *= 80.0 / np.linalg.norm(moved[row])
                ends.append(small_circle_arc(moved))
            squared += ((ends[0] - ends[1]) / 2e-4 * errors[row]) ** 2

    arc = Arc(points, vertices, triangles)

    assert length(arc.trace()) == pytest.approx(ring * 1.8, rel=1e-3)
    assert arc.expected_error(errors) == pytest.approx(0.5 * np.sqrt(squared), rel=0.02)


def test_arc_expected_error_of_one_side_is_that_of_both(monkeypatch):
    """Moved upwards the tape finds no way, as beside a slit; downwards it does."""
    vertices, triangles = a_sphere(n=300)
    angles, ring = np.array([0.2, 1.3, 2.0]), np.sqrt(80.0**2 - 50.0**2)
    points = np.stack([ring * np.cos(angles), ring * np.sin(angles), np.full(3, 50.0)], axis=1)
    errors, trace = np.array([1.0, 2.0, 3.0]), Arc._trace
    arc = Arc(points, vertices, triangles)
    of_both = arc.expected_error(errors)

    def trace_unless_up(self, points_mm):
        if points_mm[:, 2].sum() > 150.0 + 1e-9:
            msg = "a hole in the surface interrupts the arc"
            raise SectionError(msg)
        return trace(self, points_mm)

    monkeypatch.setattr(Arc, "_trace", trace_unless_up)

    assert arc.expected_error(errors) == pytest.approx(of_both, rel=0.05)


def test_arc_is_the_same_where_triangles_share_no_vertices():
    vertices, triangles = a_sphere()
    points = 80.0 * np.array([[1.0, 0, 0], [0.6, 0.8, 0], [0, 1.0, 0]])
    apart = vertices[triangles].reshape(-1, 3)
    soup = np.arange(len(apart), dtype=np.int32).reshape(-1, 3)

    for chosen in (points, points[[0, 2]]):
        np.testing.assert_allclose(
            length(Arc(chosen, apart, soup).trace()),
            length(Arc(chosen, vertices, triangles).trace()),
            rtol=1e-9,
        )


@given(seeds)
def test_measure_is_unchanged_by_rigid_motion_and_unit(seed):
    face = a_face()
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    matrix[:3, 3] = np.random.default_rng(seed).normal(0, 100, 3)
    moved = move_landmarks(face, matrix)
    metres = replace(moved, positions=moved.positions / 1000.0, mm_per_unit=1000.0)

    expected = [(entry.value, entry.expected_error) for entry in measure(face)]

    for other in (moved, metres):
        got = [(entry.value, entry.expected_error) for entry in measure(other)]
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_measure_missing_landmark_leaves_blank_with_reason():
    taken = measure(without(a_face(), "sn"))

    concerned = [entry for entry in taken if "sn" in entry.landmarks]
    assert len(concerned) > 8
    assert all(np.isnan(entry.value) and "sn" in entry.reason for entry in concerned)
    assert all(
        entry.is_measured for entry in taken if "sn" not in entry.landmarks and entry.kind != "arc"
    )


def test_measure_code_that_the_scheme_lacks_is_told_from_a_missing_landmark(tmp_path):
    row = {"code": "d", "name": "D", "kind": "distance", "landmarks": ["n", "nose"]}
    plan = load_measurement_plan(write_plan(tmp_path, row))

    entry = measure(a_face(), plan=plan)[0]

    assert entry.reason == "scheme 'palnet50' has no landmark: nose"


@pytest.mark.parametrize(
    ("code", "ends"), [("ls-sto/sto-li", ("sto", "li")), ("sn-n-prn", ("n", "prn"))]
)
def test_measure_what_divides_by_less_than_its_error_is_blank(code, ends):
    """Lips pressed together: nobody knows where the lower one ends, the index may be anything."""
    face = a_face(errors_mm=2.0)
    one, other = (face.scheme.index_of(end) for end in ends)
    positions = face.positions.copy()
    positions[other] = positions[one] + [0.0, 0.5, 0.0]
    close = replace(face, positions=positions)
    unknown = replace(close, expected_error_mm=np.full(len(face), np.nan))

    blank = by_code(measure(close))[code]

    assert not blank.is_measured
    assert blank.reason == "divides by 0.5 mm, expected error 1.4 mm"
    assert by_code(measure(face))[code].is_measured
    assert by_code(measure(unknown))[code].is_measured


@pytest.mark.parametrize(("error_mm", "is_lost"), [(1.0, False), (1.4, False), (1.5, True)])
def test_a_divisor_is_lost_once_it_is_shorter_than_its_expected_error(error_mm, is_lost):
    """The error of a length between two landmarks of 1.414 mm each is 1 mm."""
    points = np.array([[0.0, 0, 0], [10, 0, 0], [0, 0, 0], [1, 0, 0]])

    lost = find_lost_length("index", points, np.full(4, error_mm), [0, 1, 2, 3])

    assert (lost is not None) == is_lost


def test_propagate_error_of_two_landmarks_in_one_place_is_that_of_near_ones():
    together, near = np.full((2, 3), 7.0), np.array([[7.0, 7, 7], [7, 7, 7.1]])
    errors = np.array([1.0, 2.0])

    found = propagate_error(FORMULAS["distance"], together, errors, [0, 1])

    assert found == pytest.approx(propagate_error(FORMULAS["distance"], near, errors, [0, 1]))
    assert found == pytest.approx(0.5 * np.sqrt(5.0))


def test_propagate_error_of_an_index_whose_first_length_is_nothing():
    points = np.array([[1.0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 50, 0]])

    found = propagate_error(FORMULAS["index"], points, np.ones(4), [0, 1, 2, 3])

    assert found == pytest.approx(100 / 50 * 0.5 * np.sqrt(2.0), rel=1e-3)


def test_find_lost_length_of_landmarks_in_one_place():
    points = np.array([[0.0, 0, 0], [10, 0, 0], [3, 3, 3], [3, 3, 3]])

    assert find_lost_length("index", points, np.ones(4), [0, 1, 2, 3]) is not None


def test_measure_unknown_error_is_unknown_in_the_value():
    taken = by_code(measure(a_face(np.nan)))

    assert np.isfinite(taken["n-sn"].value)
    assert np.isnan(taken["n-sn"].expected_error)


def test_measure_distance_and_angle_against_plain_arithmetic(a_small_scheme, tmp_path):
    positions = np.array([[0.0, 0, 0], [3, 0, 0], [0, 4, 0]])
    landmarks = LandmarkSet(
        a_small_scheme, positions, ("confirmed",) * 3, np.full(3, 1.0), 1.0, "file", "s"
    )
    rows = [
        {"code": "d", "name": "D", "kind": "distance", "landmarks": ["eye_r", "eye_l"]},
        {"code": "a", "name": "A", "kind": "angle", "landmarks": ["eye_r", "tip", "eye_l"]},
        {"code": "i", "name": "I", "kind": "index", "landmarks": ["tip", "eye_r", "tip", "eye_l"]},
    ]

    taken = by_code(measure(landmarks, plan=load_measurement_plan(write_plan(tmp_path, *rows))))

    assert [taken[code].value for code in "dai"] == pytest.approx([5.0, 90.0, 75.0])


@pytest.mark.parametrize(
    ("kind", "landmarks"),
    [
        ("distance", (0, 1)),
        ("angle", (0, 1, 2)),
        ("index", (0, 1, 2, 3)),
        ("index", (0, 1, 1, 2)),
        ("index", (0, 1, 0, 2)),
    ],
)
def test_propagate_error_agrees_with_monte_carlo(kind, landmarks):
    random = np.random.default_rng(4)
    places = random.normal(0, 50, (4, 3))
    errors = random.uniform(0.5, 2.0, 4)
    rows = list(landmarks)
    formula, points = FORMULAS[kind], places[rows]

    noise = random.normal(size=(20_000, 4, 3)) * (errors / np.sqrt(8 / np.pi))[:, None]
    seen = np.mean([abs(formula((places + shift)[rows]) - formula(points)) for shift in noise])

    found = propagate_error(formula, points, errors[rows], landmarks)
    assert found == pytest.approx(seen, rel=0.03)


def test_measure_index_of_a_shared_landmark_agrees_with_monte_carlo():
    face, sigma = a_face(errors_mm=1.0), 1.0 / np.sqrt(8 / np.pi)
    shared = [
        definition
        for definition in load_measurement_plan("palnet50").definitions
        if definition.kind == "index" and len(set(definition.landmarks)) == 3
    ]
    noise = np.random.default_rng(5).normal(size=(10_000, len(face), 3)) * sigma
    assert shared
    for definition in shared:
        rows = [face.scheme.index_of(code) for code in definition.landmarks]
        stated = by_code(measure(face))[definition.code]
        first, second, third, fourth = np.moveaxis((face.positions_mm + noise)[:, rows], 1, 0)
        over = np.linalg.norm(second - first, axis=1)
        under = np.linalg.norm(fourth - third, axis=1)

        seen = np.abs(100 * over / under - stated.value).mean()

        assert stated.expected_error == pytest.approx(seen, rel=0.05), definition.code


def a_symmetric_face(scheme):
    points = np.random.default_rng(1).normal(0, 50, (len(scheme), 3))
    return (points + (points * [-1.0, 1, 1])[scheme.mirror]) / 2


def test_measure_asymmetry_of_symmetric_face_is_zero_in_any_pose(the_scheme):
    turned = a_symmetric_face(the_scheme) @ Rotation.random(random_state=3).as_matrix() + 70.0

    np.testing.assert_allclose(measure_asymmetry(turned, the_scheme.mirror), 0.0, atol=1e-10)


@given(seeds)
def test_measure_asymmetry_of_mirrored_face_is_the_same(seed):
    scheme = load_scheme()
    points = np.random.default_rng(seed).normal(0, 50, (len(scheme), 3))

    mirrored = (points * [1.0, -1.0, 1.0])[scheme.mirror]

    np.testing.assert_allclose(
        measure_asymmetry(mirrored, scheme.mirror),
        measure_asymmetry(points, scheme.mirror),
        atol=1e-8,
    )


def test_measure_asymmetry_of_landmarks_on_the_midline_that_lie_in_no_plane():
    """Their mirror image is another shape, though each is its own counterpart."""
    corner = np.array([[0.0, 0, 0], [30, 0, 0], [0, 20, 0], [0, 0, 10]])

    assert (measure_asymmetry(corner, np.arange(4)) > 0.1).any()
    # Three always lie in one plane, which says nothing about the face.
    assert np.isnan(measure_asymmetry(corner[:3], np.arange(3))).all()


def test_measure_asymmetry_of_landmarks_that_are_one_point_is_unknown():
    assert np.isnan(measure_asymmetry(np.full((4, 3), 7.0), np.array([0, 1, 3, 2]))).all()
    # A pair beside one of the midline is another matter.
    uneven = np.array([[40.0, 0, 0], [-30, 0, 0], [0, 20, 0]])
    assert (measure_asymmetry(uneven, np.array([1, 0, 2])) > 0.1).all()


def test_asymmetry_as_a_whole_has_the_mean_of_all_landmarks_errors(the_scheme):
    is_midline = the_scheme.mirror == np.arange(len(the_scheme))
    face = replace(a_face(), expected_error_mm=np.where(is_midline, 1.0, 3.0))

    whole = by_code(measure(face))["asymmetry"]

    of_pair = 3.0 * 2**0.5
    assert whole.expected_error == pytest.approx(np.where(is_midline, 1.0, of_pair).mean())


def test_measure_asymmetry_finds_the_landmark_that_was_moved(the_scheme):
    points = a_symmetric_face(the_scheme)
    row = the_scheme.index_of("prn")
    points[row, 0] += 5.0

    found = measure_asymmetry(points, the_scheme.mirror)

    # Twice the way from the plane, less what the registration over 50 landmarks takes up.
    assert found.argmax() == row
    assert found[row] == pytest.approx(10.0, rel=0.1)


def test_asymmetry_error_is_what_noise_shows_on_a_symmetric_face(the_scheme):
    random = np.random.default_rng(2)
    points = a_symmetric_face(the_scheme)
    landmarks = replace(a_face(), positions=points)
    expected = {entry.code: entry.expected_error for entry in measure(landmarks)}

    sigma = 2.0 / np.sqrt(8 / np.pi)
    noisy = points + random.normal(0, sigma, (3000, *points.shape))
    seen = np.mean([measure_asymmetry(face, the_scheme.mirror) for face in noisy], axis=0)

    # The registration takes up 6 of the 150 degrees of freedom, more from outlying landmarks.
    assert seen.mean() == pytest.approx(expected["asymmetry"], rel=0.05)
    row = the_scheme.index_of("n")
    assert seen[row] == pytest.approx(expected["asymmetry:n"], rel=0.12)


def test_asymmetry_shows_the_line_between_the_two_of_a_pair(the_scheme):
    face = a_face()
    found = by_code(measure(face))
    pair = [the_scheme.index_of(code) for code in ("ex_r", "ex_l")]

    np.testing.assert_array_equal(found["asymmetry:ex_r-ex_l"].polyline, face.positions[pair])
    assert found["asymmetry:n"].polyline.shape == (0, 3)


def test_shipped_plan_uses_landmarks_and_measurements_of_its_scheme(the_scheme):
    plan = load_measurement_plan("palnet50")

    assert {code for entry in plan.definitions for code in entry.landmarks} <= set(the_scheme.codes)
    taken = {frozenset(entry.landmarks) for entry in plan.definitions if entry.kind == "distance"}
    assert {frozenset((entry.a, entry.b)) for entry in the_scheme.distances} <= taken
    angles = {entry.landmarks for entry in plan.definitions if entry.kind == "angle"}
    assert {(entry.a, entry.vertex, entry.c) for entry in the_scheme.angles} == angles


def test_shipped_plan_is_what_the_document_lists():
    document = Path(__file__).parents[3] / "docs" / "measurements.md"
    plan = load_measurement_plan("palnet50")

    listed = re.findall(
        r"^\| `(.+?)` \| (.+?) \| (distance|angle|index|arc) \| (.+?) \| (.+?) \|$",
        document.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )

    assert [
        (code, name, kind, tuple(re.findall(r"[\w.]+", landmarks)), source)
        for code, name, kind, landmarks, source in listed
    ] == [
        (entry.code, entry.name, entry.kind, entry.landmarks, entry.source)
        for entry in plan.definitions
    ]


def test_page_is_the_same_in_metres_and_names_what_an_index_divides():
    face = a_face()
    metres = replace(face, positions=face.positions / 1000.0, mm_per_unit=1000.0)

    pages = [page_of_measurements(each, measure(each), {}, "no") for each in (face, metres)]

    assert pages[0] == pages[1]
    assert "<td>Facial index</td><td>(n, gn) / (zy_r, zy_l)</td>" in pages[0]


def test_page_says_how_an_expected_error_is_to_be_read():
    face, said = a_face(), "two of five values are farther off, one of twenty more than 2.5 times"
    pages = [
        page_of_measurements(each, measure(each), {}, "no picture")
        for each in (face, replace(face, expected_error_mm=np.full(len(face), np.nan)))
    ]

    assert [said in page for page in pages] == [True, False]
    sizes = np.abs(np.random.default_rng(0).normal(size=100_000))
    sizes /= sizes.mean()
    assert (sizes > 1.0).mean() == pytest.approx(0.4, abs=0.03)
    assert (sizes > 2.5).mean() == pytest.approx(0.05, abs=0.005)


def test_page_of_a_labs_own_plan_explains_every_source(tmp_path):
    row = {"code": "a", "name": "A", "kind": "distance", "landmarks": ["n", "sn"]}
    path = write_plan(tmp_path, row, scheme="palnet50", sources={"lab": "Our thesis"})
    plan, face = load_measurement_plan(path), a_face()

    page = page_of_measurements(face, measure(face, plan=plan), plan.sources, "no picture")

    sources = dict(re.findall(r"<tr><td>([^<]+)</td><td>([^<]*)</td></tr>", page))
    assert sources.keys() == {"lab", "Mardia 2000"}
    assert sources["lab"] == "Our thesis"
    assert "10.1093/biomet/87.2.285" in sources["Mardia 2000"]


def test_plan_for_a_scheme_is_the_shipped_one_else_what_the_scheme_names():
    shipped = load_scheme("palnet50")
    own = replace(shipped, name="mylab")

    plan = plan_for(own)

    assert plan_for(shipped) == load_measurement_plan("palnet50")
    assert [(entry.kind, entry.landmarks) for entry in plan.definitions] == [
        *(("distance", (each.a, each.b)) for each in shipped.distances),
        *(("angle", (each.a, each.vertex, each.c)) for each in shipped.angles),
    ]
    assert plan.sources == {"mylab": shipped.source}
    named = {entry.code: entry.name for entry in plan.definitions}
    assert named["n-sn"] == "Distance n - sn"
    assert plan_for(load_scheme("ibug68")).definitions == ()


@pytest.mark.parametrize("name", ["../measurements/palnet50", "plan.json"])
def test_plan_for_a_scheme_takes_its_name_for_no_path(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_plan(tmp_path, {"code": "d", "name": "D", "kind": "distance", "landmarks": ["n", "sn"]})
    own = replace(load_scheme("palnet50"), name=name, distances=(), angles=())

    assert plan_for(own).definitions == ()
    assert not has_shipped_plan(name)


def test_plan_for_a_scheme_keeps_what_only_looks_alike_apart():
    """A hyphen may be part of a landmark's code; what is named twice is taken once.

    So is what is named from either end.
    """
    points = [LandmarkDefinition(c, c, "midline", c) for c in ("a", "b", "c", "a-b", "b-c")]
    lengths = [Distance("a-b", "c"), Distance("a", "b-c"), Distance("a", "c"), Distance("c", "a")]
    scheme = Scheme("lab5", points, lengths, [Angle("a", "b", "c"), Angle("c", "b", "a")])

    plan = plan_for(scheme)

    assert {entry.code: (entry.kind, *entry.landmarks) for entry in plan.definitions} == {
        "distance:a-b/c": ("distance", "a-b", "c"),
        "distance:a/b-c": ("distance", "a", "b-c"),
        "a-c": ("distance", "a", "c"),
        "angle:a/b/c": ("angle", "a", "b", "c"),
    }


def test_measure_of_a_scheme_of_somebodys_own_takes_what_it_names():
    face = a_face()
    own = replace(face, scheme=replace(face.scheme, name="mylab"))
    bare = replace(own, scheme=replace(own.scheme, distances=(), angles=()))

    taken, shipped = by_code(measure(own)), by_code(measure(face))

    assert len(taken) < len(shipped)
    figures = ("kind", "value", "unit", "expected_error", "landmarks")
    for code, entry in taken.items():
        got, usual = (
            tuple(getattr(each, figure) for figure in figures) for each in (entry, shipped[code])
        )
        assert got == usual
    assert sum(entry.kind == "distance" for entry in taken.values()) == len(own.scheme.distances)
    assert {entry.kind for entry in measure(bare)} == {"asymmetry"}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"kind": "area"}, "kind of"),
        ({"landmarks": ["a"]}, "takes 2 landmarks"),
        ({"source": "nobody"}, "unexplained"),
        ({"landmarks": ["a", "a"]}, "distance 'd' must be taken between different landmarks"),
        ({"kind": "angle", "landmarks": ["a", "b", "a"]}, "different landmarks; got a, b, a"),
        ({"kind": "arc", "landmarks": ["a", "b", "b"]}, "different landmarks; got a, b, b"),
        ({"kind": "index", "landmarks": ["a", "a", "a", "b"]}, "different landmarks; got a, a"),
        ({"kind": "index", "landmarks": ["a", "b", "c", "c"]}, "different landmarks; got c, c"),
        ({"colour": "red"}, "entry 1 of 'measurements' has the unknown colour; known keys: code"),
        ({"landmarks": "ab"}, "'landmarks' of entry 1 .* must be a list of codes; got 'ab'"),
        ({"landmarks": 7}, "'landmarks' of entry 1 .* must be a list of codes; got 7"),
        ({"landmarks": ["a", 7]}, r"must be a list of codes; got \['a', 7\]"),
        ({"kind": []}, "'kind' of entry 1 .* must be text on one line"),
        ({"code": 3}, "'code' of entry 1 .* must be text on one line; got 3"),
        ({"name": None}, "'name' of entry 1 .* must be text"),
        ({"source": {}}, "'source' of entry 1 .* must be text"),
    ],
)
def test_load_measurement_plan_faulty_row_is_refused_with_file(tmp_path, row, says):
    good = {"code": "d", "name": "D", "kind": "distance", "landmarks": ["a", "b"]}

    with pytest.raises(FormatError, match=rf"plan\.json: .*{says}"):
        load_measurement_plan(write_plan(tmp_path, good | row))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scheme": 1}, "'scheme' of the plan must be text on one line; got 1"),
        ({"sources": "lab"}, "'sources' must be a JSON object of texts; got 'lab'"),
        ({"sources": {"lab": 7}}, "'sources' must be a JSON object of texts"),
        ({"measurements": {}}, "'measurements' must be a list; got dict"),
        ({"measurements": ["d"]}, "entry 1 of 'measurements' must be a JSON object; got str"),
        ({"measurement": []}, "the plan has the unknown measurement; known keys: measurements"),
    ],
)
def test_load_measurement_plan_of_wrong_types_is_refused_with_the_field(tmp_path, change, says):
    with pytest.raises(FormatError, match=rf"plan\.json: {says}"):
        load_measurement_plan(write_plan(tmp_path, **change))


@pytest.mark.parametrize(
    ("text", "says"),
    [("[" * 100_000, "is not JSON .*nested too deeply"), ("[]", "the plan must be a JSON obj")],
)
def test_load_measurement_plan_of_anything_else_is_refused(tmp_path, text, says):
    path = tmp_path / "plan.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(FormatError, match=rf"plan\.json: {says}"):
        load_measurement_plan(path)


def a_sheet(is_open=lambda x, y: False, n=41):
    """A flat square of 100 mm, without the squares whose middle `is_open`."""
    x, y = np.meshgrid(np.linspace(-50, 50, n), np.linspace(-50, 50, n))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(n * n)], axis=1)
    index = np.arange(n * n).reshape(n, n)
    corners = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=2)
    corners = corners.reshape(-1, 4)
    middles = points[corners].mean(axis=1)
    kept = corners[[not is_open(*middle[:2]) for middle in middles]]
    return points, np.concatenate([kept[:, :3], kept[:, [0, 2, 3]]]).astype(np.int32)


def test_arc_that_goes_round_a_hole_is_refused():
    # A ring: between two neighbours across a slit the only way left is the long one.
    around = np.linspace(0, 2 * np.pi, 200)[:-1]
    low, high = (
        np.stack([40 * np.cos(around), 40 * np.sin(around), np.full(199, z)], axis=1)
        for z in (-10.0, 10.0)
    )
    points = np.vstack([low, high])
    first = np.arange(10, 198)  # the rows before are the slit
    quads = np.stack([first, first + 1, first + 200, first + 199], axis=1)
    triangles = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]]).astype(np.int32)
    ends = np.array([[40 * np.cos(a), 40 * np.sin(a), 0.0] for a in (around[12], around[195])])

    with pytest.raises(SectionError, match="diverts the arc"):
        Arc(ends, points, triangles).trace()


def test_arc_over_a_ridge_twice_as_long_as_the_straight_way_is_refused():
    across = np.array([[-30.0, 0], [-10, 0], [0, 10 * 3**0.5], [10, 0], [30, 0]])
    points = np.array([[x, y, z] for x, z in across for y in (-20.0, 20.0)])
    first = np.arange(0, 8, 2)
    triangles = np.concatenate(
        [np.stack([first, first + 2, first + 1], 1), np.stack([first + 1, first + 2, first + 3], 1)]
    )
    ends = np.array([[-10.0, 0, 0], [10, 0, 0]])

    with pytest.raises(SectionError, match="diverts the arc"):
        Arc(ends, points, triangles.astype(np.int32)).trace()


def test_landmarks_thirty_millimetres_off_are_of_another_scan():
    mesh, landmarks = read_mesh(example_scan()), a_face()
    above = replace(landmarks, positions=landmarks.positions - [0.0, 30.0, 0.0])

    match_scan(mesh, landmarks)
    with pytest.raises(MeshError, match="must lie on the scan"):
        match_scan(mesh, above)


def test_landmarks_between_the_vertices_of_a_coarse_scan_are_of_it():
    """A reconstruction of some hundred vertices is detected on, and so is to be measured."""
    mesh, landmarks = thin_mesh(read_mesh(example_scan()), 20.0), a_face()
    found = project_onto_triangles(prepare_surface(mesh, parse_unit("mm")), landmarks.positions_mm)
    on_skin = found.points_mm
    assert np.median(KDTree(mesh.points).query(on_skin)[0]) > 6.0

    match_scan(mesh, replace(landmarks, positions=on_skin))
    with pytest.raises(MeshError, match="half of them are more than 31 mm away"):
        match_scan(mesh, replace(landmarks, positions=on_skin - [0.0, 40.0, 0.0]))


def test_landmarks_in_other_axes_are_told_where_they_come_to_lie_near_the_scan_too():
    """A face whose numbers begin in its middle: turned about z it lies 3 mm off itself."""
    mesh, landmarks = read_mesh(example_scan()), a_face()
    mean_mm = atlas_of(landmarks.scheme).landmark_mean_mm
    pose = fit_similarity(landmarks.positions_mm, mean_mm, with_scale=False)
    mesh = replace(mesh, points=apply_similarity(pose, mesh.points))
    landmarks = replace(landmarks, positions=apply_similarity(pose, landmarks.positions))
    turned = replace(landmarks, positions=landmarks.positions * [-1.0, -1.0, 1.0])
    assert np.median(KDTree(mesh.points).query(turned.positions)[0]) < 4.0

    match_scan(mesh, landmarks)
    with pytest.raises(MeshError, match="fit with x and y negated: LPS was taken for RAS"):
        match_scan(mesh, turned)
    others = set(landmarks.scheme.codes) - {"sn", "ls", "sto", "g", "prn", "c", "n"}
    match_scan(mesh, without(turned, *others))  # too few to tell


def test_arc_at_the_edge_of_a_hole_takes_its_error_from_the_side_that_is_there():
    points, triangles = a_sheet(is_open=lambda x, y: abs(x) < 10 and -30 < y < -0.1)
    ends = np.array([[-30.0, 0.4, 0], [30.0, 0.4, 0]])

    error = Arc(ends, points, triangles).expected_error(np.array([2.0, 2.0]))

    # Flat: moving an end across the tape changes nothing, along it all.
    assert error == pytest.approx(0.5 * np.hypot(2, 2), rel=0.01)


def test_asymmetry_takes_lists_and_refuses_other_shapes(the_scheme):
    points = np.random.default_rng(1).normal(size=(len(the_scheme), 3))
    mirror = the_scheme.mirror

    np.testing.assert_array_equal(
        measure_asymmetry(points.tolist(), mirror.tolist()), measure_asymmetry(points, mirror)
    )
    with pytest.raises(ValueError, match=r"a row for each of 5 points; got \(50,\)"):
        measure_asymmetry(points[:5], mirror)
    with pytest.raises(ValueError, match=r"got \(3, 50\)\. Transpose it"):
        measure_asymmetry(points.T, mirror)
    masked = np.ma.masked_array(points, np.arange(50)[:, None] == [[3] * 3])
    points[3] = np.nan
    np.testing.assert_array_equal(
        measure_asymmetry(masked, mirror), measure_asymmetry(points, mirror)
    )


@pytest.mark.parametrize("mirror", [[0, 1, 2, 5], [0, 1, 2, -1], [1, 2, 0, 3], [0, 0, 0, 0]])
def test_measure_asymmetry_needs_counterparts_of_each_other(mirror):
    with pytest.raises(ValueError, match=r"mirror must hold 0 to 3, .*: scheme\.mirror"):
        measure_asymmetry(np.eye(4)[:, :3], mirror)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"plan": "palnet50"}, "plan must be a MeasurementPlan; got 'palnet50'"),
        ({"surface": "face.ply"}, "surface must be a palnet.Mesh; got str"),
        ({"landmarks": object()}, r"must be a LandmarkSet; got object.*\(detection\.landmarks\)"),
        ({"landmarks": "face.csv"}, "LandmarkSet; got str.*read_landmarks"),
    ],
)
def test_measure_says_what_has_to_be_loaded_first(wrong, message, a_landmark_set):
    with pytest.raises(ValueError, match=message):
        measure(**{"landmarks": a_landmark_set} | wrong)


def test_match_scan_says_what_has_to_be_loaded_first(a_landmark_set):
    mesh = read_mesh(example_scan())

    with pytest.raises(MeshError, match=r"mesh must be a palnet\.Mesh; got str\. Read it"):
        match_scan("face.ply", a_landmark_set)
    with pytest.raises(ValueError, match="landmarks must be a LandmarkSet; got Mesh"):
        match_scan(mesh, mesh)


def test_match_scan_without_a_placed_landmark_says_so(a_landmark_set):
    with pytest.raises(MeshError, match="'case_001' must be placed to lie on a scan; got none"):
        match_scan(read_mesh(example_scan()), without(a_landmark_set, *a_landmark_set.scheme.codes))


def test_plan_for_takes_a_scheme_only():
    with pytest.raises(ValueError, match=r"scheme must be a Scheme; got 'palnet50'\. Load it"):
        plan_for("palnet50")


def test_arcs_on_points_without_triangles_have_a_reason():
    landmarks = read_landmarks(example_truth())
    for points in (np.zeros((0, 3)), landmarks.positions):
        taken = measure(landmarks, Mesh(points, np.zeros((0, 3), dtype=int)))

        reasons = {entry.reason for entry in taken if entry.kind == "arc"}
        assert reasons == {"the scan has points and no triangles"}
