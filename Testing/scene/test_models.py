# SPDX-License-Identifier: Apache-2.0
"""Models as seen by the library: world coordinates, triangles, the nearest point."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

from palnet.surface import read_mesh
from palnet_scenes import SAMPLES
from PALNetLandmarksLib.model_scaling import scale_model
from PALNetLandmarksLib.models import mesh_from_model, state_of_model
from PALNetLandmarksLib.surface_snap import closest_point


@pytest.fixture
def a_quad(scene):
    """A square in the plane z = 2, as a polygon with four corners."""
    plane = vtk.vtkPlaneSource()
    plane.SetOrigin(0, 0, 2)
    plane.SetPoint1(200, 0, 2)
    plane.SetPoint2(0, 200, 2)
    plane.Update()
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "Square")
    model.SetAndObservePolyData(plane.GetOutput())
    return model


def test_convention_model_is_the_file_with_x_and_y_negated(a_face):
    from_scene, from_file = mesh_from_model(a_face), read_mesh(SAMPLES / "example.ply")

    expected = from_file.points * np.array([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(from_scene.points, expected, atol=1e-3)
    np.testing.assert_array_equal(from_scene.triangles, from_file.triangles)
    assert from_scene.space == "RAS"


def test_polygons_become_triangles(a_quad):
    mesh = mesh_from_model(a_quad)

    assert mesh.triangles.shape == (2, 3)


def test_mesh_is_a_copy(a_quad):
    mesh = mesh_from_model(a_quad)
    before = mesh.points.copy()

    scale_model(a_quad, 3.0)

    np.testing.assert_array_equal(mesh.points, before)


def test_state_changes_with_points_and_place_only(a_quad, scene):
    before = state_of_model(a_quad)
    a_quad.CreateDefaultDisplayNodes()
    a_quad.SetName("Renamed")
    assert state_of_model(a_quad) == before

    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    a_quad.SetAndObserveTransformNodeID(parent.GetID())
    assert state_of_model(a_quad) == before
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 1.0)
    parent.SetMatrixTransformToParent(matrix)
    assert state_of_model(a_quad) != before


def test_closest_point_follows_the_model(a_quad, scene):
    np.testing.assert_allclose(closest_point(a_quad, (50, 60, 9)), (50, 60, 2))
    np.testing.assert_allclose(closest_point(a_quad, (-5, 60, 2)), (0, 60, 2))

    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 5.0)
    parent.SetMatrixTransformToParent(matrix)
    a_quad.SetAndObserveTransformNodeID(parent.GetID())

    np.testing.assert_allclose(closest_point(a_quad, (50, 60, 9)), (50, 60, 7))


def test_closest_point_of_an_empty_model_is_the_point(scene):
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "Nothing")

    assert closest_point(model, (1.0, 2.0, 3.0)) == (1.0, 2.0, 3.0)
    assert slicer.mrmlScene is scene
