# SPDX-License-Identifier: Apache-2.0
"""Points on a surface at a fixed density, whatever the density of its mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_points, frozen_copy
from palnet.surface._vectors import cross, dot, norms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface._surface import Surface

__all__ = ["PointCloud", "sample_surface", "thin_points"]

FINEST_EDGE = 0.75
"""Triangles are halved until no edge is longer than this times the spacing."""

CELL_DEPTH = 2.5
"""Depth of a cell along the main direction of the normal, in spacings. With this the number of
cells on a slanted plane stays within 0.97 to 1.08 of area / spacing^2 at every slant."""

MIN_CELL_SHARE = 0.1
"""A cell that holds less than this share of spacing^2 is the edge of its neighbours."""

MAX_PIECES = 6_000_000
"""Halving stops here: a surface of more than some square metres is sampled more coarsely."""

CELL_BITS = 20
"""Cells are counted by this many bits along each axis."""


@dataclass(frozen=True, eq=False, slots=True)
class PointCloud:
    """Points with outward unit normals, in millimetres.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        Positions.
    normals : ndarray of shape (n_points, 3)
        Outward unit normals.
    """

    points_mm: NDArray[np.float64]
    normals: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the arrays and keep read-only copies."""
        for name in ("points_mm", "normals"):
            check_points(np.asarray(getattr(self, name)), name=name)
            object.__setattr__(self, name, frozen_copy(getattr(self, name)))
        if len(self.points_mm) != len(self.normals):
            msg = f"{len(self.points_mm)} points need as many normals; got {len(self.normals)}."
            raise ValueError(msg)


def sample_surface(
    surface: Surface,
    spacing_mm: float,
    *,
    triangle_mask: NDArray[np.bool_] | None = None,
) -> PointCloud:
    """Sample a surface with about one point for every spacing_mm^2 of its area.

    Triangles are halved at their longest edge until they are small against the spacing; the pieces
    are collected in flat cells, and each cell gives the mean of its pieces. Opposite sheets, such
    as the two sides of an ear, fall into different cells.

    Convention: the result does not depend on the numbering of the mesh and hardly on its density.

    Parameters
    ----------
    surface : Surface
        The surface.
    spacing_mm : float
        Distance between points.
    triangle_mask : ndarray of shape (n_triangles,), optional
        True for triangles to sample; all by default.

    Returns
    -------
    PointCloud
        In the order of the cells.
    """
    _check_spacing(spacing_mm)
    triangles = surface.triangles if triangle_mask is None else surface.triangles[triangle_mask]
    corners = _halve_long_edges(surface.points_mm, triangles, FINEST_EDGE * spacing_mm)
    a, b, c = corners
    crosses = cross(b - a, c - a)
    weights = 0.5 * norms(crosses)
    return _thin((a + b + c) / 3.0, crosses, weights, spacing_mm, is_area=True)


def thin_points(cloud: PointCloud, spacing_mm: float) -> PointCloud:
    """Thin a point cloud to at most about one point for every spacing_mm^2.

    Parameters
    ----------
    cloud : PointCloud
        Points with normals.
    spacing_mm : float
        Distance between points.

    Returns
    -------
    PointCloud
        Means of the points in each cell, in the order of the cells.
    """
    _check_spacing(spacing_mm)
    weights = np.ones(len(cloud.points_mm))
    return _thin(cloud.points_mm, cloud.normals, weights, spacing_mm, is_area=False)


def _check_spacing(spacing_mm: float) -> None:
    """Require a positive distance."""
    if not (np.isfinite(spacing_mm) and spacing_mm > 0):
        msg = f"spacing_mm must be positive and finite; got {spacing_mm}."
        raise ValueError(msg)


def _halve_long_edges(
    points: NDArray[np.float64], triangles: NDArray[np.int32], limit_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Corners of triangles, halved at their longest edge until none is longer than the limit."""
    done: list[tuple[NDArray[np.float64], ...]] = []
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    n_pieces = len(a)
    while len(a):
        squared = np.stack([dot(edge, edge) for edge in (b - a, c - b, a - c)])
        is_long = squared.max(axis=0) > limit_mm**2
        if not is_long.any() or n_pieces > MAX_PIECES:
            done.append((a, b, c))
            break
        if not is_long.all():
            done.append((a[~is_long], b[~is_long], c[~is_long]))
        a, b, c = _halve(a[is_long], b[is_long], c[is_long], squared[:, is_long].argmax(axis=0))
        n_pieces += len(a) // 2
    if not done:
        return a, b, c
    joined = [np.concatenate(parts) for parts in zip(*done, strict=True)]
    return joined[0], joined[1], joined[2]


def _halve(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    c: NDArray[np.float64],
    longest: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Cut every triangle from the middle of its longest edge to the corner opposite."""
    corners = np.stack([a, b, c])
    rows = np.arange(len(a))
    start, stop = corners[longest, rows], corners[(longest + 1) % 3, rows]
    apex = corners[(longest + 2) % 3, rows]
    middle = 0.5 * (start + stop)
    return (
        np.concatenate([start, middle]),
        np.concatenate([middle, stop]),
        np.concatenate([apex, apex]),
    )


def _thin(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    weights: NDArray[np.float64],
    spacing_mm: float,
    *,
    is_area: bool,
) -> PointCloud:
    """Weighted means of the points in each cell; normals carry their own weights."""
    if not len(points):
        return PointCloud(np.zeros((0, 3)), np.zeros((0, 3)))
    key = _cell_keys(points, normals, spacing_mm)
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    columns = np.concatenate([points * weights[:, None], normals, weights[:, None]], axis=1)
    sums = np.add.reduceat(columns[order], starts, axis=0)
    lengths = np.sqrt(dot(sums[:, 3:6], sums[:, 3:6]))
    is_kept = lengths > 0
    if is_area:
        is_kept &= sums[:, 6] >= MIN_CELL_SHARE * spacing_mm**2
    sums, lengths = sums[is_kept], lengths[is_kept]
    return PointCloud(sums[:, :3] / sums[:, 6:], sums[:, 3:6] / lengths[:, None])


def _cell_keys(
    points: NDArray[np.float64], normals: NDArray[np.float64], spacing_mm: float
) -> NDArray[np.int64]:
    """Cell of every point: flat boxes across the main direction of its normal, one set each.

    Cells are square across the main direction and deeper along it, so that a slanted plane is cut
    into hardly more cells than a level one.
    """
    size = np.abs(normals)
    main = np.argmax(size, axis=1)
    is_negative = normals[np.arange(len(normals)), main] < 0
    depth = np.full((3, 3), 1.0 / spacing_mm)
    np.fill_diagonal(depth, 1.0 / (CELL_DEPTH * spacing_mm))
    cells = np.floor(points * depth[main]).astype(np.int64)
    cells -= cells.min(axis=0)
    key: NDArray[np.int64] = 2 * main + is_negative
    for axis in range(3):
        key = (key << CELL_BITS) + np.minimum(cells[:, axis], (1 << CELL_BITS) - 1)
    return key
