# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet.face.fit import AtlasFit
from palnet.face.similarity import compose_similarity
from palnet.face.verdict import find_refusal


def make_fit(residual_mm=0.4, coverage=0.95, relief=0.7, mahalanobis=0.8):
    return AtlasFit(
        face_from_cloud=np.eye(4),
        weights=np.zeros(3),
        landmarks_mm=np.zeros((5, 3)),
        residual_mm=residual_mm,
        coverage=coverage,
        relief=relief,
        mahalanobis=mahalanobis,
    )


def pose_of_size(size):
    return compose_similarity(1 / size, np.eye(3), np.zeros(3))


@pytest.mark.parametrize("size", [0.75, 1.0, 1.15])
def test_face_of_a_human_size_is_accepted(size):
    assert find_refusal(make_fit(), pose_of_size(size)) is None


@pytest.mark.parametrize("size", [0.1, 0.5, 1.5, 25.4])
def test_face_of_another_size_is_refused_with_the_unit_named(size):
    reason = find_refusal(make_fit(), pose_of_size(size))

    assert f"{size:.2f} times the mean face's size" in reason
    assert "unit" in reason


def test_face_of_which_too_little_is_there_is_refused():
    reason = find_refusal(make_fit(coverage=0.4), np.eye(4))

    assert "only 40 % of a face" in reason


@pytest.mark.parametrize("fit", [make_fit(residual_mm=3.0), make_fit(mahalanobis=4.0)])
def test_shape_that_is_no_face_is_refused(fit):
    reason = find_refusal(fit, np.eye(4))

    assert reason.startswith("no face")


@pytest.mark.parametrize("relief", [-0.8, 0.0, 0.25])
def test_smooth_thing_without_brows_nose_and_mouth_is_refused(relief):
    reason = find_refusal(make_fit(relief=relief), np.eye(4))

    assert reason.startswith("no face: brows, nose and mouth")
    assert f"likeness {relief - 0.4 * 0.4:.2f}" in reason


def test_fit_that_found_nothing_is_refused():
    assert (
        find_refusal(make_fit(residual_mm=np.inf, coverage=0.0, relief=0.0), np.eye(4)) is not None
    )
