# SPDX-License-Identifier: Apache-2.0
"""One generated head with an exact number of vertices, and its OBJ file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from palnet.surface import Mesh, drop_unused
from palnet.synthesis import draw_person
from palnet.synthesis.thinning import cluster_vertices

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.synthesis import ScanGenerator

__all__ = ["make_head", "write_obj"]

SEED = 3_950_000
# A mesh is thinned to at least this share of the count, then filled up to it.
CLOSE = 0.97
NOISE_MM = 0.03


def make_head(generator: ScanGenerator, n_points: int) -> tuple[Mesh, NDArray[np.float64]]:
    """Make the head of one person, always the same, with bare skin and a little noise.

    Returns it in the face frame in millimetres, with every vertex used, and its landmarks.
    """
    rng = np.random.default_rng(SEED)
    person = draw_person(generator.model, rng)
    triangles = generator.outer_triangles(replace(person, mouth_open=False))
    points, triangles = drop_unused(person.points_mm, triangles)
    # 0.8: the rest is filled with triangle centres, which keeps the triangles well-shaped.
    while len(points) < 0.8 * n_points:
        points, triangles = halve_edges(points, triangles)
    if len(points) > n_points:
        points, triangles = _thin(points, triangles, n_points)
    points, triangles = split_largest(points, triangles, n_points - len(points))
    noisy = points.astype(np.float64) + NOISE_MM * rng.normal(size=points.shape)
    return Mesh(noisy, triangles), person.landmarks_mm.astype(np.float64)


def write_obj(mesh: Mesh, path: Path) -> None:
    """Write a Wavefront OBJ of vertices and triangles with six decimals."""
    with path.open("w", encoding="ascii", newline="\n") as stream:
        np.savetxt(stream, mesh.points, fmt="v %.6f %.6f %.6f")
        np.savetxt(stream, mesh.triangles + 1, fmt="f %d %d %d")


def halve_edges(
    points: NDArray[np.float32], triangles: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Split each triangle in four, with new vertices at the edge midpoints."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1).astype(np.int64)
    keys, middle_of = np.unique(edges[:, 0] * len(points) + edges[:, 1], return_inverse=True)
    start, stop = np.divmod(keys, len(points))
    middles = (points[start] + points[stop]) / 2
    a, b, c = triangles.T
    ab, bc, ca = (middle_of.reshape(-1, 3) + len(points)).T
    halved = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], axis=1).reshape(-1, 3)
    return np.concatenate([points, middles]), halved.astype(np.int32)


def split_largest(
    points: NDArray[np.float32], triangles: NDArray[np.int32], n_more: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Add a vertex at the centre of each of the largest triangles."""
    if n_more == 0:
        return points, triangles
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    order = np.argsort(-area, kind="stable")
    split, kept = triangles[order[:n_more]], triangles[order[n_more:]]
    middle = np.arange(len(points), len(points) + n_more, dtype=np.int32)
    parts = [np.column_stack([split[:, k], split[:, (k + 1) % 3], middle]) for k in range(3)]
    more = points[split].mean(axis=1, dtype=np.float32)
    return np.concatenate([points, more]), np.concatenate([kept, *parts]).astype(np.int32)


def _thin(
    points: NDArray[np.float32], triangles: NDArray[np.int32], n_points: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Thin to slightly below the count by bisection of the spacing."""
    fine, coarse = 0.02, 8.0
    for _ in range(40):
        spacing = np.sqrt(fine * coarse)
        rng = np.random.default_rng(SEED)
        fewer = drop_unused(*cluster_vertices(points, triangles, spacing, rng))
        if CLOSE * n_points <= len(fewer[0]) <= n_points:
            return fewer
        fine, coarse = (spacing, coarse) if len(fewer[0]) > n_points else (fine, spacing)
    msg = f"no spacing gives {n_points} vertices."
    raise RuntimeError(msg)
