# SPDX-License-Identifier: Apache-2.0
"""VTK XML polygonal data (.vtp): ascii, binary and appended, with or without compression."""

from __future__ import annotations

import binascii
import lzma
import re
import xml.etree.ElementTree as ET
import zlib
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import quote
from palnet.errors import MeshError
from palnet.surface._mesh import ParsedMesh, fan_triangles, strip_triangles
from palnet.surface._text import (
    BadTokenError,
    parse_count,
    parse_floats,
    to_doubles,
    to_integers,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["parse_vtp", "parse_vtp_colors"]

TYPES = {
    "Int8": "i1", "UInt8": "u1", "Int16": "i2", "UInt16": "u2", "Int32": "i4", "UInt32": "u4",
    "Int64": "i8", "UInt64": "u8", "Float32": "f4", "Float64": "f8", "String": "i1",
}  # fmt: skip

MAX_EXPANSION = 250
"""Compressed mesh arrays expand to at most 80 times their size, malicious ones to 1,000 times and
more."""

FREE_BYTES = 1 << 29
"""Size to which an array may always expand: most of a range scan's grid may be zeros."""

MAX_LZMA_BYTES = 1 << 28
"""Memory for the LZMA dictionary; the strongest preset needs a quarter of this."""

SIZE_TYPES = {"UInt32": "u4", "UInt64": "u8"}


def parse_vtp(data: bytes) -> ParsedMesh:
    """Read all pieces, polygons and strips split into triangles.

    MeshError if the file is damaged, holds another kind of data, or is encoded in a way that cannot
    be read without VTK.
    """
    root, appended = _parse_xml(data)
    decoder = _Decoder(root, appended)
    points: list[NDArray[np.float64]] = [np.zeros((0, 3))]
    triangles: list[NDArray[np.int64]] = [np.zeros((0, 3), dtype=np.int64)]
    n_before = 0
    for piece in root.iterfind("PolyData/Piece"):
        n_points = _count(piece, "NumberOfPoints")
        points.append(decoder.read(piece.find("Points/DataArray"), 3 * n_points).reshape(-1, 3))
        for name, cut in (("Polys", fan_triangles), ("Strips", strip_triangles)):
            corners, counts = decoder.read_cells(piece, name)
            cells = cut(corners, counts)
            if len(cells) and (cells.min() < 0 or cells.max() >= n_points):
                msg = f"{name} name vertices that the file does not have: it is damaged"
                raise MeshError(msg)
            triangles.append(cells + n_before)
        n_before += n_points
    header = f"SPACE={decoder.read_text(root, 'SPACE')}"
    return ParsedMesh(np.concatenate(points), np.concatenate(triangles), header)


def parse_vtp_colors(data: bytes) -> dict[str, NDArray[np.float64]]:
    """Return, by name, point data that may be colors: three or four bytes for each point.

    Of a file that `parse_vtp` accepts.
    """
    root, appended = _parse_xml(data)
    decoder = _Decoder(root, appended)
    found: dict[str, list[NDArray[np.float64]]] = {}
    pieces = [each for each in root.iterfind("PolyData/Piece") if _count(each, "NumberOfPoints")]
    for piece in pieces:
        for array in piece.iterfind("PointData/DataArray"):
            n_components = parse_count(array.get("NumberOfComponents", "1"))
            if array.get("type") == "UInt8" and n_components in (3, 4):
                values = decoder.read(array, n_components * _count(piece, "NumberOfPoints"))
                name = array.get("Name", "")
                found.setdefault(name, []).append(values.reshape(-1, n_components)[:, :3])
    whole = {name: arrays for name, arrays in found.items() if len(arrays) == len(pieces)}
    if found and not whole:
        msg = "not every piece of the file has them"
        raise MeshError(msg)
    return {name: np.concatenate(arrays) for name, arrays in whole.items()}


def _parse_xml(data: bytes) -> tuple[ET.Element, bytes]:
    """Separate the XML from appended data, which may be anything but XML."""
    start = data.find(b"<AppendedData")
    head, appended = data, b""
    if start >= 0:
        begin, end = data.find(b"_", start), data.rfind(b"</AppendedData")
        if begin < 0 or end < begin:
            msg = "the closing </AppendedData> is missing: the file is cut off. Copy it again"
            raise MeshError(msg)
        appended = data[begin + 1 : end]
        opening = data[start : data.find(b">", start) + 1].rstrip(b"/>") + b"/>"
        head = data[:start] + opening + data[end:].split(b">", 1)[1]
    try:
        root = ET.fromstring(head)
    except (ET.ParseError, LookupError, ValueError) as err:  # also of an unknown encoding
        msg = f"the XML is damaged or cut off ({err}). Copy or export it again"
        raise MeshError(msg) from err
    if root.tag != "VTKFile" or root.get("type") != "PolyData":
        msg = (
            f"holds {root.get('type', root.tag)}, not PolyData. Extract its surface, e.g. with "
            "ParaView's Extract Surface, and save that"
        )
        raise MeshError(msg)
    return root, appended


def _count(piece: ET.Element, name: str) -> int:
    """Read a count from a Piece tag; 0 if it is not given."""
    text = piece.get(name, "0").strip()
    count = parse_count(text)
    if count is None:
        msg = f"{name} is {quote(text)}, which is no count: the file is damaged"
        raise MeshError(msg)
    return count


def _compressor(root: ET.Element) -> str:
    """Name the compressor of the file; empty if uncompressed."""
    name = root.get("compressor", "")
    if name not in ("", "vtkZLibDataCompressor", "vtkLZMADataCompressor"):
        msg = (
            f"is packed with {name}. Save it with zlib or without compression (in ParaView the "
            "option Compressor Type of Save Data)"
        )
        raise MeshError(msg)
    return name


def _unpack(name: str, packed: bytes, n_allowed: int) -> bytes:
    """Decompress one block, which may expand to at most `n_allowed` bytes."""
    undo = (
        zlib.decompressobj()
        if name == "vtkZLibDataCompressor"
        else lzma.LZMADecompressor(memlimit=MAX_LZMA_BYTES)
    )
    block = undo.decompress(packed, n_allowed + 1)
    if len(block) > n_allowed:
        msg = f"it grows to more than {MAX_EXPANSION} times its size"
        raise ValueError(msg)
    if not undo.eof:
        msg = "a compressed block has no end"
        raise ValueError(msg)
    return block


def _size_type(root: ET.Element) -> str:
    """Return the type of the sizes before binary data."""
    name = root.get("header_type", "UInt32")
    if name not in SIZE_TYPES:
        msg = f"header_type is {quote(name)}, not UInt32 or UInt64. Export it again"
        raise MeshError(msg)
    return SIZE_TYPES[name]


class _Decoder:
    """Reads the arrays of one file."""

    def __init__(self, root: ET.Element, appended: bytes):
        self.order = ">" if root.get("byte_order") == "BigEndian" else "<"
        self.size = np.dtype(self.order + _size_type(root))
        self.compressor = _compressor(root)
        tag = root.find("AppendedData")
        self.is_raw = tag is not None and tag.get("encoding") == "raw"
        self.appended = appended

    def read(self, array: ET.Element | None, n_values: int) -> NDArray[np.float64]:
        """Read the numbers of an array, exactly as many as declared."""
        if n_values == 0:
            return np.zeros(0)
        if array is None:
            msg = f"promises {n_values} numbers, but their DataArray is missing: it is damaged"
            raise MeshError(msg)
        values = self._read(array)
        if len(values) != n_values:
            msg = (
                f"array {array.get('Name')!r} holds {len(values)} numbers where {n_values} are "
                "promised: the file is damaged or cut off. Copy or export it again"
            )
            raise MeshError(msg)
        return values

    def read_cells(
        self, piece: ET.Element, name: str
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return corners and corner counts of the cells of one kind."""
        n_cells = _count(piece, f"NumberOf{name}")
        arrays = {each.get("Name"): each for each in piece.iterfind(f"{name}/DataArray")}
        ends = to_integers(self.read(arrays.get("offsets"), n_cells), f"{name} offsets")
        counts = np.diff(ends, prepend=0)
        if (counts < 0).any():
            msg = f"the offsets of {name} do not rise: the file is damaged"
            raise MeshError(msg)
        n_corners = int(ends[-1]) if n_cells else 0
        corners = self.read(arrays.get("connectivity"), n_corners)
        return to_integers(corners, f"{name} connectivity"), counts

    def read_text(self, root: ET.Element, name: str) -> str:
        """Read the text of a field array; empty if there is none."""
        for array in root.iterfind("PolyData/FieldData/Array"):
            if array.get("Name") == name:
                codes = to_integers(self._read(array), name)
                return bytes(code for code in codes.tolist() if 0 < code < 256).decode("latin-1")
        return ""

    def _read(self, array: ET.Element) -> NDArray[np.float64]:
        kind = TYPES.get(array.get("type", ""))
        if kind is None:
            msg = f"array {array.get('Name')!r} has the unknown type {array.get('type')!r}"
            raise MeshError(msg)
        try:
            if array.get("format", "ascii") == "ascii":
                return parse_floats((array.text or "").encode())
            raw = self._read_bytes(array)
            return to_doubles(np.frombuffer(raw, self.order + kind))
        except BadTokenError as err:
            msg = f"array {array.get('Name')!r} holds {err.token!r}, which is not a number"
            raise MeshError(msg) from err
        except (ValueError, IndexError, zlib.error, lzma.LZMAError) as err:
            msg = f"array {array.get('Name')!r} is damaged or cut off ({err}). Copy it again"
            raise MeshError(msg) from err

    def _read_bytes(self, array: ET.Element) -> bytes:
        """Read the bytes of a binary array, inline or appended."""
        if array.get("format") == "appended":
            source, is_raw = self.appended[int(array.get("offset", "")) :], self.is_raw
        else:
            source, is_raw = re.sub(rb"\s+", b"", (array.text or "").encode()), False
        take = _Source(source, is_raw=is_raw)
        if not self.compressor:
            # In base64 the size and the data are one stream.
            (n_bytes,) = self._sizes(take.peek(self.size.itemsize), 1)
            return take.read(self.size.itemsize + n_bytes)[self.size.itemsize :]
        n_blocks = self._sizes(take.peek(self.size.itemsize), 1)[0]
        packed_sizes = self._sizes(take.read((3 + n_blocks) * self.size.itemsize), 3 + n_blocks)[3:]
        packed, blocks, at = take.read(sum(packed_sizes)), [], 0
        n_allowed = FREE_BYTES + MAX_EXPANSION * len(packed)
        for size in packed_sizes:
            blocks.append(_unpack(self.compressor, packed[at : at + size], n_allowed))
            n_allowed -= len(blocks[-1])
            at += size
        return b"".join(blocks)

    def _sizes(self, raw: bytes, n_sizes: int) -> list[int]:
        sizes: list[int] = np.frombuffer(raw, self.size, count=n_sizes).tolist()
        return sizes


class _Source:
    """Raw or base64 bytes; each base64 block ends on a whole group of four letters."""

    def __init__(self, source: bytes, *, is_raw: bool):
        self.source, self.is_raw, self.offset = source, is_raw, 0

    def peek(self, n_bytes: int) -> bytes:
        stretch = self.source[self.offset : self.offset + self._length(n_bytes)]
        return stretch if self.is_raw else binascii.a2b_base64(stretch)[:n_bytes]

    def read(self, n_bytes: int) -> bytes:
        found = self.peek(n_bytes)
        if len(found) < n_bytes:
            msg = f"{n_bytes} bytes expected, {len(found)} found"
            raise ValueError(msg)
        self.offset += self._length(n_bytes)
        return found

    def _length(self, n_bytes: int) -> int:
        return n_bytes if self.is_raw else 4 * ((n_bytes + 2) // 3)
