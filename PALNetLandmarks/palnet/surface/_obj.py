# SPDX-License-Identifier: Apache-2.0
"""Wavefront OBJ: vertices and faces; everything else in such a file is passed over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from palnet.errors import MeshError
from palnet.surface._digits import DIGITS_PADDING, parse_decimals, parse_leading_integers
from palnet.surface._mesh import Finding, ParsedMesh, fan_triangles
from palnet.surface._text import (
    LAST_BLANK,
    BadTokenError,
    cut_out,
    find_token_starts,
    find_visible_lines,
    line_number,
    parse_floats,
    quote,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["parse_obj"]

PADDING = b"\n\n"
"""Lets every line have a second byte and every integer an end."""

HEADER_BYTES = 4096
"""Slicer writes its SPACE comment at the top of the file."""

MIN_UNUSED_SHARE = 1e-3
"""A file that stops in the middle of a line and leaves this share of its vertices unused
was probably cut off."""


class _Lines:
    """The lines of one kind ("v" or "f"), cut out of the file, as tokens."""

    def __init__(self, raw: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]):
        lengths = ends - starts
        self.file_offsets = starts
        self.starts = np.cumsum(lengths) - lengths
        padding = np.frombuffer(DIGITS_PADDING, dtype=np.uint8)
        self.raw = np.concatenate([cut_out(raw, starts, ends), padding])
        self.raw[self.starts] = LAST_BLANK
        self.tokens = find_token_starts(self.raw)
        self.first_token = np.searchsorted(self.tokens, self.starts)
        self.counts = np.diff(np.append(self.first_token, len(self.tokens)))

    def file_offset(self, offset: int) -> int:
        """Offset in the file of an offset in the cut-out lines."""
        line = int(np.searchsorted(self.starts, offset, side="right")) - 1
        return int(self.file_offsets[line] + offset - self.starts[line])


def parse_obj(data: bytes) -> ParsedMesh:
    """Read the vertices and faces of a Wavefront OBJ file.

    Convention: polygons are cut into triangle fans; negative indices count back from the last
    vertex above the face; colours after the coordinates, texture and normal indices, groups,
    lines and points are passed over.

    Parameters
    ----------
    data : bytes
        The whole file.

    Returns
    -------
    ParsedMesh
        Vertices in file order.

    Raises
    ------
    MeshError
        With the line of the first fault.
    """
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    raw = np.frombuffer(_flatten(data) + PADDING, dtype=np.uint8)
    starts, ends = find_visible_lines(raw)
    is_vertex, is_face = (
        (raw[starts] == ord(letter)) & (raw[starts + 1] <= LAST_BLANK) for letter in "vf"
    )
    points = _parse_vertices(data, _Lines(raw, starts[is_vertex], ends[is_vertex]))
    n_before = np.cumsum(is_vertex)[is_face]
    faces = _Lines(raw, starts[is_face], ends[is_face])
    triangles = _parse_faces(data, faces, n_before, len(points))
    header = data[:HEADER_BYTES].decode("utf-8", errors="replace")
    return ParsedMesh(points, triangles, header, _guess_cut(data, points, triangles))


def _flatten(data: bytes) -> bytes:
    """Blank comments after data and join continued lines, keeping every byte offset."""
    has_joints = b"\\" in data
    n_comments = data.count(b"#")
    if has_joints or n_comments > (n_comments and data.count(b"\n#") + data.startswith(b"#")):
        data = re.sub(rb"#[^\n]*", lambda found: b" " * len(found[0]), data)
    if has_joints:
        data = re.sub(rb"\\[ \t]*\r?\n", lambda found: b" " * len(found[0]), data)
    return data


def _parse_vertices(data: bytes, lines: _Lines) -> NDArray[np.float64]:
    """Coordinates of all "v" lines."""
    short = np.flatnonzero(lines.counts < 3)
    if len(short):
        msg = (
            f"line {line_number(data, int(lines.file_offsets[short[0]]))}: a vertex needs three "
            f"coordinates; got {lines.counts[short[0]]}. The file is damaged or cut off"
        )
        raise MeshError(msg)
    values = parse_decimals(lines.raw, lines.tokens)
    if values is None:
        try:
            values = parse_floats(lines.raw.tobytes())
        except BadTokenError as err:
            line = line_number(data, lines.file_offset(err.offset))
            msg = f"line {line}: {err.token!r} is not a coordinate"
            raise MeshError(msg) from err
    points = values[lines.first_token[:, None] + np.arange(3)] if len(values) else np.zeros((0, 3))
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        line = line_number(data, int(lines.file_offsets[bad[0]]))
        msg = f"line {line}: a vertex is not finite ({', '.join(map(str, points[bad[0]]))})"
        raise MeshError(msg)
    return points


def _parse_faces(
    data: bytes, lines: _Lines, n_before: NDArray[np.int64], n_points: int
) -> NDArray[np.int64]:
    """Triangles of all "f" lines; `n_before` counts the vertices above each."""
    short = np.flatnonzero(lines.counts < 3)
    if len(short):
        msg = (
            f"line {line_number(data, int(lines.file_offsets[short[0]]))}: a face needs three "
            f"corners; got {lines.counts[short[0]]}. The file is damaged or cut off"
        )
        raise MeshError(msg)
    values, ends = parse_leading_integers(lines.raw, lines.tokens)
    corners = values - 1
    is_relative = values < 0
    if is_relative.any():
        n_above = np.repeat(n_before, lines.counts)
        corners = np.where(is_relative, n_above + values, corners)
    is_bad = (values == 0) | ((ends > LAST_BLANK) & (ends != ord("/")))
    is_bad |= (corners < 0) | (corners >= n_points)
    if is_bad.any():
        token = int(lines.tokens[np.argmax(is_bad)])
        word = lines.raw[token : token + 60].tobytes().split(maxsplit=1)[0]
        msg = (
            f"line {line_number(data, lines.file_offset(token))}: face corner {quote(word)} names "
            f"no vertex (the file has {n_points}). The file is damaged or cut off"
        )
        raise MeshError(msg)
    return fan_triangles(corners, lines.counts)


def _guess_cut(
    data: bytes, points: NDArray[np.float64], triangles: NDArray[np.int64]
) -> tuple[Finding, ...]:
    """Notice a file that stops within a line and leaves vertices unused; OBJ holds no counts."""
    if data.endswith((b"\n", b"\r")) or not len(triangles):
        return ()
    is_used = np.zeros(len(points), dtype=bool)
    is_used[triangles] = True
    n_unused = int(len(points) - np.count_nonzero(is_used))
    if n_unused <= MIN_UNUSED_SHARE * len(points):
        return ()
    text = f"The file stops within a line and {n_unused} vertices are unused: it may be cut off."
    return (Finding("possibly_cut_off", text),)
