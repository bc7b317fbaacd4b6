# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from palnet.errors import MeshError
from palnet.surface import Mesh, parse_unit, prepare_surface, read_mesh
from palnet_meshes import WRITERS, make_head, shuffle, write_obj, write_ply_little, write_stl_binary

MM = parse_unit("mm")


@pytest.fixture
def a_head():
    return make_head()


@pytest.fixture
def write(tmp_path):
    """Write bytes or text under a name with blanks and letters beyond ASCII."""

    def write_file(name, content):
        path = tmp_path / "Gesicht ö 顔" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_surface_to_the_bit(name, a_head, write):
    path = write(name, WRITERS[name](a_head))

    surface = prepare_surface(read_mesh(path), MM)

    expected = prepare_surface(a_head, MM)
    np.testing.assert_array_equal(surface.points_mm, expected.points_mm)
    np.testing.assert_array_equal(surface.triangles, expected.triangles)
    np.testing.assert_array_equal(surface.normals, expected.normals)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_keeps_its_own_numbers_and_order(name, a_head, write):
    mesh = read_mesh(write(name, WRITERS[name](a_head)))

    corners = mesh.points[mesh.triangles]
    np.testing.assert_array_equal(corners, a_head.points[a_head.triangles])
    assert mesh.name == name.split(".")[0]
    if not name.endswith("stl"):
        np.testing.assert_array_equal(mesh.points, a_head.points)


@pytest.mark.parametrize("name", [name for name in WRITERS if "binary" not in name])
def test_a_byte_order_mark_before_text_changes_nothing(name, a_head, write):
    plain, marked = WRITERS[name](a_head), b"\xef\xbb\xbf" + WRITERS[name](a_head)

    mesh = read_mesh(write(name, marked))

    expected = read_mesh(write(f"plain.{name.rsplit('.', 1)[-1]}", plain))
    np.testing.assert_array_equal(mesh.points, expected.points)
    np.testing.assert_array_equal(mesh.triangles, expected.triangles)


def test_binary_stl_whose_header_begins_like_a_byte_order_mark_is_read(a_head, write):
    content = b"\xef\xbb\xbf" + write_stl_binary(a_head)[3:]

    assert len(read_mesh(write("a.stl", content)).triangles) == len(a_head.triangles)


@pytest.mark.parametrize("n_bytes", [1, 2, 49])
def test_binary_stl_filled_up_behind_the_last_facet_is_read(n_bytes, a_head, write):
    mesh = read_mesh(write("a.stl", write_stl_binary(a_head) + bytes(n_bytes)))

    assert len(mesh.triangles) == len(a_head.triangles)


@pytest.mark.parametrize("name", ["head.OBJ", "head.Obj"])
def test_suffix_in_capitals_is_understood(name, a_head, write):
    assert len(read_mesh(write(name, write_obj(a_head))).triangles) == len(a_head.triangles)


@pytest.mark.parametrize("mode", ["Ascii", "Binary", "AppendedRaw", "AppendedBase64"])
@pytest.mark.parametrize("packed", ["None", "ZLib", "LZMA"])
@pytest.mark.parametrize(("order", "sizes"), [("Little", 32), ("Big", 64)])
def test_vtp_as_vtk_writes_it_is_read(mode, packed, order, sizes, a_head, tmp_path):
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    path = tmp_path / "grün.vtp"
    writer = vtkXMLPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(_to_vtk(a_head))
    getattr(writer, f"SetDataModeTo{mode.removesuffix('Raw').removesuffix('Base64')}")()
    writer.SetEncodeAppendedData(mode.endswith("Base64"))
    getattr(writer, f"SetCompressorTypeTo{packed}")()
    writer.SetBlockSize(1024)
    getattr(writer, f"SetByteOrderTo{order}Endian")()
    getattr(writer, f"SetHeaderTypeToUInt{sizes}")()
    writer.Write()

    mesh = read_mesh(path)

    np.testing.assert_array_equal(mesh.points.astype(np.float32), a_head.points)
    np.testing.assert_array_equal(mesh.triangles, a_head.triangles)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("suffix", "module"), [("ply", "vtkIOPLY"), ("stl", "vtkIOGeometry")])
def test_files_of_vtk_writers_are_read(suffix, module, binary, a_head, tmp_path):
    import importlib

    writer = getattr(
        importlib.import_module(f"vtkmodules.{module}"), f"vtk{suffix.upper()}Writer"
    )()
    path = tmp_path / f"head.{suffix}"
    writer.SetFileName(str(path))
    writer.SetInputData(_to_vtk(a_head))
    writer.SetFileType(2 if binary else 1)
    writer.Write()

    surface = prepare_surface(read_mesh(path), MM)

    expected = prepare_surface(a_head, MM)
    np.testing.assert_allclose(surface.points_mm, expected.points_mm, atol=2e-4)  # 6 digits: 1e-4
    np.testing.assert_array_equal(surface.triangles, expected.triangles)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("version", [42, 51])
