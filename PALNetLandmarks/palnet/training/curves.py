# SPDX-License-Identifier: Apache-2.0
"""The training curve: its table, and its plot next to it."""

from __future__ import annotations

import csv
import logging
from typing import TYPE_CHECKING

import numpy as np

from palnet._files import replacing, write_text
from palnet._page import draw_lines
from palnet.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["cut_curve", "draw_curve", "read_curve", "try_to_append", "try_to_draw"]

logger = logging.getLogger(__name__)

_COLUMNS = ["step", "loss", "validation_mm"]


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


def cut_curve(folder: Path, step: int) -> None:
    """Drop the rows after a step, since they will be computed again."""
    path = folder / "curve.csv"
    if not _has_rows(path):
        return
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    # A full disk may have cut off the last row, even within its step, or the header.
    kept = [row for row in rows if len(row) == len(_COLUMNS) and int(row[0]) <= step]
    if kept and header == _COLUMNS and len(kept) == len(rows):
        return
    with (
        replacing(path, overwrite=True) as draft,
        draft.open("w", newline="", encoding="utf-8") as stream,
    ):
        csv.writer(stream).writerows([_COLUMNS, *kept])


def _has_rows(path: Path) -> bool:
    """Whether a curve has rows: it may be empty if interrupted at the first one."""
    return path.exists() and path.stat().st_size > 0


def try_to_append(folder: Path, rows: list[tuple[int, str, str]]) -> bool:
    """Append rows to the curve; tolerate a file locked by a spreadsheet program."""
    path = folder / "curve.csv"
    is_new = not _has_rows(path)
    try:
        stream = path.open("a", newline="", encoding="utf-8")
    except PermissionError as err:
        logger.warning(
            "%s: cannot be written (%s). The training goes on; close the program that has it open "
            "before it ends.",
            path,
            err.strerror,
        )
        return False
    with stream:
        csv.writer(stream).writerows([_COLUMNS] if is_new else [])
        csv.writer(stream).writerows(rows)
    return True


def try_to_draw(folder: Path) -> None:
    """Draw the curve; a picture that cannot be replaced must not stop the training."""
    try:
        draw_curve(folder)
    except OutputError as err:
        logger.warning("%s The training itself is done.", err)
