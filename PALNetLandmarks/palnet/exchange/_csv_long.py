# SPDX-License-Identifier: Apache-2.0
"""Long table: one row per landmark of a specimen, for R, Excel and Python.

It is written with all columns. A table of specimen, landmark and x, y, z is read as well, with
semicolons or tabs and decimal commas, too.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import listing, quote
from palnet.exchange._format import OTHER_NAMES, Format, parse_number
from palnet.exchange._rows import (
    IGNORED_COLUMNS,
    SPECIMEN_COLUMNS,
    find_delimiter,
    first_line,
    name_specimen_column,
    split_rows,
    unknown_columns,
    with_decimal_points,
)
from palnet.landmarks import PLACED, STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from palnet.exchange._format import Reading
    from palnet.landmarks import LandmarkSet, Status
    from palnet.scheme import Scheme

__all__ = ["CSV", "LANDMARK_COLUMNS"]

# May be empty, or NA as written by R.
NUMBERS = ("x", "y", "z", "expected_error_mm")
COLUMNS = (
    "specimen",
    "index",
    "code",
    "name",
    "side",
    "x",
    "y",
    "z",
    "status",
    "expected_error_mm",
    "edited",
)
# The first of these that a table has identifies its landmarks.
LANDMARK_COLUMNS = ("code", "landmark", "name")
_NEEDED = {"specimen", "code", "x", "y", "z"}
# What spreadsheets in other languages make of true and false.
_WORDS = {
    "true": ("true", "wahr", "vrai", "vero", "waar", "verdadero", "verdadeiro"),
    "false": ("false", "falsch", "faux", "falso", "onwaar"),
}
# Largest distance of an aligned shape's size from 1, and of its middle from 0; tables of aligned
# shapes have at least four decimals.
_ALIGNED = 1e-3


def write_csv(specimens: Iterable[LandmarkSet]) -> Iterator[str]:
    """Write the table; x, y and z are empty for a missing position."""
    yield _lines_text([COLUMNS])
    for landmarks in specimens:
        numbers = [
            ["" if value != value else f"{value:.6f}" for value in row]
            for row in np.column_stack([landmarks.positions, landmarks.expected_error_mm]).tolist()
        ]
        yield _lines_text(
            (
                landmarks.specimen,
                index,
                definition.code,
                definition.name,
                definition.side,
                *texts[:3],
                status,
                texts[3],
                _edited(status),
            )
            for index, (definition, status, texts) in enumerate(
                zip(landmarks.scheme.landmarks, landmarks.status, numbers, strict=True)
            )
        )


def read_csv(reading: Reading) -> Iterator[LandmarkSet]:
    """Read the table, whose rows may be in any order."""
    scheme = reading.scheme_of_codes
    by_specimen: dict[str, list[_Row]] = {}
    for line, fields in _read_rows(reading):
        by_specimen.setdefault(fields["specimen"], []).append(_Row(line, fields))
    _check_row_numbers(reading, list(by_specimen.values()))
    _check_names(reading, by_specimen)
    for specimen, rows in by_specimen.items():
        alike = _described_alike(reading, rows)
        yield _read_specimen(reading, scheme, specimen, _once(reading, scheme, alike))


def _check_row_numbers(reading: Reading, specimens: list[list[_Row]]) -> None:
    """Refuse a column such as ``id`` that seems to number the rows, not the specimens."""
    if "specimen" in first_line(reading.text).lower():
        return
    if len(specimens) > 1 and all(len(rows) == 1 for rows in specimens):
        problem = (
            "each row would be a specimen of its own, as if the column of the specimens held "
            "numbers of rows. Call the column with the names of the specimens specimen."
        )
        raise reading.error(specimens[1][0].line, problem)


def _check_names(reading: Reading, by_specimen: dict[str, list[_Row]]) -> None:
    """Doubt one specimen whose name is written in two ways: each would lack the other's rows."""
    first: dict[str, str] = {}
    for name, rows in by_specimen.items():
        known = first.setdefault(" ".join(name.casefold().split()), name)
        if known == name:
            continue
        codes = {row.fields["code"] for row in rows}
        if codes.isdisjoint(row.fields["code"] for row in by_specimen[known]):
            problem = (
                f"specimen {quote(name)} has only landmarks that {quote(known)} lacks: are they "
                "one? Write the name in the same way, without blanks around it."
            )
            reading.doubt(rows[0].line, problem)


