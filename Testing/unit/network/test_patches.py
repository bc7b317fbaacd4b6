# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palnet.network.patches import (
    COARSE_RADIUS_MM,
    FINE_RADIUS_MM,
    RANKS,
    FaceClouds,
    Patches,
    gather_patches,
)
from palnet.surface import PointCloud

seeds = st.integers(0, 2**32 - 1)


def make_cloud(rng, n_points, spread_mm):
    normals = rng.normal(size=(n_points, 3))
    return PointCloud(
        rng.normal(0, spread_mm, (n_points, 3)),
        normals / np.linalg.norm(normals, axis=1, keepdims=True),
    )


def make_input(seed, n_fine=400, n_coarse=400):
    rng = np.random.default_rng(seed)
    clouds = FaceClouds(make_cloud(rng, n_fine, 8.0), make_cloud(rng, n_coarse, 20.0))
    return clouds, rng.normal(0, 5, (4, 3))


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
    clouds, centres = make_input(seed, n_fine=n_fine)

    patches = gather_patches(clouds, centres, np.array(ranks))

    assert patches.points.shape == (4, 2 * len(ranks), 6)
    for row, centre in enumerate(centres):
        near, near_share = naive_half(clouds.fine, centre, ranks, FINE_RADIUS_MM)
        far, far_share = naive_half(clouds.coarse, centre, ranks, COARSE_RADIUS_MM)
        np.testing.assert_allclose(patches.points[row], np.concatenate([near, far]), atol=1e-5)
        np.testing.assert_allclose(patches.share[row], [near_share, far_share], atol=1e-6)


def test_patches_are_read_only_copies():
    clouds, centres = make_input(5)
    patches = gather_patches(clouds, centres)

    centres[:] = 0

    assert patches.centres_mm.any()
    with pytest.raises(ValueError, match="read-only"):
        patches.points[0] = 0


def test_patches_of_a_wrong_shape_raise():
    with pytest.raises(ValueError, match=r"points must have shape \(2, n_points, 6\)"):
        Patches(np.zeros((2, 3)), np.zeros((2, 8, 5), np.float32), np.zeros((2, 2), np.float32))
