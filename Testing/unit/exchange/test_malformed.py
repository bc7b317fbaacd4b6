# SPDX-License-Identifier: Apache-2.0
"""Spoilt files: an error that names file and line, or, leniently, a warning and what is certain."""

from __future__ import annotations

import json
import re
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest

from palnet.errors import FormatError
from palnet.exchange import (
    FORMATS,
    FormatWarning,
    get_format,
    is_other_table,
    read_specimens,
    write_landmarks,
    write_specimens,
)
from palnet.landmarks import LandmarkSet

# Format, line, what stands there, what it is changed to (None: the file ends before that line),
# the line that is named, and the problem.
SPOILT = [
    (
        "tps",
        1,
        "LM3=3",
        "LM3=4",
        1,
        r"expected LM3=3, as many as the scheme has; got LM3=4\..* \(--scheme",
    ),
    ("tps", 2, " 3.000000", "", 2, r"expected three numbers x, y, z; got '1\.000000 2\.000000'"),
    ("tps", 1, "LM3=3", "LM3=three", 1, r"expected LM3=3.*got LM3=three"),
    ("tps", 1, "LM3=3", "junk", 1, r"expected LM3=; got 'junk'"),
    ("tps", 3, "4.000000 ", "", 3, r"expected three numbers x, y, z; got '5\.000000 6\.000000'"),
    ("tps", 3, "4.000000", "4,000000", 3, r"expected.*'4,000000 5.* Write decimal points\.$"),
    ("tps", 3, "4.000000", "nan", 3, r"expected three numbers.*'nan 5\.000000 6\.000000'\.$"),
    ("tps", 3, "4.000000 5.000000 6.000000", "nan nan nan", 3, r"expected.* Write NA NA NA for a "),
    ("tps", 3, "4.000000", "NA", 3, r"expected three numbers"),
    ("tps", 3, "4.000000", "1e999", 3, r"expected three numbers"),
    ("tps", 5, "ID=a", "ID=", 1, r"the specimen has no ID="),
    ("tps", 5, "ID=a", "ID=b", 6, r"specimen 'b' appears twice"),
    ("tps", 5, "ID=a", "ID=a\nID=c", 6, r"ID= appears twice in one specimen"),
    ("tps", 5, "ID=a", "ID=a\nSCALE=", 1, r"a SCALE= other than 1 is not read"),
    ("tps", 5, "ID=a", "ID=a\nSCALE=0.1", 1, r"a SCALE= other than 1 is not read"),
    ("tps", 5, "ID=a", "ID=a\nCURVES=1", 6, r"expected ID= or one of IMAGE.*got 'CURVES'"),
    ("tps", 9, None, None, 6, r"expected 3 lines x y z after LM3=; got 2"),
    ("nts", 2, "1 2L 9", "2 2L 9", 2, r"expected '1 <n>L 9 0 DIM=3'.*got '2 2L 9 0 DIM=3'"),
    ("nts", 2, "2L 9", "2L 12", 2, r"expected 9 numbers .*got 12 and DIM=3\..* \(--scheme"),
    ("nts", 2, "DIM=3", "DIM=2", 2, r"expected 9 numbers.*got 9 and DIM=2"),
    ("nts", 2, "2L", "999999999L", 2, r"announces 999999999 specimens, more than the file holds"),
    ("nts", 2, "2L", "3L", 5, r"a label must be one word; got '1\.000000 2"),
    ("nts", 2, "2L", "1L", 4, r"expected a number; got 'b'"),
    ("nts", 3, "a", "a b", 3, r"a label must be one word; got 'a b'"),
    ("nts", 3, "a", "b", 4, r"specimen 'b' appears twice"),
    ("nts", 5, "2.000000", "two", 5, r"expected a number; got 'two'"),
    ("nts", 5, "2.000000", "NA", 5, r"a point of 'a' lacks some of x, y, z but not all"),
    ("nts", 6, " 19.000000", "", 6, r"ends within specimen 'b'; expected 2 specimens of 9 numbers"),
    (
        "nts",
        5,
        "2.000000 ",
        "",
        6,
        r"ends within specimen 'b'.*\. From 'a' on, the numbers may be ",
    ),
    ("nts", 6, " 19.000000", " 19.000000 1", 6, r"has more numbers than the 2 specimens"),
    ("nts", 3, None, None, 1, r"expected 2 labels, one a line; the file ends before"),
    ("dta", 2, "1 2L", "2L", 2, r"expected '1 <n>L 9 0 DIM=3'"),
    ("dta", 7, "2.000000", "x", 7, r"expected a number; got 'x'"),
    ("dta", 7, "2.000000", "9999", 7, r"a point of 'a' lacks some of x, y, z"),
    ("dta", 12, None, None, 11, r"ends within specimen 'b'"),
    ("pts", 1, "Version 1.0", "Version 2.0", 1, r"expected 'Version 1\.0'; got 'Version 2\.0'"),
    ("pts", 2, "3", "4", 2, r"announces '4' as the number of points; got 3"),
    ("pts", 4, "eye_r", "tip", 4, r"landmark 'tip' appears twice"),
    ("pts", 4, "eye_r", "ear_r", 4, r"scheme 'lab3' has no landmark 'ear_r'"),
    ("pts", 4, " 6.000000", "", 4, r"expected three numbers x, y, z; got '4\.000000 5\.000000'"),
    ("pts", 5, None, None, 2, r"announces '3' as the number of points; got 2"),
    ("pts", 3, None, None, 2, r"announces '3' as the number of points; got 0"),
    ("pts", 2, None, None, 2, r"announces '' as the number of points; got 0"),
    ("morphologika", 2, "2", "3", 1, r"\[individuals\] must hold 2; got '3'"),
    ("morphologika", 4, "3", "50", 3, r"\[landmarks\] must hold 3; got '50'\..* \(--scheme"),
    ("morphologika", 6, "3", "2", 5, r"\[dimensions\] must hold 3; got '2'"),
    ("morphologika", 10, "[rawpoints]", "[raw]", 10, r"unknown section '\[raw\]'"),
    ("morphologika", 7, "[names]", "[landmarks]", 7, r"section '\[landmarks\]' appears twice"),
    ("morphologika", 11, "'a", "'b", 11, r"expected specimen 'a', as in \[names\]; got 'b'"),
    ("morphologika", 11, "'a", "a", 11, r"expected a line 'NAME before the points; got 'a'"),
    ("morphologika", 12, "1.000000", "9.9.9", 12, r"expected three numbers"),
    ("morphologika", 18, None, None, 15, r"specimen 'b' must have 3 points; got 2"),
    (
        "morphologika",
        15,
        None,
        None,
        10,
        r"\[rawpoints\] must hold the 2 specimens of \[names\]; got 1",
    ),
    ("morphologika", 10, None, None, 9, r"ends without \[rawpoints\]"),
    (
        "morphoj",
        2,
        "1.000000,",
        "",
        2,
        r"expected an ID and 9 numbers; got 9 fields\..* \(--scheme",
    ),
    ("morphoj", 2, "1.000000", "", 2, r"expected three numbers x, y, z"),
    ("morphoj", 2, "1.000000", "one", 2, r"expected three numbers x, y, z; got 'one 2"),
    ("morphoj", 3, "b,", "a,", 3, r"specimen 'a' appears twice"),
    ("csv-wide", 1, "tip_x", "tip_w", 1, r"the header lacks tip_x"),
    ("csv-wide", 1, "tip_x", "tip_y", 1, r"the header lacks tip_x"),
    ("csv-wide", 1, "eye_l_z", "eye_l_z,tip_x", 1, r"the header has tip_x twice"),
    ("csv-wide", 1, "eye_l_z", "eye_l_z,tip_y,tip_x", 1, r"the header has tip_x, tip_y twice"),
    (
        "csv-wide",
        1,
        "eye_l_z",
        "eye_l_z,unit",
        1,
        r"the header has the unknown unit\. Delete .*--unit",
    ),
    ("csv-wide", 2, "1.000000,", "", 2, r"expected 10 fields, as in line 1; got 9"),
    ("csv-wide", 2, "1.000000", "", 2, r"expected three numbers"),
    ("csv-wide", 2, "1.000000", "1;0", 2, r"expected three numbers"),
    ("csv-wide", 3, "b,", "a,", 3, r"specimen 'a' appears twice"),
    ("fcsv", 2, "LPS", "IJK", 2, r"CoordinateSystem must be LPS or RAS; got ' IJK'"),
    ("fcsv", 2, "# CoordinateSystem = LPS", "#", 1, r"expected a line '# CoordinateSystem = LPS'"),
    ("fcsv", 5, "4.000000,", "", 5, r"expected 14 or 16 fields; got 13"),
    ("fcsv", 5, "4.000000", "four", 5, r"expected three numbers x, y, z; got 'four 5"),
    ("fcsv", 5, "eye_r", "tip", 5, r"landmark 'tip' appears twice"),
    ("fcsv", 6, None, None, 5, r"ends without eye_l of the 3 landmarks of 'lab3'"),
    ("pp", 2, "<PickedPoints>", "<Picked>", 12, r"is not XML \(mismatched tag\)"),
    ("pp", 1, "<!DOCTYPE PickedPoints>", '<!DOCTYPE a [<!ENTITY b "c">]>', 1, r"must not declare"),
    ("pp", 10, 'x="4.000000"', 'x="four"', 10, r"expected three numbers x, y, z; got 'four 5"),
    ("pp", 10, 'x="4.000000"', 'w="4.000000"', 10, r"point 'EYE_R' must have x, y and z"),
    ("pp", 10, 'active="1"', 'active="yes"', 10, r"active must be 0 or 1; got 'yes'"),
    ("pp", 10, "EYE_R", "TIP", 10, r"landmark 'tip' appears twice"),
    ("pp", 10, "EYE_R", "EAR", 10, r"scheme 'lab3' has no landmark 'EAR'"),
    ("pp", 11, None, None, 11, r"is not XML \(no element found\)"),
    (
        "lafas",
        2,
        "eye_r",
        "eye_l",
        2,
        r"expected landmark 'eye_r', number 2, in this row; got 'eye_l'",
    ),
    ("lafas", 2, "eye_r", "eye_l ", 2, r"expected landmark 'eye_r'.* got 'eye_l'"),
    (
        "lafas",
        2,
        "(4.000000,",
        "(",
        2,
        r"expected three numbers x, y, z; got '5\.000000 6\.000000'",
    ),
    ("lafas", 2, "(4", "4", 2, r"expected name<TAB>\(x,y,z\); got 'eye_r\\t4"),
    ("lafas", 2, "4.000000", "four", 2, r"expected three numbers"),
    ("lafas", 3, None, None, 2, r"expected 3 rows name<TAB>\(x,y,z\); got 2"),
    ("mrk.json", 13, "4.000000", '"four"', 13, r"position of control point 'eye_r' must be three"),
    (
        "mrk.json",
        13,
        "eye_r",
        "tip",
        13,
        r"control points must be the 3 landmarks.*that differ in eye_r",
    ),
]


