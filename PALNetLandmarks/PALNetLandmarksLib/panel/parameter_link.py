# SPDX-License-Identifier: Apache-2.0
"""Keep the widgets of the panel and the scene's parameter node in sync."""

from __future__ import annotations

import vtk

SELECTORS = ("scan", "landmarks")
# The wrapper caches values until the node reports a change. VTK calls observers of equal priority
# in no reliable order: the first one ever added comes last.
_AFTER_THE_WRAPPER = -1.0


class ParameterLink:
    """Connects the panel to the scene's parameter node, both ways.

    Parameters
    ----------
    widgets : dict
        Widgets by the name of their parameter.
    on_modified : callable
        Called after the node was modified.

    Attributes
    ----------
    node : parameterNodeWrapper or None
        The connected node.
    """

    def __init__(self, widgets, on_modified):
        self.node = None
        self._widgets, self._on_modified = widgets, on_modified
        self._gui_tag = self._tag = None
        for name in SELECTORS:
            # With two nodes of the same name, Qt 6 reports no change to Slicer's connection.
            widgets[name].connect(
                "nodeActivated(vtkMRMLNode*)", lambda node, name=name: self._choose(name, node)
            )

    def turn_to(self, node):
        """Connect a node, or none; the same node again only after a `pause`.

        Parameters
        ----------
        node : parameterNodeWrapper or None
            Another wrapper of the same MRML node is ignored: Slicer 5.10 never releases a wrapper
            that was once connected.
        """
        is_same = (
            node is not None
            and self.node is not None
            and node.parameterNode is self.node.parameterNode
        )
        if not is_same:
            self.pause()
            if self.node is not None:
                self.node.parameterNode.RemoveObserver(self._tag)
            self.node = node
            if node is not None:
                self._tag = node.parameterNode.AddObserver(
                    vtk.vtkCommand.ModifiedEvent, self._on_modified, _AFTER_THE_WRAPPER
                )
        if self.node is not None and self._gui_tag is None:
            # Not connectGui: it returns no tag (Slicer issue 7547), so connections would
            # accumulate.
            self._gui_tag = self.node.connectParametersToGui(self._widgets)

    def pause(self):
        """Disconnect the widgets: what selectors do on their own meanwhile is no user's choice."""
        if self._gui_tag is not None:
            self.node.disconnectGui(self._gui_tag)
        self._gui_tag = None

    def let_go_of(self, node):
        """Deselect a scan or list that is about to be removed from the scene.

        Otherwise its selector switches to the next node once this one is gone, perhaps of another
        patient.
        """
        for name in SELECTORS if self.node is not None and node is not None else ():
            if getattr(self.node, name) is node:
                setattr(self.node, name, None)

    def _choose(self, name, node):
        if self.node is not None and getattr(self.node, name) is not node:
            setattr(self.node, name, node)
