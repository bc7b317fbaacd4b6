# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from palnet.errors import FormatError
from palnet.scheme import (
    Angle,
    Distance,
    LandmarkDefinition,
    Scheme,
    list_schemes,
    load_scheme,
    scheme_from_dict,
    scheme_to_dict,
)


def test_palnet50_has_the_paper_s_landmarks_and_measurements(the_scheme):
    counts = (len(the_scheme), len(the_scheme.distances), len(the_scheme.angles))

    assert counts == (50, 20, 9)


def test_palnet50_names_each_landmark_once_a_side(the_scheme):
    names = {(landmark.name, landmark.side) for landmark in the_scheme.landmarks}

    assert len(names) == len(the_scheme)


def test_index_of_finds_the_row_of_every_code(the_scheme):
    assert [the_scheme.index_of(code) for code in the_scheme.codes] == list(range(50))


def test_index_of_unknown_code_raises(the_scheme):
    with pytest.raises(KeyError, match="no landmark 'nose'"):
        the_scheme.index_of("nose")


def test_convention_mirror_swaps_sides_and_undoes_itself(the_scheme):
    opposite = {"left": "right", "right": "left", "midline": "midline"}
    other = [the_scheme.landmarks[index] for index in the_scheme.mirror]

    assert np.array_equal(the_scheme.mirror[the_scheme.mirror], np.arange(50))
    assert [m.name for m in other] == [m.name for m in the_scheme.landmarks]
    assert [m.side for m in other] == [opposite[m.side] for m in the_scheme.landmarks]


def test_mirror_cannot_be_written_to(the_scheme):
    with pytest.raises(ValueError, match="read-only"):
        the_scheme.mirror[0] = 1


def test_scheme_is_frozen(the_scheme):
    with pytest.raises(dataclasses.FrozenInstanceError, match="name"):
        the_scheme.name = "other"


def test_load_scheme_of_a_lab_reads_its_own_landmarks(a_small_scheme):
    assert a_small_scheme.codes == ("tip", "eye_r", "eye_l")
    assert a_small_scheme.mirror.tolist() == [0, 2, 1]
    assert a_small_scheme.distances[0].b == "eye_l"


def test_load_scheme_takes_the_mirror_that_the_file_names():
    scheme = Scheme(
        "lab",
        (
            LandmarkDefinition("36", "Eye", "right", "Right eye.", mirror="45"),
            LandmarkDefinition("45", "Eye", "left", "Left eye.", mirror="36"),
        ),
    )

    assert scheme.mirror.tolist() == [1, 0]


def test_ibug68_mirrors_as_ibug_does():
    scheme = load_scheme("ibug68")

    # Chin, tip of the nose and the middle of the lips stay; jaw, eyes and mouth corners change.
    pairs = {9: 9, 34: 34, 31: 31, 52: 52, 63: 63, 67: 67, 58: 58, 1: 17, 18: 27, 22: 23, 32: 36}
    pairs |= {37: 46, 40: 43, 41: 48, 42: 47, 49: 55, 60: 56, 61: 65, 66: 68}
    assert {k: int(scheme.mirror[k - 1]) + 1 for k in pairs} == pairs
    assert (scheme.mirror[scheme.mirror] == np.arange(68)).all()
    assert [m.code for m in scheme.landmarks if m.side == "midline"] == [
        *("9", "28", "29", "30", "31", "34", "52", "58", "63", "67")
    ]


@pytest.mark.parametrize(
    "landmarks",
    [
        (("a_r", "left", None), ("a_l", "left", None)),
        (("a", "left", "b"), ("b", "right", "c"), ("c", "left", "b")),
    ],
    ids=["on one side", "not each other's"],
)
def test_landmarks_that_are_no_pair_are_refused(landmarks):
    rows = [LandmarkDefinition(c, c, side, "Somewhere.", mirror=m) for c, side, m in landmarks]

    with pytest.raises(FormatError, match="needs one counterpart"):
        Scheme("lab", tuple(rows))


A_POINT = LandmarkDefinition("a", "A", "midline", "Somewhere.")
B_POINT = LandmarkDefinition("b", "B", "midline", "Elsewhere.")


@pytest.mark.parametrize("number", [np.float32(1.5), np.int64(2), 0, None])
def test_scheme_made_in_python_can_be_written_and_read(number):
    """Numbers as of a table's column; JSON has none of numpy's own types."""
    points = [dataclasses.replace(A_POINT, intra_observer_mm=number), B_POINT]
    scheme = Scheme("lab", points, [Distance("a", "b", number)], source="A lab.")

    again = scheme_from_dict(json.loads(json.dumps(scheme_to_dict(scheme))))

    assert again == scheme
    assert again.distances[0].intra_observer_mm == number


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scheme(None, [A_POINT]), "name of a scheme must be text on one line; got None"),
        (lambda: Scheme("", [A_POINT]), "name of a scheme must be text on one line; got ''"),
        (lambda: Scheme("lab", [A_POINT], source="a\nb"), "source of scheme 'lab' must be text"),
        (lambda: Scheme("lab", ["a", "b"]), r"landmarks .* palnet\.scheme\.LandmarkDefinition"),
        (lambda: Scheme("lab", [A_POINT, B_POINT], [("a", "b")]), r"scheme\.Distance; got \('a'"),
        (lambda: of_a_point(code=1), r"code may hold letters.*got 1"),
        (lambda: of_a_point(name=None), r"name of landmark 'a' must be text.*got None"),
        (lambda: of_a_point(definition=""), "definition of landmark 'a' must be text"),
        (lambda: of_a_point(definition="a\nb"), "definition of landmark 'a' must be text"),
        (lambda: of_a_point(intra_observer_mm=-1), "intra_observer_mm must be a finite"),
        (lambda: Distance("a", "b", "1"), "intra_observer_mm must be a finite number"),
        (lambda: Angle("a", "b", "c", np.nan), "intra_observer_deg must be a finite number"),
    ],
)
def test_what_a_scheme_file_cannot_say_is_refused_when_it_is_made(make, message):
    """Landmark files held it, and then could not be read again."""
    with pytest.raises(FormatError, match=message):
        make()


