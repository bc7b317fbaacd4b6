# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palnet.evaluation import (
    compute_icc,
    compute_icc_interval,
    compute_relative_tem,
    compute_tem,
)

seeds = st.integers(0, 10**6)

# Six targets, four judges: table 2 of Shrout and Fleiss 1979.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]],
    dtype=float,
)


def values_of(seed, n=9, k=3):
    rng = np.random.default_rng(seed)
    return rng.normal(50, 5, (n, 1)) + rng.normal(0, 1, (n, k))


def test_compute_icc_of_the_published_example():
    # Table 4 there gives 0.29 for ICC(2, 1); the other digits are from their mean squares:
    # between 11.24, judges 32.49, error 1.02.
    assert compute_icc(SHROUT_FLEISS) == pytest.approx(0.2898, abs=5e-4)


def test_compute_icc_agrees_with_a_two_way_table_of_variances():
    values = values_of(3)
    n, k = values.shape
    grand = values.mean()
    squares = {"targets": 0.0, "judges": 0.0, "error": 0.0}
    for i in range(n):
        for j in range(k):
            squares["targets"] += (values[i].mean() - grand) ** 2 / (n - 1)
            squares["judges"] += (values[:, j].mean() - grand) ** 2 / (k - 1)
            rest = values[i, j] - values[i].mean() - values[:, j].mean() + grand
            squares["error"] += rest**2 / ((n - 1) * (k - 1))
    between, judges, error = squares.values()
    expected = (between - error) / (between + (k - 1) * error + k * (judges - error) / n)

    assert compute_icc(values) == pytest.approx(expected)


def test_compute_icc_is_lowered_by_an_annotator_with_an_offset():
    values = values_of(1)
    shifted = values + np.array([0.0, 0.0, 6.0])

    assert compute_icc(shifted) < compute_icc(values) - 0.1


@given(seeds, st.floats(0.1, 10), st.floats(-50, 50))
def test_compute_icc_is_unchanged_by_unit_and_zero(seed, scale, shift):
    values = values_of(seed)

    assert compute_icc(scale * values + shift) == pytest.approx(compute_icc(values), abs=1e-9)


@pytest.mark.parametrize(("value", "shape"), [(0.1, (3, 2)), (95.3, (7, 2)), (0.0, (2, 2))])
def test_compute_icc_without_any_variance_is_unknown(value, shape):
    assert np.isnan(compute_icc(np.full(shape, value)))


def test_compute_icc_of_equal_annotations_is_one():
    values = np.repeat(values_of(2)[:, :1], 3, axis=1)

    assert compute_icc(values) == pytest.approx(1.0)


# R 4.2.2, psych 2.2.9:
#   x <- rbind(c(9,2,5,8), c(6,1,3,2), c(8,4,6,8), c(7,1,2,6), c(10,5,6,9), c(6,2,4,7))
#   for (y in list(x, x[, c(1, 4)], x[1:3, 1:3], x[1:2, c(1, 4)]))
#     print(psych::ICC(y, lmer = FALSE)$results[2, c("ICC", "lower bound", "upper bound")])
@pytest.mark.parametrize(
    ("rows", "columns", "icc", "interval"),
    [
        (6, [0, 1, 2, 3], 0.289764, (0.018787, 0.761084)),
        (6, [0, 3], 0.647887, (-0.060069, 0.939149)),
        (3, [0, 1, 2], 0.185629, (-0.013548, 0.908665)),
        (2, [0, 3], 0.679245, (-0.275664, 0.999464)),
    ],
)
def test_compute_icc_interval_is_that_of_r(rows, columns, icc, interval):
    values = SHROUT_FLEISS[:rows, columns]

    assert compute_icc(values) == pytest.approx(icc, abs=1e-6)
    assert compute_icc_interval(values) == pytest.approx(interval, abs=1e-6)


@pytest.mark.parametrize(
    ("n", "k", "between", "offset"),
    [(2, 2, 1.0, 0.0), (3, 2, 0.0, 0.0), (20, 2, 3.0, 0.0), (20, 3, 3.0, 0.5), (50, 3, 1.0, 0.0)],
)
def test_compute_icc_interval_covers_the_true_share_in_95_percent(n, k, between, offset):
    rng = np.random.default_rng(n)
    n_studies = 2000
    studies = rng.normal(0, between, (n_studies, n, 1)) + rng.normal(0, 1, (n_studies, n, k))
    studies += rng.normal(0, offset, (n_studies, 1, k))
    share = between**2 / (between**2 + offset**2 + 1)

    limits = np.array([compute_icc_interval(values) for values in studies])

    # The standard error of a coverage is 0.5 percent; 20000 studies give 94.5 to 96.5 percent.
    covered = (limits[:, 0] <= share) & (share <= limits[:, 1])
    assert covered.mean() == pytest.approx(0.95, abs=0.02)


