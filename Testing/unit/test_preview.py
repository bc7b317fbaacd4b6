# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOImage import vtkPNGReader

from palnet import preview
from palnet.errors import OutputExistsError, PreviewError
from palnet.preview import render_preview
from palnet.similarity import apply_similarity, compose_similarity
from palnet.surface import read_mesh
from palnet_fakes import FAILING_PROGRAM, fake_detect, move_landmarks


@pytest.fixture
def a_face(a_head_file):
    """A scan, its landmarks and the pose that turns it upright."""
    mesh = read_mesh(a_head_file)
    detection = fake_detect(mesh)
    return mesh, detection.landmarks, detection.face_from_scan


def test_render_preview_draws_each_class_in_its_color(a_face, tmp_path):
    path = tmp_path / "face.png"

    render_preview(*a_face, path)

    pixels = read_png(path)
    legend, views = pixels[-84:], pixels[:-84]
    red, green, blue = (views[..., channel].astype(int) for channel in range(3))
    assert (blue > red + 60).any()  # blue spheres
    assert ((red > blue + 80) & (green > blue + 80)).any()  # yellow ones
    assert ((red > green + 60) & (red > blue + 60)).any()  # vermillion ones
    assert len(np.unique(legend.reshape(-1, 3), axis=0)) > 10


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (0, r"mesh must be a palnet\.Mesh; got object\. Read it: palnet\.read_mesh"),
        (1, r"landmarks must be a LandmarkSet; got object.*detection\.landmarks"),
        (2, "face_from_scan must be real numbers.*got object"),
    ],
)
def test_render_preview_says_what_is_in_the_place_of_another(a_face, tmp_path, number, message):
    given = list(a_face)
    given[number] = object()

    with pytest.raises(ValueError, match=message):
        render_preview(*given, tmp_path / "face.png")


def test_render_preview_is_the_same_in_any_pose(a_face, tmp_path):
    mesh, landmarks, _ = a_face
    turn = np.diag([1.0, -1.0, -1.0, 1.0])  # half a turn about x; its own inverse
    turned = replace(mesh, points=mesh.points @ turn[:3, :3])

    render_preview(*a_face, tmp_path / "a.png")
    render_preview(turned, move_landmarks(landmarks, turn), turn, tmp_path / "b.png")

    first, second = read_png(tmp_path / "a.png"), read_png(tmp_path / "b.png")
    assert np.abs(first.astype(int) - second).mean() < 0.05


def test_render_preview_refuses_what_is_no_pose(a_face, tmp_path):
    with pytest.raises(ValueError, match=r"face_from_scan must have shape \(4, 4\); got \(3, 3\)"):
        render_preview(*a_face[:2], np.eye(3), tmp_path / "face.png")


