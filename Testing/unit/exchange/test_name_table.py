# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet.errors import FormatError
from palnet.exchange import (
    read_landmarks,
    read_name_table,
    sidecar_path,
    write_landmarks,
    write_specimens,
)
from palnet.landmarks import LandmarkSet
from palnet.samples import example_truth
from palnet.scheme import LandmarkDefinition, Scheme


def test_name_table_translates_another_labs_file(the_scheme, tmp_path):
    face = read_landmarks(example_truth())
    theirs = {"NasionSoft": "n", "Ear1": "", "TipOfNose": "prn", "OuterEyeLeft": "ex_l"}
    path = tmp_path / "names.csv"
    rows = [f"{name},{code}" for name, code in theirs.items()]
    path.write_text("their name,our code\r\n" + "\r\n".join(rows), encoding="utf-8-sig")
    table = read_name_table(path, the_scheme)
    positions = face.positions[[the_scheme.index_of(code or "t_r") for code in theirs.values()]]
    read = LandmarkSet(
        table.reading_scheme, positions, ("confirmed",) * 4, np.full(4, np.nan), 1.0, "file", "anna"
    )

    ours = table.translate(read)

    assert table.reading_scheme.codes == tuple(theirs)
    assert ours.scheme is the_scheme
    placed = {code for code, there in zip(the_scheme.codes, ours.is_placed, strict=True) if there}
    assert placed == {"n", "prn", "ex_l"}
    for code in placed:
        row = the_scheme.index_of(code)
        np.testing.assert_array_equal(ours.positions[row], face.positions[row])


def test_blank_columns_and_rows_of_a_table_of_names_are_no_landmarks(the_scheme, tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("their name,our code,,\nA,n,,\nEar,,,\n,,,\n , \n\n", encoding="utf-8")

    table = read_name_table(path, the_scheme)

    assert (table.reading_scheme.codes, table.codes) == (("A", "Ear"), ("n", ""))


def test_landmarks_that_we_do_not_have_are_never_taken_for_ours(tmp_path):
    """Our codes may be numbers, as their places in the table are."""
    definitions = (LandmarkDefinition(code, code, "midline", code) for code in "0123")
    ours = Scheme("numbers", tuple(definitions))
    path = tmp_path / "names.csv"
    path.write_text("their name,our code\nEar,\nNose,3\nNeck,\nEye,1\n", encoding="utf-8")
    table = read_name_table(str(path), ours)
    positions = np.arange(1.0, 13.0).reshape(4, 3)

    translated = table.translate(
        LandmarkSet(
            table.reading_scheme, positions, ("confirmed",) * 4, np.ones(4), 1.0, "file", "anna"
        )
    )

    assert translated.is_placed.tolist() == [False, True, False, True]
    np.testing.assert_array_equal(translated.positions[[1, 3]], positions[[3, 1]])


def test_blanks_around_names_and_codes_are_no_part_of_them(the_scheme, tmp_path):
    path = tmp_path / "names.csv"
    path.write_text(" their name , our code\n Nose tip , prn \nEar, \n", encoding="utf-8")

    table = read_name_table(path, the_scheme)

    assert (table.reading_scheme.codes, table.codes) == (("Nose tip", "Ear"), ("prn", ""))


@pytest.mark.parametrize("format", ["mrk.json", "fcsv", "csv", "csv-wide", "pts", "pp"])
def test_their_names_may_hold_blanks_and_any_letter(format, the_scheme, tmp_path):
    """As they stand in the lab's files: only the codes of our schemes are held to a few letters."""
    theirs = {"Äußerer Augenwinkel li.": "ex_l", "Nasenspitze (vorn)": "prn", "耳 1": ""}
    names = tmp_path / "names.csv"
    rows = "".join(f"{name},{code}\n" for name, code in theirs.items())
    names.write_text(f"their name,our code\n{rows}", encoding="utf-8")
    table = read_name_table(names, the_scheme)
    positions = np.array([[1.25, 2, 3], [40, 5, 6], [7, 80, 9]])
    lab = LandmarkSet(
        table.reading_scheme, positions, ("confirmed",) * 3, np.full(3, np.nan), 1.0, "file", "anna"
    )
    path = tmp_path / f"anna.{format}"
    write_landmarks(lab, path, format=format)
    sidecar_path(path).unlink(missing_ok=True)

    ours = table.translate(read_landmarks(path, table.reading_scheme, format=format))

    rows = [the_scheme.index_of(code) for code in ("ex_l", "prn")]
    np.testing.assert_allclose(ours.positions[rows], positions[:2], atol=1e-5)
    assert ours.is_placed.sum() == 2


@pytest.mark.parametrize("sign", [";", "\t"])
def test_table_of_names_may_be_separated_as_spreadsheets_do(sign, the_scheme, tmp_path):
    path = tmp_path / "names.csv"
    path.write_text(f"their name{sign}our code\nNase, Spitze{sign}prn\nX{sign}\n", "utf-8-sig")

    table = read_name_table(path, the_scheme)

    assert table.reading_scheme.codes == ("Nase, Spitze", "X")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "name,code\na,n\n",
            "names.csv:1: the header must be their name,our code; got 'name,code'.$",
        ),
        (f"{'a' * 999}\n", "names.csv:1: the header must be .{,99}$"),
        ("their name,our code\nA,n\nB\n", "names.csv:3: expected 2 fields"),
        ("their name,our code\nA,nose\n", "names.csv:2: scheme 'palnet50' has no landmark 'nose'"),
        ("their name,our code\nA,n\nA,prn\n", "names.csv:3: 'A' appears twice"),
        ("their name,our code\nA,n\nB,n\n", "names.csv:3: 'n' appears twice"),
        ("their name,our code\nA,\n", "at least one landmark"),
        ("their name,our code\n,n\n", "their name must be text on one line; got ''"),
        ("their name,our code\nA\tB,n\n", r"their name must be text on one line; got 'A\\tB'"),
        ("", "names.csv:1"),
        ("their name,our code\n" + "a" * 200_000 + ",n\n", "names.csv:2: is not a table"),
    ],
)
def test_read_name_table_faulty_is_refused_with_its_line(the_scheme, tmp_path, text, says):
    path = tmp_path / "names.csv"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(FormatError, match=says):
        read_name_table(path, the_scheme)


