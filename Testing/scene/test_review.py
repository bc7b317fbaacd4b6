# SPDX-License-Identifier: Apache-2.0
"""Manual corrections, with undo and redo."""

from __future__ import annotations

import numpy as np
import pytest
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from vtk.util.numpy_support import vtk_to_numpy

from palnet_scenes import N_LANDMARKS, a_record, true_landmarks
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.models import world_surface
from PALNetLandmarksLib.review import Review

MISSING = N_LANDMARKS - 1


def distance_to_surface(model, point):
    """Compute the distance to the triangles around the nearest vertices by brute force."""
    surface = world_surface(model)
    points = vtk_to_numpy(surface.GetPoints().GetData())
    near = cKDTree(points).query(point, k=12)[1]
    cells = vtk.vtkIdList()
    surface.BuildLinks()
    best = np.inf
    for vertex in near:
        surface.GetPointCells(int(vertex), cells)
        for cell in range(cells.GetNumberOfIds()):
            closest, weights = [0.0] * 3, [0.0] * 3
            distance2, part = vtk.reference(0.0), vtk.reference(0)
            surface.GetCell(cells.GetId(cell)).EvaluatePosition(
                list(point), closest, part, [0.0] * 3, distance2, weights
            )
            best = min(best, float(distance2))
    return float(np.sqrt(best))


def move(review, index, by=(4.0, 6.0, -3.0)):
    node = review.landmarks.node
    position = np.array(node.GetNthControlPointPositionWorld(index)) + by
    node.SetNthControlPointPositionWorld(index, *(float(value) for value in position))


def test_moved_landmark_lies_on_the_surface_and_is_corrected(a_review, a_face):
    before = a_review.landmarks.world_positions[5]

    move(a_review, 5)

    after = a_review.landmarks.world_positions[5]
    assert a_review.landmarks.status[5] == "corrected"
    assert np.linalg.norm(after - before) > 1.0
    assert distance_to_surface(a_face, after) < 1e-4


def test_moved_landmark_snaps_where_the_user_sees_the_model(a_review, a_face, scene):
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform = vtk.vtkTransform()
    transform.RotateZ(70)
    transform.Translate(100, 0, 0)
    parent.SetMatrixTransformToParent(transform.GetMatrix())
    for node in (a_face, a_review.landmarks.node):
        node.SetAndObserveTransformNodeID(parent.GetID())

    move(a_review, 5)

    assert distance_to_surface(a_face, a_review.landmarks.world_positions[5]) < 1e-4


def test_without_snapping_a_landmark_stays_where_it_is_put(a_review):
    a_review.snap_to_surface = False

    a_review.landmarks.node.SetNthControlPointPositionWorld(5, 1.0, 2.0, 3.0)

    np.testing.assert_allclose(a_review.landmarks.world_positions[5], [1.0, 2.0, 3.0])
    assert a_review.landmarks.status[5] == "corrected"


def test_drag_is_one_step_however_many_moves_it_has(a_review):
    node, before = a_review.landmarks.node, a_review.landmarks.positions
    node.InvokeEvent(node.PointStartInteractionEvent)
    for _ in range(5):
        move(a_review, 7, by=(1.0, 1.0, 0.0))
    assert not a_review.can_undo
    node.InvokeEvent(node.PointEndInteractionEvent)

    assert a_review.undo() == [7]
    assert not a_review.can_undo
    np.testing.assert_allclose(a_review.landmarks.positions, before)
    assert a_review.landmarks.status[7] == "detected"


def test_confirm_mark_missing_and_place_again(a_review):
    a_review.confirm(0)
    a_review.mark_missing(1)
    a_review.confirm(MISSING)

    assert a_review.landmarks.status[:2] == ("confirmed", "missing")
    assert np.isnan(a_review.landmarks.positions[1]).all()
    assert list(np.flatnonzero(a_review.is_reviewed)) == [0, 1, MISSING]

    a_review.prepare_placing(1)
    assert a_review.landmarks.status[1] == "missing"
    a_review.landmarks.node.SetNthControlPointPositionWorld(1, *true_landmarks().positions[1])
    assert a_review.landmarks.status[1] == "corrected"
    assert a_review.undo() == [1]
    assert a_review.landmarks.status[1] == "missing"


def test_unset_point_is_not_placed_and_cannot_be_confirmed(a_review):
    a_review.landmarks.node.UnsetNthControlPointPosition(4)

    assert a_review.landmarks.status[4] == "undefined"
    with pytest.raises(ValueError, match="is not placed"):
        a_review.confirm(4)
    a_review.undo()
    assert a_review.landmarks.status[4] == "detected"


