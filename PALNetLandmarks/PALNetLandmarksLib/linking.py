# SPDX-License-Identifier: Apache-2.0
"""Which list lies on which model: by the links of the scene, else by the surfaces."""

from __future__ import annotations

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

# Landmarks of another scan are centimeters away; those of a coarser copy of this one are not.
_LIES_ON_MM = 3.0
# Of the diagonal of a model; of a face alone this is a centimeter.
_FAR_SHARE = 0.05


def lies_on(landmarks, model_node):
    """Tell whether landmarks lie on a model, whatever names say.

    Parameters
    ----------
    landmarks : LandmarkList
        The landmarks.
    model_node : vtkMRMLModelNode
        Any model.

    Returns
    -------
    bool
        True if half of the landmarks are within millimeters of its surface.
    """
    return _gap_mm(landmarks, model_node) < _LIES_ON_MM


def lies_elsewhere(landmarks, model_node):
    """Tell whether landmarks are off a model, as after a transform of one of the two.

    Parameters
    ----------
    landmarks : LandmarkList
        The landmarks.
    model_node : vtkMRMLModelNode
        Their model.

    Returns
    -------
    bool
        False if none is placed, or the model has no surface: nothing speaks for it then.
    """
    gap_mm = _gap_mm(landmarks, model_node)
    return np.isfinite(gap_mm) and gap_mm >= _LIES_ON_MM


def _gap_mm(landmarks, model_node):
    """How far half of the landmarks are from the surface of a model at most; infinite without.

    What is far for the size of the model is no millimeters, whatever unit a list is taken for that
    says none: beside a scan in meters a list of another patient seems near.
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


def find_model(landmarks):
    """Find the model of a list; one read from a file is linked to the model that it lies on.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.

    Returns
    -------
    vtkMRMLModelNode or None
        None where the landmarks lie on no model of the scene.
    """
    if landmarks.model_node is None:
        _link([landmarks])
    return landmarks.model_node


def _link(lists):
    """Link lists to the models that they lie on, if any; each model is searched for all of them.

    Its search tree takes its time, and that of one model is kept only.
    """
    if not lists:
        return
    models = slicer.util.getNodesByClass("vtkMRMLModelNode", lists[0].node.GetScene())
    # Two scans of one person may lie on each other: the nearer one is meant.
    nearest = dict.fromkeys(lists, (_LIES_ON_MM, None))
    for model in models:
        for landmarks in lists if not model.GetHideFromEditors() else ():
            gap = _gap_mm(landmarks, model)
            if gap < nearest[landmarks][0]:
                nearest[landmarks] = gap, model
    for landmarks, (_gap, model) in nearest.items():
        if model is not None:
            landmarks.link_model(model)


def find_lists(model_node):
    """Find the lists of a model; one without a model that lies on it is linked.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    list of LandmarkList
        In the order in which they came into the scene.
    """
    loose = [each for each in all_lists(model_node.GetScene()) if each.model_node is None]
    _link([each for each in loose if lies_on(each, model_node)])  # another model may lie nearer
    return linked_lists(model_node)


def linked_lists(model_node):
    """Give the lists that are linked to a model already.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    list of LandmarkList
        In the order in which they came into the scene.
    """
    nodes = slicer.util.getNodesByClass(LIST_CLASS, model_node.GetScene())
    linked = (node for node in nodes if node.GetNodeReference(MODEL_REFERENCE) is model_node)
    return [LandmarkList(node) for node in linked if is_landmark_list(node)]


def all_lists(scene, but=()):
    """Give all lists of landmarks of a scene, but for those that only their numbers make such.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene.
    but : container of vtkMRMLMarkupsFiducialNode
        Those that are known already.

    Returns
    -------
    list of LandmarkList
        In the order in which they came into the scene.
    """
    nodes = slicer.util.getNodesByClass(LIST_CLASS, scene)
    ours = (node for node in nodes if node not in but and is_landmark_list(node))
    return [LandmarkList(node) for node in ours if not may_be_any_list(node)]
