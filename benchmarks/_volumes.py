# SPDX-License-Identifier: Apache-2.0
"""Skin from volumes, extracted as 3D Slicer makes a model of a segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from palnet.surface import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["extract_skin"]

SMOOTHING_ROUNDS = 15


def extract_skin(
    volume: NDArray[np.floating] | NDArray[np.bool_],
    level: float,
    *,
    name: str,
    pass_band: float,
    rounds: int = SMOOTHING_ROUNDS,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin_mm: NDArray[np.floating] | tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Mesh:
    """Extract the largest isosurface, closed at the border of the volume and smoothed.

    The inside is brighter than `level`. The less `pass_band` of `vtkWindowedSincPolyDataFilter` is,
    the smoother. `origin_mm` is the place of the first voxel's neighbour at (-1, -1, -1), which the
    closing adds.
    """
    padded = np.pad(np.asarray(volume, dtype=np.float32), 1)
    image = vtk.vtkImageData()
    image.SetDimensions(*padded.shape)
    image.SetSpacing(*spacing_mm)
    image.SetOrigin(*origin_mm)
    image.GetPointData().SetScalars(numpy_to_vtk(padded.ravel(order="F"), deep=True))
    surface = vtk.vtkFlyingEdges3D()
    surface.SetInputData(image)
    surface.SetValue(0, level)
    largest = vtk.vtkPolyDataConnectivityFilter()
    largest.SetInputConnection(surface.GetOutputPort())
    largest.SetExtractionModeToLargestRegion()
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(largest.GetOutputPort())
    smooth.SetNumberOfIterations(rounds)
    smooth.SetPassBand(pass_band)
    smooth.Update()
    made = smooth.GetOutput()
    points = vtk_to_numpy(made.GetPoints().GetData()).astype(np.float64)
    triangles = vtk_to_numpy(made.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return Mesh(points, triangles.astype(np.int32), name=name)
