# SPDX-License-Identifier: Apache-2.0
"""Lengths in millimeters stay correct however a scan and its landmarks are scaled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import vtk

from palnet.exchange import read_landmarks
from palnet_scenes import a_record, saved_and_loaded, true_landmarks
from PALNetLandmarksLib.detection import create_empty_list
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.linking import lies_on
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.list_storage import write_record
from PALNetLandmarksLib.model_scaling import scale_model
from PALNetLandmarksLib.models import state_of_model, world_matrix
from PALNetLandmarksLib.review import Review
from PALNetLandmarksLib.save_export import in_model_file

# Two landmarks, and their distance.
PAIR = (0, 10)


def length_mm(landmarks):
    """Compute the distance of the pair from the coordinates and unit of a set."""
    return float(np.linalg.norm(np.subtract(*landmarks.positions_mm[list(PAIR)])))


TRUE_MM = length_mm(true_landmarks())


@pytest.fixture
def a_face_in_centimeters(a_face):
    scale_model(a_face, 0.1)
    a_face.SetAttribute("PALNet.ScaledToMillimeters", None)
    return a_face


def put_under(nodes, scene, factor):
    """Put nodes under a transform that scales, rotates and shifts."""
    transform = vtk.vtkTransform()
    transform.Translate(30, -20, 10)
    transform.RotateWXYZ(40, 1, 2, 3)
    transform.Scale(factor, factor, factor)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(transform.GetMatrix())
    for node in nodes:
        node.SetAndObserveTransformNodeID(parent.GetID())


def detected_list(model, world_unit_mm):
    """Make a list like a detection, which uses world coordinates."""
    truth = true_landmarks()
    made = create_list(model.GetScene(), truth.scheme, model, "Found")
    positions = truth.positions * 0.1 @ world_matrix(model)[:3, :3].T + world_matrix(model)[:3, 3]
    record = {**a_record(), "mm_per_unit": world_unit_mm}
    made.set_detection(replace(truth, positions=positions), record)
    return made


@pytest.mark.parametrize("is_watched", [True, False])
def test_lengths_survive_a_transform_that_scales(
    a_face_in_centimeters, scene, tmp_path, is_watched
):
    model = a_face_in_centimeters
    put_under([model], scene, 10)
    landmarks = detected_list(model, 1.0)
    review = Review(landmarks) if is_watched else None
    assert length_mm(landmarks.landmark_set()) == pytest.approx(TRUE_MM, rel=1e-5)

    for node in (model, landmarks.node):
        node.HardenTransform()
    review = review or Review(landmarks)
    review.close()

    assert landmarks.mm_per_unit == pytest.approx(1.0)
    assert length_mm(landmarks.landmark_set()) == pytest.approx(TRUE_MM, rel=1e-5)
    assert landmarks.status == true_landmarks().status


def test_saved_list_has_the_unit_of_its_own_numbers(a_face_in_centimeters, scene, tmp_path):
    put_under([a_face_in_centimeters], scene, 10)
    landmarks = detected_list(a_face_in_centimeters, 1.0)

    node = saved_and_loaded(landmarks.node, tmp_path / "found.mrk.json")

    assert length_mm(read_landmarks(tmp_path / "found.mrk.json")) == pytest.approx(
        TRUE_MM, rel=1e-5
    )
    # Loaded without the transform, it is elsewhere, but has the same size.
    assert length_mm(LandmarkList(node).landmark_set()) == pytest.approx(TRUE_MM, rel=1e-5)


def test_numbers_of_the_models_file_have_its_unit(a_face_in_centimeters, scene):
    put_under([a_face_in_centimeters], scene, 10)
    landmarks = detected_list(a_face_in_centimeters, 1.0)
    scene.RemoveNode(a_face_in_centimeters.GetStorageNode())

    in_file = in_model_file(landmarks)

    assert in_file.mm_per_unit == pytest.approx(10.0)
    assert length_mm(in_file) == pytest.approx(TRUE_MM, rel=1e-5)


def test_list_put_under_a_transform_later_counts_in_its_millimeters(a_face_in_centimeters, scene):
    model = a_face_in_centimeters
    landmarks = detected_list(model, 10.0)

    put_under([model, landmarks.node], scene, 10)

    assert landmarks.mm_per_unit == 10.0
    assert landmarks.mm_per_world_unit == pytest.approx(1.0)
    assert length_mm(landmarks.landmark_set()) == pytest.approx(TRUE_MM, rel=1e-5)


def test_list_placed_by_hand_keeps_its_lengths_when_hardened(a_face_in_centimeters, scene):
    model, truth = a_face_in_centimeters, true_landmarks()
    landmarks = create_empty_list(model, truth.scheme)
    review = Review(landmarks)
    for index in range(20):
        landmarks.node.SetNthControlPointPositionWorld(index, *(truth.positions[index] * 0.1))
    length = length_mm(landmarks.landmark_set())
    assert length == pytest.approx(TRUE_MM, abs=1.0)  # they were snapped to the surface

    put_under([model, landmarks.node], scene, 10)
    for node in (model, landmarks.node):
        node.HardenTransform()
    review.close()

    assert length_mm(landmarks.landmark_set()) == pytest.approx(length, rel=1e-5)


@pytest.mark.parametrize("is_watched", [True, False])
@pytest.mark.parametrize("n_placed", [2, 3, 20])
@pytest.mark.parametrize("is_under_first", [True, False])
def test_hardened_transform_keeps_the_lengths_of_a_few_points(
    a_face_in_centimeters, scene, is_watched, n_placed, is_under_first
):
    model, truth = a_face_in_centimeters, true_landmarks()
    if is_under_first:
        put_under([model], scene, 10)
    landmarks = create_empty_list(model, truth.scheme)
    review = Review(landmarks)
    review.snap_to_surface = False
    to_world = world_matrix(model)
    chosen = [*PAIR, *(index for index in range(40) if index not in PAIR)][:n_placed]
    for index in chosen:
        place = to_world[:3, :3] @ (truth.positions[index] * 0.1) + to_world[:3, 3]
        landmarks.node.SetNthControlPointPositionWorld(index, *place)
    if not is_under_first:
        put_under([model, landmarks.node], scene, 10)
    if not is_watched:
        review.close()

    for node in (model, landmarks.node):
        node.HardenTransform()
    if not is_watched:
        review = Review(landmarks)

    assert review.remark == ""
    assert landmarks.status.count("corrected") == n_placed
    assert landmarks.mm_per_unit == pytest.approx(1.0)
    assert length_mm(landmarks.landmark_set()) == pytest.approx(TRUE_MM, rel=1e-5)
    review.close()


def test_hardened_transform_keeps_the_lengths_of_a_list_that_was_mostly_corrected(
    a_face_in_centimeters, scene
):
    model = a_face_in_centimeters
    put_under([model], scene, 10)
    landmarks = detected_list(model, 1.0)
    state = landmarks.state()
    landmarks.apply(state.with_status(range(46), "corrected"))

    for node in (model, landmarks.node):
        node.HardenTransform()
    Review(landmarks).close()

    assert length_mm(landmarks.landmark_set()) == pytest.approx(TRUE_MM, rel=1e-5)


def test_list_that_says_no_unit_says_none_after_a_correction(a_face, tmp_path):
    """A unit that the user sets must still apply to it."""
    truth = true_landmarks()
    landmarks = create_list(a_face.GetScene(), truth.scheme, a_face, "By hand")
    review = Review(landmarks)
    for index in PAIR:
        landmarks.node.SetNthControlPointPositionWorld(index, *truth.positions[index])
    review.close()
    saved_and_loaded(landmarks.node, tmp_path / "hand.mrk.json")

    in_meters = read_landmarks(tmp_path / "hand.mrk.json", mm_per_unit=1000.0)
    assert length_mm(in_meters) == pytest.approx(1000 * TRUE_MM, rel=0.02)  # snapped to the surface


def test_errors_of_a_list_from_elsewhere_come_back_with_an_undo(a_list, a_face):
    """One of its landmarks was corrected elsewhere, so it has no detection record."""
    node = a_list.node
    write_record(node, {})
    a_list.apply(a_list.state().with_status([3], "corrected"))
    errors = a_list.expected_errors
    assert np.isfinite(errors).sum() > 40
    review = Review(a_list)
    truth = true_landmarks()
    a_list.set_detection(replace(truth, expected_error_mm=np.full(len(truth), 9.0)), a_record())

    review.undo()

    np.testing.assert_array_equal(a_list.expected_errors, errors)
    review.close()


@pytest.mark.parametrize("n_placed", [2, 11, 20])
def test_undo_after_scaling_keeps_the_lengths(a_face_in_centimeters, n_placed):
    """With few points a scaling looks like a correction, but the module knows what it scaled."""
    model, truth = a_face_in_centimeters, true_landmarks()
    landmarks = create_empty_list(model, truth.scheme)
    review = Review(landmarks)
    review.snap_to_surface = False
    chosen = [*PAIR, *(index for index in range(40) if index not in PAIR)][:n_placed]
    for index in chosen:
        landmarks.node.SetNthControlPointPositionWorld(index, *(truth.positions[index] * 0.1))

    landmarks.carry(np.diag([10.0, 10.0, 10.0, 1.0]))

    assert length_mm(landmarks.landmark_set()) == pytest.approx(TRUE_MM, rel=1e-5)
    last = chosen[-1]
    review.undo()
    review.redo()
    assert length_mm(landmarks.landmark_set()) == pytest.approx(TRUE_MM, rel=1e-5)
    review.undo()
    assert np.isnan(landmarks.positions[last]).all()
    review.close()


def test_scaling_carries_a_list_under_another_transform(a_face_in_centimeters, scene):
    model = a_face_in_centimeters
    put_under([model], scene, 1.0)
    landmarks = detected_list(model, 10.0)
    world = landmarks.world_positions
    landmarks.node.SetAndObserveTransformNodeID(None)
    for index in np.flatnonzero(~np.isnan(world[:, 0])):
        landmarks.node.SetNthControlPointPosition(int(index), *world[index])
    assert lies_on(landmarks, model)
    to_world = world_matrix(model)

    scale_model(model, 10.0)
    landmarks.carry(to_world @ np.diag([10.0, 10.0, 10.0, 1.0]) @ np.linalg.inv(to_world))

    assert lies_on(landmarks, model)
    assert landmarks.mm_per_unit == pytest.approx(1.0)


def test_errors_of_a_detection_that_was_taken_back_are_gone(a_face):
    truth = true_landmarks()
    landmarks = create_empty_list(a_face, truth.scheme)
    review = Review(landmarks)
    landmarks.set_detection(truth, a_record())

    review.undo()
    landmarks.node.SetNthControlPointPositionWorld(3, *truth.positions[3])

    assert landmarks.status[3] == "corrected"
    assert np.isnan(landmarks.landmark_set().expected_error_mm).all()
    review.redo()
    review.close()


def test_model_with_other_triangles_on_the_same_points_is_another(a_face):
    before = state_of_model(a_face)
    source = a_face.GetPolyData()
    cut = vtk.vtkPolyData()
    cut.SetPoints(source.GetPoints())
    cells = vtk.vtkCellArray()
    cells.DeepCopy(source.GetPolys())
    cut.SetPolys(cells)

    a_face.SetAndObservePolyData(cut)

    assert state_of_model(a_face) != before
