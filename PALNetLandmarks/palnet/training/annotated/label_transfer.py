# SPDX-License-Identifier: Apache-2.0
"""Transfer landmarks of another scheme to the atlas, each tied to the atlas points near it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from palnet.errors import TrainingError
from palnet.face.atlas import FaceAtlas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.training.annotated.faces import AnnotatedFace

__all__ = ["transfer_landmarks"]

# The mean of this many points near a landmark follows the fit more stably than the nearest one.
N_CARRIERS = 8


def transfer_landmarks(atlas: FaceAtlas, faces: Sequence[AnnotatedFace]) -> FaceAtlas:
    """Replace the atlas's landmarks by those of the faces' scheme.

    A landmark is the mean of the atlas points nearest to it over the faces, plus its mean offset
    from there, and so moves with the fit: ``landmark = shape[carriers].mean(axis=0) + offset``.

    Parameters
    ----------
    atlas : FaceAtlas
        The atlas that was fitted to the faces.
    faces : sequence of AnnotatedFace
        The training part only.

    Returns
    -------
    FaceAtlas
        The same face with the new landmarks, rounded to the precision of a model file.

    Raises
    ------
    TrainingError
        If a landmark is missing on all faces.
    """
    shapes = np.stack([atlas.shape_points(face.mode_weights) for face in faces])
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