def _described_alike(reading: Reading, rows: list[_Row]) -> list[_Row]:
    """Doubt a specimen whose rows differ in a description, such as the rater; keep the first."""
    first = rows[0]
    for column in sorted(IGNORED_COLUMNS.intersection(first.fields)):
        value = first.fields[column]
        other = next((row for row in rows if row.fields[column] != value), None)
        if other is not None and len({row.fields[column] for row in rows}) == len(rows) > 2:
            problem = (
                f"the column {column} has another entry in each row of specimen "
                f"{quote(first.fields['specimen'])}, like a number of rows. Delete this column."
            )
            raise reading.error(other.line, problem)
        if other is not None:
            problem = (
                f"the rows of specimen {quote(first.fields['specimen'])} have different entries in "
                f"the column {column}: {quote(value)} in line {first.line}, "
                f"{quote(other.fields[column])} here. Give each its own name of specimen, or its "
                "own table; if it does not matter, delete the column."
            )
            reading.doubt(other.line, problem)
            rows = [row for row in rows if row.fields[column] == value]
    return rows


def _once(reading: Reading, scheme: Scheme, rows: list[_Row]) -> list[_Row]:
    """Doubt a specimen that occurs twice, and keep the first; a few repeated rows remain."""
    first: dict[str, _Row] = {}
    for row in rows:
        first.setdefault(row.fields["code"], row)
    again = [row for row in rows if row is not first[row.fields["code"]]]
    if 2 * len(again) <= len(scheme):
        return rows
    specimen = rows[0].fields["specimen"]
    reading.doubt(again[0].line, f"specimen {specimen!r} appears twice. Rename one.")
    return list(first.values())