def test_restore_one_leaves_the_others(a_review):
    truth = true_landmarks().positions
    move(a_review, 5)
    move(a_review, 6)

    a_review.restore([5])

    np.testing.assert_allclose(a_review.landmarks.positions[5], truth[5])
    assert a_review.landmarks.status[5:7] == ("detected", "corrected")
    a_review.restore()
    np.testing.assert_allclose(a_review.landmarks.positions, truth)
    assert a_review.landmarks.status[MISSING] == "missing"


def test_restore_without_a_detection_says_why_not(a_face):
    made = create_list(a_face.GetScene(), true_landmarks().scheme, a_face, "By hand")
    review = Review(made)

    with pytest.raises(ValueError, match="placed by hand"):
        review.restore()
    review.close()


def test_confirming_a_correction_keeps_it_a_correction(a_review):
    move(a_review, 5)

    a_review.confirm(5)

    assert a_review.landmarks.status[5] == "corrected"
    assert a_review.undo() == [5]
    assert not a_review.can_undo


def test_doubtful_landmarks_are_named_until_seen(a_review):
    codes = a_review.landmarks.scheme.codes
    doubtful = [codes[i] for i in range(MISSING) if a_review.landmarks.expected_errors[i] >= 4.0]
    assert a_review.landmarks.unreviewed_doubtful == doubtful

    a_review.confirm(codes.index(doubtful[0]))

    assert a_review.landmarks.unreviewed_doubtful == doubtful[1:]


def test_closed_review_watches_no_longer(a_list):
    review = Review(a_list)
    review.close()

    move(review, 5)

    assert not review.can_undo
    assert a_list.status[5] == "detected"


def test_two_lists_have_undo_of_their_own(a_review, a_face):
    other_list = create_list(a_face.GetScene(), a_review.landmarks.scheme, a_face, "Second")
    other_list.set_detection(true_landmarks(), a_record())
    other = Review(other_list)
    move(a_review, 5)
    move(other, 9)

    assert a_review.undo() == [5]
    assert other_list.status[9] == "corrected"
    assert other.undo() == [9]
    other.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["move", "confirm", "missing", "restore", "unset"]),
        st.integers(0, N_LANDMARKS - 1),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_undo_goes_back_to_the_start_and_redo_to_the_end(a_list, steps):
    a_list.set_detection(true_landmarks(), a_record())
    review, start = Review(a_list), a_list.state()
    for action, index in steps:
        placed = not np.isnan(a_list.positions[index]).any()
        if action == "move" and placed:
            move(review, index)
        elif action == "unset":
            a_list.node.UnsetNthControlPointPosition(index)
        elif action == "confirm" and a_list.status[index] != "undefined":
            review.confirm(index)
        elif action == "missing":
            review.mark_missing(index)
        elif action == "restore":
            review.restore([index])
    end = a_list.state()

    n_back = 0
    while review.can_undo:
        review.undo()
        n_back += 1
    assert a_list.state().changed_in(start) == []
    while review.can_redo:
        review.redo()
        n_back -= 1
    assert n_back == 0
    assert a_list.state().changed_in(end) == []
    review.close()


def test_detection_into_a_watched_list_is_nobodys_correction_and_can_be_undone(a_review):
    move(a_review, 5)
    corrected = a_review.landmarks.state()

    a_review.landmarks.set_detection(true_landmarks(), {**a_record(), "specimen": "Again"})

    assert a_review.landmarks.status[5] == "detected"
    move(a_review, 6)
    assert a_review.landmarks.status.count("corrected") == 1
    assert a_review.undo() == [6]
    assert a_review.undo() == [5]
    assert a_review.landmarks.state().is_same(corrected)


@pytest.mark.parametrize("is_watched", [True, False])
def test_hardened_transform_corrects_nothing(a_list, a_face, scene, is_watched):
    review = Review(a_list) if is_watched else None
    if is_watched:
        move(review, 5)
    before, status = a_list.world_positions, a_list.status
    transform = vtk.vtkTransform()
    transform.RotateWXYZ(70, 1, 2, 3)
    transform.Translate(100, 20, 30)
    for node in (a_face, a_list.node):
        harden(node, transform, scene)

    review = review or Review(a_list)

    expected = np.array([transform.TransformPoint(row) for row in before[:MISSING]])
    np.testing.assert_allclose(a_list.world_positions[:MISSING], expected, atol=1e-6)
    assert a_list.status == status
    review.restore()
    truth = true_landmarks().positions[:MISSING]
    moved = np.array([transform.TransformPoint(row) for row in truth])
    np.testing.assert_allclose(a_list.world_positions[:MISSING], moved, atol=1e-6)
    while review.can_undo:
        review.undo()
    np.testing.assert_allclose(a_list.world_positions[:MISSING], moved, atol=1e-6)
    review.close()


