# SPDX-License-Identifier: Apache-2.0
"""Save the landmarks, and export them to other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from palnet.errors import PalnetError
from palnet.exchange import FORMATS, get_format, sidecar_path
from palnet.landmarks import FRAMES
from PALNetLandmarksLib.file_changes import is_changed_by_others
from PALNetLandmarksLib.folder_export import (
    check_specimens,
    doubtful_specimens,
    export_specimens,
    proposed_path,
    read_folder,
)
from PALNetLandmarksLib.panel.doubtful_question import (
    goes_on_with_doubtful,
    goes_on_with_doubtful_scans,
)
from PALNetLandmarksLib.panel.file_dialogs import ask_save_path, changed_by_others, may_replace
from PALNetLandmarksLib.save_export import (
    check_format,
    default_path,
    export,
    export_path,
    is_saved_in,
    remarks_on_saved,
    save,
)
from PALNetLandmarksLib.saved_lists import LIST_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from palnet.landmarks import Frame, Space
    from PALNetLandmarksLib.panel.scan_folder_row import ScanFolderRow
    from PALNetLandmarksLib.review import Review


class SaveExportSection:
    """The section "Save and export".

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    scan_folder : ScanFolderRow
        The folder that is open.
    """

    def __init__(self, ui: Any, scan_folder: ScanFolderRow) -> None:
        self._ui, self._scan_folder = ui, scan_folder
        self._review: Review | None = None
        for entry in FORMATS.values():
            ui.formatSelector.addItem(f"{entry.title} ({entry.suffix})", entry.name)
        for frame, text in zip(FRAMES, _frame_texts(), strict=True):
            ui.frameSelector.addItem(text, frame)
        for selector, key in ((ui.formatSelector, "Format"), (ui.frameSelector, "Frame")):
            known = selector.findData(slicer.util.settingsValue(f"PALNet/{key}", ""))
            selector.setCurrentIndex(max(known, 0))
        ui.saveButton.clicked.connect(self.on_save)
        ui.exportButton.clicked.connect(self.on_export)
        ui.exportFolderButton.clicked.connect(self.on_export_folder)
        self.show(None)

    @property
    def _shown(self) -> Review:
        """The review of the list; without one nothing can be saved or exported."""
        if self._review is None:
            msg = "There is no list to save or export."
            raise ValueError(msg)
        return self._review

    def show(self, review: Review | None) -> None:
        """Show a list.

        Parameters
        ----------
        review : Review or None
            The review of the list.
        """
        self._review = review
        self.refresh()

    def refresh(self) -> None:
        """Enable what can be done with the list in its current state, and say nothing of before."""
        self._ui.saveExportLabel.setText("")
        has_any = self._review is not None and bool(
            self._review.landmarks.landmark_set().is_placed.any()
        )
        self._ui.saveButton.setEnabled(has_any)
        self._ui.exportButton.setEnabled(has_any)
        self._ui.exportFolderButton.setVisible(self._scan_folder.folder is not None)

    def on_save(self) -> None:
        """Save the point list."""
        review = self._shown  # a detection may end and show another one during a dialog
        self._ui.saveExportLabel.setText("")  # it is about the previous save or export
        if not goes_on_with_doubtful(review):
            return
        with slicer.util.tryWithErrorDisplay(_("The landmarks could not be saved.")):
            proposed = default_path(review.landmarks, LIST_SUFFIX)
            path = self._ask(_("Save landmarks"), proposed, LIST_SUFFIX)
            if path is not None and _goes_on_with_changed(review.landmarks.node, path):
                save(review.landmarks, path)
                self._scan_folder.refresh()
                self._say_written([path], remarks_on_saved(review.landmarks))

    def on_export(self) -> None:
        """Export the landmarks for another program."""
        review = self._shown
        self._ui.saveExportLabel.setText("")  # it is about the previous save or export
        if not goes_on_with_doubtful(review):
            return
        name, frame = self._chosen()
        with slicer.util.tryWithErrorDisplay(_("The landmarks could not be exported.")):
            try:
                check_format(review.landmarks, name)
                suffix = get_format(name).suffix
                proposed = export_path(review.landmarks, suffix)
                path = self._ask(_("Export landmarks"), proposed, suffix)
                if path is None:
                    return
                # The dialog has already asked about replacing an existing file.
                paths, remarks = export(review.landmarks, path, name, frame, overwrite=True)
            except (PalnetError, ValueError) as err:
                self._ui.saveExportLabel.setText(str(err))
                return
            qt.QSettings().setValue("PALNet/Format", name)
            qt.QSettings().setValue("PALNet/Frame", frame)
            self._say_written(paths, remarks)

    def on_export_folder(self) -> None:
        """Export the saved landmarks of all scans of the folder into one file."""
        label, folder = self._ui.saveExportLabel, self._scan_folder.opened
        label.setText("")
        if self._scan_folder.is_unsaved:
            label.setText(_("The landmarks of the current scan are not saved: save them first."))
            return
        name, frame = self._chosen()
        with slicer.util.tryWithErrorDisplay(_("The landmarks could not be exported.")):
            try:
                with slicer.util.WaitCursor():  # a drive may be slow
                    saved, left_out = read_folder(folder)
                specimens = list(saved.values())
                check_specimens(specimens, name)
                suffix = get_format(name).suffix
                proposed = proposed_path(folder, suffix)
                if not goes_on_with_doubtful_scans(doubtful_specimens(specimens)):
                    return
                path = self._ask(_("Export the landmarks of the folder"), proposed, suffix)
                if path is None:
                    return
                axes: Space = "LPS" if frame == "file" else frame
                paths, remarks = export_specimens(specimens, path, name, axes)
            except (PalnetError, ValueError) as err:
                label.setText(str(err))
                return
            qt.QSettings().setValue("PALNet/Format", name)
            text = _("Scans: {n_scans}, in millimeters, axes {frame}.")
            remarks.insert(0, text.format(n_scans=len(specimens), frame=axes))
            self._say_written(paths, [*remarks, *left_out])

    def _chosen(self) -> tuple[str, Frame]:
        """Return format and frame that the user chose."""
        formats, frames = self._ui.formatSelector, self._ui.frameSelector
        return formats.itemData(formats.currentIndex), frames.itemData(frames.currentIndex)

    def _ask(self, title: str, proposed: Path, suffix: str) -> Path | None:
        """Ask for a path, and about the file that belongs to a new one."""
        path = ask_save_path(title, proposed, suffix)
        if path is None or path.exists() or not sidecar_path(path).exists():
            return path
        return path if may_replace(sidecar_path(path)) else None

    def _say_written(self, paths: Iterable[Path], remarks: Iterable[str] = ()) -> None:
        # With slashes, as Slicer shows paths; labels do not wrap at backslashes.
        written = [_("Written: {path}").format(path=path.as_posix()) for path in paths]
        self._ui.saveExportLabel.setText("\n".join([*written, *remarks]))


def _goes_on_with_changed(node: slicer.vtkMRMLMarkupsFiducialNode, path: Path) -> bool:
    """Ask whether to replace the file of a list if others have changed it."""
    if not (is_saved_in(node, path) and is_changed_by_others(node)):
        return True
    question = _("Replace it all the same?")
    return slicer.util.confirmYesNoDisplay(f"{changed_by_others(path)}\n{question}")


def _frame_texts() -> tuple[str, ...]:
    return (_("Same as the model's file"), _("LPS, millimeters"), _("RAS, millimeters"))
