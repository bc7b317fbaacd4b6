# SPDX-License-Identifier: Apache-2.0
"""Two plots of the accuracy benchmark; matplotlib is needed here only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from benchmarks._errors import PersonErrors, calibration_bins

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["plot_accuracy"]


def plot_accuracy(
    people: Sequence[PersonErrors], mean_landmarks_mm: NDArray[np.float64], folder: Path
) -> None:
    """Draw ``calibration.png`` and ``landmarks.png``.

    Parameters
    ----------
    people : sequence of PersonErrors
        What was measured.
    mean_landmarks_mm : ndarray of shape (n_landmarks, 3)
        Where to draw the landmarks, face frame.
    folder : Path
        Where the two files go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = [person for person in people if person.errors_mm is not None]
    errors = np.array([person.errors_mm for person in found])[:, -1]
    visible = np.array([person.visible for person in found])
    expected = np.array([person.expected_mm for person in found])
    mask = visible & np.isfinite(expected)
    _plot_calibration(expected[mask], errors[mask], folder / "calibration.png")
    means = np.where(visible, errors, 0).sum(axis=0) / np.maximum(visible.sum(axis=0), 1)
    _plot_landmarks(mean_landmarks_mm, means, folder / "landmarks.png")


def _plot_calibration(
    expected_mm: NDArray[np.float64], true_mm: NDArray[np.float64], path: Path
) -> None:
    figure = Figure(figsize=(4.5, 4.5), layout="tight")
    axes = figure.subplots()
    bins = calibration_bins(expected_mm, true_mm)
    axes.plot([row[2] for row in bins], [row[3] for row in bins], "o-", label="measured")
    limit = 1.1 * max(max(row[2], row[3]) for row in bins)
    axes.plot([0, limit], [0, limit], "--", color="grey", label="as foreseen")
    axes.set(xlabel="mean expected error, mm", ylabel="mean true error, mm")
    axes.legend()
    figure.savefig(path, dpi=120)


def _plot_landmarks(
    positions_mm: NDArray[np.float64], errors_mm: NDArray[np.float64], path: Path
) -> None:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, axis, name in zip(panels, (0, 2), ("front, x mm", "left side, -z mm"), strict=True):
        across = positions_mm[:, axis] * (1 if axis == 0 else -1)
        shown = np.ones(len(across), dtype=bool) if axis == 0 else positions_mm[:, 0] > -1
        dots = axes.scatter(
            across[shown],
            positions_mm[shown, 1],
            c=errors_mm[shown],
            s=60,
            cmap="viridis",
            vmin=0,
            vmax=errors_mm.max(),
        )
        axes.set(aspect="equal", xlabel=name)
    figure.colorbar(dots, ax=panels, label="mean error, mm")
    figure.savefig(path, dpi=120)
