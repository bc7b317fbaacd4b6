# SPDX-License-Identifier: Apache-2.0
"""Landmark errors, stage by stage, on people never seen in training.

Half of them are from ICT-FaceKit and half from anny; two in five are captured with presets that
neither training nor calibration uses.

Every generated person is detected in a random pose, as it might be in a file. Distances are in
millimetres on the scan. "shown" are the landmarks that the scan covers; no scan is left out, and a
landmark called missing counts with the network's position. Refused scans have no landmarks and are
counted separately.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import _errors
from benchmarks._data import add_common_options, add_people_options, read_real_scans, settings_of
from benchmarks._errors import RealErrors
from benchmarks._people import measure, tasks_of
from benchmarks._pool import run_tasks
from benchmarks._report import Report
from benchmarks._stages import STAGES, run_stages
from palnet import detect
from palnet.errors import PalnetError
from palnet.model import read_model
from palnet.scheme import load_scheme
from palnet.synthesis import PRESETS, TEST_PRESETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks._data import RealScan, Task
    from benchmarks._errors import Stacked
    from benchmarks._people import Person
    from palnet.model import Model

TARGET_MEAN_MM, TARGET_STEADY_MM, TARGET_P95_MM, TARGET_WITHIN_2 = 1.0, 0.85, 2.7, 92
N_FAILURES = 6
# `run_stages` and `detect` perform the same operations in the same order.
SAME_MM = 1e-6


def _mean_shown(person: Person) -> float:
    """Mean error of the visible landmarks."""
    return float(person.errors_mm[-1][person.visible].mean())


def measure_real(scan: RealScan, model: Model) -> RealErrors:
    """Compute errors of every stage at the source's points, and the expected errors."""
    rows = [load_scheme().index_of(code) for code in scan.points_mm]
    truth = np.array(list(scan.points_mm.values()))
    try:
        result = run_stages(scan.mesh, model, "mm")
    except PalnetError as err:
        print(f"{scan.name} was refused: {err}", file=sys.stderr)
        nothing = np.full((len(STAGES) + 1, len(truth)), np.nan)
        return RealErrors(scan, nothing[1:], nothing[0])
    apart = [np.linalg.norm(result.positions[stage][rows] - truth, axis=1) for stage in STAGES]
    return RealErrors(scan, np.stack(apart), result.expected_error_mm[rows])


def check_stages(task: Task, model: Model) -> None:
    """Stop if the last stage differs from the result of `palnet.detect`."""
    mesh = task.draw().to_mesh()
    final = run_stages(mesh, model, "mm").positions["final"]
    detected = detect(mesh, unit="mm", model=task.model).landmarks.positions_mm
    apart_mm = float(np.nanmax(np.abs(final - detected)))
    if apart_mm > SAME_MM:
        msg = f"the stages end {apart_mm:.3g} mm from palnet.detect; correct benchmarks/_stages.py."
        raise SystemExit(msg)


def draw_pictures(stacked: Stacked, tasks: Sequence[Task], model: Model, folder: Path) -> None:
    """Draw the calibration, each landmark's error, and the worst people."""
    from benchmarks._failure_picture import draw_failures
    from benchmarks._plots import plot_accuracy

    folder.mkdir(parents=True, exist_ok=True)
    worst = sorted(stacked.people, key=_mean_shown)[-N_FAILURES:]
    which = {(t.source, t.seed): t for t in tasks}
    scans = [which[p.source, p.seed].draw() for p in worst]
    draw_failures(scans, worst, folder / "failures.png")
    plot_accuracy(stacked, model.atlas.landmark_mean_mm, folder)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    add_people_options(parser, people=400, needs_heads=True)
    parser.add_argument("--plot", type=Path, help="folder for PNG pictures (needs matplotlib)")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.people // 2)
    sources = {"ICT-FaceKit": arguments.ict, "anny": arguments.heads}
    presets = (*PRESETS, *TEST_PRESETS, *TEST_PRESETS)
    tasks = tasks_of(sources, seeds, presets, arguments.model)
    people = list(run_tasks(measure, tasks, jobs=arguments.jobs))
    model = read_model(arguments.model)
    report = Report("accuracy", settings_of(arguments))
    stacked = _errors.stack(people)
    _errors.add_stages(report, stacked)
    _errors.add_calibration(report, stacked, model.calibration.ninety)
    _errors.note_as_shown(report, stacked, model.calibration)
    _errors.add_missing(report, stacked, model.calibration)
    _errors.add_groups(report, people)
    _errors.add_landmarks(report, stacked)
    _errors.add_refused(report, people)
    found = {(p.source, p.seed) for p in stacked.people}
    annotated = [scan for scan in read_real_scans(arguments.real) if scan.points_mm]
    found_real = [measure_real(scan, model) for scan in annotated]
    _errors.add_real_tables(report, found_real, model.calibration.shown_ninety)
    _errors.add_new_presets(report, stacked, list(TEST_PRESETS))
    new = report.summary["new_presets"]
    steady_mm = new["without ears and cheeks"]["mean mm"]
    low_mm, high_mm = report.summary["new_presets_mean_among_others_mm"]
    report.notes.insert(
        0,
        f"Targets on new people and new capture presets: mean {TARGET_MEAN_MM} mm, without ears "
        f"and cheeks {TARGET_STEADY_MM} mm, 95th percentile {TARGET_P95_MM} mm, "
        f"{TARGET_WITHIN_2} % within 2 mm. Reached: {new['all']['mean mm']:.2f}, {steady_mm:.2f}, "
        f"{new['all']['95th']:.2f} mm, {new['all']['within 2 mm %']:.1f} %. Among other people of "
        f"these kinds the mean would be {low_mm:.2f} to {high_mm:.2f} (95 % of draws of as many).",
    )
    check_stages(next(t for t in tasks if (t.source, t.seed) in found), model)
    if arguments.plot:
        draw_pictures(stacked, tasks, model, arguments.plot)
    report.finish(arguments.output)


if __name__ == "__main__":
    main()
