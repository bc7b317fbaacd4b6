# SPDX-License-Identifier: Apache-2.0
"""Read and write files through Slicer's real logics and storage nodes.

Stands in for `qSlicerCoreIOManager`, which `slicer.util.load*` and `save*` use.
"""

from __future__ import annotations

from pathlib import Path

import slicer

_MODEL = (".vtp", ".vtk", ".ply", ".stl", ".obj")
_MARKUPS = (".mrk.json", ".fcsv")
_SCENE = (".mrb", ".mrml")
_TYPES = {
    "SceneFile": _SCENE,
    "MarkupsFile": _MARKUPS,
    "ModelFile": _MODEL,
}


class CoreIOManager:
    """Finds the type of a file; loads nodes from files and saves them."""

    def __init__(self, application) -> None:
        self._application = application

    def fileType(self, fileName) -> str:
        """Return a file's type by its extension; "NoFile" if unknown."""
        name = str(fileName).lower()
        return next((kind for kind, ends in _TYPES.items() if name.endswith(ends)), "NoFile")

    def fileWriterFileType(self, node) -> str:
        """Return the file type that a node is saved as."""
        kinds = {
            "vtkMRMLMarkupsNode": "MarkupsFile",
            "vtkMRMLModelNode": "ModelFile",
        }
        return next((kind for name, kind in kinds.items() if node.IsA(name)), "NoFile")

    def loadNodes(self, fileType, properties, loadedNodes=None, userMessages=None) -> bool:
        """Read a file into the scene; return False if that fails."""
        nodes = self._load(fileType, dict(properties), userMessages)
        if loadedNodes is not None:
            for node in nodes or ():
                loadedNodes.AddItem(node)
        return nodes is not None

    def _load(self, kind: str, properties: dict, messages) -> list | None:
        logics = self._application.scene_and_logics.logics
        path = str(properties["fileName"])
        if kind == "SceneFile":
            clear = properties.get("clear", True)
            return [] if self._load_scene(path, clear, messages) else None
        if kind == "ModelFile":
            lps = slicer.vtkMRMLStorageNode.CoordinateSystemLPS
            system = int(properties.get("coordinateSystem", lps))
            node = logics["Models"].AddModel(path, system, messages)
        elif kind == "MarkupsFile":
            name = properties.get("name")
            node_id = logics["Markups"].LoadMarkups(path, name, messages)
            node = slicer.mrmlScene.GetNodeByID(node_id) if node_id else None
        else:
            return None
        if node is not None and properties.get("name"):
            node.SetName(slicer.mrmlScene.GetUniqueNameByString(properties["name"]))
        return None if node is None else [node]

    def _load_scene(self, path: str, clear: bool, messages) -> bool:
        scene = slicer.mrmlScene
        if path.lower().endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear, messages))
        scene.SetURL(path)
        scene.SetRootDirectory(str(Path(path).parent))
        return bool(scene.Connect(messages) if clear else scene.Import(messages))

    def saveNodes(self, fileType, properties, userMessages=None) -> bool:
        """Write a node, or the whole scene, to a file."""
        path = str(properties["fileName"])
        if fileType == "SceneFile":
            return self._save_scene(path, userMessages)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        storage = self._storage_for(node, path)
        if storage is None:
            return False
        if "useCompression" in properties:
            storage.SetUseCompression(int(properties["useCompression"]))
        return bool(storage.WriteData(node))

    def _storage_for(self, node, path: str):
        """Return the node's storage node, or a new one if the extension needs another."""
        storage = before = node.GetStorageNode()
        if storage is None or not storage.SupportedFileType(path):
            storage = _new_storage(node, path)
            node.SetAndObserveStorageNodeID(storage.GetID() if storage else None)
            if before is not None and node.IsA("vtkMRMLMarkupsNode"):
                node.GetScene().RemoveNode(before)  # so does the writer of Slicer's module
        if storage is None or not storage.SupportedFileType(path):
            return None
        storage.SetFileName(path)
        return storage

    def _save_scene(self, path: str, messages) -> bool:
        scene = slicer.mrmlScene
        if path.lower().endswith(".mrb"):
            return bool(scene.WriteToMRB(path, None, messages))
        if path.lower().endswith(".mrml"):
            scene.SetURL(path)
            return bool(scene.Commit(path, messages))
        logic = self._application.applicationLogic()
        return bool(logic.SaveSceneToSlicerDataBundleDirectory(path, None, messages))


def _new_storage(node, path: str):
    """Add the storage node for such a file to the node's scene; None if there is none for it."""
    if path.lower().endswith(".fcsv"):
        kind = "vtkMRMLMarkupsFiducialStorageNode"
    else:
        kind = node.GetDefaultStorageNodeClassName(path)
    return node.GetScene().AddNewNodeByClass(kind) if kind else None
