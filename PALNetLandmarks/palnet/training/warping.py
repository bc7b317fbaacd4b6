# SPDX-License-Identifier: Apache-2.0
"""Smooth warps of stored patches: faces beyond the sources, with starts that fit them less well.

A network that has seen only the shapes of its sources relies on what they have in common: relative
positions of landmarks, the ratio of nose length to width. A warp breaks these regularities but
keeps the local appearance of a landmark.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["warp_patches"]

N_WAVES = 4
WAVELENGTH_MM = (70.0, 220.0)
# At strength 1: standard deviation of each entry of the linear part, and root mean squares of the
# waves. Starts get separate waves in addition, as the atlas fits a face outside its span less well.
STRETCH, WAVE_MM, MISFIT_MM = 0.04, 2.0, 1.5


@dataclass(frozen=True, eq=False)
class _Waves:
    """Sums of sine waves, one field per face: ``amplitude * sin(vector . x + phase)``."""

    vectors: torch.Tensor  # (n_faces, N_WAVES, 3), 1/mm
    phases: torch.Tensor  # (n_faces, N_WAVES)
    amplitudes: torch.Tensor  # (n_faces, N_WAVES, 3), mm

    def angles(self, positions_mm: torch.Tensor) -> torch.Tensor:
        """Phase angles of each wave at positions (n_faces, n, 3): (n_faces, n, N_WAVES)."""
        return positions_mm @ self.vectors.mT + self.phases[:, None]

    def at(self, positions_mm: torch.Tensor) -> torch.Tensor:
        """Displacements at positions (n_faces, n, 3)."""
        return torch.sin(self.angles(positions_mm)) @ self.amplitudes


def warp_patches(
    points: torch.Tensor,
    centres_mm: torch.Tensor,
    truth_mm: torch.Tensor,
    has_atlas_start: torch.Tensor,
    strength: float,
    rng: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Warp each face with its landmarks, and shift the starts from the atlas.

    Parameters
    ----------
    points : Tensor of shape (n_faces, n_landmarks, n_points, 6)
        Patches: offsets from their centre in millimetres, and unit normals.
    centres_mm, truth_mm : Tensor of shape (n_faces, n_landmarks, 3)
        Centres of the patches and true landmarks, in the face frame.
    has_atlas_start : Tensor of shape (n_faces,)
        Which faces start from the atlas; starts of a later pass, guided or not, are only warped
        with the face.
    strength : float
        Maximum strength; each face gets a random share of it.
    rng : torch.Generator
        Source of randomness, on the same device.

    Returns
    -------
    tuple of Tensor
        Points, centres and truth of the warped faces.
    """
    n_faces, device = len(points), points.device
    share = strength * torch.rand((n_faces, 1), generator=rng, device=device)
    spread = STRETCH * torch.randn((n_faces, 3, 3), generator=rng, device=device)
    stretch = torch.eye(3, device=device) + share[..., None] * spread
    waves = _draw_waves(rng, share * WAVE_MM)
    misfit = _draw_waves(rng, share * MISFIT_MM * has_atlas_start[:, None])
    flat = (points[..., :3] + centres_mm[:, :, None]).reshape(n_faces, -1, 3)
    normals = _turn_normals(points[..., 3:].reshape(n_faces, -1, 3), flat, stretch, waves)
    starts = centres_mm + misfit.at(centres_mm)
    centres = starts @ stretch + waves.at(starts)
    truth = truth_mm @ stretch + waves.at(truth_mm)
    warped = (flat @ stretch + waves.at(flat)).view_as(points[..., :3]) - centres[:, :, None]
    return torch.cat([warped, normals.view_as(warped)], dim=3), centres, truth


def _draw_waves(rng: torch.Generator, rms_mm: torch.Tensor) -> _Waves:
    """Draw random waves with the given root mean square per face, (n_faces, 1), in mm."""
    shape, device = (len(rms_mm), N_WAVES), rms_mm.device
    low_mm, high_mm = WAVELENGTH_MM
    vectors = torch.randn((*shape, 3), generator=rng, device=device)
    lengths_mm = low_mm + (high_mm - low_mm) * torch.rand(shape, generator=rng, device=device)
    norms = torch.linalg.vector_norm(vectors, dim=2)
    vectors = vectors * (2 * torch.pi / lengths_mm / norms)[..., None]
    # A wave's mean square is half its squared amplitude; amplitudes grow with wavelength, so that
    # short waves are as steep as long ones.
    middle_mm = (low_mm + high_mm) / 2
    amplitudes = torch.randn((*shape, 3), generator=rng, device=device)
    amplitudes = amplitudes * (lengths_mm / middle_mm)[..., None]
    amplitudes = amplitudes * (rms_mm * (2 / (3 * N_WAVES)) ** 0.5)[..., None]
    phases = 2 * torch.pi * torch.rand(shape, generator=rng, device=device)
    return _Waves(vectors, phases, amplitudes)


def _turn_normals(
    normals: torch.Tensor, positions_mm: torch.Tensor, stretch: torch.Tensor, waves: _Waves
) -> torch.Tensor:
    """Normals of the warped surface, by the inverse transposed gradient to first order."""
    lean = (normals @ waves.amplitudes.mT) * torch.cos(waves.angles(positions_mm))
    # The cofactor matrix is the inverse transpose up to a factor.
    rows = stretch.unbind(1)
    cofactors = [torch.linalg.cross(rows[k - 2], rows[k - 1]) for k in range(3)]
    turned = (normals - lean @ waves.vectors) @ torch.stack(cofactors, dim=1)
    lengths = torch.linalg.vector_norm(turned, dim=2, keepdim=True)
    unit: torch.Tensor = turned / lengths.clamp(min=1e-9)
    return unit
