# SPDX-License-Identifier: Apache-2.0
"""Increase of errors over expected ones on a source of faces that a model never saw.

Reads the results of `benchmarks.second_source` for both held-out sources and fits one law to the
fifths of the landmarks by expected error: ``true = factor * expected ** power``. The shipped model
applies it to its expected errors (`[unseen_source]` of its recipe), since every real scan is from
an unseen source. The law is validated by fitting it to one held-out source and applying it to the
other, and on models not used for the fit, landmark by landmark: those of a shorter training, one
of them made twice, and on people whom no fit has seen.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._errors import N_DRAWS, calibration_bins
from benchmarks._expected import ExpectedErrors, read_expected
from benchmarks._report import RESULTS_FOLDER, Report
from palnet.calibration import UNSEEN_NINETY, Calibration
from palnet.error_classes import CHECK_MM, GOOD_MM, ErrorClass
from palnet.scheme import load_scheme

HELD_OUT = {"anny": "held_out_anny", "ICT-FaceKit": "held_out_ict_facekit"}
# Models of the recipe `held_out_short`, made after the law was fitted. The law was fitted on the
# same people; the new ones were drawn for this test.
SHORT = {
    "anny": "held_out_short_anny",
    "anny (second training)": "held_out_again_anny",
    "anny (second training, new people)": "held_out_fresh_anny",
    "ICT-FaceKit": "held_out_short_ict_facekit",
}
CLASSES = {"good": ErrorClass.GOOD, "check": ErrorClass.CHECK, "doubtful": ErrorClass.DOUBTFUL}
# With a larger mean error, the face was found in the wrong place, which benchmarks.pose counts.
WRONG_POSE_MM = 15.0
TABLE_BEGINS = "Expected against true error"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, help="folder for a PNG picture (needs matplotlib)")
    parser.add_argument("--output", type=Path, help="where the result goes")
    arguments = parser.parse_args()
    fifths = {source: read_fifths(name) for source, name in HELD_OUT.items()}
    both = fit_law(np.concatenate(list(fifths.values())))
    rows = []
    for source, pairs in fifths.items():
        other = fit_law(np.concatenate([p for name, p in fifths.items() if name != source]))
        expected, true = pairs.T
        ratios = [true / expected, *(true / predict(law, expected) for law in (both, other))]
        rows += [(source, *row) for row in np.column_stack([pairs, *ratios]).tolist()]
    report = Report("unseen_source", {})
    report.add_table(
        "Fifths of the landmarks shown on a source held out whole, by expected error, mm",
        (
            *("held out", "mean expected", "mean true", "true / expected"),
            *("by the law of both", "by the law of the other source alone"),
        ),
        rows,
    )
    report.summary["law"] = dict(zip(("factor", "power"), both, strict=True))
    off = max(abs(row[-1] - 1) for row in rows)
    report.notes.append(
        f"On a source held out whole the true error is {both[0]:.2f} times the expected one in mm "
        f"to the power {both[1]:.2f}. By the law of the other source alone, which has seen nothing "
        f"of it, no fifth is off by more than {100 * off:.0f} %."
    )
    add_short(report, both)
    if arguments.plot:
        from benchmarks._plots import plot_unseen_source

        plot_unseen_source(fifths, partial(predict, both), arguments.plot)
    report.finish(arguments.output)


def add_short(report: Report, law: tuple[float, float]) -> None:
    """Add tables of the models with shorter training: fifths, landmarks, and classes."""
    rows: list[tuple[Any, ...]] = []
    classes: list[tuple[Any, ...]] = []
    by_code: dict[str, dict[str, tuple[float, float]]] = {}
    for source, name in SHORT.items():
        found, n_wrong = _without_wrong_poses(read_expected(RESULTS_FOLDER / f"{name}.csv"))
        content = json.loads((RESULTS_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        needed = float(np.percentile(found.error_mm / predict(law, found.expected_mm), 90))
        shown_mm = predict(law, found.expected_mm)
        for part in [*calibration_bins(shown_mm), np.arange(len(shown_mm))]:
            shown, true = shown_mm[part], found.error_mm[part]
            means = (float(found.expected_mm[part].mean()), float(shown.mean()), float(true.mean()))
            held = 100 * float((true <= UNSEEN_NINETY * shown).mean())
            rows.append((source, *means, means[2] / means[1], held))
        by_code[source] = _by_landmark(found, shown_mm)
        classes += [(source, *row) for row in _by_class(shown_mm, found.error_mm)]
        ratios, shares = _among_others(found, shown_mm)
        report.notes.append(
            f"Models that had no part in the law, {source} held out: true errors are "
            f"{rows[-1][4]:.2f} times what it predicts ({ratios[0]:.2f} to {ratios[1]:.2f} among "
            f"other people, 95 % of draws of as many), and {UNSEEN_NINETY:g} times that holds "
            f"{rows[-1][5]:.0f} % ({100 * shares[0]:.0f} to {100 * shares[1]:.0f}), {needed:.2f} "
            f"times nine of ten; left out: "
            f"{n_wrong} of {content['settings']['people']} people, found in a wrong pose."
        )
    report.add_table(
        "The law on models that had no part in it: fifths of the landmarks, last all of them, mm",
        (
            *("held out", "mean expected", "mean by the law", "mean true", "true / by the law"),
            f"within {UNSEEN_NINETY:g} times that %",
        ),
        rows,
    )
    report.add_table(
        "True error over what the law predicts, by source held out and landmark, both sides "
        f"together; least share within {UNSEEN_NINETY:g} times that",
        ("code", *SHORT, "within, least, %"),
        [
            (
                code,
                *(pairs[code][0] for pairs in by_code.values()),
                100 * min(pairs[code][1] for pairs in by_code.values()),
            )
            for code in next(iter(by_code.values()))
        ],
    )
    report.add_table(
        "What the classes that a user sees say of true errors on a source held out whole",
        (
            *("held out", "class", "landmarks %", "mean true, mm"),
            *(f"over {limit:g} mm %" for limit in (GOOD_MM, CHECK_MM)),
        ),
        classes,
    )


def _by_class(
    shown_mm: NDArray[np.float64], error_mm: NDArray[np.float64]
) -> list[tuple[Any, ...]]:
    """List the classes: name, share of the landmarks, their mean error, and shares far off."""
    number = np.digitize(shown_mm, [GOOD_MM, CHECK_MM])
    rows: list[tuple[Any, ...]] = []
    for name, wanted in CLASSES.items():
        error = error_mm[number == wanted]
        if not len(error):
            rows.append((name, 0.0, None, None, None))
            continue
        far = (100 * float((error > limit).mean()) for limit in (GOOD_MM, CHECK_MM))
        rows.append((name, 100 * len(error) / len(error_mm), float(error.mean()), *far))
    return rows


def _among_others(
    found: ExpectedErrors, shown_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute 95 % bootstrap intervals over people: true over predicted error, and share held."""
    people, whose = np.unique(found.seeds, return_inverse=True)
    is_held = found.error_mm <= UNSEEN_NINETY * shown_mm
    columns = (found.error_mm, shown_mm, is_held, np.ones(len(shown_mm)))
    sums = np.column_stack([np.bincount(whose, weights=column) for column in columns])
    n_people = len(people)
    drawn = np.random.default_rng(0).integers(n_people, size=(N_DRAWS, n_people))
    true, predicted, held, n_landmarks = sums[drawn].sum(axis=1).T
    ratio, share = (
        np.percentile(part / of, [2.5, 97.5])
        for part, of in ((true, predicted), (held, n_landmarks))
    )
    return ratio, share


