# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet._checks import (
    check_finite,
    check_length,
    check_points,
    check_transform,
    check_triangles,
)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((4, 3))])
def test_check_points_accepts_rows_of_three(points):
    check_points(points, name="points_mm")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 500), r"got \(3, 500\)\. Transpose it"),
        ((6,), r"got \(6,\)"),
        ((4, 2), r"got \(4, 2\)"),
    ],
)
def test_check_points_other_shape_raises(shape, message):
    with pytest.raises(ValueError, match=rf"points_mm must have shape \(n_points, 3\); {message}"):
        check_points(np.zeros(shape), name="points_mm")


def test_check_finite_accepts_numbers():
    check_finite(np.array([1e300, -2.0]), name="values")


def test_check_finite_counts_what_is_not():
    with pytest.raises(ValueError, match="values must be finite; got 2 NaN or infinite values"):
        check_finite(np.array([np.nan, 1.0, np.inf]), name="values")


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2), np.int64(3)])
def test_check_length_accepts_numbers_above_0(value):
    check_length(value, name="cell")


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "2", None, np.array([1.0])])
def test_check_length_other_raises(value):
    with pytest.raises(ValueError, match="cell must be a positive number; got"):
        check_length(value, name="cell")


def test_check_triangles_accepts_existing_points():
    check_triangles(np.array([[0, 1, 2]]), 3, name="triangles")


@pytest.mark.parametrize(
    ("triangles", "message"),
    [
        (np.array([[0, 1, 3]]), "must index 0 to 2; got 0 to 3"),
        (np.array([[-1, 1, 2]]), "must index 0 to 2; got -1 to 2"),
        (np.zeros((1, 4), dtype=int), "must be integers of shape"),
        (np.zeros((1, 3)), "must be integers .* got float64"),
    ],
)
def test_check_triangles_other_raises(triangles, message):
    with pytest.raises(ValueError, match=f"triangles {message}"):
        check_triangles(triangles, 3, name="triangles")


def moved():
    matrix = np.eye(4)
    matrix[:3, 3] = 1.0, 2.0, 3.0
    return matrix


def test_check_transform_accepts_a_matrix():
    check_transform(moved(), name="target_from_source")


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3), r"must have shape \(4, 4\); got \(3, 3\)"),
        (np.full((4, 4), np.nan), "finite"),
        (2 * np.eye(4), r"must have the last row 0, 0, 0, 1; got \[0. 0. 0. 2.\]\."),
        (moved().T, r"must have the last row 0, 0, 0, 1; got \[1. 2. 3. 1.\]\. Transpose it"),
    ],
)
def test_check_transform_other_raises(matrix, message):
    with pytest.raises(ValueError, match=f"target_from_source .*{message}"):
        check_transform(matrix, name="target_from_source")
