# SPDX-License-Identifier: Apache-2.0
"""Select a scan and detect with the panel's buttons and selectors."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import qt
import slicer
import vtk
from PySide6.QtTest import QTest

from painted_face import paint_example
from palnet import detect as detect_file
from palnet.detection.combining import SEEN_BY_COLOR
from palnet.exchange import read_landmarks, write_landmarks
from palnet_meshes import make_head
from palnet_panel import click, detect, wait_while
from palnet_scenes import SAMPLES, a_record, true_landmarks, vtk_array, write_textured_obj
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.linking import find_lists
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.model_scaling import scale_model
from PALNetLandmarksLib.scan_unit import CHOICE_ATTRIBUTE, chosen_unit


@pytest.fixture
def a_panel(panel_factory):
    return panel_factory()


def test_fresh_panel_says_what_to_do_and_offers_no_detection(a_panel):
    ui = a_panel.ui

    assert "Open a face scan" in ui.scanInfoLabel.text
    assert not ui.detectButton.enabled
    assert ui.progressBar.isHidden()
    assert not any(
        button.enabled
        for button in (ui.saveButton, ui.exportButton, ui.confirmButton, ui.measureButton)
    )
    assert ui.reviewedLabel.text == "No landmarks yet."


def test_example_is_detected_by_two_clicks(a_panel):
    ui = a_panel.ui

    click(ui.exampleButton)
    detect(a_panel)

    landmarks = LandmarkList(ui.landmarksSelector.currentNode())
    truth = read_landmarks(SAMPLES / "example.landmarks.csv").to_frame("RAS").positions
    errors = np.linalg.norm(landmarks.world_positions - truth, axis=1)
    assert np.nanmean(errors) < 1.5
    assert ui.statusLabel.text.startswith("PALNet example face: 50 of 50 landmarks in")
    assert ui.landmarkTable.rowCount == 50
    assert ui.reviewedLabel.text == "0 of 50 reviewed"
    assert ui.reviewedLabel.toolTip.endswith("allow for faces unlike all that it was trained on.")
    assert ui.detectButton.text == "Detect landmarks"
    assert ui.progressBar.isHidden()


def test_color_is_left_aside_if_told_so(a_panel, a_face):
    ui = a_panel.ui
    plain = a_panel.logic.detect(a_face)
    colors = paint_example().colors
    a_face.GetPolyData().GetPointData().AddArray(vtk_array(colors, "RGB"))
    ui.scanSelector.setCurrentNode(a_face)
    ui.landmarksSelector.setCurrentNode(None)
    found = {}
    for how in ("by shape and color", "by shape alone"):
        detect(a_panel)
        found[how] = LandmarkList(ui.landmarksSelector.currentNode())
        assert f" s, {how}: " in ui.statusLabel.text
        assert f"Detected {how}, by the trained model palnet50" in ui.reviewedLabel.toolTip
        ui.useColorCheckBox.click()
        ui.landmarksSelector.setCurrentNode(None)

    with_color, without = found.values()
    np.testing.assert_array_equal(without.positions, LandmarkList(plain).positions)
    is_moved = np.linalg.norm(with_color.positions - without.positions, axis=1) > 0.01
    assert {without.scheme.codes[row] for row in np.flatnonzero(is_moved)} == set(SEEN_BY_COLOR)
    record = without.record
    assert record["provenance"]["color"] == {"used": False, "reason": "not asked for"}


def test_summary_of_a_detection_goes_when_it_is_undone(a_panel, a_face):
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(a_face)
    detect(a_panel)
    click(ui.nextButton)
    click(ui.confirmButton)
    assert "50 of 50 landmarks in" in ui.statusLabel.text
    detect(a_panel)
    click(ui.undoButton)  # the second detection

    assert ui.statusLabel.text == ""
    click(ui.undoButton)  # the confirmation: nothing is said that was true before

    assert ui.statusLabel.text == ""


def test_scan_is_opened_from_a_file_and_its_folder_remembered(a_panel, answers, tmp_path):
    path = tmp_path / "f\u00e4ce.ply"
    path.write_bytes((SAMPLES / "example.ply").read_bytes())
    answers.expect("file", str(path), "Open face scan")

    click(a_panel.ui.openButton)

    assert a_panel.ui.scanSelector.currentNode().GetName() == "f\u00e4ce"
    assert "20913 points" in a_panel.ui.scanInfoLabel.text
    assert "unit: mm" in a_panel.ui.scanInfoLabel.text
    assert slicer.util.settingsValue("PALNet/LastFolder", "") == str(tmp_path)


def test_canceled_file_dialog_changes_nothing(a_panel, answers):
    answers.expect("file", "", "Open face scan")

    click(a_panel.ui.openButton)

    assert a_panel.ui.scanSelector.currentNode() is None


def test_file_that_was_cut_off_does_not_reach_slicer_unasked(a_panel, answers, tmp_path):
    """Slicer (5.13) ends with a segmentation fault when it reads such a file."""
    path = tmp_path / "cut off.ply"
    path.write_bytes((SAMPLES / "example.ply").read_bytes()[:20_000])
    answers.expect("file", str(path), "Open face scan")
    answers.expect("message", "No", "Slicer may crash when it opens such a file")

    click(a_panel.ui.openButton)

    assert a_panel.ui.scanSelector.currentNode() is None


def test_file_that_is_no_mesh_is_called_empty(a_panel, answers, hidden_failures, tmp_path):
    """Slicer returns an empty model for an unreadable PLY file, and logs why."""
    path = tmp_path / "broken.ply"
    path.write_text("ply\nformat ascii 1.0\n", encoding="utf-8")
    answers.expect("file", str(path), "Open face scan")
    answers.expect("message", "Yes", "Slicer may crash when it opens such a file")

    click(a_panel.ui.openButton)

    hidden_failures.take_vtk_errors("vtkPLYReader")
    assert "is empty" in a_panel.ui.scanInfoLabel.text
    click(a_panel.ui.detectButton)
    assert "Export the scan again" in a_panel.ui.statusLabel.text
    assert not a_panel.detectionSection.is_running


def test_findings_are_told_in_plain_words(a_panel, a_face):
    a_panel.ui.scanSelector.setCurrentNode(a_face)

    wait_while(lambda: "The surface is open" not in a_panel.ui.scanInfoLabel.text)

    assert "Loose pieces" in a_panel.ui.scanInfoLabel.text


def test_faults_that_nobody_has_to_mend_are_in_the_tool_tip(a_panel, a_face):
    label = a_panel.ui.scanInfoLabel
    a_panel.ui.scanSelector.setCurrentNode(a_face)

    wait_while(lambda: "Minor faults of the mesh: 3" not in label.text)

    assert "Triangles" not in label.text
    assert [line.partition(",")[0] for line in label.toolTip.splitlines()] == [
        "Triangles repeated or without an area",
        "Edges shared by more than two triangles: 782.",
        "Triangles wound against their neighbors",
    ]
    a_panel.ui.scanSelector.setCurrentNode(None)
    assert label.toolTip == ""


def test_mirror_image_is_told(a_panel, a_face):
    """As after a reflection in the module Transforms."""
    mirror = vtk.vtkTransform()
    mirror.Scale(-1, 1, 1)
    a_face.ApplyTransform(mirror)

    a_panel.ui.scanSelector.setCurrentNode(a_face)

    wait_while(lambda: "as in a mirror image" not in a_panel.ui.scanInfoLabel.text)


def test_missing_image_of_a_colored_scan_is_told(a_panel, tmp_path):
    path, head = tmp_path / "head.obj", make_head()
    colors = np.random.default_rng(2).integers(0, 256, head.points.shape, np.uint8)
    write_textured_obj(replace(head, colors=colors), path)
    path.with_suffix(".png").unlink()

    a_panel.ui.scanSelector.setCurrentNode(slicer.util.loadModel(str(path)))

    wait_while(lambda: "Not found: head.png." not in a_panel.ui.scanInfoLabel.text)


def test_scan_in_meters_is_scaled_and_back(a_panel, scene):
    model = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    scale_model(model, 0.001)
    model.SetAttribute("PALNet.ScaledToMillimeters", None)
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(model)
    landmarks = create_list(scene, true_landmarks().scheme, model, "On it")
    landmarks.node.SetNthControlPointPosition(0, 0.1, 0.2, 0.3)
    assert "unit: m, by its size." in ui.scanInfoLabel.text
    assert ui.unscaleButton.isHidden()

    click(ui.scaleButton)

    assert "unit: mm." in ui.scanInfoLabel.text
    assert ui.scaleButton.isHidden()
    np.testing.assert_allclose(landmarks.positions[0], [100, 200, 300])
    click(ui.unscaleButton)
    assert "unit: m, by its size." in ui.scanInfoLabel.text
    np.testing.assert_allclose(landmarks.positions[0], [0.1, 0.2, 0.3])


def test_small_face_is_told(a_panel, a_face):
    """Slicer takes all numbers for millimeters: a scan in another unit may look small."""
    scale_model(a_face, 0.65)
    a_panel.ui.scanSelector.setCurrentNode(a_face)

    detect(a_panel)

    assert (
        "of the mean size: it is a small child's, or the unit is wrong."
        in a_panel.ui.statusLabel.text
    )


@pytest.mark.parametrize("code", ["texture", "color"])
def test_color_that_was_not_used_is_told(code, a_panel, a_list):
    """Also if the command line detected the landmarks."""
    texts = {code: "Its image is damaged.", "holes": "The surface is open."}
    findings = [{"code": each, "message": text} for each, text in texts.items()]
    a_list.set_detection(true_landmarks(), {**a_record(), "findings": findings})

    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)

    assert a_panel.ui.statusLabel.text == "Its image is damaged."


def test_warning_of_a_detection_stands_whenever_its_list_is_shown(a_panel, a_face):
    scale_model(a_face, 0.65)
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    detect(a_panel)
    landmarks = a_panel.ui.landmarksSelector.currentNode()
    a_panel.ui.landmarksSelector.setCurrentNode(None)
    assert a_panel.ui.statusLabel.text == ""

    a_panel.ui.landmarksSelector.setCurrentNode(landmarks)

    assert a_panel.ui.statusLabel.text.startswith("The face has ")


def choose_unit(panel, name):
    """Choose as a user does: only that emits "activated"."""
    selector = panel.ui.unitSelector
    selector.setCurrentIndex(selector.findData(name))
    selector.activated.emit(selector.currentIndex)


def test_unit_that_is_chosen_counts_for_all_that_follows(a_panel, a_face):
    scale_model(a_face, 0.65)
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(a_face)
    assert ui.unitSelector.currentText == "Automatic"
    click(ui.byHandButton)
    by_hand = a_panel.reviewSection.review.landmarks
    assert by_hand.mm_per_unit == 1.0

    choose_unit(a_panel, "cm")
    assert ui.scanInfoLabel.text.startswith("Read in centimeters, the scan measures")
    assert ui.scaleButton.isHidden()

    scale_model(a_face, 0.1)
    a_face.SetAttribute(CHOICE_ATTRIBUTE, None)
    choose_unit(a_panel, "cm")
    assert "chosen" not in ui.scanInfoLabel.text  # the user saw an outdated scan
    choose_unit(a_panel, "cm")

    assert "unit: cm, chosen." in ui.scanInfoLabel.text
    assert by_hand.mm_per_unit == 10.0
    assert not ui.scaleButton.isHidden()
    detect(a_panel)
    assert LandmarkList(ui.landmarksSelector.currentNode()).mm_per_unit == 10.0


def test_refusal_because_of_the_unit_is_taken_back_with_the_unit(a_panel, a_face):
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(a_face)
    choose_unit(a_panel, "m")
    detect(a_panel)
    for label in (ui.statusLabel, ui.scanInfoLabel):
        assert "Read in meters, the scan measures 472,569 x " in label.text
        assert label.text.endswith("Choose another unit, or Automatic.")

    choose_unit(a_panel, "")

    assert ui.statusLabel.text == ""


def test_chosen_unit_is_the_scans_own(a_panel, a_face, scene):
    other = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(a_face)
    choose_unit(a_panel, "mm")

    ui.scanSelector.setCurrentNode(other)
    assert ui.unitSelector.currentText == "Automatic"
    assert "chosen" not in ui.scanInfoLabel.text
    ui.scanSelector.setCurrentNode(a_face)

    assert ui.unitSelector.currentText == "Millimeters"
    ui.scanSelector.setCurrentNode(None)
    assert not ui.unitSelector.enabled


def test_findings_stand_after_the_unit_is_chosen(a_panel, a_face):
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(a_face)
    choose_unit(a_panel, "mm")
    wait_while(lambda: "The surface is open" not in ui.scanInfoLabel.text)

    choose_unit(a_panel, "")

    assert "The surface is open" in ui.scanInfoLabel.text
    assert "chosen" not in ui.scanInfoLabel.text


def test_result_says_which_scan_it_is_about(a_panel, a_face, scene):
    """The user may have moved on to another scan."""
    other = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(a_face)
    click(ui.detectButton)
    ui.scanSelector.setCurrentNode(other)

    wait_while(lambda: a_panel.detectionSection.is_running)

    assert ui.statusLabel.text.startswith("Face: 50 of 50 landmarks in")
    assert ui.scanSelector.currentNode() is other


def test_warning_of_the_shown_list_stands_beside_another_scans_detection(a_panel, a_face):
    scale_model(a_face, 0.65)
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(a_face)
    detect(a_panel)
    warned = ui.landmarksSelector.currentNode()
    other = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    other.SetName("Other")
    ui.scanSelector.setCurrentNode(other)
    click(ui.detectButton)
    ui.landmarksSelector.setCurrentNode(warned)

    wait_while(lambda: a_panel.detectionSection.is_running)

    assert ui.statusLabel.text.startswith("Other: 50 of 50 landmarks in")
    assert "The face has " in ui.statusLabel.text
    click(ui.nextButton)
    click(ui.confirmButton)
    assert ui.statusLabel.text.startswith("Other: 50 of 50 landmarks in")  # nobody has undone it


def test_unit_of_a_detection_that_is_taken_back_does_not_stay(a_panel, a_face):
    """Place by hand, detect in that unit, choose another, undo: the list follows the scan again."""
    scale_model(a_face, 0.1)
    a_face.SetAttribute("PALNet.ScaledToMillimeters", None)
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(a_face)
    choose_unit(a_panel, "cm")
    click(ui.byHandButton)
    landmarks = a_panel.reviewSection.review.landmarks
    landmarks.node.SetNthControlPointPositionWorld(3, *(true_landmarks().positions[3] * 0.1))
    detect(a_panel)
    assert ui.landmarksSelector.currentNode() is landmarks.node
    choose_unit(a_panel, "in")
    assert "detect again" in ui.scanInfoLabel.text

    while landmarks.detected is not None:
        click(ui.undoButton)

    assert landmarks.mm_per_world_unit == pytest.approx(25.4)
    assert "another unit" not in ui.scanInfoLabel.text


def test_list_that_is_loaded_after_its_scan_is_shown(a_panel, a_list, a_face, scene, tmp_path):
    path = tmp_path / "pat.mrk.json"
    slicer.util.saveNode(a_list.node, str(path), properties={})
    scene.RemoveNode(a_list.node)
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    assert a_panel.reviewSection.review is None

    node = slicer.util.loadMarkups(str(path))
    qt.QApplication.processEvents()

    assert a_panel.ui.landmarksSelector.currentNode() is node
    assert a_panel.ui.scanSelector.currentNode() is a_face


def test_panel_follows_a_scan_that_another_module_scales(a_panel, a_face, scene):
    ui = a_panel.ui
    scale_model(a_face, 0.1)
    a_face.SetAttribute("PALNet.ScaledToMillimeters", None)
    ui.scanSelector.setCurrentNode(a_face)
    choose_unit(a_panel, "cm")
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    for axis in range(3):
        matrix.SetElement(axis, axis, 10.0)
    parent.SetMatrixTransformToParent(matrix)

    a_face.SetAndObserveTransformNodeID(parent.GetID())
    wait_while(lambda: "unit: mm, chosen" not in ui.scanInfoLabel.text)

    assert ui.unitSelector.currentText == "Millimeters"
    a_face.HardenTransform()
    QTest.qWait(500)
    assert "unit: mm, chosen" in ui.scanInfoLabel.text


def test_warning_stands_beside_a_canceled_detection(a_panel, a_face):
    scale_model(a_face, 0.65)
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    detect(a_panel)
    click(a_panel.ui.detectButton)

    click(a_panel.ui.detectButton)

    assert "canceled" in a_panel.ui.statusLabel.text
    assert "The face has " in a_panel.ui.statusLabel.text


@pytest.mark.parametrize("is_deleted", [False, True])
def test_running_detection_can_be_canceled_without_its_scan(a_panel, a_face, scene, is_deleted):
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(a_face)
    click(ui.detectButton)

    if is_deleted:
        scene.RemoveNode(a_face)
    else:
        ui.scanSelector.setCurrentNode(None)

    assert ui.detectButton.enabled
    click(ui.detectButton)
    assert "canceled" in ui.statusLabel.text
    assert not ui.detectButton.enabled


def test_running_detection_is_canceled_by_the_same_button(a_panel, a_face, scene):
    ui = a_panel.ui
    ui.scanSelector.setCurrentNode(a_face)
    click(ui.detectButton)
    assert ui.detectButton.text == "Cancel"
    assert not ui.progressBar.isHidden()

    click(ui.detectButton)

    assert not a_panel.detectionSection.is_running
    assert "canceled" in ui.statusLabel.text
    assert ui.detectButton.text == "Detect landmarks"
    QTest.qWait(1500)
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0


def test_elapsed_time_is_shown_while_it_runs(a_panel, a_face):
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    click(a_panel.ui.detectButton)

    told = re.compile(r"Face: detecting landmarks, \d+ s")  # a busy machine looks late
    wait_while(lambda: not told.search(a_panel.ui.statusLabel.text))
    wait_while(lambda: a_panel.detectionSection.is_running)


def test_refusal_stands_in_the_panel_and_makes_no_list(a_panel, some_splats):
    a_panel.ui.scanSelector.setCurrentNode(some_splats)

    detect(a_panel)

    assert a_panel.ui.statusLabel.text.startswith("Splats: ")
    assert "by hand" in a_panel.ui.statusLabel.text
    assert a_panel.ui.landmarksSelector.currentNode() is None


def test_closing_the_scene_meanwhile_is_safe(a_panel, a_face, scene):
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    click(a_panel.ui.detectButton)

    scene.Clear(False)
    QTest.qWait(1500)

    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0
    assert a_panel.ui.scanSelector.currentNode() is None
    assert not a_panel.ui.detectButton.enabled
    click(a_panel.ui.exampleButton)
    detect(a_panel)
    assert a_panel.ui.landmarkTable.rowCount == 50


def test_deleting_the_model_meanwhile_is_safe(a_panel, a_face, scene):
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    click(a_panel.ui.detectButton)

    scene.RemoveNode(a_face)
    wait_while(lambda: a_panel.detectionSection.is_running)

    assert "deleted" in a_panel.ui.statusLabel.text
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0


def test_leaving_the_module_lets_the_detection_end(a_panel, a_face):
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    click(a_panel.ui.detectButton)

    a_panel.exit()
    wait_while(lambda: a_panel.detectionSection.is_running)
    a_panel.enter()

    assert a_panel.ui.landmarkTable.rowCount == 50


def test_second_detection_writes_into_the_selected_list_and_keeps_corrections(a_panel, a_list):
    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    position = a_list.world_positions[5] + 4.0
    a_list.node.SetNthControlPointPositionWorld(5, *position)
    corrected = a_list.positions[5]

    detect(a_panel)

    assert a_panel.ui.landmarksSelector.currentNode() is a_list.node
    np.testing.assert_array_equal(a_list.positions[5], corrected)
    assert a_list.status[5] == "corrected"
    assert a_list.status[6] == "detected"


def test_panel_follows_the_selected_scan_and_list(a_panel, a_list, a_face, scene):
    other = scene.AddNewNodeByClass("vtkMRMLModelNode", "Other")
    other.SetAndObservePolyData(a_face.GetPolyData())
    ui = a_panel.ui

    ui.landmarksSelector.setCurrentNode(a_list.node)
    assert ui.scanSelector.currentNode() is a_face
    assert ui.landmarkTable.rowCount == 50

    ui.scanSelector.setCurrentNode(other)
    assert ui.landmarksSelector.currentNode() is None
    assert ui.landmarkTable.rowCount == 0

    ui.scanSelector.setCurrentNode(a_face)
    assert ui.landmarksSelector.currentNode() is a_list.node


def test_list_of_other_points_is_named_as_such(a_panel, a_face, scene):
    others = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Others")
    others.AddControlPoint([1.0, 2.0, 3.0], "one")
    a_panel.ui.scanSelector.setCurrentNode(a_face)

    a_panel.ui.landmarksSelector.setCurrentNode(others)

    assert "other points" in a_panel.ui.statusLabel.text
    assert a_panel.ui.landmarkTable.rowCount == 0
    detect(a_panel)
    assert others.GetNumberOfControlPoints() == 1
    assert a_panel.ui.landmarksSelector.currentNode() is not others


def test_selection_comes_back_with_the_scene(a_panel, a_list, tmp_path):
    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    a_panel.ui.snapCheckBox.setChecked(False)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path, properties={})
    slicer.mrmlScene.Clear(False)

    slicer.util.loadScene(path, properties={})
    qt.QApplication.processEvents()

    assert a_panel.ui.landmarksSelector.currentNode().GetName() == "Face landmarks"
    assert a_panel.ui.scanSelector.currentNode().GetName() == "Face"
    assert a_panel.ui.landmarkTable.rowCount == 50
    assert not a_panel.ui.snapCheckBox.checked


def test_parameter_node_and_panel_follow_each_other(a_panel, a_face):
    parameters = a_panel.logic.getParameterNode()

    parameters.scan = a_face
    parameters.showExpectedErrors = False
    assert a_panel.ui.scanSelector.currentNode() is a_face
    assert not a_panel.ui.errorsCheckBox.checked

    a_panel.ui.scanSelector.setCurrentNode(None)
    a_panel.ui.errorsCheckBox.setChecked(True)
    assert parameters.scan is None
    assert parameters.showExpectedErrors


def test_logic_detects_for_scripts(a_panel, a_face):
    node = slicer.util.getModuleLogic("PALNetLandmarks").detect(a_face)

    assert LandmarkList(node).status.count("detected") >= 45
    again = slicer.util.getModuleLogic("PALNetLandmarks").detect(a_face, node, replace=["prn"])
    assert again is node


def test_refused_scan_is_landmarked_by_hand(a_panel, a_face):
    a_panel.ui.scanSelector.setCurrentNode(a_face)

    click(a_panel.ui.byHandButton)

    landmarks = a_panel.reviewSection.review.landmarks
    assert landmarks.status == ("undefined",) * 50
    assert landmarks.model_node is a_face
    a_panel.reviewSection.table.select(3)
    assert a_panel.ui.placeButton.enabled
    landmarks.node.SetNthControlPointPositionWorld(3, *true_landmarks().positions[3])
    assert landmarks.status[3] == "corrected"
    assert not a_panel.ui.restoreAllButton.enabled


def test_detection_that_ends_late_leaves_the_user_where_he_is(a_panel, a_face, scene):
    other = scene.AddNewNodeByClass("vtkMRMLModelNode", "Other")
    other.SetAndObservePolyData(a_face.GetPolyData())
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    click(a_panel.ui.detectButton)

    a_panel.ui.scanSelector.setCurrentNode(other)
    wait_while(lambda: a_panel.detectionSection.is_running)

    assert a_panel.ui.scanSelector.currentNode() is other
    (found,) = find_lists(a_face)
    assert not found.node.GetDisplayVisibility()
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    assert a_panel.ui.landmarksSelector.currentNode() is found.node
    assert a_panel.ui.landmarkTable.rowCount == 50
    assert found.node.GetDisplayVisibility()


def test_list_that_ends_late_is_the_one_the_scan_comes_back_with(a_panel, a_list, a_face, scene):
    other = scene.AddNewNodeByClass("vtkMRMLModelNode", "Other")
    other.SetAndObservePolyData(a_face.GetPolyData())
    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    a_panel.ui.landmarksSelector.setCurrentNode(None)
    click(a_panel.ui.detectButton)

    a_panel.ui.scanSelector.setCurrentNode(other)
    wait_while(lambda: a_panel.detectionSection.is_running)
    create_list(scene, a_list.scheme, a_face, "By a script")
    a_panel.ui.scanSelector.setCurrentNode(a_face)

    _, found, _ = find_lists(a_face)
    assert a_panel.ui.landmarksSelector.currentNode() is found.node


def test_list_that_palnet_detect_wrote_is_taken_up_whole(a_panel, a_face, tmp_path):
    """As in the user guide: the mesh and face.mrk.json are dragged into Slicer."""
    path = tmp_path / "face.mrk.json"
    write_landmarks(detect_file(SAMPLES / "example.ply").landmarks, path)
    node = slicer.util.loadMarkups(str(path))

    a_panel.ui.scanSelector.setCurrentNode(a_face)

    assert a_panel.ui.landmarksSelector.currentNode() is node
    landmarks = a_panel.reviewSection.review.landmarks
    assert landmarks.model_node is a_face
    before = landmarks.state()
    node.SetNthControlPointPositionWorld(5, *(landmarks.world_positions[5] + 4.0))
    assert landmarks.status[5] == "corrected"
    click(a_panel.ui.restoreAllButton)
    assert before.changed_in(landmarks.state()) == []


def test_list_of_another_patient_is_not_taken_for_this_ones(a_panel, a_face, scene, tmp_path):
    path = tmp_path / "face.mrk.json"
    found = detect_file(SAMPLES / "example.ply").landmarks.to_frame("LPS")
    write_landmarks(replace(found, positions=found.positions + 40.0), path)
    node = slicer.util.loadMarkups(str(path))
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    assert a_panel.ui.landmarksSelector.currentNode() is None

    a_panel.ui.landmarksSelector.setCurrentNode(node)

    assert "lie on no model" in a_panel.ui.statusLabel.text
    assert a_panel.reviewSection.review.landmarks.model_node is None


def test_stale_offer_to_scale_is_not_carried_out(a_panel, scene):
    model = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    scale_model(model, 0.001)
    model.SetAttribute("PALNet.ScaledToMillimeters", None)
    a_panel.ui.scanSelector.setCurrentNode(model)
    slicer.util.arrayFromModelPoints(model)[:] *= 1000.0
    slicer.util.arrayFromModelPointsModified(model)

    click(a_panel.ui.scaleButton)

    assert "unit: mm." in a_panel.ui.scanInfoLabel.text
    assert a_panel.ui.scaleButton.isHidden()


def test_added_scene_leaves_the_selection(a_panel, a_list, a_face, scene, tmp_path):
    path = str(tmp_path / "other.mrb")
    a_panel.ui.landmarksSelector.setCurrentNode(None)
    a_panel.ui.scanSelector.setCurrentNode(None)
    assert slicer.util.saveScene(path, properties={})
    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)

    slicer.util.loadScene(path, properties={"clear": False})
    qt.QApplication.processEvents()

    assert a_panel.ui.scanSelector.currentNode() is a_face
    assert a_panel.ui.landmarksSelector.currentNode() is a_list.node


def test_logic_names_a_list_that_it_cannot_write_to(a_panel, a_face, scene):
    others = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Others")

    with pytest.raises(ValueError, match="'Others' holds other points"):
        a_panel.logic.detect(a_face, others)


def test_a_script_says_the_unit_of_a_scan_and_takes_it_back(a_panel, a_face):
    a_panel.logic.chooseUnit(a_face, "in")
    assert chosen_unit(a_face).name == "in"

    a_panel.logic.chooseUnit(a_face, "")
    assert chosen_unit(a_face) is None


def test_result_that_comes_while_placing_by_hand_stays_out_of_the_view(a_panel, a_face):
    """Who places again, to learn how repeatable that is, is not to see where the points are."""
    a_panel.ui.scanSelector.setCurrentNode(a_face)
    click(a_panel.ui.detectButton)
    click(a_panel.ui.byHandButton)
    by_hand = a_panel.ui.landmarksSelector.currentNode()

    wait_while(lambda: a_panel.detectionSection.is_running)

    visible = {each.node: bool(each.node.GetDisplayVisibility()) for each in find_lists(a_face)}
    assert visible.pop(by_hand)
    assert list(visible.values()) == [False]
    (found,) = visible
    a_panel.ui.landmarksSelector.setCurrentNode(found)
    assert found.GetDisplayVisibility()
