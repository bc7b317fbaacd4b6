# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from painted_face import find_example, paint_example
from palnet import Mesh, detect
from palnet.detection import combining
from palnet.detection.combining import (
    ANOTHER_MM,
    MOST_APART_MM,
    MOST_SHIFTED_MM,
    SEEN_BY_COLOR,
    combine_with_color,
)
from palnet.detection.placing import place_landmarks
from palnet.exchange import read_landmarks
from palnet.model import read_model
from palnet.photo import PhotoOpinion
from palnet.photo.network import read_photo_network
from palnet.samples import example_scan, example_truth
from palnet.scheme import load_scheme
from palnet.similarity import apply_similarity, similarity_scale
from palnet.surface import prepare_surface, project_onto_triangles, read_mesh

CODES = load_scheme().codes
ASKED = [CODES.index(code) for code in SEEN_BY_COLOR]
OTHERS = [row for row in range(len(CODES)) if row not in ASKED]


@pytest.fixture(scope="module")
def a_mesh():
    return paint_example()


@pytest.fixture(scope="module")
def a_found(a_mesh):
    found, _ = find_example(a_mesh)
    return found


@pytest.fixture(scope="module")
def a_placement(a_found):
    return place_landmarks(a_found, read_model())


def _shape_mm(found, placement):
    return apply_similarity(found.face_from_scan, placement.positions_mm)


@pytest.fixture
def combine(a_found, a_placement, a_mesh, monkeypatch):
    """Let the network for photographs see the landmarks beside where the shape has them."""

    def combine(shifts_mm, placement=a_placement, model=None):
        codes = read_photo_network().codes
        at = _shape_mm(a_found, a_placement)[[CODES.index(code) for code in codes]]
        beside = [
            SEEN_BY_COLOR[code].beside_mm if code in SEEN_BY_COLOR else 3 * (0,) for code in codes
        ]
        shifts = np.array([shifts_mm.get(code, (0.0, 0.0, 0.0)) for code in codes])
        opinion = PhotoOpinion(codes, at + beside + shifts, 6, "hash")
        monkeypatch.setattr(combining, "look_at_face", lambda *_: opinion)
        return combine_with_color(placement, a_found, a_mesh, model or read_model())

    return combine


def _without(placement, codes):
    """Return the placement in which the scan does not show some landmarks."""
    is_placed = placement.is_placed.copy()
    is_placed[[CODES.index(code) for code in codes]] = False
    return replace(placement, is_placed=is_placed)


def test_without_color_nothing_changes(a_found, a_placement, a_mesh):
    combined = combine_with_color(a_placement, a_found, replace(a_mesh, colors=None), read_model())

    assert combined.placement is a_placement
    assert (combined.findings, combined.record) == ((), None)


def test_a_model_of_a_lab_follows_its_annotators(a_found, a_placement, a_mesh):
    model = read_model()
    own_people = replace(model.calibration, source_factor=1.0, source_power=1.0)
    of_a_lab = replace(model, calibration=own_people)

    assert combine_with_color(a_placement, a_found, a_mesh, of_a_lab).placement is a_placement


@pytest.mark.parametrize("code", ["ls", "li", "en_r", "ch_l"])
def test_both_are_weighted_by_their_errors(code, combine, a_found, a_placement):
    # Small, so that the projection onto the triangles changes little.
    shift = np.array([0.6, 0.0, 0.0])
    row, scale = CODES.index(code), similarity_scale(a_found.face_from_scan)

    combined, _, record = combine({code: shift})

    shape, color = a_placement.expected_error_mm[row] * scale, SEEN_BY_COLOR[code].error_mm
    weight = shape**2 / (shape**2 + color**2)
    expected = _shape_mm(a_found, a_placement)[row] + weight * shift
    onto = project_onto_triangles(a_found.face, expected[None]).points_mm[0]
    np.testing.assert_allclose(_shape_mm(a_found, combined)[row], onto, atol=1e-9)
    assert combined.expected_error_mm[row] == pytest.approx(
        shape * color / np.hypot(shape, color) / scale
    )
    apart_mm = dict.fromkeys(SEEN_BY_COLOR, 0.0) | {code: 0.6 / scale}
    assert record == {
        "used": True,
        "network_sha256": "hash",
        "pictures": 6,
        "apart_mm": pytest.approx(apart_mm, abs=0.00501),
    }


