# SPDX-License-Identifier: Apache-2.0
"""Tables of the held-out source beside the one trained on: errors, groups, calibration, bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._errors import calibration_bins
from palnet.scheme import load_scheme

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from benchmarks._report import Report
    from palnet.synthesis import GeneratedScan

__all__ = ["Found", "add_tables"]

HELD_OUT, TRAINED_ON = "anny", "ICT-FaceKit"
# No group is to be worse than this times the mean of its source.
FAIR_RATIO = 1.3
COVERED_PERCENT = 90


@dataclass(frozen=True, eq=False)
class Found:
    """What was found of one generated person.

    Attributes
    ----------
    source : str
        Which source the person is of.
    scan : GeneratedScan
        The truth.
    offsets_mm : dict of str to ndarray of shape (n_landmarks, 3), optional
        Found minus true for some stages, in the face frame; None if refused.
    is_placed : ndarray of shape (n_landmarks,), optional
        False where called missing.
    expected_mm : ndarray of shape (n_landmarks,), optional
        The expected error, NaN where missing.
    refusal : str
        Why, if refused.
    """

    source: str
    scan: GeneratedScan
    offsets_mm: dict[str, NDArray[np.float64]] | None = None
    is_placed: NDArray[np.bool_] | None = None
    expected_mm: NDArray[np.float64] | None = None
    refusal: str = ""


@dataclass(frozen=True, eq=False)
class _People:
    """Everybody of a source who was not refused, (n_people, n_landmarks) each."""

    offsets_mm: NDArray[np.float64]
    second_pass_mm: NDArray[np.float64]
    baseline_mm: NDArray[np.float64]
    visible: NDArray[np.bool_]
    is_placed: NDArray[np.bool_]
    expected_mm: NDArray[np.float64]
    size: NDArray[np.float64]

    @property
    def errors_mm(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(self.offsets_mm, axis=-1))


def add_tables(
    report: Report, people: Sequence[Found], disagreement_mm: NDArray[np.float64]
) -> None:
    """Add all tables and the headline figures.

    Parameters
    ----------
    report : Report
        Where to add them.
    people : sequence of Found
        Of both sources.
    disagreement_mm : ndarray of shape (n_landmarks, 3)
        ICT-FaceKit's label minus that of anny, on a head of mean size.
    """
    stacked = {s: _stack([p for p in people if p.source == s]) for s in (HELD_OUT, TRAINED_ON)}
    held_out = stacked[HELD_OUT]
    _add_headline(report, stacked, people)
    _add_shares(report, held_out, disagreement_mm)
    _add_groups(report, people)
    _add_calibration(report, stacked)
    _add_landmarks(report, stacked, disagreement_mm)
    refused = [p for p in people if p.refusal]
    report.add_table(
        f"Refused: {len(refused)} of {len(people)}",
        ("source", "seed", "who", "preset", "landmarks shown", "reason"),
        [
            (
                p.source,
                p.scan.description["seed"],
                _age_of(p.scan),
                p.scan.description["preset"],
                int(p.scan.visible.sum()),
                p.refusal,
            )
            for p in refused
        ],
    )


def _stack(people: list[Found]) -> _People:
    """Those who were not refused as arrays."""
    found = [p for p in people if p.offsets_mm is not None]
    if not found:
        msg = f"all {len(people)} people of {people[0].source} were refused: {people[0].refusal}"
        raise SystemExit(msg)
    truth = np.stack([p.scan.landmarks_mm for p in found]).astype(np.float64)
    spread = np.linalg.norm(truth - truth.mean(axis=1, keepdims=True), axis=(1, 2))
    stages = {name: np.stack([p.offsets_mm[name] for p in found]) for name in found[0].offsets_mm}
    return _People(
        stages["final"],
        np.linalg.norm(stages["network, pass 2"], axis=-1),
        np.linalg.norm(stages["mean landmarks"], axis=-1),
        np.stack([p.scan.visible for p in found]),
        np.stack([p.is_placed for p in found]),
        np.stack([p.expected_mm for p in found]),
        spread / spread.mean(),
    )


def _describe(errors_mm: NDArray[np.float64]) -> dict[str, float]:
    return {
        "mean mm": float(errors_mm.mean()),
        "median": float(np.median(errors_mm)),
        "95th": float(np.percentile(errors_mm, 95)),
        "within 2 mm %": 100 * float((errors_mm <= 2).mean()),
        "within 4 mm %": 100 * float((errors_mm <= 4).mean()),
    }


def _add_headline(report: Report, stacked: dict[str, _People], people: Sequence[Found]) -> None:
    rows = []
    for source, some in stacked.items():
        shown = _describe(some.errors_mm[some.visible])
        n_refused = sum(bool(p.refusal) for p in people if p.source == source)
        rows += [
            (
                source,
                "baseline: mean landmarks",
                *_describe(some.baseline_mm[some.visible]).values(),
            ),
            (source, "final, landmarks shown", *shown.values()),
            (source, "second pass, all 50", *_describe(some.second_pass_mm).values()),
        ]
        report.summary[source] = {
            "people": len(some.visible) + n_refused,
            "refused": n_refused,
            "mean_mm": shown["mean mm"],
            "median_mm": shown["median"],
            "p95_mm": shown["95th"],
            "second_pass_all_mean_mm": float(some.second_pass_mm.mean()),
        }
    counts = "; ".join(
        f"{s}: {v['people']} people, {v['refused']} refused" for s, v in report.summary.items()
    )
    report.add_table(
        f"A source held out whole beside the one trained on ({counts})",
        ("source", "what", *shown),
        rows,
    )


def _add_shares(report: Report, some: _People, disagreement_mm: NDArray[np.float64]) -> None:
    """What of the distance goes with a constant offset of each landmark."""
    sized = some.size[:, None, None]
    relabelled = some.offsets_mm - sized * disagreement_mm
    own = some.offsets_mm - sized * _bias_of_others(some)
    rows = [
        (name, *_describe(np.linalg.norm(offsets, axis=-1)[some.visible]).values())
        for name, offsets in (
            ("as it is", some.offsets_mm),
            ("less the disagreement of the labels (registration)", relabelled),
            ("less each landmark's mean offset (from the other half of the people)", own),
        )
    ]
    report.add_table(
        "anny, landmarks shown: what a constant offset of each landmark explains",
        ("final error", *_describe(some.errors_mm)),
        rows,
    )
    report.summary[HELD_OUT] |= {"relabelled_mean_mm": rows[1][1], "unbiased_mean_mm": rows[2][1]}
    report.notes.append(
        f"Of anny's {rows[0][1]:.2f} mm, {rows[1][1]:.2f} mm remain once the labels are compared "
        f"by registration, and {rows[2][1]:.2f} mm without each landmark's mean offset: that holds "
        "both what the labels disagree and what the model does wrong on this source."
    )


def _mean_offset(some: _People, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Each landmark's mean offset on a head of mean size, where shown, over some people."""
    weight = (some.visible & chosen[:, None])[..., None]
    total = np.where(weight, some.offsets_mm / some.size[:, None, None], 0).sum(axis=0)
    return np.asarray(total / np.maximum(weight.sum(axis=0), 1))


