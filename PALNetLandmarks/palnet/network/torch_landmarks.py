# SPDX-License-Identifier: Apache-2.0
"""The shipped network in torch, for training; `palnet.network.landmarks` runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from palnet.network.landmarks import CENTRE_UNIT_MM, N_HEADS, PATCH_UNIT_MM
from palnet.network.sizes import N_OUTPUTS, N_POINT_INPUTS, NetworkSize

if TYPE_CHECKING:
    from palnet.network.layers import Weights

__all__ = ["LandmarkNetwork"]


class LandmarkNetwork(nn.Module):
    """Offset, log spread and visibility of each landmark from its patch and the others.

    Parameters
    ----------
    n_landmarks : int
        Landmarks of the scheme.
    size : NetworkSize
        Widths and numbers of layers.
    """

    def __init__(self, n_landmarks: int, size: NetworkSize) -> None:
        super().__init__()
        width, (first, second, third) = size.width, size.point_widths
        self.landmark = nn.Parameter(0.02 * torch.randn(n_landmarks, width))
        self.point1 = nn.Linear(N_POINT_INPUTS, first)
        self.point2 = nn.Linear(first, second)
        self.identity = nn.Linear(width, second)
        self.point3 = nn.Linear(second, third)
        self.score = nn.Linear(third, size.n_pools)
        self.token = nn.Linear(sum(size.token_inputs), width)
        self.layers = nn.ModuleList(
            _TransformerLayer(width, size.hidden) for _ in range(size.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, N_OUTPUTS)
        # Start with zero offsets, that is at the approximations.
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        # The other offsets inform each landmark: the atlas errs over whole regions.
        self.joint = nn.Linear(3 * n_landmarks, 3 * n_landmarks)
        nn.init.zeros_(self.joint.weight)
        nn.init.zeros_(self.joint.bias)

    @classmethod
    def from_weights(cls, weights: Weights) -> LandmarkNetwork:
        """Build the network with the size and a copy of the given weights."""
        network = cls(len(weights["landmark"]), NetworkSize.of(weights))
        state = {name: torch.from_numpy(weight.copy()) for name, weight in weights.items()}
        network.load_state_dict(state)
        return network

    def forward(
        self, points: torch.Tensor, share: torch.Tensor, centres_mm: torch.Tensor
    ) -> torch.Tensor:
        """Predict; shapes and units as in `palnet.network.landmarks.run_network`."""
        scale = points.new_tensor([1 / PATCH_UNIT_MM] * 3 + [1.0] * 3)
        first = torch.relu(self.point1(points * scale))
        identity = self.identity(self.landmark)[None, :, None]
        second = torch.relu(self.point2(first) + identity)
        third = torch.relu(self.point3(second))
        attention = torch.softmax(self.score(third), dim=2)
        pooled = (attention.transpose(2, 3) @ third).flatten(2)
        highest = [values.amax(dim=2) for values in (second, third)]
        summary = torch.cat([*highest, pooled, centres_mm / CENTRE_UNIT_MM, share], dim=2)
        tokens = self.token(summary) + self.landmark
        for layer in self.layers:
            tokens = layer(tokens)
        own = self.out(self.norm(tokens))
        offsets = own[..., :3]
        offsets = offsets + self.joint(offsets.flatten(1)).view_as(offsets)
        return torch.cat([offsets, own[..., 3:]], dim=2)


class _TransformerLayer(nn.Module):
    """Pre-norm attention between the landmarks, then two linear layers."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, N_HEADS, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.wide = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens (batch, n_landmarks, width) to tokens of the same shape."""
        normed = self.norm1(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        widened = torch.relu(self.wide(self.norm2(tokens)))
        result: torch.Tensor = tokens + self.narrow(widened)
        return result
