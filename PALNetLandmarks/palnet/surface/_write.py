# SPDX-License-Identifier: Apache-2.0
"""Write a mesh as binary PLY, for generated scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from palnet._files import replacing

if TYPE_CHECKING:
    from os import PathLike

    from palnet.surface._mesh import Mesh

__all__ = ["write_ply"]


def write_ply(mesh: Mesh, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write a mesh as little-endian binary PLY, positions in single precision.

    Parameters
    ----------
    mesh : Mesh
        What to write, in its own numbers.
    path : path-like
        Where.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    OutputExistsError
        If the file exists and may not be replaced.
    """
    space = "comment SPACE=RAS\n" if mesh.space == "RAS" else ""
    header = (
        f"ply\nformat binary_little_endian 1.0\n{space}"
        f"element vertex {len(mesh.points)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(mesh.triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.zeros(len(mesh.triangles), dtype=[("n", "u1"), ("corners", "<i4", 3)])
    faces["n"] = 3
    faces["corners"] = mesh.triangles
    with replacing(Path(path), overwrite=overwrite) as draft:
        draft.write_bytes(
            header.encode("ascii") + mesh.points.astype("<f4").tobytes() + faces.tobytes()
        )
