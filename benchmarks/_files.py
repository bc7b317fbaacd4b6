# SPDX-License-Identifier: Apache-2.0
"""Mesh files for the benchmarks, written as other programs write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from palnet.surface import Mesh

__all__ = ["write_obj", "write_ply"]


def write_obj(mesh: Mesh, path: Path) -> None:
    """Write a Wavefront OBJ of vertices and triangles, six decimals."""
    with path.open("w", encoding="ascii", newline="\n") as stream:
        np.savetxt(stream, mesh.points, fmt="v %.6f %.6f %.6f")
        np.savetxt(stream, mesh.triangles + 1, fmt="f %d %d %d")


def write_ply(mesh: Mesh, path: Path) -> None:
    """Write a binary little-endian PLY of float vertices and triangles."""
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(mesh.points)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(mesh.triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.zeros(len(mesh.triangles), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.triangles
    with path.open("wb") as stream:
        stream.write(header.encode("ascii"))
        stream.write(mesh.points.astype("<f4").tobytes())
        stream.write(faces.tobytes())
