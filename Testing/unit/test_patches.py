# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palnet.patches import (
    COARSE_RADIUS_MM,
    FINE_RADIUS_MM,
    RANKS,
    Patches,
    gather_patches,
)
from palnet.surface import PointCloud

EMPTY = PointCloud(np.zeros((0, 3)), np.zeros((0, 3)))
seeds = st.integers(0, 2**32 - 1)


def make_cloud(rng, n_points, spread_mm):
    normals = rng.normal(size=(n_points, 3))
    return PointCloud(
        rng.normal(0, spread_mm, (n_points, 3)),
        normals / np.linalg.norm(normals, axis=1, keepdims=True),
    )


def make_input(seed, n_fine=400, n_coarse=400):
    rng = np.random.default_rng(seed)
    fine, coarse = make_cloud(rng, n_fine, 8.0), make_cloud(rng, n_coarse, 20.0)
    return fine, coarse, rng.normal(0, 5, (4, 3))


def naive_half(cloud, centre, ranks, radius_mm):
    """Sort all points by distance; repeat the nearest where too few are in reach."""
    apart = cloud.points_mm - centre
    distance = np.sqrt((apart**2).sum(axis=1))
    order = [i for i in np.argsort(distance) if distance[i] <= radius_mm]
    taken = [order[rank - 1] for rank in ranks if rank <= len(order)]
    share = len(taken) / len(ranks)
    if not taken:
        return np.zeros((len(ranks), 6)), share
    taken += [taken[0]] * (len(ranks) - len(taken))
    return np.concatenate([apart[taken], cloud.normals[taken]], axis=1), share


@given(
    seeds,
    st.sampled_from([[1], [1, 2, 3, 4, 5], list(RANKS), list(range(1, 129))]),
    st.sampled_from([0, 1, 20, 400]),
)
def test_patches_are_the_points_of_these_ranks(seed, ranks, n_fine):
    fine, coarse, centres = make_input(seed, n_fine=n_fine)

    patches = gather_patches(fine, coarse, centres, np.array(ranks))

    assert patches.points.shape == (4, 2 * len(ranks), 6)
    for row, centre in enumerate(centres):
        near, near_share = naive_half(fine, centre, ranks, FINE_RADIUS_MM)
        far, far_share = naive_half(coarse, centre, ranks, COARSE_RADIUS_MM)
        np.testing.assert_allclose(patches.points[row], np.concatenate([near, far]), atol=1e-5)
        np.testing.assert_allclose(patches.share[row], [near_share, far_share], atol=1e-6)


@given(seeds)
def test_order_of_the_points_changes_nothing(seed):
    fine, coarse, centres = make_input(seed)
    rng = np.random.default_rng([seed, 1])
    shuffled = []
    for cloud in (fine, coarse):
        order = rng.permutation(len(cloud.points_mm))
        shuffled.append(PointCloud(cloud.points_mm[order], cloud.normals[order]))

    first, second = gather_patches(fine, coarse, centres), gather_patches(*shuffled, centres)

    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.share, second.share)


@given(seeds)
def test_moving_all_changes_only_the_centres(seed):
    fine, coarse, centres = make_input(seed)
    shift = np.random.default_rng([seed, 2]).normal(0, 100, 3)
    moved = [PointCloud(cloud.points_mm + shift, cloud.normals) for cloud in (fine, coarse)]

    here, there = gather_patches(fine, coarse, centres), gather_patches(*moved, centres + shift)

    np.testing.assert_allclose(there.points, here.points, atol=1e-4)
    np.testing.assert_array_equal(there.share, here.share)
    np.testing.assert_allclose(there.centres_mm - here.centres_mm, shift[None] + np.zeros((4, 3)))


def test_nothing_beyond_the_radius_is_taken():
    fine, coarse, centres = make_input(3)

    patches = gather_patches(fine, coarse, centres)

    radius = np.linalg.norm(patches.points[..., :3], axis=2)
    assert radius[:, : len(RANKS)].max() <= FINE_RADIUS_MM * (1 + 1e-6)
    assert radius[:, len(RANKS) :].max() <= COARSE_RADIUS_MM * (1 + 1e-6)


def test_empty_clouds_give_zeros():
    patches = gather_patches(EMPTY, EMPTY, np.zeros((3, 3)))

    assert patches.points.shape == (3, 2 * len(RANKS), 6)
    assert not patches.points.any()
    assert not patches.share.any()


def test_centre_out_of_reach_of_one_cloud_gives_zeros_in_that_half():
    fine, coarse, _ = make_input(4)
    far = np.array([[500.0, 0, 0]])

    patches = gather_patches(PointCloud(fine.points_mm + far, fine.normals), coarse, far)

    assert patches.points[0, : len(RANKS)].any()
    assert not patches.points[0, len(RANKS) :].any()
    assert patches.share[0, 1] == 0


def test_patches_are_read_only_copies():
    fine, coarse, centres = make_input(5)
    patches = gather_patches(fine, coarse, centres)

    centres[:] = 0

    assert patches.centres_mm.any()
    with pytest.raises(ValueError, match="read-only"):
        patches.points[0] = 0


def test_patches_of_a_wrong_shape_raise():
    with pytest.raises(ValueError, match=r"points must have shape \(2, n_points, 6\)"):
        Patches(np.zeros((2, 3)), np.zeros((2, 8, 5), np.float32), np.zeros((2, 2), np.float32))
