# SPDX-License-Identifier: Apache-2.0
"""Where to look at a landmark from."""

from __future__ import annotations

import numpy as np
import slicer

# In the face frame, millimeters of an average adult: behind the face, so that the direction from
# here to a landmark turns smoothly from the front (nose) to the side (ear).
_HEAD_CENTER_MM = np.array([0.0, 0.0, -90.0])
# A landmark is looked at from its own height, slightly above or below at the most.
_TILT = 0.3
# Half a face fills the view of Slicer's camera (30 degrees) from here.
_DISTANCE_MM = 260.0


def look_at(landmarks, index):
    """Turn the 3D cameras to a landmark, from the side that shows it.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    index : int
        Which landmark; one without a position turns no camera.

    Returns
    -------
    bool
        Whether there was anything to look at.
    """
    position = landmarks.world_positions[index]
    if np.isnan(position).any():
        return False
    for node in slicer.util.getNodesByClass("vtkMRMLCameraNode", landmarks.node.GetScene()):
        direction, up, distance = _view(landmarks, position, node.GetCamera())
        node.SetFocalPoint(*(float(value) for value in position))
        node.SetPosition(*(float(value) for value in position + distance * direction))
        node.SetViewUp(*(float(value) for value in up))
        node.GetCamera().SetParallelScale(float(distance) / 4)
        node.ResetClippingRange()
    return True


def _view(landmarks, position, camera):
    """Give direction towards the camera, up, and distance; without a pose, those of now."""
    matrix = landmarks.record.get("face_from_scan_mm")
    if matrix is None:
        direction = -np.array(camera.GetDirectionOfProjection())
        return direction, np.array(camera.GetViewUp()), camera.GetDistance()
    face_from_world = np.array(matrix) @ np.diag([landmarks.mm_per_unit] * 3 + [1.0])
    linear = face_from_world[:3, :3]
    in_face = linear @ position + face_from_world[:3, 3]
    direction = (in_face - _HEAD_CENTER_MM) * [1.0, _TILT, 1.0]
    scale = np.cbrt(np.linalg.det(linear))
    rotation = linear / scale
    toward = rotation.T @ (direction / np.linalg.norm(direction))
    return toward, rotation.T @ [0.0, 1.0, 0.0], _DISTANCE_MM / scale
