# SPDX-License-Identifier: Apache-2.0
"""Spheres around the landmarks to review, with the expected error as radius."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from palnet.error_classes import CLASS_COLORS, classify_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from PALNetLandmarksLib.landmark_list import LandmarkList

SPHERES_ATTRIBUTE = "PALNet.ErrorSpheresOf"

# In millimeters: a smaller sphere would be hidden by the glyph of the point.
_SMALLEST_RADIUS_MM = 1.5
# The current landmark has a second sphere, larger by this much, and fainter: through more of its
# pink the yellow of landmarks to check looks as the orange of doubtful ones.
_MARGIN_MM = 1.5
_CURRENT_COLOR = (0.80, 0.47, 0.65, 0.6)
# Looks round at the usual size on screen.
_SPHERE_SIDES = 24
_OPACITY = 0.5


class ErrorSpheres:
    """The spheres of one list.

    They are a model node, because a point list colors its points by their selected state only. The
    node is not saved, listed or pickable, so that a dragged landmark stays on the skin.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    """

    def __init__(self, landmarks: LandmarkList) -> None:
        self._landmarks = landmarks
        self._shown: tuple[NDArray[np.bool_], int | None, bool]
        self._shown = (np.ones(len(landmarks), dtype=bool), None, False)
        self.node = self._find() or self._make()
        node = landmarks.node
        self._observed = [(node, node.AddObserver(node.TransformModifiedEvent, self._on_moved))]
        display = node.GetDisplayNode()
        if display is not None:
            tag = display.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_moved)
            self._observed.append((display, tag))

    def update(
        self,
        is_reviewed: NDArray[np.bool_],
        *,
        current: int | None = None,
        visible: bool = True,
    ) -> None:
        """Redraw the spheres.

        Parameters
        ----------
        is_reviewed : ndarray of shape (n,)
            Landmarks that no longer need a sphere.
        current : int, optional
            Index of the current landmark.
        visible : bool
            Whether to show them.
        """
        self._shown = (is_reviewed, current, visible)
        if self.node.GetScene() is None:
            self.node = self._make()
        landmarks = self._landmarks.landmark_set()
        classes = classify_errors(landmarks)
        radii = np.fmax(landmarks.expected_error_mm, _SMALLEST_RADIUS_MM)  # handles NaN
        chosen = [int(index) for index in np.flatnonzero((classes >= 0) & ~is_reviewed)]
        spheres = [(index, radii[index], (*CLASS_COLORS[classes[index]], 1.0)) for index in chosen]
        if current is not None and classes[current] >= 0:
            spheres.append((current, radii[current] + _MARGIN_MM, _CURRENT_COLOR))
        centers = [landmarks.positions[index] for index, _radius, _color in spheres]
        sizes = [radius / landmarks.mm_per_unit for _index, radius, _color in spheres]
        colors = [color for _index, _radius, color in spheres]
        self.node.SetAndObservePolyData(_spheres(centers, sizes, colors))
        self._show_as_the_list(visible)

    def _show_as_the_list(self, visible: bool) -> None:
        """Show the spheres in the same views as the list; the user may have restricted these."""
        of_list, own = self._landmarks.node.GetDisplayNode(), self.node.GetDisplayNode()
        if of_list is not None:
            own.SetViewNodeIDs(of_list.GetViewNodeIDs())
        own.SetVisibility(visible and (of_list is None or bool(of_list.GetVisibility())))

    def _on_moved(self, *_args: object) -> None:
        """Follow the transform and the visibility of the list."""
        if self._landmarks.node.GetScene() is not None:
            is_reviewed, current, visible = self._shown
            self.update(is_reviewed, current=current, visible=visible)

    def remove(self) -> None:
        """Remove the spheres from the scene."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []
        scene = self.node.GetScene()
        if scene is not None:
            scene.RemoveNode(self.node.GetDisplayNode())
            scene.RemoveNode(self.node)

    def _find(self) -> slicer.vtkMRMLModelNode | None:
        scene, wanted = self._landmarks.node.GetScene(), self._landmarks.node.GetID()
        for node in slicer.util.getNodesByClass("vtkMRMLModelNode", scene):
            if node.GetAttribute(SPHERES_ATTRIBUTE) == wanted:
                return node
        return None

    def _make(self) -> slicer.vtkMRMLModelNode:
        scene, of = self._landmarks.node.GetScene(), self._landmarks.node
        node = slicer.vtkMRMLModelNode()
        node.SetName(f"{of.GetName()} expected error")
        node.SetAttribute(SPHERES_ATTRIBUTE, of.GetID())
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


def _spheres(
    centers: Sequence[NDArray[np.float64]],
    radii: Sequence[float],
    colors: Sequence[tuple[float, ...]],
) -> vtk.vtkPolyData:
    """Build spheres in world coordinates, of colors with a share of the opacity."""
    points, marked = vtk.vtkPoints(), vtk.vtkPolyData()
    points.SetData(numpy_to_vtk(np.array(centers, dtype=float).reshape(-1, 3), deep=True))
    marked.SetPoints(points)
    rgba = np.round(np.array(colors).reshape(-1, 4) * 255).astype(np.uint8)
    for name, values in (("radius", np.array(radii, dtype=float)), ("color", rgba)):
        array = numpy_to_vtk(values, deep=True)
        array.SetName(name)
        marked.GetPointData().AddArray(array)
    sphere, glyphs = vtk.vtkSphereSource(), vtk.vtkGlyph3D()
    sphere.SetRadius(1.0)
    sphere.SetThetaResolution(_SPHERE_SIDES)
    sphere.SetPhiResolution(_SPHERE_SIDES // 2)
    glyphs.SetSourceConnection(sphere.GetOutputPort())
    glyphs.SetInputData(marked)
    glyphs.SetInputArrayToProcess(0, 0, 0, vtk.vtkDataObject.FIELD_ASSOCIATION_POINTS, "radius")
    glyphs.SetInputArrayToProcess(3, 0, 0, vtk.vtkDataObject.FIELD_ASSOCIATION_POINTS, "color")
    glyphs.SetScaleModeToScaleByScalar()
    glyphs.SetColorModeToColorByScalar()
    glyphs.Update()
    return glyphs.GetOutput()
