# SPDX-License-Identifier: Apache-2.0
"""The colors of scans, as files hold them and the scene shows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from palnet.surface import Mesh, read_colored_mesh
from palnet_meshes import WRITERS, make_head
from palnet_scenes import vtk_array, write_picture, write_textured_obj
from PALNetLandmarksLib import model_colors
from PALNetLandmarksLib.model_colors import describe_missing_image, reader_of_colored_mesh
from PALNetLandmarksLib.model_scaling import scale_model
from PALNetLandmarksLib.models import mesh_from_model

FLIP = np.array([-1.0, -1.0, 1.0])


@pytest.fixture
def a_head():
    """A head each vertex of which has a color of its own."""
    head = make_head()
    colors = np.random.default_rng(5).integers(0, 256, head.points.shape, np.uint8)
    return replace(head, points=np.round(head.points * 4) / 4, colors=colors)


def colored(model):
    return reader_of_colored_mesh(model, mesh_from_model(model))()


def without_colors(model):
    """Return the mesh of a model, which is the same with and without asking for colors."""
    mesh, plain = colored(model), mesh_from_model(model)
    assert mesh.colors is None
    np.testing.assert_array_equal(mesh.points, plain.points)
    np.testing.assert_array_equal(mesh.triangles, plain.triangles)
    return mesh


def assert_colored_as(mesh: Mesh, head: Mesh):
    """Compare the colors of vertices that lie in the same places."""
    places = {tuple(row): tuple(color) for row, color in zip(head.points, head.colors, strict=True)}
    found = [places[tuple(row)] for row in mesh.points * FLIP]
    np.testing.assert_array_equal(mesh.colors, found)
    assert {tuple(row) for row in mesh.points * FLIP} == places.keys()


def assert_same_corners(mesh: Mesh, stored: Mesh):
    """Compare the colors of the corners of triangles in their order."""
    np.testing.assert_array_equal(mesh.colors[mesh.triangles], stored.colors[stored.triangles])


def lines(template, rows):
    return "".join(template % tuple(row) for row in rows)


def write_ply(head, path):
    rows = np.hstack([head.points, head.colors])
    path.write_text(
        f"ply\nformat ascii 1.0\nelement vertex {len(rows)}\n"
        + lines("property float %s\n", [(name,) for name in "xyz"])
        + lines("property uchar %s\n", [("red",), ("green",), ("blue",)])
        + f"element face {len(head.triangles)}\nproperty list uchar int vertex_indices\n"
        + "end_header\n"
        + lines("%.9g %.9g %.9g %d %d %d\n", rows)
        + lines("3 %d %d %d\n", head.triangles)
    )


def write_ply_of_fractions(head, path):
    """vtkPLYReader makes black of these colors."""
    write_ply(head, path)
    header, rows = path.read_text().replace("uchar red", "float red").split("end_header\n")
    for name in ("green", "blue"):
        header = header.replace(f"uchar {name}", f"float {name}")
    vertices = rows.splitlines()[: len(head.points)]
    numbers = np.loadtxt(vertices) / [1, 1, 1, 255, 255, 255]
    faces = lines("3 %d %d %d\n", head.triangles)
    path.write_text(
        f"{header}end_header\n" + lines("%.9g %.9g %.9g %.9g %.9g %.9g\n", numbers) + faces
    )


def write_ply_with_image(head, path):
    """As MeshLab does, with places in the image for the corners of each triangle."""
    n_wide = int(np.ceil(np.sqrt(len(head.points))))
    pixels = np.zeros((n_wide * n_wide, 3), np.uint8)
    pixels[: len(head.points)] = head.colors
    write_picture(pixels.reshape(n_wide, n_wide, 3), path.with_suffix(".png"))
    rows, columns = np.divmod(head.triangles, n_wide)
    uv = (np.stack([columns, rows], axis=2) + 0.5) / n_wide
    faces = np.hstack([head.triangles, uv.reshape(-1, 6)])
    path.write_text(
        f"ply\nformat ascii 1.0\ncomment TextureFile {path.stem}.png\n"
        f"element vertex {len(head.points)}\n"
        + lines("property float %s\n", [(name,) for name in "xyz"])
        + f"element face {len(head.triangles)}\nproperty list uchar int vertex_indices\n"
        + "property list uchar float texcoord\nend_header\n"
        + lines("%.9g %.9g %.9g\n", head.points)
        + lines("3 %d %d %d 6 %.9g %.9g %.9g %.9g %.9g %.9g\n", faces)
    )


def write_obj(head, path):
    rows = np.hstack([head.points, head.colors / 255.0])
    path.write_text(
        lines("v %.9g %.9g %.9g %.9g %.9g %.9g\n", rows) + lines("f %d %d %d\n", head.triangles + 1)
    )


def polydata_of(head, name="RGB"):
    poly = vtk.vtkPolyData()
    poly.SetPoints(vtk.vtkPoints())
    poly.GetPoints().SetData(numpy_to_vtk(head.points.astype(np.float32), deep=True))
    poly.SetPolys(vtk.vtkCellArray())
    for triangle in head.triangles.tolist():
        poly.GetPolys().InsertNextCell(3, triangle)
    if name:
        poly.GetPointData().AddArray(vtk_array(head.colors, name))
    return poly


def write_vtp(head, path):
    writer = vtk.vtkXMLPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(polydata_of(head, "Colors"))
    assert writer.Write()


def write_vtk(head, path):
    poly = polydata_of(head, "")
    poly.GetPointData().SetScalars(vtk_array(head.colors, "tint"))
    writer = vtk.vtkPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(poly)
    assert writer.Write()


FORMATS = {
    "head.ply": write_ply,
    "fractions.ply": write_ply_of_fractions,
    "textured.ply": write_ply_with_image,
    "head.obj": write_obj,
    "head.vtp": write_vtp,
    "head.vtk": write_vtk,
    "textured.obj": write_textured_obj,
}


@pytest.fixture(params=FORMATS)
def a_file(request, a_head, tmp_path):
    path = tmp_path / request.param
    FORMATS[request.param](a_head, path)
    return path


@pytest.fixture
def a_textured(scene, a_head, tmp_path):
    """An OBJ file with an image, in the scene."""
    path = tmp_path / "textured.obj"
    write_textured_obj(a_head, path)
    return slicer.util.loadModel(str(path))


@pytest.fixture
def a_model(scene, a_head):
    """A model that comes from no file."""
    return model_of(polydata_of(a_head), scene)


def model_of(poly, scene):
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "Head")
    model.SetAndObservePolyData(poly)
    model.CreateDefaultDisplayNodes()
    return model


def test_colors_are_those_of_the_file_in_every_format(scene, a_head, a_file):
    mesh = colored(slicer.util.loadModel(str(a_file)))

    assert_colored_as(mesh, a_head)
    assert_same_corners(mesh, read_colored_mesh(a_file))
    assert mesh.findings == ()


def test_convention_image_begins_below_left(scene, tmp_path):
    """Four vertices in the corners of an image of two times two pixels."""
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
    write_picture(pixels, tmp_path / "image.png")
    (tmp_path / "a.mtl").write_text("newmtl skin\nmap_Kd image.png\n")
    path = tmp_path / "square.obj"
    path.write_text(
        "mtllib a.mtl\nusemtl skin\n"
        + lines("v %d %d 1\n", corners * 100)
        + lines("vt %d %d\n", corners)
        + "f 1/1 2/2 3/3\nf 2/2 4/4 3/3\n"
    )

    mesh = colored(slicer.util.loadModel(str(path)))

    left, top = mesh.points[:, 0] > -50, mesh.points[:, 1] < -50
    expected = pixels[top.astype(int), 1 - left.astype(int)]  # pixels: the lowest row first
    np.testing.assert_array_equal(mesh.colors, expected)


def test_colors_of_several_images_are_those_of_the_file(scene, a_head, tmp_path):
    """With an image for each of two materials, none for a third, and seams."""
    path, rng = tmp_path / "parts.obj", np.random.default_rng(8)
    for name in ("a", "b"):
        pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
        write_picture(pixels, tmp_path / f"{name}.png")
    (tmp_path / "parts.mtl").write_text(
        "newmtl a\nmap_Kd a.png\nnewmtl b\nmap_Kd b.png\nnewmtl c\nKd 0.5 0.5 0.5\n"
    )
    parts = np.array_split(a_head.triangles + 1, 3)
    places = rng.integers(1, 400, (2, len(a_head.triangles), 3))
    path.write_text(
        "mtllib parts.mtl\n"
        + lines("v %.9g %.9g %.9g\n", a_head.points)
        + lines("vt %.9g %.9g\n", rng.random((400, 2)))
        + "".join(
            f"usemtl {name}\n"
            + lines("f %d/%d %d/%d %d/%d\n", np.stack([part, uv[: len(part)]], 2).reshape(-1, 6))
            for name, part, uv in zip("ab", parts, places, strict=False)
        )
        + "usemtl c\n"
        + lines("f %d %d %d\n", parts[2])
    )

    mesh = colored(slicer.util.loadModel(str(path)))

    assert_same_corners(mesh, read_colored_mesh(path))
    assert mesh.findings == ()


def test_texture_of_the_display_node_is_seen(scene, a_head, a_textured, tmp_path):
    """As SlicerIGT's Texture Model sets it: a volume with the uppermost row first, flipped."""
    reader, upright, flip = vtk.vtkPNGReader(), vtk.vtkImageFlip(), vtk.vtkImageFlip()
    reader.SetFileName(str(tmp_path / "textured.png"))
    for source, target in ((reader, upright), (upright, flip)):
        target.SetFilteredAxis(1)
        target.SetInputConnection(source.GetOutputPort())
    a_textured.GetDisplayNode().SetTextureImageDataConnection(flip.GetOutputPort())
    (tmp_path / "textured.png").rename(tmp_path / "moved.png")
    reader.SetFileName(str(tmp_path / "moved.png"))

    mesh = colored(a_textured)

    assert_colored_as(mesh, a_head)
    assert mesh.findings == ()


