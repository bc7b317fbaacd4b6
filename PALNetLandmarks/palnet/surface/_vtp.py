# SPDX-License-Identifier: Apache-2.0
"""VTK XML polygonal data (.vtp), read by VTK itself and checked against what the file promises."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet.errors import MeshError
from palnet.surface._mesh import ParsedMesh

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["parse_vtp"]

MAX_COMPRESSION = 1100
"""No compressor of VTK's packs more points of 3 bytes and up into a byte than this; a header that
promises more is damaged, and VTK would ask for the memory first."""


def parse_vtp(data: bytes, path: Path) -> ParsedMesh:
    """Read the polygons of a VTP file.

    Parameters
    ----------
    data : bytes
        The whole file, for the checks.
    path : Path
        The same file, for VTK.

    Returns
    -------
    ParsedMesh
        Polygons and strips cut into triangles.

    Raises
    ------
    MeshError
        Where VTK reports an error or the file does not hold what it promises.
    """
    promised = _promised_counts(data)
    mesh, complaints = _read_with_vtk(path)
    held = (mesh.GetNumberOfPoints(), mesh.GetNumberOfPolys(), mesh.GetNumberOfStrips())
    if complaints or held != promised:
        reason = complaints[0] if complaints else f"it holds {held} of {promised} points and cells"
        msg = f"VTK cannot read it ({reason}): it is cut off or damaged. Copy or export it again"
        raise MeshError(msg)
    space = mesh.GetFieldData().GetAbstractArray("SPACE")
    header = f"SPACE={space.GetValue(0)}" if space and space.GetNumberOfValues() else ""
    return ParsedMesh(*_to_arrays(mesh), header)


def _promised_counts(data: bytes) -> tuple[int, int, int]:
    """Points, polygons and strips that the pieces announce."""
    root = re.search(rb"<VTKFile\b[^>]*>", data)
    kind = re.search(rb"type\s*=\s*[\"'](\w+)", root[0]) if root else None
    if kind is None or kind[1] != b"PolyData":
        msg = (
            f"holds {kind[1].decode() if kind else 'no VTKFile'}, not PolyData. "
            "Extract its surface, e.g. with ParaView's Extract Surface, and save that"
        )
        raise MeshError(msg)
    if b"</VTKFile>" not in data[-4096:]:
        msg = "the closing </VTKFile> is missing: the file is cut off. Copy or export it again"
        raise MeshError(msg)
    pieces = re.findall(rb"<Piece\b[^>]*>", data)
    names = (b"NumberOfPoints", b"NumberOfPolys", b"NumberOfStrips")
    totals = [sum(_attribute(piece, name) for piece in pieces) for name in names]
    if max(totals) > MAX_COMPRESSION * len(data):
        msg = f"promises {max(totals)} points or cells in {len(data)} bytes: it is damaged"
        raise MeshError(msg)
    return totals[0], totals[1], totals[2]


def _attribute(piece: bytes, name: bytes) -> int:
    """Take a count of a Piece tag; 0 where it is not given."""
    found = re.search(name + rb"\s*=\s*[\"']\s*(\d+)", piece)
    return int(found[1]) if found else 0


def _read_with_vtk(path: Path) -> tuple[Any, list[str]]:
    """Read without a word on stderr; complaints come back as text."""
    from vtkmodules.vtkCommonCore import vtkCommand
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    complaints: list[str] = []

    def note(_caller: Any, _event: str, text: str = "") -> None:
        complaints.append(" ".join(str(text).split(":")[-1].split()) or "an error without a text")

    note.CallDataType = "string0"  # type: ignore[attr-defined]
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    for speaker in (reader, reader.GetReaderErrorObserver() and reader):
        if speaker is not None:
            speaker.AddObserver(vtkCommand.ErrorEvent, note)
            speaker.AddObserver(vtkCommand.WarningEvent, note)
    reader.Update()
    return reader.GetOutput(), complaints


def _to_arrays(mesh: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points and triangles of a vtkPolyData."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter

    triangulate = vtkTriangleFilter()
    triangulate.PassLinesOff()
    triangulate.PassVertsOff()
    triangulate.SetInputData(mesh)
    triangulate.Update()
    output = triangulate.GetOutput()
    if not output.GetNumberOfPoints():
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    points = vtk_to_numpy(output.GetPoints().GetData()).astype(np.float64)
    corners = vtk_to_numpy(output.GetPolys().GetConnectivityArray())
    return points, corners.astype(np.int64).reshape(-1, 3)
