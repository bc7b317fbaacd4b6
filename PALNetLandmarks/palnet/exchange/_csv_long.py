# SPDX-License-Identifier: Apache-2.0
"""Long table: one row a landmark, for R, Excel and Python."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from palnet.errors import FormatError
from palnet.exchange._format import Format
from palnet.landmarks import PLACED, STATUSES, LandmarkSet
from palnet.scheme import load_scheme

if TYPE_CHECKING:
    from palnet.exchange._format import Reading
    from palnet.landmarks import Status
    from palnet.scheme import Scheme

__all__ = ["CSV"]

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


def write_csv(landmarks: LandmarkSet) -> str:
    """Write the table; x, y and z are empty where there is no position."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for index, definition in enumerate(landmarks.scheme.landmarks):
        status = landmarks.status[index]
        writer.writerow(
            (
                landmarks.specimen,
                index,
                definition.code,
                definition.name,
                definition.side,
                *(_number_text(value) for value in landmarks.positions[index]),
                status,
                _number_text(landmarks.expected_error_mm[index]),
                _edited(status),
            )
        )
    return buffer.getvalue()


def read_csv(reading: Reading) -> LandmarkSet:
    """Read the table of one specimen, whose rows may be in any order."""
    scheme = reading.scheme or load_scheme()
    rows = _read_rows(reading)
    positions = np.full((len(scheme), 3), np.nan)
    errors = np.full(len(scheme), np.nan)
    status: list[Status | None] = [None] * len(scheme)
    for where, row in rows:
        index = _read_index(where, row, scheme)
        if status[index] is not None:
            msg = f"{where}: landmark {row['code']!r} is there twice. Delete one of the two rows."
            raise FormatError(msg)
        status[index] = _read_status(where, row)
        positions[index] = [_read_number(where, row, column) for column in "xyz"]
        errors[index] = _read_number(where, row, "expected_error_mm")
        _check_row(where, row, status[index], positions[index], errors[index])
    return LandmarkSet(
        scheme=scheme,
        positions=positions,
        status=_complete(reading, scheme, status),
        expected_error_mm=errors,
        mm_per_unit=reading.mm_per_unit,
        frame=reading.frame,
        specimen=_read_specimen(rows),
        space="RAS" if reading.frame == "RAS" else "LPS",
    )


CSV = Format("csv", ".csv", "long table, one row a landmark", write_csv, read_csv)


def _number_text(value: float) -> str:
    """Write in fixed notation, which every reader understands; empty for NaN."""
    return "" if np.isnan(value) else f"{value:.6f}"


def _edited(status: str | None) -> str:
    return "true" if status == "corrected" else "false"


def _read_rows(reading: Reading) -> list[tuple[str, dict[str, str]]]:
    """Split into rows, each with the words that name it in an error."""
    lines = csv.reader(io.StringIO(reading.text.removeprefix("\ufeff"), newline=""))
    rows: list[tuple[str, dict[str, str]]] = []
    header = next(lines, [])
    if tuple(header) != COLUMNS:
        msg = (
            f"{reading.path}:1: the header must be {','.join(COLUMNS)}; got {','.join(header)}. "
            "Separate by commas and keep all columns."
        )
        raise FormatError(msg)
    for fields in lines:
        where = f"{reading.path}:{lines.line_num}"
        if not fields:
            continue
        if len(fields) != len(COLUMNS):
            msg = f"{where}: expected {len(COLUMNS)} fields; got {len(fields)}."
            raise FormatError(msg)
        rows.append((where, dict(zip(COLUMNS, fields, strict=True))))
    return rows


def _read_index(where: str, row: dict[str, str], scheme: Scheme) -> int:
    code = row["code"]
    if code not in scheme.codes:
        msg = f"{where}: scheme {scheme.name!r} has no landmark {code!r}. Name the right scheme."
        raise FormatError(msg)
    index = scheme.index_of(code)
    if row["index"] != str(index):
        msg = f"{where}: landmark {code!r} has index {index}; got {row['index']!r}."
        raise FormatError(msg)
    return index


def _read_status(where: str, row: dict[str, str]) -> Status:
    for status in STATUSES:
        if row["status"] == status:
            return status
    msg = f"{where}: status must be one of {', '.join(STATUSES)}; got {row['status']!r}."
    raise FormatError(msg)


def _read_number(where: str, row: dict[str, str], column: str) -> float:
    text = row[column]
    if not text:
        return np.nan
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        msg = f"{where}: {column} must be a number with a decimal point, or empty; got {text!r}."
        raise FormatError(msg)
    return value


def _check_row(
    where: str, row: dict[str, str], status: str | None, position: object, error_mm: float
) -> None:
    """Require that status, position, error and edited tell the same story."""
    n_missing = int(np.isnan(position).sum())  # type: ignore[call-overload]
    if n_missing != (0 if status in PLACED else 3):
        expected = "x, y and z" if status in PLACED else "no x, y, z"
        msg = f"{where}: a landmark that is {status} must have {expected}."
        raise FormatError(msg)
    if error_mm < 0:
        msg = f"{where}: expected_error_mm must be at least 0; got {error_mm}."
        raise FormatError(msg)
    if row["edited"].lower() != _edited(status):
        msg = f"{where}: edited must be {_edited(status)} with {status}; got {row['edited']!r}."
        raise FormatError(msg)


def _complete(reading: Reading, scheme: Scheme, status: list[Status | None]) -> tuple[Status, ...]:
    absent = [code for code, found in zip(scheme.codes, status, strict=True) if found is None]
    if absent:
        msg = (
            f"{reading.path}: lacks rows for {', '.join(absent)}. A landmark without a position "
            "still has its row, with status missing or undefined."
        )
        raise FormatError(msg)
    return tuple(found for found in status if found is not None)


def _read_specimen(rows: list[tuple[str, dict[str, str]]]) -> str:
    specimen = rows[0][1]["specimen"]
    for where, row in rows:
        if row["specimen"] != specimen:
            msg = (
                f"{where}: the file must hold one specimen; got {row['specimen']!r} beside "
                f"{specimen!r}. Split it into one file a specimen."
            )
            raise FormatError(msg)
    return specimen
