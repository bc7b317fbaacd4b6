# SPDX-License-Identifier: Apache-2.0
"""The pose that a set of landmarks implies, with and without its scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.similarity import compose_similarity, fit_similarity, similarity_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas

__all__ = ["align_landmarks", "remove_scale"]


def align_landmarks(
    atlas: FaceAtlas, landmarks_mm: NDArray[np.floating], errors_mm: NDArray[np.floating] | float
) -> NDArray[np.float64]:
    """Estimate the pose of a face from its landmarks: the best similarity to the mean ones.

    A landmark deviates from its mean position by the person's shape and by its own error, so each
    is weighted by 1 / (variance over people + error^2): ears, which vary most, count little.

    Convention: face frame, millimetres; the result acts on column vectors from the left.

    Parameters
    ----------
    atlas : FaceAtlas
        Mean landmarks, and their variation over people.
    landmarks_mm : ndarray of shape (n_landmarks, 3)
        The landmarks in millimetres; NaN where missing.
    errors_mm : ndarray of shape (n_landmarks,) or float
        Expected error of each; 0 if the landmarks are exact.

    Returns
    -------
    ndarray of shape (4, 4)
        ``face_from_landmarks``.

    Raises
    ------
    ValueError
        If there are fewer than three landmarks, or all coincide.
    """
    is_there = np.isfinite(landmarks_mm).all(axis=1)
    variance = (atlas.landmark_modes_mm.astype(np.float64) ** 2).sum(axis=(0, 2))
    weights = 1.0 / (variance + np.broadcast_to(errors_mm, len(landmarks_mm)) ** 2)
    return fit_similarity(
        landmarks_mm[is_there], atlas.landmark_mean_mm[is_there], weights[is_there]
    )


def remove_scale(face_from_scan: NDArray[np.float64], atlas: FaceAtlas) -> NDArray[np.float64]:
    """Remove the scale from a pose, so that millimetres stay true.

    Parameters
    ----------
    face_from_scan : ndarray of shape (4, 4)
        The pose.
    atlas : FaceAtlas
        The centre of its mean landmarks stays in place for faces of all sizes.

    Returns
    -------
    ndarray of shape (4, 4)
        Rotation and translation.
    """
    middle = atlas.landmark_mean_mm.mean(axis=0)
    scale = similarity_scale(face_from_scan)
    shift = middle + (face_from_scan[:3, 3] - middle) / scale
    return compose_similarity(1.0, face_from_scan[:3, :3] / scale, shift)
