# SPDX-License-Identifier: Apache-2.0
"""The mean face to which landmarks are compared or on which they are drawn, if one is shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.model import read_model
from palnet.similarity import MIN_PAIRS, fit_similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.landmarks import LandmarkSet
    from palnet.scheme import Scheme

__all__ = ["atlas_of", "face_from_landmarks", "mean_landmarks"]


def mean_landmarks() -> dict[str, NDArray[np.float64]]:
    """Return the mean landmarks of the shipped model by code, in millimetres."""
    model = read_model()
    return dict(zip(model.scheme.codes, model.atlas.landmark_mean_mm, strict=True))


def atlas_of(scheme: Scheme) -> FaceAtlas | None:
    """Return the mean face of a scheme, if it is that of the shipped model."""
    model = read_model()
    return model.atlas if model.scheme.codes == scheme.codes else None


def face_from_landmarks(landmarks: LandmarkSet) -> NDArray[np.float64] | None:
    """Fit the similarity from landmarks, in millimetres, to those of the mean face.

    Convention: face frame, millimetres, +X the subject's left, +Y up, +Z front. None if the scheme
    has no mean face, for fewer than three landmarks, or if all coincide.
    """
    atlas, is_there = atlas_of(landmarks.scheme), landmarks.is_placed
    placed_mm = landmarks.positions_mm[is_there]
    if atlas is None or len(placed_mm) < MIN_PAIRS or not np.ptp(placed_mm, axis=0).any():
        return None
    return fit_similarity(placed_mm, atlas.landmark_mean_mm[is_there])