def test_legacy_files_of_vtk_with_texts_names_and_scalars_are_read(
    version, binary, a_head, tmp_path
):
    from vtkmodules.vtkCommonCore import vtkDoubleArray, vtkStringArray
    from vtkmodules.vtkIOLegacy import vtkPolyDataWriter

    data, text, numbers = _to_vtk(a_head), vtkStringArray(), vtkDoubleArray()
    text.SetName("note")
    text.InsertNextValue("taken at noon\nof a sunny day")
    data.GetFieldData().AddArray(text)
    data.GetPoints().GetData().SetComponentName(0, "left")
    numbers.SetName("distance")
    numbers.SetNumberOfTuples(len(a_head.points))
    numbers.Fill(0.5)
    data.GetPointData().SetScalars(numbers)
    path = tmp_path / "head.vtk"
    writer = vtkPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetFileVersion(version)
    writer.SetFileType(2 if binary else 1)
    writer.SetInputData(data)
    writer.Write()

    mesh = read_mesh(path)

    np.testing.assert_allclose(mesh.points, a_head.points, atol=6e-4)  # 6 digits: 5e-4
    np.testing.assert_array_equal(mesh.triangles, a_head.triangles)


def _to_vtk(mesh):
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    points = vtkPoints()
    points.SetData(numpy_to_vtk(mesh.points.astype(np.float32), deep=True))
    cells = vtkCellArray()
    counted = np.insert(mesh.triangles, 0, 3, axis=1).astype(np.int64).ravel()
    cells.ImportLegacyFormat(numpy_to_vtkIdTypeArray(counted, deep=True))
    data = vtkPolyData()
    data.SetPoints(points)
    data.SetPolys(cells)
    return data


# --- OBJ -----------------------------------------------------------------------------------------

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SQUARE + "f 1 2 3 4\n", [[0, 1, 2], [0, 2, 3]]),
        (SQUARE + "f 1 2 3\nf 1 2 3 4\n", [[0, 1, 2], [0, 1, 2], [0, 2, 3]]),
        (SQUARE + "f -4 -3 -2", [[0, 1, 2]]),
        ("f 1 2 3\n" + SQUARE, [[0, 1, 2]]),
        (SQUARE + "f -4 -3 -2\nv 9 9 9\nf -5 -4 -3\n", [[0, 1, 2], [0, 1, 2]]),
        (SQUARE + "f 1/1 2/2 3/3\nvt 0 0\n", [[0, 1, 2]]),
        (SQUARE + "f 1//1 2//2 3//3\nl 1 2\np 1\n", [[0, 1, 2]]),
        (SQUARE.replace("\n", "\r") + "f 1 2 3\r", [[0, 1, 2]]),
        (SQUARE + "f 1 \\\r\n 2 3\r\n", [[0, 1, 2]]),
        ("o a\n" + SQUARE + "f 1 2 3\no b\n" + SQUARE + "f 5 6 7\n", [[0, 1, 2], [4, 5, 6]]),
        (SQUARE.replace("v 0 0 0", "\t v  0.0e0\t-0 +0 1 0.5 0.5 0.5") + "f 1 2 3", [[0, 1, 2]]),
        ("\ufeff# comment\n" + SQUARE + "f 1 2 3\n", [[0, 1, 2]]),
    ],
)
def test_obj_dialects_are_understood(text, expected, write):
    assert read_mesh(write("square.obj", text)).triangles.tolist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SQUARE + "f 1 2 5\n", r"line 5: face corner '5' names no vertex \(the file has 4\)"),
        (SQUARE + "f 1 2 -5\n", "line 5: face corner '-5'"),
        (SQUARE + "f 0 1 2\n", "line 5: face corner '0'"),
        (SQUARE + "f 1 2 x\n", "line 5: face corner 'x'"),
        (SQUARE + "f 1 2 3x\n", "line 5: face corner '3x'"),
        (SQUARE + "f 1 2 99999999999999999999\n", "line 5: face corner '9999"),
        (SQUARE + "f 1 2\n", "line 5: a face needs three corners; got 2"),
        (SQUARE + "# \\\nf 1 \\\n 2 7\n", "line 7: face corner '7'"),
        ("v 1 2\n" + SQUARE, "line 1: a vertex needs three coordinates; got 2"),
        (SQUARE + "v 1 2 nan\nf 1 2 5", r"number 4 \(1.0, 2.0, nan\), and 1 of 1 triangles need"),
        (SQUARE + "\n\nv 1 2,5 3\nf 1 2 3", "line 7: '2,5' is not a coordinate"),
        (SQUARE + "v 1 2 1.2.3\nf 1 2 3", "line 5: '1.2.3' is not a coordinate"),
        (SQUARE + "v 1 2 1_000\nf 1 2 3", "line 5: '1_000' is not a coordinate"),
        (SQUARE + f"v 1 2 {'9' * 70}x\nf 1 2 3", f"line 5: '{'9' * 64}' is not a coordinate"),
        (SQUARE + "v 1\x010 2 3\nf 1 2 3", r"line 5: '1\\x010' is not a coordinate"),
        (SQUARE + "v 1 2 3\x00\nf 1 2 3", r"line 5: '3\\x00' is not a coordinate"),
        (SQUARE + "f 1\x012 2 3 4\n", r"line 5: '1\\x012' is not a face corner"),
        (SQUARE, "holds 4 points and no triangles: a point cloud"),
        ("# nothing\n", "holds no vertices"),
    ],
)
def test_obj_faults_are_named_with_their_line(text, message, write):
    path = write("bad.obj", text)

    with pytest.raises(MeshError, match=message) as caught:
        read_mesh(path)

    assert str(path) in str(caught.value)