@pytest.fixture
def a_spoilt_file(a_small_scheme, tmp_path):
    """Give a function that writes two specimens, or the one that fits, and changes one line."""

    def spoil(name, line, old, new):
        numbers = np.arange(1.0, 10.0).reshape(3, 3)
        specimens = [
            LandmarkSet(
                a_small_scheme,
                numbers + shift,
                ("detected",) * 3,
                np.ones(3),
                1.0,
                "LPS",
                specimen,
                "LPS",
            )
            for specimen, shift in (("a", 0.0), ("b", 10.0))
        ]
        path = tmp_path / f"a{get_format(name).suffix}"
        write_specimens(specimens if get_format(name).holds_many else specimens[:1], path)
        lines = path.read_text(encoding="utf-8").split("\n")
        if old is None:
            lines = [*lines[: line - 1], ""]
        else:
            assert old in lines[line - 1]
            lines[line - 1] = lines[line - 1].replace(old, new, 1)
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return spoil


@pytest.mark.parametrize("row", SPOILT, ids=lambda row: "-".join(map(str, row[:4])))
def test_spoilt_line_is_named(row, a_spoilt_file, a_small_scheme):
    *change, named, problem = row
    path = a_spoilt_file(*change)
    where = re.escape(f"{path}:{named}:")

    with pytest.raises(FormatError, match=rf"^{where} {problem}"):
        read_specimens(path, a_small_scheme)


