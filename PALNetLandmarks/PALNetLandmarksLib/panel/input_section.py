# SPDX-License-Identifier: Apache-2.0
"""Select a scan and describe it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from palnet.errors import PalnetError
from palnet.samples import example_scan
from palnet.surface import MESH_SUFFIXES, MINOR_FINDINGS, UNIT_NAMES
from PALNetLandmarksLib.job import BackgroundJob
from PALNetLandmarksLib.linking import find_lists, linked_lists
from PALNetLandmarksLib.model_scaling import model_scale, scale_model
from PALNetLandmarksLib.models import (
    inspect_mesh,
    mesh_from_model,
    size_mm,
    state_of_model,
    world_matrix,
)
from PALNetLandmarksLib.panel.file_dialogs import may_open
from PALNetLandmarksLib.panel.poller import Poller
from PALNetLandmarksLib.panel.scan_color import ScanColor
from PALNetLandmarksLib.panel.scan_folder_row import ScanFolderRow
from PALNetLandmarksLib.scan_unit import (
    BY_SIZE,
    CHOSEN,
    choose_unit,
    chosen_unit,
    find_unit,
    has_lists_in_other_unit,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from palnet.surface import Mesh, Unit
    from PALNetLandmarksLib.scan_unit import ScanUnit

    _Offered = tuple[slicer.vtkMRMLModelNode, tuple[object, ...], Unit | None]
    _Units = list[tuple[float, bool]]

EXAMPLE_NAME = "PALNet example face"


class InputSection:
    """The section "Scan".

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    select : callable
        Called with a model that was opened here, to select it.
    on_unit_chosen : callable
        Called when the user has set the unit of the scan.
    how : callable
        Returns the trained model for the next detection, and whether it uses color.
    """

    def __init__(
        self,
        ui: Any,
        select: Callable[[slicer.vtkMRMLModelNode], None],
        on_unit_chosen: Callable[[], None],
        how: Callable[[], tuple[str, bool]],
    ) -> None:
        self._ui, self._select, self._on_unit_chosen = ui, select, on_unit_chosen
        self._model: slicer.vtkMRMLModelNode | None = None
        self._unit: Unit | None = None
        self._shown: tuple[_Offered, _Units] | None = None
        self._inspected: tuple[slicer.vtkMRMLModelNode, tuple[object, ...], Unit] | None = None
        self._findings: list[str] = []
        self._minor: list[str] = []
        self._summary = ""
        self._inspection = Poller(self._on_inspected)
        self.color = ScanColor(ui.colorCheckBox)
        self.folder = ScanFolderRow(ui, select, how)
        for name in ("", *UNIT_NAMES):
            ui.unitSelector.addItem(_unit_text(name), name)
        ui.unitSelector.connect("activated(int)", self.on_unit)
        ui.openButton.clicked.connect(self.on_open)
        ui.exampleButton.clicked.connect(self.on_example)
        ui.scaleButton.clicked.connect(self.on_scale)
        ui.unscaleButton.clicked.connect(self.on_unscale)

    def show(self, model_node: slicer.vtkMRMLModelNode | None) -> None:
        """Show a scan.

        Parameters
        ----------
        model_node : vtkMRMLModelNode or None
            The scan.
        """
        state = None if model_node is None else (_offered(model_node), _units(model_node))
        if state is not None and self._is_told_by(state):
            self._shown = state
            self.color.refresh()
            return
        self._model, self._unit, self._shown = model_node, None, state
        self._show_choice()
        if model_node is None:
            self.stop()
            self.color.show(None, None)
            self._say(_("Open a face scan, or choose a model of the scene."))
            return
        try:
            mesh = mesh_from_model(model_node)
            found = find_unit(model_node, mesh)
        except PalnetError as err:
            self.stop()
            self.color.show(None, None)
            self._say(str(err))
            return
        self.color.show(model_node, mesh)
        self._unit = found.unit
        self._summary = _summary(model_node, mesh, found)
        surface = (model_node, state_of_model(model_node), found.unit)
        if surface != self._inspected:  # otherwise only the source of the unit changed
            self._inspected, self._findings, self._minor = surface, [], []
            self._inspection.watch(BackgroundJob(inspect_mesh, mesh, found.unit))
        self._say_all()

    def stop(self) -> None:
        """Stop work in the background."""
        self._inspection.stop()
        self.color.stop()
        self._inspected = None

    def on_open(self) -> None:
        """Let the user choose a file, and load it."""
        patterns = " ".join(f"*{suffix}" for suffix in MESH_SUFFIXES)
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(),
            _("Open face scan"),
            str(slicer.util.settingsValue("PALNet/LastFolder", "")),
            _("Face scans") + f" ({patterns})",
        )
        if not path or not may_open(Path(path)):
            return
        with slicer.util.tryWithErrorDisplay(_("The scan could not be loaded."), waitCursor=True):
            qt.QSettings().setValue("PALNet/LastFolder", str(Path(path).parent))
            self._select(slicer.util.loadModel(path))

    def on_example(self) -> None:
        """Load the example face that comes with the module."""
        with slicer.util.tryWithErrorDisplay(_("The example is not there."), waitCursor=True):
            self._select(load_example())

    def on_unit(self, *_args: object) -> None:
        """Apply the unit that the user chose."""
        name = self._ui.unitSelector.itemData(self._ui.unitSelector.currentIndex)
        if self._is_stale():
            self.show(self._model)
            self._say(_("The scan was changed meanwhile: look at its size and choose again."))
            return
        with slicer.util.tryWithErrorDisplay(_("The unit could not be chosen."), waitCursor=True):
            choose_unit(self._model, name)
            self._on_unit_chosen()

    def on_scale(self) -> None:
        """Scale the model, and the landmarks that lie on it, to millimeters."""
        if self._unit is not None:
            self._scale(self._unit.mm_per_unit)

    def on_unscale(self) -> None:
        """Restore the model's numbers as in its file."""
        self._scale(1.0 / model_scale(self._model))

    def _scale(self, factor: float) -> None:
        if self._is_stale():
            self.show(self._model)
            return
        with slicer.util.tryWithErrorDisplay(_("The model could not be scaled."), waitCursor=True):
            lists, to_world = find_lists(self._model), world_matrix(self._model)
            scale_model(self._model, factor)
            scaling = np.diag([factor, factor, factor, 1.0])
            for landmarks in lists:
                landmarks.carry(to_world @ scaling @ np.linalg.inv(to_world))
            self._select(self._model)

    def _is_told_by(self, state: tuple[_Offered, _Units]) -> bool:
        """Return whether the display is valid for a state too; reading a large scan takes time."""
        if self._shown is None or state[0] != self._shown[0]:
            return False
        are_usual = {unit for units in (state[1], self._shown[1]) for unit, _is_hand in units}
        is_usual = self._unit is not None and are_usual <= {1.0} and self._unit.mm_per_unit == 1.0
        return is_usual or state == self._shown

    def _is_stale(self) -> bool:
        """Return whether the scan was changed elsewhere, which makes the offered scaling stale."""
        return self._shown is None or self._shown[0] != _offered(self._model)

    def _show_choice(self) -> None:
        """Show the chosen unit; one without a name appears in the text below only."""
        chosen = None if self._model is None else chosen_unit(self._model)
        index = self._ui.unitSelector.findData("" if chosen is None else chosen.name)
        self._ui.unitSelector.setCurrentIndex(index)
        self._ui.unitSelector.setEnabled(self._model is not None)

    def _say(self, text: str) -> None:
        """Show a message, and the buttons that apply to it."""
        self._ui.scanInfoLabel.setText(text)
        self._ui.scanInfoLabel.setToolTip("")
        is_millimeters = self._unit is None or self._unit.mm_per_unit == 1.0
        self._ui.scaleButton.setVisible(not is_millimeters)
        self._ui.unscaleButton.setVisible(
            self._model is not None and model_scale(self._model) != 1.0
        )

    def _on_inspected(self, job: BackgroundJob) -> None:
        if job.error is not None:
            self._findings = [str(job.error)]
        else:
            self._findings = [
                each.message for each in job.result if each.code not in MINOR_FINDINGS
            ]
            self._minor = [each.message for each in job.result if each.code in MINOR_FINDINGS]
        self._say_all()

    def _say_all(self) -> None:
        """Show what is known of the scan; minor faults in the tool tip."""
        told = list(self._findings)
        if self._minor:
            text = _("Minor faults of the mesh: {n_faults} (rest the mouse here to read them).")
            told.append(text.format(n_faults=len(self._minor)))
        self._say("\n".join([self._summary, *(f"\N{BULLET} {each}" for each in told)]))
        self._ui.scanInfoLabel.setToolTip("\n".join(self._minor))


