# SPDX-License-Identifier: Apache-2.0
"""Go through the scans of a folder with the panel."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pytest
import qt
import slicer
import vtk

from palnet.batch import process_scan
from palnet.exchange import read_landmarks, read_specimens, write_landmarks
from palnet.jobs import BatchOptions, plan_jobs
from palnet.scheme import Scheme
from palnet.surface import read_mesh
from palnet_folders import (
    NAMES,
    SCAN,
    current,
    entries,
    lists,
    models,
    opened,
    settled,
    write_list,
)
from palnet_models import LAB_CODES, lab_scheme, write_lab_model
from palnet_panel import click, detect, wait_while
from palnet_scenes import true_landmarks
from PALNetLandmarksLib.folder_export import proposed_path
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.model_scaling import scale_model
from PALNetLandmarksLib.panel.doubtful_question import goes_on_with_doubtful_scans
from PALNetLandmarksLib.save_export import LISTS_FOLDER, default_path
from PALNetLandmarksLib.saved_lists import Progress
from PALNetLandmarksLib.scan_folder import ScanFolder

MESSAGE = "are not saved. Save them as"


def move(landmarks, index):
    position = landmarks.world_positions[index] + 2.0
    landmarks.node.SetNthControlPointPositionWorld(index, *position.tolist())


def all_nodes():
    scene = slicer.mrmlScene
    return sorted(scene.GetNthNode(n).GetClassName() for n in range(scene.GetNumberOfNodes()))


def a_view_camera():
    camera = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetLayoutName("1")  # as Slicer does when a view uses it
    return camera


def choose(panel, row):
    """Choose as a user does: only that emits "activated"."""
    panel.ui.scanFileSelector.setCurrentIndex(row)
    panel.ui.scanFileSelector.activated.emit(row)


def test_row_appears_with_the_first_scan_of_a_folder(panel_factory, a_folder, answers):
    panel = panel_factory()
    assert panel.ui.scanFolderRow.isHidden()
    answers.expect("file", str(a_folder), "Open a folder of face scans")

    click(panel.ui.openFolderButton)

    assert not panel.ui.scanFolderRow.isHidden()
    assert (models(), panel.ui.scanSelector.currentNode().GetName()) == (["anna"], "anna")
    assert entries(settled(panel)) == ["anna.ply", "bea.ply", "carl.ply"]
    assert not panel.ui.previousScanButton.enabled


def test_folder_that_is_canceled_or_holds_no_scan_changes_nothing(a_panel, answers, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for answer in ("", str(empty)):
        answers.expect("file", answer, "Open a folder of face scans")
        if answer:
            answers.expect("message", "Ok", "There is no scan in .*empty")

        click(a_panel.ui.openFolderButton)

        assert (models(), len(entries(a_panel))) == (["anna"], 3)


def test_folder_that_cannot_be_listed_is_told(a_panel, a_folder, answers, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    answers.expect("file", str(tmp_path), "Open a folder of face scans")
    answers.expect("message", "Ok", "Permission denied. Check the rights")

    click(a_panel.ui.openFolderButton)

    assert (models(), len(entries(a_panel))) == (["anna"], 3)


def test_whole_folder_is_reviewed_and_saved(a_panel, a_folder, answers):
    ui = a_panel.ui
    for name, is_last in (("anna", False), ("bea", False), ("carl", True)):
        assert models() == [name]
        detect(a_panel)
        assert lists() == [f"{name} landmarks"]
        click(ui.nextButton)
        click(ui.confirmButton)
        if not is_last:
            answers.expect("message", "Save", MESSAGE)
            click(ui.nextScanButton)

    assert not ui.nextScanButton.enabled
    answers.expect("message", "Save", MESSAGE)
    click(ui.previousScanButton)

    assert entries(settled(a_panel)) == [f"{name}.ply: 49 to review" for name in NAMES]
    files = sorted(path.name for path in a_folder.glob("*.mrk.json"))
    assert files == [f"{name}.mrk.json" for name in NAMES]
    again = LandmarkList(ui.landmarksSelector.currentNode())
    assert (models(), len(lists())) == (["bea"], 1)
    assert again.status.count("confirmed") == 1
    saved = read_landmarks(a_folder / "bea.mrk.json").to_frame("RAS")
    np.testing.assert_allclose(again.world_positions, saved.positions, atol=1e-3)


def test_list_of_scans_tells_what_is_left_once_landmarks_are_saved(a_panel, a_folder, answers):
    detect(a_panel)
    click(a_panel.ui.nextButton)
    click(a_panel.ui.confirmButton)
    answers.expect("file", str(a_folder / "anna.mrk.json"), "Save landmarks")

    click(a_panel.ui.saveButton)

    assert entries(settled(a_panel)) == ["anna.ply: 49 to review", "bea.ply", "carl.ply"]


def test_scan_without_changes_is_left_without_a_question(a_panel, a_folder):
    write_list(a_folder / "bea.mrk.json")
    click(a_panel.ui.nextScanButton)
    assert a_panel.ui.reviewedLabel.text.endswith("of 50 reviewed")

    click(a_panel.ui.nextScanButton)

    assert (models(), lists()) == (["carl"], [])


def test_who_cancels_stays_in_the_folder(a_panel, a_folder, answers):
    detect(a_panel)
    other = a_folder / "other"
    other.mkdir()
    (other / "dora.ply").write_bytes(SCAN)
    answers.expect("file", str(other), "Open a folder of face scans")
    answers.expect("message", "Cancel", MESSAGE)

    click(a_panel.ui.openFolderButton)

    assert (models(), len(entries(a_panel))) == (["anna"], 3)
    assert slicer.util.settingsValue("PALNet/LastFolder", "") == str(a_folder)


def test_who_cancels_stays_and_who_discards_goes(a_panel, a_folder, answers):
    detect(a_panel)
    answers.expect("message", "Cancel", MESSAGE)
    choose(a_panel, 2)
    assert (models(), lists()) == (["anna"], ["anna landmarks"])
    assert a_panel.ui.scanFileSelector.currentIndex == 0

    answers.expect("message", "Discard", MESSAGE)
    choose(a_panel, 2)

    assert (models(), lists()) == (["carl"], [])
    assert not list(a_folder.glob("*.json"))


def test_save_that_fails_keeps_scan_and_landmarks(a_panel, a_folder, answers, monkeypatch):
    detect(a_panel)
    folder = a_folder / "anna.mrk.json"
    folder.mkdir()
    answers.expect("message", "Save", "exists and will be replaced")
    answers.expect("message", "Ok", "could not be written")

    click(a_panel.ui.nextScanButton)

    assert (models(), lists()) == (["anna"], ["anna landmarks"])


def test_view_turns_to_the_front_of_a_scan_that_was_detected(a_panel, a_folder):
    (job,) = plan_jobs([a_folder / "bea.ply"], BatchOptions(formats=("mrk.json",)))
    assert process_scan(job).outcome == "done"
    camera = a_view_camera()

    click(a_panel.ui.nextScanButton)

    landmarks = LandmarkList(a_panel.ui.landmarksSelector.currentNode())
    at = dict(zip(landmarks.scheme.codes, landmarks.world_positions, strict=True))
    toward = -np.array(camera.GetCamera().GetDirectionOfProjection())
    out_of_the_face = at["prn"] - (at["pra_r"] + at["pra_l"]) / 2
    assert toward @ out_of_the_face / np.linalg.norm(out_of_the_face) > 0.9


def test_corrections_go_into_the_list_s_own_file(a_panel, a_folder, answers):
    write_list(a_folder / "bea.mrk.json")
    click(a_panel.ui.nextScanButton)
    move(current(a_panel), 3)
    answers.expect("message", "Save", r"bea\.mrk\.json\?\n")

    click(a_panel.ui.nextScanButton)

    assert read_landmarks(a_folder / "bea.mrk.json").status[3] == "corrected"


@pytest.mark.parametrize("answer", ["Save", "Discard"])
def test_corrections_of_another_person_are_not_replaced_unasked(a_panel, a_folder, answers, answer):
    path = a_folder / "bea.mrk.json"
    write_list(path)
    click(a_panel.ui.nextScanButton)
    move(current(a_panel), 3)
    path.unlink()
    write_list(path, status=("confirmed",) * 49 + ("missing",))
    theirs = path.read_bytes()
    answers.expect("message", answer, "was changed since .* perhaps by another person")

    click(a_panel.ui.nextScanButton)

    assert (path.read_bytes() == theirs) == (answer == "Discard")
    assert models() == ["carl"]


def test_second_list_of_a_scan_does_not_replace_the_first(a_panel, a_folder, answers):
    detect(a_panel)
    a_panel.ui.landmarksSelector.setCurrentNode(None)
    detect(a_panel)
    answers.expect("message", "Save", r"anna\.mrk\.json\?")
    answers.expect("message", "Save", r"anna landmarks_1\.mrk\.json\?")

    click(a_panel.ui.nextScanButton)

    files = sorted(path.name for path in a_folder.glob("*.mrk.json"))
    assert files == ["anna landmarks_1.mrk.json", "anna.mrk.json"]


def test_landmarks_may_lie_in_another_folder(a_panel, tmp_path, answers):
    results = tmp_path / "results"
    results.mkdir()
    write_list(results / "anna.mrk.json")
    answers.expect("file", str(results), "Folder of the landmarks")

    click(a_panel.ui.listsFolderButton)

    assert (models(), len(lists())) == (["anna"], 1)
    click(a_panel.ui.nextScanButton)
    detect(a_panel)
    answers.expect("message", "Save", "results/bea.mrk.json")
    click(a_panel.ui.nextScanButton)
    assert (results / "bea.mrk.json").exists()


def test_folder_beside_the_scan_is_not_noted_with_it(a_panel, a_folder, tmp_path, answers):
    """A scene that is opened on another computer would name a folder that is not there."""
    noted = []
    for folder in (tmp_path, a_folder):
        answers.expect("file", str(folder), "Folder of the landmarks")
        click(a_panel.ui.listsFolderButton)
        noted.append(a_panel.ui.scanSelector.currentNode().GetAttribute(LISTS_FOLDER))

    assert noted == [str(tmp_path), None]


def test_scan_that_is_chosen_again_is_not_opened_again(a_panel):
    scan = a_panel.ui.scanSelector.currentNode()

    choose(a_panel, 0)

    assert a_panel.ui.scanSelector.currentNode() is scan


@pytest.mark.parametrize(("answer", "folder"), [("Save", "results"), ("Cancel", "scans")])
def test_landmarks_that_are_not_saved_go_into_the_folder_that_is_chosen(
    a_panel, a_folder, tmp_path, answers, answer, folder
):
    results = tmp_path / "results"
    results.mkdir()
    detect(a_panel)
    answers.expect("file", str(results), "Folder of the landmarks")
    answers.expect("message", answer, "Save them as .*results/anna.mrk.json")

    click(a_panel.ui.listsFolderButton)

    assert (results / "anna.mrk.json").exists() == (answer == "Save")
    assert lists() == ["anna landmarks"]
    chosen = {"results": results, "scans": a_folder}[folder]
    assert a_panel.ui.listsFolderButton.toolTip.endswith(chosen.as_posix())
    proposed = default_path(current(a_panel), ".mrk.json")
    assert proposed == chosen / "anna.mrk.json"


def test_damaged_landmarks_are_told_and_not_replaced_unasked(
    a_panel, a_folder, answers, hidden_failures
):
    (a_folder / "bea.mrk.json").write_text("{", encoding="utf-8")
    answers.expect("message", "Ok", r"could not be opened from .*bea\.mrk\.json(.|\n)*Put a copy")
    click(a_panel.ui.nextScanButton)
    hidden_failures.take_vtk_errors("Error parsing the file")
    assert models() == ["bea"]
    assert entries(settled(a_panel))[1] == "bea.ply: landmarks not readable"

    detect(a_panel)
    answers.expect("message", "Discard", "exists and will be replaced")
    click(a_panel.ui.nextScanButton)

    assert (a_folder / "bea.mrk.json").read_text(encoding="utf-8") == "{"


DAMAGED = "Slicer may crash when it opens such a file. Open it all the same"


def test_scan_that_was_cut_off_does_not_reach_slicer_unasked(a_panel, a_folder, answers):
    """Slicer (5.13) ends with a segmentation fault when it reads such a file."""
    (a_folder / "bea.ply").write_bytes(SCAN[:20_000])
    answers.expect("message", "No", rf"bea\.ply: the header promises(.|\n)*{DAMAGED}")
    click(a_panel.ui.nextScanButton)
    assert (models(), a_panel.ui.scanFileSelector.currentText[:7]) == ([], "bea.ply")

    click(a_panel.ui.nextScanButton)

    assert models() == ["carl"]


def test_scan_that_cannot_be_read_is_told_and_passed(a_panel, a_folder, answers, hidden_failures):
    (a_folder / "bea.ply").write_bytes(b"no mesh")
    answers.expect("message", "Yes", DAMAGED)
    click(a_panel.ui.nextScanButton)
    hidden_failures.take_vtk_errors("vtkPLYReader")
    assert "could not be read" in a_panel.ui.scanInfoLabel.text

    click(a_panel.ui.nextScanButton)

    assert models() == ["carl"]


@pytest.mark.parametrize(("answer", "stays"), [("Cancel", True), ("Discard", False)])
def test_scan_that_was_scaled_leaves_only_if_the_user_says_so(
    a_panel, a_folder, answers, answer, stays
):
    scale_model(a_panel.ui.scanSelector.currentNode(), 0.9)
    detect(a_panel)
    assert slicer.util.saveScene(str(a_folder / "scene.mrb"), properties={})
    answers.expect("message", "Save", MESSAGE)
    answers.expect("message", answer, "The scan 'anna' was changed, such as scaled")

    click(a_panel.ui.nextScanButton)

    assert models() == (["anna"] if stays else ["bea"])
    assert (a_folder / "anna.mrk.json").exists()


def test_landmarks_saved_while_the_scan_was_scaled_are_saved_again(a_panel, answers):
    ui = a_panel.ui
    scale_model(ui.scanSelector.currentNode(), 0.9)
    detect(a_panel)
    placed = current(a_panel).world_positions / 0.9
    answers.expect("message", "Save", MESSAGE)
    answers.expect("message", "Cancel", "The scan 'anna' was changed, such as scaled")
    click(ui.nextScanButton)

    click(ui.unscaleButton)
    answers.expect("message", "Save", MESSAGE)  # and no question about the scan
    click(ui.nextScanButton)
    click(ui.previousScanButton)

    np.testing.assert_allclose(current(a_panel).world_positions, placed, atol=1e-3)


def test_scan_that_was_cut_leaves_only_if_the_user_says_so(a_panel, answers):
    scan = a_panel.ui.scanSelector.currentNode()
    part = vtk.vtkPolyData()
    part.DeepCopy(scan.GetPolyData())
    scan.SetAndObservePolyData(part)
    answers.expect("message", "Cancel", "The scan 'anna' was changed, such as scaled or cut")

    click(a_panel.ui.nextScanButton)

    assert models() == ["anna"]


def test_row_waits_for_a_detection(a_panel):
    ui = a_panel.ui
    click(ui.detectButton)
    assert (ui.scanFolderRow.enabled, ui.openFolderButton.enabled) == (False, False)
    wait_while(lambda: a_panel.detectionSection.is_running)

    assert (ui.scanFolderRow.enabled, ui.openFolderButton.enabled) == (True, True)


def test_corrections_that_only_a_scene_bundle_holds_are_no_saved_ones(
    a_panel, a_folder, answers, tmp_path
):
    write_list(a_folder / "bea.mrk.json")
    click(a_panel.ui.nextScanButton)
    move(current(a_panel), 3)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), properties={})
    answers.expect("message", "Save", MESSAGE)

    click(a_panel.ui.nextScanButton)

    assert read_landmarks(a_folder / "bea.mrk.json").status[3] == "corrected"


def test_detection_that_only_a_scene_bundle_holds_is_no_saved_one(a_panel, answers, tmp_path):
    detect(a_panel)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), properties={})
    answers.expect("message", "Cancel", MESSAGE)

    click(a_panel.ui.nextScanButton)

    assert (models(), lists()) == (["anna"], ["anna landmarks"])


def test_list_that_the_user_has_opened_leaves_with_its_scan(a_panel, a_folder, tmp_path, answers):
    detect(a_panel)
    write_list(tmp_path / "second rater.mrk.json")
    node = slicer.util.loadMarkups(str(tmp_path / "second rater.mrk.json"))
    move(LandmarkList(node), 3)
    answers.expect("message", "Save", r"anna\.mrk\.json")
    answers.expect("message", "Save", r"second rater\.mrk\.json")

    click(a_panel.ui.nextScanButton)

    assert (models(), lists()) == (["bea"], [])
    assert read_landmarks(tmp_path / "second rater.mrk.json").status[3] == "corrected"


def test_file_of_other_points_is_told_and_does_not_stay(a_panel, a_folder, answers):
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "F")
    points.AddControlPoint([0.0, 0.0, 0.0], "F-1")
    slicer.util.saveNode(points, str(a_folder / "bea.mrk.json"), properties={})
    slicer.mrmlScene.RemoveNode(points)
    before = (a_folder / "bea.mrk.json").read_bytes()
    answers.expect("message", "Ok", "could not be opened(.|\n)*other points than landmarks")
    click(a_panel.ui.nextScanButton)
    assert (models(), lists()) == (["bea"], [])
    detect(a_panel)
    answers.expect("message", "Discard", r"bea\.mrk\.json\?\nThat file exists and will be replaced")

    click(a_panel.ui.nextScanButton)

    assert (a_folder / "bea.mrk.json").read_bytes() == before


def test_landmarks_are_opened_once_their_model_is_known(a_panel, a_folder, tmp_path, answers):
    """Of a file without the scheme, as from another program, only the labels tell what it holds."""
    truth = true_landmarks()
    # In an order of their own, since labels are known until the end of the process.
    ours = lab_scheme((*LAB_CODES[1:], LAB_CODES[0]), "nasion last")
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    for code in ours.codes:
        row = truth.scheme.index_of(code)
        points.AddControlPoint(truth.positions[row if truth.is_placed[row] else 0].tolist(), code)
    slicer.util.saveNode(points, str(a_folder / "bea.mrk.json"), properties={})
    slicer.mrmlScene.RemoveNode(points)
    answers.expect("message", "Ok", "a model of your own(.|\n)*then the scan again")
    click(a_panel.ui.nextScanButton)
    answers.expect("file", str(write_lab_model(tmp_path / "lab.npz", ours)), "Add model file")
    click(a_panel.ui.addTrainedModelButton)
    wait_while(lambda: a_panel.trainedModelSection.is_reading)
    assert (models(), lists()) == (["bea"], [])

    choose(a_panel, 1)

    assert (models(), lists()) == (["bea"], ["bea nasion last landmarks"])
    assert current(a_panel).scheme == ours


def test_scan_that_is_chosen_again_is_shown_instead_of_another_one(a_panel):
    scan = a_panel.ui.scanSelector.currentNode()
    click(a_panel.ui.exampleButton)
    assert not scan.GetDisplayVisibility()

    choose(a_panel, 0)

    assert a_panel.ui.scanSelector.currentNode() is scan
    assert scan.GetDisplayVisibility()


def test_landmarks_of_another_scan_of_one_name_are_not_taken(a_panel, a_folder, answers):
    elsewhere = read_mesh(a_folder / "bea.ply")
    points = elsewhere.points + np.array([300.0, 0.0, 0.0])
    lines = [f"v {x} {y} {z}" for x, y, z in points.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (elsewhere.triangles + 1).tolist()]
    (a_folder / "bea.obj").write_text("\n".join(lines), encoding="utf-8")
    write_list(a_folder / "bea.mrk.json")  # of bea.ply
    answers.expect("file", str(a_folder), "Open a folder of face scans")
    click(a_panel.ui.openFolderButton)
    assert entries(settled(a_panel))[1].startswith("bea.obj")
    answers.expect("message", "Ok", "They do not lie on it: they are those of another scan")
    click(a_panel.ui.nextScanButton)
    assert (models(), lists()) == (["bea"], [])
    detect(a_panel)
    answers.expect("message", "Cancel", "That file exists and will be replaced")

    click(a_panel.ui.nextScanButton)

    assert lists() == ["bea landmarks"]


def test_list_that_the_user_has_opened_stays_where_it_is_not_taken(a_panel, a_folder, answers):
    moved = true_landmarks().positions + 300.0
    write_list(a_folder / "bea.mrk.json", positions=moved)
    node = slicer.util.loadMarkups(str(a_folder / "bea.mrk.json"))
    node.SetName("of another scan")
    answers.expect("message", "Ok", "They do not lie on it")

    click(a_panel.ui.nextScanButton)

    assert (models(), lists()) == (["bea"], ["of another scan"])


def test_list_has_a_name_of_its_own(a_panel, a_folder):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "bea landmarks")
    write_list(a_folder / "bea.mrk.json")

    click(a_panel.ui.nextScanButton)

    assert lists() == ["bea landmarks_1"]


def test_scan_and_list_that_are_open_are_not_opened_twice(a_panel, a_folder, answers):
    write_list(a_folder / "bea.mrk.json")
    by_hand = slicer.util.loadModel(str(a_folder / "bea.ply"))
    node = slicer.util.loadMarkups(str(a_folder / "bea.mrk.json"))
    node.SetName("mine")
    LandmarkList(node).link_model(by_hand)  # it lies on all these scans
    move(LandmarkList(node), 3)

    click(a_panel.ui.nextScanButton)

    assert a_panel.ui.scanSelector.currentNode() is by_hand
    assert a_panel.ui.landmarksSelector.currentNode() is node
    assert (models(), lists()) == (["bea"], ["mine"])
    answers.expect("message", "Save", r"bea\.mrk\.json\?\n(?!That )")
    click(a_panel.ui.nextScanButton)
    assert read_landmarks(a_folder / "bea.mrk.json").status[3] == "corrected"


def test_two_lists_of_one_file_do_not_replace_each_other_unasked(a_panel, a_folder, answers):
    write_list(a_folder / "bea.mrk.json")
    click(a_panel.ui.nextScanButton)
    twice = slicer.util.loadMarkups(str(a_folder / "bea.mrk.json"))
    move(LandmarkList(twice), 3)
    answers.expect("message", "Cancel", "That file exists and will be replaced")

    click(a_panel.ui.nextScanButton)

    assert models() == ["bea"]


def test_list_of_another_scan_that_was_opened_here_is_told(a_panel, a_folder, answers):
    write_list(a_folder / "bea.mrk.json")
    move(LandmarkList(slicer.util.loadMarkups(str(a_folder / "bea.mrk.json"))), 3)
    answers.expect("message", "Cancel", r"bea\.mrk\.json\?\n.* of another scan: bea\.ply")

    click(a_panel.ui.nextScanButton)

    assert models() == ["anna"]


def test_what_another_node_shares_with_a_scan_stays(a_panel):
    (scan,) = slicer.util.getNodesByClass("vtkMRMLModelNode")
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "other")
    other.SetAndObserveDisplayNodeID(scan.GetDisplayNodeID())

    click(a_panel.ui.nextScanButton)

    assert other.GetDisplayNode() is not None


def test_nothing_of_a_scan_stays_in_the_scene(a_panel, a_folder):
    for name in NAMES:
        write_list(a_folder / f"{name}.mrk.json")
    click(a_panel.ui.nextScanButton)
    before = all_nodes()

    click(a_panel.ui.nextScanButton)
    click(a_panel.ui.previousScanButton)

    assert all_nodes() == before


def test_scan_is_reviewed_once_somebody_has_decided_on_all_landmarks(a_panel, a_folder, answers):
    ui = a_panel.ui
    write_list(a_folder / "bea.mrk.json")  # 49 detected, 1 missing
    click(ui.nextScanButton)
    assert entries(settled(a_panel))[1] == "bea.ply: 50 to review, 17 doubtful"
    for index in range(49):
        a_panel.reviewSection.review.confirm(index)
    assert ui.reviewedLabel.text == "49 of 50 reviewed"
    answers.expect("message", "Save", MESSAGE)
    click(ui.nextScanButton)
    assert entries(settled(a_panel))[1] == "bea.ply: 1 to review"
    click(ui.previousScanButton)
    a_panel.reviewSection.review.confirm(49)  # the scan does not show it
    answers.expect("message", "Save", MESSAGE)

    click(ui.nextScanButton)

    assert entries(settled(a_panel))[1] == "bea.ply: reviewed"


def test_landmarks_that_were_never_placed_are_to_review(a_panel, a_folder, answers):
    click(a_panel.ui.byHandButton)
    current(a_panel).node.SetNthControlPointPositionWorld(3, 1.0, 2.0, 3.0)
    answers.expect("message", "Save", MESSAGE)

    click(a_panel.ui.nextScanButton)

    assert entries(settled(a_panel))[0] == "anna.ply: 49 to review"


def test_folder_out_of_reach_is_told_before_landmarks_go_elsewhere(a_panel, a_folder, answers):
    detect(a_panel)
    a_folder.rename(a_folder.with_name("unplugged"))
    answers.expect("message", "Cancel", f"folder .*{a_folder.name} cannot be reached at present")

    click(a_panel.ui.nextScanButton)

    assert (models(), lists()) == (["anna"], ["anna landmarks"])


def test_folder_is_read_once_at_a_time_and_again_after_the_last_scan(a_panel, monkeypatch):
    readings, may_end = [], threading.Event()

    def read_slowly(folder):
        readings.append(threading.current_thread())
        may_end.wait()
        return dict.fromkeys(folder.scans, Progress(len(readings), 0))

    monkeypatch.setattr(ScanFolder, "progress", read_slowly)
    for _scan in range(2):
        click(a_panel.ui.nextScanButton)
    assert len(readings) == 1
    a_panel.ui.scanSelector.setCurrentNode(None)  # whatever is selected meanwhile
    may_end.set()

    assert entries(settled(a_panel)) == [f"{name}.ply: 2 to review" for name in NAMES]


def test_folder_goes_on_if_it_cannot_be_read_how_far_the_reviews_are(a_panel, monkeypatch):
    def fail(_folder):
        raise MemoryError

    monkeypatch.setattr(ScanFolder, "progress", fail)

    click(a_panel.ui.nextScanButton)

    assert entries(settled(a_panel)) == ["anna.ply", "bea.ply", "carl.ply"]


def test_folder_goes_on_after_the_scene_was_closed(a_panel):
    slicer.mrmlScene.Clear()
    wait_while(lambda: a_panel.selection.node is None)

    choose(a_panel, 0)

    assert models() == ["anna"]


def test_other_scans_of_the_scene_stay(a_panel, a_folder):
    click(a_panel.ui.exampleButton)
    write_list(a_folder / "bea.mrk.json")

    click(a_panel.ui.nextScanButton)

    assert models() == ["PALNet example face", "bea"]
    assert current(a_panel).model_node.GetName() == "bea"  # it lies on both
    assert a_panel.ui.scanSelector.currentNode().GetName() == "bea"


def choose_format(panel, name):
    panel.ui.formatSelector.setCurrentIndex(panel.ui.formatSelector.findData(name))


def choose_frame(panel, frame):
    panel.ui.frameSelector.setCurrentIndex(panel.ui.frameSelector.findData(frame))


def test_folder_is_exported_into_one_file(a_panel, a_folder, answers, tmp_path):
    expected = {}
    for number, name in enumerate(("anna", "carl")):
        moved = replace(true_landmarks(), positions=true_landmarks().positions + number)
        write_landmarks(moved, a_folder / f"{name}.mrk.json")
        expected[name] = moved.to_frame("LPS").positions
    choose(a_panel, 1)
    choose_format(a_panel, "csv")
    answers.expect("message", "Yes", "Scans with doubtful landmarks .* anna, carl")
    answers.expect("file", str(tmp_path / "all.csv"), "Export the landmarks of the folder")

    click(a_panel.ui.exportFolderButton)

    text = a_panel.ui.saveExportLabel.text
    assert "Scans: 2, in millimeters, axes LPS." in text
    assert "Left out, since no landmarks are saved: bea.ply." in text
    found = {each.specimen: each.positions for each in read_specimens(tmp_path / "all.csv")}
    assert list(found) == ["anna", "carl"]
    for name, positions in expected.items():
        np.testing.assert_allclose(found[name], positions, atol=1e-4)


def test_export_of_a_folder_is_proposed_beside_it(a_panel, a_folder, answers, monkeypatch):
    """In it, `palnet measure` and others would read its landmarks a second time."""
    write_list(a_folder / "anna.mrk.json", expected_error_mm=np.full(50, np.nan))
    choose_format(a_panel, "tps")
    choose_frame(a_panel, "RAS")
    proposed = []
    take = qt.QFileDialog.getSaveFileName
    monkeypatch.setattr(
        qt.QFileDialog, "getSaveFileName", lambda *args: proposed.append(args[2]) or take(*args)
    )
    for file in ("", a_folder.parent / "all.tps"):
        answers.expect("file", str(file), "Export the landmarks of the folder")
        click(a_panel.ui.exportFolderButton)

    assert proposed == [str(a_folder.parent / "Säuglinge 1.tps")] * 2
    assert "axes RAS" in a_panel.ui.saveExportLabel.text
    assert slicer.util.settingsValue("PALNet/Format", "") == "tps"
    written = read_landmarks(a_folder.parent / "all.tps")
    np.testing.assert_allclose(written.positions, true_landmarks().positions, atol=1e-4)
    assert (written.frame, written.specimen) == ("RAS", "anna")


def test_exported_folder_replaces_a_file_and_tells_what_was_renamed(
    panel_factory, a_folder, answers, tmp_path
):
    (a_folder / "bea.ply").rename(a_folder / "zoe\u0301.ply")  # as macOS spells it
    panel = opened(panel_factory(), a_folder, answers)
    for name in ("anna", "carl", "zoe\u0301"):  # doubtful, but reviewed
        write_list(a_folder / f"{name}.mrk.json", status=("confirmed",) * 49 + ("missing",))
    choose_format(panel, "tps")
    path = tmp_path / "all.tps"
    path.write_text("before", encoding="utf-8")
    answers.expect("file", str(path), "Export the landmarks of the folder")

    click(panel.ui.exportFolderButton)

    assert panel.ui.saveExportLabel.text.splitlines() == [
        f"Written: {path.as_posix()}",
        f"Written: {path.as_posix()}.frame.json",
        "Scans: 3, in millimeters, axes LPS.",
        "specimen 'zo\u00e9' is written as 'zoe'.",
    ]
    assert [each.specimen for each in read_specimens(path)] == ["anna", "carl", "zo\u00e9"]


def test_folder_with_doubtful_landmarks_is_exported_only_if_the_user_says_so(
    a_panel, a_folder, answers
):
    write_list(a_folder / "anna.mrk.json")
    choose_format(a_panel, "csv")
    a_panel.ui.saveExportLabel.setText("Written: something before")
    answers.expect("message", "No", "Scans with doubtful landmarks")

    click(a_panel.ui.exportFolderButton)

    assert a_panel.ui.saveExportLabel.text == ""


@pytest.mark.parametrize("top", [PurePosixPath("/"), PureWindowsPath("E:/")])
def test_export_of_a_folder_at_the_top_of_a_drive_has_a_name(top):
    assert proposed_path(ScanFolder((), top), ".csv") == top / "landmarks.csv"


def test_folder_with_unsaved_landmarks_is_not_exported(a_panel, a_folder):
    write_list(a_folder / "bea.mrk.json")
    detect(a_panel)

    click(a_panel.ui.exportFolderButton)

    assert "are not saved: save them first" in a_panel.ui.saveExportLabel.text


@pytest.mark.parametrize(
    ("name", "message", "formats"),
    [
        (
            "mrk.json",
            "A file of this format holds one scan.",
            ".csv, .wide.csv, .tps, .nts, .morphologika.txt, .morphoj.txt, .dta",
        ),
        (
            "morphologika",
            "Scans with missing landmarks: anna, bea.",
            ".csv, .wide.csv, .tps, .nts, .dta",
        ),
    ],
)
def test_format_that_cannot_hold_a_folder_is_refused(name, message, formats, a_panel, a_folder):
    write_list(a_folder / "anna.mrk.json")
    write_list(a_folder / "bea.mrk.json")
    choose_format(a_panel, name)

    click(a_panel.ui.exportFolderButton)

    said = a_panel.ui.saveExportLabel.text
    assert said.startswith(message)
    assert said.endswith(f": {formats}.")


def test_folder_of_two_schemes_is_not_exported(a_panel, a_folder):
    found = true_landmarks()
    own = Scheme("lab", found.scheme.landmarks[1:])
    rest = {key: getattr(found, key)[1:] for key in ("positions", "status", "expected_error_mm")}
    write_list(a_folder / "anna.mrk.json")
    write_list(a_folder / "bea.mrk.json", scheme=own, **rest)
    choose_format(a_panel, "csv")

    click(a_panel.ui.exportFolderButton)

    message = "anna has those of palnet50, others have bea. Move scans of one scheme"
    assert message in a_panel.ui.saveExportLabel.text


def test_question_before_an_export_fits_the_screen(a_panel, answers):
    answers.expect("message", "Yes", r"\(300\): s0, .*, s6 and 293 more\.")

    assert goes_on_with_doubtful_scans([f"s{number}" for number in range(300)])


def test_folder_without_landmarks_is_not_exported(a_panel):
    click(a_panel.ui.exportFolderButton)

    assert a_panel.ui.saveExportLabel.text.startswith("No landmarks are saved")


def test_folder_out_of_reach_is_no_folder_without_landmarks(a_panel, a_folder):
    a_folder.rename(a_folder.with_name("unplugged"))

    click(a_panel.ui.exportFolderButton)

    assert a_panel.ui.saveExportLabel.text.endswith(
        f"{a_folder.name} cannot be reached at present."
    )


def test_damaged_landmarks_leave_the_export_of_the_others_as_it_is(
    a_panel, a_folder, answers, tmp_path
):
    write_list(a_folder / "anna.mrk.json", status=("confirmed",) * 49 + ("missing",))
    choose_format(a_panel, "csv")
    for name in ("without.csv", "all.csv"):
        answers.expect("file", str(tmp_path / name), "Export the landmarks of the folder")
        click(a_panel.ui.exportFolderButton)
        (a_folder / "bea.mrk.json").write_text("{", encoding="utf-8")

    assert (tmp_path / "all.csv").read_bytes() == (tmp_path / "without.csv").read_bytes()
    assert a_panel.ui.saveExportLabel.text.splitlines()[-3:] == [
        "Scans: 1, in millimeters, axes LPS.",
        "Left out, since no landmarks are saved: carl.ply.",
        "Left out: bea.mrk.json: it is damaged, such as cut off. Put a copy in its place, or "
        "detect again.",
    ]


def test_folder_of_damaged_landmarks_is_not_exported(a_panel, a_folder):
    (a_folder / "bea.mrk.json").write_text("{", encoding="utf-8")
    choose_format(a_panel, "csv")

    click(a_panel.ui.exportFolderButton)  # asks nothing

    assert a_panel.ui.saveExportLabel.text.startswith("None of the landmarks that are saved")
    assert "bea.mrk.json: it is damaged" in a_panel.ui.saveExportLabel.text


def test_without_a_folder_there_is_none_to_export(panel_factory):
    assert panel_factory().ui.exportFolderButton.isHidden()
