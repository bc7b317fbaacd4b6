# SPDX-License-Identifier: Apache-2.0
"""Recognise file formats by their first bytes, so that a wrong suffix is reported as such."""

from __future__ import annotations

import re
from typing import NamedTuple

from palnet.surface._stl import is_ascii_stl, is_whole_binary_stl

__all__ = ["Content", "sniff_format"]

HEAD_BYTES = 4096


class Content(NamedTuple):
    """What a file looks like; empty if not recognised."""

    title: str
    suffix: str


UNKNOWN = Content("", "")

MAGIC = (
    (rb"ply[ \t]*[\r\n]", Content("a PLY file", ".ply")),
    (rb"# vtk DataFile", Content("a VTK legacy file", ".vtk")),
    (rb"glTF", Content("a glTF binary file", ".glb")),
    (rb"\x1f\x8b", Content("gzip-compressed", ".gz")),
    (rb"PK\x03\x04", Content("a ZIP archive", ".zip")),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM....\0\0\0\0", Content("a picture", ".png")),
    (rb"%PDF", Content("a PDF document", ".pdf")),
    (rb"Kaydara FBX", Content("an FBX file", ".fbx")),
    (rb"#VRML", Content("a VRML file", ".wrl")),
    (rb"(C|N|ST|4)*OFF[ \t]*(BINARY)?[\r\n]", Content("an OFF file", ".off")),
    (rb"NRRD\d", Content("an NRRD volume", ".nrrd")),
    (rb"[\s\xef\xbb\xbf]*[{\[]\s*[\"{\[\d]", Content("a JSON file", ".json")),
    (rb"[\s\xef\xbb\xbf]*<(!doctype )?html", Content("an HTML page", ".html")),
)
"""First bytes of formats that are mistaken for meshes."""


def sniff_format(data: bytes) -> Content:
    """Recognise a file by its content; the title is empty if nothing is certain."""
    head = data[:HEAD_BYTES]
    for pattern, content in MAGIC:
        if re.match(pattern, head, flags=re.IGNORECASE | re.DOTALL):
            return content
    if head[128:132] == b"DICM":
        return Content("a DICOM file", ".dcm")
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        return Content("a NIfTI volume", ".nii")
    if is_ascii_stl(data):
        return Content("an ascii STL file", ".stl")
    if is_whole_binary_stl(data):
        return Content("a binary STL file", ".stl")
    return _sniff_xml(head) or _sniff_obj(head) or UNKNOWN


def _sniff_xml(head: bytes) -> Content | None:
    """Distinguish the dialects of XML."""
    if not re.match(rb"[\s\xef\xbb\xbf]*<[?!\w]", head):
        return None
    found = re.search(rb"<VTKFile\b[^>]*?\btype\s*=\s*[\"'](\w+)", head)
    if found:
        title = "a VTP file" if found[1] == b"PolyData" else f"a VTK {found[1].decode()} XML file"
        return Content(title, ".vtp" if found[1] == b"PolyData" else ".vtk-xml")
    return None if b"<VTKFile" in head else Content("an XML file", ".xml")


def _sniff_obj(head: bytes) -> Content | None:
    """Recognise an OBJ file by a vertex line among text lines."""
    if b"\0" in head:
        return None
    number = rb"[-+]?[\d.][\d.eE+-]*"
    is_obj = re.search(rb"(^|[\r\n])[ \t]*v([ \t]+" + number + rb"){3}", head)
    return Content("an OBJ file", ".obj") if is_obj else None
