# SPDX-License-Identifier: Apache-2.0
"""Input of the paper's networks: clouds in one frame, mean landmarks, patches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_points
from palnet._frozen import frozen_copy
from palnet.data_sets.common_shape import median_shape
from palnet.errors import TrainingError
from palnet.network.paper_patches import gather_sorted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "AlignedScan",
    "PatchSet",
    "find_outliers",
    "gather_sorted_patches",
    "mean_landmarks",
]

# The published limit is a norm over all coordinates of this many landmarks.
N_PAPER_LANDMARKS = 50


@dataclass(frozen=True, eq=False, slots=True)
class AlignedScan:
    """A scan and its landmarks in the common frame, in true millimetres.

    Attributes
    ----------
    specimen : str
        Name of the scan.
    person : str
        Person scanned; all scans of a person stay in one part of a split.
    cloud_mm : ndarray of shape (n_points, 3)
        The sampled surface of the region of interest.
    truth_mm : ndarray of shape (n_landmarks, 3)
        Landmarks, NaN where missing.
    """

    specimen: str
    person: str
    cloud_mm: NDArray[np.float32]
    truth_mm: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the shapes and freeze the arrays."""
        check_points(self.cloud_mm, name="cloud_mm")
        check_points(self.truth_mm, name="truth_mm")
        object.__setattr__(self, "cloud_mm", frozen_copy(self.cloud_mm, np.float32))
        object.__setattr__(self, "truth_mm", frozen_copy(self.truth_mm))


@dataclass(frozen=True, eq=False, slots=True)
class PatchSet:
    """Patches for training or inference, with the true landmarks.

    Attributes
    ----------
    patches : ndarray of shape (n_scans, n_landmarks, n_points, 3)
        Points around each start, nearest to the frame's origin first.
    starts_mm : ndarray of shape (n_scans, n_landmarks, 3)
        Mean landmarks, moved to the nearest point of the surface.
    truth_mm : ndarray of shape (n_scans, n_landmarks, 3)
        Landmarks; zero where `known` is false.
    known : ndarray of shape (n_scans, n_landmarks)
        Which landmarks the scan has.
    """

    patches: NDArray[np.float32]
    starts_mm: NDArray[np.float32]
    truth_mm: NDArray[np.float32]
    known: NDArray[np.bool_]


def mean_landmarks(
    scans: Sequence[AlignedScan], codes: Sequence[str] | None = None
) -> NDArray[np.float64]:
    """Average each landmark over the scans that have it.

    Parameters
    ----------
    scans : sequence of AlignedScan
        The training split only.
    codes : sequence of str, optional
        Landmark names for the error message.

    Returns
    -------
    ndarray of shape (n_landmarks, 3)
        Means in the common frame.

    Raises
    ------
    TrainingError
        If a landmark is missing in all scans.
    """
    truth = np.array([scan.truth_mm for scan in scans])
    known = np.isfinite(truth).all(axis=2)
    counts = known.sum(axis=0)
    if not counts.all():
        absent = np.flatnonzero(counts == 0).tolist()
        names = ", ".join(codes[i] if codes else str(i + 1) for i in absent)
        msg = (
            f"no training scan of {len(scans)} has landmark {names}. Leave it out of the scheme, "
            "or place it on more scans."
        )
        raise TrainingError(msg)
    return np.asarray(np.where(known[..., None], truth, 0.0).sum(axis=0) / counts[:, None])


def gather_sorted_patches(
    scans: Sequence[AlignedScan], means_mm: NDArray[np.float64], n_points: int
) -> PatchSet:
    """Move the means to each surface and gather the nearest points around them.

    If a surface has fewer points than a patch, they are repeated.

    Parameters
    ----------
    scans : sequence of AlignedScan
        Any scans.
    means_mm : ndarray of shape (n_landmarks, 3)
        The mean landmarks of the training split.
    n_points : int
        Points per patch.

    Returns
    -------
    PatchSet
        In the order of the scans.
    """
    n_landmarks = len(means_mm)
    patches = np.zeros((len(scans), n_landmarks, n_points, 3), dtype=np.float32)
    starts = np.zeros((len(scans), n_landmarks, 3), dtype=np.float32)
    for row, scan in enumerate(scans):
        patches[row], starts[row] = gather_sorted(scan.cloud_mm, means_mm, n_points)
    truth = np.array([scan.truth_mm for scan in scans], dtype=np.float32)
    known = np.asarray(np.isfinite(truth).all(axis=2))
    return PatchSet(patches, starts, np.where(known[..., None], truth, 0), known)


def find_outliers(scans: Sequence[AlignedScan], limit_mm: float) -> list[str]:
    """List the scans whose landmarks lie too far from the cohort's median landmarks.

    The paper's limit is a norm over the coordinates of 50 landmarks, relative to the first scan;
    here it is relative to the median, so that the order of the scans does not matter. For another
    number of landmarks the limit is scaled to the same mean square per landmark.

    Parameters
    ----------
    scans : sequence of AlignedScan
        The cohort.
    limit_mm : float
        Largest norm for 50 landmarks.

    Returns
    -------
    list of str
        Specimens.

    Raises
    ------
    TrainingError
        If more than half of the scans are outliers, so that they have no common position.
    """
    median_mm = median_shape([scan.truth_mm for scan in scans])
    found = []
    for scan in scans:
        difference = scan.truth_mm - median_mm
        difference = difference[np.isfinite(difference).all(axis=1)]
        allowed = limit_mm * math.sqrt(len(difference) / N_PAPER_LANDMARKS)
        if np.linalg.norm(difference) > allowed:
            found.append(scan.specimen)
    if len(found) > len(scans) / 2:
        msg = (
            f"{len(found)} of {len(scans)} scans lie over {limit_mm:g} mm from where the median "
            "has their landmarks: the scans are in no common frame. Look at them with palnet "
            "check-data."
        )
        raise TrainingError(msg)
    return found
