# SPDX-License-Identifier: Apache-2.0
"""A list of landmarks in the scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
import vtk

from palnet.exchange import read_landmarks
from palnet_fakes import move_landmarks
from palnet_scenes import N_LANDMARKS, a_record, saved_and_loaded, true_landmarks
from PALNetLandmarksLib.hardened_transforms import ANCHOR_ATTRIBUTE
from PALNetLandmarksLib.landmark_list import LandmarkList, is_landmark_list
from PALNetLandmarksLib.linking import all_lists, find_lists, find_model, lies_on
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.list_storage import (
    STATUS_NAME,
    read_values,
    write_values,
)
from PALNetLandmarksLib.model_scaling import SCALE_ATTRIBUTE, model_scale
from PALNetLandmarksLib.review import Review
from PALNetLandmarksLib.save_export import save

MISSING = N_LANDMARKS - 1


def turn(node, degrees):
    """Put a node under a rotation and a shift."""
    transform = vtk.vtkTransform()
    transform.Translate(30, -20, 10)
    transform.RotateWXYZ(degrees, 1, 2, 3)
    parent = node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(transform.GetMatrix())
    node.SetAndObserveTransformNodeID(parent.GetID())
    return parent


def assert_same(one, other):
    assert one.status == other.status
    assert one.record == other.record
    np.testing.assert_allclose(one.positions, other.positions, atol=1e-3)
    np.testing.assert_allclose(one.expected_errors, other.expected_errors, atol=1e-5)


def test_new_list_has_every_landmark_named_and_none_placed(a_face):
    scheme = true_landmarks().scheme
    made = create_list(a_face.GetScene(), scheme, a_face, "List")

    labels = [made.node.GetNthControlPointLabel(i) for i in range(len(made))]
    described = [made.node.GetNthControlPointDescription(i) for i in range(len(made))]
    assert labels == list(scheme.codes)
    assert described == [landmark.definition for landmark in scheme.landmarks]
    assert made.status == ("undefined",) * N_LANDMARKS
    assert np.isnan(made.positions).all()
    assert made.node.GetFixedNumberOfControlPoints()


def test_missing_landmark_is_missing_and_never_at_zero(a_list):
    node = a_list.node

    assert node.GetNthControlPointPositionStatus(MISSING) == node.PositionMissing
    assert a_list.status[MISSING] == "missing"
    assert np.isnan(a_list.world_positions[MISSING]).all()
    assert np.isnan(a_list.expected_errors[MISSING])


def hierarchy_of(node):
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())


def test_list_stays_when_its_model_is_deleted_with_all_below_it(a_list, a_face, scene):
    """As when the Data module deletes a single item."""
    hierarchy = hierarchy_of(a_face)

    hierarchy.RemoveItem(hierarchy.GetItemByDataNode(a_face), True, True)

    assert not scene.IsNodePresent(a_face)
    assert scene.IsNodePresent(a_list.node)


def test_list_stands_beside_its_model_until_the_user_moves_it(a_face):
    hierarchy = hierarchy_of(a_face)
    patient, other = (hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), name) for name in "ab")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(a_face), patient)

    made = create_list(a_face.GetScene(), true_landmarks().scheme, a_face, "List")

    item = hierarchy.GetItemByDataNode(made.node)
    assert hierarchy.GetItemParent(item) == patient
    hierarchy.SetItemParent(item, other)
    made.link_model(a_face)
    assert hierarchy.GetItemParent(item) == other


def has_changed(node):
    """Return whether Slicer would offer to save it."""
    return bool(node.GetModifiedSinceRead())


def test_slicer_is_told_that_a_landmark_was_agreed_to_be_missing(a_list, a_review, tmp_path):
    assert slicer.util.saveNode(a_list.node, str(tmp_path / "case.mrk.json"))
    assert not has_changed(a_list.node)

    a_review.confirm(MISSING)

    assert has_changed(a_list.node)


def test_slicer_is_told_of_another_unit_and_not_of_the_same(a_list, tmp_path):
    path = str(tmp_path / "case.mrk.json")
    assert slicer.util.saveNode(a_list.node, path)

    a_list.set_unit(2.0)
    assert has_changed(a_list.node)
    assert slicer.util.saveNode(a_list.node, path)
    a_list.set_unit(2.0)

    assert not has_changed(a_list.node)


def test_list_out_of_an_fcsv_keeps_what_a_detection_says_through_a_bundle(
    a_list, a_face, scene, tmp_path
):
    """Such a file has positions and labels only."""
    assert slicer.util.saveNode(a_list.node, str(tmp_path / "case.fcsv"))
    scene.RemoveNode(a_list.node)
    node = slicer.util.loadMarkups(str(tmp_path / "case.fcsv"))
    for index in range(10, 40):
        node.UnsetNthControlPointPosition(index)
    partial = LandmarkList(node)
    partial.link_model(a_face)
    partial.set_detection(true_landmarks(), a_record(), keep=partial.edited)
    expected = partial.state()

    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    scene.Clear(False)
    slicer.util.loadScene(str(tmp_path / "case.mrb"))

    (node,) = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    again = LandmarkList(node)
    assert again.status == expected.status
    assert again.status[10:40] == ("detected",) * 30
    assert again.record["detected"] == expected.record["detected"]
    assert np.isfinite(again.expected_errors[10:40]).all()


def test_list_with_a_renamed_label_is_known_in_its_file(a_list, a_review, scene, tmp_path):
    a_list.node.SetNthControlPointLabel(0, "bridge")

    assert slicer.util.saveNode(a_list.node, str(tmp_path / "case.mrk.json"))
    scene.RemoveNode(a_list.node)
    node = slicer.util.loadMarkups(str(tmp_path / "case.mrk.json"))

    assert LandmarkList(node).scheme == a_review.landmarks.scheme


def test_list_of_numbers_is_left_alone_until_it_is_chosen(a_list, scene, tmp_path):
    """The labels are those of iBUG 68, and of any list of a program that numbers points."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Numbers")
    for number in range(68):
        node.AddControlPoint([float(number), 0.0, 0.0], str(number + 1))

    assert [each.node for each in all_lists(scene)] == [a_list.node]
    assert not node.GetFixedNumberOfControlPoints()
    chosen = LandmarkList(node)
    assert chosen.scheme.name == "ibug68"
    assert [each.node for each in all_lists(scene)] == [a_list.node, node]
    # From now on a file is recognized by its statuses.
    assert slicer.util.saveNode(node, str(tmp_path / "numbers.mrk.json"))
    again = slicer.util.loadMarkups(str(tmp_path / "numbers.mrk.json"))
    assert [each.node for each in all_lists(scene)] == [a_list.node, node, again]


