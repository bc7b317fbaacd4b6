# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import re
import struct
import subprocess
import sys
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkIOImage import vtkBMPWriter, vtkJPEGWriter, vtkPNGWriter, vtkTIFFWriter
from vtkmodules.vtkIOLegacy import vtkPolyDataWriter
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

from palnet import detector
from palnet.errors import UnitError
from palnet.samples import example_scan
from palnet.surface import (
    _materials,
    find_texture,
    names_color,
    read_colored_mesh,
    read_mesh,
    sample_texture,
    to_polydata,
    write_ply,
)
from palnet_meshes import (
    WRITERS,
    make_head,
    shuffle,
    write_obj,
    write_ply_little,
    write_stl_binary,
)

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
FOUR = np.array([[RED, GREEN], [BLUE, WHITE]], dtype=np.uint8)
CORNERS = [[0, 1], [1, 1], [0, 0], [1, 0]]
IMAGE_WRITERS = {
    ".png": vtkPNGWriter, ".bmp": vtkBMPWriter, ".jpg": vtkJPEGWriter, ".tif": vtkTIFFWriter,
}  # fmt: skip


def write_picture(path, pixels, kind=""):
    """Write pixels, the top row first, in the format of the suffix or another."""
    pixels = np.asarray(pixels)
    image, writer = vtkImageData(), IMAGE_WRITERS[kind or path.suffix.lower()]()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    rows = np.ascontiguousarray(pixels[::-1]).reshape(-1, pixels.shape[2])
    image.GetPointData().SetScalars(numpy_to_vtk(rows, deep=True))
    writer.SetInputData(image)
    writer.SetFileName(str(path))
    writer.Write()
    return path


def color_table(text_rows, *columns):
    return "".join(text_rows % tuple(row) for row in np.hstack(columns).tolist())


@pytest.fixture
def a_head():
    return make_head()


@pytest.fixture
def some_colors(a_head):
    return np.random.default_rng(5).integers(0, 256, (len(a_head.points), 3)).astype(np.uint8)


# --- vertices with colors ------------------------------------------------------------------------


def obj_with_colors(mesh, colors, number):
    rows = color_table("v %.17g %.17g %.17g " + number, mesh.points, colors)
    return (rows + color_table("f %d %d %d\n", mesh.triangles + 1)).encode()


def ply_with_colors(mesh, colors, order, kind, names):
    """Write a PLY file; `kind` is numpy's name of the number type."""
    word = {"u1": "uchar", "f4": "float", "f8": "double", "u2": "ushort", "i4": "int"}[kind]
    header = f"ply\nformat {order} 1.0\nelement vertex {len(mesh.points)}\nproperty float x\n"
    header += "property float y\nproperty float z\nproperty uchar alpha\n"
    header += "".join(f"property {word} {name}\n" for name in names)
    header += f"element face {len(mesh.triangles)}\nproperty list uchar int vertex_indices\n"
    header += "end_header\n"
    if order == "ascii":
        alpha = np.full((len(colors), 1), 7)
        rows = color_table("%.9g %.9g %.9g %d %.9g %.9g %.9g\n", mesh.points, alpha, colors)
        return (header + rows + color_table("3 %d %d %d\n", mesh.triangles)).encode()
    end = ">" if "big" in order else "<"
    vertices = np.zeros(len(colors), [("p", end + "f4", 3), ("a", "u1"), ("c", end + kind, 3)])
    vertices["p"], vertices["c"] = mesh.points, colors
    faces = np.zeros(len(mesh.triangles), [("n", "u1"), ("c", end + "i4", 3)])
    faces["n"], faces["c"] = 3, mesh.triangles
    return header.encode() + vertices.tobytes() + faces.tobytes()


RGB, DIFFUSE = ("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue")
COLORED_FILES = {
    "shares.obj": lambda m, c: obj_with_colors(m, c / 255, "%.6f %.6f %.6f\n"),
    "bytes.obj": lambda m, c: obj_with_colors(m, c, "%d %d %d\r\n"),
    "opaque.obj": lambda m, c: obj_with_colors(m, c / 255, "%.6f %.6f %.6f 1.0 # all\n"),
    "old_mac.obj": lambda m, c: obj_with_colors(m, c / 255, "%.6f %.6f %.6f\n").replace(
        b"\n", b"\r"
    ),
    "text.ply": lambda m, c: ply_with_colors(m, c, "ascii", "u1", RGB),
    "text_shares.ply": lambda m, c: ply_with_colors(m, c / 255, "ascii", "f4", RGB),
    "little.ply": lambda m, c: ply_with_colors(m, c, "binary_little_endian", "u1", RGB),
    "diffuse.ply": lambda m, c: ply_with_colors(m, c, "binary_little_endian", "u1", DIFFUSE),
    "capitals.ply": lambda m, c: ply_with_colors(m, c, "ascii", "i4", ("R", "G", "B")),
    "shares.ply": lambda m, c: ply_with_colors(m, c / 255, "binary_big_endian", "f4", ("r", *"gb")),
    "doubles.ply": lambda m, c: ply_with_colors(m, c / 255, "binary_little_endian", "f8", RGB),
    "words.ply": lambda m, c: ply_with_colors(m, c * 257.0, "binary_big_endian", "u2", RGB),
}


@pytest.mark.parametrize("name", COLORED_FILES)
def test_every_way_to_write_colors_gives_the_same_ones(name, a_head, some_colors, tmp_path):
    path = tmp_path / name
    path.write_bytes(COLORED_FILES[name](a_head, some_colors))

    mesh = read_colored_mesh(path)

    np.testing.assert_array_equal(mesh.colors, some_colors)
    assert_same_surface(mesh, read_mesh(path))
    assert mesh.findings == ()


@pytest.mark.parametrize("row", [3, -1])
def test_an_obj_of_which_one_vertex_has_no_color_has_none(row, a_head, some_colors, tmp_path):
    lines = obj_with_colors(a_head, some_colors, "%d %d %d\n").decode().splitlines()
    vertices = [number for number, line in enumerate(lines) if line.startswith("v ")]
    lines[vertices[row]] = " ".join(lines[vertices[row]].split()[:4])
    path = tmp_path / "head.obj"
    path.write_text("\n".join(lines))

    mesh = read_colored_mesh(path)

    assert (mesh.colors, mesh.findings) == (None, ())


@pytest.mark.parametrize("number", ["%d", "%.2f"])
def test_interpolated_colors_may_exceed_the_largest_byte_a_little(
    number, a_head, some_colors, tmp_path
):
    path = tmp_path / "head.obj"
    colors = some_colors.astype(float)
    colors[0] = 256 + 12

    path.write_bytes(obj_with_colors(a_head, colors, f"{number} {number} {number}\n"))

    np.testing.assert_array_equal(read_colored_mesh(path).colors, np.minimum(colors, 255))


