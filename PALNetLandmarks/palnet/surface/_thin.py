# SPDX-License-Identifier: Apache-2.0
"""Thin meshes that are much denser than any later stage needs, which saves most of the time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_length
from palnet._frozen import freeze
from palnet.surface._canonical import BITS, MAX_PACKED
from palnet.surface._mesh import Mesh
from palnet.surface._vectors import bounds, chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["thin_mesh"]


CELL_PARTS = 1 << 16
"""Positions within a cell are rounded to this share of it, so that their sums are exact and do not
depend on the order of the vertices."""


def thin_mesh(mesh: Mesh, cell: float) -> Mesh:
    """Merge the vertices within each cell of a grid into their mean.

    Parameters
    ----------
    mesh : Mesh
        Content of a mesh file.
    cell : float
        Size of a cell in the mesh's own numbers.

    Returns
    -------
    Mesh
        Without the triangles that collapsed; unchanged if it has none to begin with. If the mesh
        spans more than two million cells, points more than a million from the middle are moved to
        that limit, where most triangles collapse; if most points are, the mesh is returned
        unchanged.

    Raises
    ------
    ValueError
        If `cell` is no positive number.
    """
    check_length(cell, name="cell")
    if not len(mesh.triangles):
        return mesh
    points = _within_reach(mesh.points, cell)
    if points is None:
        return mesh
    low, _ = bounds(points)
    keys = _cell_keys(points, low, cell)
    order = np.argsort(keys)
    keys = keys[order]
    is_new = np.concatenate([[True], keys[1:] != keys[:-1]])
    number = np.zeros(len(keys), dtype=np.int32)
    number[order] = np.cumsum(is_new, dtype=np.int32) - np.int32(1)
    starts = np.flatnonzero(is_new)
    parts = np.rint((points.take(order, axis=0) - low) * (CELL_PARTS / cell)).astype(np.int64)
    sums = np.add.reduceat(parts, starts, axis=0)
    counts = np.diff(np.append(starts, len(keys)))
    points = low + sums / counts[:, None] * (cell / CELL_PARTS)
    triangles = _renumber(mesh.triangles, number)
    freeze(points)
    freeze(triangles)
    return replace(mesh, points=points, triangles=triangles, colors=None)


def _within_reach(points: NDArray[np.float64], cell: float) -> NDArray[np.float64] | None:
    """Clip points to the range of cell numbers; None if most are beyond it."""
    low, high = bounds(points)
    reach = cell * (MAX_PACKED - 1)
    if (high - low).max() < reach:
        return points
    middle = np.partition(points, len(points) // 2, axis=0)[len(points) // 2]
    drawn_in = np.clip(points, middle - reach / 2, middle + reach / 2)
    is_kept = (drawn_in == points).all(axis=1)
    return drawn_in if is_kept.mean() > 1 / 2 else None


def _cell_keys(
    points: NDArray[np.float64], low: NDArray[np.float64], cell: float
) -> NDArray[np.int64]:
    """Return the cell of every point as one number."""
    keys = np.zeros(len(points), dtype=np.int64)
    for part in chunks(len(points)):
        cells = ((points[part] - low) / cell).astype(np.int64)
        keys[part] = (cells[:, 0] << 2 * BITS) | (cells[:, 1] << BITS) | cells[:, 2]
    return keys


def _renumber(triangles: NDArray[np.int32], number: NDArray[np.int32]) -> NDArray[np.int32]:
    """Renumber triangles, dropping those with a repeated vertex."""
    kept = []
    for part in chunks(len(triangles)):
        corners = number.take(triangles[part])
        a, b, c = corners.T
        kept.append(corners[(a != b) & (b != c) & (c != a)])
    return np.concatenate(kept)
