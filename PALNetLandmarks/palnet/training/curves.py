# SPDX-License-Identifier: Apache-2.0
"""The curve of a training as a picture beside its table; drawn without OpenGL."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from palnet._files import replacing
from palnet._page import nice_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["draw_curve", "read_curve"]

PANEL_WIDTH, PANEL_HEIGHT = 480, 340
# Room round the axes: left, bottom, right, top.
MARGINS = (70, 52, 20, 34)
# Lines are drawn so much larger and then averaged, which smooths them.
OVERSAMPLING = 3
FONT_SIZE, FONT_DPI = 12, 96
BLUE, GREY, PALE, DARK = (0, 114, 178), (102, 102, 102), (226, 226, 226), (51, 51, 51)


def read_curve(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Read ``curve.csv``: step, loss and validation error, one row a validation.

    Parameters
    ----------
    folder : Path
        A training's folder.

    Returns
    -------
    dict of str to ndarray of shape (n_validations,)
        The columns.
    """
    with (folder / "curve.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def draw_curve(folder: Path) -> None:
    """Draw ``curve.csv`` into ``curve.png``.

    Parameters
    ----------
    folder : Path
        A training's folder.
    """
    curve = read_curve(folder)
    canvas = _Canvas(2 * PANEL_WIDTH, PANEL_HEIGHT)
    for column, (name, title) in enumerate(
        (("loss", "loss"), ("validation_mm", "validation error (mm)"))
    ):
        _draw_panel(canvas, column * PANEL_WIDTH, title, curve["step"], curve[name])
    with replacing(folder / "curve.png", overwrite=True) as draft:
        canvas.save(draft)


def _draw_panel(
    canvas: _Canvas, shift: int, title: str, xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> None:
    """Draw axes, their numbers, and one line."""
    left, bottom, right, top = MARGINS
    x_ticks = nice_ticks(0.0, float(xs.max()), 4)
    y_ticks = nice_ticks(0.0, float(ys.max()), 5)
    width, height = PANEL_WIDTH - left - right, PANEL_HEIGHT - bottom - top
    x_px = shift + left + xs / x_ticks[-1] * width
    y_px = bottom + ys / y_ticks[-1] * height
    for tick in y_ticks:
        y = bottom + tick / y_ticks[-1] * height
        canvas.line([shift + left, shift + left + width], [y, y], PALE, 1)
        canvas.text(f"{tick:g}", shift + left - 8, y, (1.0, 0.5))
    for tick in x_ticks:
        x = shift + left + tick / x_ticks[-1] * width
        canvas.line([x, x], [bottom, bottom - 5], GREY, 1)
        canvas.text(f"{tick:g}", x, bottom - 9, (0.5, 1.0))
    canvas.line([shift + left, shift + left + width], [bottom, bottom], GREY, 1)
    canvas.line(x_px, y_px, BLUE, 2)
    canvas.text(title, shift + left + width / 2, PANEL_HEIGHT - 8, (0.5, 1.0))
    canvas.text("step", shift + left + width / 2, 8, (0.5, 0.0))


class _Canvas:
    """White paper; pixels count from the lower left, as VTK's images do."""

    def __init__(self, width: int, height: int) -> None:
        self._pixels = np.full((height, width, 3), 255.0)

    def line(
        self,
        xs: Sequence[float] | NDArray[np.float64],
        ys: Sequence[float] | NDArray[np.float64],
        color: tuple[int, int, int],
        width: int,
    ) -> None:
        """Draw straight from point to point; a single point becomes a dot."""
        x, y = np.asarray(xs, dtype=float), np.asarray(ys, dtype=float)
        along = np.concatenate([[0.0], np.hypot(np.diff(x), np.diff(y)).cumsum()])
        places = np.linspace(0, along[-1], max(2, int(2 * OVERSAMPLING * along[-1])))
        half = width * OVERSAMPLING // 2
        columns = np.round(np.interp(places, along, x) * OVERSAMPLING).astype(int)
        rows = np.round(np.interp(places, along, y) * OVERSAMPLING).astype(int)
        # Only the part of the paper that the line crosses.
        low, left = ((part.min() - half) // OVERSAMPLING for part in (rows, columns))
        high, right = ((part.max() + half) // OVERSAMPLING + 1 for part in (rows, columns))
        inked = np.zeros(((high - low) * OVERSAMPLING, (right - left) * OVERSAMPLING), dtype=bool)
        for up in range(-half, half + 1):
            for aside in range(-half, half + 1):
                inked[rows + up - low * OVERSAMPLING, columns + aside - left * OVERSAMPLING] = True
        blocks = inked.reshape(high - low, OVERSAMPLING, right - left, OVERSAMPLING)
        area = self._pixels[low:high, left:right]
        area += blocks.mean(axis=(1, 3))[..., None] * (np.array(color, dtype=float) - area)

    def text(self, content: str, x: float, y: float, anchor: tuple[float, float]) -> None:
        """Write with the anchor, a share of width and height, at a place."""
        from vtkmodules import vtkRenderingFreeType  # noqa: F401  # registers the fonts
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonDataModel import vtkImageData
        from vtkmodules.vtkRenderingCore import vtkTextProperty, vtkTextRenderer

        style, image, size = vtkTextProperty(), vtkImageData(), [0, 0]
        style.SetFontSize(FONT_SIZE)
        style.SetColor(*(part / 255 for part in DARK))
        vtkTextRenderer.GetInstance().RenderString(style, content, image, size, FONT_DPI)
        columns, rows, _ = image.GetDimensions()
        drawn = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 4)
        drawn = drawn[: size[1], : size[0]].astype(float)
        left, low = (round(place - a * n) for place, a, n in zip((x, y), anchor, size, strict=True))
        # Long numbers at the last tick are moved in from the edge of the paper.
        height, width, _ = self._pixels.shape
        left, low = (max(0, min(left, width - size[0])), max(0, min(low, height - size[1])))
        area = self._pixels[low : low + size[1], left : left + size[0]]
        area += drawn[..., 3:] / 255 * (drawn[..., :3] - area)

    def save(self, path: Path) -> None:
        """Write a PNG file."""
        from vtkmodules.util.numpy_support import numpy_to_vtk
        from vtkmodules.vtkCommonDataModel import vtkImageData
        from vtkmodules.vtkIOImage import vtkPNGWriter

        height, width, _ = self._pixels.shape
        image = vtkImageData()
        image.SetDimensions(width, height, 1)
        colors = np.round(self._pixels).astype(np.uint8).reshape(-1, 3)
        image.GetPointData().SetScalars(numpy_to_vtk(colors, deep=True))
        writer = vtkPNGWriter()
        writer.SetFileName(str(path))
        writer.SetInputData(image)
        writer.Write()
