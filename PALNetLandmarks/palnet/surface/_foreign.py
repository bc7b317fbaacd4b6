# SPDX-License-Identifier: Apache-2.0
"""Files that may hold a face but are not read: what they are, and what to do with them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FOREIGN_SCANS", "ForeignFormat", "find_foreign"]


class ForeignFormat(NamedTuple):
    """A format that is not read."""

    title: str
    remedy: str


def _export(title: str, program: str) -> ForeignFormat:
    return ForeignFormat(title, f"Open it in {program} and export it as PLY")


def _archive(title: str) -> ForeignFormat:
    return ForeignFormat(title, "Unpack it first")


_GLTF = _export("a glTF file", "MeshLab or Blender")
# MeshLab takes the numbers of an FBX file for its own unit: they may come out 100 times too large.
_FBX = _export("an FBX file", "Blender")
_USD = _export("a USD file", "Blender")
_VRML = _export("a VRML file", "MeshLab")
_VTU = ForeignFormat(
    "an unstructured grid of VTK",
    "Open it in ParaView, apply Extract Surface and save that as VTP",
)
_PARTS = ForeignFormat("a list of VTK files", "Name the files that it lists")
_CLOUD = ForeignFormat(
    "a point cloud",
    "Build a surface first, e.g. with MeshLab's screened Poisson reconstruction, and export it as "
    "PLY",
)
_OTHER_CLOUD = _CLOUD._replace(remedy="Build a surface first and export it as PLY")
_VOLUME = ForeignFormat(
    "a volume",
    "Cut out the skin first, e.g. with 3D Slicer's Segment Editor, and export that as a model",
)
_PICTURE = ForeignFormat("a picture", "Name the mesh file")

FOREIGN_SCANS = {
    ".glb": _GLTF, ".gltf": _GLTF,
    ".fbx": _FBX,
    ".usd": _USD, ".usda": _USD, ".usdc": _USD, ".usdz": _USD,
    ".abc": _export("an Alembic file", "Blender"),
    ".blend": _export("a Blender file", "Blender"),
    ".wrl": _VRML, ".vrml": _VRML,
    ".x3d": _export("an X3D file", "MeshLab"),
    ".dae": _export("a Collada file", "MeshLab"),
    ".off": _export("an OFF file", "MeshLab"),
    ".3ds": _export("a 3DS file", "MeshLab"),
    ".3mf": _export("a 3MF file", "MeshLab"),
    ".ctm": _export("an OpenCTM file", "MeshLab"),
    ".msh": ForeignFormat("a mesh of Gmsh", "Open it in Gmsh and export it as STL or VTK"),
    ".vtu": _VTU, ".vtm": _PARTS, ".vtmb": _PARTS, ".pvtp": _PARTS, ".pvtu": _PARTS,
    ".xyz": _CLOUD, ".asc": _CLOUD, ".e57": _CLOUD,
    ".pcd": _OTHER_CLOUD, ".las": _OTHER_CLOUD, ".laz": _OTHER_CLOUD, ".ptx": _OTHER_CLOUD,
}  # fmt: skip
"""Formats of scans by suffix; what converts them is in docs/scan_files.md."""

_OTHER = {
    ".vtk-xml": _VTU,  # what `_sniff` calls them, whatever their suffix
    ".zip": _archive("a ZIP archive"), ".gz": _archive("a gzip archive"),
    ".7z": _archive("an archive"), ".rar": _archive("an archive"),
    ".nii": _VOLUME, ".nrrd": _VOLUME, ".nhdr": _VOLUME, ".mha": _VOLUME, ".mhd": _VOLUME,
    ".dcm": _VOLUME,
    ".mtl": ForeignFormat("a list of materials", "Name the .obj file beside it"),
    ".png": _PICTURE, ".jpg": _PICTURE, ".jpeg": _PICTURE, ".bmp": _PICTURE, ".tif": _PICTURE,
}  # fmt: skip
"""What else may be taken for a scan, or comes with one."""


def find_foreign(suffix: str) -> ForeignFormat | None:
    """Look up a format that is not read; None if the suffix is unknown."""
    return FOREIGN_SCANS.get(suffix.lower()) or _OTHER.get(suffix.lower())
