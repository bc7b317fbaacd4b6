# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import json
import os
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palnet.cli import main
from palnet.commands._data_sets import refuse_run_among_scans
from palnet.data_sets import layouts
from palnet.data_sets.checking import WARNINGS, check_data_set
from palnet.data_sets.dataset import AnnotatedScan, load_scan, name_people
from palnet.data_sets.files import list_files
from palnet.data_sets.layouts import read_data_set
from palnet.data_sets.scan_checks import read_matrix
from palnet.errors import FormatError, MeshError, UsageError
from palnet.exchange import read_landmarks, write_landmarks, write_specimens
from palnet.landmarks import LandmarkSet
from palnet.samples import example_scan, example_truth
from palnet.scheme import Scheme, load_scheme
from palnet.surface import Mesh, plausible_units, read_mesh, write_ply
from palnet.training.annotated.scan_cache import _is_kept
from palnet_links import link_folder
from toy_cohort import toy_landmarks, toy_person, write_toy_cohort, write_toy_scan
from toy_head import toy_scheme

NAN = np.nan


def write_obj(mesh, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mesh.points]
    rows += [f"f {a} {b} {c}" for a, b, c in mesh.triangles + 1]
    path.write_text("\n".join(rows), encoding="utf-8")


def positions_of(scan, scheme):
    return load_scan(scan, scheme)[2].positions


@pytest.fixture
def a_lafas_folder(tmp_path):
    """Two subjects, one with a matrix; positions that only their row tells apart."""
    for number, subject in enumerate(("S01", "S02")):
        mesh, _ = toy_person(number)
        write_obj(mesh, tmp_path / subject / "face.obj")
        # Rows are sorted by number as text: 1, 10, 11, ..., 19, 2, 20, ...
        rows = [f"point {k}\t({k}.5,{number},{-k})\n" for k in sorted(range(1, 51), key=str)]
        (tmp_path / subject / "landmarks.txt").write_text("".join(rows), encoding="utf-8")
    np.save(tmp_path / "S01" / "transformation_matrix.npy", np.eye(4))
    return tmp_path


def test_lafas_rows_are_put_into_the_order_of_the_scheme(a_lafas_folder):
    data = read_data_set(a_lafas_folder)

    assert (data.layout, data.scheme, data.problems) == ("lafas", load_scheme("palnet50"), ())
    assert len(read_data_set(str(a_lafas_folder)).scans) == len(data.scans)
    assert [scan.specimen for scan in data.scans] == ["S01", "S02"]
    expected = [[k + 0.5, 1, -k] for k in range(1, 51)]
    np.testing.assert_allclose(positions_of(data.scans[1], data.scheme), expected)


def add_header(path):
    if path.suffix == ".txt":
        rows = path.read_text(encoding="utf-8")
        path.write_text(f"Landmark names\tcoordinates\n{rows}", encoding="utf-8")


def name_in_capitals(path):
    if path.suffix in (".obj", ".txt"):
        path.rename(path.with_name(f"{path.stem}.{path.suffix[1:].upper()}"))


@pytest.mark.parametrize("change", [add_header, name_in_capitals])
def test_lafas_files_may_have_a_header_or_endings_in_capitals(change, a_lafas_folder):
    before = read_data_set(a_lafas_folder)
    for path in sorted(a_lafas_folder.rglob("*.*")):
        change(path)

    data = read_data_set(a_lafas_folder)

    assert (data.layout, data.problems) == ("lafas", ())
    for scan, same in zip(data.scans, before.scans, strict=True):
        assert scan.specimen == same.specimen
        np.testing.assert_array_equal(scan.landmarks.positions, same.landmarks.positions)


def test_lafas_matrix_may_be_there_or_not(a_lafas_folder):
    first, second = read_data_set(a_lafas_folder).scans

    np.testing.assert_array_equal(read_matrix(str(first.matrix_path)), np.eye(4))
    assert second.matrix_path is None


def test_lafas_subject_with_two_meshes_is_named(a_lafas_folder):
    write_obj(toy_person(0)[0], a_lafas_folder / "S01" / "old.obj")

    data = read_data_set(a_lafas_folder)

    assert [scan.specimen for scan in data.scans] == ["S02"]
    assert [(p.kind, p.specimen) for p in data.problems] == [("ambiguous_files", "S01")]
    for name in ("face.obj", "old.obj", "landmarks.txt"):
        assert str(a_lafas_folder / "S01" / name) in data.problems[0].text


@pytest.mark.parametrize(("n_rows", "says"), [(49, "got 49"), (0, "landmarks.txt")])
def test_lafas_file_with_too_few_rows_is_named_by_its_folder(n_rows, says, a_lafas_folder):
    path = a_lafas_folder / "S02" / "landmarks.txt"
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:n_rows]), "utf-8")

    data = read_data_set(a_lafas_folder)

    assert (data.layout, [scan.specimen for scan in data.scans]) == ("lafas", ["S01"])
    ((kind, specimen, text),) = [(p.kind, p.specimen, p.text) for p in data.problems]
    assert (kind, specimen, says in text) == ("bad_landmarks", "S02", True)


def leave_subjects_incomplete(folder):
    """S03 and S04 have a mesh alone, S05 landmarks alone."""
    for number, subject in ((2, "S03"), (3, "S04"), (4, "S05")):
        shutil.copytree(folder / "S02", folder / subject)
        write_obj(toy_person(number)[0], folder / subject / "face.obj")
        lacks = "face.obj" if subject == "S05" else "landmarks.txt"
        (folder / subject / lacks).unlink()


LACKING = [
    ("no_landmarks", "S03", "face.obj has no .txt of landmarks beside it. Add it, or ignore this."),
    ("no_landmarks", "S04", "face.obj has no .txt of landmarks beside it. Add it, or ignore this."),
    (
        "no_mesh",
        "S05",
        "landmarks.txt has no .obj beside it. Add the mesh, or delete the text file.",
    ),
]


