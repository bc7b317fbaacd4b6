# SPDX-License-Identifier: Apache-2.0
"""Morphologika text: sections named in brackets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import counted, quote
from palnet.exchange._format import OTHER_SCHEME, Format
from palnet.exchange._numbers import point_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palnet.exchange._format import Reading
    from palnet.landmarks import LandmarkSet

    Lines = list[tuple[int, str]]

__all__ = ["MORPHOLOGIKA"]

_NEEDED = ("individuals", "landmarks", "dimensions", "names", "rawpoints")
# Sections without landmarks.
_IGNORED = ("labels", "labelvalues", "groups", "wireframe", "polygons")


def write_morphologika(specimens: Iterable[LandmarkSet]) -> Iterator[str]:
    """Write the sections.

    The first ones give the number of specimens, so the points are buffered until the last one.
    """
    names, points, n_landmarks = [], [], 0
    for landmarks in specimens:
        n_landmarks = len(landmarks)
        names.append(f"{landmarks.specimen}\n")
        points.append(f"'{landmarks.specimen}\n{point_lines(landmarks.positions)}")
    yield f"[individuals]\n{len(names)}\n[landmarks]\n{n_landmarks}\n[dimensions]\n3\n[names]\n"
    yield from names
    yield "[rawpoints]\n"
    yield from points


def read_morphologika(reading: Reading) -> Iterator[LandmarkSet]:
    """Read the sections; specimen names are those in [names]."""
    scheme = reading.scheme_said
    sections = _split_sections(reading)
    for key, expected in (("landmarks", str(len(scheme))), ("dimensions", "3")):
        _check_value(reading, sections, key, expected)
    names = [text for _, text in sections["names"][1:]]
    _check_value(reading, sections, "individuals", str(len(names)))
    blocks = _split_points(reading, sections["rawpoints"])
    if len(blocks) != len(names):
        expected = f"the {counted(len(names), 'specimen')} of [names]"
        problem = f"[rawpoints] must hold {expected}; got {len(blocks)}."
        raise reading.error(sections["rawpoints"][0][0], problem)
    for name, block in zip(names, blocks, strict=True):
        (line, title), rows = block[0], block[1:]
        if title != name and title in names:
            reading.doubt(
                line, f"expected specimen {quote(name)}, as in [names]; got {quote(title)}."
            )
        elif len(rows) != len(scheme):
            problem = f"specimen {quote(name)} must have {len(scheme)} points; got {len(rows)}."
            reading.doubt(line, problem)
        else:
            points = [reading.read_point(row_line, text.split()) for row_line, text in rows]
            yield reading.make_landmarks(scheme, np.array(points), name, line=line)


MORPHOLOGIKA = Format(
    "morphologika",
    ".morphologika.txt",
    "Morphologika text",
    write_morphologika,
    read_morphologika,
    holds_many=True,
    # geomorph reads NA, morphologika does not.
    holds_missing=False,
    holds_codes=False,
    # Readers search the whole file for these.
    reserved_words=(
        "individuals",
        "landmarks",
        "dimensions",
        "names",
        "label",
        "groups",
        "wireframe",
        "polygon",
        "rawpoints",
    ),
)


def _split_sections(reading: Reading) -> dict[str, Lines]:
    """Return the lines of each section, its title first."""
    sections: dict[str, Lines] = {}
    current: Lines = []
    for line, raw in enumerate(reading.lines, 1):
        text = raw.strip()
        if text.startswith("["):
            key = text.strip("[]").lower()
            if key in sections:
                raise reading.error(line, f"section {quote(text)} appears twice.")
            if key not in (*_NEEDED, *_IGNORED):
                reading.doubt(line, f"unknown section {quote(text)}.")
            current = sections[key] = [(line, text)]
        elif text and not sections:
            reading.doubt(line, f"expected [individuals]; got {quote(text)}.")
        elif text:
            current.append((line, text))
    absent = [f"[{key}]" for key in _NEEDED if key not in sections]
    if absent:
        raise reading.error(max(len(reading.lines), 1), f"ends without {', '.join(absent)}.")
    return sections


def _check_value(reading: Reading, sections: dict[str, Lines], key: str, expected: str) -> None:
    values = [text for _, text in sections[key][1:]]
    if values != [expected]:
        got = quote(" ".join(values))
        problem = f"[{key}] must hold {expected}; got {got}."
        hint = f" {OTHER_SCHEME}" if key == "landmarks" else ""
        raise reading.error(sections[key][0][0], problem + hint)


def _split_points(reading: Reading, lines: Lines) -> list[Lines]:
    """Split [rawpoints] at each line that starts with an apostrophe."""
    blocks: list[Lines] = []
    for line, text in lines[1:]:
        if text.startswith("'"):
            blocks.append([(line, text[1:].strip())])
        elif blocks:
            blocks[-1].append((line, text))
        else:
            reading.doubt(line, f"expected a line 'NAME before the points; got {quote(text)}.")
    return blocks
