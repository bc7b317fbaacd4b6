# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palnet.errors import FormatError
from palnet.exchange import (
    FormatWarning,
    read_landmarks,
    read_name_table,
    sidecar_path,
    write_landmarks,
)
from palnet.landmarks import LandmarkSet
from palnet.samples import example_truth
from palnet.scheme import Scheme

SLICER_SAVED = Path(__file__).parents[2] / "data" / "slicer_saved.mrk.json"


@pytest.fixture
def a_mrk_file(a_landmark_set, tmp_path):
    path = tmp_path / "face.mrk.json"
    write_landmarks(a_landmark_set, path)
    return path


@pytest.fixture
def a_markup(a_mrk_file):
    return json.loads(a_mrk_file.read_text(encoding="utf-8"))["markups"][0]


def test_mrk_json_has_what_slicer_and_slicermorph_need(a_markup):
    point = a_markup["controlPoints"][0]

    assert (a_markup["type"], a_markup["fixedNumberOfControlPoints"]) == ("Fiducial", True)
    assert a_markup["lastUsedControlPointNumber"] == len(a_markup["controlPoints"]) == 50
    assert {"label", "description", "position", "positionStatus", "orientation"} <= set(point)


def test_mrk_json_labels_and_definitions_are_the_scheme_s(a_markup, the_scheme):
    told = [(p["label"], p["description"]) for p in a_markup["controlPoints"]]

    assert told == [(m.code, m.definition) for m in the_scheme.landmarks]


def test_mrk_json_landmark_without_position_is_undefined_not_zero(a_markup):
    states = [(p["position"], p["positionStatus"]) for p in a_markup["controlPoints"]]

    assert states[2] == states[5] == ("", "undefined")


def test_mrk_json_numbers_have_no_exponent(a_landmark_set, tmp_path):
    from dataclasses import replace

    path = tmp_path / "small.mrk.json"
    tiny = replace(a_landmark_set, positions=a_landmark_set.positions * 1e-4)

    write_landmarks(tiny, path)

    assert not re.search(r"\d[eE][-+]?\d", path.read_text(encoding="utf-8").split("\n", 1)[1])


@pytest.mark.parametrize(("space", "first"), [("LPS", -1.0), ("RAS", 1.0)])
def test_convention_mrk_json_orientation_turns_the_file_s_axes_to_ras(
    a_landmark_set, tmp_path, space, first
):
    path = tmp_path / "face.mrk.json"

    write_landmarks(a_landmark_set, path, frame=space)

    markup = json.loads(path.read_text(encoding="utf-8"))["markups"][0]
    matrix = np.reshape(markup["controlPoints"][0]["orientation"], (3, 3))
    assert markup["coordinateSystem"] == space
    assert np.array_equal(matrix, np.diag([first, first, 1.0]))


def test_convention_mrk_json_frame_file_holds_the_file_s_numbers(a_markup, a_landmark_set):
    point = a_markup["controlPoints"][0]["position"]

    np.testing.assert_allclose(point, a_landmark_set.positions[0], atol=5.1e-7)
    assert (a_markup["coordinateSystem"], a_markup["coordinateUnits"]) == ("RAS", "mm")


def test_mrk_json_saved_by_slicer_keeps_errors_status_and_millimeters(a_small_scheme):
    landmarks = read_landmarks(SLICER_SAVED, a_small_scheme)

    # Slicer drops our own entry: the frame is its anatomical one, the unit still known.
    assert (landmarks.frame, landmarks.mm_per_unit) == ("LPS", 1.0)
    assert landmarks.status == ("corrected", "missing", "detected")
    np.testing.assert_allclose(landmarks.expected_error_mm, [np.nan, np.nan, 1.25])
    np.testing.assert_allclose(landmarks.positions[0], [1.0, -20.0, 95.5], atol=1e-9)


def test_convention_mrk_json_of_slicer_alone_is_in_the_frame_file_if_asked(a_small_scheme):
    landmarks = read_landmarks(SLICER_SAVED, a_small_scheme, frame="file")

    assert (landmarks.frame, landmarks.space, landmarks.mm_per_unit) == ("file", "LPS", 1000.0)
    np.testing.assert_allclose(landmarks.positions[0], [0.001, -0.02, 0.0955], atol=1e-12)