def _without_wrong_poses(found: ExpectedErrors) -> tuple[ExpectedErrors, int]:
    """Leave out people with a wrong pose from the short pose training; also return their number."""
    people = np.unique(found.seeds)
    means = np.array([found.error_mm[found.seeds == seed].mean() for seed in people])
    wrong = people[means > WRONG_POSE_MM]
    kept = ~np.isin(found.seeds, wrong)
    left = ExpectedErrors(
        found.seeds[kept], found.codes[kept], found.expected_mm[kept], found.error_mm[kept]
    )
    return left, len(wrong)


def _by_landmark(
    found: ExpectedErrors, shown_mm: NDArray[np.float64]
) -> dict[str, tuple[float, float]]:
    """Compute for each landmark mean true over mean predicted error, and the share held."""
    stems = np.array([code.removesuffix("_r").removesuffix("_l") for code in found.codes])
    is_held = found.error_mm <= UNSEEN_NINETY * shown_mm
    wanted = dict.fromkeys(
        c.removesuffix("_r").removesuffix("_l") for c in load_scheme().codes if c[-2:] != "_l"
    )
    return {
        stem: (
            float(found.error_mm[stems == stem].mean() / shown_mm[stems == stem].mean()),
            float(is_held[stems == stem].mean()),
        )
        for stem in wanted
        if (stems == stem).any()
    }


def read_fifths(name: str) -> NDArray[np.float64]:
    """Read mean expected and mean true error of each fifth, (5, 2), from an earlier result."""
    content = json.loads((RESULTS_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    rows = next(t["rows"] for t in content["tables"] if t["title"].startswith(TABLE_BEGINS))
    return np.array([row[1:3] for row in rows if row[0] != "all"])


def fit_law(pairs: NDArray[np.float64]) -> tuple[float, float]:
    """Fit factor and power by least squares on the logarithms."""
    power, log_factor = np.polyfit(np.log(pairs[:, 0]), np.log(pairs[:, 1]), 1)
    return float(np.exp(log_factor)), float(power)


def predict(law: tuple[float, float], expected_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply the law to an expected error."""
    factor, power = law
    plain = Calibration(np.ones(1), 1.0, 0.5, source_factor=factor, source_power=power)
    return plain.on_unseen_source(expected_mm)


if __name__ == "__main__":
    main()
