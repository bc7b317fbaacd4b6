# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from palnet.exchange import read_landmarks, write_landmarks
from palnet.landmarks import PLACED
from palnet.scheme import LandmarkDefinition, Scheme


@pytest.mark.parametrize("name", ["positions", "expected_error_mm"])
def test_arrays_are_copies_that_cannot_be_written_to(a_landmark_set, name):
    given = np.array(getattr(a_landmark_set, name))
    copy = replace(a_landmark_set, **{name: given})
    given[0] = 7.0

    np.testing.assert_array_equal(getattr(copy, name), getattr(a_landmark_set, name))
    with pytest.raises(ValueError, match="read-only"):
        getattr(copy, name)[0] = 0.0


def test_masked_position_of_a_missing_landmark_is_none(a_landmark_set):
    is_absent = ~a_landmark_set.is_placed
    filled = np.where(is_absent[:, None], -999.0, a_landmark_set.positions)
    masked = np.ma.masked_array(filled, np.repeat(is_absent[:, None], 3, axis=1))

    taken = replace(a_landmark_set, positions=masked)

    np.testing.assert_array_equal(taken.positions, a_landmark_set.positions)
    with pytest.raises(ValueError, match="is confirmed and must have a position"):
        replace(taken, status=["confirmed"] * len(taken))


def test_status_given_as_a_list_is_kept_as_a_tuple(a_landmark_set):
    given = list(a_landmark_set.status)
    copy = replace(a_landmark_set, status=given)
    given[0] = "missing"

    assert copy.status == a_landmark_set.status


def test_is_placed_follows_the_status(a_landmark_set):
    expected = [status in PLACED for status in a_landmark_set.status]

    assert a_landmark_set.is_placed.tolist() == expected


@pytest.mark.parametrize(
    ("status", "error_mm", "is_unreviewed"),
    [
        ("detected", 1.5, True),
        ("missing", np.nan, True),
        ("detected", np.nan, False),
        ("confirmed", 1.5, False),
    ],
)
def test_one_landmark_that_somebody_looked_at_makes_a_detection_an_annotation(
    status, error_mm, is_unreviewed, a_landmark_set
):
    statuses = ["detected"] * len(a_landmark_set)
    errors_mm = np.full(len(a_landmark_set), 1.5)
    statuses[1], errors_mm[1] = status, error_mm
    positions = np.ones_like(a_landmark_set.positions)
    positions[1] = np.nan if status == "missing" else 1.0

    changed = replace(
        a_landmark_set, positions=positions, status=tuple(statuses), expected_error_mm=errors_mm
    )

    assert changed.is_unreviewed == is_unreviewed


def test_where_nothing_is_placed_there_is_no_detection(a_landmark_set):
    nothing = np.full_like(a_landmark_set.positions, np.nan)
    status = ("missing",) * len(a_landmark_set)
    errors_mm = nothing[:, 0]

    empty = replace(a_landmark_set, positions=nothing, status=status, expected_error_mm=errors_mm)

    assert not empty.is_unreviewed


def test_landmark_set_survives_the_way_to_another_process(a_landmark_set):
    copy = pickle.loads(pickle.dumps(a_landmark_set))

    assert not copy.positions.flags.writeable
    assert not copy.expected_error_mm.flags.writeable
    assert np.array_equal(copy.positions, a_landmark_set.positions, equal_nan=True)
    assert copy.scheme == a_landmark_set.scheme


def test_a_deep_copy_cannot_be_written_to_either(a_landmark_set):
    with pytest.raises(ValueError, match="read-only"):
        deepcopy(a_landmark_set).positions[0] = np.nan


def test_convention_positions_mm_are_the_file_s_numbers_times_the_unit(a_landmark_set):
    assert np.array_equal(
        a_landmark_set.positions_mm, 1000.0 * a_landmark_set.positions, equal_nan=True
    )


def test_convention_frames_differ_by_the_sign_of_x_and_y(a_landmark_set):
    ras, lps = a_landmark_set.to_frame("RAS"), a_landmark_set.to_frame("LPS")

    assert np.array_equal(ras.positions, a_landmark_set.positions_mm, equal_nan=True)
    assert np.array_equal(lps.positions, ras.positions * [-1, -1, 1], equal_nan=True)
    assert (lps.mm_per_unit, lps.frame, lps.space) == (1.0, "LPS", "LPS")