@pytest.mark.parametrize("place", ["within", "after"])
@pytest.mark.parametrize("name", ["plain.obj", "ascii.stl"])
def test_millions_of_null_bytes_in_a_text_take_no_time(name, place, a_head, write):
    content = WRITERS[name](a_head)
    body, last = content.rstrip().rsplit(b"\n", 1)
    nulls = b"\0" * 2_000_000  # of a computer that crashed, or a download that was broken off
    filled = content + nulls if place == "after" else body + b"\n" + nulls + b"\n" + last
    whole = read_mesh(write(name, content))
    path = write(f"filled {name}", filled)
    start = time.process_time()

    mesh = read_mesh(path)

    assert time.process_time() - start < 1
    np.testing.assert_array_equal(mesh.points, whole.points)
    np.testing.assert_array_equal(mesh.triangles, whole.triangles)


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1000])
@pytest.mark.parametrize("name", [name for name in WRITERS if name.endswith("obj")])
def test_obj_gives_the_same_however_it_is_cut_into_blocks(
    block_bytes, name, a_head, write, monkeypatch
):
    path = write(name, WRITERS[name](a_head))
    whole = read_mesh(path)
    monkeypatch.setattr("palnet.surface._text.FILE_BLOCK_BYTES", block_bytes)

    in_blocks = read_mesh(path)

    np.testing.assert_array_equal(in_blocks.points, whole.points)
    np.testing.assert_array_equal(in_blocks.triangles, whole.triangles)


@pytest.mark.parametrize("block_bytes", [1, 9, 30])
def test_obj_faults_in_a_later_block_are_named_with_their_line(block_bytes, write, monkeypatch):
    monkeypatch.setattr("palnet.surface._text.FILE_BLOCK_BYTES", block_bytes)

    with pytest.raises(MeshError, match=r"line 7: face corner .9. names no vertex \(.* has 5"):
        read_mesh(write("a.obj", SQUARE + "f 1 2 3\nf 5 -1 1\nf 1 2 9\nv 3 3 3\n"))
    with pytest.raises(MeshError, match="line 6: '2,5' is not a coordinate"):
        read_mesh(write("b.obj", SQUARE + "f 1 2 3\nv 1 2,5 3\n"))


