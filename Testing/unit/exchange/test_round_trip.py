# SPDX-License-Identifier: Apache-2.0
"""What holds for every format in the registry."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palnet.errors import FormatError, OutputExistsError
from palnet.exchange import FORMATS, get_format, read_landmarks, write_landmarks
from palnet.landmarks import FRAMES, PLACED, STATUSES, LandmarkSet
from palnet.scheme import load_scheme

# Numbers are written with six decimals.
HALF_STEP = 5.1e-7

SCHEME = load_scheme("palnet50")

numbers = st.floats(-1e7, 1e7, allow_nan=False)
names = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20
)


@st.composite
def landmark_sets(draw):
    n = len(SCHEME)
    status = draw(st.lists(st.sampled_from(STATUSES), min_size=n, max_size=n))
    positions = np.array(
        draw(st.lists(st.tuples(numbers, numbers, numbers), min_size=n, max_size=n))
    )
    positions[[s not in PLACED for s in status]] = np.nan
    known = st.one_of(st.just(np.nan), st.floats(0, 100))
    errors = np.array(draw(st.lists(known, min_size=n, max_size=n)))
    frame = draw(st.sampled_from(FRAMES))
    unit = draw(st.sampled_from([0.001, 1.0, 10.0, 25.4, 1000.0])) if frame == "file" else 1.0
    space = draw(st.sampled_from(["LPS", "RAS"])) if frame == "file" else frame
    return LandmarkSet(SCHEME, positions, tuple(status), errors, unit, frame, draw(names), space)


@pytest.mark.parametrize("name", FORMATS)
@given(landmarks=landmark_sets())
def test_format_reads_back_what_it_wrote(name, landmarks):
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"face{get_format(name).suffix}"
        write_landmarks(landmarks, path)
        back = read_landmarks(
            path, SCHEME, frame=landmarks.frame, mm_per_unit=landmarks.mm_per_unit
        )

    np.testing.assert_allclose(back.positions, landmarks.positions, atol=HALF_STEP, rtol=1e-15)
    np.testing.assert_allclose(back.expected_error_mm, landmarks.expected_error_mm, atol=HALF_STEP)
    assert back.status == landmarks.status
    assert (back.specimen, back.frame, back.mm_per_unit) == (
        landmarks.specimen,
        landmarks.frame,
        landmarks.mm_per_unit,
    )


@pytest.mark.parametrize("name", FORMATS)
def test_format_writes_the_same_text_again(name, a_landmark_set, tmp_path):
    path = tmp_path / f"face{get_format(name).suffix}"
    write_landmarks(a_landmark_set, path)
    text = path.read_text(encoding="utf-8")
    back = read_landmarks(path, mm_per_unit=1000.0)

    assert get_format(name).write(back) == text


@pytest.mark.parametrize("name", FORMATS)
def test_format_writes_utf8_with_lf_and_a_last_line_end(name, a_landmark_set, tmp_path):
    path = tmp_path / f"Gesicht Müller{get_format(name).suffix}"

    write_landmarks(a_landmark_set, path)

    content = path.read_bytes()
    assert (content[:3] == b"\xef\xbb\xbf", b"\r" in content, content[-1:]) == (False, False, b"\n")


@pytest.mark.parametrize("name", FORMATS)
def test_format_reads_a_lab_s_own_scheme(name, a_small_scheme, tmp_path):
    path = tmp_path / f"face{get_format(name).suffix}"
    landmarks = LandmarkSet(
        a_small_scheme, np.eye(3), ("detected",) * 3, np.ones(3), 1.0, "file", "face"
    )

    write_landmarks(landmarks, path)

    assert read_landmarks(path, a_small_scheme).scheme == a_small_scheme


@pytest.mark.parametrize("frame", ["LPS", "RAS"])
@pytest.mark.parametrize("name", FORMATS)
def test_convention_frame_writes_millimeters_along_its_axes(name, frame, a_landmark_set, tmp_path):
    path = tmp_path / f"face{get_format(name).suffix}"

    write_landmarks(a_landmark_set, path, frame=frame)

    expected = a_landmark_set.to_frame(frame).positions
    back = read_landmarks(path, frame=frame)
    np.testing.assert_allclose(back.positions, expected, atol=HALF_STEP)
    assert back.frame == frame


def test_write_landmarks_existing_file_is_kept(a_landmark_set, tmp_path):
    path = tmp_path / "face.csv"
    path.write_text("a correction of three hours", encoding="utf-8")

    with pytest.raises(OutputExistsError, match=r"face\.csv exists already"):
        write_landmarks(a_landmark_set, path)

    assert path.read_text(encoding="utf-8") == "a correction of three hours"


def test_write_landmarks_overwrites_when_told(a_landmark_set, tmp_path):
    path = tmp_path / "face.csv"
    path.write_text("old", encoding="utf-8")

    write_landmarks(a_landmark_set, path, overwrite=True)

    assert read_landmarks(path).specimen == "case_001"


def test_write_landmarks_that_fails_leaves_nothing(a_landmark_set, tmp_path, monkeypatch):
    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)

    with pytest.raises(OSError, match="No space left"):
        write_landmarks(a_landmark_set, tmp_path / "face.csv")

    assert list(tmp_path.iterdir()) == []


def test_write_landmarks_makes_the_folder(a_landmark_set, tmp_path):
    path = tmp_path / "new" / "folder" / "face.csv"

    write_landmarks(a_landmark_set, path)

    assert path.is_file()


def test_write_landmarks_never_changes_its_input(a_landmark_set, tmp_path):
    before = (a_landmark_set.positions.tobytes(), a_landmark_set.expected_error_mm.tobytes())

    write_landmarks(a_landmark_set, tmp_path / "face.mrk.json", frame="LPS")

    assert (
        a_landmark_set.positions.tobytes(),
        a_landmark_set.expected_error_mm.tobytes(),
    ) == before


def test_write_landmarks_unknown_format_raises(a_landmark_set, tmp_path):
    with pytest.raises(
        FormatError, match=r"unknown landmark format 'xml'; expected one of mrk\.json"
    ):
        write_landmarks(a_landmark_set, tmp_path / "face.xml", format="xml")


def test_write_landmarks_unknown_ending_raises(a_landmark_set, tmp_path):
    with pytest.raises(FormatError, match=r"expected a file ending in one of \.mrk\.json, \.csv"):
        write_landmarks(a_landmark_set, tmp_path / "face.xml")


def test_read_landmarks_absent_file_raises(tmp_path):
    with pytest.raises(FormatError, match=r"absent\.csv: cannot be read .No such file"):
        read_landmarks(tmp_path / "absent.csv")


def test_read_landmarks_other_bytes_raises(tmp_path):
    path = tmp_path / "face.csv"
    path.write_bytes(b"specimen\xff\xfe")

    with pytest.raises(FormatError, match="must be text in UTF-8; got other bytes at position 8"):
        read_landmarks(path)