def test_lafas_subjects_that_lack_a_file_are_named_by_their_folders(a_lafas_folder):
    """Two meshes alone were two of one name, which spoils a training; landmarks were not told."""
    leave_subjects_incomplete(a_lafas_folder)

    data = read_data_set(a_lafas_folder)

    assert (data.layout, [scan.specimen for scan in data.scans]) == ("lafas", ["S01", "S02"])
    assert [(p.kind, p.specimen, p.text) for p in data.problems] == LACKING
    assert {p.kind for p in data.problems} <= set(WARNINGS)


def test_lafas_subjects_that_lack_a_file_are_named_beside_plain_scans_as_well(a_lafas_folder):
    leave_subjects_incomplete(a_lafas_folder)
    write_plain_scans(a_lafas_folder / "more", ["anna", "bert"])
    write_plain_scans(a_lafas_folder / "alone", ["carl"])
    (a_lafas_folder / "alone" / "carl.csv").rename(a_lafas_folder / "carl.csv")

    data = read_data_set(a_lafas_folder)

    assert data.layout == "plain"
    assert [scan.specimen for scan in data.scans] == ["S01", "S02", "anna", "bert", "carl"]
    assert [(p.kind, p.specimen, p.text) for p in data.problems] == LACKING


def test_subjects_behind_links_are_read_and_no_file_twice(a_lafas_folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("share")
    (a_lafas_folder / "S02").rename(elsewhere / "S02")
    link_folder(a_lafas_folder / "S02", elsewhere / "S02")
    link_folder(a_lafas_folder / "again", elsewhere / "S02")
    link_folder(elsewhere / "S02" / "up", elsewhere)
    link_folder(a_lafas_folder / "S01" / "whole", a_lafas_folder)

    data = read_data_set(a_lafas_folder)

    assert (data.layout, data.problems) == ("lafas", ())
    assert [scan.specimen for scan in data.scans] == ["S01", "S02"]


def test_subject_that_a_link_leads_to_keeps_its_name(a_lafas_folder):
    """As `palnet detect` names it."""
    link_folder(a_lafas_folder / "A", a_lafas_folder / "S02")

    assert [scan.specimen for scan in read_data_set(a_lafas_folder).scans] == ["S01", "S02"]


def lock(monkeypatch, locked):
    """Rights that hold for the superuser as well: of a folder, and of a file."""
    scan, open_file = os.scandir, Path.open

    def refuse(path):
        if Path(path) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    def scandir(path):
        refuse(path)
        return scan(path)

    def open_unless_locked(path, *args, **options):
        refuse(path)
        return open_file(path, *args, **options)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(Path, "open", open_unless_locked)


@pytest.mark.parametrize("place", ["more", "S02"])
def test_locked_folder_is_told_and_the_others_read(place, a_lafas_folder, monkeypatch):
    """The check ended at one that is a subject, and passed over any other without a word."""
    (a_lafas_folder / "more").mkdir()
    lock(monkeypatch, a_lafas_folder / place)

    data = read_data_set(a_lafas_folder)

    assert {scan.specimen for scan in data.scans} == {"S01", "S02"} - {place}
    ((kind, specimen, text),) = [(p.kind, p.specimen, p.text) for p in data.problems]
    assert (kind, specimen) == ("unreadable", place)
    assert text.startswith("cannot be read (Permission denied).")
    assert data.left_out == [f"{place}: {text}"]


def test_locked_text_of_a_lafas_subject_is_a_problem_of_that_subject(a_lafas_folder, monkeypatch):
    lock(monkeypatch, a_lafas_folder / "S02" / "landmarks.txt")

    data = read_data_set(a_lafas_folder)

    assert (data.layout, [scan.specimen for scan in data.scans]) == ("lafas", ["S01"])
    assert [(p.kind, p.specimen) for p in data.problems] == [("bad_landmarks", "S02")]
    assert "cannot be read (Permission denied)" in data.problems[0].text


def test_links_that_lead_nowhere_are_told(tmp_path):
    """A share that is not mounted: its scans were left out without a word."""
    write_plain_scans(tmp_path, ["anna"])
    share = tmp_path / ".share"
    for name in ("bert.obj", "more"):
        link_folder(tmp_path / name, share / name)

    data = read_data_set(tmp_path)

    assert [scan.specimen for scan in data.scans] == ["anna"]
    told = [(p.kind, p.specimen) for p in data.problems]
    assert told == [("unreadable", "bert.obj"), ("unreadable", "more")]
    for problem in data.problems:  # which a junction of Windows is told as such, too
        assert problem.text.startswith(("is a link to ", "cannot be read ("))


def test_scan_whose_file_is_a_link_that_leads_nowhere_is_left_out_once(tmp_path):
    """It was listed and counted as two scans, and a needless file of a used scan as one."""
    write_plain_scans(tmp_path, ["anna", "bert", "carl"])
    for name in ("bert.obj", "carl.csv", "anna.mrk.json"):
        (tmp_path / name).unlink(missing_ok=True)
        link_folder(tmp_path / name, tmp_path / ".share" / name)

    bert, carl = read_data_set(tmp_path).left_out

    assert bert.startswith("bert: ")
    assert bert.endswith(" bert.csv has landmarks, but there is no mesh of that name.")
    assert carl.startswith("carl: ")
    assert carl.endswith(" carl.obj has no landmark file of its name.")


def test_folder_that_a_link_leads_above_is_read_whole_and_no_file_twice(tmp_path_factory):
    folder, elsewhere = (tmp_path_factory.mktemp(name) for name in ("scans", "share"))
    write_plain_scans(folder, ["anna"])
    for site, name in (("site1", "bert"), ("site2", "cora")):
        (elsewhere / site).mkdir()
        write_plain_scans(elsewhere / site, [name])
    link_folder(folder / "a", elsewhere / "site1")
    link_folder(folder / "b", elsewhere)

    data = read_data_set(folder)

    assert ([scan.specimen for scan in data.scans], data.problems) == (["anna", "bert", "cora"], ())


@pytest.mark.parametrize("place", ["study", "study/scans"])
def test_scans_in_the_folder_of_a_run_are_not_hidden(place, tmp_path):
    (tmp_path / place).mkdir(parents=True)
    write_plain_scans(tmp_path / place, ["anna", "bert"])
    (tmp_path / "study" / "recipe.json").write_text("{}", encoding="utf-8")

    assert [scan.specimen for scan in read_data_set(tmp_path).scans] == ["anna", "bert"]


def test_folders_that_a_system_makes_on_every_disk_are_passed_over(tmp_path, monkeypatch):
    write_plain_scans(tmp_path, ["anna"])
    for name in ("lost+found", "System Volume Information"):
        (tmp_path / name).mkdir()
        lock(monkeypatch, tmp_path / name)

    assert read_data_set(tmp_path).problems == ()


def test_run_folder_that_holds_scans_or_landmarks_is_refused(tmp_path, tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    data = tmp_path / "data"
    for folder in ("meshes", "landmarks"):
        (data / folder).mkdir(parents=True)
    write_plain_scans(data / "meshes", ["anna"])
    (data / "meshes" / "anna.csv").rename(data / "landmarks" / "anna.csv")
    write_plain_scans(store, ["bert"])
    link_folder(data / "link", store)

    for output in (data, data / "meshes", data / "landmarks", data / "link", store):
        with pytest.raises(UsageError, match=r"holds scans or landmarks\. Name another"):
            refuse_run_among_scans(data, output)

    (data / "run").mkdir()
    (data / "run" / "log.out").write_text("of a cluster", encoding="utf-8")
    for output in (data / "run", data / "new", tmp_path / "run", tmp_path):
        refuse_run_among_scans(data, output)


def write_plain_scans(folder, names):
    scheme = load_scheme("palnet50")
    for number, name in enumerate(names):
        mesh, _ = toy_person(number)
        write_obj(mesh, folder / f"{name}.obj")
        positions = np.arange(150.0).reshape(50, 3) + number
        landmarks = LandmarkSet(
            scheme, positions, ("confirmed",) * 50, np.full(50, NAN), 1.0, "file", name
        )
        write_landmarks(landmarks, folder / f"{name}.csv")


def test_plain_scans_beside_a_subject_of_lafas_are_read_as_well(a_lafas_folder):
    """One such subfolder made the whole folder LAFAS, and the others vanished without a word."""
    write_plain_scans(a_lafas_folder, ["anna", "bert"])

    data = read_data_set(a_lafas_folder)

    assert (data.layout, data.problems) == ("plain", ())
    assert [scan.specimen for scan in data.scans] == ["S01", "S02", "anna", "bert"]
    np.testing.assert_allclose(positions_of(data.scans[1], data.scheme)[0], [1.5, 1, -1])


def test_what_was_detected_beside_the_mesh_of_a_subject_is_no_annotation(a_lafas_folder):
    """`palnet detect` writes beside the scan: a training would have learned from itself."""
    before = read_data_set(a_lafas_folder)
    for scan in before.scans:
        moved = replace(scan.landmarks, positions=scan.landmarks.positions + 5.0)
        write_landmarks(moved, scan.mesh_path.with_suffix(".csv"))

    data = read_data_set(a_lafas_folder)

    assert (data.layout, [scan.specimen for scan in data.scans]) == ("lafas", ["S01", "S02"])
    for scan, expected in zip(data.scans, before.scans, strict=True):
        np.testing.assert_array_equal(scan.landmarks.positions, expected.landmarks.positions)


def test_long_text_beside_a_mesh_is_not_read_whole(a_lafas_folder, monkeypatch):
    folder = a_lafas_folder / "cloud"
    folder.mkdir()
    write_obj(toy_person(0)[0], folder / "cloud.obj")
    (folder / "points.txt").write_text("1 2 3\n" * 100_000, encoding="utf-8")
    (folder / "frames.txt").mkdir()
    monkeypatch.setattr(Path, "read_text", None)

    assert not layouts._has_lafas_rows(list_files(folder)[0])


def test_note_beside_a_plain_scan_makes_no_lafas_of_it(tmp_path):
    write_plain_scans(tmp_path, ["anna"])
    write_plain_scans(tmp_path / "again", ["bert"])
    write_plain_scans(tmp_path / "unplaced", ["carl"])
    (tmp_path / "unplaced" / "carl.csv").unlink()
    for folder in ("again", "unplaced"):
        (tmp_path / folder / "readme.txt").write_text("Second session.\n", encoding="utf-8")

    data = read_data_set(tmp_path)

    assert (data.layout, [scan.specimen for scan in data.scans]) == ("plain", ["anna", "bert"])
    assert [(p.kind, p.specimen) for p in data.problems] == [("no_landmarks", "carl")]


@pytest.mark.parametrize("name", ["S01", "s01"])
def test_plain_scan_of_the_name_of_a_lafas_subject_is_told(name, a_lafas_folder):
    write_plain_scans(a_lafas_folder, [name, "bert"])

    data = read_data_set(a_lafas_folder)

    assert [scan.specimen for scan in data.scans] == ["S02", "bert"]
    assert [(p.kind, p.specimen) for p in data.problems] == [("repeated_name", "S01")]


def test_scans_whose_names_are_one_to_many_disks_are_told(tmp_path):
    """Predictions, folds and kept scans lie in files of these names."""
    write_plain_scans(tmp_path / "a", ["Anna", "bert"])
    write_plain_scans(tmp_path / "b", ["anna"])

    data = read_data_set(tmp_path)

    assert [scan.specimen for scan in data.scans] == ["bert"]
    assert [(p.kind, p.specimen) for p in data.problems] == [("repeated_name", "Anna")]


@pytest.fixture
def a_facescape_folder(tmp_path):
    vertices = np.arange(68) * 20 + 7
    np.savez(tmp_path / "landmark_indices.npz", v10=vertices)
    for number in (1, 2):
        write_obj(toy_person(number)[0], tmp_path / str(number) / "models_reg" / "1_neutral.obj")
        write_obj(toy_person(number)[0], tmp_path / str(number) / "models_reg" / "2_smile.obj")
    return tmp_path, vertices


def test_facescape_landmarks_are_vertices_of_the_neutral_mesh(a_facescape_folder):
    folder, vertices = a_facescape_folder

    data = read_data_set(folder)

    assert (data.layout, len(data.scheme), data.problems) == ("facescape", 68, ())
    assert [(scan.specimen, scan.person) for scan in data.scans] == [("1", "1"), ("2", "2")]
    expected = toy_person(2)[0].points[vertices]
    np.testing.assert_allclose(positions_of(data.scans[1], data.scheme), expected, atol=1e-6)


def test_scheme_of_other_landmarks_is_refused_for_facescape(a_facescape_folder):
    """It was ignored, even if there was no such file."""
    folder, _ = a_facescape_folder
    own = load_scheme("ibug68")

    assert read_data_set(folder, replace(own, name="lab")).scheme.name == "lab"
    with pytest.raises(UsageError, match=r"68 landmarks of scheme 'ibug68'.*got scheme 'palnet50'"):
        read_data_set(folder, "palnet50")
    with pytest.raises(FormatError, match="no-such"):
        read_data_set(folder, folder / "no-such.json")


def test_facescape_landmarks_are_nobodys_detection(a_facescape_folder):
    folder, _ = a_facescape_folder

    report = check_data_set(read_data_set(folder))

    assert report.n_scans == 2
    assert "unreviewed" not in {problem.kind for problem in report.problems}


@pytest.mark.parametrize(
    "indices",
    [{"v10": np.arange(67)}, {"v9": np.arange(68)}, {"v10": np.arange(68) / 2},
     {"v10": np.arange(68) - 1}, {"v10": np.array([{}] * 68)}],
)  # fmt: skip
def test_facescape_indices_that_are_none_are_named(indices, a_facescape_folder):
    folder, _ = a_facescape_folder
    np.savez(folder / "landmark_indices.npz", **indices)

    report = check_data_set(read_data_set(folder))

    assert [p.kind for p in report.problems] == ["no_scans", "bad_indices"]


def test_facescape_indices_in_a_damaged_file_are_named_or_read(a_facescape_folder):
    folder, vertices = a_facescape_folder
    path = folder / "landmark_indices.npz"
    np.savez_compressed(path, v10=vertices)
    content = path.read_bytes()
    flipped = (
        content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]
        for at in range(0, len(content), 7)
    )

    for damaged in (b"", b"no archive", content[:-9], *flipped):
        path.write_bytes(damaged)
        data = read_data_set(folder)
        assert data.scans or [p.kind for p in data.problems] == ["bad_indices"]


def test_facescape_landmark_at_a_vertex_without_a_position_is_named(a_facescape_folder):
    folder, vertices = a_facescape_folder
    data = read_data_set(folder)
    scan = data.scans[0]
    lines = scan.mesh_path.read_text(encoding="utf-8").splitlines()
    at = [row for row, line in enumerate(lines) if line.startswith("v ")][vertices[3]]
    lines[at] = "v nan nan nan"
    scan.mesh_path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    with pytest.raises(MeshError, match=f"at vertex {vertices[3]}, which no triangle of the mesh"):
        load_scan(scan, data.scheme)


def test_facescape_index_beyond_the_mesh_is_named(a_facescape_folder):
    folder, vertices = a_facescape_folder
    np.savez(folder / "landmark_indices.npz", v10=vertices * 100)
    data = read_data_set(folder)

    with pytest.raises(MeshError, match=r"a landmark is at vertex 134700, but the mesh has \d+"):
        load_scan(data.scans[0], data.scheme)


FORMATS = ["csv", "mrk.json", "fcsv", "pts"]


@pytest.mark.parametrize("format", FORMATS)
def test_plain_folder_takes_any_format(format, tmp_path):
    mesh, positions = toy_person(0)
    write_ply(mesh, tmp_path / "anna.ply")
    path = tmp_path / f"anna.{format}"
    write_landmarks(toy_landmarks(positions, "anna"), path, format=format)
    path.with_name(f"{path.name}.frame.json").unlink(missing_ok=True)

    data = read_data_set(tmp_path, scheme_file(tmp_path))

    assert (data.layout, data.problems) == ("plain", ())
    np.testing.assert_allclose(positions_of(data.scans[0], data.scheme), positions, atol=1e-4)


def test_plain_folder_takes_names_that_cannot_be_printed(tmp_path):
    mesh, positions = toy_person(0)
    write_ply(mesh, tmp_path / "山田\u3000花子.ply")
    write_landmarks(toy_landmarks(positions, "whoever"), tmp_path / "山田\u3000花子.csv")

    data = read_data_set(tmp_path, scheme_file(tmp_path))

    assert [scan.specimen for scan in data.scans] == ["山田_花子"]
    np.testing.assert_allclose(positions_of(data.scans[0], data.scheme), positions, atol=1e-4)


def scheme_file(tmp_path):
    return str(write_toy_cohort(tmp_path / "other" / "scans", 0))


def test_plain_folder_takes_names_whose_accents_are_written_in_two_ways(tmp_path):
    """As macOS takes them apart in file names; one file holds the landmarks of both."""
    names = ["Zo\u00eb", "Zo\u00eb2"]
    apart = [unicodedata.normalize("NFD", name) for name in names]
    sets = []
    for number, name in enumerate(apart):
        mesh, positions = toy_person(number)
        write_ply(mesh, tmp_path / f"{name}.ply")
        sets.append(toy_landmarks(positions, name))
    write_specimens(sets, tmp_path / "cohort.csv")

    data = read_data_set(tmp_path, scheme_file(tmp_path))

    assert [scan.specimen for scan in data.scans] == names
    assert data.problems == ()


@pytest.mark.parametrize("is_damaged", [False, True])
def test_plain_landmarks_beside_a_mesh_are_of_it_however_accents_are_written(tmp_path, is_damaged):
    name = unicodedata.normalize("NFC", "Zo\u00eb")
    mesh, positions = toy_person(0)
    write_ply(mesh, tmp_path / f"{name}.ply")
    table = tmp_path / f"{unicodedata.normalize('NFD', name)}.csv"
    write_landmarks(toy_landmarks(positions, "patient 7"), table)
    if is_damaged:
        table.write_bytes(table.read_bytes()[:-40] + b"\xff")

    data = read_data_set(tmp_path, scheme_file(tmp_path))

    kinds = {(problem.kind, problem.specimen) for problem in data.problems}
    if is_damaged:
        assert ("no_landmarks", name) not in kinds
        assert {specimen for _, specimen in kinds} == {name}
    else:
        assert [scan.specimen for scan in data.scans] == [name]
        assert kinds == set()


@pytest.mark.parametrize("ending", ["mrk.json", "csv"])
def test_plain_landmarks_in_another_folder_are_of_the_mesh_of_their_files_name(tmp_path, ending):
    """Renamed with their meshes, the files said the former names, and no mesh was theirs."""
    scheme = scheme_file(tmp_path)
    for number, name in enumerate(("P01", "P02")):
        mesh, positions = toy_person(number)
        write_ply(mesh, tmp_path / "study" / "scans" / f"{name}.ply")
        landmarks = toy_landmarks(positions, f"patient {number}")
        write_landmarks(landmarks, tmp_path / "study" / "labels" / f"{name}.{ending}")

    data = read_data_set(tmp_path / "study", scheme)

    assert [scan.specimen for scan in data.scans] == ["P01", "P02"]
    assert data.problems == ()
    np.testing.assert_allclose(
        positions_of(data.scans[1], data.scheme), toy_person(1)[1], atol=1e-4
    )


def test_plain_landmarks_in_another_folder_stay_those_of_the_mesh_that_they_name(tmp_path):
    scheme = scheme_file(tmp_path)
    for number, name in enumerate(("anna", "all")):
        write_ply(toy_person(number)[0], tmp_path / "study" / "scans" / f"{name}.ply")
    landmarks = toy_landmarks(toy_person(0)[1], "anna")
    write_landmarks(landmarks, tmp_path / "study" / "labels" / "all.csv")

    data = read_data_set(tmp_path / "study", scheme)

    assert [scan.specimen for scan in data.scans] == ["anna"]


@pytest.mark.parametrize("place", [".ipynb_checkpoints", ".cache/deep"])
def test_copy_of_a_scan_in_a_hidden_folder_takes_none_away(tmp_path, place):
    write_plain_scans(tmp_path, ["a", "b"])
    (tmp_path / place).mkdir(parents=True)
    for path in sorted(tmp_path.glob("a.*")):
        shutil.copy(path, tmp_path / place / path.name)

    data = read_data_set(tmp_path)

    assert [scan.specimen for scan in data.scans] == ["a", "b"]
    assert data.problems == ()


@pytest.mark.parametrize("frame", ["file", "LPS"])
def test_face_of_an_infant_in_millimeters_is_no_bust_in_centimeters(tmp_path, frame):
    """So small a crop may be either by its size; its landmarks tell."""
    truth = read_landmarks(example_truth()).to_frame("LPS")
    mesh = read_mesh(example_scan())
    scale = 0.65
    nose = truth.positions[truth.scheme.index_of("prn")]
    is_near = np.linalg.norm(mesh.points - nose, axis=1) < 75
    triangles = mesh.triangles[is_near[mesh.triangles].all(axis=1)]
    baby = replace(mesh, points=mesh.points * scale, triangles=triangles)
    assert [unit.name for unit in plausible_units(baby)] == ["cm", "mm"]
    write_ply(baby, tmp_path / "baby.ply")
    landmarks = replace(truth, positions=truth.positions * scale, specimen="baby", frame=frame)
    write_landmarks(landmarks, tmp_path / "baby.mrk.json")

    data = read_data_set(tmp_path)
    _, unit, placed = load_scan(data.scans[0], data.scheme)

    assert unit.name == "mm"
    np.testing.assert_allclose(placed.positions_mm, landmarks.positions, atol=1e-3)


def test_crop_of_a_face_in_centimeters_is_no_bust_in_inches(tmp_path):
    """It was read in inches, so that a training refused it; detection finds its unit."""
    truth = read_landmarks(example_truth()).to_frame("LPS")
    mesh = read_mesh(example_scan())
    nose = truth.positions[truth.scheme.index_of("prn")]
    is_near = np.linalg.norm(mesh.points - nose, axis=1) < 75
    triangles = mesh.triangles[is_near[mesh.triangles].all(axis=1)]
    crop = replace(mesh, points=mesh.points / 10, triangles=triangles)
    assert [unit.name for unit in plausible_units(crop)] == ["in", "cm"]
    write_ply(crop, tmp_path / "crop.ply")
    landmarks = replace(truth, positions=truth.positions / 10, specimen="crop", frame="file")
    write_landmarks(landmarks, tmp_path / "crop.csv")

    data = read_data_set(tmp_path)
    _, unit, placed = load_scan(data.scans[0], data.scheme)

    assert unit.name == "cm"
    np.testing.assert_allclose(placed.positions_mm, truth.positions, atol=1e-3)


@pytest.mark.parametrize("ending", ["", ".ply", ".mrk.json"])
def test_plain_folder_takes_one_file_for_many(ending, tmp_path):
    """Of R, for example, whose list.files gives the names of the meshes as files."""
    sets = []
    for number, name in enumerate(("anna", "ben")):
        mesh, positions = toy_person(number)
        write_ply(mesh, tmp_path / f"{name}.ply")
        sets.append(toy_landmarks(positions, f"{name}{ending}"))
    write_specimens(sets, tmp_path / "all.csv")

    data = read_data_set(tmp_path, scheme_file(tmp_path))

    assert data.problems == ()
    np.testing.assert_allclose(
        positions_of(data.scans[1], data.scheme), toy_person(1)[1], atol=1e-4
    )


def test_missing_landmarks_stay_missing(tmp_path):
    scheme = scheme_file(tmp_path)
    mesh, positions = toy_person(0)
    positions[3] = NAN
    folder = tmp_path / "other" / "scans"
    write_toy_scan(folder, "anna", mesh, positions)

    data = read_data_set(folder, scheme)

    assert data.problems == ()
    np.testing.assert_array_equal(
        np.isnan(positions_of(data.scans[0], data.scheme)).any(axis=1), np.arange(13) == 3
    )


def test_landmarks_of_one_name_in_two_folders_are_told_with_their_paths(tmp_path):
    """Names alone were the same."""
    scheme = scheme_file(tmp_path)
    mesh, positions = toy_person(0)
    folder = tmp_path / "other" / "scans"
    write_ply(mesh, folder / "anna.ply")
    paths = [folder / observer / "anna.csv" for observer in ("first", "second")]
    for path in paths:
        write_landmarks(toy_landmarks(positions, "anna"), path)

    (problem,) = read_data_set(folder, scheme).problems

    assert problem.kind == "ambiguous_files"
    assert problem.text == f"has landmarks in {paths[0]}, {paths[1]}. Move all but one away."


def test_labels_that_slicer_gives_by_itself_are_told_as_by_convert(tmp_path, capsys):
    """F-1 to F-50: only what lacks was told, not what is there nor what to do."""
    write_plain_scans(tmp_path, ["anna"])
    path = tmp_path / "anna.mrk.json"
    write_landmarks(read_landmarks(tmp_path / "anna.csv"), path)
    (tmp_path / "anna.csv").unlink()
    content = json.loads(path.read_text(encoding="utf-8"))
    for number, point in enumerate(content["markups"][0]["controlPoints"], start=1):
        point["label"] = f"F-{number}"
    path.write_text(json.dumps(content), encoding="utf-8")

    (problem,) = read_data_set(tmp_path).problems

    assert (problem.kind, problem.specimen) == ("bad_landmarks", "anna")
    assert "differ in F-1, F-10," in problem.text
    assert "translate another lab's names with a table" in problem.text
    assert main(["convert", str(path), "--to", "csv", "-o", str(tmp_path / "new")]) == 1
    assert problem.text in capsys.readouterr().err


@pytest.mark.parametrize("has_sidecar", [True, False])
def test_landmarks_of_another_scheme_are_told_once_for_each_scan(has_sidecar, tmp_path):
    """A lab that forgot --scheme got a warning for each landmark, and "no landmark is placed"."""
    mesh, positions = toy_person(0)
    write_ply(mesh, tmp_path / "anna.ply")
    entries = tuple(replace(each, code=f"our_{each.code}") for each in toy_scheme().landmarks)
    landmarks = toy_landmarks(positions, "anna", scheme=Scheme("ours", entries))
    _, *beside = write_landmarks(landmarks, tmp_path / "anna.csv")
    for path in beside if not has_sidecar else ():
        path.unlink()

    (problem,) = read_data_set(tmp_path).problems

    assert (problem.kind, problem.specimen) == ("bad_landmarks", "anna")
    assert "Name the right scheme" in problem.text


@pytest.mark.parametrize(("n_files", "ending"), [(2, ""), (4, ""), (6, " and 2 more")])
def test_landmarks_of_one_name_without_a_mesh_are_all_told(n_files, ending, tmp_path):
    """Slicer's F.mrk.json in each person's folder: the first of them alone was named."""
    write_plain_scans(tmp_path, ["F"])
    paths = [tmp_path / f"p{number}" / "F.csv" for number in range(n_files)]
    for path in paths:
        path.parent.mkdir()
        shutil.copy(tmp_path / "F.csv", path)
    (tmp_path / "F.csv").unlink()
    (tmp_path / "F.obj").unlink()

    (problem,) = read_data_set(tmp_path).problems

    assert (problem.kind, problem.specimen) == ("no_mesh", "F")
    named = ", ".join(map(str, paths[:4]))
    assert problem.text.startswith(
        f"{named}{ending} are landmark files of one name, but there is no mesh"
    )


@pytest.mark.parametrize(("space", "signs"), [("LPS", [-1, -1, 1]), ("RAS", [1, 1, 1])])
def test_convention_landmarks_come_into_unit_and_axes_of_the_mesh(space, signs, tmp_path):
    scheme = scheme_file(tmp_path)
    mesh, positions = toy_person(0)
    folder = tmp_path / "other" / "scans"
    # The mesh is in metres and says RAS; landmarks are millimetres.
    in_metres = Mesh(mesh.points / 1000, mesh.triangles, "anna", space="RAS")
    write_toy_scan(folder, "anna", in_metres, positions, frame=space, space=space)

    data = read_data_set(folder, scheme)
    _, unit, landmarks = load_scan(data.scans[0], data.scheme)

    assert (unit.name, landmarks.frame, landmarks.mm_per_unit) == ("m", "file", 1000)
    np.testing.assert_allclose(landmarks.positions_mm, positions * signs, atol=1e-3)


def test_tables_and_predictions_of_a_run_below_are_no_annotations(tmp_path):
    """`palnet crossvalidate . -o run` among the scans, and then `palnet check-data .`."""
    write_plain_scans(tmp_path, ["a", "b"])
    for place in ("runs/first", "runs/first/fold1", "second"):
        for name in ("truth", "predicted"):
            shutil.copytree(tmp_path, tmp_path / place / name, ignore=lambda *_: ["runs", "second"])
            for mesh in (tmp_path / place / name).glob("*.obj"):
                mesh.unlink()
        (tmp_path / place / "people.csv").write_text("specimen,person\na,b\n", encoding="utf-8")
        (tmp_path / place / "curve.csv").write_text("step,loss\n1,2\n", encoding="utf-8")
        (tmp_path / place / "recipe.json").write_text("{}", encoding="utf-8")

    data = read_data_set(tmp_path)

    assert [(scan.specimen, scan.person) for scan in data.scans] == [("a", "a"), ("b", "b")]
    assert [scan.mesh_path.parent for scan in data.scans] == [tmp_path, tmp_path]
    assert data.problems == ()


def test_people_are_named_by_the_table(tmp_path):
    folder = tmp_path / "scans"
    scheme = str(write_toy_cohort(folder, 3))
    (folder / "people.csv").write_text("specimen,person\np0,anna\np2,anna\n", encoding="utf-8")

    data = read_data_set(folder, scheme)

    assert [scan.person for scan in data.scans] == ["anna", "p1", "anna"]


@pytest.mark.parametrize(
    ("names", "is_told"),
    [
        ("P1_a P1_b P2_a P2_b", True),
        ("P1_a P1_b P1_c P1_d P1_e P1_f P2_a P2_b", True),
        ("P1_a P1_b P1_c P1_d P1_e P1_f P1_g P2_a P2_b", False),  # seven: a site or a series
        ("face_1 face_2 face_3", False),
        ("P1_a P1_b P2_a P2_b P3 P4 P5", True),
        ("P1_a P1_b P2_a P2_b P3 P4 P5 P6", False),  # half of the scans are alone
    ],
)
def test_names_of_visits_are_told_from_those_of_a_series(names, is_told, tmp_path):
    scans = [AnnotatedScan(name, name, tmp_path / f"{name}.ply", None) for name in names.split()]

    _, problems = name_people(scans, tmp_path, [])

    assert [each.kind for each in problems] == ["several_visits"] * is_told


@pytest.mark.parametrize(
    "text",
    [
        "specimen,person\np0.ply,anna\np2.ply,anna\n",
        "Specimen;Person\np0;anna\n;\np2;anna\n",
        "specimen,person,age\np0,Mu\u0308ller,3\np2,M\u00fcller,3\n,,\n",
        "Specimen\tPerson\np0\tanna, the first\np2\tanna, the first\n",
        '"a, b";specimen;person\n1;p0;anna\n2;p2;anna\n',
        "sep=;\nspecimen;person\np0;anna\n\np2;anna\n",  # Excel's own first line
        # Of R: write.csv, write.csv without names of rows, write.csv2, write.table.
        '"","specimen","person"\n"1","p0","anna"\n"2","p2","anna"\n',
        '"specimen","person"\n"p0","Ann ""A,"" B"\n"p2","Ann ""A,"" B"\n',
        '"";"specimen";"person";"age"\n"1";"p0";"anna";1,5\n"2";"p2";"anna";2,5\n',
        '"specimen"\t"person"\n"1"\t"p0"\t"anna"\n"2"\t"p2"\t"anna"\n',
    ],
)
@pytest.mark.parametrize("name", ["people.csv", "People.CSV"])
def test_table_of_people_may_be_a_spreadsheets(name, text, tmp_path):
    folder = tmp_path / "scans"
    scheme = str(write_toy_cohort(folder, 3))
    (folder / name).write_text(text, encoding="utf-8-sig")

    data = read_data_set(folder, scheme)

    first, second, third = [scan.person for scan in data.scans]
    assert first == third != second == "p1"
    assert data.problems == ()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_table_of_people_may_be_in_an_encoding_of_excel(encoding, tmp_path):
    folder = tmp_path / "scans"
    scheme = str(write_toy_cohort(folder, 3))
    text = "specimen\tperson\tsex\r\np0\tMüller\tf\r\np2\tMüller\tf\r\n"
    (folder / "people.csv").write_bytes(text.encode(encoding))

    data = read_data_set(folder, scheme)

    assert [scan.person for scan in data.scans] == ["Müller", "p1", "Müller"]
    assert data.problems == ()


def test_table_of_people_in_other_capitals_is_told(tmp_path):
    folder = tmp_path / "scans"
    scheme = str(write_toy_cohort(folder, 3))
    (folder / "people.csv").write_text("specimen,person\nP0,anna\np2,anna\n", encoding="utf-8")

    data = read_data_set(folder, scheme)

    assert [scan.person for scan in data.scans] == ["p0", "p1", "anna"]
    assert [(p.kind, p.specimen) for p in data.problems] == [("unknown_specimen", "P0")]
    assert "capitals count" in data.problems[0].text


def test_blank_around_a_name_in_a_table_is_not_of_the_name(tmp_path):
    """The mesh had "no landmark file of its name", which looked the same."""
    folder = tmp_path / "scans"
    scheme = str(write_toy_cohort(folder, 2))
    tables = [(folder / f"p{number}.csv").read_text("utf-8").splitlines() for number in range(2)]
    rows = [f"{line.replace(',', ' ,', 1)}\n" for table in tables for line in table[1:]]
    (folder / "all.csv").write_text(f"{tables[0][0]}\n{''.join(rows)}", encoding="utf-8")
    for number in range(2):
        (folder / f"p{number}.csv").unlink()

    data = read_data_set(folder, scheme)

    assert [scan.specimen for scan in data.scans] == ["p0", "p1"]
    assert data.problems == ()


def test_two_tables_of_people_in_a_folder_are_refused(tmp_path):
    scheme = str(write_toy_cohort(tmp_path / "scans", 2))
    for name, person in (("People.csv", "anna"), ("people.csv", "bert")):
        path = tmp_path / "scans" / name
        path.write_text(f"specimen,person\np0,{person}\n", encoding="utf-8")
    if len(list((tmp_path / "scans").glob("[Pp]eople.csv"))) == 1:
        return  # as where capitals make no other file

    with pytest.raises(UsageError, match=r"people\.csv: People\.csv is in the same folder\. Keep"):
        read_data_set(tmp_path / "scans", scheme)


def test_people_whose_names_hold_a_bare_comma_are_not_merged(tmp_path):
    """Each row is one longer than the header, as R's are, but not by a number."""
    scheme = str(write_toy_cohort(tmp_path / "scans", 2))
    text = "person,specimen\nSmith, John,p0\nDoe, John,p1\n"
    (tmp_path / "scans" / "people.csv").write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match="names none of the scans"):
        read_data_set(tmp_path / "scans", scheme)


