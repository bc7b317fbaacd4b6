# SPDX-License-Identifier: Apache-2.0
"""Lengths along the skin, as with a tape measure, and their expected errors."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from palnet.measurement._section import SectionError, trace_section
from palnet.surface import drop_unused

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Arc", "length"]

# Step by which a landmark is moved across the tape to see its effect on the length: about one
# landmark error, and more than the size of a scan's triangles, whose edges would matter otherwise.
_STEP_MM = 1.0
# A tape on a convex surface is at most a half circle, pi / 2 times as long as the chord. A longer
# one leads around a hole, usually through a nostril or behind an ear.
_MAX_DETOUR = 1.6
# Tilting the plane by `_STEP_MM` at one landmark moves it by less than this anywhere on a head.
_SLAB_MM = 10.0


class Arc:
    """A tape laid over two or three landmarks of a surface.

    Three landmarks define its plane; between two, the plane is perpendicular to the skin.
    """

    def __init__(
        self,
        points_mm: NDArray[np.float64],
        vertices_mm: NDArray[np.float64],
        triangles: NDArray[np.int32],
    ) -> None:
        self._points_mm = points_mm
        self._skin_normals = _skin_normals(points_mm, vertices_mm, triangles)
        self._vertices_mm, self._triangles = _near_plane(
            vertices_mm, triangles, points_mm[0], self._normal(points_mm)
        )

    def trace(self) -> NDArray[np.float64]:
        """Return the corners of the path, (n_corners, 3); raise SectionError if there is none."""
        return self._trace(self._points_mm)

    def expected_error(self, errors_mm: NDArray[np.float64]) -> float:
        """Propagate the expected errors of the landmarks to the length.

        A landmark error along the tape counts in full at the two ends, and not at all between
        them. An error normal to the skin does not count, because the tape lies on the skin. An
        error across the tape tilts its plane; that effect is computed by finite differences. NaN
        if no tilted plane gives a path, or if the plane is tangent to the skin.
        """
        along = np.cross(self._normal(self._points_mm), self._skin_normals)
        across = np.cross(along, self._skin_normals)
        size = np.linalg.norm(across, axis=1, keepdims=True)
        if not size.all():
            return float("nan")
        squared = np.zeros(len(self._points_mm))
        squared[[0, -1]] = 1.0
        for row in range(len(squared)):
            step = np.zeros_like(self._points_mm)
            step[row] = _STEP_MM * across[row] / size[row]
            squared[row] += self._slope(step) ** 2
        return float(0.5 * np.sqrt((squared * errors_mm**2).sum()))

    def _slope(self, step: NDArray[np.float64]) -> float:
        """Change of length per millimetre: central difference, or one-sided if one path fails."""
        found = {}
        for side in (-1.0, 0.0, 1.0):
            with suppress(SectionError):
                found[side] = length(self._trace(self._points_mm + side * step))
        first, last = min(found), max(found)
        if first == last:
            return float("nan")
        return (found[last] - found[first]) / ((last - first) * _STEP_MM)

    def _trace(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        normal = self._normal(points_mm)
        if not normal.any():
            is_straight = "its landmarks lie on one line, which fixes no plane"
            no_upright = "the scan does not tell which way its skin faces"
            msg = no_upright if len(points_mm) == 2 else is_straight
            raise SectionError(msg)
        legs = []
        for start, end in pairwise(points_mm):
            leg = trace_section(self._vertices_mm, self._triangles, start, end, normal)
            if length(leg) > _MAX_DETOUR * np.linalg.norm(end - start):
                msg = "a hole in the surface diverts the arc"
                raise SectionError(msg)
            legs.append(leg)
        return np.vstack([legs[0], *(leg[1:] for leg in legs[1:])])

    def _normal(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        chord = points_mm[1] - points_mm[0]
        if len(points_mm) == 2:
            return np.cross(chord, self._skin_normals.sum(axis=0))
        return np.cross(chord, points_mm[2] - points_mm[0])


def length(way: NDArray[np.float64]) -> float:
    """Compute the length of a polyline."""
    return float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum())


def _near_plane(
    vertices_mm: NDArray[np.float64],
    triangles: NDArray[np.int32],
    point_mm: NDArray[np.float64],
    normal: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Keep the triangles near the plane, about 5 % of a scan, since it is cut many times."""
    size = float(np.linalg.norm(normal))
    if size == 0:
        return vertices_mm, triangles
    heights = ((vertices_mm - point_mm) @ (normal / size))[triangles]
    is_near = (heights.min(axis=1) < _SLAB_MM) & (heights.max(axis=1) > -_SLAB_MM)
    return drop_unused(vertices_mm, triangles[is_near])


def _skin_normals(
    points_mm: NDArray[np.float64], vertices_mm: NDArray[np.float64], triangles: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Compute the unit normal of the triangles around each point's nearest vertex, or zero."""
    normals = np.zeros_like(points_mm)
    for row, point in enumerate(points_mm):
        nearest = int(np.linalg.norm(vertices_mm - point, axis=1).argmin())
        is_here = (vertices_mm == vertices_mm[nearest]).all(axis=1)
        corners = vertices_mm[triangles[is_here[triangles].any(axis=1)]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
        size = np.linalg.norm(normal)
        normals[row] = normal / size if size > 0 else 0.0
    return normals
