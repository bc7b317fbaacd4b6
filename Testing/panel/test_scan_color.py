# SPDX-License-Identifier: Apache-2.0
"""The check box "Show color"."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

from palnet_panel import click, wait_while
from palnet_scenes import SAMPLES, vtk_array
from palnet_wall import write_wall
from PALNetLandmarksLib.color_display import SHOWN_COLOR
from PALNetLandmarksLib.model_colors import image_of_texture, is_ours


@pytest.fixture
def a_panel(panel_factory):
    return panel_factory()


@pytest.fixture(params=["image", "vertices"])
def a_wall(request, scene, tmp_path):
    """A model whose color is in its files."""
    return load_wall(tmp_path / "wall.obj", request.param == "image")


@pytest.fixture
def a_painted_wall(scene, tmp_path):
    return load_wall(tmp_path / "wall.obj", False)


def load_wall(path, is_textured):
    write_wall(path, textured=is_textured)
    return slicer.util.loadModel(str(path))


def choose(panel, model):
    """Choose a scan, and wait until its color was looked for."""
    panel.ui.scanSelector.setCurrentNode(model)
    read(panel)


def read(panel):
    wait_while(lambda: panel.inputSection.color.is_reading)


def shows_color(model):
    """Return whether a view gets the color of the files."""
    display = model.GetDisplayNode()
    mesh = display.GetOutputPolyData()
    scalars = None if mesh is None else mesh.GetPointData().GetScalars()
    is_array = scalars is not None and scalars.GetName() == SHOWN_COLOR
    is_shown = is_array and display.GetScalarVisibility() == 1
    return is_shown or is_ours(image_of_texture(display))


def is_offered(panel):
    return not panel.ui.colorCheckBox.isHidden()


def test_color_is_shown_until_the_box_is_cleared(a_panel, a_wall):
    choose(a_panel, a_wall)
    shown = is_offered(a_panel), a_panel.ui.colorCheckBox.checked, shows_color(a_wall)

    a_panel.ui.colorCheckBox.toggle()
    hidden = is_offered(a_panel), shows_color(a_wall)
    a_panel.ui.colorCheckBox.toggle()

    assert shown == (True, True, True)
    assert hidden == (True, False)
    assert shows_color(a_wall)
    assert not a_wall.GetModifiedSinceRead()


def test_choice_holds_for_other_scans_and_is_saved_with_the_scene(a_panel, a_wall, tmp_path):
    choose(a_panel, a_wall)
    a_panel.ui.colorCheckBox.toggle()
    other = load_wall(tmp_path / "other.obj", True)

    choose(a_panel, other)
    is_plain = not shows_color(other)
    bundle = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(bundle), properties={})
    slicer.mrmlScene.Clear(False)
    a_panel.ui.colorCheckBox.setChecked(True)
    slicer.util.loadScene(str(bundle), properties={})
    wait_while(lambda: a_panel.ui.scanSelector.currentNode() is None)

    assert is_plain
    assert not a_panel.ui.colorCheckBox.checked


def test_scan_that_was_left_stays_in_color(a_panel, a_wall, tmp_path):
    """To compare, the user shows it with its eye in the module Data."""
    other = load_wall(tmp_path / "other.obj", True)
    choose(a_panel, a_wall)

    choose(a_panel, other)
    choose(a_panel, None)

    assert shows_color(a_wall)
    assert shows_color(other)
    assert not is_offered(a_panel)


@pytest.mark.parametrize("name", ["example.ply", "wall.ply"])
def test_nothing_is_offered_where_slicer_shows_all(a_panel, a_wall, scene, tmp_path, name):
    """A PLY file without color, and one whose color Slicer shows."""
    path = SAMPLES / name
    if not path.exists():
        path = tmp_path / name
        poly = vtk.vtkPolyData()
        poly.DeepCopy(a_wall.GetPolyData())
        colors = np.arange(poly.GetNumberOfPoints())[:, None] * np.ones(3)
        poly.GetPointData().AddArray(vtk_array(colors.astype(np.uint8), "RGB"))
        writer = vtk.vtkPLYWriter()
        writer.SetFileName(str(path))
        writer.SetArrayName("RGB")
        writer.SetInputData(poly)
        writer.Write()
    model = slicer.util.loadModel(str(path))
    display = model.GetDisplayNode()
    before = display.GetScalarVisibility(), display.GetActiveScalarName()

    choose(a_panel, model)

    assert not is_offered(a_panel)
    assert before == (display.GetScalarVisibility(), display.GetActiveScalarName())
    assert before == ((1, "RGB") if name == "wall.ply" else (0, None))


def test_image_that_is_not_there_offers_nothing(a_panel, scene, tmp_path):
    model = load_wall(tmp_path / "wall.obj", True)
    (tmp_path / "wall.png").unlink()

    choose(a_panel, model)
    wait_while(lambda: a_panel.inputSection._inspection.is_running)

    assert not is_offered(a_panel)
    assert "Not found: wall.png." in a_panel.ui.scanInfoLabel.text


def test_what_the_user_shows_instead_is_kept(a_panel, a_wall):
    choose(a_panel, a_wall)
    values = np.linspace(0.0, 1.0, a_wall.GetPolyData().GetNumberOfPoints())
    a_wall.GetPolyData().GetPointData().AddArray(vtk_array(values, "distance"))
    display = a_wall.GetDisplayNode()

    display.SetActiveScalarName("distance")
    display.SetScalarRangeFlag(display.UseDataScalarRange)
    display.SetScalarVisibility(True)
    instead = shows_color(a_wall), is_offered(a_panel), display.GetActiveScalarName()
    display.SetScalarVisibility(False)

    assert instead == (False, False, "distance")
    assert shows_color(a_wall)
    assert is_offered(a_panel)


def test_color_that_was_hidden_elsewhere_comes_back_by_the_box_alone(a_panel, a_painted_wall):
    choose(a_panel, a_painted_wall)
    a_painted_wall.GetDisplayNode().SetScalarVisibility(False)
    choose(a_panel, None)
    choose(a_panel, a_painted_wall)
    stayed = shows_color(a_painted_wall)

    a_panel.ui.colorCheckBox.toggle()
    a_panel.ui.colorCheckBox.toggle()

    assert not stayed
    assert shows_color(a_painted_wall)


def test_scaled_scan_is_shown_in_color(a_panel, scene, tmp_path):
    path = tmp_path / "inches.obj"
    write_wall(path, textured=False, width=6.0)
    model = slicer.util.loadModel(str(path))
    choose(a_panel, model)
    index = a_panel.ui.unitSelector.findData("in")
    a_panel.ui.unitSelector.setCurrentIndex(index)
    a_panel.ui.unitSelector.activated.emit(index)

    click(a_panel.ui.scaleButton)
    read(a_panel)

    assert model.GetPolyData().GetBounds()[1] == pytest.approx(3 * 25.4)
    assert shows_color(model)


def test_scan_of_other_triangles_has_no_wrong_color(a_panel, a_painted_wall):
    choose(a_panel, a_painted_wall)
    filter_ = vtk.vtkLinearSubdivisionFilter()
    filter_.SetInputData(a_painted_wall.GetPolyData())
    filter_.Update()

    a_painted_wall.SetAndObservePolyData(filter_.GetOutput())
    a_panel.onMovedElsewhere()
    read(a_panel)

    assert not shows_color(a_painted_wall)
    assert not is_offered(a_panel)
    assert not a_painted_wall.GetDisplayNode().GetScalarVisibility()


def test_scan_loaded_with_a_scene_is_plain_without_its_files(a_panel, a_wall, tmp_path):
    choose(a_panel, a_wall)
    bundle = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(bundle), properties={})
    slicer.mrmlScene.Clear(False)

    slicer.util.loadScene(str(bundle), properties={})
    wait_while(lambda: a_panel.ui.scanSelector.currentNode() is None)
    read(a_panel)

    loaded = a_panel.ui.scanSelector.currentNode()
    assert not is_offered(a_panel)
    assert not loaded.GetDisplayNode().GetScalarVisibility()
    assert not shows_color(loaded)


@pytest.mark.parametrize("how", ["deleted", "closed", "left"])
def test_scan_that_goes_while_it_is_read_is_no_error(a_panel, a_wall, scene, how):
    a_panel.ui.scanSelector.setCurrentNode(a_wall)
    assert a_panel.inputSection.color.is_reading

    {
        "deleted": lambda: scene.RemoveNode(a_wall),
        "closed": lambda: scene.Clear(False),
        "left": lambda: a_panel.ui.scanSelector.setCurrentNode(None),
    }[how]()
    read(a_panel)

    assert not is_offered(a_panel)
    assert how != "left" or not shows_color(a_wall)
