# SPDX-License-Identifier: Apache-2.0
"""The check box "Show color"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from PALNetLandmarksLib.color_display import can_show_color, hide_color, show_color
from PALNetLandmarksLib.job import BackgroundJob
from PALNetLandmarksLib.model_colors import reader_of_color
from PALNetLandmarksLib.panel.poller import Poller

if TYPE_CHECKING:
    import qt

    from palnet.surface import Mesh
    from PALNetLandmarksLib.model_colors import ReadColor

# The user does not wait for the color, which of a large scan takes some seconds.
_SLICE_S = 0.01


class ScanColor:
    """Reads the color of the selected scan in the background, and shows it.

    Parameters
    ----------
    box : QCheckBox
        Whether to show it; visible only if there is color that Slicer does not show by itself.
    """

    def __init__(self, box: qt.QCheckBox) -> None:
        self._box = box
        self._model: slicer.vtkMRMLModelNode | None = None
        self._tag: int | None = None
        self._key: tuple[int, ...] | None = None
        self._color: ReadColor | None = None
        self._reading = Poller(self._on_read, slice_s=_SLICE_S)
        box.setVisible(False)
        box.toggled.connect(self.refresh)

    @property
    def is_reading(self) -> bool:
        """Whether the color is being read."""
        return self._reading.is_running

    def show(self, model_node: slicer.vtkMRMLModelNode | None, mesh: Mesh | None) -> None:
        """Show the color of a scan.

        Parameters
        ----------
        model_node : vtkMRMLModelNode or None
            The scan.
        mesh : Mesh or None
            Its surface.
        """
        if model_node is None or mesh is None:
            self.stop()
            self._box.setVisible(False)
            return
        key = _vertices_of(model_node)
        if model_node is self._model and key == self._key:
            self.refresh()
            return
        self.stop()
        self._box.setVisible(False)
        self._model, self._key = model_node, key
        self._tag = model_node.AddObserver(
            slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent, self.refresh
        )
        read = reader_of_color(model_node, mesh)
        if read is None:
            self.refresh()
        else:
            self._reading.watch(BackgroundJob(read))

    def refresh(self, *_args: object) -> None:
        """Follow the check box, and what the user or another module shows on the scan."""
        if self._model is None or self.is_reading or _vertices_of(self._model) != self._key:
            return
        is_offered = bool(self._color) and can_show_color(self._model)
        self._box.setVisible(is_offered)
        if self._color and is_offered and self._box.checked:
            show_color(self._model, self._color)
        else:
            hide_color(self._model)

    def stop(self) -> None:
        """Leave the scan as it is shown; the widget may be gone."""
        self._reading.stop()
        if self._model is not None:
            self._model.RemoveObserver(self._tag)
        self._model, self._tag, self._key, self._color = None, None, None, None

    def _on_read(self, job: BackgroundJob) -> None:
        self._color = job.result
        self.refresh()


def _vertices_of(model_node: slicer.vtkMRMLModelNode) -> tuple[int, ...]:
    """Return a key of the vertices; their places do not matter to the color."""
    poly = model_node.GetPolyData()
    if poly is None:
        return ()
    return poly.GetNumberOfPoints(), poly.GetPolys().GetMTime(), poly.GetStrips().GetMTime()