def test_convention_landmarks_lie_where_the_user_sees_the_model(a_face):
    parent = turn(a_face, 40.0)
    world = true_landmarks()
    matrix = slicer.util.arrayFromTransformMatrix(parent)
    moved = move_landmarks(world, matrix)

    made = create_list(a_face.GetScene(), world.scheme, a_face, "List")
    made.set_detection(moved, a_record())

    np.testing.assert_allclose(made.world_positions, moved.positions, atol=1e-9)
    np.testing.assert_allclose(made.positions, world.positions, atol=1e-9)


def test_kept_landmarks_survive_a_second_detection(a_list):
    node, truth = a_list.node, true_landmarks()
    node.SetNthControlPointPosition(3, 1.0, 2.0, 3.0)
    a_list.apply(a_list.state().with_status([3], "corrected"))

    a_list.set_detection(truth, a_record(), keep=[3])

    assert a_list.status[3] == "corrected"
    np.testing.assert_allclose(a_list.positions[3], [1.0, 2.0, 3.0])
    assert a_list.status[4] == "detected"
    np.testing.assert_allclose(a_list.detected.positions, truth.positions)


@pytest.mark.parametrize("suffix", [".mrk.json", ".mrb"])
def test_list_comes_back_whole(a_list, tmp_path, suffix):
    before = LandmarkList(a_list.node)
    before.apply(replace(before.state(), absent=frozenset([MISSING])))
    expected = (before.status, before.record, before.positions, before.expected_errors)

    node = saved_and_loaded(a_list.node, tmp_path / f"saved{suffix}")

    again = LandmarkList(node)
    assert again.status == expected[0]
    assert again.record == expected[1]
    np.testing.assert_allclose(again.positions, expected[2], atol=1e-3)
    np.testing.assert_allclose(again.expected_errors, expected[3], atol=1e-5)
    assert again.state().absent == frozenset([MISSING])
    assert node.GetFixedNumberOfControlPoints()


