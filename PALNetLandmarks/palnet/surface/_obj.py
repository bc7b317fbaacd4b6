# SPDX-License-Identifier: Apache-2.0
"""Wavefront OBJ: vertices and faces; all else in such a file is ignored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import quote
from palnet.errors import MeshError
from palnet.surface._digits import (
    DIGITS_PADDING,
    LAST_BLANK,
    parse_decimals,
    parse_leading_integers,
)
from palnet.surface._mesh import Finding, ParsedMesh, fan_triangles
from palnet.surface._text import (
    BadTokenError,
    check_no_control_bytes,
    cut_out,
    find_token_starts,
    line_number,
    parse_floats,
    walk_lines,
    with_line_feeds,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "Lines",
    "flatten",
    "parse_corners",
    "parse_numbers",
    "parse_obj",
]

HEADER_BYTES = 4096
"""Slicer writes its SPACE comment at the top of the file."""

MAX_SHORT_SHARE = 0.01
"""Some programs write single edges as faces. If more than this share of the faces have fewer than
three corners, the file was damaged."""

MIN_UNUSED_SHARE = 1e-3
"""A file that stops within a line and leaves this share of its vertices unused was probably
truncated."""


class Lines:
    """The lines of one kind (such as "v" or "f") cut out of a block of the file, as tokens."""

    def __init__(
        self,
        raw: NDArray[np.uint8],
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        block_offset: int,
    ) -> None:
        lengths = ends - starts
        self.file_offsets = starts + block_offset
        self.starts = np.cumsum(lengths) - lengths
        padding = np.frombuffer(DIGITS_PADDING, dtype=np.uint8)
        self.raw = np.concatenate([cut_out(raw, starts, ends), padding])
        self.raw[self.starts] = LAST_BLANK
        self.tokens = find_token_starts(self.raw)
        self.first_token = np.searchsorted(self.tokens, self.starts)
        self.counts = np.diff(np.append(self.first_token, len(self.tokens)))

    def file_offset(self, offset: int) -> int:
        """Convert an offset in the cut-out lines to one in the file."""
        line = int(np.searchsorted(self.starts, offset, side="right")) - 1
        return int(self.file_offsets[line] + offset - self.starts[line])


def parse_obj(data: bytes) -> ParsedMesh:
    """Read the vertices and faces of a Wavefront OBJ file; MeshError names the line.

    Convention: polygons are split into triangle fans; negative indices count back from the last
    vertex above the face; colours after the coordinates, texture and normal indices, groups,
    lines and points are ignored.
    """
    data = with_line_feeds(data)
    text = flatten(data)
    n_points, highest = 0, -1
    points, corners, counts = [np.zeros((0, 3))], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for vertices, faces, n_before in _walk(text):
        corners.append(parse_corners(data, faces, n_points + n_before))
        if len(faces.tokens):  # negative corners are huge ones; the block is still in the cache
            highest = max(highest, int(corners[-1].view(np.uint64).max()))
        counts.append(faces.counts)
        points.append(_parse_vertices(data, vertices))
        n_points += len(points[-1])
    if highest >= n_points:
        is_bad = np.concatenate(corners).view(np.uint64) >= np.uint64(n_points)
        raise _bad_corner(data, text, int(np.argmax(is_bad)), n_points)
    all_points = np.concatenate(points)
    all_corners = np.concatenate(corners, dtype=np.int32, casting="unsafe")
    all_counts = np.concatenate(counts)
    _check_short_faces(data, text, all_counts)
    triangles = fan_triangles(all_corners, all_counts)
    header = data[:HEADER_BYTES].decode("utf-8", errors="replace")
    return ParsedMesh(all_points, triangles, header, _guess_cut(data, all_points, triangles))


def _walk(text: bytes) -> Iterator[tuple[Lines, Lines, NDArray[np.int64]]]:
    """Yield vertices and faces by block; for each face, the vertices above it in its block."""
    for raw, starts, ends, offset in walk_lines(text):
        is_vertex, is_face = (
            (raw[starts] == ord(letter)) & (raw[starts + 1] <= LAST_BLANK) for letter in "vf"
        )
        yield (
            Lines(raw, starts[is_vertex], ends[is_vertex], offset),
            Lines(raw, starts[is_face], ends[is_face], offset),
            np.cumsum(is_vertex)[is_face],
        )


def flatten(data: bytes) -> bytes:
    """Blank trailing comments and join continued lines, keeping every byte offset."""
    has_joints = b"\\" in data
    n_comments = data.count(b"#") if b"#" in data else 0  # to search is faster than to count
    if has_joints or n_comments > (n_comments and data.count(b"\n#") + data.startswith(b"#")):
        data = re.sub(rb"#[^\n]*", lambda found: b" " * len(found[0]), data)
    if has_joints:
        data = re.sub(rb"\\[ \t]*\r?\n", lambda found: b" " * len(found[0]), data)
    return data


def _too_few(data: bytes, lines: Lines, row: int, need: str) -> MeshError:
    """Report a line of fewer than three words."""
    line = line_number(data, int(lines.file_offsets[row]))
    return MeshError(
        f"line {line}: {need}; got {lines.counts[row]}. The file is damaged or cut off"
    )


def _check_short_faces(data: bytes, text: bytes, counts: NDArray[np.int64]) -> None:
    """Reject a file of which many faces, or the last one where it stops, miss corners."""
    short = np.flatnonzero(counts < 3)
    is_cut = not data.endswith((b"\n", b"\r")) and len(counts) - 1 in short
    if len(short) > MAX_SHORT_SHARE * len(counts) or is_cut:
        number = int(short[-1] if is_cut else short[0])
        for _, faces, _ in _walk(text):
            if number < len(faces.counts):
                raise _too_few(data, faces, number, "a face needs three corners")
            number -= len(faces.counts)


def _parse_vertices(data: bytes, lines: Lines) -> NDArray[np.float64]:
    """Parse the coordinates of all "v" lines."""
    short = np.flatnonzero(lines.counts < 3)
    if len(short):
        raise _too_few(data, lines, int(short[0]), "a vertex needs three coordinates")
    values = parse_numbers(data, lines)
    return values[lines.first_token[:, None] + np.arange(3)] if len(values) else np.zeros((0, 3))


def parse_numbers(data: bytes, lines: Lines) -> NDArray[np.float64]:
    """Parse all words of some lines as numbers."""
    try:
        check_no_control_bytes(lines.raw)
        values = parse_decimals(lines.raw, lines.tokens)
        if values is None:
            values = parse_floats(lines.raw.tobytes())
    except BadTokenError as err:
        line = line_number(data, lines.file_offset(err.offset))
        msg = f"line {line}: {err.token!r} is not a coordinate. The file is damaged"
        raise MeshError(msg) from err
    return values


def parse_corners(data: bytes, lines: Lines, n_before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Parse the corners of all "f" lines; `n_before` counts vertices above each; -1 for none."""
    try:
        check_no_control_bytes(lines.raw)
    except BadTokenError as err:
        line = line_number(data, lines.file_offset(err.offset))
        msg = (
            f"line {line}: {err.token!r} is not a face corner. The file is damaged or not plain "
            "text"
        )
        raise MeshError(msg) from err
    values, ends = parse_leading_integers(lines.raw, lines.tokens)
    corners = values - 1
    if (values < 0).any():
        n_above = np.repeat(n_before, lines.counts)
        corners = np.where(values < 0, n_above + values, corners)
    corners[(ends > LAST_BLANK) & (ends != ord("/"))] = -1
    return corners


def _bad_corner(data: bytes, text: bytes, number: int, n_points: int) -> MeshError:
    """Name the line of an invalid corner, given by its number over all faces."""
    for _, faces, _ in _walk(text):
        if number < len(faces.tokens):
            break
        number -= len(faces.tokens)
    token = int(faces.tokens[number])
    word = faces.raw[token : token + 60].tobytes().split(maxsplit=1)[0]
    corner = quote(word.decode("utf-8", errors="replace"))
    return MeshError(
        f"line {line_number(data, faces.file_offset(token))}: face corner {corner} names "
        f"no vertex (the file has {n_points}). The file is damaged or cut off"
    )


def _guess_cut(
    data: bytes, points: NDArray[np.float64], triangles: NDArray[np.int32]
) -> tuple[Finding, ...]:
    """Detect a file that stops within a line and leaves vertices unused; OBJ holds no counts."""
    if data.endswith((b"\n", b"\r")) or not len(triangles):
        return ()
    n_unused = len(points) - len(np.unique(triangles))
    if n_unused <= MIN_UNUSED_SHARE * len(points):
        return ()
    text = f"The file stops within a line and {n_unused} vertices are unused: it may be cut off."
    return (Finding("possibly_cut_off", text),)
