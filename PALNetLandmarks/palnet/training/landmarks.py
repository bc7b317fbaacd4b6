# SPDX-License-Identifier: Apache-2.0
"""Train the landmark network on stored patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from palnet.network.landmarks import OFFSET_UNIT_MM
from palnet.network.sizes import grow_weights
from palnet.network.torch_landmarks import LandmarkNetwork
from palnet.training.batches import draw_batch, take_nearest
from palnet.training.loop import choose_device, run_loop, start_generator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from palnet.network.layers import Weights
    from palnet.network.sizes import NetworkSize
    from palnet.training.batches import Drawing, PatchTensors
    from palnet.training.loop import OneCycleSettings

__all__ = [
    "begin_network",
    "landmark_loss",
    "position_loss",
    "spread_loss",
    "train_landmark_network",
    "validation_error_mm",
]

# Scans per forward pass in validation.
VALIDATED_TOGETHER = 24
# Loss weights: the paper's 0.6 for points and 0.4 for distances; small for spread and visibility.
POINT_SHARE, DISTANCE_SHARE, SPREAD_SHARE, VISIBILITY_SHARE = 0.6, 0.4, 0.1, 0.1
# A hidden landmark still has a plausible position, so it gets a small weight.
HIDDEN_WEIGHT = 0.1


def begin_network(
    n_landmarks: int, size: NetworkSize, seed: int, start: Weights | None = None
) -> LandmarkNetwork:
    """Create the network to train, either new or from the weights of an earlier round.

    Parameters
    ----------
    n_landmarks : int
        Number of landmarks in the scheme.
    size : NetworkSize
        Size of the network.
    seed : int
        Seed for the new weights.
    start : mapping of str to ndarray, optional
        State dict from an earlier round, of this size or a smaller one.

    Returns
    -------
    LandmarkNetwork
        Gives the same output as the earlier round's network, if there is one.
    """
    torch.manual_seed(seed)
    network = LandmarkNetwork(n_landmarks, size)
    if start is None:
        return network
    fresh = {name: weight.numpy() for name, weight in network.state_dict().items()}
    return LandmarkNetwork.from_weights(grow_weights(start, fresh))


def train_landmark_network(
    network: LandmarkNetwork,
    train: PatchTensors,
    validation: PatchTensors,
    mirror: Sequence[int],
    folder: Path,
    settings: OneCycleSettings,
    *,
    drawing: Drawing,
) -> dict[str, NDArray[np.float32]]:
    """Train the network in place and return its weights.

    Parameters
    ----------
    network : LandmarkNetwork
        The network, which is modified.
    train, validation : PatchTensors
        Patches of different people, on the device from `choose_device`.
    mirror : sequence of int
        The landmark on the other side, for each landmark.
    folder : Path
        Where checkpoint and curve are written.
    settings : OneCycleSettings
        Steps, learning rate, seed, parts of a batch.
    drawing : Drawing
        How scans and points are drawn.

    Returns
    -------
    dict of str to ndarray
        The state dict.
    """
    device = choose_device()
    network.to(device)
    other_side = torch.tensor(list(mirror), device=device)

    def draw_loss(network: torch.nn.Module, rng: np.random.Generator, _step: int) -> torch.Tensor:
        generator = start_generator(rng, device)
        n_scans, size = len(train.points), (drawing.part_size,)
        chosen = torch.randint(n_scans, size, generator=generator, device=device)
        batch = draw_batch(train, chosen, other_side, generator, drawing)
        raw = network(batch.points, batch.share, batch.centres_mm)
        return landmark_loss(raw.float(), batch.centres_mm, batch.truth_mm, batch.visible)

    def validate(network: torch.nn.Module) -> float:
        return validation_error_mm(network, validation)

    run_loop(network, draw_loss, settings, folder, validate)
    return {name: value.numpy() for name, value in network.cpu().state_dict().items()}


def validation_error_mm(network: torch.nn.Module, validation: PatchTensors) -> float:
    """Compute the mean error of the visible landmarks from the first starts.

    Parameters
    ----------
    network : torch.nn.Module
        On the device of the patches, in evaluation mode.
    validation : PatchTensors
        The stored patches.

    Returns
    -------
    float
        Millimetres of the face frame.
    """
    errors = []
    everybody = torch.arange(len(validation.points), device=validation.points.device)
    for scans in torch.split(everybody, VALIDATED_TOGETHER):
        batch = take_nearest(validation, scans, torch.zeros_like(scans))
        with torch.no_grad():
            raw = network(batch.points, batch.share, batch.centres_mm)
        found = raw[..., :3] * OFFSET_UNIT_MM + batch.centres_mm
        error = torch.linalg.vector_norm(found - batch.truth_mm, dim=2)
        errors.append(error[batch.visible])
    return float(torch.cat(errors).mean())


def landmark_loss(
    raw: torch.Tensor, centres_mm: torch.Tensor, truth_mm: torch.Tensor, visible: torch.Tensor
) -> torch.Tensor:
    """Compute the loss of a batch.

    Parameters
    ----------
    raw : Tensor of shape (batch, n_landmarks, 5)
        The network's output.
    centres_mm, truth_mm : Tensor of shape (batch, n_landmarks, 3)
        Centres of the patches and true landmarks.
    visible : Tensor of shape (batch, n_landmarks)
        Which landmarks are visible in the scan.

    Returns
    -------
    Tensor
        A scalar; its main terms are in millimetres.
    """
    weight = torch.where(visible, 1.0, HIDDEN_WEIGHT)
    predicted = raw[..., :3] * OFFSET_UNIT_MM + centres_mm
    error = torch.linalg.vector_norm(predicted - truth_mm, dim=2)
    spread = (spread_loss(raw, error) * weight).sum() / weight.sum()
    shown = torch.nn.functional.binary_cross_entropy_with_logits(raw[..., 4], visible.float())
    loss: torch.Tensor = (
        position_loss(predicted, truth_mm, weight)
        + SPREAD_SHARE * spread
        + VISIBILITY_SHARE * shown
    )
    return loss


def spread_loss(raw: torch.Tensor, error_mm: torch.Tensor) -> torch.Tensor:
    """Negative Laplace log-likelihood of each error, which is detached, (batch, n_landmarks)."""
    log_spread = raw[..., 3]
    return error_mm.detach() * torch.exp(-log_spread) + log_spread


def position_loss(
    predicted_mm: torch.Tensor, truth_mm: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """0.6 x mean landmark distance + 0.4 x mean difference of pairwise distances, weighted.

    Parameters
    ----------
    predicted_mm, truth_mm : Tensor of shape (batch, n_landmarks, 3)
        Landmarks.
    weight : Tensor of shape (batch, n_landmarks)
        Weight of each landmark; a pair has the product of its two.

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