def test_tables_of_people_below_the_folder_are_read(tmp_path):
    """They went unread, and one person's scans would have trained and been tested."""
    folder = tmp_path / "scans"
    scheme = str(write_toy_cohort(folder, 4))
    for session, names in (("first", ("p0", "p1")), ("second", ("p2",))):
        (folder / session).mkdir()
        for name in names:
            for path in sorted(folder.glob(f"{name}.*")):
                path.rename(folder / session / path.name)
        table = "specimen,person\n" + "".join(f"{name},anna\n" for name in names)
        (folder / session / "people.csv").write_text(table, encoding="utf-8")

    data = read_data_set(folder, scheme)

    assert [scan.person for scan in data.scans] == ["anna", "anna", "anna", "p3"]
    (folder / "people.csv").write_text("specimen,person\np2,bert\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"second.people\.csv: 'p2' is listed under two people"):
        read_data_set(folder, scheme)


def test_table_of_people_that_does_not_count_for_its_scans_is_told(tmp_path):
    """Nothing was said, and the scans of one person went into two parts of a split."""
    folder = tmp_path / "scans"
    scheme = str(write_toy_cohort(folder, 3))
    (folder / "tables").mkdir()
    text = "specimen,person\np0,anna\np1,anna\n"
    (folder / "tables" / "people.csv").write_text(text, encoding="utf-8")

    data = read_data_set(folder, scheme)

    assert [scan.person for scan in data.scans] == ["p0", "p1", "p2"]
    assert [(p.kind, p.specimen) for p in data.problems] == [
        ("unknown_specimen", "p0"),
        ("unknown_specimen", "p1"),
    ]
    assert "counts only for scans beside and below it" in data.problems[0].text


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("P1_a P1_b P1_c P2 P3", ["P1_c"]),
        ("P1_a P1_b P1 P2 P3", ["P1"]),
        ("P1_a P1_b P2_c P3", []),
        ("P1_a P1_b P1_c P1_d P1_e P1_f P1_g", []),  # seven: a site or a series
    ],
)
def test_visit_that_a_table_of_people_lacks_is_told(names, told, tmp_path):
    """A visit that was added later counted as another person, and nothing was said."""
    scans = [AnnotatedScan(name, name, tmp_path / f"{name}.ply", None) for name in names.split()]
    (tmp_path / "people.csv").write_text("specimen,person\nP1_a,anna\nP1_b,anna\n", "utf-8")

    _, problems = name_people(scans, tmp_path, [tmp_path / "people.csv"])

    assert [(each.kind, each.specimen) for each in problems] == [
        ("several_visits", n) for n in told
    ]


