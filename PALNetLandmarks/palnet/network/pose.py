# SPDX-License-Identifier: Apache-2.0
"""The pose networks: from a point cloud in any rotation to the face's key points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.network.layers import linear, relu

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.network.layers import Weights

__all__ = ["CROP_RADIUS_MM", "KEY_POINTS_MM", "N_POSE_POINTS", "POSE_UNIT_MM", "predict_key_points"]

# Seven points that determine a similarity transform: the centre of the face and 80 mm from it along
# each axis of the face frame. Regressed as positions, they need no representation of rotations.
KEY_POINTS_MM = np.array([0.0, 5.0, 70.0]) + 80.0 * np.array(
    [[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]
)
KEY_POINTS_MM.flags.writeable = False
POSE_UNIT_MM = 100.0
N_POSE_POINTS = 512
# Number of clouds per batch, so that their features stay in the processor's cache.
MAX_BATCH = 8
# Radius around the guessed centre of the face that the refining network sees.
CROP_RADIUS_MM = 150.0


def predict_key_points(weights: Weights, clouds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a pose network.

    Parameters
    ----------
    weights : mapping of str to ndarray
        State of the network's torch counterpart.
    clouds : ndarray of shape (n_clouds, n_points, 6)
        Positions in units of 100 mm around the cloud's centre, and unit normals.

    Returns
    -------
    ndarray of shape (n_clouds, 7, 3)
        Key points in the same units and frame.
    """
    if len(clouds) > MAX_BATCH:
        halves = np.array_split(clouds, 2)
        return np.concatenate([predict_key_points(weights, half) for half in halves])
    n_clouds, n_points, _ = clouds.shape
    features = clouds.reshape(-1, 6)
    for name in ("point1", "point2", "point3"):
        features = relu(linear(weights, name, features))
    grouped = features.reshape(n_clouds, n_points, -1)
    pooled = np.concatenate([grouped.max(axis=1), grouped.mean(axis=1)], axis=1)
    hidden = relu(linear(weights, "whole1", pooled))
    hidden = relu(linear(weights, "whole2", hidden))
    return linear(weights, "out", hidden).reshape(n_clouds, len(KEY_POINTS_MM), 3)
