# SPDX-License-Identifier: Apache-2.0
"""A new MRML scene with its logics, as Slicer has at startup."""

from __future__ import annotations

import slicer
import vtk

# Classes that Slicer's modules register with the scene. Each logic gets the scene before anything
# is read: without the markups logic, a point list loads without points and without an error.
_LOGICS = {
    "Markups": slicer.vtkSlicerMarkupsLogic,
    "Models": slicer.vtkSlicerModelsLogic,
    "SubjectHierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic,
    "Tables": slicer.vtkSlicerTablesLogic,
    "Texts": slicer.vtkSlicerTextsLogic,
    "Transforms": slicer.vtkSlicerTransformLogic,
    "Cameras": slicer.vtkSlicerCamerasModuleLogic,
}


class SceneAndLogics:
    """The scene of one application run, and the logics that observe it."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        # The revision of slicer-core, 0, would be taken for one of before models were LPS.
        self.scene.SetVersion("Slicer 5.12.3 34000")
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        # These two read and write .mrb files.
        self._remote_io = slicer.vtkMRMLRemoteIOLogic()
        self._data_io = slicer.vtkDataIOManagerLogic()
        self._data_io.SetMRMLApplicationLogic(self.application_logic)
        self._remote_io.SetMRMLScene(self.scene)
        self._remote_io.AddDataIOToScene()
        self._data_io.SetMRMLScene(self.scene)
        self._data_io.SetAndObserveDataIOManager(self._remote_io.GetDataIOManager())
        self.application_logic.SetMRMLScene(self.scene)
        self.application_logic.SetMRMLSceneDataIO(self.scene, self._remote_io, self._data_io)
        self.logics = {name: self._start(name, kind) for name, kind in _LOGICS.items()}
        self._hierarchy = HierarchyOfNodes(self.scene)

    def _start(self, name: str, kind: type) -> vtk.vtkObject:
        logic = kind()
        logic.SetMRMLApplicationLogic(self.application_logic)
        logic.SetMRMLScene(self.scene)
        self.application_logic.SetModuleLogic(name, logic)
        return logic

    def close(self) -> None:
        """Clear the scene, and release the logics."""
        self._hierarchy.close()
        self.scene.Clear(True)
        for logic in self.logics.values():
            logic.SetMRMLScene(None)
        self.logics = {}
        self.application_logic.SetMRMLScene(None)


class HierarchyOfNodes:
    """Adds every data node to the subject hierarchy.

    In Slicer, the subject hierarchy plug-ins do so; they are Qt classes and not in slicer-core.
    """

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self._tags = [
            scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._on_added),
            scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._on_removal),
            scene.AddObserver(slicer.vtkMRMLScene.EndBatchProcessEvent, self._on_batch_end),
        ]

    def close(self) -> None:
        """Stop observing the scene."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_added(self, _scene, _event, node) -> None:
        if not self._scene.IsImporting():
            self._add(node)

    def _on_batch_end(self, _scene, _event) -> None:
        # First match the items that came with the scene to their nodes; then add the rest.
        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(self._scene)
        for index in range(self._scene.GetNumberOfNodes()):
            self._add(self._scene.GetNthNode(index))

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_removal(self, _scene, _event, node) -> None:
        hierarchy = self._node()
        item = hierarchy.GetItemByDataNode(node) if hierarchy and node else 0
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _add(self, node) -> None:
        hierarchy = self._node()
        if hierarchy and _has_item(node) and not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    def _node(self):
        if self._scene.IsClosing():
            return None
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)


def _has_item(node) -> bool:
    """Return whether the subject hierarchy shows such a node: user data, nothing internal."""
    data = ("vtkMRMLDisplayableNode", "vtkMRMLTableNode", "vtkMRMLTextNode")
    internal = ("vtkMRMLAbstractViewNode", "vtkMRMLCameraNode")
    return (
        node is not None
        and not node.GetHideFromEditors()
        and any(node.IsA(name) for name in data)
        and not any(node.IsA(name) for name in internal)
    )
