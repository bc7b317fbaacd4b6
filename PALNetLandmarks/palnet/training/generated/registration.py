# SPDX-License-Identifier: Apache-2.0
"""Register the neutral head of one source onto that of another to find corresponding points.

The source's own modes and then a smooth displacement field deform its neutral head onto the
other's. For the atlas, the labels of both guide the registration; to compare labels, they are
ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from palnet.similarity import apply_similarity, fit_similarity, invert_similarity
from palnet.synthesis.capture import compute_vertex_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.synthesis import MorphableModel

__all__ = ["match_points", "transfer_labels"]

N_MODES, N_CONTROLS, N_ROUNDS = 60, 4000, 40
# Below, the necks of the two sources are cut at different heights and oriented differently.
NECK_MM = -120.0
# Ridge penalty in squared millimetres, first and last round; weight of point-to-point relative to
# point-to-plane distances.
FIRST_RIDGE, LAST_RIDGE, POINT_WEIGHT = 200.0, 8.0, 0.3
FIELD_WIDTHS_MM = (40.0, 30.0, 25.0, 20.0, 15.0, 12.0, 10.0, 10.0)
FIELD_CONTROLS, FIELD_RIDGE, FARTHEST_MM = 1500, 0.5, 8.0
MIN_AGREEMENT = 0.5


@dataclass(frozen=True, eq=False)
class _Target:
    """Skin of the neutral head that is the target of the registration."""

    points_mm: NDArray[np.float64]
    normals: NDArray[np.float64]
    tree: cKDTree


@dataclass(frozen=True, eq=False)
class _Pulls:
    """Known values of the displacement field: (n, 3) positions and offsets."""

    centres_mm: NDArray[np.float64]
    offsets_mm: NDArray[np.float64]


def transfer_labels(source: MorphableModel, target: MorphableModel) -> NDArray[np.float64]:
    """Transfer the source's labels to the target's neutral head.

    Parameters
    ----------
    source, target : MorphableModel
        Labelled heads in the face frame, of about the same size.

    Returns
    -------
    ndarray of shape (n_landmarks, 3)
        Positions on the target's neutral head, in mm in the face frame, found without using labels.
    """
    return np.asarray(_register(source, target, np.zeros(0, int))[source.landmark_points])


def match_points(
    source: MorphableModel, target: MorphableModel, points: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Find the fine points of the target that correspond to fine points of the source.

    Parameters
    ----------
    source, target : MorphableModel
        Labelled heads in the face frame, of about the same size, with the same scheme.
    points : ndarray of shape (n_points,)
        Fine points of the source, on its skin.

    Returns
    -------
    ndarray of shape (n_points,)
        The nearest fine point of the target's skin to each, after the source's neutral head has
        been registered onto the target's with every label on its counterpart.
    """
    registered = _register(source, target, np.arange(len(source.landmark_points)))
    onto = _skin_of(target)
    rows = np.flatnonzero(~(target.fine(target.is_mouth) | target.fine(target.is_eyeball)))
    normals = compute_vertex_normals(registered.astype(np.float32), source.fine_triangles)[points]
    distances, found = onto.tree.query(registered[points], k=8)
    agreement = np.einsum("ni,nki->nk", normals, onto.normals[found])
    best = (distances + 10 * (1 - agreement)).argmin(axis=1)
    return np.asarray(rows[found[np.arange(len(points)), best]])


