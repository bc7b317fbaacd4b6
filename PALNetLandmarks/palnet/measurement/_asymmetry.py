# SPDX-License-Identifier: Apache-2.0
"""Left-right asymmetry: distance of a face from its mirror image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_points
from palnet._numbers import to_numbers
from palnet.similarity import apply_similarity, fit_similarity

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["measure_asymmetry"]

# Fewer do not determine a rotation in space. Three midline landmarks always lie in one plane, which
# would be taken for the plane of symmetry.
_MIN_LANDMARKS, _MIN_MIDLINE = 3, 4


def measure_asymmetry(points_mm: ArrayLike, mirror: ArrayLike) -> NDArray[np.float64]:
    """Compute the distance of each landmark to its counterpart on the face's mirror image.

    The mirror image is aligned to the face by least-squares rotation and translation over all
    landmarks that are present with their counterpart. A midline landmark is its own counterpart;
    its value is twice its distance to the plane of symmetry.

    Parameters
    ----------
    points_mm : array_like of shape (n_landmarks, 3)
        Landmarks, NaN where missing.
    mirror : array_like of shape (n_landmarks,)
        Row of each landmark's counterpart, as in `Scheme.mirror`.

    Returns
    -------
    ndarray of shape (n_landmarks,)
        Asymmetry in mm, equal for both landmarks of a pair; NaN where a landmark or its
        counterpart is missing, and everywhere if there are fewer than three landmarks, only three
        that are all midline, or if all coincide.

    Raises
    ------
    ValueError
        If the arrays have other shapes, or the counterpart of a row has another one.

    References
    ----------
    Mardia, Bookstein and Moreton 2000, doi 10.1093/biomet/87.2.285.
    """
    points_mm = to_numbers(points_mm, name="points_mm")
    check_points(points_mm, name="points_mm")
    mirror = _to_rows(mirror, len(points_mm))
    result = np.full(len(points_mm), np.nan)
    is_placed = np.isfinite(points_mm.sum(axis=1))
    is_there = is_placed & is_placed[mirror]
    is_paired = is_there & (mirror != np.arange(len(mirror)))
    if is_there.sum() < (_MIN_LANDMARKS if is_paired.any() else _MIN_MIDLINE):
        return result
    image_mm = (points_mm * [-1.0, 1.0, 1.0])[mirror]
    face, image = points_mm[is_there], image_mm[is_there]
    if not np.ptp(face, axis=0).any():
        return result
    moved = apply_similarity(fit_similarity(image, face, with_scale=False), image)
    result[is_there] = np.linalg.norm(face - moved, axis=1)
    return result


def _to_rows(mirror: ArrayLike, n_points: int) -> NDArray[np.intp]:
    """Require the counterpart of each point, whose own counterpart that point is."""
    mirror = np.asarray(mirror)
    if mirror.shape != (n_points,):
        msg = f"mirror must have a row for each of {n_points} points; got {mirror.shape}."
        raise ValueError(msg)
    counted = np.arange(n_points)
    rows = mirror.astype(np.intp) if np.array_equal(np.sort(mirror), counted) else None
    if rows is None or (rows[rows] != counted).any():
        msg = (
            f"mirror must hold 0 to {n_points - 1}, and of two counterparts each the row of the "
            "other. Take it from a scheme: scheme.mirror."
        )
        raise ValueError(msg)
    return rows
