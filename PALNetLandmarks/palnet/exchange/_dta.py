# SPDX-License-Identifier: Apache-2.0
"""IDAV Landmark Editor's .dta (Morpho, morphops): an NTS dialect with one line per point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palnet.exchange._format import Format
from palnet.exchange._matrix import check_code_unused, read_matrix
from palnet.exchange._numbers import point_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palnet.landmarks import LandmarkSet

__all__ = ["DTA"]

_MISSING = "9999"


def write_dta(specimens: Iterable[LandmarkSet]) -> Iterator[str]:
    """Write header, IDs and points.

    Morpho finds the IDs by the empty lines around them. The file ends with an empty line, because
    SlicerMorph's importer drops the last one. The header gives the number of specimens, so the
    points are buffered until the last one.
    """
    labels, points, width = [], [], 0
    for landmarks in specimens:
        check_code_unused(landmarks, r"^-?[0-9]*9999", _MISSING)
        width = landmarks.positions.size
        labels.append(f"{landmarks.specimen}\n")
        points.append(point_lines(landmarks.positions, _MISSING))
    yield f"' 3D landmarks\n1 {len(labels)}L {width} 1 {_MISSING} Dim=3\n\n"
    yield from labels
    yield "\n"
    yield from points
    yield "\n"


DTA = Format(
    "dta",
    ".dta",
    "IDAV Landmark .dta for Morpho and morphops",
    write_dta,
    read_matrix,
    holds_many=True,
    holds_codes=False,
)
