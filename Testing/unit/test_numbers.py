# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from palnet._numbers import to_numbers


def test_numbers_are_returned_without_a_copy():
    values = np.arange(6.0).reshape(2, 3)

    assert to_numbers(values, name="values") is values


@pytest.mark.parametrize(
    "values",
    [
        [[0, 1, 2], [3, 4, 5]],
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.arange(6, dtype=np.float32).reshape(3, 2).T.reshape(2, 3, order="F"),
        np.arange(12).reshape(2, 6)[:, :3] - np.array([[0], [3]]),
        [["0", "1", "2"], ["3", "4", "5"]],
        np.ma.masked_array(np.arange(6).reshape(2, 3)),
    ],
)
def test_numbers_of_every_kind_are_taken(values):
    taken = to_numbers(values, name="values")

    assert taken.dtype == np.float64
    np.testing.assert_array_equal(taken, np.array(values).astype(float))


def test_what_lies_under_a_mask_is_no_number():
    values = np.ma.masked_array([[1, 999], [3, 4]], mask=[[False, True], [False, False]])

    np.testing.assert_array_equal(to_numbers(values, name="values"), [[1, np.nan], [3, 4]])
    assert values.data[0, 1] == 999


@pytest.mark.parametrize(
    "values",
    [
        [np.ma.masked_equal([1, 999], 999), [3, 4]],
        (np.ma.masked_equal([1.0, 999], 999), np.ma.masked_array([3.0, 4])),
        [[1, np.ma.masked], [3, 4]],
        [[np.ma.masked_array(1), np.ma.masked_array(999, mask=True)], np.array([3, 4])],
    ],
)
def test_what_lies_under_a_mask_in_a_list_is_no_number(values):
    np.testing.assert_array_equal(to_numbers(values, name="values"), [[1, np.nan], [3, 4]])


def test_none_in_a_table_is_no_number():
    np.testing.assert_array_equal(to_numbers([1, None], name="values"), [1, np.nan])


@pytest.mark.parametrize(
    ("values", "got"),
    [
        ([[0, 1, 2], [3, 4]], "list"),
        ("face.ply", "str"),
        ({"x": 1}, "dict"),
        (np.array([1j]), "ndarray"),
        (np.array([date(2026, 1, 1)], dtype="M8"), "ndarray"),
        ([["P01", 1, 2]], "list"),
        ([np.ma.masked_array([1, 2]), [3]], "list"),
        ([10**400], "list"),
    ],
)
def test_other_values_are_refused_by_their_name(values, got):
    with pytest.raises(ValueError, match=rf"^points must be real numbers.*got {got} \(.*\)\. Give"):
        to_numbers(values, name="points")
