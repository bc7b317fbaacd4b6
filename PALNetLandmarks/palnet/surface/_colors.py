# SPDX-License-Identifier: Apache-2.0
"""The color of a scan: of its vertices, or of a picture laid over it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from palnet._files import to_path
from palnet._stored import quote
from palnet.errors import MeshError
from palnet.surface._materials import bare_name, find_beside, read_materials, statements
from palnet.surface._mesh import Finding
from palnet.surface._obj_colors import has_vertex_colors, parse_obj_colors, parse_obj_texture
from palnet.surface._ply import parse_ply_columns, parse_ply_header
from palnet.surface._read import BYTE_ORDER_MARK, read_mesh_and_bytes
from palnet.surface._texture import OPENING, sample_texture
from palnet.surface._vtk import parse_vtk_colors
from palnet.surface._vtp import parse_vtp_colors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

    from numpy.typing import NDArray

    from palnet.surface._mesh import Mesh
    from palnet.surface._ply import PlyColumns

__all__ = ["names_color", "read_colored_mesh"]

BYTE, WORD = 255, 65535
"""The largest numbers of colors with 8 and 16 bits."""

PLY_COLORS = (
    ("red", "green", "blue"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("r", "g", "b"),
)
PLY_COORDINATES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
PLY_PICTURE = "comment texturefile "

COLOR_NAMES = ("rgb", "color", "colour")
"""Of several arrays in a VTK file, one is preferred whose name holds one of these."""

PLY_NUMBER = "texnumber"
"""Column with the number of a face's picture, as MeshLab writes it."""

HEAD_BYTES = 1 << 16

NOTHING = -1
"""Number of no material or no picture."""

EXCESS = 2.0
"""Shares may exceed 1 a little, as interpolated numbers 255; a scan whose colors reach 2 of 255, or
510 of 65,535, would be black."""


def read_colored_mesh(path: str | PathLike[str]) -> Mesh:
    """Read a mesh as `read_mesh` does, with the colors of its vertices if the file has any.

    Parameters
    ----------
    path : str or PathLike
        The file. The pictures that an OBJ or PLY file names lie beside it.

    Returns
    -------
    Mesh
        Points and triangles are those of `read_mesh`. At a seam of the texture a vertex has the
        mean of its colors; vertices without a color have the mean of all others. If colors are
        there but cannot be read, `colors` is None and the finding "texture" says why. The same
        color everywhere counts as none.

    Raises
    ------
    MeshError
        As `read_mesh`: never because of colors.
    """
    path = to_path(path, name="path", error=MeshError)
    mesh, data = read_mesh_and_bytes(path)
    read = _READERS.get(path.suffix.lower())
    try:
        colors = read(_Scan(path, data, len(mesh.points))) if read else None
    except _TextureError as err:
        return _with_finding(mesh, str(err), err.remedy)
    except MeshError as err:
        problem = f"The colors of the scan cannot be read ({str(err).partition('. ')[0]})"
        return _with_finding(mesh, problem, "Export the scan again")
    except MemoryError:
        problem = "The colors of the scan need more memory than this computer has"
        return _with_finding(mesh, problem, "Make its pictures smaller")
    return replace(mesh, colors=colors) if _varies(colors) else mesh


def names_color(path: str | PathLike[str]) -> bool:
    """Tell quickly whether an OBJ or PLY file may have color: its own, or in pictures.

    Parameters
    ----------
    path : str or PathLike
        The file.

    Returns
    -------
    bool
        False also for files of other formats.

    Raises
    ------
    OSError
        If the file cannot be opened.
    MeshError
        If the header of a PLY file is damaged.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".obj", ".ply"):
        return False
    data = path.read_bytes().removeprefix(BYTE_ORDER_MARK)
    if suffix == ".obj":
        return has_vertex_colors(data) or _names_materials(data)
    sources = _ply_sources(data)
    return bool(sources.own or sources.pictures)


def _with_finding(mesh: Mesh, problem: str, remedy: str) -> Mesh:
    """Add the finding that a scan has colors which cannot be used."""
    text = f"{problem}: lips and eyes are placed by shape alone. {remedy.rstrip('.')}."
    return replace(mesh, findings=(*mesh.findings, Finding("texture", text)))


class _Scan(NamedTuple):
    """A file that was read, and the number of its vertices."""

    path: Path
    data: bytes
    n_points: int


class _TextureError(MeshError):
    """A texture cannot be used."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


def _missing(name: str) -> _TextureError:
    """Report a picture that is not there."""
    problem = f"The scan names the texture {quote(bare_name(name))}, which is not beside it"
    return _TextureError(problem, "Copy it into the same folder")