@pytest.mark.parametrize("n_components", [3, 4])
@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize(
    "kind", ["vtk text", "vtk binary", "vtp text", "vtp binary", "vtp appended"]
)
def test_colors_of_vtk_are_read(kind, is_active, n_components, a_head, some_colors, tmp_path):
    suffix, _, mode = kind.partition(" ")
    path = tmp_path / f"head.{suffix}"
    values = np.full((len(some_colors), n_components), 9, dtype=np.uint8)
    values[:, :3] = some_colors
    write_vtk(path, a_head, mode, is_active=is_active, Scanned=values, Other=values[:, 0] * 1.0)

    mesh = read_colored_mesh(path)

    np.testing.assert_array_equal(mesh.colors, some_colors)
    assert_same_surface(mesh, read_mesh(path))


@pytest.mark.parametrize("suffix", [".vtk", ".vtp"])
def test_of_several_arrays_the_one_called_a_color_counts(suffix, a_head, some_colors, tmp_path):
    path = tmp_path / f"head{suffix}"
    others = some_colors[::-1].copy()
    write_vtk(path, a_head, "binary", is_active=False, Labels=others, myRGB=some_colors, Z=others)

    np.testing.assert_array_equal(read_colored_mesh(path).colors, some_colors)


def write_vtk(path, mesh, mode, *, is_active, **arrays):
    data = to_polydata(mesh.points.astype(np.float32), mesh.triangles)
    for name, values in arrays.items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        data.GetPointData().AddArray(array)
    if is_active:
        data.GetPointData().SetActiveScalars(next(iter(arrays)))
    writer = vtkXMLPolyDataWriter() if path.suffix == ".vtp" else vtkPolyDataWriter()
    if path.suffix == ".vtp":
        {
            "text": writer.SetDataModeToAscii,
            "binary": writer.SetDataModeToBinary,
            "appended": writer.SetDataModeToAppended,
        }[mode]()
    elif mode == "text":
        writer.SetFileTypeToASCII()
    else:
        writer.SetFileTypeToBinary()
    writer.SetInputData(data)
    writer.SetFileName(str(path))
    writer.Write()


def test_colors_as_scalars_of_an_old_vtk_file_are_read(a_head, some_colors, tmp_path):
    data = WRITERS["ascii.vtk"](a_head)
    rows = color_table("%d %d %d\n", some_colors)
    head = f"\nPOINT_DATA {len(some_colors)}\nSCALARS c unsigned_char 3\nLOOKUP_TABLE default\n"
    path = tmp_path / "head.vtk"
    path.write_bytes(data + (head + rows).encode())

    np.testing.assert_array_equal(read_colored_mesh(path).colors, some_colors)


def assert_same_surface(mesh, expected):
    np.testing.assert_array_equal(mesh.points, expected.points)
    np.testing.assert_array_equal(mesh.triangles, expected.triangles)
    assert (mesh.name, mesh.space) == (expected.name, expected.space)


# --- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_convention_v_counts_from_the_bottom_and_the_picture_repeats(suffix, tmp_path):
    path = write_picture(tmp_path / f"four{suffix}", FOUR)

    colors = [RED, GREEN, BLUE, WHITE]
    assert sample_texture(path, CORNERS).tolist() == [list(each) for each in colors]
    inner = np.array([[0.25, 0.75], [0.75, 0.75], [0.25, 0.25], [0.75, 0.25]])
    for turns in ([0, 0], [1, 0], [0, -1], [-3, 1000], [2.0**40, -(2.0**40)]):
        assert sample_texture(path, inner + turns).tolist() == [list(each) for each in colors]


@pytest.mark.parametrize("uv", [[np.nan, 0], [0, np.inf], [-np.inf, np.nan]])
def test_no_number_has_gray_and_changes_no_other(uv, tmp_path):
    path = write_picture(tmp_path / "four.png", FOUR)

    assert sample_texture(path, [*CORNERS, uv])[-1].tolist() == [128, 128, 128]
    np.testing.assert_array_equal(
        sample_texture(path, [uv, *CORNERS])[1:], sample_texture(path, CORNERS)
    )


def test_huge_coordinates_and_none_are_allowed(tmp_path):
    path = write_picture(tmp_path / "four.png", FOUR)

    assert sample_texture(path, [[1e308, -1e308]]).tolist() == [list(BLUE)]
    assert sample_texture(path, np.zeros((0, 2))).shape == (0, 3)
    with pytest.raises(ValueError, match=r"uv must have shape \(n, 2\); got \(2,\)"):
        sample_texture(path, [0.0, 1.0])


def test_other_kinds_of_pixels_become_the_same_bytes(tmp_path):
    gray = np.array([[[0], [100]], [[200], [255]]], dtype=np.uint8)
    kinds = {
        "gray": gray,
        "clear": np.concatenate([gray, np.full_like(gray, 3)], axis=2),
        "color": np.repeat(gray, 3, axis=2),
        "opaque": np.concatenate([gray, gray, gray, np.full_like(gray, 3)], axis=2),
    }
    kinds |= {f"deep {name}": pixels.astype(np.uint16) * 257 for name, pixels in kinds.items()}
    for name, pixels in kinds.items():
        path = write_picture(tmp_path / f"{name}.png", pixels)

        found = sample_texture(str(path), CORNERS)
        assert found.tolist() == [[n] * 3 for n in (0, 100, 200, 255)], name


def test_rows_of_a_png_may_be_stored_as_differences(tmp_path):
    first = b"\0" + bytes(RED) + bytes(GREEN)
    like_above = [bytes([kind]) + bytes(6) for kind in (2, 4)]
    path = tmp_path / "a.png"
    path.write_bytes(
        png(png_header(height=3), (b"IDAT", zlib.compress(b"".join([first, *like_above]))))
    )

    found = sample_texture(path, [[x, y] for y in (0.1, 0.5, 0.9) for x in (0.2, 0.7)])

    assert found.tolist() == 3 * [list(RED), list(GREEN)]


@pytest.mark.parametrize(
    ("depth", "rows"),
    [(1, b"\0\x40\0\x80"), (2, b"\0\x10\0\xb0"), (4, b"\0\x01\0\x23"), (8, b"\0\0\1\0\2\3")],
)
def test_a_png_with_a_palette_or_few_grays_is_read(depth, rows, tmp_path):
    numbers = np.array([0, 1, 1, 0] if depth == 1 else [0, 1, 2, 3])
    colors = [RED, GREEN, BLUE, WHITE]
    # As many colors as the numbers can name.
    palette = bytes(np.array(colors, np.uint8)).ljust(3 * 2**depth, b"\7")[: 3 * 2**depth]
    rows = (b"IDAT", zlib.compress(rows))
    path, gray = tmp_path / "a.png", tmp_path / "gray.png"
    path.write_bytes(png(png_header(depth=depth, color=3), (b"PLTE", palette), rows))
    gray.write_bytes(png(png_header(depth=depth, color=0), rows))

    shades = numbers * 255 // (2**depth - 1)
    assert sample_texture(path, CORNERS).tolist() == [list(colors[n]) for n in numbers]
    assert sample_texture(gray, CORNERS).tolist() == [[n] * 3 for n in shades]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_the_content_says_what_a_picture_is(suffix, tmp_path):
    pixels = FOUR.repeat(16, axis=0).repeat(16, axis=1)
    path = write_picture(tmp_path / "four.dat", pixels, suffix)

    found = sample_texture(path, [[0.25, 0.75], [0.75, 0.75], [0.25, 0.25], [0.75, 0.25]])

    # JPEG is off by 1 in VTK 9.7.2.
    np.testing.assert_allclose(found, [RED, GREEN, BLUE, WHITE], atol=3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_a_picture_cut_off_anywhere_is_an_error_and_prints_nothing(suffix, tmp_path, capfd):
    noise = np.random.default_rng(3).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    data = write_picture(tmp_path / f"noise{suffix}", noise).read_bytes()
    path = tmp_path / "cut"
    for n_bytes in [*range(0, len(data) - 2, 7), len(data) - 3]:
        path.write_bytes(data[:n_bytes])

        with pytest.raises(ValueError, match=r"^(is|has|cannot) .*\. \w"):
            sample_texture(path, CORNERS)

    assert capfd.readouterr() == ("", "")


def png(header, *chunks):
    """Put together a PNG file whose sums are right."""
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in parts
    )


