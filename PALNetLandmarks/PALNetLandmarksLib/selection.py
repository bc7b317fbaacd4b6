# SPDX-License-Identifier: Apache-2.0
"""Which scan and list are worked on: one brings the other, and the views show one scan at a time.

Scans of one camera lie in one place: two of them on view are two faces in one.
"""

from __future__ import annotations

from PALNetLandmarksLib.camera import is_in_place_of, look_at_face, look_at_model
from PALNetLandmarksLib.landmark_list import LandmarkList, is_landmark_list
from PALNetLandmarksLib.linking import find_lists, find_model, linked_lists

LAST_LIST_REFERENCE = "PALNet.LastList"


def match_selection(model_node, list_node, shown):
    """Let the newer of two choices decide: a scan brings its list, a list brings its scan.

    Parameters
    ----------
    model_node : vtkMRMLModelNode or None
        The scan that is selected now.
    list_node : vtkMRMLMarkupsFiducialNode or None
        The list that is selected now.
    shown : tuple
        The two that were selected before.

    Returns
    -------
    tuple
        The scan and the list to show.
    """
    if model_node is not shown[0] and model_node is not None:
        lists = [found.node for found in find_lists(model_node)]
        if list_node not in lists:
            last = model_node.GetNodeReference(LAST_LIST_REFERENCE)
            newest = lists[-1] if lists else None
            list_node = last if last in lists else newest
    elif list_node is not shown[1] and is_landmark_list(list_node):
        model_node = find_model(LandmarkList(list_node)) or model_node
    return model_node, list_node


def remember_list(landmarks):
    """Note that this list is the one worked on last of those of its scan.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    """
    if landmarks.model_node is not None:
        landmarks.model_node.SetNodeReferenceID(LAST_LIST_REFERENCE, landmarks.node.GetID())


def show_instead(former, model_node, list_node):
    """Show a scan and a list in the views, and no longer the scan that was there before.

    Cameras turn to a scan that lies elsewhere; of two in one place both are seen alike. Nothing is
    hidden but a scan that was selected before, and its lists: what a user puts beside it stays.

    Parameters
    ----------
    former : vtkMRMLModelNode or None
        The scan that was selected before; the same one where only the list is another.
    model_node : vtkMRMLModelNode
        The scan that is selected now.
    list_node : vtkMRMLMarkupsFiducialNode or None
        The list that is selected now.
    """
    if former is not model_node:
        if former is not None:
            for node in (former, *(each.node for each in linked_lists(former))):
                node.SetDisplayVisibility(False)
        model_node.SetDisplayVisibility(True)
        if former is not None and not is_in_place_of(model_node, former):
            look_at_model(model_node)
            if is_landmark_list(list_node):
                look_at_face(LandmarkList(list_node))
    if list_node is not None:
        list_node.SetDisplayVisibility(True)