def test_what_contradicts_is_expected_to_be_farther_off(combine, a_found, a_placement):
    rows, scale = [CODES.index("li"), CODES.index("ls")], similarity_scale(a_found.face_from_scan)
    shape = a_placement.expected_error_mm[rows] * scale
    color = np.array([SEEN_BY_COLOR[code].error_mm for code in ("li", "ls")])
    together = np.hypot(shape, color)
    errors = []
    for ratio in (0.5, 1.0, 2.0, 3.0):
        combined = combine({"li": (0, -ratio * together[0], 0)})
        errors.append(combined.placement.expected_error_mm[rows])

    agreeing = shape * color / together / scale
    np.testing.assert_allclose(errors, agreeing * [[1, 1], [1, 1], [2, 1], [3, 1]], rtol=1e-9)


def test_only_lips_and_inner_corners_of_the_eyes_are_asked_about(combine, a_placement):
    combined = combine(dict.fromkeys(read_photo_network().codes, (1.0, 1.0, 0.0)))

    after, before = combined.placement, a_placement
    for name in ("positions_mm", "expected_error_mm", "is_placed"):
        np.testing.assert_array_equal(getattr(after, name)[OTHERS], getattr(before, name)[OTHERS])
    assert (after.positions_mm[ASKED] != before.positions_mm[ASKED]).any(axis=1).all()
    assert list(combined.record["apart_mm"]) == list(SEEN_BY_COLOR)


def test_what_the_scan_does_not_show_stays_missing(combine, a_placement):
    without = _without(a_placement, ["li"])

    combined = combine({"li": (0, -3, 0), "ls": (np.nan,) * 3}, without)

    np.testing.assert_array_equal(combined.placement.is_placed, without.is_placed)
    for code in ("li", "ls"):
        row = CODES.index(code)
        np.testing.assert_array_equal(
            combined.placement.positions_mm[row], without.positions_mm[row]
        )
    assert set(combined.record["apart_mm"]) == set(SEEN_BY_COLOR) - {"li", "ls"}


def test_what_was_seen_on_something_else_is_left_to_the_shape(combine, a_placement):
    row = CODES.index("li")

    left, drawn = (combine({"li": (0, 0, ANOTHER_MM + by_mm)}) for by_mm in (0.01, -0.01))

    np.testing.assert_array_equal(left.placement.positions_mm[row], a_placement.positions_mm[row])
    assert left.placement.expected_error_mm[row] == a_placement.expected_error_mm[row]
    assert "li" not in left.record["apart_mm"]
    assert drawn.placement.expected_error_mm[row] > 2 * a_placement.expected_error_mm[row]


def test_colors_are_not_called_used_if_they_move_no_landmark(combine, a_placement):
    placement = _without(a_placement, SEEN_BY_COLOR)

    combined = combine({}, placement)

    assert combined.placement is placement
    assert combined.record == {"used": False, "reason": "the colors show none of the landmarks"}


def test_the_network_knows_all_that_it_is_asked_about():
    assert set(SEEN_BY_COLOR) <= set(read_photo_network().codes)


def test_both_sides_are_treated_as_mirror_images():
    for code, seen in SEEN_BY_COLOR.items():
        twin = SEEN_BY_COLOR[code[:-2] + {"_r": "_l", "_l": "_r"}.get(code[-2:], code[-2:])]
        assert seen.error_mm == twin.error_mm
        np.testing.assert_array_equal(np.array(seen.beside_mm) * [-1, 1, 1], twin.beside_mm)


@pytest.mark.parametrize("unknown", [set(CODES), set(SEEN_BY_COLOR)])
def test_a_scheme_without_these_landmarks_is_left_alone(unknown, combine, a_placement):
    model = read_model()
    landmarks = tuple(
        replace(each, code=f"of_{each.code}") if each.code in unknown else each
        for each in model.scheme.landmarks
    )
    scheme = replace(model.scheme, landmarks=landmarks, distances=(), angles=())

    combined = combine({}, model=replace(model, scheme=scheme))

    assert combined.placement is a_placement
    assert combined.record == {"used": False, "reason": "the colors show none of the landmarks"}


