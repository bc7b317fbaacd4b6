# SPDX-License-Identifier: Apache-2.0
"""Refusal of objects that are not usable faces, in any pose.

The limits of the verdict were set on the objects of `benchmarks.not_a_face`; those of
`benchmarks.not_a_face_unseen` came later and were not used for tuning. They are reported
separately.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._data import add_common_options, draw_placement, place_mesh, settings_of
from benchmarks._pool import run_tasks
from benchmarks._report import RESULTS_FOLDER, Report
from benchmarks.not_a_face import make_all
from benchmarks.not_a_face_unseen import make_unseen
from palnet import detect, render_preview
from palnet.errors import MeshError, PreviewError, ScanRefusedError, UnitError

if TYPE_CHECKING:
    from palnet.detector import Detection
    from palnet.surface import Mesh

REFUSALS = (ScanRefusedError, UnitError, MeshError)
SETS = {"limits set on these": make_all, "unseen": make_unseen}


@dataclass(frozen=True, eq=False)
class Task:
    """One object in all its poses."""

    mesh: Mesh
    number: int
    n_poses: int
    model: str | None
    pictures: Path


@dataclass(frozen=True)
class Verdict:
    """Result of one object."""

    name: str
    n_poses: int
    reasons: tuple[str, ...]
    accepted: tuple[str, ...]


def judge(task: Task) -> Verdict:
    """Detect in every pose; draw the object if it was accepted."""
    rng = np.random.default_rng([task.number, 4])
    reasons, accepted = [], []
    for number in range(task.n_poses):
        mesh = place_mesh(task.mesh, draw_placement(rng, unit="mm"))
        try:
            detection = detect(mesh, model=task.model)
        except REFUSALS as err:
            reasons.append(f"{type(err).__name__}: {str(err).removeprefix(mesh.name + ': ')}")
            continue
        picture = _draw(mesh, detection, task.pictures / f"{mesh.name}_{number}.png")
        quality = detection.quality
        accepted.append(
            f"residual {quality.residual_mm} mm, coverage {quality.coverage}, "
            f"scale {detection.provenance['face_scale']}{picture}"
        )
    return Verdict(task.mesh.name, task.n_poses, tuple(reasons), tuple(accepted))


def _draw(mesh: Mesh, detection: Detection, path: Path) -> str:
    """Draw an object that should not have been accepted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        render_preview(mesh, detection.landmarks, detection.face_from_scan, path, overwrite=True)
    except PreviewError:
        return ""
    return f", {path.name}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    parser.add_argument("--poses", type=int, default=3, help="poses of each [%(default)s]")
    parser.add_argument("--jobs", type=int, default=2, help="processes [%(default)s]")
    parser.add_argument("--pictures", type=Path, default=RESULTS_FOLDER / "accepted")
    arguments = parser.parse_args()
    report = Report("refusals", settings_of(arguments))
    for title, make in SETS.items():
        rest = (arguments.poses, arguments.model, arguments.pictures)
        tasks = [Task(mesh, number, *rest) for number, mesh in enumerate(make(arguments.ict))]
        add_set(report, title, list(run_tasks(judge, tasks, jobs=arguments.jobs)))
    report.finish(arguments.output)


def add_set(report: Report, title: str, verdicts: list[Verdict]) -> None:
    """Add one set of objects to the tables, the summary and the notes."""
    report.add_table(
        f"Things that are no usable face: {title}",
        ("thing", "poses", "refused", "first reason", "accepted as"),
        [
            (v.name, v.n_poses, len(v.reasons), (*v.reasons, None)[0], "; ".join(v.accepted))
            for v in verdicts
        ],
    )
    always = [v.name for v in verdicts if not v.accepted]
    sometimes = [v.name for v in verdicts if v.accepted]
    report.summary[title] = {
        "things": len(verdicts),
        "always_refused": len(always),
        "accepted": sometimes,
        "detections": sum(v.n_poses for v in verdicts),
        "refused_detections": sum(len(v.reasons) for v in verdicts),
    }
    names = f": {', '.join(sometimes)}" if sometimes else ""
    report.notes.append(
        f"Target: all. Refused in every pose ({title}): {len(always)} of {len(verdicts)}; "
        f"accepted in some: {len(sometimes)}{names}."
    )


if __name__ == "__main__":
    main()
