# SPDX-License-Identifier: Apache-2.0
"""Tables as labs have them: semicolons, decimal commas, other names of columns, more columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from palnet.errors import FormatError
from palnet.exchange import (
    FormatWarning,
    may_hold_landmarks,
    read_landmarks,
    read_name_table,
    read_specimens,
    write_landmarks,
)
from palnet.scheme import scheme_from_dict

SCHEME = scheme_from_dict(
    {
        "scheme": "lab3",
        "landmarks": [
            {"code": code, "name": code, "side": "midline", "definition": "A point."}
            for code in ("tip", "chin", "brow")
        ],
    }
)
PLACES = np.array([[1.5, -2.25, 3.75], [40.5, 50.25, -60.125], [7.5, 80.5, 9.5]])


def a_long_table(header="specimen;code;x;y;z", specimens=("a",), decimal=",", **more):
    """Write a row for each landmark; other columns have the value or one for each row in turn."""
    sign = next(sign for sign in ";\t," if sign in header)
    rows = [header]
    for specimen in specimens:
        for code, place in zip(SCHEME.codes, PLACES, strict=True):
            fields = dict(zip("xyz", (f"{v}".replace(".", decimal) for v in place), strict=True))
            fields |= {"code": code, "specimen": specimen}
            for column, values in more.items():
                fields[column] = values if isinstance(values, str) else values[len(rows) - 1]
            rows.append(sign.join(fields[column.lower()] for column in header.split(sign)))
    return "\n".join([*rows, ""])


def a_wide_table(header="specimen;tip_x;tip_y;tip_z;chin_x;chin_y;chin_z;brow_x;brow_y;brow_z"):
    numbers = ";".join(f"{value}".replace(".", ",") for value in PLACES.ravel())
    return f"{header}\na;{numbers}\n"


@pytest.fixture
def read_text(tmp_path):
    """Give a function that writes a table and reads it."""

    def read(text, name="lab.csv", **options):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return read_specimens(path, SCHEME, **options)

    return read


def refusal_of(read, text, name="lab.csv"):
    """The message, which must be the same read leniently: no number is certain."""
    with pytest.raises(FormatError) as strict:
        read(text, name)
    with pytest.raises(FormatError) as lenient:
        read(text, name, strict=False)
    assert str(strict.value) == str(lenient.value)
    return str(strict.value).partition(f"{name}:")[2]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("-2,25", "-2.25", 2, "'-2.25' is written with '.', a number in line 2 with ','."),
        ("80,5", "80.5", 4, "'80.5' is written with '.', a number in line 2 with ','."),
        ("80,5", "1.080", 4, "'1.080' is written with '.'"),
        ("80,5", "1.080,5", 4, "'1.080,5' has separators of thousands."),
        ("80,5", "1,080.5", 4, "'1,080.5' has separators of thousands."),
        ("80,5", "1,080,500", 4, "'1,080,500' has separators of thousands."),
        ("1,5", "1.080.500", 2, "'1.080.500' has separators of thousands."),
        ("80,5", "0" * 9999 + "1.5", 4, "'0000"),
    ],
)
@pytest.mark.parametrize("table", [a_long_table, a_wide_table])
def test_numbers_in_two_ways_are_refused_with_the_line_even_leniently(
    table, old, new, line, says, read_text
):
    text = table()
    assert f";{old}" in text
    name = "lab.csv" if table is a_long_table else "lab.wide.csv"
    line, says = (line, says) if table is a_long_table else (2, says.replace("line 4", "line 2"))

    message = refusal_of(read_text, text.replace(f";{old}", f";{new}", 1), name)

    assert message.startswith(f"{line}: {says}")
    assert len(message) < 300


def grouped(value, decimals, style):
    thousands, decimal = {
        "plain": ("", "."), "comma": ("", ","), "en": (",", "."), "de": (".", ","),
        "fr": (" ", ","), "ch": ("'", "."), "nbsp": ("\u202f", ","),
    }[style]  # fmt: skip
    text = f"{value:,.{decimals}f}"
    return text.replace(",", "_").replace(".", decimal).replace("_", thousands)


@pytest.mark.parametrize("style", ["plain", "comma", "en", "de", "fr", "ch", "nbsp"])
@given(
    numbers=st.lists(
        st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 6)), min_size=9, max_size=9
    ),
    delimiter=st.sampled_from(";\t"),
)
def test_number_in_any_country_s_way_is_never_read_as_another(style, numbers, delimiter):
    """It is read as it is meant, or refused."""
    assume(any(decimals for _, decimals in numbers))
    values = [round(n / 10**6, decimals) for n, decimals in numbers]
    assume(sum(not any(values[k : k + 3]) for k in (0, 3, 6)) < 2)
    texts = [grouped(v, decimals, style) for v, (_, decimals) in zip(values, numbers, strict=True)]
    rows = [["specimen", "code", "x", "y", "z"]]
    rows += [["a", code, *texts[3 * k : 3 * k + 3]] for k, code in enumerate(SCHEME.codes)]

    with TemporaryDirectory() as folder:
        path = Path(folder) / "lab.csv"
        path.write_text("\n".join(map(delimiter.join, rows)), encoding="utf-8")
        try:
            (landmarks,) = read_specimens(path, SCHEME)
        except FormatError as err:
            found, refusal = None, str(err)
        else:
            found, refusal = landmarks.positions.ravel().tolist(), ""

    if style in ("plain", "comma"):
        assert found == values or "an aligned shape" in refusal or "have no decimals" in refusal
    else:
        assert found in (values, None)


def test_whole_numbers_among_others_are_read(read_text):
    """Excel leaves zeros after the decimal comma out."""
    (landmarks,) = read_text(a_long_table().replace("7,5", "7").replace("-60,125", "-6E+01"))

    assert landmarks.positions[2].tolist() == [7.0, 80.5, 9.5]
    assert landmarks.positions[1, 2] == -60.0


@pytest.mark.parametrize("table", [a_long_table, a_wide_table])
def test_table_whose_decimal_signs_a_spreadsheet_dropped_is_refused(table, read_text):
    """Excel in German takes the points of a table with commas for separators of thousands."""
    text = table().replace(",", "")
    name = "lab.csv" if table is a_long_table else "lab.wide.csv"

    message = refusal_of(read_text, text, name)

    assert message.startswith("2: 9 of 9 numbers of the table, from this line on, have no decimals")
    assert read_text(text.replace(";", ","), name)


def test_table_of_which_a_few_numbers_kept_their_decimal_signs_is_refused(read_text):
    """As where a spreadsheet took some for text; zeros say nothing."""
    few = a_long_table().replace(",", "").replace(";375", ";3,75")

    with pytest.raises(FormatError, match=r"csv:2: 8 of 9 numbers of the table"):
        read_text(few)
    (landmarks,) = read_text("specimen;code;x;y;z\na;tip;0;0;1,5\na;chin;0;0;0\na;brow;0;2;0,5\n")
    assert landmarks.positions[:, 2].tolist() == [1.5, 0.0, 0.5]


def test_table_without_any_number_is_read(read_text):
    rows = "".join(f"a;{code};;NA;\n" for code in SCHEME.codes)

    (landmarks,) = read_text(f"specimen;code;x;y;z\n{rows}")

    assert landmarks.status == ("missing",) * 3


@pytest.mark.parametrize("mark", [".", ",", "1.x", "n.a.", "#WERT!", "1-2,5", "-"])
def test_what_is_no_number_is_named_as_it_is_written_and_no_decimal_sign(mark, read_text):
    text = a_long_table().replace(";80,5", f";{mark}")

    with pytest.raises(FormatError, match=r"csv:4: y must be a number") as told:
        read_text(text)
    with pytest.warns(FormatWarning, match=r"csv:4: y must be a number"):
        (landmarks,) = read_text(text, strict=False)

    assert f"got {mark!r}" in str(told.value)
    assert landmarks.is_placed.tolist() == [True, True, False]


def test_decimal_comma_between_commas_is_refused_even_in_quotation_marks(read_text):
    text = a_long_table().replace(",", ".").replace(";", ",").replace("80.5", '"80,5"')

    with pytest.raises(
        FormatError, match=r"csv:4: y must be .* comma, too\), or empty; got '80,5'"
    ):
        read_text(text)


def test_rows_with_commas_below_a_header_with_semicolons_are_refused(read_text):
    header, *rows = a_long_table(decimal=".").splitlines()
    text = "\n".join([header, *(row.replace(";", ",") for row in rows)])

    with pytest.raises(FormatError, match=r"csv:2: expected 5 fields; got 1"):
        read_text(text)


@pytest.mark.parametrize(
    ("yes", "no"), [("WAHR", "FALSCH"), ("VRAI", "FAUX"), ("VERO", "FALSO"), ("TRUE", "FALSE")]
)
def test_table_of_palnet_as_excel_saves_it_in_other_countries_is_read(
    yes, no, a_landmark_set, tmp_path
):
    path = tmp_path / "face.csv"
    write_landmarks(a_landmark_set, path)
    before = read_landmarks(path)
    text = path.read_text(encoding="utf-8").replace("\n", "\r\n").replace(",", ";")
    text = text.replace(".", ",").replace("true", yes).replace("false", no)
    path.write_bytes(text.encode("utf-8-sig"))

    after = read_landmarks(path)

    assert after.status == before.status
    np.testing.assert_array_equal(after.positions, before.positions)
    np.testing.assert_array_equal(after.expected_error_mm, before.expected_error_mm)
    path.write_bytes(text.replace(yes, no).encode("utf-8-sig"))
    with pytest.raises(FormatError, match=f"edited must be true with corrected; got '{no}'"):
        read_landmarks(path)


def test_names_with_commas_are_no_columns_of_a_table_with_semicolons(tmp_path):
    """Excel does not put them in quotation marks there."""
    names = tmp_path / "names.csv"
    names.write_text("their name;our code\nNase, Spitze;tip\nKinn;chin\n", encoding="utf-8")
    table = read_name_table(names, SCHEME)
    path = tmp_path / "lab.wide.csv"
    columns = [f"{name}_{axis}" for name in ("Nase, Spitze", "Kinn") for axis in "xyz"]
    path.write_text(f"{';'.join(['ID', *columns])}\na;1,5;2,5;3,5;4,5;5,5;6,5\n", encoding="utf-8")

    landmarks = table.translate(read_landmarks(path, table.reading_scheme))

    assert landmarks.positions[:2].tolist() == [[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_table_of_names_may_be_in_each_encoding_of_excel(encoding, tmp_path):
    path = tmp_path / "names.csv"
    path.write_bytes("their name\tour code\r\nNase au\u00dfen\ttip\r\n".encode(encoding))

    assert read_name_table(path, SCHEME).reading_scheme.codes == ("Nase au\u00dfen",)
    path.write_bytes("their name;our code\nNase au\u00dfen;tip\n".encode("cp1252"))
    with pytest.raises(FormatError, match=r'csv:2: must be text in UTF-8.*Excel: "CSV UTF-8"'):
        read_name_table(path, SCHEME)


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=; ", "sep=\t"])
@pytest.mark.parametrize(
    ("name", "text"), [("lab.csv", a_long_table()), ("lab.wide.csv", a_wide_table())]
)
def test_excel_s_line_about_its_separator_is_no_header(line, name, text, read_text, tmp_path):
    (landmarks,) = read_text(f"{line}\n{text}", name)

    np.testing.assert_array_equal(landmarks.positions, PLACES)
    assert may_hold_landmarks(tmp_path / name)
    n_lines = text.count("\n")
    with pytest.raises(FormatError, match=rf"csv:{n_lines + 1}: "):
        read_text(f"{line}\n{text[:-4]}?", name)


@pytest.mark.parametrize("column", ["ID", "id", "Subject", "SCAN"])
def test_specimens_may_be_called_otherwise(column, read_text, tmp_path):
    more = {column.lower(): ("p1",) * 3 + ("p2",) * 3}
    text = a_long_table(f"{column};Code;X;Y;Z", ("", ""), **more)

    found = read_text(text)

    assert may_hold_landmarks(tmp_path / "lab.csv")
    assert [landmarks.specimen for landmarks in found] == ["p1", "p2"]
    for landmarks in found:
        np.testing.assert_array_equal(landmarks.positions, PLACES)


@pytest.mark.parametrize("name", ["lab.csv", "lab.wide.csv"])
def test_two_columns_that_may_name_the_specimens_are_refused(name, read_text):
    text = a_long_table("id;subject;code;x;y;z", id="1", subject="p1")
    if "wide" in name:
        text = "id;subject;" + a_wide_table().partition(";")[2]

    message = refusal_of(read_text, text, name)

    assert message.startswith("1: the columns id and subject may both name the specimens. Call")


def test_numbers_of_rows_are_no_specimens(read_text):
    """As where a file of one specimen numbers its landmarks."""
    message = refusal_of(read_text, a_long_table("id;code;x;y;z", id=("1", "2", "3")))

    assert message.startswith("3: each row would be a specimen of its own")


@pytest.mark.parametrize("column", ["id", "scan", "date"])
def test_column_that_differs_in_each_row_is_no_rater(column, read_text):
    """Read leniently, all but the first landmark of a specimen would be lost."""
    text = a_long_table(f"specimen;{column};code;x;y;z", **{column: ("1", "2", "3")})

    message = refusal_of(read_text, text)

    assert message.startswith(f"3: the column {column} has another entry in each row of specimen")
    assert message.endswith("Delete this column.")


def test_table_without_any_landmark_of_the_scheme_is_refused_even_leniently(read_text):
    with pytest.warns(FormatWarning), pytest.raises(FormatError, match="has no landmark of scheme"):
        read_text(a_long_table().replace("a;", "a; LAB-"), strict=False)


@pytest.mark.parametrize("table", ["specimen,code,x,y,z", "specimen;code;x;y;z", "wide"])
def test_blanks_around_codes_and_numbers_are_no_part_of_them(table, read_text):
    """As in tables that are written with a blank after each comma."""
    name, text = "lab.wide.csv", a_wide_table()
    if table != "wide":
        name, text = "lab.csv", a_long_table(table, decimal="." if "," in table else ",")
    sign = "," if "," in table else ";"

    (landmarks,) = read_text(text.replace(sign, f" {sign} "), name)

    assert landmarks.specimen == "a "
    np.testing.assert_array_equal(landmarks.positions, PLACES)


@pytest.mark.parametrize("column", ["Rater", "observer", "date", "scan", "id", "Sex"])
def test_column_about_the_whole_specimen_is_ignored(column, read_text):
    more = {column.lower(): ("A",) * 3 + ("B",) * 3}
    text = a_long_table(f"specimen;{column};code;x;y;z", ("p1", "p2"), **more)

    assert [landmarks.specimen for landmarks in read_text(text)] == ["p1", "p2"]


@pytest.mark.parametrize(
    "raters", ["AAABBB", "ABABAB"], ids=["one after the other", "row after row"]
)
def test_landmarks_of_two_raters_are_never_mixed(raters, read_text):
    """Those of the first are read, if reading is lenient; the other's are different landmarks."""
    text = a_long_table("specimen;rater;code;x;y;z", ("p1", "p1"), rater=tuple(raters))
    line = 2 + raters.index("B")
    told = (
        rf"csv:{line}: the rows of specimen 'p1' have different entries in the column rater: 'A' "
        "in line 2, 'B' here. Give each its own name"
    )

    with pytest.raises(FormatError, match=told):
        read_text(text)
    with pytest.warns(FormatWarning, match=told) as warned:
        (landmarks,) = read_text(text, strict=False)

    assert len(warned) == 1
    np.testing.assert_array_equal(landmarks.positions, PLACES)


