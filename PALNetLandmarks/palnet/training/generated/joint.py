# SPDX-License-Identifier: Apache-2.0
"""Refit the joint layer of a trained landmark network in closed form."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from palnet.network.landmarks import OFFSET_UNIT_MM
from palnet.network.torch_landmarks import LandmarkNetwork
from palnet.training.batches import mirror_batch, take_nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.network.layers import Weights
    from palnet.training.batches import PatchTensors

__all__ = ["refit_joint_layer"]

logger = logging.getLogger(__name__)

# Scans per forward pass.
SCANS_TOGETHER = 24
# One scan in this many uses its second start, about as often as in training: a detection also runs
# this layer in later passes.
SECOND_START_EVERY = 3
# Residuals are clipped to this along each axis, so that no outlier dominates the fit.
MOST_REMAINING_MM = 4.0
# Regularize coordinates that never change, and the constant, to keep the equations solvable.
SMALLEST_SPREAD, CONSTANT_PENALTY = 1e-6, 1e-6


def refit_joint_layer(
    weights: Weights,
    train: PatchTensors,
    validation: PatchTensors,
    mirror: NDArray[np.int64],
    *,
    ridge: float,
) -> dict[str, NDArray[np.float32]]:
    """Predict the network's residuals from the offsets of all landmarks by ridge regression.

    Gradient descent finds this layer too, but slowly, since its inputs are strongly correlated. The
    new map is composed with the existing layer into one, so that detection takes no longer. It is
    fitted to the patches without augmentation, with all their points, and to their mirror images.

    Convention: offsets in units of `OFFSET_UNIT_MM` in the face frame, ordered landmark by landmark
    as x, y, z, as in the layer itself.

    Parameters
    ----------
    weights : mapping of str to ndarray
        The network's state dict.
    train, validation : PatchTensors
        The training patches, and those of other people to check that the new layer is better; the
        network runs on their device.
    mirror : ndarray of shape (n_landmarks,)
        The landmark on the other side, for each landmark.
    ridge : float
        Penalty on the squared coefficients of offsets scaled to unit variance; it weighs as much
        as this number of faces, mirror images included.

    Returns
    -------
    dict of str to ndarray
        The state dict with the new joint layer, or unchanged if that does not improve the
        validation error.
    """
    other_side = torch.tensor(mirror, device=train.points.device)
    gain, constant = _regress(_run_on_all(weights, train, other_side), ridge)
    checked = _run_on_all(weights, validation, other_side)
    after = checked.remaining - (checked.offsets @ gain.T + constant)
    before_mm = _mean_length_mm(checked.remaining, checked.visible)
    after_mm = _mean_length_mm(after, checked.visible)
    logger.info("joint layer: validation %.3f mm before, %.3f mm after", before_mm, after_mm)
    same = {name: np.asarray(weight, dtype=np.float32) for name, weight in weights.items()}
    if after_mm >= before_mm:
        return same
    identity = np.eye(len(gain))
    joint = (identity + gain) @ (identity + weights["joint.weight"]) - identity
    bias = (identity + gain) @ weights["joint.bias"] + constant
    return {**same, "joint.weight": joint.astype(np.float32), "joint.bias": bias.astype(np.float32)}


class _Outcome(NamedTuple):
    """Output of a network for faces and their mirror images, one row each.

    Offsets and residuals to the truth have the shape (2 n_scans, 3 n_landmarks), visibility has
    (2 n_scans, n_landmarks).
    """

    offsets: NDArray[np.float64]
    remaining: NDArray[np.float64]
    visible: NDArray[np.bool_]


def _regress(seen: _Outcome, ridge: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and constant that best map the offsets to the residuals of each landmark."""
    mean = seen.offsets.mean(axis=0)
    spread = np.maximum(seen.offsets.std(axis=0), SMALLEST_SPREAD)
    columns = np.column_stack([(seen.offsets - mean) / spread, np.ones(len(seen.offsets))])
    penalty = np.diag([*[ridge] * len(spread), CONSTANT_PENALTY])
    most = MOST_REMAINING_MM / OFFSET_UNIT_MM
    targets = np.clip(seen.remaining, -most, most)
    gain, constant = np.zeros((len(spread), len(spread))), np.zeros(len(spread))
    for landmark, shown in enumerate(seen.visible.T):
        rows = slice(3 * landmark, 3 * landmark + 3)
        some = columns[shown]
        coefficients = np.linalg.solve(some.T @ some + penalty, some.T @ targets[shown, rows])
        gain[rows] = (coefficients[:-1] / spread[:, None]).T
        constant[rows] = coefficients[-1] - gain[rows] @ mean
    return gain, constant


def _run_on_all(weights: Weights, patches: PatchTensors, mirror: torch.Tensor) -> _Outcome:
    """Run the network on every face and its mirror image."""
    network = LandmarkNetwork.from_weights(weights).to(patches.points.device).eval()
    everybody = torch.arange(len(patches.points), device=patches.points.device)
    parts = []
    for scans in torch.split(everybody, SCANS_TOGETHER):
        start = (scans % SECOND_START_EVERY == SECOND_START_EVERY - 1).long()
        batch = take_nearest(patches, scans, start)
        for faces in (batch, mirror_batch(batch, mirror)):
            with torch.no_grad():
                raw = network(faces.points, faces.share, faces.centres_mm)
            offsets = raw[..., :3]
            remaining = (faces.truth_mm - faces.centres_mm) / OFFSET_UNIT_MM - offsets
            flat = (tensor.flatten(1).cpu().numpy() for tensor in (offsets, remaining))
            parts.append((*flat, faces.visible.cpu().numpy()))
    offsets, remaining, visible = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Outcome(offsets.astype(np.float64), remaining.astype(np.float64), visible)


def _mean_length_mm(remaining: NDArray[np.float64], visible: NDArray[np.bool_]) -> float:
    """Mean error of the visible landmarks."""
    lengths = np.linalg.norm(remaining.reshape(*visible.shape, 3), axis=2)
    return OFFSET_UNIT_MM * float(lengths[visible].mean())