@pytest.mark.parametrize(("written", "asked"), [("file", "RAS"), ("LPS", "RAS"), ("RAS", "file")])
def test_mrk_json_in_another_frame_than_asked_is_refused(written, asked, a_whole_set, tmp_path):
    path = tmp_path / "face.mrk.json"
    write_landmarks(a_whole_set, path, frame=written)

    with pytest.raises(FormatError, match=f"is in frame {written}; you asked for {asked}"):
        read_landmarks(path, frame=asked)
    with pytest.warns(FormatWarning, match=f"is in frame {written}; you asked for {asked}"):
        assert read_landmarks(path, frame=asked, strict=False).frame == written


def write_of(scheme, path):
    """Landmarks of a scheme, as they are written."""
    positions = np.arange(3.0 * len(scheme)).reshape(-1, 3)
    status = ("detected",) * len(scheme)
    errors = np.full(len(scheme), 1.5)
    write_landmarks(LandmarkSet(scheme, positions, status, errors, 1.0, "LPS", "face"), path)
    return path


def test_mrk_json_brings_a_lab_s_own_scheme_along(a_small_scheme, tmp_path):
    path = write_of(a_small_scheme, tmp_path / "face.mrk.json")

    assert read_landmarks(path).scheme == a_small_scheme


def test_mrk_json_prefers_the_scheme_it_carries_to_a_shipped_one_of_its_name(tmp_path, the_scheme):
    other = Scheme(the_scheme.name, the_scheme.landmarks[:12])
    path = write_of(other, tmp_path / "face.mrk.json")

    assert read_landmarks(path).scheme == other


def test_mrk_json_carries_no_scheme_that_palnet_has(a_markup):
    assert "palnet scheme" not in [entry["name"] for entry in a_markup["measurements"]]


@pytest.mark.parametrize("suffix", ["mrk.json", "csv", "tps"])
def test_scheme_of_another_name_with_the_same_codes_is_doubted(suffix, a_small_scheme, tmp_path):
    """Landmarks of a lab became another's with the same codes, without a word."""
    path = write_of(a_small_scheme, tmp_path / f"face.{suffix}")
    asked = replace(a_small_scheme, name="other")
    told = r"says that its landmarks are those of scheme 'lab3', not 'other'"

    with pytest.raises(FormatError, match=told):
        read_landmarks(path, asked)
    with pytest.warns(FormatWarning, match=told):
        landmarks = read_landmarks(path, asked, strict=False)

    assert landmarks.scheme is asked
    assert read_landmarks(path, replace(asked, name="lab3")).scheme.name == "lab3"


def test_table_of_names_translates_a_file_that_states_its_scheme(a_small_scheme, tmp_path):
    path = write_of(a_small_scheme, tmp_path / "face.mrk.json")
    rows = [f"{code},{code}" for code in a_small_scheme.codes]
    (tmp_path / "n.csv").write_text("\n".join(["their name,our code", *rows]), encoding="utf-8")
    names = read_name_table(tmp_path / "n.csv", replace(a_small_scheme, name="other"))

    landmarks = names.translate(read_landmarks(path, names.reading_scheme))

    assert landmarks.scheme.name == "other"
    assert np.array_equal(landmarks.positions, read_landmarks(path).positions)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"scheme": "lab3"}', "[" * 100_000])
def test_mrk_json_with_a_damaged_scheme_raises(text, a_small_scheme, tmp_path):
    path = write_of(a_small_scheme, tmp_path / "face.mrk.json")

    def damage(markup):
        markup["measurements"][-1].update(description=text)

    with pytest.raises(FormatError, match=r"face\.mrk\.json: its landmark scheme is damaged"):
        read_changed(path, damage)


def test_mrk_json_of_another_program_is_a_person_s_work(a_mrk_file, a_landmark_set):
    content = json.loads(a_mrk_file.read_text(encoding="utf-8"))
    markup = content["markups"][0]
    for key in ("palnet", "measurements", "display", "coordinateUnits"):
        del markup[key]
    a_mrk_file.write_text(json.dumps(content), encoding="utf-8")

    landmarks = read_landmarks(a_mrk_file)

    assert set(landmarks.status) == {"corrected", "undefined"}
    assert (landmarks.frame, landmarks.specimen) == ("RAS", "face")