def _offered(model_node: slicer.vtkMRMLModelNode) -> _Offered:
    """Return a key of the state for which a scaling is offered."""
    return model_node, state_of_model(model_node), chosen_unit(model_node)


def _units(model_node: slicer.vtkMRMLModelNode) -> _Units:
    """Return a key of the units stated by the lists of a model."""
    lists = linked_lists(model_node)
    return [(landmarks.mm_per_world_unit, landmarks.detected is None) for landmarks in lists]


def _summary(model_node: slicer.vtkMRMLModelNode, mesh: Mesh, found: ScanUnit) -> str:
    """Describe the size of a scan, its unit, and the source of the unit."""
    width, depth, height = size_mm(mesh, found.unit)
    text = _(
        "{n_points} points, {width:.0f} x {depth:.0f} x {height:.0f} mm; unit: {unit}{source}."
    ).format(
        n_points=len(mesh.points),
        width=width,
        depth=depth,
        height=height,
        unit=found.unit.name,
        source=_source_text(found),
    )
    if found.others:
        text += " " + _("By its size it may be {others} as well: choose the unit.").format(
            others=", ".join(found.others)
        )
    if has_lists_in_other_unit(model_node, found.unit):
        text += " " + _("Landmarks on it are in another unit: detect again, or choose their unit.")
    return text


def _source_text(found: ScanUnit) -> str:
    if found.source == CHOSEN:
        return _(", chosen")
    if found.unit.mm_per_unit == 1.0 or found.others:
        return ""  # Slicer assumes millimeters; of several units the next sentence says so
    return _(", by its size") if found.source == BY_SIZE else _(", from its landmarks")


def _unit_text(name: str) -> str:
    return {
        "": _("Automatic"),
        "um": _("Micrometers"),
        "mm": _("Millimeters"),
        "cm": _("Centimeters"),
        "m": _("Meters"),
        "in": _("Inches"),
    }[name]


def load_example() -> slicer.vtkMRMLModelNode:
    """Load the bundled synthetic face.

    Returns
    -------
    vtkMRMLModelNode
        The model.
    """
    model = slicer.util.loadModel(str(example_scan()))
    model.SetName(slicer.mrmlScene.GenerateUniqueName(EXAMPLE_NAME))
    return model
