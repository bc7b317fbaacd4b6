# SPDX-License-Identifier: Apache-2.0
"""Review the landmarks one after another, and correct them."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Literal

import qt
import slicer
from slicer.i18n import tr as _

from palnet.landmarks import PLACED
from PALNetLandmarksLib.camera import look_at
from PALNetLandmarksLib.detection_record import say_how_placed
from PALNetLandmarksLib.error_spheres import ErrorSpheres
from PALNetLandmarksLib.panel.landmark_table import (
    BY_ERROR,
    BY_SCHEME,
    SHOW_ALL,
    SHOW_DOUBTFUL,
    SHOW_MISSING,
    SHOW_UNREVIEWED,
    LandmarkTable,
)
from PALNetLandmarksLib.panel.manual_placing import Placing
from PALNetLandmarksLib.review import Review

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, KeysView, Sequence

    from PALNetLandmarksLib.landmark_list import LandmarkList

_FILTER_KEY, _ORDER_KEY = "PALNet/Filter", "PALNet/Order"


class ReviewSection:
    """The section "Review".

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    resource_path : callable
        Returns the path of a file among the module's resources.
    on_change : callable
        Called after each change of a landmark.
    on_broken : callable
        Called when the points of the list no longer match its landmarks.
    """

    def __init__(
        self,
        ui: Any,
        resource_path: Callable[[str], str],
        on_change: Callable[[], None],
        on_broken: Callable[[], None],
    ) -> None:
        self._ui, self._resource_path = ui, resource_path
        self._on_change, self._on_broken = on_change, on_broken
        self.review: Review | None = None
        self._spheres: ErrorSpheres | None = None
        self._reviews: dict[slicer.vtkMRMLMarkupsFiducialNode, Review] = {}
        self._moved_elsewhere: dict[slicer.vtkMRMLMarkupsFiducialNode, set[int]] = {}
        self._is_camera_still, self._confirmed_at = False, -math.inf
        self.table = LandmarkTable(ui.landmarkTable)
        self.placing = Placing(self.table)
        self._fill_selectors()
        self._connect()
        self.refresh()

    def show(self, landmarks: LandmarkList | None, *, snap_to_surface: bool = True) -> None:
        """Show a list.

        Parameters
        ----------
        landmarks : LandmarkList or None
            The list.
        snap_to_surface : bool
            Whether to move corrected landmarks to the model's surface.
        """
        node = None if landmarks is None else landmarks.node
        self._forget_deleted()
        if self.review is None or self.review.landmarks.node is not node:
            self._turn_away()
        if landmarks is not None and self.review is None:
            # A list shown before comes back with its undo history.
            self.watch([landmarks])
            self.review = self._reviews[node]
            self.review.on_change = self._on_review_changed
            self._spheres = ErrorSpheres(landmarks)
        self._moved_elsewhere.pop(node, None)
        self.on_snap(snap_to_surface)
        self.refresh()

    def watch(self, lists: Iterable[LandmarkList]) -> list[LandmarkList]:
        """Watch lists, including those not shown, so that changes can be undone later.

        Parameters
        ----------
        lists : iterable of LandmarkList
            Any lists of the scene.

        Returns
        -------
        list of LandmarkList
            Those that were not watched before.
        """
        new = [landmarks for landmarks in lists if landmarks.node not in self._reviews]
        for landmarks in new:
            review = Review(landmarks)
            review.snap_to_surface = False  # positions written by scripts are kept as they are
            review.on_moved = lambda moved, review=review: self._on_moved(review, moved)
            review.on_broken = lambda review=review: self._drop(review)
            self._reviews[landmarks.node] = review
        return new

    @property
    def watched(self) -> KeysView[slicer.vtkMRMLMarkupsFiducialNode]:
        """The nodes of the watched lists."""
        return self._reviews.keys()

    def close(self) -> None:
        """Release all lists and show nothing: the widgets may be gone."""
        self.placing.close()
        if self._spheres is not None:
            self._spheres.remove()
        for review in self._reviews.values():
            review.on_change = None
            review.close()
        self.review, self._spheres = None, None
        self._reviews, self._moved_elsewhere = {}, {}

    def _turn_away(self) -> None:
        """Show no list; its review keeps watching it."""
        if self.review is not None:
            self.review.on_change = None
            self.review.snap_to_surface = False
            self.placing.end()
        if self._spheres is not None:
            self._spheres.remove()
        self.review, self._spheres = None, None
        self.table.clear()

    def _forget_deleted(self) -> None:
        """Release lists that are no longer in the scene."""
        for node in [node for node in self._reviews if node.GetScene() is None]:
            self._forget(self._reviews[node])

    def _forget(self, review: Review) -> None:
        """Release a list."""
        del self._reviews[review.landmarks.node]
        self._moved_elsewhere.pop(review.landmarks.node, None)
        review.close()
        if review is self.review:
            self._turn_away()

    def _drop(self, review: Review) -> None:
        """Release a list that is no longer a landmark list of this module."""
        was_shown = review is self.review
        self._forget(review)
        if was_shown:
            self._on_broken()

    def refresh(self, kept: Sequence[int] | None = None) -> None:
        """Update the display of the list.

        Parameters
        ----------
        kept : sequence of int, optional
            Landmarks that stay in the table whatever it shows; by default the selected one, until
            the user goes on.
        """
        if self.review is not None:
            if kept is None:
                kept = [index for index in (self.table.current,) if index is not None]
            self.table.fill(
                self.review,
                self._ui.filterSelector.currentIndex,
                self._ui.orderSelector.currentIndex,
                kept,
            )
            self._draw_spheres()
            self._ui.lockCheckBox.setChecked(bool(self.review.landmarks.node.GetLocked()))
        self._show_progress()
        self._show_landmark()

    def _draw_spheres(self) -> None:
        if self.review is None or self._spheres is None:
            return
        self._spheres.update(
            self.review.is_reviewed,
            current=self.table.current,
            visible=self._ui.errorsCheckBox.checked,
        )

    def _on_moved(self, review: Review, moved: list[int]) -> None:
        """Report that a landmark of another list was moved, as with two overlapping scans."""
        if review is not self.review:
            self._moved_elsewhere.setdefault(review.landmarks.node, set()).update(moved)
        elif moved == [self.placing.awaited]:
            self.placing.go_on()
        self._show_progress()

    def _say_elsewhere(self) -> list[str]:
        """Name the landmarks that were moved in lists that have not been selected since."""
        text = _("Moved in the list '{name}', which is not selected: {codes}.")
        lines = []
        for node, moved in self._moved_elsewhere.items():
            if node.GetScene() is None:
                continue
            codes = self._reviews[node].landmarks.scheme.codes
            words = " ".join(codes[index] for index in sorted(moved))
            lines.append(text.format(name=node.GetName(), codes=words))
        return lines

    def _on_review_changed(self, changed: list[int]) -> None:
        if len(changed) == 1:
            # The buttons should act on the landmark just moved; the view stays as it is.
            self._is_camera_still = True
            self._show_and_select(changed[0])
            self._is_camera_still = False
        else:
            self.refresh()
        self.placing.check_soon()
        self._on_change()

    def _show_and_select(self, index: int) -> None:
        """Select a landmark, of whatever kind the table shows."""
        self.refresh([index])
        self.table.select(index)

    def _fill_selectors(self) -> None:
        shows = {
            SHOW_ALL: _("All landmarks"),
            SHOW_UNREVIEWED: _("Not yet reviewed"),
            SHOW_DOUBTFUL: _("To check and doubtful"),
            SHOW_MISSING: _("Missing"),
        }
        orders = {BY_SCHEME: _("Order of the list"), BY_ERROR: _("Largest error first")}
        for _index, text in sorted(shows.items()):
            self._ui.filterSelector.addItem(text)
        for _index, text in sorted(orders.items()):
            self._ui.orderSelector.addItem(text)
        for selector, key in self._remembered():
            selector.setCurrentIndex(slicer.util.settingsValue(key, 0, converter=int))

    def _remembered(self) -> tuple[tuple[qt.QComboBox, str], ...]:
        return ((self._ui.filterSelector, _FILTER_KEY), (self._ui.orderSelector, _ORDER_KEY))

    def _on_view_changed(self) -> None:
        for selector, key in self._remembered():
            qt.QSettings().setValue(key, int(selector.currentIndex))
        self.refresh(kept=())
        self.placing.check_soon()

    def _connect(self) -> None:
        ui = self._ui
        for selector, _key in self._remembered():
            selector.connect("currentIndexChanged(int)", lambda *_args: self._on_view_changed())
        ui.landmarkTable.itemSelectionChanged.connect(self._on_selected)
        ui.landmarkTable.connect("cellClicked(int,int)", lambda *_args: self._on_selected())
        ui.previousButton.clicked.connect(self.on_previous)
        ui.nextButton.clicked.connect(self.on_next)
        ui.confirmButton.clicked.connect(self.on_confirm_clicked)
        ui.placeButton.clicked.connect(self.on_place)
        ui.missingButton.clicked.connect(self.on_missing)
        ui.restoreButton.clicked.connect(self.on_restore)
        ui.restoreAllButton.clicked.connect(self.on_restore_all)
        ui.undoButton.clicked.connect(self.on_undo)
        ui.redoButton.clicked.connect(self.on_redo)
        ui.lockCheckBox.toggled.connect(self.on_lock)
        ui.snapCheckBox.toggled.connect(self.on_snap)
        ui.errorsCheckBox.toggled.connect(lambda *_args: self.refresh())

    def on_previous(self) -> None:
        """Select the landmark in the row above."""
        self._go_to(self.table.neighbor(-1))

    def on_next(self) -> None:
        """Select the landmark in the row below."""
        self._go_to(self.table.neighbor(1))

    def on_confirm_clicked(self) -> None:
        """Confirm, unless this is the second click of a double click: it would confirm the next."""
        passed_ms = 1000.0 * (time.monotonic() - self._confirmed_at)
        if passed_ms > slicer.app.doubleClickInterval:  # as set in the system
            self.on_confirm()
            # Not before: a second click waits as long as the views take to draw.
            self._confirmed_at = time.monotonic()

    def on_confirm(self) -> None:
        """Confirm the landmark and go on."""
        index, following = self.table.current, self.table.neighbor(1)
        if self.review is None or index is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The landmark could not be confirmed.")):
            self.review.confirm(index)
            self._go_to(following)
            if following is None:
                self.refresh(kept=())

    def on_missing(self) -> None:
        """Mark the landmark as not visible on the scan."""
        index = self.table.current
        if self.review is None or index is None:
            return
        is_awaited = self.placing.awaited == index
        with slicer.util.tryWithErrorDisplay(_("The landmark could not be marked.")):
            self.review.mark_missing(index)
            if is_awaited:
                self.placing.go_on()

    def on_place(self) -> None:
        """Place the landmark with a click, then those below that were never placed."""
        if self.review is not None:
            self.placing.start(self.review)

    def on_restore(self) -> None:
        """Restore the landmark's detected position."""
        index = self.table.current
        if self.review is None or index is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The landmark could not be restored.")):
            self.review.restore([index])

    def on_restore_all(self) -> None:
        """Restore all detected positions."""
        if self.review is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The landmarks could not be restored.")):
            self.review.restore()

    def on_undo(self) -> None:
        """Undo the last correction and show its landmark."""
        self._travel("undo")

    def on_redo(self) -> None:
        """Redo the undone correction and show its landmark."""
        self._travel("redo")

    def on_lock(self, is_locked: bool) -> None:
        """Lock or unlock the whole list.

        Parameters
        ----------
        is_locked : bool
            Whether points cannot be moved in the views.
        """
        if self.review is not None:
            self.review.landmarks.node.SetLocked(bool(is_locked))

    def on_snap(self, is_on: bool) -> None:
        """Switch snapping of corrections on or off.

        Parameters
        ----------
        is_on : bool
            Whether a moved landmark is snapped to the surface.
        """
        if self.review is not None:
            self.review.snap_to_surface = bool(is_on)

    def _travel(self, direction: Literal["undo", "redo"]) -> None:
        if self.review is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The correction could not be taken back.")):
            changed = getattr(self.review, direction)()
            if changed:
                self._show_and_select(changed[0])
                look_at(self.review.landmarks, changed[0])

    def _go_to(self, index: int | None) -> None:
        if index is not None:
            self.table.select(index)
            if self._ui.filterSelector.currentIndex != SHOW_ALL:
                self.refresh()  # without the landmark that was left, if it is of another kind

    def _on_selected(self) -> None:
        if self.table.is_filling:
            return
        self._show_landmark()
        if self.review is not None and self.table.current is not None:
            # Otherwise the click would still place the previous landmark.
            self.placing.end()
            self._draw_spheres()
            if not self._is_camera_still:
                look_at(self.review.landmarks, self.table.current)

    def _show_progress(self) -> None:
        text = _("No landmarks yet.")
        if self.review is not None:
            is_reviewed = self.review.is_reviewed
            text = _("{n_reviewed} of {n_all} reviewed").format(
                n_reviewed=int(is_reviewed.sum()), n_all=len(is_reviewed)
            )
            nothing = "" if self.table.indices else _("No landmark is of this kind.")
            text = "\n".join(filter(None, (text, nothing, self.review.remark)))
        text = "\n".join((text, *self._say_elsewhere()))
        self._ui.reviewedLabel.setText(text)
        self._ui.reviewedLabel.setToolTip(self._origin())

    def _origin(self) -> str:
        """Name the trained model that placed the landmarks, regardless of the current choice."""
        record = {} if self.review is None else self.review.landmarks.record
        made = record.get("provenance", {})
        if not made.get("model_sha256"):
            return ""
        text = _("Detected {how}, by the trained model {name}\nSHA-256: {sha256}").format(
            how=say_how_placed(record), name=made.get("model", ""), sha256=made["model_sha256"]
        )
        if made.get("unseen_source", {}).get("factor", 1) == 1:
            return text
        return "\n".join(
            (text, _("Expected errors allow for faces unlike all that it was trained on."))
        )

    def _show_landmark(self) -> None:
        """Show definition and picture of the selected landmark; enable the buttons that apply."""
        review, ui = self.review, self._ui
        index = self.table.current if review is not None else None
        status = None if review is None or index is None else review.landmarks.status[index]
        ui.previousButton.setEnabled(index is not None and self.table.neighbor(-1) is not None)
        ui.nextButton.setEnabled(review is not None and self.table.neighbor(1) is not None)
        ui.confirmButton.setEnabled(status is not None and status != "undefined")
        ui.placeButton.setEnabled(status is not None and status not in PLACED)
        ui.missingButton.setEnabled(status is not None and status != "missing")
        ui.restoreButton.setEnabled(
            review is not None and index is not None and review.can_restore([index])
        )
        ui.restoreAllButton.setEnabled(review is not None and review.can_restore())
        ui.undoButton.setEnabled(review is not None and review.can_undo)
        ui.redoButton.setEnabled(review is not None and review.can_redo)
        for switch in (ui.lockCheckBox, ui.filterSelector, ui.orderSelector):
            switch.setEnabled(review is not None)
        self._show_definition(index)

    def _show_definition(self, index: int | None) -> None:
        if self.review is None or index is None:
            self._ui.definitionLabel.setText("")
            self._ui.pictureLabel.setVisible(False)
            return
        scheme = self.review.landmarks.scheme
        definition = scheme.landmarks[index]
        text = f"{definition.name} ({definition.code})\n{definition.definition}"
        self._ui.definitionLabel.setText(text)
        # Windows does not allow a file named prn.png.
        name = f"Landmarks/{scheme.name}/landmark_{definition.code}.png"
        picture = qt.QPixmap(self._resource_path(name))
        self._ui.pictureLabel.setVisible(not picture.isNull())
        self._ui.pictureLabel.setPixmap(picture)