def png_header(width=2, height=2, depth=8, color=2, interlaced=0):
    sizes = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return sizes + bytes([depth, color, 0, 0, interlaced])


ROWS = zlib.compress(bytes(14))
PALETTE_ROWS = zlib.compress(bytes(6))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (png(png_header()), "damaged"),
        (png(png_header(), (b"IDAT", ROWS[:-3])), "damaged"),
        (png(png_header(), (b"IDAT", zlib.compress(bytes(13)))), "damaged"),
        (png(png_header(), (b"IDAT", zlib.compress(bytes(15)))), "damaged"),
        (png(png_header(), (b"IDAT", ROWS + b"more")), "damaged"),
        (png(png_header(), (b"IDAT", zlib.compress(b"\5" * 14))), "damaged"),
        (png(png_header(depth=4), (b"IDAT", ROWS)), "damaged"),
        (png(png_header(color=5), (b"IDAT", ROWS)), "damaged"),
        (png(png_header(width=0), (b"IDAT", ROWS)), "0 times 2"),
        (png(png_header(height=0), (b"IDAT", ROWS)), "2 times 0"),
        (png(png_header()[:-1], (b"IDAT", ROWS)), "damaged"),
        (png(png_header(), (b"IHDR", png_header()), (b"IDAT", ROWS)), "damaged"),
        (png(png_header(color=3), (b"IDAT", PALETTE_ROWS)), "damaged"),
        (png(png_header(color=3), (b"PLTE", bytes(4)), (b"IDAT", PALETTE_ROWS)), "damaged"),
        (png(png_header(color=3), (b"PLTE", bytes(771)), (b"IDAT", PALETTE_ROWS)), "damaged"),
        (png(png_header(interlaced=1), (b"IDAT", ROWS)), "is an interlaced PNG"),
        (png(png_header(width=1 << 20, height=1 << 20), (b"IDAT", ROWS)), "1048576 times 1048576"),
        (png(png_header(width=16_000, height=16_000), (b"IDAT", ROWS)), "16000 times 16000"),
    ],
)
def test_a_png_built_wrongly_is_an_error(data, why, tmp_path, capfd):
    path = tmp_path / "a.png"
    path.write_bytes(data)

    with pytest.raises(ValueError, match=why):
        sample_texture(path, CORNERS)

    assert capfd.readouterr() == ("", "")


def test_what_a_png_holds_besides_pixels_is_left_aside(tmp_path, capfd):
    rows = zlib.compress(b"\0" + bytes(FOUR[0].ravel()) + b"\0" + bytes(FOUR[1].ravel()))
    strange = [(b"iCCP", b"nonsense"), (b"gAMA", b""), (b"PLTE", bytes(3)), (b"tEXt", b"\0\0")]
    path = tmp_path / "a.png"
    path.write_bytes(png(png_header(), *strange, (b"IDAT", rows[:5]), (b"IDAT", rows[5:])))

    assert sample_texture(path, CORNERS).tolist() == FOUR.reshape(-1, 3).tolist()
    assert capfd.readouterr() == ("", "")


def test_a_bmp_with_the_short_header_of_os2_is_read(tmp_path):
    pixels = np.pad(FOUR[::-1, :, ::-1].reshape(2, 6), ((0, 0), (0, 2))).tobytes()
    header = struct.pack("<2sIIIIHHHH", b"BM", 26 + len(pixels), 0, 26, 12, 2, 2, 1, 24)
    path = tmp_path / "a.bmp"
    path.write_bytes(header + pixels)

    assert sample_texture(path, CORNERS).tolist() == FOUR.reshape(-1, 3).tolist()


def test_a_large_png_in_many_parts_is_read_at_once(tmp_path):
    """PNG writers store 8 kB a part; when these were joined one by one, 50 MB took 81 s."""
    n = 2048
    rows = zlib.compress((b"\0" + bytes([1, 2, 3]) * n) * n, level=0)
    parts = [(b"IDAT", rows[start : start + 100]) for start in range(0, len(rows), 100)]
    path = tmp_path / "a.png"
    path.write_bytes(png(png_header(n, n), *parts))

    assert sample_texture(path, CORNERS).tolist() == [[1, 2, 3]] * 4


def test_a_packed_bmp_is_an_error(tmp_path):
    """Of one with run lengths, vtkBMPReader (VTK 9.7.2) returns wrong pixels without an error."""
    data = bytearray(write_picture(tmp_path / "a.bmp", FOUR).read_bytes())
    assert data[30] == 0
    data[30] = 1
    (tmp_path / "a.bmp").write_bytes(data)

    with pytest.raises(ValueError, match="is a packed BMP"):
        sample_texture(tmp_path / "a.bmp", CORNERS)


def test_a_jpeg_of_four_colors_is_an_error(tmp_path):
    """Cyan, magenta, yellow and black, which look like red, green, blue and opacity."""
    path = write_picture(tmp_path / "a.jpg", np.full((8, 8, 4), 77, dtype=np.uint8))

    with pytest.raises(ValueError, match="colors for printing"):
        sample_texture(path, CORNERS)


@pytest.mark.parametrize("suffix", [".bmp", ".jpg"])
@pytest.mark.parametrize("size", [b"\xff\xff", b"\0\0", b"\x7f\x7f", b"\0\x80"])
def test_a_picture_whose_size_is_damaged_is_an_error(size, suffix, tmp_path, capfd):
    """VTK ends the process if it gets no memory for the pixels."""
    path = write_picture(tmp_path / f"a{suffix}", FOUR)
    data = bytearray(path.read_bytes())
    # The upper half of the width's four bytes; the height, the first thing behind 8 bits a sample.
    at = 20 if suffix == ".bmp" else re.search(rb"\xff[\xc0\xc2]", data).start() + 5
    data[at : at + 2] = size
    if suffix == ".bmp" and size == b"\0\0":
        data[18] = 0
    path.write_bytes(data)

    with pytest.raises(ValueError, match=r"^(is|has) .*\. \w"):
        sample_texture(path, CORNERS)

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"II*\0", b"<html>", b"BM", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_an_error(content, tmp_path, capfd):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"is (not a JPEG, PNG or BMP|damaged or of an unusual)"):
        sample_texture(path, CORNERS)

    assert capfd.readouterr() == ("", "")


