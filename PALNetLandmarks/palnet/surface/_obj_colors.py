# SPDX-License-Identifier: Apache-2.0
"""Wavefront OBJ: colors behind the coordinates, and texture coordinates of the faces' corners."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from palnet.errors import MeshError
from palnet.surface._digits import LAST_BLANK, parse_leading_integers
from palnet.surface._obj import Lines, flatten, parse_corners, parse_numbers
from palnet.surface._text import walk_lines, with_line_feeds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["TexturedCorners", "has_vertex_colors", "parse_obj_colors", "parse_obj_texture"]

FIRST_VERTEX = re.compile(rb"(?:^|[\r\n])[ \t]*v[ \t]([^\r\n#]*)")

N_WITH_COLOR = 6
"""Numbers of a vertex with a color: x, y, z, red, green, blue."""


class TexturedCorners(NamedTuple):
    """Corners of faces that have texture coordinates.

    Attributes
    ----------
    vertex : ndarray of shape (n_corners,)
        Vertex of each corner.
    uv : ndarray of shape (n_corners, 2)
        Texture coordinates.
    offset : ndarray of shape (n_corners,)
        Where the face's line starts in the file.
    """

    vertex: NDArray[np.int64]
    uv: NDArray[np.float64]
    offset: NDArray[np.int64]


def has_vertex_colors(data: bytes) -> bool:
    """Whether the first vertex has numbers for a color."""
    first = FIRST_VERTEX.search(data)
    return first is not None and len(first[1].split()) >= N_WITH_COLOR


def parse_obj_colors(data: bytes) -> NDArray[np.float64] | None:
    """Return the three numbers after the coordinates of each vertex; None if one has none.

    Numbers below zero are no colors: some programs write normals there.
    """
    data = with_line_feeds(data)
    colors = [np.zeros((0, 3))]
    for vertices, _, _ in _walk(flatten(data)):
        if (vertices.counts < N_WITH_COLOR).any():
            return None
        at = vertices.first_token[:, None] + np.arange(3, 6)
        colors.append(parse_numbers(data, vertices)[at])
    found = np.concatenate(colors)
    return None if (found < 0).any() else found


def parse_obj_texture(data: bytes) -> TexturedCorners:
    """Return the corners that have texture coordinates, of a file that `parse_obj` accepts."""
    data = with_line_feeds(data)
    n_points = n_uv = 0
    uvs = [np.zeros((0, 2))]
    vertex, number, offset = ([np.zeros(0, dtype=np.int64)] for _ in range(3))
    for vertices, coordinates, faces in _walk(flatten(data)):
        # Negative numbers count back from the face.
        before = (
            np.searchsorted(v.file_offsets, faces.file_offsets) for v in (vertices, coordinates)
        )
        n_points_before, n_uv_before = before
        corners = parse_corners(data, faces, n_points + n_points_before)
        numbers = _parse_uv_numbers(faces, n_uv + n_uv_before)
        has_uv = numbers != NO_UV
        vertex.append(corners[has_uv])
        number.append(numbers[has_uv])
        offset.append(np.repeat(faces.file_offsets, faces.counts)[has_uv])
        uvs.append(_parse_uv(data, coordinates))
        n_points += len(vertices.counts)
        n_uv += len(coordinates.counts)
    all_numbers = np.concatenate(number)
    if len(all_numbers) and not 0 <= all_numbers.min() <= all_numbers.max() < n_uv:
        msg = "a face names texture coordinates that the file does not have"
        raise MeshError(msg)
    uv = np.concatenate(uvs)[all_numbers]
    return TexturedCorners(np.concatenate(vertex), uv, np.concatenate(offset))


NO_UV = np.iinfo(np.int64).min
"""Number of the texture coordinates of a corner that has none."""


def _walk(text: bytes) -> Iterator[tuple[Lines, Lines, Lines]]:
    """Yield the lines of vertices, texture coordinates and faces block by block."""
    for raw, starts, ends, offset in walk_lines(text):
        first, second, third = (raw[starts + step] for step in range(3))
        is_vertex, is_face = ((first == ord(x)) & (second <= LAST_BLANK) for x in "vf")
        is_uv = (first == ord("v")) & (second == ord("t")) & (third <= LAST_BLANK)
        yield (
            Lines(raw, starts[is_vertex], ends[is_vertex], offset),
            Lines(raw, starts[is_uv] + 1, ends[is_uv], offset),
            Lines(raw, starts[is_face], ends[is_face], offset),
        )


def _parse_uv(data: bytes, lines: Lines) -> NDArray[np.float64]:
    """Parse the first two numbers of all "vt" lines."""
    if (lines.counts < 2).any():
        msg = "texture coordinates are cut off"
        raise MeshError(msg)
    values = parse_numbers(data, lines)
    return values[lines.first_token[:, None] + np.arange(2)] if len(values) else np.zeros((0, 2))


def _parse_uv_numbers(lines: Lines, n_before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Parse the second number of each corner, as an index; `NO_UV` where there is none."""
    _, ends = parse_leading_integers(lines.raw, lines.tokens)
    numbers = np.full(len(lines.tokens), NO_UV)
    has_more = np.flatnonzero(ends == ord("/"))
    slashes = np.flatnonzero(lines.raw == ord("/"))
    first = slashes[np.searchsorted(slashes, lines.tokens[has_more])]
    values, _ = parse_leading_integers(lines.raw, first + 1)
    counted_back = np.repeat(n_before, lines.counts)[has_more] + values
    found = np.where(values < 0, counted_back, values - 1)
    numbers[has_more] = np.where(values == 0, NO_UV, found)
    return numbers
