# SPDX-License-Identifier: Apache-2.0
"""Scans and landmarks under a nonlinear transform, as from a registration."""

from __future__ import annotations

import numpy as np
import pytest
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from palnet.exchange import read_landmarks
from palnet_scenes import true_landmarks
from PALNetLandmarksLib.models import state_of_model, world_matrix
from PALNetLandmarksLib.review import Review
from PALNetLandmarksLib.save_export import export
from PALNetLandmarksLib.surface_snap import closest_point


@pytest.fixture
def a_warp(scene):
    """Moves every third landmark by a millimeter or two, and interpolates between them."""
    rng, source, target = np.random.default_rng(0), vtk.vtkPoints(), vtk.vtkPoints()
    for position in true_landmarks().positions[:-1:3]:
        source.InsertNextPoint(*position)
        target.InsertNextPoint(*(position + rng.normal(0, 2.0, 3)))
    warp = vtk.vtkThinPlateSplineTransform()
    warp.SetSourceLandmarks(source)
    warp.SetTargetLandmarks(target)
    warp.SetBasisToR()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "Warp")
    node.SetAndObserveTransformToParent(warp)
    return node


def test_export_under_a_warp_is_where_the_landmarks_are_seen(a_list, a_face, a_warp, tmp_path):
    for node in (a_face, a_list.node):
        node.SetAndObserveTransformNodeID(a_warp.GetID())

    export(a_list, tmp_path / "face.csv", "csv", "RAS")

    assert a_list.mm_per_world_unit == pytest.approx(1.0)
    written = read_landmarks(tmp_path / "face.csv")
    np.testing.assert_allclose(written.positions, a_list.world_positions, atol=1e-3)


def test_unit_of_a_list_that_is_scaled_and_warped_is_that_of_the_scale(a_list, a_warp, scene):
    scaling = vtk.vtkMatrix4x4()
    for axis in range(3):
        scaling.SetElement(axis, axis, 0.001)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(scaling)
    a_warp.SetAndObserveTransformNodeID(parent.GetID())

    a_list.node.SetAndObserveTransformNodeID(a_warp.GetID())

    assert a_list.mm_per_world_unit == pytest.approx(1000.0, rel=0.3)


@pytest.mark.parametrize("mirrored", [1.0, -1.0])
def test_a_warp_that_mirrors_does_so_in_its_matrix_as_well(mirrored, a_face, a_warp, scene):
    mirror = vtk.vtkMatrix4x4()
    mirror.SetElement(0, 0, mirrored)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(mirror)
    a_warp.SetAndObserveTransformNodeID(parent.GetID())

    a_face.SetAndObserveTransformNodeID(a_warp.GetID())

    assert np.linalg.det(world_matrix(a_face)[:3, :3]) == pytest.approx(mirrored)


def test_closest_point_follows_a_warp_that_changes_in_one_place(a_face, scene):
    tip = true_landmarks().positions[3]
    grid = vtk.vtkImageData()
    grid.SetDimensions(9, 9, 9)
    grid.SetSpacing(10, 10, 10)
    grid.SetOrigin(*(tip - 40))
    grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
    moves = vtk_to_numpy(grid.GetPointData().GetScalars())
    moves[:] = 0.0
    transform = vtk.vtkGridTransform()
    transform.SetDisplacementGridData(grid)
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "Grid")
    node.SetAndObserveTransformToParent(transform)
    a_face.SetAndObserveTransformNodeID(node.GetID())
    before, state = closest_point(a_face, tip), state_of_model(a_face)

    moves[4 + 9 * 4 + 81 * 4] = (0, 8.0, 0)
    grid.GetPointData().GetScalars().Modified()
    grid.Modified()
    transform.Modified()

    assert state_of_model(a_face) != state
    assert np.linalg.norm(np.subtract(closest_point(a_face, tip), before)) > 0.5


def test_a_hardened_warp_corrects_nothing(a_list, a_face, a_warp):
    """All detected positions are moved along, also those of corrected or undone landmarks."""
    review = Review(a_list)
    review.snap_to_surface = False
    a_list.node.SetNthControlPointPositionWorld(0, *(a_list.world_positions[0] + 5.0))
    a_list.node.SetNthControlPointPositionWorld(4, *(a_list.world_positions[4] + 5.0))
    review.undo()
    for node in (a_face, a_list.node):
        node.SetAndObserveTransformNodeID(a_warp.GetID())
    before, status, seen = a_list.state(), a_list.status, a_list.world_positions
    front = np.linalg.inv(world_matrix(a_list.node)).T @ np.array(a_list.record["face_from_list"]).T
    warped = [
        row and a_warp.GetTransformToParent().TransformPoint(row)
        for row in before.record["detected"]
    ]

    a_list.node.HardenTransform()

    assert a_list.status == status
    np.testing.assert_allclose(a_list.world_positions, seen, atol=1e-4)
    np.testing.assert_allclose(a_list.detected.positions[:-1], warped[:-1], atol=1e-4)
    np.testing.assert_allclose(np.array(a_list.record["face_from_list"]).T, front, atol=1e-6)
    review.redo()
    assert a_list.status[4] == "corrected"
    assert np.linalg.norm(a_list.positions[4] - seen[4]) == pytest.approx(75**0.5, rel=0.3)
    review.restore()
    np.testing.assert_allclose(a_list.positions[:-1], warped[:-1], atol=1e-4)


def test_points_that_move_while_they_are_under_a_warp_are_corrected(a_list, a_warp):
    Review(a_list)
    a_list.node.SetAndObserveTransformNodeID(a_warp.GetID())

    for index in (0, 1):
        a_list.node.SetNthControlPointPositionWorld(index, *(a_list.world_positions[index] + 5.0))

    assert [s == "corrected" for s in a_list.status].count(True) == 2
