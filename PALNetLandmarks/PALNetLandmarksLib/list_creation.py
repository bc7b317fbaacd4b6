# SPDX-License-Identifier: Apache-2.0
"""Create point lists of named, unplaced landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from PALNetLandmarksLib.landmark_list import LIST_CLASS, LandmarkList
from PALNetLandmarksLib.list_display import style
from PALNetLandmarksLib.list_scheme import write_scheme

if TYPE_CHECKING:
    from palnet.scheme import Scheme


def new_list_name(model_node: slicer.vtkMRMLModelNode, scheme: Scheme) -> str:
    """Name a list after its model, and also after its scheme unless that is the module's own.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model that the list is for.
    scheme : Scheme
        Its landmarks.

    Returns
    -------
    str
        The name; another list may already have it.
    """
    words = (model_node.GetName(), "" if scheme.is_shipped else scheme.name, "landmarks")
    return " ".join(filter(None, words))


def create_list(
    scene: slicer.vtkMRMLScene, scheme: Scheme, model_node: slicer.vtkMRMLModelNode, name: str
) -> LandmarkList:
    """Create a point list of named, unplaced landmarks.

    Parameters
    ----------
    scene : vtkMRMLScene
        The scene to add it to.
    scheme : Scheme
        The landmarks.
    model_node : vtkMRMLModelNode
        The model that they belong to.
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
        # Slicer makes each new list the active place node: restore the previous one.
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
