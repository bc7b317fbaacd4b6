# SPDX-License-Identifier: Apache-2.0
"""Work through the scans of a folder: one at a time in the scene, with its landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import slicer

from palnet.errors import PalnetError
from palnet.exchange import read_landmarks
from palnet.input_files import find_scans
from palnet.preview import classify_errors
from PALNetLandmarksLib.error_classes import DOUBTFUL
from PALNetLandmarksLib.landmark_list import LandmarkList, is_landmark_list
from PALNetLandmarksLib.linking import linked_lists
from PALNetLandmarksLib.list_creation import new_list_name

LIST_SUFFIX = ".mrk.json"


class Progress(NamedTuple):
    """How far the review of a scan has come, according to its saved landmarks.

    Attributes
    ----------
    n_open : int
        Landmarks that are as a detection placed them.
    n_doubtful : int
        Those of them with a large expected error.
    """

    n_open: int
    n_doubtful: int


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
    def of(cls, folder):
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
        """
        return cls(tuple(find_scans([folder])), folder)

    def list_path(self, scan):
        """Return the file in which the landmarks of a scan are saved, whether it exists or not."""
        return self.lists_folder / f"{scan.stem}{LIST_SUFFIX}"

    def progress(self):
        """Read how far the review of each scan has come; may run in a thread.

        Returns
        -------
        dict of Path to Progress or None
            For each scan; None without landmarks, or if they cannot be read.
        """
        return {scan: _progress(self.list_path(scan)) for scan in self.scans}


def _progress(path):
    """Count what is left to review in a file."""
    try:
        if not path.exists():
            return None
        landmarks = read_landmarks(path)
    except (PalnetError, OSError):
        return None
    is_open = np.array([status == "detected" for status in landmarks.status])
    is_doubtful = is_open & (classify_errors(landmarks) == DOUBTFUL)
    return Progress(int(is_open.sum()), int(is_doubtful.sum()))


def load_scan(path):
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


def load_list(path, model_node):
    """Load the landmarks of a scan; they count as its own even if they do not lie on it.

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
    """
    node = slicer.util.loadMarkups(str(path))
    if is_landmark_list(node):
        landmarks = LandmarkList(node)
        node.SetName(new_list_name(model_node, landmarks.scheme))
        landmarks.link_model(model_node)


def unsaved_lists(model_node):
    """Return the lists of a scan with landmarks that no file holds.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.

    Returns
    -------
    list of LandmarkList
        Lists that were changed since they were read or saved; empty ones do not count.
    """
    return [
        landmarks
        for landmarks in linked_lists(model_node)
        if landmarks.node.GetModifiedSinceRead() and landmarks.landmark_set().is_placed.any()
    ]


def close_scan(model_node):
    """Remove a scan and its lists from the scene.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.
    """
    for landmarks in linked_lists(model_node):
        slicer.mrmlScene.RemoveNode(landmarks.node)
    slicer.mrmlScene.RemoveNode(model_node)
