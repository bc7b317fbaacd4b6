# SPDX-License-Identifier: Apache-2.0
"""The button that measures all scans of a folder into one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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

if TYPE_CHECKING:
    from pathlib import Path

    from PALNetLandmarksLib.job import BackgroundJob
    from PALNetLandmarksLib.panel.scan_folder_row import ScanFolderRow
    from PALNetLandmarksLib.scan_folder import ScanFolder

# The user goes on meanwhile.
_SLICE_S = 0.005


class _Started(NamedTuple):
    """A run, the file for its table, and what was left out of it, a line each."""

    run: FolderMeasurement
    path: Path
    left_out: list[str]


class FolderMeasurementRow:
    """The button "Measure folder...", and what came of it.

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    scan_folder : ScanFolderRow
        The folder that is open.
    """

    def __init__(self, ui: Any, scan_folder: ScanFolderRow) -> None:
        self._ui, self._scan_folder = ui, scan_folder
        self._started: _Started | None = None
        self._poller = Poller(self._on_end, self._on_tick, slice_s=_SLICE_S)
        ui.measureFolderButton.clicked.connect(self.on_measure_folder)
        self._say("")
        self.refresh()

    @property
    def is_running(self) -> bool:
        """Whether scans are being measured."""
        return self._poller.is_running

    def refresh(self) -> None:
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

    def close(self) -> None:
        """End the measuring without a message: the widgets may be gone."""
        if self._started is not None:
            self._started.run.stop()
        self._poller.stop()

    def on_measure_folder(self) -> None:
        """Measure all scans with saved landmarks, or stop that."""
        if self.is_running:
            self.close()
            self._say(_("Stopped; nothing was written."))
            self.refresh()
            return
        self._say("")
        folder = self._scan_folder.folder
        if folder is None:
            return  # the button is hidden
        if self._scan_folder.is_unsaved:
            self._say(_("The landmarks of the current scan are not saved: save them first."))
            return
        with slicer.util.tryWithErrorDisplay(_("The folder could not be measured.")):
            try:
                self._start(folder)
            except ValueError as err:
                self._say(str(err))

    def _start(self, folder: ScanFolder) -> None:
        """Ask what there is to ask, and start."""
        with slicer.util.WaitCursor():  # a drive may be slow
            saved, left_out = read_folder(folder)
        if not goes_on_with_doubtful_scans(doubtful_specimens(saved.values())):
            return
        proposed = proposed_path(folder, ".measurements.csv")
        path = ask_save_path(_("Save the measurements of the folder"), proposed, ".csv")
        if path is not None:
            self._started = _Started(FolderMeasurement(saved), path, left_out)
            self._poller.watch(self._started.run.job)
            self.refresh()

    def _on_tick(self, _job: BackgroundJob) -> None:
        if self._started is None:
            return
        text, run = _("Measuring all scans: {n_done} of {n_scans}"), self._started.run
        self._say(text.format(n_done=run.n_done, n_scans=run.n_scans))

    def _on_end(self, job: BackgroundJob) -> None:
        started, self._started = self._started, None
        self._say("")
        self.refresh()
        if started is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The folder could not be measured.")):
            if job.error is not None:
                raise job.error
            try:
                write_text(started.path, job.result, overwrite=True)
            except PalnetError as err:
                self._say(str(err))
                return
            self._say("\n".join(_summary(*started)))

    def _say(self, text: str) -> None:
        self._ui.folderMeasurementLabel.setText(text)
        self._ui.folderMeasurementLabel.setVisible(bool(text))


def _summary(run: FolderMeasurement, path: Path, left_out: list[str]) -> list[str]:
    """Say what was written, and what was not measured."""
    lines = [_("Written: {path}").format(path=path.as_posix())]
    lines += [_("Scans: {n_scans}.").format(n_scans=run.n_scans), *run.remarks]
    lines += left_out
    if run.without_arcs:
        text = _(
            "Without arcs, since the scan cannot be read or the landmarks do not lie on it: "
            "{scans}."
        )
        lines.append(text.format(scans=listing(run.without_arcs)))
    return lines
