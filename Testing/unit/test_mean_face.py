# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet._mean_face import atlas_of, face_from_landmarks
from palnet.exchange import read_landmarks
from palnet.samples import example_truth
from palnet.similarity import apply_similarity
from palnet_fakes import without


def test_face_from_landmarks_undoes_a_pose_with_missing_landmarks(the_scheme):
    mean_mm = atlas_of(the_scheme).landmark_mean_mm
    pose = np.array([[0.0, -1, 0, 5], [1, 0, 0, -70], [0, 0, 1, 3], [0, 0, 0, 1]])
    pose[:3, :3] *= 1.3
    scan_mm = apply_similarity(pose, mean_mm)
    scan = replace(read_landmarks(example_truth()), positions=scan_mm / 10, mm_per_unit=10.0)

    face_from_scan = face_from_landmarks(without(scan, "prn", "sa_l"))

    np.testing.assert_allclose(apply_similarity(face_from_scan, scan_mm), mean_mm, atol=1e-8)


@pytest.mark.parametrize("places", [[[1.0, 2, 3], [4, 5, 6]], [[7.0, 7, 7]] * 3])
def test_face_from_landmarks_that_fix_no_pose_is_unknown(the_scheme, places):
    landmarks = read_landmarks(example_truth())
    positions = landmarks.positions.copy()
    positions[: len(places)] = places
    few = without(replace(landmarks, positions=positions), *the_scheme.codes[len(places) :])

    assert face_from_landmarks(few) is None


def test_labs_own_scheme_has_no_mean_face(a_small_scheme):
    landmarks = read_landmarks(example_truth())

    assert atlas_of(a_small_scheme) is None
    assert face_from_landmarks(landmarks.to_scheme(a_small_scheme)) is None
