# SPDX-License-Identifier: Apache-2.0
"""Scan and list that the panel selects, and what the views show of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import qt
import slicer
import vtk

from palnet.error_classes import CLASS_COLORS
from palnet_panel import wait_while
from palnet_scenes import SAMPLES, a_record, shifted_copy, true_landmarks
from PALNetLandmarksLib.camera import look_at_face, look_at_model
from PALNetLandmarksLib.error_spheres import SPHERES_ATTRIBUTE
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.surface_snap import closest_point


@pytest.fixture
def a_panel(panel_factory, a_list):
    panel = panel_factory()
    panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    return panel


@pytest.fixture
def three_scans(a_panel, a_list, a_face, scene):
    """Scans of three people, each with a list; the second is selected."""
    faces = [a_face]
    for name in ("Face of B", "Face of C"):
        other = slicer.util.loadModel(str(SAMPLES / "example.ply"))
        other.SetName(name)
        faces.append(other)
    lists = [a_list]
    for face in faces[1:]:
        lists.append(create_list(scene, a_list.scheme, face, f"{face.GetName()} landmarks"))
        lists[-1].set_detection(true_landmarks(), a_record())
    a_panel.ui.scanSelector.setCurrentNode(faces[1])
    return faces, [each.node for each in lists]


@pytest.mark.parametrize("selected", range(3))
def test_deleted_scan_brings_no_other_person(a_panel, three_scans, scene, selected):
    """Slicer's selectors switch to the next node when the selected one is removed."""
    faces, lists = three_scans
    a_panel.ui.scanSelector.setCurrentNode(faces[selected])

    scene.RemoveNode(faces[selected])
    qt.QApplication.processEvents()

    assert a_panel.ui.scanSelector.currentNode() is None
    assert a_panel.ui.landmarksSelector.currentNode() is lists[selected]
    assert a_panel.ui.landmarkTable.rowCount == 50


@pytest.mark.parametrize("selected", range(3))
def test_deleted_list_brings_no_other_person(a_panel, three_scans, scene, selected):
    faces, lists = three_scans
    a_panel.ui.scanSelector.setCurrentNode(faces[selected])

    scene.RemoveNode(lists[selected])
    qt.QApplication.processEvents()

    assert a_panel.ui.landmarksSelector.currentNode() is None
    assert a_panel.ui.scanSelector.currentNode() is faces[selected]
    assert a_panel.ui.landmarkTable.rowCount == 0


@pytest.fixture
def follow_up(a_panel, three_scans, scene):
    """The second scan in the place of the first, as after a registration; the first is deleted."""
    faces, lists = three_scans
    a_panel.ui.scanSelector.setCurrentNode(faces[0])
    scene.RemoveNode(faces[0])
    qt.QApplication.processEvents()
    return faces[1], lists[1]


def test_scan_chosen_after_a_deleted_one_comes_with_its_own_list(a_panel, follow_up):
    """The deleted scan's list is loose, and lies on the follow-up scan of the same person."""
    scan, its_list = follow_up

    a_panel.ui.scanSelector.setCurrentNode(scan)

    assert a_panel.ui.landmarksSelector.currentNode() is its_list


def test_list_of_a_deleted_scan_leaves_the_view_with_the_next_scan(
    a_panel, follow_up, three_scans, scene
):
    scan, its_list = follow_up
    _, lists = three_scans

    a_panel.ui.scanSelector.setCurrentNode(scan)

    assert on_view([scan, its_list, lists[0]]) == [True, True, False]
    models = slicer.util.getNodesByClass("vtkMRMLModelNode", scene)
    owners = {node.GetAttribute(SPHERES_ATTRIBUTE) for node in models} - {None}
    assert owners == {its_list.GetID()}


def test_list_of_a_deleted_scan_is_said_to_lie_on_none(a_panel, a_list, a_face, scene):
    scene.RemoveNode(a_face)
    qt.QApplication.processEvents()

    assert "The scan of these landmarks is no longer in the scene." in a_panel.ui.statusLabel.text
    assert on_view([a_list.node]) == [True]


