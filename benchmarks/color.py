# SPDX-License-Identifier: Apache-2.0
"""True and expected errors of a detection by shape alone, and by shape and color.

On a real scan with its texture, and with wrong colors: `--scan james.obj`, with james.mtl and
james.jpg beside it, from the folder menpo3d/data of menpo3d-0.5.0.tar.gz (PyPI, BSD-3-Clause). It
is the scan menpo_james with all its vertices, so its points are those of menpo_james. On generated
people with painted faces (`benchmarks._paint`): half of each source with `--heads`. The time is
that of the real scan, from the mesh in memory, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

from benchmarks._data import (
    RealScan,
    Task,
    add_common_options,
    add_people_options,
    draw_placement,
    place_mesh,
    read_real_scans,
    settings_of,
    tasks_in_turn,
)
from benchmarks._paint import paint
from benchmarks._pool import run_tasks
from benchmarks._report import Report
from palnet import detect
from palnet.detection.combining import SEEN_BY_COLOR
from palnet.errors import PalnetError
from palnet.model import read_model
from palnet.scheme import load_scheme
from palnet.similarity import apply_similarity
from palnet.surface import read_colored_mesh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from palnet.surface import Mesh

# Seeds used only by this benchmark and, otherwise captured, by `benchmarks.tomography`.
FIRST_SEED = 3_450_000
POINTS_OF = "menpo_james"
# By how much a wrong texture is moved.
MOVED_MM = (2, 5, 10)
COARSE_MM = 5
N_TIMES = 9


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
    scan = task.draw()
    rng = np.random.default_rng([task.seed, 13])
    placement = draw_placement(rng, unit="mm")
    mesh = replace(place_mesh(scan.to_mesh(), placement), colors=paint(scan, rng))
    rows = [load_scheme().index_of(code) for code in SEEN_BY_COLOR]
    try:
        found = [
            detect(each, unit="mm", model=task.model) for each in (replace(mesh, colors=None), mesh)
        ]
    except PalnetError:
        return Result(task.source, None, None)
    true_mm = scan.landmarks_mm[rows]
    apart_mm = [placement.from_file(each.landmarks.positions[rows]) - true_mm for each in found]
    errors_mm = np.where(scan.visible[rows], np.linalg.norm(apart_mm, axis=2), np.nan)
    expected_mm = np.stack([each.landmarks.expected_error_mm[rows] for each in found])
    expected_mm = np.where(np.isfinite(errors_mm), expected_mm, np.nan)
    return Result(task.source, errors_mm, expected_mm, found[1].provenance["color"]["used"])


def read_colored(path: Path) -> Mesh:
    """Read the real scan, which must have color."""
    mesh = read_colored_mesh(path)
    if mesh.colors is None:
        findings = " ".join(finding.message for finding in mesh.findings)
        msg = f"{path}: has no color. {findings or 'Its .mtl and image have to be beside it.'}"
        raise SystemExit(msg)
    return mesh


def measure_real(mesh: Mesh, points: RealScan, model: str | None) -> list[tuple[Any, ...]]:
    """Compute the rows of a real scan: grade, errors and expected errors of each known point."""
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


def wrong_colors(mesh: Mesh) -> Iterator[tuple[str, NDArray[np.uint8] | None]]:
    """Yield the colors of a scan, changed in many ways: what was done, and the colors."""
    colors = np.asarray(mesh.colors, dtype=np.uint8)
    face_from_scan = detect(mesh, unit="mm").face_from_scan
    points_mm = apply_similarity(face_from_scan, mesh.points)
    tree = cKDTree(points_mm)

    def taken_from(places_mm: NDArray[np.float64]) -> NDArray[np.uint8]:
        return np.asarray(colors[tree.query(places_mm)[1]])

    yield "as it was photographed", colors
    yield "none", None
    yield "gray", np.repeat(colors.mean(axis=1, keepdims=True), 3, axis=1).astype(np.uint8)
    yield "a quarter as bright", colors // 4
    yield "twice as bright, cut off", np.minimum(colors.astype(int) * 2, 255).astype(np.uint8)
    yield "red and blue exchanged", colors[:, ::-1]
    yield "inverted", 255 - colors
    blocks_mm = np.floor(points_mm / COARSE_MM) * COARSE_MM + COARSE_MM / 2
    yield f"in blocks of {COARSE_MM} mm", taken_from(blocks_mm)
    yield "none on the left side", np.where(points_mm[:, :1] > 0, 128, colors).astype(np.uint8)
    for moved_mm in MOVED_MM:
        yield f"{moved_mm} mm too high", taken_from(points_mm - [0, moved_mm, 0])
        yield f"{moved_mm} mm too far left", taken_from(points_mm - [moved_mm, 0, 0])
    yield "mirrored", taken_from(points_mm * [-1, 1, 1])
    yield "upside down", taken_from(points_mm * [1, -1, 1])


def measure_wrong(
    mesh: Mesh, points: RealScan, model: str | None, ninety: float
) -> list[tuple[Any, ...]]:
    """Compute a row for each change of the colors: the exact points that color shows."""
    codes = [code for code in SEEN_BY_COLOR if points.grades.get(code) == "exact"]
    rows = [load_scheme().index_of(code) for code in codes]
    true_mm = np.stack([points.points_mm[code] for code in codes])
    table = []
    for change, colors in wrong_colors(mesh):
        found = detect(replace(mesh, colors=colors), unit="mm", model=model)
        errors_mm = np.linalg.norm(found.landmarks.positions_mm[rows] - true_mm, axis=1)
        expected_mm = found.landmarks.expected_error_mm[rows]
        use = found.provenance.get("color", {"used": False})
        is_told = any(finding.code == "color" for finding in found.findings)
        table.append(
            (
                *(change, "yes" if use["used"] else "no", "yes" if is_told else "no"),
                *(float(errors_mm.mean()), float(expected_mm.mean())),
                f"{np.count_nonzero(errors_mm < ninety * expected_mm)} of {len(codes)}",
            )
        )
    return table


def time_of(mesh: Mesh, model: str | None) -> float:
    """Return the seconds of a detection, a median."""
    seconds = []
    for _ in range(N_TIMES):
        start = time.perf_counter()
        detect(mesh, unit="mm", model=model)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    add_people_options(parser, people=200, first_seed=FIRST_SEED)
    parser.add_argument("--scan", type=Path, required=True, help="james.obj")
    arguments = parser.parse_args()
    points = {scan.name: scan for scan in read_real_scans(arguments.real)}[POINTS_OF]
    report = Report("color", settings_of(arguments))
    ninety = read_model(arguments.model).calibration.shown_ninety
    mesh = read_colored(arguments.scan)
    by_shape_s, by_both_s = (
        time_of(each, arguments.model) for each in (replace(mesh, colors=None), mesh)
    )
    real = measure_real(mesh, points, arguments.model)
    report.add_table(
        f"{POINTS_OF} with all its vertices and its texture, mm",
        (
            *("code", "grade", "shown by color", "by shape", "expected"),
            *("by shape and color", "expected with color"),
        ),
        real,
    )
    report.add_table(
        f"{POINTS_OF} with wrong colors: the points that color shows, mm",
        ("its colors", "used", "user told", "error", "expected", "held"),
        measure_wrong(mesh, points, arguments.model, ninety),
    )
    results = list(run_tasks(measure, tasks_in_turn(arguments), jobs=arguments.jobs))
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
        f"{by_both:.2f} mm by shape and color, where {expected:.2f} mm are expected. "
        f"A detection takes {by_shape_s:.2f} s by shape, {by_both_s:.2f} s by both (medians of "
        f"{N_TIMES}, without reading the file)."
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
