# SPDX-License-Identifier: Apache-2.0
"""Exact nearest points on the triangles of a surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._checks import check_finite, check_points
from palnet._frozen import Frozen, frozen_copy
from palnet._numbers import to_numbers
from palnet.surface._write import to_polydata

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from palnet.surface._surface import Surface

__all__ = ["Projection", "project_onto_triangles"]


@dataclass(frozen=True, eq=False, slots=True)
class Projection(Frozen):
    """Nearest points on a surface.

    Parameters
    ----------
    points_mm : ndarray of shape (n_queries, 3)
        The nearest points.
    distances_mm : ndarray of shape (n_queries,)
        Distances of the queries from them.
    """

    points_mm: NDArray[np.float64]
    distances_mm: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Keep read-only copies."""
        object.__setattr__(self, "points_mm", frozen_copy(self.points_mm))
        object.__setattr__(self, "distances_mm", frozen_copy(self.distances_mm))


def project_onto_triangles(surface: Surface, queries_mm: ArrayLike) -> Projection:
    """Find the nearest point on the triangles, not the nearest vertex, for each query.

    Parameters
    ----------
    surface : Surface
        A surface with at least one triangle.
    queries_mm : array_like of shape (n_queries, 3)
        Positions in millimetres, in the frame of the surface.

    Returns
    -------
    Projection
        Exact for every triangle with a nonzero area; the others are ignored.

    Raises
    ------
    ValueError
        If no triangle has a nonzero area or the queries are not finite.
    """
    from vtkmodules.vtkCommonCore import mutable
    from vtkmodules.vtkCommonDataModel import vtkStaticCellLocator

    queries = to_numbers(queries_mm, name="queries_mm")
    check_points(queries, name="queries_mm")
    check_finite(queries, name="queries_mm")
    if not len(surface.triangles):
        msg = "surface must have triangles to project onto; got none."
        raise ValueError(msg)
    locator: Any = vtkStaticCellLocator()
    locator.SetDataSet(to_polydata(surface.points_mm, surface.triangles))
    locator.BuildLocator()
    points, squared = np.zeros_like(queries), np.zeros(len(queries))
    nearest, row, part = [0.0, 0.0, 0.0], mutable(0), mutable(0)
    gap: Any = mutable(0.0)
    for index, query in enumerate(queries):
        locator.FindClosestPoint(query, nearest, row, part, gap)
        points[index], squared[index] = nearest, gap.get()
    if not np.isfinite(squared).all():  # VTK's result if it finds nothing
        msg = "surface must have triangles with an area to project onto; got only others."
        raise ValueError(msg)
    return Projection(points, np.sqrt(squared))