def test_obj_that_stops_within_a_line_with_unused_vertices_is_reported(a_head, write):
    content = write_obj(a_head)

    mesh = read_mesh(write("cut.obj", content[: content.rfind(b"\n", 0, len(content) * 4 // 5)]))

    assert [each.code for each in mesh.findings] == ["possibly_cut_off"]


# --- PLY -----------------------------------------------------------------------------------------


def _ply(body, *, vertices=4, faces=1, order="ascii", lists="list uchar int vertex_indices"):
    header = (
        f"ply\nformat {order} 1.0\nelement vertex {vertices}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {faces}\nproperty {lists}\nend_header\n"
    )
    return header.encode() + (body if isinstance(body, bytes) else body.encode())


CORNERS = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"


def test_ply_polygons_of_all_sizes_are_cut_into_fans(write):
    path = write("mixed.ply", _ply(CORNERS + "3 0 1 2\n0\n4 0 1 2 3\n2 3 1\n1 2\n", faces=5))

    whole, without_area = [[0, 1, 2], [0, 1, 2], [0, 2, 3]], [[3, 1, 1], [2, 2, 2]]
    assert read_mesh(path).triangles.tolist() == whole + without_area


@pytest.mark.parametrize(("order", "mark"), [("little", "<"), ("big", ">")])
def test_binary_ply_polygons_of_all_sizes_are_cut_into_fans(order, mark, write):
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=mark + "f4").tobytes()
    faces = b"".join(
        bytes([len(face)]) + np.array(face, dtype=mark + "i4").tobytes()
        for face in ([0, 1, 2], [0, 1, 2, 3], [1, 2, 3])
    )

    mesh = read_mesh(
        write("mixed.ply", _ply(points + faces, faces=3, order=f"binary_{order}_endian"))
    )

    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3], [1, 2, 3]]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_ply_whose_body_begins_like_a_line_end_is_read(line_end, write):
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4")
    points.view("u1")[0, 0] = 0x0A  # a line feed
    header = (
        "ply", "format binary_little_endian 1.0", "element vertex 3", "property float x",
        "property float y", "property float z", "element face 1",
        "property list uchar int vertex_indices", "end_header", "",
    )  # fmt: skip
    body = points.tobytes() + b"\3" + np.arange(3, dtype="<i4").tobytes()

    mesh = read_mesh(write("odd.ply", line_end.join(header).encode() + body))

    np.testing.assert_array_equal(mesh.points, points.astype(float))
    assert mesh.triangles.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian"])
def test_ply_with_other_elements_lists_and_index_name_is_read(order, write):
    header = (
        f"ply\r\nformat {order} 1.0\r\nobj_info x\r\nelement vertex 3\r\nproperty uchar red\r\n"
        "property double z\r\nproperty double y\r\nproperty double x\r\nelement camera 1\r\n"
        "property list int float k\r\nelement face 2\r\nproperty list uchar float texcoord\r\n"
        "property list ushort uint vertex_index\r\nproperty uchar flag\r\nend_header\r\n"
    ).encode()
    if order == "ascii":
        body = b"9 0 0 0\n9 0 0 1\n9 0 1 0\n2 0.5 0.5\n2 .1 .2 3 0 1 2 7\n0 3 2 1 0 7\n"
    else:
        vertex = [("c", "u1"), ("p", "<f8", 3)]
        rows = np.array([(9, (0, 0, 0)), (9, (0, 0, 1)), (9, (0, 1, 0))], dtype=vertex)
        camera = np.array([2], "<i4").tobytes() + np.array([0.5, 0.5], "<f4").tobytes()
        three = np.array([3], "<u2").tobytes()
        one = b"\2" + np.array([0.1, 0.2], "<f4").tobytes() + three
        one += np.array([0, 1, 2], "<u4").tobytes() + b"\7"
        two = b"\0" + three + np.array([2, 1, 0], "<u4").tobytes() + b"\7"
        body = rows.tobytes() + camera + one + two

    mesh = read_mesh(write("odd.ply", header + body))

    assert mesh.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert mesh.triangles.tolist() == [[0, 1, 2], [2, 1, 0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_ply(CORNERS + "3 0 1 4\n"), "a triangle names vertex 4, but the vertices are 0 to 3"),
        (_ply(CORNERS + "3 0 1 -1\n"), "a triangle names vertex -1"),
        (_ply(CORNERS, faces=0), "holds 4 points and no triangles"),
        (_ply(CORNERS), "promises 1 rows of 'face', but the file ends before"),
        (_ply(CORNERS + "3 0 1 2\n7\n"), "holds 17 numbers where the header promises 16"),
        (_ply(CORNERS + "3 0 1 2.5\n"), "not whole numbers"),
        (
            _ply(CORNERS.replace("1 1 0", "1 nan 0") + "3 0 1 2"),
            "1 of 4 vertices are not finite, the first is number 2",
        ),
        (_ply(CORNERS.replace("1 1 0", "1 x 0") + "3 0 1 2"), "line 12: 'x' is not a number"),
        (_ply("", vertices=10**15, order="binary_little_endian"), "promises 1000000000000000 rows"),
        (_ply("", vertices=10**15), "promises 1000000000000000 rows"),
        (_ply("", vertices=-4), "line 3 of the header makes no sense"),
        (_ply("", lists="list uchar float16 vertex_indices"), "line 8 of the header"),
        (b"ply\nformat ascii 1.0\nelement vertex 3\n", "no end_header line"),
        (b"ply\nformat ascii 1.0\nend_header\n", "no vertices with x, y and z"),
        (b"ply\nelement vertex 1\nend_header\n", "no format line"),
        (b"ply\nformat ascii 1.0\nproperty float x\nend_header\n", "line 3 of the header"),
    ],
)
def test_ply_faults_are_named(content, message, write):
    with pytest.raises(MeshError, match=message):
        read_mesh(write("bad.ply", content))


@pytest.mark.parametrize(
    "word", ["nan", "-nan", "-nan(ind)", "nan(snan)", "1.#QNAN", "-1.#IND00", "1.#INF", "-inf"]
)
def test_ply_normal_that_is_no_number_does_not_matter(word, write):
    """Programs write one for a vertex without a triangle; old ones on Windows spell it with #."""
    content = _ply(f"0 0 0 0\n1 0 0 0\n1 1 0 0\n0 1 0 {word}\n3 0 1 2\n")
    content = content.replace(b"float z\n", b"float z\nproperty float nx\n")

    mesh = read_mesh(write("a.ply", content))

    assert mesh.points.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.triangles.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("word", ["1.#QNAN", "-1.#IND00", "-nan(ind)"])