@pytest.mark.parametrize("rows", ["A,{}", "{},n\n{},prn", "{}\t,n"], ids=["code", "twice", "name"])
def test_table_of_endless_names_is_told_in_one_short_line(rows, the_scheme, tmp_path):
    path = tmp_path / "names.csv"
    endless = "\x01" + "a" * 100_000
    path.write_text(f"their name,our code\n{rows.replace('{}', endless)}\n", encoding="utf-8")

    with pytest.raises(FormatError, match=r"names\.csv") as told:
        read_name_table(path, the_scheme)

    message = str(told.value).removeprefix(str(tmp_path))
    assert (message.count("\n"), len(message) < 300) == (0, True)


def test_read_name_table_that_is_not_there_is_refused(the_scheme, tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        read_name_table(tmp_path / "names.csv", the_scheme)


def test_name_that_the_table_lacks_is_told_with_the_table_and_what_to_do(the_scheme, tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("their name,our code\nNase,prn\n", encoding="utf-8")
    table = read_name_table(path, the_scheme)
    theirs = tmp_path / "anna.csv"
    theirs.write_text("specimen,code,x,y,z\nanna,Nase,1,2,3\nanna,sn,1,2,4\n", encoding="utf-8")

    says = r"'names\.csv' has no landmark 'sn'\..* a table that has a row for each"
    with pytest.raises(FormatError, match=says):
        read_landmarks(theirs, table.reading_scheme)


def test_name_table_needs_a_scheme_not_its_name(tmp_path):
    with pytest.raises(ValueError, match=r"scheme must be a Scheme; got 'palnet50'\. Load it"):
        read_name_table(tmp_path / "names.csv", "palnet50")


def test_a_single_set_is_not_several(tmp_path):
    with pytest.raises(FormatError, match=r"several LandmarkSet; got one\. Put it in a list"):
        write_specimens(read_landmarks(example_truth()), tmp_path / "all.csv")
    assert list(tmp_path.iterdir()) == []
