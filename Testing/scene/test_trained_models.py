# SPDX-License-Identifier: Apache-2.0
"""Detect with the user's own model, into lists of the scene."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from palnet.errors import ModelFileError
from palnet.exchange import read_landmarks
from palnet_models import LAB_CODES, lab_scheme, write_lab_model
from palnet_scenes import SAMPLES
from PALNetLandmarksLib.detection import DetectionRun
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.review import Review
from PALNetLandmarksLib.trained_models import names_of, read_trained_model, shipped_models


@pytest.fixture
def a_model_file(tmp_path):
    return write_lab_model(tmp_path / "lab model.npz")


def run_with(model, path, node=None, replace=()):
    run = DetectionRun(model, node, replace, str(path))
    run.job.wait()
    return run, run.finish()


def test_landmarks_are_those_of_the_lab_and_lie_on_the_face(a_face, a_model_file):
    _, landmarks = run_with(a_face, a_model_file)

    truth = read_landmarks(SAMPLES / "example.landmarks.csv").to_frame("RAS")
    rows = [truth.scheme.index_of(code) for code in LAB_CODES]
    errors = np.linalg.norm(landmarks.world_positions - truth.positions[rows], axis=1)
    assert landmarks.scheme == lab_scheme()
    assert landmarks.node.GetName() == "Face lab12 landmarks"
    assert errors.mean() < 2.0


def test_ticked_landmarks_of_another_scheme_do_not_stop_a_detection(a_list, a_face, a_model_file):
    review = Review(a_list)
    review.confirm(3)
    review.close()

    _, found = run_with(a_face, a_model_file, a_list.node, [3])

    assert found.node is not a_list.node
    assert a_list.status[3] == "confirmed"


def test_list_says_by_name_and_hash_what_made_it(a_face, a_model_file):
    _, landmarks = run_with(a_face, a_model_file)

    provenance = landmarks.record["provenance"]
    assert provenance["model"] == "lab model"
    assert provenance["model_sha256"] == hashlib.sha256(a_model_file.read_bytes()).hexdigest()
    assert provenance["scheme"] == "lab12"


def test_list_of_other_landmarks_is_left_and_a_new_one_made(a_list, a_face, a_model_file):
    a_list.node.SetNthControlPointPositionWorld(3, *(a_list.world_positions[3] + 4.0))
    before, n_lists = a_list.state(), count_lists(a_face)

    run, landmarks = run_with(a_face, a_model_file, a_list.node)

    assert landmarks.node is not a_list.node
    assert a_list.state().is_same(before)
    assert count_lists(a_face) == n_lists + 1
    assert "holds the landmarks of palnet50, and stays as it is" in run.remark


def count_lists(model):
    return model.GetScene().GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode")


def test_second_detection_of_the_lab_s_landmarks_keeps_corrections(a_face, a_model_file):
    _, landmarks = run_with(a_face, a_model_file)
    review = Review(landmarks)
    for index in (2, 3):
        node = landmarks.node
        node.SetNthControlPointPositionWorld(index, *(landmarks.world_positions[index] + 4.0))
    review.confirm(4)
    review.close()
    corrected = landmarks.positions[2]

    run, again = run_with(a_face, a_model_file, landmarks.node, replace=[3])

    assert again.node is landmarks.node
    assert again.status[2:5] == ("corrected", "detected", "confirmed")
    np.testing.assert_array_equal(again.positions[2], corrected)
    assert run.remark == ""


def test_model_of_the_same_landmarks_writes_into_the_list(a_list, a_face, tmp_path):
    path = write_lab_model(tmp_path / "tuned.npz", a_list.scheme)

    run, landmarks = run_with(a_face, path, a_list.node)

    assert landmarks.node is a_list.node
    assert landmarks.record["provenance"]["model"] == "tuned"
    assert run.remark == ""


def test_file_that_is_gone_is_named_and_nothing_is_made(a_face, a_model_file):
    a_model_file.unlink()

    with pytest.raises(ModelFileError, match=r"lab model\.npz is not there"):
        run_with(a_face, a_model_file)
    assert count_lists(a_face) == 0


def test_file_on_a_drive_out_of_reach_is_named_and_nothing_is_made(
    a_face, a_model_file, monkeypatch
):
    """Windows does not say of it that it is not there."""
    out_of_reach = OSError(errno.EINVAL, "The network location cannot be reached")
    monkeypatch.setattr(Path, "is_file", Mock(side_effect=out_of_reach))

    with pytest.raises(ModelFileError, match=r"lab model\.npz is not there"):
        run_with(a_face, a_model_file)
    assert count_lists(a_face) == 0


def test_damaged_file_is_named_and_nothing_is_made(a_face, a_model_file):
    a_model_file.write_bytes(a_model_file.read_bytes()[:5000])

    with pytest.raises(ModelFileError, match=r"lab model\.npz: not a palnet model"):
        run_with(a_face, a_model_file)
    assert count_lists(a_face) == 0


def test_file_that_was_trained_again_is_read_again(a_face, a_model_file):
    run_with(a_face, a_model_file)
    write_lab_model(a_model_file, lab_scheme(LAB_CODES[:4]))

    _, landmarks = run_with(a_face, a_model_file)

    assert len(landmarks) == 4


def test_scheme_survives_the_model(a_face, a_model_file):
    _, landmarks = run_with(a_face, a_model_file)
    a_model_file.unlink()

    assert LandmarkList(landmarks.node).scheme == lab_scheme()


def test_read_model_tells_scheme_hash_and_source(a_model_file):
    read = read_trained_model(str(a_model_file))

    assert read.scheme == lab_scheme()
    assert read.sha256 == hashlib.sha256(a_model_file.read_bytes()).hexdigest()
    assert read.source == "the shipped model, cut down"


def test_default_model_is_offered_first():
    assert shipped_models()[0] == "palnet50"


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    one, two, three = (str(tmp_path / name) for name in ("a/m.npz", "b/m.npz", "a/other.npz"))

    names = names_of(["palnet50", one, two, three])

    assert names == ["palnet50", f"m ({tmp_path / 'a'})", f"m ({tmp_path / 'b'})", "other"]
