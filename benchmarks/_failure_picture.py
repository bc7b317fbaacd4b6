# SPDX-License-Identifier: Apache-2.0
"""A picture of the worst scans, with the found and the true landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import vtkmodules.vtkInteractionStyle
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  # these register classes
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkGlyph3D, vtkPolyDataNormals
from vtkmodules.vtkFiltersSources import vtkSphereSource
from vtkmodules.vtkIOImage import vtkPNGWriter
from vtkmodules.vtkRenderingCore import (
    vtkActor,
    vtkPolyDataMapper,
    vtkRenderer,
    vtkRenderWindow,
    vtkTextActor,
    vtkWindowToImageFilter,
)

from palnet.synthesis.capture import compute_vertex_normals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks._people import Person
    from palnet.synthesis import GeneratedScan

__all__ = ["draw_failures"]

PANEL = (420, 460)
N_COLUMNS = 3
HALF_HEIGHT_MM = 105.0
SKIN, FOUND, TRUE, LINE = (0.8, 0.77, 0.74), (0.84, 0.37, 0.0), (0.0, 0.45, 0.7), (0.1, 0.1, 0.1)
RADIUS_MM = 1.4
# Shift towards the camera, so that the skin does not hide the landmarks.
LIFT_MM = 4.0


def draw_failures(scans: Sequence[GeneratedScan], people: Sequence[Person], path: Path) -> None:
    """Draw each scan from the front.

    Parameters
    ----------
    scans : sequence of GeneratedScan
        The scans, with their true landmarks.
    people : sequence of Person
        The results on each.
    path : Path
        The PNG file.
    """
    window = vtkRenderWindow()
    window.SetOffScreenRendering(True)
    n_rows = -(-len(scans) // N_COLUMNS)
    window.SetSize(PANEL[0] * N_COLUMNS, PANEL[1] * n_rows)
    for k, (scan, person) in enumerate(zip(scans, people, strict=True)):
        row, column = divmod(k, N_COLUMNS)
        panel = _panel(scan, person)
        left, bottom = column / N_COLUMNS, 1 - (row + 1) / n_rows
        panel.SetViewport(left, bottom, left + 1 / N_COLUMNS, bottom + 1 / n_rows)
        window.AddRenderer(panel)
    window.Render()
    image = vtkWindowToImageFilter()
    image.SetInput(window)
    image.ReadFrontBufferOff()
    writer = vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputConnection(image.GetOutputPort())
    writer.Write()


def _panel(scan: GeneratedScan, person: Person) -> vtkRenderer:
    """Build the panel of one scan with its landmarks and a caption."""
    truth = scan.landmarks_mm.astype(np.float64)
    found = truth + person.offsets_mm[-1]  # type: ignore[index]  # was not refused
    lift = np.array([0.0, 0.0, LIFT_MM])
    panel = vtkRenderer()
    panel.SetBackground(1, 1, 1)
    for actor in (
        _skin(scan),
        _spheres(truth[scan.visible] + lift, TRUE),
        _spheres(found[scan.visible] + lift, FOUND),
        _lines(truth[scan.visible] + lift, found[scan.visible] + lift),
    ):
        panel.AddActor(actor)
    error_mm = float(person.errors_mm[-1][scan.visible].mean())
    about = person.about
    who = about.get("age_group") or ("childlike" if about["childlike"] else "adult")
    caption = vtkTextActor()
    caption.SetInput(f"{person.seed}, {who}, {about['preset']}, {about['hair']}: {error_mm:.1f} mm")
    caption.GetTextProperty().SetColor(0.1, 0.1, 0.1)
    caption.GetTextProperty().SetFontSize(15)
    caption.SetPosition(8, 8)
    panel.AddActor(caption)
    middle = truth.mean(axis=0)
    camera = panel.GetActiveCamera()
    camera.SetFocalPoint(*middle)
    camera.SetPosition(middle[0], middle[1], middle[2] + 600)
    camera.SetViewUp(0, 1, 0)
    camera.ParallelProjectionOn()
    camera.SetParallelScale(HALF_HEIGHT_MM)
    panel.ResetCameraClippingRange()
    return panel


def _poly_data(points: NDArray[np.floating]) -> vtkPolyData:
    """Make poly data of points without cells."""
    data, vertices = vtkPolyData(), vtkPoints()
    vertices.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64), deep=True))
    data.SetPoints(vertices)
    return data


def _cells(corners: NDArray[np.integer]) -> vtkCellArray:
    """Make cells of lines or triangles, one per row."""
    cells = vtkCellArray()
    step = corners.shape[1]
    offsets = np.arange(0, step * len(corners) + 1, step, dtype=np.int64)
    flat = corners.astype(np.int64).ravel()
    cells.SetData(numpy_to_vtk(offsets, deep=True), numpy_to_vtk(flat, deep=True))
    return cells


def _skin(scan: GeneratedScan) -> vtkActor:
    """Make a smoothly shaded actor of the scan."""
    data = _poly_data(scan.points_mm)
    data.SetPolys(_cells(scan.triangles))
    normals = compute_vertex_normals(scan.points_mm, scan.triangles)
    data.GetPointData().SetNormals(numpy_to_vtk(normals, deep=True))
    smooth = vtkPolyDataNormals()
    smooth.SetInputData(data)
    smooth.ComputePointNormalsOff()
    return _actor(smooth, SKIN)


def _spheres(points: NDArray[np.float64], color: tuple[float, float, float]) -> vtkActor:
    ball = vtkSphereSource()
    ball.SetRadius(RADIUS_MM)
    glyphs = vtkGlyph3D()
    glyphs.SetInputData(_poly_data(points))
    glyphs.SetSourceConnection(ball.GetOutputPort())
    return _actor(glyphs, color)


def _lines(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> vtkActor:
    data = _poly_data(np.concatenate([starts, ends]))
    n = len(starts)
    data.SetLines(_cells(np.stack([np.arange(n), n + np.arange(n)], axis=1)))
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(data)
    actor = vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*LINE)
    actor.GetProperty().SetLineWidth(2)
    return actor


def _actor(source: vtkPolyDataNormals | vtkGlyph3D, color: tuple[float, float, float]) -> vtkActor:
    mapper = vtkPolyDataMapper()
    mapper.SetInputConnection(source.GetOutputPort())
    mapper.ScalarVisibilityOff()
    actor = vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*color)
    return actor
