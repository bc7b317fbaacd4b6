# SPDX-License-Identifier: Apache-2.0
"""Recreate the panel's reference pictures: each landmark on the mean head, seen from its side.

python -m benchmarks.make_landmark_pictures --morphable-model ict_facekit_light.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import vtk

from benchmarks._scene import actor_of, aim, smooth_skin, take_picture
from palnet.scheme import load_scheme
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
    head = smooth_skin(points, model.fine_triangles)
    folder = FOLDER / scheme.name
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for code, point in zip(scheme.codes, points[model.landmark_points], strict=True):
        path = folder / f"landmark_{code}.png"  # prn.png is a reserved name on Windows
        draw(head, point, path)
        total += path.stat().st_size
    print(f"{folder}: {len(scheme)} pictures, {total / 1024:.0f} KB")


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
    aim(renderer, point, direction, HALF_HEIGHT_MM)
    write(renderer, path)


def write(renderer: vtk.vtkRenderer, path: Path) -> None:
    """Render, downsample, and write with the best compression."""
    picture = take_picture([renderer], (PIXELS * OVERSAMPLING, PIXELS * OVERSAMPLING))
    shrink = vtk.vtkImageShrink3D()
    shrink.SetInputConnection(picture.GetOutputPort())
    shrink.SetShrinkFactors(OVERSAMPLING, OVERSAMPLING, 1)
    shrink.AveragingOn()
    writer = vtk.vtkPNGWriter()
    writer.SetInputConnection(shrink.GetOutputPort())
    writer.SetFileName(str(path))
    writer.SetCompressionLevel(9)
    writer.Write()


if __name__ == "__main__":
    main()
