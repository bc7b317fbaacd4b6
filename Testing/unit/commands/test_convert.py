# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from palnet import cli
from palnet.exchange import (
    FORMATS,
    get_format,
    read_landmarks,
    read_specimens,
    write_landmarks,
    write_specimens,
)
from palnet.landmarks import LandmarkSet
from palnet.samples import example_truth
from palnet.scheme import LandmarkDefinition, Scheme

# Numbers are written with six decimals, and a second time after reading.
TWO_HALF_STEPS = 1.1e-6


def as_a_face(landmarks):
    """The same landmarks where they are on a face, in a file of meters whose axes are RAS."""
    positions = read_landmarks(example_truth()).positions * [-0.001, -0.001, 0.001]
    there = np.where(landmarks.is_placed[:, None], positions, np.nan)
    return replace(landmarks, positions=there)


@pytest.fixture
def a_landmark_set(a_landmark_set):
    return as_a_face(a_landmark_set)


@pytest.fixture
def a_whole_set(a_landmark_set):
    """Every landmark placed."""
    every = ("confirmed",) * len(a_landmark_set)
    return as_a_face(replace(a_landmark_set, positions=np.zeros((50, 3)), status=every))


@pytest.fixture
def a_folder(a_whole_set, a_landmark_set, tmp_path):
    """Three specimens as detect leaves them, in two formats; the second lacks landmarks."""
    folder = tmp_path / "results"
    for name, landmarks in (("anna", a_whole_set), ("bo", a_landmark_set), ("cy", a_whole_set)):
        specimen = replace(landmarks, specimen=name)
        write_landmarks(specimen, folder / f"{name}.mrk.json")
        write_landmarks(specimen, folder / f"{name}.csv")
    return folder


def convert(*arguments):
    return cli.main(["convert", *map(str, arguments)])


@pytest.mark.parametrize("name", ["all.tps", "all.csv"])
def test_convert_into_the_folder_itself_may_be_done_again(a_folder, capsys, name):
    assert convert(a_folder, "-o", a_folder / name) == 0
    first = (a_folder / name).read_bytes()

    assert convert(a_folder, "-o", a_folder / name, "--overwrite") == 0

    assert (a_folder / name).read_bytes() == first


def test_convert_again_with_other_capitals_does_not_read_its_own_file(a_folder, capsys):
    """Windows and macOS find the file of before under both names, as a second name does here."""
    assert convert(a_folder, "-o", a_folder / "All.csv") == 0
    first = (a_folder / "All.csv").read_bytes()
    with suppress(FileExistsError):
        os.link(a_folder / "All.csv", a_folder / "all.csv")

    assert convert(a_folder, "-o", a_folder / "all.csv", "--overwrite") == 0

    assert (a_folder / "all.csv").read_bytes() == first


def test_convert_again_takes_what_the_file_of_before_stood_in_for(a_folder, a_whole_set):
    """The file of many has the name of the one written, and holds what no other does."""
    both = [replace(a_whole_set, specimen=name) for name in ("dora", "emil")]
    write_specimens(both, a_folder / "all.tps")
    for _ in range(2):
        options = ("-o", a_folder / ".." / a_folder.name / "all.csv", "--overwrite")
        assert convert(a_folder, "--scheme", "palnet50", *options) == 0

    names = {each.specimen for each in read_specimens(a_folder / "all.csv")}
    assert names == {"anna", "bo", "cy", "dora", "emil"}


