# SPDX-License-Identifier: Apache-2.0
"""Plot the training curve next to its table."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from palnet._files import write_text
from palnet._page import draw_lines

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["draw_curve", "read_curve"]


def read_curve(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Read ``curve.csv``: step, loss and validation error, one row per validation.

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


def draw_curve(folder: Path) -> str:
    """Draw ``curve.csv`` into ``curve.svg``.

    Parameters
    ----------
    folder : Path
        A training's folder.

    Returns
    -------
    str
        Content of the file, an SVG element.
    """
    curve = read_curve(folder)
    panels = {"loss": curve["loss"], "validation error (mm)": curve["validation_mm"]}
    svg = draw_lines(curve["step"], panels, "step")
    write_text(folder / "curve.svg", svg, overwrite=True)
    return svg
