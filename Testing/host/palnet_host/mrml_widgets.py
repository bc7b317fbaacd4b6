# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for Slicer's MRML widgets."""

from __future__ import annotations

from typing import ClassVar

import slicer
import vtk
from PySide6.QtCore import Property, QObject, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

from palnet_host.ctk import ctkCollapsibleButton
from palnet_host.pythonqt import stand_in

__all__ = ["qMRMLCollapsibleButton", "qMRMLNodeComboBox", "qMRMLWidget", "qSlicerWidget"]


class SceneWidget:
    """Base class with a scene, and a signal when it changes."""

    _scene: slicer.vtkMRMLScene | None = None

    def mrmlScene(self):
        """Return the scene that the widget shows, or None."""
        return self._scene

    def setMRMLScene(self, scene) -> None:
        """Show a scene; None shows nothing."""
        if scene is self._scene:
            return
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


_SCENE_SIGNATURES = {
    "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged",
    "setMRMLScene(vtkMRMLScene*)": "setMRMLScene",
}


@stand_in
class qMRMLWidget(SceneWidget, QWidget):
    """A widget that passes its scene to its children, by the connections in its .ui file."""

    mrmlSceneChanged = Signal(object)
    _signatures: ClassVar = _SCENE_SIGNATURES


@stand_in
class qSlicerWidget(SceneWidget, QWidget):
    """As `qMRMLWidget`."""

    mrmlSceneChanged = Signal(object)
    _signatures: ClassVar = _SCENE_SIGNATURES


@stand_in
class qMRMLCollapsibleButton(SceneWidget, ctkCollapsibleButton):
    """A collapsible button that passes its scene on."""

    mrmlSceneChanged = Signal(object)
    _signatures: ClassVar = _SCENE_SIGNATURES | ctkCollapsibleButton._signatures


def _plain(kind: type, name: str, default: object) -> Property:
    """Make a property that is stored as it is and updates the list of nodes when set."""
    key = f"_{name}"

    def write(self, value) -> None:
        setattr(self, key, value)
        self._list_nodes()

    return Property(kind, lambda self: getattr(self, key, default), write)


class SceneFollower:
    """Calls back when nodes are added to the scene, removed, renamed or imported.

    Also before a node is removed, but after all observers of that with a priority of their own.
    """

    _EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "EndBatchProcessEvent")
    _AFTER_OTHERS = -10.0

    def __init__(self, on_change, on_import, on_removal) -> None:
        self._on_change, self._on_import, self._on_removal = on_change, on_import, on_removal
        self._observed: list[tuple[vtk.vtkObject, int]] = []

    def follow(self, scene, nodes=()) -> None:
        """Follow only a scene and the names of some of its nodes from now on."""
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        events = [getattr(slicer.vtkMRMLScene, name) for name in self._EVENTS]
        pairs = [(scene, event) for event in events] if scene is not None else []
        pairs += [(node, vtk.vtkCommand.ModifiedEvent) for node in nodes]
        self._observed = [(o, o.AddObserver(event, self._on_event)) for o, event in pairs]
        if scene is not None:
            tags = (
                scene.AddObserver(scene.EndImportEvent, lambda *_: self._on_import()),
                scene.AddObserver(
                    scene.NodeAboutToBeRemovedEvent, self._on_removal_event, self._AFTER_OTHERS
                ),
            )
            self._observed += [(scene, tag) for tag in tags]

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_removal_event(self, _scene, _event, node) -> None:
        self._on_removal(node)

    def _on_event(self, _caller, _event) -> None:
        self._on_change()


