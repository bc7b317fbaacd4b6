# SPDX-License-Identifier: Apache-2.0
"""Compare the relief of a surface with that of a face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.similarity import (
    apply_similarity,
    invert_similarity,
    rotate_directions,
    similarity_scale,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.spatial import cKDTree

__all__ = ["compare_relief"]

# Relief is compared at scan points this close to the atlas; the unit scales the quadratic.
RELIEF_REACH_MM, RELIEF_UNIT_MM = 6.0, 60.0
# With fewer points on the scan than this, relief is not compared.
MIN_POINTS = 60


def compare_relief(
    shape: NDArray[np.float64],
    shape_normals: NDArray[np.float64],
    tree: cKDTree,
    normals: NDArray[np.float64],
    face_from_cloud: NDArray[np.float64],
) -> float:
    """Correlate normals after a quadratic in x and y is removed.

    Parameters
    ----------
    shape, shape_normals : ndarray of shape (n_points, 3)
        Points of the atlas, in the face frame, and their normals.
    tree : cKDTree
        The scan's points, in the frame of the cloud.
    normals : ndarray of shape (n_scan_points, 3)
        Normals of the scan's points.
    face_from_cloud : ndarray of shape (4, 4)
        Similarity from the frame of the cloud to the face frame.

    Returns
    -------
    float
        -1 to 1; 0 if too little of the atlas lies on the scan.
    """
    cloud_from_face = invert_similarity(face_from_cloud)
    reach = RELIEF_REACH_MM * similarity_scale(cloud_from_face)
    distance, nearest = tree.query(
        apply_similarity(cloud_from_face, shape), distance_upper_bound=reach
    )
    found = np.isfinite(distance)
    if np.count_nonzero(found) < MIN_POINTS:
        return 0.0
    x, y = shape[found, :2].T / RELIEF_UNIT_MM
    smooth = np.column_stack([np.ones_like(x), x, y, x * x, y * y, x * y])
    both = np.hstack(
        [shape_normals[found], rotate_directions(face_from_cloud, normals[nearest[found]])]
    )
    rest = both - smooth @ np.linalg.lstsq(smooth, both, rcond=None)[0]
    ours, theirs = rest[:, :3], rest[:, 3:]
    power = np.sqrt((ours**2).sum() * (theirs**2).sum())
    return float((ours * theirs).sum() / power) if power > 0 else 0.0