def test_a_texture_of_another_scan_is_not_used_and_said(combine, a_placement):
    combined = combine(dict.fromkeys(read_photo_network().codes, (0.0, 7.0, 0.0)))

    assert combined.placement is a_placement
    reason = "shape and color contradict each other"
    assert combined.record == {"used": False, "reason": reason}
    (finding,) = combined.findings
    assert finding.code == "color"
    assert "Check whether the texture belongs to the scan" in finding.message


@pytest.mark.parametrize(
    ("mm", "is_one_way", "is_used"),
    [
        (MOST_SHIFTED_MM - 0.01, True, True),
        (MOST_SHIFTED_MM + 0.01, True, False),
        (MOST_SHIFTED_MM + 0.01, False, True),
        (MOST_APART_MM - 0.01, False, True),
        (MOST_APART_MM + 0.01, False, False),
    ],
)
def test_a_texture_that_lies_beside_its_place_is_told_from_errors_in_all_directions(
    mm, is_one_way, is_used, combine
):
    signs = {
        code: 1 if is_one_way or number % 2 else -1 for number, code in enumerate(SEEN_BY_COLOR)
    }

    combined = combine(
        {code: (0.6 * mm * sign, -0.8 * mm * sign, 0.0) for code, sign in signs.items()}
    )

    assert combined.record["used"] is is_used
    assert [each.code for each in combined.findings] == ["color"] * (not is_used)


@pytest.mark.parametrize(("lower_mm", "is_used"), [(3.0, True), (5.0, False)])
def test_a_texture_is_used_if_it_lies_near_its_place(lower_mm, is_used, a_mesh, a_found):
    in_mm = a_mesh.points * a_found.surface.unit.mm_per_unit
    points_mm = apply_similarity(a_found.face_from_scan, in_mm)
    _, source = cKDTree(points_mm).query(points_mm - [0.0, -lower_mm, 0.0])

    detection = detect(replace(a_mesh, colors=a_mesh.colors[source]))

    assert detection.provenance["color"]["used"] is is_used
    assert ("color" in [each.code for each in detection.findings]) is not is_used


@pytest.mark.parametrize("n_others", [5, 1])
def test_a_few_that_were_seen_on_something_else_do_not_spoil_the_others(
    n_others, combine, a_placement
):
    """Three on a hand, 20 mm to the left and up."""
    others, strange = tuple(SEEN_BY_COLOR)[:n_others], tuple(SEEN_BY_COLOR)[5:] * (n_others > 3)
    placement = _without(a_placement, set(SEEN_BY_COLOR) - {*others, *strange})

    combined = combine(dict.fromkeys(strange, (16.0, 12.0, 0.0)), placement)

    assert (combined.findings, set(combined.record["apart_mm"])) == ((), set(others))


@pytest.mark.parametrize("is_far", [True, False])
def test_whether_both_see_the_same_face_is_asked_of_what_both_see(is_far, combine, a_placement):
    codes = tuple(SEEN_BY_COLOR)
    hidden, unseen, both = codes[:4], codes[4:5], codes[5:]
    shifts = dict.fromkeys(both, (0.0, 7.0 * is_far, 0.0)) | dict.fromkeys(unseen, 3 * (np.nan,))
    shifts |= dict.fromkeys(hidden, (0.0, 7.0 * (not is_far), 0.0))

    combined = combine(shifts, _without(a_placement, hidden))

    assert [each.code for each in combined.findings] == ["color"] * is_far
    assert combined.record["used"] is not is_far


def test_no_face_in_the_pictures_is_recorded(a_found, a_placement, a_mesh, monkeypatch):
    monkeypatch.setattr(combining, "look_at_face", lambda *_: None)

    combined = combine_with_color(a_placement, a_found, a_mesh, read_model())

    assert combined.placement is a_placement
    assert combined.record == {"used": False, "reason": "no face in the pictures"}


def test_a_detection_by_shape_is_the_same_with_one_color(a_mesh):
    plain = replace(a_mesh, colors=np.full(a_mesh.colors.shape, 180, np.uint8))
    by_shape, by_plain = detect(replace(a_mesh, colors=None)), detect(plain)

    np.testing.assert_array_equal(by_plain.landmarks.positions, by_shape.landmarks.positions)
    assert "color" not in by_shape.provenance
    assert by_plain.provenance["color"]["used"] is False


