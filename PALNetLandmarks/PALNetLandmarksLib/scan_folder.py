# SPDX-License-Identifier: Apache-2.0
"""Work through the scans of a folder: one at a time in the scene, with its landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from palnet.input_files import find_scans
from PALNetLandmarksLib.landmark_list import LandmarkList, is_landmark_list
from PALNetLandmarksLib.linking import find_lists, lies_elsewhere
from PALNetLandmarksLib.list_creation import new_list_name
from PALNetLandmarksLib.save_export import is_saved_in, lists_saved_in
from PALNetLandmarksLib.saved_lists import LIST_SUFFIX, is_in_its_file, read_progress

if TYPE_CHECKING:
    from PALNetLandmarksLib.saved_lists import Progress


@dataclass(frozen=True)
class ScanFolder:
    """The scans of a folder, and where their landmarks are saved.

    Attributes
    ----------
    scans : tuple of Path
        Sorted by name.
    lists_folder : Path
        Folder of the landmark files, such as that of ``palnet detect -o``; by default that of the
        scans.
    """

    scans: tuple[Path, ...]
    lists_folder: Path

    @classmethod
    def of(cls, folder: Path) -> ScanFolder:
        """List the scans of a folder; those in folders below are left out.

        Parameters
        ----------
        folder : Path
            The folder.

        Returns
        -------
        ScanFolder
            Its scans.

        Raises
        ------
        UsageError
            If there is none.
        OSError
            If the folder cannot be listed.
        """
        any(folder.iterdir())  # `find_scans` would take a folder that cannot be listed for a scan
        return cls(tuple(find_scans([folder])), folder)

    def list_path(self, scan: Path) -> Path:
        """Return the file in which the landmarks of a scan are saved, whether it exists or not."""
        return self.lists_folder / f"{scan.stem}{LIST_SUFFIX}"

    def progress(self) -> dict[Path, Progress | None]:
        """Read how far the review of each scan has come; may run in a thread.

        Returns
        -------
        dict of Path to Progress or None
            For each scan; None without landmarks.
        """
        return {scan: read_progress(self.list_path(scan)) for scan in self.scans}


def out_of_reach(folder: Path) -> str:
    """Say that a folder is out of reach, such as one on a drive that was taken away.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    str
        The message.
    """
    text = _("The folder {folder} cannot be reached at present.")
    return text.format(folder=folder.as_posix())


def find_scan(path: Path) -> slicer.vtkMRMLModelNode | None:
    """Find the scan of a file in the scene, whoever opened it.

    Parameters
    ----------
    path : Path
        A mesh file.

    Returns
    -------
    vtkMRMLModelNode or None
        None if it is not open.
    """
    models = slicer.util.getNodesByClass("vtkMRMLModelNode")
    return next((model for model in models if is_saved_in(model, path)), None)


def load_scan(path: Path) -> slicer.vtkMRMLModelNode:
    """Load a scan under its own name, also if it was in the scene before.

    Parameters
    ----------
    path : Path
        A mesh file.

    Returns
    -------
    vtkMRMLModelNode
        The scan.

    Raises
    ------
    RuntimeError
        If Slicer cannot read the file.
    """
    model = slicer.util.loadModel(str(path))
    if slicer.mrmlScene.GetFirstNodeByName(path.stem) is None:
        model.SetName(path.stem)  # Slicer has numbered it
    return model


def load_list(path: Path, model_node: slicer.vtkMRMLModelNode) -> None:
    """Load the landmarks of a scan, unless they are open already.

    Parameters
    ----------
    path : Path
        A landmark file that exists.
    model_node : vtkMRMLModelNode
        The scan.

    Raises
    ------
    RuntimeError
        If Slicer cannot read the file.
    ValueError
        If the file holds no landmarks, or those of another scan; the scene is as before.
    """
    opened = next(iter(lists_saved_in(path)), None)
    node = opened or _load_markups(path)
    try:
        landmarks = _landmarks_of(node, model_node)
    except ValueError:
        if opened is None:
            _remove(node)
        raise
    if opened is None:
        name, scene = new_list_name(model_node, landmarks.scheme), slicer.mrmlScene
        is_free = scene.GetFirstNodeByName(name) is None
        node.SetName(name if is_free else scene.GenerateUniqueName(name))
    landmarks.link_model(model_node)


def _load_markups(path: Path) -> slicer.vtkMRMLMarkupsNode:
    """Load a landmark file; what Slicer says of one that it cannot read helps nobody."""
    try:
        return slicer.util.loadMarkups(str(path))
    except RuntimeError as err:
        msg = _(
            "The file is damaged, such as cut off, or may not be read. Put a copy in its place, or "
            "detect again, which replaces it once you save."
        )
        raise RuntimeError(msg) from err


def _landmarks_of(
    node: slicer.vtkMRMLMarkupsNode, model_node: slicer.vtkMRMLModelNode
) -> LandmarkList:
    """Return the landmarks of a point list, which must be those of a scan."""
    if not is_landmark_list(node):
        msg = _(
            "The file holds other points than landmarks. If they are those of a model of your "
            "own, choose that under Trained model, then the scan again."
        )
        raise ValueError(msg)
    landmarks = LandmarkList(node)
    if lies_elsewhere(landmarks, model_node):
        msg = _(
            "They do not lie on it: they are those of another scan, or the scan was scaled or "
            "moved when they were saved."
        )
        raise ValueError(msg)
    return landmarks


def unsaved_lists(model_node: slicer.vtkMRMLModelNode) -> list[LandmarkList]:
    """Return the lists of a scan with landmarks that no file holds.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.

    Returns
    -------
    list of LandmarkList
        Empty ones do not count.
    """
    return [landmarks for landmarks in find_lists(model_node) if not is_in_its_file(landmarks)]


def close_scan(model_node: slicer.vtkMRMLModelNode) -> None:
    """Remove a scan and its lists from the scene.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    """
    for landmarks in find_lists(model_node):
        _remove(landmarks.node)
    _remove(model_node)


def _remove(node: slicer.vtkMRMLDisplayableNode) -> None:
    """Remove a node with its display and storage, which Slicer would leave, surface and all."""
    scene = slicer.mrmlScene
    displays = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    beside = [*displays, node.GetStorageNode()]
    scene.RemoveNode(node)
    for each in filter(None, beside):
        if not _is_referenced(each):
            scene.RemoveNode(each)


def _is_referenced(node: slicer.vtkMRMLNode) -> bool:
    """Return whether another node of the scene still needs a node, or it is gone."""
    scene, name = slicer.mrmlScene, node.GetID()
    others = (scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes()))
    return not scene.IsNodePresent(node) or any(
        scene.IsNodeReferencingNodeID(other, name) for other in others
    )
