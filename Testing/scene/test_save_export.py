# SPDX-License-Identifier: Apache-2.0
"""Saved and exported landmarks are in the right place in the next program."""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import qt
import slicer
import vtk

from palnet.errors import OutputExistsError
from palnet.exchange import read_landmarks, write_landmarks
from palnet.surface import read_mesh, write_ply
from palnet_scenes import SAMPLES, true_landmarks
from PALNetLandmarksLib.landmark_list import LandmarkList
from PALNetLandmarksLib.linking import find_model
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.model_scaling import model_scale, scale_model
from PALNetLandmarksLib.models import name_of_scan
from PALNetLandmarksLib.save_export import default_path, export, export_path, save

RAS = slicer.vtkMRMLStorageNode.CoordinateSystemRAS


def face_with_landmarks(model):
    """Return landmarks on vertices 100, 200, ... of a model, wherever it is."""
    made = create_list(model.GetScene(), true_landmarks().scheme, model, "Landmarks")
    vertices = np.arange(len(made)) * 100
    points = slicer.util.arrayFromModelPoints(model)[vertices].astype(float)
    for index, point in enumerate(points):
        made.node.SetNthControlPointPosition(index, *(float(value) for value in point))
    return made, vertices


@pytest.fixture
def a_copied_file(tmp_path):
    path = tmp_path / "f\u00e4ce.ply"
    path.write_bytes((SAMPLES / "example.ply").read_bytes())
    return path


@pytest.mark.parametrize("read_as_ras", [False, True])
@pytest.mark.parametrize("is_moved", [False, True])
def test_convention_file_frame_overlays_the_mesh_file(a_copied_file, scene, read_as_ras, is_moved):
    model = load(a_copied_file, read_as_ras=read_as_ras)
    if is_moved:
        move(model, scene)
    landmarks, vertices = face_with_landmarks(model)
    out = a_copied_file.with_name("out.csv")

    export(landmarks, out, "csv", "file")

    numbers = read_landmarks(out).positions
    np.testing.assert_allclose(numbers, read_mesh(a_copied_file).points[vertices], atol=1e-3)


@pytest.mark.parametrize(("frame", "signs"), [("RAS", (1, 1, 1)), ("LPS", (-1, -1, 1))])
def test_convention_world_frames(a_copied_file, scene, frame, signs):
    model = load(a_copied_file)
    move(model, scene)
    landmarks, _ = face_with_landmarks(model)
    out = a_copied_file.with_name("out.csv")

    export(landmarks, out, "csv", frame)

    numbers = read_landmarks(out).positions
    np.testing.assert_allclose(numbers, landmarks.world_positions * signs, atol=1e-3)


def test_file_frame_of_a_scaled_model_is_in_the_files_unit(a_copied_file, scene):
    mesh = read_mesh(a_copied_file)
    in_meters = a_copied_file.with_name("meters.ply")
    write_ply(replace(mesh, points=mesh.points * 0.001), in_meters)
    model = load(in_meters)
    scale_model(model, 1000.0)
    landmarks, vertices = face_with_landmarks(model)
    out = a_copied_file.with_name("out.csv")

    export(landmarks, out, "csv", "file")

    numbers = read_landmarks(out).positions
    np.testing.assert_allclose(numbers, read_mesh(in_meters).points[vertices], atol=1e-6)


def test_file_frame_of_a_model_of_triangle_strips(a_copied_file, scene):
    stripper, writer = vtk.vtkStripper(), vtk.vtkPolyDataWriter()
    stripper.SetInputData(load(a_copied_file).GetPolyData())
    strips = a_copied_file.with_name("strips.vtk")
    writer.SetInputConnection(stripper.GetOutputPort())
    writer.SetFileName(str(strips))
    writer.SetFileTypeToBinary()
    assert writer.Write() == 1
    model = load(strips)
    assert not model.GetPolyData().GetNumberOfPolys()
    landmarks, vertices = face_with_landmarks(model)
    out = a_copied_file.with_name("out.csv")

    export(landmarks, out, "csv", "file")

    numbers = read_landmarks(out).positions
    np.testing.assert_allclose(numbers, read_mesh(strips).points[vertices], atol=1e-3)


