# SPDX-License-Identifier: Apache-2.0
"""A list written by `palnet detect` has the same information in the panel as one detected there."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import slicer

from palnet.cli import main
from palnet.exchange import read_landmarks
from palnet.model import read_model
from palnet.similarity import apply_similarity, rotation_angle_deg
from palnet.surface import read_mesh, write_ply
from palnet_scenes import SAMPLES, face_from_world
from PALNetLandmarksLib.landmark_list import LandmarkList


@pytest.fixture(scope="module")
def detected(tmp_path_factory):
    """Files of detections, by requested frame, and by axes and unit of the scan."""
    folder = tmp_path_factory.mktemp("detected")
    mesh = read_mesh(SAMPLES / "example.ply")
    for name, factors, said in (
        ("mm", 1.0, b""),
        ("m", 1e-3, b""),
        ("ras", [-1.0, -1.0, 1.0], b"comment SPACE=RAS\n"),
    ):
        scan = folder / f"face_{name}.ply"
        write_ply(replace(mesh, points=mesh.points * np.array(factors)), scan)
        scan.write_bytes(scan.read_bytes().replace(b"element vertex", said + b"element vertex", 1))
        for frame in ("file", "lps", "ras"):
            output = str(folder / frame)
            given = ["detect", str(scan), "-o", output, "--format", "mrk.json", "--frame", frame]
            assert main(given) == 0
    return folder


def load(path):
    return LandmarkList(slicer.util.loadMarkups(str(path)))


@pytest.mark.parametrize("scan", ["mm", "m", "ras"])
@pytest.mark.parametrize("frame", ["file", "lps", "ras"])
def test_pose_and_origin_of_a_detection_come_along(frame, scan, detected, scene):
    landmarks = load(detected / frame / f"face_{scan}.mrk.json")

    record = landmarks.record
    pose = np.array(record["face_from_list"])
    assert rotation_angle_deg(pose, face_from_world()) < 5
    in_face_mm = apply_similarity(pose, landmarks.positions)
    off_mm = np.linalg.norm(in_face_mm - read_model().atlas.landmark_mean_mm, axis=1)
    assert np.nanmedian(off_mm) < 10
    assert record["provenance"]["model_sha256"] == read_model().sha256
    assert record["quality"]["verdict"] in ("good", "check")
    assert "detected" in record


@pytest.mark.parametrize(
    "damage", ["absent", "empty", "too deep", "other errors", "other codes", "no pose"]
)
def test_list_is_taken_without_a_record_that_is_not_its_own(damage, detected, scene, tmp_path):
    for name in ("face_mm.mrk.json", "face_mm.palnet.json"):
        (tmp_path / name).write_bytes((detected / "file" / name).read_bytes())
    path = tmp_path / "face_mm.palnet.json"
    record = json.loads(path.read_text("utf-8"))
    if damage == "other errors":
        record["landmarks"][3]["expected_error_mm"] = 9.0
    elif damage == "other codes":
        record["landmarks"].reverse()
    elif damage == "no pose":
        del record["face_from_scan_mm"]
    texts = {"empty": "", "too deep": "[" * 100_000}
    path.write_text(texts.get(damage, json.dumps(record)), encoding="utf-8")
    if damage == "absent":
        path.unlink()

    landmarks = load(tmp_path / "face_mm.mrk.json")

    assert set(landmarks.record) == {"detected", "detected_error_mm", "mm_per_unit"}
    assert landmarks.status.count("detected") > 45


def test_landmark_that_was_moved_without_the_module_is_corrected(detected, scene, tmp_path):
    """A user who drags list and mesh into Slicer may not know about the module."""
    for name in ("face_mm.mrk.json", "face_mm.palnet.json"):
        (tmp_path / name).write_bytes((detected / "file" / name).read_bytes())
    path = tmp_path / "face_mm.mrk.json"
    node = slicer.util.loadMarkups(str(path))
    node.SetNthControlPointPosition(3, *(np.array(node.GetNthControlPointPosition(3)) + 2.0))
    assert slicer.util.saveNode(node, str(path), properties={})
    slicer.mrmlScene.Clear(False)

    by_library, in_panel = read_landmarks(path), load(path)

    for status, errors in (
        (by_library.status, by_library.expected_error_mm),
        (in_panel.status, in_panel.expected_errors),
    ):
        assert [index for index, s in enumerate(status) if s == "corrected"] == [3]
        assert np.isnan(errors[3])
        assert np.isfinite(errors).sum() == status.count("detected")
    assert rotation_angle_deg(np.array(in_panel.record["face_from_list"]), face_from_world()) < 5
    assert in_panel.detected is None  # the detected position is unknown


def test_landmark_moved_without_the_module_after_the_panel_saved_it_is_corrected(
    a_list, scene, tmp_path
):
    path = str(tmp_path / "face.mrk.json")
    assert slicer.util.saveNode(a_list.node, path, properties={})
    assert "corrected" not in read_landmarks(path).status
    slicer.mrmlScene.Clear(False)
    node = slicer.util.loadMarkups(path)
    node.SetNthControlPointPosition(3, *(np.array(node.GetNthControlPointPosition(3)) + 2.0))

    assert slicer.util.saveNode(node, path, properties={})

    assert read_landmarks(path).status[3] == "corrected"
    assert read_landmarks(path).status.count("corrected") == 1
