# SPDX-License-Identifier: Apache-2.0
"""Place landmarks with one click each, from the selected row downward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from palnet.landmarks import PLACED
from PALNetLandmarksLib.panel.place_mode import PlaceMode

if TYPE_CHECKING:
    from PALNetLandmarksLib.panel.landmark_table import LandmarkTable
    from PALNetLandmarksLib.review import Review


class Placing:
    """Keeps track of the landmark that the next click places, and of those to place after it.

    Parameters
    ----------
    table : LandmarkTable
        Its selected row shows the landmark to place.
    """

    def __init__(self, table: LandmarkTable) -> None:
        self._table = table
        self._review: Review | None = None
        self._awaited: int | None = None
        self._due: list[int] = []
        self._mode = PlaceMode(self._check)
        self._pause = qt.QTimer()
        self._pause.setSingleShot(True)
        self._pause.timeout.connect(self._start_next)

    def close(self) -> None:
        """Stop placing and stop observing."""
        self.end()
        self._mode.close()

    @property
    def awaited(self) -> int | None:
        """The landmark that the next click places, or None."""
        return self._awaited

    def start(self, review: Review) -> None:
        """Let the next click place the landmark of the selected row.

        Parameters
        ----------
        review : Review
            Review of the list in the table.
        """
        index, rows = self._table.current, self._table.indices
        if index is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The landmark cannot be placed.")):
            review.prepare_placing(index)
            self._mode.start(review.landmarks, index)
            self._review, self._awaited = review, index
            self._due = rows[rows.index(index) + 1 :]

    def go_on(self) -> None:
        """Go on to the next landmark that was never placed, but not by a double click's second."""
        self._awaited = None
        self._pause.start(slicer.app.doubleClickInterval)

    def _start_next(self) -> None:
        self._mode.stop()
        review, shown = self._review, self._table.indices
        if review is None:
            return
        unplaced = [index for index in self._due if review.landmarks.status[index] == "undefined"]
        following = [index for index in unplaced if index in shown]
        if following:
            self._table.select(following[0])
            self.start(review)

    def check_soon(self) -> None:
        """Check soon whether the landmark is still to be placed by a click."""
        self._mode.check_soon()

    def _check(self) -> None:
        """Stop placing if the landmark was placed otherwise, or its row is no longer selected."""
        if self._review is None or self._awaited is None:
            return
        landmarks = self._review.landmarks
        is_placed = landmarks.status[self._awaited] in PLACED
        is_hidden = self._table.current != self._awaited
        if is_placed or is_hidden or not self._mode.is_on(landmarks):
            self.end()

    def end(self) -> None:
        """Stop clicks in a view from placing landmarks."""
        self._due = []
        self._pause.stop()
        if self._awaited is not None:
            self._awaited = None
            self._mode.stop()
