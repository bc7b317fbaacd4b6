# SPDX-License-Identifier: Apache-2.0
"""Train the landmark network on stored patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from palnet.network.landmarks import OFFSET_UNIT_MM
from palnet.network.sizes import grow_weights
from palnet.network.torch_landmarks import LandmarkNetwork
from palnet.training.batches import draw_batch, take_nearest
from palnet.training.loop import choose_device, export_weights, run_loop, start_generator
from palnet.training.losses import landmark_loss

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from palnet.network.layers import Weights
    from palnet.network.sizes import NetworkSize
    from palnet.training.batches import Drawing, PatchTensors
    from palnet.training.loop import OneCycleSettings

__all__ = ["begin_network", "train_landmark_network", "validation_error_mm"]

# Scans per forward pass in validation.
VALIDATED_TOGETHER = 24


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
    return LandmarkNetwork.from_weights(grow_weights(start, export_weights(network)))


def train_landmark_network(
    network: LandmarkNetwork,
    train: PatchTensors,
    validation: PatchTensors,
    mirror: NDArray[np.int64],
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
    mirror : ndarray of shape (n_landmarks,)
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
    other_side = torch.tensor(mirror, device=device)

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
    return export_weights(network)


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
