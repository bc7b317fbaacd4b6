# SPDX-License-Identifier: Apache-2.0
"""The closest point on a model, in world coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import vtk

from PALNetLandmarksLib.models import state_of_model, world_surface

if TYPE_CHECKING:
    from collections.abc import Iterable

    import slicer

# The search tree of the last model, until it changes: for a scan with a million triangles it takes
# 65 MB and a quarter of a second.
_tree_of: dict[tuple[object, ...], vtk.vtkStaticCellLocator | None] = {}


def closest_point(model_node: slicer.vtkMRMLModelNode, point: Iterable[float]) -> tuple[float, ...]:
    """Return the point on the surface that is closest to a given point.

    Convention: world coordinates (RAS).

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The surface.
    point : array_like of shape (3,)
        Any point.

    Returns
    -------
    tuple of float
        On the triangles; the point itself if the model is empty.
    """
    locator = _locator_of(model_node)
    if locator is None:
        return tuple(point)
    closest, part, distance2 = [0.0, 0.0, 0.0], vtk.reference(0), vtk.reference(0.0)
    cell_id = vtk.reference(0)
    locator.FindClosestPoint(tuple(point), closest, cell_id, part, distance2)
    return tuple(closest)


def _locator_of(model_node: slicer.vtkMRMLModelNode) -> vtk.vtkStaticCellLocator | None:
    key = (model_node.GetID(), state_of_model(model_node))
    if key not in _tree_of:
        _tree_of.clear()
        surface, locator = world_surface(model_node), None
        if surface.GetNumberOfCells():
            locator = vtk.vtkStaticCellLocator()
            locator.SetDataSet(surface)
            locator.BuildLocator()
        _tree_of[key] = locator
    return _tree_of[key]
