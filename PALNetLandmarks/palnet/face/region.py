# SPDX-License-Identifier: Apache-2.0
"""The region of interest: the part of a scan that can belong to the face, in the face frame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from palnet.face.similarity import (
    apply_similarity,
    invert_similarity,
    rotate_directions,
    similarity_scale,
)
from palnet.patches import COARSE_SPACING_MM, FINE_RADIUS_MM, FINE_SPACING_MM
from palnet.surface import PointCloud, crop_surface, sample_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface import Surface

__all__ = ["extract_face", "move_cloud", "move_surface", "sample_coarse", "sample_fine"]

# Everything within this ball belongs to the region of interest: both ears, the chin, the hairline
# of a large head, and a rim for a pose that is 20 mm off.
REGION_CENTRE_MM = (0.0, 10.0, 45.0)
REGION_RADIUS_MM = 145.0
# The second pass may start this far from the first: fine points are sampled that much farther.
SECOND_PASS_SHIFT_MM = 3.0


def extract_face(surface: Surface, face_from_scan: NDArray[np.float64]) -> Surface:
    """Cut out the region of interest and move it into the face frame.

    Parameters
    ----------
    surface : Surface
        The whole scan.
    face_from_scan : ndarray of shape (4, 4)
        The pose.

    Returns
    -------
    Surface
        Triangles inside the ball round the face, in millimetres of the face frame.
    """
    scan_from_face = invert_similarity(face_from_scan)
    centre = apply_similarity(scan_from_face, np.array(REGION_CENTRE_MM))
    offset = surface.points_mm - centre
    reach = REGION_RADIUS_MM * similarity_scale(scan_from_face)
    inside = np.einsum("ij,ij->i", offset, offset) < reach**2
    return move_surface(crop_surface(surface, inside), face_from_scan)


def move_surface(surface: Surface, matrix: NDArray[np.float64]) -> Surface:
    """The surface after a similarity transform."""
    return replace(
        surface,
        points_mm=apply_similarity(matrix, surface.points_mm),
        normals=rotate_directions(matrix, surface.normals),
        long_triangles=None,
    )


def move_cloud(cloud: PointCloud, matrix: NDArray[np.float64]) -> PointCloud:
    """The cloud after a similarity transform."""
    return PointCloud(
        apply_similarity(matrix, cloud.points_mm), rotate_directions(matrix, cloud.normals)
    )


def sample_coarse(face: Surface) -> PointCloud:
    """The whole region at the coarse spacing, for the atlas fit and the outer half of patches."""
    return sample_surface(face, COARSE_SPACING_MM)


def sample_fine(face: Surface, centres_mm: NDArray[np.float64]) -> PointCloud:
    """The surroundings of the centres at the fine spacing, for the inner half of patches."""
    reach = FINE_RADIUS_MM + SECOND_PASS_SHIFT_MM
    corners = face.points_mm[face.triangles]
    middles = corners.mean(axis=1)
    extents = np.sqrt(((corners - middles[:, None]) ** 2).sum(axis=2).max(axis=1))
    distance, _ = cKDTree(centres_mm).query(middles)
    return sample_surface(face, FINE_SPACING_MM, triangle_mask=distance < reach + extents)
