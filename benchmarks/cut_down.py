# SPDX-License-Identifier: Apache-2.0
"""Detection of scans that are cropped to the face, as many labs do.

Each generated person is detected in a random pose, whole and cropped to several multiples of the
nasion-gnathion distance about subnasale. At 0.85, ears and hairline are gone, at 0.7 the angles of
the jaw and the temples.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._data import (
    Task,
    add_common_options,
    add_people_options,
    cut_to_face,
    draw_placement,
    settings_of,
    tasks_in_turn,
)
from benchmarks._people import detection_errors
from benchmarks._pool import run_tasks
from benchmarks._report import Report
from palnet.surface import parse_unit, prepare_surface, project_onto_triangles

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Seeds used only by this benchmark.
FIRST_SEED = 3_300_000
CUTS = (None, 0.85, 0.7)
YOUNG = ("infant", "child")
# A landmark is visible if the scan passes within this distance, as in `palnet.synthesis`.
SHOWN_MM = 4.0


@dataclass(frozen=True, eq=False)
class Result:
    """Result of one scan, whole or cropped.

    Attributes
    ----------
    cut : float, optional
        Multiple of the face height; None if whole.
    is_young : bool
        Whether the person is one of anny's infants or children.
    errors_mm : ndarray of shape (n_landmarks,), optional
        NaN if called missing; None if refused.
    visible : ndarray of shape (n_landmarks,)
        Which landmarks are still visible.
    """

    cut: float | None
    is_young: bool
    errors_mm: NDArray[np.float64] | None
    visible: NDArray[np.bool_]


def measure(task: Task) -> list[Result]:
    """Detect one person, whole and cropped."""
    scan = task.draw()
    placement = draw_placement(np.random.default_rng([task.seed, 9]), unit="mm")
    is_young = scan.description.get("age_group") in YOUNG
    results = []
    for cut in CUTS:
        mesh = scan.to_mesh()
        if cut is not None:
            mesh = cut_to_face(mesh, scan.landmarks_mm, cut)
        passed_by = project_onto_triangles(
            prepare_surface(mesh, parse_unit("mm")), scan.landmarks_mm.astype(np.float64)
        )
        visible = scan.visible & (passed_by.distances_mm < SHOWN_MM)
        errors_mm, _ = detection_errors(mesh, placement, scan.landmarks_mm, task.model)
        results.append(Result(cut, is_young, errors_mm, visible))
    return results


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    add_people_options(parser, people=160, first_seed=FIRST_SEED)
    arguments = parser.parse_args()
    people = list(run_tasks(measure, tasks_in_turn(arguments), jobs=arguments.jobs))
    report = Report("cut_down", settings_of(arguments))
    rows = []
    for number, cut in enumerate(CUTS):
        results = [person[number] for person in people]
        found = [result for result in results if result.errors_mm is not None]
        young = [result for result in results if result.is_young]
        errors = np.array([result.errors_mm for result in found])
        visible = np.array([result.visible for result in found])
        is_missing = np.isnan(errors)
        rows.append(
            (
                "whole" if cut is None else f"{cut} of the face's height",
                *(len(results), len(results) - len(found)),
                *(len(young), sum(result.errors_mm is None for result in young)),
                float(np.nanmean(errors[visible])),
                100 * float((is_missing & ~visible).sum() / max(1, (~visible).sum())),
                100 * float((is_missing & visible).sum() / visible.sum()),
            )
        )
        report.summary[rows[-1][0]] = {"refused": rows[-1][2], "young_refused": rows[-1][4]}
    report.add_table(
        "Scans cut down to the face about subnasale",
        (
            *("scan", "people", "refused", "infants and children", "refused of these"),
            *("error of what is shown, mm", "not shown called missing %"),
            "shown, yet called missing %",
        ),
        rows,
    )
    report.finish(arguments.output)


if __name__ == "__main__":
    main()
