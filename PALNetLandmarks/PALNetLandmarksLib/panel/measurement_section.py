# SPDX-License-Identifier: Apache-2.0
"""Distances, angles, indices and arcs of the selected landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from palnet._files import write_text
from palnet.measurement import measure, table_of_measurements
from PALNetLandmarksLib.job import BackgroundJob
from PALNetLandmarksLib.measuring import MeasuredLine, table_for_spreadsheet, what_to_measure
from PALNetLandmarksLib.panel.doubtful_question import goes_on_with_doubtful
from PALNetLandmarksLib.panel.file_dialogs import ask_save_path
from PALNetLandmarksLib.panel.folder_measurement_row import FolderMeasurementRow
from PALNetLandmarksLib.panel.poller import Poller
from PALNetLandmarksLib.save_export import default_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.landmarks import LandmarkSet
    from palnet.measurement import Measurement
    from PALNetLandmarksLib.panel.scan_folder_row import ScanFolderRow
    from PALNetLandmarksLib.review import Review

_NAME, _VALUE, _ERROR, _SOURCE = range(4)
# Names are cut off rather than numbers, but not below this share of the table.
_NAME_SHARE = 0.45
_CSV_SUFFIX = ".measurements.csv"


class MeasurementSection:
    """The section "Measurements".

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    scan_folder : ScanFolderRow
        The folder that is open.
    """

    def __init__(self, ui: Any, scan_folder: ScanFolderRow) -> None:
        self._ui = ui
        self.folder = FolderMeasurementRow(ui, scan_folder)
        self._review: Review | None = None
        self._line: MeasuredLine | None = None
        self._measurements: Sequence[Measurement] = ()
        self._measured: LandmarkSet | None = None
        self._remark = ""
        self._poller = Poller(self._on_measured, self._on_tick)
        table = ui.measurementTable
        table.setColumnCount(_SOURCE + 1)
        table.setHorizontalHeaderLabels(
            [_("Measurement"), _("Value"), _("Expected error"), _("Source")]
        )
        table.verticalHeader().setVisible(False)
        table.horizontalHeader().setStretchLastSection(True)
        table.itemSelectionChanged.connect(self._on_selected)
        ui.measureButton.clicked.connect(self.on_measure)
        ui.copyMeasurementsButton.clicked.connect(self.on_copy)
        ui.saveMeasurementsButton.clicked.connect(self.on_save)
        self.show(None)

    @property
    def is_running(self) -> bool:
        """Whether measurements are running."""
        return self._poller.is_running

    @property
    def _shown(self) -> Review:
        """The review of the list; without one nothing can be measured."""
        if self._review is None:
            msg = "There is no list to measure."
            raise ValueError(msg)
        return self._review

    def show(self, review: Review | None) -> None:
        """Show a list; it is measured on request.

        Parameters
        ----------
        review : Review or None
            The review of the list.
        """
        self._review = review
        self.folder.refresh()
        self.clear()

    def close(self) -> None:
        """Stop measuring without a message: the widgets may be gone."""
        self._poller.stop()
        if self._line is not None:
            self._line.remove()
        self._line = None

    def clear(self) -> None:
        """Discard the measurements."""
        self.close()
        self._measurements = ()
        self._ui.measurementTable.setRowCount(0)
        self._say("")
        self._ui.measureButton.setEnabled(self._review is not None)
        self._ui.copyMeasurementsButton.setEnabled(False)
        self._ui.saveMeasurementsButton.setEnabled(False)

    def forget(self) -> None:
        """Discard what was measured before a change of the landmarks, and say so."""
        if self._measurements or self.is_running:
            self.clear()
            self._say(_("The landmarks have changed since. Measure again."))

    def on_measure(self) -> None:
        """Take all measurements in the background: arcs on a large scan take time."""
        with slicer.util.tryWithErrorDisplay(_("Nothing could be measured.")):
            self.clear()
            measured, mesh, plan, self._remark = what_to_measure(self._shown.landmarks)
            self._measured = measured
            self._ui.measureButton.setEnabled(False)
            self._poller.watch(BackgroundJob(measure, measured, mesh, plan))

    def _on_tick(self, job: BackgroundJob) -> None:
        self._say(_("Measuring: {seconds:.0f} s").format(seconds=job.seconds))

    def _on_measured(self, job: BackgroundJob) -> None:
        self._ui.measureButton.setEnabled(True)
        self._say(self._remark)
        with slicer.util.tryWithErrorDisplay(_("Nothing could be measured.")):
            if job.error is not None:
                raise job.error
            self._measurements = job.result
            self._line = MeasuredLine(self._shown.landmarks)
            self._fill()
            self._ui.copyMeasurementsButton.setEnabled(True)
            self._ui.saveMeasurementsButton.setEnabled(True)

    def _say(self, text: str) -> None:
        self._ui.measurementLabel.setText(text)
        self._ui.measurementLabel.setVisible(bool(text))

    def on_copy(self) -> None:
        """Copy the table for a spreadsheet."""
        table = self._table()  # a detection may end and drop it while a dialog is open
        if not goes_on_with_doubtful(self._shown):
            return
        written = qt.QLocale.system().toString(1.5)
        decimal_point = next((sign for sign in written if not sign.isdigit()), ".")
        qt.QApplication.clipboard().setText(table_for_spreadsheet(table, decimal_point))

    def on_save(self) -> None:
        """Save the table."""
        table, landmarks = self._table(), self._shown.landmarks
        if not goes_on_with_doubtful(self._shown):
            return
        with slicer.util.tryWithErrorDisplay(_("The measurements could not be saved.")):
            proposed = default_path(landmarks, _CSV_SUFFIX)
            path = ask_save_path(_("Save measurements"), proposed, ".csv")
            if path is not None:
                write_text(path, table, overwrite=True)
                written = _("Written: {path}").format(path=path.as_posix())
                self._say("\n".join(filter(None, (self._remark, written))))

    def _table(self) -> str:
        specimen = self._shown.landmarks.landmark_set().specimen
        return table_of_measurements([(specimen, self._measurements)])

    def _fill(self) -> None:
        table = self._ui.measurementTable
        table.clearSpans()
        table.setRowCount(len(self._measurements))
        for row, entry in enumerate(self._measurements):
            value = f"{entry.value:.1f} {entry.unit}" if entry.is_measured else ""
            is_known = entry.is_measured and not np.isnan(entry.expected_error)
            error = f"{entry.expected_error:.1f} {entry.unit}" if is_known else ""
            for column, text in enumerate((entry.name, value, error, entry.source)):
                item = qt.QTableWidgetItem(text)
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
                table.setItem(row, column, item)
            table.item(row, _NAME).setToolTip(entry.name)
        self._fit_columns()
        self._fill_in_reasons()

    def _fill_in_reasons(self) -> None:
        """Say why values are missing, in the cells of value and error: these stay narrow."""
        table = self._ui.measurementTable
        for row, entry in enumerate(self._measurements):
            if not entry.is_measured:
                table.setSpan(row, _VALUE, 1, 2)
                table.item(row, _VALUE).setText(entry.reason)
                table.item(row, _VALUE).setToolTip(entry.reason)

    def _fit_columns(self) -> None:
        """Fit the columns to their contents, and the names to what the numbers leave."""
        table = self._ui.measurementTable
        table.resizeColumnsToContents()
        width = int(table.viewport().width)
        left = width - table.columnWidth(_VALUE) - table.columnWidth(_ERROR)
        longest = max(left, round(_NAME_SHARE * width))
        table.setColumnWidth(_NAME, min(table.columnWidth(_NAME), longest))

    def _on_selected(self) -> None:
        row = self._ui.measurementTable.currentRow()
        if self._line is None or not 0 <= row < len(self._measurements):
            return
        self.forget_if_moved()
        if self._line is not None:
            self._line.show(self._measurements[row])

    def forget_if_moved(self) -> None:
        """Discard measurements taken elsewhere, such as before a transform."""
        if self._line is None or self._measured is None:
            return
        now = self._shown.landmarks.world_positions
        if not np.array_equal(now, self._measured.positions, equal_nan=True):
            self.forget()
