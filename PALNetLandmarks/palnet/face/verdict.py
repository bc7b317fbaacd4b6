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

# In sizes of the atlas's mean face, which with infants among its people is 0.95 of an adult's. The
# 5,200 people of the training measure 0.59 to 1.33. The range has to stay below the 2.54 of inches
# to centimetres, or one face is two in different units.
SMALLEST_FACE, LARGEST_FACE = 0.56, 1.4
# 200 generated people: never below 0.75.
MIN_COVERAGE = 0.6
# Likeness is relief less 0.4 for every millimetre of residual. 200 generated people and six real
# scans have 0.25 and more; smooth things, wrong poses and a face stretched threefold at most 0.18.
RESIDUAL_PENALTY = 0.4
MIN_LIKENESS = 0.19
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
    likeness = fit.relief - RESIDUAL_PENALTY * fit.residual_mm
    is_like_a_face = likeness >= MIN_LIKENESS and fit.mahalanobis <= MAX_MAHALANOBIS
    if is_like_a_face and not SMALLEST_FACE <= size <= LARGEST_FACE:
        return (
            f"the face would be {size:.2f} times the mean face's size, outside "
            f"{SMALLEST_FACE} to {LARGEST_FACE}. Give the scan's unit."
        )
    if fit.coverage < MIN_COVERAGE:
        return (
            f"no usable face: only {100 * fit.coverage:.0f} % of a face between brows and chin "
            f"was found, less than {100 * MIN_COVERAGE:.0f} %. Scan the face from the front; if "
            "the scan shows one, give its unit."
        )
    if not is_like_a_face:
        return (
            f"no face: brows, nose and mouth are not where the best match has them (likeness "
            f"{likeness:.2f}, needed {MIN_LIKENESS}). Check that the scan shows a face; if it "
            "does, give its unit."
        )
    return None