def test_every_format_has_spoilt_files():
    # The long table has its own, in test_csv_long.py.
    assert {row[0] for row in SPOILT} | {"csv"} == set(FORMATS)


@pytest.mark.parametrize(
    "row",
    [
        ("tps", 3, "4.000000", "four", "ab", 1),
        ("tps", 1, "LM3=3", "LM3=4", "b", None),
        ("tps", 9, None, None, "a", None),
        ("tps", 5, "ID=a", "ID=a\nCURVES=1", "ab", None),
        ("nts", 5, "2.000000", "two", "ab", 0),
        ("nts", 6, " 19.000000", "", "a", None),
        # A number or a label that is lost shifts all that follow.
        ("nts", 5, "2.000000 ", "", "", None),
        ("nts", 4, "b", "", "", None),
        ("dta", 8, "4.000000 ", "", "", None),
        ("dta", 8, "4.000000 5.000000 6.000000", "", "", None),
        ("dta", 8, "4.000000", "four", "ab", 1),
        ("pts", 4, "eye_r", "ear_r", "a", 1),
        ("pts", 4, " 6.000000", "", "a", 1),
        ("pts", 5, None, None, "a", 2),
        ("morphologika", 12, "1.000000", "x", "ab", 0),
        ("morphologika", 18, None, None, "a", None),
        ("morphoj", 2, "1.000000", "one", "ab", 0),
        ("morphoj", 2, "1.000000,", "", "b", None),
        ("csv-wide", 2, "1.000000", "", "ab", 0),
        ("csv-wide", 1, "eye_l_z", "eye_l_z,age", "", None),
        ("fcsv", 5, "4.000000", "four", "a", 1),
        ("fcsv", 6, None, None, "a", 2),
        ("pp", 10, 'x="4.000000"', 'x="four"', "a", 1),
        ("lafas", 2, "4.000000", "four", "a", 1),
        ("lafas", 2, "(4", "4", "a", 1),
        ("mrk.json", 13, "4.000000", '"four"', "a", 1),
        ("mrk.json", 13, "eye_r", "ear_r", "a", None),  # it says the scheme: known by its place
        ("csv", 3, "4.000000", "four", "ab", 1),
        ("csv", 3, "eye_r", "ear_r", "ab", 1),
    ],
    ids=lambda row: "-".join(map(str, row[:4])),
)
def test_lenient_reading_warns_and_keeps_what_is_certain(row, a_spoilt_file, a_small_scheme):
    *change, specimens, absent = row
    path = a_spoilt_file(*change)
    true = np.arange(1.0, 10.0).reshape(3, 3)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if not specimens:
            with pytest.raises(FormatError, match="holds no specimen that could be read"):
                read_specimens(path, a_small_scheme, strict=False)
            return
        found = read_specimens(path, a_small_scheme, strict=False)

    assert {entry.category for entry in told} == {FormatWarning}
    assert all(str(path) in str(entry.message) for entry in told)
    assert [entry.specimen for entry in found] == list(specimens)
    for landmarks in found:
        placed = landmarks.is_placed
        is_spoilt = absent is not None and landmarks.specimen == "a"
        assert np.flatnonzero(~placed).tolist() == ([absent] if is_spoilt else [])
        shift = 10.0 if landmarks.specimen == "b" else 0.0
        np.testing.assert_array_equal(landmarks.positions[placed], true[placed] + shift)