@pytest.mark.parametrize("is_in_a_bundle", [False, True])
def test_file_frame_of_a_hardened_model_is_refused(a_copied_file, scene, is_in_a_bundle):
    model = load(a_copied_file)
    move(model, scene)
    transform = model.GetParentTransformNode()
    model.ApplyTransformMatrix(slicer_matrix(transform))
    model.SetAndObserveTransformNodeID(None)
    landmarks, _ = face_with_landmarks(model)
    if is_in_a_bundle:  # Slicer takes the model for saved then
        assert slicer.util.saveScene(str(a_copied_file.with_name("a.mrb")), properties={})
        assert not model.GetModifiedSinceRead()

    with pytest.raises(ValueError, match="Save the model first, or choose LPS or RAS"):
        export(landmarks, a_copied_file.with_name("out.csv"), "csv", "file")
    assert not a_copied_file.with_name("out.csv").exists()


@pytest.mark.parametrize("what", ["model", "list"])
def test_file_frame_is_refused_where_one_of_the_two_was_moved_alone(a_copied_file, scene, what):
    model = load(a_copied_file)
    landmarks, _ = face_with_landmarks(model)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 25.0)
    parent.SetMatrixTransformToParent(matrix)
    {"model": model, "list": landmarks.node}[what].SetAndObserveTransformNodeID(parent.GetID())
    out = a_copied_file.with_name("out.csv")

    with pytest.raises(ValueError, match="do not lie on the model where it is now"):
        export(landmarks, out, "csv", "file")
    assert not out.exists()

    export(landmarks, out, "csv", "LPS")


def test_file_frame_of_a_scaled_and_then_changed_model_is_refused(a_copied_file, scene):
    model = load(a_copied_file)
    scale_model(model, 0.5)
    slicer.util.arrayFromModelPoints(model)[:] += 1.0
    slicer.util.arrayFromModelPointsModified(model)
    landmarks, _ = face_with_landmarks(model)

    with pytest.raises(ValueError, match="Save the model first"):
        export(landmarks, a_copied_file.with_name("out.csv"), "csv", "file")


def test_file_frame_of_a_scaled_model_that_was_saved_is_that_of_its_new_file(a_copied_file, scene):
    model = load(a_copied_file)
    scale_model(model, 0.5)
    saved = a_copied_file.with_name("saved.ply")
    assert slicer.util.saveNode(model, str(saved), properties={})
    landmarks, vertices = face_with_landmarks(model)
    out = a_copied_file.with_name("out.csv")

    export(landmarks, out, "csv", "file")

    numbers = read_landmarks(out).positions
    np.testing.assert_allclose(numbers, read_mesh(saved).points[vertices], atol=1e-3)


def test_file_frame_of_a_scaled_model_in_a_scene_bundle_is_that_of_its_file(a_copied_file, scene):
    model = load(a_copied_file)
    scale_model(model, 0.5)
    landmarks, vertices = face_with_landmarks(model)
    assert slicer.util.saveScene(str(a_copied_file.with_name("a.mrb")), properties={})
    out = a_copied_file.with_name("out.csv")

    export(landmarks, out, "csv", "file")

    assert model_scale(model) == 0.5
    numbers = read_landmarks(out).positions
    np.testing.assert_allclose(numbers, read_mesh(a_copied_file).points[vertices], atol=1e-3)


def test_unscaled_model_is_as_its_file_again(a_copied_file, scene):
    model = load(a_copied_file)
    scale_model(model, 0.5)
    scale_model(model, 2.0)
    landmarks, vertices = face_with_landmarks(model)
    out = a_copied_file.with_name("out.csv")

    export(landmarks, out, "csv", "file")

    numbers = read_landmarks(out).positions
    np.testing.assert_allclose(numbers, read_mesh(a_copied_file).points[vertices], atol=1e-3)


@pytest.fixture
def a_forbidden_path(tmp_path):
    """A path at which no file can be written, whoever the user is."""
    (tmp_path / "no folder").write_bytes(b"")
    return tmp_path / "no folder" / "face.mrk.json"


def test_list_is_saved_after_a_place_that_could_not_be_written(a_list, a_forbidden_path, tmp_path):
    save(a_list, tmp_path / "first.mrk.json")
    with pytest.raises(OSError, match="could not be written"):
        save(a_list, a_forbidden_path)
    # It is still in the previous file, which an export does not overwrite.
    with pytest.raises(ValueError, match=r"first\.mrk\.json is the file of the saved list"):
        export(a_list, tmp_path / "first.mrk.json", "mrk.json", "RAS", overwrite=True)

    save(a_list, tmp_path / "second.mrk.json")

    assert read_landmarks(tmp_path / "second.mrk.json").status == a_list.status
    assert a_list.node.GetStorageNode().GetFileName() == str(tmp_path / "second.mrk.json")