def test_follow_up_scan_takes_no_corrections_of_a_deleted_scan(a_panel, a_list, a_face, scene):
    """A detection would keep them, at the places where they were months ago."""
    a_panel.reviewSection.review.confirm(3)
    later = shifted_copy(a_face, [0.0, 0.0, 1.0], "Follow-up")
    scene.RemoveNode(a_face)

    a_panel.ui.scanSelector.setCurrentNode(later)

    assert a_panel.ui.landmarksSelector.currentNode() is None
    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    assert a_list.model_node is None
    assert "no longer in the scene" in a_panel.ui.statusLabel.text


def test_deleted_scan_that_is_opened_again_comes_with_its_list(a_panel, a_list, a_face, scene):
    found = true_landmarks()
    on_skin = [closest_point(a_face, position) for position in found.positions[:-1]]
    a_list.set_detection(replace(found, positions=[*on_skin, found.positions[-1]]), a_record())
    later = shifted_copy(a_face, [0.0, 0.0, 1.0], "Follow-up")
    scene.RemoveNode(a_face)
    a_panel.ui.scanSelector.setCurrentNode(later)

    again = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    a_panel.ui.scanSelector.setCurrentNode(again)

    assert a_panel.ui.landmarksSelector.currentNode() is a_list.node
    assert not a_panel.ui.statusLabel.text


def test_list_of_a_deleted_scan_stays_loose_in_a_scene_that_was_saved(
    a_panel, a_list, a_face, scene, tmp_path
):
    shifted_copy(a_face, [0.0, 0.0, 1.0], "Follow-up")
    scene.RemoveNode(a_face)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path, properties={})
    scene.Clear(False)

    slicer.util.loadScene(path, properties={})
    qt.QApplication.processEvents()
    a_panel.ui.scanSelector.setCurrentNode(slicer.util.getNode("Follow-up"))

    assert a_panel.ui.landmarksSelector.currentNode() is None


def test_list_that_its_scan_was_moved_away_from_is_told_as_long_as_it_is_so(
    a_panel, a_list, a_face, scene
):
    parent, matrix = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode"), vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 300.0)
    parent.SetMatrixTransformToParent(matrix)
    said = a_panel.ui.statusLabel

    a_face.SetAndObserveTransformNodeID(parent.GetID())
    wait_while(lambda: "do not lie on their scan" not in said.text)

    a_list.node.SetAndObserveTransformNodeID(parent.GetID())
    wait_while(lambda: said.text)


def test_deleted_scan_that_is_not_selected_changes_nothing(a_panel, three_scans, scene):
    faces, lists = three_scans

    scene.RemoveNode(faces[0])
    scene.RemoveNode(lists[2])
    qt.QApplication.processEvents()

    assert a_panel.ui.scanSelector.currentNode() is faces[1]
    assert a_panel.ui.landmarksSelector.currentNode() is lists[1]


def test_choice_of_a_node_of_the_same_name_is_taken(a_panel, three_scans):
    """If a selector's text stays the same, Qt 6 reports no change, only that a row was chosen."""
    faces, lists = three_scans
    selector = a_panel.ui.scanSelector

    selector.blockSignals(True)
    selector.setCurrentNode(faces[2])
    selector.blockSignals(False)
    selector.nodeActivated.emit(faces[2])

    assert a_panel.selection.node.scan is faces[2]
    assert a_panel.ui.landmarksSelector.currentNode() is lists[2]


def test_what_a_script_chooses_is_shown(a_panel, three_scans):
    """With a wrapper of its own, as returned by `logic.getParameterNode`."""
    faces, lists = three_scans

    a_panel.logic.getParameterNode().scan = faces[2]

    assert a_panel.ui.scanSelector.currentNode() is faces[2]
    assert a_panel.ui.landmarksSelector.currentNode() is lists[2]


def test_newest_list_of_a_scan_comes_with_it(panel_factory, a_list, a_face):
    newest = create_list(a_face.GetScene(), a_list.scheme, a_face, "Second look")

    a_panel = panel_factory()
    a_panel.ui.scanSelector.setCurrentNode(a_face)

    assert a_panel.ui.landmarksSelector.currentNode() is newest.node


