# SPDX-License-Identifier: Apache-2.0
"""STL, ascii and binary; every triangle has its own three vertices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.errors import MeshError
from palnet.surface._mesh import ParsedMesh
from palnet.surface._text import (
    BadTokenError,
    cut_out,
    find_token_starts,
    line_number,
    parse_floats,
    to_doubles,
    walk_lines,
    with_line_feeds,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["is_ascii_stl", "is_whole_binary_stl", "parse_stl"]

HEADER_BYTES = 80

END_OF_SOLID = ord("E")
"""Marks "endsolid" among the lines, whose first letters are lower case."""

FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
SNIFFED_BYTES = 2048
"""An ascii STL has its first facet within this many bytes."""


def is_ascii_stl(data: bytes) -> bool:
    """Distinguish ascii from binary, which may start with "solid" as well."""
    if not data[:80].lstrip().lower().startswith(b"solid"):
        return False
    if is_whole_binary_stl(data):
        return False
    head = data[:SNIFFED_BYTES].lower()
    return b"facet" in head or b"endsolid" in head


def is_whole_binary_stl(data: bytes) -> bool:
    """Whether the size is the one implied by a binary STL's facet count.

    Some programs pad the file after the last facet, by less than the size of another one.
    """
    return len(data) > HEADER_BYTES + 4 and 0 <= len(data) - _promised_size(data) < FACET.itemsize


def _promised_size(data: bytes) -> int:
    """Return the size implied by the facet count of a binary STL; 0 if it has none."""
    if len(data) < HEADER_BYTES + 4:
        return 0
    n_facets = int.from_bytes(data[HEADER_BYTES : HEADER_BYTES + 4], "little")
    return HEADER_BYTES + 4 + n_facets * FACET.itemsize


def parse_stl(data: bytes) -> ParsedMesh:
    """Read three points per triangle, not merged; MeshError if damaged or cut off."""
    if is_ascii_stl(data):
        corners, header = _parse_ascii(data), data.split(b"\n", 1)[0]
    else:
        corners, header = _parse_binary(data), data[:HEADER_BYTES]
    triangles = np.arange(len(corners), dtype=np.int64).reshape(-1, 3)
    return ParsedMesh(corners, triangles, header.decode("utf-8", errors="replace"))


def _parse_binary(data: bytes) -> NDArray[np.float64]:
    """Read the corners of a binary file."""
    promised = _promised_size(data)
    if not promised:
        msg = f"{len(data)} bytes are too few for an STL file: it is cut off or not an STL file"
        raise MeshError(msg)
    n_facets = (promised - HEADER_BYTES - 4) // FACET.itemsize
    if not is_whole_binary_stl(data):
        n_held = (len(data) - HEADER_BYTES - 4) / FACET.itemsize
        msg = (
            f"the header promises {n_facets} triangles, but the file holds {n_held:g}: it is cut "
            "off, damaged or not an STL file. Copy or export it again"
        )
        raise MeshError(msg)
    facets = np.frombuffer(data, FACET, count=n_facets, offset=HEADER_BYTES + 4)
    return to_doubles(facets["corners"]).reshape(-1, 3)


def _parse_ascii(data: bytes) -> NDArray[np.float64]:
    """Read the corners of an ascii file; faults of the structure are told before others."""
    data = with_line_feeds(data.lower())
    kinds, corners = [np.zeros(0, dtype=np.uint8)], [np.zeros((0, 3))]
    fault: MeshError | None = None
    for raw, starts, ends, offset in walk_lines(data):
        kinds.append(_line_kinds(raw, starts))
        is_vertex = kinds[-1] == ord("v")
        if fault is None:
            try:
                corners.append(
                    _parse_vertex_lines(data, raw, starts[is_vertex], ends[is_vertex], offset)
                )
            except MeshError as err:
                fault = err
    _check_structure(data, np.concatenate(kinds))
    if fault is not None:
        raise fault
    return np.concatenate(corners)


def _line_kinds(raw: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the first letter of every line, and of "endsolid" a capital one."""
    letters = raw[starts]
    is_end = (letters == ord("e")) & (raw[starts + len("end")] == ord("s"))
    return np.where(is_end, np.uint8(END_OF_SOLID), letters)


def _line_of(data: bytes, row: int) -> int:
    """Return the line number of a visible line, counted from 0."""
    for _, starts, _, offset in walk_lines(data):
        if row < len(starts):
            return line_number(data, offset + int(starts[row]))
        row -= len(starts)
    return line_number(data, len(data))


def _check_structure(data: bytes, kinds: NDArray[np.uint8]) -> None:
    """Require three vertices in every facet and an end of every solid."""
    is_vertex, is_facet = kinds == ord("v"), kinds == ord("f")
    per_facet = np.diff(np.append(np.cumsum(is_vertex)[is_facet], np.count_nonzero(is_vertex)))
    if (per_facet != 3).any():
        first = int(np.argmax(per_facet != 3))
        line = _line_of(data, int(np.flatnonzero(is_facet)[first]))
        msg = (
            f"line {line}: this facet has {per_facet[first]} vertices instead of 3. "
            "The file is damaged or cut off"
        )
        raise MeshError(msg)
    if np.count_nonzero(is_vertex) != 3 * np.count_nonzero(is_facet):
        line = _line_of(data, int(np.argmax(is_vertex)))
        msg = f"line {line}: this vertex belongs to no facet. The file is damaged"
        raise MeshError(msg)
    n_solids, n_ends = (int(np.count_nonzero(kinds == kind)) for kind in (ord("s"), END_OF_SOLID))
    if n_ends < n_solids:
        text = f"fewer solids end ({n_ends}) than begin ({n_solids})"
        msg = f"{text}: the file is cut off. Export it again"
        raise MeshError(msg)


def _parse_vertex_lines(
    data: bytes,
    raw: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    block_offset: int,
) -> NDArray[np.float64]:
    """Parse the coordinates of the "vertex x y z" lines of a block."""
    begins = np.minimum(starts + len("vertex"), ends)
    cut, line_ends = cut_out(raw, begins, ends), np.cumsum(ends - begins)
    try:
        values = parse_floats(cut.tobytes())
    except BadTokenError as err:
        row = int(np.searchsorted(line_ends, err.offset, side="right"))
        line = line_number(data, block_offset + int(starts[row]))
        msg = f"line {line}: {err.token!r} is not a coordinate"
        raise MeshError(msg) from err
    row, n_words = _first_without_three(find_token_starts(cut), line_ends)
    if row < len(starts):
        line = line_number(data, block_offset + int(starts[row]))
        msg = f"line {line}: this vertex has {n_words} numbers instead of 3. The file is damaged"
        raise MeshError(msg)
    return values.reshape(-1, 3)


def _first_without_three(words: NDArray[np.int64], line_ends: NDArray[np.int64]) -> tuple[int, int]:
    """Return the first line that has not three words, and how many; the number of lines if none."""
    n_lines = len(line_ends)
    if len(words) == 3 * n_lines:
        first, last = words[::3], words[2::3]
        if (first[1:] >= line_ends[:-1]).all() and (last < line_ends).all():
            return n_lines, 3
    counts = np.bincount(np.searchsorted(line_ends, words, side="right"), minlength=n_lines)
    row = int(np.argmax(counts != 3))
    return row, int(counts[row])