# --- textures ------------------------------------------------------------------------------------


class Textured:
    """A head with a picture of one pixel for each vertex, in one file or several."""

    def __init__(self, folder, mesh, colors):
        self.folder, self.mesh, self.colors = folder, mesh, colors
        self.path = folder / "head.obj"
        n = len(colors)
        self.uv = np.stack([(np.arange(n) + 0.5) / n, np.full(n, 0.5)], axis=1)

    def write(self, *, library="mtllib head.mtl\n", mtl="newmtl skin\nmap_Kd head.png\n",
              use="usemtl skin\n", picture="head.png"):  # fmt: skip
        """Write the files that are not None."""
        corners = np.repeat(self.mesh.triangles + 1, 2, axis=1)
        text = library + color_table("v %.17g %.17g %.17g\n", self.mesh.points)
        text += color_table("vt %.17g %.17g\n", self.uv) + use
        text += color_table("f %d/%d %d/%d %d/%d\n", corners)
        self.path.write_text(text, encoding="utf-8")
        if mtl is not None:
            (self.folder / "head.mtl").write_text(mtl, encoding="utf-8")
        if picture is not None:
            write_picture(self.folder / picture, self.colors[None])
        return self.path


@pytest.fixture
def a_textured_head(a_head, some_colors, tmp_path):
    return Textured(tmp_path, a_head, some_colors)


def test_a_texture_gives_each_vertex_its_color(a_textured_head):
    path = a_textured_head.write()

    mesh = read_colored_mesh(str(path))

    np.testing.assert_array_equal(mesh.colors, a_textured_head.colors)
    assert_same_surface(mesh, read_mesh(path))
    assert (mesh.findings, find_texture(path)) == ((), path.with_name("head.png"))


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_textures_of_any_system_are_read(end, a_textured_head):
    path = a_textured_head.write()
    for each in (path, path.with_suffix(".mtl")):
        each.write_bytes(each.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", end))

    np.testing.assert_array_equal(read_colored_mesh(path).colors, a_textured_head.colors)


@pytest.mark.parametrize("seed", [1, 2])
def test_colors_do_not_depend_on_the_order_of_vertices_and_faces(seed, a_textured_head, tmp_path):
    plain = read_colored_mesh(a_textured_head.write())
    at = {
        tuple(point): color
        for point, color in zip(plain.points.tolist(), plain.colors, strict=True)
    }
    other = Textured(tmp_path, shuffle(a_textured_head.mesh, seed), a_textured_head.colors)
    order = [tuple(point) for point in plain.points.tolist()]
    other.uv = a_textured_head.uv[[order.index(tuple(p)) for p in other.mesh.points.tolist()]]

    mesh = read_colored_mesh(other.write())

    np.testing.assert_array_equal(mesh.colors, [at[tuple(p)] for p in mesh.points.tolist()])


@pytest.mark.parametrize(
    ("mtl", "picture"),
    [
        ("newmtl skin\nmap_Kd my head.png\n", "my head.png"),
        ('newmtl skin\nmap_Kd "head.png"\n', "head.png"),
        ("newmtl other\nKd 1 1 1\nnewmtl skin\n\tmap_Kd\thead.png  \n", "head.png"),
        ("newmtl skin\r\nmap_kd HEAD.PNG\r\n", "head.png"),
        ("newmtl skin\rmap_Kd head.png\r", "head.png"),
        ("newmtl skin\nmap_Ka other.png\nmap_Kd head.png\n", "head.png"),
        ("newmtl skin\nmap_Ka head.png\n", "head.png"),
        ("newmtl skin\nmap_Kd C:\\Users\\Anna\\Scans\\head.png\n", "head.png"),
        ("newmtl skin\nmap_Kd /home/anna/Scans/head.png\n", "head.png"),
        ("newmtl skin\nmap_Kd \\\\server\\scans\\head.png\n", "head.png"),
        ("newmtl skin\nmap_Kd ./head.png\n", "head.png"),
        ("newmtl skin\nmap_Kd textures\\head.png\n", "textures/head.png"),
        ("newmtl skin\nmap_Kd textures/head.png\n", "head.png"),
        ("newmtl skin\nmap_Kd -s 1 1 1 -o 0 0 -clamp on -mm 0 1 my head.png\n", "my head.png"),
        ("newmtl skin\nmap_Kd -s 1.0 1.jpg.png\n", "1.jpg.png"),
        *(
            (f"newmtl skin\nmap_Kd -{option} the head.png\n", "the head.png")
            for option in (
                "blendu on", "blendv off", "boost 2", "bm 1", "cc on", "clamp on", "imfchan r",
                "mm 0 1", "o 0.5", "o .5 1", "s 1e0 -1 +1.", "t 0", "texres 512", "type sphere",
            )
        ),
        ("newmtl skin\nmap_Kd Müller 顔.png\n", "Müller 顔.png"),
        ("newmtl skin\nmap_Kd MÜLLER.png\n", unicodedata.normalize("NFD", "müller.png")),
        ("\ufeffnewmtl skin\nmap_Kd head.png\n", "head.png"),
    ],
)  # fmt: skip
def test_a_picture_is_found_by_the_name_that_other_programs_write(mtl, picture, a_textured_head):
    (a_textured_head.folder / "textures").mkdir()
    path = a_textured_head.write(mtl=mtl, picture=picture)

    np.testing.assert_array_equal(read_colored_mesh(path).colors, a_textured_head.colors)
    assert find_texture(path).samefile(path.parent / picture)


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("mtllib ./head.mtl\n", "head.mtl"),
        ("mtllib my head.mtl\n", "my head.mtl"),
        ("# by a scanner\n  mtllib\tHead.MTL \n", "head.mtl"),
        ("mtllib C:\\scans\\head.mtl\n", "head.mtl"),
        ("mtllib other.mtl head.mtl\n", "head.mtl"),
        ("mtllib other.mtl\nmtllib head.mtl\n", "head.mtl"),
        ("mtllib gesicht_ö.mtl\n", "gesicht_ö.mtl"),
    ],
)
def test_a_file_of_materials_is_found(library, name, a_textured_head):
    path = a_textured_head.write(library=library)
    path.with_name("head.mtl").rename(path.with_name(name))

    np.testing.assert_array_equal(read_colored_mesh(path).colors, a_textured_head.colors)


def test_a_picture_is_found_beside_the_file_of_materials(a_textured_head, tmp_path):
    folder = tmp_path / "materials"
    folder.mkdir()
    path = a_textured_head.write(
        library="mtllib materials/head.mtl\n", picture="materials/head.png"
    )
    path.with_name("head.mtl").rename(folder / "head.mtl")

    np.testing.assert_array_equal(read_colored_mesh(path).colors, a_textured_head.colors)
    assert find_texture(path) == folder / "head.png"


