# SPDX-License-Identifier: Apache-2.0
"""Distances, angles, indices and arcs of the selected landmarks."""

from __future__ import annotations

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

    def __init__(self, ui, scan_folder):
        self._ui = ui
        self.folder = FolderMeasurementRow(ui, scan_folder)
        self._review, self._line = None, None
        self._measurements, self._measured, self._remark = (), None, ""
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
    def is_running(self):
        """Whether measurements are running."""
        return self._poller.is_running

    def show(self, review):
        """Show a list; it is measured on request.

        Parameters
        ----------
        review : Review or None
            The review of the list.
        """
        self._review = review
        self.folder.refresh()
        self.clear()

    def close(self):
        """Stop measuring without a message: the widgets may be gone."""
        self._poller.stop()
        if self._line is not None:
            self._line.remove()
        self._line = None

    def clear(self):
        """Discard the measurements."""
        self.close()
        self._measurements = ()
        self._ui.measurementTable.setRowCount(0)
        self._say("")
        self._ui.measureButton.setEnabled(self._review is not None)
        self._ui.copyMeasurementsButton.setEnabled(False)
        self._ui.saveMeasurementsButton.setEnabled(False)

    def forget(self):
        """Discard what was measured before a change of the landmarks, and say so."""
        if self._measurements or self.is_running:
            self.clear()
            self._say(_("The landmarks have changed since. Measure again."))

    def on_measure(self):
        """Take all measurements in the background: arcs on a large scan take time."""
        with slicer.util.tryWithErrorDisplay(_("Nothing could be measured.")):
            self.clear()
            *inputs, self._remark = what_to_measure(self._review.landmarks)
            self._measured = inputs[0]
            self._ui.measureButton.setEnabled(False)
            self._poller.watch(BackgroundJob(measure, *inputs))

    def _on_tick(self, job):
        self._say(_("Measuring: {seconds:.0f} s").format(seconds=job.seconds))

    def _on_measured(self, job):
        self._ui.measureButton.setEnabled(True)
        self._say(self._remark)
        with slicer.util.tryWithErrorDisplay(_("Nothing could be measured.")):
            if job.error is not None:
                raise job.error
            self._measurements = job.result
            self._line = MeasuredLine(self._review.landmarks)
            self._fill()
            self._ui.copyMeasurementsButton.setEnabled(True)
            self._ui.saveMeasurementsButton.setEnabled(True)

    def _say(self, text):
        self._ui.measurementLabel.setText(text)
        self._ui.measurementLabel.setVisible(bool(text))

    def on_copy(self):
        """Copy the table for a spreadsheet."""
        table = self._table()  # a detection may end and drop it while a dialog is open
        if not goes_on_with_doubtful(self._review):
            return
        written = qt.QLocale.system().toString(1.5)
        decimal_point = next((sign for sign in written if not sign.isdigit()), ".")
        qt.QApplication.clipboard().setText(table_for_spreadsheet(table, decimal_point))

    def on_save(self):
        """Save the table."""
        table, landmarks = self._table(), self._review.landmarks
        if not goes_on_with_doubtful(self._review):
            return
        with slicer.util.tryWithErrorDisplay(_("The measurements could not be saved.")):
            proposed = default_path(landmarks, _CSV_SUFFIX)
            path = ask_save_path(_("Save measurements"), proposed, ".csv")
            if path is not None:
                write_text(path, table, overwrite=True)
                written = _("Written: {path}").format(path=path.as_posix())
                self._say("\n".join(filter(None, (self._remark, written))))

    def _table(self):
        specimen = self._review.landmarks.landmark_set().specimen
        return table_of_measurements([(specimen, self._measurements)])

    def _fill(self):
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

    def _fill_in_reasons(self):
        """Say why values are missing, in the cells of value and error: these stay narrow."""
        table = self._ui.measurementTable
        for row, entry in enumerate(self._measurements):
            if not entry.is_measured:
                table.setSpan(row, _VALUE, 1, 2)
                table.item(row, _VALUE).setText(entry.reason)
                table.item(row, _VALUE).setToolTip(entry.reason)

    def _fit_columns(self):
        """Fit the columns to their contents, and the names to what the numbers leave."""
        table = self._ui.measurementTable
        table.resizeColumnsToContents()
        width = int(table.viewport().width)
        left = width - table.columnWidth(_VALUE) - table.columnWidth(_ERROR)
        longest = max(left, round(_NAME_SHARE * width))
        table.setColumnWidth(_NAME, min(table.columnWidth(_NAME), longest))

    def _on_selected(self):
        row = self._ui.measurementTable.currentRow()
        if self._line is None or not 0 <= row < len(self._measurements):
            return
        self.forget_if_moved()
        if self._line is not None:
            self._line.show(self._measurements[row])

    def forget_if_moved(self):
        """Discard measurements taken elsewhere, such as before a transform."""
        if self._line is None:
            return
        now = self._review.landmarks.world_positions
        if not np.array_equal(now, self._measured.positions, equal_nan=True):
            self.forget()