def test_bundle_keeps_the_model_of_a_list(a_list, tmp_path):
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path, properties={})
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(path, properties={})

    again = LandmarkList(slicer.util.getNode("Face landmarks"))
    assert again.model_node is slicer.util.getNode("Face")


def test_scene_file_brings_list_and_scan_back_onto_each_other(a_list, tmp_path):
    """Both are in files of their own, whose axes only the scene file tells."""
    path = tmp_path / "scene.mrml"
    save(a_list, tmp_path / "face.mrk.json")
    assert slicer.util.saveScene(str(path), properties={})
    status = a_list.status
    slicer.mrmlScene.Clear(False)

    slicer.util.loadScene(str(path), properties={})

    again = LandmarkList(slicer.util.getNode("Face landmarks"))
    assert again.status == status
    assert again.model_node is slicer.util.getNode("Face")
    assert lies_on(again, again.model_node)


@pytest.mark.parametrize("code", [-1, 5, 9, 1e9])
def test_status_that_nobody_knows_is_no_confirmation(a_list, tmp_path, code):
    codes = read_values(a_list.node, STATUS_NAME)
    codes[[3, MISSING]] = code
    write_values(a_list.node, STATUS_NAME, codes)
    path = tmp_path / "face.mrk.json"
    assert slicer.util.saveNode(a_list.node, str(path), properties={})

    again = LandmarkList(slicer.util.loadMarkups(str(path)))

    assert (again.status[3], again.status[MISSING]) == ("corrected", "missing")
    assert again.status == read_landmarks(path).status


def test_point_that_was_called_missing_in_slicer_is_missing(a_list, tmp_path):
    a_list.node.SetNthControlPointPositionMissing(3)
    a_list.node.UnsetNthControlPointPosition(4)
    path = tmp_path / "face.mrk.json"
    assert slicer.util.saveNode(a_list.node, str(path), properties={})

    assert a_list.status[3:5] == ("missing", "undefined")
    assert read_landmarks(path).status == a_list.status


@pytest.mark.parametrize("text", ["{", "[1]", '{"rows": 3, "to_world": 1}', '{"rows": [[1, 2]]}'])
def test_scene_whose_notes_were_edited_by_hand_can_be_worked_with(a_list, a_face, text):
    a_list.node.SetAttribute(ANCHOR_ATTRIBUTE, text)
    a_face.SetAttribute(SCALE_ATTRIBUTE, text)

    review = Review(LandmarkList(a_list.node))
    review.confirm(3)

    assert (a_list.status[3], model_scale(a_face)) == ("confirmed", 1.0)
    review.close()


def test_library_reads_what_slicer_saved(a_list, tmp_path):
    path = tmp_path / "face.mrk.json"
    assert slicer.util.saveNode(a_list.node, str(path), properties={})

    read = read_landmarks(path)

    assert read.status == a_list.status
    np.testing.assert_allclose(read.to_frame("RAS").positions, a_list.world_positions, atol=1e-3)
    np.testing.assert_allclose(read.expected_error_mm, a_list.expected_errors, atol=1e-5)


def test_list_read_from_a_file_finds_its_model_by_name(a_list, a_face, tmp_path):
    path = str(tmp_path / "face.mrk.json")
    assert slicer.util.saveNode(a_list.node, path, properties={})
    again = LandmarkList(slicer.util.loadMarkups(path))

    assert again.model_node is None
    assert find_model(again) is a_face
    assert again.model_node is a_face


def test_list_of_other_points_is_no_landmark_list(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Others")
    node.AddControlPoint([1.0, 2.0, 3.0], "first")

    assert not is_landmark_list(node)
    assert not is_landmark_list(None)


def test_lists_of_a_model_are_found(a_list, a_face, scene):
    create_list(scene, a_list.scheme, a_face, "Second")

    names = [found.node.GetName() for found in find_lists(a_face)]
    assert names == ["Face landmarks", "Second"]


def test_scaling_keeps_landmarks_on_the_model(a_list):
    before = a_list.positions

    a_list.carry(np.diag([0.001, 0.001, 0.001, 1.0]))

    np.testing.assert_allclose(a_list.positions, before * 0.001)
    np.testing.assert_allclose(a_list.detected.positions, before * 0.001)
    assert a_list.mm_per_unit == pytest.approx(1000.0)
    assert a_list.status[0] == "detected"
