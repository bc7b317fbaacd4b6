# SPDX-License-Identifier: Apache-2.0
"""Train the landmark network on annotated faces: from scratch, or from a model's weights."""

from __future__ import annotations

import copy
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from palnet._stored import listing
from palnet.errors import UsageError
from palnet.network.landmarks import OFFSET_UNIT_MM
from palnet.network.sizes import SMALL_SIZE
from palnet.network.torch_landmarks import LandmarkNetwork
from palnet.training.annotated.faces import gather_training_patches
from palnet.training.annotated.protocol import SCRATCH
from palnet.training.annotated.tuning_result import (
    choose_weights,
    measure_error_mm,
    place_landmarks,
)
from palnet.training.batches import draw_batch, place_patches
from palnet.training.loop import (
    PlateauSettings,
    choose_device,
    export_weights,
    run_loop,
    start_generator,
)
from palnet.training.losses import SPREAD_SHARE, position_loss, spread_loss

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.model import Model
    from palnet.network.layers import Weights
    from palnet.scheme import Scheme
    from palnet.training.annotated.faces import AnnotatedFace
    from palnet.training.annotated.protocol import Layers, TuningProtocol
    from palnet.training.annotated.tuning_result import Choice
    from palnet.training.patches import TrainingPatches

__all__ = [
    "check_start",
    "choose_rows",
    "describe_recipe",
    "train_on_faces",
    "tune_model",
    "tuning_loss",
]

logger = logging.getLogger(__name__)

# Weight of the term that holds outputs not covered by the annotations at their initial values.
HOLD_SHARE = 0.1
# Layers that decide where a landmark lies, not how a surface is read: see docs/training.md. How
# landmarks are correlated (joint.weight) cannot be learned from the few people of a lab.
HEAD = ("landmark", "norm.", "out.", "joint.bias")
# Share of the learning rate at which all layers are tuned, rather than the head alone.
ALL_RATE_SHARE = 0.1
N_POSITIONS = 3


