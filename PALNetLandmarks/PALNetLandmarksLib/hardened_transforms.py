# SPDX-License-Identifier: Apache-2.0
"""Where a list stood when it was last written: what tells a hardened transform from corrections.

Hardening changes a list's own coordinates and, with a scale, their unit; where the user sees the
landmarks it changes nothing. Nobody tells a list of it, and a few points alone do not show it.
"""

from __future__ import annotations

import json

import numpy as np

from PALNetLandmarksLib.list_state import SAME_SHARE, joint_move
from PALNetLandmarksLib.models import is_warped, world_matrix, world_transform

ANCHOR_ATTRIBUTE = "PALNet.Anchor"


def set_anchor(landmarks):
    """Note where a list stands, and under which transform.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    """
    rows = [None if np.isnan(row).any() else row.tolist() for row in landmarks.positions]
    anchor = {"to_world": world_matrix(landmarks.node).tolist(), "rows": rows}
    landmarks.node.SetAttribute(ANCHOR_ATTRIBUTE, json.dumps(anchor))


def follow_transform(landmarks):
    """Note the transform that a list is under now, if its own coordinates are those of before.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    """
    anchor = _read(landmarks)
    if anchor is None or _is_moved_by(np.eye(4), anchor[1], landmarks.positions):
        set_anchor(landmarks)


def hardened_by(landmarks):
    """Find the transform that was hardened into a list since it was last written.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.

    Returns
    -------
    ndarray of shape (4, 4) or None
        On the list's own coordinates; None if they changed otherwise, or not at all.
    """
    anchor = _read(landmarks)
    if anchor is None:
        return None
    to_world, before = anchor
    now = landmarks.positions
    if _is_moved_by(np.eye(4), before, now):
        return None
    # Slicer moves the points first, and takes the list from under the transform then.
    for matrix in (np.linalg.inv(world_matrix(landmarks.node)) @ to_world, to_world):
        if _is_moved_by(matrix, before, now):
            return matrix
    return joint_move(before, now)


def hardened_warp(landmarks):
    """Give the warp that is being hardened into a list: Slicer has moved the points already.

    Once the list is from under it, nothing tells where the warp took points that are not in it.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.

    Returns
    -------
    callable or None
        Gives for points, (n, 3), where they went; None if no warp explains how the list changed.
    """
    anchor, transform = _read(landmarks), world_transform(landmarks.node)
    if anchor is None or not is_warped(landmarks.node):
        return None

    def warp(rows):
        return np.array([transform.TransformPoint(row) for row in rows])

    return warp if _are_same(warp(anchor[1]), landmarks.positions) else None


def _read(landmarks):
    """Give the transform and the positions of before, None if nobody noted them."""
    try:
        anchor = json.loads(landmarks.node.GetAttribute(ANCHOR_ATTRIBUTE) or "{}")
        rows = [[np.nan] * 3 if row is None else row for row in anchor["rows"]]
        to_world = np.array(anchor["to_world"], dtype=float).reshape(4, 4)
        return to_world, np.array(rows, dtype=float).reshape(-1, 3)
    except (ValueError, TypeError, KeyError):
        return None  # the scene was edited by hand


def _is_moved_by(matrix, before, now):
    """Tell whether a transform explains where every point went that was placed and still is."""
    return _are_same(before @ matrix[:3, :3].T + matrix[:3, 3], now)


def _are_same(moved, now):
    """Tell whether all points that are placed in both lie in the same places, and any is."""
    if moved.shape != now.shape:
        return False
    both = ~(np.isnan(moved) | np.isnan(now)).any(axis=1)
    limit = SAME_SHARE * max(1.0, np.abs(now[both]).max(initial=0.0))
    return bool(both.any()) and bool((np.abs(moved[both] - now[both]) <= limit).all())
