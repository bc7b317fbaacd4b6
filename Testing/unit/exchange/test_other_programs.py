# SPDX-License-Identifier: Apache-2.0
"""Files as other programs leave them: read as they are meant, or doubted, never silently less."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from palnet.errors import FormatError
from palnet.exchange import (
    FormatWarning,
    get_format,
    read_landmarks,
    read_specimens,
    write_landmarks,
    write_specimens,
)
from palnet.landmarks import LandmarkSet
from palnet.samples import example_truth
from palnet.scheme import load_scheme

N_LANDMARKS = 50
# Rows end after the associated node, and 0 means RAS.
SLICER_4 = """\
# Markups fiducial file version = 4.10
# CoordinateSystem = 0
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
vtkMRMLMarkupsFiducialNode_0,-1.5,20.25,3e1,0,0,0,1,1,1,0,eye_r,"corner, right",vtkMRMLModelNode4
vtkMRMLMarkupsFiducialNode_1,0,95,10,0,0,0,1,1,1,0,tip,,
vtkMRMLMarkupsFiducialNode_2,1.5,20,30,0,0,0,1,1,1,0,eye_l,,
"""
SLICER_4_POINTS = [[0, 95, 10], [-1.5, 20.25, 30], [1.5, 20, 30]]


@pytest.fixture
def a_face():
    return replace(read_landmarks(example_truth()), specimen="anna")


@pytest.fixture
def two_rows(a_face, tmp_path):
    """A MorphoJ table of two specimens: its path, and its lines without the header."""
    path = tmp_path / "two.morphoj.txt"
    write_specimens([a_face, replace(a_face, specimen="bert")], path)
    return path, path.read_text(encoding="utf-8").splitlines()[1:]


def read_rows(path, rows, *, strict=True):
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return list(read_specimens(path, "palnet50", strict=strict))


def test_pts_point_that_morpho_takes_for_missing_is_missing(a_face, tmp_path):
    path = tmp_path / "anna.pts"
    write_landmarks(a_face, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] = "tr 9999 9999 9999"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    read = read_landmarks(path)

    assert np.isnan(read.positions[0]).all()
    assert read.status[0] == "undefined"
    assert read.is_placed.sum() == N_LANDMARKS - 1


def test_pts_point_with_one_number_of_a_missing_one_is_a_point(a_face, tmp_path):
    path = tmp_path / "anna.pts"
    write_landmarks(a_face, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] = "tr 9999 2 9999"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    assert read_landmarks(path).positions[0].tolist() == [9999, 2, 9999]


def test_tps_with_empty_lines_and_keys_in_any_case_is_read(a_face, tmp_path):
    """As geomorph ends each specimen and people write them by hand; readers take any case."""
    path = tmp_path / "two.tps"
    write_specimens([a_face, replace(a_face, specimen="bert")], path)
    before = read_specimens(path)
    text = path.read_text(encoding="utf-8").replace("LM3=", " \n\n \n lm3 = ")
    text = text.replace("ID=anna", "\nImage=anna=1.ply\nVariables=\n\nScale=1.0\n id = anna ")
    path.write_text(f"{text}\n \n", encoding="utf-8")

    read = read_specimens(path)

    assert [entry.specimen for entry in read] == ["anna", "bert"]
    for found, true in zip(read, before, strict=True):
        np.testing.assert_array_equal(found.positions, true.positions)


def test_tps_line_without_an_equals_sign_is_doubted(a_face, tmp_path):
    path = tmp_path / "anna.tps"
    write_landmarks(a_face, path)
    path.write_text(path.read_text(encoding="utf-8").replace("=50", "", 1), encoding="utf-8")

    with pytest.raises(FormatError, match=r"anna\.tps:1: expected LM3=; got 'LM3'"):
        read_landmarks(path)


@pytest.mark.parametrize("name", ["nts", "dta"])
def test_matrix_with_blanks_at_the_ends_of_lines_is_read(a_face, tmp_path, name):
    path = tmp_path / f"two.{name}"
    write_specimens([a_face, replace(a_face, specimen="bert")], path)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("".join(f" {line}\t\n" for line in lines), encoding="utf-8")

    assert [entry.specimen for entry in read_specimens(path)] == ["anna", "bert"]


def test_nts_without_labels_numbers_its_specimens(a_face, tmp_path):
    path = tmp_path / "two.nts"
    write_specimens([a_face, replace(a_face, specimen="bert")], path)
    before = read_specimens(path)
    text = path.read_text(encoding="utf-8").replace(" 2L ", " 2 ")
    path.write_text(text.replace("anna\nbert\n", ""), encoding="utf-8")

    read = read_specimens(path)

    assert [entry.specimen for entry in read] == ["two_1", "two_2"]
    for found, true in zip(read, before, strict=True):
        np.testing.assert_array_equal(found.positions, true.positions)


@pytest.mark.parametrize(("missing", "code"), [("0", "nan"), ("1 -9999", "-9999")])
def test_nts_of_one_specimen_with_a_row_for_each_landmark_is_read(missing, code, a_face, tmp_path):
    """As the digitizing functions of geomorph write it."""
    path = tmp_path / "anna.nts"
    n_lost = 3 if missing != "0" else 0
    rows = [f"{code}  {code}  {code}"] * n_lost
    rows += ["  ".join(map(repr, row)) for row in a_face.positions[n_lost:].tolist()]
    head = f'"anna\n1 {N_LANDMARKS} 3 {missing} dim=3\n'
    path.write_text(head + "\n".join(rows) + "\n", encoding="utf-8")

    read = read_landmarks(path, "palnet50")

    assert read.specimen == "anna"
    assert np.array_equal(read.positions[n_lost:], a_face.positions[n_lost:])
    assert np.isnan(read.positions[:n_lost]).all()


def test_nts_of_one_specimen_that_lacks_a_row_is_refused(a_face, tmp_path):
    path = tmp_path / "anna.nts"
    rows = [" ".join(map(repr, row)) for row in a_face.positions[:-1].tolist()]
    path.write_text(f"1 {N_LANDMARKS} 3 0 dim=3\n" + "\n".join(rows), encoding="utf-8")

    with pytest.raises(FormatError, match="ends within specimen 'anna'; expected 1 specimen of 1"):
        read_landmarks(path, "palnet50")


def test_morphologika_points_under_numbers_have_the_names_in_their_section(a_face, tmp_path):
    path = tmp_path / "two.morphologika.txt"
    write_specimens([a_face, replace(a_face, specimen="bert")], path)
    text = path.read_text(encoding="utf-8").replace("[rawpoints]", "[Labels]\nx\n\n[Rawpoints]")
    path.write_text(text.replace("'anna", "'#1").replace("'bert", "\n'#2"), encoding="utf-8")

    assert [entry.specimen for entry in read_specimens(path)] == ["anna", "bert"]


@pytest.mark.parametrize("name", ["pts", "fcsv", "lafas", "morphoj", "csv", "csv-wide"])
def test_empty_lines_and_blanks_at_the_ends_of_lines_say_nothing(name, a_face, tmp_path):
    """As people leave them; in a table they are empty rows."""
    path = tmp_path / f"anna{get_format(name).suffix}"
    write_landmarks(a_face, path)
    before = read_landmarks(path, a_face.scheme)
    end = "" if name.startswith("csv") else " "
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines[:2] if name == "pts" else lines[:1]
    text = "".join(f"{line}{end}\n" for line in first)
    text += "".join(f"\n \t \n{line}{end}\n" for line in lines[len(first) :])
    path.write_text(text, encoding="utf-8")

    read = read_landmarks(path, a_face.scheme)

    assert read.specimen == before.specimen
    np.testing.assert_array_equal(read.positions, before.positions)


def test_lafas_name_that_is_there_twice_is_named(a_small_scheme, tmp_path):
    """A row was copied into the place of another, so that the order is in doubt."""
    path = tmp_path / "anna.lafas.txt"
    path.write_text("Nase\t(1,2,3)\nAuge r\t(4, 5, 6)\nNase\t(1,2,3)\n", encoding="utf-8")

    with pytest.raises(FormatError, match=r"txt:3: expected landmark 'eye_l', number 3.*'Nase'"):
        read_landmarks(path, a_small_scheme)


def test_lafas_rows_numbered_in_another_order_are_refused(tmp_path):
    """Rows 1, 2, 3 are not in the file's order: glabella was read as another landmark."""
    rows = {str(k): f"{k}\t({k}.5,0,0)\n" for k in range(1, 51)}
    path = tmp_path / "anna.lafas.txt"

    path.write_text("".join(rows[name] for name in sorted(rows)), encoding="utf-8")
    positions = read_landmarks(path, "palnet50").positions
    np.testing.assert_array_equal(positions[:, 0], np.arange(1, 51) + 0.5)
    path.write_text("".join(rows.values()), encoding="utf-8")
    with pytest.raises(FormatError, match=r"txt:2: expected landmark 'sl', number 10,.*got '2'"):
        read_landmarks(path, "palnet50", strict=False)