@pytest.mark.parametrize("factor", [1.0, 1e-3])
@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_mrk_json_point_that_was_moved_elsewhere_is_corrected(space, factor, tmp_path):
    """Slicer without our module moves it, keeps status and error, and names all axes LPS."""
    face = replace(read_landmarks(example_truth()), status=("detected",) * 50, space=space)
    face = replace(face, positions=face.positions * factor, mm_per_unit=1 / factor)
    face = replace(face, expected_error_mm=np.full(50, 1.5))
    path = tmp_path / "face.mrk.json"
    write_landmarks(face, path)

    def move(*rows):
        content = json.loads(path.read_text(encoding="utf-8"))
        markup = content["markups"][0]
        if space == "RAS":
            for point in markup["controlPoints"]:
                point["position"] = [-point["position"][0], -point["position"][1],
                                     point["position"][2]]  # fmt: skip
            markup["coordinateSystem"] = "LPS"
        for row in rows:
            markup["controlPoints"][row]["position"][2] += 0.3 * factor
        moved = tmp_path / "moved.mrk.json"
        moved.write_text(json.dumps(content), encoding="utf-8")
        return read_landmarks(moved)

    untouched, found, shifted = move(), move(0, 7), move(*range(50))

    assert set(untouched.status) == {"detected"}
    assert [index for index, s in enumerate(found.status) if s == "corrected"] == [0, 7]
    assert np.flatnonzero(np.isnan(found.expected_error_mm)).tolist() == [0, 7]
    assert set(shifted.status) == {"detected"}  # a transform was hardened


def test_mrk_json_point_placed_after_detection_is_corrected(a_mrk_file):
    def place(markup):
        markup["controlPoints"][2].update(position=[1.0, 2.0, 3.0], positionStatus="defined")

    assert read_changed(a_mrk_file, place).status[2] == "corrected"


def test_mrk_json_point_unset_after_detection_is_undefined(a_mrk_file, a_landmark_set):
    def unset(markup):
        markup["controlPoints"][0].update(position="", positionStatus="undefined")

    landmarks = read_changed(a_mrk_file, unset)

    assert landmarks.status[0] == "undefined"
    assert np.isnan(landmarks.positions[0]).all()
    expected = a_landmark_set.expected_error_mm
    assert not np.isnan(expected[0])
    assert np.isnan(landmarks.expected_error_mm).tolist() == [True, *np.isnan(expected[1:])]


def test_mrk_json_point_as_morpho_writes_a_missing_one_is_undefined(a_mrk_file, a_landmark_set):
    """write.slicerjson writes NA as text, and calls the point defined."""

    def miss(markup):
        markup["controlPoints"][0].update(position=["NA", "NA", "NA"], positionStatus="defined")
        del markup["palnet"], markup["measurements"]

    landmarks = read_changed(a_mrk_file, miss)

    assert landmarks.status[0] == "undefined"
    np.testing.assert_array_equal(landmarks.is_placed[1:], a_landmark_set.is_placed[1:])
    assert np.isnan(landmarks.positions[0]).all()


@pytest.mark.parametrize("is_ours", [True, False])
def test_mrk_json_point_that_slicer_calls_missing_is_missing(a_mrk_file, is_ours):
    def miss(markup):
        markup["controlPoints"][0].update(position="", positionStatus="missing")
        if not is_ours:
            del markup["palnet"], markup["measurements"]

    landmarks = read_changed(a_mrk_file, miss)

    assert landmarks.status[0] == "missing"
    assert np.isnan(landmarks.positions[0]).all()


