# SPDX-License-Identifier: Apache-2.0
"""Tables of errors by stage, landmark and group, and of how well they were predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._people import groups_of
from benchmarks._stages import STAGES
from palnet.error_classes import CHECK_MM, GOOD_MM
from palnet.scheme import load_scheme

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks._data import RealScan
    from benchmarks._people import Person
    from benchmarks._report import Report
    from palnet.calibration import Calibration

__all__ = [
    "RealErrors",
    "add_calibration",
    "add_groups",
    "add_landmarks",
    "add_missing",
    "add_new_presets",
    "add_real_tables",
    "add_refused",
    "add_stages",
    "calibration_bins",
    "describe",
    "mean_among_others",
    "note_as_shown",
    "stack",
]

N_BINS = 5
# Bootstrap samples for the sampling variation of a mean.
N_DRAWS = 2_000
# No group should have more than this times the mean error.
FAIR_RATIO = 1.3
FAR_MM = 4.0
# The landmarks with the worst repeatability on real scans.
EARS_AND_CHEEKS = ("t", "pra", "sa", "pa", "sba", "chk")
COLUMNS = ("mean mm", "median", "95th", "within 2 mm %", "within 4 mm %")


@dataclass(frozen=True, eq=False)
class Stacked:
    """Results of all people who were not refused, (n_people, n_landmarks) each."""

    offsets_mm: NDArray[np.float64]
    on_surface_mm: NDArray[np.float64]
    visible: NDArray[np.bool_]
    is_placed: NDArray[np.bool_]
    expected_mm: NDArray[np.float64]
    people: list[Person]

    @property
    def errors_mm(self) -> NDArray[np.float64]:
        """Distances of every stage, (n_people, n_stages, n_landmarks)."""
        return np.asarray(np.linalg.norm(self.offsets_mm, axis=-1))

    @property
    def final_mm(self) -> NDArray[np.float64]:
        """Distances of the last stage."""
        return self.errors_mm[:, -1]

    @property
    def varying_mm(self) -> NDArray[np.float64]:
        """Same as `final_mm`, with each landmark's mean offset on the other people subtracted.

        Different label positions in two sources are such an offset.
        """
        last = np.where(self.visible[..., None], self.offsets_mm[:, -1], 0.0)
        n_others = self.visible.sum(axis=0) - self.visible
        others = (last.sum(axis=0) - last) / np.maximum(n_others, 1)[..., None]
        return np.asarray(np.linalg.norm(self.offsets_mm[:, -1] - others, axis=-1))


@dataclass(frozen=True, eq=False)
class RealErrors:
    """An annotated real scan: errors at the points of its source.

    Attributes
    ----------
    scan : RealScan
        The scan with its points.
    errors_mm : ndarray of shape (n_stages, n_points)
        Distances from the points, NaN if the scan was refused.
    expected_mm : ndarray of shape (n_points,)
        The expected errors, NaN where missing.
    """

    scan: RealScan
    errors_mm: NDArray[np.float64]
    expected_mm: NDArray[np.float64]


def stack(people: Sequence[Person]) -> Stacked:
    """Stack the results of people who were not refused as arrays."""
    found = [person for person in people if not person.refusal]
    if not found:
        msg = f"all {len(people)} people were refused: {people[0].refusal}"
        raise SystemExit(msg)
    return Stacked(
        np.array([person.offsets_mm for person in found]),
        np.array([person.on_surface_mm for person in found]),
        np.array([person.visible for person in found]),
        np.array([person.is_placed for person in found]),
        np.array([person.expected_mm for person in found]),
        found,
    )


def describe(errors_mm: NDArray[np.float64]) -> tuple[float, ...]:
    """Compute mean, median, 95th percentile, and percentages within 2 and 4 mm."""
    return (
        float(errors_mm.mean()),
        float(np.median(errors_mm)),
        float(np.percentile(errors_mm, 95)),
        100 * float((errors_mm <= 2).mean()),
        100 * float((errors_mm <= 4).mean()),
    )


def mean_among_others(
    errors_mm: NDArray[np.float64], shown: NDArray[np.bool_]
) -> tuple[float, float]:
    """Compute a 95 % bootstrap interval of the mean error over people, in mm.

    People are resampled, not landmarks, since the errors within one face are correlated.
    """
    n_people = len(errors_mm)
    drawn = np.random.default_rng(0).integers(n_people, size=(N_DRAWS, n_people))
    sums = np.where(shown, errors_mm, 0.0).sum(axis=1)[drawn].sum(axis=1)
    low, high = np.percentile(sums / shown.sum(axis=1)[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def add_stages(report: Report, stacked: Stacked) -> None:
    """Add two tables, of visible and of all 50 landmarks, and the headline figures."""
    every = np.ones_like(stacked.visible)
    for name, mask in (("the landmarks shown", stacked.visible), ("all 50 landmarks", every)):
        rows = [(stage, *describe(stacked.errors_mm[:, k][mask])) for k, stage in enumerate(STAGES)]
        title = (
            f"Generated people, {name}: error by stage "
            f"({len(stacked.people)} people, {int(mask.sum())} landmarks)"
        )
        report.add_table(title, ("stage", *COLUMNS), rows)
    shown = describe(stacked.final_mm[stacked.visible])
    baseline = stacked.errors_mm[:, 0][stacked.visible]
    unprojected = stacked.errors_mm[:, STAGES.index("network, mean")]
    report.summary |= {
        "final_mean_mm": shown[0],
        "final_p95_mm": shown[2],
        "final_within_2_mm_percent": shown[3],
        "final_mean_among_others_mm": mean_among_others(stacked.final_mm, stacked.visible),
        "all_50_before_projection_mean_mm": float(unprojected.mean()),
        "baseline_mean_mm": float(baseline.mean()),
    }


def add_new_presets(report: Report, stacked: Stacked, new: Sequence[str]) -> None:
    """Add errors on captures never used in training, with and without ears and cheeks."""
    scheme = load_scheme()
    steady = np.array([code.split("_")[0] not in EARS_AND_CHEEKS for code in scheme.codes])
    is_new = np.array([p.about["preset"] in new for p in stacked.people])
    rows = []
    for captures, chosen in (("new", is_new), ("of training", ~is_new)):
        shown = stacked.visible & chosen[:, None]
        if not shown.any():
            continue
        for what, mask in (("all", shown), ("without ears and cheeks", shown & steady)):
            n_people = int(chosen.sum())
            rows.append((captures, what, n_people, *describe(stacked.final_mm[mask])))
        rows.append(
            (captures, "all, truth on the scan", n_people, *describe(stacked.on_surface_mm[shown]))
        )
    report.add_table(
        "New people, by whether training drew their capture preset; landmarks shown",
        ("capture presets", "landmarks", "people", *COLUMNS),
        rows,
    )
    if not is_new.any() or not rows:
        msg = "nobody was captured by a new preset: measure more people."
        raise SystemExit(msg)
    report.summary["new_presets"] = {
        row[1]: dict(zip(COLUMNS, row[3:], strict=True)) for row in rows[:3]
    }
    report.summary["new_presets_mean_among_others_mm"] = mean_among_others(
        stacked.final_mm[is_new], stacked.visible[is_new]
    )


def calibration_bins(expected_mm: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Sort landmarks into bins of equal size by expected error, the smallest first."""
    order = np.argsort(expected_mm, kind="stable")
    return [part for part in np.array_split(order, N_BINS) if len(part)]