def test_color_that_is_not_to_be_used_changes_nothing(a_mesh, tmp_path):
    path = tmp_path / "painted.obj"
    # Colors behind the coordinates; so many digits are read back as the same number.
    rows = np.hstack([a_mesh.points, a_mesh.colors / 255])
    text = [f"v {' '.join(f'{value:.17g}' for value in row)}" for row in rows]
    text += [f"f {a} {b} {c}" for a, b, c in a_mesh.triangles + 1]
    path.write_text("\n".join(text), encoding="utf-8")

    plain = detect(replace(a_mesh, colors=None))
    from_memory, from_file = (detect(scan, use_color=False) for scan in (a_mesh, path))

    assert detect(path).provenance["color"]["used"] is True
    for found in (from_memory, from_file):
        np.testing.assert_array_equal(found.landmarks.positions, plain.landmarks.positions)
        assert found.provenance["color"] == {"used": False, "reason": "not asked for"}


def test_painted_lips_draw_the_landmarks_and_raise_what_is_expected():
    truth = read_landmarks(example_truth())
    by_shape = detect(read_mesh(example_scan()))
    lower = detect(paint_example(lips_lower_by_mm=4.0))

    row = CODES.index("li")
    moved = np.linalg.norm(lower.landmarks.positions_mm - by_shape.landmarks.positions_mm, axis=1)
    off = np.linalg.norm(lower.landmarks.positions_mm - truth.positions_mm, axis=1)
    assert moved[row] > 2.0
    assert (moved[OTHERS] == 0).all()
    # Half a face's evidence against the other half: neither is believed, and the user is told.
    assert lower.landmarks.expected_error_mm[row] > 1.5 * by_shape.landmarks.expected_error_mm[row]
    assert off[row] < 2 * lower.landmarks.expected_error_mm[row]


def test_landmarks_in_a_part_without_color_are_placed_by_shape(a_mesh):
    """As where a hole was filled."""
    truth = read_landmarks(example_truth())
    mouth = truth.positions_mm[CODES.index("sto")]
    is_filled = np.linalg.norm(a_mesh.points * truth.mm_per_unit - mouth, axis=1) < 55.0
    colors = np.where(is_filled[:, None], 128, a_mesh.colors).astype(np.uint8)

    ours, by_shape = (detect(replace(a_mesh, colors=each)) for each in (colors, None))

    assert set(ours.provenance["color"]["apart_mm"]) == {"en_r", "en_l"}
    lips = [CODES.index(code) for code in ("ls", "li", "cph_r", "cph_l", "ch_r", "ch_l")]
    for name in ("positions", "expected_error_mm"):
        both = [getattr(each.landmarks, name)[lips] for each in (ours, by_shape)]
        np.testing.assert_array_equal(*both)


@pytest.mark.parametrize(("unit", "factor"), [("m", 0.001), ("in", 1 / 25.4)])
def test_convention_colors_act_alike_in_any_unit_and_order(unit, factor, a_mesh):
    truth = read_landmarks(example_truth())
    order = np.random.default_rng(1).permutation(len(a_mesh.points))
    number = np.argsort(order)
    points_mm = a_mesh.points * truth.mm_per_unit
    other = Mesh(points_mm[order] * factor, number[a_mesh.triangles], colors=a_mesh.colors[order])

    ours = detect(a_mesh, unit=truth.mm_per_unit)
    theirs = detect(other, unit=unit)

    apart = ours.landmarks.positions_mm - theirs.landmarks.positions_mm
    # Another unit rounds differently, which moves single samples of the surface.
    assert np.median(np.linalg.norm(apart[ASKED], axis=1)) < 0.1
    assert theirs.provenance["color"]["apart_mm"].keys() == set(SEEN_BY_COLOR)


def test_the_result_lies_on_the_scan(a_mesh):
    found = detect(a_mesh)
    surface = prepare_surface(a_mesh, found_unit := find_example(a_mesh)[0].surface.unit)
    rows = np.flatnonzero(found.landmarks.is_placed)

    gaps = project_onto_triangles(surface, found.landmarks.positions_mm[rows]).distances_mm

    assert found_unit.mm_per_unit == found.landmarks.mm_per_unit
    assert gaps.max() < 1e-6
