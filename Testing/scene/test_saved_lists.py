# SPDX-License-Identifier: Apache-2.0
"""Whether the file of a list holds it as it is."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import slicer

from palnet.exchange import write_landmarks
from palnet_scenes import true_landmarks
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.list_storage import RECORD_NAME
from PALNetLandmarksLib.model_scaling import scale_model
from PALNetLandmarksLib.review import Review
from PALNetLandmarksLib.save_export import save
from PALNetLandmarksLib.saved_lists import Progress, is_in_its_file, read_progress


def in_meters(landmarks):
    positions = landmarks.positions / 1000.0
    return replace(landmarks, positions=positions, mm_per_unit=1000.0, frame="file")


def in_lps(landmarks):
    return landmarks.to_frame("LPS")


def only_in_a_bundle(folder):
    assert slicer.util.saveScene(str(folder / "scene.mrb"), properties={})


@pytest.mark.parametrize("change", [lambda landmarks: landmarks, in_meters, in_lps])
def test_list_that_was_just_read_is_in_its_file(scene, tmp_path, change):
    path = tmp_path / "face.mrk.json"
    write_landmarks(change(true_landmarks()), path)

    landmarks = LandmarkList(slicer.util.loadMarkups(str(path)))

    assert is_in_its_file(landmarks)


def test_list_of_another_program_is_in_its_file_until_it_is_changed(scene, tmp_path):
    path = tmp_path / "face.mrk.json"
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "plain")
    truth = true_landmarks()
    for code, position in zip(truth.scheme.codes, truth.positions, strict=True):
        node.AddControlPoint(position.tolist(), code)
    node.UnsetNthControlPointPosition(49)
    assert slicer.util.saveNode(node, str(path), properties={})
    read = LandmarkList(slicer.util.loadMarkups(str(path)))
    assert is_in_its_file(read)

    read.node.SetNthControlPointPosition(3, 5.0, 5.0, 5.0)

    assert not is_in_its_file(read)


def test_list_of_points_only_is_in_its_file(scene, tmp_path):
    path, truth = tmp_path / "face.fcsv", true_landmarks()
    status = ("detected",) * 50
    complete = replace(truth, positions=np.nan_to_num(truth.positions, nan=9.0), status=status)
    write_landmarks(complete, path)

    assert is_in_its_file(LandmarkList(slicer.util.loadMarkups(str(path))))


def test_list_without_a_file_is_in_none_unless_it_is_empty(a_list):
    empty = create_list(a_list.node.GetScene(), a_list.scheme, a_list.model_node, "empty")
    assert (is_in_its_file(a_list), is_in_its_file(empty)) == (False, True)

    Review(empty).mark_missing(0)

    assert not is_in_its_file(empty)


@pytest.mark.parametrize("text", ["{", "3", '{"absent": null}', '{"absent": 3}', "[]", ""])
def test_record_that_was_edited_by_hand_hides_no_progress(a_list, tmp_path, text):
    path = tmp_path / "face.mrk.json"
    save(a_list, path)
    content = json.loads(path.read_bytes())
    (record,) = [
        each for each in content["markups"][0]["measurements"] if each["name"] == RECORD_NAME
    ]
    record["description"] = text
    path.write_text(json.dumps(content), encoding="utf-8")

    assert read_progress(path).n_open == 50
    opened = LandmarkList(slicer.util.loadMarkups(str(path)))
    assert not opened.state().absent


def test_missing_landmark_that_was_placed_after_all_is_in_its_file(a_review, tmp_path):
    a_list = a_review.landmarks
    a_review.confirm(49)  # that it is missing
    a_list.node.SetNthControlPointPosition(49, 1.0, 2.0, 3.0)
    save(a_list, tmp_path / "face.mrk.json")

    assert is_in_its_file(a_list)


@pytest.mark.parametrize("index", [3, 49])
def test_decision_that_only_a_scene_bundle_holds_is_not_in_its_file(a_review, tmp_path, index):
    a_list = a_review.landmarks
    save(a_list, tmp_path / "face.mrk.json")
    assert is_in_its_file(a_list)
    a_review.confirm(index)  # the last one is missing
    only_in_a_bundle(tmp_path)
    assert not a_list.node.GetModifiedSinceRead()

    assert not is_in_its_file(a_list)


def test_correction_that_only_a_scene_bundle_holds_is_not_in_its_file(a_review, tmp_path):
    a_list = a_review.landmarks
    for _time in range(2):
        a_list.node.SetNthControlPointPositionWorld(3, *(a_list.world_positions[3] + 2.0).tolist())
        only_in_a_bundle(tmp_path)
        assert not is_in_its_file(a_list)
        save(a_list, tmp_path / "face.mrk.json")
        assert is_in_its_file(a_list)


def test_note_on_a_point_is_not_in_the_file(a_list, tmp_path):
    save(a_list, tmp_path / "face.mrk.json")

    a_list.node.SetNthControlPointDescription(3, "beside the scar")

    assert not is_in_its_file(a_list)


@pytest.mark.parametrize("is_undone", [False, True])
def test_list_scaled_with_its_scan_is_in_a_file_that_lies_on_the_scan(a_list, tmp_path, is_undone):
    double, half = np.diag([2.0, 2.0, 2.0, 1.0]), np.diag([0.5, 0.5, 0.5, 1.0])
    path = tmp_path / "face.mrk.json"
    save(a_list, path)
    scale_model(a_list.model_node, 2.0)
    a_list.carry(double)
    assert is_in_its_file(a_list)  # which lies on the file of the scan

    if is_undone:
        save(a_list, path)
        assert is_in_its_file(a_list)
        scale_model(a_list.model_node, 0.5)
        a_list.carry(half)

    assert is_in_its_file(a_list) != is_undone


def test_list_whose_file_is_gone_is_not_in_it(a_list, tmp_path):
    save(a_list, tmp_path / "face.mrk.json")

    (tmp_path / "face.mrk.json").unlink()

    assert not is_in_its_file(a_list)


def test_progress_counts_what_nobody_has_decided_on(a_review, tmp_path):
    path, a_list = tmp_path / "face.mrk.json", a_review.landmarks
    assert read_progress(path) is None
    doubtful = len(a_list.unreviewed_doubtful)
    for step, index in enumerate((0, 48, 49)):
        a_review.confirm(index)
        save(a_list, path)
        assert read_progress(path) == Progress(49 - step, doubtful - (step > 0))
    a_review.mark_missing(1)
    save(a_list, path)

    assert read_progress(path) == Progress(46, doubtful - 1)


def test_file_that_was_cut_off_is_told_from_one_that_is_not_there(a_list, tmp_path):
    path = tmp_path / "face.mrk.json"
    assert read_progress(path) is None

    save(a_list, path)
    path.write_bytes(path.read_bytes()[:1000])

    assert not read_progress(path).is_readable