def add_calibration(report: Report, stacked: Stacked, ninety: float) -> None:
    """Add expected against true error; 90 % should be within `ninety` times the expected error."""
    mask = stacked.visible & stacked.is_placed
    expected, true = stacked.expected_mm[mask], stacked.final_mm[mask]
    rows = []
    for part in [*calibration_bins(expected), np.arange(len(true))]:
        mean, actual = float(expected[part].mean()), float(true[part].mean())
        held = 100 * float((true[part] <= ninety * expected[part]).mean())
        name = f"{expected[part].min():.2f} to {expected[part].max():.2f}"
        rows.append((name, mean, actual, actual / mean, held, len(part)))
    rows[-1] = ("all", *rows[-1][1:])
    report.add_table(
        "Expected against true error, landmarks shown and placed; "
        f"held: true within {ninety:.2f} times the expected",
        ("expected, mm", "mean expected", "mean true", "true / expected", "held %", "landmarks"),
        rows,
    )
    far = true > FAR_MM
    worst_tenth = expected >= np.percentile(expected, 90)
    caught = 100 * float((worst_tenth & far).sum() / max(1, far.sum()))
    report.summary["calibration"] = {
        "ratios": [row[3] for row in rows[:-1]],
        "held_percent": rows[-1][4],
        "far_in_worst_tenth_percent": caught,
    }
    report.notes.append(
        f"Of the errors over {FAR_MM:g} mm, the tenth with the largest expected errors holds "
        f"{caught:.0f} % (target: half)."
    )


