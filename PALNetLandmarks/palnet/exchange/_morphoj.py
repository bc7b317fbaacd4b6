# SPDX-License-Identifier: Apache-2.0
"""MorphoJ text: one row per specimen, `ID,x1,y1,z1,...`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import counted
from palnet.exchange._format import OTHER_SCHEME, Format, parse_number
from palnet.exchange._numbers import number_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palnet.exchange._format import Reading
    from palnet.landmarks import LandmarkSet

__all__ = ["MORPHOJ"]

_SEPARATORS = "\t;,"


def write_morphoj(specimens: Iterable[LandmarkSet]) -> Iterator[str]:
    """Write the rows and a header, which MorphoJ recognizes by its entries not being numbers."""
    has_header = False
    for landmarks in specimens:
        if not has_header:
            numbers = range(1, len(landmarks) + 1)
            yield ",".join(["ID", *(f"{axis}{k}" for k in numbers for axis in "xyz")]) + "\n"
            has_header = True
        yield f"{landmarks.specimen},{number_fields(landmarks.positions, ',')}\n"


def read_morphoj(reading: Reading) -> Iterator[LandmarkSet]:
    """Read the rows, separated by tab, semicolon or comma."""
    scheme = reading.scheme_said
    lines = [(line, text) for line, text in enumerate(reading.lines, 1) if text.strip()]
    if not lines:
        raise reading.error(1, "expected a row ID,x1,y1,z1,...; got an empty file.")
    separator = next((sign for sign in _SEPARATORS if sign in lines[0][1]), ",")
    rows = [
        (line, [field.strip() for field in reading.split_fields(line, text, separator)])
        for line, text in lines
    ]
    entries = rows[0][1][1:]
    has_header = any(parse_number(entry) is None for entry in entries)
    if has_header and any(entry == "NA" or parse_number(entry) is not None for entry in entries):
        problem = "MorphoJ takes this line for a header, since not all of its entries are numbers."
        reading.doubt(rows[0][0], f"{problem} If it is a specimen, complete its numbers.")
    width = 1 + 3 * len(scheme)
    for line, fields in rows[has_header:]:
        if len(fields) != width:
            problem = (
                f"expected an ID and {width - 1} numbers; got {counted(len(fields), 'field')}."
            )
            reading.doubt(line, f"{problem} {OTHER_SCHEME}")
            continue
        points = [reading.read_point(line, fields[k : k + 3]) for k in range(1, width, 3)]
        yield reading.make_landmarks(scheme, np.array(points), fields[0], line=line)


MORPHOJ = Format(
    "morphoj",
    ".morphoj.txt",
    "MorphoJ text",
    write_morphoj,
    read_morphoj,
    holds_many=True,
    holds_missing=False,
    holds_codes=False,
)
