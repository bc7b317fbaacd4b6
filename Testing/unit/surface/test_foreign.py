# SPDX-License-Identifier: Apache-2.0
"""Scans of formats that are not read: one line says what to do."""

from __future__ import annotations

import pytest

from palnet.errors import MeshError
from palnet.surface import FOREIGN_SCANS, MESH_SUFFIXES, read_mesh
from palnet_meshes import make_head, write_obj, write_stl_ascii

KNOWN = r"a mesh file ends in \.obj, \.ply, \.stl, \.vtk, \.vtp; got "


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.glb", b"glTF\2\0\0\0", r"It is a glTF file\. Open it in MeshLab or Blender and export"),
        ("a.gltf", b'{"asset": {}}', "It is a glTF file. Open it in MeshLab or Blender"),
        ("a.FBX", b"Kaydara FBX Binary  \0", r"It is an FBX file\. Open it in Blender and export"),
        ("a.usdz", b"PK\3\4", r"It is a USD file\. Open it in Blender"),
        ("a.3mf", b"PK\3\4", r"It is a 3MF file\. Open it in MeshLab"),
        ("a.wrl", b"#VRML V2.0 utf8\n", r"It is a VRML file\. Open it in MeshLab"),
        ("a.x3d", b"<?xml version='1.0'?><X3D>", r"It is an X3D file\. Open it in MeshLab"),
        ("a.dae", b"<?xml version='1.0'?><COLLADA>", r"It is a Collada file\. Open it in MeshLab"),
        ("a.off", b"OFF\n4 2 0\n", r"It is an OFF file\. Open it in MeshLab"),
        (
            "a.vtu",
            b'<VTKFile type="UnstructuredGrid">',
            r"grid of VTK\. Open it in ParaView, apply",
        ),
        ("a.xyz", b"1 2 3\n", r"It is a point cloud\. Build a surface first, e\.g\. with MeshLab"),
        ("a.nii.gz", b"\x1f\x8b\x08", r"It is a gzip archive\. Unpack it first"),
        ("a.nrrd", b"NRRD0004\n", r"It is a volume\. Cut out the skin first"),
        ("a.mtl", b"newmtl skin\n", r"It is a list of materials\. Name the \.obj file beside it"),
        ("a.png", b"\x89PNG\r\n\x1a\n", r"It is a picture\. Name the mesh file"),
        ("scan", b"glTF\2\0\0\0", r"It is a glTF file\. Open it in MeshLab or Blender"),
        ("a.wrl", b"\x1f\x8b\x08", r"It is a VRML file\. Open it in MeshLab"),
        ("a.glb", b"<!doctype html><html>404", r"Its content is an HTML page\.$"),
        ("a.fbx", b"glTF\2\0\0\0", r"It is a glTF file\. Open it in MeshLab or Blender"),
        ("a.jpg", b"\xff\xd8\xff\xe0", r"It is a picture\. Name the mesh file"),
        ("a.txt", b"hello", "Export the scan as one of these"),
        ("a.txt", b"%PDF-1.4", "Its content is a PDF document"),
    ],
)
def test_a_format_that_is_not_read_is_named_with_what_to_do(name, content, told, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(MeshError, match=KNOWN + f".*{told}") as caught:
        read_mesh(path)

    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        ("a.ast", write_stl_ascii, r"Its content is an ascii STL file: rename it to a\.stl\.$"),
        ("a.glb", write_obj, r"Its content is an OBJ file: rename it to a\.obj\.$"),
    ],
)
def test_a_mesh_under_a_foreign_suffix_is_to_be_renamed(name, write, told, tmp_path):
    path = tmp_path / name
    path.write_bytes(write(make_head()))

    with pytest.raises(MeshError, match=told):
        read_mesh(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"glTF\2\0\0\0", "a glTF binary file, not what .stl says. Open it in MeshLab or Blender"),
        (b"PK\3\4aaaa", "a ZIP archive, not what .stl says. Unpack it first"),
        (b"\x89PNG\r\n\x1a\n", "a picture, not what .stl says. Name the mesh file"),
        (b'<VTKFile type="UnstructuredGrid">', "says. Open it in ParaView, apply Extract Surface"),
        (b"%PDF-1.4", "a PDF document, not what .stl says. Save the mesh as one of .obj, .ply"),
    ],
)
def test_a_foreign_format_under_the_suffix_of_a_mesh_gets_the_same_advice(content, told, tmp_path):
    path = tmp_path / "a.stl"
    path.write_bytes(content)

    with pytest.raises(MeshError) as caught:
        read_mesh(path)

    assert told in str(caught.value)


def test_no_format_that_is_read_is_called_foreign():
    assert not set(FOREIGN_SCANS) & set(MESH_SUFFIXES)