def test_to_frame_there_and_back_is_the_identity(a_landmark_set):
    lps = a_landmark_set.to_frame("LPS")

    assert np.array_equal(
        lps.to_frame("RAS").to_frame("LPS").positions, lps.positions, equal_nan=True
    )


def test_to_frame_file_from_another_frame_raises(a_landmark_set):
    with pytest.raises(ValueError, match="frame 'file' cannot be reached from 'LPS'"):
        a_landmark_set.to_frame("LPS").to_frame("file")


def test_to_frame_unknown_raises(a_landmark_set):
    with pytest.raises(ValueError, match="frame must be one of file, LPS, RAS; got 'lps'"):
        a_landmark_set.to_frame("lps")


def set_missing_to_zero(landmarks):
    positions = np.nan_to_num(landmarks.positions)
    return {"positions": positions}


def lose_a_detected_position(landmarks):
    positions = np.array(landmarks.positions)
    positions[0, 1] = np.nan
    return {"positions": positions}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_missing_to_zero, r"landmark 'n' is missing and its position must be NaN; got \[0"),
        (lose_a_detected_position, "landmark 'tr' is detected and must have a position"),
        (lambda s: {"positions": s.positions[:49]}, "positions must hold 50 landmarks.*got 49"),
        (lambda s: {"positions": s.positions.T}, "shape .n_points, 3.* Transpose it"),
        (lambda s: {"status": s.status[:49]}, "status must hold 50 landmarks"),
        (lambda s: {"status": ("seen", *s.status[1:])}, "status must be one of .*got 'seen'"),
        (lambda s: {"expected_error_mm": -s.expected_error_mm}, "at least 0, or NaN"),
        (lambda s: {"expected_error_mm": s.expected_error_mm[:, None]}, r"got shape \(50, 1\)"),
        (lambda s: {"mm_per_unit": 0.0}, "mm_per_unit must be a positive number; got 0"),
        (lambda s: {"mm_per_unit": np.nan}, "mm_per_unit must be a positive number; got nan"),
        (lambda s: {"mm_per_unit": np.inf}, "mm_per_unit must be a positive number; got inf"),
        (lambda s: {"mm_per_unit": "cm"}, "mm_per_unit must be a positive number; got 'cm'"),
        (lambda s: {"scheme": "palnet50"}, "scheme must be a Scheme; got 'palnet50'. Load it"),
        (lambda s: {"specimen": 12}, "specimen must be a name on one line; got 12"),
        (lambda s: {"frame": "LPS"}, "are millimeters along LPS axes"),
        (lambda s: {"frame": "XYZ"}, "frame must be one of"),
        (lambda s: {"specimen": "a\nb"}, "specimen must be a name on one line"),
    ],
)
def test_landmark_set_that_contradicts_itself_raises(a_landmark_set, change, message):
    with pytest.raises(ValueError, match=message):
        replace(a_landmark_set, **change(a_landmark_set))


def test_to_scheme_finds_landmarks_by_their_codes(a_landmark_set, the_scheme):
    codes = ["prn", "ex_l", "n"]
    others = Scheme("other", tuple(LandmarkDefinition(c, c, "midline", c) for c in codes))

    some = a_landmark_set.to_scheme(others)
    back = some.to_scheme(the_scheme)

    rows = [the_scheme.index_of(code) for code in codes]
    for name in ("positions", "expected_error_mm"):
        np.testing.assert_array_equal(getattr(some, name), getattr(a_landmark_set, name)[rows])
        np.testing.assert_array_equal(
            getattr(back, name)[rows], getattr(a_landmark_set, name)[rows]
        )
    assert some.status == tuple(a_landmark_set.status[row] for row in rows)
    assert {back.status[row] for row in range(50) if row not in rows} == {"undefined"}
    kept = ("mm_per_unit", "frame", "specimen", "space")
    assert [getattr(back, k) for k in kept] == [getattr(a_landmark_set, k) for k in kept]


def test_to_scheme_does_not_take_the_name_of_one(a_landmark_set):
    with pytest.raises(ValueError, match="scheme must be a Scheme; got 'ibug68'"):
        a_landmark_set.to_scheme("ibug68")


@pytest.mark.parametrize("number", [np.int64(10), np.float32(10)])
def test_a_unit_from_a_table_can_be_written(a_landmark_set, number, tmp_path):
    in_cm = replace(a_landmark_set, mm_per_unit=number)

    write_landmarks(in_cm, tmp_path / "a.csv")

    assert read_landmarks(tmp_path / "a.csv").mm_per_unit == 10.0
