# SPDX-License-Identifier: Apache-2.0
"""IDAV Landmark Editor's .pts: named points of one specimen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import quote
from palnet.exchange._format import Format, read_one, write_one
from palnet.exchange._matrix import check_code_unused

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from palnet.exchange._format import Reading
    from palnet.landmarks import LandmarkSet

__all__ = ["PTS"]

_VERSION = "Version 1.0"
_MISSING = 9999.0


def write_pts(landmarks: LandmarkSet) -> str:
    """Write the points; the file ends with an empty line, as importers drop the last one."""
    check_code_unused(landmarks, r"9999\.000000$", "9999")
    rows = (
        f"{code} {x:.6f} {y:.6f} {z:.6f}\n"
        for code, (x, y, z) in zip(
            landmarks.scheme.codes, landmarks.positions.tolist(), strict=True
        )
    )
    return f"{_VERSION}\n{len(landmarks)}\n{''.join(rows)}\n"


def read_pts(reading: Reading) -> LandmarkSet:
    """Read the points by their names."""
    scheme = reading.scheme_of_codes
    lines = reading.lines
    if not lines or lines[0].strip() != _VERSION:
        raise reading.error(1, f"expected {_VERSION!r}; got {quote(lines[0] if lines else '')}.")
    rows = [
        (line, _split(text, scheme.codes)) for line, text in enumerate(lines[2:], 3) if text.strip()
    ]
    count = lines[1].strip() if len(lines) > 1 else ""
    if count != str(len(rows)):
        reading.doubt(2, f"announces {quote(count)} as the number of points; got {len(rows)}.")
    points = reading.place_by_name(scheme, _read_points(reading, rows))
    return reading.make_landmarks(scheme, points, reading.specimen, absent="undefined")


PTS = Format(
    "pts",
    ".pts",
    "IDAV Landmark .pts",
    write_one(write_pts),
    read_one(read_pts),
    holds_missing=False,
    specimen_names="none",
)


def _split(text: str, names: Container[str]) -> list[str]:
    """Split name and numbers; another lab's name may contain blanks."""
    fields = text.split()
    name, numbers = " ".join(fields[:-3]), fields[-3:]
    return [name, *numbers] if name in names else fields


def _read_points(
    reading: Reading, rows: list[tuple[int, list[str]]]
) -> Iterator[tuple[int, str, list[float]]]:
    for line, fields in rows:
        point = reading.read_point(line, fields[1:])
        # Morpho's reader takes these for a missing point; there is no other code for one.
        is_missing = all(value == _MISSING for value in point)
        yield line, fields[0], [np.nan] * 3 if is_missing else point
