# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet.synthesis import lids
from palnet.synthesis.lids import INNER_CORNER_MM, OUTER_CORNER_MM, UNDER_MM, reshape_lids

MIRROR = np.array([-1, 1, 1], dtype=np.float32)


def make_eyes():
    """Two closed eyes on a template: lids that meet in a slit, and the eyeball behind it.

    Points of the right eye first, then the same of the left one, mirrored; which are eyeball.
    """
    inner, outer = np.array(INNER_CORNER_MM), np.array(OUTER_CORNER_MM)
    middle = (inner + outer) / 2
    across = (outer - inner) / np.linalg.norm(outer - inner)
    x, y = (v.ravel() for v in np.meshgrid(np.arange(-30, 30.1, 0.6), np.arange(-30, 30.1, 0.6)))
    z = -(x**2 + y**2) / 90
    # From corner to corner the skin goes 3 mm inwards where the lids meet.
    z -= 3 * np.exp(-((y / 0.8) ** 2)) * (np.abs(x) < 14)
    skin = middle + np.outer(x, across) + np.outer(y, [0, 1, 0]) + np.outer(z, [0, 0, 1])
    unit = np.random.default_rng(1).normal(size=(800, 3))
    ball = middle + [0, 0, -13] + 12 * unit / np.linalg.norm(unit, axis=1, keepdims=True)
    left = np.concatenate([[inner, outer], skin, ball]).astype(np.float32)
    is_ball = np.r_[np.zeros(len(left) - len(ball), bool), np.ones(len(ball), bool)]
    return np.concatenate([left * MIRROR, left]), np.r_[is_ball, is_ball]


@pytest.fixture
def the_eyes():
    return make_eyes()


@pytest.fixture
def even(monkeypatch):
    """Both eyes alike and where they were, and lids without folds."""
    monkeypatch.setattr(lids, "UNEVEN", 0.0)
    monkeypatch.setattr(lids, "SHIFT_SHARE", 0.0)
    monkeypatch.setattr(lids, "_draw_relief", lambda rng, with_slit: [])


def reshape(eyes, seed, *, closed=True, size=1.0):
    points, is_ball = eyes
    scaled = (np.float32(size) * points).astype(np.float32)
    return reshape_lids(scaled, points, is_ball, size, np.random.default_rng(seed), closed=closed)