def _bias_of_others(some: _People) -> NDArray[np.float64]:
    """For each person the mean offsets of the half that the person is not in."""
    even = np.arange(len(some.visible)) % 2 == 0
    return np.where(even[:, None, None], _mean_offset(some, ~even), _mean_offset(some, even))


def _age_of(scan: GeneratedScan) -> str:
    about = scan.description
    if "age_group" in about:
        return str(about["age_group"])
    return "childlike" if about["childlike"] else "adult"


def _groups_of(scan: GeneratedScan) -> Iterator[str]:
    """Which rows of the table a scan counts in."""
    about = scan.description
    yield f"age: {_age_of(scan)}"
    for key in ("sex", "shape_group"):
        if key in about:
            yield f"{key.replace('_', ' ')}: {about[key]}"
    acts = about["expressions"]
    yield f"expression: {'some' if acts else 'none'}"
    for name, action in (("eyes closed", "eyeBlink_L"), ("mouth open", "jawOpen")):
        if acts.get(action, 0) > 0.1:
            yield f"expression: {name}"
    yield f"preset: {about['preset']}"
    yield f"hair: {about['hair']}"


def _add_groups(report: Report, people: Sequence[Found]) -> None:
    rows, unfair = [], []
    for source in (HELD_OUT, TRAINED_ON):
        own = [p for p in people if p.source == source]
        whole = _pool(own).mean()
        for group in sorted({g for p in own for g in _groups_of(p.scan)}):
            some = [p for p in own if group in _groups_of(p.scan)]
            errors = _pool(some)
            if not len(errors):
                continue
            of_it = _describe(errors)
            ratio = float(errors.mean() / whole)
            n_refused = sum(bool(p.refusal) for p in some)
            figures = (of_it["mean mm"], of_it["median"], of_it["95th"], ratio)
            rows.append((source, group, len(some), n_refused, *figures))
            if ratio > FAIR_RATIO:
                unfair.append(f"{source}, {group} ({ratio:.2f}, {len(some)} people)")
    report.add_table(
        "By group: final error of the landmarks shown, mm, and its mean beside that of the source",
        ("source", "group", "people", "refused", "mean", "median", "95th", "times the mean"),
        rows,
    )
    report.notes.append(
        f"Groups worse than {FAIR_RATIO} times the mean of their source: "
        f"{'; '.join(unfair) or 'none'}."
    )


