# SPDX-License-Identifier: Apache-2.0
"""Stored patches of made-up faces, for tests of the training."""

from __future__ import annotations

import numpy as np

from palnet.training.patches import TrainingPatches
from toy_head import toy_scheme

__all__ = ["N_STORED", "make_patches"]

N_STORED = 128


def make_patches(seed, n_scans=8, offset_mm=(0.0, -2.0, 1.5)):
    """Make bowl-shaped patches, sorted by distance in each half, with about the same offset."""
    rng = np.random.default_rng(seed)
    n_landmarks = len(toy_scheme())
    shape = (n_scans, 2, n_landmarks)
    points = np.zeros((*shape, 2 * N_STORED, 6))
    for half, reach in enumerate((11.0, 32.0)):
        part = slice(half * N_STORED, (half + 1) * N_STORED)
        radius = reach * np.sqrt(np.sort(rng.random((*shape, N_STORED)), axis=-1))
        angle = rng.uniform(0, 2 * np.pi, radius.shape)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        points[..., part, :3] = np.stack([x, y, radius**2 / 90], axis=-1)
    points[..., 5] = 1
    centres = np.array([0, 0, 80]) + rng.normal(0, 40, (n_scans, 1, n_landmarks, 3))
    centres = centres + rng.normal(0, [[[0.0]], [[0.3]]], (*shape, 3))
    truth = centres[:, 0] + np.array(offset_mm) + rng.normal(0, 0.1, (n_scans, n_landmarks, 3))
    return TrainingPatches(
        points=points.astype(np.float16),
        share=rng.uniform(0.5, 1, (*shape, 2)).astype(np.float32),
        centres_mm=centres.astype(np.float32),
        truth_mm=truth.astype(np.float32),
        visible=rng.random((n_scans, n_landmarks)) < 0.8,
    )
