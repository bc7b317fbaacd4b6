# SPDX-License-Identifier: Apache-2.0
"""From the fitted atlas to the landmarks: network, atlas guided by what it found, network again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palnet.face.fit import guide_fit
from palnet.network.landmarks import predict_landmarks, refine_landmarks
from palnet.patches import gather_patches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.network.landmarks import LandmarkPrediction
    from palnet.network.layers import Weights
    from palnet.surface import PointCloud

__all__ = ["predict_from_atlas"]


def predict_from_atlas(
    weights: Weights,
    atlas: FaceAtlas,
    shape: NDArray[np.float64],
    fine: PointCloud,
    coarse: PointCloud,
    mirror: NDArray[np.int64],
) -> LandmarkPrediction:
    """Refine the atlas's landmarks, fit it once more to what was found, and predict from there too.

    A network trusts its starts where the surface does not tell, as on cheeks and angles of the jaw;
    an atlas that eyes, nose and mouth guide gives it better ones. The two predictions are averaged.

    Parameters
    ----------
    weights : mapping of str to ndarray
        The landmark network.
    atlas : FaceAtlas
        The atlas.
    shape : ndarray of shape (n_modes,)
        Weights of its fit to the face.
    fine, coarse : PointCloud
        The face at both spacings, in the face frame of that fit.
    mirror : ndarray of shape (n_landmarks,)
        The landmark on the other side, for each landmark.

    Returns
    -------
    LandmarkPrediction
        In the face frame, not yet on the surface nor calibrated.
    """
    first = refine_landmarks(weights, fine, coarse, atlas.shape_landmarks(shape), mirror)
    guided_mm = guide_fit(atlas, coarse, shape, first.positions_mm, first.spread_mm)
    again = predict_landmarks(weights, gather_patches(fine, coarse, guided_mm), mirror)
    return first.averaged_with(again)