def test_scan_comes_back_with_the_list_worked_on_last(a_panel, three_scans, a_list, tmp_path):
    """Also in another session, and without waiting for a list deleted since."""
    faces, lists = three_scans
    second = create_list(a_list.node.GetScene(), a_list.scheme, faces[0], "Second look")
    for node in (second.node, lists[0]):
        a_panel.ui.landmarksSelector.setCurrentNode(node)

    a_panel.ui.scanSelector.setCurrentNode(faces[1])
    a_panel.ui.scanSelector.setCurrentNode(faces[0])
    assert a_panel.ui.landmarksSelector.currentNode() is lists[0]

    a_panel.ui.scanSelector.setCurrentNode(faces[1])
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path, properties={})
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(path, properties={})
    qt.QApplication.processEvents()
    a_panel.ui.scanSelector.setCurrentNode(slicer.util.getNode("Face"))
    assert a_panel.ui.landmarksSelector.currentNode() is slicer.util.getNode("Face landmarks")

    a_panel.ui.scanSelector.setCurrentNode(slicer.util.getNode("Face of B"))
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Face landmarks"))
    a_panel.ui.scanSelector.setCurrentNode(slicer.util.getNode("Face"))
    assert a_panel.ui.landmarksSelector.currentNode() is slicer.util.getNode("Second look")


def test_list_that_a_script_loads_before_it_deletes_the_former_one_is_shown(
    a_panel, a_list, scene, tmp_path
):
    path = str(tmp_path / "corrected.mrk.json")
    assert slicer.util.saveNode(a_list.node, path, properties={})
    qt.QApplication.processEvents()

    loaded = slicer.util.loadMarkups(path)
    scene.RemoveNode(a_list.node)
    qt.QApplication.processEvents()

    assert a_panel.ui.landmarksSelector.currentNode() is loaded
    assert a_panel.ui.landmarkTable.rowCount == 50
    assert a_panel.ui.saveButton.enabled


def test_list_that_is_loaded_in_a_batch_is_shown_once_the_batch_ends(
    a_panel, a_list, scene, tmp_path
):
    """Also if the application handles events meanwhile, as it does to show its progress."""
    path = str(tmp_path / "face.mrk.json")
    assert slicer.util.saveNode(a_list.node, path, properties={})
    scene.RemoveNode(a_list.node)
    qt.QApplication.processEvents()

    scene.StartState(scene.BatchProcessState)
    loaded = slicer.util.loadMarkups(path)
    qt.QApplication.processEvents()
    scene.EndState(scene.BatchProcessState)
    qt.QApplication.processEvents()

    assert a_panel.ui.landmarksSelector.currentNode() is loaded
    assert a_panel.ui.landmarkTable.rowCount == 50


def on_view(nodes):
    return [bool(node.GetDisplayVisibility()) for node in nodes]


def test_views_show_one_scan_at_a_time(a_panel, three_scans):
    """Scans of one scanner overlap, so two visible ones would look like one face."""
    faces, lists = three_scans
    # The fixture shows the first and leaves it for the second; the third was not selected yet.
    assert on_view(faces) == on_view(lists) == [False, True, True]

    a_panel.ui.scanSelector.setCurrentNode(faces[2])
    assert on_view(faces) == on_view(lists) == [False, False, True]

    a_panel.ui.landmarksSelector.setCurrentNode(lists[0])
    assert on_view(faces) == on_view(lists) == [True, False, False]


@pytest.mark.parametrize(
    ("scale", "shift", "is_turned_to"),
    [(1, 0, False), (1.02, 20, False), (1, 900, True), (1e-3, 0, True), (1e3, 0, True)],
)
def test_cameras_turn_to_a_scan_that_lies_elsewhere_only(
    a_panel, three_scans, scene, scale, shift, is_turned_to
):
    """A user who compares two scans of one scanner looks at the same place in both."""
    faces, lists = three_scans
    for node in (faces[2], lists[2]):
        place = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy([scale, 0, 0, shift, 0, scale, 0, 0, 0, 0, scale, 0, 0, 0, 0, 1])
        place.SetMatrixTransformToParent(matrix)
        node.SetAndObserveTransformNodeID(place.GetID())
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetLayoutName("1")
    look_at_model(faces[1])
    before = camera.GetPosition()

    a_panel.ui.scanSelector.setCurrentNode(faces[2])

    assert (camera.GetPosition() != before) is is_turned_to
    if is_turned_to:
        after = camera.GetPosition()
        look_at_face(LandmarkList(lists[2]))
        np.testing.assert_allclose(after, camera.GetPosition())


