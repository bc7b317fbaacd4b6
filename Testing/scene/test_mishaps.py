# SPDX-License-Identifier: Apache-2.0
"""Mishaps caused in other modules: nothing is lost, and no list changes its scan."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from palnet.errors import MeshError
from palnet.surface import read_mesh
from palnet_scenes import a_record, saved_and_loaded, shifted_copy, true_landmarks
from PALNetLandmarksLib import surface_snap
from PALNetLandmarksLib.detection import DetectionRun
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.linking import find_lists, find_model
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.list_storage import RECORD_NAME, write_text
from PALNetLandmarksLib.models import mesh_from_model

Markups = slicer.vtkMRMLMarkupsNode


def test_dragging_all_landmarks_is_a_step_that_can_be_undone(a_review):
    """As with the middle button over a landmark, or the interaction handles."""
    landmarks, node = a_review.landmarks, a_review.landmarks.node
    a_review.confirm(3)
    before, record = landmarks.world_positions, landmarks.record

    node.InvokeEvent(Markups.PointStartInteractionEvent)
    for index in range(len(landmarks) - 1):
        node.SetNthControlPointPositionWorld(index, *(before[index] + [20.0, 0.0, 0.0]))
    node.InvokeEvent(Markups.PointEndInteractionEvent)

    assert landmarks.status.count("corrected") == len(landmarks) - 1
    # Snapping would move each one differently.
    gone = landmarks.world_positions[:-1] - before[:-1]
    np.testing.assert_allclose(gone, np.tile([20.0, 0.0, 0.0], (len(gone), 1)))
    a_review.undo()
    np.testing.assert_allclose(landmarks.world_positions, before)
    assert landmarks.status[3] == "confirmed"
    assert landmarks.record == record


@pytest.mark.parametrize("is_watched", [True, False])
def test_points_that_were_sorted_elsewhere_keep_their_names(a_review, is_watched):
    landmarks, node = a_review.landmarks, a_review.landmarks.node
    before, status = landmarks.world_positions, landmarks.status
    if not is_watched:
        a_review.close()

    node.SwapControlPoints(3, 4)
    again = LandmarkList(node)

    np.testing.assert_allclose(again.world_positions, before)
    assert again.status == status
    labels = [node.GetNthControlPointLabel(index) for index in range(len(again))]
    assert labels == list(again.scheme.codes)


def test_list_with_a_changed_label_comes_back_from_its_file(a_list, tmp_path):
    a_list.node.SetNthControlPointLabel(0, "Trichion!")
    kept = LandmarkList(a_list.node)

    again = LandmarkList(saved_and_loaded(kept.node, tmp_path / "kept.mrk.json"))

    assert again.scheme == kept.scheme
    assert again.status == kept.status
    assert again.record == kept.record


@pytest.mark.parametrize("text", ["{damaged", "[1, 2]", "null"])
def test_list_with_a_damaged_record_is_one_from_elsewhere(a_list, text):
    before = a_list.status
    write_text(a_list.node, RECORD_NAME, text)

    again = LandmarkList(a_list.node)

    assert again.status == before
    assert "provenance" not in again.record


def test_model_with_few_vertices_without_a_position_is_read_like_its_file(a_face, tmp_path):
    path = tmp_path / "Face.ply"
    _spoil(a_face, [7, 3000])
    slicer.util.saveNode(a_face, str(path))

    from_scene, from_file = mesh_from_model(a_face), read_mesh(path)

    np.testing.assert_array_equal(from_scene.triangles, from_file.triangles)
    assert from_scene.findings == from_file.findings
    assert [finding.code for finding in from_scene.findings] == ["lost_vertices"]


def test_model_with_many_vertices_without_a_position_says_what_to_do(a_face):
    _spoil(a_face, slice(None, None, 100))

    with pytest.raises(
        MeshError,
        match=r"'Face' is damaged: .* not finite.* or repair them\. Export the scan again",
    ):
        mesh_from_model(a_face)


def _spoil(model, numbers):
    """Take the position of some vertices of a model away."""
    vtk_to_numpy(model.GetPolyData().GetPoints().GetData())[numbers] = np.nan


def test_list_from_a_file_goes_to_the_nearer_of_two_registered_scans(a_face, tmp_path):
    later = shifted_copy(a_face, [0.0, 0.0, 2.0], "Later")
    truth = true_landmarks()
    landmarks = create_list(a_face.GetScene(), truth.scheme, later, "Later landmarks")
    landmarks.set_detection(truth, a_record())
    for index in range(49):
        position = truth.positions[index] + [0.0, 0.0, 2.0]
        landmarks.node.SetNthControlPointPositionWorld(index, *position)
    alone = LandmarkList(saved_and_loaded(landmarks.node, tmp_path / "later.mrk.json"))

    assert alone.model_node is None
    assert find_lists(a_face) == []
    assert find_model(alone) is later


def test_each_scan_of_a_cohort_is_searched_once_for_all_its_lists(
    a_list, a_face, tmp_path, monkeypatch
):
    """One search per list and scan kept Slicer busy for half a minute with a dozen large scans."""
    others = [shifted_copy(a_face, [0.0, 0.0, 0.5 * step], f"Scan {step}") for step in (1, 2)]
    loose = [saved_and_loaded(a_list.node, tmp_path / "list.mrk.json") for _copy in range(3)]
    searched = []
    make_surface = surface_snap.world_surface
    monkeypatch.setattr(
        surface_snap, "world_surface", lambda node: searched.append(node) or make_surface(node)
    )

    find_lists(others[1])

    assert [LandmarkList(node).model_node for node in loose] == [a_face] * 3
    # One tests whether lists lie on it at all, then all are searched for the nearest one.
    assert len(searched) <= 1 + len([a_face, *others])


@pytest.mark.parametrize("is_deleted", [True, False])
def test_detection_leaves_a_list_with_corrections_on_another_scan_alone(
    a_list, a_face, scene, is_deleted
):
    later = shifted_copy(a_face, [0.0, 0.0, 2.0], "Later")
    a_list.apply(a_list.state().with_status([3], "confirmed"))
    before = a_list.world_positions
    if is_deleted:
        scene.RemoveNode(a_face)

    run = DetectionRun(later, a_list.node)
    run.job.wait()
    found = run.finish()

    assert found.node is not a_list.node
    assert found.model_node is later
    assert "corrections on another scan" in run.remark
    np.testing.assert_array_equal(a_list.world_positions, before)
