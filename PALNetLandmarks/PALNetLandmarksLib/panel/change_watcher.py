# SPDX-License-Identifier: Apache-2.0
"""Detect that the panel's scan or list was changed in another module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt
import slicer
import vtk

if TYPE_CHECKING:
    from collections.abc import Callable

# A dragged transform changes many times a second, and the response to it reads the whole scan.
_QUIET_MS = 200


class ChangeWatcher:
    """Watch a scan and a list, and report changes once no more follow.

    Parameters
    ----------
    on_change : callable
        Called once changes have ceased.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._observers: list[tuple[slicer.vtkMRMLNode, int]] = []
        self._nodes: tuple[slicer.vtkMRMLNode | None, ...] = ()
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_QUIET_MS)
        self._timer.timeout.connect(on_change)

    def follow(
        self,
        model_node: slicer.vtkMRMLModelNode | None,
        list_node: slicer.vtkMRMLMarkupsFiducialNode | None,
    ) -> None:
        """Watch this scan and list from now on.

        Parameters
        ----------
        model_node : vtkMRMLModelNode or None
            The scan.
        list_node : vtkMRMLMarkupsFiducialNode or None
            The list.
        """
        if (model_node, list_node) == self._nodes:
            return
        self.stop()
        self._nodes = (model_node, list_node)
        moved = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        changed = slicer.vtkMRMLModelNode.PolyDataModifiedEvent
        said = vtk.vtkCommand.ModifiedEvent  # for example when a script sets the unit
        of_model = [(model_node, event) for event in (moved, changed, said)]
        self._observers = [
            (node, node.AddObserver(event, self._on_event))
            for node, event in (*of_model, (list_node, moved))
            if node is not None
        ]

    def stop(self) -> None:
        """Stop watching."""
        self._timer.stop()
        for node, tag in self._observers:
            node.RemoveObserver(tag)
        self._observers, self._nodes = [], ()

    def _on_event(self, *_args: object) -> None:
        self._timer.start()
