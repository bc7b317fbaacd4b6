# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet._mean_face import atlas_of, face_from_landmarks
from palnet.similarity import apply_similarity


def test_face_from_landmarks_undoes_a_pose_with_missing_landmarks(the_scheme):
    atlas = atlas_of(the_scheme)
    pose = np.array([[0.0, -1, 0, 5], [1, 0, 0, -70], [0, 0, 1, 3], [0, 0, 0, 1]])
    pose[:3, :3] *= 1.3
    scan_mm = apply_similarity(pose, atlas.landmark_mean_mm)
    scan_mm[[3, 30]] = np.nan

    back = apply_similarity(face_from_landmarks(scan_mm, atlas), scan_mm)

    there = np.isfinite(scan_mm).all(axis=1)
    np.testing.assert_allclose(back[there], atlas.landmark_mean_mm[there], atol=1e-8)


@pytest.mark.parametrize("places", [[[1.0, 2, 3], [4, 5, 6]], [[7.0, 7, 7]] * 3])
def test_face_from_landmarks_that_fix_no_pose_is_unknown(the_scheme, places):
    scan_mm = np.full((len(the_scheme), 3), np.nan)
    scan_mm[: len(places)] = places

    assert face_from_landmarks(scan_mm, atlas_of(the_scheme)) is None


def test_atlas_of_a_labs_own_scheme_is_none(a_small_scheme):
    assert atlas_of(a_small_scheme) is None
