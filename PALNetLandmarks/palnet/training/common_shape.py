# SPDX-License-Identifier: Apache-2.0
"""The shape that many annotations have in common, whichever comes first and whatever each lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.face.similarity import measure_offset_mm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["common_shape", "median_shape"]

# To tell a shape from its mirror image.
_MIN_LANDMARKS = 4


def common_shape(shapes_mm: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Find the shape whose distances between landmarks are the median ones.

    Distances need no common frame and no complete scan, and a median of them does not depend on the
    order of the scans. Classical scaling makes points of them, up to a mirror image; that image is
    taken which more of the scans are like.

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
    """Take the median of each coordinate over the shapes that have it; they lie in one frame.

    Parameters
    ----------
    shapes_mm : sequence of ndarray of shape (n_landmarks, 3)
        Landmarks of each scan, NaN where missing.

    Returns
    -------
    ndarray of shape (n_landmarks, 3)
        NaN where none has it.
    """
    stacked = np.array(shapes_mm)
    result = np.full(stacked.shape[1:], np.nan)
    is_there = np.isfinite(stacked).any(axis=0)
    result[is_there] = np.nanmedian(stacked[:, is_there], axis=0)
    return result


def _median_distances(shapes_mm: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Median distance of every two landmarks; infinite where no scan has both."""
    n_landmarks = len(shapes_mm[0])
    result = np.full((n_landmarks, n_landmarks), np.inf)
    stacked = np.array(shapes_mm)
    for row in range(n_landmarks):
        apart = np.linalg.norm(stacked - stacked[:, row : row + 1], axis=2)
        is_seen = np.isfinite(apart).any(axis=0)
        result[row, is_seen] = np.nanmedian(apart[:, is_seen], axis=0)
    return result


def _by_way_of_others(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace unknown distances by the shortest way over known ones (Floyd and Warshall)."""
    known = np.isfinite(distances)
    shortest = distances.copy()
    for row in range(len(shortest)):
        shortest = np.minimum(shortest, shortest[:, row, None] + shortest[None, row])
    return np.where(known, distances, shortest)


def _largest_group(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows of the landmarks that are seen with each other."""
    reaches = np.isfinite(distances)
    return np.flatnonzero(reaches[reaches.sum(axis=1).argmax()])


def _points_of(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points in space with these distances, as nearly as there are any."""
    squared = distances**2
    centred = squared - squared.mean(axis=0) - squared.mean(axis=1)[:, None] + squared.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    axes = np.zeros((len(distances), 3))
    n_axes = min(3, len(distances))
    axes[:, :n_axes] = vectors[:, -n_axes:] * np.sqrt(np.maximum(values[-n_axes:], 0))
    return axes


def _misfit(shape_mm: NDArray[np.float64], onto_mm: NDArray[np.float64]) -> float:
    """Median distance after laying one over the other; 0 where too little is known to tell."""
    is_there = np.isfinite(shape_mm + onto_mm).all(axis=1)
    if is_there.sum() < _MIN_LANDMARKS:
        return 0.0
    return measure_offset_mm(shape_mm[is_there], onto_mm[is_there])
