# SPDX-License-Identifier: Apache-2.0
"""Surfaces within the head, which no camera sees: skin that was cut out of a volume has them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from palnet.surface._canonical import drop_unused
from palnet.surface._mesh import Finding
from palnet.surface._shapes import measure_longest_edges, measure_triangles
from palnet.surface._units import bulk_diameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface._mesh import Mesh

__all__ = ["leave_out_interior"]

CELLS = 48
"""Cells of the grid from one end of a head to the other, 4 to 5 mm each: nostrils are wider, and
most that lies behind the skin is farther from it."""

FEWEST_CELLS = 24
"""In so coarse a grid at least: of a mesh whose vertices are farther apart nothing can be told."""

WALL, WALL_SHARE = 1.5, 0.95
"""A cell measures so many edges, as long as so many triangles' longest, or the wall between within
and without leaks. (What leaks is taken to be seen.)"""

FIRST_VERTICES, FIRST_CELLS, FIRST_SHARE = 40_000, 16, 0.1
"""A first look at so many vertices in a grid so coarse; where fewer than this share of them are
hidden it is the last one: 0.095 at most on six real and 60 generated heads, 0.49 to 0.51 on the
recordings. It takes 10 ms, the whole 80 (100,000 vertices)."""

MIN_SHARE = 0.15
"""Less than this share of the area is left as it is: the eyeballs and the mouth of a head that a
program has closed, 8 % at most on six real scans and 2 % on 60 generated people. Of three
recordings by magnetic resonance 56 to 66 % lay within the head."""


def leave_out_interior(mesh: Mesh) -> Mesh:
    """Leave out what cannot be reached from outside, where that is much of the surface.

    The search for the face samples the whole surface, and the network what lies near a landmark.
    With skull, brain and airways among that, three of eight poses of two real heads were refused,
    and landmarks moved by 1 mm from pose to pose; without it none, and 0.3 mm
    (``benchmarks.mr_heads`` measures the latter).

    Parameters
    ----------
    mesh : Mesh
        What a file holds.

    Returns
    -------
    Mesh
        With the finding "interior", or the same.
    """
    sample = mesh.points[:: max(1, len(mesh.points) // FIRST_VERTICES)]
    size = bulk_diameter(sample)
    if not 0 < size < np.inf:
        return mesh
    if _find_hidden(sample, size / FIRST_CELLS, size).mean() < FIRST_SHARE:
        return mesh
    points, triangles = drop_unused(mesh.points, mesh.triangles)
    size = bulk_diameter(points)
    with np.errstate(over="ignore"):  # a vertex that went astray may lie anywhere
        longest = np.sqrt(measure_longest_edges(points, triangles))
    rank = int(WALL_SHARE * (len(longest) - 1))
    cell = max(size / CELLS, WALL * float(np.partition(longest, rank)[rank]))
    if cell > size / FEWEST_CELLS:
        return mesh
    is_hidden = _find_hidden(points, cell, size)
    if not is_hidden.any():
        return mesh
    is_left_out = np.asarray(is_hidden[triangles].all(axis=1))
    is_whole = longest < size
    areas = measure_triangles(points, triangles[is_whole]).doubled_areas
    within, everything = float(areas[is_left_out[is_whole]].sum()), float(areas.sum())
    if not within > MIN_SHARE * everything:
        return mesh
    points, triangles = drop_unused(points, triangles[~is_left_out])
    share = f"{within / everything:.0%}"
    text = f"Surface within the head, which cannot be seen from outside, left out: {share}."
    findings = (*mesh.findings, Finding("interior", text))
    return replace(mesh, points=points, triangles=triangles, findings=findings)


def _find_hidden(points: NDArray[np.float64], cell: float, size: float) -> NDArray[np.bool_]:
    """Which points no path through cells without any leads to."""
    from scipy.ndimage import label

    # What went astray is drawn in to a box of twice the size.
    from_middle = np.clip(points - np.median(points, axis=0), -size, size)
    cells = np.floor(from_middle / cell).astype(np.int16)
    cells -= cells.min(axis=0) - 2
    is_empty = np.ones(cells.max(axis=0) + 3, dtype=bool)
    places = tuple(cells.T)
    is_empty[places] = False
    room: NDArray[np.int32] = label(is_empty)[0]
    is_hidden: NDArray[np.bool_] = ~_widen(room == room[0, 0, 0])[places]
    return is_hidden


def _widen(grid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every cell that touches a true one, at a corner at least."""
    for axis in range(3):
        wide = grid.copy()
        ahead = np.moveaxis(wide, axis, 0)
        ahead[1:] |= np.moveaxis(grid, axis, 0)[:-1]
        ahead[:-1] |= np.moveaxis(grid, axis, 0)[1:]
        grid = wide
    return grid