@pytest.mark.parametrize("shape", [(1, 2, 2, 1), (2, 2, 2, 3)], ids=["gray", "a stack"])
def test_other_images_shown_on_a_model_are_no_color(a_textured, tmp_path, shape):
    image = vtk.vtkImageData()
    image.SetDimensions(shape[2], shape[1], shape[0])
    values = np.arange(np.prod(shape), dtype=np.uint8).reshape(-1, shape[3])
    image.GetPointData().SetScalars(vtk_array(values, "pixels"))
    source = vtk.vtkTrivialProducer()
    source.SetOutput(image)
    a_textured.GetDisplayNode().SetTextureImageDataConnection(source.GetOutputPort())
    (tmp_path / "textured.png").unlink()

    without_colors(a_textured)


@pytest.mark.parametrize("name", ["Color", "vertex_colors", "RGBA"])
def test_fractions_under_the_name_of_a_color_are_colors(scene, a_head, name):
    """SlicerIGT's Texture Model can write them."""
    poly = polydata_of(a_head, "")
    poly.GetPointData().AddArray(vtk_array(a_head.colors / 255.0, name))

    mesh = colored(model_of(poly, scene))

    np.testing.assert_array_equal(mesh.colors, a_head.colors)


def test_opacity_is_left_out(scene, a_head):
    poly = polydata_of(a_head, "")
    opaque = np.hstack([a_head.colors, np.full((len(a_head.points), 1), 9, np.uint8)])
    poly.GetPointData().AddArray(vtk_array(opaque, "RGBA"))

    np.testing.assert_array_equal(colored(model_of(poly, scene)).colors, a_head.colors)


