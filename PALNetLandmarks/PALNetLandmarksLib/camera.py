# SPDX-License-Identifier: Apache-2.0
"""Camera positions for landmarks, faces and models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import slicer

from palnet._mean_face import atlas_of
from PALNetLandmarksLib.models import world_matrix

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from palnet.scheme import Scheme
    from PALNetLandmarksLib.landmark_list import LandmarkList

# In the face frame, millimeters of an average adult. It lies behind the face, so that the direction
# from here to a landmark turns smoothly from the front (nose) to the side (ear).
_HEAD_CENTER_MM = np.array([0.0, 0.0, -90.0])
# The camera looks at a landmark from its own height, or at most slightly above or below.
_TILT = 0.3
# Half a face fills the view of Slicer's camera (30 degrees) from here.
_DISTANCE_MM = 260.0
# The whole face with some margin.
_FACE_DISTANCE_MM = 480.0
# Camera distance at which a box fills the view, in units of its diagonal.
_WHOLE = 2.0
# Largest size ratio of similar models: a face with and without shoulders differs by less,
# a face in another unit by more.
_ALIKE = 4.0


def look_at(landmarks: LandmarkList, index: int) -> bool:
    """Turn the 3D cameras to a landmark, from the side where it is visible.

    To one without a position they turn where the mean face has it, so that whoever calls it missing
    has looked; not where it was detected, since that would suggest a place.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    index : int
        Index of the landmark.

    Returns
    -------
    bool
        False if nothing is known of its place: no camera moves.
    """
    position, pose = landmarks.world_positions[index], _face_axes(landmarks)
    if np.isnan(position).any():
        position = _usual_place(landmarks.scheme, index, pose)
    if position is None:
        return False
    for node in _cameras(landmarks.node.GetScene()):
        if pose is None:
            camera = node.GetCamera()
            toward, up = -np.array(camera.GetDirectionOfProjection()), camera.GetViewUp()
            _aim(node, position, toward, up, camera.GetDistance())
        else:
            toward = _side_of(position, pose)
            _aim(node, position, toward, pose.up, _DISTANCE_MM * pose.mm_to_world)
    return True


def look_at_face(landmarks: LandmarkList) -> None:
    """Turn the 3D cameras to the front of the face.

    Parameters
    ----------
    landmarks : LandmarkList
        A detected list; for any other, no camera moves.
    """
    pose = _face_axes(landmarks)
    if pose is None:
        return
    center = np.nanmean(landmarks.world_positions, axis=0)
    for node in _cameras(landmarks.node.GetScene()):
        _aim(node, center, pose.front, pose.up, _FACE_DISTANCE_MM * pose.mm_to_world)


def look_at_model(model_node: slicer.vtkMRMLModelNode) -> None:
    """Bring a whole model into view, from the current direction of the cameras.

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


def is_in_place_of(model_node: slicer.vtkMRMLModelNode, former: slicer.vtkMRMLModelNode) -> bool:
    """Return whether a camera at one model also shows the other, as with scans of one scanner.

    Parameters
    ----------
    model_node, former : vtkMRMLModelNode
        The models.

    Returns
    -------
    bool
        True if the center of each is inside the box of the other and their sizes are similar.
    """
    (low, high), (former_low, former_high) = _box(model_node), _box(former)
    middle, former_middle = (low + high) / 2, (former_low + former_high) / 2
    is_inside = ((former_low <= middle) & (middle <= former_high)).all()
    is_round = ((low <= former_middle) & (former_middle <= high)).all()
    if not (is_inside and is_round):
        return False  # an empty model has no size
    size, former_size = np.linalg.norm(high - low), np.linalg.norm(former_high - former_low)
    return bool(size < _ALIKE * former_size < _ALIKE**2 * size)


@dataclass(frozen=True, eq=False)
class _FaceAxes:
    """Axes of the face in the world, and the length there of a millimeter of an average face."""

    face_from_world: NDArray[np.float64]
    mm_to_world: float

    @property
    def rotation(self) -> NDArray[np.float64]:
        """Rotation to the face frame; the rows are the face axes in world coordinates."""
        return self.face_from_world[:3, :3] * self.mm_to_world

    @property
    def up(self) -> NDArray[np.float64]:
        """Up direction of the face, in world coordinates."""
        return self.rotation[1]

    @property
    def front(self) -> NDArray[np.float64]:
        """Viewing direction of the face, in world coordinates."""
        return self.rotation[2]


def _face_axes(landmarks: LandmarkList) -> _FaceAxes | None:
    """Read the face pose from the detection record; None for a list that was never detected."""
    matrix = landmarks.record.get("face_from_list")
    if matrix is None:
        return None
    face_from_world = np.array(matrix) @ np.linalg.inv(world_matrix(landmarks.node))
    # Unsigned: the negative determinant of a mirroring would turn the camera upside down.
    scale = float(np.cbrt(abs(np.linalg.det(face_from_world[:3, :3]))))
    return _FaceAxes(face_from_world, 1.0 / scale)


def _usual_place(scheme: Scheme, index: int, pose: _FaceAxes | None) -> NDArray[np.float64] | None:
    """Return where the mean face has a landmark, in the world; None if that is not known."""
    atlas = atlas_of(scheme)
    if pose is None or atlas is None:
        return None
    return (np.linalg.inv(pose.face_from_world) @ [*atlas.landmark_mean_mm[index], 1.0])[:3]


def _side_of(position: NDArray[np.float64], pose: _FaceAxes) -> NDArray[np.float64]:
    """Return the direction from a landmark to the camera."""
    in_face = pose.face_from_world[:3, :3] @ position + pose.face_from_world[:3, 3]
    direction = (in_face - _HEAD_CENTER_MM) * [1.0, _TILT, 1.0]
    return pose.rotation.T @ (direction / np.linalg.norm(direction))


def _box(model_node: slicer.vtkMRMLModelNode) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and highest corner of a model in the world; none if it is empty."""
    bounds = [0.0] * 6
    model_node.GetRASBounds(bounds)
    return np.array(bounds[::2]), np.array(bounds[1::2])


def _cameras(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLCameraNode]:
    """Return the cameras of the 3D views; other camera nodes are viewpoints that the user saved."""
    nodes = slicer.util.getNodesByClass("vtkMRMLCameraNode", scene)
    return [node for node in nodes if node.GetLayoutName()]


def _aim(
    node: slicer.vtkMRMLCameraNode,
    target: NDArray[np.float64],
    toward: NDArray[np.float64],
    up: Iterable[float],
    distance: float,
) -> None:
    """Place a camera at a distance from its focal point."""
    node.SetFocalPoint(*(float(value) for value in target))
    node.SetPosition(*(float(value) for value in np.array(target) + distance * np.array(toward)))
    node.SetViewUp(*(float(value) for value in up))
    node.GetCamera().SetParallelScale(float(distance) / 4)
    node.ResetClippingRange()
