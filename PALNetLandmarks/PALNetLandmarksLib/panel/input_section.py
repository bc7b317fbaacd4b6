# SPDX-License-Identifier: Apache-2.0
"""Choosing a scan, and saying what was found in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from palnet.errors import PalnetError
from palnet.surface import MESH_SUFFIXES
from PALNetLandmarksLib.job import BackgroundJob
from PALNetLandmarksLib.linking import find_lists
from PALNetLandmarksLib.models import (
    inspect_mesh,
    likely_unit,
    mesh_from_model,
    model_scale,
    scale_model,
    size_mm,
    state_of_model,
    world_matrix,
)
from PALNetLandmarksLib.panel.poller import Poller

EXAMPLE_NAME = "PALNet example face"
_SKIN_COLOR = (0.80, 0.77, 0.74)


class InputSection:
    """The section "Scan".

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    select : callable
        Called with a model that was opened here, so that the panel turns to it.
    """

    def __init__(self, ui, select):
        self._ui, self._select = ui, select
        self._model, self._unit, self._shown = None, None, None
        self._summary = ""
        self._inspection = Poller(self._on_inspected)
        ui.openButton.clicked.connect(self.on_open)
        ui.exampleButton.clicked.connect(self.on_example)
        ui.scaleButton.clicked.connect(self.on_scale)
        ui.unscaleButton.clicked.connect(self.on_unscale)

    def show(self, model_node):
        """Turn to a scan.

        Parameters
        ----------
        model_node : vtkMRMLModelNode or None
            The scan.
        """
        state = None if model_node is None else (model_node, state_of_model(model_node))
        if state is not None and state == self._shown:
            return
        self._inspection.stop()
        self._model, self._unit, self._shown = model_node, None, state
        if model_node is None:
            self._say(_("Open a face scan, or choose a model of the scene."))
            return
        try:
            mesh = mesh_from_model(model_node)
            self._unit = likely_unit(mesh)
        except PalnetError as err:
            self._say(str(err))
            return
        width, depth, height = size_mm(mesh, self._unit)
        self._summary = _(
            "{n_points} points, {width:.0f} x {depth:.0f} x {height:.0f} mm; unit: {unit}."
        ).format(
            n_points=len(mesh.points),
            width=width,
            depth=depth,
            height=height,
            unit=self._unit.name,
        )
        self._say(self._summary)
        self._inspection.watch(BackgroundJob(inspect_mesh, mesh))

    def stop(self):
        """Give up what runs in the background."""
        self._inspection.stop()

    def on_open(self):
        """Let the user choose a file and load it."""
        patterns = " ".join(f"*{suffix}" for suffix in MESH_SUFFIXES)
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(),
            _("Open face scan"),
            str(slicer.util.settingsValue("PALNet/LastFolder", "")),
            _("Face scans") + f" ({patterns})",
        )
        if not path:
            return
        with slicer.util.tryWithErrorDisplay(_("The scan could not be loaded."), waitCursor=True):
            qt.QSettings().setValue("PALNet/LastFolder", str(Path(path).parent))
            self._select(slicer.util.loadModel(path))

    def on_example(self):
        """Load the face that comes with the module."""
        with slicer.util.tryWithErrorDisplay(_("The example is not there."), waitCursor=True):
            self._select(load_example())

    def on_scale(self):
        """Bring the model, and landmarks that lie on it, to millimeters."""
        self._scale(self._unit.mm_per_unit)

    def on_unscale(self):
        """Give the model the numbers of its file again."""
        self._scale(1.0 / model_scale(self._model))

    def _scale(self, factor):
        if self._shown != (self._model, state_of_model(self._model)):
            self.show(self._model)  # it was changed elsewhere: what was offered no longer holds
            return
        with slicer.util.tryWithErrorDisplay(_("The model could not be scaled."), waitCursor=True):
            lists, to_world = find_lists(self._model), world_matrix(self._model)
            scale_model(self._model, factor)
            scaling = np.diag([factor, factor, factor, 1.0])
            for landmarks in lists:
                landmarks.carry(to_world @ scaling @ np.linalg.inv(to_world))
            self._select(self._model)

    def _say(self, text):
        """Show a text, and the buttons that make sense with it."""
        self._ui.scanInfoLabel.setText(text)
        is_millimeters = self._unit is None or self._unit.mm_per_unit == 1.0
        self._ui.scaleButton.setVisible(not is_millimeters)
        self._ui.unscaleButton.setVisible(
            self._model is not None and model_scale(self._model) != 1.0
        )

    def _on_inspected(self, job):
        if job.error is not None:
            self._say(f"{self._summary}\n{job.error}")
            return
        lines = [f"\N{BULLET} {finding.message}" for finding in job.result]
        self._say("\n".join([self._summary, *lines]))


def load_example():
    """Load the bundled generated face.

    Returns
    -------
    vtkMRMLModelNode
        The model.
    """
    import palnet

    path = Path(palnet.__file__).parent / "samples" / "example.ply"
    model = slicer.util.loadModel(str(path))
    model.SetName(slicer.mrmlScene.GenerateUniqueName(EXAMPLE_NAME))
    model.GetDisplayNode().SetColor(*_SKIN_COLOR)
    return model
