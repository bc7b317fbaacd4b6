# SPDX-License-Identifier: Apache-2.0
"""A sphere round each landmark that waits for review: as large as its expected error."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from palnet.preview import classify_errors
from PALNetLandmarksLib.error_classes import COLORS

HALO_ATTRIBUTE = "PALNet.HaloOf"

# A landmark of unknown error, in millimeters; larger than the dot of the point itself.
_UNKNOWN_RADIUS_MM = 2.0
# Round at the size that it has on a screen.
_SPHERE_SIDES = 24
_OPACITY = 0.4


class Halo:
    """The spheres of one list.

    They are a model node, since a point list colors its points by their selected state only. It is
    not saved, not listed, and not pickable, so that a dragged landmark stays on the skin.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    """

    def __init__(self, landmarks):
        self._landmarks = landmarks
        self.node = self._find() or self._make()

    def update(self, is_reviewed, *, visible=True):
        """Draw the spheres anew.

        Parameters
        ----------
        is_reviewed : ndarray of shape (n,)
            Landmarks that need no sphere any more.
        visible : bool
            Whether to show them.
        """
        landmarks = self._landmarks.landmark_set()
        classes = classify_errors(landmarks)
        chosen = np.flatnonzero((classes >= 0) & ~is_reviewed)
        errors = landmarks.expected_error_mm[chosen]
        radii = np.where(np.isnan(errors), _UNKNOWN_RADIUS_MM, errors) / landmarks.mm_per_unit
        colors = [COLORS[number] for number in classes[chosen]]
        self.node.SetAndObservePolyData(_spheres(landmarks.positions[chosen], radii, colors))
        self.node.GetDisplayNode().SetVisibility(visible)

    def remove(self):
        """Take the spheres out of the scene."""
        scene = self.node.GetScene()
        if scene is not None:
            scene.RemoveNode(self.node.GetDisplayNode())
            scene.RemoveNode(self.node)

    def _find(self):
        scene, wanted = self._landmarks.node.GetScene(), self._landmarks.node.GetID()
        for node in slicer.util.getNodesByClass("vtkMRMLModelNode", scene):
            if node.GetAttribute(HALO_ATTRIBUTE) == wanted:
                return node
        return None

    def _make(self):
        scene, of = self._landmarks.node.GetScene(), self._landmarks.node
        node = slicer.vtkMRMLModelNode()
        node.SetName(f"{of.GetName()} expected error")
        node.SetAttribute(HALO_ATTRIBUTE, of.GetID())
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.SetSelectable(False)
        scene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetOpacity(_OPACITY)
        display.SetScalarVisibility(True)
        display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseDirectMapping)
        display.SetActiveScalarName("color")
        display.SetVisibility2D(False)
        return node


def _spheres(centers, radii, colors):
    """Build spheres of their own radii and colors, in world coordinates."""
    parts = vtk.vtkAppendPolyData()
    for center, radius, color in zip(centers, radii, colors, strict=True):
        sphere = vtk.vtkSphereSource()
        sphere.SetCenter(*(float(value) for value in center))
        sphere.SetRadius(float(radius))
        sphere.SetThetaResolution(_SPHERE_SIDES)
        sphere.SetPhiResolution(_SPHERE_SIDES // 2)
        sphere.Update()
        part = sphere.GetOutput()
        rgb = np.tile(np.round(np.array(color) * 255), (part.GetNumberOfPoints(), 1))
        scalars = numpy_to_vtk(rgb.astype(np.uint8), deep=True)
        scalars.SetName("color")
        part.GetPointData().SetScalars(scalars)
        parts.AddInputData(part)
    if not len(centers):
        return vtk.vtkPolyData()
    parts.Update()
    return parts.GetOutput()
