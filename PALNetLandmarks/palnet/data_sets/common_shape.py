# SPDX-License-Identifier: Apache-2.0
"""The common shape of many annotations, independent of their order and with landmarks missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.similarity import measure_offset_mm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["common_shape", "median_shape"]

# Fewer landmarks cannot tell a shape from its mirror image.
_MIN_LANDMARKS = 4


def common_shape(shapes_mm: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Find the shape whose inter-landmark distances are the medians over the scans.

    Distances need neither a common frame nor complete scans, and their median does not depend on
    the order of the scans. Classical scaling turns them into points, up to reflection; of the two
    mirror images, the one that more scans resemble is returned.

    Convention: no frame in particular; the handedness of most of the scans.

    Parameters
    ----------
    shapes_mm : sequence of ndarray of shape (n_landmarks, 3)
        Landmarks of each scan, NaN where missing.

    Returns
    -------
    ndarray of shape (n_landmarks, 3)
        NaN for a landmark that no scan has, or that is never seen with the others.

    References
    ----------
    W. S. Torgerson, Multidimensional scaling: I. Theory and method, Psychometrika 17 (1952),
    doi 10.1007/BF02288916.
    """
    distances = _by_way_of_others(_median_distances(shapes_mm))
    rows = _largest_group(distances)
    points = _points_of(distances[np.ix_(rows, rows)])
    shape = np.full((len(distances), 3), np.nan)
    shape[rows] = points
    mirrored = shape * [-1, 1, 1]
    votes = [_misfit(each, shape) - _misfit(each, mirrored) for each in shapes_mm]
    return mirrored if np.sum(np.sign(votes)) > 0 else shape


def median_shape(shapes_mm: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Compute the median of each coordinate over shapes in a common frame, ignoring NaN.

    Parameters
    ----------
    shapes_mm : sequence of ndarray of shape (n_landmarks, 3)
        Landmarks of each scan, NaN where missing.

    Returns
    -------
    ndarray of shape (n_landmarks, 3)
        NaN where no shape has the landmark.
    """
    stacked = np.array(shapes_mm)
    result = np.full(stacked.shape[1:], np.nan)
    is_there = np.isfinite(stacked).any(axis=0)
    result[is_there] = np.nanmedian(stacked[:, is_there], axis=0)
    return result


def _median_distances(shapes_mm: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Median distance between each pair of landmarks; infinite where no scan has both."""
    n_landmarks = len(shapes_mm[0])
    result = np.full((n_landmarks, n_landmarks), np.inf)
    stacked = np.array(shapes_mm)
    for row in range(n_landmarks):
        apart = np.linalg.norm(stacked - stacked[:, row : row + 1], axis=2)
        is_seen = np.isfinite(apart).any(axis=0)
        result[row, is_seen] = np.nanmedian(apart[:, is_seen], axis=0)
    return result


def _by_way_of_others(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace unknown distances by shortest paths over known ones (Floyd-Warshall)."""
    known = np.isfinite(distances)
    shortest = distances.copy()
    for row in range(len(shortest)):
        shortest = np.minimum(shortest, shortest[:, row, None] + shortest[None, row])
    return np.where(known, distances, shortest)


def _largest_group(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows of the largest group of landmarks linked by finite distances."""
    reaches = np.isfinite(distances)
    return np.flatnonzero(reaches[reaches.sum(axis=1).argmax()])


def _points_of(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points in space that best match these distances."""
    squared = distances**2
    centred = squared - squared.mean(axis=0) - squared.mean(axis=1)[:, None] + squared.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    axes = np.zeros((len(distances), 3))
    n_axes = min(3, len(distances))
    axes[:, :n_axes] = vectors[:, -n_axes:] * np.sqrt(np.maximum(values[-n_axes:], 0))
    return axes


def _misfit(shape_mm: NDArray[np.float64], onto_mm: NDArray[np.float64]) -> float:
    """Median distance after alignment; 0 if there are too few common landmarks."""
    is_there = np.isfinite(shape_mm + onto_mm).all(axis=1)
    if is_there.sum() < _MIN_LANDMARKS:
        return 0.0
    return measure_offset_mm(shape_mm[is_there], onto_mm[is_there])
