# SPDX-License-Identifier: Apache-2.0
"""The table of landmarks: its rows, their order and their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import qt
from slicer.i18n import tr as _

from palnet.error_classes import (
    CHECK_MM,
    CLASS_COLORS,
    GOOD_MM,
    ErrorClass,
    classify_errors,
)
from palnet.landmarks import PLACED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from palnet.landmarks import LandmarkSet, Status
    from palnet.scheme import Side
    from PALNetLandmarksLib.review import Review

CODE, ERROR, STATUS, REPLACE, NAME, SIDE = range(6)
SHOW_ALL, SHOW_UNREVIEWED, SHOW_DOUBTFUL, SHOW_MISSING = range(4)
BY_SCHEME, BY_ERROR = range(2)

_SWATCH_PIXELS = 12

# Values that round up to the limit of their class, such as 1.96 mm, would seem to exceed it.
_MOST_SHOWN_MM: dict[int, float] = {
    ErrorClass.GOOD: GOOD_MM - 0.1,
    ErrorClass.CHECK: CHECK_MM - 0.1,
}


class LandmarkTable:
    """A table widget that shows a list.

    Parameters
    ----------
    widget : QTableWidget
        The table.
    """

    def __init__(self, widget: qt.QTableWidget) -> None:
        self._widget = widget
        self._swatches = {number: _swatch(color) for number, color in enumerate(CLASS_COLORS)}
        # Slicer takes longer to translate a word than to show it.
        self._statuses, self._sides, self._classes = _statuses(), _sides(), _class_names()
        self._replace: set[int] = set()
        self._is_filling = False
        widget.setColumnCount(6)
        widget.setHorizontalHeaderLabels(
            [_("Code"), _("Expected error"), _("Status"), _("Replace"), _("Name"), _("Side")]
        )
        widget.horizontalHeaderItem(ERROR).setToolTip(
            _(
                "What to expect on average on real faces; on generated ones 1.6 times too large. "
                "Good does not mean right: look at every landmark that your study rests on."
            )
        )
        widget.verticalHeader().setVisible(False)
        widget.horizontalHeader().setStretchLastSection(True)
        widget.itemChanged.connect(self._on_item_changed)

    @property
    def is_filling(self) -> bool:
        """Whether signals come from filling the table rather than from the user."""
        return self._is_filling

    @property
    def replace(self) -> frozenset[int]:
        """Edited landmarks that the next detection may overwrite."""
        return frozenset(self._replace)

    @property
    def indices(self) -> list[int]:
        """The landmark in each row."""
        rows = range(self._widget.rowCount)
        return [int(self._widget.item(row, CODE).data(qt.Qt.UserRole)) for row in rows]

    @property
    def current(self) -> int | None:
        """The selected landmark, or None."""
        row = self._widget.currentRow()
        return self.indices[row] if 0 <= row < self._widget.rowCount else None

    def select(self, index: int) -> None:
        """Select a landmark if its row is shown.

        Parameters
        ----------
        index : int
            Index of the landmark.
        """
        indices = self.indices
        if index in indices:
            self._widget.setCurrentCell(indices.index(index), CODE)

    def neighbor(self, step: int) -> int | None:
        """Return the landmark some rows away.

        Parameters
        ----------
        step : int
            1 for the row below, -1 for the row above.

        Returns
        -------
        int or None
            None past the ends.
        """
        indices, row = self.indices, self._widget.currentRow() + step
        return indices[row] if 0 <= row < len(indices) else None

    def clear(self) -> None:
        """Clear the table."""
        self._replace = set()
        self._widget.setRowCount(0)

    def fill(self, review: Review, show: int, order: int, kept: Sequence[int] = ()) -> None:
        """Refill the table with the landmarks of a list, keeping the selection.

        Parameters
        ----------
        review : Review
            The review of the list.
        show, order : int
            Constants of this module.
        kept : sequence of int
            Landmarks to show though they are not of this kind, as after a drag.
        """
        landmarks = review.landmarks.landmark_set()
        classes = classify_errors(landmarks)
        errors = _errors_to_sort_by(review, landmarks)
        chosen = _rows(landmarks, classes, review.is_reviewed, show, order, errors, kept)
        edited = set(review.landmarks.edited)
        self._replace &= edited
        current = self.current
        self._is_filling = True
        was_empty = self._widget.rowCount == 0
        self._widget.setRowCount(len(chosen))
        for row, index in enumerate(chosen):
            self._fill_row(row, index, landmarks, int(classes[index]))
            if index in edited:
                self._make_checkable(self._widget.item(row, REPLACE), index)
        if was_empty:
            # Takes as long as the filling, and corrections hardly change the widths.
            self._fit_columns()
        if current in chosen:
            self.select(current)
        elif current is not None:
            # Otherwise the buttons would act on the next landmark, which nobody has looked at.
            self._widget.setCurrentCell(-1, -1)
        self._is_filling = False

    def _fill_row(self, row: int, index: int, landmarks: LandmarkSet, number: int) -> None:
        definition, status = landmarks.scheme.landmarks[index], landmarks.status[index]
        error = landmarks.expected_error_mm[index]
        known = status in PLACED and not np.isnan(error)
        shown_mm = min(error, _MOST_SHOWN_MM.get(number, np.inf))
        texts = {
            CODE: definition.code,
            NAME: definition.name,
            SIDE: self._sides[definition.side],
            ERROR: f"{shown_mm:.1f} mm {self._classes[number]}" if known else "",
            STATUS: self._statuses[status],
            REPLACE: "",
        }
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            item.setData(qt.Qt.UserRole, int(index))
            self._widget.setItem(row, column, item)
        if known:
            self._widget.item(row, ERROR).setIcon(self._swatches[number])

    def _fit_columns(self) -> None:
        """Fit the columns to their contents, now and when landmarks are corrected."""
        if not self._widget.rowCount:
            return
        first = self._widget.item(0, STATUS)
        text = first.text()
        first.setText(max(self._statuses.values(), key=len))
        self._widget.resizeColumnsToContents()
        first.setText(text)

    def _make_checkable(self, item: qt.QTableWidgetItem, index: int) -> None:
        item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable | qt.Qt.ItemIsUserCheckable)
        item.setCheckState(qt.Qt.Checked if index in self._replace else qt.Qt.Unchecked)

    def _on_item_changed(self, item: qt.QTableWidgetItem) -> None:
        if self._is_filling or item.column() != REPLACE:
            return
        index = int(item.data(qt.Qt.UserRole))
        if item.checkState() == qt.Qt.Checked:
            self._replace.add(index)
        else:
            self._replace.discard(index)


def _errors_to_sort_by(review: Review, landmarks: LandmarkSet) -> NDArray[np.float64]:
    """Return the expected errors; a reviewed landmark keeps its rank from the detection."""
    errors = landmarks.expected_error_mm
    detected = review.landmarks.record.get("detected_error_mm")
    if detected is None:
        return errors
    return np.where(review.is_reviewed & np.isnan(errors), np.maximum(detected, 0.0), errors)


def _rows(
    landmarks: LandmarkSet,
    classes: NDArray[np.int64],
    is_reviewed: NDArray[np.bool_],
    show: int,
    order: int,
    errors: NDArray[np.float64],
    kept: Sequence[int],
) -> list[int]:
    """Select and sort the landmarks to show; some are kept in any case."""
    is_shown = {
        SHOW_ALL: np.ones(len(landmarks), dtype=bool),
        SHOW_UNREVIEWED: ~is_reviewed,
        SHOW_DOUBTFUL: np.isin(classes, (ErrorClass.CHECK, ErrorClass.DOUBTFUL)) & ~is_reviewed,
        SHOW_MISSING: ~landmarks.is_placed,
    }[show]
    rows = np.flatnonzero(is_shown | np.isin(np.arange(len(landmarks)), kept))
    if order == BY_ERROR:
        # Largest first, after those of unknown error, which deserve a look.
        errors = np.nan_to_num(errors[rows], nan=np.inf)
        rows = rows[np.argsort(-errors, kind="stable")]
    return [int(index) for index in rows]


def _class_names() -> dict[int, str]:
    """Name the classes of expected error."""
    return {
        ErrorClass.GOOD: _("good"),
        ErrorClass.CHECK: _("check"),
        ErrorClass.DOUBTFUL: _("doubtful"),
        ErrorClass.UNKNOWN: _("unknown"),
        ErrorClass.UNPLACED: _("not placed"),
    }


def _sides() -> dict[Side, str]:
    """Name the sides."""
    return {"left": _("left"), "right": _("right"), "midline": _("midline")}


def _statuses() -> dict[Status, str]:
    """Name the statuses."""
    return {
        "detected": _("detected"),
        "corrected": _("corrected"),
        "confirmed": _("confirmed"),
        "missing": _("missing"),
        "undefined": _("not placed"),
    }


def _swatch(color: Iterable[float]) -> qt.QIcon:
    """Make a small colored square, shown next to a word."""
    picture = qt.QPixmap(_SWATCH_PIXELS, _SWATCH_PIXELS)
    picture.fill(qt.QColor(*(round(255 * value) for value in color)))
    icon = qt.QIcon(picture)
    # Otherwise Qt mixes it with the color of the selected row, and yellow looks green.
    icon.addPixmap(picture, qt.QIcon.Selected)
    return icon
