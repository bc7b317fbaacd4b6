# SPDX-License-Identifier: Apache-2.0
"""Tables of errors: by stage, by landmark, by group, and how well they were foreseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._stages import STAGES
from palnet.scheme import load_scheme

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks._data import RealScan
    from benchmarks._report import Report

__all__ = ["PersonErrors", "add_generated_tables", "add_real_tables", "calibration_bins"]

N_BINS = 5


@dataclass(frozen=True, eq=False)
class PersonErrors:
    """One generated person.

    Attributes
    ----------
    seed : int
        Who.
    about : dict
        Capture preset, hair, childlike amount.
    visible : ndarray of shape (n_landmarks,)
        What the scan shows.
    errors_mm : ndarray of shape (n_stages, n_landmarks), optional
        Distances to the truth; None if refused.
    is_placed : ndarray of shape (n_landmarks,), optional
        False where called missing.
    expected_mm : ndarray of shape (n_landmarks,), optional
        The expected error, NaN where missing.
    refusal : str
        Why, if refused.
    """

    seed: int
    about: dict[str, object]
    visible: NDArray[np.bool_]
    errors_mm: NDArray[np.float64] | None = None
    is_placed: NDArray[np.bool_] | None = None
    expected_mm: NDArray[np.float64] | None = None
    refusal: str = ""


@dataclass(frozen=True, eq=False)
class _Stacked:
    """Everybody who was not refused, as arrays (n_people, n_landmarks)."""

    errors_mm: NDArray[np.float64]
    visible: NDArray[np.bool_]
    is_placed: NDArray[np.bool_]
    expected_mm: NDArray[np.float64]
    people: list[PersonErrors]

    @property
    def final_mm(self) -> NDArray[np.float64]:
        return self.errors_mm[:, -1]


def add_generated_tables(report: Report, people: Sequence[PersonErrors]) -> None:
    """Add all tables about generated people, and the headline figures."""
    found = [person for person in people if not person.refusal]
    report.summary |= {"people": len(people), "refused": len(people) - len(found)}
    if not found:
        msg = f"all {len(people)} people were refused: {people[0].refusal}"
        raise SystemExit(msg)
    stacked = _Stacked(
        np.array([p.errors_mm for p in found]),
        np.array([p.visible for p in found]),
        np.array([p.is_placed for p in found]),
        np.array([p.expected_mm for p in found]),
        found,
    )
    _add_stages(report, stacked)
    _add_calibration(report, stacked)
    _add_missing(report, stacked)
    _add_groups(report, stacked)
    _add_landmarks(report, stacked)
    _add_refused(report, people)


def add_real_tables(
    report: Report, scans: Sequence[RealScan], distances: Sequence[NDArray[np.float64]]
) -> None:
    """Add the annotated development scans, by stage."""
    rows = []
    for scan, by_stage in zip(scans, distances, strict=True):
        grades = np.array(list(scan.grades.values()))
        for grade in sorted(set(grades), reverse=True):
            chosen = by_stage[:, grades == grade]
            rows.append((scan.name, grade, chosen.shape[1], *chosen.mean(axis=1).tolist()))
    report.add_table(
        "Annotated development scans: mean distance in mm to the points of the source",
        ("scan", "grade of the points", "points", *STAGES),
        rows,
    )
    each = [
        (scan.name, code, scan.grades[code], *column.tolist())
        for scan, by_stage in zip(scans, distances, strict=True)
        for code, column in zip(scan.points_mm, by_stage.T, strict=True)
    ]
    report.add_table(
        "Annotated development scans, point by point, mm", ("scan", "code", "grade", *STAGES), each
    )


def _describe(errors_mm: NDArray[np.float64]) -> tuple[float, ...]:
    """Mean, median, 95th percentile, share within 2 and 4 mm in percent."""
    return (
        float(errors_mm.mean()),
        float(np.median(errors_mm)),
        float(np.percentile(errors_mm, 95)),
        100 * float((errors_mm <= 2).mean()),
        100 * float((errors_mm <= 4).mean()),
    )


def _add_stages(report: Report, stacked: _Stacked) -> None:
    every = np.ones_like(stacked.visible)
    for name, mask in (("the landmarks shown", stacked.visible), ("all 50 landmarks", every)):
        rows = [
            (stage, *_describe(stacked.errors_mm[:, k][mask])) for k, stage in enumerate(STAGES)
        ]
        title = (
            f"Generated people, {name}: error by stage "
            f"({len(stacked.people)} people, {int(mask.sum())} landmarks)"
        )
        columns = ("stage", "mean mm", "median", "95th", "within 2 mm %", "within 4 mm %")
        report.add_table(title, columns, rows)
    shown, everything = stacked.final_mm[stacked.visible], stacked.final_mm
    baseline = stacked.errors_mm[:, 0]
    report.summary |= {
        "final_mean_mm": float(shown.mean()),
        "final_p95_mm": float(np.percentile(shown, 95)),
        "final_mean_all_mm": float(everything.mean()),
        "final_p95_all_mm": float(np.percentile(everything, 95)),
        "baseline_mean_mm": float(baseline[stacked.visible].mean()),
        "baseline_mean_all_mm": float(baseline.mean()),
        "worst_scan_mean_mm": float(_scan_means(stacked).max()),
    }


def _scan_means(stacked: _Stacked) -> NDArray[np.float64]:
    """Mean final error of each scan over what it shows."""
    total = np.where(stacked.visible, stacked.final_mm, 0).sum(axis=1)
    return np.asarray(total / np.maximum(stacked.visible.sum(axis=1), 1))


def calibration_bins(
    expected_mm: NDArray[np.float64], true_mm: NDArray[np.float64]
) -> list[tuple[float, float, float, float, int]]:
    """Group landmarks by their expected error into bins of equal size.

    Parameters
    ----------
    expected_mm, true_mm : ndarray of shape (n,)
        What was foreseen, and what came.

    Returns
    -------
    list of tuple
        Lowest and highest expected error, mean expected, mean true, and how many.
    """
    order = np.argsort(expected_mm, kind="stable")
    return [
        (
            float(expected_mm[part[0]]),
            float(expected_mm[part[-1]]),
            float(expected_mm[part].mean()),
            float(true_mm[part].mean()),
            len(part),
        )
        for part in np.array_split(order, N_BINS)
        if len(part)
    ]


def _add_calibration(report: Report, stacked: _Stacked) -> None:
    mask = stacked.visible & stacked.is_placed
    expected, true = stacked.expected_mm[mask], stacked.final_mm[mask]
    bins = calibration_bins(expected, true)
    rows = [
        (f"{low:.2f} to {high:.2f}", mean, actual, actual / mean, n)
        for low, high, mean, actual, n in bins
    ]
    whole = (float(expected.mean()), float(true.mean()), float(true.mean() / expected.mean()))
    report.add_table(
        "Expected against true error, landmarks shown and placed",
        ("expected, mm", "mean expected", "mean true", "true / expected", "landmarks"),
        [*rows, ("all", *whole, len(expected))],
    )
    rank = np.corrcoef(np.argsort(np.argsort(expected)), np.argsort(np.argsort(true)))[0, 1]
    report.summary |= {
        "calibration_worst_ratio": max(max(r[3], 1 / r[3]) for r in rows),
        "rank_correlation": float(rank),
    }


def _add_missing(report: Report, stacked: _Stacked) -> None:
    called, absent = ~stacked.is_placed, ~stacked.visible
    both = int((called & absent).sum())
    recall = 100 * both / max(1, int(absent.sum()))
    precision = 100 * both / max(1, int(called.sum()))
    wrongly = called & stacked.visible
    report.add_table(
        "Landmarks that the scan does not show",
        (
            "not shown",
            "called missing",
            "recall %",
            "precision %",
            "shown, yet called missing %",
            "error there, mm",
        ),
        [
            (
                int(absent.sum()),
                int(called.sum()),
                recall,
                precision,
                100 * float(wrongly.sum() / stacked.visible.sum()),
                float(stacked.final_mm[wrongly].mean()) if wrongly.any() else None,
            )
        ],
    )
    report.summary |= {"missing_recall_percent": recall, "missing_precision_percent": precision}


def _add_groups(report: Report, stacked: _Stacked) -> None:
    """By capture preset, by hair, and children."""
    means = _scan_means(stacked)
    rows = []
    for key in ("preset", "hair"):
        values = [str(person.about[key]) for person in stacked.people]
        for value in sorted(set(values)):
            chosen = means[np.array(values) == value]
            rows.append((f"{key} {value}", len(chosen), float(chosen.mean()), float(chosen.max())))
    childlike = np.array([float(str(person.about["childlike"])) for person in stacked.people])
    for name, mask in (("adults", childlike == 0), ("children", childlike > 0)):
        if mask.any():
            chosen = means[mask]
            rows.append((name, len(chosen), float(chosen.mean()), float(chosen.max())))
    report.add_table(
        "By group: mean final error of a scan, mm",
        ("group", "scans", "mean of scans", "worst scan"),
        rows,
    )


def _add_landmarks(report: Report, stacked: _Stacked) -> None:
    """Each landmark beside what people repeat."""
    rows = []
    for row, landmark in enumerate(load_scheme().landmarks):
        shown = stacked.visible[:, row]
        by_stage = [
            float(stacked.errors_mm[shown, k, row].mean()) if shown.any() else None
            for k in (0, 1, -1)
        ]
        p95 = float(np.percentile(stacked.final_mm[shown, row], 95)) if shown.any() else None
        human = landmark.intra_observer_mm
        rows.append((landmark.code, landmark.name, int(shown.sum()), *by_stage, p95, human))
    report.add_table(
        "By landmark, where shown, mm; beside two passes of one person on real scans",
        (
            "code",
            "name",
            "scans",
            "mean landmarks",
            "atlas fit",
            "final",
            "95th",
            "human, two passes",
        ),
        rows,
    )


def _add_refused(report: Report, people: Sequence[PersonErrors]) -> None:
    rows = [
        (p.seed, str(p.about["preset"]), str(p.about["hair"]), int(p.visible.sum()), p.refusal)
        for p in people
        if p.refusal
    ]
    report.add_table(
        f"Refused: {len(rows)} of {len(people)}",
        ("seed", "preset", "hair", "landmarks shown", "reason"),
        rows,
    )
