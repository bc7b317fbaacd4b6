# SPDX-License-Identifier: Apache-2.0
"""What `benchmarks.make_anny_heads` packs is the same mesh on any machine."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.make_anny_heads import settle_ties

# A square, whose diagonals are the same, and a rhombus, whose second one is the shorter.
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]])
RHOMBUS = np.array([[5, 0, 0], [7, 1, 0], [9, 0, 0], [7, -1, 0.0]])
FIRST_WAY = [[0, 1, 2], [2, 3, 0]]
SECOND_WAY = [[0, 1, 3], [3, 1, 2]]


def cut(*ways):
    """Quads of four points each, one after the other, each cut in a way."""
    return np.concatenate([np.array(way) + 4 * k for k, way in enumerate(ways)]).astype(np.int32)


@pytest.mark.parametrize("way", [FIRST_WAY, SECOND_WAY])
@pytest.mark.parametrize("rounding", [-1e-7, 0.0, 1e-7])
def test_quad_of_two_like_diagonals_is_cut_one_way_however_it_was_rounded(way, rounding):
    points = SQUARE.copy()
    points[1, 0] += rounding

    settled = settle_ties(points, cut(way))

    assert settled.tolist() == SECOND_WAY


@pytest.mark.parametrize("way", [FIRST_WAY, SECOND_WAY])
def test_quad_with_a_shorter_diagonal_is_left_as_it_is(way):
    given = cut(way)

    assert settle_ties(RHOMBUS, given).tolist() == given.tolist()


def test_quads_are_found_behind_triangles_and_in_a_row():
    points = np.concatenate([RHOMBUS, SQUARE, SQUARE + 9])
    alone = np.array([[0, 5, 10]], np.int32)
    given = cut(SECOND_WAY, FIRST_WAY, FIRST_WAY)

    settled = settle_ties(points, np.concatenate([alone, given, alone]))

    expected = np.concatenate([alone, cut(SECOND_WAY, SECOND_WAY, SECOND_WAY), alone])
    assert settled.tolist() == expected.tolist()


def test_what_was_given_stays_as_it_is():
    given = cut(FIRST_WAY)

    settle_ties(SQUARE, given)

    assert given.tolist() == FIRST_WAY
