# SPDX-License-Identifier: Apache-2.0
"""The bundled face in a scene, and its landmarks as if just detected."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from scipy.spatial.transform import Rotation
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

import palnet
from palnet.exchange import read_landmarks
from palnet.measurement import measure
from palnet.model import read_model
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.measuring import LINE_ATTRIBUTE, what_to_measure
from PALNetLandmarksLib.review import Review

__all__ = ["a_face", "a_list", "a_review", "some_splats"]

SAMPLES = Path(palnet.__file__).parent / "samples"
N_LANDMARKS = 50


@cache
def face_from_world():
    """Compute the similarity from the scene to the face frame, from the true landmarks."""
    truth = read_landmarks(SAMPLES / "example.landmarks.csv").to_frame("RAS").positions
    mean = read_model().atlas.landmark_mean_mm
    rotation, _ = Rotation.align_vectors(mean - mean.mean(axis=0), truth - truth.mean(axis=0))
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.as_matrix()
    matrix[:3, 3] = mean.mean(axis=0) - rotation.apply(truth.mean(axis=0))
    return matrix


def true_landmarks():
    """Return the bundled face's landmarks in RAS, one missing, with made-up expected errors."""
    truth = read_landmarks(SAMPLES / "example.landmarks.csv").to_frame("RAS")
    errors = np.linspace(0.5, 6.0, N_LANDMARKS)
    positions = truth.positions.copy()
    positions[-1], errors[-1] = np.nan, np.nan
    return replace(
        truth,
        positions=positions,
        status=("detected",) * (N_LANDMARKS - 1) + ("missing",),
        expected_error_mm=errors,
    )


def a_record():
    """Return a minimal detection record."""
    return {
        "specimen": "Face",
        "mm_per_unit": 1.0,
        "quality": {"verdict": "good"},
        "provenance": {"model": "palnet50", "note": 'quotes " and \\ and \u00e4'},
        "face_from_scan_mm": face_from_world().tolist(),
    }


def saved_and_loaded(node, path):
    """Save a list as .mrk.json or with its scene as .mrb, and return the list loaded from that."""
    name = node.GetName()
    if path.suffix == ".mrb":
        assert slicer.util.saveScene(str(path), properties={})
        slicer.mrmlScene.Clear(False)
        slicer.util.loadScene(str(path), properties={})
        return slicer.util.getNode(name)
    assert slicer.util.saveNode(node, str(path), properties={})
    return slicer.util.loadMarkups(str(path))


def measured(landmarks):
    """Return what the panel measures of a list, and its remarks."""
    *inputs, remark = what_to_measure(landmarks)
    return measure(*inputs), remark


def measured_lines():
    """Return the curves of the scene that draw a measurement."""
    curves = slicer.util.getNodesByClass("vtkMRMLMarkupsCurveNode")
    return [node for node in curves if node.GetAttribute(LINE_ATTRIBUTE)]


@pytest.fixture
def a_face(scene):
    model = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    model.SetName("Face")
    return model


@pytest.fixture
def some_splats(scene):
    """A point cloud exported as tiny triangles: no surface, so it is refused without a search."""
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(3000, 1, 3))
    centers = 100 * directions / np.linalg.norm(directions, axis=2, keepdims=True)
    corners = (centers + rng.normal(0, 0.05, (3000, 3, 3))).reshape(-1, 3)
    mesh = vtk.vtkPolyData()
    mesh.SetPoints(vtk.vtkPoints())
    mesh.GetPoints().SetData(numpy_to_vtk(corners, deep=True))
    triangles = vtk.vtkCellArray()
    triangles.SetData(3, numpy_to_vtkIdTypeArray(np.arange(9000), deep=True))
    mesh.SetPolys(triangles)
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "Splats")
    model.SetAndObservePolyData(mesh)
    return model


@pytest.fixture
def a_list(a_face):
    """A list in which all landmarks but the last one are detected."""
    truth = true_landmarks()
    made = create_list(a_face.GetScene(), truth.scheme, a_face, "Face landmarks")
    made.set_detection(truth, a_record())
    return made


@pytest.fixture
def a_review(a_list):
    review = Review(a_list)
    yield review
    review.close()
