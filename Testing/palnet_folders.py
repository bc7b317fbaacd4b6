# SPDX-License-Identifier: Apache-2.0
"""A folder of scans, opened in the panel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import slicer

from palnet.exchange import write_landmarks
from palnet_panel import click, wait_while
from palnet_scenes import SAMPLES, true_landmarks
from PALNetLandmarksLib.landmark_list import LandmarkList

__all__ = ["a_folder", "a_panel"]

SCAN = (SAMPLES / "example.ply").read_bytes()
NAMES = ("anna", "bea", "carl")


@pytest.fixture
def a_folder(tmp_path):
    folder = tmp_path / "Säuglinge 1"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.ply").write_bytes(SCAN)
    return folder


@pytest.fixture
def a_panel(panel_factory, a_folder, answers):
    """With the folder open."""
    return opened(panel_factory(), a_folder, answers)


def opened(panel, folder, answers):
    answers.expect("file", str(folder), "Open a folder of face scans")
    click(panel.ui.openFolderButton)
    return settled(panel)


def settled(panel):
    wait_while(lambda: panel.inputSection.folder._reading.is_running)
    return panel


def entries(panel):
    selector = panel.ui.scanFileSelector
    return [selector.itemText(row) for row in range(selector.count)]


def names(kind):
    nodes = slicer.util.getNodesByClass(kind)
    return [node.GetName() for node in nodes if not node.GetHideFromEditors()]


def models():
    return names("vtkMRMLModelNode")


def lists():
    return names("vtkMRMLMarkupsFiducialNode")


def write_list(path, **changes):
    write_landmarks(replace(true_landmarks(), **changes), path)


def current(panel):
    return LandmarkList(panel.ui.landmarksSelector.currentNode())
