# SPDX-License-Identifier: Apache-2.0
"""Surfaces drawn by VTK in parallel projection, without a window on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import vtk

from palnet.surface import to_polydata

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["actor_of", "aim", "smooth_skin", "take_picture"]


def smooth_skin(points: NDArray[np.floating], triangles: NDArray[np.int32]) -> vtk.vtkPolyData:
    """Convert a mesh to VTK, with normals for smooth shading."""
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(to_polydata(points, triangles))
    normals.SplittingOff()
    normals.Update()
    return normals.GetOutput()


def actor_of(poly: vtk.vtkPolyData, color: tuple[float, float, float]) -> vtk.vtkActor:
    """Make a lit actor of one color."""
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputData(poly)
    mapper.ScalarVisibilityOff()
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*color)
    actor.GetProperty().SetAmbient(0.15)
    return actor


def aim(
    renderer: vtk.vtkRenderer,
    middle_mm: NDArray[np.float64],
    towards: NDArray[np.float64],
    half_height_mm: float,
) -> None:
    """Look at a point from a direction in the face frame, up being +Y."""
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetParallelScale(half_height_mm)
    camera.SetFocalPoint(*middle_mm)
    camera.SetPosition(*(middle_mm + 600.0 * towards))
    camera.SetViewUp(0.0, 1.0, 0.0)
    renderer.ResetCameraClippingRange()


def take_picture(
    renderers: Sequence[vtk.vtkRenderer], size: tuple[int, int]
) -> vtk.vtkWindowToImageFilter:
    """Render into one picture."""
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetSize(*size)
    for renderer in renderers:
        window.AddRenderer(renderer)
    window.Render()
    picture = vtk.vtkWindowToImageFilter()
    picture.SetInput(window)
    picture.ReadFrontBufferOff()
    picture.Update()
    return picture