def test_the_last_line_may_lack_its_end(a_textured_head):
    path = a_textured_head.write(library="")
    # Far behind the top, where it nearly always is.
    path.write_text(path.read_text() + "#" * 100_000 + "\nmtllib head.mtl")

    np.testing.assert_array_equal(read_colored_mesh(path).colors, a_textured_head.colors)


def test_names_in_the_letters_of_western_windows_are_found(a_textured_head):
    path = a_textured_head.write(picture="Müller.png")
    path.with_name("head.mtl").write_bytes("newmtl skin\nmap_Kd Müller.png\n".encode("cp1252"))

    np.testing.assert_array_equal(read_colored_mesh(path).colors, a_textured_head.colors)


def test_an_absolute_path_of_this_computer_is_found(a_textured_head, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mtl = f"newmtl skin\nmap_Kd {elsewhere / 'head.png'}\n"
    path = a_textured_head.write(mtl=mtl, picture="elsewhere/head.png")

    np.testing.assert_array_equal(read_colored_mesh(path).colors, a_textured_head.colors)


def test_a_file_that_uses_no_material_by_name_has_its_only_picture(a_textured_head):
    path = a_textured_head.write(use="")
    np.testing.assert_array_equal(read_colored_mesh(path).colors, a_textured_head.colors)

    assert find_texture(path) == path.with_name("head.png")

    path = a_textured_head.write(use="", mtl="newmtl a\nmap_Kd head.png\nnewmtl b\nmap_Kd b.png\n")
    assert (read_colored_mesh(path).colors, read_colored_mesh(path).findings) == (None, ())


SQUARE = (
    "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0.25 0.75\nvt 0.75 0.75\nvt 0.25 0.25\nvt 0.75 0.25\n"
)


def write_square(folder, faces, mtl="newmtl m\nmap_Kd four.png\n"):
    path = folder / "square.obj"
    path.write_text(f"mtllib square.mtl\n{SQUARE}usemtl m\n{faces}")
    path.with_suffix(".mtl").write_text(mtl)
    write_picture(folder / "four.png", FOUR)
    return path


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        ("f 1/1 2/2 3/3\nf 1/1 3/3 4/4\n", [RED, GREEN, BLUE, WHITE]),
        ("f 1/1/1 2/2/1 3/3/1 4/4/1\n", [RED, GREEN, BLUE, WHITE]),
        ("f -4/-4 -3/-3 -2/-2 -1/-1\n", [RED, GREEN, BLUE, WHITE]),
        ("f 1/4 2/3 3/2 4/1\n", [WHITE, BLUE, GREEN, RED]),
        # A seam: vertex 3 is green in one face, blue in the other.
        ("f 1/1 2/1 3/2\nf 1/1 3/3 4/1\n", [RED, RED, (0, 128, 128), RED]),
        # Vertex 3 has no color: the mean of the others. White, red and blue; then red and blue.
        ("f 1/4 2/1 3 4/3\n", [WHITE, RED, (170, 85, 170), BLUE]),
        ("f 1 2/1 3//7\nf 2/1 3/ 4/3/1\n", [(128, 0, 128), RED, (128, 0, 128), BLUE]),
    ],
)
def test_corners_of_faces_are_matched(faces, expected, tmp_path):
    path = write_square(tmp_path, faces)

    assert read_colored_mesh(path).colors.tolist() == [list(each) for each in expected]


@pytest.mark.parametrize("n_bytes", [1, 40, 100, 10_000])
def test_large_files_are_read_block_by_block(n_bytes, a_head, some_colors, tmp_path, monkeypatch):
    monkeypatch.setattr("palnet.surface._text.FILE_BLOCK_BYTES", n_bytes)
    faces = "vt 0 0\nv 5 5 5\nf -5/-5 -4/-4 -3/-3\nvt 0 0\nf 1/1 3/3 4/-3\n# the end"
    path, colored = write_square(tmp_path, faces), tmp_path / "colored.obj"
    colored.write_bytes(obj_with_colors(a_head, some_colors, "%d %d %d\n"))

    found = read_colored_mesh(path)

    assert found.colors[:4].tolist() == [list(each) for each in (RED, GREEN, BLUE, WHITE)]
    np.testing.assert_array_equal(read_colored_mesh(colored).colors, some_colors)


def test_coordinates_that_are_no_numbers_leave_a_vertex_to_the_others(tmp_path):
    path = write_square(tmp_path, "vt nan 0\nvt 0.5 inf\nf 1/1 2/5 3/6 4/3\n")

    mean = [128, 0, 128]
    assert read_colored_mesh(path).colors.tolist() == [list(RED), mean, mean, list(BLUE)]


def test_lines_of_other_kinds_are_left_aside(tmp_path):
    faces = "# usemtl none\nusemtlx none\nvn  1 0 0\nvp 1 0\nvtx 0 0\nv  5 5 5\nft  1 1\n"
    faces += "f 1/1 2/2 3/3 4/4\n"
    path = write_square(tmp_path, faces + "# mtllib none.mtl\n")

    expected = [RED, GREEN, BLUE, WHITE, (128, 128, 128)]
    assert read_colored_mesh(path).colors.tolist() == [list(each) for each in expected]
    assert find_texture(path) == tmp_path / "four.png"


def test_several_materials_have_a_picture_each(tmp_path):
    mtl = "newmtl m\nmap_Kd four.png\nnewmtl unused\nmap_Kd none.png\nnewmtl n\nmap_Kd two.bmp\n"
    mtl += "newmtl plain\nKd 1 0 0\n"
    path = write_square(
        tmp_path, "f 1/1 2/1 3/1\nusemtl n\nf 1/1 3/1 4/1\nusemtl m\nf 1/1 2/1 1/1\n", mtl
    )
    write_picture(tmp_path / "two.bmp", FOUR[:, ::-1])

    mesh = read_colored_mesh(path)

    # Vertex 1 is three times red and once green.
    expected = [(191, 64, 0), RED, (128, 128, 0), GREEN]
    assert mesh.colors.tolist() == [list(each) for each in expected]
    assert mesh.findings == ()
    assert find_texture(path) is None


def test_find_texture_of_what_is_not_there_is_none(a_textured_head, tmp_path):
    assert find_texture(tmp_path / "none.obj") is None
    assert find_texture(tmp_path) is None
    assert find_texture(a_textured_head.write(picture=None)) is None
    assert find_texture(str(a_textured_head.write(library=""))) is None


# --- textures of PLY -----------------------------------------------------------------------------


