# SPDX-License-Identifier: Apache-2.0
"""What the registry does for every format: frames, names, missing landmarks, whole files."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palnet.errors import FormatError, OutputExistsError
from palnet.exchange import (
    FORMATS,
    FormatWarning,
    find_format,
    get_format,
    is_other_table,
    may_hold_landmarks,
    read_landmarks,
    read_specimens,
    sidecar_path,
    stem_of,
    write_landmarks,
    write_specimens,
)
from palnet.landmarks import LandmarkSet
from palnet.scheme import scheme_to_dict

PLAIN = [name for name, entry in FORMATS.items() if entry.specimen_names == "plain"]
WHOLE_ONLY = [name for name, entry in FORMATS.items() if not entry.holds_missing]
NAMELESS = [name for name, entry in FORMATS.items() if not entry.holds_codes]
SINGLE = [name for name, entry in FORMATS.items() if not entry.holds_many]


@pytest.fixture
def a_plain_set(a_whole_set):
    """In the numbers that every reader assumes: millimeters of the file, axes LPS."""
    return replace(a_whole_set, mm_per_unit=1.0, space="LPS")


@pytest.mark.parametrize("name", FORMATS)
def test_format_reads_a_lab_s_own_scheme(name, a_small_scheme, tmp_path):
    path = tmp_path / f"face{get_format(name).suffix}"
    landmarks = LandmarkSet(
        a_small_scheme, np.eye(3), ("detected",) * 3, np.ones(3), 1.0, "file", "face"
    )

    write_landmarks(landmarks, path)

    assert read_landmarks(path, a_small_scheme).scheme == a_small_scheme


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
    def fail(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)

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
    with pytest.raises(FormatError, match=r"expected a file ending in one of \.mrk\.json, \.fcsv"):
        write_landmarks(a_landmark_set, tmp_path / "face.xml")


def test_read_landmarks_absent_file_raises(tmp_path):
    with pytest.raises(FormatError, match=r"absent\.csv: cannot be read .*Check the path"):
        read_landmarks(tmp_path / "absent.csv")


def test_folder_that_is_not_there_is_not_told_to_be_renamed(tmp_path):
    with pytest.raises(FormatError, match=r"mistyped: cannot be read .*Check the path"):
        read_landmarks(tmp_path / "mistyped")


def test_read_landmarks_other_bytes_raises(tmp_path):
    path = tmp_path / "face.csv"
    path.write_bytes(b"specimen\xff\xfe")

    with pytest.raises(
        FormatError, match=r"face\.csv:1: must be text in UTF-8; got other bytes at position 8"
    ):
        read_landmarks(path)


@pytest.mark.parametrize("name", FORMATS)
def test_find_format_goes_by_the_longest_ending_in_any_case(name):
    path = Path(f"Face.1{get_format(name).suffix.upper()}")

    assert find_format(path).name == name


@pytest.mark.parametrize("name", WHOLE_ONLY)
def test_missing_landmark_that_the_format_cannot_hold_is_refused(name, a_landmark_set, tmp_path):
    path = tmp_path / f"face{get_format(name).suffix}"

    with pytest.raises(
        FormatError, match=rf"'case_001' lacks n, sn, and {name} files cannot mark that"
    ):
        write_landmarks(a_landmark_set, path)

    assert list(tmp_path.iterdir()) == []


def test_incomplete_specimens_are_left_out_when_told(a_landmark_set, a_whole_set, tmp_path):
    specimens = [a_landmark_set, replace(a_whole_set, specimen="case_002")]
    path = tmp_path / "cohort.tps"

    with pytest.warns(FormatWarning, match=r"'case_001' lacks n, sn; left out"):
        write_specimens(specimens, path, skip_incomplete=True)

    assert [entry.specimen for entry in read_specimens(path)] == ["case_002"]


@pytest.mark.parametrize("text", ["Anna Müller", "a,b", "a/b", "北京"])
@pytest.mark.parametrize("name", PLAIN)
def test_name_that_readers_trip_over_is_refused(name, text, a_whole_set, tmp_path):
    specimen = replace(a_whole_set, specimen=text)

    with pytest.raises(FormatError, match=rf"may hold letters A-Z.*got '{text}'.*--rename"):
        write_landmarks(specimen, tmp_path / f"face{get_format(name).suffix}")


@pytest.mark.parametrize(
    ("name", "word"), [(n, w) for n, entry in FORMATS.items() for w in entry.reserved_words]
)
def test_reserved_word_in_a_name_is_refused_and_broken_up(name, word, a_whole_set, tmp_path):
    specimen = replace(a_whole_set, specimen=f"my{word}1")
    path = tmp_path / f"face{get_format(name).suffix}"

    with pytest.raises(FormatError, match=f"must not contain '{word}'"):
        write_landmarks(specimen, path)
    with pytest.warns(FormatWarning, match="is written as"):
        write_landmarks(specimen, path, rename=True)

    assert word.lower() not in path.read_text(encoding="utf-8").split("my")[-1].lower()
    assert read_landmarks(path).specimen == f"my{word}1"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("morphologika", "Polygon_1"),
        ("tps", "SCALE_1"),
        ("tps", "Chain_1"),
        ("tps", "radii.1"),
        ("tps", "variables"),
    ],
)
def test_name_that_geomorph_takes_for_a_section_or_key_is_refused(
    name, text, a_whole_set, tmp_path
):
    """These stopped its readers, or turned coordinates into NA, when they were run."""
    specimen = replace(a_whole_set, specimen=text)

    with pytest.raises(FormatError, match=r"must not contain .*, which readers of the format"):
        write_landmarks(specimen, tmp_path / f"face{get_format(name).suffix}")


@pytest.mark.parametrize("name", ["tps", "nts", "morphologika", "morphoj", "dta"])
def test_name_of_which_nothing_is_left_is_renamed(name, a_whole_set, tmp_path):
    path = tmp_path / f"face{get_format(name).suffix}"

    with pytest.warns(FormatWarning, match="is written as"):
        write_landmarks(replace(a_whole_set, specimen="\u0301"), path, rename=True)

    assert read_landmarks(path).specimen == "\u0301"


def test_renaming_is_told_is_repeatable_and_never_joins_two(a_whole_set, tmp_path):
    names = ["Anna Müller", "Anna_Muller", "Anna-Müller", "Anna Muller"]
    specimens = [replace(a_whole_set, specimen=text) for text in names]
    path = tmp_path / "cohort.tps"

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        write_specimens(specimens, path, rename=True)

    written = [
        ln[3:] for ln in path.read_text(encoding="utf-8").split("\n") if ln.startswith("ID=")
    ]
    assert written == ["Anna_Muller", "Anna_Muller_2", "Anna-Muller", "Anna_Muller_3"]
    assert len(told) == 4
    assert [entry.specimen for entry in read_specimens(path)] == names


def test_two_specimens_of_one_name_are_refused(a_whole_set, tmp_path):
    with pytest.raises(FormatError, match="specimen 'case_001' appears twice"):
        write_specimens([a_whole_set, a_whole_set], tmp_path / "cohort.tps")


def test_specimens_in_two_units_are_refused(a_whole_set, tmp_path):
    other = replace(a_whole_set, specimen="case_002", mm_per_unit=1.0)

    with pytest.raises(
        FormatError, match=r"in one frame and unit; .*Write them in frame LPS or RAS"
    ):
        write_specimens([a_whole_set, other], tmp_path / "cohort.tps")

    assert write_specimens([a_whole_set, other], tmp_path / "cohort.tps", frame="LPS")


def test_specimens_of_two_schemes_are_refused(a_whole_set, a_small_scheme, tmp_path):
    other = LandmarkSet(
        a_small_scheme, np.eye(3), ("detected",) * 3, np.ones(3), 1000.0, "file", "b", "RAS"
    )

    with pytest.raises(FormatError, match="must have the same landmarks; 'b' has those of 'lab3'"):
        write_specimens([a_whole_set, other], tmp_path / "cohort.tps")


def test_two_schemes_with_the_same_codes_are_not_written_into_one_file(a_small_scheme, tmp_path):
    """Labs number their landmarks alike; the file would have the definitions of the first."""
    nowhere = np.full((3, 3), np.nan)
    unknown = np.full(3, np.nan)
    sets = [
        LandmarkSet(scheme, nowhere, ("missing",) * 3, unknown, 1.0, "file", name)
        for name, scheme in (("a", a_small_scheme), ("b", replace(a_small_scheme, name="other")))
    ]

    with pytest.raises(FormatError, match=r"'b' has those of 'other', 'a' '.*--scheme"):
        write_specimens(sets, tmp_path / "both.tps")


@pytest.mark.parametrize("name", SINGLE)
def test_two_specimens_in_a_format_of_one_are_refused(name, a_whole_set, tmp_path):
    other = replace(a_whole_set, specimen="case_002")

    with pytest.raises(FormatError, match="holds one specimen; got 'case_001' and 'case_002'"):
        write_specimens([a_whole_set, other], tmp_path / f"face{get_format(name).suffix}")


def test_no_specimen_at_all_is_refused(tmp_path):
    with pytest.raises(FormatError, match="there is no specimen to write"):
        write_specimens([], tmp_path / "cohort.tps")


def test_read_landmarks_of_many_is_refused(a_whole_set, tmp_path):
    path = tmp_path / "cohort.tps"
    write_specimens([a_whole_set, replace(a_whole_set, specimen="case_002")], path)

    with pytest.raises(FormatError, match=r"expected one specimen; got 2\. Read it with"):
        read_landmarks(path)


@pytest.mark.parametrize("name", NAMELESS)
def test_format_without_names_is_never_read_by_guess(name, a_plain_set, tmp_path):
    path, beside = write_landmarks(a_plain_set, tmp_path / f"case_001{get_format(name).suffix}")
    beside.unlink()

    with pytest.raises(FormatError, match="holds no landmark names, so the scheme is needed"):
        read_landmarks(path)

    assert read_landmarks(path, "palnet50").scheme.name == "palnet50"


@pytest.mark.parametrize("name", ["csv", "csv-wide", "mrk.json", "pts", "pp"])
def test_file_that_speaks_for_itself_has_nothing_beside_it(name, a_plain_set, tmp_path):
    path = tmp_path / f"case_001{get_format(name).suffix}"

    assert write_landmarks(a_plain_set, path) == (path,)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("frame", ["LPS", "RAS"])
@pytest.mark.parametrize("name", [n for n, entry in FORMATS.items() if entry.holds_axes])
def test_file_that_states_its_axes_has_nothing_beside_it(name, frame, a_whole_set, tmp_path):
    landmarks = a_whole_set.to_frame(frame)
    path = tmp_path / f"case_001{get_format(name).suffix}"

    assert write_landmarks(landmarks, path) == (path,)
    assert (read_landmarks(path).frame, read_landmarks(path).space) == (frame, frame)


def test_sidecar_says_what_the_format_cannot_hold(a_whole_set, tmp_path):
    _, beside = write_landmarks(a_whole_set, tmp_path / "face.tps")

    said = json.loads(beside.read_text(encoding="utf-8"))
    assert beside.name == "face.tps.frame.json"
    assert said == {
        "frame": "file",
        "space": "RAS",
        "mm_per_unit": 1000.0,
        "scheme": "palnet50",
        "landmarks": list(a_whole_set.scheme.codes),
    }


@pytest.mark.parametrize("name", ["lab6", "palnet50"])
@pytest.mark.parametrize("format", [n for n, entry in FORMATS.items() if not entry.holds_unit])
def test_lab_s_own_scheme_comes_with_any_file(format, name, a_whole_set, tmp_path):
    """Its name alone, which may be that of another, says nothing of it."""
    scheme = replace(a_whole_set.scheme, name=name, source="our lab")
    path = tmp_path / f"case_001{get_format(format).suffix}"

    write_landmarks(replace(a_whole_set, scheme=scheme), path)

    assert read_landmarks(path).scheme == scheme


def test_sidecar_with_an_entry_more_is_read(a_whole_set, tmp_path):
    """The first ones named their file."""
    path, beside = write_landmarks(a_whole_set, tmp_path / "face.tps")
    said = json.loads(beside.read_text(encoding="utf-8"))
    beside.write_text(json.dumps({"file": "face.tps"} | said), encoding="utf-8")

    assert read_landmarks(path).mm_per_unit == 1000.0


def test_sidecar_that_would_be_replaced_is_kept(a_whole_set, tmp_path):
    beside = tmp_path / "face.tps.frame.json"
    beside.write_text("{}", encoding="utf-8")

    with pytest.raises(OutputExistsError, match=r"face\.tps\.frame\.json exists already"):
        write_landmarks(a_whole_set, tmp_path / "face.tps")

    assert list(tmp_path.iterdir()) == [beside]


def test_sidecar_that_no_longer_holds_goes_when_overwriting(a_whole_set, a_plain_set, tmp_path):
    path, beside = write_landmarks(a_whole_set, tmp_path / "case_001.csv")

    write_landmarks(a_plain_set, path, overwrite=True)

    assert not beside.exists()
    assert read_landmarks(path).mm_per_unit == 1.0


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"frame": "IJK"}, "frame must be as palnet writes it"),
        ({"mm_per_unit": 0}, "mm_per_unit must be"),
        ({"mm_per_unit": "1"}, "mm_per_unit must be"),
        ({"landmarks": "tr"}, "landmarks must be"),
        ({"scheme": 50}, "scheme must be"),
        ({"scheme": {"scheme": "lab6"}}, "the file lacks landmarks"),
        ({"scheme": "../lab"}, r"its scheme '\.\./lab' is not one of"),
        ({"landmarks": ["tr"]}, "gives other landmarks than those of scheme 'palnet50'"),
    ],
)
def test_sidecar_that_is_damaged_is_named(entry, message, a_whole_set, tmp_path):
    path, beside = write_landmarks(a_whole_set, tmp_path / "face.tps")
    said = json.loads(beside.read_text(encoding="utf-8"))
    beside.write_text(json.dumps(said | entry), encoding="utf-8")

    with pytest.raises(FormatError, match=rf"face\.tps\.frame\.json.*{message}"):
        read_landmarks(path)


def test_sidecar_cut_short_is_named_with_its_line(a_whole_set, tmp_path):
    path, beside = write_landmarks(a_whole_set, tmp_path / "face.tps")
    beside.write_text("{\n", encoding="utf-8")

    with pytest.raises(FormatError, match=r"face\.tps\.frame\.json:2: is not JSON"):
        read_landmarks(path)


@pytest.mark.parametrize("asked", [{"frame": "LPS"}, {"mm_per_unit": 10.0}])
def test_frame_or_unit_against_the_sidecar_is_refused(asked, a_whole_set, tmp_path):
    path, _ = write_landmarks(a_whole_set, tmp_path / "face.tps")

    with pytest.raises(FormatError, match=r"face\.tps\.frame\.json says frame file and 1000 mm"):
        read_landmarks(path, **asked)


def test_convention_numbers_of_unknown_unit_become_millimeters_in_a_frame(a_plain_set, tmp_path):
    path = tmp_path / "case_001.csv"
    write_landmarks(a_plain_set, path)

    landmarks = read_landmarks(path, frame="RAS", mm_per_unit=10.0)

    np.testing.assert_allclose(landmarks.positions, a_plain_set.positions * 10.0, atol=5.1e-6)
    assert (landmarks.frame, landmarks.space, landmarks.mm_per_unit) == ("RAS", "RAS", 1.0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"mm_per_unit": 0}, "mm_per_unit must be a positive number; got 0"),
        ({"frame": "LPS", "mm_per_unit": -1}, "mm_per_unit must be a positive number; got -1"),
        ({"mm_per_unit": "cm"}, "mm_per_unit must be a positive number; got 'cm'"),
        ({"frame": "lps"}, "frame must be one of file, LPS, RAS; got 'lps'"),
        ({"frame": ""}, "frame must be one of file, LPS, RAS; got ''"),
    ],
)
def test_a_frame_or_unit_that_there_is_not_is_never_ignored(asked, message, a_plain_set, tmp_path):
    path = tmp_path / "case_001.csv"
    write_landmarks(a_plain_set, path)

    with pytest.raises(ValueError, match=message):
        read_landmarks(path, **asked)


def test_a_scheme_may_be_given_as_the_path_of_its_file(a_plain_set, tmp_path):
    path, file = tmp_path / "case_001.csv", tmp_path / "lab.json"
    write_landmarks(a_plain_set, path)
    file.write_text(json.dumps(scheme_to_dict(a_plain_set.scheme)), encoding="utf-8")

    assert read_landmarks(path, file).scheme == a_plain_set.scheme


@pytest.mark.parametrize("wrong", [None, "case_001", np.zeros((50, 3))])
def test_what_is_no_landmark_set_is_not_written(wrong, tmp_path):
    with pytest.raises(FormatError, match=r"must be a LandmarkSet; got .*detection\.landmarks"):
        write_landmarks(wrong, tmp_path / "case_001.csv")

    assert not list(tmp_path.iterdir())


def test_paths_may_be_text(a_plain_set, tmp_path):
    path = tmp_path / "case_001.csv"
    write_landmarks(a_plain_set, path)
    for function in (find_format, stem_of, may_hold_landmarks, is_other_table, sidecar_path):
        assert function(str(path)) == function(path)


def test_lenient_reading_of_other_bytes_warns_and_reads_the_rest(a_plain_set, tmp_path):
    path = tmp_path / "case_001.csv"
    write_landmarks(a_plain_set, path)
    path.write_bytes(path.read_bytes().replace(b"case_001", b"case_\xe9"))

    with pytest.warns(FormatWarning, match=r"case_001\.csv:2: must be text in UTF-8"):
        landmarks = read_landmarks(path, strict=False)

    assert landmarks.is_placed.all()


@pytest.mark.parametrize("strict", [True, False])
def test_utf_16_that_is_cut_short_is_refused_even_leniently(strict, tmp_path):
    path = tmp_path / "case_001.csv"
    path.write_bytes("specimen,index\n".encode("utf-16")[:-1])

    with pytest.raises(FormatError, match=r"case_001\.csv:1: must be text in UTF-8"):
        read_landmarks(path, strict=strict)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_wide_characters_without_their_byte_order_mark_are_no_text(encoding, tmp_path):
    path = tmp_path / "case_001.csv"
    path.write_bytes("specimen,index\n".encode(encoding))

    with pytest.raises(FormatError, match=r"case_001\.csv:1: is not a text file"):
        read_landmarks(path, strict=False)


def test_excel_s_plain_csv_with_an_accent_is_refused_with_what_to_choose_there(
    a_plain_set, tmp_path
):
    """The same byte is \u00e8 in Paris and \u010d in Prague; no name may change."""
    path = tmp_path / "case_001.csv"
    write_landmarks(replace(a_plain_set, specimen="M\u00fcller"), path)
    path.write_bytes(path.read_text(encoding="utf-8").encode("cp1252"))

    with pytest.raises(FormatError, match=r'csv:2: must be text in UTF-8.*Excel: "CSV UTF-8"'):
        read_landmarks(path)


OTHER = [
    "id,age,sex", '"","id","age"', "id;age;sex", "patient\tage", "step,loss", "Größe,2d_photo",
    "id,wy,wz", '"",p,s', '"",l,s', '"",l,p', '"",a,s', '"",r,s', '"",r,a',
]  # fmt: skip
# Coordinates by whatever name, rows without a header, what is no text, and too little to tell.
NOT_OTHER = [
    "x,y,z", "specimen,code,x,y", "specimen,prn_x,prn_y,prn_z", "id,x1,y1,z1,x2,y2,z2",
    "id,prnX,prnY,prnZ", "id,LM 1 [x],LM 1 [y],LM 1 [z]", "p2,1.0,2,3", "p2,n,-1e3,.5", "p2;1,5",
    "sep=,", "id", "", "a,b\0,c", "l,p,s", "R,A,S", "name,L,P,S", "name,r,a,s",
    "id,prn_x", "id,x", "id,y", "id,z",
]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize(
    ("header", "is_other"), [*((h, True) for h in OTHER), *((h, False) for h in NOT_OTHER)]
)
def test_table_of_anything_but_coordinates_is_known_by_its_columns(
    header, is_other, encoding, tmp_path
):
    """One of patients was a damaged landmark file, and fine-tuning refused for it."""
    path = tmp_path / "clinic.csv"
    path.write_bytes(f"{header}\n1,2,3\n".encode(encoding))

    assert is_other_table(path) == is_other


def test_table_in_wide_characters_without_a_mark_may_be_one_of_landmarks(tmp_path):
    path = tmp_path / "clinic.csv"
    path.write_bytes("specimen,code\n".encode("utf-16-le"))

    assert not is_other_table(path)


@pytest.mark.parametrize("is_there", [True, False])
def test_what_is_no_readable_table_may_hold_landmarks(is_there, tmp_path):
    """It is named when it is read."""
    path = tmp_path / ("face.tps" if is_there else "face.csv")
    if is_there:
        path.write_text("id,age\n", encoding="utf-8")

    assert may_hold_landmarks(path)
    assert not is_other_table(path)


@pytest.mark.parametrize("name", ["face.csv", "FACE.CSV", "face.wide.csv"])
@pytest.mark.parametrize(
    ("header", "may"),
    [
        ("specimen,index,code,name,side,x,y,z,status,expected_error_mm,edited", True),
        ('"Status";"Z";"Y";"X";"Code"', True),
        ("code,x,y,z,status", True),
        (" code\tx\ty\tz\tstatus\tnote ", True),
        ("specimen,tip_x,tip_y,tip_z", True),
        ("id,tip_x", True),
        ("specimen,code,x,y,z", True),
        ('"";"x";"y";"z";"Landmark";"Specimen"', True),
        ("name,x,y,z,specimen", True),
        ("ID;Landmark;X;Y;Z", True),
        ("subject,code,x,y,z", True),
        ("scan\tname\tx\ty\tz", True),
        ("id,x,y,z", False),
        ("specimen,code,x_aligned,y_aligned,z_aligned", False),
        ("component,code,x,y,z", False),
        ("specimen,x,y,z", False),
        ("code,x,y,z", False),
        ("x,y,z,status", False),
        ("code,x,y,status", False),
        ("code,x,z,status", False),
        ("code,y,z,status", False),
        ("specimen,x_mm,max_x_mm", False),
        ("specimen,distance_mm", False),
        ("", False),
    ],
)
def test_table_may_hold_landmarks_if_it_has_their_columns(name, header, may, tmp_path):
    path = tmp_path / name
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text(f"{header}\ncode,x,y,z,status\n", encoding=encoding)

        assert may_hold_landmarks(path) == may


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Anna.1.MRK.JSON", "Anna.1"),
        ("anna.wide.csv", "anna"),
        ("anna.csv", "anna"),
        ("anna.b.ply", "anna.b"),
    ],
)
def test_stem_is_the_name_without_the_ending_of_its_format(name, stem):
    assert stem_of(Path("folder.csv") / name) == stem