def test_ply_position_spelled_as_on_windows_is_lost_and_faults_behind_it_keep_their_line(
    word, write
):
    with pytest.raises(MeshError, match="the first is number 3"):
        read_mesh(write("a.ply", _ply(CORNERS.replace("0 1 0", f"0 {word} 0") + "3 0 1 3\n")))
    with pytest.raises(MeshError, match=r"line 14: '1\.#X' is not a number"):
        read_mesh(write("b.ply", _ply(CORNERS.replace("0 1 0", f"0 {word} 0") + "3 0 1 1.#X\n")))


@pytest.mark.parametrize("name", ["ascii.ply", "little.ply"])
@pytest.mark.parametrize("n_rows", [1, 10**9, 10**20])
def test_ply_element_without_properties_takes_no_room(name, n_rows, a_head, write):
    content = WRITERS[name](a_head)
    odd = content.replace(b"element vertex", b"element nothing %d\nelement vertex" % n_rows)

    mesh = read_mesh(write("odd.ply", odd))

    assert np.array_equal(mesh.points, read_mesh(write("plain.ply", content)).points)


def test_binary_ply_is_read_up_to_its_faces_whatever_follows(a_head, write):
    """What nobody needs may be cut off, as an edge element of which a writer promised too much."""
    head, body = write_ply_little(a_head).split(b"end_header\n", 1)

    path = write("head.ply", head + b"element edge 9\nproperty int v1\nend_header\n" + body)

    assert len(read_mesh(path).triangles) == len(a_head.triangles)


def test_ply_with_strips_says_what_to_do(write):
    content = _ply(CORNERS + "4 0 1 3 2\n", lists="list uchar int vertex_indices")

    with pytest.raises(MeshError, match=r"triangle strips\. Save it with plain faces"):
        read_mesh(write("strips.ply", content.replace(b"element face", b"element tristrips")))


# --- Any text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("control", [b"\0", b"\x08", b"\x1a"])
@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.obj", b"v 0 0 0\nv 1.5 0 0\nv 0 1e0 12.5\nf 1 2 3\n", 3),
        (
            "a.ply",
            b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
            b"property float z\nelement face 1\nproperty list uchar int vertex_indices\n"
            b"end_header\n0 0 0\n1.5 0 0\n0 1e0 12.5\n3 0 1 2\n",
            12,
        ),
        ("a.stl", b"solid a\nfacet\nvertex 0 0 0\nvertex 1.5 0 0\nvertex 0 1e0 12.5\nends", 5),
        (
            "a.vtk",
            b"# vtk DataFile Version 3.0\nt\nASCII\nDATASET POLYDATA\nPOINTS 3 float\n"
            b"0 0 0\n1.5 0 0\n0 1e0 12.5\nPOLYGONS 1 4\n3 0 1 2\n",
            8,
        ),
    ],
)
def test_control_byte_in_a_number_is_no_blank(write, name, content, line, control):
    """Split in two the number moves all that follow; with or without exponents in the file."""
    for text in (content, content.replace(b"1e0", b"1.0")):
        read_mesh(write(name, text))
        with pytest.raises(MeshError, match=rf"line {line}: '12\\x.*5' is not a"):
            read_mesh(write(name, text.replace(b"12.5", b"12" + control + b"5")))


