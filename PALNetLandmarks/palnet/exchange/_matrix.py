# SPDX-License-Identifier: Apache-2.0
"""Common parts of NTS files and their IDAV dialect: a header, labels, a matrix of numbers."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import counted, quote
from palnet.errors import FormatError
from palnet.exchange._format import OTHER_SCHEME, parse_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from palnet.exchange._format import Reading
    from palnet.landmarks import LandmarkSet

    _Labels = list[tuple[int | None, str]]
__all__ = ["check_code_unused", "read_matrix"]

_HEAD = re.compile(
    r"1\s+(?P<n>[0-9]{1,9})(?P<labelled>L?)\s+(?P<width>[0-9]+)\s+"
    r"(?:0|1\s+(?P<code>-?[0-9]+(?:\.[0-9]*)?))\s+DIM=(?P<dim>[0-9]+)",
    re.IGNORECASE,
)

# Smaller numbers cannot contain four 9s.
_LARGEST_SAFE = 9998


@dataclass(frozen=True, slots=True)
class _Head:
    """The header line with the parameters."""

    n_specimens: int
    has_labels: bool
    missing_code: float | None
    has_a_row_per_landmark: bool = False


def check_code_unused(landmarks: LandmarkSet, pattern: str, code: str) -> None:
    """Require that no number looks like the code for a missing value.

    geomorph searches for the digits of the code anywhere in the integer part of a number.
    """
    positions = landmarks.positions
    # Only numbers this large can contain the digits; NaN compares false.
    for value in positions[np.abs(positions) > _LARGEST_SAFE]:
        if re.match(pattern, f"{value:.6f}"):
            msg = (
                f"specimen {landmarks.specimen!r} has the number {value:.6f}, which other "
                f"programs read as {code}, the sign of a missing one. Write millimeters (frame "
                "LPS or RAS), or choose another format."
            )
            raise FormatError(msg)


def read_matrix(reading: Reading) -> Iterator[LandmarkSet]:
    """Read header, labels and numbers, regardless of line breaks.

    The digitizing functions of geomorph write a single specimen with a row for each landmark.
    """
    scheme = reading.scheme_said
    lines = [
        (line, text.strip())
        for line, text in enumerate(reading.lines, 1)
        if text.strip() and text.lstrip()[0] not in "\"'"
    ]
    if not lines:
        raise reading.error(1, "expected '1 <n>L <3 p> 0 DIM=3'; got no such line.")
    head = _read_head(reading, lines[0], 3 * len(scheme))
    n_labels = head.n_specimens if head.has_labels else 0
    names = _read_labels(reading, lines[1 : 1 + n_labels], head)
    rows = lines[1 + n_labels :]
    counts = [len(text.split()) for _, text in rows]
    numbers = _read_numbers(reading, rows, head)
    n_certain = _count_certain(counts, len(names), 3 * len(scheme))
    for label, name in names[:n_certain]:
        values = list(islice(numbers, 3 * len(scheme)))
        positions = np.reshape([value for _, value in values], (-1, 3))
        is_partial = np.isnan(positions).any(axis=1) & ~np.isnan(positions).all(axis=1)
        if is_partial.any():
            line = values[3 * int(np.argmax(is_partial))][0]
            reading.doubt(line, f"a point of {quote(name)} lacks some of x, y, z but not all.")
            positions[is_partial] = np.nan
        yield reading.make_landmarks(scheme, positions, name, line=label)
    deque(numbers, maxlen=0)  # Report errors in the rest before their count.
    words = [name for _, name in names]
    problem = _find_wrong_count(sum(counts), words, 3 * len(scheme))
    if problem and n_certain < len(words):
        problem += f" From {quote(words[n_certain])} on, the numbers may be those of others."
    if problem:
        reading.doubt(lines[-1][0], problem)


def _count_certain(counts: list[int], n_specimens: int, width: int) -> int:
    """Count the leading specimens whose numbers are certain, by the numbers on each line.

    If a number is missing or extra, all that follow are shifted, and only lines with one specimen
    each show where.
    """
    if sum(counts) == n_specimens * width:
        return n_specimens
    n_whole = next((row for row, count in enumerate(counts) if count != width), 0)
    return min(n_whole, n_specimens)


def _find_wrong_count(n_found: int, names: list[str], width: int) -> str:
    """Describe fewer or more numbers than the header announces; empty if they are as many."""
    if n_found < len(names) * width:
        return (
            f"ends within specimen {quote(names[n_found // width])}; expected "
            f"{counted(len(names), 'specimen')} of {width} numbers."
        )
    if n_found > len(names) * width:
        return (
            f"has more numbers than the {counted(len(names), 'specimen')} announced by its header."
        )
    return ""


def _read_head(reading: Reading, head: tuple[int, str], width: int) -> _Head:
    line, text = head
    found = _HEAD.fullmatch(text)
    if found is None:
        problem = (
            f"expected '1 <n>L {width} 0 DIM=3', or '1 <n>L {width} 1 <code> DIM=3' with a code "
            f"for missing numbers; got {quote(text)}."
        )
        raise reading.error(line, problem)
    code = None if found["code"] is None else float(found["code"])
    if width > 3 and text.split()[1:3] == [str(width // 3), "3"] and found["dim"] == "3":
        return _Head(1, has_labels=False, missing_code=code, has_a_row_per_landmark=True)
    if (found["width"], found["dim"]) != (str(width), "3"):
        problem = (
            f"expected {width} numbers per specimen and DIM=3, as the scheme has; got "
            f"{found['width']} and DIM={found['dim']}. {OTHER_SCHEME}"
        )
        raise reading.error(line, problem)
    if int(found["n"]) * width > len(reading.text):
        raise reading.error(line, f"announces {found['n']} specimens, more than the file holds.")
    return _Head(int(found["n"]), bool(found["labelled"]), code)


def _read_labels(reading: Reading, lines: list[tuple[int, str]], head: _Head) -> _Labels:
    """Read one label per line; without labels, specimens are numbered."""
    if head.has_a_row_per_landmark:
        return [(None, reading.specimen)]
    if not head.has_labels:
        numbers = range(1, head.n_specimens + 1)
        return [(None, f"{reading.specimen}_{number}") for number in numbers]
    if len(lines) < head.n_specimens:
        problem = (
            f"expected {counted(head.n_specimens, 'label')}, one a line; the file ends before."
        )
        raise reading.error(lines[-1][0] if lines else 1, problem)
    for line, text in lines:
        if len(text.split()) != 1:
            # A blank within a label shifts all numbers in readers that split at blanks.
            reading.doubt(line, f"a label must be one word; got {quote(text)}.")
    return [*lines]


def _read_numbers(
    reading: Reading, lines: list[tuple[int, str]], head: _Head
) -> Iterator[tuple[int, float]]:
    """Yield each number with its line; NaN for a missing one."""
    for line, text in lines:
        for field in text.split():
            value = parse_number(field)
            if value is None and field != "NA":
                reading.doubt(line, f"expected a number; got {quote(field)}.")
            yield line, np.nan if value is None or value == head.missing_code else value
