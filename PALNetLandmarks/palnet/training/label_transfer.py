# SPDX-License-Identifier: Apache-2.0
"""Landmarks of another scheme on the atlas: each goes with the atlas points that it lies near."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from palnet.errors import TrainingError
from palnet.face.atlas import FaceAtlas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.training.faces import AnnotatedFace

__all__ = ["transfer_landmarks"]

# The mean of so many points near a landmark follows the fit more steadily than the nearest one.
N_CARRIERS = 8


def transfer_landmarks(atlas: FaceAtlas, faces: Sequence[AnnotatedFace]) -> FaceAtlas:
    """Give the atlas the landmarks of the faces' scheme.

    A landmark is the mean of the atlas points that lie nearest to it over the faces, plus its mean
    offset from there; the fit carries it: ``landmark = shape[carriers].mean(axis=0) + offset``.

    Parameters
    ----------
    atlas : FaceAtlas
        The atlas that was fitted to the faces.
    faces : sequence of AnnotatedFace
        The training part, and nothing else.

    Returns
    -------
    FaceAtlas
        The same face with other landmarks, as precise as a model file keeps them.

    Raises
    ------
    TrainingError
        If none of the faces has some landmark.
    """
    shapes = np.stack([atlas.shape_points(face.shape) for face in faces])
    truth = np.stack([face.truth_mm for face in faces])
    means, modes = [], []
    for row, code in enumerate(faces[0].truth.scheme.codes):
        known = np.isfinite(truth[:, row]).all(axis=1)
        if not known.any():
            msg = (
                f"no training scan of {len(faces)} on which a face was found has landmark {code}. "
                "Leave it out of the scheme, or place it on more scans."
            )
            raise TrainingError(msg)
        apart = truth[known, None, row] - shapes[known]
        carriers = np.argsort(np.linalg.norm(apart, axis=2).mean(axis=0), kind="stable")
        carriers = carriers[:N_CARRIERS]
        offset = apart[:, carriers].mean(axis=(0, 1))
        means.append(atlas.mean_mm[carriers].mean(axis=0) + offset)
        modes.append(atlas.modes_mm[:, carriers].mean(axis=1))
    carried = replace(
        atlas, landmark_mean_mm=np.array(means), landmark_modes_mm=np.stack(modes, axis=1)
    )
    return FaceAtlas.from_arrays(carried.to_arrays())
