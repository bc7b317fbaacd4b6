# SPDX-License-Identifier: Apache-2.0
"""Match lists to models, by links in the scene or else by the surfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer

from PALNetLandmarksLib.landmark_list import (
    LIST_CLASS,
    MODEL_REFERENCE,
    LandmarkList,
    is_landmark_list,
)
from PALNetLandmarksLib.list_scheme import may_be_any_list
from PALNetLandmarksLib.surface_snap import closest_point

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

# Landmarks of another scan are centimeters away; those of a coarser copy of this scan are not.
_LIES_ON_MM = 3.0
# A later scan of the same person that was registered to a deleted one is near its landmarks. On the
# deleted scan itself, opened again, they lie exactly, or nearly so if its detection thinned it.
_LIES_EXACTLY_MM = 0.1
# As a share of the model's diagonal; about a centimeter for a face alone.
_FAR_SHARE = 0.05


def lies_on(landmarks: LandmarkList, model_node: slicer.vtkMRMLModelNode) -> bool:
    """Return whether landmarks lie on a model, regardless of names.

    Parameters
    ----------
    landmarks : LandmarkList
        The landmarks.
    model_node : vtkMRMLModelNode
        Any model.

    Returns
    -------
    bool
        True if half of the landmarks are within a few millimeters of its surface.
    """
    return _gap_mm(landmarks, model_node) < _LIES_ON_MM


def lies_elsewhere(landmarks: LandmarkList, model_node: slicer.vtkMRMLModelNode) -> bool:
    """Return whether landmarks are off their model, as after a transform of one of the two.

    Parameters
    ----------
    landmarks : LandmarkList
        The landmarks.
    model_node : vtkMRMLModelNode
        Their model.

    Returns
    -------
    bool
        False if no landmark is placed or the model has no surface, since there is no evidence.
    """
    gap_mm = _gap_mm(landmarks, model_node)
    return bool(np.isfinite(gap_mm)) and gap_mm >= _LIES_ON_MM


def _gap_mm(landmarks: LandmarkList, model_node: slicer.vtkMRMLModelNode) -> float:
    """Return the median distance of the landmarks from a model's surface; infinite without any.

    A distance that is large for the size of the model never counts as a few millimeters, whatever
    the unit of the list: beside a scan in meters, a list of another patient would seem near.
    """
    world = landmarks.world_positions
    world = world[~np.isnan(world).any(axis=1)]
    poly = model_node.GetPolyData()
    if not len(world) or poly is None or not poly.GetNumberOfPolys():
        return np.inf
    gaps = [np.linalg.norm(np.array(closest_point(model_node, p)) - p) for p in world]
    gap, bounds = float(np.median(gaps)), np.zeros(6)
    model_node.GetRASBounds(bounds)
    is_far = gap > _FAR_SHARE * np.linalg.norm(np.diff(bounds.reshape(3, 2)))
    return max(gap * landmarks.mm_per_world_unit, _LIES_ON_MM if is_far else 0.0)


def find_model(landmarks: LandmarkList) -> slicer.vtkMRMLModelNode | None:
    """Find the model of a list; a list read from a file is linked to the model that it lies on.

    A list whose scan was deleted is linked to the same scan only, once it is there again.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.

    Returns
    -------
    vtkMRMLModelNode or None
        None if the landmarks lie on no model of the scene.
    """
    if landmarks.model_node is None:
        _link([landmarks])
    return landmarks.model_node


def _link(lists: Sequence[LandmarkList]) -> None:
    """Link lists to the models that they lie on, if any, handling all lists model by model.

    Building a model's search tree takes time, and only one tree is cached.
    """
    if not lists:
        return
    models = slicer.util.getNodesByClass("vtkMRMLModelNode", lists[0].node.GetScene())
    # Two scans of one person may overlap: take the nearer one.
    nearest: dict[LandmarkList, tuple[float, slicer.vtkMRMLModelNode | None]]
    nearest = {each: (_LIES_EXACTLY_MM if each.is_bereft else _LIES_ON_MM, None) for each in lists}
    for model in models:
        for landmarks in lists if not model.GetHideFromEditors() else ():
            gap = _gap_mm(landmarks, model)
            if gap < nearest[landmarks][0]:
                nearest[landmarks] = gap, model
    for landmarks, (_gap, model) in nearest.items():
        if model is not None:
            landmarks.link_model(model)


def find_lists(model_node: slicer.vtkMRMLModelNode) -> list[LandmarkList]:
    """Find the lists of a model; an unlinked list that lies on it is linked.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    list of LandmarkList
        In the order in which they were added to the scene.
    """
    loose = [each for each in all_lists(model_node.GetScene()) if each.model_node is None]
    _link([each for each in loose if lies_on(each, model_node)])  # another model may be nearer
    return linked_lists(model_node)


def linked_lists(model_node: slicer.vtkMRMLModelNode) -> list[LandmarkList]:
    """Return the lists that are already linked to a model.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    list of LandmarkList
        In the order in which they were added to the scene.
    """
    nodes = slicer.util.getNodesByClass(LIST_CLASS, model_node.GetScene())
    linked = (node for node in nodes if node.GetNodeReference(MODEL_REFERENCE) is model_node)
    return [LandmarkList(node) for node in linked if is_landmark_list(node)]


def all_lists(
    scene: slicer.vtkMRMLScene, but: Container[slicer.vtkMRMLMarkupsFiducialNode] = ()
) -> list[LandmarkList]:
    """Return all landmark lists of a scene, except those that match by numeric labels only.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    but : container of vtkMRMLMarkupsFiducialNode
        Lists to leave out.

    Returns
    -------
    list of LandmarkList
        In the order in which they were added to the scene.
    """
    nodes = slicer.util.getNodesByClass(LIST_CLASS, scene)
    ours = (node for node in nodes if node not in but and is_landmark_list(node))
    return [LandmarkList(node) for node in ours if not may_be_any_list(node)]
