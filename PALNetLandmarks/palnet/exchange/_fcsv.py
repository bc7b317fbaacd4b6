# SPDX-License-Identifier: Apache-2.0
"""Fiducial list of older 3D Slicer versions, which is still in use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import quote
from palnet.exchange._format import SPACE_OF_SYSTEM, Format, read_one, write_one
from palnet.landmarks import OTHER_AXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from palnet.exchange._format import Reading
    from palnet.landmarks import LandmarkSet, Space, Status

__all__ = ["FCSV"]

_HEAD = "# Markups fiducial file version = 5.12\n"
_COLUMNS = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
# Older files and ours end after the associated node.
_N_FIELDS = (14, 16)
_LABEL, _STATUS = 11, 14
# Status of a point without position: 0 undefined, 3 missing.
_DEFINED, _MISSING = "2", "3"


def write_fcsv(landmarks: LandmarkSet) -> str:
    """Write the list; three header lines, which SlicerMorphR skips by count.

    A row has as many values as the header names columns. The two that Slicer adds, of which the
    first says that the point is defined, stop readers that go by the header (older SlicerMorphR) or
    shift all columns (pandas). The description is empty, since some readers split at every comma.
    """
    rows = (
        f"{index},{x:.6f},{y:.6f},{z:.6f},0,0,0,1,1,1,0,{code},,\n"
        for index, (code, (x, y, z)) in enumerate(
            zip(landmarks.scheme.codes, landmarks.positions.tolist(), strict=True), 1
        )
    )
    return f"{_HEAD}# CoordinateSystem = {landmarks.space}\n{_COLUMNS}{''.join(rows)}"


def read_fcsv(reading: Reading) -> LandmarkSet:
    """Read the list; undefined and missing points have no position.

    In the frame "file" the result is along the axes that the sidecar names.
    """
    space = _read_space(reading)
    frame = reading.frame or space
    if frame != "file" and frame != space:
        reading.doubt(2, f"the numbers are along {space} axes; you asked for frame {frame}.")
        frame = space
    scheme = reading.scheme_of_codes
    rows = _split_rows(reading)
    positions = reading.place_by_name(scheme, _read_points(reading, rows))
    lost = {row[_LABEL] for _, row in rows if len(row) > _STATUS and row[_STATUS] == _MISSING}
    status: tuple[Status, ...] = tuple(
        "corrected" if is_placed else "missing" if code in lost else "undefined"
        for code, is_placed in zip(scheme.codes, ~np.isnan(positions[:, 0]), strict=True)
    )
    if frame == "file" and reading.space not in (None, space):
        # Slicer saves along LPS axes what the sidecar, which it does not know, calls RAS.
        positions, space = positions * OTHER_AXES, reading.space
    framed = replace(reading, frame=frame, space=space)
    return framed.make_landmarks(scheme, positions, reading.specimen, status=status)


FCSV = Format(
    "fcsv",
    ".fcsv",
    "fiducial list of older 3D Slicer",
    write_one(write_fcsv),
    read_one(read_fcsv),
    # Slicer writes 0,0,0 for an undefined point, which all other readers take for a position.
    holds_missing=False,
    holds_axes=True,
    specimen_names="none",
)


def _read_space(reading: Reading) -> Space:
    """Read the coordinate system, which must be stated: a wrong guess mirrors the face."""
    for line, text in enumerate(reading.lines, 1):
        key, _, value = text.lstrip("#").partition("=")
        if key.strip() == "CoordinateSystem":
            if value.strip() not in SPACE_OF_SYSTEM:
                raise reading.error(
                    line, f"CoordinateSystem must be LPS or RAS; got {quote(value)}."
                )
            return SPACE_OF_SYSTEM[value.strip()]
    raise reading.error(1, "expected a line '# CoordinateSystem = LPS' (or RAS).")


def _split_rows(reading: Reading) -> list[tuple[int, list[str]]]:
    rows: list[tuple[int, list[str]]] = []
    for line, text in enumerate(reading.lines, 1):
        if text.startswith("#") or not text.strip():
            continue
        fields = reading.split_fields(line, text)
        if len(fields) in _N_FIELDS:
            rows.append((line, fields))
        else:
            reading.doubt(line, f"expected 14 or 16 fields; got {len(fields)} in {quote(text)}.")
    return rows


def _read_points(
    reading: Reading, rows: list[tuple[int, list[str]]]
) -> Iterator[tuple[int, str, list[float]]]:
    for line, fields in rows:
        is_defined = len(fields) <= _STATUS or fields[_STATUS] == _DEFINED
        point = reading.read_point(line, fields[1:4]) if is_defined else [np.nan] * 3
        yield line, fields[_LABEL], point
