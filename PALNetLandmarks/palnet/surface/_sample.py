# SPDX-License-Identifier: Apache-2.0
"""Sample points on a surface at a fixed density, independent of the density of its mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_length, check_points
from palnet._frozen import Frozen, frozen_copy
from palnet.surface._surface import find_long_triangles
from palnet.surface._vectors import bounds, chunks, cross_columns, dot_columns, norms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from palnet.surface._surface import Surface

__all__ = ["PointCloud", "halve_long_edges", "sample_surface"]

LONGEST_EDGE = 1.0
"""Triangles are halved until no edge is longer than this times the spacing. With 0.5 the density on
coarse meshes changes by less than 1 % and the time triples."""

CELL_DEPTH = 2.5
"""Depth of a cell along the main direction of the normal, in spacings. With this the number of
cells on a slanted plane stays within 0.97 to 1.08 of area / spacing^2 at every slant."""

MIN_CELL_SHARE = 0.1
"""A cell with less than this share of spacing^2 is the edge of its neighbours."""

MAX_PIECES = 1_000_000
"""With more large triangles than this, halving stops: a stray triangle of kilometres is sampled
coarsely instead of filling the memory."""

MIN_PER_CELL = 8
"""If a mesh is much denser than the samples, only every k-th triangle is used, with k such that a
cell still gets at least this many."""

EQUILATERAL = math.sqrt(3.0) / 4.0
"""Area of the largest triangle whose longest edge is 1."""

CELL_BITS = 20
"""Number of bits for the cell index along each axis."""

MAX_CELL = (1 << CELL_BITS) - 1

ANCHOR_CELLS = 10
"""Cells start at multiples of this many spacings, which is divisible by their width and depth, so
that a crop has the same cells as the whole."""


@dataclass(frozen=True, eq=False, slots=True)
class PointCloud(Frozen):
    """Points with outward unit normals, in millimetres.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        Positions.
    normals : ndarray of shape (n_points, 3)
        Outward unit normals.
    """

    points_mm: NDArray[np.float64]
    normals: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the arrays and keep read-only copies."""
        for name in ("points_mm", "normals"):
            check_points(np.asarray(getattr(self, name)), name=name)
            object.__setattr__(self, name, frozen_copy(getattr(self, name)))
        if len(self.points_mm) != len(self.normals):
            msg = f"{len(self.points_mm)} points need as many normals; got {len(self.normals)}."
            raise ValueError(msg)


def sample_surface(
    surface: Surface,
    spacing_mm: float,
    *,
    triangle_mask: NDArray[np.bool_] | None = None,
) -> PointCloud:
    """Sample a surface with about one point per spacing_mm^2 of its area.

    Triangles are halved at their longest edge until they are small compared to the spacing; the
    pieces are collected in flat cells, and each cell gives the mean of its pieces. Opposite sheets,
    such as the two sides of an ear, fall into different cells.

    Convention: the result does not depend on the numbering of the mesh and hardly on its density.

    Parameters
    ----------
    surface : Surface
        The surface.
    spacing_mm : float
        Distance between points.
    triangle_mask : ndarray of shape (n_triangles,), optional
        True for triangles to sample; all by default.

    Returns
    -------
    PointCloud
        In the order of the cells.

    Raises
    ------
    ValueError
        If `spacing_mm` is no positive number or `triangle_mask` no such array.
    """
    check_length(spacing_mm, name="spacing_mm")
    rows = _rows_of(surface, triangle_mask)
    sums = _CellSums(spacing_mm, surface.points_mm)
    for some, stride in _thin_rows(surface, rows, spacing_mm):
        for part in chunks(len(some)):
            corners = surface.triangles.take(some[part], axis=0).astype(np.intp)
            large = [surface.points_mm.take(corners[:, k], axis=0).T.copy() for k in range(3)]
            for a, b, c in halve_long_edges(large, LONGEST_EDGE * spacing_mm):
                crosses = cross_columns(b - a, c - a)
                weights = 0.5 * stride * np.sqrt(dot_columns(crosses, crosses))
                sums.add((a + b + c) / 3.0, crosses, weights)
    return sums.to_cloud(min_weight=MIN_CELL_SHARE * spacing_mm**2)