def test_convert_translates_the_names_of_another_lab(a_whole_set, tmp_path, capsys):
    """A list as Slicer numbers it, one landmark of it unknown to us."""
    ours = a_whole_set.scheme.codes
    theirs = [f"F-{number}" for number in range(1, len(ours) + 1)]
    definitions = tuple(LandmarkDefinition(name, name, "midline", name) for name in theirs)
    listed = replace(a_whole_set, scheme=Scheme("slicer", definitions), specimen="anna")
    write_landmarks(listed.to_frame("LPS"), tmp_path / "F.fcsv")
    (tmp_path / "F.fcsv.frame.json").unlink()  # Slicer writes none
    table = tmp_path / "names.csv"
    codes = ["", *ours[1:]]
    rows = (f"{name},{code}\n" for name, code in zip(theirs, codes, strict=True))
    table.write_text("their name,our code\n" + "".join(rows), encoding="utf-8")

    untranslated = convert(tmp_path / "F.fcsv", "--to", "csv", "-o", tmp_path / "out")
    said = capsys.readouterr().err
    code = convert(
        tmp_path / "F.fcsv", "--names", table, "--to", "mrk.json", "-o", tmp_path / "out"
    )

    assert (untranslated, code) == (1, 0)
    assert "palnet convert --names" in said
    found = read_landmarks(tmp_path / "out" / "F.mrk.json")
    assert found.scheme == a_whole_set.scheme
    expected = a_whole_set.to_frame("LPS").positions
    np.testing.assert_allclose(found.positions[1:], expected[1:], atol=1e-3)
    assert found.status[0] == "undefined"


@pytest.mark.parametrize("name", [name for name in FORMATS if not FORMATS[name].holds_codes])
def test_convert_takes_no_order_of_landmarks_from_a_table_of_names(
    name, a_whole_set, tmp_path, capsys
):
    """A table of names may have any order, and the file says nothing that could contradict it."""
    path, beside = write_landmarks(a_whole_set, tmp_path / f"anna{get_format(name).suffix}")
    table = tmp_path / "names.csv"
    rows = (f"F-{row},{code}\n" for row, code in enumerate(reversed(a_whole_set.scheme.codes)))
    table.write_text("their name,our code\n" + "".join(rows), encoding="utf-8")
    beside.unlink()

    code = convert(path, "--names", table, "-o", tmp_path / "ours.csv")

    assert code == 1
    told = rf"{path.name}: {name} files are read by the order of their landmarks.*\(--scheme\)\.$"
    assert re.search(told, capsys.readouterr().err, re.MULTILINE)
    assert not (tmp_path / "ours.csv").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_convert_there_and_back_keeps_the_positions(name, a_whole_set, tmp_path):
    write_landmarks(a_whole_set, tmp_path / "case_001.csv")
    suffix = get_format(name).suffix

    there = convert(tmp_path / "case_001.csv", "--to", name, "-o", tmp_path / "there")
    back = convert(tmp_path / "there" / f"case_001{suffix}", "--to", "csv", "-o", tmp_path / "back")

    landmarks = read_landmarks(tmp_path / "back" / "case_001.csv")
    assert (there, back) == (0, 0)
    np.testing.assert_allclose(landmarks.positions, a_whole_set.positions, atol=TWO_HALF_STEPS)
    assert (landmarks.frame, landmarks.space, landmarks.mm_per_unit) == ("file", "RAS", 1000.0)


def test_convert_help_names_every_format(capsys):
    with pytest.raises(SystemExit):
        convert("--help")

    assert f"Formats: {', '.join(FORMATS)}." in capsys.readouterr().out


def test_convert_folder_into_one_file_and_back(a_folder, tmp_path, capsys):
    cohort = tmp_path / "cohort.tps"

    codes = [convert(a_folder, "-o", cohort)]
    codes += [convert(cohort, "--to", "mrk.json", "-o", tmp_path / "back")]

    names = sorted(path.name for path in (tmp_path / "back").iterdir())
    assert codes == [0, 0]
    assert [entry.specimen for entry in read_specimens(cohort)] == ["anna", "bo", "cy"]
    assert names == ["anna.mrk.json", "bo.mrk.json", "cy.mrk.json"]
    assert np.isnan(read_landmarks(tmp_path / "back" / "bo.mrk.json").positions[2]).all()
    assert str(cohort) in capsys.readouterr().out