@pytest.mark.parametrize("place", ["old", ".trash"])
def test_copy_of_a_table_of_people_in_a_subfolder_says_nothing_of_the_scans_above(tmp_path, place):
    folder = tmp_path / "scans"
    scheme = str(write_toy_cohort(folder, 3))
    (folder / place).mkdir()
    for path, person in ((folder, "anna"), (folder / place, "bert")):
        text = f"specimen,person\np0,{person}\np1,{person}\n"
        (path / "people.csv").write_text(text, encoding="utf-8")

    data = read_data_set(folder, scheme)

    assert [scan.person for scan in data.scans] == ["anna", "anna", "p2"]
    assert data.problems == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"specimen,person\np0,anna\np0,bert\n", "'p0' is listed under two people"),
        (b"specimen,person\nq0,anna\n", "names none of the scans"),
        (b"specimen,person\np0,M\xfcller\n", "people.csv:2: must be text in UTF-8; got other"),
        (b"", "columns specimen and person"),
        (b"scan,who\np0,a\n", "columns specimen and person; got 'scan,who'"),
        (b"specimen,person\np0," + b"a" * 200_000 + b"\n", r"people.csv:2: is not a table"),
        (b'specimen,person\np0,"anna\np1,bert\n', r"people.csv:3: is not a table"),
    ],
)
def test_table_of_people_that_would_mix_them_is_refused(content, says, tmp_path):
    scheme = str(write_toy_cohort(tmp_path / "scans", 2))
    (tmp_path / "scans" / "people.csv").write_bytes(content)

    with pytest.raises(UsageError, match=says):
        read_data_set(tmp_path / "scans", scheme)


def test_prepared_file_is_never_unpickled(tmp_path):
    path = tmp_path / "p0.npz"
    np.savez(path, digest=np.array("abc", dtype=object))

    assert not _is_kept(path, "abc")


@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut off"])
def test_prepared_file_that_is_damaged_is_made_again(content, tmp_path):
    path = tmp_path / "p0.npz"
    np.savez(path, digest="abc")
    assert _is_kept(path, "abc")

    path.write_bytes(content)

    assert not _is_kept(path, "abc")
