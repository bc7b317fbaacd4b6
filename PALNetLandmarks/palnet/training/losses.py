# SPDX-License-Identifier: Apache-2.0
"""Losses of the landmark network."""

from __future__ import annotations

import torch

from palnet.network.landmarks import OFFSET_UNIT_MM

__all__ = ["landmark_loss", "position_loss", "spread_loss"]

# Loss weights: the paper's 0.6 for points and 0.4 for distances; small for spread and visibility.
POINT_SHARE, DISTANCE_SHARE, SPREAD_SHARE, VISIBILITY_SHARE = 0.6, 0.4, 0.1, 0.1
# A hidden landmark still has a plausible position, so it gets a small weight.
HIDDEN_WEIGHT = 0.1


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

    As in the paper's published figures, the pairs include each landmark with itself.

    Parameters
    ----------
    predicted_mm, truth_mm : Tensor of shape (batch, n_landmarks, 3)
        Landmarks; the truth may hold any finite number where the weight is 0.
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