def test_lenient_reading_of_a_name_that_is_there_twice_takes_neither(a_spoilt_file, a_small_scheme):
    path = a_spoilt_file("pts", 4, "eye_r", "tip")

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        (landmarks,) = read_specimens(path, a_small_scheme, strict=False)

    assert "landmark 'tip' appears twice" in str(told[0].message)
    assert landmarks.is_placed.tolist() == [False, False, True]


@pytest.mark.parametrize("name", FORMATS)
def test_empty_file_is_named(name, a_small_scheme, tmp_path):
    path = tmp_path / f"a{get_format(name).suffix}"
    path.write_bytes(b"")

    with pytest.raises(FormatError, match=re.escape(f"{path}:1: ")):
        read_specimens(path, a_small_scheme)


@pytest.mark.parametrize("name", FORMATS)
def test_file_of_bytes_is_named(name, a_small_scheme, tmp_path):
    path = tmp_path / f"a{get_format(name).suffix}"
    path.write_bytes(bytes(range(127)))

    with pytest.raises(FormatError, match=rf"{re.escape(str(path))}:1: is not a text file"):
        read_specimens(path, a_small_scheme)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "text", ["a" * 200_000, '"' + "a" * 200_000, "[" * 100_000, '{"a":' * 30_000]
)
def test_endless_word_or_nesting_is_refused_with_the_file(name, text, a_small_scheme, tmp_path):
    path = tmp_path / f"a{get_format(name).suffix}"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(FormatError, match=re.escape(str(path))):
        read_specimens(path, a_small_scheme, format=name)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("other", ["nts", "csv-wide", "mrk.json"])