def _no_materials(name: str, folder: Path) -> _TextureError:
    """Report a file of materials that is not there, or cannot be opened."""
    shown = quote(bare_name(name))
    if find_beside(name, (folder,)) is not None:
        problem = f"The file {shown}, which the scan names for its texture, cannot be opened"
        return _TextureError(problem, OPENING)
    problem = f"The scan names the file {shown} for its texture, which is not beside it"
    return _TextureError(problem, "Copy it, and the picture that it names, into the same folder")


# --- what the formats hold -----------------------------------------------------------------------


def _read_obj(scan: _Scan) -> NDArray[np.uint8] | None:
    """Read the colors of an OBJ file."""
    has_colors, has_materials = has_vertex_colors(scan.data), _names_materials(scan.data)
    if not has_colors and not has_materials:
        return None

    def read_own() -> NDArray[np.uint8] | None:
        colors = parse_obj_colors(scan.data) if has_colors else None
        return None if colors is None else _to_bytes(colors)

    return _first_colors(partial(_lay_obj_texture, scan), read_own)


def _names_materials(data: bytes) -> bool:
    """Whether an OBJ file names a file of materials, nearly always at its top."""
    # One letter is searched ten times as fast as a word; numbers and most other lines have no m.
    has_more = data.find(b"m", HEAD_BYTES) >= 0
    return b"mtllib" in data[:HEAD_BYTES] or (has_more and b"mtllib" in data)


def _lay_obj_texture(scan: _Scan) -> NDArray[np.uint8] | None:
    """Lay the pictures of an OBJ file's materials over it; None if it uses none."""
    materials = read_materials(scan.path, scan.data)
    if not materials.pictures and not materials.missing:
        return None
    corners = parse_obj_texture(scan.data)
    if not len(corners.vertex):
        return None
    names, current = _materials_of(scan.data, corners.offset, list(materials.pictures))
    used = {names[number] for number in np.unique(current) if number != NOTHING}
    if materials.missing and not (used and used <= materials.defined):
        raise _no_materials(materials.missing[0], scan.path.parent)
    named = [materials.pictures.get(each, "") if each in used else "" for each in names]
    pictures = [each for each in dict.fromkeys(named) if each]
    number = {name: count for count, name in enumerate(pictures)}
    numbers = [*(number.get(each, NOTHING) for each in named), NOTHING]
    charts = _Charts(corners.vertex, corners.uv, np.array(numbers)[current])
    return _lay(charts, pictures, materials.folders, scan.n_points)


def _materials_of(
    data: bytes, offsets: NDArray[np.int64], pictured: list[str]
) -> tuple[list[str], NDArray[np.int64]]:
    """Return names of materials, and for each corner of a face the number of its name."""
    used = list(statements(data, b"usemtl"))
    if used:
        starts = np.array([offset for offset, _ in used])
        return [name for _, name in used], np.searchsorted(starts, offsets) - 1
    # A file with one material may leave out what it is for.
    is_clear = len(pictured) == 1
    return pictured, np.full(len(offsets), 0 if is_clear else NOTHING)


def _read_ply(scan: _Scan) -> NDArray[np.uint8] | None:
    """Read the colors of a PLY file."""
    own, kinds, pictures = _ply_sources(scan.data)
    if not own and not pictures:
        return None
    columns = parse_ply_columns(scan.data)

    def read_own() -> NDArray[np.uint8] | None:
        if not own:
            return None
        values = np.stack([columns.vertex[name] for name in own], axis=1)
        return _to_bytes(values, is_share=kinds[own[0]].startswith("f"))

    def lay_pictures() -> NDArray[np.uint8] | None:
        if not pictures:
            return None
        charts = _ply_charts(columns, len(pictures))
        return _lay(charts, pictures, (scan.path.parent,), scan.n_points)

    return _first_colors(lay_pictures, read_own)


class _PlySources(NamedTuple):
    """Where a PLY file has color: columns of the vertices with their types, and pictures."""

    own: list[str]
    kinds: dict[str, str]
    pictures: list[str]


def _ply_sources(data: bytes) -> _PlySources:
    """Look for color in the header of a PLY file."""
    header, kinds = parse_ply_header(data)
    lines = [line.strip() for line in header.splitlines()]
    start = len(PLY_PICTURE)
    pictures = [line[start:].strip() for line in lines if line[:start].lower() == PLY_PICTURE]
    return _PlySources(_names_of(PLY_COLORS, kinds), kinds, pictures)