@given(seeds, st.integers(2, 6), st.integers(2, 4))
def test_compute_icc_interval_contains_the_icc(seed, n, k):
    values = np.random.default_rng(seed).normal(size=(n, k))  # nothing but noise: often negative
    low, high = compute_icc_interval(values)

    assert low <= compute_icc(values) <= high <= 1.0


@pytest.mark.parametrize(
    "values",
    [
        np.full((4, 2), 0.1),
        [[1.0, 2.0], [1.0, 2.0]],
        np.repeat(values_of(2)[:, :1], 3, axis=1),
        values_of(2)[:, :1] + [0.0, 0.3],
        np.full((4, 2), np.nan),
    ],
    ids=["no variance", "only an offset", "copies", "copies with an offset", "missing"],
)
def test_compute_icc_interval_without_differences_is_unknown(values):
    assert np.isnan(compute_icc_interval(values)).all()


@given(seeds)
def test_compute_tem_of_two_annotations_is_the_usual_formula(seed):
    values = values_of(seed, k=2)
    differences = values[:, 0] - values[:, 1]

    assert compute_tem(values) == pytest.approx(np.sqrt((differences**2).sum() / (2 * 9)))


def test_compute_tem_is_the_annotators_standard_deviation():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 30, (20_000, 1)) + rng.normal(0, 1.3, (20_000, 4))

    assert compute_tem(values) == pytest.approx(1.3, rel=0.01)


@given(seeds)
def test_compute_tem_of_positions_adds_up_from_the_axes_and_not_from_the_pose(seed):
    rng = np.random.default_rng(seed)
    positions = rng.normal(0, 40, (7, 1, 3)) + rng.normal(0, 1, (7, 3, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]

    by_axis = [compute_tem(positions[..., axis]) for axis in range(3)]

    assert compute_tem(positions) == pytest.approx(np.linalg.norm(by_axis))
    assert compute_tem(positions @ turn) == pytest.approx(compute_tem(positions))


@given(seeds, st.floats(0.01, 100))
def test_compute_relative_tem_knows_no_unit(seed, scale):
    values = values_of(seed)

    assert compute_relative_tem(scale * values) == pytest.approx(compute_relative_tem(values))
    expected = 100 * compute_tem(values) / values.mean()
    assert compute_relative_tem(values) == pytest.approx(expected)


def test_specimens_that_an_annotation_lacks_are_left_out():
    values = values_of(5)
    holed = np.vstack([values, [[np.nan, 1.0, 2.0]]])
    masked = np.ma.masked_equal(np.vstack([values, [[-999.0, 1.0, 2.0]]]), -999.0)

    for figure in (compute_tem, compute_relative_tem, compute_icc, compute_icc_interval):
        assert figure(holed) == figure(values)
        assert figure(masked) == figure(values)


@pytest.mark.parametrize("shape", [(0, 3), (5, 1), (0, 1)])
def test_figures_without_two_annotations_are_unknown(shape):
    values = np.ones(shape)

    for figure in (compute_tem, compute_relative_tem, compute_icc, compute_icc_interval):
        assert np.isnan(figure(values)).all()


@pytest.mark.parametrize("compute", [compute_tem, compute_relative_tem, compute_icc])
def test_a_table_of_any_kind_is_taken_and_a_single_column_is_refused(compute):
    assert compute(SHROUT_FLEISS.tolist()) == compute(SHROUT_FLEISS)
    with pytest.raises(ValueError, match=r"shape \(n_specimens, n_annotations\); got \(6,\)"):
        compute(SHROUT_FLEISS[:, 0])


@pytest.mark.parametrize("compute", [compute_relative_tem, compute_icc, compute_icc_interval])
def test_positions_have_no_mean_to_compare_with(compute):
    with pytest.raises(ValueError, match=r"got \(6, 4, 1\)"):
        compute(SHROUT_FLEISS[:, :, None])
