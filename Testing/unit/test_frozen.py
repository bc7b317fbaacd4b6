# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet._frozen import freeze, frozen, frozen_copy


def test_frozen_copy_shares_nothing_and_cannot_be_written_to():
    values = np.ones(3)
    copy = frozen_copy(values)
    values[0] = 7

    assert copy[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        copy[0] = 2


def test_frozen_takes_what_nobody_can_change_as_it_is():
    values = np.arange(6.0)
    freeze(values)

    assert frozen(values) is values
    assert frozen(values.reshape(3, 2)).base is values


def reversed_rows():
    values = np.arange(6.0).reshape(3, 2)[::-1]
    freeze(values)
    return values


def read_only_view():
    values = np.arange(6.0)[:]
    values.flags.writeable = False
    return values


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6.0),
        read_only_view(),
        reversed_rows(),
        np.frombuffer(bytearray(8)),
        np.arange(6),
        [1.0, 2.0],
    ],
)
def test_frozen_copies_everything_else(values):
    kept = frozen(values)

    assert not np.shares_memory(kept, values)
    assert not kept.flags.writeable
    assert kept.flags.c_contiguous
    np.testing.assert_array_equal(kept, values)


def test_freeze_reaches_what_an_array_is_a_view_of():
    values = np.arange(6.0)

    freeze(values.reshape(3, 2))

    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1.0
