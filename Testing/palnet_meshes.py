# SPDX-License-Identifier: Apache-2.0
"""Small meshes and independent writers of every mesh format, for tests."""

from __future__ import annotations

import struct

import numpy as np

from palnet.surface import Mesh


def make_head(n_rings: int = 12, n_sectors: int = 20) -> Mesh:
    """Make a closed, lumpy, head-sized ellipsoid without symmetry, wound outward, in millimetres.

    Coordinates are exact in single precision, so that every format can store them exactly.
    """
    rings = np.linspace(0.0, np.pi, n_rings + 2)[1:-1]
    sectors = np.linspace(0.0, 2.0 * np.pi, n_sectors, endpoint=False)
    polar, around = (each.ravel() for each in np.meshgrid(rings, sectors, indexing="ij"))
    radius = 90.0 + 6.0 * np.cos(2.0 * around + 0.4) * np.sin(polar) + 5.0 * np.cos(3.0 * polar)
    points = np.stack(
        [
            radius * np.sin(polar) * np.cos(around),
            1.1 * radius * np.sin(polar) * np.sin(around),
            1.3 * radius * np.cos(polar),
        ],
        axis=1,
    )
    points = np.vstack([points, [[0.0, 0.0, 125.0]], [[0.0, 0.0, -115.0]]])
    ring, sector = (
        each.ravel() for each in np.meshgrid(range(n_rings - 1), range(n_sectors), indexing="ij")
    )
    here, right = ring * n_sectors + sector, ring * n_sectors + (sector + 1) % n_sectors
    below, below_right = here + n_sectors, right + n_sectors
    top, bottom = len(points) - 2, len(points) - 1
    first, last = np.arange(n_sectors), (n_rings - 1) * n_sectors + np.arange(n_sectors)
    triangles = np.concatenate(
        [
            np.stack([here, below, right], axis=1),
            np.stack([right, below, below_right], axis=1),
            np.stack([np.full(n_sectors, top), first, np.roll(first, -1)], axis=1),
            np.stack([np.full(n_sectors, bottom), np.roll(last, -1), last], axis=1),
        ]
    )
    return Mesh(points.astype(np.float32), triangles.astype(np.int32), "head")


def grid_triangles(n_rows: int, n_columns: int) -> np.ndarray:
    """Two triangles for each cell of a grid: toward +Z if columns run to +X and rows to +Y."""
    number = np.arange(n_rows * n_columns).reshape(n_rows, n_columns)
    a, b, c, d = (
        corner.ravel()
        for corner in (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1])
    )
    both = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return both.astype(np.int32)


def open_head(mesh: Mesh) -> Mesh:
    """Return the mesh without its lower third: a surface with a hole."""
    keep = (mesh.points[mesh.triangles][:, :, 2] > -40.0).all(axis=1)
    used, triangles = np.unique(mesh.triangles[keep], return_inverse=True)
    return Mesh(mesh.points[used], triangles.reshape(-1, 3).astype(np.int32), mesh.name)


