# SPDX-License-Identifier: Apache-2.0
"""What a 3D view shows of color that Slicer does not read, and what stays as it was."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import slicer
import vtk

from palnet.preview import SKIN_COLOR
from palnet_scenes import vtk_array
from palnet_wall import BLUE, ORANGE, write_wall
from PALNetLandmarksLib import color_display
from PALNetLandmarksLib.color_display import can_show_color, hide_color, show_color
from PALNetLandmarksLib.model_colors import reader_of_color, reader_of_colored_mesh
from PALNetLandmarksLib.model_scaling import scale_model
from PALNetLandmarksLib.models import mesh_from_model


@pytest.fixture(params=["image", "vertices"])
def a_wall(request, view, tmp_path):
    """A model whose color is in its files, unlit, in the middle of the view."""
    return load_wall(tmp_path / "wall.obj", request.param == "image", view)


@pytest.fixture
def a_textured_wall(view, tmp_path):
    return load_wall(tmp_path / "wall.obj", True, view)


@pytest.fixture
def a_painted_wall(view, tmp_path):
    return load_wall(tmp_path / "wall.obj", False, view)


def load_wall(path, is_textured, view):
    write_wall(path, textured=is_textured)
    model = slicer.util.loadModel(str(path))
    model.GetDisplayNode().SetColor(*np.array(PLAIN[0]) / 255)
    model.GetDisplayNode().SetLighting(False)
    view.node.SetBoxVisible(False)
    view.look_at((0, 0, 0), distance=400)
    return model


def color_of(model):
    return reader_of_color(model, mesh_from_model(model))()


def show(model):
    assert can_show_color(model)
    show_color(model, color_of(model))


def halves(view):
    """Return the colors left and right of the middle; on the left is the patient's right."""
    picture = view.picture()
    height, width, _ = picture.shape
    return [tuple(picture[height // 2, width // 2 + step].tolist()) for step in (-60, 60)]


PLAIN = [(102, 153, 204)] * 2
COLORED = [ORANGE, BLUE]


def settings(model):
    """Return all that a model and its display node say of themselves."""
    display, poly = model.GetDisplayNode(), model.GetPolyData()
    arrays = poly.GetPointData()
    return (
        display.GetScalarVisibility(),
        display.GetActiveScalarName(),
        display.GetActiveAttributeLocation(),
        display.GetScalarRangeFlag(),
        display.GetInputPolyDataConnection(),
        display.GetTextureImageDataConnection(),
        display.GetColor(),
        list(display.GetAttributeNames()),
        [arrays.GetArrayName(index) for index in range(arrays.GetNumberOfArrays())],
        (poly, poly.GetMTime(), poly.GetPointData().GetMTime()),
        model.GetModifiedSinceRead(),
    )


def test_view_shows_the_colors_and_then_what_it_did_before(a_wall, view):
    before, plain = settings(a_wall), view.picture()

    show(a_wall)
    colored, model_while_colored = halves(view), settings(a_wall)[-3:]
    hide_color(a_wall)

    assert colored == COLORED
    assert model_while_colored == before[-3:]
    assert settings(a_wall) == before
    np.testing.assert_array_equal(view.picture(), plain)


def test_image_keeps_its_pixels(a_textured_wall, view):
    """Of vertices 10 mm apart the border would be blurred over 10 mm."""
    show(a_textured_wall)

    row = view.picture()[view.picture().shape[0] // 2]

    is_orange, is_blue = (row == ORANGE).all(axis=1), (row == BLUE).all(axis=1)
    first, last = np.flatnonzero(is_orange | is_blue)[[0, -1]]
    assert np.count_nonzero(is_orange) + np.count_nonzero(is_blue) >= last - first


def test_detection_gets_the_same_colors(a_wall):
    before = reader_of_colored_mesh(a_wall, mesh_from_model(a_wall))()

    show(a_wall)

    shown = reader_of_colored_mesh(a_wall, mesh_from_model(a_wall))()
    np.testing.assert_array_equal(shown.colors, before.colors)
    assert (shown.findings, len(np.unique(shown.colors, axis=0))) == (before.findings, 2)


def test_color_is_shown_on_a_model_that_moves(a_wall, view):
    show(a_wall)
    transform = vtk.vtkTransform()
    transform.Translate(0, 0, 40)
    transform.RotateY(180)

    a_wall.ApplyTransform(transform)
    hardened = halves(view)
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(transform.GetMatrix())
    a_wall.SetAndObserveTransformNodeID(parent.GetID())

    assert hardened == COLORED[::-1]
    assert halves(view) == COLORED


def test_scaled_model_can_show_its_color_again(a_wall, view):
    """It has a new surface, which a display node is told of."""
    color = color_of(a_wall)
    show_color(a_wall, color)

    scale_model(a_wall, 1.5)
    show_color(a_wall, color)

    assert halves(view) == COLORED


def test_surface_of_other_vertices_shows_no_wrong_color(a_painted_wall, view):
    show(a_painted_wall)
    smaller = vtk.vtkPolyData()
    smaller.DeepCopy(a_painted_wall.GetPolyData())
    points = vtk.vtkPoints()
    points.DeepCopy(smaller.GetPoints())
    points.InsertNextPoint(0, 0, 0)

    a_painted_wall.GetPolyData().SetPoints(points)

    assert halves(view) == PLAIN


def test_models_of_one_surface_are_shown_on_their_own(a_wall, view):
    twin = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Twin")
    twin.SetAndObservePolyData(a_wall.GetPolyData())
    twin.CreateDefaultDisplayNodes()
    twin.GetDisplayNode().SetLighting(False)
    twin.GetDisplayNode().SetColor(*np.array(PLAIN[0]) / 255)

    show(a_wall)
    a_wall.SetDisplayVisibility(False)

    assert halves(view) == PLAIN


def add_distance(model):
    distance = np.linspace(0.0, 1.0, model.GetPolyData().GetNumberOfPoints())
    model.GetPolyData().GetPointData().AddArray(vtk_array(distance, "distance"))


def test_array_that_is_shown_is_left_alone(a_wall):
    add_distance(a_wall)
    a_wall.GetDisplayNode().SetActiveScalarName("distance")
    a_wall.GetDisplayNode().SetScalarVisibility(True)

    assert not can_show_color(a_wall)


def test_array_that_is_chosen_later_is_kept(a_wall):
    show(a_wall)
    add_distance(a_wall)
    display = a_wall.GetDisplayNode()

    display.SetActiveScalarName("distance")
    display.SetScalarRangeFlag(display.UseDataScalarRange)
    display.SetScalarVisibility(True)
    could_show = can_show_color(a_wall)
    hide_color(a_wall)

    assert not could_show
    assert display.GetActiveScalarName() == "distance"
    assert display.GetScalarRangeFlag() == display.UseDataScalarRange
    assert display.GetScalarVisibility()
    assert display.GetTextureImageDataConnection() is None


def test_color_that_was_hidden_in_another_module_stays_hidden(a_painted_wall, view):
    show(a_painted_wall)
    a_painted_wall.GetDisplayNode().SetScalarVisibility(False)

    show(a_painted_wall)

    assert halves(view) == PLAIN


def test_texture_of_another_module_is_kept(a_wall, view):
    show(a_wall)
    image, source = vtk.vtkImageData(), vtk.vtkTrivialProducer()
    image.SetDimensions(1, 1, 1)
    image.GetPointData().SetScalars(vtk_array(np.array([[9, 99, 9]], np.uint8), "pixels"))
    source.SetOutput(image)

    a_wall.GetDisplayNode().SetTextureImageDataConnection(source.GetOutputPort())
    could_show = can_show_color(a_wall)
    hide_color(a_wall)

    assert not could_show
    assert a_wall.GetDisplayNode().GetTextureImageDataConnection() is source.GetOutputPort()
    assert not a_wall.GetDisplayNode().GetScalarVisibility()


def test_scene_is_saved_without_color_and_shown_plain(a_wall, view, tmp_path):
    show(a_wall)
    bundle = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(bundle), properties={})
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(bundle), properties={})
    loaded = slicer.util.getNode("wall")
    view.look_at((0, 0, 0), distance=400)
    shown = halves(view)

    hide_color(loaded)

    display = loaded.GetDisplayNode()
    assert shown == PLAIN
    assert (display.GetScalarVisibility(), display.GetActiveScalarName() or None) == (0, None)
    assert display.GetScalarRangeFlag() == display.UseDataScalarRange
    assert not display.GetAttributeNames()


def test_copies_of_a_display_node_survive_the_image(a_textured_wall, view):
    """Slicer copies the bare address of a texture, also to show a scene view again."""
    show(a_textured_wall)
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelDisplayNode")
    copy.CopyContent(a_textured_wall.GetDisplayNode())
    hide_color(a_textured_wall)
    gc.collect()

    a_textured_wall.SetAndObserveDisplayNodeID(copy.GetID())
    blank = halves(view)
    show(a_textured_wall)

    np.testing.assert_allclose(blank, [np.multiply(255, SKIN_COLOR)] * 2, atol=1)
    assert halves(view) == COLORED


def test_images_of_deleted_models_are_freed(a_textured_wall, view, tmp_path):
    show(a_textured_wall)
    (source,) = color_display._SOURCES
    slicer.mrmlScene.Clear(False)

    other = load_wall(tmp_path / "other.obj", True, view)
    show(other)

    assert source.GetOutputDataObject(0).GetNumberOfPoints() == 1
    assert len(color_display._SOURCES) == 1
    assert halves(view) == COLORED


def test_very_large_image_is_thinned(a_textured_wall, view, monkeypatch):
    monkeypatch.setattr(color_display, "_MOST_PIXELS_A_SIDE", 1)

    show(a_textured_wall)

    assert halves(view) == [ORANGE] * 2


def test_display_that_was_edited_by_hand_is_shown_plain(a_painted_wall, view):
    show(a_painted_wall)
    a_painted_wall.GetDisplayNode().SetAttribute(color_display.BEFORE_ATTRIBUTE, "nonsense")

    hide_color(a_painted_wall)

    assert halves(view) == PLAIN
