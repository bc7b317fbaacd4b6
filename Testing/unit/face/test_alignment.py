# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from palnet.face.alignment import align_landmarks, remove_scale
from palnet.similarity import (
    apply_similarity,
    compose_similarity,
    invert_similarity,
    rotation_angle_deg,
)
from toy_head import toy_atlas

seeds = st.integers(0, 2**32 - 1)


def random_similarity(rng, *, angle=np.pi, log_scale=0.3, shift_mm=200.0):
    rotation = Rotation.from_rotvec(rng.uniform(-angle, angle, 3)).as_matrix()
    return compose_similarity(
        np.exp(rng.normal(0, log_scale)), rotation, rng.normal(0, shift_mm, 3)
    )


def person(atlas, rng):
    return atlas.shape_landmarks(rng.normal(size=atlas.n_modes))


@given(seeds)
def test_convention_no_pose_near_by_explains_the_landmarks_better(seed):
    """The written cost is minimal: of every small change, none lowers it."""
    rng, atlas = np.random.default_rng(seed), toy_atlas()
    landmarks = apply_similarity(random_similarity(rng), person(atlas, rng))
    errors = rng.uniform(0, 5, len(landmarks))
    variance = np.square(atlas.landmark_modes_mm.astype(float)).sum(axis=(0, 2))

    def cost(pose):
        apart = apply_similarity(pose, landmarks) - atlas.landmark_mean_mm
        return float(((apart**2).sum(axis=1) / (variance + errors**2)).sum())

    pose = align_landmarks(atlas, landmarks, errors)

    best = cost(pose)
    for _ in range(20):
        change = random_similarity(rng, angle=0.02, log_scale=0.01, shift_mm=0.5)
        assert cost(change @ pose) >= best * (1 - 1e-9)


@given(seeds)
def test_missing_landmarks_count_as_if_they_were_not_there(seed):
    rng, atlas = np.random.default_rng(seed), toy_atlas()
    landmarks = person(atlas, rng)
    errors = np.full(len(landmarks), 1.0)
    is_missing = np.arange(len(landmarks)) % 3 == 0
    lost, unknown = landmarks.copy(), errors.copy()
    lost[is_missing] = unknown[is_missing] = np.nan
    errors[is_missing] = 1e9

    pose = align_landmarks(atlas, lost, unknown)

    np.testing.assert_allclose(pose, align_landmarks(atlas, landmarks, errors), atol=1e-6)


def test_two_landmarks_hold_no_pose():
    atlas = toy_atlas()
    landmarks = np.where(np.arange(len(atlas.landmark_mean_mm))[:, None] < 2, 1.0, np.nan)

    with pytest.raises(ValueError, match="at least 3 points"):
        align_landmarks(atlas, landmarks, 1.0)


def test_pose_without_scale_is_rigid_and_leaves_the_middle_of_the_face_in_place():
    atlas = SimpleNamespace(landmark_mean_mm=np.array([[1.0, 4, 60], [-3, 2, 70], [5, -9, 50]]))
    middle = atlas.landmark_mean_mm.mean(axis=0)
    turn = Rotation.from_rotvec([0.4, -1.1, 0.3]).as_matrix()
    pose = compose_similarity(0.8, turn, np.array([12.0, -300, 45]))

    rigid = remove_scale(pose, atlas)

    np.testing.assert_allclose(rigid[:3, :3] @ rigid[:3, :3].T, np.eye(3), atol=1e-12)
    assert rotation_angle_deg(rigid, pose) < 1e-5
    in_scan = apply_similarity(invert_similarity(pose), middle)
    np.testing.assert_allclose(apply_similarity(rigid, in_scan), middle, atol=1e-9)