def test_shown_colors_come_before_others(scene, a_head):
    poly = polydata_of(replace(a_head, colors=255 - a_head.colors))
    poly.GetPointData().AddArray(vtk_array(a_head.colors, "Color after treatment"))
    model = model_of(poly, scene)
    model.GetDisplayNode().SetActiveScalarName("Color after treatment")

    np.testing.assert_array_equal(colored(model).colors, a_head.colors)


NOT_COLORS = {
    "distance": lambda head: np.linspace(0.0, 1.0, len(head.points)),
    "labels": lambda head: np.arange(len(head.points), dtype=np.uint8),
    "Normals": lambda head: np.abs(head.points) / 200.0,
    "Color": lambda head: head.points,
    "RGB": lambda head: np.full(head.points.shape, np.nan),
    "color": lambda head: np.abs(head.points) + 200.0,
    "Colors": lambda head: np.full_like(head.colors, 192),
    "two": lambda head: head.colors[:, :2],
    "short": lambda head: head.colors[1:],
}


@pytest.mark.parametrize("name", NOT_COLORS)
def test_other_data_is_no_color(scene, a_head, name):
    """Such as a distance shown in false colors, or one gray for a scan without color."""
    poly = polydata_of(a_head, "")
    poly.GetPointData().AddArray(vtk_array(NOT_COLORS[name](a_head), name))
    model = model_of(poly, scene)
    model.GetDisplayNode().SetActiveScalarName(name)
    model.GetDisplayNode().SetScalarVisibility(True)

    without_colors(model)


def test_polygons_and_strips_keep_colors(scene, a_head):
    stripper = vtk.vtkStripper()
    stripper.SetInputData(polydata_of(a_head))
    stripper.Update()
    assert stripper.GetOutput().GetNumberOfStrips()

    mesh = colored(model_of(stripper.GetOutput(), scene))

    np.testing.assert_array_equal(mesh.colors, a_head.colors)
    assert len(mesh.triangles) == len(a_head.triangles)


