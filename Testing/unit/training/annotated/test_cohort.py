# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from palnet.errors import TrainingError
from palnet.network.paper_patches import finish_landmarks
from palnet.training.annotated.cohort import (
    AlignedScan,
    find_outliers,
    gather_sorted_patches,
    mean_landmarks,
)

NAN = np.nan


def a_scan(name="a", n_points=400, truth=None, seed=0):
    rng = np.random.default_rng(seed)
    cloud = rng.normal(0, 40, (n_points, 3)).astype(np.float32)
    truth = rng.normal(0, 40, (4, 3)) if truth is None else np.asarray(truth, dtype=float)
    return AlignedScan(name, name, cloud, truth)


def test_mean_leaves_out_what_is_missing():
    first = [[0, 0, 0], [1, 2, 3]]
    second = [[2, 4, 6], [NAN] * 3]

    means = mean_landmarks([a_scan(truth=first), a_scan(truth=second)])

    np.testing.assert_array_equal(means, [[1, 2, 3], [1, 2, 3]])


def test_mean_of_a_landmark_that_nobody_has_is_named():
    scan = a_scan(truth=[[0, 0, 0], [NAN] * 3])

    with pytest.raises(TrainingError, match="no training scan of 2 has landmark prn"):
        mean_landmarks([scan, scan], ["n", "prn"])


def test_patches_equal_a_sort_of_all_distances():
    scans = [a_scan(seed=seed) for seed in (1, 2)]
    means = np.array([[0, 10, 30.0], [-20, 5, 1], [60, 60, 60], [0, 0, 0]])

    found = gather_sorted_patches(scans, means, 25)

    for row, scan in enumerate(scans):
        for landmark, mean in enumerate(means):
            start = min(scan.cloud_mm, key=lambda p, m=mean: math.dist(p, m))
            nearest = sorted(scan.cloud_mm, key=lambda p, s=start: math.dist(p, s))[:25]
            by_origin = sorted(nearest, key=lambda p: math.dist(p, (0, 0, 0)))
            np.testing.assert_array_equal(found.starts_mm[row, landmark], start)
            np.testing.assert_array_equal(found.patches[row, landmark], by_origin)


def test_patches_do_not_depend_on_the_truth():
    scan = a_scan()
    other = AlignedScan("a", "a", scan.cloud_mm, np.full((4, 3), NAN))
    means = np.zeros((4, 3))

    found, blind = (gather_sorted_patches([each], means, 30) for each in (scan, other))

    np.testing.assert_array_equal(found.patches, blind.patches)
    np.testing.assert_array_equal(found.starts_mm, blind.starts_mm)
    assert found.known.all()
    assert not blind.known.any()
    assert not blind.truth_mm.any()


def test_small_surface_fills_its_patches_by_repeating():
    scan = a_scan(n_points=7)

    patch = gather_sorted_patches([scan], np.zeros((1, 3)), 20).patches[0, 0]

    points, counts = np.unique(patch, axis=0, return_counts=True)
    np.testing.assert_array_equal(points, np.unique(scan.cloud_mm, axis=0))
    assert sorted(counts.tolist()) == [2] + [3] * 6


@pytest.mark.parametrize(("finish", "n_nearest"), [("closest", 1), ("average", 12)])
def test_finish_is_the_mean_of_the_nearest(finish, n_nearest):
    cloud = a_scan().cloud_mm
    predicted = np.random.default_rng(3).normal(0, 40, (5, 3))

    finished = finish_landmarks(cloud, predicted, finish)

    for place, point in zip(finished, predicted, strict=True):
        nearest = sorted(cloud, key=lambda p, q=point: math.dist(p, q))[:n_nearest]
        np.testing.assert_allclose(place, np.mean(nearest, axis=0), atol=1e-4)


def fifty(shift, missing=0):
    truth = np.random.default_rng(4).normal(0, 40, (50, 3))
    truth[:, 0] += shift
    truth[:missing] = NAN
    return truth


@pytest.mark.parametrize("missing", [0, 20])
def test_outliers_are_those_beyond_the_published_norm(missing):
    # 120 mm over 50 landmarks is a shift of 16.97 mm, however many are missing.
    shifts = {"middle": 0, "again": 0, "near": 16.9, "far": 17.0, "other side": -17.0}
    scans = [a_scan(name, truth=fifty(shift, missing)) for name, shift in shifts.items()]

    assert find_outliers(scans, 120.0) == ["far", "other side"]


def test_outliers_are_the_same_whichever_scan_is_first():
    """The first was what all were held against, so that another name left out other scans."""
    scans = [a_scan(str(shift), truth=fifty(shift)) for shift in (90, 0, 1, 10, 19)]
    scans.append(AlignedScan("part", "part", scans[0].cloud_mm, fifty(2, missing=30)))

    for ordered in permutations(scans, len(scans)):
        assert set(find_outliers(ordered, 120.0)) == {"90"}


def test_scans_in_no_common_frame_are_refused():
    scans = [a_scan(str(shift), truth=fifty(shift)) for shift in (0, 40, 80, 120)]

    with pytest.raises(TrainingError, match="4 of 4 scans lie over 120 mm from where the median"):
        find_outliers(scans, 120.0)


def test_convention_scan_keeps_its_own_read_only_copy():
    truth = fifty(0)
    scan = a_scan(truth=truth)

    truth[:] = 0

    assert scan.truth_mm.any()
    with pytest.raises(ValueError, match="read-only"):
        scan.cloud_mm[0] = 0