@pytest.mark.parametrize("n_bytes", [0, 8192])
def test_list_that_a_full_disk_cuts_off_replaces_nothing(a_list, tmp_path, monkeypatch, n_bytes):
    """Slicer says that it was written."""
    path, write = tmp_path / "face.mrk.json", slicer.util.saveNode
    save(a_list, path)
    before = path.read_bytes()
    a_list.node.SetNthControlPointPosition(0, 1.0, 2.0, 3.0)

    def write_until_full(node, name, properties):
        is_written = write(node, name, properties=properties)
        Path(name).write_bytes(Path(name).read_bytes()[:n_bytes])
        return is_written

    monkeypatch.setattr(slicer.util, "saveNode", write_until_full)
    with pytest.raises(OSError, match="free space"):
        save(a_list, path)

    assert path.read_bytes() == before
    assert list(tmp_path.glob("*palnet*")) == []
    assert a_list.node.GetStorageNode().GetFileName() == str(path)
    assert a_list.node.GetModifiedSinceRead()  # Slicer asks before it closes


def test_failure_of_slicer_does_not_make_the_next_saving_fail(
    a_list, tmp_path, monkeypatch, hidden_failures
):
    path, write = tmp_path / "face.mrk.json", slicer.util.saveNode

    def write_elsewhere(node, name, properties):
        return write(node, f"{name}/a.mrk.json", properties=properties)

    monkeypatch.setattr(slicer.util, "saveNode", write_elsewhere)
    with pytest.raises(OSError, match="could not be written"):
        save(a_list, path)
    hidden_failures.take_vtk_errors("unable to open file")
    monkeypatch.undo()

    save(a_list, path)

    assert read_landmarks(path).status == a_list.status


def test_list_that_was_never_saved_has_no_file_after_a_failure(a_list, a_forbidden_path):
    with pytest.raises(OSError, match="could not be written"):
        save(a_list, a_forbidden_path)

    storage = a_list.node.GetStorageNode()
    assert storage is None or not storage.GetFileName()


def test_example_is_not_proposed_to_be_saved_inside_the_module(a_list):
    assert default_path(a_list, ".mrk.json").parent == Path.home()


def test_list_without_a_file_beside_is_proposed_in_the_folder_used_last(a_list, tmp_path):
    qt.QSettings().setValue("PALNet/LastFolder", str(tmp_path))
    assert default_path(a_list, ".csv") == tmp_path / "Face landmarks.csv"

    qt.QSettings().setValue("PALNet/LastFolder", str(tmp_path / "gone"))
    assert default_path(a_list, ".csv") == Path.home() / "Face landmarks.csv"


@pytest.fixture
def a_share(tmp_path, monkeypatch):
    """A folder of another computer, which `cut` puts out of reach."""
    share, look = tmp_path / "share", Path.stat
    share.mkdir()

    def cut():
        def refuse(path, **how):
            if path.is_relative_to(share):
                raise OSError(errno.EINVAL, "The network location cannot be reached")
            return look(path, **how)

        monkeypatch.setattr(Path, "stat", refuse)

    return SimpleNamespace(path=share, cut=cut)


def test_list_can_be_saved_elsewhere_once_its_share_is_out_of_reach(a_list, a_share, tmp_path):
    """Windows does not say of such a folder that it is not there."""
    save(a_list, a_share.path / "face.mrk.json")
    qt.QSettings().setValue("PALNet/LastFolder", str(a_share.path))
    a_share.cut()

    proposed = default_path(a_list, ".mrk.json")
    export(a_list, tmp_path / "face.csv", "csv", "RAS")

    assert proposed == Path.home() / "Face landmarks.mrk.json"


def test_untouched_model_counts_as_unchanged(a_copied_file, scene):
    model = load(a_copied_file)
    landmarks, _ = face_with_landmarks(model)
    model.GetDisplayNode().SetColor(1, 0, 0)
    model.SetName("Renamed")
    assert scene.IsNodePresent(model)

    export(landmarks, a_copied_file.with_name("out.csv"), "csv", "file")


