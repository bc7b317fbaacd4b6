# SPDX-License-Identifier: Apache-2.0
"""Smooth random fields over space: the building blocks of warps, hair and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["bump", "random_unit_vectors", "smooth_step", "wave_field"]


def random_unit_vectors(rng: np.random.Generator, n_vectors: int) -> NDArray[np.float32]:
    """Draw directions uniformly from the sphere, shape (n_vectors, 3)."""
    vectors = rng.normal(size=(n_vectors, 3))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def wave_field(
    rng: np.random.Generator,
    points_mm: NDArray[np.floating],
    wavelengths_mm: tuple[float, float],
    n_waves: int = 14,
) -> NDArray[np.float32]:
    """Evaluate a random scalar field of unit variance, made of plane waves.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    points_mm : ndarray of shape (n_points, 3)
        Where to evaluate it.
    wavelengths_mm : tuple of float
        Shortest and longest wavelength; drawn log-uniformly.
    n_waves : int
        Number of waves; with a dozen, values are nearly Gaussian.

    Returns
    -------
    ndarray of shape (n_points,)
        The field.
    """
    shortest, longest = np.log(wavelengths_mm)
    lengths = np.exp(rng.uniform(shortest, longest, n_waves)).astype(np.float32)
    directions = random_unit_vectors(rng, n_waves) * (2 * np.pi / lengths)[:, None]
    phases = rng.uniform(0, 2 * np.pi, n_waves).astype(np.float32)
    waves = np.sin(points_mm.astype(np.float32) @ directions.T + phases)
    return np.asarray(waves @ np.full(n_waves, np.sqrt(2 / n_waves), dtype=np.float32))


def bump(
    points_mm: NDArray[np.floating], centre_mm: NDArray[np.floating], sigma_mm: float
) -> NDArray[np.float32]:
    """Evaluate a Gaussian of height one around a centre, shape (n_points,)."""
    offset = points_mm - centre_mm
    squared = np.einsum("ij,ij->i", offset, offset)
    return np.asarray(np.exp(-squared / (2 * sigma_mm**2)), dtype=np.float32)


def smooth_step(values: NDArray[np.floating], width: float) -> NDArray[np.float32]:
    """Rise from 0 to 1 as values pass zero, over about four widths."""
    return np.asarray(1 / (1 + np.exp(-np.clip(values / width, -30, 30))), dtype=np.float32)
