# SPDX-License-Identifier: Apache-2.0
"""Reading mesh files: one function, one registry; every error names the file."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from palnet._files import hint_at_length, to_path
from palnet._frozen import freeze
from palnet.errors import MeshError
from palnet.surface._foreign import find_foreign
from palnet.surface._lost import mesh_without_lost
from palnet.surface._obj import parse_obj
from palnet.surface._ply import parse_ply
from palnet.surface._sniff import Content, sniff_format
from palnet.surface._stl import is_whole_binary_stl, parse_stl
from palnet.surface._vtk import parse_vtk
from palnet.surface._vtp import parse_vtp

if TYPE_CHECKING:
    from os import PathLike

    from palnet.surface._mesh import Mesh, ParsedMesh

__all__ = ["MESH_SUFFIXES", "read_mesh", "read_mesh_and_bytes"]

PARSERS = {
    ".obj": parse_obj,
    ".ply": parse_ply,
    ".stl": parse_stl,
    ".vtk": parse_vtk,
    ".vtp": parse_vtp,
}
"""One parser per format; a new format is a new file and a line here."""

MESH_SUFFIXES = tuple(PARSERS)
"""Suffixes that `read_mesh` reads, in lower case."""

CONTAINERS = (".zip", ".gz", ".json", ".xml", ".vtk-xml")
"""Content of which only the suffix says what it is; such as USDZ, glTF and X3D files."""

NOTHING = b"\0 \r\n\t"
"""A file of only these bytes is empty."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Byte order mark that some programs write before UTF-8 text."""

MAX_POINTS = 2**31 - 1
"""Vertices are counted in 32 bits."""


def read_mesh(path: str | PathLike[str]) -> Mesh:
    """Read a triangle mesh from an OBJ, PLY, STL, VTK or VTP file.

    Convention: the file's own numbers in the file's own unit; `Mesh.space` is "RAS" only where the
    header says SPACE=RAS, as 3D Slicer writes it, else "LPS".

    Parameters
    ----------
    path : str or PathLike
        The file; the case of its suffix does not matter.

    Returns
    -------
    Mesh
        Vertices in file order, polygons split into triangles. A vertex with non-finite coordinates
        keeps its number, but no triangle uses it and its position is that of another one; the
        finding "lost_vertices" says how many there are. Without color, so that `palnet.detect`
        places landmarks by shape alone; of a path it uses the color, too.

    Raises
    ------
    MeshError
        If the file is missing, empty, truncated, damaged, of another format than its suffix says,
        without triangles, or if more than 1 % of them have a corner with non-finite coordinates.
        The message names the file, the problem and the remedy.
    """
    return read_mesh_and_bytes(to_path(path, name="path", error=MeshError))[0]


def read_mesh_and_bytes(path: Path) -> tuple[Mesh, bytes]:
    """Read a mesh as `read_mesh` does; return it with the content of the file."""
    try:
        data = _read_bytes(path)
        parsed = _parse(data, path)
        _check(parsed)
        freeze(parsed.points)
        freeze(parsed.triangles)
        mesh = mesh_without_lost(
            parsed.points,
            parsed.triangles,
            name=path.stem or "mesh",
            space="RAS" if "SPACE=RAS" in parsed.header else "LPS",
            findings=parsed.findings,
        )
    except MeshError as err:
        msg = f"{path}: {str(err).rstrip('.')}."
        raise MeshError(msg) from err
    except MemoryError as err:
        msg = (
            f"{path}: needs more memory than this computer has. It is damaged, or too large: thin "
            "it out, e.g. with MeshLab's quadric edge collapse."
        )
        raise MeshError(msg) from err
    return mesh, data


def _read_bytes(path: Path) -> bytes:
    """Read the whole file, or say why that is not possible."""
    try:
        data = path.read_bytes()
    except OSError as err:
        raise MeshError(_why_not(path, err)) from err
    if not is_whole_binary_stl(data):
        data = data.removeprefix(BYTE_ORDER_MARK)
    if not data[:4096].strip(NOTHING) and not data.strip(NOTHING):
        msg = f"is empty ({len(data)} bytes). Copy or export it again"
        raise MeshError(msg)
    return data


def _why_not(path: Path, err: OSError) -> str:
    """Say why a file cannot be read."""
    with suppress(OSError):  # nothing more is known about the content of a closed folder
        if path.is_dir():
            if os.access(path, os.R_OK | os.X_OK):
                return "is a folder, not a mesh file. Name a file in it"
            return "is a folder that cannot be listed. Check the rights"
        if path.is_symlink() and not path.exists():
            link = path.readlink()
            return f"is a link to {link}, which is not there. Connect its disk, or correct the link"
        # Windows reports EINVAL for a name that no file there can have, such as one with a question
        # mark, but also for a file in cloud storage that is not downloaded.
        if err.errno == errno.ENOENT or (err.errno == errno.EINVAL and not path.exists()):
            hint = hint_at_length(path)
            return f"there is no such file. Check the spelling and the folder.{hint}"
    why = err.strerror or err
    return f"cannot be opened ({why}). Check the rights, and whether a program has it open"


def _parse(data: bytes, path: Path) -> ParsedMesh:
    """Parse the content with the parser on which suffix and content agree."""
    suffix = path.suffix.lower()
    content = sniff_format(data)
    if suffix not in MESH_SUFFIXES:
        raise _unknown_suffix(path, content)
    if content.title and content.suffix != suffix:
        remedy = f"Save the mesh as one of {', '.join(MESH_SUFFIXES)}"
        foreign = find_foreign(content.suffix)
        if content.suffix in MESH_SUFFIXES:
            remedy = f"Rename it to {path.stem}{content.suffix}"
        elif foreign is not None:
            remedy = foreign.remedy
        msg = f"its content is {content.title}, not what {suffix} says. {remedy}"
        raise MeshError(msg)
    return PARSERS[suffix](data)


def _unknown_suffix(path: Path, content: Content) -> MeshError:
    """Say what a file is that is not called like a mesh, and what to do with it."""
    known, got = ", ".join(MESH_SUFFIXES), repr(path.suffix.lower() or "no suffix")
    msg = f"a mesh file ends in {known}; got {got}."
    named, foreign = find_foreign(path.suffix), find_foreign(content.suffix)
    if named is not None and content.suffix in ("", *CONTAINERS):
        foreign = named
    if content.suffix in MESH_SUFFIXES:
        msg += f" Its content is {content.title}: rename it to {path.stem}{content.suffix}"
    elif foreign is not None:
        msg += f" It is {foreign.title}. {foreign.remedy}"
    elif content.title:
        msg += f" Its content is {content.title}"
    else:
        msg += " Export the scan as one of these"
    return MeshError(msg)


def _check(parsed: ParsedMesh) -> None:
    """Reject content that cannot form a surface."""
    n_points, n_triangles = len(parsed.points), len(parsed.triangles)
    if not n_points:
        msg = "holds no vertices: it is damaged or not a mesh. Export it again"
        raise MeshError(msg)
    if not n_triangles:
        msg = (
            f"holds {n_points} points and no triangles: a point cloud or a mesh that was cut off. "
            "Build a surface first, e.g. with MeshLab's screened Poisson reconstruction"
        )
        raise MeshError(msg)
    low, high = int(parsed.triangles.min()), int(parsed.triangles.max())
    if low < 0 or high >= min(n_points, MAX_POINTS):
        msg = (
            f"a triangle names vertex {low if low < 0 else high}, but the vertices are 0 to "
            f"{n_points - 1}: the file is damaged. Export it again"
        )
        raise MeshError(msg)
