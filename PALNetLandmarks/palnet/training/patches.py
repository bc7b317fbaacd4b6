# SPDX-License-Identifier: Apache-2.0
"""Training patches: around two starts of each landmark, as in the passes of a detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet.network.patches import RANKS, gather_patches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.network.patches import FaceClouds

__all__ = [
    "TrainingPatches",
    "cut_patches",
    "draw_starts",
]

# More points than the network takes, so that every batch sees a different choice.
N_STORED_EACH = 128
# Maximum points per half of a patch that a training may draw; also the smallest reach that they are
# drawn from (`palnet.training.batches`).
MOST_DRAWN = 64
# The second start: share of the atlas's error that a first pass leaves, and the pass's own error.
# Drawn per scan, so that a second pass also meets good first ones and does not spoil them.
LEFT_OF_ATLAS_ERROR, FIRST_PASS_ERROR_MM = (0.0, 0.5), (0.1, 0.9)


@dataclass(frozen=True, eq=False)
class TrainingPatches:
    """Stored patches of many scans, two starts each, in the face frame.

    Attributes
    ----------
    points : ndarray of shape (n_scans, 2, n_landmarks, n_stored, 6)
        Half precision. Start 0 is that of the atlas, whole or thinned; start 1 is like the result
        of a first pass, or of an atlas guided by one.
    share : ndarray of shape (n_scans, 2, n_landmarks, 2)
        How full each half would be with the number of points that the network takes.
    centres_mm : ndarray of shape (n_scans, 2, n_landmarks, 3)
        The starts.
    truth_mm : ndarray of shape (n_scans, n_landmarks, 3)
        The true landmarks.
    visible : ndarray of shape (n_scans, n_landmarks)
        Which of them are visible in the scan.
    """

    points: NDArray[np.float16]
    share: NDArray[np.float32]
    centres_mm: NDArray[np.float32]
    truth_mm: NDArray[np.float32]
    visible: NDArray[np.bool_]


def draw_starts(
    first_mm: NDArray[np.float64],
    truth_mm: NDArray[np.float64],
    visible: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first start of each landmark, and one like the result of a first pass.

    Parameters
    ----------
    first_mm : ndarray of shape (n_landmarks, 3)
        The first start, in the face frame.
    truth_mm : ndarray of shape (n_landmarks, 3)
        True landmarks; any value where not visible.
    visible : ndarray of shape (n_landmarks,)
        Where false, the second start equals the first.
    rng : numpy.random.Generator
        Source of randomness for the error of a first pass.

    Returns
    -------
    tuple of ndarray of shape (n_landmarks, 3)
        The two starts.
    """
    error = first_mm - truth_mm
    left, own_mm = rng.uniform(*LEFT_OF_ATLAS_ERROR), rng.uniform(*FIRST_PASS_ERROR_MM)
    shaken = left * error + rng.normal(0, own_mm, truth_mm.shape)
    return first_mm, np.where(visible[:, None], truth_mm + shaken, first_mm)


def cut_patches(
    clouds: FaceClouds, starts: tuple[NDArray[np.float64], ...]
) -> dict[str, NDArray[Any]]:
    """Cut stored patches around each start.

    Parameters
    ----------
    clouds : FaceClouds
        The face, in the face frame.
    starts : tuple of ndarray of shape (n_landmarks, 3)
        The starts.

    Returns
    -------
    dict of str to ndarray
        ``points``, ``share`` and ``centres_mm`` of `TrainingPatches`.
    """
    both = [gather_patches(clouds, start, np.arange(1, N_STORED_EACH + 1)) for start in starts]
    return {
        "points": np.stack([p.points for p in both]).astype(np.float16),
        "share": np.minimum(
            np.stack([p.share for p in both]) * N_STORED_EACH / float(RANKS[-1]), 1
        ),
        "centres_mm": np.stack([p.centres_mm for p in both]).astype(np.float32),
    }
