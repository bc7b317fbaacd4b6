# SPDX-License-Identifier: Apache-2.0
"""The surface that every later stage works on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from palnet._checks import check_finite, check_points, check_triangles
from palnet._frozen import Frozen, frozen
from palnet.surface._canonical import drop_unused
from palnet.surface._shapes import measure_longest_edges
from palnet.surface._units import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface._mesh import Finding

__all__ = [
    "LongTriangles",
    "Surface",
    "crop_surface",
    "find_long_triangles",
    "pick_long_triangles",
]

SHORT_SHARE = 0.995
"""Share of the triangles that count as short. A region is sampled within the reach of their edges;
the few others are examined one by one, so that huge ones do not widen that reach."""


class LongTriangles(NamedTuple):
    """The few triangles with an edge longer than the limit."""

    limit_mm: float
    rows: NDArray[np.int64]

    def scaled(self, factor: float) -> LongTriangles:
        """Return those of the surface enlarged by a factor."""
        return self._replace(limit_mm=self.limit_mm * factor)


@dataclass(frozen=True, eq=False, slots=True)
class Surface(Frozen):
    """A triangulated surface, ready for processing.

    Convention: millimetres; the frame of the file; right-handed winding, so that
    (b - a) x (c - a) of a triangle (a, b, c) points outward, as the normals do.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        Vertices, every one used by a triangle, no two equal.
    triangles : ndarray of shape (n_triangles, 3)
        Vertex indices, smallest first in each row, rows sorted whatever the order of the other two,
        which gives the winding.
    normals : ndarray of shape (n_points, 3)
        Outward unit normals at the vertices.
    unit : Unit
        The file's unit: file numbers are points_mm / unit.mm_per_unit.
    name : str
        Name of the scan.
    findings : tuple of Finding
        Findings and repairs.
    long_triangles : LongTriangles, optional
        Computed once for everything sampled from the surface; recomputed if not given.
    """

    points_mm: NDArray[np.float64]
    triangles: NDArray[np.int32]
    normals: NDArray[np.float64]
    unit: Unit = Unit("mm", 1.0)  # noqa: RUF009 - a frozen value
    name: str = "mesh"
    findings: tuple[Finding, ...] = ()
    long_triangles: LongTriangles | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the arrays and keep them read-only."""
        n_points = len(self.points_mm)
        check_triangles(np.asarray(self.triangles), n_points, name="triangles")
        object.__setattr__(self, "triangles", frozen(self.triangles, np.int32))
        for name in ("points_mm", "normals"):
            values = frozen(getattr(self, name), np.float64)
            check_points(values, name=name)
            check_finite(values, name=name)
            object.__setattr__(self, name, values)
        if len(self.normals) != n_points:
            msg = f"normals must be as many as the {n_points} points; got {len(self.normals)}."
            raise ValueError(msg)

    def rescaled(self, unit: Unit) -> Surface:
        """Reinterpret the same surface in another unit.

        Parameters
        ----------
        unit : Unit
            The unit of the file's numbers.

        Returns
        -------
        Surface
            With the same numbering and normals.
        """
        factor = unit.mm_per_unit / self.unit.mm_per_unit
        sizes = self.long_triangles and self.long_triangles.scaled(factor)
        return replace(self, points_mm=self.points_mm * factor, unit=unit, long_triangles=sizes)


def pick_long_triangles(longest_mm: NDArray[np.float64]) -> LongTriangles:
    """Pick the triangles that are longer than nearly all others, by their longest edges."""
    if not len(longest_mm):
        return LongTriangles(0.0, np.zeros(0, dtype=np.int64))
    rank = int(SHORT_SHARE * (len(longest_mm) - 1))
    limit_mm = float(np.partition(longest_mm, rank)[rank])
    return LongTriangles(limit_mm, np.flatnonzero(longest_mm > limit_mm))


def find_long_triangles(surface: Surface) -> LongTriangles:
    """Return the long triangles of a surface, computing them if necessary.

    Parameters
    ----------
    surface : Surface
        The surface.

    Returns
    -------
    LongTriangles
        Those stored in the surface, or newly computed.
    """
    if surface.long_triangles is not None:
        return surface.long_triangles
    longest_squared = measure_longest_edges(surface.points_mm, surface.triangles)
    return pick_long_triangles(np.sqrt(longest_squared))


def crop_surface(surface: Surface, keep_points: NDArray[np.bool_]) -> Surface:
    """Keep the triangles whose three vertices are all kept.

    Parameters
    ----------
    surface : Surface
        The whole surface.
    keep_points : ndarray of shape (n_points,)
        True for vertices to keep.

    Returns
    -------
    Surface
        Renumbered in the same order, with the normals of the whole surface; it may be empty.
    """
    keep_points = np.asarray(keep_points, dtype=bool)
    if keep_points.shape != (len(surface.points_mm),):
        msg = f"keep_points must have shape ({len(surface.points_mm)},); got {keep_points.shape}."
        raise ValueError(msg)
    first, second, third = (keep_points.take(column) for column in surface.triangles.T)
    kept = surface.triangles[first & second & third]
    rows, triangles = drop_unused(np.arange(len(keep_points)), kept)
    return replace(
        surface,
        points_mm=surface.points_mm[rows],
        triangles=triangles,
        normals=surface.normals[rows],
        long_triangles=None,
    )