@stand_in
class qMRMLNodeComboBox(SceneWidget, QWidget):
    """Selects a node of the scene, and follows added and removed nodes."""

    mrmlSceneChanged = Signal(object)
    currentNodeChanged = Signal(object)
    nodeActivated = Signal(object)
    _signatures: ClassVar = _SCENE_SIGNATURES | {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "currentNodeChanged",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "setCurrentNode(vtkMRMLNode*)": "setCurrentNode",
    }
    nodeTypes = _plain("QStringList", "nodeTypes", [])
    showHidden = _plain(bool, "showHidden", False)
    showChildNodeTypes = _plain(bool, "showChildNodeTypes", True)
    noneEnabled = _plain(bool, "noneEnabled", False)
    noneDisplay = _plain(str, "noneDisplay", "None")
    addEnabled = _plain(bool, "addEnabled", True)
    removeEnabled = _plain(bool, "removeEnabled", True)
    renameEnabled = _plain(bool, "renameEnabled", False)
    editEnabled = _plain(bool, "editEnabled", False)
    baseName = _plain(str, "baseName", "")
    selectNodeUponCreation = _plain(bool, "selectNodeUponCreation", True)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node = None
        self._nodes: list = []
        self._combo = QComboBox(self)
        self._combo.activated.connect(self._on_activated)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._follower = SceneFollower(
            self._list_nodes, self._forget_and_list, self._turn_from_removed
        )
        self.destroyed.connect(lambda _=None, follower=self._follower: follower.follow(None))
        self._list_nodes()

    def setMRMLScene(self, scene) -> None:
        """List the nodes of a scene; None lists none."""
        super().setMRMLScene(scene)
        self._list_nodes()

    def currentNode(self):
        """Return the selected node, or None."""
        return self._node

    def setCurrentNode(self, node) -> None:
        """Select a node; a node that is not listed, or None, clears the selection."""
        self._select(node if node in self._nodes else None)

    def nodeCount(self) -> int:
        """Return the number of listed nodes."""
        return len(self._nodes)

    def nodeFromIndex(self, index: int):
        """Return the listed node at an index."""
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    def _on_activated(self, row: int) -> None:
        node = self.nodeFromIndex(row - int(self.noneEnabled))
        self._select(node)
        self.nodeActivated.emit(node)

    def _select(self, node) -> None:
        if node is None and not self.noneEnabled and self._nodes:
            node = self._node if self._node in self._nodes else self._nodes[0]
        changed = node is not self._node
        self._node = node
        self._show_current()
        if changed:
            self.currentNodeChanged.emit(node)

    def _list_nodes(self) -> None:
        if not hasattr(self, "_follower") or (self._scene and self._scene.IsBatchProcessing()):
            return  # not built yet, or the scene will report when it is done
        self._nodes = [node for node in _nodes_of(self._scene) if self._is_listed(node)]
        self._follower.follow(self._scene, self._nodes)
        self._combo.blockSignals(True)
        self._combo.clear()
        self._combo.addItems([self.noneDisplay] * bool(self.noneEnabled))
        self._combo.addItems([node.GetName() for node in self._nodes])
        self._combo.blockSignals(False)
        self._select(self._node if self._node in self._nodes else None)

    def _forget_and_list(self) -> None:
        """List the nodes after an import, which rebuilds all rows and clears the selection."""
        if self.noneEnabled:
            self._select(None)
        self._list_nodes()

    def _turn_from_removed(self, node) -> None:
        """Select the next node, or the last one, when the selected one is removed; never none."""
        if node is None or node is not self._node or self._scene.IsClosing():
            return
        row = self._nodes.index(node)
        others = [other for other in self._nodes if other is not node]
        self._select((others[row:] or others[-1:] or [None])[0])

    def _show_current(self) -> None:
        row = self._nodes.index(self._node) if self._node in self._nodes else -1
        self._combo.setCurrentIndex(row + int(self.noneEnabled))

    def _is_listed(self, node) -> bool:
        if self.showChildNodeTypes:
            fits = any(node.IsA(name) for name in self.nodeTypes)
        else:
            fits = node.GetClassName() in self.nodeTypes
        hidden = node.GetHideFromEditors() and not self.showHidden
        return fits and not hidden


def _nodes_of(scene) -> list:
    if scene is None:
        return []
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]


def classes() -> dict[str, type[QObject]]:
    """Return the widgets by class name, as in .ui files."""
    return {name: globals()[name] for name in __all__}