@pytest.mark.parametrize("source", [[], ["--from", "csv"]])
def test_convert_passes_over_what_macos_puts_beside_files(source, a_whole_set, tmp_path):
    write_landmarks(a_whole_set, tmp_path / "in/anna.csv")
    (tmp_path / "in/._anna.csv").write_bytes(b"\0\5\x16\7Mac OS X        \xff")

    assert convert(tmp_path / "in", "-o", tmp_path / "all.tps", *source) == 0

    assert len(read_specimens(tmp_path / "all.tps", a_whole_set.scheme)) == 1


def test_convert_specimen_that_is_named_like_a_device_gets_another_file(a_whole_set, tmp_path):
    write_landmarks(replace(a_whole_set, specimen="AUX"), tmp_path / "one.csv")
    write_landmarks(a_whole_set, tmp_path / "two.csv")
    assert convert(tmp_path / "one.csv", tmp_path / "two.csv", "-o", tmp_path / "both.csv") == 0

    assert convert(tmp_path / "both.csv", "--to", "tps", "-o", tmp_path / "out") == 0

    assert (tmp_path / "out/AUX_.tps").is_file()


def test_convert_without_output_writes_beside_each_file(a_folder):
    code = convert(a_folder, "--to", "tps")

    assert code == 0
    assert len(list(a_folder.glob("*.tps"))) == len(list(a_folder.glob("*.tps.frame.json"))) == 3