def test_pp_of_another_root_is_named(a_face, tmp_path):
    path = tmp_path / "anna.pp"
    write_landmarks(a_face, path)
    text = path.read_text(encoding="utf-8").replace("PickedPoints", "MeshLabProject")
    path.write_text(text, encoding="utf-8")

    with pytest.raises(
        FormatError, match=r"anna\.pp: expected <PickedPoints>; got <MeshLabProject>"
    ):
        read_landmarks(path)


def test_pp_of_codes_that_differ_by_case_only_is_refused(a_face, tmp_path):
    landmarks = (replace(entry, mirror=None) for entry in a_face.scheme.landmarks)
    first, *others = (replace(e, side="midline") for e in landmarks)
    scheme = replace(
        a_face.scheme,
        name="lab",
        landmarks=(replace(first, code="N"), *others),
        distances=(),
        angles=(),
    )

    with pytest.raises(FormatError, match="differ in upper and lower case only"):
        write_landmarks(replace(a_face, scheme=scheme), tmp_path / "anna.pp")


@pytest.mark.parametrize(("code", "status"), [("0", "undefined"), ("3", "missing")])
def test_fcsv_point_without_position_is_what_slicer_calls_it(a_face, tmp_path, code, status):
    path = tmp_path / "anna.fcsv"
    write_landmarks(a_face, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[3] = f"1,0,0,0,0,0,0,1,1,1,0,tr,,,{code},0"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    read = read_landmarks(path)

    assert read.status == (status, *("corrected",) * (N_LANDMARKS - 1))
    assert np.isnan(read.positions[0]).all()


def test_fcsv_rows_with_the_two_values_that_slicer_5_adds_are_read(a_face, tmp_path):
    path = tmp_path / "anna.fcsv"
    write_landmarks(a_face, path)
    before = read_landmarks(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[3:] = [f"{line},2,0" for line in lines[3:]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    read = read_landmarks(path)

    np.testing.assert_array_equal(read.positions, before.positions)
    assert set(read.status) == {"corrected"}


@pytest.fixture
def a_slicer_4_list(tmp_path):
    path = tmp_path / "anna.fcsv"
    path.write_text(SLICER_4, encoding="utf-8")
    return path


def test_fcsv_that_slicer_4_wrote_is_read(a_slicer_4_list, a_small_scheme):
    read = read_landmarks(a_slicer_4_list, a_small_scheme)

    assert (read.frame, read.space, read.mm_per_unit) == ("RAS", "RAS", 1.0)
    assert (read.specimen, read.status) == ("anna", ("corrected",) * 3)
    np.testing.assert_array_equal(read.positions, SLICER_4_POINTS)


def test_fcsv_axes_of_the_file_hold_against_a_frame_that_contradicts(
    a_slicer_4_list, a_small_scheme
):
    told = r"anna\.fcsv:2: the numbers are along RAS axes; you asked for frame LPS"

    with pytest.raises(FormatError, match=told):
        read_landmarks(a_slicer_4_list, a_small_scheme, frame="LPS")
    with pytest.warns(FormatWarning, match=told):
        read = read_landmarks(a_slicer_4_list, a_small_scheme, frame="LPS", strict=False)

    assert (read.frame, read.space) == ("RAS", "RAS")
    np.testing.assert_array_equal(read.positions, SLICER_4_POINTS)


def test_fcsv_numbers_of_the_scan_file_keep_unit_and_axes(a_slicer_4_list, a_small_scheme):
    read = read_landmarks(a_slicer_4_list, a_small_scheme, frame="file", mm_per_unit=10.0)

    assert (read.frame, read.space, read.mm_per_unit) == ("file", "RAS", 10.0)
    np.testing.assert_array_equal(read.positions, SLICER_4_POINTS)


@pytest.mark.parametrize("name", ["Anna\u00a0M", "Anna\tM"])
def test_mrk_json_name_that_no_line_can_hold_is_doubted(a_face, tmp_path, name):
    path = tmp_path / "anna.mrk.json"
    write_landmarks(a_face, path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(json.dumps("anna"), json.dumps(name)), encoding="utf-8")

    with pytest.raises(FormatError, match=r"anna\.mrk\.json.*must be printable"):
        read_landmarks(path)
    with pytest.warns(match="must be printable"):
        assert read_landmarks(path, strict=False).specimen == "Anna_M"


def test_csv_numbers_that_r_marks_as_not_available_are_empty(a_face, tmp_path):
    positions = a_face.positions.copy()
    positions[0] = np.nan
    status = ("missing", *("confirmed",) * (N_LANDMARKS - 1))
    unsure = np.full(N_LANDMARKS, np.nan)
    path = tmp_path / "anna.csv"
    lacking = replace(a_face, positions=positions, status=status, expected_error_mm=unsure)
    write_landmarks(lacking, path)
    header, *rows = (line.split(",") for line in path.read_text(encoding="utf-8").splitlines())
    columns = [header.index(name) for name in ("x", "y", "z", "expected_error_mm")]
    for row in rows:
        for column in columns:
            row[column] = row[column] or "NA"
    path.write_text("\n".join(map(",".join, [header, *rows])) + "\n", encoding="utf-8")

    read = read_landmarks(path)

    assert read.status == status
    np.testing.assert_allclose(read.positions, positions, atol=1e-6)
    assert np.isnan(read.expected_error_mm).all()


@pytest.mark.parametrize("absent", ["", "NA"])
def test_csv_wide_columns_may_be_in_any_order(absent, a_landmark_set, tmp_path):
    path = tmp_path / "two.wide.csv"
    write_specimens([a_landmark_set, replace(a_landmark_set, specimen="bert, second")], path)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    order = np.random.default_rng(5).permutation(len(rows[0]))
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([row[k] or absent for k in order] for row in rows)

    read = read_specimens(path)

    assert [entry.specimen for entry in read] == ["case_001", "bert, second"]
    for entry in read:
        np.testing.assert_allclose(entry.positions, a_landmark_set.positions, atol=5.1e-7)


@pytest.mark.parametrize("has_header", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_morphoj_separators_are_those_of_spreadsheets(separator, has_header, two_rows, a_face):
    path, rows = two_rows
    header = ",".join(["ID", *(f"x{k}" for k in range(3 * N_LANDMARKS))])
    lines = [header, *rows] if has_header else rows

    read = read_rows(path, [f" {line.replace(',', f' {separator} ')}" for line in lines])

    assert [entry.specimen for entry in read] == ["anna", "bert"]
    for entry in read:
        np.testing.assert_allclose(entry.positions, a_face.positions, atol=1e-6)


def test_morphoj_first_specimen_without_a_number_is_doubted(two_rows):
    """It was taken for a header, and left out without a word."""
    path, rows = two_rows
    nothing = ",".join(["carl", *["NA"] * (3 * N_LANDMARKS)])

    with pytest.raises(FormatError, match=r"1: MorphoJ takes this line for a header"):
        read_rows(path, [nothing, *rows])


@pytest.mark.parametrize("field", [1, 7, -1])
@pytest.mark.parametrize("damage", ["12.3.4", "NA"])
def test_morphoj_specimen_that_would_be_a_header_is_doubted(two_rows, damage, field):
    path, rows = two_rows
    fields = rows[0].split(",")
    fields[field] = damage

    with pytest.raises(
        FormatError, match=r"1: MorphoJ takes this line for a header.*complete its numbers"
    ):
        read_rows(path, [",".join(fields), rows[1]])


def test_morphoj_only_row_may_be_a_specimen(two_rows, a_face):
    path, rows = two_rows

    (read,) = read_rows(path, rows[:1])

    np.testing.assert_allclose(read.positions, a_face.positions, atol=5.1e-7)


def test_morphoj_row_without_a_separator_is_named(two_rows):
    path, _ = two_rows

    with pytest.raises(FormatError, match=r"1: expected an ID and 150 numbers; got 1 field\."):
        read_rows(path, ["anna 1 2 3"])


def test_morphoj_names_in_quotes_are_names(two_rows):
    path, rows = two_rows
    quoted = [",".join((f'"{name}"', numbers)) for name, numbers in (r.split(",", 1) for r in rows)]

    assert [entry.specimen for entry in read_rows(path, quoted)] == ["anna", "bert"]


def test_morphoj_last_specimen_that_ends_in_empty_fields_is_read_like_the_first(two_rows):
    path, rows = two_rows
    lacking = ["\t".join([*row.split(",")[:-3], "", "", ""]) for row in rows]

    with pytest.warns(match="expected three numbers"):
        read = read_rows(path, ["\t".join(["ID", *["x"] * 150]), *lacking], strict=False)

    assert [entry.is_placed.sum() for entry in read] == [N_LANDMARKS - 1] * 2


def test_fcsv_that_slicer_saved_along_other_axes_keeps_the_numbers_of_the_scan_file(
    a_small_scheme, tmp_path
):
    """Slicer saves along LPS axes; the file beside it says those of the scan file."""
    points = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    face = LandmarkSet(
        scheme=a_small_scheme,
        positions=points,
        status=("corrected",) * 3,
        expected_error_mm=np.full(3, np.nan),
        mm_per_unit=1000.0,
        frame="file",
        specimen="anna",
        space="RAS",
    )
    path = tmp_path / "anna.fcsv"
    write_landmarks(face, path)
    head, rows = path.read_text(encoding="utf-8").split("associatedNodeID\n")
    saved = [row.split(",") for row in rows.splitlines()]
    rows = "".join(f"{r[0]},-{r[1]},-{r[2]},{','.join(r[3:])}\n" for r in saved)
    text = f"{head.replace('= RAS', '= LPS')}associatedNodeID\n{rows}"
    path.write_text(text, encoding="utf-8")

    read = read_landmarks(path)

    assert (read.frame, read.space, read.mm_per_unit) == ("file", "RAS", 1000.0)
    np.testing.assert_array_equal(read.positions, points)


def test_lafas_codes_in_capitals_in_the_order_of_the_scheme_are_doubted(tmp_path):
    """They were taken for other names, and each position for that of another landmark."""
    scheme = load_scheme()
    path = tmp_path / "anna.lafas.txt"
    rows = [f"{code.upper()}\t({row},{row},{row})\n" for row, code in enumerate(scheme.codes)]
    path.write_text("".join(rows), encoding="utf-8")

    with pytest.raises(FormatError, match=r"txt:2: expected landmark 'sl', number 10.*'G'"):
        read_landmarks(path, scheme)