def train_on_faces(
    train: TrainingPatches,
    validation: tuple[Sequence[AnnotatedFace], FaceAtlas],
    protocol: TuningProtocol,
    folder: Path,
    *,
    start: Weights | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Train with early stopping on the validation error.

    The validation error is that of a detection: all passes of the numpy network from the atlas
    starts, projected to the nearest point of the triangles.

    Parameters
    ----------
    train : TrainingPatches
        Patches of the training people.
    validation : tuple of sequence of AnnotatedFace and FaceAtlas
        Other people, and the atlas that starts their landmarks.
    protocol : TuningProtocol
        Layers, batch size, learning rate, when to stop, seed of weights and batches.
    folder : Path
        Where checkpoint and curve are written.
    start : mapping of str to ndarray, optional
        A model's weights; without them, the network is trained from scratch.

    Returns
    -------
    dict of str to ndarray
        The state dict of the best validation.
    """
    part, seed = protocol.training, protocol.seed
    torch.manual_seed(seed)
    device = choose_device()
    faces, atlas = validation
    mirror = torch.tensor(faces[0].truth.scheme.mirror, device=device)
    patches = place_patches(train, device)
    network = _make_network(train.truth_mm.shape[1], start, protocol.layers).to(device)
    teacher = copy.deepcopy(network).eval() if start else None

    def draw_loss(network: torch.nn.Module, rng: np.random.Generator, step: int) -> torch.Tensor:
        rows = choose_rows(step, part.batch_size, len(train.truth_mm), seed)
        batch = draw_batch(
            patches, torch.from_numpy(rows).to(device), mirror, start_generator(rng, device)
        )
        inputs = batch.points, batch.share, batch.centres_mm
        with torch.no_grad():
            held = teacher(*inputs) if teacher else None
        return tuning_loss(network(*inputs), batch.centres_mm, batch.truth_mm, batch.visible, held)

    def validate(network: torch.nn.Module) -> float:
        return measure_error_mm(place_landmarks(faces, export_weights(network), atlas))

    settings = PlateauSettings(
        n_steps=part.n_steps,
        rate=part.rate * (ALL_RATE_SHARE if start and protocol.layers == "all" else 1.0),
        factor=part.plateau_factor,
        patience=part.plateau_patience,
        stop_after=part.stop_after,
        validate_every=part.validate_every,
        save_every=part.validate_every,
        seed=seed,
    )
    run_loop(network, draw_loss, settings, folder, validate)
    return export_weights(network)


def check_start(scheme: Scheme, model: Model) -> None:
    """Check that a model has the landmark network, and places the landmarks of a scheme.

    Parameters
    ----------
    scheme : Scheme
        The data set's scheme.
    model : Model
        The model to fine-tune.

    Raises
    ------
    UsageError
        If the model holds another network, or their landmarks differ.
    """
    if model.paper is not None:
        msg = (
            f"{model.path} holds one of the paper's networks. Only the shipped kind of network can "
            "be fine-tuned."
        )
        raise UsageError(msg)
    if scheme.codes == model.scheme.codes:
        return
    other = sorted(set(scheme.codes) ^ set(model.scheme.codes))
    msg = (
        f"the scans have the {len(scheme)} landmarks of scheme {scheme.name!r}, model "
        f"{model.name!r} places the {len(model.scheme)} of {model.scheme.name!r} (not in both: "
        f"{listing(other) or 'none, another order'}). Train one from scratch: palnet crossvalidate "
        "--recipe improved."
    )
    raise UsageError(msg)


def describe_recipe(protocol: TuningProtocol, base: Model) -> dict[str, Any]:
    """Describe a protocol for a model's metadata, with the name of the base model, not its path.

    Parameters
    ----------
    protocol : TuningProtocol
        The protocol used.
    base : Model
        The model that was fine-tuned.

    Returns
    -------
    dict
        JSON-ready.
    """
    start = protocol.start if protocol.start == SCRATCH else base.name
    return asdict(protocol) | {"start": start}


def tune_model(
    train: Sequence[AnnotatedFace],
    validation: Sequence[AnnotatedFace],
    base: Model,
    protocol: TuningProtocol,
    folder: Path,
) -> tuple[Weights, Choice]:
    """Fine-tune a model, keeping its weights unless the result is significantly better.

    Parameters
    ----------
    train, validation : sequence of AnnotatedFace
        Different people.
    base : Model
        The model, with the same scheme.
    protocol : TuningProtocol
        Layers, batch size, learning rate, when to stop.
    folder : Path
        Where checkpoint and curve are written.

    Returns
    -------
    weights : mapping of str to ndarray
        The tuned weights, or the model's own.
    choice : Choice
        Comparison of the two on the validation part.
    """
    start = base.network("landmarks")
    patches = gather_training_patches(train, base.atlas, protocol.seed)
    before_mm = measure_error_mm(place_landmarks(validation, start, base.atlas))
    logger.info("%s: validation %.3f mm at the start", folder.name, before_mm)
    tuned = train_on_faces(patches, (validation, base.atlas), protocol, folder, start=start)
    choice = choose_weights(validation, start, tuned, base.atlas)
    logger.info(
        "%s: validation %.3f mm before, %.3f mm after; %s",
        folder.name,
        choice.before_mm,
        choice.after_mm,
        "better" if choice.is_better else "not clearly better: the start is kept",
    )
    return (tuned if choice.is_better else start), choice


def _make_network(n_landmarks: int, start: Weights | None, layers: Layers) -> LandmarkNetwork:
    """Make the network with its initial weights, and freeze the layers that are not trained."""
    if start is None:
        return LandmarkNetwork(n_landmarks, SMALL_SIZE)
    network = LandmarkNetwork.from_weights(start)
    for name, weight in network.named_parameters():
        weight.requires_grad_(layers == "all" or name.startswith(HEAD))
    return network


def choose_rows(step: int, batch_size: int, n_rows: int, seed: int) -> NDArray[np.int64]:
    """Choose the scans of a batch, reshuffling in every epoch.

    Parameters
    ----------
    step : int
        Number of the batch, from 0.
    batch_size : int
        Scans per batch; may exceed `n_rows`.
    n_rows : int
        Number of scans.
    seed : int
        Seed of the shuffling.

    Returns
    -------
    ndarray of shape (batch_size,)
        Row numbers.
    """
    epochs, places = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), n_rows)
    orders = {e: np.random.default_rng([seed, e]).permutation(n_rows) for e in set(epochs.tolist())}
    pairs = zip(epochs.tolist(), places.tolist(), strict=True)
    return np.array([orders[epoch][place] for epoch, place in pairs])


def tuning_loss(
    raw: torch.Tensor,
    centres_mm: torch.Tensor,
    truth_mm: torch.Tensor,
    known: torch.Tensor,
    held: torch.Tensor | None,
) -> torch.Tensor:
    """Compute the loss of a batch of annotated scans.

    From scratch, the spread is learned from the errors, as in the shipped model's training. From a
    model's weights, spread and visibility are held: the training errors of a few scans are too
    small to learn a spread from, and annotations do not tell which landmarks are hidden. The
    positions of unknown landmarks do not count; from a model's weights, they are held as well.

    Parameters
    ----------
    raw : Tensor of shape (batch, n_landmarks, 5)
        The network's output.
    centres_mm, truth_mm : Tensor of shape (batch, n_landmarks, 3)
        Centres of the patches and true landmarks; any finite number where not known.
    known : Tensor of shape (batch, n_landmarks)
        Which landmarks the scan has.
    held : Tensor of shape (batch, n_landmarks, 5), optional
        The output with the initial weights; None from scratch.

    Returns
    -------
    Tensor
        A scalar; its main term is in millimetres.
    """
    weight = known.float()
    predicted = raw[..., :N_POSITIONS] * OFFSET_UNIT_MM + centres_mm
    if held is None:
        spread = spread_loss(raw, torch.linalg.vector_norm(predicted - truth_mm, dim=2))
        other = SPREAD_SHARE * (spread * weight).sum() / weight.sum()
    else:
        moved = (raw - held).square()
        free = torch.ones_like(moved)
        free[..., :N_POSITIONS] = (~known)[..., None].float()
        other = HOLD_SHARE * (moved * free).sum() / free.sum()
    loss: torch.Tensor = position_loss(predicted, truth_mm, weight) + other
    return loss
