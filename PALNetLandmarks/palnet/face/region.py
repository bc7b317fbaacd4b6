# SPDX-License-Identifier: Apache-2.0
"""The region of interest: the part of a scan that can belong to the face, in the face frame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from palnet.network.patches import COARSE_SPACING_MM, FINE_RADIUS_MM, FINE_SPACING_MM
from palnet.similarity import (
    apply_similarity,
    invert_similarity,
    rotate_directions,
    similarity_scale,
)
from palnet.surface import PointCloud, crop_surface, find_long_triangles, sample_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface import Surface

__all__ = ["extract_face", "move_cloud", "move_surface", "sample_coarse", "sample_fine"]

# Centre and radius of the ball that bounds the region of interest: both ears, the chin, the
# hairline of a large head, and a margin for a pose that is 20 mm off.
REGION_CENTRE_MM = (0.0, 10.0, 45.0)
REGION_RADIUS_MM = 145.0
# Later passes may start this far from the first, so fine points are sampled that much farther.
SECOND_PASS_SHIFT_MM = 3.0
# To find what is near a centre: the size of the grid cells, and the edge length up to which a
# triangle is found by its corners.
MARK_CELL_MM, LONGEST_SHORT_EDGE_MM = 6.0, 6.0


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
        Triangles inside the ball around the face, in millimetres of the face frame.
    """
    scan_from_face = invert_similarity(face_from_scan)
    centre = apply_similarity(scan_from_face, np.array(REGION_CENTRE_MM))
    offset = surface.points_mm - centre
    reach = REGION_RADIUS_MM * similarity_scale(scan_from_face)
    inside = np.einsum("ij,ij->i", offset, offset) < reach**2
    region = crop_surface(surface, inside)
    # Computed once for everything that is sampled from the region.
    region = replace(region, long_triangles=find_long_triangles(region))
    return move_surface(region, face_from_scan)


def move_surface(surface: Surface, matrix: NDArray[np.float64]) -> Surface:
    """Transform a surface by a similarity."""
    sizes = surface.long_triangles
    return replace(
        surface,
        points_mm=apply_similarity(matrix, surface.points_mm),
        normals=rotate_directions(matrix, surface.normals),
        long_triangles=sizes and sizes.scaled(similarity_scale(matrix)),
    )


def move_cloud(cloud: PointCloud, matrix: NDArray[np.float64]) -> PointCloud:
    """Transform a cloud by a similarity."""
    return PointCloud(
        apply_similarity(matrix, cloud.points_mm), rotate_directions(matrix, cloud.normals)
    )


def sample_coarse(face: Surface) -> PointCloud:
    """Sample the whole region coarsely, for the atlas fit and the outer half of patches."""
    return sample_surface(face, COARSE_SPACING_MM)


def sample_fine(face: Surface, centres_mm: NDArray[np.float64]) -> PointCloud:
    """Sample around the centres finely, for the inner half of patches."""
    reach_mm = FINE_RADIUS_MM + SECOND_PASS_SHIFT_MM
    near = _mark_near(face.points_mm, centres_mm, reach_mm + LONGEST_SHORT_EDGE_MM / 2)
    first, second, third = (near.take(column) for column in face.triangles.T)
    mask = first | second | third
    # A longer triangle may pass near a centre with all its corners far away.
    limit_mm, rest = find_long_triangles(face)
    rest = np.arange(len(mask)) if limit_mm > LONGEST_SHORT_EDGE_MM else rest
    rest = rest[~mask[rest]]
    corners = face.points_mm[face.triangles[rest]]
    edges = corners - corners[:, [1, 2, 0]]
    is_long = np.einsum("ijk,ijk->ij", edges, edges).max(axis=1) > LONGEST_SHORT_EDGE_MM**2
    corners = corners[is_long]
    middles = corners.mean(axis=1)
    extents = np.linalg.norm(corners - middles[:, None], axis=2).max(axis=1, initial=0.0)
    distance, _ = cKDTree(centres_mm).query(middles)
    mask[rest[is_long]] = distance < reach_mm + extents
    return sample_surface(face, FINE_SPACING_MM, triangle_mask=mask)


def _mark_near(
    points_mm: NDArray[np.float64], centres_mm: NDArray[np.float64], reach_mm: float
) -> NDArray[np.bool_]:
    """Mark points in grid cells that a centre may reach (including some a bit farther)."""
    low = centres_mm.min(axis=0) - reach_mm - MARK_CELL_MM
    shape = np.ceil((np.ptp(centres_mm, axis=0) + 2 * reach_mm) / MARK_CELL_MM).astype(int) + 2
    cells = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    middles = low + (cells.reshape(-1, 3) + 0.5) * MARK_CELL_MM
    farthest_mm = reach_mm + MARK_CELL_MM * np.sqrt(0.75)
    distance, _ = cKDTree(centres_mm).query(middles, distance_upper_bound=farthest_mm)
    marked = np.isfinite(distance).reshape(tuple(shape))
    inside = np.ones(len(points_mm), dtype=bool)
    flat = np.zeros(len(points_mm), dtype=np.int64)
    for axis in range(3):  # by columns, which is several times faster
        index = np.floor((points_mm[:, axis] - low[axis]) / MARK_CELL_MM)
        inside &= (index >= 0) & (index < shape[axis])
        flat = flat * shape[axis] + index.astype(np.int64)
    flat[~inside] = 0
    return np.asarray(inside & marked.ravel()[flat])
