# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from palnet.errors import FormatError
from palnet.exchange import (
    FormatWarning,
    may_hold_landmarks,
    read_landmarks,
    write_landmarks,
)
from palnet.scheme import Scheme

HEADER = "specimen,index,code,name,side,x,y,z,status,expected_error_mm,edited"


@pytest.fixture
def a_csv_file(a_landmark_set, tmp_path):
    path = tmp_path / "face.csv"
    write_landmarks(a_landmark_set, path)
    return path


def test_csv_has_the_promised_columns_and_a_row_a_landmark(a_csv_file):
    lines = a_csv_file.read_text(encoding="utf-8").splitlines()

    assert (lines[0], len(lines)) == (HEADER, 51)


def test_csv_numbers_are_in_fixed_notation(a_csv_file):
    fields = [
        f
        for line in a_csv_file.read_text(encoding="utf-8").splitlines()[1:]
        for f in line.split(",")[5:8]
    ]

    assert all(re.fullmatch(r"-?\d+\.\d{6}|", field) for field in fields)


def test_csv_missing_landmark_has_empty_fields_and_never_zeros(a_csv_file):
    line = a_csv_file.read_text(encoding="utf-8").splitlines()[3]

    assert line == "case_001,2,n,Nasion,midline,,,,missing,,false"


def test_csv_edited_says_which_were_corrected(a_csv_file):
    lines = a_csv_file.read_text(encoding="utf-8").splitlines()[1:]
    edited = [index for index, line in enumerate(lines) if line.endswith("true")]

    assert edited == [8]


def test_csv_as_excel_saves_it_is_read(a_csv_file, a_landmark_set):
    text = a_csv_file.read_text(encoding="utf-8").replace("\n", "\r\n").replace("true", "TRUE")
    a_csv_file.write_bytes(("\ufeff" + text.replace("false", "FALSE")).encode("utf-8"))

    assert read_landmarks(a_csv_file).status == a_landmark_set.status


@pytest.mark.parametrize("format", ["csv", "csv-wide"])
def test_blank_columns_and_rows_of_a_spreadsheet_are_ignored(format, a_landmark_set, tmp_path):
    """Cells that were touched once are written as blanks, and are neither columns nor specimens."""
    path = tmp_path / f"face.{format}"
    write_landmarks(a_landmark_set, path, format=format)
    before = read_landmarks(path, format=format)
    lines = path.read_text(encoding="utf-8").splitlines()
    blanks = "," * (lines[0].count(",") + 2)
    path.write_text(
        "\n".join([f"{lines[0]},,", f"{lines[1]},,", blanks, *lines[2:], " , ", blanks, ""]),
        encoding="utf-8",
    )

    after = read_landmarks(path, format=format)

    assert (after.specimen, after.status) == (before.specimen, before.status)
    np.testing.assert_array_equal(after.positions, before.positions)


def test_csv_value_beyond_the_columns_is_named(a_csv_file):
    lines = a_csv_file.read_text(encoding="utf-8").splitlines()
    a_csv_file.write_text("\n".join([*lines[:1], f"{lines[1]},,a note", *lines[2:]]), "utf-8")

    with pytest.raises(FormatError, match=r"face\.csv:2: expected 11 fields; got 13"):
        read_landmarks(a_csv_file)


def test_csv_rows_may_be_in_any_order(a_csv_file, a_landmark_set):
    lines = a_csv_file.read_text(encoding="utf-8").splitlines()
    a_csv_file.write_text("\n".join([lines[0], *reversed(lines[1:])]), encoding="utf-8")

    assert read_landmarks(a_csv_file).status == a_landmark_set.status


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (1, "specimen,index", "specimen;index", r"csv:1: the header must name .*got 'specimen;"),
        (2, ",tr,", ",tx,", r"csv:2: scheme 'palnet50' has no landmark 'tx'"),
        (2, ",0,tr", ",1,tr", r"csv:2: landmark 'tr' has index 0; got '1'"),
        (3, ",1,g,", ",0,tr,", r"csv:3: landmark 'tr' appears twice"),
        (2, "detected", "seen", r"csv:2: status must be one of detected, .*got 'seen'"),
        (2, "detected", "missing", r"csv:2: a landmark that is missing must have no x, y, z"),
        (4, "missing", "detected", r"csv:4: a landmark that is detected must have x, y and z"),
        (4, ",,,,missing", ",0.0,,,missing", r"csv:4: a landmark that is missing must have no x"),
        (2, "false", "true", r"csv:2: edited must be false with detected; got 'true'"),
        (2, ",midline,", ",midline,a,", r"csv:2: expected 11 fields; got 12"),
    ],
)
def test_csv_spoilt_line_is_named(a_csv_file, line, old, new, message):
    lines = a_csv_file.read_text(encoding="utf-8").splitlines()
    spoilt = lines[line - 1].replace(old, new, 1)
    if old == ",,,,missing":
        spoilt = lines[line - 1].replace(",,,missing", "0.0,,,missing", 1)
    lines[line - 1] = spoilt
    a_csv_file.write_text("\n".join(lines), encoding="utf-8")

    with pytest.raises(FormatError, match=message):
        read_landmarks(a_csv_file)