def note_as_shown(report: Report, stacked: Stacked, calibration: Calibration) -> None:
    """Note by how much the expected errors shown to users are too large for these people."""
    mask = stacked.visible & stacked.is_placed
    shown = calibration.on_unseen_source(stacked.expected_mm[mask]).mean()
    ratio = float(shown / stacked.final_mm[mask].mean())
    report.summary["expected_as_shown_ratio"] = ratio
    report.notes.append(
        "A user is shown what is expected on faces unlike all that trained the model, which these "
        f"people are not: {ratio:.2f} times their true errors on average."
    )


def add_missing(report: Report, stacked: Stacked, calibration: Calibration) -> None:
    """Add landmarks not visible in scans, those called missing, and those shown as doubtful."""
    called, absent = ~stacked.is_placed, ~stacked.visible
    both = int((called & absent).sum())
    recall = 100 * both / max(1, int(absent.sum()))
    precision = 100 * both / max(1, int(called.sum()))
    wrongly = called & stacked.visible
    # Not called missing but shown as doubtful, so that the user is warned as well.
    as_shown = calibration.on_unseen_source(np.nan_to_num(stacked.expected_mm))
    doubtful = absent & ~called & (as_shown >= CHECK_MM)
    warned = 100 * (both + int(doubtful.sum())) / max(1, int(absent.sum()))
    report.add_table(
        "Landmarks that the scan does not show",
        (
            "not shown",
            "called missing",
            "recall %",
            "recall with doubtful %",
            "precision %",
            "shown, yet called missing %",
            "error there, mm",
        ),
        [
            (
                int(absent.sum()),
                int(called.sum()),
                recall,
                warned,
                precision,
                100 * float(wrongly.sum() / stacked.visible.sum()),
                float(stacked.final_mm[wrongly].mean()) if wrongly.any() else None,
            )
        ],
    )
    report.summary |= {"missing_recall_percent": recall, "missing_precision_percent": precision}
    hidden = absent & ~called
    if hidden.any():
        all_placed, there = stacked.final_mm[~called], stacked.final_mm[hidden]
        report.notes.append(
            f"A user gets the {len(all_placed)} landmarks that were placed: "
            f"{all_placed.mean():.2f} mm off, {100 * (all_placed <= GOOD_MM).mean():.1f} % within "
            f"{GOOD_MM:g} mm, 95th percentile {np.percentile(all_placed, 95):.2f} mm. The "
            f"{len(there)} of them that the scan does not show are {there.mean():.2f} mm off, "
            f"{100 * (there > FAR_MM).mean():.0f} % by more than {FAR_MM:g} mm; "
            f"{100 * (as_shown[hidden] < CHECK_MM).mean():.0f} % are not called doubtful."
        )


def add_groups(report: Report, people: Sequence[Person]) -> None:
    """Add the errors of every group beside the mean of its source."""
    rows, unfair = [], []
    for source in sorted({p.source for p in people}):
        own = [p for p in people if p.source == source]
        whole, whole_sized = _pool(own).mean(), _pool(own, sized=True).mean()
        for group in sorted({g for p in own for g in groups_of(p)}):
            some = [p for p in own if group in groups_of(p)]
            errors = _pool(some)
            if not len(errors):
                continue
            mean, median, p95 = describe(errors)[:3]
            n_refused = sum(bool(p.refusal) for p in some)
            sized = float(_pool(some, sized=True).mean())
            ratios = float(mean / whole), float(sized / whole_sized)
            who = (source, group, len(some), n_refused)
            rows.append((*who, mean, median, p95, ratios[0], sized, ratios[1]))
            if max(ratios) > FAIR_RATIO:
                unfair.append(f"{source}, {group} ({max(ratios):.2f}, {len(some)} people)")
    report.add_table(
        "By group: final error of the landmarks shown, mm, and its mean beside that of the source",
        (
            *("source", "group", "people", "refused", "mean", "median", "95th", "times the mean"),
            *("mean at an adult's size", "times that of the source"),
        ),
        rows,
    )
    report.notes.append(
        f"Groups worse than {FAIR_RATIO} times the mean of their source, in mm or with all faces "
        f"at one size: "
        f"{'; '.join(unfair) or 'none'}."
    )


