# SPDX-License-Identifier: Apache-2.0
"""Spheres, camera and measured lines in the views."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from palnet.error_classes import CHECK_MM, CLASS_COLORS, GOOD_MM, classify_errors
from palnet.model import read_model
from palnet_models import LAB_CODES, lab_scheme
from palnet_scenes import (
    N_LANDMARKS,
    a_record,
    face_from_world,
    measured,
    measured_lines,
    true_landmarks,
)
from PALNetLandmarksLib.camera import look_at, look_at_face, look_at_model
from PALNetLandmarksLib.error_spheres import ErrorSpheres
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.measuring import MeasuredLine, table_for_spreadsheet
from PALNetLandmarksLib.review import Review

MISSING = N_LANDMARKS - 1


@pytest.fixture
def a_camera(scene):
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetLayoutName("1")  # as Slicer does when a view uses it
    return camera


def drawn(spheres):
    """Return center, radius and color of each sphere, from the triangles alone."""
    poly = spheres.node.GetPolyData()
    if poly.GetNumberOfPoints() == 0:
        return np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3))
    points = vtk_to_numpy(poly.GetPoints().GetData()).astype(float)
    colors = vtk_to_numpy(poly.GetPointData().GetScalars())
    n_each = len(points) // (N_LANDMARKS - 1)
    groups = points.reshape(-1, n_each, 3) if len(points) % n_each == 0 else points[None]
    # The poles come first; their midpoint is the center.
    centers = groups[:, :2].mean(axis=1)
    radii = np.linalg.norm(groups[:, 0] - centers, axis=1)
    return centers, radii, colors.reshape(len(groups), -1, 4)[:, 0, :3] / 255.0


def test_spheres_are_as_large_as_the_expected_error_and_colored_by_class(a_list):
    spheres = ErrorSpheres(a_list)

    spheres.update(np.zeros(N_LANDMARKS, dtype=bool))

    centers, radii, colors = drawn(spheres)
    placed = slice(0, MISSING)
    np.testing.assert_allclose(centers, a_list.world_positions[placed], atol=0.01)
    smallest = 1.5  # a smaller one would be hidden by the glyph of the point
    np.testing.assert_allclose(radii, np.fmax(a_list.expected_errors[placed], smallest), rtol=1e-3)
    classes = classify_errors(a_list.landmark_set())[placed]
    np.testing.assert_allclose(colors, [CLASS_COLORS[number] for number in classes], atol=0.01)
    assert set(classes) == {0, 1, 2}
    assert a_list.expected_errors[placed][classes == 1].min() >= GOOD_MM
    assert a_list.expected_errors[placed][classes == 2].min() >= CHECK_MM


def test_reviewed_landmarks_lose_their_spheres(a_list):
    spheres = ErrorSpheres(a_list)

    spheres.update(np.ones(N_LANDMARKS, dtype=bool))

    assert spheres.node.GetPolyData().GetNumberOfPoints() == 0


def test_landmark_that_is_looked_at_is_marked_even_if_reviewed(a_list):
    spheres = ErrorSpheres(a_list)

    spheres.update(np.ones(N_LANDMARKS, dtype=bool), current=3)

    points = vtk_to_numpy(spheres.node.GetPolyData().GetPoints().GetData())
    np.testing.assert_allclose(points.mean(axis=0), a_list.world_positions[3], atol=0.1)
    spheres.update(np.ones(N_LANDMARKS, dtype=bool), current=MISSING)
    assert spheres.node.GetPolyData().GetNumberOfPoints() == 0


def test_spheres_are_neither_saved_nor_listed_nor_picked_and_goes_with_the_review(a_list, scene):
    n_before = scene.GetNumberOfNodes()
    spheres = ErrorSpheres(a_list)
    assert ErrorSpheres(a_list).node is spheres.node

    assert not spheres.node.GetSaveWithScene()
    assert not spheres.node.GetDisplayNode().GetSaveWithScene()
    assert spheres.node.GetHideFromEditors()
    assert not spheres.node.GetSelectable()
    spheres.remove()
    assert scene.GetNumberOfNodes() == n_before


def test_spheres_can_be_removed_after_the_scene_was_closed(a_list, scene):
    spheres = ErrorSpheres(a_list)
    scene.Clear(False)

    spheres.remove()

    assert scene.GetNumberOfNodesByClass("vtkMRMLModelNode") == 0


@pytest.mark.parametrize("code", ["t_r", "t_l", "prn", "ex_r"])
def test_camera_looks_at_a_landmark_from_its_own_side(a_list, a_camera, code):
    index = a_list.scheme.codes.index(code)
    position = a_list.world_positions[index]

    assert look_at(a_list, index)

    toward = np.array(a_camera.GetPosition()) - position
    np.testing.assert_allclose(a_camera.GetFocalPoint(), position)
    left, up, front = face_from_world()[:3, :3]
    np.testing.assert_allclose(a_camera.GetViewUp(), up, atol=1e-6)
    assert 150 < np.linalg.norm(toward) < 400
    # Not through the head: from the front, or from the landmark's side.
    side = {"r": -1, "l": 1}.get(code[-1]) if "_" in code else None
    if side is None:
        assert toward @ front > 0.9 * np.linalg.norm(toward)
    else:
        assert side * (toward @ left) > 0.2 * np.linalg.norm(toward)


def test_camera_follows_a_head_that_was_turned(a_list, a_camera, scene):
    index = a_list.scheme.codes.index("prn")
    transform = vtk.vtkTransform()
    transform.RotateWXYZ(150, 3, 2, 1)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(transform.GetMatrix())
    look_at(a_list, index)
    before = np.array(a_camera.GetPosition())
    a_list.node.SetAndObserveTransformNodeID(parent.GetID())

    look_at(a_list, index)

    expected = transform.TransformPoint(before)
    np.testing.assert_allclose(a_camera.GetPosition(), expected, atol=1e-3)


def test_spheres_follow_transform_and_visibility_of_their_list(a_list, scene):
    spheres = ErrorSpheres(a_list)
    spheres.update(np.zeros(N_LANDMARKS, dtype=bool))
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 500.0)
    parent.SetMatrixTransformToParent(matrix)

    a_list.node.SetAndObserveTransformNodeID(parent.GetID())

    np.testing.assert_allclose(drawn(spheres)[0], a_list.world_positions[:MISSING], atol=0.01)
    a_list.node.GetDisplayNode().SetVisibility(False)
    assert not spheres.node.GetDisplayNode().GetVisibility()
    spheres.remove()


def test_spheres_are_in_the_views_of_their_list_only(a_list):
    """With two scans in separate views, the spheres of one were drawn over the other."""
    spheres, display = ErrorSpheres(a_list), a_list.node.GetDisplayNode()
    spheres.update(np.zeros(N_LANDMARKS, dtype=bool))

    display.AddViewNodeID("vtkMRMLViewNode2")
    chosen = spheres.node.GetDisplayNode().GetViewNodeIDs()
    display.RemoveAllViewNodeIDs()

    assert chosen == ("vtkMRMLViewNode2",)
    assert spheres.node.GetDisplayNode().GetViewNodeIDs() == ()
    spheres.remove()


def test_camera_that_is_in_no_view_stays(a_list, a_face, a_camera, scene):
    """A viewpoint saved in the Cameras module was lost with the next click."""
    kept = scene.AddNewNodeByClass("vtkMRMLCameraNode", "Kept viewpoint")
    before = kept.GetPosition(), kept.GetFocalPoint(), kept.GetViewUp()

    look_at_model(a_face)
    look_at_face(a_list)
    look_at(a_list, 3)

    assert (kept.GetPosition(), kept.GetFocalPoint(), kept.GetViewUp()) == before


@pytest.mark.parametrize("code", ["t_r", "prn", "go_l"])
def test_missing_landmark_is_looked_for_where_the_mean_face_has_it(a_list, a_camera, code):
    """Else the view stays at another one; the place that was rejected would suggest itself."""
    index, truth = a_list.scheme.index_of(code), true_landmarks()
    means = np.column_stack([read_model().atlas.landmark_mean_mm, np.ones(N_LANDMARKS)])
    usual = (means @ np.linalg.inv(face_from_world()).T)[:, :3]
    usual[-1] = np.nan
    a_list.set_detection(replace(truth, positions=usual), a_record())
    look_at(a_list, index)
    seen = a_camera.GetPosition(), a_camera.GetFocalPoint(), a_camera.GetViewUp()
    elsewhere = usual + 30.0 * (np.arange(N_LANDMARKS) == index)[:, None]
    a_list.set_detection(replace(truth, positions=elsewhere), a_record())
    look_at(a_list, index)
    moved = a_camera.GetFocalPoint()
    review = Review(a_list)
    review.mark_missing(index)
    review.close()

    assert look_at(a_list, index)

    now = a_camera.GetPosition(), a_camera.GetFocalPoint(), a_camera.GetViewUp()
    np.testing.assert_allclose(now, seen, atol=1e-6)
    assert np.linalg.norm(np.subtract(moved, now[1])) > 30.0


@pytest.mark.parametrize("is_detected", [True, False])
def test_landmark_of_which_no_place_is_known_turns_no_camera(a_face, a_camera, is_detected):
    """Placed by hand, where nobody knows the pose, or of a lab, whose mean face is not here."""
    scheme = lab_scheme(LAB_CODES[:4]) if is_detected else true_landmarks().scheme
    made = create_list(a_face.GetScene(), scheme, a_face, "Others")
    if is_detected:
        made.set_detection(found_of(scheme), a_record())
    before = a_camera.GetPosition()

    assert not look_at(made, 0)
    assert a_camera.GetPosition() == before


def found_of(scheme):
    """Return landmarks of which all but the first were found."""
    truth = true_landmarks()
    rows = [truth.scheme.index_of(code) for code in scheme.codes]
    positions = truth.positions[rows]
    positions[0] = np.nan
    errors = np.where(np.isnan(positions[:, 0]), np.nan, 1.0)
    status = ("missing", *["detected"] * (len(rows) - 1))
    return replace(
        truth, scheme=scheme, positions=positions, status=status, expected_error_mm=errors
    )


def test_list_without_a_pose_keeps_the_direction_of_view(a_face, a_camera):
    made = create_list(a_face.GetScene(), true_landmarks().scheme, a_face, "By hand")
    made.node.SetNthControlPointPosition(0, 10.0, 20.0, 30.0)
    a_camera.SetFocalPoint(0, 0, 0)
    a_camera.SetPosition(0, 300, 0)

    assert look_at(made, 0)
    np.testing.assert_allclose(a_camera.GetPosition(), (10, 320, 30), atol=1e-6)


def test_face_is_looked_at_from_the_front(a_list, a_camera):
    look_at_face(a_list)

    toward = np.array(a_camera.GetPosition()) - a_camera.GetFocalPoint()
    front = face_from_world()[2, :3]
    np.testing.assert_allclose(toward / np.linalg.norm(toward), front, atol=1e-6)


def test_whole_model_fits_the_view(a_face, a_camera):
    look_at_model(a_face)

    bounds = [0.0] * 6
    a_face.GetRASBounds(bounds)
    center = (np.array(bounds[::2]) + bounds[1::2]) / 2
    np.testing.assert_allclose(a_camera.GetFocalPoint(), center)
    half = np.linalg.norm(np.array(bounds[1::2]) - bounds[::2]) / 2
    distance = np.linalg.norm(np.array(a_camera.GetPosition()) - center)
    assert np.degrees(np.arcsin(half / distance)) < a_camera.GetViewAngle() / 2 + 1


def test_view_is_told_that_another_depth_is_to_be_drawn(a_list, a_camera):
    """Slicer draws nothing outside the previous clipping range, where another scan may be."""
    told = []
    a_camera.AddObserver(a_camera.ResetCameraClippingEvent, lambda *_: told.append(1))

    look_at(a_list, 0)

    assert told


def test_measurements_of_a_list_and_their_line(a_list):
    taken, remark = measured(a_list)
    assert remark == ""
    by_code = {entry.code: entry for entry in taken}
    distance = next(entry for entry in taken if entry.kind == "distance" and entry.is_measured)
    a, b = (a_list.scheme.codes.index(code) for code in distance.landmarks)
    straight = np.linalg.norm(a_list.world_positions[a] - a_list.world_positions[b])
    assert distance.value == pytest.approx(straight, abs=1e-6)
    assert any(entry.kind == "arc" and entry.is_measured for entry in taken)

    line = MeasuredLine(a_list)
    line.show(distance)
    (curve,) = measured_lines()
    corners = slicer.util.arrayFromMarkupsControlPoints(curve, world=True)
    np.testing.assert_allclose(corners, a_list.world_positions[[a, b]], atol=1e-3)
    line.remove()
    assert measured_lines() == []
    assert len(by_code) == len(taken)


def test_lines_of_an_index_are_those_of_its_two_distances(a_list):
    by_name = {entry.name: entry for entry in measured(a_list)[0]}
    index = by_name["Facial index"]
    assert index.landmarks == ("n", "gn", "zy_r", "zy_l")
    line = MeasuredLine(a_list)

    line.show(index)

    rows = np.reshape([a_list.scheme.index_of(code) for code in index.landmarks], (2, 2))
    curves = [slicer.util.arrayFromMarkupsControlPoints(each) for each in measured_lines()]
    np.testing.assert_allclose(curves, a_list.world_positions[rows], atol=1e-3)
    line.remove()


def test_line_of_an_arc_has_few_corners_and_leaves_the_skin_nowhere(a_list):
    arc = next(entry for entry in measured(a_list)[0] if entry.kind == "arc")
    line = MeasuredLine(a_list)

    line.show(arc)

    (curve,) = measured_lines()
    corners = slicer.util.arrayFromMarkupsControlPoints(curve)
    assert len(arc.polyline) > len(corners) == 100
    np.testing.assert_allclose(corners[[0, -1]], arc.polyline[[0, -1]], atol=1e-3)
    assert curve.GetCurveLengthWorld() == pytest.approx(arc.value, rel=0.01)
    line.remove()


def test_measured_line_is_in_the_views_of_its_list_only(a_list):
    a_list.node.GetDisplayNode().AddViewNodeID("vtkMRMLViewNode2")
    line = MeasuredLine(a_list)

    line.show(measured(a_list)[0][0])

    (curve,) = measured_lines()
    assert curve.GetDisplayNode().GetViewNodeIDs() == ("vtkMRMLViewNode2",)
    line.remove()


def test_measured_line_is_neither_saved_nor_listed_nor_the_list_that_clicks_go_into(a_list, app):
    selection = app.applicationLogic().GetSelectionNode()
    app.scene_and_logics.logics["Markups"].SetActiveList(a_list.node)
    line = MeasuredLine(a_list)

    line.show(measured(a_list)[0][0])

    (curve,) = measured_lines()
    assert curve.GetHideFromEditors()
    assert curve.GetLocked()
    assert not curve.GetSaveWithScene()
    assert not curve.GetDisplayNode().GetSaveWithScene()
    assert selection.GetActivePlaceNodeID() == a_list.node.GetID()
    assert selection.GetActivePlaceNodeClassName() == a_list.node.GetClassName()
    line.remove()


def test_table_for_a_spreadsheet_has_the_same_cells():
    table = 'specimen,name,value\nFace,"wide, and\thigh",1.5\n'

    text = table_for_spreadsheet(table)

    rows = list(csv.reader(io.StringIO(text), delimiter="\t"))
    assert rows == [["specimen", "name", "value"], ["Face", "wide, and\thigh", "1.5"]]


def test_table_for_a_spreadsheet_has_the_decimal_point_of_the_system():
    table = "specimen,name,value,unit,expected_error\n1.5,n.a.,63.0887,mm,1.2\n2.5,b,,mm,\n"

    text = table_for_spreadsheet(table, ",")

    assert text.splitlines()[1:] == ["1.5\tn.a.\t63,0887\tmm\t1,2", "2.5\tb\t\tmm\t"]