CSV = Format(
    "csv",
    ".csv",
    "long table, one row per landmark",
    write_csv,
    read_csv,
    holds_many=True,
    specimen_names="any",
)


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table."""

    line: int
    fields: dict[str, str]


def _lines_text(rows: Iterable[Iterable[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _edited(status: str | None) -> str:
    return "true" if status == "corrected" else "false"


def _read_rows(reading: Reading) -> Iterator[tuple[int, dict[str, str]]]:
    """Split into rows, each with its line number."""
    delimiter = find_delimiter(reading.text, SPECIMEN_COLUMNS)
    rows = split_rows(reading.path, reading.text, delimiter)
    _, header = next(rows)
    columns = _read_header(reading, header)
    if delimiter != ",":
        places = [place for place, column in enumerate(columns) if column in NUMBERS]
        rows = with_decimal_points(reading, rows, places)
    for line, fields in rows:
        if len(fields) != len(columns):
            reading.doubt(line, f"expected {len(columns)} fields; got {len(fields)}.")
            continue
        row = dict(zip(columns, fields, strict=True))
        # Some labs write a blank after each comma; a specimen's name is kept as it is.
        row |= {column: row[column].strip() for column in ("code", *NUMBERS) if column in row}
        row |= {column: "" for column in NUMBERS if row.get(column) == "NA"}
        yield line, row


def _read_header(reading: Reading, header: list[str]) -> list[str]:
    """Name the columns as in `COLUMNS`; doubt others, except row numbers of R and pandas."""
    columns = name_specimen_column(reading, [column.lower() for column in header])
    if "status" not in columns:
        columns = ["" if column == "index" else column for column in columns]
    for name in LANDMARK_COLUMNS:
        if name in columns:
            columns[columns.index(name)] = "code"
            break
    named = [column for column in columns if column]
    if not _NEEDED.issubset(columns) or len(set(named)) < len(named):
        problem = (
            f"the header must name the columns specimen (or {', '.join(SPECIMEN_COLUMNS[1:])}), "
            "code (or landmark, or name), x, y and z, each once; got "
            f"{quote(first_line(reading.text))}. Separate by commas, semicolons or tabs. A table "
            "of columns <code>_x, <code>_y, <code>_z is to end in .wide.csv, or to be named "
            "as such (palnet convert --from csv-wide)."
        )
        raise reading.error(1, problem)
    unknown = [column for column in named if column not in {*COLUMNS, *IGNORED_COLUMNS}]
    if unknown:
        reading.doubt(1, unknown_columns(unknown))
    return columns


def _read_specimen(
    reading: Reading, scheme: Scheme, specimen: str, rows: list[_Row]
) -> LandmarkSet:
    """Sort the rows of one specimen; a doubtful landmark is undefined."""
    positions = np.full((len(scheme), 3), np.nan)
    errors = np.full(len(scheme), np.nan)
    status: list[Status | None] = [None] * len(scheme)
    for row in rows:
        code = row.fields["code"]
        if code not in scheme.codes:
            problem = f"scheme {scheme.name!r} has no landmark {quote(code)}. {OTHER_NAMES}"
            reading.doubt(row.line, problem)
            continue
        index = scheme.index_of(code)
        is_first = status[index] is None
        status[index], positions[index], errors[index] = "undefined", np.nan, np.nan
        problem = _find_problem(row.fields, index)
        if not is_first:
            problem = f"landmark {code!r} appears twice. Delete one of the two rows."
        if problem:
            reading.doubt(row.line, problem)
            continue
        status[index] = _status(row.fields)
        positions[index] = [_number(row.fields[axis]) for axis in "xyz"]
        errors[index] = _number(row.fields.get("expected_error_mm", ""))
    if not any(row.fields["code"] in scheme.codes for row in rows):
        problem = f"specimen {quote(specimen)} has no landmark of scheme {scheme.name!r}."
        raise reading.error(rows[0].line, f"{problem} {OTHER_NAMES}")
    if "status" not in rows[0].fields and _is_aligned(positions):
        problem = (
            f"specimen {quote(specimen)} is an aligned shape (of centroid size 1, around 0), which "
            "has no unit and no place on a scan. Give the landmarks as they were placed."
        )
        raise reading.error(rows[0].line, problem)
    return reading.make_landmarks(
        scheme,
        positions,
        specimen,
        line=rows[0].line,
        status=_complete(reading, scheme, rows[-1], status),
        expected_error_mm=errors,
    )


def _find_problem(fields: dict[str, str], index: int) -> str:
    """Describe what is wrong with a row; empty if its values are consistent."""
    if fields.get("index", str(index)) != str(index):
        return f"landmark {fields['code']!r} has index {index}; got {quote(fields['index'])}."
    status = _status(fields)
    if status is None:
        return f"status must be one of {', '.join(STATUSES)}; got {quote(fields['status'])}."
    wrong = _find_bad_number(fields)
    if wrong:
        return wrong
    n_numbers = sum(fields[axis] != "" for axis in "xyz")
    if n_numbers != (3 if status in PLACED else 0):
        expected = "x, y and z" if status in PLACED else "no x, y, z"
        is_what = f"that is {status}" if "status" in fields else "with a position"
        return f"a landmark {is_what} must have {expected}."
    edited = _edited(status)
    if fields.get("edited", edited).lower() not in _WORDS[edited]:
        return f"edited must be {edited} with {status}; got {quote(fields['edited'])}."
    return ""


def _find_bad_number(fields: dict[str, str]) -> str:
    for column in NUMBERS:
        text = fields.get(column)
        if text and parse_number(text) is None:
            got = quote(text)
            return (
                f"{column} must be a number with a decimal point (between semicolons or tabs, a "
                f"decimal comma, too), or empty; got {got}."
            )
    if fields.get("expected_error_mm", "").startswith("-"):
        return f"expected_error_mm must be at least 0; got {fields['expected_error_mm']}."
    return ""


def _status(fields: dict[str, str]) -> Status | None:
    """Return the status; without that column a person has placed what has a position."""
    if "status" not in fields:
        return "corrected" if any(fields[axis] for axis in "xyz") else "missing"
    return next((status for status in STATUSES if status == fields["status"]), None)


def _number(text: str) -> float:
    """Parse a checked number; NaN for an empty field."""
    return float(text) if text else np.nan


def _is_aligned(positions: NDArray[np.float64]) -> bool:
    """Whether landmarks are as after a Procrustes alignment: of centroid size 1, around 0."""
    placed = positions[~np.isnan(positions[:, 0])]
    if not len(placed):
        return False
    middle = placed.mean(axis=0)
    size = np.linalg.norm(placed - middle)
    return bool(abs(size - 1) < _ALIGNED and np.linalg.norm(middle) < _ALIGNED)


def _complete(
    reading: Reading, scheme: Scheme, last: _Row, status: list[Status | None]
) -> tuple[Status, ...]:
    """Doubt absent rows of a table with statuses; without them such landmarks are missing."""
    if "status" not in last.fields:
        return tuple(found or "missing" for found in status)
    absent = [code for code, found in zip(scheme.codes, status, strict=True) if found is None]
    if absent:
        problem = (
            f"lacks rows for {listing(absent)} of specimen {quote(last.fields['specimen'])}, "
            "which ends in this row. A landmark without a position still needs its row, with "
            "status missing or undefined."
        )
        reading.doubt(last.line, problem)
    return tuple(found or "undefined" for found in status)
