# SPDX-License-Identifier: Apache-2.0
"""Files as their programs want them, read by parsers that know nothing of palnet.

Each is written from the description of the format and takes no other byte; none uses the product's
reader.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from palnet.exchange import FORMATS, get_format, write_specimens

NUMBER = r"-?[0-9]+\.[0-9]{6}"
POINT = rf"{NUMBER} {NUMBER} {NUMBER}"
NAME = r"[A-Za-z0-9_.-]+"
HALF_STEP = 5.1e-7


def numbers_of(texts):
    return np.reshape([float(text) for text in texts], (-1, 3))


def parse_tps(text):
    pattern = rf"LM3=(50)\n((?:(?:{POINT}|NA NA NA)\n){{50}})ID=({NAME})\n"
    blocks = re.findall(pattern, text)
    assert "".join(f"LM3={n}\n{points}ID={name}\n" for n, points, name in blocks) == text
    assert "SCALE" not in text
    return {name: numbers_of(points.replace("NA", "nan").split()) for _, points, name in blocks}


def parse_nts(text):
    comment, head, *rest = text.removesuffix("\n").split("\n")
    found = re.fullmatch(r"1 ([0-9]+)L 150 (0|1 -9999) DIM=3", head)
    n = int(found[1])
    labels, rows = rest[:n], rest[n:]
    assert comment.startswith('"')
    assert all(re.fullmatch(NAME, label) for label in labels)
    assert [len(row.split(" ")) for row in rows] == [150] * n
    assert ("-9999" in rest[n:][-1] or "-9999" in rows[0]) == (found[2] != "0")
    values = [row.replace("-9999", "nan").split(" ") for row in rows]
    return {label: numbers_of(row) for label, row in zip(labels, values, strict=True)}


def parse_dta(text):
    head = r"'[^\n]*\n1 ([0-9]+)L 150 1 9999 Dim=3\n"
    pattern = rf"{head}\n((?:{NAME}\n)+)\n((?:{POINT}\n|9999 9999 9999\n)+)\n"
    n, labels, points = re.fullmatch(pattern, text).groups()
    labels = labels.split()
    assert len(labels) == int(n)
    values = numbers_of(re.sub(r"\b9999\b(?!\.)", "nan", points).split()).reshape(-1, 50, 3)
    return dict(zip(labels, values, strict=True))


def parse_pts(text):
    lines = text.split("\n")
    assert (lines[:2], lines[-2:]) == (["Version 1.0", "50"], ["", ""])
    rows = [re.fullmatch(rf"({NAME}) ({POINT})", line).groups() for line in lines[2:-2]]
    return {name: np.array(point.split(" "), float) for name, point in rows}


def parse_morphologika(text):
    parts = re.split(r"^\[([a-z]+)\]\n", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    names = sections["names"].split()
    assert parts[0] == ""
    assert list(sections) == ["individuals", "landmarks", "dimensions", "names", "rawpoints"]
    assert [sections[key] for key in ("individuals", "landmarks", "dimensions")] == [
        f"{len(names)}\n",
        "50\n",
        "3\n",
    ]
    blocks = re.findall(rf"'({NAME})\n((?:{POINT}\n){{50}})", sections["rawpoints"])
    assert "".join(f"'{name}\n{points}" for name, points in blocks) == sections["rawpoints"]
    assert [name for name, _ in blocks] == names
    return {name: numbers_of(points.split()) for name, points in blocks}


def parse_morphoj(text):
    header, *rows = [line.split(",") for line in text.removesuffix("\n").split("\n")]
    assert header == ["ID", *(f"{axis}{k}" for k in range(1, 51) for axis in "xyz")]
    assert {len(row) for row in [header, *rows]} == {151}
    assert all(re.fullmatch(NUMBER, entry) for row in rows for entry in row[1:])
    return {row[0]: numbers_of(row[1:]) for row in rows}


def parse_csv_wide(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    codes = [column[:-2] for column in rows[0] if column.endswith("_x")]
    return {
        row["specimen"]: numbers_of(row[f"{c}_{axis}"] or "nan" for c in codes for axis in "xyz")
        for row in rows
    }


def parse_csv(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    names = list(dict.fromkeys(row["specimen"] for row in rows))
    return {
        name: numbers_of(
            row[axis] or "nan" for row in rows if row["specimen"] == name for axis in "xyz"
        )
        for name in names
    }


def parse_fcsv(text):
    head, rows = text.split("\n")[:3], text.removesuffix("\n").split("\n")[3:]
    assert re.fullmatch(r"# Markups fiducial file version = 5\.[0-9]+", head[0])
    assert head[1] in ("# CoordinateSystem = LPS", "# CoordinateSystem = RAS")
    assert head[2] == "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
    fields = [row.split(",") for row in rows]
    # As many as columns are named: with more, pandas reads the wrong columns and R stops.
    assert {len(row) for row in fields} == {len(head[2].split(","))}
    assert [row[0] for row in fields] == [str(k) for k in range(1, len(fields) + 1)]
    assert {tuple(row[4:11] + row[12:]) for row in fields} == {
        ("0", "0", "0", "1", "1", "1", "0", "", "")
    }
    return {row[11]: np.array(row[1:4], float) for row in fields}


def parse_pp(text):
    doctype, rest = text.split("\n", 1)
    root = ET.fromstring(rest)
    lines = [line for line in text.split("\n") if "<point " in line]
    points = root.findall("point")
    assert (doctype, root.tag) == ("<!DOCTYPE PickedPoints>", "PickedPoints")
    assert [child.tag for child in root.find("DocumentData")] == [
        "DateTime",
        "User",
        "DataFileName",
        "templateName",
    ]
    # One a line, the attributes in the order that Morpho's reader wants, no lower case in names.
    assert len(lines) == len(points)
    assert all(list(p.attrib) == ["x", "y", "z", "active", "name"] for p in points)
    assert not any(re.search("[a-z]", p.get("name")) for p in points)
    return {
        p.get("name").lower(): np.array([p.get(axis) for axis in "xyz"], float)
        if p.get("active") == "1"
        else np.full(3, np.nan)
        for p in points
    }


def parse_lafas(text):
    rows = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    points = [re.fullmatch(rf"\(({NUMBER}),({NUMBER}),({NUMBER})\)", row[1]) for row in rows]
    return {row[0]: np.array(p.groups(), float) for row, p in zip(rows, points, strict=True)}


def parse_mrk_json(text):
    points = json.loads(text)["markups"][0]["controlPoints"]
    return {
        p["label"]: np.array(p["position"] or [np.nan] * 3, float)
        for p in points
        if (p["positionStatus"] == "defined") == (p["position"] != "")
    }


OF_MANY = {
    "tps": parse_tps,
    "nts": parse_nts,
    "dta": parse_dta,
    "morphologika": parse_morphologika,
    "morphoj": parse_morphoj,
    "csv-wide": parse_csv_wide,
    "csv": parse_csv,
}
OF_ONE = {
    "pts": parse_pts,
    "fcsv": parse_fcsv,
    "pp": parse_pp,
    "lafas": parse_lafas,
    "mrk.json": parse_mrk_json,
}


@pytest.fixture
def a_cohort(a_whole_set):
    """Three specimens with numbers of every size."""
    scales = {"case_001": 1.0, "case_002": 1e-6, "case_003": 5e4}
    return [
        replace(a_whole_set, specimen=name, positions=a_whole_set.positions * scale)
        for name, scale in scales.items()
    ]


def without_some(landmarks):
    positions = landmarks.positions.copy()
    positions[[0, 7, 49]] = np.nan
    status = tuple("missing" if np.isnan(row[0]) else "detected" for row in positions)
    return replace(landmarks, positions=positions, status=status)


def write(specimens, name, folder):
    path = folder / f"case_001{get_format(name).suffix}"
    write_specimens(specimens, path)
    return path.read_text(encoding="utf-8")


def assert_same(found, specimens):
    assert list(found) == [entry.specimen for entry in specimens]
    for entry in specimens:
        np.testing.assert_allclose(found[entry.specimen], entry.positions, atol=HALF_STEP)


def test_every_format_has_a_strict_parser():
    assert set(OF_MANY) | set(OF_ONE) == set(FORMATS)


@pytest.mark.parametrize("name", OF_MANY)
def test_format_of_many_is_what_the_strict_parser_takes(name, a_cohort, tmp_path):
    text = write(a_cohort, name, tmp_path)

    assert_same(OF_MANY[name](text), a_cohort)


@pytest.mark.parametrize("name", [name for name in OF_MANY if get_format(name).holds_missing])
def test_format_of_many_with_missing_is_what_the_strict_parser_takes(name, a_cohort, tmp_path):
    cohort = [without_some(a_cohort[0]), *a_cohort[1:]]

    text = write(cohort, name, tmp_path)

    assert_same(OF_MANY[name](text), cohort)


@pytest.mark.parametrize("name", OF_ONE)
def test_format_of_one_is_what_the_strict_parser_takes(name, a_cohort, tmp_path):
    for landmarks in a_cohort:
        found = OF_ONE[name]("".join(get_format(name).write([landmarks])))

        codes = landmarks.scheme.codes
        assert set(found) == set(codes)
        positions = [found[code] for code in codes]
        np.testing.assert_allclose(positions, landmarks.positions, atol=HALF_STEP)


@pytest.mark.parametrize("name", [name for name in OF_ONE if get_format(name).holds_missing])
def test_format_of_one_with_missing_is_what_the_strict_parser_takes(name, a_cohort):
    landmarks = without_some(a_cohort[0])

    found = OF_ONE[name]("".join(get_format(name).write([landmarks])))

    positions = [found[code] for code in landmarks.scheme.codes]
    np.testing.assert_allclose(positions, landmarks.positions, atol=HALF_STEP)


def test_lafas_rows_are_sorted_by_number_as_text(a_whole_set):
    rows = list(parse_lafas("".join(FORMATS["lafas"].write([a_whole_set]))))

    numbers = [a_whole_set.scheme.index_of(code) + 1 for code in rows]
    assert numbers[:13] == [1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 2, 20]
    assert numbers == sorted(range(1, 51), key=str)
