# SPDX-License-Identifier: Apache-2.0
"""Recreate the panel's reference pictures: each landmark on the mean head, seen from its side.

python -m benchmarks.make_landmark_pictures --morphable-model ict_facekit_light.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import vtk

from palnet.scheme import load_scheme
from palnet.surface import to_polydata
from palnet.synthesis import read_morphable_model

FOLDER = Path(__file__).parents[1] / "PALNetLandmarks" / "Resources" / "Landmarks"
# Rendered larger and downsampled, for smooth edges.
PIXELS, OVERSAMPLING = 120, 4
# As in the panel's camera (PALNetLandmarksLib/camera.py).
HEAD_CENTER_MM, TILT = np.array([0.0, 0.0, -90.0]), 0.3
HALF_HEIGHT_MM = 60.0
DOT_RADIUS_MM = 3.2
SKIN, DOT = (0.86, 0.83, 0.80), (0.84, 0.37, 0.0)


def main() -> None:
    """Write one PNG per landmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--morphable-model", type=Path, required=True)
    scheme = load_scheme("palnet50")
    model = read_morphable_model(parser.parse_args().morphable_model, scheme)
    points = np.asarray(model.refine @ model.neutral_mm, dtype=float)
    head = to_poly(points, model.fine_triangles)
    folder = FOLDER / scheme.name
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for code, point in zip(scheme.codes, points[model.landmark_points], strict=True):
        path = folder / f"landmark_{code}.png"  # prn.png is a reserved name on Windows
        draw(head, point, path)
        total += path.stat().st_size
    print(f"{folder}: {len(scheme)} pictures, {total / 1024:.0f} KB")


def to_poly(points: np.ndarray, triangles: np.ndarray) -> vtk.vtkPolyData:
    """Convert arrays to VTK, with normals for smooth shading."""
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(to_polydata(points, triangles))
    normals.SplittingOff()
    normals.Update()
    return normals.GetOutput()


def draw(head: vtk.vtkPolyData, point: np.ndarray, path: Path) -> None:
    """Draw the head with one dot."""
    renderer = vtk.vtkRenderer()
    renderer.SetBackground(1.0, 1.0, 1.0)
    renderer.AddActor(actor_of(head, SKIN))
    dot = vtk.vtkSphereSource()
    dot.SetCenter(*point)
    dot.SetRadius(DOT_RADIUS_MM)
    dot.SetThetaResolution(32)
    dot.SetPhiResolution(32)
    dot.Update()
    renderer.AddActor(actor_of(dot.GetOutput(), DOT))
    direction = (point - HEAD_CENTER_MM) * [1.0, TILT, 1.0]
    direction /= np.linalg.norm(direction)
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetParallelScale(HALF_HEIGHT_MM)
    camera.SetFocalPoint(*point)
    camera.SetPosition(*(point + 500.0 * direction))
    camera.SetViewUp(0.0, 1.0, 0.0)
    renderer.ResetCameraClippingRange()
    write(renderer, path)


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


def write(renderer: vtk.vtkRenderer, path: Path) -> None:
    """Render offscreen, downsample, and write with few colors to keep the file small."""
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetSize(PIXELS * OVERSAMPLING, PIXELS * OVERSAMPLING)
    window.AddRenderer(renderer)
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    shrink = vtk.vtkImageShrink3D()
    shrink.SetInputConnection(grab.GetOutputPort())
    shrink.SetShrinkFactors(OVERSAMPLING, OVERSAMPLING, 1)
    shrink.AveragingOn()
    writer = vtk.vtkPNGWriter()
    writer.SetInputConnection(shrink.GetOutputPort())
    writer.SetFileName(str(path))
    writer.SetCompressionLevel(9)
    writer.Write()


if __name__ == "__main__":
    main()
