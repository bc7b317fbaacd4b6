# SPDX-License-Identifier: Apache-2.0
"""Train the landmark network on stored patches."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from palnet.network.landmarks import OFFSET_UNIT_MM, mirror_patches
from palnet.network.torch_landmarks import LandmarkNetwork
from palnet.patches import RANKS
from palnet.training.loop import LoopSettings, choose_device, run_loop
from palnet.training.recipe import MOST_DRAWN
from palnet.training.warping import warp_patches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.network.layers import Weights
    from palnet.training.patches import TrainingPatches

    Batch = tuple[torch.Tensor, ...]

__all__ = ["Drawing", "draw_batch", "landmark_loss", "position_loss", "train_landmark_network"]

logger = logging.getLogger(__name__)

# Scans for a validation at once.
VALIDATED_TOGETHER = 24
# Augmentation of the stored patches.
TURN_DEG, SCALE_SPREAD, CENTRE_SHIFT_MM, POINT_NOISE_MM, NORMAL_NOISE = 3.0, 0.02, 0.8, 0.05, 0.06
FIRST_PASS_SHARE = 0.65
# Loss: the paper's 0.6 point-wise and 0.4 distance-wise, and small terms for spread and visibility.
POINT_SHARE, DISTANCE_SHARE, SPREAD_SHARE, VISIBILITY_SHARE = 0.6, 0.4, 0.1, 0.1
# A hidden landmark still says a little: where it would be.
HIDDEN_WEIGHT = 0.1


@dataclass(frozen=True)
class Drawing:
    """How scans and points are drawn in training.

    Attributes
    ----------
    part_size : int
        Scans of each part of a batch.
    n_drawn : int
        Points of each half of a patch, at most `MOST_DRAWN`: the more, the nearer to a detection,
        which takes 96.
    warp : float
        How far faces are warped, 0 to 1 (`palnet.training.warping`).
    """

    part_size: int = 24
    n_drawn: int = 32
    warp: float = 0.0


_PLAIN = Drawing()


def train_landmark_network(
    train: TrainingPatches,
    validation: TrainingPatches,
    mirror: Sequence[int],
    folder: Path,
    settings: LoopSettings,
    *,
    drawing: Drawing = _PLAIN,
    start: Weights | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Train the network and return its weights.

    Parameters
    ----------
    train, validation : TrainingPatches
        Patches of different people.
    mirror : sequence of int
        The landmark on the other side, for each landmark.
    folder : Path
        Gets checkpoint and curve.
    settings : LoopSettings
        Steps, rate, seed, parts of a batch.
    drawing : Drawing
        How scans and points are drawn.
    start : mapping of str to ndarray, optional
        What an earlier round returned, to go on from.

    Returns
    -------
    dict of str to ndarray
        The state under torch's names.
    """
    torch.manual_seed(settings.seed)
    device = choose_device()
    network = LandmarkNetwork(train.truth_mm.shape[1]).to(device)
    if start is not None:
        network.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in start.items()})
    other_side = np.asarray(mirror)
    check = draw_batch(validation, np.arange(len(validation.truth_mm)), other_side, None)

    def draw_loss(network: torch.nn.Module, rng: np.random.Generator, _step: int) -> torch.Tensor:
        chosen = rng.integers(len(train.truth_mm), size=drawing.part_size)
        batch = draw_batch(train, chosen, other_side, rng, drawing)
        points, share, centres, truth, visible = (values.to(device) for values in batch)
        raw = network(points, share, centres)
        return landmark_loss(raw.float(), centres, truth, visible)

    def validate(network: torch.nn.Module) -> float:
        errors = []
        parts = (torch.split(values, VALIDATED_TOGETHER) for values in check)
        for batch in zip(*parts, strict=True):
            points, share, centres, truth, visible = (values.to(device) for values in batch)
            with torch.no_grad():
                raw = network(points, share, centres)
            error = torch.linalg.vector_norm(raw[..., :3] * OFFSET_UNIT_MM + centres - truth, dim=2)
            errors.append(error[visible])
        return float(torch.cat(errors).mean())

    run_loop(network, draw_loss, settings, folder, validate)
    return {name: value.numpy() for name, value in network.cpu().state_dict().items()}


def landmark_loss(
    raw: torch.Tensor, centres_mm: torch.Tensor, truth_mm: torch.Tensor, visible: torch.Tensor
) -> torch.Tensor:
    """The loss of a batch.

    Parameters
    ----------
    raw : Tensor of shape (batch, n_landmarks, 5)
        The network's output.
    centres_mm, truth_mm : Tensor of shape (batch, n_landmarks, 3)
        Centres of the patches and true landmarks.
    visible : Tensor of shape (batch, n_landmarks)
        Which landmarks the scan shows.

    Returns
    -------
    Tensor
        A scalar, millimetres in its main terms.
    """
    weight = torch.where(visible, 1.0, HIDDEN_WEIGHT)
    predicted = raw[..., :3] * OFFSET_UNIT_MM + centres_mm
    error = torch.linalg.vector_norm(predicted - truth_mm, dim=2)
    # Laplace likelihood of the error that was made, without a pull on the position.
    log_spread = raw[..., 3]
    spread = error.detach() * torch.exp(-log_spread) + log_spread
    spread = (spread * weight).sum() / weight.sum()
    shown = torch.nn.functional.binary_cross_entropy_with_logits(raw[..., 4], visible.float())
    loss: torch.Tensor = (
        position_loss(predicted, truth_mm, weight)
        + SPREAD_SHARE * spread
        + VISIBILITY_SHARE * shown
    )
    return loss


