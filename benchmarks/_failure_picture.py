# SPDX-License-Identifier: Apache-2.0
"""A picture of the worst scans, with the found and the true landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import vtk

from benchmarks._scene import actor_of, aim, smooth_skin, take_picture

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
    """Draw each scan from the front into one PNG file."""
    n_rows = -(-len(scans) // N_COLUMNS)
    panels = []
    for k, (scan, person) in enumerate(zip(scans, people, strict=True)):
        row, column = divmod(k, N_COLUMNS)
        panels.append(_panel(scan, person))
        left, bottom = column / N_COLUMNS, 1 - (row + 1) / n_rows
        panels[-1].SetViewport(left, bottom, left + 1 / N_COLUMNS, bottom + 1 / n_rows)
    picture = take_picture(panels, (PANEL[0] * N_COLUMNS, PANEL[1] * n_rows))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputConnection(picture.GetOutputPort())
    writer.Write()


def _panel(scan: GeneratedScan, person: Person) -> vtk.vtkRenderer:
    """Build the panel of one scan with its landmarks and a caption."""
    truth = scan.landmarks_mm.astype(np.float64)
    found = truth + person.offsets_mm[-1]  # type: ignore[index]  # was not refused
    lift = np.array([0.0, 0.0, LIFT_MM])
    panel = vtk.vtkRenderer()
    panel.SetBackground(1, 1, 1)
    for actor in (
        actor_of(smooth_skin(scan.points_mm, scan.triangles), SKIN),
        _spheres(truth[scan.visible] + lift, TRUE),
        _spheres(found[scan.visible] + lift, FOUND),
        _lines(truth[scan.visible] + lift, found[scan.visible] + lift),
    ):
        panel.AddActor(actor)
    error_mm = float(person.errors_mm[-1][scan.visible].mean())
    about = person.about
    who = about.get("age_group") or ("childlike" if about["childlike"] else "adult")
    caption = vtk.vtkTextActor()
    caption.SetInput(f"{person.seed}, {who}, {about['preset']}, {about['hair']}: {error_mm:.1f} mm")
    caption.GetTextProperty().SetColor(0.1, 0.1, 0.1)
    caption.GetTextProperty().SetFontSize(15)
    caption.SetPosition(8, 8)
    panel.AddActor(caption)
    aim(panel, truth.mean(axis=0), np.array([0.0, 0.0, 1.0]), HALF_HEIGHT_MM)
    return panel


def _spheres(points_mm: NDArray[np.float64], color: tuple[float, float, float]) -> vtk.vtkActor:
    balls = vtk.vtkAppendPolyData()
    for point in points_mm:
        ball = vtk.vtkSphereSource()
        ball.SetCenter(*point)
        ball.SetRadius(RADIUS_MM)
        balls.AddInputConnection(ball.GetOutputPort())
    balls.Update()
    return actor_of(balls.GetOutput(), color)


def _lines(starts_mm: NDArray[np.float64], ends_mm: NDArray[np.float64]) -> vtk.vtkActor:
    lines = vtk.vtkAppendPolyData()
    for start, end in zip(starts_mm, ends_mm, strict=True):
        line = vtk.vtkLineSource()
        line.SetPoint1(*start)
        line.SetPoint2(*end)
        lines.AddInputConnection(line.GetOutputPort())
    lines.Update()
    actor = actor_of(lines.GetOutput(), LINE)
    actor.GetProperty().SetLineWidth(2)
    return actor
