# SPDX-License-Identifier: Apache-2.0
"""The unit of a scan, whether chosen, detected or inferred from its size, and its consequences."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

from palnet.errors import UnitError
from palnet.surface import Mesh, parse_unit
from palnet_meshes import make_sphere
from palnet_scenes import SAMPLES, true_landmarks
from PALNetLandmarksLib.detection import DetectionRun, ModelChangedError, create_empty_list
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.linking import find_lists, lies_on
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.list_storage import says_unit
from PALNetLandmarksLib.model_scaling import SCALE_ATTRIBUTE, model_scale, scale_model
from PALNetLandmarksLib.models import inspect_mesh, mesh_from_model, size_mm
from PALNetLandmarksLib.review import Review
from PALNetLandmarksLib.scan_unit import (
    BY_SIZE,
    CHOICE_ATTRIBUTE,
    CHOSEN,
    OF_LANDMARKS,
    adopt_unit,
    choose_unit,
    chosen_unit,
    find_unit,
    has_lists_in_other_unit,
)

INCH = 25.4


def unit_of(model):
    return find_unit(model, mesh_from_model(model))


def put_under_scaling(node, factor):
    transform = vtk.vtkMatrix4x4()
    for axis in range(3):
        transform.SetElement(axis, axis, factor)
    parent = node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(transform)
    node.SetAndObserveTransformNodeID(parent.GetID())


def detected(model):
    run = DetectionRun(model)
    run.job.wait()
    return run.finish()


def without_shoulders(model, factor):
    """Return the example face in another unit, without the shoulders, which rule out inches."""
    truth = true_landmarks().positions
    sphere = vtk.vtkSphere()
    sphere.SetCenter(*np.nanmean(truth, axis=0))
    sphere.SetRadius(120.0)
    cutter = vtk.vtkExtractPolyDataGeometry()
    cutter.SetInputData(model.GetPolyData())
    cutter.SetImplicitFunction(sphere)
    cutter.Update()
    model.SetAndObservePolyData(cutter.GetOutput())
    scale_model(model, factor)
    model.SetAttribute(SCALE_ATTRIBUTE, None)
    return model


@pytest.fixture
def a_face_in_inches(a_face):
    return without_shoulders(a_face, 1 / INCH)


def test_size_and_findings_of_the_example(a_face):
    mesh, unit = mesh_from_model(a_face), unit_of(a_face).unit

    width, depth, height = size_mm(mesh, unit)
    assert 100 < width < 500  # the rotated example with shoulders: 473
    assert 50 < depth < 400
    assert 150 < height < 500
    codes = {finding.code for finding in inspect_mesh(mesh, unit)}
    assert "holes" in codes
    assert "interior" not in codes


def test_findings_of_skin_out_of_a_volume_tell_what_lies_within():
    outer, inner = (make_sphere(radius, (0, 0, 0), 90) for radius in (90, 60))
    points = np.concatenate([outer[0], inner[0]])
    triangles = np.concatenate([outer[1], inner[1] + len(outer[0])])

    findings = inspect_mesh(Mesh(points, triangles, name="skin"), parse_unit("mm"))

    assert [finding.code for finding in findings] == ["interior"]


@pytest.mark.parametrize(
    ("factor", "unit"), [(1.0, "mm"), (0.1, "cm"), (0.001, "m"), (1000.0, "um")]
)
def test_unit_of_a_face_by_its_size(a_face, factor, unit):
    scale_model(a_face, factor)

    assert unit_of(a_face).unit.name == unit
    assert unit_of(a_face).source == BY_SIZE


def test_size_that_fits_no_unit_is_refused_and_can_be_scaled_by_a_transform(a_face, scene):
    """The panel offers no unit by its millimeters, as the command line does."""
    scale_model(a_face, 20.0)

    with pytest.raises(UnitError, match=r"9,451 x .*scale it to millimeters in the module Tran"):
        unit_of(a_face)

    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    for axis in range(3):
        matrix.SetElement(axis, axis, 1 / 20.0)
    parent.SetMatrixTransformToParent(matrix)
    a_face.SetAndObserveTransformNodeID(parent.GetID())
    assert unit_of(a_face).unit.name == "mm"


def test_other_units_that_fit_are_told(a_face_in_inches):
    found = unit_of(a_face_in_inches)

    assert {found.unit.name, *found.others} == {"cm", "in"}


def test_chosen_unit_goes_before_the_size(a_face_in_inches):
    choose_unit(a_face_in_inches, "in")
    assert (unit_of(a_face_in_inches).unit.name, unit_of(a_face_in_inches).source) == ("in", CHOSEN)

    choose_unit(a_face_in_inches, "")
    assert unit_of(a_face_in_inches).source == BY_SIZE


def test_chosen_unit_that_does_not_fit_the_size_is_refused(a_face):
    choose_unit(a_face, "m")

    with pytest.raises(UnitError, match="Read in meters, the scan measures"):
        unit_of(a_face)


@pytest.mark.parametrize(
    "text",
    [
        *("", "inch", "nan", "2.54", "[]", "{}"),
        *(f'{{"mm_per_unit": {value}, "lengths": []}}' for value in ("-1", "0", '"a"', "NaN")),
        '{"mm_per_unit": 1}',
        '{"mm_per_unit": 1, "lengths": "far"}',
    ],
)
def test_choice_that_is_no_length_is_none(a_face, text):
    a_face.SetAttribute(CHOICE_ATTRIBUTE, text)

    assert chosen_unit(a_face) is None


def test_chosen_unit_is_that_of_the_scene_under_a_transform(a_face_in_inches):
    """With a transform to millimeters, the world coordinates are millimeters."""
    choose_unit(a_face_in_inches, "in")

    put_under_scaling(a_face_in_inches, INCH)
    assert unit_of(a_face_in_inches).unit.name == "mm"
    choose_unit(a_face_in_inches, "mm")
    a_face_in_inches.SetAndObserveTransformNodeID(None)

    assert unit_of(a_face_in_inches).unit.name == "in"


def test_chosen_unit_follows_a_scaling(a_face_in_inches):
    choose_unit(a_face_in_inches, "in")

    scale_model(a_face_in_inches, INCH)
    assert unit_of(a_face_in_inches).unit.name == "mm"
    scale_model(a_face_in_inches, 1 / model_scale(a_face_in_inches))

    assert unit_of(a_face_in_inches).unit.name == "in"


def test_chosen_unit_is_saved_with_the_scene(a_face_in_inches, tmp_path):
    choose_unit(a_face_in_inches, "in")
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), properties={})
    slicer.mrmlScene.Clear(False)

    slicer.util.loadScene(str(tmp_path / "scene.mrb"), properties={})

    assert chosen_unit(slicer.util.getNode("Face")).name == "in"


def test_detection_takes_the_chosen_unit(a_face_in_inches):
    choose_unit(a_face_in_inches, "in")

    landmarks = detected(a_face_in_inches)

    assert landmarks.mm_per_unit == pytest.approx(INCH)
    assert landmarks.record["provenance"]["unit"] == "in"
    assert landmarks.record["provenance"]["unit_source"] == "given"
    found, truth = landmarks.landmark_set().positions_mm, true_landmarks().positions
    assert np.nanmean(np.linalg.norm(found - truth, axis=1)) < 2.0


def test_wrongly_chosen_unit_is_not_replaced_by_a_guess(a_face_in_inches):
    choose_unit(a_face_in_inches, "mm")

    with pytest.raises(UnitError):
        detected(a_face_in_inches)


def test_unit_of_a_detection_holds_for_what_is_placed_by_hand_later(a_face_in_inches):
    landmarks = detected(a_face_in_inches)
    assert landmarks.mm_per_unit == pytest.approx(INCH)

    assert unit_of(a_face_in_inches).source == OF_LANDMARKS
    by_hand = create_empty_list(a_face_in_inches, landmarks.scheme)
    assert by_hand.mm_per_unit == pytest.approx(INCH)


def test_unit_chosen_after_a_detection_asks_for_another_one(a_face_in_inches):
    detected(a_face_in_inches)
    assert not has_lists_in_other_unit(a_face_in_inches, unit_of(a_face_in_inches).unit)

    choose_unit(a_face_in_inches, "cm")

    assert has_lists_in_other_unit(a_face_in_inches, unit_of(a_face_in_inches).unit)


def test_unit_chosen_during_a_detection_stops_it(a_face):
    run = DetectionRun(a_face)
    choose_unit(a_face, "mm")
    run.job.wait()

    with pytest.raises(ModelChangedError, match="unit was changed"):
        run.finish()


@pytest.mark.parametrize("is_watched", [True, False])
def test_list_placed_by_hand_follows_the_chosen_unit(a_face_in_inches, is_watched):
    """By size alone, lengths would be wrong by a factor of 2.54; an undo must not restore that."""
    truth = true_landmarks()
    choose_unit(a_face_in_inches, "cm")
    landmarks = create_empty_list(a_face_in_inches, truth.scheme)
    review = Review(landmarks) if is_watched else None
    for index in (0, 10, 20):
        landmarks.node.SetNthControlPointPositionWorld(index, *truth.positions[index] / INCH)

    choose_unit(a_face_in_inches, "in")

    review = review or Review(landmarks)
    if is_watched:
        review.undo()
    first, second = landmarks.landmark_set().positions_mm[[0, 10]]
    length = np.linalg.norm(truth.positions[0] - truth.positions[10])
    assert np.linalg.norm(first - second) == pytest.approx(length, abs=1.0)  # snapped to the skin
    assert landmarks.status[20] == ("undefined" if is_watched else "corrected")
    review.close()


def place(landmarks, indices, factor=1 / INCH):
    truth = true_landmarks()
    for index in indices:
        landmarks.node.SetNthControlPointPositionWorld(index, *truth.positions[index] * factor)


def true_length(first, second):
    truth = true_landmarks().positions
    return float(np.linalg.norm(truth[first] - truth[second]))


def length_of(landmarks, first, second):
    positions = landmarks.landmark_set().positions_mm
    return float(np.linalg.norm(positions[first] - positions[second]))


def test_choice_taken_back_leaves_no_list_in_it(a_face):
    landmarks = create_empty_list(a_face, true_landmarks().scheme)
    place(landmarks, (0, 10), factor=1.0)

    choose_unit(a_face, "m")  # fits no face, so no list follows it
    assert landmarks.mm_per_unit == 1.0
    choose_unit(a_face, "cm")
    choose_unit(a_face, "")

    assert landmarks.mm_per_unit == 1.0
    assert landmarks.node.GetDisplayNode().GetGlyphSize() == pytest.approx(1.8)


@pytest.mark.parametrize("factor", [1.0, 2.54, INCH])
def test_chosen_unit_follows_a_hardened_transform(a_face_in_inches, factor):
    """In inches, then centimeters or millimeters, wherever the scan is: its size is unchanged."""
    choose_unit(a_face_in_inches, "in")
    turned = vtk.vtkTransform()
    turned.RotateWXYZ(35, 1, 2, 3)
    turned.Translate(10, -20, 30)
    turned.Scale(factor, factor, factor)
    parent = a_face_in_inches.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(turned.GetMatrix())
    a_face_in_inches.SetAndObserveTransformNodeID(parent.GetID())
    before = unit_of(a_face_in_inches).unit

    a_face_in_inches.HardenTransform()

    assert unit_of(a_face_in_inches).unit.mm_per_unit == pytest.approx(INCH / factor, rel=1e-4)
    assert unit_of(a_face_in_inches).unit.name == before.name


def test_chosen_unit_of_points_that_were_cut_away_stays(a_face):
    choose_unit(a_face, "mm")

    without_shoulders(a_face, 1.0)

    assert chosen_unit(a_face).name == "mm"


def filtered(model, vtk_filter):
    """Change the surface in place, like a module that smooths or decimates."""
    vtk_filter.SetInputData(model.GetPolyData())
    vtk_filter.Update()
    model.SetAndObservePolyData(vtk_filter.GetOutput())


def smoothing():
    smooth = vtk.vtkSmoothPolyDataFilter()
    smooth.SetNumberOfIterations(20)
    return smooth


def decimation():
    decimate = vtk.vtkDecimatePro()
    decimate.SetTargetReduction(0.3)
    return decimate


@pytest.mark.parametrize("make", [smoothing, decimation])
@pytest.mark.parametrize("is_hardened", [False, True])
def test_chosen_unit_outlasts_what_changes_the_surface(a_face_in_inches, make, is_hardened):
    choose_unit(a_face_in_inches, "in")
    landmarks = create_empty_list(a_face_in_inches, true_landmarks().scheme)
    place(landmarks, (0, 10, 20))
    if is_hardened:
        put_under_scaling(a_face_in_inches, INCH)
        a_face_in_inches.HardenTransform()
        chosen_unit(a_face_in_inches)  # the panel follows its scan
    else:
        scale_model(a_face_in_inches, INCH)
    landmarks.carry(np.diag([INCH, INCH, INCH, 1.0]))

    filtered(a_face_in_inches, make())
    adopt_unit(landmarks)

    assert chosen_unit(a_face_in_inches).name == "mm"
    assert length_of(landmarks, 0, 10) == pytest.approx(true_length(0, 10), rel=1e-3)


@pytest.mark.parametrize("factor", [1.02, 0.98, 1.005])
def test_hardened_slight_scale_changes_no_length(a_face, factor):
    """Slicer moves the points first: in between, the list still lies almost on the scan."""
    choose_unit(a_face, "mm")
    landmarks = create_empty_list(a_face, true_landmarks().scheme)
    place(landmarks, (0, 10, 20), factor=1.0)
    review = Review(landmarks)
    review.on_change = lambda _changed: adopt_unit(landmarks)
    before = length_of(landmarks, 0, 10)
    put_under_scaling(a_face, factor)
    landmarks.node.SetAndObserveTransformNodeID(a_face.GetTransformNodeID())

    for node in (landmarks.node, a_face):
        node.HardenTransform()
    adopt_unit(landmarks)

    assert length_of(landmarks, 0, 10) == pytest.approx(before, rel=1e-4)
    review.close()


def test_unit_that_fits_no_face_is_followed_by_no_list(a_face):
    landmarks = create_empty_list(a_face, true_landmarks().scheme)
    place(landmarks, (0, 10), factor=1.0)

    choose_unit(a_face, "m")
    adopt_unit(landmarks)

    assert landmarks.mm_per_unit == 1.0


def test_detection_that_comes_back_by_a_redo_has_the_unit_it_was_made_in(a_face_in_inches):
    choose_unit(a_face_in_inches, "in")
    landmarks = create_empty_list(a_face_in_inches, true_landmarks().scheme)
    review = Review(landmarks)
    place(landmarks, (3,))
    run = DetectionRun(a_face_in_inches, landmarks.node)
    run.job.wait()
    run.finish()
    review.undo()

    choose_unit(a_face_in_inches, "cm")
    assert landmarks.mm_per_unit == pytest.approx(10.0)
    review.redo()

    assert landmarks.mm_per_unit == pytest.approx(INCH)
    assert landmarks.record["mm_per_unit"] == pytest.approx(INCH)
    assert has_lists_in_other_unit(a_face_in_inches, unit_of(a_face_in_inches).unit)
    review.close()


def test_list_without_a_unit_takes_that_of_its_scan(a_face_in_inches):
    """A list saved by Slicer states none; taken for millimeters, a face would be 6 mm wide."""
    scene, scheme = a_face_in_inches.GetScene(), true_landmarks().scheme
    landmarks = create_list(scene, scheme, a_face_in_inches, "From Slicer")
    place(landmarks, (0, 10))
    choose_unit(a_face_in_inches, "in")
    landmarks.node.RemoveAllMeasurements()
    landmarks = LandmarkList(landmarks.node)
    assert not says_unit(landmarks.node)

    adopt_unit(landmarks)

    assert length_of(landmarks, 0, 10) == pytest.approx(true_length(0, 10), rel=1e-4)


def test_list_that_says_its_unit_keeps_it_where_none_was_chosen(a_face_in_inches):
    landmarks = create_empty_list(a_face_in_inches, true_landmarks().scheme)
    place(landmarks, (0, 10))
    landmarks.set_unit(INCH)

    adopt_unit(landmarks)

    assert landmarks.mm_per_unit == INCH
    assert (unit_of(a_face_in_inches).unit.name, unit_of(a_face_in_inches).source) == (
        "in",
        OF_LANDMARKS,
    )


def test_empty_list_is_in_the_unit_that_its_scan_has_when_the_first_landmark_is_placed(
    a_face_in_inches,
):
    """An empty list does not show that a transform was hardened."""
    choose_unit(a_face_in_inches, "in")
    put_under_scaling(a_face_in_inches, INCH)
    landmarks = create_empty_list(a_face_in_inches, true_landmarks().scheme)
    for node in (a_face_in_inches, landmarks.node):
        node.HardenTransform()

    adopt_unit(landmarks)
    place(landmarks, (0, 10), factor=1.0)

    assert length_of(landmarks, 0, 10) == pytest.approx(true_length(0, 10), rel=1e-4)


def test_list_that_lies_elsewhere_keeps_its_unit(a_face_in_inches):
    """Only the scan was put under a transform; the list was added later."""
    choose_unit(a_face_in_inches, "in")
    landmarks = create_empty_list(a_face_in_inches, true_landmarks().scheme)
    place(landmarks, (0, 10, 20))
    put_under_scaling(a_face_in_inches, INCH)

    choose_unit(a_face_in_inches, "mm")
    parent = a_face_in_inches.GetTransformNodeID()
    landmarks.node.SetAndObserveTransformNodeID(parent)

    assert length_of(landmarks, 0, 10) == pytest.approx(true_length(0, 10), rel=1e-4)


def test_redo_of_the_only_landmark_after_a_scaling_puts_it_onto_the_scan(a_face_in_inches):
    choose_unit(a_face_in_inches, "in")
    landmarks = create_empty_list(a_face_in_inches, true_landmarks().scheme)
    review = Review(landmarks)
    place(landmarks, (3,))
    review.undo()

    scale_model(a_face_in_inches, INCH)
    landmarks.carry(np.diag([INCH, INCH, INCH, 1.0]))
    review.redo()

    assert np.linalg.norm(landmarks.world_positions[3] - true_landmarks().positions[3]) < 1.0
    assert landmarks.mm_per_unit == pytest.approx(1.0)
    review.close()


def test_dots_are_as_large_in_every_unit(a_face_in_inches):
    truth = true_landmarks()
    choose_unit(a_face_in_inches, "in")
    landmarks = create_empty_list(a_face_in_inches, truth.scheme)
    display = landmarks.node.GetDisplayNode()
    size_mm = display.GetGlyphSize() * INCH
    assert 1.0 < size_mm < 3.0

    landmarks.carry(np.diag([INCH, INCH, INCH, 1.0]))
    assert display.GetGlyphSize() == pytest.approx(size_mm)

    display.SetGlyphSize(4.0)
    landmarks.carry(np.diag([1.1, 1.1, 1.1, 1.0]))
    assert display.GetGlyphSize() == 4.0


def test_scaling_can_be_taken_back(a_face):
    before = mesh_from_model(a_face).points

    scale_model(a_face, 0.001)
    assert model_scale(a_face) == pytest.approx(0.001)
    scale_model(a_face, 1 / model_scale(a_face))

    assert model_scale(a_face) == 1.0
    np.testing.assert_allclose(mesh_from_model(a_face).points, before, rtol=1e-6)


def test_list_of_another_patient_is_not_taken_for_that_of_a_scan_in_meters(scene):
    """It states no unit and is 0.87 from the scan, which would be less than a millimeter."""
    scan = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    scale_model(scan, 0.001)
    scan.SetAttribute(SCALE_ATTRIBUTE, None)
    truth = true_landmarks()
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Other patient")
    for code, position in zip(truth.scheme.codes, truth.positions, strict=True):
        node.AddControlPoint((np.nan_to_num(position) * 0.001 + 0.5).tolist(), code)

    assert not lies_on(LandmarkList(node), scan)
    assert find_lists(scan) == []