def position_loss(
    predicted_mm: torch.Tensor, truth_mm: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """0.6 x mean landmark distance + 0.4 x mean difference of pairwise distances, weighted.

    Parameters
    ----------
    predicted_mm, truth_mm : Tensor of shape (batch, n_landmarks, 3)
        Landmarks.
    weight : Tensor of shape (batch, n_landmarks)
        How much each counts; a pair counts as the product.

    Returns
    -------
    Tensor
        A scalar, in millimetres.
    """
    error = torch.linalg.vector_norm(predicted_mm - truth_mm, dim=2)
    point_wise = (error * weight).sum() / weight.sum()
    pair_error = (_pair_distances(predicted_mm) - _pair_distances(truth_mm)).abs()
    pair_weight = weight[:, :, None] * weight[:, None]
    distance_wise = (pair_error * pair_weight).sum() / pair_weight.sum()
    loss: torch.Tensor = POINT_SHARE * point_wise + DISTANCE_SHARE * distance_wise
    return loss


def _pair_distances(points: torch.Tensor) -> torch.Tensor:
    """All distances between the landmarks of each face, (batch, n_landmarks, n_landmarks)."""
    apart = points[:, :, None] - points[:, None]
    # The small number keeps the gradient finite on the diagonal.
    return torch.sqrt(apart.square().sum(dim=3) + 1e-6)


def draw_batch(
    data: TrainingPatches,
    scans: NDArray[np.int64],
    mirror: NDArray[np.int64],
    rng: np.random.Generator | None,
    drawing: Drawing = _PLAIN,
) -> Batch:
    """Draw points of the stored patches, turned, scaled, shifted, mirrored and made noisy.

    Parameters
    ----------
    data : TrainingPatches
        The stored patches.
    scans : ndarray of shape (batch,)
        Which scans.
    mirror : ndarray of shape (n_landmarks,)
        The landmark on the other side.
    rng : numpy.random.Generator or None
        None draws the nearest points of the first start, unchanged.
    drawing : Drawing
        How many points are drawn, and how far faces are warped.

    Returns
    -------
    tuple of Tensor
        Points, share, centres, truth (mm, face frame) and visible.
    """
    n_half = data.points.shape[3] // 2
    if rng is None:
        start = np.zeros(len(scans), dtype=int)
        picked = np.concatenate([RANKS - 1, n_half + RANKS - 1])
    else:
        start = (rng.random(len(scans)) > FIRST_PASS_SHARE).astype(int)
        # Points lie sorted by distance: drawing from a random number of the nearest changes the
        # reach of the patch as other densities would.
        reach = int(rng.integers(MOST_DRAWN, n_half + 1))
        fine, coarse = (rng.choice(reach, drawing.n_drawn, replace=False) for _ in range(2))
        picked = np.concatenate([fine, n_half + coarse])
    # In C order: indexing leaves another, and `_augment` then turns a copy instead of the points.
    points = np.ascontiguousarray(data.points[scans, start][:, :, picked], dtype=np.float32)
    share = data.share[scans, start]
    centres = data.centres_mm[scans, start].copy()
    truth, visible = data.truth_mm[scans].copy(), data.visible[scans].copy()
    if rng is not None:
        if drawing.warp:
            warp_patches(points, centres, truth, start == 0, drawing.warp, rng)
        _augment(points, centres, truth, rng)
        flipped = rng.random(len(scans)) < 0.5
        points[flipped], centres[flipped] = mirror_patches(
            points[flipped], centres[flipped], mirror
        )
        share[flipped], visible[flipped] = share[flipped][:, mirror], visible[flipped][:, mirror]
        truth[flipped] = truth[flipped][:, mirror] * np.array([-1, 1, 1], dtype=np.float32)
    arrays = (points, share, centres.astype(np.float32), truth, visible)
    return tuple(torch.from_numpy(values) for values in arrays)


def _augment(
    points: NDArray[np.float32],
    centres: NDArray[np.float32],
    truth: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    """Turn and scale each face, shift the centres of its patches, and add noise, in place."""
    size = len(points)
    axes = rng.normal(0, np.radians(TURN_DEG), (size, 3))
    turns = Rotation.from_rotvec(axes).as_matrix().astype(np.float32).transpose(0, 2, 1)
    scales = np.exp(rng.normal(0, SCALE_SPREAD, (size, 1, 1))).astype(np.float32)
    flat = points.reshape(size, -1, 6)
    flat[..., :3] = flat[..., :3] @ turns * scales
    flat[..., 3:] = flat[..., 3:] @ turns
    centres[:] = centres @ turns * scales
    truth[:] = truth @ turns * scales
    shift = rng.normal(0, CENTRE_SHIFT_MM, centres.shape).astype(np.float32)
    centres += shift
    points[..., :3] -= shift[:, :, None]
    noise = rng.standard_normal(points.shape, dtype=np.float32)
    points[..., :3] += POINT_NOISE_MM * noise[..., :3]
    points[..., 3:] += NORMAL_NOISE * noise[..., 3:]
