# SPDX-License-Identifier: Apache-2.0
"""Train the landmark network on annotated faces: from scratch, or from a model's weights."""

from __future__ import annotations

import copy
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from palnet._stored import listing
from palnet.errors import UsageError
from palnet.network.landmarks import OFFSET_UNIT_MM
from palnet.network.sizes import SMALL_SIZE
from palnet.network.torch_landmarks import LandmarkNetwork
from palnet.training.batches import draw_batch, place_patches
from palnet.training.faces import gather_training_patches, has_atlas_scheme
from palnet.training.landmarks import SPREAD_SHARE, position_loss
from palnet.training.loop import PlateauSettings, choose_device, run_loop, start_generator
from palnet.training.protocol import SCRATCH
from palnet.training.tuning_result import choose_weights, measure_error_mm, place_landmarks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.model import Model
    from palnet.network.layers import Weights
    from palnet.scheme import Scheme
    from palnet.training.faces import AnnotatedFace
    from palnet.training.patches import TrainingPatches
    from palnet.training.protocol import Layers, TuningPart, TuningProtocol
    from palnet.training.tuning_result import Choice

__all__ = [
    "Start",
    "check_scheme",
    "choose_rows",
    "describe_recipe",
    "export_weights",
    "train_on_faces",
    "tune_model",
    "tuning_loss",
]

logger = logging.getLogger(__name__)

# Outputs and offsets that the annotations say nothing of are held where they were.
HOLD_SHARE = 0.1
# What decides where a landmark lies, as against how a surface is read: see docs/training.md. How
# landmarks go together (joint.weight) is more than the few people of a lab tell.
HEAD = ("landmark", "norm.", "out.", "joint.bias")
# All layers of a trained network are tuned more slowly than its head alone.
ALL_RATE_SHARE = 0.1
N_POSITIONS = 3


@dataclass(frozen=True, eq=False, slots=True)
class Start:
    """Where a fine-tuning starts from.

    Attributes
    ----------
    weights : mapping of str to ndarray
        The network's.
    layers : {"head", "all"}
        What is trained of it.
    """

    weights: Weights
    layers: Layers


