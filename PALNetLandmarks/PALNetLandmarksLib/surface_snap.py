# SPDX-License-Identifier: Apache-2.0
"""The closest point on a model, where the user sees it."""

from __future__ import annotations

import vtk

from PALNetLandmarksLib.models import state_of_model, world_surface


class SurfaceSnap:
    """Finds closest points; the search tree of a model is kept until the model changes."""

    def __init__(self):
        self._key = None
        self._locator = None

    def closest_point(self, model_node, point):
        """Give the point of the surface that is closest to a point.

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
        locator = self._locator_of(model_node)
        if locator is None:
            return tuple(point)
        closest, part, distance2 = [0.0, 0.0, 0.0], vtk.reference(0), vtk.reference(0.0)
        cell_id = vtk.reference(0)
        locator.FindClosestPoint(tuple(point), closest, cell_id, part, distance2)
        return tuple(closest)

    def _locator_of(self, model_node):
        key = (model_node.GetID(), state_of_model(model_node))
        if key != self._key:
            surface = world_surface(model_node)
            self._locator = None
            if surface.GetNumberOfCells():
                self._locator = vtk.vtkStaticCellLocator()
                self._locator.SetDataSet(surface)
                self._locator.BuildLocator()
            self._key = key
        return self._locator
