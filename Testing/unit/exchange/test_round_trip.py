# SPDX-License-Identifier: Apache-2.0
"""What holds for every format in the registry: what was written is read again."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from palnet.exchange import (
    FORMATS,
    get_format,
    may_hold_landmarks,
    read_specimens,
    write_specimens,
)
from palnet.landmarks import FRAMES, PLACED, STATUSES, LandmarkSet
from palnet.scheme import scheme_from_dict

# Numbers are written with six decimals.
HALF_STEP = 5.1e-7

# Few landmarks, so that a failing example is found small in seconds.
SCHEME = scheme_from_dict(
    {
        "scheme": "lab3",
        "landmarks": [
            {"code": "tip", "name": "Tip", "side": "midline", "definition": "Foremost."},
            {"code": "eye.R-1_r", "name": 'Eye, "out"', "side": "right", "definition": "Right."},
            {"code": "eye.R-1_l", "name": "Eye", "side": "left", "definition": "Left."},
        ],
    }
)
MANY = [name for name, entry in FORMATS.items() if entry.holds_many]
# What these hold beside positions: how a landmark came about, and its expected error.
TELL_STATUS = ("mrk.json", "csv")

numbers = st.one_of(
    st.floats(-1e7, 1e7, allow_nan=False),
    st.sampled_from([0.0, -0.0, 1e-9, -1e-5, 5e-7, -123456.789, 1e7]),
).filter(lambda value: "9999" not in f"{value:.6f}")
any_names = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12
)
plain_names = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)


@st.composite
def specimen_lists(draw, name, max_size=4):
    """Specimens in one frame, as the format can hold them."""
    entry = FORMATS[name]
    frame = draw(st.sampled_from(FRAMES))
    unit = draw(st.sampled_from([0.001, 1.0, 25.4, 1000.0])) if frame == "file" else 1.0
    space = draw(st.sampled_from(["LPS", "RAS"])) if frame == "file" else frame
    words = [word.lower() for word in entry.reserved_words]
    names = (plain_names if entry.specimen_names == "plain" else any_names).filter(
        lambda text: not any(word in text.lower() for word in words)
    )
    many = draw(st.lists(names, unique=True, min_size=1, max_size=max_size * entry.holds_many or 1))
    statuses = STATUSES if entry.holds_missing else PLACED
    return [draw_set(draw, specimen, statuses, (frame, unit, space)) for specimen in many]


def draw_set(draw, specimen, statuses, framing):
    n = len(SCHEME)
    frame, unit, space = framing
    status = draw(st.lists(st.sampled_from(statuses), min_size=n, max_size=n))
    points = draw(st.lists(st.tuples(numbers, numbers, numbers), min_size=n, max_size=n))
    known = st.one_of(st.just(np.nan), st.floats(0, 100))
    errors = np.array(draw(st.lists(known, min_size=n, max_size=n)))
    positions = np.array(points)
    # Several landmarks at 0, 0, 0 are doubted on reading: a mark for missing ones.
    assume(np.sum(~positions.round(6).any(axis=1)) < 2)
    positions[[s not in PLACED for s in status]] = np.nan
    return LandmarkSet(SCHEME, positions, tuple(status), errors, unit, frame, specimen, space)


def framing_of(landmarks):
    return landmarks.specimen, landmarks.frame, landmarks.space, landmarks.mm_per_unit


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=60)
def test_format_reads_back_what_it_wrote(name, data):
    specimens = data.draw(specimen_lists(name))

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"cohort{get_format(name).suffix}"
        write_specimens(specimens, path)
        back = read_specimens(path, SCHEME)

    assert [framing_of(entry) for entry in back] == [framing_of(entry) for entry in specimens]
    for found, true in zip(back, specimens, strict=True):
        np.testing.assert_allclose(found.positions, true.positions, atol=HALF_STEP, rtol=1e-15)
        assert found.is_placed.tolist() == true.is_placed.tolist()
        if name in TELL_STATUS:
            assert found.status == true.status
            np.testing.assert_allclose(
                found.expected_error_mm, true.expected_error_mm, atol=HALF_STEP
            )


SPREADSHEETS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(";\t"),
        "decimal": st.sampled_from(",."),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
        "line_end": st.sampled_from(["\n", "\r\n"]),
        "specimen": st.sampled_from(["specimen", "Specimen", "ID", "id", "Subject", " scan "]),
        "axes": st.sampled_from(["xyz", "XYZ"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    }
)


def as_spreadsheet(text, how):
    """Write a table again as programs do in countries with a decimal comma."""
    (_, *columns), *rows = csv.reader(io.StringIO(text, newline=""))
    names = [re.sub(r"(^|_)([xyz])$", lambda m: m[1] + how["axes"]["xyz".index(m[2])], column)
             for column in columns]  # fmt: skip
    is_number = [bool(re.search(r"(^|_)[xyz]$", c)) or c == "expected_error_mm" for c in columns]
    texts = [
        [row[0], *(field.replace(".", how["decimal"]) if of_number else field
                   for field, of_number in zip(row[1:], is_number, strict=True))]
        for row in rows
    ]  # fmt: skip
    stream = io.StringIO(newline="")
    writer = csv.writer(
        stream, delimiter=how["delimiter"], lineterminator=how["line_end"], quoting=how["quoting"]
    )
    writer.writerows([[how["specimen"], *names], *texts])
    return stream.getvalue().encode(how["encoding"])


@pytest.mark.parametrize("name", ["csv", "csv-wide"])
@given(data=st.data(), how=SPREADSHEETS)
@settings(max_examples=150)
def test_table_of_a_spreadsheet_with_decimal_commas_reads_as_the_one_it_was(name, data, how):
    specimens = data.draw(specimen_lists(name))

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"cohort{get_format(name).suffix}"
        write_specimens(specimens, path)
        before = read_specimens(path, SCHEME)
        path.write_bytes(as_spreadsheet(path.read_text(encoding="utf-8"), how))
        after = read_specimens(path, SCHEME)
        may_hold = may_hold_landmarks(path)

    assert may_hold
    assert [framing_of(entry) for entry in after] == [framing_of(entry) for entry in before]
    for found, true in zip(after, before, strict=True):
        assert found.status == true.status
        np.testing.assert_array_equal(found.positions, true.positions)
        np.testing.assert_array_equal(found.expected_error_mm, true.expected_error_mm)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=20)
def test_format_numbers_have_six_decimals_and_no_exponent(name, data):
    drawn = data.draw(specimen_lists(name))
    specimens = [replace(entry, specimen=f"case_{k}") for k, entry in enumerate(drawn)]

    text = "".join(FORMATS[name].write(specimens))

    assert not re.search(r"[0-9]\.[0-9]*[eE][-+]?[0-9]", text)
    assert set(re.findall(r"-?[0-9]+\.[0-9]{6}\b", text)) >= {
        f"{value:.6f}" for entry in specimens for value in entry.positions.ravel() if value == value
    }


@pytest.mark.parametrize("name", FORMATS)
def test_format_writes_the_same_text_again(name, a_whole_set, tmp_path):
    path = tmp_path / f"face{get_format(name).suffix}"
    write_specimens([a_whole_set], path)
    text = path.read_text(encoding="utf-8")

    back = read_specimens(path)

    assert "".join(get_format(name).write(back)) == text


@pytest.mark.parametrize("name", FORMATS)
def test_format_writes_utf8_with_lf_and_a_last_line_end(name, a_whole_set, tmp_path):
    path = tmp_path / f"Gesicht Müller{get_format(name).suffix}"

    write_specimens([a_whole_set], path)

    content = path.read_bytes()
    assert (content[:3] == b"\xef\xbb\xbf", b"\r" in content, content[-1:]) == (False, False, b"\n")


@pytest.mark.parametrize(
    "change", [b"\xef\xbb\xbf", b"UTF-16", b"\r\n", b"\r"], ids=["BOM", "UTF-16", "CRLF", "CR"]
)
@pytest.mark.parametrize("name", FORMATS)
def test_format_with_byte_order_mark_or_other_line_ends_is_read(
    name, change, a_whole_set, tmp_path
):
    path = tmp_path / f"face{get_format(name).suffix}"
    write_specimens([a_whole_set], path)
    before = read_specimens(path)[0]
    content = path.read_bytes()
    if change == b"\xef\xbb\xbf":
        path.write_bytes(change + content)
    elif change == b"UTF-16":
        path.write_bytes(content.decode("utf-8").encode("utf-16"))
    else:
        path.write_bytes(content.replace(b"\n", change))

    (landmarks,) = read_specimens(path)

    assert np.array_equal(landmarks.positions, before.positions)
    assert landmarks.specimen == before.specimen


@pytest.mark.parametrize("frame", ["LPS", "RAS"])
@pytest.mark.parametrize("name", FORMATS)
def test_convention_frame_writes_millimeters_along_its_axes(name, frame, a_whole_set, tmp_path):
    path = tmp_path / f"face{get_format(name).suffix}"

    write_specimens([a_whole_set], path, frame=frame)

    expected = a_whole_set.to_frame(frame).positions
    (back,) = read_specimens(path)
    np.testing.assert_allclose(back.positions, expected, atol=HALF_STEP)
    assert (back.frame, back.mm_per_unit) == (frame, 1.0)


@pytest.mark.parametrize("name", FORMATS)
def test_convention_frame_file_writes_the_file_s_own_numbers(name, a_whole_set, tmp_path):
    path = tmp_path / f"face{get_format(name).suffix}"

    write_specimens([a_whole_set], path, frame="file")

    first = "".join(f"{value:.6f} " for value in a_whole_set.positions[0]).split()
    assert all(number in path.read_text(encoding="utf-8") for number in first)


@pytest.mark.parametrize("name", MANY)
def test_format_of_many_keeps_their_order(name, a_whole_set, tmp_path):
    path = tmp_path / f"cohort{get_format(name).suffix}"
    names = ["case_3", "case_1", "case_2"]

    write_specimens((replace(a_whole_set, specimen=text) for text in names), path)

    assert [entry.specimen for entry in read_specimens(path)] == names


@pytest.mark.parametrize("name", FORMATS)
@given(text=st.text(max_size=200))
def test_format_of_any_text_is_refused_with_its_file_named(name, text):
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"face{get_format(name).suffix}"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))

        with pytest.raises(ValueError, match=re.escape(str(path))):
            read_specimens(path, SCHEME)
