# SPDX-License-Identifier: Apache-2.0
"""The shipped network in numpy: patches in; an offset, spread and visibility per landmark out.

The paper's idea at 1/67 of its size: point-wise layers shared by all patches, attention within
each patch, then attention between the landmarks, and finally a joint layer over all offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet.network.layers import attend, layer_norm, linear, relu, select, softmax
from palnet.network.sizes import count_layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.network.layers import Weights
    from palnet.network.patches import Patches

__all__ = [
    "CENTRE_UNIT_MM",
    "N_HEADS",
    "OFFSET_UNIT_MM",
    "PATCH_UNIT_MM",
    "LandmarkPrediction",
    "LandmarkPredictor",
    "mirror_patches",
    "run_network",
]

PATCH_UNIT_MM = 16.0
OFFSET_UNIT_MM = 4.0
CENTRE_UNIT_MM = 100.0
N_HEADS = 4


@dataclass(frozen=True, eq=False, slots=True)
class LandmarkPrediction:
    """The network's prediction for each landmark, in millimetres of the face frame.

    Attributes
    ----------
    positions_mm : ndarray of shape (n_landmarks, 3)
        Centre plus offset.
    spread_mm : ndarray of shape (n_landmarks,)
        Expected distance from the truth before calibration.
    visibility : ndarray of shape (n_landmarks,)
        Probability that the scan shows the landmark.
    """

    positions_mm: NDArray[np.float64]
    spread_mm: NDArray[np.float64]
    visibility: NDArray[np.float64]

    def replaced_where(
        self, chosen: NDArray[np.bool_], other: LandmarkPrediction
    ) -> LandmarkPrediction:
        """Take the selected landmarks, (n_landmarks,) of bool, from another prediction."""
        return LandmarkPrediction(
            np.where(chosen[:, None], other.positions_mm, self.positions_mm),
            np.where(chosen, other.spread_mm, self.spread_mm),
            np.where(chosen, other.visibility, self.visibility),
        )

    def averaged_with(self, other: LandmarkPrediction, counts: float) -> LandmarkPrediction:
        """Average with another prediction of the same face.

        Weights are inverse squares of the spreads, which are finite and above 0; those of the other
        are multiplied by `counts`. The squared spread of the mean is the weighted mean of the
        squared spreads plus that of the squared distances of the two from the mean.
        """
        own, others = self.spread_mm**-2, counts * other.spread_mm**-2
        share = own / (own + others)
        apart_mm = np.linalg.norm(self.positions_mm - other.positions_mm, axis=1)
        own_share = share[:, None]
        return LandmarkPrediction(
            own_share * self.positions_mm + (1 - own_share) * other.positions_mm,
            np.hypot(
                ((own + others) / (1 + counts)) ** -0.5, apart_mm * np.sqrt(share * (1 - share))
            ),
            (self.visibility + counts * other.visibility) / (1 + counts),
        )


@dataclass(frozen=True, eq=False, slots=True)
class LandmarkPredictor:
    """The network for the landmarks of a scheme.

    Attributes
    ----------
    weights : mapping of str to ndarray
        State of the torch counterpart.
    mirror : ndarray of shape (n_landmarks,)
        Index of the counterpart on the other side, for each landmark.
    """

    weights: Weights
    mirror: NDArray[np.int64]

    def predict(self, patches: Patches) -> LandmarkPrediction:
        """Predict, averaging with the prediction for the mirrored face.

        Parameters
        ----------
        patches : Patches
            Patches of one scan.

        Returns
        -------
        LandmarkPrediction
            Exactly mirrored for a mirrored face.
        """
        mirror = self.mirror
        other_points, other_centres = mirror_patches(patches.points, patches.centres_mm, mirror)
        raw = run_network(
            self.weights,
            np.stack([patches.points, other_points]),
            np.stack([patches.share, patches.share[mirror]]),
            np.stack([patches.centres_mm, other_centres]).astype(np.float32),
        )
        flip = np.array([-1, 1, 1, 1, 1], dtype=np.float32)
        mean = 0.5 * (raw[0] + raw[1][mirror] * flip).astype(np.float64)
        return LandmarkPrediction(
            positions_mm=patches.centres_mm + mean[:, :3] * OFFSET_UNIT_MM,
            spread_mm=np.exp(mean[:, 3]),
            visibility=1 / (1 + np.exp(-mean[:, 4])),
        )


def mirror_patches(
    points: NDArray[np.float32], centres_mm: NDArray[np.floating], mirror: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.floating]]:
    """Mirror patches (..., n_landmarks, n_points, 6) and their centres left to right."""
    flip = np.array([-1, 1, 1, -1, 1, 1], dtype=np.float32)
    return points[..., mirror, :, :] * flip, centres_mm[..., mirror, :] * flip[:3]


def run_network(
    weights: Weights,
    points: NDArray[np.float32],
    share: NDArray[np.float32],
    centres_mm: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Run the network on a batch of scans.

    Parameters
    ----------
    weights : mapping of str to ndarray
        State of the torch counterpart.
    points : ndarray of shape (batch, n_landmarks, n_points, 6)
        Patches, mm and unit normals.
    share : ndarray of shape (batch, n_landmarks, 2)
        Filled share of each half of each patch, 0 to 1.
    centres_mm : ndarray of shape (batch, n_landmarks, 3)
        Centres of the patches.

    Returns
    -------
    ndarray of shape (batch, n_landmarks, 5)
        Offset / `OFFSET_UNIT_MM`, log spread in mm, visibility logit.
    """
    shape = (*points.shape[:3], -1)
    scale = np.array([1 / PATCH_UNIT_MM] * 3 + [1] * 3, dtype=np.float32)
    identity = weights["landmark"]
    first = relu(linear(weights, "point1", points.reshape(-1, 6) * scale))
    # Bias and landmark are added at once, because each addition passes over all points.
    second = (first @ weights["point2.weight"].T).reshape(shape)
    second += (weights["point2.bias"] + linear(weights, "identity", identity))[None, :, None]
    second = relu(second)
    third = relu(linear(weights, "point3", second.reshape(-1, second.shape[-1]))).reshape(shape)
    attention = softmax(linear(weights, "score", third), axis=2)
    pooled = (attention.transpose(0, 1, 3, 2) @ third).reshape(*shape[:2], -1)
    summary = np.concatenate(
        [second.max(axis=2), third.max(axis=2), pooled, centres_mm / CENTRE_UNIT_MM, share], axis=2
    ).astype(np.float32)
    tokens = linear(weights, "token", summary) + identity
    for layer in range(count_layers(weights)):
        tokens = _transformer_layer(select(weights, f"layers.{layer}"), tokens)
    raw = linear(weights, "out", layer_norm(weights, "norm", tokens))
    offsets = np.ascontiguousarray(raw[..., :3])
    moved = linear(weights, "joint", offsets.reshape(len(offsets), -1)).reshape(offsets.shape)
    return np.concatenate([offsets + moved, raw[..., 3:]], axis=2)


def _transformer_layer(weights: Weights, tokens: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a pre-norm layer: attention between the landmarks, then two linear layers."""
    tokens = tokens + attend(weights, "attention", layer_norm(weights, "norm1", tokens), N_HEADS)
    hidden = relu(linear(weights, "wide", layer_norm(weights, "norm2", tokens)))
    return tokens + linear(weights, "narrow", hidden)
