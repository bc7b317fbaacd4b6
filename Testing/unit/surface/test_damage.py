# SPDX-License-Identifier: Apache-2.0
"""Damaged files: an error with the file's name or the right mesh, never a crash or half a mesh."""

from __future__ import annotations

import base64
import lzma
import struct
import tracemalloc
import zlib
from dataclasses import astuple
from types import SimpleNamespace

import numpy as np
import pytest

from palnet.errors import MeshError
from palnet.surface import (
    _vtp,
    parse_unit,
    plausible_units,
    prepare_scan,
    prepare_surface,
    read_mesh,
)
from palnet.surface._read import PARSERS
from palnet_meshes import WRITERS, make_head, make_sphere, write_obj

HEAD = make_head(6, 9)
MEMORY_FACTOR = 60
"""Peak memory of reading, as a multiple of the file's size, plus a fixed part."""


def _read_or_refuse(path):
    """The mesh, or None where it is refused with the file's name."""
    try:
        return read_mesh(path)
    except MeshError as err:
        message = str(err)
    assert message.startswith(str(path))
    return None


def _is_complete(name, mesh):
    """Whether a mesh read from a cut file is whole, or says that it is not.

    An OBJ file holds no counts. What is lost at its end can only be told by vertices left unused.
    """
    if name.endswith("obj"):
        if len(mesh.points) < len(HEAD.points):
            return False
        codes = {each.code for each in prepare_surface(mesh, parse_unit("mm")).findings}
        is_used = np.zeros(len(mesh.points), dtype=bool)
        is_used[mesh.triangles] = True
        return is_used.all() or "unreferenced_vertices" in codes
    return len(mesh.triangles) == len(HEAD.triangles)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_cut_anywhere_is_refused_or_complete(name, tmp_path):
    content = WRITERS[name](HEAD)
    path = tmp_path / name
    rng = np.random.default_rng(5)
    cuts = {*rng.integers(0, len(content), 150).tolist(), *range(len(content) - 40, len(content))}

    for cut in sorted(cuts):
        path.write_bytes(content[:cut])
        mesh = _read_or_refuse(path)
        assert mesh is None or _is_complete(name, mesh), f"cut at {cut} of {len(content)}"


