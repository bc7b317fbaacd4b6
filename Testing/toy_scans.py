# SPDX-License-Identifier: Apache-2.0
"""Statistics of the generator's output on the toy head; run this file to store them.

The people of all trainings and benchmarks are identified by their seeds: if the generator drew
others for the same seeds, all earlier figures would be about other people.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from toy_head import toy_generator

FILE = Path(__file__).parent / "data" / "toy_scans.csv"
N_SCANS = 40
COUNTS = ("seed", "vertices", "visible")
SIZES = tuple(
    f"{what}_{figure}_{axis}"
    for what in ("scan", "landmarks")
    for figure in ("mean", "sd")
    for axis in "xyz"
)


def figures_of(seed, scan):
    """Return counts, then mean and standard deviation of vertices and landmarks in mm."""
    sizes = [
        figure
        for points in (scan.points_mm.astype(float), scan.landmarks_mm.astype(float))
        for figure in (*points.mean(axis=0), *points.std(axis=0))
    ]
    return (seed, len(scan.points_mm), int(scan.visible.sum()), *sizes)


def read_kept():
    """Return the stored table, (N_SCANS, columns)."""
    return np.loadtxt(FILE, delimiter=",", skiprows=1)


if __name__ == "__main__":
    with FILE.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow((*COUNTS, *SIZES))
        for seed in range(N_SCANS):
            figures = figures_of(seed, toy_generator().draw(seed))
            rows.writerow([*figures[:3], *(f"{figure:.4f}" for figure in figures[3:])])
