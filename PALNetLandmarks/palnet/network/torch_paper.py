# SPDX-License-Identifier: Apache-2.0
"""The networks of the PAL-Net paper in torch: PALNET and its four ablations.

References
----------
A. Yazdi et al., PAL-Net, Informatics in Medicine Unlocked 60 (2026) 101729,
doi 10.1016/j.imu.2025.101729.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import nn

from palnet.network.paper import (
    CHANNELS,
    HIDDEN_WIDTH,
    N_TOP,
    POOLS,
    VARIANTS,
    Variant,
    count_tokens,
    least_points,
)

__all__ = ["PalNet"]

DROPOUT = 0.1


class PalNet(nn.Module):
    """Landmarks from the patches of all approximations, through one bottleneck of 1024 values.

    Convention: patches and landmarks are millimetres in one frame; the network knows neither frame
    nor centre of a patch, and its result depends on the order of points and patches.

    Parameters
    ----------
    n_landmarks : int
        Number of patches, and of predicted landmarks.
    n_points : int
        Points per patch; the paper uses 1000.
    variant : str
        One of `VARIANTS`.
    """

    def __init__(
        self, n_landmarks: int = 50, n_points: int = 1000, variant: Variant = "palnet"
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            msg = f"variant must be one of {', '.join(VARIANTS)}; got {variant!r}."
            raise ValueError(msg)
        widths = count_tokens(variant, n_points)
        n_blocks = len(widths) - 1
        _check_size(n_landmarks, n_points, variant)
        self.n_landmarks, self.n_points, self.pools = n_landmarks, n_points, POOLS[:n_blocks]
        channels = CHANNELS[:n_blocks]
        self.blocks = nn.ModuleList(
            _block(n_in, n_out) for n_in, n_out in zip((3, *channels), channels, strict=False)
        )
        self.attentions = nn.ModuleList()
        n_features = channels[-1] * n_landmarks * widths[-1]
        for n_channels, width in zip(channels, widths, strict=False):
            if variant == "noatt":
                break
            attention = _TopTokens if variant == "topk" else _Attention
            self.attentions.append(attention(n_channels, n_landmarks, width))
            n_features += n_channels * (n_landmarks * N_TOP if variant == "topk" else 1)
        self.head = nn.Sequential(
            nn.Linear(n_features, HIDDEN_WIDTH),
            nn.ReLU(),
            nn.Linear(HIDDEN_WIDTH, HIDDEN_WIDTH),
            nn.Dropout(0.0 if variant == "ndo" else DROPOUT),
            nn.Linear(HIDDEN_WIDTH, 3 * n_landmarks),
        )
        for module in (*self.blocks.modules(), *self.head.modules()):
            for name, parameter in module.named_parameters(recurse=False):
                (nn.init.zeros_ if name == "bias" else nn.init.xavier_normal_)(parameter)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Map patches (batch, n_landmarks, n_points, 3) to landmarks (batch, n_landmarks, 3)."""
        expected = (self.n_landmarks, self.n_points, 3)
        if patches.ndim != 4 or patches.shape[1:] != expected:
            msg = f"patches must have shape (batch, {expected}); got {tuple(patches.shape)}."
            raise ValueError(msg)
        maps = patches.permute(0, 3, 1, 2)
        summaries = []
        for number, (block, pool) in enumerate(zip(self.blocks, self.pools, strict=True)):
            # In bfloat16, a point 100 mm from the origin would move by a quarter of a millimetre.
            maps = _run_exactly(block, maps) if number == 0 else block(maps)
            if len(self.attentions):
                summaries.append(self.attentions[number](maps))
            maps = nn.functional.max_pool2d(maps, (1, pool))
        features = torch.cat([*summaries, maps.flatten(1)], dim=1)
        result = _run_exactly(self.head[-1], self.head[:-1](features))
        return result.reshape(-1, self.n_landmarks, 3)


class _Attention(nn.Module):
    """Weighted sum of all tokens of a face: softmax of tanh(x W + b), with one b per token."""

    def __init__(self, n_channels: int, n_landmarks: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_channels, 1))
        self.bias = nn.Parameter(torch.zeros(n_landmarks * width, 1))
        nn.init.xavier_normal_(self.weight)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map (batch, n_channels, n_landmarks, width) to (batch, n_channels)."""
        tokens = maps.flatten(2).transpose(1, 2)
        weights = torch.softmax(torch.tanh(tokens @ self.weight + self.bias), dim=1)
        return (weights * tokens).sum(dim=1)


class _TopTokens(nn.Module):
    """Features of the ten highest-scoring tokens of each patch; each patch has its own W.

    Scores only select, so their parameters get no gradient and keep their initial values.
    """

    def __init__(self, n_channels: int, n_landmarks: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_landmarks, n_channels, 1))
        self.bias = nn.Parameter(torch.zeros(n_landmarks, width, 1))
        for row in self.weight:
            nn.init.xavier_normal_(row)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map (batch, n_channels, n_landmarks, width) to flat (n_landmarks, N_TOP, n_channels)."""
        tokens = maps.permute(0, 2, 3, 1)
        # The paper applies tanh, which keeps the order but, rounded, makes many scores equal to 1.
        scores = tokens @ self.weight + self.bias
        best = scores.topk(N_TOP, dim=2).indices.expand(-1, -1, -1, tokens.shape[3])
        return tokens.gather(2, best).flatten(1)


def _run_exactly(layers: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """Run layers that take or return millimetres in float32, even under autocast."""
    has_autocast = values.device.type in ("cpu", "cuda")
    with torch.autocast(values.device.type, enabled=False) if has_autocast else nullcontext():
        result: torch.Tensor = layers(values.float())
    return result


def _block(n_in: int, n_out: int) -> nn.Sequential:
    """Two 1x1 convolutions, shared by all points of all patches."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 1), nn.ReLU(), nn.Conv2d(n_out, n_out, 1), nn.ReLU()
    )


def _check_size(n_landmarks: int, n_points: int, variant: str) -> None:
    """Require patches with enough points for all poolings."""
    if n_landmarks < 1:
        msg = f"n_landmarks must be at least 1; got {n_landmarks}."
        raise ValueError(msg)
    if n_points < least_points(variant):
        msg = f"n_points must be at least {least_points(variant)} for {variant}; got {n_points}."
        raise ValueError(msg)