def textured_ply(head, *, by_face, order="ascii", extra=()):
    """Write texture coordinates of the vertices, or of the faces' corners as MeshLab does."""
    mesh, n = head.mesh, len(head.mesh.points)
    names = () if by_face else head.names
    text = f"ply\nformat {order} 1.0\ncomment TextureFile my head.png\n"
    text += "".join(f"comment TextureFile {name}\n" for name in extra)
    text += f"element vertex {n}\n"
    text += "".join(f"property double {name}\n" for name in ("x", "y", "z", *names))
    text += f"element face {len(mesh.triangles)}\nproperty list uchar int vertex_indices\n"
    text += "property list uchar float texcoord\nproperty int texnumber\n" if by_face else ""
    text += "end_header\n"
    rows = mesh.points if by_face else np.hstack([mesh.points, head.uv])
    uv = head.uv[mesh.triangles].reshape(-1, 6)
    if order == "ascii":
        text += color_table("%.17g " * rows.shape[1] + "\n", rows)
        faces = np.hstack([mesh.triangles, uv]) if by_face else mesh.triangles
        template = "3 %d %d %d 6" + " %.9g" * 6 + " 0\n" if by_face else "3 %d %d %d\n"
        return (text + color_table(template, faces)).encode()
    kinds = [("n", "u1"), ("c", "<i4", 3), ("m", "u1"), ("uv", "<f4", 6), ("t", "<i4")]
    faces = np.zeros(len(uv), kinds if by_face else kinds[:2])
    faces["n"], faces["c"] = 3, mesh.triangles
    if by_face:
        faces["m"], faces["uv"] = 6, uv
    return text.encode() + rows.astype("<f8").tobytes() + faces.tobytes()


@pytest.mark.parametrize("names", [("s", "t"), ("u", "v"), ("texture_u", "texture_v"), None])
@pytest.mark.parametrize("order", ["ascii", "binary_little_endian"])
def test_textures_of_ply_are_read(order, names, a_textured_head):
    path = a_textured_head.folder / "head.ply"
    a_textured_head.names = names
    write_picture(path.with_name("my head.png"), a_textured_head.colors[None])
    for extra in ((), ("unused.png",)) if names is None else ((),):
        path.write_bytes(
            textured_ply(a_textured_head, by_face=names is None, order=order, extra=extra)
        )

        mesh = read_colored_mesh(path)

        np.testing.assert_array_equal(mesh.colors, a_textured_head.colors)
        assert_same_surface(mesh, read_mesh(path))


def test_the_picture_of_a_ply_counts_before_colors_of_its_vertices(a_textured_head):
    path, n = a_textured_head.folder / "head.ply", len(a_textured_head.colors)
    write_picture(path.with_name("my head.png"), a_textured_head.colors[None])
    head, body = textured_ply(a_textured_head, by_face=True).decode().split("end_header\n")
    own = "".join(f"property uchar {name}\n" for name in RGB)
    rows = body.splitlines()
    rows[:n] = [f"{row} {number % 256} 7 7" for number, row in enumerate(rows[:n])]
    head = head.replace("property double z\n", "property double z\n" + own)
    path.write_text(head + "end_header\n" + "\n".join(rows) + "\n")

    np.testing.assert_array_equal(read_colored_mesh(path).colors, a_textured_head.colors)
    path.with_name("my head.png").unlink()
    assert read_colored_mesh(path).colors[:3].tolist() == [[0, 7, 7], [1, 7, 7], [2, 7, 7]]


@pytest.mark.parametrize("order", ["ascii", "binary_big_endian"])
def test_a_ply_that_names_a_picture_without_coordinates_has_its_own_colors(
    order, a_head, some_colors, tmp_path
):
    path = tmp_path / "head.ply"
    named = b"\ncomment TextureFile none.png\nelement vertex"
    data = ply_with_colors(a_head, some_colors, order, "u1", RGB)
    path.write_bytes(data.replace(b"\nelement vertex", named))
    mesh = read_colored_mesh(path)
    np.testing.assert_array_equal(mesh.colors, some_colors)
    assert mesh.findings == ()

    path.write_bytes(WRITERS["big.ply"](a_head).replace(b"\nelement vertex", named))
    mesh = read_colored_mesh(path)
    assert (mesh.colors, mesh.findings) == (None, ())


def test_faces_of_different_sizes_and_without_coordinates_are_read(tmp_path):
    header = (
        "ply\nformat ascii 1.0\ncomment TextureFile four.png\nelement vertex 5\nproperty float x\n"
        "property float y\nproperty float z\nelement face 3\n"
        "property list uchar int vertex_index\nproperty list uchar float texcoord\nend_header\n"
    )
    body = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n2 2 2\n4 0 1 2 3 8 .25 .75 .75 .75 .25 .25 .75 .25\n"
    body += "3 0 1 4 0\n3 0 1 2 6 .25 .75 .75 .75 .25 .25\n"
    path = tmp_path / "square.ply"
    path.write_text(header + body)
    write_picture(tmp_path / "four.png", FOUR)

    colors = read_colored_mesh(path).colors

    assert colors.tolist() == [list(each) for each in (RED, GREEN, BLUE, WHITE, (128, 128, 128))]


@pytest.mark.parametrize("order", ["ascii", "binary_big_endian"])
def test_coordinates_of_vertices_count_in_the_picture_of_their_face(order, tmp_path):
    """PyMeshLab writes so what has several pictures and coordinates of vertices."""
    header = (
        f"ply\nformat {order} 1.0\ncomment TextureFile four.png\ncomment TextureFile two.bmp\n"
        "element vertex 6\nproperty float x\nproperty float y\nproperty float z\n"
        "property float texture_u\nproperty float texture_v\nelement face 2\n"
        "property list uchar int vertex_indices\nproperty int texnumber\nend_header\n"
    )
    places = [(0.25, 0.75), (0.75, 0.75), (0.25, 0.25)]
    vertices = [(x, y, z, *uv) for z in (0, 1) for (x, y), uv in zip(CORNERS, places, strict=False)]
    faces = [(3, 0, 1, 2, 1), (3, 3, 4, 5, 0)]
    if order == "ascii":
        rows = [" ".join(map(str, row)) for row in (*vertices, *faces)]
        body = ("\n".join(rows) + "\n").encode()
    else:
        body = b"".join(struct.pack(">5f", *row) for row in vertices)
        body += b"".join(struct.pack(">B4i", *row) for row in faces)
    path = tmp_path / "two.ply"
    path.write_bytes(header.encode() + body)
    write_picture(tmp_path / "four.png", FOUR)
    write_picture(tmp_path / "two.bmp", FOUR[::-1])

    mesh = read_colored_mesh(path)

    expected = [BLUE, WHITE, RED, RED, GREEN, BLUE]
    assert mesh.colors.tolist() == [list(each) for each in expected]
    assert mesh.findings == ()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \n"])
def test_a_statement_without_a_name_changes_no_material(end, tmp_path):
    path = write_square(tmp_path, "f 1/1 2/2 3/3\nusemtl\nmtllib\nf 1/1 3/3 4/4\n")
    path.write_bytes(path.read_text().replace("\n", end).encode())

    mesh = read_colored_mesh(path)

    assert mesh.colors.tolist() == [list(each) for each in (RED, GREEN, BLUE, WHITE)]
    assert mesh.findings == ()


# --- what is wrong -------------------------------------------------------------------------------


def assert_found(path, *words):
    """Require the plain mesh, and one finding with these words."""
    mesh, plain = read_colored_mesh(path), read_mesh(path)
    assert_same_surface(mesh, plain)
    assert mesh.colors is None
    assert mesh.findings[: len(plain.findings)] == plain.findings
    (finding,) = mesh.findings[len(plain.findings) :]
    assert finding.code == "texture"
    assert re.fullmatch(
        r"[A-Z].*: lips and eyes are placed by shape alone\. [A-Z][^.]*\.", finding.message
    )
    for word in words:
        assert word in finding.message


