# SPDX-License-Identifier: Apache-2.0
"""Wide table: one row per specimen, columns `<code>_x`, `<code>_y`, `<code>_z`."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import listing
from palnet.exchange._format import Format
from palnet.exchange._numbers import number_fields
from palnet.exchange._rows import (
    IGNORED_COLUMNS,
    SPECIMEN_COLUMNS,
    find_delimiter,
    name_specimen_column,
    split_rows,
    unknown_columns,
    with_decimal_points,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palnet.exchange._format import Reading
    from palnet.landmarks import LandmarkSet
    from palnet.scheme import Scheme

__all__ = ["CSV_WIDE"]

_SPECIMEN = "specimen"


def write_csv_wide(specimens: Iterable[LandmarkSet]) -> Iterator[str]:
    """Write a header and one row per specimen; three empty fields for a missing position."""
    has_header = False
    for landmarks in specimens:
        if not has_header:
            yield ",".join([_SPECIMEN, *_columns(landmarks.scheme)]) + "\n"
            has_header = True
        yield f"{_field(landmarks.specimen)},{number_fields(landmarks.positions, ',')}\n"


def read_csv_wide(reading: Reading) -> Iterator[LandmarkSet]:
    """Read the table, whose columns may be in any order; empty fields and NA are missing."""
    scheme = reading.scheme_of_codes
    delimiter = find_delimiter(reading.text, SPECIMEN_COLUMNS)
    rows = split_rows(reading.path, reading.text, delimiter)
    _, names = next(rows)
    header = _read_header(reading, names)
    columns = _find_columns(reading, scheme, header)
    if delimiter != ",":
        rows = with_decimal_points(reading, rows, columns)
    for line, fields in rows:
        if len(fields) != len(header):
            problem = f"expected {len(header)} fields, as in line 1; got {len(fields)}."
            reading.doubt(line, problem)
            continue
        values = [fields[column].strip() or "NA" for column in columns]
        points = [reading.read_point(line, values[k : k + 3]) for k in range(0, len(values), 3)]
        specimen = fields[header.index(_SPECIMEN)]
        yield reading.make_landmarks(scheme, np.array(points), specimen, line=line)


CSV_WIDE = Format(
    "csv-wide",
    ".wide.csv",
    "wide table, one row per specimen",
    write_csv_wide,
    read_csv_wide,
    holds_many=True,
    specimen_names="any",
)


def _columns(scheme: Scheme) -> list[str]:
    return [f"{code}_{axis}" for code in scheme.codes for axis in "xyz"]


def _field(text: str) -> str:
    """Quote a name as CSV does, if necessary."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([text])
    return buffer.getvalue()


def _read_header(reading: Reading, names: list[str]) -> list[str]:
    """Name the columns as they are written, with a lower-case axis."""
    columns = name_specimen_column(reading, names)
    is_axis = [column[-2:] in ("_X", "_Y", "_Z") for column in columns]
    return [
        column[:-1] + column[-1].lower() if is_upper else column
        for column, is_upper in zip(columns, is_axis, strict=True)
    ]


def _find_columns(reading: Reading, scheme: Scheme, header: list[str]) -> list[int]:
    """Find the column of each coordinate of the scheme."""
    wanted = _columns(scheme)
    missing = [name for name in (_SPECIMEN, *wanted) if name not in header]
    if missing:
        problem = (
            f"the header lacks {listing(missing)}. It must be {_SPECIMEN} (or "
            f"{', '.join(SPECIMEN_COLUMNS[1:])}) and <code>_x, <code>_y, <code>_z for each "
            f"landmark of scheme {scheme.name!r}, separated by commas, semicolons or tabs."
        )
        raise reading.error(1, problem)
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise reading.error(1, f"the header has {listing(repeated)} twice.")
    known = {"", _SPECIMEN, *wanted}
    others = [name for name in header if name not in known]
    unknown = [name for name in others if name.lower() not in IGNORED_COLUMNS]
    if unknown:
        reading.doubt(1, unknown_columns(unknown))
    return [header.index(name) for name in wanted]
