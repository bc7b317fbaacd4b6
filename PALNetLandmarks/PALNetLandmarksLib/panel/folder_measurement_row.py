# SPDX-License-Identifier: Apache-2.0
"""The button that measures all scans of a folder into one table."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from palnet._files import write_text
from palnet._stored import listing
from palnet.errors import PalnetError
from PALNetLandmarksLib.folder_export import doubtful_specimens, proposed_path, read_folder
from PALNetLandmarksLib.folder_measurement import FolderMeasurement
from PALNetLandmarksLib.panel.doubtful_question import goes_on_with_doubtful_scans
from PALNetLandmarksLib.panel.file_dialogs import ask_save_path
from PALNetLandmarksLib.panel.poller import Poller

# The user goes on meanwhile.
_SLICE_S = 0.005


class FolderMeasurementRow:
    """The button "Measure folder...", and what came of it.

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    scan_folder : ScanFolderRow
        The folder that is open.
    """

    def __init__(self, ui, scan_folder):
        self._ui, self._scan_folder = ui, scan_folder
        self._run, self._path, self._left_out = None, None, []
        self._poller = Poller(self._on_end, self._on_tick, slice_s=_SLICE_S)
        ui.measureFolderButton.clicked.connect(self.on_measure_folder)
        self._say("")
        self.refresh()

    @property
    def is_running(self):
        """Whether scans are being measured."""
        return self._poller.is_running

    def refresh(self):
        """Offer the button if a folder is open, or to stop."""
        button = self._ui.measureFolderButton
        button.setVisible(self.is_running or self._scan_folder.folder is not None)
        if self.is_running:
            button.setText(_("Stop measuring"))
            button.setToolTip(_("Stop after the current scan; nothing is written."))
            return
        button.setText(_("Measure folder..."))
        text = _("Measure the saved landmarks of all scans of the folder, and save one table.")
        button.setToolTip(text)

    def close(self):
        """End the measuring without a message: the widgets may be gone."""
        if self._run is not None:
            self._run.stop()
        self._poller.stop()

    def on_measure_folder(self):
        """Measure all scans with saved landmarks, or stop that."""
        if self.is_running:
            self.close()
            self._say(_("Stopped; nothing was written."))
            self.refresh()
            return
        self._say("")
        if self._scan_folder.is_unsaved:
            self._say(_("The landmarks of the current scan are not saved: save them first."))
            return
        with slicer.util.tryWithErrorDisplay(_("The folder could not be measured.")):
            try:
                self._start(self._scan_folder.folder)
            except ValueError as err:
                self._say(str(err))

    def _start(self, folder):
        """Ask what there is to ask, and start."""
        with slicer.util.WaitCursor():  # a drive may be slow
            saved, self._left_out = read_folder(folder)
        if not goes_on_with_doubtful_scans(doubtful_specimens(saved.values())):
            return
        proposed = proposed_path(folder, ".measurements.csv")
        self._path = ask_save_path(_("Save the measurements of the folder"), proposed, ".csv")
        if self._path is not None:
            self._run = FolderMeasurement(saved)
            self._poller.watch(self._run.job)
            self.refresh()

    def _on_tick(self, _job):
        text = _("Measuring all scans: {n_done} of {n_scans}")
        self._say(text.format(n_done=self._run.n_done, n_scans=self._run.n_scans))

    def _on_end(self, job):
        run, self._run = self._run, None
        self._say("")
        self.refresh()
        with slicer.util.tryWithErrorDisplay(_("The folder could not be measured.")):
            if job.error is not None:
                raise job.error
            try:
                write_text(self._path, job.result, overwrite=True)
            except PalnetError as err:
                self._say(str(err))
                return
            self._say("\n".join(self._summary(run)))

    def _summary(self, run):
        """Say what was written, and what was not measured."""
        lines = [_("Written: {path}").format(path=self._path.as_posix())]
        lines += [_("Scans: {n_scans}.").format(n_scans=run.n_scans), *run.remarks]
        lines += self._left_out
        if run.without_arcs:
            text = _(
                "Without arcs, since the scan cannot be read or the landmarks do not lie on it: "
                "{scans}."
            )
            lines.append(text.format(scans=listing(run.without_arcs)))
        return lines

    def _say(self, text):
        self._ui.folderMeasurementLabel.setText(text)
        self._ui.folderMeasurementLabel.setVisible(bool(text))
