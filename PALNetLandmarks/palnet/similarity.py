# SPDX-License-Identifier: Apache-2.0
"""Similarity transforms: rotation, translation and one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "apply_similarity",
    "compose_similarity",
    "fit_similarity",
    "invert_similarity",
    "measure_offset_mm",
    "rotate_directions",
    "rotation_angle_deg",
    "similarity_scale",
]

# Three points that are not collinear determine a similarity.
MIN_PAIRS = 3


def fit_similarity(
    source: NDArray[np.floating],
    target: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    *,
    with_scale: bool = True,
) -> NDArray[np.float64]:
    """Fit the least-squares similarity from source to target points.

    Convention: the result acts on column vectors from the left,
    ``target = s * R @ source + t`` with ``matrix[:3, :3] = s * R``; R is a proper rotation.

    Parameters
    ----------
    source, target : ndarray of shape (n_points, 3)
        Corresponding points, at least three and not collinear.
    weights : ndarray of shape (n_points,), optional
        Weight of each pair.
    with_scale : bool
        False keeps the scale at one.

    Returns
    -------
    ndarray of shape (4, 4)
        ``target_from_source``.

    Raises
    ------
    ValueError
        If there are too few points, or all coincide.

    References
    ----------
    S. Umeyama, Least-squares estimation of transformation parameters between two point patterns,
    IEEE PAMI 13 (1991), doi 10.1109/34.88573.
    """
    weight = np.ones(len(source)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(source) < MIN_PAIRS or np.ptp(source, axis=0).max() == 0:
        msg = f"a similarity needs at least {MIN_PAIRS} points that differ; got {len(source)}."
        raise ValueError(msg)
    weight = weight / weight.sum()
    source_mean, target_mean = weight @ source, weight @ target
    source_centred = source - source_mean
    cross = (target - target_mean).T @ (source_centred * weight[:, None])
    u, singular, vt = np.linalg.svd(cross)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * signs) @ vt
    scale = 1.0
    if with_scale:
        scale = float(singular @ signs / (weight @ (source_centred**2).sum(axis=1)))
    return compose_similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def measure_offset_mm(source: NDArray[np.floating], target: NDArray[np.floating]) -> float:
    """Median distance between source and target points after the best similarity."""
    laid = apply_similarity(fit_similarity(source, target), source)
    return float(np.median(np.linalg.norm(laid - target, axis=1)))


def apply_similarity(
    matrix: NDArray[np.float64], points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return ``points @ matrix[:3, :3].T + matrix[:3, 3]`` for points of shape (..., 3)."""
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def rotate_directions(
    matrix: NDArray[np.float64], directions: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Rotate directions of shape (..., 3) by the rotation alone, so that lengths stay."""
    return np.asarray(directions @ (matrix[:3, :3] / similarity_scale(matrix)).T)


def similarity_scale(matrix: NDArray[np.float64]) -> float:
    """Return the scale of a similarity."""
    return float(np.cbrt(np.linalg.det(matrix[:3, :3])))


def invert_similarity(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``source_from_target`` for ``target_from_source``."""
    inverse = np.eye(4)
    inverse[:3, :3] = matrix[:3, :3].T / similarity_scale(matrix) ** 2
    inverse[:3, 3] = -inverse[:3, :3] @ matrix[:3, 3]
    return inverse


def compose_similarity(
    scale: float, rotation: NDArray[np.floating], translation: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the (4, 4) matrix of ``scale * rotation @ x + translation``."""
    matrix = np.eye(4)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = translation
    return matrix


def rotation_angle_deg(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the angle in degrees between the rotations of two similarities."""
    a = first[:3, :3] / similarity_scale(first)
    b = second[:3, :3] / similarity_scale(second)
    return float(np.degrees(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))))