def test_existing_file_is_kept_without_a_yes(a_list, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("mine", encoding="utf-8")

    with pytest.raises(OutputExistsError, match=r"out\.csv"):
        export(a_list, path, "csv", "RAS")
    assert path.read_text(encoding="utf-8") == "mine"


def test_file_frame_without_a_model_says_what_to_do(a_list, a_face, scene, tmp_path):
    scene.RemoveNode(a_face)

    with pytest.raises(ValueError, match="Choose LPS or RAS"):
        export(a_list, tmp_path / "out.csv", "csv", "file")


def test_proposed_path_is_beside_the_model(a_copied_file, scene):
    model = load(a_copied_file)
    landmarks, _ = face_with_landmarks(model)

    assert default_path(landmarks, ".mrk.json") == a_copied_file.with_name("f\u00e4ce.mrk.json")
    scene.RemoveNode(model)
    assert default_path(landmarks, ".mrk.json") == Path.home() / "Landmarks.mrk.json"


def test_saved_list_overlays_the_reloaded_model(a_copied_file, scene):
    model = load(a_copied_file)
    move(model, scene)
    landmarks, vertices = face_with_landmarks(model)
    path = default_path(landmarks, ".mrk.json")
    save(landmarks, path)
    scene.Clear(False)

    again, points = load(a_copied_file), slicer.util.loadMarkups(str(path))

    on_model = slicer.util.arrayFromModelPoints(again)[vertices]
    loaded = slicer.util.arrayFromMarkupsControlPoints(points)
    np.testing.assert_allclose(loaded, on_model, atol=1e-3)


def test_folder_that_cannot_be_written_is_named(a_list, a_forbidden_path):
    with pytest.raises(OSError, match="no folder"):
        save(a_list, a_forbidden_path)


def test_every_format_takes_a_complete_list(a_copied_file, scene, tmp_path):
    from palnet.exchange import FORMATS

    landmarks, _ = face_with_landmarks(load(a_copied_file))

    for name, entry in FORMATS.items():
        path = tmp_path / f"specimen{entry.suffix}"
        export(landmarks, path, name, "LPS", overwrite=True)
        assert path.stat().st_size > 1000, name


def load(path, *, read_as_ras=False):
    if not read_as_ras:
        return slicer.util.loadModel(str(path))
    logic = slicer.modules.models.logic()
    return logic.AddModel(str(path), RAS)


def move(model, scene):
    transform = vtk.vtkTransform()
    transform.RotateWXYZ(33, 1, 2, 3)
    transform.Translate(11, 22, 33)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(transform.GetMatrix())
    model.SetAndObserveTransformNodeID(parent.GetID())


def slicer_matrix(transform):
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return matrix


def test_export_is_proposed_beside_the_saved_list_not_over_it(a_copied_file, scene):
    landmarks, _ = face_with_landmarks(load(a_copied_file))
    saved = a_copied_file.with_suffix(".mrk.json")
    assert export_path(landmarks, ".mrk.json") == saved

    save(landmarks, saved)

    assert default_path(landmarks, ".mrk.json") == saved
    assert export_path(landmarks, ".mrk.json").name == "f\u00e4ce-export.mrk.json"
    assert export_path(landmarks, ".csv") == a_copied_file.with_suffix(".csv")
    with pytest.raises(ValueError, match="the file of the saved list"):
        export(landmarks, saved, "mrk.json", "LPS", overwrite=True)


def test_a_list_is_saved_where_it_was_read_and_named_like_its_scan(scene, tmp_path):
    for name in ("scans", "results"):
        (tmp_path / name).mkdir()
    shutil.copy(SAMPLES / "example.ply", tmp_path / "scans" / "case_001.ply")
    read_from = tmp_path / "results" / "case_001.mrk.json"
    write_landmarks(true_landmarks(), read_from)
    node = slicer.util.loadMarkups(str(read_from))
    model = slicer.util.loadModel(str(tmp_path / "scans" / "case_001.ply"))
    landmarks = LandmarkList(node)
    assert find_model(landmarks) is model

    assert default_path(landmarks, ".mrk.json") == read_from
    assert default_path(landmarks, ".csv") == tmp_path / "scans" / "case_001.csv"
    assert model.GetName() == "case_001_1"  # Slicer's suffix: the list already has the name
    assert landmarks.landmark_set().specimen == "case_001"


@pytest.mark.parametrize("name", ["case", "case_001_left", "other_1"])
def test_a_name_that_was_given_by_hand_stays(scene, name, tmp_path):
    shutil.copy(SAMPLES / "example.ply", tmp_path / "case_001.ply")
    model = slicer.util.loadModel(str(tmp_path / "case_001.ply"))

    model.SetName(name)

    assert name_of_scan(model) == name
