# SPDX-License-Identifier: Apache-2.0
"""Distinguish a hardened transform from corrections, by the last written state of a list.

Hardening changes a list's own coordinates and, if it scales, their unit, but not the world
positions. Slicer does not report it to the list, and a few points alone do not reveal it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import numpy as np

from PALNetLandmarksLib.list_state import SAME_SHARE, joint_move
from PALNetLandmarksLib.models import is_warped, world_matrix, world_transform

if TYPE_CHECKING:
    import slicer
    from numpy.typing import NDArray

    from PALNetLandmarksLib.list_state import Warp

ANCHOR_ATTRIBUTE = "PALNet.Anchor"


class _Landmarks(Protocol):
    """What is read here of a `LandmarkList`, whose module imports this one."""

    node: slicer.vtkMRMLMarkupsFiducialNode

    @property
    def positions(self) -> NDArray[np.float64]: ...


def set_anchor(landmarks: _Landmarks) -> None:
    """Record the positions of a list and its current transform.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    """
    rows = [None if np.isnan(row).any() else row.tolist() for row in landmarks.positions]
    anchor = {"to_world": world_matrix(landmarks.node).tolist(), "rows": rows}
    landmarks.node.SetAttribute(ANCHOR_ATTRIBUTE, json.dumps(anchor))


def follow_transform(landmarks: _Landmarks) -> None:
    """Record the current transform of a list, unless its own coordinates have changed.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    """
    anchor = _read(landmarks)
    if anchor is None or _is_moved_by(np.eye(4), anchor[1], landmarks.positions):
        set_anchor(landmarks)


def hardened_by(landmarks: _Landmarks) -> NDArray[np.float64] | None:
    """Find the transform that was hardened into a list since it was last written.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.

    Returns
    -------
    ndarray of shape (4, 4) or None
        Applied to the list's own coordinates; None if they changed in another way or not at all.
    """
    anchor = _read(landmarks)
    if anchor is None:
        return None
    to_world, before = anchor
    now = landmarks.positions
    if _is_moved_by(np.eye(4), before, now):
        return None
    # Slicer first moves the points, then removes the list from under the transform.
    for matrix in (np.linalg.inv(world_matrix(landmarks.node)) @ to_world, to_world):
        if _is_moved_by(matrix, before, now):
            return matrix
    return joint_move(before, now)


def hardened_warp(landmarks: _Landmarks) -> Warp | None:
    """Return the warp that is being hardened into a list whose points Slicer has already moved.

    Once it is removed from the list, where it takes other points can no longer be found out.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.

    Returns
    -------
    callable or None
        Maps points, (n, 3), to where they went; None if no warp explains how the list changed.
    """
    anchor, transform = _read(landmarks), world_transform(landmarks.node)
    if anchor is None or not is_warped(landmarks.node):
        return None

    def warp(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([transform.TransformPoint(row) for row in rows])

    return warp if _are_same(warp(anchor[1]), landmarks.positions) else None


def _read(landmarks: _Landmarks) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the recorded transform and positions, or None if there are none."""
    try:
        anchor = json.loads(landmarks.node.GetAttribute(ANCHOR_ATTRIBUTE) or "{}")
        rows = [[np.nan] * 3 if row is None else row for row in anchor["rows"]]
        to_world = np.array(anchor["to_world"], dtype=float).reshape(4, 4)
        return to_world, np.array(rows, dtype=float).reshape(-1, 3)
    except (ValueError, TypeError, KeyError):
        return None  # the scene was edited by hand


def _is_moved_by(
    matrix: NDArray[np.float64], before: NDArray[np.float64], now: NDArray[np.float64]
) -> bool:
    """Return whether a transform explains the move of every point that was and still is placed."""
    return _are_same(before @ matrix[:3, :3].T + matrix[:3, 3], now)


def _are_same(moved: NDArray[np.float64], now: NDArray[np.float64]) -> bool:
    """Return whether all points placed in both are in the same positions, and there are any."""
    if moved.shape != now.shape:
        return False
    both = ~(np.isnan(moved) | np.isnan(now)).any(axis=1)
    limit = SAME_SHARE * max(1.0, np.abs(now[both]).max(initial=0.0))
    return bool(both.any()) and bool((np.abs(moved[both] - now[both]) <= limit).all())
