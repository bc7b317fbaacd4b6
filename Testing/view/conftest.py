# SPDX-License-Identifier: Apache-2.0
"""The stand-in for Slicer; see Testing/host."""

import pytest
import vtk
from palnet_host.fixtures import *  # noqa: F403  # fixtures are found by their names

from palnet_scenes import *  # noqa: F403

# A drag takes 0.8 s at 7,000 triangles and 8.5 s at 200,000 with software rendering.
SHARE_OF_TRIANGLES_LEFT_OUT = 0.85


@pytest.fixture
def a_coarse_face(a_face, view):
    decimation = vtk.vtkDecimatePro()
    decimation.SetInputData(a_face.GetPolyData())
    decimation.SetTargetReduction(SHARE_OF_TRIANGLES_LEFT_OUT)
    decimation.Update()
    a_face.SetAndObservePolyData(decimation.GetOutput())
    return a_face
