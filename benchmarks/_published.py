# SPDX-License-Identifier: Apache-2.0
"""The published steps of PAL-Net, reimplemented from the paper for timing.

Every choice is made in favour of these steps: the file is read by palnet's own reader, patches and
means use search trees, and the approximations are given (the paper aligns every scan by a matrix
without saying how to obtain it).

References
----------
A. Yazdi et al., PAL-Net, Informatics in Medicine Unlocked 60 (2026) 101729,
doi 10.1016/j.imu.2025.101729.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial import cKDTree

from palnet.surface import read_mesh

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.network.torch_paper import PalNet
    from palnet.surface import Mesh

__all__ = ["run_published_steps"]

N_SAMPLES = 100_000
N_AVERAGED = 12
# This many times the wanted samples are drawn before those too close to another are dropped.
OVERSAMPLING = 3


def sample_evenly(mesh: Mesh, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Sample points uniformly by area and drop those too close to another.

    Three times as many are drawn; of two closer than ``sqrt(area / drawn)``, the later one is
    dropped.
    """
    a, b, c = (mesh.points[mesh.triangles[:, corner]] for corner in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    n_drawn = OVERSAMPLING * n_samples
    chosen = np.searchsorted(np.cumsum(area), rng.uniform(0, area.sum(), n_drawn))
    u, v = rng.random((2, n_drawn, 1))
    outside = u + v > 1
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    points = a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]
    radius = np.sqrt(area.sum() / n_drawn)
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    kept = np.ones(n_drawn, dtype=bool)
    kept[pairs.max(axis=1)] = False
    return np.asarray(points[kept][:n_samples])


def run_published_steps(
    path: Path, approximations: NDArray[np.float64], network: PalNet
) -> dict[str, float]:
    """Run all steps once, around the mean landmarks after alignment; return the seconds of each."""
    marks = [time.perf_counter()]
    mesh = read_mesh(path)
    marks.append(time.perf_counter())
    sample = sample_evenly(mesh, N_SAMPLES, np.random.default_rng(0))
    marks.append(time.perf_counter())
    tree = cKDTree(mesh.points)
    centres = mesh.points[tree.query(approximations)[1]]
    index = tree.query(centres, k=network.n_points)[1]
    order = np.argsort(np.linalg.norm(mesh.points[index], axis=2), axis=1)
    patches = np.take_along_axis(mesh.points[index], order[..., None], axis=1)
    marks.append(time.perf_counter())
    with torch.inference_mode():
        predicted = network(torch.from_numpy(patches[None].astype(np.float32)))[0].numpy()
    marks.append(time.perf_counter())
    # Random weights predict distant points, whose nearest-point search would be unusually slow.
    predicted = centres + 1e-3 * np.tanh(predicted)
    sample[cKDTree(sample).query(predicted, k=N_AVERAGED)[1]].mean(axis=1)
    marks.append(time.perf_counter())
    names = ("load", "even sampling", "patches", "forward", "averaging")
    seconds = dict(zip(names, np.diff(marks).tolist(), strict=True))
    return seconds | {"total": marks[-1] - marks[0]}
