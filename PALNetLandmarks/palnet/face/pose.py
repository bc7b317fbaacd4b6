# SPDX-License-Identifier: Apache-2.0
"""Find the face in a scan of any rotation and position: networks guess, the atlas decides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from palnet.face.fit import AtlasFit, fit_atlas
from palnet.face.region import move_cloud
from palnet.face.similarity import (
    apply_similarity,
    compose_similarity,
    fit_similarity,
    invert_similarity,
    rotation_angle_deg,
    similarity_scale,
)
from palnet.network.pose import (
    CROP_RADIUS_MM,
    KEY_POINTS_MM,
    N_POSE_POINTS,
    POSE_UNIT_MM,
    predict_key_points,
)
from palnet.surface import PointCloud, sample_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.network.layers import Weights
    from palnet.surface import Surface

__all__ = ["PoseCandidate", "find_poses"]

# Points that the whole scan is thinned to before the search, and their finest spacing.
N_SEARCH_POINTS = 6000
FINEST_SEARCH_SPACING_MM = 2.8
# Rotations that the search starts from; the network is not exact in any single one.
N_STARTS = 12
N_KEPT, N_REFINEMENTS, N_CHECKED = 6, 3, 3
# Guesses closer than this are one guess.
SAME_POSE_DEG, SAME_POSE_MM = 15.0, 15.0
# A face may be this much smaller or larger than the mean adult's while it is searched for.
SEARCHED_SCALES = (0.6, 1.6)
# A short fit that tells a face from anything else: rounds as in `palnet.face.fit.SCHEDULE`.
CHECK_SCHEDULE = (
    *((0, 6, 30.0, 60.0),) * 3,
    *((0, 5, 18.0, 60.0),) * 3,
    *((10, 4, 12.0, 40.0),) * 3,
)


@dataclass(frozen=True, eq=False)
class PoseCandidate:
    """A guess of the pose with the short fit that speaks for it.

    Attributes
    ----------
    face_from_scan : ndarray of shape (4, 4)
        Similarity from scan millimetres to the face frame.
    check : AtlasFit
        The short fit.
    score : float
        Relief agreement times coverage; higher is better.
    """

    face_from_scan: NDArray[np.float64]
    check: AtlasFit
    score: float


def find_poses(
    surface: Surface, atlas: FaceAtlas, coarse: Weights, fine: Weights
) -> list[PoseCandidate]:
    """Find the few likeliest poses of a face.

    Parameters
    ----------
    surface : Surface
        The whole scan in millimetres, normals outward.
    atlas : FaceAtlas
        Decides between the guesses.
    coarse, fine : mapping of str to ndarray
        The two pose networks.

    Returns
    -------
    list of PoseCandidate
        The best first; at least one, whether it is a face or not.
    """
    cloud = _thin_for_search(surface)
    guesses = _first_guesses(cloud, coarse)
    for _ in range(N_REFINEMENTS):
        guesses = _refine(cloud, guesses, fine)
    candidates = [
        _check(cloud, atlas, guess) for guess in _distinct([g for g, _ in guesses])[:N_CHECKED]
    ]
    return sorted(candidates, key=lambda candidate: -candidate.score)


def _thin_for_search(surface: Surface) -> PointCloud:
    """About `N_SEARCH_POINTS` points over the whole scan."""
    a, b, c = (surface.points_mm[surface.triangles[:, k]] for k in range(3))
    doubled = np.cross(b - a, c - a)
    area = 0.5 * np.sqrt(np.einsum("ij,ij->i", doubled, doubled)).sum()
    return sample_surface(surface, max(FINEST_SEARCH_SPACING_MM, np.sqrt(area / N_SEARCH_POINTS)))


@cache
def _start_rotations() -> NDArray[np.float64]:
    """Rotations spread over all, always the same: (n_starts, 3, 3)."""
    rng = np.random.default_rng(2026)
    chosen = [np.array([1.0, 0, 0, 0])]
    pool = rng.normal(size=(4000, 4))
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    while len(chosen) < N_STARTS:
        nearest = np.abs(pool @ np.array(chosen).T).max(axis=1)
        chosen.append(pool[np.argmin(nearest)])
    return np.asarray(Rotation.from_quat(np.array(chosen)).as_matrix())


def _first_guesses(cloud: PointCloud, weights: Weights) -> list[tuple[NDArray[np.float64], float]]:
    """The coarse network from every start rotation; the most face-like key points first."""
    picked = _stride(len(cloud.points_mm))
    points, normals = cloud.points_mm[picked], cloud.normals[picked]
    centre = points.mean(axis=0)
    turns = _start_rotations()
    positions = (points - centre) @ turns.transpose(0, 2, 1) / POSE_UNIT_MM
    inputs = np.concatenate([positions, normals @ turns.transpose(0, 2, 1)], axis=2)
    predicted = predict_key_points(weights, inputs.astype(np.float32)) * POSE_UNIT_MM
    in_scan = predicted.astype(np.float64) @ turns + centre
    guesses = [_pose_of(key_points) for key_points in in_scan]
    return sorted(guesses, key=lambda guess: guess[1])[:N_KEPT]


def _refine(
    cloud: PointCloud, guesses: list[tuple[NDArray[np.float64], float]], weights: Weights
) -> list[tuple[NDArray[np.float64], float]]:
    """The fine network round every guess, seen in the guessed frame."""
    inputs = np.zeros((len(guesses), N_POSE_POINTS, 6), dtype=np.float32)
    centres = []
    for row, (guess, _) in enumerate(guesses):
        centre = apply_similarity(invert_similarity(guess), KEY_POINTS_MM[0])
        offset = cloud.points_mm - centre
        radius = CROP_RADIUS_MM / similarity_scale(guess)
        near = np.flatnonzero(np.einsum("ij,ij->i", offset, offset) < radius**2)
        if not len(near):
            near = np.arange(len(offset))
        near = near[_stride(len(near))]
        inputs[row, :, :3] = offset[near] @ guess[:3, :3].T / POSE_UNIT_MM
        inputs[row, :, 3:] = cloud.normals[near] @ (guess[:3, :3] / similarity_scale(guess)).T
        centres.append(centre)
    predicted = predict_key_points(weights, inputs).astype(np.float64) * POSE_UNIT_MM
    refined = []
    for key_points, (guess, _), centre in zip(predicted, guesses, centres, strict=True):
        in_scan = key_points @ np.linalg.inv(guess[:3, :3]).T + centre
        refined.append(_pose_of(in_scan))
    return sorted(refined, key=lambda guess: guess[1])


def _stride(n_points: int) -> NDArray[np.int64]:
    """Indices spread evenly over the cells of a cloud, as many as the networks take."""
    return (np.arange(N_POSE_POINTS) * n_points) // N_POSE_POINTS


def _pose_of(key_points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The pose that key points stand for, and how badly they fit one (in face mm)."""
    pose = fit_similarity(key_points, KEY_POINTS_MM)
    misfit = apply_similarity(pose, key_points) - KEY_POINTS_MM
    scale = float(np.clip(similarity_scale(pose), 1 / SEARCHED_SCALES[1], 1 / SEARCHED_SCALES[0]))
    rotation = pose[:3, :3] / similarity_scale(pose)
    shift = KEY_POINTS_MM.mean(axis=0) - scale * rotation @ key_points.mean(axis=0)
    return compose_similarity(scale, rotation, shift), float(np.linalg.norm(misfit, axis=1).mean())


