# SPDX-License-Identifier: Apache-2.0
"""The HTML report of an evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._mean_face import atlas_of
from palnet._page import (
    Line,
    Marker,
    build_page,
    color_between,
    draw_color_scale,
    draw_differences,
    draw_face,
    format_number,
    paragraph,
    plots,
    section,
    table,
)
from palnet._stored import counted
from palnet.evaluation._errors import AXES, LIMITS_MM, compare, summarize_landmarks
from palnet.evaluation._measurement_errors import mean_pairwise_error_mm, summarize_measurements
from palnet.evaluation._pairs import list_pairs
from palnet.evaluation._tables import specimen_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from palnet.evaluation._errors import Comparison, LandmarkErrors
    from palnet.evaluation._measurement_errors import Agreement, MeasurementErrors
    from palnet.evaluation._pairs import Pair
    from palnet.measurement import MeasurementPlan

__all__ = ["Evaluation", "page_of_evaluation", "take_figures"]

# Upper end of the colour scale: twice the limit that clinics ask for.
_HIGH_MM = 4.0
# Without it, the bias lines would be hidden by the landmark dots.
_BIAS_MAGNIFICATION = 10.0
_BIAS_COLOR = "#d55e00"
_GROUPS = {"midline": "Midline", "right": "Right side", "left": "Left side"}
_AXES = {
    True: ("left-right (+ left)", "vertical (+ up)", "depth (+ front)"),
    False: ("x", "y", "z"),
}
_AXES_TEXT = {
    True: "the axes of the face",
    False: "the axes of the first specimen's file, since too few landmarks have the codes and "
    "places of the mean face's landmarks",
}
_KIND_NAMES = {"distance": "distances", "angle": "angles", "index": "indices"}
_OBSERVERS = {"intra": "Intra-observer agreement", "inter": "Inter-observer agreement"}


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """Everything that a report contains.

    Attributes
    ----------
    comparison : Comparison
        All differences.
    landmarks : list of LandmarkErrors
        Statistics of all landmarks together and of each.
    measurements : list of MeasurementErrors
        Statistics of distances, angles and indices.
    pairwise_mm : float
        Mean error of the distances between all landmarks.
    agreement : dict
        "intra" and "inter" if annotations were given: number of annotations and statistics.
    """

    comparison: Comparison
    landmarks: list[LandmarkErrors]
    measurements: list[MeasurementErrors]
    pairwise_mm: float
    agreement: dict[str, tuple[int, list[Agreement]]]

    def __repr__(self) -> str:
        measured = counted(len(self.measurements), "measurement")
        return f"<Evaluation of {self.comparison!r}, {measured}>"


def take_figures(
    pairs: Iterable[Pair],
    plan: MeasurementPlan,
    agreement: dict[str, tuple[int, list[Agreement]]] | None = None,
) -> Evaluation:
    """Compute all statistics of predictions against the truth.

    Parameters
    ----------
    pairs : iterable of Pair
        All with the same scheme.
    plan : MeasurementPlan
        What to measure on both.
    agreement : dict, optional
        As in `Evaluation`.

    Returns
    -------
    Evaluation
        Everything that a report contains.

    Raises
    ------
    UsageError
        If there is no pair, their schemes differ, or something else is given.
    ValueError
        If `plan` is no plan, such as only the name of one.
    """
    pairs = list_pairs(pairs)
    comparison = compare(pairs)
    return Evaluation(
        comparison,
        summarize_landmarks(comparison),
        summarize_measurements(pairs, plan),
        mean_pairwise_error_mm(pairs),
        agreement or {},
    )


def page_of_evaluation(evaluation: Evaluation, title: str, more: Sequence[str] = ()) -> str:
    """Build the report page.

    Parameters
    ----------
    evaluation : Evaluation
        The statistics.
    title : str
        Heading of the page.
    more : sequence of str
        Further sections, as returned by `palnet._page.section`.

    Returns
    -------
    str
        A self-contained HTML file.
    """
    comparison = evaluation.comparison
    every = evaluation.landmarks[0]
    lead = (
        f"{_count_of(comparison)}, {counted(every.n, 'landmark')} compared "
        f"({comparison.scheme.name}): {every.mean_mm:.2f} mm on average."
    )
    sections = [
        _summary(evaluation),
        _heat_map(evaluation),
        _differences(comparison),
        _landmark_table(evaluation.landmarks, are_of_face=comparison.are_of_face),
        _measurement_table(evaluation.measurements),
    ]
    sections += [_agreement_section(kind, *found) for kind, found in evaluation.agreement.items()]
    sections += [_specimen_table(comparison), *more]
    return build_page(title, lead, sections)


def _count_of(comparison: Comparison) -> str:
    """Describe the number of specimens, and how many have no prediction and do not count."""
    n_all, n_without = len(comparison.specimens), len(comparison.unpredicted)
    if not n_without:
        return counted(n_all, "specimen")
    return f"{n_all - n_without} of {n_all} specimens ({n_without} without a prediction)"


def _unpredicted_rows(comparison: Comparison) -> list[tuple[str, str]]:
    names = comparison.unpredicted
    if not names:
        return []
    text = f"{len(names)} of {len(comparison.specimens)}: {', '.join(names)}"
    return [("Specimens without a prediction, not counted in any error below", text)]


def _summary(evaluation: Evaluation) -> str:
    every = evaluation.landmarks[0]
    errors = evaluation.comparison.errors_mm
    expected = evaluation.comparison.expected_mm
    is_known = np.isfinite(expected) & np.isfinite(errors)
    rows = [
        *_unpredicted_rows(evaluation.comparison),
        ("Mean error", f"{every.mean_mm:.2f} mm"),
        ("Median error", f"{every.median_mm:.2f} mm"),
        ("95th percentile", f"{every.p95_mm:.2f} mm"),
        ("Largest error", f"{every.max_mm:.2f} mm"),
        ("Share of errors within", _shares(every.within)),
        ("True landmarks that were not predicted (lost)", str(every.n_lost)),
        ("Share of all true landmarks within, lost ones outside", _shares(every.within_of_true)),
        ("Predicted landmarks without truth", str(int(evaluation.comparison.is_extra.sum()))),
        ("Mean error of the distances between all landmarks", f"{evaluation.pairwise_mm:.2f} mm"),
    ]
    if math.isfinite(every.human_ratio):
        text = f"{every.human_ratio:.2f} times the difference between two passes of one observer"
        rows.append(("Against human repeatability", f"{text} (see Times human below)"))
    if is_known.any():
        text = (
            f"{expected[is_known].mean():.2f} mm expected, {errors[is_known].mean():.2f} mm found"
        )
        rows.append(("Expected error, where the prediction gives one", text))
    rows += _expected_rows(evaluation.measurements)
    return section("Summary", table(("All landmarks of all specimens", ""), rows, ()))


def _shares(within: Sequence[float]) -> str:
    return ", ".join(
        f"{limit:g} mm: {100 * share:.1f} %" for limit, share in zip(LIMITS_MM, within, strict=True)
    )


def _expected_rows(entries: Sequence[MeasurementErrors]) -> list[tuple[str, str]]:
    """Compare expected with actual errors of each kind of measurement, over the same values."""
    rows = []
    for kind, name in _KIND_NAMES.items():
        known = [entry for entry in entries if entry.kind == kind and entry.n_expected]
        weights = [entry.n_expected for entry in known]
        if known:
            expected = np.average([entry.expected for entry in known], weights=weights)
            found = np.average([entry.mean_where_expected for entry in known], weights=weights)
            text = f"{expected:.2f} {known[0].unit} expected, {found:.2f} {known[0].unit} found"
            rows.append((f"Expected error of {name}, where the prediction gives one", text))
    return rows


def _heat_map(evaluation: Evaluation) -> str:
    """Draw the landmarks on the mean face, coloured by their mean error."""
    title = "Where the errors lie"
    atlas = atlas_of(evaluation.comparison.scheme)
    if atlas is None:
        return section(title, paragraph("No drawing: no mean face comes with this scheme."))
    markers, lines = [], []
    for row, entry in enumerate(evaluation.landmarks[1:]):
        if not entry.n:
            continue
        place = atlas.landmark_mean_mm[row]
        text = f"{entry.code}: mean error {entry.mean_mm:.2f} mm"
        markers.append(Marker(place, color_between(entry.mean_mm, _HIGH_MM), text, entry.code))
        end = place + _BIAS_MAGNIFICATION * np.array(entry.bias_mm)
        bias = f"{entry.code}: bias {math.dist(entry.bias_mm, (0, 0, 0)):.2f} mm"
        lines.append(Line(np.stack([place, end]), _BIAS_COLOR, bias))
    caption = (
        "Mean error of each landmark, on the mean face. Lines show the bias, "
        f"{_BIAS_MAGNIFICATION:g} times as long: where the prediction lies, seen from the truth."
    )
    return section(
        title, draw_face(atlas, markers, lines, caption), draw_color_scale(_HIGH_MM, "mm")
    )


def _differences(comparison: Comparison) -> str:
    """Draw nine Bland-Altman plots: three groups of landmarks by three axes."""
    predicted = comparison.truth_mm + comparison.differences_mm
    means = (predicted + comparison.truth_mm) / 2
    sides = np.array([entry.side for entry in comparison.scheme.landmarks])
    drawings = []
    for side, name in _GROUPS.items():
        is_there = np.isfinite(means).all(axis=2) & (sides == side)
        if not is_there.any():
            continue
        for axis, axis_name in enumerate(_AXES[comparison.are_of_face]):
            drawings.append(
                draw_differences(
                    f"{name}, {axis_name.split(' ', maxsplit=1)[0]}",
                    means[is_there][:, axis],
                    comparison.differences_mm[is_there][:, axis],
                    (f"mean, {axis_name} (mm)", "predicted - true (mm)"),
                )
            )
    caption = (
        f"Bland-Altman plots along {_AXES_TEXT[comparison.are_of_face]}: difference against mean, "
        "bias (line) and limits of agreement, bias ± 1.96 standard deviations (dashed). They take "
        "the landmarks of a group in all specimens as one sample: a single landmark may do better "
        "or worse."
    )
    return section("Bias and limits of agreement", plots(drawings, caption))


def _landmark_table(entries: Sequence[LandmarkErrors], *, are_of_face: bool) -> str:
    header = ("Landmark", "n", "Lost", "Mean", "Median", "95 %",
              *(f"Bias {axis}" for axis in AXES[are_of_face]),
              *(f"≤ {limit:g} mm" for limit in LIMITS_MM), "Expected", "Times human")  # fmt: skip
    rows = [
        (
            entry.code,
            str(entry.n),
            str(entry.n_lost),
            *(format_number(v, 2) for v in (entry.mean_mm, entry.median_mm, entry.p95_mm)),
            *(_signed(value) for value in entry.bias_mm),
            *(f"{format_number(100 * share, 0)} %" for share in entry.within),
            format_number(entry.expected_mm, 2),
            format_number(entry.human_ratio, 2),
        )
        for entry in entries
    ]
    note = (
        f"Millimeters. Bias: mean of predicted minus true along {_AXES_TEXT[are_of_face]}. "
        "Expected: mean of the errors that the prediction itself expects, where it gives one; it "
        "gives none for a landmark placed by hand. ≤ 2 mm and so on: shares of the n errors, among "
        "which lost landmarks are not. Times human: mean error over the mean distance between two "
        "passes of one observer. Where truth is one such pass, a second pass scores 1 and a result "
        "without any error about 0.71; where it is the mean of many, one pass scores about 0.71."
    )
    return section(
        "Landmarks", paragraph(note, is_note=True), table(header, rows, range(1, len(header)))
    )


def _measurement_table(entries: Sequence[MeasurementErrors]) -> str:
    if not entries:
        return ""
    header = ("Measurement", "n", "Mean error", "95 %", "Bias", "SD", "Limits of agreement", "Unit",
              "Expected", "Times human")  # fmt: skip
    rows = [
        (
            entry.name,
            str(entry.n),
            format_number(entry.mean, 2),
            format_number(entry.p95, 2),
            _signed(entry.bias),
            format_number(entry.sd, 2),
            _limits(entry),
            entry.unit,
            format_number(entry.expected, 2),
            format_number(entry.human_ratio, 2),
        )
        for entry in entries
    ]
    text = (
        "Absolute difference between the value from predicted and from true landmarks. Expected: "
        "mean of the errors that the prediction expects for the value, where it gives one. Limits "
        "of agreement: bias ± 1.96 SD; in brackets the 95 % confidence interval of each (Bland and "
        "Altman 1999)."
    )
    return section(
        "Distances, angles and indices",
        paragraph(text, is_note=True),
        table(header, rows, (1, 2, 3, 4, 5, 6, 8, 9)),
    )


def _agreement_section(kind: str, n_annotations: int, entries: Sequence[Agreement]) -> str:
    header = ("Landmark or measurement", "n", "Mean difference", "TEM", "Relative TEM", "ICC(2,1)",
              "95 % interval", "Unit")  # fmt: skip
    rows = [
        (
            entry.code if entry.kind == "landmark" else entry.name,
            str(entry.n),
            format_number(entry.difference, 2),
            format_number(entry.tem, 2),
            f"{entry.relative_tem:.1f} %" if math.isfinite(entry.relative_tem) else "",
            format_number(entry.icc, 3) if math.isfinite(entry.icc) else "",
            f"{format_number(entry.icc_low, 3)} to {format_number(entry.icc_high, 3)}"
            if math.isfinite(entry.icc_low)
            else "",
            entry.unit,
        )
        for entry in entries
    ]
    note = (
        f"{n_annotations} annotations of each scan. TEM: technical error of measurement "
        "(Ulijaszek and Kerr 1999), for landmarks from the distances to their mean; relative TEM "
        "in percent of the mean value; ICC(2,1) and its 95 % confidence interval after Shrout and "
        "Fleiss 1979."
    )
    return section(
        _OBSERVERS[kind], paragraph(note, is_note=True), table(header, rows, (1, 2, 3, 4, 5, 6))
    )


def _specimen_table(comparison: Comparison) -> str:
    rows = sorted(specimen_rows(comparison), key=lambda row: -_badness(row))
    cells = [
        (str(row["specimen"]), str(row["n"]), str(row["n_lost"]),
         format_number(row["mean_mm"], 2), format_number(row["max_mm"], 2), str(row["worst"]))
        for row in rows
    ]  # fmt: skip
    header = ("Specimen", "n", "Lost", "Mean error (mm)", "Largest (mm)", "at")
    return section("Specimens, worst first", table(header, cells, (1, 2, 3, 4)))


def _limits(entry: MeasurementErrors) -> str:
    if entry.n < 2:
        return "-"
    margin = f" (± {entry.limit_margin:.2f})" if math.isfinite(entry.limit_margin) else ""
    return f"{_signed(entry.limits[0])} to {_signed(entry.limits[1])}{margin}"


def _signed(value: float) -> str:
    return f"{value:+.2f}" if math.isfinite(value) else "-"


def _badness(row: dict[str, Any]) -> float:
    """Sort key of specimens: those without prediction are worst, those without truth last."""
    if row["n"]:
        return float(row["mean_mm"])
    return math.inf if row["n_lost"] else -1.0
