# SPDX-License-Identifier: Apache-2.0
"""The button that places the landmarks of all scans of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from palnet._stored import listing
from palnet.errors import OutputError
from PALNetLandmarksLib.panel.poller import Poller
from PALNetLandmarksLib.scan_folder import out_of_reach
from PALNetLandmarksLib.trained_models import in_words, is_file_of_user

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PALNetLandmarksLib.folder_detection import FolderDetection, Outcome
    from PALNetLandmarksLib.job import BackgroundJob
    from PALNetLandmarksLib.scan_folder import ScanFolder

# The user reviews scans meanwhile.
_SLICE_S = 0.005
# Reasons to show; nobody reads hundreds below a button.
_MOST_REASONS = 3


class FolderDetectionRow:
    """The button "Detect all scans", and what came of it.

    The detections go on if another folder is opened; there is one run at a time.

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    start : callable
        Asks the user, and returns the `FolderDetection` that it has started, or None.
    on_outcome : callable
        Called with the `ScanFolder` and the `Outcome` of each scan.
    """

    def __init__(
        self,
        ui: Any,
        start: Callable[[], FolderDetection | None],
        on_outcome: Callable[[ScanFolder, Outcome], None],
    ) -> None:
        self._ui, self._start, self._on_outcome = ui, start, on_outcome
        self._run: FolderDetection | None = None
        self._n_told = 0
        self._poller = Poller(self._on_end, self._on_tick, slice_s=_SLICE_S)
        ui.detectFolderButton.clicked.connect(self.on_detect_folder)
        self.say("")
        self._show_button()

    @property
    def is_running(self) -> bool:
        """Whether scans are being detected."""
        return self._poller.is_running

    def close(self) -> None:
        """End the run without a message: the widgets may be gone."""
        if self._run is not None:
            self._run.stop()
        self._poller.stop()

    def say(self, text: str) -> None:
        """Show a message below the button.

        Parameters
        ----------
        text : str
            The message; empty clears it.
        """
        self._ui.folderDetectionLabel.setText(text)
        self._ui.folderDetectionLabel.setVisible(bool(text))

    def on_detect_folder(self) -> None:
        """Start the detections, or end them after the current scan."""
        if self._run is not None and self.is_running:
            self._run.stop()
            self._ui.detectFolderButton.setEnabled(False)
            self._tell(self._run)
            return
        with slicer.util.tryWithErrorDisplay(_("The detection could not be started.")):
            run = self._start()
            if run is None:
                return
            self._run, self._n_told = run, 0
            self._poller.watch(run.job)
            self._show_button()
            self._tell(run)

    def _on_tick(self, _job: BackgroundJob) -> None:
        if self._run is not None:
            self._tell(self._run)

    def _tell(self, run: FolderDetection) -> None:
        """Pass on what has come of scans since the last call."""
        new = run.outcomes[self._n_told :]
        self._n_told += len(new)
        text = _("Detecting all scans: {n_done} of {n_scans}")
        if run.is_stopped:
            text = _("Stopping after the current scan: {n_done} of {n_scans}")
        self.say(text.format(n_done=self._n_told, n_scans=run.n_scans))
        for outcome in new:
            self._on_outcome(run.folder, outcome)

    def _on_end(self, job: BackgroundJob) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        self._tell(run)
        self._show_button()
        reason = "" if job.error is None else _why_none(run, job.error)
        said = "" if reason and not run.outcomes else _summary(run)
        self.say("\n".join(filter(None, (reason, said))))

    def _show_button(self) -> None:
        button = self._ui.detectFolderButton
        button.setEnabled(True)
        if self._run is not None:
            button.setText(_("Stop detecting"))
            button.setToolTip(_("Stop after the current scan; landmarks placed so far stay saved."))
            return
        button.setText(_("Detect all scans"))
        text = _(
            "Place the landmarks of all scans of the folder that have none yet, one after another, "
            "and save them. You can review the first ones meanwhile."
        )
        button.setToolTip(text)


def asks_to_detect(folder: ScanFolder, scans: Sequence[Path], options: Mapping[str, Any]) -> bool:
    """Ask whether to detect the landmarks of the scans of a folder.

    Parameters
    ----------
    folder : ScanFolder
        The folder.
    scans : sequence of Path
        Scans without landmarks.
    options : mapping
        How they will be placed, as for `FolderDetection`.

    Returns
    -------
    bool
        True if the user agrees; there is something to agree to only if there are such scans.
    """
    box = qt.QMessageBox
    if not scans:
        text = _(
            "All scans of this folder have landmarks. To detect those of a scan again, open it; of "
            "one whose landmarks are not readable, move the file away first."
        )
        slicer.util.infoDisplay(text)
        return False
    text = _("Scans to detect: {n_scans}. Save their landmarks in {folder}?")
    place = folder.lists_folder.as_posix()
    lines = [text.format(n_scans=len(scans), folder=place), *_say_how(**options)]
    if rest := len(folder.scans) - len(scans):
        text = _("Scans that have landmarks already, which stay as they are: {n_scans}.")
        lines.append(text.format(n_scans=rest))
    answer = slicer.util.messageBox(
        "\n".join(lines),
        windowTitle=_("Detect all scans?"),
        icon=box.Question,
        standardButtons=box.Ok | box.Cancel,
    )
    return answer == box.Ok


def _say_how(trained_model: str, use_color: bool, unit: str) -> list[str]:
    """Say how the landmarks will be placed, a line each."""
    name = Path(trained_model).stem if is_file_of_user(trained_model) else trained_model
    color = _("The color of scans that have any is used.")
    size = _("Unit: by the size of each scan.")
    return [
        _("Trained model: {model}.").format(model=name),
        color if use_color else _("By shape alone."),
        size if unit == "auto" else _("Unit of all: {unit}, as chosen.").format(unit=unit),
    ]


def _why_none(run: FolderDetection, error: Exception) -> str:
    """Say what has ended the detections."""
    if isinstance(error, NotADirectoryError):
        return out_of_reach(run.folder.lists_folder)
    if isinstance(error, OutputError):
        text = _(
            "Nothing can be written into {folder}. Choose another folder by Landmarks folder..., "
            "or check the rights and the free space."
        )
        return text.format(folder=run.folder.lists_folder.as_posix())
    return str(in_words(error))


def _summary(run: FolderDetection) -> str:
    """Say how many scans have landmarks now, and why the others have none."""
    refused = [each for each in run.outcomes if each.reason]
    text = _("Scans detected and saved in {folder}: {n_done} of {n_scans}.")
    if run.is_stopped:
        text = _("Stopped. Scans detected and saved in {folder}: {n_done} of {n_scans}.")
    n_done, folder = len(run.outcomes) - len(refused), run.folder.lists_folder.as_posix()
    lines = [text.format(n_done=n_done, n_scans=run.n_scans, folder=folder)]
    lines += [f"{each.scan.name}: {_reason(run, each)}" for each in refused[:_MOST_REASONS]]
    others = [each.scan.name for each in refused[_MOST_REASONS:]]
    if others:
        lines.append(_("Not detected either: {scans}.").format(scans=listing(others)))
    if refused:
        lines.append(_("To see what can be done, open such a scan and click Detect landmarks."))
    return "\n".join(lines)


def _reason(run: FolderDetection, outcome: Outcome) -> str:
    """Say why a scan has no landmarks now, in words of the panel where the library's are others."""
    other = outcome.in_the_way
    if other is None:
        return outcome.reason
    text = _("{file} exists already, and stays as it is.")
    if other in run.folder.scans:
        text = _("it would share its landmarks with {file}. Give one of the two another name.")
    return text.format(file=other.name)
