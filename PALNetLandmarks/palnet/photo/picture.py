# SPDX-License-Identifier: Apache-2.0
"""Pictures of a colored face, as a camera in front of it would take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from palnet.surface._vectors import count_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.surface import Surface

__all__ = ["N_PIXELS", "Picture", "take_picture"]

# Width and height of a picture, as the network takes it.
N_PIXELS = 256
# What the picture shows: a square of this width through this point of the face frame, from this
# far away. A photograph of a face is usually taken from about there; from nearer, noses grow.
# Widths of 230 to 270 mm are equivalent on development people, with 300 mm the network often sees
# no face.
WIDTH_MM = 250.0
MIDDLE_MM = np.array([0.0, 0.0, 60.0])
DISTANCE_MM = 600.0
# Brightness of what the scan does not show.
BACKGROUND = 0.4
# Share of the light that comes from everywhere; the rest comes from the camera. A texture of plain
# colors shows no nose without it (5 mm off at the nose of a painted scan), while for a photographed
# texture, in which there is light and shade already, it makes no difference.
AMBIENT = 0.7
# A pixel on the edge of two triangles must not fall between them for rounding.
EDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of a face with what is needed to get back from it to the surface.

    Attributes
    ----------
    pixels : ndarray of shape (N_PIXELS, N_PIXELS, 3)
        Red, green and blue, 0 to 1; row 0 is the top.
    depth_mm : ndarray of shape (N_PIXELS, N_PIXELS)
        Distance of the surface in front of the plane through the middle, towards the camera;
        minus infinity where nothing is shown.
    axes : ndarray of shape (3, 3)
        Rows: the directions to the right and to the top of the picture and towards the camera, in
        the face frame.
    """

    pixels: NDArray[np.float32]
    depth_mm: NDArray[np.float64]
    axes: NDArray[np.float64]

    def to_face(self, places: NDArray[np.floating]) -> NDArray[np.float64]:
        """Convert places in the picture to points of the surface.

        Parameters
        ----------
        places : ndarray of shape (n, 2)
            In pixels, to the right and down from the top left corner of the picture.

        Returns
        -------
        ndarray of shape (n, 3)
            In millimetres of the face frame; NaN where the picture shows no surface.
        """
        column, row = np.clip(places.astype(np.int64), 0, N_PIXELS - 1).T
        depth_mm = self.depth_mm[row, column]
        depth_mm = np.where(np.isfinite(depth_mm), depth_mm, np.nan)
        shrinking = (DISTANCE_MM - depth_mm) / DISTANCE_MM * (WIDTH_MM / N_PIXELS)
        right = (places[:, 0] - N_PIXELS / 2) * shrinking
        up = (N_PIXELS / 2 - places[:, 1]) * shrinking
        return np.asarray(np.stack([right, up, depth_mm], axis=1) @ self.axes + MIDDLE_MM)


class _Hits(NamedTuple):
    """Centres of pixels inside triangles: row of the triangle, pixel, and corner weights."""

    triangle: NDArray[np.int64]
    pixel: NDArray[np.int64]
    weights: NDArray[np.float64]


def take_picture(face: Surface, colors: NDArray[np.uint8], pitch_deg: float) -> Picture:
    """Take a picture of a face from the front, from above or below.

    Convention: the face frame (+X the subject's left, +Y up, +Z front), so the subject's right is
    on the left of the picture.

    Parameters
    ----------
    face : Surface
        The region of interest, in the face frame.
    colors : ndarray of shape (n_points, 3)
        Color of its vertices, 0 to 255.
    pitch_deg : float
        Angle by which the camera stands above the face.

    Returns
    -------
    Picture
        Lit from everywhere, and less from the camera.
    """
    pitch = np.radians(pitch_deg)
    axes = np.array(
        [
            [1.0, 0.0, 0.0],
            [0.0, np.cos(pitch), -np.sin(pitch)],
            [0.0, np.sin(pitch), np.cos(pitch)],
        ]
    )
    seen_mm = (face.points_mm - MIDDLE_MM) @ axes.T
    growing = DISTANCE_MM / (DISTANCE_MM - seen_mm[:, 2]) * (N_PIXELS / WIDTH_MM)
    # Counted from the centre of the first pixel.
    places = N_PIXELS / 2 - 0.5 + seen_mm[:, :2] * np.stack([growing, -growing], axis=1)
    hits = _find_hits(places, face.triangles)
    corners = face.triangles[hits.triangle]
    depth_mm = np.einsum("ij,ij->i", hits.weights, seen_mm[:, 2][corners])
    order = np.argsort(depth_mm, kind="stable")  # the nearest is painted last
    pixel = hits.pixel[order]
    shown_mm = np.full(N_PIXELS**2, -np.inf)
    shown_mm[pixel] = depth_mm[order]
    pixels = np.full((N_PIXELS**2, 3), BACKGROUND, dtype=np.float32)
    lit = AMBIENT + (1 - AMBIENT) * np.maximum(face.normals @ axes[2], 0)
    bright = colors * (lit / 255)[:, None]
    mixed = np.einsum("ij,ijk->ik", hits.weights, bright[corners])
    pixels[pixel] = mixed[order]
    square = (N_PIXELS, N_PIXELS)
    return Picture(pixels.reshape(*square, 3), shown_mm.reshape(square), axes)


def _find_hits(places: NDArray[np.float64], triangles: NDArray[np.int32]) -> _Hits:
    """Find the pixels whose centres lie in each triangle that faces the camera."""
    a, b, c = (places.T[:, column] for column in triangles.T)
    to_b, to_c = b - a, c - a
    doubled = _cross(to_b, to_c)
    low = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c)), 0)
    high = np.minimum(np.floor(np.maximum(np.maximum(a, b), c)), N_PIXELS - 1)
    wide, tall = (high - low + 1).astype(np.int64)
    # Rows are counted downwards, so what is wound to the left faces away.
    rows = np.flatnonzero((wide > 0) & (tall > 0) & (doubled < 0))
    wide, tall = wide[rows], tall[rows]
    triangle = np.repeat(rows, wide * tall)
    down, across = np.divmod(count_within(wide * tall), np.repeat(wide, wide * tall))
    pixel = np.take(low, triangle, axis=1) + np.stack([across, down])
    from_a = pixel - np.take(a, triangle, axis=1)
    second = _cross(from_a, np.take(to_c, triangle, axis=1)) / doubled[triangle]
    third = _cross(np.take(to_b, triangle, axis=1), from_a) / doubled[triangle]
    first = 1 - second - third
    inside = np.flatnonzero((first >= -EDGE) & (second >= -EDGE) & (third >= -EDGE))
    column, row = pixel[:, inside].astype(np.int64)
    weights = np.stack([part[inside] for part in (first, second, third)], axis=1)
    return _Hits(triangle[inside], row * N_PIXELS + column, weights)


def _cross(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross product in the plane, of arrays of shape (2, n)."""
    return np.asarray(first[0] * second[1] - first[1] * second[0])
