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
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

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


def vtk_array(values, name):
    """Copy numbers to an array of a scene."""
    array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
    array.SetName(name)
    return array


def shifted_copy(model, by_mm, name):
    """Return a second scan of the same person, registered up to a small shift."""
    copy = model.GetScene().AddNewNodeByClass("vtkMRMLModelNode", name)
    poly = vtk.vtkPolyData()
    poly.DeepCopy(model.GetPolyData())
    points = vtk_to_numpy(poly.GetPoints().GetData()) + np.array(by_mm)
    poly.GetPoints().SetData(numpy_to_vtk(points, deep=True))
    copy.SetAndObservePolyData(poly)
    return copy


def write_picture(pixels, path):
    """Write a PNG file of pixels, the lowest row first."""
    image = vtk.vtkImageData()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    image.GetPointData().SetScalars(vtk_array(pixels.reshape(-1, 3), "pixels"))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    writer.Write()


def write_textured_obj(mesh, path):
    """Write a mesh with colors as OBJ with an image, where every third vertex has two places."""
    n_points, n_wide = len(mesh.points), int(np.ceil(np.sqrt(2 * len(mesh.points))))
    cells = np.zeros((n_wide * n_wide, 3), np.uint8)
    cells[: 2 * n_points] = np.tile(mesh.colors, (2, 1))
    pixels = cells.reshape(n_wide, n_wide, 3).repeat(4, axis=0).repeat(4, axis=1)
    write_picture(pixels, path.with_suffix(".png"))
    path.with_suffix(".mtl").write_text(f"newmtl skin\nmap_Kd {path.stem}.png\n")
    rows, columns = np.divmod(np.arange(2 * n_points), n_wide)
    is_second = (mesh.triangles % 3 == 0) & (np.arange(len(mesh.triangles)) % 2 == 0)[:, None]
    places = mesh.triangles + 1 + n_points * is_second
    lines = [f"mtllib {path.stem}.mtl"]
    lines += [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.points.tolist()]
    middles = (np.stack([columns, rows], axis=1) + 0.5) / n_wide
    lines += ["usemtl skin", *(f"vt {u:.9g} {v:.9g}" for u, v in middles.tolist())]
    for corners in np.stack([mesh.triangles + 1, places], axis=2).tolist():
        lines.append(" ".join(["f", *(f"{vertex}/{place}" for vertex, place in corners)]))
    path.write_text("\n".join(lines) + "\n")


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