def _distinct(guesses: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """One guess of each group, those with the most like-minded first."""
    groups: list[list[NDArray[np.float64]]] = []
    for guess in guesses:
        for group in groups:
            if _is_same(group[0], guess):
                group.append(guess)
                break
        else:
            groups.append([guess])
    return [group[0] for group in sorted(groups, key=len, reverse=True)]


def _is_same(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Whether two guesses differ by little."""
    middle = apply_similarity(invert_similarity(first), KEY_POINTS_MM[0])
    apart = np.linalg.norm(apply_similarity(second, middle) - KEY_POINTS_MM[0])
    return bool(apart < SAME_POSE_MM and rotation_angle_deg(first, second) < SAME_POSE_DEG)


def _check(cloud: PointCloud, atlas: FaceAtlas, guess: NDArray[np.float64]) -> PoseCandidate:
    """Fit the atlas for a few rounds."""
    moved = move_cloud(cloud, guess)
    near = np.linalg.norm(moved.points_mm - KEY_POINTS_MM[0], axis=1) < CROP_RADIUS_MM
    fit = fit_atlas(atlas, PointCloud(moved.points_mm[near], moved.normals[near]), CHECK_SCHEDULE)
    return PoseCandidate(fit.face_from_cloud @ guess, fit, fit.relief * fit.coverage)
