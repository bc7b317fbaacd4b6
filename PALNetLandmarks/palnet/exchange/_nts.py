# SPDX-License-Identifier: Apache-2.0
"""NTS (NTSYSpc, geomorph): a matrix with one row per specimen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palnet.exchange._format import Format
from palnet.exchange._matrix import check_code_unused, read_matrix
from palnet.exchange._numbers import number_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palnet.landmarks import LandmarkSet

__all__ = ["NTS"]

_MISSING = "-9999"


def write_nts(specimens: Iterable[LandmarkSet]) -> Iterator[str]:
    """Write header, labels and rows.

    The header gives the number of specimens and whether anything is missing, so the rows are
    buffered until the last specimen.
    """
    labels, rows, width, is_complete = [], [], 0, True
    for landmarks in specimens:
        if not landmarks.is_placed.all():
            is_complete = False
        check_code_unused(landmarks, r"^-9999", _MISSING)
        width = landmarks.positions.size
        labels.append(f"{landmarks.specimen}\n")
        rows.append(number_fields(landmarks.positions, " ", _MISSING) + "\n")
    missing = "0" if is_complete else f"1 {_MISSING}"
    yield f'"3D landmarks, one row a specimen\n1 {len(labels)}L {width} {missing} DIM=3\n'
    yield from labels
    yield from rows


NTS = Format(
    "nts",
    ".nts",
    "NTS for NTSYSpc and geomorph",
    write_nts,
    read_matrix,
    holds_many=True,
    holds_codes=False,
)