# --- STL and VTK ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.stl", write_stl_binary(make_head())[:-1], "promises 480 triangles, but the file holds"),
        ("a.stl", b"solid a\nfacet\n", "line 2: this facet has 0 vertices"),
        (
            "a.stl",
            b"solid a\nfacet\nvertex 0 0 0\nvertex1 0 0 0\nvertex 0 1 0\nendsolid",
            "line 4: this vertex has 4 numbers instead of 3",
        ),
        # Numbers of one line taken for those of the next; a lone control byte is no number.
        (
            "a.stl",
            b"solid a\nfacet\nvertex 0 0 0\nvertex 1 0\nvertex 0 1 0 5\nendsolid",
            "line 4: this vertex has 2 numbers instead of 3",
        ),
        (
            "a.stl",
            b"solid a\nfacet\nvertex 0 0 0\nvertex 1 0 0 5\nvertex 0 1\nendsolid",
            "line 4: this vertex has 4 numbers instead of 3",
        ),
        # It ended with IndexError: the word is shorter than "vertex".
        ("a.stl", b"solid a\nfacet\nvertex 0 0 0\nv\nvertex 1 x 0\nendsolid", "line 5: 'x'"),
        (
            "a.stl",
            b"solid a\nfacet\nvertex 0 0 0\nvertex 1 0 \0\nvertex 0 1 0\nendsolid",
            "line 4: this vertex has 2 numbers instead of 3",
        ),
        (
            "a.stl",
            b"solid a\nfacet\nvertex 0 0 1.#INF-1.#INF\nvertex 0 0 0\nvertex 0 0 0\nends",
            "line 3: '1.#inf-1.#inf' is not a coordinate",
        ),
        ("a.stl", b"solid a\nendsolid a\n", "holds no vertices"),
        ("a.stl", b"too short", "9 bytes are too few"),
        (
            "a.vtk",
            b"# vtk DataFile Version 3.0\nt\nASCII\nDATASET STRUCTURED_POINTS\n",
            "STRUCTURED_P",
        ),
        (
            "a.vtk",
            b"# vtk DataFile Version 3.0\nt\nHEX\nDATASET POLYDATA\n",
            "ASCII or BINARY, got",
        ),
        ("a.vtk", b"# vtk DataFile Version 3.0\n", "expected ASCII or BINARY"),
        ("a.vtk", b"something else entirely", "expected ASCII or BINARY"),
    ],
)
def test_stl_and_vtk_faults_are_named(name, content, message, write):
    with pytest.raises(MeshError, match=message):
        read_mesh(write(name, content))


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1000])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_ascii_stl_gives_the_same_however_it_is_cut_into_blocks(
    block_bytes, line_end, a_head, write, monkeypatch
):
    content = b"  SOLID two words\n" + WRITERS["ascii.stl"](a_head).split(b"\n", 1)[1]
    path = write("a.stl", content.replace(b"\n", line_end.encode()))
    whole = read_mesh(path)
    monkeypatch.setattr("palnet.surface._text.FILE_BLOCK_BYTES", block_bytes)

    in_blocks = read_mesh(path)

    np.testing.assert_array_equal(in_blocks.points, whole.points)
    assert len(in_blocks.triangles) == len(a_head.triangles)


STL_FACET = (
    "facet normal 0 0 1\n outer loop\n vertex 0 0 0\n vertex 1 0 0\n vertex 0 1 0\n endloop\n"
)


@pytest.mark.parametrize("block_bytes", [1, 9, 30, 1 << 20])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "vertex 1 0 0\n vertex 0 1 0\n endloop\nend\n",
            "vertex 1 0 0\nend\n",
            "line 9: this facet has 2",
        ),
        ("vertex 0 1 0\n endloop\nend\n", "vertex 0 x 0\n endloop\nend\n", "line 13: 'x' is not a"),
        (
            "vertex 0 1 0\n endloop\nend\n",
            "vertex 0 1\n endloop\nend\n",
            "line 13: this vertex has 2",
        ),
        ("solid a\n", "solid a\nvertex 1 2 3\n", "line 2: this vertex belongs to no facet"),
        ("endsolid", "end", r"fewer solids end \(0\) than begin \(1\)"),
        ("vertex 0 0 0", "vertex 0 0 x\n vertex 2 2 2", "line 2: this facet has 4 vertices"),
    ],
)
def test_ascii_stl_faults_are_named_with_their_line(
    block_bytes, old, new, message, write, monkeypatch
):
    """A fault of the structure comes first: it says that the file is cut off."""
    monkeypatch.setattr("palnet.surface._text.FILE_BLOCK_BYTES", block_bytes)
    text = f"solid a\n{STL_FACET}endfacet\n{STL_FACET}end\nendsolid a\n"
    assert old in text

    with pytest.raises(MeshError, match=message):
        read_mesh(write("a.stl", text.replace(old, new, 1)))


VTK_HEAD = "# vtk DataFile Version 3.0\ntitle\nASCII\nDATASET POLYDATA\n"
VTK_POINTS = "POINTS 4 float\n" + CORNERS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TRIANGLE_STRIPS 1 5\n4 0 1 3 2\n", [[0, 1, 3], [1, 2, 3]]),
        ("POLYGONS 2 9\n3 0 1 2\n4 0 1 2 3\n", [[0, 1, 2], [0, 1, 2], [0, 2, 3]]),
        ("VERTICES 1 2\n1 0\nLINES 1 3\n2 0 1\nPOLYGONS 1 4\n3 0 1 2\nCELL_DATA 3\n", [[0, 1, 2]]),
        ("METADATA\nINFORMATION 1\nNAME a LOCATION b\n\nPOLYGONS 1 4\n3 0 1 2\n", [[0, 1, 2]]),
    ],
)
def test_vtk_sections_are_understood(text, expected, write):
    path = write("square.vtk", VTK_HEAD + VTK_POINTS + text)

    assert read_mesh(path).triangles.tolist() == expected


