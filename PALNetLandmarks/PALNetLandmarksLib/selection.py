# SPDX-License-Identifier: Apache-2.0
"""Selection of scan and list: one selects the other, and the views show one of each at a time.

Scans of one scanner overlap, so two visible ones would look like one face; so do two lists of one
scan, and someone who places landmarks a second time is not to see where they were.
"""

from __future__ import annotations

import slicer

from palnet.preview import SKIN_COLOR
from PALNetLandmarksLib.camera import is_in_place_of, look_at_face, look_at_model
from PALNetLandmarksLib.landmark_list import LandmarkList, is_landmark_list
from PALNetLandmarksLib.linking import find_lists, find_model, linked_lists

LAST_LIST_REFERENCE = "PALNet.LastList"


def match_selection(
    model_node: slicer.vtkMRMLModelNode | None,
    list_node: slicer.vtkMRMLMarkupsFiducialNode | None,
    shown: tuple[slicer.vtkMRMLModelNode | None, slicer.vtkMRMLMarkupsFiducialNode | None],
) -> tuple[slicer.vtkMRMLModelNode | None, slicer.vtkMRMLMarkupsFiducialNode | None]:
    """Match scan and list to the newer choice: a scan selects its list, a list its scan.

    Parameters
    ----------
    model_node : vtkMRMLModelNode or None
        The selected scan.
    list_node : vtkMRMLMarkupsFiducialNode or None
        The selected list.
    shown : tuple
        The scan and list that were selected before.

    Returns
    -------
    tuple
        The scan and the list to show.
    """
    if model_node is not shown[0] and model_node is not None:
        own, lists = linked_lists(model_node), find_lists(model_node)
        # A list that lies on it may be that of a deleted scan of the same person.
        nodes = [found.node for found in own or lists]
        if list_node not in nodes:
            last = model_node.GetNodeReference(LAST_LIST_REFERENCE)
            newest = nodes[-1] if nodes else None
            list_node = last if last in nodes else newest
    elif list_node is not shown[1] and is_landmark_list(list_node):
        model_node = find_model(LandmarkList(list_node)) or model_node
    return model_node, list_node


def remember_list(landmarks: LandmarkList) -> None:
    """Record a list as the one last worked on for its scan.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    """
    if landmarks.model_node is not None:
        landmarks.model_node.SetNodeReferenceID(LAST_LIST_REFERENCE, landmarks.node.GetID())


def show_instead(
    shown: tuple[slicer.vtkMRMLModelNode | None, slicer.vtkMRMLMarkupsFiducialNode | None],
    model_node: slicer.vtkMRMLModelNode,
    list_node: slicer.vtkMRMLMarkupsFiducialNode | None,
) -> None:
    """Show a scan and a list in the views instead of the previous ones.

    Cameras turn to a scan that is elsewhere, but not if both are in the same place. A scan in the
    color that Slicer gives to every model is drawn in that of skin; any other color stays. Only the
    previously selected list, and the previous scan with its lists, are hidden: what a user shows
    beside them stays.

    Parameters
    ----------
    shown : tuple
        The scan and list that were selected before; the same scan if only the list differs, None
        for either that was deleted.
    model_node : vtkMRMLModelNode
        The selected scan.
    list_node : vtkMRMLMarkupsFiducialNode or None
        The selected list.
    """
    former, former_list = shown
    if is_landmark_list(former_list):
        former_list.SetDisplayVisibility(False)
    if former is not model_node:
        if former is not None:
            for node in (former, *(each.node for each in linked_lists(former))):
                node.SetDisplayVisibility(False)
        model_node.SetDisplayVisibility(True)
        _draw_as_skin(model_node)
        if former is not None and not is_in_place_of(model_node, former):
            look_at_model(model_node)
            if is_landmark_list(list_node):
                look_at_face(LandmarkList(list_node))
    if list_node is not None:
        list_node.SetDisplayVisibility(True)


def _draw_as_skin(model_node: slicer.vtkMRMLModelNode) -> None:
    """Draw a model in the color of skin unless somebody chose another one.

    That of Slicer is the yellow of landmarks to check, whose spheres nobody would see on it.
    """
    display = model_node.GetDisplayNode()
    if display is not None and display.GetColor() == slicer.vtkMRMLModelDisplayNode().GetColor():
        display.SetColor(*SKIN_COLOR)
