# SPDX-License-Identifier: Apache-2.0
"""Where to look at a landmark from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer

from PALNetLandmarksLib.models import world_matrix

# In the face frame, millimeters of an average adult: behind the face, so that the direction from
# here to a landmark turns smoothly from the front (nose) to the side (ear).
_HEAD_CENTER_MM = np.array([0.0, 0.0, -90.0])
# A landmark is looked at from its own height, slightly above or below at the most.
_TILT = 0.3
# Half a face fills the view of Slicer's camera (30 degrees) from here.
_DISTANCE_MM = 260.0
# The whole face with some room.
_FACE_DISTANCE_MM = 480.0
# Distance from which a box fills the view, in its diagonals.
_WHOLE = 2.0
# The same face with or without its shoulders is that many times larger, another unit more.
_ALIKE = 4.0


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
    pose = _face_axes(landmarks)
    for node in _cameras(landmarks.node.GetScene()):
        if pose is None:
            camera = node.GetCamera()
            toward, up = -np.array(camera.GetDirectionOfProjection()), camera.GetViewUp()
            _aim(node, position, toward, up, camera.GetDistance())
        else:
            toward = _side_of(position, pose)
            _aim(node, position, toward, pose.up, _DISTANCE_MM * pose.mm_to_world)
    return True


def look_at_face(landmarks):
    """Turn the 3D cameras to the front of the face.

    Parameters
    ----------
    landmarks : LandmarkList
        A detected list; nothing turns for another.
    """
    pose = _face_axes(landmarks)
    if pose is None:
        return
    center = np.nanmean(landmarks.world_positions, axis=0)
    for node in _cameras(landmarks.node.GetScene()):
        _aim(node, center, pose.front, pose.up, _FACE_DISTANCE_MM * pose.mm_to_world)


def look_at_model(model_node):
    """Bring a whole model into view, from where the cameras are.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.
    """
    low, high = _box(model_node)
    if not (low <= high).all():
        return
    for node in _cameras(model_node.GetScene()):
        camera = node.GetCamera()
        toward, up = -np.array(camera.GetDirectionOfProjection()), camera.GetViewUp()
        _aim(node, (low + high) / 2, toward, up, _WHOLE * float(np.linalg.norm(high - low)))


def is_in_place_of(model_node, former):
    """Tell whether who looks at one model sees another one as well, as of scans of one camera.

    Parameters
    ----------
    model_node, former : vtkMRMLModelNode
        The models.

    Returns
    -------
    bool
        True if the middle of each is within the box of the other, and their sizes are alike.
    """
    (low, high), (former_low, former_high) = _box(model_node), _box(former)
    middle, former_middle = (low + high) / 2, (former_low + former_high) / 2
    is_inside = ((former_low <= middle) & (middle <= former_high)).all()
    is_round = ((low <= former_middle) & (former_middle <= high)).all()
    if not (is_inside and is_round):
        return False  # as of an empty model, which has no size
    size, former_size = np.linalg.norm(high - low), np.linalg.norm(former_high - former_low)
    return bool(size < _ALIKE * former_size < _ALIKE**2 * size)


@dataclass(frozen=True, eq=False)
class _FaceAxes:
    """The face in the world: its axes, and how long a millimeter of an average face is there."""

    face_from_world: np.ndarray
    mm_to_world: float

    @property
    def rotation(self):
        """Rows are the face's own axes in the world."""
        return self.face_from_world[:3, :3] * self.mm_to_world

    @property
    def up(self):
        """Up, in the world."""
        return self.rotation[1]

    @property
    def front(self):
        """Where the face looks to, in the world."""
        return self.rotation[2]


def _face_axes(landmarks):
    """Read the pose of the face from the record; None for a list that was never detected."""
    matrix = landmarks.record.get("face_from_list")
    if matrix is None:
        return None
    face_from_world = np.array(matrix) @ np.linalg.inv(world_matrix(landmarks.node))
    # Without the sign of a mirroring: it would turn the camera upside down.
    scale = float(np.cbrt(abs(np.linalg.det(face_from_world[:3, :3]))))
    return _FaceAxes(face_from_world, 1.0 / scale)


def _side_of(position, pose):
    """Give the direction from a landmark to the camera."""
    in_face = pose.face_from_world[:3, :3] @ position + pose.face_from_world[:3, 3]
    direction = (in_face - _HEAD_CENTER_MM) * [1.0, _TILT, 1.0]
    return pose.rotation.T @ (direction / np.linalg.norm(direction))


def _box(model_node):
    """Give the lowest and the highest corner of a model in the world; an empty one has none."""
    bounds = [0.0] * 6
    model_node.GetRASBounds(bounds)
    return np.array(bounds[::2]), np.array(bounds[1::2])


def _cameras(scene):
    """Give the cameras of the 3D views; any other one is a viewpoint that a user has kept."""
    nodes = slicer.util.getNodesByClass("vtkMRMLCameraNode", scene)
    return [node for node in nodes if node.GetLayoutName()]


def _aim(node, target, toward, up, distance):
    """Set a camera."""
    node.SetFocalPoint(*(float(value) for value in target))
    node.SetPosition(*(float(value) for value in np.array(target) + distance * np.array(toward)))
    node.SetViewUp(*(float(value) for value in up))
    node.GetCamera().SetParallelScale(float(distance) / 4)
    node.ResetClippingRange()
