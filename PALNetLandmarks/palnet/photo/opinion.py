# SPDX-License-Identifier: Apache-2.0
"""Look at a colored face from several sides, and locate the landmarks on its surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from palnet.photo.network import read_photo_network, run_photo_network
from palnet.photo.picture import N_PIXELS, take_picture
from palnet.similarity import apply_similarity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from palnet.photo.network import PhotoNetwork
    from palnet.surface import Mesh, Surface

__all__ = ["PhotoOpinion", "color_surface", "look_at_face"]

# The camera stands this far below and above the face. Each picture is also shown mirrored, since
# the network treats right and left differently.
PITCHES_DEG = (-12.0, 12.0)
# A median of fewer pictures in which a face is seen is not trusted.
LEAST_PICTURES = 3
# Vertices around the face that the colors are looked up in: more are as dense as the pixels.
MOST_COLORED = 300_000
# Those of a thinned face lie less than this from its vertices.
AROUND_MM = 5.0
# Scans of one color, as some programs write them, show a network for photographs nothing: the
# standard deviation of the brightness (0 to 255) of a painted or photographed face is above 20.
LEAST_CONTRAST = 4.0
# Nor does a part of one color, such as a filled hole or a side that no camera saw: the network
# guesses there. On the painted people the deviation so near to lips and eyes is 2.2 at least
# (`benchmarks.fit_color`).
LEAST_CONTRAST_NEAR = 2.0
NEAR_MM = 10.0


@dataclass(frozen=True, eq=False)
class PhotoOpinion:
    """Where the network for photographs sees the landmarks.

    Attributes
    ----------
    codes : tuple of str
        Codes of its landmarks.
    positions_mm : ndarray of shape (n_codes, 3)
        Medians over the pictures, in the face frame, at most a millimetre beside the surface; NaN
        where the pictures show no surface, or the surface around is of one color.
    n_pictures : int
        Number of pictures on which it saw a face.
    network_sha256 : str
        Hash of the network's file.
    """

    codes: tuple[str, ...]
    positions_mm: NDArray[np.float64]
    n_pictures: int
    network_sha256: str


def color_surface(
    face: Surface, mesh: Mesh, face_from_file: NDArray[np.float64]
) -> NDArray[np.uint8] | None:
    """Look up the color of each vertex of a face.

    Parameters
    ----------
    face : Surface
        The region of interest, in the face frame; its vertices may be numbered differently from
        those of the file, or thinned.
    mesh : Mesh
        The scan as it is in the file.
    face_from_file : ndarray of shape (4, 4)
        Similarity from the file's numbers to the face frame.

    Returns
    -------
    ndarray of shape (n_points, 3), optional
        That of the nearest vertex of the file; None if the scan has no colors, or just one.
    """
    if mesh.colors is None:
        return None
    points_mm = apply_similarity(face_from_file, mesh.points)
    low, high = face.points_mm.min(axis=0) - AROUND_MM, face.points_mm.max(axis=0) + AROUND_MM
    rows = np.flatnonzero(((points_mm >= low) & (points_mm <= high)).all(axis=1))
    rows = rows[:: -(-len(rows) // MOST_COLORED)]
    _, nearest = cKDTree(points_mm[rows]).query(face.points_mm)
    colors = mesh.colors[rows[nearest]]
    return colors if colors.mean(axis=1).std() >= LEAST_CONTRAST else None


def look_at_face(face: Surface, colors: NDArray[np.uint8]) -> PhotoOpinion | None:
    """Show pictures of a face to the network for photographs.

    Parameters
    ----------
    face : Surface
        The region of interest, in the face frame.
    colors : ndarray of shape (n_points, 3)
        Color of its vertices.

    Returns
    -------
    PhotoOpinion, optional
        None if the network sees no face on most pictures.
    """
    network = read_photo_network()
    seen = [
        picture.to_face(places)
        for picture in (take_picture(face, colors, pitch) for pitch in PITCHES_DEG)
        for places in _look(network, picture.pixels)
    ]
    if len(seen) < LEAST_PICTURES:
        return None
    points_mm = _median(np.stack(seen))
    points_mm[~(contrast_near(points_mm, face, colors) >= LEAST_CONTRAST_NEAR)] = np.nan
    return PhotoOpinion(network.codes, points_mm, len(seen), network.sha256)


def _look(network: PhotoNetwork, pixels: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
    """Yield the places that the network sees on a picture, and on its mirror image."""
    places, presence = run_photo_network(network, pixels)
    if presence > 0:
        yield places
    mirrored, presence = run_photo_network(network, pixels[:, ::-1])
    if presence > 0:
        other = {"r": "l", "l": "r"}
        sides = [
            code[:-1] + other[code[-1]] if code[-2:-1] == "_" else code for code in network.codes
        ]
        swapped = mirrored[[network.codes.index(code) for code in sides]]
        yield np.stack([N_PIXELS - swapped[:, 0], swapped[:, 1]], axis=1)


def contrast_near(
    points_mm: NDArray[np.float64], face: Surface, colors: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Measure how much the brightness of the surface around points varies.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        The points, in the face frame.
    face : Surface
        The region of interest, in the face frame.
    colors : ndarray of shape (n_vertices, 3)
        Color of its vertices.

    Returns
    -------
    ndarray of shape (n_points,)
        Standard deviation of the brightness (0 to 255); NaN if there is no surface.
    """
    bright = colors.mean(axis=1)
    around = (bright[np.linalg.norm(face.points_mm - p, axis=1) < NEAR_MM] for p in points_mm)
    return np.array([near.std() if len(near) else np.nan for near in around])


def _median(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median over the pictures that show the surface; NaN if that is less than half of them."""
    is_shown = np.isfinite(points_mm).all(axis=2)
    enough = is_shown.sum(axis=0) * 2 >= len(points_mm)
    middle = np.full(points_mm.shape[1:], np.nan)
    middle[enough] = np.nanmedian(points_mm[:, enough], axis=0)
    return middle