def test_a_missing_picture_is_a_finding_that_says_what_to_do(a_textured_head):
    path = a_textured_head.write(picture=None)

    assert [each.message for each in read_colored_mesh(path).findings] == [
        "The scan names the texture 'head.png', which is not beside it: lips and eyes are placed "
        "by shape alone. Copy it into the same folder."
    ]
    assert_found(path)


@pytest.mark.parametrize("folder", ["C:\\Meier, Anna\\", "/scans/Meier, Anna/", "Meier, Anna\\"])
@pytest.mark.parametrize("gone", ["a.png", "head.mtl", None])
def test_findings_do_not_tell_names_of_folders(gone, folder, a_textured_head):
    """They may be patients', and a record of a detection is passed on."""
    named = {"library": f"mtllib {folder}head.mtl\n", "mtl": f"newmtl skin\nmap_Kd {folder}a.png\n"}
    path = a_textured_head.write(**named, picture=None)
    (path.parent / "a.png").write_bytes(b"no picture")
    if gone:
        path.with_name(gone).unlink()

    assert_found(path, f"'{gone or 'a.png'}'")
    assert "Anna" not in read_colored_mesh(path).findings[-1].message


def test_pictures_are_not_looked_for_where_the_program_runs(a_textured_head, tmp_path, monkeypatch):
    path = a_textured_head.write()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path.with_name("head.png").rename(elsewhere / "head.png")
    monkeypatch.chdir(elsewhere)

    assert_found(path, "The scan names the texture 'head.png', which is not beside it", "Copy it")


def test_a_missing_file_of_materials_is_a_finding(a_textured_head):
    assert_found(a_textured_head.write(mtl=None), "'head.mtl'", "Copy it, and the picture")
    path = a_textured_head.write(mtl=None, library="mtllib my head.mtl\n", use="")
    assert_found(path, "'my head.mtl'")
    path.with_name("my head.mtl").mkdir()
    assert_found(path, "'my head.mtl'")


@pytest.mark.parametrize("name", ["head.mtl", "head.png"])
def test_a_file_that_cannot_be_opened_is_not_called_absent(name, a_textured_head, monkeypatch):
    """Windows denies access while another program has a file open."""
    path, open_file = a_textured_head.write(), Path.open

    def refuse_one(file, *args, **kwargs):
        if file.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return open_file(file, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse_one)

    assert_found(path, f"'{name}'", " cannot be opened", "whether a program has it open")


def test_a_picture_that_cannot_be_read_is_a_finding(a_textured_head):
    path = a_textured_head.write()
    picture = path.with_name("head.png")
    whole = picture.read_bytes()
    for content in (b"", b"text", whole[:-20], whole[:60], b"\xff\xd8\xff" + whole):
        picture.write_bytes(content)
        assert_found(path, "The texture 'head.png' is ")


def test_colors_that_need_too_much_memory_are_a_finding(a_textured_head, monkeypatch):
    def full(*_):
        raise MemoryError

    path = a_textured_head.write()
    monkeypatch.setattr("palnet.surface._colors.sample_texture", full)

    assert_found(path, "more memory than this computer has", "Make its pictures smaller")


def test_pictures_of_tiff_are_refused_because_vtk_reads_them_wrongly(a_textured_head):
    path = a_textured_head.write(mtl="newmtl skin\nmap_Kd head.tif\n", picture="head.tif")

    assert_found(
        path, "The texture 'head.tif' is not a JPEG, PNG or BMP picture", "Save it as JPEG"
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("vt ", "vt x", "not a coordinate"),
        ("vt 0", "vt", "texture coordinates"),
        ("f 1/1 ", "f 1/9999 ", "texture coordinates that the file does not have"),
        ("f 1/1 ", "f 1/-9999 ", "texture coordinates that the file does not have"),
        ("vt 0.5 0.5", "vt 0.5", "cut off"),
    ],
)
def test_damaged_coordinates_are_a_finding(old, new, words, a_textured_head):
    a_textured_head.uv[1] = 0.5
    path = a_textured_head.write()
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

    assert_found(path, "The colors of the scan cannot be read (", words, "Export the scan again")


def test_damaged_colors_of_vtk_files_are_a_finding(a_head, some_colors, tmp_path):
    for name, mode in (("a.vtp", "text"), ("b.vtk", "text"), ("c.vtk", "binary")):
        path = tmp_path / name
        write_vtk(path, a_head, mode, is_active=True, Colors=some_colors)
        data = path.read_bytes()
        start = data.index(b'Name="Colors"' if name == "a.vtp" else b"COLOR_SCALARS Colors")
        at = data.index(b"\n", start) + 1
        junk = data[: at + 20] + b" x " + data[at + 23 :] if mode == "text" else data[: at + 99]
        path.write_bytes(junk)

        assert_found(path, "The colors of the scan cannot be read (", "Export the scan again")


def test_colors_of_some_pieces_of_a_vtp_file_only_are_a_finding(a_head, some_colors, tmp_path):
    path = tmp_path / "head.vtp"
    write_vtk(path, a_head, "text", is_active=True, Colors=some_colors)
    head, piece, tail = re.split(r"(<Piece.*</Piece>)", path.read_text(), flags=re.DOTALL)
    plain = re.sub(r"<PointData.*</PointData>", "", piece, flags=re.DOTALL)
    path.write_text(head + piece + piece + tail)
    expected = np.concatenate([some_colors, some_colors])
    np.testing.assert_array_equal(read_colored_mesh(path).colors, expected)

    path.write_text(head + piece + plain + tail)
    assert_found(path, "cannot be read (not every piece", "Export the scan again")

    array = re.search(r"<DataArray.*?</DataArray>", piece[piece.index("<PointData") :], re.DOTALL)[
        0
    ]
    labeled = piece.replace(array, array + array.replace("Colors", "Labels"))
    path.write_text(head + labeled + piece + tail)
    np.testing.assert_array_equal(read_colored_mesh(path).colors, expected)


@pytest.mark.parametrize(
    ("library", "mtl", "use"),
    [
        ("", None, ""),
        ("", None, "usemtl skin\n"),
        ("mtllib head.mtl\n", "newmtl skin\nKd 1 0.5 0.5\n", "usemtl skin\n"),
        ("mtllib head.mtl\n", "", "usemtl skin\n"),
        ("mtllib head.mtl\n", "newmtl other\nmap_Kd none.png\n", "usemtl skin\n"),
        ("mtllib head.mtl\n", "newmtl skin\nmap_Kd\n", "usemtl skin\n"),
        ("mtllib other.mtl head.mtl\n", "newmtl skin\nKd 1 1 1\n", "usemtl skin\n"),
    ],
)
def test_a_file_that_names_no_picture_has_no_color_and_no_finding(
    library, mtl, use, a_textured_head
):
    mesh = read_colored_mesh(a_textured_head.write(library=library, mtl=mtl, use=use))

    assert (mesh.colors, mesh.findings) == (None, ())


