# SPDX-License-Identifier: Apache-2.0
"""Patches: for each landmark the surface points around its approximation, at fixed densities.

The reference takes the 1000 nearest vertices, so its patches shrink from 43 to 6 mm as a mesh
gets denser. Here the points are resampled first: a fine half close by, a coarse half farther out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from palnet._checks import check_points
from palnet._frozen import frozen_copy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface import PointCloud

__all__ = [
    "COARSE_RADIUS_MM",
    "COARSE_SPACING_MM",
    "FINE_RADIUS_MM",
    "FINE_SPACING_MM",
    "RANKS",
    "FaceClouds",
    "Patches",
    "gather_patches",
]

FINE_SPACING_MM, FINE_RADIUS_MM = 1.5, 11.0
COARSE_SPACING_MM, COARSE_RADIUS_MM = 3.2, 32.0
# Each half has the 96 nearest points; on a plane they reach 8.3 mm (fine) and 17.7 mm (coarse).
RANKS = np.arange(1, 97)


class FaceClouds(NamedTuple):
    """Points of a face at two spacings, in its own frame.

    Attributes
    ----------
    fine : PointCloud
        Around the landmarks, at `FINE_SPACING_MM`.
    coarse : PointCloud
        The whole region of interest, at `COARSE_SPACING_MM`.
    """

    fine: PointCloud
    coarse: PointCloud


@dataclass(frozen=True, eq=False, slots=True)
class Patches:
    """Surface points around each approximation, in millimetres of the face frame.

    Attributes
    ----------
    centres_mm : ndarray of shape (n_landmarks, 3)
        The approximations.
    points : ndarray of shape (n_landmarks, n_points, 6)
        Positions relative to the centre, and unit normals; the first half fine, the second coarse.
        Where the scan has too few points within reach, the nearest is repeated; where it has none,
        everything is zero.
    share : ndarray of shape (n_landmarks, 2)
        Share of each half found within reach (0 to 1).
    """

    centres_mm: NDArray[np.float64]
    points: NDArray[np.float32]
    share: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check the shapes and freeze the arrays."""
        check_points(self.centres_mm, name="centres_mm")
        n_landmarks = len(self.centres_mm)
        if self.points.shape[::2] != (n_landmarks, 6) or self.share.shape != (n_landmarks, 2):
            msg = (
                f"points must have shape ({n_landmarks}, n_points, 6) and share "
                f"({n_landmarks}, 2); got {self.points.shape} and {self.share.shape}."
            )
            raise ValueError(msg)
        object.__setattr__(self, "centres_mm", frozen_copy(self.centres_mm))
        object.__setattr__(self, "points", frozen_copy(self.points, np.float32))
        object.__setattr__(self, "share", frozen_copy(self.share, np.float32))


def gather_patches(
    clouds: FaceClouds, centres_mm: NDArray[np.float64], ranks: NDArray[np.integer] = RANKS
) -> Patches:
    """Gather the points nearest each centre from the fine and the coarse cloud.

    Convention: clouds and centres in the face frame, millimetres of the atlas's mean face.

    Parameters
    ----------
    clouds : FaceClouds
        The face at both spacings.
    centres_mm : ndarray of shape (n_landmarks, 3)
        The approximations.
    ranks : ndarray of shape (n_points_each,)
        Which of the nearest points to take from each cloud; 1 is the nearest.

    Returns
    -------
    Patches
        The patches; the order of points within a half is arbitrary.
    """
    halves = [
        _nearest(cloud, centres_mm, ranks, radius)
        for cloud, radius in zip(clouds, (FINE_RADIUS_MM, COARSE_RADIUS_MM), strict=True)
    ]
    points = np.concatenate([half[0] for half in halves], axis=1)
    share = np.stack([half[1] for half in halves], axis=1)
    return Patches(centres_mm, points, share)


def _nearest(
    cloud: PointCloud,
    centres_mm: NDArray[np.float64],
    ranks: NDArray[np.integer],
    radius_mm: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the relative points with their normals, and the share that exists."""
    n_centres = len(centres_mm)
    if not len(cloud.points_mm):
        empty = np.zeros((n_centres, len(ranks), 6), dtype=np.float32)
        return empty, np.zeros(n_centres, dtype=np.float32)
    tree = cKDTree(cloud.points_mm, balanced_tree=False, compact_nodes=False)
    distance, index = tree.query(centres_mm, k=ranks, distance_upper_bound=radius_mm)
    found = np.isfinite(distance)
    index = np.where(found, index, np.where(found[:, :1], index[:, :1], 0))
    relative = cloud.points_mm[index] - centres_mm[:, None]
    points = np.concatenate([relative, cloud.normals[index]], axis=2) * found[:, :1, None]
    return points.astype(np.float32), found.mean(axis=1, dtype=np.float32)
