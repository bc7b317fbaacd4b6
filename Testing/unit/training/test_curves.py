# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from palnet.training.curves import draw_curve, read_curve

SVG = "{http://www.w3.org/2000/svg}"


def write_curve(folder, rows):
    lines = ["step,loss,validation_mm", *(",".join(map(str, row)) for row in rows)]
    (folder / "curve.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_panels(folder):
    """Of each plot: what its axis to the right says where, what the other says, and its line."""
    panels = {}
    for group in ET.parse(folder / "curve.svg").getroot().iter(f"{SVG}g"):
        texts = group.findall(f"{SVG}text")
        title = next(t.text for t in texts if t.get("font-weight"))
        numbers = [t for t in texts if t.get("x") and t.text.replace(".", "").isdigit()]
        right = [
            (float(t.get("x")), float(t.text)) for t in numbers if t.get("text-anchor") == "middle"
        ]
        up = [
            (float(t.get("y")) - 4, float(t.text)) for t in numbers if t.get("text-anchor") == "end"
        ]
        places = [pair.split(",") for pair in group.find(f"{SVG}polyline").get("points").split()]
        panels[title] = right, up, np.array(places, dtype=float)
    return panels


def read_off(pixels, axis):
    """What an axis says of places on it, which go beyond none of its ends."""
    places, values = np.array(sorted(axis)).T
    assert places.min() - 0.1 <= pixels.min() <= pixels.max() <= places.max() + 0.1
    return np.interp(pixels, places, values)


def test_line_can_be_read_off_the_axes(tmp_path):
    rows = [(k, 10 - k, 1 + 0.5 * k) for k in range(1, 9)]
    write_curve(tmp_path, rows)

    svg = draw_curve(tmp_path)

    assert (tmp_path / "curve.svg").read_text("utf-8") == svg
    panels = read_panels(tmp_path)
    assert list(panels) == ["loss", "validation error (mm)"]
    for (right, up, line), column in zip(panels.values(), (1, 2), strict=True):
        np.testing.assert_allclose(read_off(line[:, 0], right), [row[0] for row in rows], atol=0.02)
        np.testing.assert_allclose(
            read_off(line[:, 1], up), [row[column] for row in rows], atol=0.03
        )
        assert min(value for _, value in right) == min(value for _, value in up) == 0


@pytest.mark.parametrize("rows", [[(5, 0.0, 0.0)], [(1, 3.0, 2e-7)], [(1, 1e6, 3), (2, 1e6, 3)]])
def test_any_curve_can_be_drawn(rows, tmp_path):
    write_curve(tmp_path, rows)

    assert "nan" not in draw_curve(tmp_path)
    for *_, line in read_panels(tmp_path).values():
        assert len(line) == len(rows)


def test_curve_is_read_by_columns(tmp_path):
    write_curve(tmp_path, [(1, 2.5, 3), (2, 2, 1)])

    curve = read_curve(tmp_path)

    assert {name: values.tolist() for name, values in curve.items()} == {
        "step": [1, 2],
        "loss": [2.5, 2],
        "validation_mm": [3, 1],
    }
