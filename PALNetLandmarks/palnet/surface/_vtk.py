# SPDX-License-Identifier: Apache-2.0
"""VTK legacy files (.vtk), ascii and binary, versions 1 to 5.1.

Polygonal data, and unstructured grids whose cells form a surface, as Gmsh and meshio write them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._stored import quote
from palnet.errors import MeshError
from palnet.surface._mesh import ParsedMesh, fan_triangles, strip_triangles
from palnet.surface._text import (
    BadTokenError,
    line_number,
    parse_count,
    parse_floats,
    to_doubles,
    to_integers,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["parse_vtk", "parse_vtk_colors"]

TYPES = {
    "char": "i1", "unsigned_char": "u1", "short": "i2", "unsigned_short": "u2", "int": "i4",
    "unsigned_int": "u4", "long": "i8", "unsigned_long": "u8", "float": "f4", "double": "f8",
    "vtkidtype": "i4", "vtktypeint64": "i8", "vtktypeuint64": "u8", "vtktypeint32": "i4",
    "vtktypeuint32": "u4", "signed_char": "i1",
}  # fmt: skip
"""Type names of legacy files; vtkIdType is written as a 4-byte integer."""

CELLS = ("vertices", "lines", "polygons", "triangle_strips")
ATTRIBUTES = ("point_data", "cell_data")

DATASETS = (["DATASET", "POLYDATA"], ["DATASET", "UNSTRUCTURED_GRID"])
NO_AREA_TYPES = (0, 1, 2, 3, 4)
"""Cells of an unstructured grid that are no surface and no volume: empty, vertices and lines."""
STRIP, PIXEL = 6, 8
FAN_TYPES = (5, 7, PIXEL, 9)
"""Triangle, polygon, pixel (a quad whose last two corners are exchanged) and quad."""

OFFSETS_VERSION = 5.1
"""From this version on, cells are stored as offsets and connectivity."""

NEXT_WORD = re.compile(rb"\n[ \t]*(?!(?:nan|inf(?:inity)?)\b)[a-z_]", re.IGNORECASE)
"""A keyword ends the numbers of an ASCII file; nan and inf are numbers, not keywords."""


POINT_DATA = re.compile(rb"\n[ \t]*POINT_DATA[ \t]+(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)
CELL_DATA = re.compile(rb"\n[ \t]*CELL_DATA[ \t]+\d+[ \t]*\r?\n", re.IGNORECASE)
COLORS = re.compile(
    rb"\n[ \t]*(?:(?P<color>COLOR_SCALARS)[ \t]+(?P<name1>\S+)[ \t]+(?P<n1>[34])[ \t]*\r?\n"
    rb"|SCALARS[ \t]+(?P<name2>\S+)[ \t]+unsigned_char[ \t]+(?P<n2>[34])[ \t]*\r?\n"
    rb"[ \t]*LOOKUP_TABLE[ \t]+\S+[ \t]*\r?\n"
    rb"|(?P<name3>\S+)[ \t]+(?P<n3>[34])[ \t]+(?P<rows>\d{1,18})[ \t]+unsigned_char[ \t]*\r?\n)",
    re.IGNORECASE,
)
"""The three ways to write three or four bytes for each point: color scalars, scalars, field."""


class _Cursor:
    """A position in the file, and the reading from there."""

    def __init__(self, data: bytes):
        self.data = data
        self.offset = 0
        self.is_binary = False

    def fail(self, text: str) -> MeshError:
        """Describe an error at this position."""
        where = "" if self.is_binary else f"line {line_number(self.data, self.offset)}: "
        return MeshError(f"{where}{text}")

    def read_line(self) -> str | None:
        """Read the next non-blank line; None at the end."""
        while self.offset < len(self.data):
            end = self.data.find(b"\n", self.offset)
            end = len(self.data) if end < 0 else end
            line = self.data[self.offset : min(end, self.offset + 1024)].strip()
            self.offset = min(end + 1, len(self.data))
            if line:
                return line.decode("utf-8", errors="replace")
        return None

    def read_values(self, n_values: int, kind: str, what: str) -> NDArray[np.float64]:
        """Read the next numbers, as many as declared."""
        if kind.lower() not in TYPES:
            msg = f"unknown number type {kind!r}"
            raise self.fail(msg)
        if self.is_binary:
            return self._read_binary(n_values, np.dtype(">" + TYPES[kind.lower()]), what)
        return self._read_ascii(n_values, what)

    def _read_binary(self, n_values: int, kind: np.dtype[Any], what: str) -> NDArray[np.float64]:
        if n_values * kind.itemsize > len(self.data) - self.offset:
            msg = (
                f"the file promises {n_values} numbers of {what}, but ends before that: it is cut "
                "off or damaged. Copy or export it again"
            )
            raise self.fail(msg)
        values = np.frombuffer(self.data, kind, count=n_values, offset=self.offset)
        self.offset += values.nbytes
        return to_doubles(values)

    def _read_ascii(self, n_values: int, what: str) -> NDArray[np.float64]:
        found = NEXT_WORD.search(self.data, max(self.offset - 1, 0))
        end = found.start() + 1 if found else len(self.data)
        try:
            values = parse_floats(self.data[self.offset : end])
        except BadTokenError as err:
            self.offset += err.offset
            msg = f"{err.token!r} is not a number"
            raise self.fail(msg) from err
        if len(values) != n_values:
            msg = (
                f"{n_values} numbers of {what} are promised, but {len(values)} follow: the file "
                "is cut off or damaged. Copy or export it again"
            )
            raise self.fail(msg)
        self.offset = end
        return values


def parse_vtk(data: bytes) -> ParsedMesh:
    """Read points, polygons and triangle strips, all split into triangles; MeshError if damaged."""
    cursor = _Cursor(data)
    version, title = _read_head(cursor)
    points = np.zeros((0, 3))
    parts: list[NDArray[np.int64]] = []
    cells = np.zeros(0, np.int64), np.zeros(0, np.int64)
    while (line := cursor.read_line()) is not None:
        words = line.split()
        keyword = words[0].lower()
        if keyword in ATTRIBUTES:
            break
        if keyword == "points":
            n_points = _whole(cursor, words, 1)
            kind = words[2] if len(words) > 2 else "float"
            points = cursor.read_values(3 * n_points, kind, "points").reshape(-1, 3)
        elif keyword in CELLS:
            parts.append(_cut(keyword, *_read_cells(cursor, words, version)))
        elif keyword == "cells":
            cells = _read_cells(cursor, words, version)
        elif keyword == "cell_types":
            parts.append(_cut_grid(cursor, words, *cells))
        elif keyword == "metadata":
            _skip_metadata(cursor)
        elif keyword == "field":
            _skip_field(cursor, words)
        else:
            msg = f"expected POINTS or POLYGONS, got {quote(line)}"
            raise cursor.fail(msg)
    triangles = np.concatenate([np.zeros((0, 3), dtype=np.int64), *parts])
    return ParsedMesh(points, triangles, title)


def parse_vtk_colors(data: bytes, n_points: int) -> dict[str, NDArray[np.float64]]:
    """Return, by name, point data that may be colors: three or four bytes for each point.

    Of a file that `parse_vtk` accepts. Color scalars are bytes in binary files, and in text numbers
    from 0 to 1, here multiplied by 255.
    """
    cursor = _Cursor(data)
    _read_head(cursor)
    start = next((at for at in POINT_DATA.finditer(data) if int(at[1]) == n_points), None)
    if start is None:
        return {}
    cells = CELL_DATA.search(data, start.end() - 1)
    end = cells.start() + 1 if cells else len(data)
    found: dict[str, NDArray[np.float64]] = {}
    for line in COLORS.finditer(data, start.end() - 1, end):
        parts = line.groupdict()
        if int(parts["rows"] or n_points) != n_points:
            continue
        n_components = int(parts["n1"] or parts["n2"] or parts["n3"])
        name = (parts["name1"] or parts["name2"] or parts["name3"]).decode("utf-8", "replace")
        cursor.offset = line.end()
        values = cursor.read_values(n_components * n_points, "unsigned_char", name)
        scale = 255.0 if parts["color"] and not cursor.is_binary else 1.0
        found[name] = scale * values.reshape(n_points, n_components)[:, :3]
    return found


def _read_head(cursor: _Cursor) -> tuple[float, str]:
    """Read version and title; leaves the cursor after the DATASET line."""
    first = cursor.read_line() or ""
    found = re.search(r"Version\s+(\d+\.\d+)", first, flags=re.IGNORECASE)
    version = float(found[1]) if found else 0.0
    end = cursor.data.find(b"\n", cursor.offset)
    title = cursor.data[cursor.offset : max(end, cursor.offset)].decode("utf-8", errors="replace")
    cursor.offset = max(end, cursor.offset)
    encoding = (cursor.read_line() or "").upper()
    if encoding not in ("ASCII", "BINARY"):
        msg = f"expected ASCII or BINARY, got {quote(encoding)}"
        raise cursor.fail(msg)
    words = (cursor.read_line() or "").upper().split()
    if words not in DATASETS:
        raise _not_a_surface(" ".join(words) or "nothing")
    cursor.is_binary = encoding == "BINARY"
    return version, title


def _not_a_surface(got: str) -> MeshError:
    """Report another kind of data."""
    return MeshError(
        f"holds {got}, not polygonal data (DATASET POLYDATA). Extract its surface, e.g. with "
        "ParaView's Extract Surface, and save that"
    )


def _whole(cursor: _Cursor, words: list[str], position: int) -> int:
    """Read a count from a keyword line."""
    count = parse_count(words[position]) if len(words) > position else None
    if count is None:
        msg = f"expected a count in {quote(' '.join(words))}"
        raise cursor.fail(msg)
    return count


def _read_cells(
    cursor: _Cursor, words: list[str], version: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read the corners and corner counts of one cell section."""
    first, second = _whole(cursor, words, 1), _whole(cursor, words, 2)
    if version < OFFSETS_VERSION:
        values = to_integers(cursor.read_values(second, "int", words[0]), words[0])
        return _split_counted(cursor, values, first)
    offsets = _read_named(cursor, "OFFSETS", first)
    corners = _read_named(cursor, "CONNECTIVITY", second)
    counts = np.diff(offsets)
    if len(offsets) and (offsets[0] != 0 or offsets[-1] != second or (counts < 0).any()):
        msg = f"the offsets of {words[0]} make no sense"
        raise cursor.fail(msg)
    return corners, counts