def _register(
    source: MorphableModel, target: MorphableModel, landmarks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Register the source's fine points onto the target's neutral head, guided by landmarks."""
    rng = np.random.default_rng(0)
    onto = _skin_of(target)
    coarse = _fit_modes(source, onto, rng)
    is_skin = ~(source.is_mouth | source.is_eyeball) & (source.neutral_mm[:, 1] > NECK_MM)
    goals = target.fine_template_mm[target.landmark_points[landmarks]].astype(np.float64)
    for width_mm in FIELD_WIDTHS_MM:
        labels = (source.refine @ coarse)[source.landmark_points[landmarks]]
        pairs = _pairs_of(source, coarse, is_skin, onto, rng)
        coarse = _follow_field(coarse, is_skin, width_mm, pairs, _Pulls(labels, goals - labels))
    return np.asarray(source.refine @ coarse)


def _skin_of(model: MorphableModel) -> _Target:
    """Return the fine points of the neutral head that are skin."""
    template = model.fine_template_mm
    skin = ~(model.fine(model.is_mouth) | model.fine(model.is_eyeball))
    normals = compute_vertex_normals(template, model.fine_triangles)
    points = template[skin].astype(np.float64)
    return _Target(points, normals[skin].astype(np.float64), cKDTree(points))


def _modes_of(model: MorphableModel) -> NDArray[np.float64]:
    """Identity modes, or the principal components of the whole heads, (n_modes, n_points, 3)."""
    if not model.heads:
        return model.identity_mm[:N_MODES].astype(np.float64)
    heads = np.stack([head.points_mm / head.size for head in model.heads]).astype(np.float64)
    apart = (heads - model.neutral_mm).reshape(len(heads), -1)
    _, singular, axes = np.linalg.svd(apart, full_matrices=False)
    modes = singular[:N_MODES, None] * axes[:N_MODES] / np.sqrt(len(heads))
    return np.asarray(modes.reshape(-1, *model.neutral_mm.shape))


def _fit_modes(
    source: MorphableModel, onto: _Target, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Fit the source's modes to the target; return points (n_points, 3) in the target's pose."""
    modes, neutral = _modes_of(source), source.neutral_mm.astype(np.float64)
    skin = ~(source.is_mouth | source.is_eyeball) & (neutral[:, 1] > NECK_MM)
    rows = rng.choice(np.flatnonzero(skin), min(N_CONTROLS, int(skin.sum())), replace=False)
    weights, moved_from_own = np.zeros(len(modes)), np.eye(4)
    for ridge in np.r_[np.linspace(FIRST_RIDGE, LAST_RIDGE, N_ROUNDS // 2), [LAST_RIDGE] * 20]:
        own = neutral + np.tensordot(weights, modes, axes=1)
        points = apply_similarity(moved_from_own, own)
        near, normals, good = _nearest(source, points, rows, onto)
        moved_from_own = fit_similarity(own[rows][good], near[good])
        goal = apply_similarity(invert_similarity(moved_from_own), near)
        turn = moved_from_own[:3, :3] / np.cbrt(np.linalg.det(moved_from_own[:3, :3]))
        weights = _solve_weights(
            modes[:, rows[good]], (goal - neutral[rows])[good], normals[good] @ turn, ridge
        )
    return apply_similarity(moved_from_own, neutral + np.tensordot(weights, modes, axes=1))


def _solve_weights(
    modes: NDArray[np.float64],
    offsets: NDArray[np.float64],
    normals: NDArray[np.float64],
    ridge: float,
) -> NDArray[np.float64]:
    """Solve for mode weights by ridge regression on point-to-plane and point-to-point distances."""
    to_plane = np.einsum("kni,ni->nk", modes, normals)
    to_point = POINT_WEIGHT * modes.transpose(1, 2, 0).reshape(-1, len(modes))
    design = np.concatenate([to_plane, to_point])
    wanted = np.concatenate(
        [np.einsum("ni,ni->n", offsets, normals), POINT_WEIGHT * offsets.ravel()]
    )
    return np.asarray(
        np.linalg.solve(design.T @ design + ridge * np.eye(len(modes)), design.T @ wanted)
    )


def _nearest(
    source: MorphableModel,
    points_mm: NDArray[np.float64],
    rows: NDArray[np.int64],
    onto: _Target,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Find nearest target points facing the same way, their normals, and which pairs to trust."""
    normals = compute_vertex_normals(points_mm.astype(np.float32), source.triangles)[rows]
    distances, found = onto.tree.query(points_mm[rows], k=8)
    agreement = np.einsum("ni,nki->nk", normals, onto.normals[found])
    best = (distances + 10 * (1 - agreement)).argmin(axis=1)
    each = np.arange(len(rows))
    found = found[each, best]
    near = distances[each, best] < np.quantile(distances[each, best], 0.9) + 1e-9
    good = near & (agreement[each, best] > MIN_AGREEMENT)
    return onto.points_mm[found], onto.normals[found], good


def _pairs_of(
    source: MorphableModel,
    coarse: NDArray[np.float64],
    is_skin: NDArray[np.bool_],
    onto: _Target,
    rng: np.random.Generator,
) -> _Pulls:
    """Sample skin points, with their offsets to the nearest target point."""
    skin = np.flatnonzero(is_skin)
    rows = rng.choice(skin, min(FIELD_CONTROLS, len(skin)), replace=False)
    near, _, good = _nearest(source, coarse, rows, onto)
    centres, offsets = coarse[rows][good], (near - coarse[rows])[good]
    close = np.linalg.norm(offsets, axis=1) < FARTHEST_MM
    return _Pulls(centres[close], offsets[close])


def _follow_field(
    coarse: NDArray[np.float64], is_skin: NDArray[np.bool_], width_mm: float, *pulls: _Pulls
) -> NDArray[np.float64]:
    """Move the skin by a smooth field fitted to the pulls."""
    skin = np.flatnonzero(is_skin)
    centres = np.concatenate([pull.centres_mm for pull in pulls])
    offsets = np.concatenate([pull.offsets_mm for pull in pulls])
    kernel = _kernel(centres, centres, width_mm)
    heights = np.linalg.solve(kernel + FIELD_RIDGE * np.eye(len(centres)), offsets)
    moved = coarse.copy()
    for part in np.array_split(skin, len(skin) // 3000 + 1):
        moved[part] += _kernel(coarse[part], centres, width_mm) @ heights
    return moved


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64], width_mm: float) -> NDArray[np.float64]:
    """Gaussians of the distances, (n_a, n_b)."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.exp(-np.maximum(squared, 0) / (2 * width_mm**2)))
