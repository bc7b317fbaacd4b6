# SPDX-License-Identifier: Apache-2.0
"""Files read by other people's programs; each test needs one of these installed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet.exchange import read_landmarks, read_specimens, write_specimens

# Numbers are written with six decimals.
HALF_STEP = 5.1e-7


@pytest.fixture
def a_cohort(a_whole_set):
    shifts = {"case_001": 0.0, "case_002": -0.5, "case_003": 120.25}
    return [
        replace(a_whole_set, specimen=name, positions=a_whole_set.positions + shift)
        for name, shift in shifts.items()
    ]


def test_ktch_reads_tps(a_cohort, tmp_path):
    ktch_io = pytest.importorskip("ktch.io")
    write_specimens(a_cohort, tmp_path / "cohort.tps")

    found = ktch_io.read_tps(tmp_path / "cohort.tps")

    assert [entry.specimen_name for entry in found] == [entry.specimen for entry in a_cohort]
    for entry, true in zip(found, a_cohort, strict=True):
        np.testing.assert_allclose(entry.to_numpy(), true.positions, atol=HALF_STEP)


def test_tps_that_ktch_wrote_is_read(a_cohort, tmp_path):
    ktch_io = pytest.importorskip("ktch.io")
    names = [entry.specimen for entry in a_cohort]
    positions = [entry.positions for entry in a_cohort]
    ktch_io.write_tps(
        tmp_path / "cohort.tps",
        positions,
        idx=names,
        image_path=[f"{name}.ply" for name in names],
        comments=["by ktch"] * len(names),
    )

    found = read_specimens(tmp_path / "cohort.tps", "palnet50")

    assert [entry.specimen for entry in found] == names
    np.testing.assert_allclose([entry.positions for entry in found], positions, atol=1e-9)


def test_morphops_reads_dta(a_cohort, tmp_path):
    morphops_io = pytest.importorskip("morphops.io")
    write_specimens(a_cohort, tmp_path / "cohort.dta")

    points, names = morphops_io.read_dta(tmp_path / "cohort.dta")

    assert names == [entry.specimen for entry in a_cohort]
    np.testing.assert_allclose(points, [entry.positions for entry in a_cohort], atol=HALF_STEP)


@pytest.mark.parametrize("frame", ["LPS", "RAS"])
def test_slicerio_reads_fcsv(frame, a_whole_set, tmp_path):
    slicerio = pytest.importorskip("slicerio")
    write_specimens([a_whole_set], tmp_path / "case_001.fcsv", frame=frame)

    (markup,) = slicerio.read_markups_fcsv(tmp_path / "case_001.fcsv")["markups"]

    points = markup["controlPoints"]
    assert markup["coordinateSystem"] == frame
    assert [point["label"] for point in points] == list(a_whole_set.scheme.codes)
    np.testing.assert_allclose(
        [point["position"] for point in points],
        a_whole_set.to_frame(frame).positions,
        atol=HALF_STEP,
    )


@pytest.mark.parametrize("frame", ["LPS", "RAS"])
def test_mrk_json_that_slicerio_wrote_is_read(frame, a_whole_set, tmp_path):
    slicerio = pytest.importorskip("slicerio")
    write_specimens([a_whole_set], tmp_path / "case_001.fcsv", frame=frame)
    path = slicerio.fcsv_to_markups_json(tmp_path / "case_001.fcsv")

    landmarks = read_landmarks(path)

    assert (landmarks.frame, landmarks.specimen) == (frame, "case_001")
    expected = a_whole_set.to_frame(frame).positions
    np.testing.assert_allclose(landmarks.positions, expected, atol=HALF_STEP)
