# SPDX-License-Identifier: Apache-2.0
"""TPS with three coordinates (tpsDig, geomorph, ktch): blocks of `LM3=`, points and `ID=`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import quote
from palnet.exchange._format import OTHER_SCHEME, Format, parse_number
from palnet.exchange._numbers import point_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palnet.exchange._format import Reading
    from palnet.landmarks import LandmarkSet

__all__ = ["TPS"]

# Keys that do not concern the landmarks.
_IGNORED = ("IMAGE", "COMMENT", "COMMENTS", "VARIABLES")


def write_tps(specimens: Iterable[LandmarkSet]) -> Iterator[str]:
    """Write one block per specimen.

    No `SCALE=`: geomorph turns every coordinate into NA if it is empty.
    """
    for landmarks in specimens:
        points = point_lines(landmarks.positions)
        yield f"LM3={len(landmarks)}\n{points}ID={landmarks.specimen}\n"


def read_tps(reading: Reading) -> Iterator[LandmarkSet]:
    """Read the blocks; an incomplete one is not a specimen."""
    scheme = reading.scheme_said
    for block in _split_blocks(reading):
        if not _is_whole(reading, block, len(scheme)):
            continue
        points = [reading.read_point(line, fields) for line, fields in block.rows]
        yield reading.make_landmarks(scheme, np.array(points), block.entries["ID"], line=block.line)


TPS = Format(
    "tps",
    ".tps",
    "TPS for geomorph, tps programs, ktch",
    write_tps,
    read_tps,
    holds_many=True,
    holds_codes=False,
    # geomorph searches all lines for these; at the last three older versions drop the line.
    reserved_words=("SCALE", "CURVES", "POINTS", "IMAGE", "VARIABLES", "CHAIN", "RADII"),
)


@dataclass
class _Block:
    """One specimen's lines."""

    line: int
    count: str
    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    entries: dict[str, str] = field(default_factory=dict)


def _split_blocks(reading: Reading) -> Iterator[_Block]:
    """Split the file at each `LM3=` or `LM=`."""
    block: _Block | None = None
    for line, text in enumerate(reading.lines, 1):
        key, equals, value = (part.strip() for part in text.partition("="))
        key = key.upper()
        # ktch writes three coordinates under LM= too; the points show how many there are.
        if equals and key in ("LM3", "LM"):
            if block is not None:
                yield block
            block = _Block(line, value)
        elif block is None:
            if text.strip():
                reading.doubt(line, f"expected LM3=; got {quote(text.strip())}.")
        elif equals:
            _add_entry(reading, block, line, (key, value))
        elif text.strip():
            block.rows.append((line, text.split()))
    if block is not None:
        yield block


def _add_entry(reading: Reading, block: _Block, line: int, entry: tuple[str, str]) -> None:
    key, value = entry
    if key in block.entries:
        reading.doubt(line, f"{key}= appears twice in one specimen.")
    elif key not in ("ID", "SCALE", *_IGNORED):
        reading.doubt(line, f"expected ID= or one of {', '.join(_IGNORED)}; got {quote(key)}.")
    block.entries.setdefault(key, value)


def _is_whole(reading: Reading, block: _Block, n_landmarks: int) -> bool:
    """Return whether a block has a name and all the points it announces; raise if strict."""
    problem = ""
    if block.count != str(n_landmarks):
        problem = (
            f"expected LM3={n_landmarks}, as many as the scheme has; got LM3={block.count}. "
            f"{OTHER_SCHEME}"
        )
    elif len(block.rows) != n_landmarks:
        problem = f"expected {n_landmarks} lines x y z after LM3=; got {len(block.rows)}."
    elif not block.entries.get("ID"):
        problem = "the specimen has no ID=. Give it one that no other specimen has."
    elif parse_number(block.entries.get("SCALE", "1")) != 1:
        problem = "a SCALE= other than 1 is not read. Scale the numbers and delete the line."
    if problem:
        reading.doubt(block.line, problem)
    return not problem