def test_missing_materials_of_a_file_without_texture_coordinates_are_no_finding(a_head, tmp_path):
    path = tmp_path / "head.obj"
    path.write_bytes(b"mtllib none.mtl\nusemtl skin\n" + write_obj(a_head))

    mesh = read_colored_mesh(path)

    assert (mesh.colors, mesh.findings) == (None, ())


def test_materials_that_are_named_before_each_object_are_read_once(a_textured_head, monkeypatch):
    reads = []
    read = _materials._read_text
    monkeypatch.setattr(_materials, "_read_text", lambda path: reads.append(path) or read(path))

    mesh = read_colored_mesh(a_textured_head.write(library="mtllib head.mtl\n" * 1000))

    np.testing.assert_array_equal(mesh.colors, a_textured_head.colors)
    assert reads == [a_textured_head.folder / "head.mtl"]


def test_a_damaged_line_of_16_mb_takes_no_time(a_textured_head):
    """Before the length of lines was limited, it took hours."""
    path = a_textured_head.write(
        mtl="newmtl skin\nmap_Kd " + "-s 1 1 1 " * 1_800_000 + "head.png\n"
    )

    mesh = read_colored_mesh(path)

    assert mesh.colors is None
    assert [finding.code for finding in mesh.findings] == ["texture"]


@pytest.mark.parametrize("name", [*WRITERS, "one color.ply", "one color.vtp", "one picture.obj"])
def test_no_color_and_the_same_color_everywhere_change_nothing(name, a_textured_head, tmp_path):
    path = tmp_path / name
    one = np.full((len(a_textured_head.colors), 3), 128)
    if name == "one color.ply":
        path.write_bytes(ply_with_colors(a_textured_head.mesh, one, "ascii", "u1", RGB))
    elif name == "one color.vtp":
        values = one.astype(np.uint8)
        write_vtk(path, a_textured_head.mesh, "binary", is_active=True, Colors=values)
    elif name == "one picture.obj":
        a_textured_head.path, a_textured_head.colors = path, one.astype(np.uint8)
        a_textured_head.write()
    else:
        path.write_bytes(WRITERS[name](a_textured_head.mesh))

    mesh, plain = read_colored_mesh(path), read_mesh(path)

    assert_same_surface(mesh, plain)
    assert mesh.colors is None
    if "textured" not in name:
        assert mesh.findings == plain.findings


def test_colors_of_vertices_stand_in_for_a_texture_that_is_missing(a_textured_head):
    path = a_textured_head.write(picture=None)
    lines = path.read_text().splitlines()
    rows = color_table(" %.6f %.6f %.6f\n", a_textured_head.colors / 255).splitlines()
    behind = iter(rows)
    colored = [line + next(behind) if line[:2] == "v " else line for line in lines]
    path.write_text("\n".join(colored) + "\n")

    mesh = read_colored_mesh(path)

    np.testing.assert_array_equal(mesh.colors, a_textured_head.colors)
    assert mesh.findings == ()


def test_colors_that_are_no_numbers_or_out_of_range_become_bytes(a_head, some_colors, tmp_path):
    shares = some_colors / 255
    shares[:4] = [[np.nan, 0, 0], [np.inf, -np.inf, 1], [1.001, -0.5, 0], [0, 1, 0.5]]
    path = tmp_path / "head.ply"
    path.write_bytes(ply_with_colors(a_head, shares, "binary_little_endian", "f4", RGB))

    found = read_colored_mesh(path).colors

    assert found[:4].tolist() == [[0, 0, 0], [255, 0, 255], [255, 0, 0], [0, 255, 128]]
    np.testing.assert_array_equal(found[4:], some_colors[4:])


def test_scans_without_color_are_read_without_vtk_and_scipy(a_textured_head, tmp_path):
    plain = a_textured_head.write(library="")
    write_ply(a_textured_head.mesh, tmp_path / "head.ply")
    code = (
        "import sys; from palnet.surface import read_colored_mesh\n"
        "for path in sys.argv[1:]: read_colored_mesh(path)\n"
        "print([name for name in ('vtkmodules', 'scipy') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(plain), str(tmp_path / "head.ply")]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


# --- where colors are used -----------------------------------------------------------------------


def test_detect_reads_colors(a_textured_head, monkeypatch):
    seen = []

    def look(mesh):
        seen.append(mesh)
        msg = "enough"
        raise UnitError(msg)

    monkeypatch.setattr(detector, "plausible_units", look)
    with pytest.raises(UnitError, match="enough"):
        detector.detect(a_textured_head.write())

    np.testing.assert_array_equal(seen[0].colors, a_textured_head.colors)


def test_a_scan_with_a_broken_texture_is_detected_by_its_shape(tmp_path):
    mesh = read_mesh(example_scan())
    path = tmp_path / "example.obj"
    head = b"mtllib none.mtl\nvt 0 0\n"
    faces = color_table("f %d/1 %d/1 %d/1\n", mesh.triangles + 1).encode()
    path.write_bytes(head + write_obj(mesh).partition(b"f ")[0] + faces)

    plain, broken = detector.detect(mesh), detector.detect(path)

    np.testing.assert_array_equal(broken.landmarks.positions, plain.landmarks.positions)
    codes = [each.code for each in broken.findings]
    assert sorted(codes) == sorted(["texture", *(each.code for each in plain.findings)])


def test_normals_behind_the_coordinates_are_no_colors(tmp_path, a_head):
    normals = np.random.default_rng(0).normal(size=a_head.points.shape)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    rows = [
        *(
            f"v {p[0]} {p[1]} {p[2]} {n[0]} {n[1]} {n[2]}"
            for p, n in zip(a_head.points, normals, strict=True)
        ),
        *(f"f {t[0]} {t[1]} {t[2]}" for t in a_head.triangles + 1),
    ]
    path = tmp_path / "n.obj"
    path.write_text("\n".join(rows) + "\n")

    mesh = read_colored_mesh(path)

    assert mesh.colors is None
    assert mesh.findings == read_mesh(path).findings


PLY_HEAD = b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\n"


@pytest.mark.parametrize("name", ["plain.obj", "plain.ply", "plain.stl"])
def test_a_plain_file_names_no_color(name, tmp_path, a_head):
    writers = {".obj": write_obj, ".ply": write_ply_little, ".stl": write_stl_binary}
    path = tmp_path / name
    path.write_bytes(writers[path.suffix](a_head))

    assert not names_color(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.obj", b"v 0 0 0 1 0 0\n"),
        ("a.OBJ", b"mtllib a.mtl\nv 0 0 0\n"),
        ("a.ply", PLY_HEAD + b"property uchar red\nproperty uchar green\nproperty uchar blue\n"),
        (
            "b.ply",
            b"\xef\xbb\xbf" + PLY_HEAD.replace(b"element", b"comment TextureFile a.png\nelement"),
        ),
    ],
)
def test_a_file_with_color_names_it(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content + (b"end_header\n" if path.suffix == ".ply" else b""))

    assert names_color(path)