def of_a_point(**change):
    return dataclasses.replace(A_POINT, **change)


def test_scheme_file_round_trip(a_small_scheme_file, a_small_scheme):
    """With everything that a file may say, a repeatability of 0 mm too."""
    content = json.loads(a_small_scheme_file.read_text(encoding="utf-8"))
    content["source"] = "A lab's own list."
    content["landmarks"][1] |= {"intra_observer_mm": 0, "mirror": "eye_l"}
    content["distances"][0]["intra_observer_mm"] = 0.7
    content["angles"][0]["intra_observer_deg"] = 1.5

    scheme = scheme_from_dict(content)

    assert scheme_to_dict(scheme) == content
    assert scheme_from_dict(scheme_to_dict(scheme)) == scheme != a_small_scheme


def test_list_schemes_names_what_load_scheme_loads():
    assert [load_scheme(name).name for name in list_schemes()] == list(list_schemes())


def test_scheme_is_shipped_only_just_as_it_comes(the_scheme, a_small_scheme):
    assert the_scheme.is_shipped
    assert not a_small_scheme.is_shipped
    assert not dataclasses.replace(the_scheme, angles=()).is_shipped


def test_load_scheme_unknown_name_raises():
    with pytest.raises(FormatError, match="unknown landmark scheme 'palnet51'; expected one of"):
        load_scheme("palnet51")


def test_load_scheme_absent_file_raises(tmp_path):
    with pytest.raises(FormatError, match=r"absent\.json: cannot be read"):
        load_scheme(tmp_path / "absent.json")


def test_load_scheme_other_text_raises(tmp_path):
    path = tmp_path / "notes.json"
    path.write_text("landmarks: tip\n", encoding="utf-8")

    with pytest.raises(FormatError, match=r"notes\.json:1: is not JSON"):
        load_scheme(path)


def test_load_scheme_nested_without_end_raises(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000, encoding="utf-8")

    with pytest.raises(FormatError, match=r"deep\.json: is not JSON .*nested too deeply"):
        load_scheme(path)


GONE = object()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"landmarks.1.side": GONE}, "entry 2 of 'landmarks' lacks side"),
        (
            {"landmarks.1.definition": GONE, "landmarks.1.defintion": "Right eye, outside."},
            "lacks definition and has the unknown defintion",
        ),
        ({"landmarks.0.code": "eye_l"}, "must be unique; got more than one of eye_l"),
        ({"landmarks.0.code": "tip,1"}, "letters, digits, .* got 'tip,1'"),
        ({"landmarks.1.side": "starboard"}, "side of 'eye_r' must be one of left, right, midline"),
        (
            {"landmarks.2": GONE, "distances": [], "angles": []},
            "'eye_r' .right. needs one counterpart",
        ),
        (
            {"angles.0.vertex": "chin"},
            "angle eye_r-chin-eye_l of scheme 'lab3' uses unknown landmarks: chin",
        ),
        (
            {"distances.0.b": "eye_r"},
            "distance eye_r-eye_r of scheme 'lab3' must be between different landmarks",
        ),
        ({"landmarks.0.definition": "Semi"}, "must not be 'Semi'"),
        (
            {"landmarks.0.intra_observer_mm": -1},
            "'intra_observer_mm' of entry 1 .* at least 0; got -1",
        ),
        ({"landmarks.0.intra_observer_mm": float("inf")}, "a finite number of at least 0; got inf"),
        ({"landmarks.0.intra_observer_mm": 10**400}, "a finite number of at least 0; got 1000"),
        ({"landmarks": [], "distances": [], "angles": []}, "at least one landmark"),
        ({"landmarks": "tip"}, "'landmarks' must be a list; got str"),
        ({"landmarks.0": "tip"}, "entry 1 of 'landmarks' must be a JSON object"),
        ({"landmarks.0.name": "Tip\nof the nose"}, "'name' of entry 1 .* must be text on one line"),
    ],
)
def test_load_scheme_spoilt_file_raises(a_small_scheme_file, changes, message):
    content = json.loads(a_small_scheme_file.read_text(encoding="utf-8"))
    for place, value in changes.items():
        *outer, last = (int(key) if key.isdigit() else key for key in place.split("."))
        entry = content
        for key in outer:
            entry = entry[key]
        if value is GONE:
            del entry[last]
        else:
            entry[last] = value
    a_small_scheme_file.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(FormatError, match=rf"lab3\.json: .*{message}"):
        load_scheme(a_small_scheme_file)


def test_a_scheme_does_not_change_with_the_list_it_was_made_of():
    landmarks = [LandmarkDefinition("prn", "Pronasale", "midline", "Tip of the nose")]
    scheme = Scheme("lab", landmarks)
    landmarks.clear()

    assert scheme.codes == ("prn",)
    assert scheme == Scheme("lab", scheme.landmarks)
    assert hash(scheme) == hash(Scheme("lab", scheme.landmarks))