def test_mrk_json_of_micrometers_is_read_in_millimeters(a_mrk_file, a_landmark_set):
    def relabel(markup):
        del markup["palnet"], markup["measurements"]
        markup["coordinateUnits"] = ["um", "UCUM", "micrometer"]

    landmarks = read_changed(a_mrk_file, relabel)

    np.testing.assert_allclose(landmarks.positions, a_landmark_set.positions * 1e-3, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m["controlPoints"].pop(),
            "must be the 50 landmarks .* got 49 that differ in ch_l",
        ),
        (lambda m: m.update(controlPoints=None), "got 0 that differ"),
        (lambda m: m.update(controlPoints=[1, 2]), "got 0 that differ"),
        (lambda m: m["controlPoints"][0].update(label="q"), "differ in q, tr"),
        (lambda m: m["controlPoints"][0].update(position=[1, 2]), "position of control point 'tr'"),
        (
            lambda m: m["controlPoints"][0].update(position=""),
            "Set its positionStatus to undefined",
        ),
        (lambda m: m["controlPoints"][0].update(position=[1, 2, "x"]), "must be three numbers"),
        (lambda m: m["controlPoints"][0].pop("position"), "must be three numbers; got None"),
        (lambda m: m.update(type="Curve"), "expected a point list .Fiducial.; got 'Curve'"),
        (lambda m: m.update(coordinateSystem="IJK"), "coordinateSystem must be LPS or RAS"),
        (lambda m: m.update(coordinateUnits="foot"), "coordinateUnits must be one of mm"),
        (lambda m: m["palnet"].update(scheme="../lab.json"), "its scheme '../lab.json' is not one"),
        (
            lambda m: m["measurements"][0].update(controlPointValues=[1.0]),
            "measurement 'expected error' must hold 50 numbers",
        ),
    ],
)
def test_mrk_json_spoilt_file_raises(a_mrk_file, change, message):
    with pytest.raises(FormatError, match=rf"face\.mrk\.json:.*{message}"):
        read_changed(a_mrk_file, change)


@pytest.mark.parametrize("lists", [[3], {}, None, "abc", []])
def test_mrk_json_without_a_list_raises(a_mrk_file, lists):
    content = json.loads(a_mrk_file.read_text(encoding="utf-8"))
    a_mrk_file.write_text(json.dumps(content | {"markups": lists}), encoding="utf-8")

    with pytest.raises(FormatError, match=r"face\.mrk\.json: expected one point list"):
        read_landmarks(a_mrk_file)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"markups"'])
def test_mrk_json_that_is_no_object_raises(a_mrk_file, text):
    a_mrk_file.write_text(text, encoding="utf-8")

    with pytest.raises(FormatError, match=r"face\.mrk\.json: expected a markups file of schema 1"):
        read_landmarks(a_mrk_file)


def test_mrk_json_whose_entry_of_ours_is_another_program_s_is_read(a_mrk_file, a_landmark_set):
    landmarks = read_changed(a_mrk_file, lambda markup: markup.update(palnet=[1]))

    assert (landmarks.specimen, landmarks.frame) == ("face", a_landmark_set.space)


def test_mrk_json_in_another_order_is_read_by_the_names(a_mrk_file, a_landmark_set):
    def reverse(markup):
        markup["controlPoints"].reverse()
        for measurement in markup["measurements"]:
            measurement.get("controlPointValues", []).reverse()

    landmarks = read_changed(a_mrk_file, reverse)

    np.testing.assert_allclose(landmarks.positions, a_landmark_set.positions, atol=5.1e-7)
    np.testing.assert_allclose(
        landmarks.expected_error_mm, a_landmark_set.expected_error_mm, atol=5.1e-7
    )
    assert landmarks.status == a_landmark_set.status


def test_mrk_json_of_slicer_takes_the_unit_that_was_asked_for(a_mrk_file, a_landmark_set):
    def as_slicer_writes(markup):
        del markup["palnet"], markup["measurements"]

    read_changed(a_mrk_file, as_slicer_writes)

    landmarks = read_landmarks(a_mrk_file, mm_per_unit=1000.0)

    expected = a_landmark_set.positions * 1000.0
    np.testing.assert_allclose(landmarks.positions_mm, expected, atol=1e-3)


def test_mrk_json_of_centimeters_keeps_them(a_mrk_file, a_landmark_set):
    def in_centimeters(markup):
        del markup["palnet"], markup["measurements"]
        markup["coordinateUnits"] = "cm"

    read_changed(a_mrk_file, in_centimeters)

    landmarks = read_landmarks(a_mrk_file, mm_per_unit=1.0)

    expected = a_landmark_set.positions * 10.0
    np.testing.assert_allclose(landmarks.positions_mm, expected, atol=1e-5)


