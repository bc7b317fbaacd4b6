# SPDX-License-Identifier: Apache-2.0
"""The mean face to which landmarks are compared or on which they are drawn, if one is shipped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from palnet.model import list_models
from palnet.similarity import MIN_PAIRS, fit_similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.model import Model
    from palnet.scheme import Scheme

__all__ = ["atlas_of", "face_from_landmarks", "shipped_models"]


@cache
def shipped_models() -> tuple[Model, ...]:
    """Read the shipped models, once."""
    return tuple(list_models())


def atlas_of(scheme: Scheme) -> FaceAtlas | None:
    """Find the mean face of a scheme among the shipped models.

    Parameters
    ----------
    scheme : Scheme
        The landmark scheme.

    Returns
    -------
    FaceAtlas or None
        None if no shipped model has this scheme.
    """
    for model in shipped_models():
        if model.scheme.codes == scheme.codes:
            return model.atlas
    return None


def face_from_landmarks(
    positions_mm: NDArray[np.float64], atlas: FaceAtlas
) -> NDArray[np.float64] | None:
    """Fit the similarity from a specimen's landmarks to those of the mean face.

    Convention: face frame, millimetres, +X the subject's left, +Y up, +Z front.

    Parameters
    ----------
    positions_mm : ndarray of shape (n_landmarks, 3)
        Landmarks, NaN where missing.
    atlas : FaceAtlas
        The mean face.

    Returns
    -------
    ndarray of shape (4, 4) or None
        ``face_from_scan``; None for fewer than three landmarks, or if all coincide.
    """
    is_there = np.isfinite(positions_mm).all(axis=1)
    placed_mm = positions_mm[is_there]
    if len(placed_mm) < MIN_PAIRS or not np.ptp(placed_mm, axis=0).any():
        return None
    return fit_similarity(placed_mm, atlas.landmark_mean_mm[is_there])
