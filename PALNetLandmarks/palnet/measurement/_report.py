# SPDX-License-Identifier: Apache-2.0
"""Measurements as a table for statistics and as an HTML report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from palnet._csv import csv_text
from palnet._mean_face import atlas_of, face_from_landmarks
from palnet._page import (
    Bar,
    Line,
    Marker,
    build_page,
    draw_bars,
    draw_face,
    format_error,
    format_number,
    image,
    paragraph,
    section,
    table,
)
from palnet._stored import counted
from palnet.measurement._arc import length
from palnet.measurement._measure import ASYMMETRY_SOURCES
from palnet.similarity import apply_similarity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from palnet.landmarks import LandmarkSet
    from palnet.measurement._definitions import Kind
    from palnet.measurement._measure import Measurement

__all__ = ["COLUMNS", "page_of_measurements", "table_of_measurements"]

COLUMNS = (
    "specimen",
    "code",
    "name",
    "kind",
    "value",
    "unit",
    "expected_error",
    "landmarks",
    "source",
    "reason",
)

_TITLES: dict[Kind, str] = {
    "distance": "Distances",
    "angle": "Angles",
    "index": "Indices",
    "arc": "Arcs along the skin",
    "asymmetry": "Asymmetry",
}
_NOTES: dict[Kind, str] = {
    "distance": "Straight, from landmark to landmark.",
    "angle": "At the second of the three landmarks.",
    "index": "One hundred times the first distance over the second.",
    "arc": "As a tape measure lies: in the plane of its three landmarks, or upright on the skin "
    "between two. Straight: from landmark to landmark through the air.",
    "asymmetry": "How far each landmark lies from its counterpart on the face's own mirror image. "
    "A perfectly even face would show the expected error on average, or less: a value "
    "below it may be real or not.",
}
# For a normal variable with mean absolute value 1, 42.5 % exceed 1 and 5 % exceed 2.46.
_WHAT_AN_ERROR_IS = (
    " The expected error says how far off a value is on average; it is neither a limit nor a "
    "standard deviation: two of five values are farther off, one of twenty more than 2.5 times as "
    "far. For asymmetry it means something else; see there."
)
_LINE_COLOR = "#0072b2"
_DOT_COLOR = "#e69f00"


def table_of_measurements(specimens: Iterable[tuple[str, Sequence[Measurement]]]) -> str:
    """Write the measurements of many specimens as CSV, one row per specimen and measurement.

    Parameters
    ----------
    specimens : iterable of (str, sequence of Measurement)
        Name and measurements of each specimen.

    Returns
    -------
    str
        The file's text; numbers have a decimal point, unknown values are empty.
    """
    rows = [
        {
            "specimen": specimen,
            **{name: getattr(entry, name) for name in COLUMNS[1:]},
            "landmarks": " ".join(entry.landmarks),
        }
        for specimen, measurements in specimens
        for entry in measurements
    ]
    return csv_text(rows, COLUMNS)


def page_of_measurements(
    landmarks: LandmarkSet,
    measurements: Sequence[Measurement],
    sources: dict[str, str],
    picture: bytes | str,
) -> str:
    """Build the report page of one specimen.

    Parameters
    ----------
    landmarks : LandmarkSet
        The measured landmarks.
    measurements : sequence of Measurement
        As returned by `measure`.
    sources : dict of str to str
        Full reference of each source, as in `MeasurementPlan`.
    picture : bytes or str
        A PNG of the scan with its landmarks, or a sentence that says why there is none.

    Returns
    -------
    str
        A self-contained HTML file.
    """
    n_placed = int(landmarks.is_placed.sum())
    n_measured = sum(entry.is_measured for entry in measurements)
    lead = (
        f"{n_placed} of {counted(len(landmarks), 'landmark')} ({landmarks.scheme.name}), "
        f"{n_measured} of {counted(len(measurements), 'measurement')}. Every value has its "
        "expected error beside it where those of its landmarks are known."
    )
    if any(math.isfinite(entry.expected_error) for entry in measurements):
        lead += _WHAT_AN_ERROR_IS
    shown = (
        paragraph(picture, is_note=True)
        if isinstance(picture, str)
        else image(picture, f"{landmarks.specimen}: the scan with its landmarks")
    )
    sections = [section("Picture", shown, _drawing(landmarks, measurements))]
    for kind in _TITLES:
        chosen = [entry for entry in measurements if entry.kind == kind]
        if chosen:
            sections.append(_section_of(kind, chosen, landmarks))
    used = sorted({entry.source for entry in measurements})
    rows = [(name, (ASYMMETRY_SOURCES | sources).get(name, "")) for name in used]
    sections.append(section("Sources", table(("Source", "Reference"), rows, ())))
    return build_page(f"Measurements of {landmarks.specimen}", lead, sections)


def _section_of(kind: Kind, entries: Sequence[Measurement], landmarks: LandmarkSet) -> str:
    plot = _asymmetry_bars(entries) if kind == "asymmetry" else ""
    header = ["Measurement", "Landmarks", "Value", "Expected error", "Unit", "Source or reason"]
    rows = [
        [
            entry.name,
            _between(entry),
            format_number(entry.value),
            format_error(entry.expected_error),
            entry.unit,
            entry.reason or entry.source,
        ]
        for entry in entries
    ]
    numbers: tuple[int, ...] = (2, 3)
    if kind == "arc":
        header.insert(3, "Straight")
        for row, entry in zip(rows, entries, strict=True):
            row.insert(3, format_number(_straight_mm(entry, landmarks)))
        numbers = (2, 3, 4)
    return section(
        _TITLES[kind], paragraph(_NOTES[kind], is_note=True), plot, table(header, rows, numbers)
    )


def _straight_mm(entry: Measurement, landmarks: LandmarkSet) -> float:
    """Sum the straight distances from landmark to landmark, NaN if one is missing."""
    known = set(landmarks.scheme.codes)
    if not known.issuperset(entry.landmarks):
        return math.nan
    rows = [landmarks.scheme.index_of(code) for code in entry.landmarks]
    return length(landmarks.positions_mm[rows])


def _between(entry: Measurement) -> str:
    """Name the landmarks as the measurement uses them."""
    if entry.kind == "index":
        a, b, c, d = entry.landmarks
        return f"({a}, {b}) / ({c}, {d})"
    # The overall asymmetry uses every pair.
    return ", ".join(entry.landmarks) if len(entry.landmarks) <= 3 else "all with a counterpart"


def _asymmetry_bars(entries: Sequence[Measurement]) -> str:
    taken = [entry for entry in entries if entry.is_measured and len(entry.landmarks) <= 2]
    if not taken:
        return ""
    taken.sort(key=lambda entry: -entry.value)
    bars = [
        Bar(f"{entry.name.removeprefix('Asymmetry of ')} ({entry.landmarks[0].removesuffix('_r')})",
            entry.value, entry.expected_error)
        for entry in taken
    ]  # fmt: skip
    return draw_bars(
        bars,
        "mm",
        "Asymmetry, largest first. The tick is the expected error, which a perfectly even face "
        "would show on average, or less: a shorter bar may be real or not."
        if any(math.isfinite(bar.mark) for bar in bars)
        else "Asymmetry, largest first.",
    )


def _drawing(landmarks: LandmarkSet, measurements: Sequence[Measurement]) -> str:
    """Draw landmarks and measured lines over the mean face, if the scheme has one."""
    atlas, face_from_mm = atlas_of(landmarks.scheme), face_from_landmarks(landmarks)
    if atlas is None or face_from_mm is None:
        text = "No drawing: no mean face comes with this landmark scheme, or too few landmarks."
        return paragraph(text, is_note=True)
    positions = apply_similarity(face_from_mm, landmarks.positions_mm)
    markers = [
        Marker(position, _DOT_COLOR, f"{entry.code}: {entry.name}", entry.code)
        for entry, position, is_placed in zip(
            landmarks.scheme.landmarks, positions, landmarks.is_placed, strict=True
        )
        if is_placed
    ]
    lines = [
        Line(
            apply_similarity(face_from_mm, entry.polyline * landmarks.mm_per_unit),
            _LINE_COLOR,
            f"{entry.name}: {entry.value:.1f} {entry.unit}",
        )
        for entry in measurements
        if entry.kind in ("distance", "arc") and len(entry.polyline)
    ]
    caption = "Landmarks and measured distances, laid over the mean face (gray) for orientation."
    return draw_face(atlas, markers, lines, caption)