def test_landmarks_that_two_raters_shared_are_not_put_together(read_text):
    text = a_long_table("specimen;rater;code;x;y;z", rater=("A", "A", "B"))

    with pytest.raises(FormatError, match=r"csv:4: the rows of specimen 'a' have different ent"):
        read_text(text)
    with pytest.warns(FormatWarning, match="column rater"):
        (landmarks,) = read_text(text, strict=False)

    assert landmarks.status == ("corrected", "corrected", "missing")


@pytest.mark.parametrize("name", ["P1 ", " P1", "p1"])
def test_specimen_whose_name_is_written_in_two_ways_is_doubted(name, read_text):
    """Each of the two would have the other's landmarks missing."""
    text = a_long_table(specimens=("P1",)).replace("P1;chin", f"{name};chin")

    with pytest.raises(
        FormatError, match=rf"csv:3: specimen '{name}' has only landmarks that 'P1'"
    ):
        read_text(text)
    whole = a_long_table(specimens=("P1", name))
    assert [landmarks.specimen for landmarks in read_text(whole)] == ["P1", name]


def test_same_landmark_twice_is_refused_whatever_is_ignored(read_text):
    text = a_long_table("specimen;rater;code;x;y;z", ("p1", "p1"), rater="A")

    with pytest.raises(FormatError, match=r"csv:5: specimen 'p1' appears twice"):
        read_text(text)


