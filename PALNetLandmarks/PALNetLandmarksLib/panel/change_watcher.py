# SPDX-License-Identifier: Apache-2.0
"""Noticing that what the panel shows was moved or changed in another module."""

from __future__ import annotations

import qt
import slicer
import vtk

# A transform that is dragged changes many times a second; what follows it reads the whole scan.
_QUIET_MS = 200


class ChangeWatcher:
    """Watches a scan and a list, and says once it is quiet that something has changed.

    Parameters
    ----------
    on_change : callable
        Called then.
    """

    def __init__(self, on_change):
        self._observers, self._nodes = [], ()
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_QUIET_MS)
        self._timer.timeout.connect(on_change)

    def follow(self, model_node, list_node):
        """Watch these from now on.

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
        said = vtk.vtkCommand.ModifiedEvent  # as when a script chooses the unit
        of_model = [(model_node, event) for event in (moved, changed, said)]
        self._observers = [
            (node, node.AddObserver(event, self._on_event))
            for node, event in (*of_model, (list_node, moved))
            if node is not None
        ]

    def stop(self):
        """Watch nothing."""
        self._timer.stop()
        for node, tag in self._observers:
            node.RemoveObserver(tag)
        self._observers, self._nodes = [], ()

    def _on_event(self, *_args):
        self._timer.start()
