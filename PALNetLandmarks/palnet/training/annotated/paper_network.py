# SPDX-License-Identifier: Apache-2.0
"""Train one of the paper's networks as described in the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from palnet.errors import ModelFileError
from palnet.network.torch_paper import PalNet
from palnet.training.loop import PlateauSettings, choose_device, read_state, run_loop, write_state
from palnet.training.losses import position_loss

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.training.annotated.cohort import PatchSet
    from palnet.training.annotated.protocol import PaperProtocol

__all__ = [
    "predict_landmarks",
    "read_network",
    "settings_of",
    "train_paper_network",
    "write_network",
]

# A checkpoint of the full network is 1 GB, so it is written only every this many epochs.
EPOCHS_BETWEEN_CHECKPOINTS = 10


def settings_of(protocol: PaperProtocol, n_train: int) -> PlateauSettings:
    """Convert the protocol's epochs to batches.

    Parameters
    ----------
    protocol : PaperProtocol
        The protocol.
    n_train : int
        Number of training scans.

    Returns
    -------
    PlateauSettings
        Settings for the loop.
    """
    training = protocol.training
    n_batches = -(-n_train // training.batch_size)
    return PlateauSettings(
        n_steps=n_batches * training.n_epochs,
        rate=training.rate,
        factor=training.plateau_factor,
        patience=training.plateau_patience,
        stop_after=training.stop_after,
        validate_every=n_batches,
        save_every=n_batches * EPOCHS_BETWEEN_CHECKPOINTS,
        seed=protocol.seed,
    )


def train_paper_network(
    train: PatchSet, validation: PatchSet, protocol: PaperProtocol, folder: Path
) -> PalNet:
    """Train with early stopping on the validation error.

    Parameters
    ----------
    train, validation : PatchSet
        Patches of different people, around the same mean landmarks.
    protocol : PaperProtocol
        Network, learning rates, epochs.
    folder : Path
        Where checkpoint and curve are written.

    Returns
    -------
    PalNet
        With the weights of the best epoch, on its device.
    """
    torch.manual_seed(protocol.seed)
    n_landmarks, n_points = train.patches.shape[1:3]
    network = PalNet(n_landmarks, n_points, protocol.variant)  # type: ignore[arg-type]  # checked
    device = choose_device()
    network.to(device)
    settings = settings_of(protocol, len(train.patches))
    size = protocol.training.batch_size

    def draw_loss(network: torch.nn.Module, _rng: np.random.Generator, step: int) -> torch.Tensor:
        epoch, batch = divmod(step, settings.validate_every)
        order = np.random.default_rng([protocol.seed, epoch]).permutation(len(train.patches))
        rows = order[batch * size : (batch + 1) * size]
        patches, truth, known = (
            torch.from_numpy(values[rows]).to(device)
            for values in (train.patches, train.truth_mm, train.known)
        )
        return position_loss(network(patches), truth, known.float())

    def validate(network: torch.nn.Module) -> float:
        predicted = predict_landmarks(network, validation.patches, size)
        error = np.linalg.norm(predicted - validation.truth_mm, axis=2)
        return float(error[validation.known].mean())

    run_loop(network, draw_loss, settings, folder, validate)
    return network


def predict_landmarks(
    network: torch.nn.Module, patches: NDArray[np.float32], batch_size: int = 16
) -> NDArray[np.float32]:
    """Run a network in evaluation mode.

    Parameters
    ----------
    network : torch.nn.Module
        One of the paper's networks.
    patches : ndarray of shape (n_scans, n_landmarks, n_points, 3)
        Patches.
    batch_size : int
        Scans per forward pass.

    Returns
    -------
    ndarray of shape (n_scans, n_landmarks, 3)
        Before the finish, in the frame of the patches.
    """
    device = next(network.parameters()).device
    found = []
    with torch.no_grad():
        for batch in torch.split(torch.from_numpy(patches), batch_size):
            found.append(network(batch.to(device)).cpu().numpy())
    return np.concatenate(found)


def write_network(network: PalNet, variant: str, means_mm: NDArray[np.float64], path: Path) -> None:
    """Write a trained network with the mean landmarks that its patches are centred on.

    Parameters
    ----------
    network : PalNet
        The network.
    variant : str
        Which of the paper's networks it is.
    means_mm : ndarray of shape (n_landmarks, 3)
        Mean landmarks of its training people.
    path : Path
        Output file; an existing file is replaced.
    """
    state = {
        "variant": variant,
        "n_points": network.n_points,
        "means_mm": torch.from_numpy(means_mm),
        "network": {name: weight.cpu() for name, weight in network.state_dict().items()},
    }
    write_state(state, path)


def read_network(path: Path) -> tuple[PalNet, NDArray[np.float64]]:
    """Read a network written by `write_network`, without executing code in the file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    network : PalNet
        In evaluation mode, on the CPU.
    means_mm : ndarray of shape (n_landmarks, 3)
        The mean landmarks around which patches are gathered.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, or holds anything but weights.
    """
    try:
        state = read_state(path)
        means_mm = state["means_mm"].numpy()
        with torch.device("meta"):
            network = PalNet(len(means_mm), state["n_points"], state["variant"])
        network.load_state_dict(state["network"], assign=True)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as err:
        text = str(err).splitlines()[0] if str(err) else type(err).__name__
        msg = (
            f"{path}: is not a network of palnet crossvalidate ({text}). Delete it to train this "
            "network again."
        )
        raise ModelFileError(msg) from err
    return network.eval(), means_mm