def test_only_the_last_steps_are_kept(a_review, monkeypatch):
    monkeypatch.setattr("PALNetLandmarksLib.review.MAX_UNDO", 3)
    positions = []
    for _ in range(5):
        positions.append(a_review.landmarks.positions[5])
        move(a_review, 5)

    n_back = 0
    while a_review.can_undo:
        a_review.undo()
        n_back += 1

    assert n_back == 3
    np.testing.assert_array_equal(a_review.landmarks.positions[5], positions[2])


def test_hardened_transform_that_was_turned_back_corrects_nothing(a_review, a_face, scene):
    """The identity up to rounding: 2e-13 mm."""
    there_and_back = vtk.vtkTransform()
    there_and_back.RotateWXYZ(33, 1, 2, 3)
    there_and_back.RotateWXYZ(-33, 1, 2, 3)
    landmarks = a_review.landmarks
    before, status, errors = landmarks.positions, landmarks.status, landmarks.expected_errors

    for node in (a_face, landmarks.node):
        harden(node, there_and_back, scene)

    assert not np.array_equal(landmarks.positions[:MISSING], before[:MISSING])
    assert (landmarks.status, a_review.can_undo) == (status, False)
    np.testing.assert_array_equal(landmarks.expected_errors, errors)


def test_steps_that_a_transform_ends_are_no_longer_offered(a_face, scene):
    """Without placed points, there is no sign of whether it was hardened."""
    made = create_list(scene, true_landmarks().scheme, a_face, "By hand")
    told = []
    review = Review(made)
    review.on_change = told.append
    review.mark_missing(3)
    assert review.can_undo
    told.clear()

    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    made.node.SetAndObserveTransformNodeID(parent.GetID())

    assert not review.can_undo
    assert told  # so that the panel updates its undo buttons
    review.close()


def test_landmark_that_a_person_marks_missing_has_no_expected_error(a_review):
    landmarks = a_review.landmarks
    expected = landmarks.expected_errors[3]

    a_review.mark_missing(3)

    assert np.isnan(landmarks.expected_errors[3])
    a_review.undo()
    assert landmarks.expected_errors[3] == expected


def harden(node, transform, scene):
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(transform.GetMatrix())
    node.SetAndObserveTransformNodeID(parent.GetID())
    node.HardenTransform()


def test_landmark_moved_while_nobody_watched_is_corrected(a_list):
    position = a_list.world_positions[5] + 4.0
    a_list.node.SetNthControlPointPositionWorld(5, *position)
    assert a_list.status[5] == "detected"

    review = Review(a_list)

    assert a_list.status.count("corrected") == 1
    assert a_list.status[5] == "corrected"
    assert np.isnan(a_list.expected_errors[5])
    review.close()


def test_second_drag_to_the_same_place_leaves_no_point_in_the_air(a_review, a_face):
    node = a_review.landmarks.node
    outward = a_review.landmarks.world_positions[3] * 0.0 + [0.0, 8.0, 0.0]
    start = a_review.landmarks.world_positions[3]
    for _ in range(3):
        node.SetNthControlPointPositionWorld(3, *(start + outward))
        assert distance_to_surface(a_face, a_review.landmarks.world_positions[3]) < 1e-4


def test_point_far_from_the_scan_is_told_and_not_pulled_onto_it(a_review):
    far = a_review.landmarks.world_positions[5] + [0.0, 300.0, 300.0]

    a_review.landmarks.node.SetNthControlPointPositionWorld(5, *far)

    np.testing.assert_allclose(a_review.landmarks.world_positions[5], far)
    assert "mm away from the scan" in a_review.remark
    move_back = true_landmarks().positions[5]
    a_review.landmarks.node.SetNthControlPointPositionWorld(5, *move_back)
    assert a_review.remark == ""


def test_undo_waits_for_the_end_of_a_drag(a_review):
    node = a_review.landmarks.node
    move(a_review, 5)
    node.InvokeEvent(node.PointStartInteractionEvent)
    move(a_review, 7)

    assert a_review.undo() == []

    node.InvokeEvent(node.PointEndInteractionEvent)
    assert a_review.undo() == [7]


def test_corrected_landmark_has_no_expected_error_until_it_is_put_back(a_review):
    before = a_review.landmarks.expected_errors

    move(a_review, 5)
    a_review.confirm(6)

    after = a_review.landmarks.expected_errors
    assert np.isnan(after[5])
    assert after[6] == before[6]
    a_review.restore([5])
    np.testing.assert_array_equal(a_review.landmarks.expected_errors, before)