def from_middle(points):
    """Offsets of the points of the left eye from the middle between its corners."""
    middle = (np.array(INNER_CORNER_MM) + np.array(OUTER_CORNER_MM)) / 2
    return points[len(points) // 2 :] - middle


def test_sealed_lids_are_one_sheet_without_the_slit(the_eyes, even, monkeypatch):
    monkeypatch.setattr(lids, "SEALED_SHARE", 1.0)
    monkeypatch.setattr(lids, "SEAL_WIDTH_MM", (2.0, 2.0))
    points, is_ball = the_eyes

    sealed, is_covered, about = reshape(the_eyes, 1)

    assert about == {"lids_sealed": True}
    half = len(points) // 2
    skin = ~is_ball[half:]
    x, y = from_middle(points)[:, :2].T
    rises = (OUTER_CORNER_MM[1] - INNER_CORNER_MM[1]) / (OUTER_CORNER_MM[0] - INNER_CORNER_MM[0])
    in_slit = skin & (np.abs(y - rises * x) < 0.2) & (np.abs(x) < 8)
    before, after = (from_middle(p)[in_slit, 2] for p in (points, sealed))
    assert in_slit.sum() > 10
    # Three millimeters deep before; a groove that is narrower than the blur is nearly gone.
    assert (after - before > 1.5).all()
    shown = ~is_covered[half:] & (np.hypot(*from_middle(sealed)[:, :2].T) < 11)
    flat, out = from_middle(sealed)[shown, :2], from_middle(sealed)[shown, 2]
    # All that is shown lies on one smooth surface: a paraboloid explains it.
    columns = np.stack([np.ones(len(flat)), *flat.T, *(flat**2).T, flat[:, 0] * flat[:, 1]], axis=1)
    left_mm = out - columns @ np.linalg.lstsq(columns, out, rcond=None)[0]
    assert np.abs(left_mm).max() < 1.6
    assert np.sqrt(np.mean(left_mm**2)) < 0.5


def test_eyeball_is_covered_by_sealed_lids_or_lies_right_under_them(the_eyes, even, monkeypatch):
    monkeypatch.setattr(lids, "SEALED_SHARE", 1.0)
    points, is_ball = the_eyes

    sealed, is_covered, _ = reshape(the_eyes, 1)

    half = len(points) // 2
    offsets = from_middle(sealed)
    near = np.hypot(*offsets[:, :2].T) < 10
    skin = offsets[near & ~is_ball[half:]]
    shown_ball = offsets[near & is_ball[half:] & ~is_covered[half:]]
    assert len(shown_ball) > 50
    assert is_covered[is_ball].mean() > 0.4
    for offset in shown_ball:
        nearest = skin[np.linalg.norm(skin[:, :2] - offset[:2], axis=1).argmin()]
        assert offset[2] < nearest[2] + 0.3


def test_corners_of_the_eye_stay_corners_of_the_slit(the_eyes, monkeypatch):
    """The groove between closed lids runs from corner to corner and hangs between them."""
    monkeypatch.setattr(lids, "UNEVEN", 0.0)
    monkeypatch.setattr(lids, "SHIFT_SHARE", 0.0)
    monkeypatch.setattr(lids, "SEALED_SHARE", 0.0)
    slit = lids._Groove(1.0, 0.6, 0.0, -4.0, (-1.02, 1.02))
    monkeypatch.setattr(lids, "_draw_relief", lambda rng, with_slit: [slit])
    points, is_ball = the_eyes

    grooved, _, _ = reshape(the_eyes, 1)

    half = len(points) // 2
    depth = np.linalg.norm(grooved - points, axis=1)[half:]
    offsets = from_middle(points)
    for corner in (half, half + 1):
        assert np.linalg.norm(grooved[corner] - points[corner]) > 0.5
    in_middle = (np.abs(offsets[:, 0]) < 0.8) & ~is_ball[half:]
    assert offsets[in_middle][depth[in_middle].argmax(), 1] == pytest.approx(-4, abs=0.5)
    assert depth[offsets[:, 1] > 3].max() < 0.05


def test_outer_corners_of_sealed_lids_lie_lower(the_eyes, even, monkeypatch):
    monkeypatch.setattr(lids, "SEALED_SHARE", 1.0)
    monkeypatch.setattr(lids, "DROP_MM", (2.0, 2.0))
    points, _ = the_eyes
    half = len(points) // 2

    closed, _, _ = reshape(the_eyes, 1)
    opened, _, _ = reshape(the_eyes, 1, closed=False)

    for first in (0, half):
        inner, outer = closed[first : first + 2, 1] - points[first : first + 2, 1]
        assert inner == pytest.approx(0, abs=0.05)
        assert outer == pytest.approx(-2, abs=0.1)
    np.testing.assert_allclose(opened[:, 1], points[:, 1], atol=1e-4)


def test_slits_end_at_the_points_that_the_source_names(the_eyes, even, monkeypatch):
    monkeypatch.setattr(lids, "SEALED_SHARE", 1.0)
    monkeypatch.setattr(lids, "DROP_MM", (0.0, 0.0))
    points, _ = the_eyes
    half = len(points) // 2
    beside_mm = points[half:, :2] - (points[half + 1, :2] + [2.5, -1.0])
    end = half + int(np.linalg.norm(beside_mm, axis=1).argmin())
    ends = [end - half, end]

    def depth_at_end(slit_ends):
        slit = lids._Groove(1.5, 0.8, 0.0, -3.0, (-1.02, 1.02))
        bare, grooved = (
            _with_relief(the_eyes, relief, slit_ends, monkeypatch) for relief in ([], [slit])
        )
        return np.linalg.norm(grooved - bare, axis=1)[ends]

    assert (depth_at_end(ends) > 0.6).all()
    assert (depth_at_end([]) < 0.3).all()


def _with_relief(eyes, relief, slit_ends, monkeypatch):
    monkeypatch.setattr(lids, "_draw_relief", lambda rng, with_slit: relief)
    points, is_ball = eyes
    rng = np.random.default_rng(1)
    return reshape_lids(points, points, is_ball, 1.0, rng, closed=True, slit_ends=slit_ends)[0]


def test_upper_lid_stands_out_over_the_slit_alone():
    along = np.zeros(5, dtype=np.float32)
    up = np.array([-8, -5, -3, 0, 8], dtype=np.float32)  # the slit hangs to -4

    out_mm = lids._UpperLid(1.0, 3.0, -4.0).outwards_mm(along, up)

    assert out_mm[:2].max() < 0.05
    assert out_mm[2] > 0.8
    assert 0 < out_mm[4] < out_mm[3] < out_mm[2]
    beside = lids._UpperLid(1.0, 3.0, -4.0).outwards_mm(along + 1.4, up)
    assert beside.max() < 0.01


def test_folds_do_not_move_an_eyeball_that_is_seen(the_eyes, monkeypatch):
    monkeypatch.setattr(lids, "SHIFT_SHARE", 0.0)
    monkeypatch.setattr(lids, "BLURRED_SHARE", 0.0)
    points, is_ball = the_eyes

    moved = []
    for seed in range(20):
        folded, is_covered, about = reshape(the_eyes, seed, closed=False)
        assert about == {"lids_sealed": False}
        assert not is_covered.any()
        np.testing.assert_array_equal(folded[is_ball], points[is_ball])
        moved.append(np.abs(folded - points).max())

    assert 0.4 < np.mean(np.array(moved) > 0.2) <= 1
    assert max(moved) < 12


def test_shifted_eyes_take_all_that_is_theirs_along(the_eyes, monkeypatch):
    monkeypatch.setattr(lids, "UNEVEN", 0.0)
    monkeypatch.setattr(lids, "SHIFT_SHARE", 1.0)
    monkeypatch.setattr(lids, "BLURRED_SHARE", 0.0)
    monkeypatch.setattr(lids, "_draw_relief", lambda rng, with_slit: [])
    points, is_ball = the_eyes

    shifts = []
    for seed in range(30):
        shifted, _, _ = reshape(the_eyes, seed, closed=False)
        move = shifted - points
        half = len(points) // 2
        # Both corners and the front of the eyeball alike, the other eye as its mirror image.
        front = np.flatnonzero(is_ball[half:] & (np.hypot(*from_middle(points)[:, :2].T) < 3))
        whole = move[half + front].mean(axis=0)
        # The move of the other eye reaches a little way over the nose.
        apart_mm = 0.02 + 0.15 * np.abs(whole).max()
        np.testing.assert_allclose(move[half], move[half + 1], atol=apart_mm)
        assert np.linalg.norm(move[half] - whole) < 0.75 * np.linalg.norm(whole)
        np.testing.assert_allclose(move[:half] * MIRROR, move[half:], atol=1e-4)
        shifts.append(whole)

    up_mm = np.array(shifts)[:, 1]
    assert 2.0 < up_mm.std() < 6
    assert up_mm.min() < 0 < up_mm.max()


@pytest.mark.parametrize("closed", [True, False])
def test_nothing_is_moved_away_from_the_eyes(the_eyes, closed, monkeypatch):
    monkeypatch.setattr(lids, "SHIFT_SHARE", 0.0)
    points, is_ball = the_eyes
    far = np.concatenate([points, points + np.array([0, -90, 0], dtype=np.float32)])
    eyes = far, np.r_[is_ball, np.zeros_like(is_ball)]

    for seed in range(10):
        reshaped, is_covered, _ = reshape(eyes, seed, closed=closed)

        np.testing.assert_allclose(reshaped[len(points) :], far[len(points) :], atol=1e-4)
        assert not is_covered[len(points) :].any()


@pytest.mark.parametrize("closed", [True, False])
def test_lids_of_a_small_head_are_changed_as_much_less(the_eyes, closed):
    for seed in range(6):
        large, covered, _ = reshape(the_eyes, seed, closed=closed)
        small, covered_too, _ = reshape(the_eyes, seed, closed=closed, size=0.5)

        np.testing.assert_allclose(2 * small, large, atol=0.02)
        np.testing.assert_array_equal(covered, covered_too)


@pytest.mark.parametrize("closed", [True, False])
def test_eyes_are_mirror_images_where_they_are_drawn_even(the_eyes, closed, monkeypatch):
    monkeypatch.setattr(lids, "UNEVEN", 0.0)
    half = len(the_eyes[0]) // 2

    for seed in range(6):
        reshaped, is_covered, _ = reshape(the_eyes, seed, closed=closed)

        apart_mm = np.linalg.norm(reshaped[:half] * MIRROR - reshaped[half:], axis=1)
        # Rounding decides of a few in which cell of the sheet they are.
        assert np.quantile(apart_mm, 0.999) < 0.05
        assert apart_mm.max() < UNDER_MM + 0.05
        assert np.mean(is_covered[:half] != is_covered[half:]) < 0.001


def test_drawing_leaves_its_input_as_it_was(the_eyes):
    points, is_ball = the_eyes
    before = points.copy()

    reshape_lids(points, points, is_ball, 1.0, np.random.default_rng(1), closed=True)

    np.testing.assert_array_equal(points, before)