def shuffle(mesh: Mesh, seed: int) -> Mesh:
    """Return the mesh with other vertex numbers, triangle order and first corners."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(mesh.points))
    number = np.argsort(order)
    triangles = number[mesh.triangles][rng.permutation(len(mesh.triangles))]
    shift = rng.integers(0, 3, len(triangles))
    corners = (np.arange(3) + shift[:, None]) % 3
    triangles = np.take_along_axis(triangles, corners, axis=1)
    return Mesh(mesh.points[order], triangles.astype(np.int32), mesh.name)


def _lines(template: str, rows: np.ndarray) -> str:
    return "".join(template % tuple(row) for row in rows.tolist())


def write_obj(mesh: Mesh) -> bytes:
    faces = _lines("f %d %d %d\n", mesh.triangles + 1)
    return (_lines("v %.17g %.17g %.17g\n", mesh.points) + faces).encode()


def write_obj_textured(mesh: Mesh) -> bytes:
    """With groups, colours, v/vt/vn corners, Windows line endings, no final newline."""
    coloured = np.hstack([mesh.points, np.full_like(mesh.points, 0.5)])
    text = "# made for a test\nmtllib ö.mtl\no part\n" + _lines(
        "v %.17g %.17g %.17g %g %g %g\n", coloured
    )
    text += _lines("vt %.6g %.6g\n", mesh.points[:, :2]) + "vn 0 0 1\ng skin\nusemtl a\ns off\n"
    corners = np.repeat(mesh.triangles + 1, 2, axis=1)
    text += _lines("f %d/%d/1 %d/%d/1 %d/%d/1\n", corners)
    return text.rstrip("\n").replace("\n", "\r\n").encode()


def write_obj_negative(mesh: Mesh) -> bytes:
    """With negative indices, double slashes, a continued line, tabs and comments."""
    text = _lines("v\t%.17g  %.17g %.17g # here\n", mesh.points) + "\n\nvn 1 0 0\n"
    backward = mesh.triangles.astype(np.int64) - len(mesh.points)
    return (text + _lines("  f %d//-1 %d//-1 \\\n %d//-1\n", backward)).encode()


def _ply_header(mesh: Mesh, order: str, number: str, count: str, extra: str = "") -> bytes:
    return (
        f"ply\nformat {order} 1.0\ncomment made for a test\nelement vertex {len(mesh.points)}\n"
        f"property {number} x\nproperty {number} y\nproperty {number} z\n{extra}"
        f"element face {len(mesh.triangles)}\nproperty list {count} int vertex_indices\n"
        "end_header\n"
    ).encode()


def write_ply_ascii(mesh: Mesh) -> bytes:
    body = _lines("%.17g %.17g %.17g\n", mesh.points) + _lines("3 %d %d %d\n", mesh.triangles)
    return _ply_header(mesh, "ascii", "float", "uchar") + body.encode()


def write_ply_little(mesh: Mesh) -> bytes:
    rows = np.zeros(len(mesh.triangles), dtype=[("n", "u1"), ("corners", "<i4", 3)])
    rows["n"], rows["corners"] = 3, mesh.triangles
    header = _ply_header(mesh, "binary_little_endian", "float", "uchar")
    return header + mesh.points.astype("<f4").tobytes() + rows.tobytes()


def write_ply_big(mesh: Mesh) -> bytes:
    """With big-endian doubles, colours, 4-byte counts."""
    extra = "property uchar red\nproperty short flag\n"
    vertices = np.zeros(len(mesh.points), dtype=[("p", ">f8", 3), ("red", "u1"), ("flag", ">i2")])
    vertices["p"], vertices["red"], vertices["flag"] = mesh.points, 200, -3
    rows = np.zeros(len(mesh.triangles), dtype=[("n", ">u4"), ("corners", ">i4", 3)])
    rows["n"], rows["corners"] = 3, mesh.triangles
    header = _ply_header(mesh, "binary_big_endian", "double", "uint", extra)
    return header + vertices.tobytes() + rows.tobytes()


def write_stl_ascii(mesh: Mesh) -> bytes:
    facet = "facet normal 0 0 0\n outer loop\n" + "  vertex %.17g %.17g %.17g\n" * 3
    facet += " endloop\nendfacet\n"
    rows = mesh.points[mesh.triangles].reshape(-1, 9)
    return ("solid head\n" + _lines(facet, rows) + "endsolid head\n").encode()


def write_stl_binary(mesh: Mesh) -> bytes:
    """With a header that begins like that of an ASCII file."""
    rows = np.zeros(
        len(mesh.triangles), dtype=[("normal", "<f4", 3), ("p", "<f4", (3, 3)), ("a", "<u2")]
    )
    rows["p"] = mesh.points[mesh.triangles]
    return b"solid head".ljust(80) + struct.pack("<I", len(rows)) + rows.tobytes()


def _vtk_head(version: str, encoding: str) -> str:
    return f"# vtk DataFile Version {version}\ntest output\n{encoding}\nDATASET POLYDATA\n"


def write_vtk_ascii(mesh: Mesh) -> bytes:
    n_points, n_triangles = len(mesh.points), len(mesh.triangles)
    text = _vtk_head("3.0", "ASCII") + f"POINTS {n_points} float\n"
    text += _lines("%.17g %.17g %.17g\n", mesh.points)
    text += f"\nPOLYGONS {n_triangles} {4 * n_triangles}\n"
    text += _lines("3 %d %d %d\n", mesh.triangles)
    return (text + f"\nPOINT_DATA {n_points}\nSCALARS a float\n").encode()


def write_vtk_binary(mesh: Mesh) -> bytes:
    n_points, n_triangles = len(mesh.points), len(mesh.triangles)
    cells = np.insert(mesh.triangles, 0, 3, axis=1).astype(">i4").tobytes()
    return (
        (_vtk_head("4.2", "BINARY") + f"POINTS {n_points} double\n").encode()
        + mesh.points.astype(">f8").tobytes()
        + f"\nPOLYGONS {n_triangles} {4 * n_triangles}\n".encode()
        + cells
        + b"\n"
    )


def write_vtk_offsets(mesh: Mesh) -> bytes:
    """With the cells of file version 5.1."""
    n_points, n_triangles = len(mesh.points), len(mesh.triangles)
    offsets = 3 * np.arange(n_triangles + 1)
    return (
        (_vtk_head("5.1", "BINARY") + f"POINTS {n_points} float\n").encode()
        + mesh.points.astype(">f4").tobytes()
        + f"\nPOLYGONS {n_triangles + 1} {3 * n_triangles}\nOFFSETS vtktypeint64\n".encode()
        + offsets.astype(">i8").tobytes()
        + b"\nCONNECTIVITY vtktypeint64\n"
        + mesh.triangles.astype(">i8").tobytes()
        + b"\n"
    )


def _data_array(name: str, kind: str, values: np.ndarray, n_components: int = 1) -> str:
    numbers = " ".join(f"{value:.17g}" for value in values.ravel().tolist())
    return (
        f'<DataArray type="{kind}" Name="{name}" NumberOfComponents="{n_components}" '
        f'format="ascii">{numbers}</DataArray>\n'
    )


def write_vtp(mesh: Mesh) -> bytes:
    n_points, n_triangles = len(mesh.points), len(mesh.triangles)
    offsets = 3 * (np.arange(n_triangles) + 1)
    return (
        '<?xml version="1.0"?>\n<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian">\n'
        f'<PolyData>\n<Piece NumberOfPoints="{n_points}" NumberOfPolys="{n_triangles}">\n'
        f"<Points>{_data_array('p', 'Float32', mesh.points, 3)}</Points>\n"
        f"<Polys>{_data_array('connectivity', 'Int64', mesh.triangles)}"
        f"{_data_array('offsets', 'Int64', offsets)}</Polys>\n</Piece>\n</PolyData>\n</VTKFile>\n"
    ).encode()


WRITERS = {
    "plain.obj": write_obj,
    "textured.obj": write_obj_textured,
    "negative.obj": write_obj_negative,
    "ascii.ply": write_ply_ascii,
    "little.ply": write_ply_little,
    "big.ply": write_ply_big,
    "ascii.stl": write_stl_ascii,
    "binary.stl": write_stl_binary,
    "ascii.vtk": write_vtk_ascii,
    "binary.vtk": write_vtk_binary,
    "offsets.vtk": write_vtk_offsets,
    "ascii.vtp": write_vtp,
}
"""File name -> writer, for each format and dialect."""


def make_sphere(radius, centre, n_rings):
    """Make a sphere of roughly evenly spaced points, wound outward."""
    polar = np.linspace(0, np.pi, n_rings + 2)[1:-1]
    around = np.linspace(0, 2 * np.pi, 2 * n_rings, endpoint=False)
    polar, around = (each.ravel() for each in np.meshgrid(polar, around, indexing="ij"))
    unit = np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=1
    )
    index = np.arange(len(unit)).reshape(n_rings, -1)
    right = np.roll(index, -1, axis=1)
    a, b, c, d = (q.ravel() for q in (index[:-1], index[1:], right[1:], right[:-1]))
    first, last, pole = index[0], index[-1], np.full(len(index[0]), len(unit))
    triangles = np.concatenate(
        [
            np.stack([a, b, c], axis=1),
            np.stack([a, c, d], axis=1),
            np.stack([pole, first, np.roll(first, -1)], axis=1),
            np.stack([pole + 1, np.roll(last, -1), last], axis=1),
        ]
    )
    unit = np.concatenate([unit, [[0, 0, 1], [0, 0, -1]]])
    return (unit * radius + centre).astype(np.float32), triangles.astype(np.int32)