def test_render_preview_existing_picture_is_kept(a_face, tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(b"old")

    with pytest.raises(OutputExistsError, match=r"face\.png exists already"):
        render_preview(*a_face, path)


def test_render_preview_without_opengl_raises_and_leaves_nothing(a_face, tmp_path, monkeypatch):
    # The drawing process dies as VTK does where it finds no OpenGL.
    monkeypatch.setattr(preview.sys, "executable", FAILING_PROGRAM)

    with pytest.raises(PreviewError, match="no OpenGL that VTK can use"):
        render_preview(*a_face, tmp_path / "face.png")

    assert not (tmp_path / "face.png").exists()


def test_render_preview_without_room_for_temporary_files_says_so(a_face, tmp_path, monkeypatch):
    monkeypatch.setattr(preview.tempfile, "tempdir", str(tmp_path / "nowhere"))

    with pytest.raises(PreviewError, match=r"drawn: .*nowhere.*The landmarks do not .*TMPDIR"):
        render_preview(*a_face, tmp_path / "face.png")


def test_render_preview_that_hangs_raises(a_face, tmp_path, monkeypatch):
    monkeypatch.setattr(preview, "_TIME_LIMIT_S", 0.01)

    with pytest.raises(PreviewError, match="timed out"):
        render_preview(*a_face, tmp_path / "face.png")


def test_render_preview_of_a_dense_mesh_draws_it_coarser_but_alike(a_face, tmp_path, monkeypatch):
    render_preview(*a_face, tmp_path / "fine.png")
    monkeypatch.setattr(preview, "_MAX_TRIANGLES", 100)
    monkeypatch.setattr(preview, "_CELL_MM", 3.0)
    render_preview(*a_face, tmp_path / "coarse.png")

    fine, coarse = read_png(tmp_path / "fine.png"), read_png(tmp_path / "coarse.png")
    assert 0 < np.abs(fine.astype(int) - coarse).mean() < 4


def test_scan_in_another_unit_is_drawn_likewise(a_face, tmp_path):
    mesh, landmarks, pose = a_face
    turn = Rotation.from_euler("xyz", [10, 40, -30], degrees=True).as_matrix()
    pose = compose_similarity(1.1, turn, np.array([5.0, -60, 20])) @ pose
    in_centimeters = replace(mesh, points=mesh.points / 10)
    theirs = replace(landmarks, positions=landmarks.positions / 10, mm_per_unit=10.0)

    preview._write_job(mesh, landmarks, pose, tmp_path / "mm.npz")
    preview._write_job(in_centimeters, theirs, pose, tmp_path / "cm.npz")

    with np.load(tmp_path / "mm.npz") as first, np.load(tmp_path / "cm.npz") as second:
        expected = apply_similarity(pose, mesh.points)
        np.testing.assert_allclose(first["points"], expected, atol=1e-4)
        for name in ("points", "landmarks"):
            np.testing.assert_allclose(second[name], first[name], atol=1e-4)


def paint_sides(mesh, pose):
    """Paint the patient's right green and the left purple, which no sphere is."""
    is_right = (apply_similarity(pose, mesh.points)[:, 0] < 0)[:, None]
    return replace(mesh, colors=np.where(is_right, [30, 160, 60], [160, 40, 170]).astype(np.uint8))


@pytest.mark.parametrize("is_dense", [False, True])
def test_scan_with_color_is_drawn_in_it(a_face, tmp_path, monkeypatch, is_dense):
    if is_dense:
        monkeypatch.setattr(preview, "_MAX_TRIANGLES", 100)
        monkeypatch.setattr(preview, "_CELL_MM", 3.0)
    mesh, landmarks, pose = a_face

    render_preview(paint_sides(mesh, pose), landmarks, pose, tmp_path / "colored.png")
    render_preview(*a_face, tmp_path / "plain.png")

    colored, plain = (read_png(tmp_path / f"{name}.png") for name in ("colored", "plain"))
    red, green, blue = (colored[:-84, :, channel].astype(int) for channel in range(3))
    is_green, is_purple = green > np.maximum(red, blue) + 20, np.minimum(red, blue) > green + 20
    sides = [(0, 640), (640, 960), (960, 1280), (1280, 1920)]
    n_green, n_purple = (
        [int(each[:, a:b].sum()) for a, b in sides] for each in (is_green, is_purple)
    )
    is_gray = np.ptp(plain[:-84].astype(int), axis=2) < 25
    is_skin = is_gray & (plain[:-84].max(axis=2) < 235)
    n_skin = [int(is_skin[:, a:b].sum()) for a, b in sides]
    # The coarse triangles in the middle are of both colors.
    assert (np.array(n_green)[:2] > 0.8 * np.array(n_skin)[:2]).all()
    assert (np.array(n_purple)[2:] > 0.8 * np.array(n_skin)[2:]).all()
    assert max(n_green[3], n_purple[0]) < 0.01 * min(n_skin)
    np.testing.assert_array_equal(colored[-84:], plain[-84:])


@pytest.mark.parametrize("n_too_many", [0, 1])
def test_only_a_mesh_of_more_triangles_than_a_picture_shows_is_thinned(
    n_too_many, a_face, tmp_path, monkeypatch
):
    n_triangles = len(a_face[0].triangles)
    monkeypatch.setattr(preview, "_MAX_TRIANGLES", n_triangles - n_too_many)
    monkeypatch.setattr(preview, "_CELL_MM", 30.0)

    preview._write_job(*a_face, tmp_path / "job.npz")

    with np.load(tmp_path / "job.npz") as job:
        assert (len(job["triangles"]) < n_triangles) == bool(n_too_many)


def read_png(path):
    reader = vtkPNGReader()
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    width, height, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)
    return pixels[::-1]  # VTK counts rows from below
