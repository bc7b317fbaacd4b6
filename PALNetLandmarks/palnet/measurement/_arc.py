# SPDX-License-Identifier: Apache-2.0
"""Lengths along the skin, as a tape measure gives them, and how landmark errors change them."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from palnet.measurement._section import SectionError, trace_section

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Arc", "length"]

# How far a landmark is moved across the tape to see what that does to the length: about one
# landmark error, and more than the triangles of a scan, whose edges would show otherwise.
_STEP_MM = 1.0
# A tape between two points of a bulging surface is at most a half circle, pi / 2 times as long as
# the straight way. A longer one goes round a hole, mostly through a nostril or behind an ear.
_MAX_DETOUR = 1.6
# Tilting the plane by `_STEP_MM` at one landmark moves it by less, anywhere on a head.
_SLAB_MM = 10.0


class Arc:
    """A tape laid over two or three landmarks of a surface.

    Three landmarks fix the plane in which it lies; between two it stands upright on the skin.
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
        """Give the corners of the way, (n_corners, 3); SectionError where there is none."""
        return self._trace(self._points_mm)

    def expected_error(self, errors_mm: NDArray[np.float64]) -> float:
        """Carry the expected errors of the landmarks over to the length.

        Of the three directions in which a landmark may be off, the one along the tape counts in
        full at the two ends and nothing between them; the one out of the skin counts nothing,
        because the tape lies on the skin; the one across the tape tilts its plane, which is
        tried out. NaN where no tilted plane gives a way, or the plane touches the skin instead of
        cutting it.
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
        """Change of length a millimetre, from both sides, or from the one that gives a way."""
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
    """Add up the straight pieces of a way."""
    return float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum())


def _near_plane(
    vertices_mm: NDArray[np.float64],
    triangles: NDArray[np.int32],
    point_mm: NDArray[np.float64],
    normal: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Keep the triangles that the plane comes near to: a twentieth of a scan, cut many times."""
    size = float(np.linalg.norm(normal))
    if size == 0:
        return vertices_mm, triangles
    heights = ((vertices_mm - point_mm) @ (normal / size))[triangles]
    is_near = (heights.min(axis=1) < _SLAB_MM) & (heights.max(axis=1) > -_SLAB_MM)
    used, corners = np.unique(triangles[is_near], return_inverse=True)
    return vertices_mm[used], corners.reshape(-1, 3).astype(np.int32)


def _skin_normals(
    points_mm: NDArray[np.float64], vertices_mm: NDArray[np.float64], triangles: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Give the unit normal of the triangles around the vertex nearest to each point, or zero."""
    normals = np.zeros_like(points_mm)
    for row, point in enumerate(points_mm):
        nearest = int(np.linalg.norm(vertices_mm - point, axis=1).argmin())
        is_here = (vertices_mm == vertices_mm[nearest]).all(axis=1)
        corners = vertices_mm[triangles[is_here[triangles].any(axis=1)]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
        size = np.linalg.norm(normal)
        normals[row] = normal / size if size > 0 else 0.0
    return normals
