# SPDX-License-Identifier: Apache-2.0
"""Stanford PLY, ascii and binary of both byte orders."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from palnet._stored import quote
from palnet.errors import MeshError
from palnet.surface._mesh import ParsedMesh, fan_triangles
from palnet.surface._text import (
    BadTokenError,
    line_number,
    parse_floats,
    to_doubles,
    to_integers,
)
from palnet.surface._vectors import count_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PlyColumns", "parse_ply", "parse_ply_columns", "parse_ply_header"]

SCALAR_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8", "int64": "i8", "uint64": "u8",
}  # fmt: skip
"""PLY type names and their numpy equivalents."""

BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}

MAX_HEADER_BYTES = 1 << 20
"""A header must end within this many bytes."""

CORNER_LISTS = ("vertex_indices", "vertex_index")
TEXTURE_LIST = "texcoord"
"""Texture coordinates of a face's corners, as MeshLab writes them."""


class _Property(NamedTuple):
    name: str
    kind: str
    count_kind: str  # "" for a scalar


@dataclass
class _Element:
    name: str
    n_rows: int
    properties: list[_Property] = field(default_factory=list)
    wanted_lists: tuple[str, ...] = CORNER_LISTS

    @property
    def min_row_bytes(self) -> int:
        """Size of a row whose lists are all empty."""
        return sum(np.dtype(each.count_kind or each.kind).itemsize for each in self.properties)


class _Header(NamedTuple):
    order: str
    elements: list[_Element]
    text: str
    n_bytes: int


class _Rows(NamedTuple):
    """An element's columns; a list property is a pair of concatenated values and counts."""

    scalars: dict[str, NDArray[np.float64]]
    lists: dict[str, tuple[NDArray[Any], NDArray[np.int64]]]


class PlyColumns(NamedTuple):
    """What a file says of its vertices and faces besides their coordinates and corners.

    Attributes
    ----------
    vertex, face : dict of str to ndarray
        Columns of numbers by name.
    corners : ndarray of shape (n_corners,)
        The vertex of each corner of each face.
    uv : ndarray of shape (n_corners, 2)
        Texture coordinates of the corners, NaN where there are none.
    n_corners : ndarray of shape (n_faces,)
        Number of corners of each face.
    """

    vertex: dict[str, NDArray[np.float64]]
    face: dict[str, NDArray[np.float64]]
    corners: NDArray[np.int64]
    uv: NDArray[np.float64]
    n_corners: NDArray[np.int64]


def parse_ply_header(data: bytes) -> tuple[str, dict[str, str]]:
    """Return the text of the header, and the types of the vertices' numbers by name."""
    header = _parse_header(data)
    kinds = {
        each.name: each.kind
        for element in header.elements
        for each in element.properties
        if element.name == "vertex" and not each.count_kind
    }
    return header.text, kinds


def parse_ply_columns(data: bytes) -> PlyColumns:
    """Read what `parse_ply` leaves aside, of a file that it accepts."""
    header = _parse_header(data)
    for element in header.elements:
        element.wanted_lists = (*CORNER_LISTS, TEXTURE_LIST)
    rows = _read_rows(data, header)
    face = rows.get("face", _Rows({}, {}))
    nothing = np.zeros(0, dtype=np.int64)
    listed = [face.lists[name] for name in CORNER_LISTS if name in face.lists]
    corners, n_corners = listed[0] if listed else (nothing, nothing)
    uv = np.full((len(corners), 2), np.nan)
    values, counts = face.lists.get(TEXTURE_LIST, (nothing, np.zeros_like(n_corners)))
    is_whole = counts == 2 * n_corners
    uv[np.repeat(is_whole, n_corners)] = values[np.repeat(is_whole, counts)].reshape(-1, 2)
    return PlyColumns(rows["vertex"].scalars, face.scalars, corners, uv, n_corners)


