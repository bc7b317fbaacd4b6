# SPDX-License-Identifier: Apache-2.0
"""Tables as spreadsheets and labs write them: separators, names of columns, decimal commas."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palnet._stored import listing, quote
from palnet.errors import FormatError
from palnet.exchange._format import parse_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from palnet.exchange._format import Reading

__all__ = [
    "IGNORED_COLUMNS",
    "SPECIMEN_COLUMNS",
    "find_delimiter",
    "first_line",
    "name_specimen_column",
    "split_rows",
    "unknown_columns",
    "with_decimal_points",
]

# Spreadsheets in countries with a decimal comma separate by semicolons.
_DELIMITERS = ",;\t"
# A line of its own by which Excel knows the separator of the columns.
_SEPARATOR_LINE = re.compile(r'"?sep=.?"?', re.IGNORECASE)
# One of these, in any case, holds the names of the specimens.
SPECIMEN_COLUMNS = ("specimen", "id", "subject", "scan")
# Columns about a whole specimen that change nothing about its numbers, as a unit or a scale would.
IGNORED_COLUMNS = frozenset(
    {"age", "annotator", "date", "group", "observer", "operator", "rater", "sex"}
).union(SPECIMEN_COLUMNS[1:])

# Numbers as most are, by their decimal sign.
_USUAL = {",": re.compile(r"-?[0-9]+,[0-9]+"), ".": re.compile(r"-?[0-9]+\.[0-9]+")}

Row = tuple[int, list[str]]


def first_line(text: str) -> str:
    """Return the first line of a table, after that by which Excel knows the separator."""
    lines = text.split("\n", 2)[:2]
    return lines[-1] if _SEPARATOR_LINE.fullmatch(lines[0].strip()) else lines[0]


def find_delimiter(text: str, names: Collection[str]) -> str:
    """Find the sign beside one of the column names in the first line; a comma if there is none."""
    header = first_line(text).lower()
    for sign in _DELIMITERS:
        if any(field.strip(' "') in names for field in header.split(sign)):
            return sign
    return ","


def split_rows(
    path: Path, text: str, delimiter: str = ",", *, is_typed: bool = False
) -> Iterator[Row]:
    """Yield the header, then each row that is not blank, with their lines.

    Blank fields are stripped from the end of the header, and from rows that are longer than it. In
    a table that people type, blanks before quotes do not count, and quotes must be closed.
    """
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        skipinitialspace=is_typed,
        strict=is_typed,
    )
    try:
        if _SEPARATOR_LINE.fullmatch(text.partition("\n")[0].strip()):
            next(lines)
        header = _without_blank_end(next(lines, []))
        yield lines.line_num, header
        for cells in lines:
            fields = _without_blank_end(cells, len(header))
            if fields:
                yield lines.line_num, fields
    except csv.Error as err:
        msg = f"{path}:{lines.line_num}: is not a table ({err}). Save it as CSV again."
        raise FormatError(msg) from err


def name_specimen_column(reading: Reading, header: Sequence[str]) -> list[str]:
    """Strip the names of columns, and call the one that names the specimens ``specimen``."""
    columns = [column.strip() for column in header]
    lowered = [column.lower() for column in columns]
    found = [name for name in SPECIMEN_COLUMNS if name in lowered]
    if len(found) > 1 and found[0] != "specimen":
        problem = (
            f"the columns {' and '.join(found)} may both name the specimens. Call the one that "
            "does specimen, and delete the other, or leave it if it is the same in all rows of a "
            "specimen."
        )
        raise reading.error(1, problem)
    return [
        "specimen" if found and low == found[0] else column
        for low, column in zip(lowered, columns, strict=True)
    ]


def unknown_columns(columns: Sequence[str]) -> str:
    """Describe columns that may change what the numbers mean."""
    return (
        f"the header has the unknown {listing(columns)}. Delete these columns; a unit that they "
        "state is given with --unit (mm_per_unit in Python)."
    )


def with_decimal_points(
    reading: Reading, rows: Iterable[Row], places: Sequence[int]
) -> Iterator[Row]:
    """Write the numbers in some columns with decimal points, if the table has decimal commas.

    A table without commas between its columns may have either, but not both.
    """
    decimals = _Decimals(reading)
    for line, fields in rows:
        for place in places:
            if place < len(fields):
                fields[place] = decimals.to_point(line, fields[place].strip())
        yield line, fields
    decimals.check()


@dataclass
class _Decimals:
    """The decimal sign of a table, as known from the numbers so far."""

    reading: Reading
    sign: str = ""
    sign_line: int = 0
    n_signs: int = 0
    whole_line: int = 0
    n_whole: int = 0

    def to_point(self, line: int, text: str) -> str:
        """Write a number with a decimal point; leave any other text to the format's reader."""
        if self.sign and _USUAL[self.sign].fullmatch(text):
            self.n_signs += 1
            return text.replace(",", ".")
        digits = text.replace(",", "").replace(".", "")
        number = parse_number(digits)
        if number is None:
            return text
        n_signs = len(text) - len(digits)
        if not n_signs:
            if number:  # zero is the same in any way
                self.whole_line = self.whole_line or line
                self.n_whole += 1
            return text
        sign = "," if "," in text else "."
        if n_signs > 1:
            problem = f"{quote(text)} has separators of thousands. Write all numbers without them."
            raise self.reading.error(line, problem)
        if not self.sign:
            self.sign, self.sign_line = sign, line
        elif sign != self.sign:
            problem = (
                f"{quote(text)} is written with {sign!r}, a number in line {self.sign_line} with "
                f"{self.sign!r}. Write all numbers with the same decimal sign, and without "
                "separators of thousands."
            )
            raise self.reading.error(line, problem)
        self.n_signs += 1
        return text.replace(",", ".")

    def check(self) -> None:
        """Refuse a table of mostly whole numbers: some spreadsheets drop points, or commas."""
        if self.n_whole > self.n_signs:
            problem = (
                f"{self.n_whole} of {self.n_whole + self.n_signs} numbers of the table, from this "
                "line on, have no decimals. A spreadsheet may have taken decimal points "
                "for separators of thousands and dropped them: 63.0887 is then 630887. Take the "
                "numbers from the original file. If they are whole, separate the columns by commas."
            )
            raise self.reading.error(self.whole_line, problem)


def _without_blank_end(fields: list[str], least: int = 0) -> list[str]:
    """Strip blank fields from the end of a row, down to a minimum; blank rows become empty."""
    if not any(field.strip() for field in fields):
        return []
    n_fields = len(fields)
    while n_fields > least and not fields[n_fields - 1].strip():
        n_fields -= 1
    return fields[:n_fields]
