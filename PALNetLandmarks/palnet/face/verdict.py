# SPDX-License-Identifier: Apache-2.0
"""Whether a fitted atlas lies on a face at all: the reason for a refusal, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palnet.face.similarity import similarity_scale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from palnet.face.fit import AtlasFit

__all__ = ["find_refusal"]

# Faces, children and large adults included, against the mean adult; see benchmarks/pose.py.
SMALLEST_FACE, LARGEST_FACE = 0.62, 1.32
MIN_COVERAGE = 0.6
# Of 60 generated and 6 real faces none has less than 0.40; of 33 things and 39 wrong poses none
# has more than 0.26.
MIN_RELIEF = 0.33
MAX_RESIDUAL_MM = 0.9
MAX_MAHALANOBIS = 1.6


def find_refusal(fit: AtlasFit, face_from_scan: NDArray[np.float64]) -> str | None:
    """Say why landmarks should not be placed, or None if they may.

    Parameters
    ----------
    fit : AtlasFit
        The fitted atlas.
    face_from_scan : ndarray of shape (4, 4)
        The pose it led to.

    Returns
    -------
    str or None
        A reason for a user, with what to do.
    """
    size = 1 / similarity_scale(face_from_scan)
    if not SMALLEST_FACE <= size <= LARGEST_FACE:
        return (
            f"the best match is a face of {size:.2f} times an adult's size, outside "
            f"{SMALLEST_FACE} to {LARGEST_FACE}. Give the scan's unit with --unit."
        )
    if fit.coverage < MIN_COVERAGE:
        return (
            f"no usable face: only {100 * fit.coverage:.0f} % of a face between brows and chin "
            f"was found, less than {100 * MIN_COVERAGE:.0f} %. Scan the face from the front."
        )
    if fit.relief < MIN_RELIEF:
        return (
            f"no face: brows, nose and mouth are not where the best match has them (agreement "
            f"{fit.relief:.2f}, needed {MIN_RELIEF}). Check that the scan shows a face."
        )
    if fit.residual_mm > MAX_RESIDUAL_MM or fit.mahalanobis > MAX_MAHALANOBIS:
        return (
            f"no face: the best match is off by {fit.residual_mm:.1f} mm and is "
            f"{fit.mahalanobis:.1f} times as unusual as a face. Check that the scan shows one."
        )
    return None
