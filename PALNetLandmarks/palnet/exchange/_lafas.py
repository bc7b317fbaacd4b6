# SPDX-License-Identifier: Apache-2.0
"""Text files of the LAFAS data set: `name<TAB>(x,y,z)`, identified by their order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import quote
from palnet.exchange._format import OTHER_SCHEME, Format, read_one, write_one

if TYPE_CHECKING:
    from palnet.exchange._format import Reading
    from palnet.landmarks import LandmarkSet
    from palnet.scheme import Scheme

__all__ = ["LAFAS", "begins_as_lafas"]

_HEADER = "landmark names"
_ROW = re.compile(r"(?P<name>[^\t]+)\t\s*\((?P<numbers>[^()]*)\)\s*")


def write_lafas(landmarks: LandmarkSet) -> str:
    """Write one row per landmark, sorted by number as text: 1, 10, 11, ..., 2, 20, ..."""
    rows = (
        f"{landmarks.scheme.codes[index]}\t({x:.6f},{y:.6f},{z:.6f})\n"
        for index in _file_order(len(landmarks))
        for x, y, z in [landmarks.positions[index].tolist()]
    )
    return "".join(rows)


def begins_as_lafas(text: str) -> bool:
    """Return whether a text begins like a LAFAS file, unlike a note.

    Parameters
    ----------
    text : str
        The text, or its first lines.

    Returns
    -------
    bool
        Whether its first row is a name and a point.
    """
    first = next(filter(_is_row, text.splitlines()), "")
    return _ROW.fullmatch(first) is not None


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not line.lower().startswith(_HEADER)


def read_lafas(reading: Reading) -> LandmarkSet:
    """Read the rows by their order; a code, in any case, or a number must be in its place."""
    scheme = reading.scheme_said
    rows = [(line, text) for line, text in enumerate(reading.lines, 1) if _is_row(text)]
    if len(rows) != len(scheme):
        problem = f"expected {len(scheme)} rows name<TAB>(x,y,z); got {len(rows)}. {OTHER_SCHEME}"
        raise reading.error(rows[-1][0] if rows else 1, problem)
    positions = np.full((len(scheme), 3), np.nan)
    names: set[str] = set()
    for index, (line, text) in zip(_file_order(len(scheme)), rows, strict=True):
        found = _ROW.fullmatch(text)
        if found is None:
            reading.doubt(line, f"expected name<TAB>(x,y,z); got {quote(text)}.")
            continue
        name = found["name"].strip()
        if name in names or not _may_be(name, index, scheme):
            # The order of the whole file is in doubt, and thus every position.
            problem = (
                f"expected landmark {scheme.codes[index]!r}, number {index + 1}, in this row; "
                f"got {quote(name)}. Rows are sorted by number as text: 1, 10, 11, ..., 2."
            )
            raise reading.error(line, problem)
        names.add(name)
        fields = [field.strip() for field in found["numbers"].split(",")]
        positions[index] = reading.read_point(line, fields)
    return reading.make_landmarks(scheme, positions, reading.specimen)


def _may_be(name: str, index: int, scheme: Scheme) -> bool:
    """Whether a row's name does not contradict the landmark of its place, by code or number."""
    if name in scheme.codes:
        return name == scheme.codes[index]
    folded = [code.casefold() for code in scheme.codes]
    if name.casefold() in folded:
        return name.casefold() == folded[index]
    return not (name.isascii() and name.isdigit()) or int(name) == index + 1


LAFAS = Format(
    "lafas",
    ".lafas.txt",
    "text of the LAFAS data set",
    write_one(write_lafas),
    read_one(read_lafas),
    holds_missing=False,
    holds_codes=False,
    specimen_names="none",
)


def _file_order(n_landmarks: int) -> list[int]:
    """Indices of the landmarks in the order of the rows."""
    return sorted(range(n_landmarks), key=lambda index: str(index + 1))
