# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palnet.face.atlas import FaceAtlas
from toy_head import toy_atlas, toy_model, toy_scheme


def test_arrays_round_trip_within_a_hundredth_of_a_millimetre():
    atlas = toy_atlas()
    stream = io.BytesIO()
    np.savez(stream, **atlas.to_arrays())
    stream.seek(0)

    with np.load(stream, allow_pickle=False) as arrays:
        again = FaceAtlas.from_arrays(dict(arrays))

    weights = np.random.default_rng(1).normal(size=(20, atlas.n_modes))
    for row in weights:
        for shape in ("shape_points", "shape_landmarks"):
            apart = getattr(again, shape)(row) - getattr(atlas, shape)(row)
            # Half precision of modes up to 8 mm long: measured 0.004 mm.
            assert np.linalg.norm(apart, axis=1).max() < 0.01
    np.testing.assert_allclose(again.normals, atlas.normals, atol=1e-5)
    np.testing.assert_array_equal(again.core, atlas.core)


def test_arrays_without_one_of_them_raise():
    arrays = toy_atlas().to_arrays()
    del arrays["core"]

    with pytest.raises(KeyError, match="core"):
        FaceAtlas.from_arrays(arrays)


@pytest.mark.parametrize(
    ("name", "rows"),
    [("modes_mm", 5), ("normals", 7), ("core", 7), ("landmark_modes_mm", 3)],
)
def test_arrays_that_do_not_fit_together_raise(name, rows):
    arrays = toy_atlas().to_arrays()
    broken = arrays[name][:, :rows] if arrays[name].ndim == 3 else arrays[name][:rows]

    with pytest.raises(ValueError, match=f"{name} must have shape"):
        FaceAtlas.from_arrays(arrays | {name: broken})


@pytest.mark.parametrize(
    "name", ["mean_mm", "normals", "modes_mm", "landmark_mean_mm", "landmark_modes_mm"]
)
def test_points_that_are_not_finite_raise(name):
    arrays = toy_atlas().to_arrays()
    arrays[name][..., 3, 1] = np.nan

    with pytest.raises(ValueError, match=f"{name} must be finite"):
        FaceAtlas.from_arrays(arrays)


@pytest.mark.parametrize("name", ["mean_mm", "landmark_mean_mm"])
def test_points_without_three_coordinates_raise(name):
    arrays = toy_atlas().to_arrays()

    with pytest.raises(ValueError, match=rf"{name} must have shape \(n_points, 3\)"):
        FaceAtlas.from_arrays(arrays | {name: arrays[name][:, :2]})


def test_atlas_keeps_read_only_copies():
    arrays = toy_atlas().to_arrays()
    atlas = FaceAtlas.from_arrays(arrays)
    before = atlas.mean_mm.copy()

    arrays["mean_mm"][:] = 0

    np.testing.assert_array_equal(atlas.mean_mm, before)
    with pytest.raises(ValueError, match="read-only"):
        atlas.modes_mm[0] = 0


@given(st.integers(0, 16), st.integers(0, 2**32 - 1))
def test_shape_is_the_mean_and_a_weighted_sum_of_the_first_modes(n_modes, seed):
    atlas = toy_atlas()
    weights = np.random.default_rng(seed).normal(size=n_modes)

    points, landmarks = atlas.shape_points(weights), atlas.shape_landmarks(weights)

    expected = atlas.mean_mm.copy()
    expected_landmarks = atlas.landmark_mean_mm.copy()
    for weight, mode, moved in zip(weights, atlas.modes_mm, atlas.landmark_modes_mm, strict=False):
        expected += weight * mode
        expected_landmarks += weight * moved
    np.testing.assert_allclose(points, expected, atol=1e-5)
    np.testing.assert_allclose(landmarks, expected_landmarks, atol=1e-5)


def test_modes_by_point_are_the_same_modes():
    atlas = toy_atlas()

    by_point = atlas.modes_by_point

    np.testing.assert_array_equal(by_point[7, 2], atlas.modes_mm[:, 7, 2])
    np.testing.assert_array_equal(by_point.transpose(2, 0, 1), atlas.modes_mm)


def test_convention_left_is_plus_x_and_front_is_plus_z():
    atlas, scheme = toy_atlas(), toy_scheme()
    row = dict(zip(scheme.codes, atlas.landmark_mean_mm, strict=True))

    assert row["ex_l"][0] > 30 > -30 > row["ex_r"][0]
    assert row["n"][1] > row["prn"][1] > row["gn"][1]
    assert row["prn"][2] > row["sn"][2] > row["t_l"][2]


def test_normals_are_outward_unit_vectors():
    atlas = toy_atlas()

    outward = np.einsum("ij,ij->i", atlas.normals, atlas.mean_mm - [0, 10, 0])

    np.testing.assert_allclose(np.linalg.norm(atlas.normals, axis=1), 1, atol=1e-5)
    assert (outward > 0).mean() > 0.97


def test_core_is_the_face_proper():
    atlas = toy_atlas()
    core = atlas.mean_mm[atlas.core]

    assert 0.3 < atlas.core.mean() < 0.9
    assert np.abs(core[:, 0]).max() < 70
    assert core[:, 2].min() > 30
    eyes = toy_model().neutral_mm[toy_model().is_eyeball]
    apart = np.linalg.norm(core[:, None] - eyes[None, ::4], axis=2).min(axis=1)
    assert apart.min() > 0.5
