# SPDX-License-Identifier: Apache-2.0
"""Detection in the background, and changes to the scene in the meantime."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

import palnet
from palnet.error_classes import classify_errors
from palnet.errors import MeshError, PalnetError, ScanRefusedError, UnitError
from palnet.surface import plausible_units, read_colored_mesh
from palnet_scenes import SAMPLES, vtk_array
from PALNetLandmarksLib import detection, model_colors, trained_models
from PALNetLandmarksLib.detection import DetectionRun, ModelChangedError
from PALNetLandmarksLib.model_scaling import SCALE_ATTRIBUTE, scale_model
from PALNetLandmarksLib.models import mesh_from_model
from PALNetLandmarksLib.review import Review


def mean_error_mm(landmarks):
    truth = read_truth().positions
    return float(np.nanmean(np.linalg.norm(landmarks.world_positions - truth, axis=1)))


def read_truth():
    from palnet.exchange import read_landmarks

    return read_landmarks(SAMPLES / "example.landmarks.csv").to_frame("RAS")


def finished(run):
    run.job.wait()
    return run.finish()


def test_detection_places_landmarks_where_the_face_is_seen(a_face):
    landmarks = finished(DetectionRun(a_face))

    assert mean_error_mm(landmarks) < 1.5
    assert landmarks.model_node is a_face
    assert landmarks.record["provenance"]["unit"] == "mm"
    assert len(landmarks.record["provenance"]["model_sha256"]) == 64
    classes = classify_errors(landmarks.landmark_set())
    assert set(classes) <= {-1, 0, 1, 2}


def test_detection_places_the_landmarks_of_the_command_line(a_face):
    of_file = palnet.detect(SAMPLES / "example.ply")

    landmarks = finished(DetectionRun(a_face))

    found, expected = landmarks.landmark_set(), of_file.landmarks.to_frame("RAS")
    np.testing.assert_allclose(found.positions, expected.positions, atol=1e-5)
    np.testing.assert_allclose(found.expected_error_mm, expected.expected_error_mm, atol=1e-5)
    assert found.status == expected.status
    face_from_file = of_file.face_from_scan @ np.diag([-1.0, -1.0, 1.0, 1.0])
    np.testing.assert_allclose(landmarks.record["face_from_list"], face_from_file, atol=1e-5)


def test_detection_follows_a_parent_transform(a_face, scene):
    straight = finished(DetectionRun(a_face)).world_positions
    transform = vtk.vtkTransform()
    transform.RotateX(140)
    transform.Translate(0, 500, 20)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(transform.GetMatrix())
    a_face.SetAndObserveTransformNodeID(parent.GetID())

    turned = finished(DetectionRun(a_face))

    expected = np.array([transform.TransformPoint(row) for row in straight])
    assert np.nanmean(np.linalg.norm(turned.world_positions - expected, axis=1)) < 0.5
    assert turned.node.GetParentTransformNode() is parent


def test_second_detection_keeps_what_a_person_did_unless_ticked(a_list, a_face):
    review = Review(a_list)
    for index in (2, 3):
        a_list.node.SetNthControlPointPositionWorld(index, *(a_list.world_positions[index] + 4.0))
    review.confirm(4)
    review.mark_missing(6)
    review.close()
    before = a_list.positions

    again = finished(DetectionRun(a_face, a_list.node, replace=[3]))

    assert again.node is a_list.node
    expected = ("corrected", "detected", "confirmed", "detected", "missing")
    assert again.status[2:7] == expected
    np.testing.assert_array_equal(again.positions[[2, 4]], before[[2, 4]])
    assert np.linalg.norm(again.positions[3] - before[3]) > 0.1


def test_landmark_that_is_corrected_while_its_replacement_is_detected_stays(a_list, a_face):
    review = Review(a_list)
    for index in (3, 4):
        review.confirm(index)
    run = DetectionRun(a_face, a_list.node, replace=[3, 4])
    a_list.node.SetNthControlPointPositionWorld(3, *(a_list.world_positions[3] + 4.0))
    corrected = a_list.positions[3]

    again = finished(run)

    assert again.status[3:5] == ("corrected", "detected")
    np.testing.assert_array_equal(again.positions[3], corrected)
    review.close()


def test_second_detection_of_a_scan_moved_alone_goes_into_a_new_list(a_list, a_face, scene):
    """Corrections floating beside the face would be measured with the others."""
    review = Review(a_list)
    for index in range(4):
        review.confirm(index)
    review.close()
    before = a_list.positions
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(moved_by(30.0))
    a_face.SetAndObserveTransformNodeID(parent.GetID())
    run = DetectionRun(a_face, a_list.node)

    again = finished(run)

    assert again.node is not a_list.node
    assert "does not lie on the scan" in run.remark
    assert set(again.status) <= {"detected", "missing"}
    np.testing.assert_array_equal(a_list.positions, before)


def moved_by(x_mm):
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, x_mm)
    return matrix


def test_model_without_a_face_is_refused_and_nothing_is_made(some_splats, scene):
    run = DetectionRun(some_splats)
    with pytest.raises(ScanRefusedError, match=r"Splats: .*click Place by hand"):
        finished(run)
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0


def test_empty_model_is_refused_before_anything_starts(scene):
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "Nothing")

    with pytest.raises(MeshError, match=r"'Nothing' is empty\. Choose the model of a scan"):
        DetectionRun(model)


@pytest.mark.parametrize("given", [None, "vtkMRMLModelNode1", slicer.vtkMRMLMarkupsFiducialNode()])
def test_what_is_no_model_is_told_with_how_to_load_one(given):
    with pytest.raises(TypeError, match=r"must be a vtkMRMLModelNode; got .*loadModel"):
        DetectionRun(given)


def test_point_cloud_is_refused(scene):
    points = vtk.vtkPoints()
    for value in range(5):
        points.InsertNextPoint(value, value * 2, 0)
    cloud = vtk.vtkPolyData()
    cloud.SetPoints(points)
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "Cloud")
    model.SetAndObservePolyData(cloud)

    with pytest.raises(MeshError, match="not as a point cloud"):
        DetectionRun(model)


def test_scene_closed_meanwhile_gives_no_list(a_face, scene):
    run = DetectionRun(a_face)
    scene.Clear(False)
    run.job.wait()

    with pytest.raises(ModelChangedError, match="deleted"):
        run.finish()
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0


def test_new_model_under_the_old_id_gets_no_landmarks_of_the_old_one(a_face, scene):
    old_id = a_face.GetID()
    run = DetectionRun(a_face)
    scene.Clear(False)
    other = scene.AddNewNodeByClass("vtkMRMLModelNode", "Other")
    run.job.wait()

    assert other.GetID() == old_id
    with pytest.raises(ModelChangedError, match="deleted"):
        run.finish()


def test_model_moved_meanwhile_is_to_be_detected_again(a_face, scene):
    run = DetectionRun(a_face)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 5.0)
    parent.SetMatrixTransformToParent(matrix)
    a_face.SetAndObserveTransformNodeID(parent.GetID())
    run.job.wait()

    with pytest.raises(ModelChangedError, match="Detect the landmarks again"):
        run.finish()


def test_list_deleted_meanwhile_is_made_anew(a_list, a_face, scene):
    run = DetectionRun(a_face, a_list.node)
    scene.RemoveNode(a_list.node)
    run.job.wait()

    landmarks = run.finish()
    assert scene.IsNodePresent(landmarks.node)
    assert mean_error_mm(landmarks) < 1.5


def test_worker_touches_no_scene(a_face, monkeypatch):
    """What runs in the thread gets only arrays, and the path of a file."""
    seen = {}

    def record(read_mesh, *others):
        arguments = [*read_mesh.args, *others]
        seen["types"] = {type(argument).__module__.split(".")[0] for argument in arguments}
        msg = "seen"
        raise ScanRefusedError(msg)

    monkeypatch.setattr(detection, "_detect", record)
    run = DetectionRun(a_face)
    run.job.wait()

    assert seen["types"] == {"palnet", "builtins", "pathlib"}


def test_worker_gets_the_colors_of_the_scan(a_face, monkeypatch):
    seen = []
    poly = a_face.GetPolyData()
    colors = np.random.default_rng(1).integers(0, 256, (poly.GetNumberOfPoints(), 3), np.uint8)
    poly.GetPointData().AddArray(vtk_array(colors, "RGB"))

    monkeypatch.setattr(detection, "_detect", lambda read, *_rest: seen.append(read()))
    run = DetectionRun(a_face)
    poly.GetPointData().GetArray("RGB").Fill(0)
    run.job.wait()

    np.testing.assert_array_equal(seen[0].colors, colors)


def test_color_that_is_not_to_be_used_is_not_read(a_face, monkeypatch):
    monkeypatch.setattr(detection, "reader_of_colored_mesh", lambda *_: pytest.fail("it reads"))

    run = DetectionRun(a_face, use_color=False)

    made = finished(run).record["provenance"]
    assert made["color"] == {"used": False, "reason": "not asked for"}


def test_files_of_the_color_are_read_in_the_worker(a_face, monkeypatch):
    """Of 1.6 million points with a large image that takes 9 s, in which Slicer would not answer."""
    threads = []

    def read(path):
        threads.append(threading.current_thread())
        return read_colored_mesh(path)

    def look(_path):
        threads.append(threading.current_thread())
        return True

    monkeypatch.setattr(model_colors, "names_color", look)
    monkeypatch.setattr(model_colors, "read_colored_mesh", read)
    monkeypatch.setattr(detection, "_detect", lambda read, *_rest: read())
    DetectionRun(a_face).job.wait()

    assert len(threads) >= 2
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("trained_model", ["palnet50", None])
def test_worker_asks_for_no_translation(a_face, monkeypatch, tmp_path, trained_model):
    """In Slicer that would be a Qt call."""

    def translate(text):
        assert threading.current_thread() is threading.main_thread()
        return f"<{text}>"

    def refuse(*_, **__):
        msg = "no face."
        raise ScanRefusedError(msg)

    for module in (detection, trained_models):
        monkeypatch.setattr(module, "_", translate)
    monkeypatch.setattr(detection.palnet, "detect", refuse)
    run = DetectionRun(a_face, trained_model=trained_model or str(tmp_path / "gone.npz"))
    run.job.wait()
    assert not isinstance(run.job.error, AssertionError)

    said = "no face. If it does" if trained_model else "gone.npz is not there"
    with pytest.raises(PalnetError, match=f"^<.*{said}.*>$"):
        run.finish()


def test_size_that_fits_no_unit_is_told_when_the_run_ends(scene):
    run = DetectionRun(scaled_face(scene, 1e7))

    with pytest.raises(UnitError, match="no face, head or bust"):
        finished(run)


def test_model_in_meters_is_detected_in_meters(scene):
    model = scaled_face(scene, 0.001)

    landmarks = finished(DetectionRun(model))

    assert landmarks.mm_per_unit == pytest.approx(1000.0)
    truth = read_truth().positions
    errors = np.linalg.norm(landmarks.world_positions * 1000.0 - truth, axis=1)
    assert np.nanmean(errors) < 1.5
    assert 0.3 < np.nanmean(landmarks.expected_errors) < 3.0


def test_bust_in_centimeters_is_detected_although_millimeters_would_fit_its_size(scene):
    model = scaled_face(scene, 1.0)
    add_a_body(model)
    scale_model(model, 0.1)
    model.SetAttribute(SCALE_ATTRIBUTE, None)
    names = [unit.name for unit in plausible_units(mesh_from_model(model))]
    assert sorted(names) == ["cm", "mm"]

    landmarks = finished(DetectionRun(model))

    assert landmarks.mm_per_unit == pytest.approx(10.0)
    errors = np.linalg.norm(landmarks.world_positions * 10.0 - read_truth().positions, axis=1)
    assert np.nanmean(errors) < 1.5


def add_a_body(model):
    """Put a cylinder of 0.7 m below the face, of more vertices than the face has."""
    truth = read_truth()
    chin, nasion = (truth.positions[truth.scheme.index_of(code)] for code in ("gn", "n"))
    up = (nasion - chin) / np.linalg.norm(nasion - chin)
    across = np.linalg.svd(up[None])[2][1:]
    turn, height = np.meshgrid(np.linspace(0.0, 2.0 * np.pi, 161), np.linspace(60.0, 760.0, 200))
    around = np.cos(turn)[..., None] * across[0] + np.sin(turn)[..., None] * across[1]
    points = chin + 150.0 * around - height[..., None] * up
    grid = vtk.vtkStructuredGrid()
    grid.SetDimensions(161, 200, 1)
    corners = vtk.vtkPoints()
    corners.SetData(numpy_to_vtk(points.reshape(-1, 3), deep=True))
    grid.SetPoints(corners)
    surface, both = vtk.vtkGeometryFilter(), vtk.vtkAppendPolyData()
    surface.SetInputData(grid)
    both.AddInputConnection(surface.GetOutputPort())
    both.AddInputData(model.GetPolyData())
    both.Update()
    model.SetAndObservePolyData(both.GetOutput())


def scaled_face(scene, factor):
    model = slicer.util.loadModel(str(SAMPLES / "example.ply"))
    scale_model(model, factor)
    model.SetAttribute(SCALE_ATTRIBUTE, None)
    return model