def _ply_charts(columns: PlyColumns, n_pictures: int) -> _Charts:
    """Return the texture coordinates of a PLY file: of its faces' corners, else of its vertices."""
    names = _names_of(PLY_COORDINATES, columns.vertex)
    by_face = columns.face.get(PLY_NUMBER)
    if by_face is not None:
        by_face = np.repeat(by_face, columns.n_corners)
    if names and not np.isfinite(columns.uv).any():
        uv = np.stack([columns.vertex[name] for name in names], axis=1)
        vertex, number = np.arange(len(uv)), columns.vertex.get(PLY_NUMBER)
        if number is None and n_pictures > 1 and by_face is not None:
            vertex, uv, number = columns.corners, uv[columns.corners], by_face
    else:
        vertex, uv, number = columns.corners, columns.uv, by_face
    if number is None:
        number = np.full(len(uv), 0 if n_pictures == 1 else NOTHING)
    return _Charts(vertex, uv, number)


def _names_of(groups: Iterable[tuple[str, ...]], columns: Iterable[str]) -> list[str]:
    """Return the first group of columns that is there, whatever the case; empty if none is."""
    known = {name.lower(): name for name in columns}
    for group in groups:
        if known.keys() >= set(group):
            return [known[name] for name in group]
    return []


def _read_vtk(scan: _Scan) -> NDArray[np.uint8] | None:
    """Read the colors of a VTK legacy file."""
    words = (b"COLOR_SCALARS", b"color_scalars", b"unsigned_char")
    if not any(word in scan.data for word in words):
        return None
    return _choose(parse_vtk_colors(scan.data, scan.n_points))


def _read_vtp(scan: _Scan) -> NDArray[np.uint8] | None:
    """Read the colors of a VTP file."""
    return _choose(parse_vtp_colors(scan.data)) if b"UInt8" in scan.data else None


def _choose(arrays: dict[str, NDArray[np.float64]]) -> NDArray[np.uint8] | None:
    """Choose the array that is most likely the color."""
    named = [name for name in arrays if any(word in name.lower() for word in COLOR_NAMES)]
    names = named or list(arrays)
    return _to_bytes(arrays[names[0]], is_share=False) if names else None


_READERS = {".obj": _read_obj, ".ply": _read_ply, ".vtk": _read_vtk, ".vtp": _read_vtp}


# --- from numbers and pictures to colors ---------------------------------------------------------


class _Charts(NamedTuple):
    """Which vertex has the color at which place of which picture; a vertex may have several."""

    vertex: NDArray[np.int64]
    uv: NDArray[np.float64]
    picture: NDArray[np.int64] | NDArray[np.float64]


def _first_colors(*sources: Callable[[], NDArray[np.uint8] | None]) -> NDArray[np.uint8] | None:
    """Return the first colors that are not all the same; the first problem counts if none are."""
    problems: list[MeshError] = []
    for read in sources:
        try:
            colors = read()
        except MeshError as err:
            problems.append(err)
            continue
        if _varies(colors):
            return colors
    if problems:
        raise problems[0]
    return None


def _varies(colors: NDArray[np.uint8] | None) -> bool:
    """Whether there are colors, and not the same everywhere, as some programs write them."""
    return colors is not None and bool((colors != colors[0]).any())


def _lay(
    charts: _Charts, pictures: list[str], folders: tuple[Path, ...], n_points: int
) -> NDArray[np.uint8] | None:
    """Take the colors of vertices from pictures; None if no vertex has one."""
    totals, counts = np.zeros((n_points, 3)), np.zeros(n_points)
    is_known = np.isfinite(charts.uv).all(axis=1)
    for number, name in enumerate(pictures):
        at = np.flatnonzero(is_known & (charts.picture == number))
        if not len(at):
            continue
        path = find_beside(name, folders)
        if path is None:
            raise _missing(name)
        try:
            colors = sample_texture(path, charts.uv[at])
        except MeshError as err:
            problem, _, remedy = str(err).partition(". ")
            text = f"The texture {quote(bare_name(name))} {problem}"
            raise _TextureError(text, remedy) from err
        vertex = charts.vertex[at]
        counts += np.bincount(vertex, minlength=n_points)
        for column in range(3):
            totals[:, column] += np.bincount(vertex, colors[:, column], n_points)
    has_color = counts > 0
    if not has_color.any():
        return None
    means = totals / np.maximum(counts, 1)[:, None]
    means[~has_color] = means[has_color].mean(axis=0)
    return _round(means)


def _to_bytes(values: NDArray[np.float64], *, is_share: bool = True) -> NDArray[np.uint8]:
    """Convert numbers to bytes; if they may be shares, those up to about 1 are."""
    finite = values[np.isfinite(values)]
    top = float(finite.max()) if len(finite) else 0.0
    scale = 1.0
    if is_share and top <= EXCESS:
        scale = BYTE
    elif top > EXCESS * BYTE:
        scale = BYTE / WORD
    return _round(np.nan_to_num(values * scale, nan=0.0))


def _round(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Round numbers to bytes, halves up."""
    return np.clip(np.floor(values + 0.5), 0, BYTE).astype(np.uint8)
