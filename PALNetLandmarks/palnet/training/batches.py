# SPDX-License-Identifier: Apache-2.0
"""Draw and augment batches for the landmark network from stored patches, on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from palnet.network.patches import RANKS
from palnet.training.patches import MOST_DRAWN
from palnet.training.warping import warp_patches

if TYPE_CHECKING:
    from palnet.training.patches import TrainingPatches

__all__ = [
    "Drawing",
    "PatchTensors",
    "draw_batch",
    "mirror_batch",
    "place_patches",
    "take_nearest",
]

# Augmentation of the stored patches.
TURN_DEG, SCALE_SPREAD, CENTRE_SHIFT_MM, POINT_NOISE_MM, NORMAL_NOISE = 3.0, 0.02, 0.8, 0.05, 0.06
FIRST_PASS_SHARE = 0.65
MIRRORED_SHARE = 0.5


@dataclass(frozen=True)
class Drawing:
    """How scans and points are drawn in training.

    Attributes
    ----------
    part_size : int
        Scans per part of a batch.
    n_drawn : int
        Points per half of a patch, at most `MOST_DRAWN`; a detection uses 96.
    warp : float
        Strength of the face warps, 0 to 1 (`palnet.training.warping`).
    """

    part_size: int = 24
    n_drawn: int = 32
    warp: float = 0.0


class PatchTensors(NamedTuple):
    """The arrays of `TrainingPatches` that training needs, as tensors on one device.

    Attributes
    ----------
    points : Tensor of shape (n_scans, 2, n_landmarks, n_stored, 6)
        Stored patches for both starts, in half precision. In a batch: one start per scan and the
        points drawn, of shape (n_scans, n_landmarks, n_points, 6).
    share : Tensor of shape (n_scans, 2, n_landmarks, 2)
        How full the halves are. In a batch, this and the centres lack the second axis.
    centres_mm : Tensor of shape (n_scans, 2, n_landmarks, 3)
        The starts, in the face frame.
    truth_mm : Tensor of shape (n_scans, n_landmarks, 3)
        The true landmarks.
    visible : Tensor of shape (n_scans, n_landmarks)
        Which of them are visible in the scan.
    """

    points: torch.Tensor
    share: torch.Tensor
    centres_mm: torch.Tensor
    truth_mm: torch.Tensor
    visible: torch.Tensor


_PLAIN = Drawing()


def place_patches(patches: TrainingPatches, device: torch.device) -> PatchTensors:
    """Move stored patches to the device where batches are drawn.

    Parameters
    ----------
    patches : TrainingPatches
        The patches, 0.31 MB per scan.
    device : torch.device
        The CPU shares the memory; a GPU needs that much on top of the network.

    Returns
    -------
    PatchTensors
        The patches as tensors.
    """
    arrays = (getattr(patches, name) for name in PatchTensors._fields)
    return PatchTensors(*(torch.from_numpy(array).to(device) for array in arrays))


def draw_batch(
    data: PatchTensors,
    scans: torch.Tensor,
    mirror: torch.Tensor,
    rng: torch.Generator,
    drawing: Drawing = _PLAIN,
) -> PatchTensors:
    """Draw points of the stored patches and augment them.

    Faces are warped, rotated, scaled, shifted, mirrored and made noisy.

    Parameters
    ----------
    data : PatchTensors
        The stored patches.
    scans : Tensor of shape (batch,)
        Row indices of the scans, on the device of the patches, as is `mirror`.
    mirror : Tensor of shape (n_landmarks,)
        The landmark on the other side.
    rng : torch.Generator
        On the device of the patches.
    drawing : Drawing
        Number of points to draw and strength of the warps.

    Returns
    -------
    PatchTensors
        The batch, on the same device.
    """
    device, n_half = data.points.device, data.points.shape[3] // 2
    start = (torch.rand(len(scans), generator=rng, device=device) > FIRST_PASS_SHARE).long()
    batch = _take(data, scans, start, _pick_points(len(scans), n_half, drawing.n_drawn, rng))
    placed = batch.points, batch.centres_mm, batch.truth_mm
    if drawing.warp:
        placed = warp_patches(*placed, start == 0, drawing.warp, rng)
    points, centres, truth = _augment(*placed, rng)
    batch = batch._replace(points=points, centres_mm=centres, truth_mm=truth)
    flipped = torch.rand(len(scans), generator=rng, device=device) < MIRRORED_SHARE
    mirrored = mirror_batch(batch, mirror)
    return PatchTensors(
        *(
            torch.where(flipped.view(-1, *[1] * (mine.dim() - 1)), theirs, mine)
            for mine, theirs in zip(batch, mirrored, strict=True)
        )
    )


def take_nearest(data: PatchTensors, scans: torch.Tensor, start: torch.Tensor) -> PatchTensors:
    """Take those points of stored patches that a detection would use.

    Parameters
    ----------
    data : PatchTensors
        The stored patches.
    scans, start : Tensor of shape (batch,)
        Row indices of the scans, and which of the two starts to use for each.

    Returns
    -------
    PatchTensors
        The batch, on the same device.
    """
    near = torch.from_numpy(RANKS - 1).to(data.points.device)
    picked = torch.cat([near, data.points.shape[3] // 2 + near])
    return _take(data, scans, start, picked.expand(len(scans), -1))


def mirror_batch(batch: PatchTensors, mirror: torch.Tensor) -> PatchTensors:
    """Mirror the faces of a batch.

    Parameters
    ----------
    batch : PatchTensors
        The batch.
    mirror : Tensor of shape (n_landmarks,)
        The landmark on the other side.

    Returns
    -------
    PatchTensors
        The mirrored faces.
    """
    sign = batch.points.new_tensor([-1, 1, 1, -1, 1, 1])
    return PatchTensors(
        batch.points[:, mirror] * sign,
        batch.share[:, mirror],
        batch.centres_mm[:, mirror] * sign[:3],
        batch.truth_mm[:, mirror] * sign[:3],
        batch.visible[:, mirror],
    )


def _take(
    data: PatchTensors, scans: torch.Tensor, start: torch.Tensor, picked: torch.Tensor
) -> PatchTensors:
    """Gather a batch of stored patches with the given points, (batch, n_points)."""
    points = data.points[scans, start].take_along_dim(picked[:, None, :, None], dim=2)
    return PatchTensors(
        points.float(),
        data.share[scans, start],
        data.centres_mm[scans, start],
        data.truth_mm[scans],
        data.visible[scans],
    )


def _pick_points(n_scans: int, n_half: int, n_drawn: int, rng: torch.Generator) -> torch.Tensor:
    """Choose `n_drawn` distinct points per half for each scan, (n_scans, 2 n_drawn).

    Points are sorted by distance: drawing from a random number of the nearest varies the reach of
    the patch as a different scan density would.
    """
    reach = torch.randint(MOST_DRAWN, n_half + 1, (n_scans, 1, 1), generator=rng, device=rng.device)
    keys = torch.rand((n_scans, 2, n_half), generator=rng, device=rng.device)
    keys = torch.where(torch.arange(n_half, device=rng.device) < reach, keys, 2.0)
    order = keys.topk(n_drawn, dim=2, largest=False).indices
    return torch.cat([order[:, 0], n_half + order[:, 1]], dim=1)


def _augment(
    points: torch.Tensor, centres: torch.Tensor, truth: torch.Tensor, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Turn and scale each face, shift the centres of its patches, and add noise."""
    size, device = len(points), points.device
    turns = _draw_turns(size, rng)
    spread = SCALE_SPREAD * torch.randn((size, 1, 1), generator=rng, device=device)
    scaled_turns = turns * torch.exp(spread)
    shift = CENTRE_SHIFT_MM * torch.randn(centres.shape, generator=rng, device=device)
    centres, truth = centres @ scaled_turns + shift, truth @ scaled_turns
    noise = torch.randn(points.shape, generator=rng, device=device)
    flat = points.reshape(size, -1, 6)
    places = (flat[..., :3] @ scaled_turns).view_as(points[..., :3]) - shift[:, :, None]
    normals = (flat[..., 3:] @ turns).view_as(places)
    changed = [places + POINT_NOISE_MM * noise[..., :3], normals + NORMAL_NOISE * noise[..., 3:]]
    return torch.cat(changed, dim=3), centres, truth


def _draw_turns(size: int, rng: torch.Generator) -> torch.Tensor:
    """Rotations by `TURN_DEG` about each axis (standard deviation), (size, 3, 3)."""
    axes = math.radians(TURN_DEG) * torch.randn((size, 3, 1), generator=rng, device=rng.device)
    angle = torch.linalg.vector_norm(axes, dim=1, keepdim=True).clamp(min=1e-9)
    # Rodrigues' formula, written with the cross product of the axis and each unit vector.
    unit = torch.eye(3, device=rng.device).expand(size, 3, 3)
    once = torch.linalg.cross((axes / angle).expand(size, 3, 3), unit, dim=1)
    turns: torch.Tensor = unit + torch.sin(angle) * once + (1 - torch.cos(angle)) * (once @ once)
    return turns
