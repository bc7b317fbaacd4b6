# SPDX-License-Identifier: Apache-2.0
"""Train the two pose networks: one finds the face in any rotation, the other refines the pose."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from palnet.network.pose import CROP_RADIUS_MM, KEY_POINTS_MM, N_POSE_POINTS, POSE_UNIT_MM
from palnet.network.torch_pose import PoseNetwork
from palnet.similarity import (
    apply_similarity,
    compose_similarity,
    fit_similarity,
    invert_similarity,
    rotate_directions,
    similarity_scale,
)
from palnet.synthesis.folder import read_generated_scan
from palnet.training.loop import OneCycleSettings, choose_device, export_weights, run_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.synthesis.scans import GeneratedScan

    Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
    BatchDrawer = Callable[["PoseClouds", np.random.Generator, int], Batch]

__all__ = [
    "PoseClouds",
    "draw_coarse_batch",
    "draw_fine_batch",
    "draw_similarity",
    "load_clouds",
    "train_pose_networks",
]

logger = logging.getLogger(__name__)

BATCH_SIZE = 64
N_STORED_POINTS = 3000
# Standard deviations of the start of the refining network.
START_ANGLE_DEG, START_SHIFT_MM, START_LOG_SCALE = 28.0, 18.0, 0.12
# Many labs crop their scans to the face. Share of scans that are cropped, range of the radius of
# the cropping sphere about a point between the middle of the face and the tip of the nose, and
# shift of that point, in millimetres of the face frame. Gnathion is 78 mm from the middle, ears and
# hairline are 90 mm.
CUT_SHARE, CUT_RADII_MM, CUT_SHIFT_MM = 0.35, (70.0, 130.0), 10.0


@dataclass(frozen=True, eq=False)
class PoseClouds:
    """Training clouds: points and normals (n_scans, n_stored, 6) and the true pose of each."""

    clouds: NDArray[np.float32]
    scan_from_face: NDArray[np.float64]


def load_clouds(paths: Sequence[Path], atlas: FaceAtlas, *, seed: int) -> PoseClouds:
    """Sample every scan of a folder evenly over its area."""
    rng = np.random.default_rng(seed)
    clouds = np.zeros((len(paths), N_STORED_POINTS, 6), dtype=np.float32)
    poses = np.zeros((len(paths), 4, 4))
    for i, path in enumerate(paths):
        scan = read_generated_scan(path)
        clouds[i] = _sample_area(scan, rng)
        poses[i] = fit_similarity(atlas.landmark_mean_mm, scan.landmarks_mm)
    return PoseClouds(clouds, poses)


def _sample_area(scan: GeneratedScan, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sample points and normals (n_stored, 6) evenly over the area."""
    corners = scan.points_mm[scan.triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    chosen = rng.choice(len(area), size=N_STORED_POINTS, p=area / area.sum())
    u, v = rng.random((2, N_STORED_POINTS, 1)).astype(np.float32)
    outside = u + v > 1
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    a, b, c = corners[chosen].transpose(1, 0, 2)
    normals = cross[chosen] / np.maximum(area[chosen, None], 1e-9)
    return np.concatenate([a + u * (b - a) + v * (c - a), normals], axis=1).astype(np.float32)


def draw_coarse_batch(
    data: PoseClouds, rng: np.random.Generator, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw whole scans in any rotation: clouds (size, n, 6) and key points (size, 7, 3)."""
    inputs = np.zeros((size, N_POSE_POINTS, 6), dtype=np.float32)
    targets = np.zeros((size, len(KEY_POINTS_MM), 3), dtype=np.float32)
    for i in range(size):
        cloud, key_points = _draw_scan(data, rng)
        picked = _pick(cloud, rng)
        centre = picked[:, :3].mean(axis=0)
        turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
        frame = compose_similarity(np.exp(rng.normal(0, 0.08)), turn, np.zeros(3))
        inputs[i], targets[i] = _express(picked, key_points, frame, centre)
    return inputs, targets


def draw_fine_batch(
    data: PoseClouds, rng: np.random.Generator, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw scans cropped around a guess of the pose, in its frame."""
    inputs = np.zeros((size, N_POSE_POINTS, 6), dtype=np.float32)
    targets = np.zeros((size, len(KEY_POINTS_MM), 3), dtype=np.float32)
    for i in range(size):
        cloud, key_points = _draw_scan(data, rng)
        true_pose = fit_similarity(key_points, KEY_POINTS_MM)
        start = draw_similarity(rng, START_ANGLE_DEG, START_SHIFT_MM, START_LOG_SCALE)
        frame = start @ true_pose
        centre = apply_similarity(invert_similarity(frame), KEY_POINTS_MM[0])
        radius = CROP_RADIUS_MM / similarity_scale(frame)
        near = cloud[np.linalg.norm(cloud[:, :3] - centre, axis=1) < radius]
        frame = compose_similarity(1.0, frame[:3, :3], np.zeros(3))
        inputs[i], targets[i] = _express(_pick(near, rng), key_points, frame, centre)
    return inputs, targets


def _draw_scan(
    data: PoseClouds, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Draw a stored cloud with key points: cropped, mirrored, with stray points, or unchanged."""
    i = int(rng.integers(len(data.clouds)))
    cloud = data.clouds[i]
    key_points = apply_similarity(data.scan_from_face[i], KEY_POINTS_MM)
    if rng.random() < CUT_SHARE:
        size = similarity_scale(data.scan_from_face[i])
        middle, front = key_points[[0, 5]]  # 80 mm apart; the tip of the nose is halfway
        centre = middle + rng.uniform(0, 0.5) * (front - middle)
        centre = centre + rng.normal(0, CUT_SHIFT_MM * size, 3)
        radius = size * rng.uniform(*CUT_RADII_MM)
        cloud = cloud[np.linalg.norm(cloud[:, :3] - centre, axis=1) < radius]
    if rng.random() < 0.5:
        mirror = np.array([-1.0, 1, 1])
        cloud = cloud * np.tile(mirror, 2).astype(np.float32)
        key_points = key_points * mirror
        key_points[[1, 2]] = key_points[[2, 1]]
    if rng.random() < 0.25:
        other = data.clouds[int(rng.integers(len(data.clouds)))]
        centre = other[rng.integers(len(other)), :3]
        near = np.linalg.norm(other[:, :3] - centre, axis=1) < rng.uniform(20, 90)
        piece = other[near & (rng.random(len(other)) < 0.8)].copy()
        direction = rng.normal(size=3)
        away = direction / np.linalg.norm(direction) * rng.uniform(140, 400)
        piece[:, :3] += away - centre
        cloud = np.concatenate([cloud, piece])
    return cloud, key_points


def draw_similarity(
    rng: np.random.Generator, angle_deg: float, shift_mm: float, log_scale: float
) -> NDArray[np.float64]:
    """Draw a similarity near the identity, rotating about the middle of the face.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    angle_deg, shift_mm, log_scale : float
        Standard deviations; the angle is at most 80 degrees.

    Returns
    -------
    ndarray of shape (4, 4)
        The similarity, in the face frame.
    """
    axis = rng.normal(size=3)
    angle = np.radians(np.clip(abs(rng.normal(0, angle_deg)), 0, 80))
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()
    scale = np.exp(rng.normal(0, log_scale))
    middle = KEY_POINTS_MM[0]
    return compose_similarity(
        scale, turn, middle - scale * turn @ middle + rng.normal(0, shift_mm, 3)
    )


def _pick(cloud: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw as many points as the network takes, with repeats from small clouds."""
    return cloud[rng.choice(len(cloud), N_POSE_POINTS, replace=len(cloud) < N_POSE_POINTS)]


def _express(
    cloud: NDArray[np.float32],
    key_points: NDArray[np.float64],
    frame: NDArray[np.float64],
    centre: NDArray[np.floating],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Express cloud and key points in a frame about a centre, in the network's unit."""
    positions = apply_similarity(frame, cloud[:, :3] - centre) / POSE_UNIT_MM
    normals = rotate_directions(frame, cloud[:, 3:])
    targets = apply_similarity(frame, key_points - centre) / POSE_UNIT_MM
    return np.concatenate([positions, normals], axis=1).astype(np.float32), targets.astype(
        np.float32
    )


def train_pose_networks(
    train: PoseClouds, validation: PoseClouds, folder: Path, *, n_steps: tuple[int, int], seed: int
) -> dict[str, NDArray[np.float32]]:
    """Train both networks.

    Parameters
    ----------
    train, validation : PoseClouds
        Clouds of different people.
    folder : Path
        Where a subfolder with checkpoint and curve is written for each network.
    n_steps : tuple of int
        Number of batches for the finding and for the refining network.
    seed : int
        Random seed.

    Returns
    -------
    dict of str to ndarray
        Weights with the prefixes ``pose_coarse.`` and ``pose_fine.``.
    """
    weights: dict[str, NDArray[np.float32]] = {}
    drawers = {"pose_coarse": draw_coarse_batch, "pose_fine": draw_fine_batch}
    for (name, draw), steps in zip(drawers.items(), n_steps, strict=True):
        torch.manual_seed(seed)
        device = choose_device()
        network = PoseNetwork().to(device)

        def draw_loss(
            network: torch.nn.Module,
            rng: np.random.Generator,
            _step: int,
            draw: BatchDrawer = draw,
        ) -> torch.Tensor:
            return _mean_distance(network, draw(train, rng, BATCH_SIZE)).mean()

        def validate(network: torch.nn.Module, draw: BatchDrawer = draw) -> float:
            batch = draw(validation, np.random.default_rng(0), 4 * BATCH_SIZE)
            with torch.no_grad():
                return float(_mean_distance(network, batch).median()) * POSE_UNIT_MM

        run_loop(network, draw_loss, OneCycleSettings(steps, seed=seed), folder / name, validate)
        weights.update({f"{name}.{key}": w for key, w in export_weights(network).items()})
    return weights


def _mean_distance(
    network: torch.nn.Module, batch: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> torch.Tensor:
    """Mean distance of the key points from the truth for each cloud."""
    device = next(network.parameters()).device
    clouds, targets = (torch.from_numpy(values).to(device) for values in batch)
    apart: torch.Tensor = torch.linalg.vector_norm(network(clouds) - targets, dim=2)
    return apart.mean(dim=1)