@pytest.mark.parametrize("name", WRITERS)
def test_flipped_bytes_never_crash(name, tmp_path):
    content = WRITERS[name](HEAD)
    path = tmp_path / name
    rng = np.random.default_rng(6)

    for _ in range(150):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        mesh = _read_or_refuse(path)
        if mesh is not None:
            assert np.isfinite(mesh.points).all()
            assert mesh.triangles.min() >= 0
            assert mesh.triangles.max() < len(mesh.points)


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_headers_never_crash_nor_ask_for_memory(name, tmp_path):
    content = WRITERS[name](HEAD)
    path = tmp_path / name
    rng = np.random.default_rng(7)
    digits = [at for at, byte in enumerate(content[:600]) if chr(byte).isdigit()]
    limit = 20_000_000 + MEMORY_FACTOR * len(content)

    for _ in range(60):
        at = int(rng.choice(digits)) if digits else int(rng.integers(0, 84))
        path.write_bytes(content[:at] + b"99999999" + content[at + 1 :])
        tracemalloc.start()
        _read_or_refuse(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < limit


@pytest.mark.parametrize(
    ("name", "pack"),
    [("vtkZLibDataCompressor", zlib.compress), ("vtkLZMADataCompressor", lzma.compress)],
)
def test_compressed_array_that_would_fill_the_memory_is_refused(name, pack, tmp_path, monkeypatch):
    monkeypatch.setattr(_vtp, "FREE_BYTES", 1 << 20)
    n_bytes = 12 << 24
    block = pack(bytes(n_bytes))
    sizes = struct.pack("<IIII", 1, n_bytes, 0, len(block))
    text = (base64.b64encode(sizes) + base64.b64encode(block)).decode()
    path = tmp_path / "bomb.vtp"
    path.write_text(
        f'<VTKFile type="PolyData" compressor="{name}"><PolyData><Piece NumberOfPoints="{1 << 24}">'
        f'<Points><DataArray type="Float32" Name="p" format="binary">{text}</DataArray></Points>'
        "</Piece></PolyData></VTKFile>"
    )

    tracemalloc.start()
    with pytest.raises(MeshError, match="grows to more than 250 times its size"):
        read_mesh(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < n_bytes


def test_file_too_large_for_the_memory_is_refused_with_its_name(tmp_path, monkeypatch):
    def parse(data):
        raise MemoryError

    monkeypatch.setitem(PARSERS, ".obj", parse)
    path = tmp_path / "large.obj"
    path.write_bytes(WRITERS["plain.obj"](HEAD))

    with pytest.raises(MeshError, match=r"large\.obj: needs more memory than this computer has"):
        read_mesh(path)


@pytest.mark.parametrize("name", WRITERS)
def test_foreign_bytes_in_front_are_refused_or_harmless(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + WRITERS[name](HEAD))

    mesh = _read_or_refuse(path)

    assert mesh is None or len(mesh.triangles) == len(HEAD.triangles)


def test_random_bytes_under_every_suffix_are_refused(tmp_path):
    rng = np.random.default_rng(8)
    for suffix in (".obj", ".ply", ".stl", ".vtk", ".vtp"):
        for size in (1, 84, 100, 5000):
            path = tmp_path / f"noise{suffix}"
            path.write_bytes(rng.integers(0, 256, size, dtype=np.uint8).tobytes())
            with pytest.raises(MeshError, match="noise"):
                read_mesh(path)


def test_cells_without_a_number_are_refused(tmp_path):
    path = tmp_path / "poly.vtk"
    path.write_text(
        "# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\nPOINTS 1 float\n0 0 0\n"
        "POLYGONS 1 0\n",
        encoding="utf-8",
    )

    with pytest.raises(MeshError, match="1 cells do not fill the 0 numbers promised"):
        read_mesh(path)


def _spoil(mesh, numbers):
    """The mesh with NaN in place of some vertices, which no `Mesh` may hold."""
    points = mesh.points.copy()
    points[numbers] = np.nan
    return SimpleNamespace(points=points, triangles=mesh.triangles)


@pytest.mark.parametrize("name", WRITERS)
def test_few_vertices_without_a_position_are_left_out_with_their_triangles(name, tmp_path):
    head = make_head(30, 40)
    path = tmp_path / name
    path.write_bytes(WRITERS[name](_spoil(head, [55])))

    mesh = read_mesh(path)

    surface, findings = prepare_surface(mesh, parse_unit("mm")), dict(map(astuple, mesh.findings))
    assert len(surface.points_mm) == len(head.points) - 1
    assert len(surface.triangles) == len(head.triangles) - 6
    n_lost = 6 if name.endswith("stl") else 1  # there each triangle has its own corners
    text = f"Vertices with non-finite coordinates, left out: {n_lost}; triangles: 6."
    assert findings == {"lost_vertices": text}


@pytest.mark.parametrize("name", WRITERS)
def test_file_that_loses_more_than_a_small_hole_is_refused(name, tmp_path):
    head = make_head(30, 40)
    path = tmp_path / name
    path.write_bytes(WRITERS[name](_spoil(head, [55, 80, 90, 300, 500])))

    with pytest.raises(MeshError, match=r"are not finite, .*, and 30 of 2400 triangles need them"):
        read_mesh(path)


def test_vertices_behind_an_unused_one_without_a_position_keep_their_numbers(tmp_path):
    head = make_head()
    n_unused = 3 * len(head.points)  # a range scan's grid may be mostly empty
    points = np.vstack([head.points[:7], np.full((n_unused, 3), np.inf), head.points[7:]])
    triangles = head.triangles + n_unused * (head.triangles >= 7)
    path = tmp_path / "grid.obj"
    path.write_bytes(write_obj(SimpleNamespace(points=points, triangles=triangles)))

    mesh = read_mesh(path)

    assert np.array_equal(mesh.triangles, triangles)
    assert np.array_equal(np.delete(mesh.points, np.s_[7 : 7 + n_unused], axis=0), head.points)
    assert [each.name for each in plausible_units(mesh)] == [
        each.name for each in plausible_units(head)
    ]
    assert np.ptp(mesh.points, axis=0).tolist() == np.ptp(head.points, axis=0).tolist()


def test_grid_that_is_mostly_empty_hides_nothing_of_what_lies_within_a_head(tmp_path):
    """The search for it looks at a part of all vertices first."""
    skin = make_sphere(90, (0, 0, 0), 90)
    skull = make_sphere(75, (0, 0, 0), 80)
    n_lost = 4 * (len(skin[0]) + len(skull[0]))
    points = np.concatenate([np.full((n_lost, 3), np.nan), skin[0], skull[0]])
    triangles = np.concatenate([skin[1], skull[1] + len(skin[0])]) + n_lost
    path = tmp_path / "grid.ply"
    path.write_bytes(WRITERS["little.ply"](SimpleNamespace(points=points, triangles=triangles)))

    surface = prepare_scan(read_mesh(path), parse_unit("mm"))

    assert "interior" in {each.code for each in surface.findings}


def _with_short_faces(n_short):
    """A head of 2400 triangles as OBJ, with edges written as faces before the last one."""
    text = write_obj(make_head(30, 40)).decode()
    *others, last = text.rstrip("\n").rsplit("\n", 1)
    return "\n".join([*others, *["f 3 4"] * n_short, last]) + "\n"


def test_edges_written_as_faces_are_counted_and_left_out(tmp_path):
    head = prepare_surface(make_head(30, 40), parse_unit("mm"))
    path = tmp_path / "edges.obj"
    path.write_text(_with_short_faces(20), encoding="utf-8")

    surface = prepare_surface(read_mesh(path), parse_unit("mm"))

    assert np.array_equal(surface.triangles, head.triangles)
    assert np.array_equal(surface.points_mm, head.points_mm)
    assert "Triangles repeated or without an area, left out: 20." in [
        each.message for each in surface.findings
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (_with_short_faces(30), r"line 3602: a face needs three corners; got 2"),
        (_with_short_faces(1) + "f 1 2", r"line 3604: a face needs three corners; got 2"),
    ],
)
def test_obj_with_many_short_faces_or_cut_within_one_is_refused(text, says, tmp_path):
    path = tmp_path / "edges.obj"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(MeshError, match=says):
        read_mesh(path)
