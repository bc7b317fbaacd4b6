# SPDX-License-Identifier: Apache-2.0
"""Simulation of a capture system: what its cameras see, how it smooths, where it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from palnet.synthesis.fields import smooth_step, wave_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.synthesis.presets import CapturePreset

__all__ = [
    "compute_vertex_normals",
    "cut_holes",
    "draw_crop",
    "find_seen_points",
    "laplacian_matrix",
    "roughen",
    "smear",
]

CELL_MM = 4.0
DEPTH_TOLERANCE_MM = 7.0


def compute_vertex_normals(
    points_mm: NDArray[np.float32], triangles: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Compute area-weighted unit normals of the points, shape (n_points, 3)."""
    corners = [points_mm[:, axis][triangles.T] for axis in range(3)]
    (x1, y1, z1), (x2, y2, z2) = (
        tuple(values[k] - values[0] for values in corners) for k in (1, 2)
    )
    weighted = (y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2)
    normals = np.zeros_like(points_mm)
    for axis, values in enumerate(weighted):
        for corner in triangles.T:
            normals[:, axis] += np.bincount(corner, values, minlength=len(points_mm))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.maximum(length, 1e-12), dtype=np.float32)


def find_seen_points(
    points_mm: NDArray[np.float32],
    normals: NDArray[np.float32],
    preset: CapturePreset,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Find the points seen by at least one camera: facing it and not occluded.

    Parameters
    ----------
    points_mm, normals : ndarray of shape (n_points, 3)
        Everything in front of the cameras.
    preset : CapturePreset
        The cameras; each is rotated by a few degrees at random.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_points,)
        True where seen.
    """
    if not preset.camera_angles_deg:
        return np.ones(len(points_mm), dtype=bool)
    seen = np.zeros(len(points_mm), dtype=bool)
    grazing = rng.uniform(0.1, 0.3)
    for azimuth, elevation in preset.camera_angles_deg:
        turn = np.radians([azimuth + rng.normal(0, 5), elevation + rng.normal(0, 5)])
        seen |= _seen_from(points_mm, normals, *turn, grazing=grazing)
    return seen


def _seen_from(
    points_mm: NDArray[np.float32],
    normals: NDArray[np.float32],
    azimuth_rad: float,
    elevation_rad: float,
    *,
    grazing: float,
) -> NDArray[np.bool_]:
    """Find the points seen by one distant camera, with a depth buffer."""
    flat = np.cos(elevation_rad)
    towards = np.array(
        [np.sin(azimuth_rad) * flat, np.sin(elevation_rad), np.cos(azimuth_rad) * flat]
    ).astype(np.float32)
    right = np.array([np.cos(azimuth_rad), 0, -np.sin(azimuth_rad)], dtype=np.float32)
    up = np.cross(towards, right)
    depth = points_mm @ towards
    column = np.floor(points_mm @ right / CELL_MM).astype(np.int64)
    row = np.floor(points_mm @ up / CELL_MM).astype(np.int64)
    column -= column.min()
    row -= row.min()
    cell = row * (column.max() + 1) + column
    nearest = np.full(int(cell.max()) + 1, -np.inf, dtype=np.float32)
    np.maximum.at(nearest, cell, depth)
    facing = np.clip(normals @ towards, 0.05, 1)
    # A slanted surface spans this much depth within one cell.
    slant_mm = CELL_MM * np.sqrt(1 - facing**2) / facing
    in_front = depth > nearest[cell] - DEPTH_TOLERANCE_MM - slant_mm
    return np.asarray((facing > grazing) & in_front)


def laplacian_matrix(triangles: NDArray[np.int32], n_points: int) -> sparse.csr_array:
    """Build the matrix that averages the neighbours of each point, shape (n_points, n_points)."""
    rows = triangles[:, [0, 1, 1, 2, 2, 0]].ravel()
    columns = triangles[:, [1, 0, 2, 1, 0, 2]].ravel()
    links = sparse.coo_array(
        (np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n_points, n_points)
    ).tocsr()
    degree = np.asarray(links.sum(axis=1)).ravel()
    alone = sparse.diags_array((degree == 0).astype(np.float32))
    scale = sparse.diags_array((1 / np.maximum(degree, 1)).astype(np.float32))
    return sparse.csr_array(scale @ links + alone)


def smear(
    points_mm: NDArray[np.float32],
    average: sparse.csr_array,
    amount: NDArray[np.float32] | float,
    n_steps: int,
) -> NDArray[np.float32]:
    """Average each point with its neighbours n times, by `amount` (0 to 1, scalar or per point)."""
    amounts = np.broadcast_to(np.asarray(amount, dtype=np.float32), len(points_mm))
    moving = np.flatnonzero(amounts > 0.02)
    weight = np.float32(0.7) * amounts[moving, None]
    mean_of = average[moving]
    smeared = points_mm.astype(np.float32)
    for _ in range(n_steps):
        smeared[moving] += weight * (mean_of @ smeared - smeared[moving])
    return smeared


def roughen(
    points_mm: NDArray[np.float32],
    normals: NDArray[np.float32],
    preset: CapturePreset,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Add white noise, spatially correlated ripple, and small shifts along the surface."""
    n_points = len(points_mm)
    white = rng.uniform(*preset.noise_mm) * rng.normal(size=n_points)
    ripple = rng.uniform(*preset.ripple_mm) * (
        0.7 * wave_field(rng, points_mm, (3, 9), 20) + 0.7 * wave_field(rng, points_mm, (9, 40))
    )
    patchy = 0.5 + smooth_step(wave_field(rng, points_mm, (30, 150)), 0.6)
    slip = 0.15 * rng.normal(size=points_mm.shape)
    slip -= np.einsum("ij,ij->i", slip, normals)[:, None] * normals
    along = (white + ripple) * patchy
    return np.asarray(points_mm + along[:, None] * normals + slip, dtype=np.float32)


def cut_holes(
    points_mm: NDArray[np.float32],
    likely: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Mark the points in zero to five ragged holes, more frequent where `likely` is high."""
    lost = np.zeros(len(points_mm), dtype=bool)
    n_holes = int(rng.choice([0, 1, 2, 3, 5], p=[0.4, 0.2, 0.2, 0.1, 0.1]))
    chance = likely / likely.sum()
    for centre in points_mm[rng.choice(len(points_mm), size=n_holes, p=chance)]:
        radius = rng.uniform(2, 13)
        ragged = 1 + 0.25 * wave_field(rng, points_mm, (6, 25))
        lost |= np.linalg.norm(points_mm - centre, axis=1) < radius * ragged
    return lost


def draw_crop(points_mm: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark the points that a user keeps: all, without back or neck, or a tight crop of the face."""
    kept = np.ones(len(points_mm), dtype=bool)
    style = rng.choice(["whole", "back", "neck", "both", "round", "square"])
    x, y, z = points_mm.T
    if style in ("back", "both"):
        kept &= z > rng.uniform(-70, 15)
    if style in ("neck", "both"):
        kept &= y > rng.uniform(-170, -85) + 0.3 * rng.normal() * (z - 60)
    if style == "round":
        centre = np.array([rng.normal(0, 5), rng.uniform(5, 30), rng.uniform(40, 90)])
        kept &= np.linalg.norm(points_mm - centre, axis=1) < rng.uniform(88, 140)
    if style == "square":
        kept &= np.abs(x - rng.normal(0, 5)) < rng.uniform(58, 90)
        kept &= (y < rng.uniform(65, 115)) & (y > rng.uniform(-105, -70))
        kept &= z > rng.uniform(-20, 45)
    return np.asarray(kept)
