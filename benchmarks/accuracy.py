# SPDX-License-Identifier: Apache-2.0
"""How far the landmarks lie from the truth, stage by stage, on people that no training ever saw.

Every generated person is detected in a random pose, as a file would hold it. Distances are
millimetres on the scan. "shown" are the landmarks that the scan passes by; no scan is left out, and
a landmark that was called missing counts where the network puts it. Refused scans have no
landmarks; they are counted beside the table.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import _errors
from benchmarks._data import (
    add_common_options,
    draw_placement,
    generator_of,
    place_mesh,
    read_real_scans,
    settings_of,
)
from benchmarks._pool import run_tasks, shared_model
from benchmarks._report import Report
from benchmarks._stages import STAGES, run_stages
from palnet import detect
from palnet.errors import PalnetError
from palnet.scheme import load_scheme
from palnet.surface import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks._data import RealScan

TARGET_MEAN_MM, TARGET_P95_MM = 1.3, 3.2
# `run_stages` and `detect` do the same sums in the same order.
SAME_MM = 1e-6


@dataclass(frozen=True)
class Task:
    """One test person."""

    seed: int
    ict: Path


def measure(task: Task) -> _errors.PersonErrors:
    """Detect one generated person in a random pose."""
    scan = generator_of(task.ict).draw(task.seed)
    mesh = Mesh(scan.points_mm.astype(np.float64), scan.triangles, name=str(task.seed))
    placement = draw_placement(np.random.default_rng([task.seed, 3]), unit="mm")
    about = {key: scan.description.get(key) for key in ("preset", "hair", "childlike")}
    try:
        result = run_stages(place_mesh(mesh, placement), shared_model(), "mm")
    except PalnetError as err:
        return _errors.PersonErrors(task.seed, about, scan.visible, refusal=str(err))
    errors = np.stack(
        [
            np.linalg.norm(placement.from_file(result.positions[stage]) - scan.landmarks_mm, axis=1)
            for stage in STAGES
        ]
    )
    return _errors.PersonErrors(
        task.seed, about, scan.visible, errors, result.is_placed, result.expected_error_mm
    )


def measure_real(scan: RealScan) -> NDArray[np.float64]:
    """Distances of every stage to the points that the source gives, (n_stages, n_points)."""
    rows = [load_scheme().index_of(code) for code in scan.points_mm]
    truth = np.array(list(scan.points_mm.values()))
    try:
        result = run_stages(scan.mesh, shared_model(), "mm")
    except PalnetError as err:
        print(f"{scan.name} was refused: {err}", file=sys.stderr)
        return np.full((len(STAGES), len(truth)), np.nan)
    return np.stack([np.linalg.norm(result.positions[s][rows] - truth, axis=1) for s in STAGES])


def check_stages(ict: Path, seed: int, model: str | None) -> None:
    """Stop if the last stage here is not what `palnet.detect` gives."""
    scan = generator_of(ict).draw(seed)
    mesh = Mesh(scan.points_mm.astype(np.float64), scan.triangles, name=str(seed))
    final = run_stages(mesh, shared_model(), "mm").positions["final"]
    detected = detect(mesh, unit="mm", model=model).landmarks.positions_mm
    apart_mm = float(np.nanmax(np.abs(final - detected)))
    if apart_mm > SAME_MM:
        msg = f"the stages end {apart_mm:.3g} mm from palnet.detect; correct benchmarks/_stages.py."
        raise SystemExit(msg)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser, people=200)
    parser.add_argument("--jobs", type=int, default=2, help="processes [%(default)s]")
    parser.add_argument("--plot", type=Path, help="folder for two PNG plots (needs matplotlib)")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.people)
    tasks = [Task(seed, arguments.ict) for seed in seeds]
    people = list(run_tasks(measure, tasks, model=arguments.model, jobs=arguments.jobs))
    report = Report("accuracy", settings_of(arguments))
    _errors.add_generated_tables(report, people)
    mean_mm, p95_mm = report.summary["final_mean_mm"], report.summary["final_p95_mm"]
    report.notes.append(
        f"Target on generated people: mean {TARGET_MEAN_MM} mm, 95th percentile {TARGET_P95_MM} "
        f"mm. Reached: {mean_mm:.2f} and {p95_mm:.2f} mm on the landmarks shown."
    )
    annotated = [scan for scan in read_real_scans(arguments.real) if scan.points_mm]
    distances = list(run_tasks(measure_real, annotated, model=arguments.model, jobs=1))
    _errors.add_real_tables(report, annotated, distances)
    check_stages(arguments.ict, next(p.seed for p in people if not p.refusal), arguments.model)
    if arguments.plot:
        from benchmarks._plots import plot_accuracy

        plot_accuracy(people, shared_model().atlas.landmark_mean_mm, arguments.plot)
    report.finish(arguments.output)


if __name__ == "__main__":
    main()
