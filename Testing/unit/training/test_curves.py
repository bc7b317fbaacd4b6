# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOImage import vtkPNGReader

from palnet.training.curves import BLUE, PANEL_HEIGHT, PANEL_WIDTH, draw_curve, read_curve


def write_curve(folder, rows):
    lines = ["step,loss,validation_mm", *(",".join(map(str, row)) for row in rows)]
    (folder / "curve.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_pixels(folder):
    """Rows from the top."""
    reader = vtkPNGReader()
    reader.SetFileName(str(folder / "curve.png"))
    reader.Update()
    width, height, _ = reader.GetOutput().GetDimensions()
    pixels = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())
    return pixels.reshape(height, width, 3)[::-1].astype(int)


def blue_heights(pixels):
    """Where the line is in each column that it crosses, from the top."""
    is_blue = np.abs(pixels - BLUE).sum(axis=2) < 60
    columns = np.flatnonzero(is_blue.any(axis=0))
    return columns, np.array([np.flatnonzero(is_blue[:, c]).mean() for c in columns])


def test_line_falls_where_the_loss_does_and_rises_where_the_error_does(tmp_path):
    write_curve(tmp_path, [(k, 10 - k, 1 + 0.5 * k) for k in range(1, 9)])

    draw_curve(tmp_path)

    pixels = read_pixels(tmp_path)
    assert pixels.shape == (PANEL_HEIGHT, 2 * PANEL_WIDTH, 3)
    for panel, falls in ((pixels[:, :PANEL_WIDTH], True), (pixels[:, PANEL_WIDTH:], False)):
        columns, heights = blue_heights(panel)
        assert len(columns) > PANEL_WIDTH / 2
        # Straight: a line through the ends explains all of it.
        straight = np.interp(columns, columns[[0, -1]], heights[[0, -1]])
        assert np.abs(heights - straight).max() < 3
        assert bool(heights[-1] > heights[0]) is falls


@pytest.mark.parametrize("rows", [[(5, 0.0, 0.0)], [(1, 3.0, 2e-7)], [(1, 1e6, 3), (2, 1e6, 3)]])
def test_any_curve_can_be_drawn(rows, tmp_path):
    write_curve(tmp_path, rows)

    draw_curve(tmp_path)

    assert len(blue_heights(read_pixels(tmp_path))[0]) > 0


def test_curve_is_read_by_columns(tmp_path):
    write_curve(tmp_path, [(1, 2.5, 3), (2, 2, 1)])

    curve = read_curve(tmp_path)

    assert {name: values.tolist() for name, values in curve.items()} == {
        "step": [1, 2],
        "loss": [2.5, 2],
        "validation_mm": [3, 1],
    }


def test_drawing_needs_no_opengl(tmp_path):
    write_curve(tmp_path, [(1, 2.5, 3), (2, 2, 1)])
    code = (
        "import sys; from pathlib import Path; from palnet.training.curves import draw_curve; "
        f"draw_curve(Path({str(tmp_path)!r})); "
        "print([m for m in sys.modules if 'OpenGL' in m or m in ('torch', 'matplotlib')])"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == "[]"


def test_long_numbers_at_the_last_tick_stay_on_the_paper(tmp_path):
    """Found when the shipped model was trained: 12000 steps did not fit beside the frame."""
    rows = [f"{step},{1 + 500 / step:.4f},{2 + 900 / step:.4f}" for step in range(500, 12001, 500)]
    (tmp_path / "curve.csv").write_text("step,loss,validation_mm\n" + "\n".join(rows) + "\n")

    draw_curve(tmp_path)

    assert (tmp_path / "curve.png").stat().st_size > 1000
