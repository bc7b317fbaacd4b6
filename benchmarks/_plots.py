# SPDX-License-Identifier: Apache-2.0
"""Plots of expected and true errors; only this module needs matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from benchmarks._errors import Stacked, calibration_bins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["plot_accuracy", "plot_unseen_source"]


def plot_accuracy(stacked: Stacked, mean_landmarks_mm: NDArray[np.float64], folder: Path) -> None:
    """Draw ``calibration.png``, and ``landmarks.png`` with each landmark in its mean place."""
    folder.mkdir(parents=True, exist_ok=True)
    errors, visible, expected = stacked.final_mm, stacked.visible, stacked.expected_mm
    mask = visible & np.isfinite(expected)
    _plot_calibration(expected[mask], errors[mask], folder / "calibration.png")
    means = np.where(visible, errors, 0).sum(axis=0) / np.maximum(visible.sum(axis=0), 1)
    _plot_landmarks(mean_landmarks_mm, means, folder / "landmarks.png")


def _plot_calibration(
    expected_mm: NDArray[np.float64], true_mm: NDArray[np.float64], path: Path
) -> None:
    figure = Figure(figsize=(4.5, 4.5), layout="tight")
    axes = figure.subplots()
    bins = calibration_bins(expected_mm)
    expected = [expected_mm[part].mean() for part in bins]
    found = [true_mm[part].mean() for part in bins]
    axes.plot(expected, found, "o-", label="measured")
    limit = 1.1 * max(*expected, *found)
    axes.plot([0, limit], [0, limit], "--", color="grey", label="as expected")
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


def plot_unseen_source(
    fifths: Mapping[str, NDArray[np.float64]],
    predict: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    folder: Path,
) -> None:
    """Draw ``unseen_source.png``: true errors on each held-out source, beside the law.

    For each source, `fifths` has mean expected and mean true error of each fifth of the landmarks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(4.5, 4.5), layout="tight")
    axes = figure.subplots()
    for (source, pairs), mark in zip(fifths.items(), ("o", "s"), strict=True):
        axes.plot(*pairs.T, mark, label=f"{source}, held out")
    limit = 1.1 * max(pairs.max() for pairs in fifths.values())
    expected = np.linspace(0.0, limit, 100)
    axes.plot(expected, predict(expected), "-", color="black", label="the law")
    axes.plot([0, limit], [0, limit], "--", color="grey", label="on sources trained on")
    axes.set(xlabel="mean expected error, mm", ylabel="mean true error, mm", ylim=(0, limit))
    axes.legend(loc="lower right")
    figure.savefig(folder / "unseen_source.png", dpi=120)