@pytest.mark.parametrize("text", ["1;5", "nan", "inf", "1e400", "abc"])
@pytest.mark.parametrize("column", ["x", "y", "z", "expected_error_mm"])
def test_csv_number_that_is_none_is_named(a_csv_file, column, text):
    lines = a_csv_file.read_text(encoding="utf-8").splitlines()
    fields = lines[1].split(",")
    fields[HEADER.split(",").index(column)] = text
    lines[1] = ",".join(fields)
    a_csv_file.write_text("\n".join(lines), encoding="utf-8")

    with pytest.raises(FormatError, match=rf"csv:2: {column} must be a number .*got '{text}'"):
        read_landmarks(a_csv_file)


def test_csv_negative_error_is_named(a_csv_file):
    lines = a_csv_file.read_text(encoding="utf-8").splitlines()
    fields = lines[1].split(",")
    lines[1] = ",".join([*fields[:9], "-1", fields[10]])
    a_csv_file.write_text("\n".join(lines), encoding="utf-8")

    with pytest.raises(FormatError, match=r"csv:2: expected_error_mm must be at least 0"):
        read_landmarks(a_csv_file)


def test_csv_specimen_without_a_name_is_named_with_its_first_line(a_csv_file):
    text = a_csv_file.read_text(encoding="utf-8")
    a_csv_file.write_text(text.replace("case_001,", ","), encoding="utf-8")

    with pytest.raises(FormatError, match=r"csv:2: the name of a specimen must be printable"):
        read_landmarks(a_csv_file)


def test_csv_cut_short_names_what_lacks(a_csv_file):
    lines = a_csv_file.read_text(encoding="utf-8").splitlines()
    a_csv_file.write_text("\n".join(lines[:-2]), encoding="utf-8")

    with pytest.raises(FormatError, match=r"face\.csv:49: lacks rows for cph_l, ch_l of specimen"):
        read_landmarks(a_csv_file)


def test_csv_cut_short_is_told_in_one_short_line(a_csv_file):
    lines = a_csv_file.read_text(encoding="utf-8").replace("case_001", "x" * 9999).splitlines()
    a_csv_file.write_text("\n".join(lines[:-40]), encoding="utf-8")

    with pytest.raises(FormatError, match=r"face\.csv:11: lacks rows for .{,500}$"):
        read_landmarks(a_csv_file)


@pytest.mark.parametrize("n_again", [26, 50])
def test_csv_specimen_of_which_most_is_there_twice_is_told_and_the_first_read(
    n_again, a_csv_file, a_landmark_set, tmp_path
):
    """As where two tables of one study were put together."""
    header, *rows = a_csv_file.read_text(encoding="utf-8").splitlines(keepends=True)
    moved = [row.replace(",detected,", ",confirmed,") for row in rows]
    path = tmp_path / "both.csv"
    path.write_text("".join([header, *rows, *moved[:n_again]]), encoding="utf-8")
    told = rf"both\.csv:{len(rows) + 2}: specimen '{a_landmark_set.specimen}' appears twice"

    with pytest.raises(FormatError, match=told):
        read_landmarks(path)
    with pytest.warns(FormatWarning, match=told) as warned:
        kept = read_landmarks(path, strict=False)

    assert len(warned) == 1
    assert kept.status == a_landmark_set.status
    np.testing.assert_allclose(kept.positions, a_landmark_set.positions, atol=1e-6)


def test_csv_landmarks_that_are_there_twice_are_not_read(a_csv_file, a_landmark_set):
    """Of one specimen still, if they are few; which of the two rows holds is not known."""
    header, *rows = a_csv_file.read_text(encoding="utf-8").splitlines(keepends=True)
    a_csv_file.write_text("".join([header, *rows, *rows[25:]]), encoding="utf-8")

    with pytest.warns(FormatWarning, match=r"csv:\d+: landmark '\w+' appears twice") as warned:
        read = read_landmarks(a_csv_file, strict=False)

    lines = [int(str(each.message).split("csv:")[1].split(":")[0]) for each in warned]
    assert lines == list(range(52, 77))
    assert read.status == (*a_landmark_set.status[:25], *("undefined",) * 25)
    assert not read.is_placed[25:].any()
    assert np.isnan(read.expected_error_mm[25:]).all()


def a_lab_table(landmarks, header="specimen,code,x,y,z", empty=""):
    """Write as R or pandas would, the last three landmarks left out, the first two without x, y, z.

    Values are those of a landmark and its row number in the header's order of columns.
    """
    rows = []
    for number, (code, place) in enumerate(
        zip(landmarks.scheme.codes[:-3], landmarks.positions, strict=False), 51
    ):
        texts = [empty] * 3 if number < 53 else map(str, place.tolist())
        fields = dict(zip("xyz", texts, strict=True)) | {"specimen": "case_001"}
        named = {column.strip('" ').lower() for column in header.split(",")}
        by = next(c for c in ("code", "landmark", "name") if c in named)
        fields |= {by: code}
        rows.append(
            ",".join(fields.get(c.strip('" ').lower(), str(number)) for c in header.split(","))
        )
    return "\n".join([header, *rows, ""])