def train_on_faces(
    train: TrainingPatches,
    validation: tuple[Sequence[AnnotatedFace], FaceAtlas],
    part: TuningPart,
    folder: Path,
    *,
    seed: int,
    start: Start | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Train until the validation error has not fallen for long enough.

    The validation error is that of a detection: all passes by the numpy network from the starts of
    the atlas, and the nearest point of the triangles.

    Parameters
    ----------
    train : TrainingPatches
        Patches of the training people.
    validation : tuple of sequence of AnnotatedFace and FaceAtlas
        Other people, and the atlas that starts their landmarks.
    part : TuningPart
        Batches, rates, when to stop.
    folder : Path
        Gets checkpoint and curve.
    seed : int
        Seed of weights and batches.
    start : Start, optional
        A model's weights; without them the network is trained from scratch.

    Returns
    -------
    dict of str to ndarray
        The weights of the best validation, under torch's names.
    """
    torch.manual_seed(seed)
    device = choose_device()
    faces, atlas = validation
    mirror = torch.tensor(faces[0].truth.scheme.mirror, device=device)
    patches = place_patches(train, device)
    network = _make_network(train.truth_mm.shape[1], start).to(device)
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
        rate=part.rate * (ALL_RATE_SHARE if start and start.layers == "all" else 1.0),
        factor=part.plateau_factor,
        patience=part.plateau_patience,
        stop_after=part.stop_after,
        validate_every=part.validate_every,
        save_every=part.validate_every,
        seed=seed,
    )
    run_loop(network, draw_loss, settings, folder, validate)
    return export_weights(network)


def check_scheme(scheme: Scheme, model: Model) -> None:
    """Require that a model places the landmarks of a scheme.

    Parameters
    ----------
    scheme : Scheme
        The data set's scheme.
    model : Model
        What is to be fine-tuned.

    Raises
    ------
    UsageError
        If their landmarks differ.
    """
    if has_atlas_scheme(scheme, model):
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
    """Give a protocol for the metadata of a model: the base model by its name, not its path.

    Parameters
    ----------
    protocol : TuningProtocol
        What was done.
    base : Model
        The model that it was done to.

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
    """Fine-tune a model; the weights that it had stay unless the result is surely better.

    Parameters
    ----------
    train, validation : sequence of AnnotatedFace
        Different people.
    base : Model
        The model, of their scheme.
    protocol : TuningProtocol
        Layers, batches, rates, when to stop.
    folder : Path
        Gets checkpoint and curve.

    Returns
    -------
    weights : mapping of str to ndarray
        Those of the result, or those that the model had.
    choice : Choice
        How they compare on the validation part.
    """
    start = Start(base.network("landmarks"), protocol.layers)
    patches = gather_training_patches(train, base.atlas, protocol.seed)
    part, seed = protocol.training, protocol.seed
    before_mm = measure_error_mm(place_landmarks(validation, start.weights, base.atlas))
    logger.info("%s: validation %.3f mm at the start", folder.name, before_mm)
    tuned = train_on_faces(patches, (validation, base.atlas), part, folder, seed=seed, start=start)
    choice = choose_weights(validation, start.weights, tuned, base.atlas)
    logger.info(
        "%s: validation %.3f mm before, %.3f mm after; %s",
        folder.name,
        choice.before_mm,
        choice.after_mm,
        "better" if choice.is_better else "not clearly better: the start is kept",
    )
    return (tuned if choice.is_better else start.weights), choice


def _make_network(n_landmarks: int, start: Start | None) -> LandmarkNetwork:
    """Make the network, with the weights to start from and what is trained of them."""
    if start is None:
        return LandmarkNetwork(n_landmarks, SMALL_SIZE)
    network = LandmarkNetwork.from_weights(start.weights)
    for name, weight in network.named_parameters():
        weight.requires_grad_(start.layers == "all" or name.startswith(HEAD))
    return network


def export_weights(network: torch.nn.Module) -> dict[str, NDArray[np.float32]]:
    """Give a network's weights as the numpy network takes them.

    Parameters
    ----------
    network : torch.nn.Module
        The torch twin.

    Returns
    -------
    dict of str to ndarray
        Copies.
    """
    return {name: w.detach().cpu().numpy().copy() for name, w in network.state_dict().items()}


def choose_rows(step: int, batch_size: int, n_rows: int, seed: int) -> NDArray[np.int64]:
    """Choose the scans of a batch: all of them in a new order, again and again.

    Parameters
    ----------
    step : int
        Number of the batch, from 0.
    batch_size : int
        Scans of a batch; may be more than there are.
    n_rows : int
        Scans that there are.
    seed : int
        Seed of the orders.

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
    """The loss of a batch of annotated scans; a landmark that is not known counts in no term.

    From scratch the spread is learned from the errors, as in the shipped model's training. From a
    model's weights, spread and visibility are held: a few scans' training errors are too small to
    learn a spread from, and annotations do not say which landmarks a scan hides.

    Parameters
    ----------
    raw : Tensor of shape (batch, n_landmarks, 5)
        The network's output.
    centres_mm, truth_mm : Tensor of shape (batch, n_landmarks, 3)
        Centres of the patches and true landmarks; any finite number where not known.
    known : Tensor of shape (batch, n_landmarks)
        Which landmarks the scan has.
    held : Tensor of shape (batch, n_landmarks, 5), optional
        The output of the weights that the training starts from.

    Returns
    -------
    Tensor
        A scalar, millimetres in its main term.
    """
    weight = known.float()
    predicted = raw[..., :N_POSITIONS] * OFFSET_UNIT_MM + centres_mm
    if held is None:
        error = torch.linalg.vector_norm(predicted - truth_mm, dim=2).detach()
        log_spread = raw[..., N_POSITIONS]
        spread = error * torch.exp(-log_spread) + log_spread
        other = SPREAD_SHARE * (spread * weight).sum() / weight.sum()
    else:
        moved = (raw - held).square()
        free = torch.ones_like(moved)
        free[..., :N_POSITIONS] = (~known)[..., None].float()
        other = HOLD_SHARE * (moved * free).sum() / free.sum()
    loss: torch.Tensor = position_loss(predicted, truth_mm, weight) + other
    return loss