def test_file_of_another_format_is_told_in_one_line(name, other, a_whole_set, tmp_path):
    """The header of a table may open a quotation that the whole file is in, names and all."""
    path = tmp_path / f"a{get_format(name).suffix}"
    path.write_text("".join(FORMATS[other].write([a_whole_set])), encoding="utf-8")

    try:
        read_specimens(path, a_whole_set.scheme)
    except FormatError as err:
        message = str(err).removeprefix(str(tmp_path))

        assert (message.count("\n"), len(message) < 600) == (0, True)
    else:
        assert (name == other) or (other, name) in {("nts", "dta"), ("csv-wide", "morphoj")}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", ["csv", "csv-wide"])
def test_table_with_an_endless_field_is_refused_at_its_line(
    name, strict, a_spoilt_file, a_small_scheme
):
    """What comes after it cannot be read, and would be lost without a word."""
    path = a_spoilt_file(name, 3, ",", f",{'x' * 200_000},")

    with pytest.raises(FormatError, match=r"csv:3: is not a table"):
        read_specimens(path, a_small_scheme, strict=strict)


@pytest.mark.parametrize("name", FORMATS)
def test_endless_line_anywhere_is_told_in_one_short_line(name, a_spoilt_file, a_small_scheme):
    path = a_spoilt_file(name, 1, "", "")
    lines = path.read_text(encoding="utf-8").split("\n")

    for k in range(len(lines)):
        text = "\n".join([*lines[:k], "x" * 9999, *lines[k + 1 :]])
        path.write_text(text, encoding="utf-8")
        try:
            read_specimens(path, a_small_scheme)
        except FormatError as err:
            message = str(err).removeprefix(str(path))

            assert (message.count("\n"), len(message) < 600) == (0, True)


@pytest.mark.parametrize(
    "change",
    [
        {"@schema": ["x" * 9999]},
        {"type": {"x": "x" * 9999}},
        {"coordinateSystem": "x" * 9999},
        {"palnet": {"scheme": "x" * 9999}},
        {"palnet": {"specimen": "\n" * 9999}},
        {"position": ["x" * 9999]},
    ],
    ids="-".join,
)
def test_mrk_json_of_endless_values_is_told_in_one_line(change, a_whole_set, tmp_path):
    path, *_ = write_landmarks(a_whole_set, tmp_path / "a.mrk.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    (markup,) = content["markups"]
    place = {"@schema": content, "position": markup["controlPoints"][0]}
    place.get(next(iter(change)), markup).update(change)
    path.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(FormatError, match=r"a\.mrk\.json.*(expected|must be|is not one)") as told:
        read_specimens(path)

    message = str(told.value).removeprefix(str(tmp_path))
    assert (message.count("\n"), len(message) < 600) == (0, True)


def test_endless_number_is_refused_at_once(a_small_scheme, tmp_path):
    path = tmp_path / "a.tps"
    path.write_text(f"LM3=3\n{'9' * 10_000}x 0 0\n1 1 1\n2 2 2\nID=a\n", encoding="utf-8")
    start = time.process_time()

    with pytest.raises(FormatError, match=r"a\.tps:2: expected three numbers"):
        read_specimens(path, a_small_scheme)

    # Every way of parting the digits took 2 s and more.
    assert time.process_time() - start < 0.5


def test_endless_number_in_a_header_is_told_at_once(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"{'9' * 10_000}x,b\n", encoding="utf-8")
    start = time.process_time()

    assert is_other_table(path)
    assert time.process_time() - start < 0.5


def test_dta_with_the_numbers_of_a_missing_one_is_refused_when_writing(a_whole_set, tmp_path):
    positions = a_whole_set.positions.copy()
    positions[3, 1] = 19999.5
    with pytest.raises(
        FormatError, match=r"has the number 19999\.500000, which other programs read"
    ):
        write_landmarks(replace(a_whole_set, positions=positions), tmp_path / "a.dta")


@pytest.mark.parametrize(
    ("name", "value", "sign"),
    [
        # Morpho turns a single 9999 into NA, palnet only three of them.
        ("a.pts", 9999.0, "9999"),
        ("a.pts", 9999.5, None),
        ("a.nts", -9999.5, "-9999"),
        ("a.nts", 9999.5, None),
    ],
)
def test_number_that_readers_in_r_take_for_missing_is_refused_when_writing(
    name, value, sign, a_whole_set, tmp_path
):
    positions = a_whole_set.positions.copy()
    positions[3, 1] = value
    landmarks = replace(a_whole_set, positions=positions)

    if sign:
        with pytest.raises(FormatError, match=f"read as {sign}, the sign of a missing one"):
            write_landmarks(landmarks, tmp_path / name)
    else:
        assert write_landmarks(landmarks, tmp_path / name)