def test_vtk_field_data_before_the_points_is_passed_over(write):
    text = VTK_HEAD + "FIELD FieldData 1\nTIME 1 1 double\n0.5\n" + VTK_POINTS

    assert len(read_mesh(write("a.vtk", text + "POLYGONS 1 4\n3 0 1 2\n")).triangles) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            VTK_POINTS + "POLYGONS 1 4\n3 0 1\n",
            "line 11: 4 numbers of POLYGONS are promised, but 3",
        ),
        (VTK_POINTS + "POLYGONS 2 4\n3 0 1 2\n", "2 cells do not fill the 4 numbers"),
        (VTK_POINTS + "POLYGONS 1 4\n3 0 1 9\n", "a triangle names vertex 9"),
        (VTK_POINTS.replace("4 float", "² float"), "expected a count in 'POINTS ² float'"),
        (VTK_POINTS.replace("4 float", "4 quux"), "unknown number type 'quux'"),
        (VTK_POINTS.replace("4 float", "99999999999 float"), "299999999997 numbers of points are"),
        (VTK_POINTS, "holds 4 points and no triangles"),
        (VTK_POINTS + "NONSENSE 3\n", "expected POINTS or POLYGONS, got 'NONSENSE 3'"),
        (VTK_POINTS.replace("1 1 0", "1 1,0 0"), "line 8: '1,0' is not a number"),
        (VTK_POINTS.replace("1 1 0", "1 nan 0") + "POLYGONS 1 4\n3 0 1 2", "not finite"),
        (VTK_POINTS.replace("1 1 0", "\nNaN 1 0") + "POLYGONS 1 4\n3 0 1 2", "not finite"),
        (VTK_POINTS.replace("1 1 0", "\nInfinity 1 0") + "POLYGONS 1 4\n3 0 1 2", "not finite"),
    ],
)
def test_vtk_faults_are_named(text, message, write):
    with pytest.raises(MeshError, match=message):
        read_mesh(write("bad.vtk", VTK_HEAD + text))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'type="PolyData"', b'type="UnstructuredGrid"', "VTK UnstructuredGrid XML file"),
        (b'Points="242"', b'Points="99999999999"', "726 numbers where 299999999997 are promised"),
        (b'Points="242"', b'Points="-1"', "'-1', which is no count"),
        (b'Polys="480"', b'Polys="481"', "'offsets' holds 480 numbers where 481 are promised"),
        (b'Points="242"', 'Points="²"'.encode(), "NumberOfPoints is '²', which is no count"),
        (b'Points="242"', b'Points="' + b"9" * 5000 + b'"', "'9999.*…', which is no count"),
        (b'"1.0"?>', b'"1.0" encoding="foo"?>', "the XML is damaged"),
        (b"<VTKFile ", b'<VTKFile header_type="Float32" ', "header_type is 'Float32', not UInt32"),
        (b"</VTKFile>", b"", "the XML is damaged or cut off"),
        (b"<Points>", b"<Points", "the XML is damaged or cut off.*line 5"),
        (b'format="ascii">', b'format="ascii"> x ', "'p' holds 'x', which is not a number"),
        (b'Name="offsets" ', b'Name="offset" ', "their DataArray is missing"),
        (b'type="Float32"', b'type="Float16"', "the unknown type 'Float16'"),
        (b'format="ascii"', b'format="binary"', "'p' is damaged or cut off"),
        (b'format="ascii"', b'format="appended" offset="0"', "'p' is damaged or cut off"),
        (b">0 20 1", b">242 20 1", "Polys name vertices"),
        (b"<VTKFile ", b'<VTKFile compressor="vtkLZ4DataCompressor" ', "Save it with zlib"),
    ],
)
def test_vtp_faults_are_named(old, new, message, write, a_head):
    content = WRITERS["ascii.vtp"](a_head)
    assert old in content

    with pytest.raises(MeshError, match=message):
        read_mesh(write("bad.vtp", content.replace(old, new)))


def test_vtp_pieces_are_joined_and_strips_cut(write):
    numbers = "0 0 0 1 0 0 0 1 0 1 1 0"
    points = f"<Points><DataArray type='Float32' format='ascii'>{numbers}</DataArray></Points>"
    cells = (
        "<Strips><DataArray Name='connectivity' type='Int32' format='ascii'>0 1 2 3</DataArray>"
        "<DataArray Name='offsets' type='Int32' format='ascii'>4</DataArray></Strips>"
    )
    piece = f"<Piece NumberOfPoints='4' NumberOfStrips='1'>{points}{cells}</Piece>"
    text = f"<VTKFile type='PolyData'><PolyData>{piece}{piece}</PolyData></VTKFile>"

    mesh = read_mesh(write("two.vtp", text))

    assert mesh.triangles.tolist() == [[0, 1, 2], [1, 3, 2], [4, 5, 6], [5, 7, 6]]