@pytest.mark.parametrize("source", [[], ["--from", "csv"]])
def test_convert_tells_of_a_folder_that_cannot_be_listed(source, tmp_path, monkeypatch, capsys):
    """With --from it was said to hold no such file."""

    def refuse(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for step in ("listdir", "scandir"):
        monkeypatch.setattr(os, step, refuse)

    assert convert(tmp_path, "--to", "tps", *source) == 2
    assert f"{tmp_path}: Permission denied." in capsys.readouterr().err


def test_convert_from_names_which_files_of_a_folder(a_folder, tmp_path):
    (a_folder / "anna.mrk.json").unlink()

    convert(a_folder, "--from", "mrk.json", "-o", tmp_path / "cohort.tps")

    assert [e.specimen for e in read_specimens(tmp_path / "cohort.tps")] == ["bo", "cy"]


@pytest.mark.parametrize(("frame", "sign"), [("lps", -1.0), ("ras", 1.0)])
def test_convention_convert_frame_writes_millimeters(frame, sign, a_whole_set, tmp_path):
    write_landmarks(a_whole_set, tmp_path / "case_001.mrk.json")

    convert(tmp_path / "case_001.mrk.json", "--to", "tps", "--frame", frame)

    landmarks = read_landmarks(tmp_path / "case_001.tps")
    expected = a_whole_set.positions * 1000.0 * [sign, sign, 1.0]
    np.testing.assert_allclose(landmarks.positions, expected, atol=1e-3)
    assert landmarks.frame == frame.upper()


def test_convert_back_to_the_file_s_numbers_is_refused(a_whole_set, tmp_path, capsys):
    write_landmarks(a_whole_set, tmp_path / "case_001.csv", frame="LPS")

    code = convert(tmp_path / "case_001.csv", "--to", "tps", "--frame", "file")

    assert code == 1
    assert "'case_001': frame 'file' cannot be reached from 'LPS'" in capsys.readouterr().err


def test_convert_says_what_it_assumes_of_a_file_that_says_nothing(a_whole_set, tmp_path, capsys):
    path, beside = write_landmarks(a_whole_set, tmp_path / "case_001.tps")
    beside.unlink()

    convert(path, "--scheme", "palnet50", "--to", "mrk.json")

    assert "case_001.tps: nothing says frame or unit; the numbers" in capsys.readouterr().err


def test_convert_takes_frame_and_unit_of_a_file_that_says_nothing(a_whole_set, tmp_path, capsys):
    path, beside = write_landmarks(a_whole_set, tmp_path / "case_001.tps")
    beside.unlink()
    said = ["--scheme", "palnet50", "--from-frame", "ras", "--unit", "m"]

    code = convert(path, *said, "--frame", "lps", "--to", "csv")

    landmarks = read_landmarks(tmp_path / "case_001.csv")
    expected = a_whole_set.positions * [-1000.0, -1000.0, 1000.0]
    assert (code, capsys.readouterr().err, landmarks.frame) == (0, "", "LPS")
    np.testing.assert_allclose(landmarks.positions, expected, atol=1e-3)


@pytest.mark.parametrize("option", ["--lenient", "--skip-incomplete"])
@pytest.mark.parametrize("output", [(), ("-o", "all.csv")])
def test_convert_never_leaves_out_anything_of_a_file_that_it_replaces(
    output, option, a_whole_set, a_landmark_set, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    specimens = [replace(a_landmark_set, specimen="bo"), replace(a_whole_set, specimen="cy")]
    write_specimens(specimens, "all.csv", frame="LPS")
    table = tmp_path / "all.csv"
    table.write_text(table.read_text().replace("bo,0,tr,", "bo,0,tri,"))
    before = table.read_bytes()

    code = convert("all.csv", "--to", "csv", *output, option, "--lenient", "--overwrite")

    assert code == 1
    assert "all.csv was not replaced: it is itself one of the files" in capsys.readouterr().err
    assert table.read_bytes() == before
    assert convert("all.csv", "--to", "csv", "-o", "out", option, "--lenient", "--overwrite") == 0


def test_convert_keeps_the_landmarks_of_another_lab_that_we_lack(tmp_path, capsys):
    (tmp_path / "names.csv").write_text("their name,our code\nTip,prn\nEar,\n")
    table = tmp_path / "lab.csv"
    table.write_text("id,code,x,y,z\np1,Tip,1,2,3\np1,Ear,4,5,6\n")

    code = convert(table, "--names", tmp_path / "names.csv", "--to", "csv", "--overwrite")

    assert code == 1
    assert "lab.csv was not replaced" in capsys.readouterr().err
    assert "Ear,4,5,6" in table.read_text()


def test_convert_keeps_a_copy_of_a_table_that_was_passed_over(a_whole_set, tmp_path, capsys):
    """The table may hold corrections that the list of its name lacks."""
    write_landmarks(a_whole_set, tmp_path / "anna.mrk.json")
    corrected = replace(a_whole_set, positions=a_whole_set.positions + 1e-3)
    write_landmarks(corrected, tmp_path / "anna.csv")
    files = [tmp_path / "anna.csv", tmp_path / "anna.csv.frame.json"]
    before = [path.read_bytes() for path in files]

    codes = [convert(tmp_path, "--to", "csv", "--overwrite") for _ in range(2)]

    assert codes == [0, 0]
    assert capsys.readouterr().err.count("kept as anna.csv.bak.\n") == 1
    assert [path.with_name(f"{path.name}.bak").read_bytes() for path in files] == before
    assert len(list(tmp_path.glob("*.bak"))) == 2
    np.testing.assert_allclose(
        read_landmarks(files[0]).positions, a_whole_set.positions, atol=1e-6, rtol=0
    )


def test_convert_unit_that_contradicts_a_list_is_refused(a_whole_set, tmp_path, capsys):
    """The list says meters, and what it says counts: the option would have no effect."""
    (path,) = write_landmarks(a_whole_set, tmp_path / "anna.mrk.json")

    codes = [convert(path, "--unit", unit, "-o", tmp_path / f"{unit}.tps") for unit in ("m", "cm")]
    said = capsys.readouterr().err
    lenient = convert(path, "--unit", "cm", "-o", tmp_path / "cm.tps", "--lenient")

    assert (codes, lenient) == ([0, 1], 0)
    assert "anna.mrk.json: says 1000 mm per unit; you asked for 10. Leave --unit out, or" in said
    assert "you asked for 10" in capsys.readouterr().err
    np.testing.assert_allclose(
        read_landmarks(tmp_path / "cm.tps").positions_mm, a_whole_set.positions_mm, atol=1.1e-3
    )


def test_convert_incomplete_specimen_is_refused_or_left_out(a_folder, tmp_path, capsys):
    cohort = tmp_path / "cohort.morphoj.txt"

    strict = convert(a_folder, "-o", cohort)
    refused = capsys.readouterr().err
    skipping = convert(a_folder, "-o", cohort, "--skip-incomplete")

    assert (strict, skipping) == (1, 0)
    assert "cohort.morphoj.txt was not written: specimen 'bo' lacks n, sn" in refused
    assert "'bo' lacks n, sn; left out." in capsys.readouterr().err
    assert [entry.specimen for entry in read_specimens(cohort)] == ["anna", "cy"]


@pytest.mark.parametrize("output", [[], ["-o", "out"]], ids=["beside", "folder"])
def test_convert_leaves_incomplete_specimens_out_wherever_files_go(
    output, a_folder, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)

    code = convert(a_folder, "--to", "morphoj", "--skip-incomplete", *output)

    printed = capsys.readouterr()
    names = sorted(path.name for path in tmp_path.glob("*/*.morphoj.txt"))
    assert (code, names) == (0, ["anna.morphoj.txt", "cy.morphoj.txt"])
    told = [line for line in printed.err.splitlines() if "skipped: " not in line]
    assert told == [f"palnet: {a_folder / 'bo.mrk.json'}: 'bo' is incomplete; left out."]


@pytest.mark.parametrize("lenient", [[], ["--lenient"]])
def test_convert_beside_tells_a_broken_file_once_and_does_the_others(lenient, a_folder, capsys):
    (a_folder / "bo.mrk.json").write_text("{", encoding="utf-8")

    code = convert(a_folder, "--to", "tps", *lenient)

    told = [line for line in capsys.readouterr().err.splitlines() if "skipped: " not in line]
    assert (code, len(told)) == (1, 1)
    assert "bo.mrk.json:1: is not JSON" in told[0]
    assert sorted(path.name for path in a_folder.glob("*.tps")) == ["anna.tps", "cy.tps"]


def test_convert_into_a_folder_does_the_others(a_folder, tmp_path, capsys):
    code = convert(a_folder, "--to", "pts", "-o", tmp_path / "out")

    names = sorted(path.name for path in (tmp_path / "out").glob("*.pts"))
    assert (code, names) == (1, ["anna.pts", "cy.pts"])
    assert "bo.pts was not written: specimen 'bo' lacks" in capsys.readouterr().err


def test_convert_broken_file_stops_a_cohort_unless_lenient(a_folder, tmp_path, capsys):
    (a_folder / "bo.mrk.json").write_text("{", encoding="utf-8")
    cohort = tmp_path / "cohort.tps"

    strict = convert(a_folder, "-o", cohort)
    written = cohort.exists()
    lenient = convert(a_folder, "-o", cohort, "--lenient")

    assert (strict, written, lenient) == (1, False, 1)
    assert capsys.readouterr().err.count("bo.mrk.json:1: is not JSON") == 2
    assert [entry.specimen for entry in read_specimens(cohort)] == ["anna", "cy"]


def test_convert_lenient_tells_each_doubt_in_one_line(a_whole_set, tmp_path, capsys):
    path = tmp_path / "case_001.csv"
    write_landmarks(a_whole_set, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")

    code = convert(path, "--to", "tps", "--lenient")

    assert code == 0
    assert capsys.readouterr().err.startswith(f"palnet: {path}:50: lacks rows for ch_l of specimen")


def test_convert_name_that_does_not_fit_is_refused_or_renamed(a_whole_set, tmp_path, capsys):
    write_landmarks(replace(a_whole_set, specimen="Anna Müller"), tmp_path / "a.csv")

    refused = convert(tmp_path / "a.csv", "--to", "tps")
    renamed = convert(tmp_path / "a.csv", "--to", "tps", "--rename")

    assert (refused, renamed) == (1, 0)
    assert "'Anna Müller' is written as 'Anna_Muller'" in capsys.readouterr().err


def test_convert_folder_keeps_files_of_one_name_with_other_specimens(a_whole_set, tmp_path, capsys):
    faces = [replace(a_whole_set, specimen=name) for name in ("anna", "bo", "cy")]
    folder = tmp_path / "study"
    write_landmarks(faces[0], folder / "cohort.mrk.json")
    write_specimens(faces[1:], folder / "cohort.csv")
    write_specimens(faces[2:], folder / "cohort.tps")

    code = convert(folder, "-o", tmp_path / "all.csv")

    assert code == 0
    names = [entry.specimen for entry in read_specimens(tmp_path / "all.csv")]
    assert names == ["anna", "bo", "cy"]
    said = "skipped: cohort.tps; the .mrk.json of the same name is used"
    printed = capsys.readouterr().err
    assert (said in printed, printed.count("skipped: ")) == (True, 1)


def test_convert_names_the_files_of_a_detection_that_are_passed_over(a_whole_set, tmp_path, capsys):
    for number in range(6):
        face = replace(a_whole_set, specimen=f"p{number}")
        for ending in (".mrk.json", ".csv"):
            write_landmarks(face, tmp_path / "found" / f"p{number}{ending}")
    write_landmarks(a_whole_set, tmp_path / "found" / "p1.fcsv")

    code = convert(tmp_path / "found", "-o", tmp_path / "all.csv")

    assert code == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "skipped: " in line]
    rest = "the .mrk.json of the same name is used. Name a file to use it instead."
    assert told == [
        f"palnet: {tmp_path / 'found'}: skipped: 6 .csv, p1.fcsv; {rest}",
    ]


def test_convert_never_writes_outside_the_folder(a_whole_set, tmp_path):
    names = ["../../evil", "/root/evil", "..", "C:\\evil"]
    path = tmp_path / "cohort.csv"
    texts = [FORMATS["csv"].write([replace(a_whole_set, specimen=name)]) for name in names]
    rows = [line for text in texts for line in "".join(text).splitlines()[1:]]
    header = ",".join(("specimen", "index", "code", "name", "side", "x", "y", "z"))
    header += ",status,expected_error_mm,edited"
    path.write_text("\n".join([header, *rows]), encoding="utf-8")

    code = convert(path, "--to", "mrk.json", "-o", tmp_path / "deep" / "out")

    written = sorted(p.name for p in (tmp_path / "deep" / "out").iterdir())
    assert code == 0
    assert written == [
        "C__evil.mrk.json",
        "_.._evil.mrk.json",
        "_root_evil.mrk.json",
        "unnamed.mrk.json",
    ]


def test_convert_overwrites_only_when_told(a_folder, tmp_path, capsys):
    arguments = [a_folder, "-o", tmp_path / "cohort.tps"]

    codes = [convert(*arguments), convert(*arguments), convert(*arguments, "--overwrite")]

    assert codes == [0, 1, 0]
    assert "cohort.tps exists already" in capsys.readouterr().err


def test_convert_never_writes_over_its_own_output(a_whole_set, tmp_path, capsys):
    write_landmarks(replace(a_whole_set, specimen="anna"), tmp_path / "cohort.csv")
    write_landmarks(replace(a_whole_set, specimen="bert"), tmp_path / "cohort.pp")
    files = tmp_path / "cohort.csv", tmp_path / "cohort.pp"

    code = convert(*files, "--to", "tps", "--overwrite")

    told = capsys.readouterr()
    assert (code, f"cohort.tps is written for {tmp_path / 'cohort.csv'} already" in told.err) == (
        1,
        True,
    )
    assert told.out.count("cohort.tps\n") == 1
    assert "ID=anna" in (tmp_path / "cohort.tps").read_text(encoding="utf-8")


def test_convert_takes_the_next_file_of_a_name_if_one_cannot_be_read(a_whole_set, tmp_path, capsys):
    (tmp_path / "cohort.csv").write_text("damaged\n", encoding="utf-8")
    write_landmarks(replace(a_whole_set, specimen="bert"), tmp_path / "cohort.pp")

    code = convert(tmp_path / "cohort.csv", tmp_path / "cohort.pp", "--to", "tps")

    assert (code, "is written for" in capsys.readouterr().err) == (1, False)
    assert "ID=bert" in (tmp_path / "cohort.tps").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["cohort.csv", "Cohort.csv"])
@pytest.mark.parametrize("output", [[], ["-o", "study"]], ids=["beside", "folder"])
def test_convert_never_writes_over_a_file_that_it_is_to_read(
    output, name, a_whole_set, tmp_path, monkeypatch, capsys
):
    """Names that differ by case alone are those of one file on Windows and macOS."""
    monkeypatch.chdir(tmp_path)
    both = [replace(a_whole_set, specimen=name) for name in ("bo", "cy")]
    files = [tmp_path / "study" / each for each in ("cohort.mrk.json", name)]
    write_landmarks(replace(a_whole_set, specimen="anna"), files[0])
    write_specimens(both, files[1])

    code = convert(*files, "--to", "csv", "--overwrite", *output)

    assert code == 1
    assert "cohort.csv is itself one of the files to convert" in capsys.readouterr().err
    assert [entry.specimen for entry in read_specimens(files[1])] == ["bo", "cy"]


def test_convert_of_a_link_that_leads_to_itself_is_one_line(tmp_path, capsys):
    if os.name == "nt":  # where a link takes rights that few have
        return
    link = tmp_path / "a.csv"
    link.symlink_to(link)

    code = convert(link, "--to", "tps", "--scheme", "palnet50")

    told = capsys.readouterr().err.splitlines()
    assert (code, len(told)) == (1, 1)
    assert "a.csv: cannot be read" in told[0]


@pytest.mark.parametrize("first", [0, 1])
def test_convert_reads_picked_points_numbered_from_0_or_1(first, a_whole_set, tmp_path):
    write_landmarks(a_whole_set, tmp_path / "a.pp")
    text = (tmp_path / "a.pp").read_text(encoding="utf-8")
    numbers = iter(range(first, first + len(a_whole_set)))
    text = re.sub(r'(<point [^>]*?name=")[^"]*', lambda m: f"{m[1]}{next(numbers)}", text)
    (tmp_path / "b.pp").write_text(text, encoding="utf-8")

    read = read_landmarks(tmp_path / "b.pp", mm_per_unit=a_whole_set.mm_per_unit)

    np.testing.assert_allclose(read.positions, a_whole_set.positions, atol=5.1e-7)


def test_convert_of_picked_points_with_other_numbers_is_refused_even_leniently(
    a_whole_set, tmp_path, capsys
):
    write_landmarks(a_whole_set, tmp_path / "a.pp")
    text = (tmp_path / "a.pp").read_text(encoding="utf-8")
    numbers = iter(range(2, 99))
    text = re.sub(r'(<point [^>]*?name=")[^"]*', lambda m: f"{m[1]}{next(numbers)}", text)
    (tmp_path / "b.pp").write_text(text, encoding="utf-8")

    assert convert(tmp_path / "b.pp", "--to", "csv", "--lenient") == 1
    assert "expected points 0 to 49 or 1 to 50" in capsys.readouterr().err


def test_convert_of_a_scheme_whose_codes_are_numbers_keeps_them(tmp_path):
    codes = ("2", "1", "3", "4")
    scheme = Scheme("numbers", tuple(LandmarkDefinition(c, c, "midline", c) for c in codes))
    positions = np.arange(12.0).reshape(4, 3) + 1
    status = ("corrected",) * 4
    before = LandmarkSet(scheme, positions, status, np.full(4, np.nan), 1.0, "file", "a", "LPS")
    write_landmarks(before, tmp_path / "a.pp")

    np.testing.assert_array_equal(read_landmarks(tmp_path / "a.pp", scheme).positions, positions)


@pytest.mark.parametrize("output", ["anna.csv/all.tps", "anna.csv/deep/folder"])
def test_convert_output_that_cannot_be_written_is_told(a_folder, capsys, output):
    path = a_folder / "anna.mrk.json"

    code = convert(path, "--to", "tps", "-o", a_folder / output)

    printed = capsys.readouterr().err
    assert (code, printed.count("\n")) == (1, 1)
    assert "cannot be written" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.csv"], "say the format to write with --to: one of mrk.json"),
        (["a.csv", "--to", "xml"], "unknown landmark format 'xml'"),
        (["a.csv", "-o", "cohort"], "-o cohort: say the format of a folder's files with --to,"),
        (["a.csv", "--to", "tps", "-o", "out.txt"], r"expected a folder, or a file that ends in"),
        (["a.csv", "--to", "tps", "--from", "xml"], "unknown landmark format 'xml'"),
        (["a.csv", "--to", "tps", "--unit", "parsec"], "parsec"),
    ],
)
def test_convert_wrong_usage_is_one_line_and_ends_with_2(arguments, message, capsys):
    code = convert(*arguments)

    printed = capsys.readouterr().err
    assert (code, message in printed, printed.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("output", ["all.csv", "tables"])
def test_convert_calls_specimens_by_their_files(output, a_whole_set, tmp_path, capsys):
    """Of a folder for each patient all are called alike, and renaming a file renames nobody."""
    places = [tmp_path / "1", tmp_path / "2", tmp_path / "more" / "2"]
    for place in places:
        write_landmarks(replace(a_whole_set, specimen="scan"), place / "scan.mrk.json")
    (tmp_path / "1" / "scan.mrk.json").rename(tmp_path / "1" / "anna.mrk.json")
    assert convert(*places, "-o", tmp_path / "clash.csv") == 1
    assert "name each after its file (--name-by-file)" in capsys.readouterr().err

    code = convert(*places, "--name-by-file", "--to", "csv", "-o", tmp_path / output)

    assert code == 0
    written = [tmp_path / output] if output == "all.csv" else (tmp_path / output).glob("*.csv")
    specimens = {each.specimen for path in written for each in read_specimens(path)}
    assert specimens == {"anna", f"{tmp_path.name}_2_scan", "more_2_scan"}


def test_convert_tells_landmarks_that_are_no_face(a_whole_set, tmp_path, capsys):
    """A table in meters whose .frame.json was lost, and one whose codes were sorted alone."""
    for name in ("anna", "bo"):
        write_landmarks(replace(a_whole_set, specimen=name), tmp_path / f"{name}.csv")
        (tmp_path / f"{name}.csv.frame.json").unlink()
    in_mm = replace(a_whole_set, specimen="cy", positions=a_whole_set.positions[::-1] * 1000)
    write_landmarks(replace(in_mm, mm_per_unit=1.0, space="LPS"), tmp_path / "cy.csv")

    assert convert(tmp_path / "anna.csv", tmp_path / "bo.csv", "-o", tmp_path / "m.tps") == 0
    told = r"anna\.csv: anna: they lie 0\.0\d+ mm from their mean .* unit wrong\? .*said: 2\.\n"
    assert re.search(told, capsys.readouterr().err)

    assert convert(tmp_path / "anna.csv", "-o", tmp_path / "mm.tps", "--unit", "m") == 0
    assert not capsys.readouterr().err

    assert convert(tmp_path / "cy.csv", "-o", tmp_path / "cy.tps") == 0
    assert re.search(r"cy\.csv: cy: landmarks lie \d+ mm from those", capsys.readouterr().err)