@pytest.mark.parametrize("column", ["unit", "scale", "Einheit", "point", "x2", "session", "frame"])
@pytest.mark.parametrize("table", ["long", "wide"])
def test_column_that_may_change_what_is_meant_is_refused(table, column, read_text):
    text = a_long_table(f"specimen;{column};code;x;y;z", **{column.lower(): "cm"})
    name = "lab.csv"
    if table == "wide":
        name, text = "lab.wide.csv", a_wide_table().replace("a;", "a;cm;")
        text = text.replace("specimen;", f"specimen;{column};")

    told = rf"csv:1: the header has the unknown {column}. Delete these columns"
    with pytest.raises(FormatError, match=rf"(?i){told}"):
        read_text(text, name)


def test_wide_table_may_have_other_letters_and_more_columns(read_text):
    text = a_wide_table().replace("specimen;", ";ID;Rater;").replace("_x", "_X")
    text = text.replace("a;", "1;a;A;")

    (landmarks,) = read_text(text.replace("chin_z", " chin_Z "), "lab.wide.csv")

    assert landmarks.specimen == "a"
    np.testing.assert_array_equal(landmarks.positions, PLACES)


def test_wide_table_called_like_a_long_one_is_told_how_to_be_read(read_text):
    told = r"lab\.csv:1: .*<code>_x.* is to end in \.wide\.csv.*--from csv-wide\)\.$"

    with pytest.raises(FormatError, match=told):
        read_text(a_wide_table())


