# SPDX-License-Identifier: Apache-2.0
"""The process that draws a preview: `python -m palnet._drawing job.npz picture.png`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  # registers the OpenGL classes
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkGlyph3D, vtkPolyDataNormals
from vtkmodules.vtkFiltersSources import vtkRegularPolygonSource, vtkSphereSource
from vtkmodules.vtkIOImage import vtkPNGWriter
from vtkmodules.vtkRenderingCore import (
    vtkActor,
    vtkActor2D,
    vtkBillboardTextActor3D,
    vtkPolyDataMapper,
    vtkPolyDataMapper2D,
    vtkRenderer,
    vtkRenderWindow,
    vtkTextActor,
    vtkWindowToImageFilter,
)

from palnet._stored import read_arrays
from palnet.error_classes import CLASS_COLORS
from palnet.preview import SKIN_COLOR
from palnet.surface import to_polydata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PANEL_WIDTH = 640
PANEL_HEIGHT = 760
LEGEND_HEIGHT = 84
SPHERE_RADIUS_MM = 1.7
# Space around the outermost landmarks, as a share of their extent.
MARGIN = 1.18
LABEL_SIZE = 15
# Towards the camera, so that the head does not hide the label; parallel projection hides the shift.
LABEL_LIFT_MM = 150.0
TEXT_SIZE = 18

TEXT_COLOR = (0.15, 0.15, 0.15)
DOUBTFUL = 2

# Title, direction from the face to the camera.
VIEWS = (
    ("right side", (-1.0, 0.0, 0.0)),
    ("front", (0.0, 0.0, 1.0)),
    ("left side", (1.0, 0.0, 0.0)),
)


def main(job: Path, picture: Path) -> int:
    """Draw one job; return 0 if the picture is not empty."""
    scene = read_arrays(job)
    window = vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(4)
    window.SetSize(PANEL_WIDTH * len(VIEWS), PANEL_HEIGHT + LEGEND_HEIGHT)
    for renderer in _panels(scene):
        window.AddRenderer(renderer)
    window.AddRenderer(_legend(scene))
    window.Render()
    return _save(window, picture)


def _panels(scene: dict[str, NDArray[Any]]) -> Iterator[vtkRenderer]:
    """Make one renderer per view; all show the same extent, so that they can be compared."""
    mesh = _mesh_mapper(scene["points"], scene["triangles"], scene["colors"])
    placed = scene["landmarks"][scene["classes"] >= 0]
    around = placed if len(placed) else scene["points"]
    low, high = around.min(axis=0), around.max(axis=0)
    half_width = max(high[0] - low[0], high[2] - low[2]) / 2
    half_height = max((high[1] - low[1]) / 2, half_width * PANEL_HEIGHT / PANEL_WIDTH)
    for column, (title, direction) in enumerate(VIEWS):
        renderer = vtkRenderer()
        renderer.SetViewport(
            column / len(VIEWS),
            LEGEND_HEIGHT / (PANEL_HEIGHT + LEGEND_HEIGHT),
            (column + 1) / len(VIEWS),
            1.0,
        )
        renderer.SetBackground(1.0, 1.0, 1.0)
        renderer.AddActor(_skin_actor(mesh))
        for actor in _landmark_actors(scene, np.array(direction)):
            renderer.AddActor(actor)
        renderer.AddActor(_text(title, PANEL_WIDTH / 2, PANEL_HEIGHT - 28, centered=True))
        _aim(renderer, (low + high) / 2, np.array(direction), half_height * MARGIN)
        yield renderer


def _mesh_mapper(
    points: NDArray[Any], triangles: NDArray[Any], colors: NDArray[Any]
) -> vtkPolyDataMapper:
    surface = to_polydata(points, triangles)
    if len(colors):
        surface.GetPointData().SetScalars(numpy_to_vtk(colors, deep=True))
    normals = vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SplittingOff()
    normals.ConsistencyOff()
    mapper = vtkPolyDataMapper()
    mapper.SetInputConnection(normals.GetOutputPort())
    mapper.SetScalarVisibility(len(colors) > 0)  # three bytes are drawn as they are
    return mapper


def _skin_actor(mapper: vtkPolyDataMapper) -> vtkActor:
    actor = vtkActor()
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.SetColor(*SKIN_COLOR)
    look.SetAmbient(0.18)
    look.SetDiffuse(0.85)
    look.SetSpecular(0.08)
    look.SetSpecularPower(12)
    return actor


def _landmark_actors(scene: dict[str, NDArray[Any]], direction: NDArray[Any]) -> Iterator[Any]:
    """Make one actor per class, and the codes of doubtful landmarks on the visible side."""
    for number, color in enumerate(CLASS_COLORS):
        chosen = scene["landmarks"][scene["classes"] == number]
        if len(chosen):
            yield _spheres(chosen, color)
    if not (scene["classes"] >= 0).any():
        return
    middle = np.nanmean(scene["landmarks"], axis=0)
    for code, position, number in zip(
        scene["codes"], scene["landmarks"], scene["classes"], strict=True
    ):
        # The head hides the spheres on its far side, but not their labels.
        if number == DOUBTFUL and (direction[2] > 0 or (position - middle) @ direction > 0):
            yield _label(str(code), position + LABEL_LIFT_MM * direction)


def _spheres(positions: NDArray[Any], color: tuple[float, float, float]) -> vtkActor:
    points = vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(positions, dtype=np.float64), deep=True))
    centers = vtkPolyData()
    centers.SetPoints(points)
    ball = vtkSphereSource()
    ball.SetRadius(SPHERE_RADIUS_MM)
    ball.SetThetaResolution(24)
    ball.SetPhiResolution(16)
    glyphs = vtkGlyph3D()
    glyphs.SetInputData(centers)
    glyphs.SetSourceConnection(ball.GetOutputPort())
    glyphs.ScalingOff()
    mapper = vtkPolyDataMapper()
    mapper.SetInputConnection(glyphs.GetOutputPort())
    actor = vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*color)
    actor.GetProperty().SetAmbient(0.35)
    actor.GetProperty().SetDiffuse(0.75)
    return actor


def _label(code: str, position: NDArray[Any]) -> vtkBillboardTextActor3D:
    label = vtkBillboardTextActor3D()
    label.SetInput(code)
    label.SetPosition(*position)
    label.SetDisplayOffset(9, 5)
    style = label.GetTextProperty()
    style.SetFontSize(LABEL_SIZE)
    style.SetColor(*TEXT_COLOR)
    style.SetBackgroundColor(1.0, 1.0, 1.0)
    style.SetBackgroundOpacity(0.6)
    return label


def _aim(
    renderer: vtkRenderer, center: NDArray[Any], direction: NDArray[Any], half_height_mm: float
) -> None:
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*center)
    camera.SetPosition(*(center + 1000.0 * direction))
    camera.SetViewUp(0.0, 1.0, 0.0)
    camera.SetParallelScale(half_height_mm)
    renderer.ResetCameraClippingRange()


def _legend(scene: dict[str, NDArray[Any]]) -> vtkRenderer:
    """Explain below the views what the colors mean and which landmarks have no position."""
    classes = scene["classes"]
    good, check = scene["limits_mm"]
    names = (
        f"good: expected error below {good:g} mm",
        f"check: {good:g} to {check:g} mm",
        f"doubtful: {check:g} mm and more",
        "no expected error",
    )
    renderer = vtkRenderer()
    renderer.SetViewport(0.0, 0.0, 1.0, LEGEND_HEIGHT / (PANEL_HEIGHT + LEGEND_HEIGHT))
    renderer.SetBackground(0.96, 0.96, 0.96)
    left = 40.0
    for number, name in enumerate(names):
        count = int((classes == number).sum())
        if number == DOUBTFUL + 1 and count == 0:
            continue
        renderer.AddActor(_disc(left, 56.0, CLASS_COLORS[number]))
        text = f"{name} ({count})"
        renderer.AddActor(_text(text, left + 18, 48))
        left += 60 + 9.6 * len(text)
    absent = ", ".join(str(code) for code in scene["codes"][classes < 0])
    renderer.AddActor(_text(f"without a position: {absent or 'none'}", 30, 14))
    return renderer


def _disc(x: float, y: float, color: tuple[float, float, float]) -> vtkActor2D:
    disc = vtkRegularPolygonSource()
    disc.SetNumberOfSides(32)
    disc.SetRadius(9)
    disc.SetCenter(x, y, 0.0)
    mapper = vtkPolyDataMapper2D()
    mapper.SetInputConnection(disc.GetOutputPort())
    actor = vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*color)
    return actor


def _text(content: str, x: float, y: float, *, centered: bool = False) -> vtkTextActor:
    actor = vtkTextActor()
    actor.SetInput(content)
    actor.SetPosition(x, y)
    style = actor.GetTextProperty()
    style.SetFontSize(TEXT_SIZE)
    style.SetColor(*TEXT_COLOR)
    if centered:
        style.SetJustificationToCentered()
        style.SetBackgroundColor(1.0, 1.0, 1.0)
        style.SetBackgroundOpacity(0.75)
    return actor


def _save(window: vtkRenderWindow, picture: Path) -> int:
    grabber = vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.ReadFrontBufferOff()
    grabber.ShouldRerenderOff()
    grabber.Update()
    pixels = vtk_to_numpy(grabber.GetOutput().GetPointData().GetScalars())
    if pixels.min() == pixels.max():  # a blank picture
        return 3
    writer = vtkPNGWriter()
    writer.SetFileName(str(picture))
    writer.SetInputConnection(grabber.GetOutputPort())
    writer.Write()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
