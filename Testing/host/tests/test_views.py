# SPDX-License-Identifier: Apache-2.0
"""The 3D view is Slicer's own, and its mouse reaches what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

CENTER = np.array([5.0, -3.0, 8.0])
RADIUS = 80.0


@pytest.fixture
def a_ball(view, scene):
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(*CENTER)
    sphere.SetRadius(RADIUS)
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    sphere.Update()
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", "Ball")
    node.SetAndObservePolyData(sphere.GetOutput())
    node.CreateDefaultDisplayNodes()
    view.look_at(CENTER)
    return node


@pytest.fixture
def a_point_list(a_ball, scene, view):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    node.CreateDefaultDisplayNodes()
    node.AddControlPointWorld(vtk.vtkVector3d(*on_ball(0, 0)), "one")
    view.render()
    return node


def on_ball(x: float, z: float) -> np.ndarray:
    """Point of the ball that faces the camera, which looks from +y."""
    return CENTER + np.array([x, np.sqrt(RADIUS**2 - x**2 - z**2), z])


def position(node, index: int = 0) -> np.ndarray:
    return np.array(node.GetNthControlPointPositionWorld(index))


def test_model_is_drawn_in_its_color(view, a_ball, tmp_path):
    a_ball.GetDisplayNode().SetColor(0.9, 0.1, 0.1)

    picture = view.picture().astype(int)
    middle, corner = picture[300, 300], picture[5, 5]
    view.screenshot(tmp_path / "view.png")

    assert middle[0] > 2 * middle[1]
    assert abs(corner[0] - corner[1]) < 40
    assert (tmp_path / "view.png").stat().st_size > 1000


def test_world_point_is_drawn_where_it_is_said(view, a_ball):
    assert view.display_point(CENTER) == (300, 300)
    assert view.display_point(CENTER + np.array([0, 0, 50]))[1] > 300


def test_dragged_point_stays_on_the_surface(view, a_point_list):
    target = on_ball(30, 20)

    view.drag(position(a_point_list), target)

    moved = position(a_point_list)
    np.testing.assert_allclose(moved, target, atol=2.0)  # one pixel is 0.5 mm; the ball is faceted
    assert abs(np.linalg.norm(moved - CENTER) - RADIUS) < 0.5


def test_drag_ends_with_its_event(view, a_point_list):
    heard = []
    a_point_list.AddObserver(
        slicer.vtkMRMLMarkupsNode.PointEndInteractionEvent, lambda *_: heard.append("end")
    )

    view.drag(position(a_point_list), on_ball(30, 20))

    assert heard == ["end"]


def test_locked_point_stays(view, a_point_list):
    before = position(a_point_list)
    a_point_list.SetLocked(True)

    view.drag(before, on_ball(30, 20))

    np.testing.assert_allclose(position(a_point_list), before)


def test_click_places_the_undefined_point(view, a_point_list):
    a_point_list.UnsetNthControlPointPosition(0)
    logic = slicer.modules.markups.logic()
    logic.SetActiveList(a_point_list)
    slicer.app.applicationLogic().GetInteractionNode().SetPlaceModePersistence(1)
    a_point_list.SetControlPointPlacementStartIndex(0)
    logic.StartPlaceMode(True)

    view.click(on_ball(-25, 10))

    assert a_point_list.GetNthControlPointPositionStatus(0) == a_point_list.PositionDefined
    np.testing.assert_allclose(position(a_point_list), on_ball(-25, 10), atol=2.0)


def test_rotating_drag_turns_the_camera_only(view, a_point_list):
    before = np.array(view.camera_node.GetPosition())

    view.drag(on_ball(-60, -30), on_ball(-30, -30))

    assert np.linalg.norm(np.array(view.camera_node.GetPosition()) - before) > 10
    np.testing.assert_allclose(position(a_point_list), on_ball(0, 0))
