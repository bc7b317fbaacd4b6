# SPDX-License-Identifier: Apache-2.0
"""Notice that the file of a list was changed by others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import slicer

from PALNetLandmarksLib.file_changes import is_changed_by_others, note_file
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.list_opening import open_list
from PALNetLandmarksLib.save_export import save


@pytest.fixture
def a_saved_list(a_list, tmp_path):
    save(a_list, tmp_path / "face.mrk.json")
    return a_list


def path_of(landmarks):
    return landmarks.node.GetStorageNode().GetFileName()


def change(path):
    """Write a file of the same size a second later, as another computer may."""
    found = Path(path).stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 10**9))


def test_saved_list_is_as_its_file(a_saved_list):
    assert not is_changed_by_others(a_saved_list.node)

    a_saved_list.node.SetNthControlPointPosition(3, 1.0, 2.0, 3.0)

    assert not is_changed_by_others(a_saved_list.node)


def test_change_of_the_file_is_noticed_until_the_list_is_saved(a_saved_list, tmp_path):
    change(path_of(a_saved_list))
    assert is_changed_by_others(a_saved_list.node)
    open_list(a_saved_list.node)  # chosen once more in the panel
    assert is_changed_by_others(a_saved_list.node)

    save(a_saved_list, tmp_path / "face.mrk.json")

    assert not is_changed_by_others(a_saved_list.node)


def test_opened_list_is_noted(a_saved_list, tmp_path):
    slicer.mrmlScene.RemoveNode(a_saved_list.node)
    node = slicer.util.loadMarkups(str(tmp_path / "face.mrk.json"))
    assert not is_changed_by_others(node)
    open_list(node)
    assert not is_changed_by_others(node)

    change(tmp_path / "face.mrk.json")

    assert is_changed_by_others(node)


def test_save_by_slicer_itself_is_no_change_by_others(a_saved_list):
    path = path_of(a_saved_list)
    a_saved_list.node.SetNthControlPointPosition(3, 1.0, 2.0, 3.0)
    assert slicer.util.saveNode(a_saved_list.node, path, properties={})
    change(path)  # the clock of a file server

    assert not is_changed_by_others(a_saved_list.node)


def test_file_that_is_gone_is_not_replaced(a_saved_list):
    Path(path_of(a_saved_list)).unlink()

    assert not is_changed_by_others(a_saved_list.node)


def test_list_without_a_file_has_none_to_change(a_list):
    note_file(a_list.node)

    assert not is_changed_by_others(a_list.node)


def test_note_of_another_session_does_not_count(a_saved_list, tmp_path, monkeypatch):
    """A scene that is saved holds it."""
    change(path_of(a_saved_list))

    monkeypatch.setattr("PALNetLandmarksLib.file_changes._SESSION", "another")

    assert not is_changed_by_others(a_saved_list.node)


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", '{"session": 1}'])
def test_note_that_was_edited_by_hand_is_none(a_saved_list, text):
    a_saved_list.node.SetAttribute("PALNet.FileAsKnown", text)
    change(path_of(a_saved_list))

    assert not is_changed_by_others(a_saved_list.node)


def test_noting_is_no_change_of_the_list(a_saved_list):
    a_saved_list.node.RemoveAttribute("PALNet.FileAsKnown")

    note_file(LandmarkList(a_saved_list.node).node)

    assert not a_saved_list.node.GetModifiedSinceRead()