def test_scan_that_is_opened_stands_alone(a_panel, a_list, a_face, scene):
    skull = slicer.util.loadModel(str(SAMPLES / "example.ply"))

    a_panel.ui.exampleButton.click()

    assert on_view([a_face, a_list.node, skull]) == [False, False, True]
    assert a_panel.ui.scanSelector.currentNode().GetDisplayVisibility()


def test_chosen_scan_is_not_drawn_in_the_color_of_a_class(a_panel, three_scans):
    """Slicer draws models in the yellow of landmarks to check, whose spheres nobody would see."""
    first, _second, third = three_scans[0]
    first.GetDisplayNode().SetColor(slicer.vtkMRMLModelDisplayNode().GetColor())
    third.GetDisplayNode().SetColor(0.2, 0.6, 0.4)

    for face in (first, third):
        a_panel.ui.scanSelector.setCurrentNode(face)

    color = first.GetDisplayNode().GetColor()
    assert np.abs(np.array(CLASS_COLORS) - color).max(axis=1).min() > 0.3
    assert third.GetDisplayNode().GetColor() == (0.2, 0.6, 0.4)  # as somebody chose


def test_what_a_user_hides_or_shows_stays_so(a_panel, three_scans, a_list):
    faces, lists = three_scans
    second = create_list(a_list.node.GetScene(), a_list.scheme, faces[1], "Second look")
    for node in (faces[0], lists[0]):
        node.SetDisplayVisibility(True)  # for comparison
    faces[1].SetDisplayVisibility(False)

    a_panel.exit()
    a_panel.enter()
    a_panel.ui.landmarksSelector.setCurrentNode(second.node)

    assert on_view([*faces[:2], lists[0], second.node]) == [True, False, True, True]


def test_landmarks_are_placed_again_without_seeing_the_first(a_panel, a_list, a_face):
    """As the guide asks for before a study; a click might also move a point of the other list."""
    a_panel.ui.byHandButton.click()

    second = a_panel.ui.landmarksSelector.currentNode()
    assert on_view([a_face, a_list.node, second]) == [True, False, True]

    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    assert on_view([a_face, a_list.node, second]) == [True, True, False]


def test_scene_is_shown_as_it_was_saved(a_panel, a_list, a_face, tmp_path):
    a_face.SetDisplayVisibility(False)
    a_list.node.SetDisplayVisibility(False)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path, properties={})
    slicer.mrmlScene.Clear(False)

    slicer.util.loadScene(path, properties={})
    qt.QApplication.processEvents()

    assert a_panel.ui.scanSelector.currentNode() is slicer.util.getNode("Face")
    assert on_view(map(slicer.util.getNode, ("Face", "Face landmarks"))) == [False, False]


def test_other_points_that_were_selected_stay_in_the_view(a_panel, three_scans, scene):
    faces, _ = three_scans
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Electrodes")
    points.CreateDefaultDisplayNodes()
    a_panel.ui.landmarksSelector.setCurrentNode(points)

    a_panel.ui.scanSelector.setCurrentNode(faces[2])

    assert on_view([faces[1], points]) == [False, True]


@pytest.mark.parametrize("is_deleted", [True, False])
def test_scan_that_was_left_is_shown_when_it_is_chosen(a_panel, three_scans, scene, is_deleted):
    """Also if nothing was selected in between."""
    faces, _ = three_scans
    if is_deleted:
        scene.RemoveNode(faces[1])
    else:
        a_panel.ui.scanSelector.setCurrentNode(None)

    a_panel.ui.scanSelector.setCurrentNode(faces[0])

    assert on_view([faces[0], a_panel.ui.landmarksSelector.currentNode()]) == [True, True]


def test_scan_without_points_is_turned_to_and_left_without_a_warning(a_panel, a_face, tmp_path):
    """Slicer makes a model even of such a file; its bounding box has no size."""
    path = tmp_path / "empty.obj"
    path.write_text("# nothing\n", encoding="ascii")
    empty = slicer.util.loadModel(str(path))

    a_panel.ui.scanSelector.setCurrentNode(empty)
    said = a_panel.ui.scanInfoLabel.text
    a_panel.ui.scanSelector.setCurrentNode(a_face)

    assert "'empty' is empty" in said
    assert a_face.GetDisplayVisibility()