def test_polygons_take_the_colors_of_an_image(scene, tmp_path):
    """Slicer cuts polygons into other triangles than the library."""
    pixels = np.random.default_rng(6).integers(0, 256, (5, 5, 3), np.uint8)
    write_picture(pixels, tmp_path / "image.png")
    (tmp_path / "grid.mtl").write_text("newmtl skin\nmap_Kd image.png\n")
    places = np.stack(np.divmod(np.arange(25), 5), axis=1)
    first = np.array([5 * row + column + 1 for row in range(4) for column in range(4)])
    corners = np.stack([first, first + 1, first + 6, first + 5], axis=1)
    path = tmp_path / "grid.obj"
    path.write_text(
        "mtllib grid.mtl\nusemtl skin\n"
        + lines("v %d %d 1\n", places @ np.array([[40, 20], [0, 40]]))
        + lines("vt %.9g %.9g\n", (places + 0.5) / 5)
        + lines("f %d/%d %d/%d %d/%d %d/%d\n", corners.repeat(2, axis=1))
        + "v 0 0 9\nv 9 0 9\nv 9 9 9\nv 0 9 9\nf 26 27 28 29\n"
    )

    mesh, stored = colored(slicer.util.loadModel(str(path))), read_colored_mesh(path)

    assert (mesh.triangles != stored.triangles).any()
    np.testing.assert_array_equal(mesh.colors[:25], stored.colors[:25])
    assert (mesh.colors[25:] == 128).all()  # gray: these have no place in the image


def test_lost_vertices_keep_the_colors_of_the_others(scene, a_head):
    extra = vtk.vtkLoopSubdivisionFilter()  # so many triangles that few are lost
    extra.SetNumberOfSubdivisions(2)
    extra.SetInputData(polydata_of(a_head))
    extra.Update()
    poly = extra.GetOutput()
    before = colored(model_of(poly, scene)).colors
    poly.GetPoints().SetPoint(40, np.nan, 0, 0)

    mesh = colored(model_of(poly, scene))

    assert [finding.code for finding in mesh.findings] == ["lost_vertices"]
    np.testing.assert_array_equal(mesh.colors, before)


@pytest.mark.parametrize("kind", ["head.obj", "textured.obj"])
def test_moved_and_scaled_models_keep_the_colors_of_their_file(scene, a_head, tmp_path, kind):
    path = tmp_path / kind
    FORMATS[kind](a_head, path)
    model = slicer.util.loadModel(str(path))
    expected = colored(model).colors
    transform = vtk.vtkTransform()
    transform.RotateX(140)
    model.ApplyTransform(transform)
    scale_model(model, 25.4)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(transform.GetMatrix())
    model.SetAndObserveTransformNodeID(parent.GetID())

    np.testing.assert_array_equal(colored(model).colors, expected)


def filtered(model, filter_):
    filter_.SetInputData(model.GetPolyData())
    filter_.Update()
    model.SetAndObservePolyData(filter_.GetOutput())


def decimation():
    smaller = vtk.vtkQuadricDecimation()
    smaller.SetTargetReduction(0.5)
    return smaller


def test_smoothed_model_keeps_the_colors_of_its_file(a_textured):
    expected = colored(a_textured).colors

    filtered(a_textured, vtk.vtkWindowedSincPolyDataFilter())

    np.testing.assert_array_equal(colored(a_textured).colors, expected)


def test_joined_vertices_keep_the_colors_of_their_file(a_head, a_textured):
    n_before = a_textured.GetPolyData().GetNumberOfPoints()

    filtered(a_textured, vtk.vtkCleanPolyData())

    assert a_textured.GetPolyData().GetNumberOfPoints() < n_before
    assert_colored_as(colored(a_textured), a_head)


@pytest.mark.parametrize("kind", ["head.obj", "textured.obj"])
def test_decimated_model_has_no_wrong_colors(scene, a_head, tmp_path, kind):
    """The filter leaves neither colors nor places in the image."""
    path = tmp_path / kind
    FORMATS[kind](a_head, path)
    model = slicer.util.loadModel(str(path))
    filtered(model, vtk.vtkCleanPolyData())
    filtered(model, decimation())

    without_colors(model)


def test_file_that_changed_meanwhile_gives_no_color(scene, a_head, tmp_path):
    path = tmp_path / "head.obj"
    write_obj(a_head, path)
    model = slicer.util.loadModel(str(path))
    write_obj(replace(a_head, triangles=np.roll(a_head.triangles, 1, axis=0)), path)

    without_colors(model)