@pytest.mark.parametrize(
    ("header", "empty"),
    [
        ("specimen,code,x,y,z", ""),
        ("specimen,landmark,x,y,z", "NA"),
        ("name,Specimen,Z,Y,X", "NA"),
        ('"","specimen","landmark","x","y","z"', "NA"),
        ("index,specimen,landmark,name,x,y,z", ""),
        ("specimen, code, x, y, z", ""),
    ],
)
def test_csv_of_a_lab_needs_only_specimen_landmark_and_coordinates(
    header, empty, a_whole_set, tmp_path
):
    lab = tmp_path / "lab.csv"
    lab.write_text(a_lab_table(a_whole_set, header, empty), encoding="utf-8")

    read = read_landmarks(lab)

    assert may_hold_landmarks(lab)
    assert read.status == ("missing",) * 2 + ("corrected",) * 45 + ("missing",) * 3
    assert (read.specimen, read.frame, read.mm_per_unit) == ("case_001", "file", 1.0)
    np.testing.assert_array_equal(read.positions[2:-3], a_whole_set.positions[2:-3])
    assert np.isnan(read.positions[[0, 1, -3, -2, -1]]).all()
    assert np.isnan(read.expected_error_mm).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "specimen,code",
            "patient,code",
            r"csv:1: the header must name the columns specimen \(or id",
        ),
        ("code,x,y,z", "code,x,x,z", r"csv:1: the header must name .*each once; got"),
        ("y,z\n", "y,z,z\n", r"csv:1: the header must name .*each once; got"),
        ("y,z\n", "y,z,unit\n", r"csv:1: the header has the unknown unit"),
        ("code,x", "point,x", r"csv:1: the header must name .* \(or landmark, or name\)"),
        ("tr,,,", "tr,1,,", r"csv:2: a landmark with a position must have x, y and z"),
        ("tr,,,", "tx,,,", r"csv:2: scheme 'palnet50' has no landmark 'tx'"),
    ],
)
def test_csv_of_a_lab_that_is_doubtful_is_named(old, new, message, a_whole_set, tmp_path):
    lab = tmp_path / "lab.csv"
    lab.write_text(a_lab_table(a_whole_set).replace(old, new, 1), encoding="utf-8")

    with pytest.raises(FormatError, match=message):
        read_landmarks(lab)


def test_csv_of_aligned_shapes_is_no_table_of_landmarks(a_whole_set, tmp_path):
    """As gpagen in R gives them; they have no unit, and would be read as a face of 1 mm."""
    shape = a_whole_set.positions - a_whole_set.positions[2:-3].mean(axis=0)
    shape /= np.linalg.norm(shape[2:-3])
    lab = tmp_path / "lab.csv"
    for text in (shape.round(4), shape):
        lab.write_text(a_lab_table(replace(a_whole_set, positions=text)), encoding="utf-8")

        for strict in (True, False):
            with pytest.raises(FormatError, match=r"csv:2: specimen 'case_001' is an aligned sha"):
                read_landmarks(lab, strict=strict)

    for places in (shape * 1.01, shape + 0.01):
        lab.write_text(a_lab_table(replace(a_whole_set, positions=places)), encoding="utf-8")
        assert read_landmarks(lab).is_placed.sum() == 45


def test_csv_of_palnet_is_read_whatever_the_size(a_whole_set, tmp_path):
    shape = a_whole_set.positions - a_whole_set.positions.mean(axis=0)
    shape /= np.linalg.norm(shape)
    write_landmarks(replace(a_whole_set, positions=shape), tmp_path / "small.csv")

    assert read_landmarks(tmp_path / "small.csv").is_placed.all()


def test_csv_of_a_lab_may_hold_a_specimen_without_any_landmark(a_whole_set, tmp_path):
    lab = tmp_path / "lab.csv"
    rows = [f"case_001,{code},NA,NA,NA" for code in a_whole_set.scheme.codes]
    lab.write_text("\n".join(["specimen,code,x,y,z", *rows, ""]), encoding="utf-8")

    assert read_landmarks(lab).status == ("missing",) * 50


def test_csv_of_an_own_scheme_with_the_name_of_a_shipped_one_is_read_as_that(a_whole_set, tmp_path):
    scheme = Scheme("palnet50", a_whole_set.scheme.landmarks[:4])
    columns = ("positions", "status", "expected_error_mm")
    first = {name: getattr(a_whole_set, name)[:4] for name in columns}
    as_assumed = {"frame": "file", "space": "LPS", "mm_per_unit": 1.0}
    own = replace(a_whole_set, scheme=scheme, **first, **as_assumed)
    write_landmarks(own, tmp_path / "own.csv")

    assert read_landmarks(tmp_path / "own.csv").scheme == scheme


def test_csv_empty_file_raises(tmp_path):
    path = tmp_path / "face.csv"
    path.write_text("", encoding="utf-8")

    with pytest.raises(FormatError, match=r"csv:1: the header must name"):
        read_landmarks(path)