def test_mrk_json_read_leniently_gives_errors_to_the_landmarks_they_are_of(
    a_mrk_file, a_landmark_set
):
    def spoil(markup):
        markup["controlPoints"].reverse()
        for measurement in markup["measurements"]:
            measurement.get("controlPointValues", []).reverse()
        markup["controlPoints"][5]["label"] = "nobody"

    with pytest.raises(FormatError):
        read_changed(a_mrk_file, spoil)
    with pytest.warns(FormatWarning):
        landmarks = read_landmarks(a_mrk_file, strict=False)

    is_there = np.arange(50) != 44
    np.testing.assert_allclose(
        landmarks.expected_error_mm[is_there],
        a_landmark_set.expected_error_mm[is_there],
        atol=5.1e-7,
    )
    assert np.isnan(landmarks.expected_error_mm[44])
    assert landmarks.status[44] == "undefined"
    expected = [s for k, s in enumerate(a_landmark_set.status) if k != 44]
    assert [s for k, s in enumerate(landmarks.status) if k != 44] == expected


def test_mrk_json_that_says_its_unit_keeps_it(a_mrk_file, a_landmark_set):
    landmarks = read_landmarks(a_mrk_file, mm_per_unit=123.0)

    np.testing.assert_allclose(landmarks.positions_mm, a_landmark_set.positions_mm, atol=1e-3)


@pytest.mark.parametrize("mm_per_unit", [1e-10, 0.1 + 0.2, 25.4, 1e6])
def test_mrk_json_keeps_its_unit_to_the_last_digit(mm_per_unit, a_landmark_set, tmp_path):
    path = tmp_path / "face.mrk.json"

    write_landmarks(replace(a_landmark_set, mm_per_unit=np.float64(mm_per_unit)), path)

    assert read_landmarks(path).mm_per_unit == mm_per_unit


def test_mrk_json_cut_short_names_the_line(a_mrk_file):
    lines = a_mrk_file.read_text(encoding="utf-8").splitlines()
    a_mrk_file.write_text("\n".join(lines[:20]), encoding="utf-8")

    with pytest.raises(FormatError, match=r"face\.mrk\.json:20: is not JSON"):
        read_landmarks(a_mrk_file)


def test_mrk_json_of_another_schema_raises(a_mrk_file):
    text = a_mrk_file.read_text(encoding="utf-8").replace("schema-v1.0.3", "schema-v2.0.0")
    a_mrk_file.write_text(text, encoding="utf-8")

    with pytest.raises(FormatError, match=r"expected a markups file of schema 1\.x"):
        read_landmarks(a_mrk_file)


def test_mrk_json_with_two_lists_raises(a_mrk_file):
    content = json.loads(a_mrk_file.read_text(encoding="utf-8"))
    content["markups"] *= 2
    a_mrk_file.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(FormatError, match="expected one point list; got 2"):
        read_landmarks(a_mrk_file)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=json_values)
def test_mrk_json_with_anything_anywhere_is_read_or_named(a_mrk_file, a_markup, data, value):
    place = {"markups": [json.loads(json.dumps(a_markup))]}
    content = {"@schema": "markups-schema-v1.0.3.json#", **place}
    step = content
    while True:
        key = data.draw(st.sampled_from(range(len(step)) if isinstance(step, list) else list(step)))
        if not step[key] or isinstance(step[key], str | int | float) or data.draw(st.booleans()):
            break
        step = step[key]
    step[key] = value
    path = a_mrk_file.with_name("damaged.mrk.json")
    path.write_text(json.dumps(content), encoding="utf-8")

    assert read_or_message(path).startswith(("50 landmarks", str(path)))


def read_or_message(path):
    try:
        return f"{len(read_landmarks(path))} landmarks"
    except FormatError as err:
        return str(err)


def read_changed(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["markups"][0])
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_landmarks(path)


@pytest.mark.parametrize(("number", "space"), [("0", "RAS"), ("1", "LPS")])
@pytest.mark.parametrize("suffix", [".fcsv", ".mrk.json"])
def test_numbers_of_older_slicers_name_the_axes(number, space, suffix, tmp_path):
    """Slicer 4 wrote 0 and 1; exchanged, they would mirror every landmark in x and y."""
    path = tmp_path / f"face{suffix}"
    lps = replace(read_landmarks(example_truth()), frame="LPS", space="LPS")
    write_landmarks(lps, path)
    sidecar_path(path).unlink(missing_ok=True)  # Slicer writes none
    text = path.read_text(encoding="utf-8")
    numbered = text.replace("CoordinateSystem = LPS", f"CoordinateSystem = {number}").replace(
        '"coordinateSystem": "LPS"', f'"coordinateSystem": "{number}"'
    )
    assert numbered != text
    path.write_text(numbered, encoding="utf-8")

    assert read_landmarks(path).space == space