def parse_ply(data: bytes) -> ParsedMesh:
    """Read vertices and faces, in file order, polygons split into fans; MeshError if damaged."""
    header = _parse_header(data)
    rows = _read_rows(data, header)
    vertex = rows.get("vertex")
    if vertex is None or not {"x", "y", "z"} <= vertex.scalars.keys():
        msg = "the header describes no vertices with x, y and z"
        raise MeshError(msg)
    points = np.stack([vertex.scalars[axis] for axis in "xyz"], axis=1)
    return ParsedMesh(points, _collect_triangles(rows), header.text)


def _read_rows(data: bytes, header: _Header) -> dict[str, _Rows]:
    """Read the columns of all elements up to the faces."""
    body = memoryview(data)[header.n_bytes :]
    return (_read_binary if header.order else _read_ascii)(data, header, body)


def _to_numbers(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Convert the concatenated values of a list property."""
    return to_integers(values, name) if name in CORNER_LISTS else to_doubles(values)


def _collect_triangles(rows: dict[str, _Rows]) -> NDArray[np.int64]:
    """Return the triangles of the face element; empty if there is none."""
    faces = rows.get("face")
    if faces is None and "tristrips" in rows:
        msg = "the faces are stored as triangle strips. Save it with plain faces, e.g. by MeshLab"
        raise MeshError(msg)
    corners = [faces.lists[name] for name in CORNER_LISTS if name in faces.lists] if faces else []
    return fan_triangles(*corners[0]) if corners else np.zeros((0, 3), dtype=np.int64)


def _parse_header(data: bytes) -> _Header:
    """Read the lines up to end_header."""
    # If lines end in CR alone, an LF after the last one is the first byte of the body.
    line_end = rb"\r" if re.match(rb"ply[ \t]*\r(?!\n)", data) else rb"(?:\r\n|\n|\r)"
    end = re.search(
        line_end + rb"[ \t]*end_header[ \t]*(?:" + line_end + rb"|$)", data[:MAX_HEADER_BYTES]
    )
    if not data.startswith(b"ply") or end is None:
        msg = "the PLY header has no end_header line: the file is damaged or cut off"
        raise MeshError(msg)
    text = data[: end.start()].decode("utf-8", errors="replace")
    order: str | None = None
    elements: list[_Element] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        try:
            if words[:1] == ["format"]:
                order = BYTE_ORDERS[words[1]]
            elif words[:1] in (["element"], ["property"]):
                _add_declaration(elements, words)
        except (KeyError, IndexError, ValueError) as err:
            msg = f"line {number} of the header makes no sense: {line[:60]!r}"
            raise MeshError(msg) from err
    if order is None:
        msg = "the PLY header has no format line"
        raise MeshError(msg)
    # Rows without properties take no space in the file, whatever their declared number.
    return _Header(order, [each for each in elements if each.properties], text, end.end())


def _add_declaration(elements: list[_Element], words: list[str]) -> None:
    """Add one "element" or "property" line."""
    if words[0] == "element":
        n_rows = int(words[2])
        if n_rows < 0:
            raise ValueError(words[2])
        elements.append(_Element(words[1], n_rows))
    elif words[1] == "list":
        kinds = SCALAR_TYPES[words[3]], SCALAR_TYPES[words[2]]
        if kinds[1].startswith("f"):
            raise ValueError(words[2])
        elements[-1].properties.append(_Property(words[4], *kinds))
    else:
        elements[-1].properties.append(_Property(words[2], SCALAR_TYPES[words[1]], ""))


def _too_short(element: _Element) -> MeshError:
    """Report that the body ends too early."""
    msg = (
        f"the header promises {element.n_rows} rows of {quote(element.name)}, but the file ends "
        "before that: it is cut off or damaged. Copy or export it again"
    )
    return MeshError(msg)


# --- binary --------------------------------------------------------------------------------------


def _read_binary(data: bytes, header: _Header, body: memoryview) -> dict[str, _Rows]:
    """Read all elements up to the faces."""
    del data
    rows: dict[str, _Rows] = {}
    offset = 0
    for element in header.elements:
        if element.n_rows * element.min_row_bytes > len(body) - offset:
            raise _too_short(element)
        counts = _first_list_counts(element, body, offset, header.order)
        table = _read_uniform(element, body, offset, header.order, counts)
        if table is not None:
            rows[element.name] = _columns(element, table)
            offset += table.nbytes
        else:
            rows[element.name], offset = _read_ragged(element, body, offset, header.order)
        if {"vertex", "face"} <= rows.keys():
            break
    return rows


def _first_list_counts(element: _Element, body: memoryview, offset: int, order: str) -> list[int]:
    """Return the list lengths of the first row, as a guess for all rows."""
    counts: list[int] = []
    for each in element.properties if element.n_rows else ():
        kind = np.dtype(order + (each.count_kind or each.kind))
        if offset + kind.itemsize > len(body):
            raise _too_short(element)
        if each.count_kind:
            counts.append(int(np.frombuffer(body, kind, count=1, offset=offset)[0]))
            offset += counts[-1] * np.dtype(each.kind).itemsize
        offset += kind.itemsize
        if offset > len(body) or (counts and counts[-1] < 0):
            raise _too_short(element)
    return counts


def _read_uniform(
    element: _Element, body: memoryview, offset: int, order: str, counts: list[int]
) -> NDArray[np.void] | None:
    """Read all rows at once if all lists are as long as those of the first row."""
    fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
    remaining = iter(counts)
    for column, each in enumerate(element.properties):
        if each.count_kind:
            fields.append((f"n{column}", order + each.count_kind))
            fields.append((f"v{column}", order + each.kind, (next(remaining, 0),)))
        else:
            fields.append((f"v{column}", order + each.kind))
    row = np.dtype(fields)
    if element.n_rows * row.itemsize > len(body) - offset:
        if not counts:
            raise _too_short(element)
        return None
    table = np.frombuffer(body, row, count=element.n_rows, offset=offset)
    names = [name for name in row.names or () if name.startswith("n")]
    is_uniform = all((table[name] == n).all() for name, n in zip(names, counts, strict=False))
    return table if is_uniform else None


def _columns(element: _Element, table: NDArray[np.void]) -> _Rows:
    """Split a table whose lists are all of equal length into columns."""
    rows = _Rows({}, {})
    for column, each in enumerate(element.properties):
        if not each.count_kind:
            rows.scalars[each.name] = to_doubles(table[f"v{column}"])
        elif each.name in element.wanted_lists:
            values = _to_numbers(table[f"v{column}"], each.name)
            n_rows, width = values.shape
            rows.lists[each.name] = values.ravel(), np.full(n_rows, width, dtype=np.int64)
    return rows


def _read_ragged(element: _Element, body: memoryview, offset: int, order: str) -> tuple[_Rows, int]:
    """Read rows whose lists differ in length, one by one."""
    starts = np.zeros((element.n_rows, len(element.properties)), dtype=np.int64)
    counts = np.zeros_like(starts)
    sizes = [np.dtype(each.kind).itemsize for each in element.properties]
    count_sizes = [np.dtype(each.count_kind or "u1").itemsize for each in element.properties]
    is_list = [bool(each.count_kind) for each in element.properties]
    byte_order, n_bytes = ("little" if order == "<" else "big"), len(body)
    for row in range(element.n_rows):
        for column, size in enumerate(sizes):
            n_values = 1
            if is_list[column]:
                start = offset
                offset += count_sizes[column]
                n_values = int.from_bytes(body[start:offset], byte_order)  # type: ignore[arg-type]
            starts[row, column] = offset
            counts[row, column] = n_values
            offset += n_values * size
        if offset > n_bytes:
            raise _too_short(element)
    return _gather(element, body, order, starts, counts), offset


def _gather(
    element: _Element,
    body: memoryview,
    order: str,
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> _Rows:
    """Collect the wanted values of rows whose layout is known."""
    raw = np.frombuffer(body, dtype=np.uint8)
    rows = _Rows({}, {})
    for column, each in enumerate(element.properties):
        if each.count_kind and each.name not in element.wanted_lists:
            continue
        kind, n = np.dtype(order + each.kind), counts[:, column]
        at = np.repeat(starts[:, column], n) + count_within(n) * kind.itemsize
        picked = np.ascontiguousarray(raw[at[:, None] + np.arange(kind.itemsize)])
        values = picked.view(kind).ravel()
        if each.count_kind:
            rows.lists[each.name] = _to_numbers(values, each.name), n
        else:
            rows.scalars[each.name] = to_doubles(values)
    return rows


# --- ascii ---------------------------------------------------------------------------------------


def _read_ascii(data: bytes, header: _Header, body: memoryview) -> dict[str, _Rows]:
    """Read all elements from one long sequence of numbers."""
    try:
        values = parse_floats(bytes(body))
    except BadTokenError as err:
        line = line_number(data, header.n_bytes + err.offset)
        msg = f"line {line}: {err.token!r} is not a number"
        raise MeshError(msg) from err
    rows: dict[str, _Rows] = {}
    offset = 0
    for element in header.elements:
        if element.n_rows * len(element.properties) > len(values) - offset:
            raise _too_short(element)
        rows[element.name], offset = _read_ascii_rows(element, values, offset)
    if offset != len(values):
        msg = (
            f"the body holds {len(values)} numbers where the header promises {offset}: "
            "a row is damaged or the header is wrong. Export it again"
        )
        raise MeshError(msg)
    return rows


def _read_ascii_rows(
    element: _Element, values: NDArray[np.float64], offset: int
) -> tuple[_Rows, int]:
    """Read one element; rows with lists of different lengths are read one by one."""
    starts, counts, offset = _walk_ascii(element, values, offset)
    rows = _Rows({}, {})
    for column, each in enumerate(element.properties):
        if not each.count_kind:
            rows.scalars[each.name] = values[starts[:, column]]
        elif each.name in element.wanted_lists:
            n = counts[:, column]
            listed = values[np.repeat(starts[:, column], n) + count_within(n)]
            rows.lists[each.name] = _to_numbers(listed, each.name), n
    return rows, offset


def _walk_ascii(
    element: _Element, values: NDArray[np.float64], offset: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Find where each value or list of each row starts, its length, and where the element ends."""
    is_list = [bool(each.count_kind) for each in element.properties]
    n_rows, n_columns = element.n_rows, len(is_list)
    uniform = _guess_ascii_row(is_list, values, offset) if n_rows else None
    if uniform is not None:
        row_starts, row_counts, width = uniform
        starts = row_starts + width * np.arange(n_rows)[:, None]
        if offset + width * n_rows <= len(values):
            listed = np.flatnonzero(is_list)
            if (values[starts[:, listed] - 1] == row_counts[listed]).all():
                return starts, np.tile(row_counts, (n_rows, 1)), offset + width * n_rows
    starts = np.zeros((n_rows, n_columns), dtype=np.int64)
    counts = np.ones((n_rows, n_columns), dtype=np.int64)
    for row in range(n_rows):
        guess = _guess_ascii_row(is_list, values, offset)
        if guess is None:
            raise _too_short(element)
        starts[row], counts[row] = guess[0], guess[1]
        offset += guess[2]
    return starts, counts, offset


def _guess_ascii_row(
    is_list: list[bool], values: NDArray[np.float64], offset: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int] | None:
    """Lay out the row that starts at an offset; None if it does not fit."""
    starts, counts, position = [], [], offset
    for listed in is_list:
        n_values = 1
        if listed:
            if position >= len(values) or not 0 <= values[position] <= len(values):
                return None
            n_values = int(values[position])
            position += 1
        starts.append(position)
        counts.append(n_values)
        position += n_values
    if position > len(values):
        return None
    return np.array(starts, dtype=np.int64), np.array(counts, dtype=np.int64), position - offset
