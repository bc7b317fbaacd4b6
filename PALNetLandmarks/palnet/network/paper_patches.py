# SPDX-License-Identifier: Apache-2.0
"""The paper's patches and its finish: the nearest points of a cloud, in a fixed order.

References
----------
A. Yazdi et al., PAL-Net, Informatics in Medicine Unlocked 60 (2026) 101729,
doi 10.1016/j.imu.2025.101729.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FINISHES", "Finish", "finish_landmarks", "gather_sorted"]

Finish = Literal["closest", "average"]
FINISHES: tuple[Finish, ...] = get_args(Finish)

# "average" is the mean of this many points of the sampled surface.
N_AVERAGED = 12


def gather_sorted(
    cloud_mm: NDArray[np.float32], means_mm: NDArray[np.float64], n_points: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Move the means to the surface and gather the nearest points of each.

    If a surface has fewer points than a patch, they are repeated.

    Parameters
    ----------
    cloud_mm : ndarray of shape (n_cloud, 3)
        The sampled surface.
    means_mm : ndarray of shape (n_landmarks, 3)
        Mean landmarks, in the frame of the cloud.
    n_points : int
        Points per patch.

    Returns
    -------
    patches : ndarray of shape (n_landmarks, n_points, 3)
        Sorted by distance from the frame's origin, nearest first.
    starts_mm : ndarray of shape (n_landmarks, 3)
        The cloud point nearest to each mean.
    """
    tree = cKDTree(cloud_mm)
    starts = cloud_mm[tree.query(means_mm)[1]]
    n_there = min(n_points, len(cloud_mm))
    _, index = tree.query(starts, k=range(1, n_there + 1))
    index = np.tile(index, (1, math.ceil(n_points / n_there)))[:, :n_points]
    points = cloud_mm[index]
    order = np.argsort(np.linalg.norm(points, axis=2), axis=1, kind="stable")
    return np.take_along_axis(points, order[..., None], axis=1), starts


def finish_landmarks(
    cloud_mm: NDArray[np.float32], predicted_mm: NDArray[np.floating], finish: Finish
) -> NDArray[np.float64]:
    """Move predictions to the surface as the paper does.

    Parameters
    ----------
    cloud_mm : ndarray of shape (n_points, 3)
        The sampled surface.
    predicted_mm : ndarray of shape (n_landmarks, 3)
        The network's prediction.
    finish : {"closest", "average"}
        The nearest point of the cloud, or the mean of the nearest 12.

    Returns
    -------
    ndarray of shape (n_landmarks, 3)
        On the surface, or close to it.
    """
    n_nearest = 1 if finish == "closest" else min(N_AVERAGED, len(cloud_mm))
    _, index = cKDTree(cloud_mm).query(predicted_mm, k=range(1, n_nearest + 1))
    return np.asarray(cloud_mm[index].mean(axis=1, dtype=np.float64))