def test_wide_table_column_that_differs_in_a_letter_of_its_code_is_told(read_text):
    text = a_wide_table().replace("brow_z\n", "brow_z;Brow_z\n").replace("9,5\n", "9,5;10,5\n")

    with pytest.raises(FormatError, match="header has the unknown Brow_z"):
        read_text(text, "lab.wide.csv")
    with pytest.raises(FormatError, match="header has brow_z twice"):
        read_text(text.replace("Brow_z", "brow_Z"), "lab.wide.csv")


def test_wide_table_of_two_raters_has_each_specimen_twice(read_text):
    text = a_wide_table().replace("specimen;", "specimen;rater;").replace("a;", "a;A;")

    with pytest.raises(FormatError, match=r"csv:3: specimen 'a' appears twice"):
        read_text(text + text.splitlines()[1].replace("A", "B"), "lab.wide.csv")


@pytest.mark.parametrize("name", ["face.csv", "face.wide.csv"])
def test_table_is_written_with_commas_and_decimal_points_after_any_reading(
    name, a_whole_set, tmp_path
):
    path = tmp_path / name
    write_landmarks(replace(a_whole_set, specimen="a"), path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(",", ";").replace(".", ","), encoding="utf-8")

    write_landmarks(read_landmarks(path), path, overwrite=True)

    assert path.read_text(encoding="utf-8") == text


def test_people_whose_names_differ_in_other_bytes_only_stay_apart(tmp_path):
    """With one mark for all such bytes, the landmarks of two people became one specimen's."""
    header, *rows = a_long_table(specimens=("M\u00fcller", "M\u00f6ller")).splitlines()
    path = tmp_path / "people.csv"
    path.write_bytes("\r\n".join([header, *rows[:2], *rows[5:]]).encode("cp1252"))

    with pytest.warns(FormatWarning, match="must be text in UTF-8"):
        first, second = read_specimens(path, SCHEME, strict=False)

    assert (first.specimen, second.specimen) == ("M\ufffdfcller", "M\ufffdf6ller")
    np.testing.assert_array_equal(first.positions[:2], PLACES[:2])
    np.testing.assert_array_equal(second.positions[2], PLACES[2])
    assert first.status[2] == second.status[0] == second.status[1] == "missing"
