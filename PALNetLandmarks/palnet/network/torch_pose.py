# SPDX-License-Identifier: Apache-2.0
"""The pose networks in torch, for training."""

from __future__ import annotations

import torch
from torch import nn

from palnet.network.pose import KEY_POINTS_MM
from palnet.network.sizes import N_POINT_INPUTS

__all__ = ["PoseNetwork"]


class PoseNetwork(nn.Module):
    """Shared point-wise layers, max and mean over the cloud, then the key points."""

    def __init__(self) -> None:
        super().__init__()
        self.point1 = nn.Linear(N_POINT_INPUTS, 64)
        self.point2 = nn.Linear(64, 128)
        self.point3 = nn.Linear(128, 256)
        self.whole1 = nn.Linear(2 * 256, 256)
        self.whole2 = nn.Linear(256, 128)
        self.out = nn.Linear(128, KEY_POINTS_MM.size)

    def forward(self, clouds: torch.Tensor) -> torch.Tensor:
        """Predict key points (n_clouds, 7, 3) from clouds (n_clouds, n_points, 6)."""
        features = torch.relu(self.point1(clouds))
        features = torch.relu(self.point2(features))
        features = torch.relu(self.point3(features))
        pooled = torch.cat([features.amax(dim=1), features.mean(dim=1)], dim=1)
        hidden = torch.relu(self.whole1(pooled))
        hidden = torch.relu(self.whole2(hidden))
        key_points: torch.Tensor = self.out(hidden)
        return key_points.reshape(len(clouds), -1, 3)
