# SPDX-License-Identifier: Apache-2.0
"""True and expected errors of a detection by shape alone, and by shape and color.

On a real scan with its texture: `--scan james.obj`, with james.mtl and james.jpg beside it, from
the folder menpo3d/data of menpo3d-0.5.0.tar.gz (PyPI, BSD-3-Clause). It is the scan menpo_james
with all its vertices, so its points are those of menpo_james. On generated people with painted
faces (`benchmarks._paint`): half of each source with `--heads`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._data import (
    RealScan,
    add_common_options,
    add_heads_option,
    draw_placement,
    generator_of,
    place_mesh,
    read_real_scans,
    settings_of,
    sources_in_turn,
)
from benchmarks._paint import paint
from benchmarks._pool import run_tasks
from benchmarks._report import Report
from benchmarks.lids import Task
from palnet import detect
from palnet.combining import SEEN_BY_COLOR
from palnet.errors import PalnetError
from palnet.model import read_model
from palnet.scheme import load_scheme
from palnet.surface import read_colored_mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Seeds used only by this benchmark.
FIRST_SEED = 3_450_000
POINTS_OF = "menpo_james"


@dataclass(frozen=True, eq=False)
class Result:
    """Landmarks of one person that color shows, by shape alone and with color.

    Attributes
    ----------
    source : str
        Source of the person.
    errors_mm, expected_mm : ndarray of shape (2, n), optional
        NaN if a landmark is not visible in the scan or called missing; None if refused.
    is_used : bool
        Whether the colors were used.
    """

    source: str
    errors_mm: NDArray[np.float64] | None
    expected_mm: NDArray[np.float64] | None
    is_used: bool = False


def measure(task: Task) -> Result:
    """Detect one painted person in a random pose."""
    scan = generator_of(task.source).draw(task.seed)
    rng = np.random.default_rng([task.seed, 13])
    placement = draw_placement(rng, unit="mm")
    mesh = replace(place_mesh(scan.to_mesh(), placement), colors=paint(scan, rng))
    rows = [load_scheme().index_of(code) for code in SEEN_BY_COLOR]
    try:
        found = [
            detect(each, unit="mm", model=task.model) for each in (replace(mesh, colors=None), mesh)
        ]
    except PalnetError:
        return Result(task.name, None, None)
    true_mm = scan.landmarks_mm[rows]
    apart_mm = [placement.from_file(each.landmarks.positions[rows]) - true_mm for each in found]
    errors_mm = np.where(scan.visible[rows], np.linalg.norm(apart_mm, axis=2), np.nan)
    expected_mm = np.stack([each.landmarks.expected_error_mm[rows] for each in found])
    expected_mm = np.where(np.isfinite(errors_mm), expected_mm, np.nan)
    return Result(task.name, errors_mm, expected_mm, found[1].provenance["color"]["used"])


def measure_real(path: Path, points: RealScan, model: str | None) -> list[tuple[Any, ...]]:
    """Compute the rows of a real scan: grade, errors and expected errors of each known point."""
    mesh = read_colored_mesh(path)
    if mesh.colors is None:
        findings = " ".join(finding.message for finding in mesh.findings)
        msg = f"{path}: has no color. {findings or 'Its .mtl and image have to be beside it.'}"
        raise SystemExit(msg)
    found = [
        detect(each, unit="mm", model=model).landmarks
        for each in (replace(mesh, colors=None), mesh)
    ]
    rows = []
    for code, true_mm in points.points_mm.items():
        row = load_scheme().index_of(code)
        errors = [float(np.linalg.norm(each.positions_mm[row] - true_mm)) for each in found]
        expected = [float(each.expected_error_mm[row]) for each in found]
        is_seen = "yes" if code in SEEN_BY_COLOR else "no"
        rows.append(
            (code, points.grades[code], is_seen, errors[0], expected[0], errors[1], expected[1])
        )
    exact = [row for row in rows if row[1] == "exact"]
    means = np.mean([row[3:] for row in exact], axis=0)
    return [*rows, (f"mean of the {len(exact)} exact", "", "", *map(float, means))]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser, people=200)
    parser.set_defaults(first_seed=FIRST_SEED)
    parser.add_argument("--scan", type=Path, required=True, help="james.obj")
    parser.add_argument("--jobs", type=int, default=2, help="processes [%(default)s]")
    add_heads_option(parser)
    arguments = parser.parse_args()
    points = {scan.name: scan for scan in read_real_scans(arguments.real)}[POINTS_OF]
    report = Report("color", settings_of(arguments))
    real = measure_real(arguments.scan, points, arguments.model)
    report.add_table(
        f"{POINTS_OF} with all its vertices and its texture, mm",
        (
            *("code", "grade", "shown by color", "by shape", "expected"),
            *("by shape and color", "expected with color"),
        ),
        real,
    )
    tasks = [Task(*person, arguments.model) for person in sources_in_turn(arguments)]
    results = list(run_tasks(measure, tasks, model=arguments.model, jobs=arguments.jobs))
    ninety = read_model(arguments.model).calibration.ninety
    report.add_table(
        f"Painted generated people: the {len(SEEN_BY_COLOR)} landmarks that color shows, mm",
        (
            *("source", "people", "refused", "color used", "by shape", "expected"),
            *("by shape and color", "expected with color", "95th", "held %"),
        ),
        [
            _row(source, [result for result in results if result.source == source], ninety)
            for source in dict.fromkeys(result.source for result in results)
        ],
    )
    _, _, _, by_shape, _, by_both, expected = real[-1]
    report.summary |= {"real by shape": by_shape, "real by both": by_both, "expected": expected}
    report.notes.append(
        f"{real[-1][0].capitalize()} points of {POINTS_OF}: {by_shape:.2f} mm by shape, "
        f"{by_both:.2f} mm by shape and color, where {expected:.2f} mm are expected."
    )
    report.finish(arguments.output)


def _row(source: str, results: list[Result], ninety: float) -> tuple[Any, ...]:
    """Compute the row of a source; `ninety` is the nine-of-ten factor."""
    found = [result for result in results if result.errors_mm is not None]
    errors, expected = (
        np.stack([getattr(result, name) for result in found], axis=1).reshape(2, -1)
        for name in ("errors_mm", "expected_mm")
    )
    is_there = np.isfinite(errors).all(axis=0)
    errors, expected = errors[:, is_there], expected[:, is_there]
    held = float(np.mean(errors[1] < ninety * expected[1]))
    return (
        *(source, len(results), len(results) - len(found), sum(r.is_used for r in found)),
        *(float(errors[0].mean()), float(expected[0].mean())),
        *(float(errors[1].mean()), float(expected[1].mean())),
        *(float(np.percentile(errors[1], 95)), 100 * held),
    )


if __name__ == "__main__":
    main()