@pytest.mark.parametrize("content", [b"", b"no image", None], ids=["empty", "text", "cut off"])
def test_damaged_image_is_told_and_no_error(a_textured, tmp_path, content):
    image = tmp_path / "textured.png"
    image.write_bytes(image.read_bytes()[:-30] if content is None else content)

    findings = without_colors(a_textured).findings

    assert findings == read_colored_mesh(tmp_path / "textured.obj").findings
    assert [finding.code for finding in findings] == ["texture"]


@pytest.mark.parametrize("name", ["textured.png", "textured.mtl"])
def test_missing_file_is_named(a_textured, tmp_path, name):
    (tmp_path / name).unlink()

    (finding,) = without_colors(a_textured).findings

    assert finding.code == "texture"
    assert f"Not found: {name}. Lips" in finding.message


@pytest.mark.parametrize("lost", ["Anna Müller [1].png", "Anna Müller [1].mtl", None])
def test_files_whose_names_have_blanks_are_found_or_named_whole(scene, a_head, tmp_path, lost):
    """vtkOBJReader keeps what is before a blank."""
    path = tmp_path / "Anna Müller [1].obj"
    write_textured_obj(a_head, path)
    for each in (path, path.with_suffix(".mtl")):
        each.write_text(each.read_text().replace("mtl skin", "mtl light skin"))
    if lost is not None:
        (tmp_path / lost).unlink()

    findings = describe_missing_image(slicer.util.loadModel(str(path)))

    named = [finding.message.split("Not found: ")[1].split(". Lips")[0] for finding in findings]
    assert named == ([] if lost is None else [lost])


def test_missing_file_is_not_missed_if_the_model_has_colors(a_head, a_textured, tmp_path):
    (tmp_path / "textured.mtl").unlink()
    n_points = a_textured.GetPolyData().GetNumberOfPoints()
    colors = np.arange(3 * n_points).reshape(-1, 3).astype(np.uint8)
    a_textured.GetPolyData().GetPointData().AddArray(vtk_array(colors, "RGB"))

    mesh = colored(a_textured)

    np.testing.assert_array_equal(mesh.colors, colors)
    assert mesh.findings == ()


def test_material_without_an_image_is_not_missed(a_textured, tmp_path):
    (tmp_path / "textured.mtl").write_text("newmtl skin\nKd 0.5 0.5 0.5\n")

    assert without_colors(a_textured).findings == ()


def test_materials_that_are_not_used_are_not_missed(scene, a_head, tmp_path):
    path = tmp_path / "textured.obj"
    write_textured_obj(a_head, path)
    path.write_text(f"mtllib eyes.mtl\n{path.read_text()}")
    materials = path.with_suffix(".mtl")
    materials.write_text(f"newmtl hair\nmap_Kd hair.png\n{materials.read_text()}")

    mesh = colored(slicer.util.loadModel(str(path)))

    assert_colored_as(mesh, a_head)
    assert mesh.findings == ()


def test_scene_bundle_holds_no_image_and_this_is_told(a_textured, tmp_path):
    name = a_textured.GetName()
    bundle = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(bundle), properties={})
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(bundle), properties={})

    (finding,) = without_colors(slicer.util.getNode(name)).findings

    assert finding.code == "texture"


def test_model_saved_by_slicer_as_obj_has_no_color(a_textured, tmp_path):
    """Slicer writes a material file without the image."""
    path = tmp_path / "saved.obj"
    assert slicer.util.saveNode(a_textured, str(path), properties={})

    without_colors(slicer.util.loadModel(str(path)))


def test_colors_are_a_copy(a_model, a_head):
    mesh = colored(a_model)

    a_model.GetPolyData().GetPointData().GetArray("RGB").Fill(0)

    np.testing.assert_array_equal(mesh.colors, a_head.colors)


def test_model_without_display_node_has_colors(scene, a_head):
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "Head")
    model.SetAndObservePolyData(polydata_of(a_head))

    np.testing.assert_array_equal(colored(model).colors, a_head.colors)


@pytest.mark.parametrize("name", ["plain.obj", "ascii.ply", "little.ply"])
def test_a_file_without_color_is_not_parsed_again(name, scene, tmp_path, monkeypatch):
    """A detection of a plain scan would otherwise read its file twice."""
    path = tmp_path / name
    path.write_bytes(WRITERS[name](make_head()))
    model = slicer.util.loadModel(str(path))
    mesh = mesh_from_model(model)
    parsed = []
    monkeypatch.setattr(model_colors, "read_colored_mesh", parsed.append)

    color = model_colors.reader_of_color(model, mesh)()

    assert model_colors.reader_of_colored_mesh(model, mesh)().colors is None
    assert not color
    assert parsed == []
