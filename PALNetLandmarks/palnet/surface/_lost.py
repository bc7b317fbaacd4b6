# SPDX-License-Identifier: Apache-2.0
"""Vertices that scanning software wrote without a position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_points, check_triangles
from palnet._numbers import to_numbers
from palnet.errors import MeshError
from palnet.surface._mesh import Finding, Mesh

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike

__all__ = ["mesh_without_lost"]

MAX_LOST_SHARE = 0.01
"""Share of the triangles that may be lost because a corner has no position, as in a small hole."""


def mesh_without_lost(
    points: ArrayLike,
    triangles: ArrayLike,
    *,
    name: str = "mesh",
    space: Literal["LPS", "RAS"] = "LPS",
    findings: tuple[Finding, ...] = (),
) -> Mesh:
    """Make a mesh of a scan in which some vertices may have non-finite coordinates.

    Parameters
    ----------
    points : array_like of shape (n_points, 3)
        Vertex coordinates; not finite where the vertex has no position.
    triangles : array_like of shape (n_triangles, 3)
        Vertex indices, counted from 0.
    name, space, findings
        As of `Mesh`.

    Returns
    -------
    Mesh
        A vertex without a position keeps its number, but no triangle uses it and its position is
        that of another one; the finding "lost_vertices" says how many there are.

    Raises
    ------
    MeshError
        If more than 1 % of the triangles have such a corner.
    ValueError
        If the arrays are not as described above.
    """
    points, triangles = to_numbers(points, name="points"), np.asarray(triangles)
    check_points(points, name="points")
    is_lost = np.asarray(~np.isfinite(points).all(axis=1))
    if not is_lost.any():
        return Mesh(points, triangles, name, space, findings)
    check_triangles(triangles, len(points), name="triangles")
    kept = triangles[~is_lost[triangles].any(axis=1)]
    n_lost, n_triangles = int(np.count_nonzero(is_lost)), len(triangles) - len(kept)
    if n_triangles > MAX_LOST_SHARE * len(triangles):
        first = int(np.argmax(is_lost))
        msg = (
            f"{n_lost} of {len(is_lost)} vertices are not finite, the first is number {first} "
            f"{tuple(points[first].tolist())}, and {n_triangles} of {len(triangles)} triangles "
            "need them. Remove or repair them"
        )
        raise MeshError(msg)
    # Anywhere on the surface, spread over it: the vertices keep their numbers, and as NaN or in one
    # place they would spoil what is estimated from all vertices.
    points = points.copy()
    points[is_lost] = points[np.resize(kept[:, 0], n_lost)]
    text = f"Vertices with non-finite coordinates, left out: {n_lost}; triangles: {n_triangles}."
    return Mesh(points, kept, name, space, (*findings, Finding("lost_vertices", text)))
