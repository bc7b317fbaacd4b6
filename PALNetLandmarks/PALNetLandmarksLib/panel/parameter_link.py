# SPDX-License-Identifier: Apache-2.0
"""Keep the widgets of the panel and the scene's parameter node in sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import vtk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import qt
    import slicer

SELECTORS = ("scan", "landmarks")
# The wrapper caches values until the node reports a change. VTK calls observers of equal priority
# in no reliable order: the first one ever added comes last.
_AFTER_THE_WRAPPER = -1.0


class ParameterNode(Protocol):
    """The module's parameters, as Slicer wraps the node that holds them."""

    parameterNode: slicer.vtkMRMLScriptedModuleNode
    scan: slicer.vtkMRMLModelNode | None
    landmarks: slicer.vtkMRMLMarkupsFiducialNode | None
    useColor: bool
    trainedModel: str
    trainedModelHash: str

    def connectParametersToGui(self, mapping: Mapping[str, qt.QWidget]) -> int:
        """Keep parameters and widgets in sync until `disconnectGui` gets the returned tag."""

    def disconnectGui(self, tag: int) -> None:
        """Release the widgets."""


class ParameterLink:
    """Connects the panel to the scene's parameter node, both ways.

    Parameters
    ----------
    widgets : dict of str to QWidget
        Widgets by the name of their parameter.
    on_modified : callable
        Called after the node was modified.

    Attributes
    ----------
    node : ParameterNode or None
        The connected node.
    """

    def __init__(self, widgets: Mapping[str, qt.QWidget], on_modified: Callable[..., None]) -> None:
        self.node: ParameterNode | None = None
        self._widgets, self._on_modified = widgets, on_modified
        self._gui_tag: int | None = None
        self._tag: int | None = None
        for name in SELECTORS:
            # With two nodes of the same name, Qt 6 reports no change to Slicer's connection.
            widgets[name].connect(
                "nodeActivated(vtkMRMLNode*)", lambda node, name=name: self._choose(name, node)
            )

    def turn_to(self, node: ParameterNode | None) -> None:
        """Connect a node, or none; the same node again only after a `pause`.

        Parameters
        ----------
        node : ParameterNode or None
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

    def pause(self) -> None:
        """Disconnect the widgets: what selectors do on their own meanwhile is no user's choice."""
        if self.node is not None and self._gui_tag is not None:
            self.node.disconnectGui(self._gui_tag)
        self._gui_tag = None

    def let_go_of(self, node: slicer.vtkMRMLNode | None) -> None:
        """Deselect a scan or list that is about to be removed from the scene.

        Otherwise its selector switches to the next node once this one is gone, perhaps of another
        patient.
        """
        for name in SELECTORS if self.node is not None and node is not None else ():
            if getattr(self.node, name) is node:
                setattr(self.node, name, None)

    def _choose(self, name: str, node: slicer.vtkMRMLNode | None) -> None:
        if self.node is not None and getattr(self.node, name) is not node:
            setattr(self.node, name, node)
