# SPDX-License-Identifier: Apache-2.0
"""The widgets of the panel and the parameter node of the scene say the same."""

from __future__ import annotations

import vtk

SELECTORS = ("scan", "landmarks")
# The wrapper keeps values until the node tells it of a change. VTK tells observers of one priority
# in no order to rely on: the first one ever added comes last.
_AFTER_THE_WRAPPER = -1.0


class ParameterLink:
    """Connects the panel with the parameter node of the scene, both ways.

    Parameters
    ----------
    widgets : dict
        A widget for each parameter that one shows.
    on_modified : callable
        Called after the node was modified.

    Attributes
    ----------
    node : parameterNodeWrapper or None
        The node that is connected now.
    """

    def __init__(self, widgets, on_modified):
        self.node = None
        self._widgets, self._on_modified = widgets, on_modified
        self._gui_tag = self._tag = None
        for name in SELECTORS:
            # Of two nodes of one name Qt 6 tells the connection of Slicer no change.
            widgets[name].connect(
                "nodeActivated(vtkMRMLNode*)", lambda node, name=name: self._choose(name, node)
            )

    def turn_to(self, node):
        """Connect this node, or none; the same one again only after a `pause`.

        Parameters
        ----------
        node : parameterNodeWrapper or None
            Another wrapper of the same MRML node is not taken: Slicer 5.10 lets none go that was
            ever connected.
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
            # Not connectGui: it tells no tag (Slicer issue 7547), and each connection would stay.
            self._gui_tag = self.node.connectParametersToGui(self._widgets)

    def pause(self):
        """Let the widgets go their own way: what selectors do meanwhile is nobody's choice."""
        if self._gui_tag is not None:
            self.node.disconnectGui(self._gui_tag)
        self._gui_tag = None

    def let_go_of(self, node):
        """Select a scan or list no longer that is about to be removed from the scene.

        Its selector turns to the next one by itself once the node is gone, perhaps of another
        patient.
        """
        for name in SELECTORS if self.node is not None and node is not None else ():
            if getattr(self.node, name) is node:
                setattr(self.node, name, None)

    def _choose(self, name, node):
        if self.node is not None and getattr(self.node, name) is not node:
            setattr(self.node, name, node)