def _pool(people: Sequence[Found]) -> NDArray[np.float64]:
    """Final errors of everything shown, of everybody not refused."""
    return np.concatenate(
        [np.zeros(0)]
        + [
            np.linalg.norm(p.offsets_mm["final"], axis=1)[p.scan.visible]
            for p in people
            if p.offsets_mm is not None
        ]
    )


def _add_calibration(report: Report, stacked: dict[str, _People]) -> None:
    """Expected against true error; the 90 % limit is a multiple of it, set where trained."""
    masks = {s: some.visible & some.is_placed for s, some in stacked.items()}
    reference = stacked[TRAINED_ON]
    inside = masks[TRAINED_ON]
    limit = float(
        np.percentile((reference.errors_mm / reference.expected_mm)[inside], COVERED_PERCENT)
    )
    rows = []
    for source, some in stacked.items():
        expected, true = some.expected_mm[masks[source]], some.errors_mm[masks[source]]
        for low, high, mean, actual, n in calibration_bins(expected, true):
            within = (expected >= low) & (expected <= high)
            covered = 100 * float((true[within] <= limit * expected[within]).mean())
            name = f"{low:.2f} to {high:.2f}"
            rows.append((source, name, mean, actual, actual / mean, covered, n))
        means = float(expected.mean()), float(true.mean())
        covered = 100 * float((true <= limit * expected).mean())
        rows.append((source, "all", *means, means[1] / means[0], covered, len(true)))
        worst_tenth = expected >= np.percentile(expected, 90)
        far = true > 4
        caught = 100 * float((worst_tenth & far).sum() / max(1, far.sum()))
        report.summary[source] |= {"covered_percent": covered, "far_in_worst_tenth_percent": caught}
    report.add_table(
        "Expected against true error, landmarks shown and placed; covered: true within "
        f"{limit:.2f} times the expected, which holds {COVERED_PERCENT} % of ICT-FaceKit's",
        (
            "source",
            "expected, mm",
            "mean expected",
            "mean true",
            "true / expected",
            "covered %",
            "n",
        ),
        rows,
    )
    caught = {s: figures["far_in_worst_tenth_percent"] for s, figures in report.summary.items()}
    report.notes.append(
        "Of the errors over 4 mm, the tenth with the largest expected errors holds "
        + ", ".join(f"{value:.0f} % ({source})" for source, value in caught.items())
        + "; the target is half."
    )


def _add_landmarks(
    report: Report, stacked: dict[str, _People], disagreement_mm: NDArray[np.float64]
) -> None:
    """Each landmark, both sides as one, the worst of anny first."""
    scheme = load_scheme()
    held_out = stacked[HELD_OUT]
    everybody = np.ones(len(held_out.visible), dtype=bool)
    bias = _mean_offset(held_out, everybody)
    per_landmark = {
        "bias, mm": np.linalg.norm(bias, axis=1),
        "labels disagree": np.linalg.norm(disagreement_mm, axis=1),
        "less bias": _column_means(
            held_out,
            np.linalg.norm(
                held_out.offsets_mm - held_out.size[:, None, None] * _bias_of_others(held_out),
                axis=-1,
            ),
        ),
        "ICT-FaceKit mean": _column_means(stacked[TRAINED_ON], stacked[TRAINED_ON].errors_mm),
    }
    mean = _column_means(held_out, held_out.errors_mm)
    rows = []
    for row, landmark in enumerate(scheme.landmarks):
        if landmark.side == "left":
            continue
        sides = [row, scheme.mirror[row]]
        errors = held_out.errors_mm[:, sides][held_out.visible[:, sides]]
        axes = bias[sides].mean(axis=0)
        rows.append(
            (
                landmark.code.removesuffix("_r"),
                float(mean[sides].mean()),
                float(np.percentile(errors, 95)),
                *(float(values[sides].mean()) for values in per_landmark.values()),
                *(float(value) for value in axes[1:]),
                float(np.mean([scheme.landmarks[k].intra_observer_mm for k in sides])),
            )
        )
    rows.sort(key=lambda cells: -cells[1])
    report.add_table(
        "anny by landmark, both sides as one, the worst first, mm",
        ("code", "mean", "95th", *per_landmark, "bias up", "bias front", "human, two passes"),
        rows,
    )


def _column_means(some: _People, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each landmark over the people whose scans show it."""
    total = np.where(some.visible, values, 0).sum(axis=0)
    return np.asarray(total / np.maximum(some.visible.sum(axis=0), 1))
