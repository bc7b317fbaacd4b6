# SPDX-License-Identifier: Apache-2.0
"""One scan in many poses and units: distances between its landmarks after mapping back."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._data import (
    PosesTask,
    add_common_options,
    add_people_options,
    draw_placement,
    place_mesh,
    read_real_scans,
    settings_of,
    tasks_in_poses,
)
from benchmarks._pool import run_tasks
from benchmarks._report import Report
from palnet import detect
from palnet.commands._arguments import at_least
from palnet.errors import PalnetError
from palnet.scheme import load_scheme
from palnet.surface import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

TARGET_MM = 0.3


@dataclass(frozen=True, eq=False)
class Agreement:
    """Result of one scan: distances between poses for each landmark, and other differences."""

    name: str
    n_found: int
    n_refused: int
    pair_mm: NDArray[np.float64]
    n_status_differs: int

    def row(self) -> tuple[Any, ...]:
        """Return one row of the table."""
        mean_mm = np.nanmean(self.pair_mm) if np.isfinite(self.pair_mm).any() else np.nan
        worst = int(np.nanargmax(self.pair_mm)) if np.isfinite(mean_mm) else 0
        return (
            self.name,
            self.n_found,
            self.n_refused,
            float(mean_mm),
            load_scheme().codes[worst],
            float(self.pair_mm[worst]),
            self.n_status_differs,
        )


def measure(task: PosesTask) -> Agreement:
    """Detect in every pose and compare."""
    mesh = task.scan if isinstance(task.scan, Mesh) else task.scan.draw().to_mesh()
    rng = np.random.default_rng([task.seed, 2])
    mapped, n_refused = [], 0
    for _ in range(task.n_poses):
        placement = draw_placement(rng)
        try:
            detection = detect(place_mesh(mesh, placement), model=task.model)
        except PalnetError:
            n_refused += 1
            continue
        mapped.append(placement.from_file(detection.landmarks.positions))
    return compare(task.name, np.array(mapped), n_refused)


def compare(name: str, mapped_mm: NDArray[np.float64], n_refused: int) -> Agreement:
    """Compute the mean distance over all pairs of poses in which a landmark was placed.

    Landmarks are mapped back to the scan's own frame, (n_poses, n_landmarks, 3); NaN if missing.
    """
    first, second = np.triu_indices(len(mapped_mm), k=1)
    if not len(first):
        return Agreement(name, len(mapped_mm), n_refused, np.full(1, np.nan), 0)
    apart = np.linalg.norm(mapped_mm[first] - mapped_mm[second], axis=2)
    count = np.isfinite(apart).sum(axis=0)
    pair_mm = np.where(count > 0, np.nansum(apart, axis=0) / np.maximum(count, 1), np.nan)
    n_placed = np.isfinite(mapped_mm[..., 0]).sum(axis=0)
    n_differs = int(((n_placed > 0) & (n_placed < len(mapped_mm))).sum())
    return Agreement(name, len(mapped_mm), n_refused, pair_mm, n_differs)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    add_people_options(parser, people=6)
    poses_help = "poses of each scan, two at least [%(default)s]"
    parser.add_argument("--poses", type=at_least(2), default=20, help=poses_help)
    arguments = parser.parse_args()
    tasks = tasks_in_poses(arguments, [scan.mesh for scan in read_real_scans(arguments.real)])
    rows = [found.row() for found in run_tasks(measure, tasks, jobs=arguments.jobs)]
    report = Report("consistency", settings_of(arguments))
    mean_mm = float(np.nanmean([row[3] for row in rows]))
    found, refused, differs = (sum(row[k] for row in rows) for k in (1, 2, 6))
    columns = (
        "scan",
        "poses",
        "refused",
        "mean mm apart",
        "least sure",
        "its mm apart",
        "landmarks missing in some",
    )
    total = ("all (mean of scans)", found, refused, mean_mm, None, None, differs)
    title = "One scan in random poses and units: distance between landmarks mapped back"
    report.add_table(title, columns, [*rows, total])
    report.summary = {"mean_mm": mean_mm, "target_mm": TARGET_MM, "refused": refused}
    report.notes.append(f"Target: {TARGET_MM} mm on average. Reached: {mean_mm:.2f} mm.")
    report.finish(arguments.output)


if __name__ == "__main__":
    main()
