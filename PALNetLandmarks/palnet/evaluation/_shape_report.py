# SPDX-License-Identifier: Apache-2.0
"""The shapes of a cohort as tables for statistics and as an HTML report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._csv import csv_text
from palnet._mean_face import atlas_of
from palnet._page import (
    Bar,
    Line,
    Marker,
    Spot,
    build_page,
    draw_bars,
    draw_face,
    draw_scatter,
    paragraph,
    plots,
    section,
    table,
)
from palnet.similarity import apply_similarity, fit_similarity

if TYPE_CHECKING:
    from palnet.evaluation._procrustes import ShapeSpace
    from palnet.face.atlas import FaceAtlas

__all__ = ["OPTIONAL_SHAPE_TABLES", "page_of_shapes", "tables_of_shapes"]

# Tables that are absent if shapes do not vary or nothing was dropped.
OPTIONAL_SHAPE_TABLES = ("variances.csv", "components.csv", "dropped.csv")

# Further components are only in the tables, not on the page.
_N_DRAWN = 4
_N_BARS = 12
_N_FAR = 10
# Extent to which a component is drawn: 95 % of a normal cohort lie within it.
_N_SD = 2.0
# Landmarks move by a few millimetres, which their dots would hide.
_MAGNIFICATION = 3.0
_DOT_RADIUS, _LINE_WIDTH = 2.0, 2.0
_PLUS_COLOR, _MINUS_COLOR, _DOT_COLOR = "#d55e00", "#0072b2", "#333333"


def tables_of_shapes(space: ShapeSpace) -> dict[str, str]:
    """Write aligned shapes, scores and components as CSV files.

    Parameters
    ----------
    space : ShapeSpace
        The aligned cohort.

    Returns
    -------
    dict of str to str
        Text by file name: scores.csv, variances.csv, components.csv, mean.csv, aligned.csv and
        dropped.csv; those without rows are left out.
    """
    cohort = space.cohort
    dropped: list[dict[str, Any]] = [
        {"what": what, "name": name, "reason": reason}
        for what, entries in (
            ("landmark", cohort.dropped_landmarks),
            ("specimen", cohort.dropped_specimens),
        )
        for name, reason in entries.items()
    ]
    variances = [
        {"component": f"PC{number + 1}", "variance": _exact(variance), "share": float(share)}
        for number, (variance, share) in enumerate(zip(space.variances, space.shares, strict=True))
    ]
    components = [
        {"component": f"PC{number + 1}", "code": code, **_xyz(vector)}
        for number, component in enumerate(space.components)
        for code, vector in zip(cohort.codes, component, strict=True)
    ]
    mean = [
        {"code": code, **_xyz(place)}
        for code, place in zip(cohort.codes, space.mean_mm, strict=True)
    ]
    # Columns x, y and z would make it a table of landmarks.
    aligned = [
        {"specimen": specimen, "code": code, **_xyz(place, "_aligned")}
        for specimen, shape in zip(cohort.specimens, space.shapes, strict=True)
        for code, place in zip(cohort.codes, shape, strict=True)
    ]
    tables = {
        "scores.csv": _scores(space),
        "variances.csv": variances,
        "components.csv": components,
        "mean.csv": mean,
        "aligned.csv": aligned,
        "dropped.csv": dropped,
    }
    return {name: csv_text(rows) for name, rows in tables.items() if rows}


def page_of_shapes(space: ShapeSpace) -> str:
    """Build the report page of a cohort.

    Parameters
    ----------
    space : ShapeSpace
        The aligned cohort.

    Returns
    -------
    str
        A self-contained HTML file.
    """
    cohort = space.cohort
    lead = (
        f"{len(cohort.specimens)} specimens of {len(cohort.codes)} landmarks "
        f"({cohort.scheme.name}), aligned by generalized Procrustes analysis; centroid size "
        f"{_sizes(space)}."
    )
    sections = [_left_out(space), _variance(space), _spread(space)]
    atlas = atlas_of(cohort.scheme)
    if atlas is None:
        note = paragraph("No drawings: no mean face comes with this landmark scheme.")
        sections.append(section("Shape axes", note))
    else:
        drawn = range(min(_N_DRAWN, len(space.variances)))
        sections += [_component(space, number, atlas) for number in drawn]
    sections.append(_far_from_mean(space))
    return build_page("Shapes of the cohort", lead, sections)


def _sizes(space: ShapeSpace) -> str:
    """Report the sizes with the two extreme specimens, as only they reveal a wrong unit."""
    sizes, names = space.centroid_sizes_mm, space.cohort.specimens
    low, high = int(sizes.argmin()), int(sizes.argmax())
    return (
        f"{sizes.mean():.0f} mm on average, standard deviation {sizes.std(ddof=1):.0f} mm, from "
        f"{sizes[low]:.0f} ({names[low]}) to {sizes[high]:.0f} mm ({names[high]})"
    )


def _left_out(space: ShapeSpace) -> str:
    cohort = space.cohort
    rows = [("landmark", *item) for item in cohort.dropped_landmarks.items()]
    rows += [("specimen", *item) for item in cohort.dropped_specimens.items()]
    if not rows:
        return section("Left out", paragraph("Nothing: every specimen has every landmark."))
    text = (
        "Procrustes analysis needs complete specimens. Landmarks that more than a tenth of the "
        "specimens lack are left out, then the specimens that lack any other; nothing is filled "
        "in."
    )
    return section("Left out", paragraph(text), table(("", "Name", "Why"), rows, ()))


def _variance(space: ShapeSpace) -> str:
    if not len(space.variances):
        return section("Shape variance", paragraph("None: all shapes are the same."))
    bars = [
        Bar(f"PC{number + 1}", 100 * float(share))
        for number, share in enumerate(space.shares[:_N_BARS])
    ]
    caption = f"Share of the shape variance; {len(space.variances)} components in all."
    return section("Shape variance", draw_bars(bars, "%", caption))


def _spread(space: ShapeSpace) -> str:
    """Scatter the specimens along the first components."""
    drawings = []
    for across in range(0, min(_N_DRAWN, len(space.variances)) - 1, 2):
        spots = [
            Spot(float(row[across]), float(row[across + 1]), specimen)
            for row, specimen in zip(space.scores, space.cohort.specimens, strict=True)
        ]
        labels = [
            f"PC{number + 1} ({100 * space.shares[number]:.0f} %)"
            for number in (across, across + 1)
        ]
        title = f"PC{across + 1} and PC{across + 2}"
        drawings.append(draw_scatter(title, spots, (labels[0], labels[1])))
    if not drawings:
        return ""
    caption = "Each point is a specimen; its name is shown when the pointer rests on it."
    return section("Specimens in shape space", plots(drawings, caption))


def _component(space: ShapeSpace, number: int, atlas: FaceAtlas) -> str:
    """Draw where a component moves the landmarks, on the mean face."""
    cohort = space.cohort
    rows = [cohort.scheme.index_of(code) for code in cohort.codes]
    face_from_mean = fit_similarity(space.mean_mm, atlas.landmark_mean_mm[rows])
    mean, plus, minus = (
        apply_similarity(face_from_mean, points)
        for points in (
            space.mean_mm,
            space.shape_at_mm(number, _MAGNIFICATION * _N_SD),
            space.shape_at_mm(number, -_MAGNIFICATION * _N_SD),
        )
    )
    markers, lines = [], []
    for code, place, high, low in zip(cohort.codes, mean, plus, minus, strict=True):
        markers.append(Marker(place, _DOT_COLOR, code, code, _DOT_RADIUS))
        lines.append(
            Line(np.stack([place, high]), _PLUS_COLOR, f"{code}: +{_N_SD:g} SD", _LINE_WIDTH)
        )
        lines.append(
            Line(np.stack([place, low]), _MINUS_COLOR, f"{code}: -{_N_SD:g} SD", _LINE_WIDTH)
        )
    caption = (
        f"Mean shape (dots) and where PC{number + 1} moves it: +{_N_SD:g} standard deviations "
        f"orange, -{_N_SD:g} blue, {_MAGNIFICATION:g} times as long, over the mean face (gray)."
    )
    share = 100 * space.shares[number]
    title = f"PC{number + 1}: {share:.0f} % of the shape variance"
    return section(title, draw_face(atlas, markers, lines, caption))


def _far_from_mean(space: ShapeSpace) -> str:
    """List the specimens to check first, such as those with swapped landmarks."""
    rows = sorted(_scores(space), key=lambda row: -float(row["procrustes_distance"]))[:_N_FAR]
    cells = [
        (
            row["specimen"],
            f"{row['procrustes_distance']:.4f}",
            row["farthest"],
            f"{row['farthest_mm']:.1f}",
            f"{row['centroid_size_mm']:.0f}",
        )
        for row in rows
    ]
    header = ("Specimen", "Procrustes distance", "Farthest landmark", "off by (mm)",
              "Centroid size (mm)")  # fmt: skip
    text = (
        "Specimens farthest from the mean shape. Look at the first ones: exchanged landmarks, or "
        "left and right exchanged, show here before they show in a statistic. A wrong unit does "
        "not show, since shapes are scaled to one size: see the smallest and largest centroid "
        "size above. Nor does a scan that was exported as its mirror image."
    )
    return section("Farthest from the mean", paragraph(text), table(header, cells, (1, 3, 4)))


def _scores(space: ShapeSpace) -> list[dict[str, Any]]:
    """Build one row per specimen: size, distance to the mean, farthest landmark, scores."""
    residuals, distances = np.linalg.norm(space.shapes - space.mean, axis=2), space.distances
    rows = []
    for number, specimen in enumerate(space.cohort.specimens):
        size = float(space.centroid_sizes_mm[number])
        farthest = int(residuals[number].argmax())
        row = {
            "specimen": specimen,
            "centroid_size_mm": size,
            "procrustes_distance": float(distances[number]),
            "farthest": space.cohort.codes[farthest],
            "farthest_mm": float(residuals[number, farthest]) * size,
        }
        scores = {f"PC{k + 1}": _exact(score) for k, score in enumerate(space.scores[number])}
        rows.append(row | scores)
    return rows


def _xyz(place: Any, ending: str = "") -> dict[str, str]:
    return {f"{axis}{ending}": _exact(value) for axis, value in zip("xyz", place, strict=True)}


def _exact(value: float) -> str:
    """Format a number of a unit-size shape, which is below 1, with nine decimals."""
    return f"{value:.9f}"
