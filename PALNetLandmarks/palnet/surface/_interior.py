# SPDX-License-Identifier: Apache-2.0
"""Surfaces inside the head, which no camera sees; skin segmented from a volume has them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from palnet.surface._canonical import drop_unused
from palnet.surface._mesh import Finding
from palnet.surface._sample import halve_long_edges
from palnet.surface._shapes import measure_longest_edges, measure_triangles
from palnet.surface._units import bulk_diameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface._mesh import Mesh

__all__ = ["leave_out_interior"]

CELLS = 48
"""Grid cells across a head, 4 to 5 mm each: nostrils are wider, and most of the interior is farther
from the skin than that."""

PER_CELL = 1.5
"""Larger triangles are halved until a cell spans this many of their edges; with fewer the wall
between outside and inside leaks. (What leaks counts as visible.)"""

REACH = 2.0
"""Triangles longer than this many sizes of the head are no wall, as one of their vertices is lost.
The flat end of a volume may consist of two triangles."""

FIRST_VERTICES, FIRST_CELLS, FIRST_SHARE = 40_000, 16, 0.1
"""Number of vertices and size of a coarse grid for a first look, and the hidden share below which
no further one follows: 0.02 at most on 60 generated people and five real scans, 0.19 on the one
whose mouth was closed by a program, 0.46 to 0.50 on recordings by magnetic resonance, 0.21 on one
by computed tomography."""

MIN_SHARE = 0.15
"""Below this share of the area the interior is kept: the eyeballs and the mouth of a head closed by
a program make up at most 8 % on six real scans and 1 % on 60 generated people. In three recordings
by magnetic resonance 58 to 67 % of the area lay inside the head, in one by computed tomography 21
(up to the upper lip)."""


def leave_out_interior(mesh: Mesh) -> Mesh:
    """Remove what cannot be reached from outside, if it is much of the surface.

    The search for the face samples the whole surface, and the network whatever is near a landmark.
    With skull, brain and airways included, three of eight poses of two real heads were refused, and
    landmarks moved by 1 mm from pose to pose; without them none, and 0.3 mm
    (``benchmarks.volume_heads`` measures the latter).

    Parameters
    ----------
    mesh : Mesh
        Content of a mesh file.

    Returns
    -------
    Mesh
        With the finding "interior", or unchanged.
    """
    points, triangles = drop_unused(mesh.points, mesh.triangles)
    sample = points[:: max(1, len(points) // FIRST_VERTICES)]
    size = bulk_diameter(sample)
    if not 0 < size < np.inf:
        return mesh
    longest = np.sqrt(measure_longest_edges(points, triangles))
    wall = _Wall(points, triangles, longest, reach=REACH * size)
    if _find_hidden(sample, size / FIRST_CELLS, size, wall).mean() < FIRST_SHARE:
        return mesh
    size = bulk_diameter(points)
    is_hidden = _find_hidden(points, size / CELLS, size, wall)
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
    return replace(mesh, points=points, triangles=triangles, findings=findings, colors=None)


class _Wall(NamedTuple):
    """Triangles that air cannot pass, unless their longest edge is beyond the reach."""

    points: NDArray[np.float64]
    triangles: NDArray[np.int32]
    longest: NDArray[np.float64]
    reach: float

    def between(self, cell: float) -> NDArray[np.float64]:
        """Return points on triangles that cells of this size would show holes in."""
        limit = cell / PER_CELL
        is_large = (self.longest > limit) & (self.longest < self.reach)
        corners = self.points[self.triangles[is_large]]
        columns = [corners[:, k].T.copy() for k in range(3)]
        middles = [(a + b + c).T / 3 for a, b, c in halve_long_edges(columns, limit)]
        return np.concatenate(middles) if middles else np.zeros((0, 3))


def _find_hidden(
    points: NDArray[np.float64], cell: float, size: float, wall: _Wall
) -> NDArray[np.bool_]:
    """Find the points that cannot be reached through empty cells."""
    from scipy.ndimage import label

    # Stray points are moved into a box of twice the size.
    everything = np.concatenate([points, wall.between(cell)])
    from_middle = np.clip(everything - np.median(points, axis=0), -size, size)
    cells = np.floor(from_middle / cell).astype(np.int16)
    cells -= cells.min(axis=0) - 2
    is_empty = np.ones(cells.max(axis=0) + 3, dtype=bool)
    is_empty[tuple(cells.T)] = False
    room: NDArray[np.int32] = label(is_empty)[0]
    seen = _widen(room == room[0, 0, 0])
    is_hidden: NDArray[np.bool_] = ~seen[tuple(cells[: len(points)].T)]
    return is_hidden


def _widen(grid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dilate by one cell in place, including diagonals."""
    for axis in range(3):
        ahead = np.moveaxis(grid, axis, 0)
        ahead[1:] |= ahead[:-1]
        ahead[:-1] |= ahead[1:]
    return grid
