# SPDX-License-Identifier: Apache-2.0
"""True and expected errors at the corners of eyes whose lids are sealed, heavy or folded.

The lids of the generated people are reshaped (`palnet.synthesis.lids`) to resemble those of
patients and of real scans with closed eyes. Such people also vary more widely than their source,
like some of the training people, so that all errors are a little larger than in
`benchmarks.accuracy`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._data import (
    Task,
    add_common_options,
    add_people_options,
    draw_placement,
    generator_of,
    settings_of,
    tasks_in_turn,
)
from benchmarks._people import detection_errors
from benchmarks._pool import run_tasks
from benchmarks._report import Report
from palnet.scheme import load_scheme
from palnet.synthesis import ScanGenerator
from palnet.synthesis.people import BLINKS, CLOSED_FROM

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Seeds used only by this benchmark.
FIRST_SEED = 3_350_000
CORNERS = ("en_r", "en_l", "ex_r", "ex_l")
KINDS_OF_EYES = (
    *("closed, sealed", "closed to a slit"),
    *("open, lids and eyeball one surface", "open"),
)


@dataclass(frozen=True, eq=False)
class Result:
    """One person's landmarks.

    Attributes
    ----------
    source : str
        Source of the person.
    eyes : str
        Kind of eyes.
    errors_mm, expected_mm : ndarray of shape (n_landmarks,), optional
        True error, and the expected error as shown to users; NaN if a landmark is not visible in
        the scan or called missing; None if refused.
    """

    source: str
    eyes: str
    errors_mm: NDArray[np.float64] | None
    expected_mm: NDArray[np.float64] | None


@lru_cache(maxsize=2)
def _wide_generator(path: Path) -> ScanGenerator:
    """Make the generator of people wider than a source, as only their lids are reshaped."""
    plain = generator_of(path)
    return ScanGenerator(replace(plain.model, wide_share=1.0), plain.presets)


def measure(task: Task) -> Result:
    """Detect one person in a random pose."""
    scan = _wide_generator(task.path).draw(task.seed)
    weights = scan.description["expressions"]
    is_closed = all(weights.get(name, 0) >= CLOSED_FROM for name in BLINKS)  # type: ignore[attr-defined]
    is_sealed = bool(scan.description["lids_sealed"])
    eyes = KINDS_OF_EYES[2 * (not is_closed) + (not is_sealed)]
    placement = draw_placement(np.random.default_rng([task.seed, 11]), unit="mm")
    found = detection_errors(scan.to_mesh(), placement, scan.landmarks_mm, task.model)
    shown = [None if values is None else np.where(scan.visible, values, np.nan) for values in found]
    return Result(task.source, eyes, *shown)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    add_people_options(parser, people=240, first_seed=FIRST_SEED)
    arguments = parser.parse_args()
    results = list(run_tasks(measure, tasks_in_turn(arguments), jobs=arguments.jobs))
    report = Report("lids", settings_of(arguments))
    groups = [
        (source, eyes, [r for r in results if (r.source, r.eyes) == (source, eyes)])
        for source in dict.fromkeys(result.source for result in results)
        for eyes in KINDS_OF_EYES
    ]
    report.add_table(
        "Corners of the eyes of people whose lids are drawn anew, mm",
        (
            *("source", "eyes", "people", "refused", "error", "95th percentile", "expected"),
            "error of the other landmarks",
        ),
        [(source, eyes, len(some), *_figures(some)) for source, eyes, some in groups if some],
    )
    report.finish(arguments.output)


def _figures(results: list[Result]) -> tuple[int | float, ...]:
    """Refused scans; mean, 95th percentile, expected error of the corners; mean of the others."""
    found = [r for r in results if r.errors_mm is not None]
    if not found:
        return len(results), *4 * (float("nan"),)
    errors, expected = (
        np.array([getattr(r, name) for r in found]) for name in ("errors_mm", "expected_mm")
    )
    is_corner = np.isin(load_scheme().codes, CORNERS)
    at_corners = errors[:, is_corner]
    figures = (
        np.nanmean(at_corners),
        np.nanquantile(at_corners, 0.95),
        np.nanmean(expected[:, is_corner]),
        np.nanmean(errors[:, ~is_corner]),
    )
    return len(results) - len(found), *map(float, figures)


if __name__ == "__main__":
    main()