def _cut(keyword: str, corners: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Split the cells of one section into triangles; none for vertices and lines."""
    if keyword == "polygons":
        return fan_triangles(corners, counts)
    if keyword == "triangle_strips":
        return strip_triangles(corners, counts)
    return np.zeros((0, 3), dtype=np.int64)


def _cut_grid(
    cursor: _Cursor, words: list[str], corners: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Read the types of an unstructured grid's cells; split these into triangles."""
    n_types = _whole(cursor, words, 1)
    types = to_integers(cursor.read_values(n_types, "int", words[0]), words[0])
    if n_types != len(counts):
        msg = f"{n_types} cell types for {len(counts)} cells: the file is damaged"
        raise cursor.fail(msg)
    other = ~np.isin(types, (*NO_AREA_TYPES, STRIP, *FAN_TYPES))
    if other.any():
        got = f"DATASET UNSTRUCTURED_GRID with cells of type {types[other][0]}"
        raise _not_a_surface(got)
    is_pixel = (types == PIXEL) & (counts == 4)
    last = np.cumsum(counts)[is_pixel] - 1
    corners = corners.copy()
    corners[last], corners[last - 1] = corners[last - 1], corners[last]
    is_fan, is_strip = np.isin(types, FAN_TYPES), types == STRIP
    return np.concatenate(
        [
            fan_triangles(corners[np.repeat(is_fan, counts)], counts[is_fan]),
            strip_triangles(corners[np.repeat(is_strip, counts)], counts[is_strip]),
        ]
    )


def _read_named(cursor: _Cursor, name: str, n_values: int) -> NDArray[np.int64]:
    """Read the OFFSETS or CONNECTIVITY array of a version 5 file."""
    words = (cursor.read_line() or "").split()
    if len(words) != 2 or words[0].upper() != name:
        msg = f"expected {name}, got {quote(' '.join(words))}"
        raise cursor.fail(msg)
    return to_integers(cursor.read_values(n_values, words[1], name), name)


def _split_counted(
    cursor: _Cursor, values: NDArray[np.int64], n_cells: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split "3 a b c 4 d e f g" into corners and counts."""
    if n_cells and len(values) and len(values) == n_cells * (values[0] + 1):
        table = values.reshape(n_cells, -1)
        if (table[:, 0] == values[0]).all():
            return table[:, 1:].ravel(), table[:, 0]
    listed, position, starts = values.tolist(), 0, []
    for _ in range(n_cells):
        if position >= len(listed) or listed[position] < 0:
            break
        starts.append(position)
        position += listed[position] + 1
    if len(starts) != n_cells or position != len(listed):
        msg = f"{n_cells} cells do not fill the {len(listed)} numbers promised"
        raise cursor.fail(msg)
    is_count = np.zeros(len(values), dtype=bool)
    is_count[starts] = True
    return values[~is_count], values[is_count]


def _skip_metadata(cursor: _Cursor) -> None:
    """Skip a METADATA block, which ends at a blank line."""
    end = re.compile(rb"\r?\n[ \t]*\r?\n").search(cursor.data, max(cursor.offset - 1, 0))
    cursor.offset = end.end() if end else len(cursor.data)


def _skip_field(cursor: _Cursor, words: list[str]) -> None:
    """Skip field data before the points."""
    for _ in range(_whole(cursor, words, 2)):
        names = (cursor.read_line() or "").split()
        while names and names[0].lower() == "metadata":
            _skip_metadata(cursor)
            names = (cursor.read_line() or "").split()
        if len(names) > 3 and names[3].lower() == "string":
            # The length of text is not reliable; the points come next.
            start = cursor.data.find(b"\nPOINTS ", cursor.offset)
            if start < 0:
                msg = "expected POINTS behind the field data, got none: the file is cut off"
                raise cursor.fail(msg)
            cursor.offset = start + 1
            return
        n_values = _whole(cursor, names, 1) * _whole(cursor, names, 2)
        cursor.read_values(n_values, names[3] if len(names) > 3 else "float", names[0])
