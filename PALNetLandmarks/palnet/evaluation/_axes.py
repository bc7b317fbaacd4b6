# SPDX-License-Identifier: Apache-2.0
"""Axes along which differences are reported: those of the face, if its landmarks define them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet._mean_face import mean_landmarks
from palnet._plausible import WRONG_ORDER_MM
from palnet.similarity import apply_similarity, fit_similarity, measure_offset_mm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from palnet.scheme import Scheme

__all__ = ["holds_pose", "poses_of"]

# Three non-collinear points define a pose.
MIN_LANDMARKS = 3
# Fewer landmarks, of any kind, can be fitted to a mean face almost exactly by a similarity.
MIN_SHARED = 5
# Second over first extent of points: below this they are nearly collinear, e.g. along the profile.
_LINE_SHARE = 0.15


def poses_of(
    shapes_mm: Sequence[NDArray[np.float64]], scheme: Scheme
) -> tuple[list[NDArray[np.float64]], bool]:
    """Align every specimen to a common face, without scaling: ``common_from_specimen`` of each.

    Convention: axes of the face, +X the subject's left, +Y up, +Z front, if enough landmarks match
    those of a mean face in code and position; else those of the first specimen. Also returned is
    whether they are those of the face. A specimen with fewer than three landmarks is left as it is;
    if no specimen's landmarks define a pose, the axes are not called those of the face.
    """
    mean_mm = _mean_face_of(scheme)
    are_of_face = mean_mm is not None and _is_that_face(shapes_mm, mean_mm)
    if mean_mm is None or not are_of_face:
        mean_mm = next((s for s in shapes_mm if holds_pose(s)), shapes_mm[0])
    mean_mm = _filled(mean_mm, shapes_mm)
    return [_pose_to(mean_mm, shape) for shape in shapes_mm], are_of_face


def holds_pose(*shapes_mm: NDArray[np.float64]) -> bool:
    """Whether the landmarks that all shapes have in common suffice to align them."""
    is_there = np.isfinite(sum(shapes_mm)).all(axis=1)
    if is_there.sum() < MIN_LANDMARKS:
        return False
    points = shapes_mm[-1][is_there]
    extents = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(extents[1] > _LINE_SHARE * extents[0])


def _mean_face_of(scheme: Scheme) -> NDArray[np.float64] | None:
    """Mean positions of the landmarks by code, NaN for those that the mean face lacks."""
    mean = mean_landmarks()
    places = np.array([mean.get(code, np.full(3, np.nan)) for code in scheme.codes])
    are_enough = np.isfinite(places).all(axis=1).sum() >= MIN_SHARED and holds_pose(places)
    return places if are_enough else None


def _is_that_face(shapes_mm: Sequence[NDArray[np.float64]], mean_mm: NDArray[np.float64]) -> bool:
    """Whether the landmarks match those of the mean face with the same codes, up to scale."""
    if np.isfinite(mean_mm).all():
        return any(map(holds_pose, shapes_mm))
    off = []
    for shape in shapes_mm:
        is_there = np.isfinite(shape + mean_mm).all(axis=1)
        if is_there.sum() >= MIN_SHARED and holds_pose(shape, mean_mm):
            off.append(measure_offset_mm(shape[is_there], mean_mm[is_there]))
    return bool(off) and float(np.median(off)) < WRONG_ORDER_MM


def _filled(
    mean_mm: NDArray[np.float64], shapes_mm: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Add the landmarks that the mean lacks, so that every specimen is aligned by all it has."""
    if np.isfinite(mean_mm).all():
        return mean_mm
    laid = np.array(
        [apply_similarity(_pose_to(mean_mm, s), s) for s in shapes_mm if holds_pose(s, mean_mm)]
    )
    filled = mean_mm.copy()
    for row in np.flatnonzero(~np.isfinite(mean_mm).all(axis=1)):
        there = laid[np.isfinite(laid[:, row]).all(axis=1), row] if len(laid) else laid
        if len(there):
            filled[row] = there.mean(axis=0)
    return filled


def _pose_to(mean_mm: NDArray[np.float64], shape_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    is_there = np.isfinite(shape_mm + mean_mm).all(axis=1)
    if is_there.sum() < MIN_LANDMARKS or not np.ptp(shape_mm[is_there], axis=0).any():
        return np.eye(4)
    return fit_similarity(shape_mm[is_there], mean_mm[is_there], with_scale=False)