def _rows_of(surface: Surface, triangle_mask: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """Number the triangles to sample; row numbers must not be taken for a mask."""
    n_triangles = len(surface.triangles)
    if triangle_mask is None:
        return np.arange(n_triangles)
    mask = np.asarray(triangle_mask)
    if mask.shape != (n_triangles,) or mask.dtype != np.bool_:
        msg = (
            f"triangle_mask must be True or False for each of the {n_triangles} triangles; got "
            f"{mask.dtype} of shape {mask.shape}."
        )
        raise ValueError(msg)
    return mask.nonzero()[0]


def _thin_rows(
    surface: Surface, rows: NDArray[np.intp], spacing_mm: float
) -> list[tuple[NDArray[np.intp], int]]:
    """Take every k-th of the short triangles of a very dense mesh; return rows with their k."""
    limit_mm, long_rows = find_long_triangles(surface)
    largest_area = EQUILATERAL * limit_mm**2
    stride = int(spacing_mm**2 / (MIN_PER_CELL * largest_area)) if largest_area > 0 else 1
    if stride < 2:
        return [(rows, 1)]
    is_long = np.zeros(len(surface.triangles), dtype=bool)
    is_long[long_rows] = True
    is_long = is_long[rows]
    return [(rows[~is_long][::stride], stride), (rows[is_long], 1)]


def halve_long_edges(
    corners: list[NDArray[np.float64]], limit_mm: float
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Halve triangles, given as columns, at their longest edge until none exceeds the limit."""
    a, b, c = corners
    while a.shape[1]:
        ab, bc, ca = (dot_columns(edge, edge) for edge in (b - a, c - b, a - c))
        is_long = np.maximum(np.maximum(ab, bc), ca) > limit_mm**2
        if not is_long.any() or a.shape[1] > MAX_PIECES:
            yield a, b, c
            return
        short, long = np.flatnonzero(~is_long), np.flatnonzero(is_long)
        if len(short):
            yield a.take(short, axis=1), b.take(short, axis=1), c.take(short, axis=1)
            a, b, c = (each.take(long, axis=1) for each in (a, b, c))
            ab, bc, ca = (each.take(long) for each in (ab, bc, ca))
        is_ca = ca > np.maximum(ab, bc)
        is_bc = (bc > ab) & ~is_ca
        start = np.where(is_ca, c, np.where(is_bc, b, a))
        stop = np.where(is_ca, a, np.where(is_bc, c, b))
        apex = np.where(is_ca, b, np.where(is_bc, a, c))
        middle = 0.5 * (start + stop)
        a = np.concatenate([start, middle], axis=1)
        b = np.concatenate([middle, stop], axis=1)
        c = np.concatenate([apex, apex], axis=1)


class _CellSums:
    """Sums of positions, normals and weights over flat cells.

    Cells lie across the main direction of the normal, with a separate set for each of the six
    directions, so that opposite sheets never share one. They are square across that direction and
    deeper along it, so a slanted plane has hardly more cells than a level one.
    """

    def __init__(self, spacing_mm: float, points: NDArray[np.float64]):
        anchor = ANCHOR_CELLS * spacing_mm
        low = bounds(points)[0] if len(points) else np.zeros(3)
        self.origin = (np.floor(low / anchor) * anchor)[:, None]
        self.per_mm = np.full((3, 3), 1.0 / spacing_mm)
        np.fill_diagonal(self.per_mm, 1.0 / (CELL_DEPTH * spacing_mm))
        self.parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []

    def add(
        self,
        points: NDArray[np.float64],
        normals: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        """Add points and normals given as columns; normals carry their own weights."""
        if not len(weights):
            return
        rows = np.zeros((len(weights), 7))
        rows[:, :3], rows[:, 3:6], rows[:, 6] = (points * weights).T, normals.T, weights
        self.parts.append(_sum_equal(self._keys(points, normals), rows))

    def _keys(self, points: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the cell of every point, as one number."""
        size_x, size_y, size_z = np.abs(normals)
        is_y = size_y > size_x
        is_z = size_z > np.where(is_y, size_y, size_x)
        main = np.where(is_z, 2, is_y.view(np.int8))
        is_negative = np.where(is_z, normals[2], np.where(is_y, normals[1], normals[0])) < 0
        cells = ((points - self.origin) * self.per_mm.take(main, axis=1)).astype(np.int64)
        np.minimum(cells, MAX_CELL, out=cells)
        keys: NDArray[np.int64] = 2 * main.astype(np.int64) + is_negative
        for axis in range(3):
            keys <<= CELL_BITS
            keys |= cells[axis]
        return keys

    def to_cloud(self, *, min_weight: float) -> PointCloud:
        """Return one point per cell with enough weight."""
        if not self.parts:
            return PointCloud(np.zeros((0, 3)), np.zeros((0, 3)))
        keys, rows = (np.concatenate(each) for each in zip(*self.parts, strict=True))
        sums = _sum_equal(keys, rows)[1]
        lengths = norms(sums[:, 3:6])
        is_kept = (lengths > 0) & (sums[:, 6] >= min_weight)
        sums, lengths = sums[is_kept], lengths[is_kept]
        return PointCloud(sums[:, :3] / sums[:, 6:], sums[:, 3:6] / lengths[:, None])


def _sum_equal(
    keys: NDArray[np.int64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sum the rows that share a key; return the keys sorted."""
    order = np.argsort(keys)
    keys = keys.take(order)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(rows.take(order, axis=0), starts, axis=0)
