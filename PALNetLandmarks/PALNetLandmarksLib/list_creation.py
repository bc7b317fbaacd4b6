# SPDX-License-Identifier: Apache-2.0
"""A new point list whose landmarks are named and not yet placed."""

from __future__ import annotations

import slicer

from PALNetLandmarksLib.landmark_list import LIST_CLASS, LandmarkList
from PALNetLandmarksLib.list_display import style
from PALNetLandmarksLib.list_scheme import write_scheme


def new_list_name(model_node, scheme):
    """Name a list after its model; other landmarks than those of the module, by their scheme too.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model that it is to lie on.
    scheme : Scheme
        Its landmarks.

    Returns
    -------
    str
        The name, which another list may have already.
    """
    words = (model_node.GetName(), "" if scheme.is_shipped else scheme.name, "landmarks")
    return " ".join(filter(None, words))


def create_list(scene, scheme, model_node, name):
    """Make a point list whose landmarks are named and not yet placed.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where to.
    scheme : Scheme
        Which landmarks.
    model_node : vtkMRMLModelNode
        The model they belong to.
    name : str
        Name of the list.

    Returns
    -------
    LandmarkList
        The list.
    """
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    selection = slicer.app.applicationLogic().GetSelectionNode()
    is_placing = interaction.GetCurrentInteractionMode() == interaction.Place
    active = selection.GetActivePlaceNodeID() if is_placing else None
    node = scene.AddNewNodeByClass(LIST_CLASS, scene.GenerateUniqueName(name))
    if active:
        # Slicer lets clicks go into each new list: those that place something go on doing so.
        selection.SetActivePlaceNodeID(active)
    with slicer.util.NodeModify(node):
        for index, definition in enumerate(scheme.landmarks):
            node.AddControlPoint([0.0, 0.0, 0.0], definition.code)
            node.SetNthControlPointDescription(index, definition.definition)
            node.UnsetNthControlPointPosition(index)
        node.SetFixedNumberOfControlPoints(True)
    write_scheme(node, scheme)
    node.CreateDefaultDisplayNodes()
    style(node.GetDisplayNode())
    node.SetAndObserveTransformNodeID(model_node.GetTransformNodeID())
    made = LandmarkList(node)
    made.link_model(model_node)
    return made