# --- all formats ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_under_a_wrong_suffix_is_named_for_what_it_is(name, a_head, write):
    wrong = ".ply" if not name.endswith("ply") else ".obj"
    path = write(name.split(".")[0] + wrong, WRITERS[name](a_head))

    with pytest.raises(
        MeshError, match=f"its content is an? .*, not what .*Rename it to .*{name.split('.')[1]}"
    ):
        read_mesh(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89PNG\r\n\x1a\n0000", "a picture"),
        (b"\xff\xd8\xff\xe0", "a picture"),
        (b"PK\x03\x04aaaa", "a ZIP archive"),
        (b"\x1f\x8b\x08", "gzip-compressed"),
        (b"glTF\2\0\0\0", "a glTF binary"),
        (b'{"asset": {}}', "a JSON file"),
        (b"OFF\n4 2 0\n", "an OFF file"),
        (b"<html><body>not found", "an HTML page"),
        (b"\0" * 128 + b"DICM", "a DICOM file"),
    ],
)
@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".vtk", ".vtp"])
def test_what_is_no_mesh_is_named(content, what, suffix, write):
    with pytest.raises(MeshError, match=what):
        read_mesh(write("scan" + suffix, content))


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".vtk", ".vtp"])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"\0" * 500])
def test_empty_files_are_refused(suffix, content, write):
    with pytest.raises(MeshError, match="is empty"):
        read_mesh(write("scan" + suffix, content))


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(MeshError, match="there is no such file"):
        read_mesh(tmp_path / "none.obj")
    with pytest.raises(MeshError, match="is a folder"):
        read_mesh(tmp_path)


@pytest.mark.parametrize(
    ("name", "problem"), [("a?.obj", "there is no such file"), ("a.obj", "cannot be opened")]
)
def test_file_that_windows_calls_invalid_is_absent_only_where_it_is(
    name, problem, a_head, write, monkeypatch
):
    """A cloud's file that cannot be fetched gives the same error as a name with a question mark."""
    folder = write("a.obj", write_obj(a_head)).parent

    def fail(path):
        raise OSError(errno.EINVAL, "Invalid argument", str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)

    with pytest.raises(MeshError, match=problem):
        read_mesh(folder / name)


@pytest.mark.parametrize("space", ["RAS", "LPS"])
def test_convention_space_is_what_slicer_wrote_into_the_header(space, a_head, write):
    said = f"3D Slicer output. SPACE={space}"
    files = {
        "a.obj": f"# {said}\n".encode() + write_obj(a_head),
        "a.ply": write_ply_little(a_head).replace(b"made for a test", f"SPACE={space}".encode()),
        "b.stl": said.encode().ljust(80) + write_stl_binary(a_head)[80:],
        "a.stl": WRITERS["ascii.stl"](a_head).replace(b"solid head", b"solid " + said.encode(), 1),
        "a.vtk": WRITERS["ascii.vtk"](a_head).replace(b"test output", said.encode()),
        "a.vtp": WRITERS["ascii.vtp"](a_head).replace(
            b"<PolyData>\n",
            b'<PolyData>\n<FieldData><Array type="String" Name="SPACE" NumberOfTuples="1" '
            b'format="ascii">' + " ".join(str(c) for c in f"{space}\0".encode()).encode()
            + b"</Array></FieldData>",
        ),
    }  # fmt: skip

    spaces = {name: read_mesh(write(name, content)).space for name, content in files.items()}

    assert spaces == dict.fromkeys(files, space)


@pytest.mark.parametrize("name", WRITERS)
def test_convention_space_is_lps_where_nothing_is_said(name, a_head, write):
    assert read_mesh(write(name, WRITERS[name](a_head))).space == "LPS"


def test_a_mesh_cannot_be_changed(a_head):
    with pytest.raises(ValueError, match="read-only"):
        a_head.points[0] = 1.0


def test_shuffled_files_keep_their_order(a_head, write):
    shuffled = shuffle(a_head, 3)

    mesh = read_mesh(write("s.obj", write_obj(shuffled)))

    np.testing.assert_array_equal(mesh.triangles, shuffled.triangles)


def test_reading_needs_neither_vtk_nor_scipy(a_head, write):
    paths = [write(name, content(a_head)) for name, content in WRITERS.items()]
    code = (
        "import sys\nfrom palnet.surface import read_mesh\n"
        "for path in sys.argv[1:]: read_mesh(path)\n"
        "print([name for name in sys.modules if name.startswith(('vtk', 'scipy', 'torch'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "colors",
    [
        np.zeros((3, 3), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 3)),
        np.full((4, 3), 300),
    ],
    ids=["fewer", "with opacity", "floats", "wide integers"],
)
def test_colors_are_three_bytes_for_each_vertex(a_head, colors):
    with pytest.raises(ValueError, match=r"colors must be 8-bit .* each of the 4 points; got"):
        Mesh(a_head.points[:4], np.array([[0, 1, 2]]), colors=colors)


def test_colors_cannot_be_changed_from_outside(a_head):
    given = np.zeros(a_head.points.shape, np.uint8)
    mesh = Mesh(a_head.points, a_head.triangles, colors=given)
    given[:] = 9

    assert not mesh.colors.any()
    with pytest.raises(ValueError, match="read-only"):
        mesh.colors[0] = 1
