# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palnet._mean_face import atlas_of
from palnet._page import (
    Bar,
    Line,
    Marker,
    build_page,
    color_between,
    draw_bars,
    draw_differences,
    draw_face,
    format_error,
    format_number,
    table,
)
from palnet._page._charts import nice_ticks

numbers = st.floats(-1e5, 1e5)


@given(numbers, numbers)
def test_nice_ticks_are_even_few_and_cover_the_range(one, other):
    low, high = sorted((one, other))

    ticks = np.array(nice_ticks(low, high))

    size = max(abs(low), abs(high), 1e-9)
    assert ticks[0] <= low + 1e-9 * size
    assert ticks[-1] >= high - 1e-9 * size
    assert 2 <= len(ticks) <= 8
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0], rtol=1e-3)


def test_color_between_goes_from_dark_to_light_and_stays_there():
    colors = [color_between(value, 4.0) for value in np.linspace(0, 4, 50)]
    lightness = [
        np.dot([int(color[k : k + 2], 16) for k in (1, 3, 5)], [0.2126, 0.7152, 0.0722])
        for color in colors
    ]

    assert all(np.diff(lightness) > 0)
    assert color_between(99.0, 4.0) == colors[-1]


def test_table_and_page_escape_what_they_are_given():
    page = build_page("<i>", "a & b", [table(["<u>"], [["<script>"]], ())])

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<title>&lt;i&gt;</title>" in page


def test_numbers_that_are_unknown_are_no_numbers_on_the_page():
    assert (format_number(float("nan")), format_error(float("nan"))) == ("-", "")
    assert (format_number(2.345, 2), format_error(0.55)) == ("2.35", "± 0.6")


def test_draw_differences_of_equal_values_is_drawn():
    svg = draw_differences("t", np.full(3, 7.0), np.zeros(3), ("x", "y"))

    assert "nan" not in svg
    assert "bias +0.00" in svg


def test_draw_differences_of_few_takes_the_standard_deviation_of_a_sample():
    svg = draw_differences("t", np.arange(3.0), np.array([-1.0, 0, 1]), ("x", "y"))

    assert "limits -1.96 to +1.96 mm" in svg


def test_draw_bars_marks_are_on_the_scale_of_the_bars():
    svg = draw_bars([Bar("a", 3.0, 3.0), Bar("b", 1.5, 6.0)], "mm", "c")

    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="11"', svg)]
    left = float(re.search(r'<rect x="(\d+)"', svg)[1])
    marks = [float(x) for x in re.findall(r'<path d="M([\d.]+) \d+v', svg)]
    np.testing.assert_allclose(widths[0], 2 * widths[1], atol=0.2)
    np.testing.assert_allclose(marks, [left + widths[0], left + 2 * widths[0]], atol=0.2)


def test_draw_differences_tells_bias_and_limits_of_all_pairs_and_draws_some():
    rng = np.random.default_rng(3)
    differences = rng.normal(0.7, 2.0, 5000)

    svg = draw_differences("t", rng.uniform(0, 50, 5000), differences, ("x", "y"))

    bias, spread = differences.mean(), 1.96 * differences.std(ddof=1)
    assert f"bias {bias:+.2f}, limits {bias - spread:+.2f} to {bias + spread:+.2f} mm" in svg
    assert svg.count("<circle") == 1500


@pytest.fixture
def a_drawing(the_scheme):
    """All landmarks of the mean face with their codes, and a line from the nose to the chin."""
    atlas = atlas_of(the_scheme)
    markers = [
        Marker(place, "#123456", code, code)
        for place, code in zip(atlas.landmark_mean_mm, the_scheme.codes, strict=True)
    ]
    rows = [the_scheme.index_of("prn"), the_scheme.index_of("gn")]
    return draw_face(
        atlas, markers, [Line(atlas.landmark_mean_mm[rows], "#abcdef", "line")], "caption"
    )


def views_of(drawing):
    """The part of the drawing that shows each view."""
    return dict(
        re.findall(r'text-anchor="middle">([a-z ]+)</text>(.*?)(?=<g transform|</svg>)', drawing)
    )


def spots_of(view):
    """Place of each landmark in pixels, by its code."""
    found = re.findall(r'<circle cx="([-\d.]+)" cy="([-\d.]+)"[^>]*><title>(\w+)</title>', view)
    return {code: (float(x), float(y)) for x, y, code in found}


def test_convention_draw_face_shows_the_subjects_left_on_the_right_of_the_front_view(a_drawing):
    views = {name: spots_of(view) for name, view in views_of(a_drawing).items()}

    assert views["front"]["ex_l"][0] > views["front"]["ex_r"][0]
    assert views["front"]["tr"][1] < views["front"]["gn"][1]  # pixels count downwards
    assert views["right side"]["prn"][0] > views["right side"]["t_r"][0]  # looks to the right
    assert views["left side"]["prn"][0] < views["left side"]["t_l"][0]
    assert "t_l" not in views["right side"]
    assert "t_r" not in views["left side"]
    assert len(views["front"]) == 50


def test_draw_face_labels_do_not_lie_over_each_other(a_drawing):
    for view in views_of(a_drawing).values():
        found = re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)" font-size="9.5">(\w+)<', view)
        boxes = [
            (float(x), float(y) - 7.0, float(x) + 5.0 * len(code), float(y)) for x, y, code in found
        ]
        assert len(boxes) > 10
        for number, a in enumerate(boxes):
            for b in boxes[:number]:
                assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
