# SPDX-License-Identifier: Apache-2.0
"""Smooth warps of stored patches: faces that no source holds, and starts that fit them less well.

A network that has seen only the shapes of its sources relies on what they have in common: where
one landmark is seen from the next, how long a nose is for its width. A warp breaks that; what a
landmark looks like from near stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["warp_patches"]

N_WAVES = 4
WAVELENGTH_MM = (70.0, 220.0)
# At strength 1: standard deviation of each entry of the linear part, and root mean squares of the
# waves. Starts move by waves of their own as well: the atlas fits a face worse that it cannot make.
STRETCH, WAVE_MM, MISFIT_MM = 0.04, 2.0, 1.5


@dataclass(frozen=True, eq=False)
class _Waves:
    """Sums of sine waves, one field a face: ``amplitude * sin(vector . x + phase)``."""

    vectors: Floats  # (n_faces, N_WAVES, 3), 1/mm
    phases: Floats  # (n_faces, N_WAVES)
    amplitudes: Floats  # (n_faces, N_WAVES, 3), mm

    def angles(self, positions_mm: Floats) -> Floats:
        """Of each wave at positions (n_faces, n, 3): (n_faces, n, N_WAVES)."""
        turned: Floats = positions_mm @ self.vectors.transpose(0, 2, 1)
        turned += self.phases[:, None]
        return turned

    def at(self, positions_mm: Floats) -> Floats:
        """The displacement at positions (n_faces, n, 3)."""
        moved: Floats = np.sin(self.angles(positions_mm)) @ self.amplitudes
        return moved


def warp_patches(
    points: Floats,
    centres_mm: Floats,
    truth_mm: Floats,
    has_atlas_start: NDArray[np.bool_],
    strength: float,
    rng: np.random.Generator,
) -> None:
    """Warp each face with its landmarks, and shift the atlas's starts, in place.

    Parameters
    ----------
    points : ndarray of shape (n_faces, n_landmarks, n_points, 6)
        Patches: millimetres from their centre, and unit normals.
    centres_mm, truth_mm : ndarray of shape (n_faces, n_landmarks, 3)
        Centres of the patches and true landmarks, in the face frame.
    has_atlas_start : ndarray of shape (n_faces,)
        Whose starts are the atlas's; those of a second pass are warped along and stay right.
    strength : float
        How far at most; each face takes a random share of it.
    rng : numpy.random.Generator
        Source of randomness.
    """
    n_faces = len(points)
    share = strength * rng.random((n_faces, 1)).astype(np.float32)
    spread = rng.normal(0, STRETCH, (n_faces, 3, 3))
    stretch = (np.eye(3) + share[..., None] * spread).astype(np.float32)
    waves = _draw_waves(rng, share * np.float32(WAVE_MM))
    misfit = _draw_waves(rng, share * np.float32(MISFIT_MM) * has_atlas_start[:, None])
    flat = (points[..., :3] + centres_mm[:, :, None]).reshape(n_faces, -1, 3)
    normals = _turn_normals(points[..., 3:].reshape(n_faces, -1, 3), flat, stretch, waves)
    starts = centres_mm + misfit.at(centres_mm)
    centres_mm[:] = starts @ stretch + waves.at(starts)
    truth_mm[:] = truth_mm @ stretch + waves.at(truth_mm)
    warped = (flat @ stretch + waves.at(flat)).reshape(points[..., :3].shape)
    points[..., :3] = warped - centres_mm[:, :, None]
    points[..., 3:] = normals.reshape(warped.shape)


def _draw_waves(rng: np.random.Generator, rms_mm: Floats) -> _Waves:
    """Random waves, (n_faces, 1) of millimetres each."""
    shape = (len(rms_mm), N_WAVES)
    vectors = rng.standard_normal((*shape, 3))
    lengths_mm = rng.uniform(*WAVELENGTH_MM, size=shape)
    vectors *= (2 * np.pi / lengths_mm / np.linalg.norm(vectors, axis=2))[..., None]
    # A wave's mean square is half of its amplitude's; short waves are as steep as long ones.
    amplitudes = rng.standard_normal((*shape, 3)) * (lengths_mm / np.mean(WAVELENGTH_MM))[..., None]
    amplitudes *= (rms_mm * np.sqrt(2 / (3 * N_WAVES)))[..., None]
    phases = rng.uniform(0, 2 * np.pi, shape)
    return _Waves(
        vectors.astype(np.float32), phases.astype(np.float32), amplitudes.astype(np.float32)
    )


def _turn_normals(normals: Floats, positions_mm: Floats, stretch: Floats, waves: _Waves) -> Floats:
    """Normals of the warped surface: by the inverse transposed gradient, to the first order."""
    lean = (normals @ waves.amplitudes.transpose(0, 2, 1)) * np.cos(waves.angles(positions_mm))
    back: Floats = np.linalg.inv(stretch).astype(np.float32)
    turned = (normals - lean @ waves.vectors) @ back.transpose(0, 2, 1)
    lengths = np.linalg.norm(turned, axis=2, keepdims=True)
    return np.asarray(turned / np.maximum(lengths, 1e-9), dtype=np.float32)
