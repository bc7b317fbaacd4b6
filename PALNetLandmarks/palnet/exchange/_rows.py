# SPDX-License-Identifier: Apache-2.0
"""Rows of a CSV table, without the blank columns and rows that spreadsheets write at its end."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from palnet.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["split_rows"]


def split_rows(path: Path, text: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the header, then each row that is not blank, with their lines.

    Blank fields are stripped from the end of the header, and from rows that are longer than it.
    """
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = _without_blank_end(next(lines, []))
        yield 1, header
        for cells in lines:
            fields = _without_blank_end(cells, len(header))
            if fields:
                yield lines.line_num, fields
    except csv.Error as err:
        msg = f"{path}:{lines.line_num}: is not a table ({err}). Save it as CSV again."
        raise FormatError(msg) from err


def _without_blank_end(fields: list[str], least: int = 0) -> list[str]:
    """Strip blank fields from the end of a row, down to a minimum; blank rows become empty."""
    if not any(field.strip() for field in fields):
        return []
    n_fields = len(fields)
    while n_fields > least and not fields[n_fields - 1].strip():
        n_fields -= 1
    return fields[:n_fields]
