# SPDX-License-Identifier: Apache-2.0
"""Go through the scans of a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from palnet._files import describe_error, is_folder
from palnet.errors import PalnetError
from palnet.surface import parse_unit
from PALNetLandmarksLib.file_changes import is_changed_by_others
from PALNetLandmarksLib.folder_detection import FolderDetection
from PALNetLandmarksLib.job import BackgroundJob
from PALNetLandmarksLib.linking import find_lists
from PALNetLandmarksLib.model_scaling import chosen_unit_of_file, is_as_its_file, model_scale
from PALNetLandmarksLib.panel.file_dialogs import changed_by_others, may_open
from PALNetLandmarksLib.panel.folder_detection_row import FolderDetectionRow, asks_to_detect
from PALNetLandmarksLib.panel.poller import Poller
from PALNetLandmarksLib.save_export import LISTS_FOLDER, default_path, lists_saved_in, save
from PALNetLandmarksLib.saved_lists import LIST_SUFFIX
from PALNetLandmarksLib.scan_folder import (
    ScanFolder,
    close_scan,
    find_scan,
    load_list,
    load_scan,
    out_of_reach,
    unsaved_lists,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from PALNetLandmarksLib.folder_detection import Outcome
    from PALNetLandmarksLib.landmark_list import LandmarkList
    from PALNetLandmarksLib.saved_lists import Progress

# The user does not wait for it: on a network drive each file takes a while.
_SLICE_S = 0.005


class ScanFolderRow:
    """The widgets below "Open folder...", which appear once a folder was chosen.

    The scene holds one scan of the folder at a time: when another one is chosen, the one before
    leaves it with its landmarks, which the user is asked to save.

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    select : callable
        Called with a model that was opened here, to select it.
    how : callable
        Returns the trained model for the next detection, and whether it uses color.
    """

    def __init__(
        self,
        ui: Any,
        select: Callable[[slicer.vtkMRMLModelNode], None],
        how: Callable[[], tuple[str, bool]],
    ) -> None:
        self._ui, self._select, self._how = ui, select, how
        self._folder: ScanFolder | None = None
        self._row = -1
        self._model: slicer.vtkMRMLModelNode | None = None
        self._refused: set[Path] = set()
        self._is_read_again = False
        self._reading = Poller(self._on_read, slice_s=_SLICE_S)
        ui.scanFolderRow.setVisible(False)
        ui.openFolderButton.clicked.connect(self.on_open_folder)
        ui.listsFolderButton.clicked.connect(self.on_lists_folder)
        ui.previousScanButton.clicked.connect(lambda: self._go(self._row - 1))
        ui.nextScanButton.clicked.connect(lambda: self._go(self._row + 1))
        ui.scanFileSelector.connect("activated(int)", self._go)
        self._detection = FolderDetectionRow(ui, self._start_detection, self._on_outcome)

    @property
    def folder(self) -> ScanFolder | None:
        """The `ScanFolder` that is open, or None."""
        return self._folder

    @property
    def opened(self) -> ScanFolder:
        """The `ScanFolder` that is open, for what is offered only then."""
        if self._folder is None:
            msg = "There is no folder open."
            raise ValueError(msg)
        return self._folder

    @property
    def is_unsaved(self) -> bool:
        """Whether the current scan has landmarks that no file holds."""
        return self._is_in_scene() and bool(unsaved_lists(self._model))

    @property
    def is_detecting(self) -> bool:
        """Whether landmarks of the scans are being detected."""
        return self._detection.is_running

    def refresh(self) -> None:
        """Say anew how far the reviews have come, as after landmarks were saved."""
        if self._folder is not None:
            self._read()

    def stop(self) -> None:
        """Stop work in the background."""
        self._reading.stop()
        self._detection.close()

    def on_open_folder(self) -> None:
        """Let the user choose a folder of scans, and open the first one."""
        path = _ask_folder(_("Open a folder of face scans"))
        if path is None:
            return
        try:
            folder = ScanFolder.of(path)
        except PalnetError:
            text = _("There is no scan in {folder}: no OBJ, PLY, STL, VTK or VTP file.")
            slicer.util.warningDisplay(text.format(folder=path))
            return
        except OSError as err:
            slicer.util.errorDisplay(describe_error(err))
            return
        if not self._leave():
            return
        qt.QSettings().setValue("PALNet/LastFolder", str(path))
        self._folder, self._refused = folder, set()
        if not self._detection.is_running:
            self._detection.say("")
        self._fill()
        self._ui.scanFolderRow.setVisible(True)
        self._open(0)

    def on_lists_folder(self) -> None:
        """Let the user choose where the landmarks are, and open the current scan again."""
        path = _ask_folder(_("Folder of the landmarks (.mrk.json)"))
        if path is None:
            return
        before = self.opened
        self._turn_to(replace(before, lists_folder=path))  # before lists are saved, perhaps there
        if self._leave():
            self._open(self._row)
        else:
            self._turn_to(before)

    def _turn_to(self, folder: ScanFolder) -> None:
        """Change the folder of the landmarks, also that of the current scan."""
        self._folder = folder
        if self._is_in_scene():
            self._note_lists_folder(self._model)

    def _note_lists_folder(self, model_node: slicer.vtkMRMLModelNode) -> None:
        """Note with the current scan where its landmarks are kept."""
        folder = self.opened.lists_folder
        is_beside = folder == self.opened.scans[self._row].parent
        model_node.SetAttribute(LISTS_FOLDER, None if is_beside else str(folder))

    def _go(self, row: int) -> None:
        """Open another scan of the folder, unless the user wants to stay."""
        if row == self._row and self._is_in_scene():
            self._show_again()
        elif 0 <= row < len(self.opened.scans) and self._leave():
            self._open(row)
        self._show_row()

    def _show_again(self) -> None:
        """Show the current scan, with its landmarks if these could not be opened before."""
        with slicer.util.tryWithErrorDisplay(_("The landmarks could not be opened.")):
            if not find_lists(self._model):
                scan = self.opened.scans[self._row]
                self._load_list(self._model, self.opened.list_path(scan))
            self._select(self._model)

    def _open(self, row: int) -> None:
        """Open a scan of the folder with its landmarks."""
        self._row, self._model = row, None
        self._show_row()
        self._show_lists_folder()
        self._read()
        scan = self.opened.scans[row]
        with slicer.util.tryWithErrorDisplay(_("The scan could not be loaded."), waitCursor=True):
            self._model = find_scan(scan)
            if self._model is None:
                if not may_open(scan):
                    return
                self._model = load_scan(scan)
            self._load_list(self._model, self.opened.list_path(scan))
            self._select(self._model)

    def _load_list(self, model_node: slicer.vtkMRMLModelNode, path: Path) -> None:
        """Load the landmarks of the current scan, if there are any."""
        self._note_lists_folder(model_node)
        try:
            if path.exists():
                load_list(path, model_node)
        except (RuntimeError, ValueError, OSError) as err:
            text = _("The landmarks of this scan could not be opened from {path}.")
            text = text.format(path=path.as_posix())
            slicer.util.errorDisplay(f"{text}\n\n{err}")

    def _leave(self) -> bool:
        """Take the current scan out of the scene; False if the user wants to stay."""
        if not self._is_in_scene():
            return True
        if not all(self._keep(landmarks) for landmarks in unsaved_lists(self._model)):
            return False
        if not _goes_on_without(self._model):
            return False
        model, self._model = self._model, None
        close_scan(model)
        return True

    def _is_in_scene(self) -> bool:
        """Return whether the current scan is in the scene, also if a scene file brought it."""
        if self._model is not None and not slicer.mrmlScene.IsNodePresent(self._model):
            self._model = find_scan(self.opened.scans[self._row])
        return self._model is not None

    def _keep(self, landmarks: LandmarkList) -> bool:
        """Save a list if the user wants to; False if the user wants to stay with it."""
        path = default_path(landmarks, LIST_SUFFIX)
        box = qt.QMessageBox
        answer = slicer.util.messageBox(
            "\n".join(self._question(landmarks, path)),
            windowTitle=_("Save the landmarks?"),
            icon=box.Question,
            standardButtons=box.Save | box.Discard | box.Cancel,
        )
        return _save(landmarks, path) if answer == box.Save else answer == box.Discard

    def _question(self, landmarks: LandmarkList, path: Path) -> list[str]:
        """Ask whether to save a list in a file, and say what to consider."""
        folder, scan = self.opened, self.opened.scans[self._row]
        text = _("The landmarks '{name}' are not saved. Save them as {path}?")
        parts = [text.format(name=landmarks.node.GetName(), path=path.as_posix())]
        if not is_folder(folder.lists_folder):
            parts.append(out_of_reach(folder.lists_folder))
        if path.exists() and lists_saved_in(path) != [landmarks.node]:
            parts.append(_("That file exists and will be replaced."))
        elif is_changed_by_others(landmarks.node):
            parts.append(changed_by_others(path))
        others = [each.name for each in folder.scans if folder.list_path(each) == path]
        if others and scan.name not in others:
            text = _("That is the file of another scan: {scan}.")
            parts.append(text.format(scan=others[0]))
        if codes := landmarks.unreviewed_doubtful:
            text = _("Doubtful landmarks that have not been reviewed ({n_codes}): {codes}.")
            parts.append(text.format(n_codes=len(codes), codes=", ".join(codes)))
        return parts

    def _show_lists_folder(self) -> None:
        """Say where the landmarks are."""
        text = _(
            "Choose the folder of the landmark files (.mrk.json) if they are not beside the scans, "
            "or if that folder is read-only. Now: {folder}"
        )
        folder = self.opened.lists_folder.as_posix()
        self._ui.listsFolderButton.setToolTip(text.format(folder=folder))

    def _fill(self) -> None:
        """List the scans of the folder."""
        self._reading.stop()
        self._ui.scanFileSelector.clear()
        for scan in self.opened.scans:
            self._ui.scanFileSelector.addItem(scan.name)

    def _show_row(self) -> None:
        """Select the current scan, also if the user had chosen another one and stayed."""
        self._ui.scanFileSelector.setCurrentIndex(self._row)
        self._ui.previousScanButton.setEnabled(self._row > 0)
        self._ui.nextScanButton.setEnabled(self._row + 1 < len(self.opened.scans))

    def _read(self) -> None:
        """Read how far the reviews have come, one reading at a time: a drive may be slow."""
        self._is_read_again = self._reading.is_running
        if not self._is_read_again:
            self._reading.watch(BackgroundJob(self.opened.progress))

    def _on_read(self, job: BackgroundJob) -> None:
        """Say for each scan how far its review has come."""
        if job.error is None:
            for row, (scan, progress) in enumerate(job.result.items()):
                self._show_entry(row, scan, progress)
        if self._is_read_again:
            self._read()

    def _show_entry(self, row: int, scan: Path, progress: Progress | None) -> None:
        """Name a scan in the list, and what is left to review."""
        is_refused = scan in self._refused
        self._ui.scanFileSelector.setItemText(row, _entry(scan, progress, is_refused=is_refused))

    def _start_detection(self) -> FolderDetection | None:
        """Detect the landmarks of all scans that have none, if the user agrees."""
        trained_model, use_color = self._how()
        mm_per_unit = chosen_unit_of_file(self._model) if self._is_in_scene() else None
        unit = "auto" if mm_per_unit is None else parse_unit(mm_per_unit).name
        options: dict[str, Any] = {
            "trained_model": trained_model,
            "use_color": use_color,
            "unit": unit,
        }
        scans = self._without_landmarks()
        if not asks_to_detect(self.opened, scans, options):
            return None
        return FolderDetection(self.opened, scans, **options)

    def _without_landmarks(self) -> list[Path]:
        """Return the scans of the folder without landmarks, from the current one on."""
        folder, row = self.opened, self._row
        ordered = [*folder.scans[row:], *folder.scans[:row]]
        if self._is_in_scene() and find_lists(self._model):
            del ordered[0]  # the user is at work on it
        return [scan for scan in ordered if not folder.list_path(scan).exists()]

    def _on_outcome(self, folder: ScanFolder, outcome: Outcome) -> None:
        """Say what came of a scan; if it is the one that is shown, show its landmarks."""
        if folder != self._folder:
            return
        row = folder.scans.index(outcome.scan)
        (self._refused.add if outcome.reason else self._refused.discard)(outcome.scan)
        self._show_entry(row, outcome.scan, outcome.progress)
        if self._reading.is_running:
            self._read()  # what is being read may be from before
        if row == self._row and outcome.progress is not None and self._waits_for_landmarks():
            with slicer.util.tryWithErrorDisplay(_("The landmarks could not be opened.")):
                self._load_list(self._model, folder.list_path(outcome.scan))
                self._select(self._model)

    def _waits_for_landmarks(self) -> bool:
        """Return whether the current scan is shown as its file is, and nobody works on it."""
        is_shown = self._is_in_scene() and self._ui.scanSelector.currentNode() is self._model
        is_busy = not self._ui.scanFolderRow.enabled  # a detection of the scan itself
        return is_shown and not (is_busy or find_lists(self._model) or _is_changed(self._model))


def _save(landmarks: LandmarkList, path: Path) -> bool:
    """Save a list; False if that fails."""
    try:
        save(landmarks, path)
    except OSError as err:
        text = _("The scan stays open. Save landmarks, below, lets you choose another folder.")
        slicer.util.errorDisplay(f"{err}\n\n{text}")
        return False
    return True


def _is_changed(model_node: slicer.vtkMRMLModelNode) -> bool:
    """Return whether a scan is not as its file."""
    return not is_as_its_file(model_node) or model_scale(model_node) != 1.0


def _goes_on_without(model_node: slicer.vtkMRMLModelNode) -> bool:
    """Ask whether to leave a scan that was changed, which its file does not hold."""
    if not _is_changed(model_node):
        return True
    text = _(
        "The scan '{name}' was changed, such as scaled or cut, its file was not. To keep that, "
        "cancel and save the scan (File, Save Data). Otherwise the change is lost, and landmarks "
        "that were placed since may not lie on the scan when it is opened again."
    )
    box = qt.QMessageBox
    answer = slicer.util.messageBox(
        text.format(name=model_node.GetName()),
        windowTitle=_("Leave the scan as its file is?"),
        icon=box.Question,
        standardButtons=box.Discard | box.Cancel,
    )
    return answer == box.Discard


def _ask_folder(title: str) -> Path | None:
    """Let the user choose a folder; None if it is canceled."""
    last = str(slicer.util.settingsValue("PALNet/LastFolder", ""))
    path = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, last)
    return Path(path) if path else None


def _entry(scan: Path, progress: Progress | None, *, is_refused: bool) -> str:
    """Name a scan, and what is left to review."""
    if progress is None:
        return _("{scan}: not detected").format(scan=scan.name) if is_refused else scan.name
    if not progress.is_readable:
        return _("{scan}: landmarks not readable").format(scan=scan.name)
    if not progress.n_open:
        return _("{scan}: reviewed").format(scan=scan.name)
    text = _("{scan}: {n_open} to review")
    if progress.n_doubtful:
        text = _("{scan}: {n_open} to review, {n_doubtful} doubtful")
    return text.format(scan=scan.name, n_open=progress.n_open, n_doubtful=progress.n_doubtful)