def _pool(people: Sequence[Person], *, sized: bool = False) -> NDArray[np.float64]:
    """Final errors of all visible landmarks of all people not refused.

    With `sized` of faces scaled to an adult's size: a millimetre is more on an infant.
    """
    found = [
        p.errors_mm[-1][p.visible] / (p.size if sized else 1.0) for p in people if not p.refusal
    ]
    return np.concatenate([np.zeros(0), *found])


def add_landmarks(report: Report, stacked: Stacked) -> None:
    """Add the errors of each landmark beside human repeatability."""
    rows = []
    for row, landmark in enumerate(load_scheme().landmarks):
        shown = stacked.visible[:, row]
        if not shown.any():
            continue
        by_stage = [float(stacked.errors_mm[shown, k, row].mean()) for k in (0, 1, -1)]
        p95 = float(np.percentile(stacked.final_mm[shown, row], 95))
        bias = float(np.linalg.norm(stacked.offsets_mm[shown, -1, row].mean(axis=0)))
        human = landmark.intra_observer_mm
        rows.append((landmark.code, landmark.name, int(shown.sum()), *by_stage, p95, bias, human))
    report.add_table(
        "By landmark, where shown, mm; beside two passes of one person on real scans",
        (
            *("code", "name", "scans", "mean landmarks", "atlas fit", "final", "95th"),
            *("constant part", "human, two passes"),
        ),
        rows,
    )


def add_refused(report: Report, people: Sequence[Person]) -> None:
    """Add all refused people, with the reason."""
    refused = [p for p in people if p.refusal]
    report.summary |= {"people": len(people), "refused": len(refused)}
    report.add_table(
        f"Refused: {len(refused)} of {len(people)}",
        ("source", "seed", "age", "preset", "hair", "landmarks shown", "reason"),
        [
            (
                *(p.source, p.seed, str(p.about.get("age_group", "adult or childlike"))),
                *(str(p.about["preset"]), str(p.about["hair"]), int(p.visible.sum()), p.refusal),
            )
            for p in refused
        ],
    )


def add_real_tables(report: Report, found: Sequence[RealErrors], ninety: float) -> None:
    """Add the annotated development scans: errors by stage, by point, and expected errors."""
    rows = []
    for real in found:
        grades = np.array(list(real.scan.grades.values()))
        for grade in sorted(set(grades), reverse=True):
            chosen = real.errors_mm[:, grades == grade]
            rows.append((real.scan.name, grade, chosen.shape[1], *chosen.mean(axis=1).tolist()))
    report.add_table(
        "Annotated development scans: mean distance in mm to the points of the source",
        ("scan", "grade of the points", "points", *STAGES),
        rows,
    )
    each = [
        (real.scan.name, code, real.scan.grades[code], *column.tolist(), float(expected))
        for real in found
        for code, column, expected in zip(
            real.scan.points_mm, real.errors_mm.T, real.expected_mm, strict=True
        )
    ]
    report.add_table(
        "Annotated development scans, point by point, mm",
        ("scan", "code", "grade", *STAGES, "expected"),
        each,
    )
    _note_expected(report, found, ninety)


def _note_expected(report: Report, found: Sequence[RealErrors], ninety: float) -> None:
    """Note in one sentence how reliable the expected errors are on real scans."""
    error = np.concatenate([real.errors_mm[-1] for real in found])
    expected = np.concatenate([real.expected_mm for real in found])
    error, expected = error[np.isfinite(expected)], expected[np.isfinite(expected)]
    if not len(error):
        return
    called_good = expected < GOOD_MM
    means = "; ".join(
        f"the {np.sum(chosen)} {which} are off by {error[chosen].mean():.2f} mm where "
        f"{expected[chosen].mean():.2f} are expected"
        for which, chosen in (("good ones", called_good), ("others", ~called_good))
        if chosen.any()
    )
    report.notes.append(
        f"On {len(error)} points of {len(found)} annotated real scans: {error.mean():.2f} mm where "
        f"{expected.mean():.2f} mm are expected; {ninety:.2f} times the expected error holds "
        f"{100 * np.mean(error <= ninety * expected):.0f} %; {called_good.sum()} are called good, "
        f"of which {np.sum(error[called_good] > GOOD_MM)} are off by more than {GOOD_MM:g} mm. "
        f"Of these points {means}."
    )
