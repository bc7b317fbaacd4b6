# SPDX-License-Identifier: Apache-2.0
"""Open a point list that the user selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from PALNetLandmarksLib.file_changes import note_file
from PALNetLandmarksLib.landmark_list import LandmarkList, is_landmark_list
from PALNetLandmarksLib.linking import lies_elsewhere
from PALNetLandmarksLib.scan_unit import adopt_unit

if TYPE_CHECKING:
    import slicer


def open_list(
    list_node: slicer.vtkMRMLMarkupsFiducialNode | None,
) -> tuple[LandmarkList | None, str]:
    """Return the landmarks of a point list, or what is wrong with it.

    Parameters
    ----------
    list_node : vtkMRMLMarkupsFiducialNode or None
        Any point list.

    Returns
    -------
    LandmarkList or None
        None if there is no list, or if it holds other points.
    str
        What the user should know about it; empty if all is well.
    """
    if list_node is None:
        return None, ""
    if not is_landmark_list(list_node):
        return None, _(
            "This point list holds other points than landmarks; a detection makes a new list."
        )
    landmarks = LandmarkList(list_node)
    note_file(list_node)
    adopt_unit(landmarks)
    return landmarks, problem_of(landmarks)


def problem_of(landmarks: LandmarkList) -> str:
    """Return what is wrong with the place of a list.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.

    Returns
    -------
    str
        Empty if it lies on its scan.
    """
    if landmarks.is_bereft:
        return _(
            "The scan of these landmarks is no longer in the scene. If they belong to another one, "
            "save the landmarks and open their file."
        )
    if landmarks.model_node is None:
        return _("These landmarks lie on no model of the scene.")
    if lies_elsewhere(landmarks, landmarks.model_node):
        return _(
            "These landmarks do not lie on their scan where it is now: "
            "one of the two was moved by a transform."
        )
    return ""
