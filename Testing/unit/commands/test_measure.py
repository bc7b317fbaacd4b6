# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from palnet._plausible import doubt_order
from palnet.cli import main
from palnet.exchange import read_landmarks, write_landmarks, write_specimens
from palnet.measurement import measure
from palnet.samples import example_scan, example_truth
from palnet.scheme import scheme_to_dict
from palnet.surface import read_mesh, write_ply
from palnet_fakes import move_landmarks, without


def a_face(specimen="anna"):
    truth = replace(read_landmarks(example_truth()), specimen=specimen)
    return replace(truth, expected_error_mm=np.full(len(truth), 2.0))


def write_face(folder, face):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{face.specimen}.mrk.json"
    write_landmarks(face, path)
    return path


@pytest.fixture
def no_opengl(monkeypatch):
    """Drawing takes seconds and is tested elsewhere."""

    def refuse(*_, **__):
        from palnet.errors import PreviewError

        msg = "this machine has no OpenGL"
        raise PreviewError(msg)

    monkeypatch.setattr("palnet.preview.draw_preview", refuse)


class TagCount(HTMLParser):
    """Counts tags, and how deep they are left open at the end."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self):
        super().__init__()
        self.depth, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.VOID:
            self.depth.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.depth.pop() == tag


def tags_of(text):
    count = TagCount()
    count.feed(text)
    assert count.depth == []
    return count.seen


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_measure_writes_every_value_of_every_specimen_into_one_table(tmp_path):
    faces = [a_face("anna"), move_landmarks(a_face("bert"), np.diag([-1.0, -1, 1, 1]))]
    for face in faces:
        write_face(tmp_path / "in", face)

    code = main(["measure", str(tmp_path / "in"), "-o", str(tmp_path / "out")])

    assert code == 0
    rows = rows_of(tmp_path / "out" / "measurements.csv")
    expected = [(face.specimen, entry) for face in faces for entry in measure(face)]
    assert [(row["specimen"], row["code"]) for row in rows] == [
        (specimen, entry.code) for specimen, entry in expected
    ]
    for row, (_, entry) in zip(rows, expected, strict=True):
        value = float(row["value"] or "nan")
        np.testing.assert_allclose(value, entry.value, atol=1e-3)
        assert bool(row["reason"]) == math.isnan(value)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "anna.html",
        "bert.html",
        "measurements.csv",
    ]


def test_measure_page_is_whole_self_contained_and_names_its_values(tmp_path, no_opengl):
    path = write_face(tmp_path, a_face())

    main(["measure", str(path), "--scan", str(example_scan()), "-o", str(tmp_path / "out")])

    text = (tmp_path / "out" / "anna.html").read_text(encoding="utf-8")
    seen = tags_of(text)
    assert "script" not in seen
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "@media print" in text
    assert "this machine has no OpenGL" in text
    nose = next(entry for entry in measure(a_face()) if entry.code == "n-sn")
    assert f'<td>Nose height</td><td>n, sn</td><td class="number">{nose.value:.1f}</td>' in text
    assert all(f"{view} side" in text for view in ("left", "right"))
    depths = {e.code: e.value for e in measure(a_face()) if e.code in ("t_r-sn", "t_l-sn")}
    straight = f'<td class="number">{sum(depths.values()):.1f}</td>'
    assert re.search(rf"<td>Maxillary arc</td>.*?{straight}", text)


def test_measure_picture_lies_in_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr("palnet.preview.draw_preview", lambda *_: b"\x89PNG picture")
    path = write_face(tmp_path, a_face())

    main(["measure", str(path), "--scan", str(example_scan()), "-o", str(tmp_path / "out")])

    assert "data:image/png;base64,iVBORyBwaWN0dXJl" in (tmp_path / "out/anna.html").read_text(
        encoding="utf-8"
    )


def test_measure_without_room_for_temporary_files_lacks_the_picture_only(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    path = write_face(tmp_path, a_face())

    code = main(["measure", str(path), "--scan", str(example_scan()), "-o", str(tmp_path / "out")])

    assert code == 0
    assert "No picture: " in (tmp_path / "out" / "anna.html").read_text(encoding="utf-8")


def test_measure_takes_arcs_from_the_scan_of_the_same_name(tmp_path, no_opengl):
    write_face(tmp_path, a_face("anna"))
    shutil.copy(example_scan(), tmp_path / "anna.ply")
    write_face(tmp_path, a_face("bert"))

    main(["measure", str(tmp_path), "-o", str(tmp_path / "out")])

    arcs = {
        (row["specimen"], row["code"]): row
        for row in rows_of(tmp_path / "out" / "measurements.csv")
        if row["kind"] == "arc"
    }
    assert float(arcs["anna", "arc:t_r-sn-t_l"]["value"]) > 250
    assert float(arcs["anna", "arc:t_r-sn-t_l"]["expected_error"]) >= math.sqrt(2) - 1e-4
    assert arcs["bert", "arc:t_r-sn-t_l"]["reason"] == "needs the scan; none was given"


def test_measure_finds_scans_by_the_names_of_their_files_in_a_table(tmp_path, no_opengl):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("anna.ply", "dora.ply.ply"):
        shutil.copy(example_scan(), scans / name)
    table = tmp_path / "all.csv"
    names = ["anna.ply", "bert.ply", "dora.ply"]
    write_specimens([a_face(name) for name in names], table, overwrite=True)

    main(["measure", str(table), "--scan", str(scans), "--no-pages", "-o", str(tmp_path / "out")])

    rows = rows_of(tmp_path / "out" / "measurements.csv")
    arcs = {row["specimen"]: row for row in rows if row["code"] == "arc:t_r-sn-t_l"}
    assert {name: bool(arcs[name]["value"]) for name in names} == {
        "anna.ply": True, "bert.ply": False, "dora.ply": True,
    }  # fmt: skip


def test_measure_tells_of_specimens_without_a_scan_in_the_folder_given(tmp_path, no_opengl, capsys):
    for specimen in ("anna", "bert"):
        write_face(tmp_path, a_face(specimen))
    (tmp_path / "scans").mkdir()
    shutil.copy(example_scan(), tmp_path / "scans" / "bert.ply")

    main(["measure", str(tmp_path), "--scan", str(tmp_path / "scans"), "-o", str(tmp_path / "out")])

    said = capsys.readouterr().err
    assert "scans: no scan has the name of anna: measured without arcs." in said
    assert "bert" not in said


def test_measure_without_arcs_to_take_needs_no_scan(tmp_path, no_opengl, capsys):
    write_face(tmp_path, of_a_lab("anna"))
    (tmp_path / "scans").mkdir()
    shutil.copy(example_scan(), tmp_path / "scans" / "bert.ply")

    main(["measure", str(tmp_path), "--scan", str(tmp_path / "scans"), "-o", str(tmp_path / "out")])

    assert "without arcs" not in capsys.readouterr().err


@pytest.mark.parametrize("place", ["p1", "p1/visit/export/mesh"])
def test_measure_finds_scans_of_folders_below_by_the_names_of_a_detection(
    place, tmp_path, no_opengl
):
    """Where every person has a folder with a file of the same name."""
    write_face(tmp_path, a_face(f"{place.replace('/', '_')}_scan"))
    (tmp_path / "study" / place).mkdir(parents=True)
    shutil.copy(example_scan(), tmp_path / "study" / place / "scan.ply")

    main(["measure", str(tmp_path), "--scan", str(tmp_path / "study"), "-o", str(tmp_path / "out")])

    assert arcs_in(tmp_path / "out") == {f"{place.replace('/', '_')}_scan"}


def test_measure_finds_scans_of_folders_below_by_their_own_names(tmp_path, no_opengl, capsys):
    """As a detection with --recursive names them where no two are alike; macOS splits accents."""
    name = unicodedata.normalize("NFC", "Zo\u00eb")
    write_face(tmp_path, a_face(name))
    (tmp_path / "study" / "p1").mkdir(parents=True)
    split = unicodedata.normalize("NFD", name)
    shutil.copy(example_scan(), tmp_path / "study" / "p1" / f"{split}.ply")

    main(["measure", str(tmp_path), "--scan", str(tmp_path / "study"), "-o", str(tmp_path / "out")])

    assert arcs_in(tmp_path / "out") == {name}
    assert "no scan" not in capsys.readouterr().err


def test_measure_takes_the_scan_beside_its_landmarks_of_several_of_a_name(
    tmp_path, no_opengl, capsys
):
    mesh = read_mesh(example_scan())
    for name, size in (("a", 1.0), ("b", 1.02)):
        write_face(tmp_path / name, a_face("scan"))
        write_ply(replace(mesh, points=mesh.points * size), tmp_path / name / "scan.ply")

    out = tmp_path / "out"
    main(["measure", str(tmp_path / "a"), "--scan", str(tmp_path), "-o", str(out)])

    assert arcs_in(out) == {"scan"}
    assert "may be" not in capsys.readouterr().err


def test_order_is_not_doubted_where_nothing_tells_it():
    """Sides as a lab sees them, a lower face with its jaw open, all at one point."""
    face = a_face()
    other = {"left": "right", "right": "left", "midline": "midline"}
    definitions = [replace(d, side=other[d.side]) for d in face.scheme.landmarks]
    seen = replace(face.scheme, name="viewer", landmarks=tuple(definitions))
    mirrored = face.positions[face.scheme.mirror]
    assert doubt_order(replace(face, positions=mirrored)) is not None
    assert doubt_order(replace(face, scheme=seen, positions=mirrored)) is None

    rows = [face.scheme.index_of(c) for c in ("ls", "ch_r", "ch_l", "li", "sl", "pg", "gn", "go_l")]
    jaw, opened = rows[3:], face.positions.copy()
    hinge = face.positions[rows[-1]]
    across = face.positions[rows[1]] - face.positions[rows[2]]
    turn = Rotation.from_rotvec(np.radians(40) * across / np.linalg.norm(across))
    opened[jaw] = turn.apply(opened[jaw] - hinge) + hinge
    others = [code for row, code in enumerate(face.scheme.codes) if row not in rows]
    assert doubt_order(without(replace(face, positions=opened), *others)) is None

    assert doubt_order(replace(face, positions=np.zeros((50, 3)))) is None


def test_measuring_that_is_broken_off_keeps_what_was_measured(tmp_path, no_opengl, monkeypatch):
    for specimen in ("anna", "bert", "cora"):
        write_face(tmp_path, a_face(specimen))

    def measure_some(landmarks, *rest):
        if landmarks.specimen == "cora":
            raise KeyboardInterrupt
        return measure(landmarks, *rest)

    monkeypatch.setattr("palnet.measurement.measure", measure_some)
    whole = tmp_path / "out" / "measurements.csv"
    whole.parent.mkdir()
    whole.write_text("of an earlier run", encoding="utf-8")
    options = ["-o", str(tmp_path / "out"), "--no-pages", "--overwrite"]
    assert main(["measure", str(tmp_path), *options]) != 0

    rows = rows_of(tmp_path / "out" / "measurements.partial.csv")
    assert {row["specimen"] for row in rows} == {"anna", "bert"}
    assert whole.read_text(encoding="utf-8") == "of an earlier run"


def test_table_that_is_opened_elsewhere_while_measuring_goes_into_another_file(
    tmp_path, no_opengl, monkeypatch, capsys
):
    """Excel lets nobody replace the table; after hours of measuring all of it was lost."""
    write_face(tmp_path, a_face("anna"))
    whole = tmp_path / "out" / "measurements.csv"

    def measure_and_open(*arguments):
        whole.mkdir(parents=True)  # which nobody can replace, either
        return measure(*arguments)

    monkeypatch.setattr("palnet.measurement.measure", measure_and_open)
    assert main(["measure", str(tmp_path), "-o", str(tmp_path / "out"), "--no-pages"]) == 2

    part = tmp_path / "out" / "measurements.partial.csv"
    assert {row["specimen"] for row in rows_of(part)} == {"anna"}
    printed = capsys.readouterr()
    assert printed.out.endswith(f"kept: 1 of 1 specimen: {part}\n")
    assert printed.err.endswith("(--overwrite on the command line).\n")


@pytest.mark.parametrize("scan", ["FACE.PLY", "."])
def test_landmarks_named_in_other_case_than_on_their_disk_find_their_scan(
    scan, tmp_path, no_opengl, monkeypatch, capsys
):
    """Windows opens `Face.ply` as `FACE.PLY`, too."""
    landmarks, other = (write_face(tmp_path, a_face(name)) for name in ("Face", "other"))
    shutil.copy(example_scan(), tmp_path / "Face.ply")
    if not (tmp_path / "FACE.PLY").exists():  # a disk that tells them apart: links stand for it
        for name in (landmarks.name, "Face.ply"):
            (tmp_path / name.upper()).symlink_to(tmp_path / name)
        monkeypatch.setattr(os, "listdir", lambda _: [landmarks.name, other.name, "Face.ply"])
    typed = [str(tmp_path / landmarks.name.upper()), str(other), "--scan", str(tmp_path / scan)]

    assert main(["measure", *typed, "-o", str(tmp_path / "out")]) == 0

    arcs = {
        row["specimen"]
        for row in rows_of(tmp_path / "out" / "measurements.csv")
        if row["kind"] == "arc" and row["value"]
    }
    assert arcs == {"Face"}
    printed = capsys.readouterr()
    assert printed.out.startswith("Face: 114 of 114 measurements\n")
    assert "no specimen has the name" not in printed.err


@pytest.mark.parametrize("command", ["measure", "procrustes"])
def test_landmarks_in_the_wrong_order_or_with_sides_exchanged_are_told(
    tmp_path, no_opengl, capsys, command
):
    face = a_face()
    sides = {"ex_r", "ex_l", "ch_r", "ch_l", "prn", "n", "gn"}
    for specimen, rows in (
        ("right", slice(None)),
        ("shifted", np.roll(np.arange(50), 1)),
        ("exchanged", face.scheme.mirror),
    ):
        write_face(tmp_path, replace(face, specimen=specimen, positions=face.positions[rows]))
    others = set(face.scheme.codes) - sides
    write_face(tmp_path, without(replace(face, specimen="few"), *others))

    main([command, str(tmp_path), "-o", str(tmp_path / "out")])

    told = [line for line in capsys.readouterr().err.splitlines() if ".mrk.json: " in line]
    assert len(told) == 2
    assert re.search(r"exchanged: left and right are exchanged: the labels are swapped,", told[0])
    assert re.search(
        r"shifted: landmarks lie \d+ mm from those of a face: are they in the order", told[1]
    )


def test_measure_of_a_folder_that_is_not_there_says_so(tmp_path, capsys):
    assert main(["measure", str(tmp_path / "resluts")]) == 2

    assert "resluts: there is no such file or folder. Check the path." in capsys.readouterr().err


def test_measure_takes_none_of_two_scans_below_that_may_be_meant(tmp_path, no_opengl, capsys):
    write_face(tmp_path, a_face("01_scan"))
    for folder, file in (("x", "01_scan.ply"), ("x/01", "scan.ply")):
        (tmp_path / "study" / folder).mkdir(parents=True)
        shutil.copy(example_scan(), tmp_path / "study" / folder / file)

    main(["measure", str(tmp_path), "--scan", str(tmp_path / "study"), "-o", str(tmp_path / "out")])

    assert arcs_in(tmp_path / "out") == set()
    told = capsys.readouterr().err
    assert "01_scan may belong to any of" in told
    assert "no scan has the name" not in told  # there are two
    assert "none is used. Choose one of them with --scan." in told


def test_measure_of_a_folder_of_folders_says_where_the_files_are(tmp_path, capsys):
    for name in ("p1", "p2"):
        (tmp_path / name).mkdir()
        write_face(tmp_path / name, a_face("scan"))

    assert main(["measure", str(tmp_path)]) == 2

    assert "Files in subfolders: 2; name those folders" in capsys.readouterr().err


@pytest.mark.parametrize("spoil", ["half turned", "both sides"])
def test_measure_arcs_do_not_change_with_the_winding_of_the_scan(tmp_path, no_opengl, spoil):
    mesh = read_mesh(example_scan())
    chosen = np.random.default_rng(3).random(len(mesh.triangles)) < 0.5
    turned = mesh.triangles[:, ::-1]
    triangles = np.where(chosen[:, None], turned, mesh.triangles)
    if spoil == "both sides":
        triangles = np.concatenate([mesh.triangles, turned])
    path = write_face(tmp_path, a_face())
    write_ply(replace(mesh, triangles=triangles), tmp_path / "spoilt.ply")

    for name, scan in (("good", example_scan()), ("spoilt", tmp_path / "spoilt.ply")):
        main(["measure", str(path), "--scan", str(scan), "-o", str(tmp_path / name), "--no-pages"])

    good, spoilt = (
        {row["code"]: row for row in rows_of(tmp_path / name / "measurements.csv")}
        for name in ("good", "spoilt")
    )
    for code in (code for code, row in good.items() if row["kind"] == "arc"):
        for column in ("value", "expected_error"):
            number = float(good[code][column])
            assert float(spoilt[code][column]) == pytest.approx(number, rel=0.01), (code, column)


def test_measure_arcs_do_not_change_with_vertices_that_no_triangle_uses(tmp_path, no_opengl):
    face, mesh = a_face(), read_mesh(example_scan())
    write_face(tmp_path, face)
    values = []
    for points in (mesh.points, np.vstack([mesh.points, face.positions[face.is_placed]])):
        write_ply(replace(mesh, points=points), tmp_path / "anna.ply", overwrite=True)
        out = tmp_path / f"out_{len(points)}"
        main(["measure", str(tmp_path), "-o", str(out)])
        values.append({row["code"]: row["value"] for row in rows_of(out / "measurements.csv")})

    assert any(code.startswith("arc:") and value for code, value in values[0].items())
    assert values[0] == values[1]


def arcs_in(folder):
    rows = rows_of(folder / "measurements.csv")
    return {row["specimen"] for row in rows if row["kind"] == "arc" and row["value"]}


@pytest.mark.parametrize("name", ["Anna Müller.ply", "Anna Müller.PLY"])
@pytest.mark.parametrize("way", ["beside", "folder", "file"])
def test_measure_finds_the_scan_of_a_name_that_no_page_could_have(tmp_path, no_opengl, name, way):
    for specimen in ("Anna Müller", "bert"):
        write_face(tmp_path / "in", a_face(specimen))
    folder = tmp_path / "in" if way == "beside" else tmp_path / "scans"
    folder.mkdir(exist_ok=True)
    shutil.copy(example_scan(), folder / name)
    asked = {"beside": [], "folder": ["--scan", folder], "file": ["--scan", folder / name]}[way]

    main(["measure", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *map(str, asked)])

    assert arcs_in(tmp_path / "out") == {"Anna Müller"}
    assert (tmp_path / "out" / "Anna_Müller.html").exists()


def test_measure_tells_each_scan_that_is_of_no_specimen(tmp_path, no_opengl, capsys):
    for specimen in ("anna", "bert"):
        write_face(tmp_path / "in", a_face(specimen))
    scans = [tmp_path / "anna.ply", tmp_path / "X.ply"]
    for scan in scans:
        shutil.copy(example_scan(), scan)

    main(["measure", str(tmp_path / "in"), "-o", str(tmp_path / "out"),
          "--scan", str(scans[0]), "--scan", str(scans[1])])  # fmt: skip

    printed = capsys.readouterr().err
    assert f"palnet: {scans[1]}: no specimen has the name of this scan" in printed
    assert str(scans[0]) not in printed
    assert arcs_in(tmp_path / "out") == {"anna"}


@pytest.mark.parametrize("frame", ["LPS", "RAS"])
@pytest.mark.parametrize("mm_per_unit", [1.0, 1000.0])
def test_measure_finds_axes_and_unit_of_a_scan_whose_landmarks_are_anatomical(
    tmp_path, no_opengl, frame, mm_per_unit
):
    mesh = read_mesh(example_scan())
    write_ply(replace(mesh, points=mesh.points / mm_per_unit), tmp_path / "anna.ply")
    write_face(tmp_path, a_face().to_frame(frame))

    main(["measure", str(tmp_path), "-o", str(tmp_path / "out")])

    arc = next(entry for entry in measure(a_face(), mesh) if entry.code == "arc:t_r-sn-t_l")
    rows = {row["code"]: row for row in rows_of(tmp_path / "out" / "measurements.csv")}
    assert float(rows["arc:t_r-sn-t_l"]["value"]) == pytest.approx(arc.value, abs=0.05)


def test_measure_scan_of_another_face_gives_no_arcs_and_says_so(tmp_path, capsys):
    path = write_face(tmp_path, a_face())
    mesh = read_mesh(example_scan())
    other = replace(mesh, points=mesh.points + 60.0)
    write_ply(other, tmp_path / "other.ply")

    code = main(["measure", str(path), "--scan", str(tmp_path / "other.ply"),
                 "-o", str(tmp_path / "out")])  # fmt: skip

    assert code == 0
    assert "must lie on the scan 'other'" in capsys.readouterr().err
    rows = rows_of(tmp_path / "out" / "measurements.csv")
    assert all(row["value"] == "" for row in rows if row["kind"] == "arc")


def test_measure_csv_in_metres_is_refused_without_its_unit(tmp_path, capsys):
    face = a_face()
    write_landmarks(replace(face, positions=face.positions / 1000), tmp_path / "anna.csv")

    refused = main(["measure", str(tmp_path / "anna.csv"), "-o", str(tmp_path / "out")])
    told = main(["measure", str(tmp_path / "anna.csv"), "--unit", "m", "-o", str(tmp_path / "out")])

    assert (refused, told) == (1, 0)
    assert "--unit" in capsys.readouterr().err


@pytest.mark.parametrize("n_in_meters", [1, 2, 3])
def test_measure_leaves_out_the_few_specimens_of_a_table_in_another_unit(
    n_in_meters, tmp_path, capsys
):
    """One specimen in meters refused the table of all; from half on its unit is in doubt."""
    faces = [a_face(name) for name in "abcd"]
    for number in range(n_in_meters):
        faces[number] = replace(faces[number], positions=faces[number].positions / 1000)
    write_specimens(faces, tmp_path / "all.csv")

    code = main(["measure", str(tmp_path / "all.csv"), "-o", str(tmp_path / "out"), "--no-pages"])

    assert code == 1
    said = capsys.readouterr().err
    assert said.count("must span a face") == 1
    if n_in_meters == 1:
        assert "all.csv: the landmarks of 'a' must span a face; they lie 0.07" in said
        rows = rows_of(tmp_path / "out" / "measurements.csv")
        assert {row["specimen"] for row in rows} == {"b", "c", "d"}
    else:
        assert "Give the unit of the numbers with --unit." in said
        assert not (tmp_path / "out").exists()


def test_measure_tells_an_unknown_scheme_once(tmp_path, capsys):
    """It was told for each file, and for those that would have been passed over."""
    for name in ("anna", "bert"):
        write_landmarks(a_face(name), write_face(tmp_path, a_face(name)).with_suffix(".csv"))

    assert main(["measure", str(tmp_path), "--scheme", "nope", "-o", str(tmp_path / "out")]) == 2

    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("scan", ["anna.PLY", ""])
def test_measure_of_scans_names_the_command_that_is_meant(scan, tmp_path, capsys):
    shutil.copy(example_scan(), tmp_path / "anna.PLY")

    assert main(["measure", str(tmp_path / scan), "-o", str(tmp_path / "out")]) == 2

    assert "palnet detect places landmarks on scans." in capsys.readouterr().err


def test_measure_says_that_a_unit_does_not_count_for_files_that_state_another(tmp_path, capsys):
    """A list says millimeters inside, a table centimeters beside it, another table nothing."""
    bert = a_face("bert")
    in_cm = replace(bert, positions=bert.positions / 10, mm_per_unit=10.0)
    paths = [write_face(tmp_path, a_face()), tmp_path / "bert.csv", tmp_path / "carl.csv"]
    for path, face in zip(paths[1:], (in_cm, replace(in_cm, specimen="carl")), strict=True):
        write_landmarks(face, path)
    (tmp_path / "carl.csv.frame.json").unlink()
    out = ("--no-pages", "-o", str(tmp_path / "out"))

    codes = [main(["measure", *map(str, paths[:2]), "--unit", "m", *out])]
    said = capsys.readouterr().err
    codes.append(main(["measure", *map(str, paths[1:]), "--unit", "cm", *out, "--overwrite"]))

    assert codes == [0, 0]
    assert "--unit m does not count for anna.mrk.json, bert.csv: another unit is stated" in said
    assert "does not count" not in capsys.readouterr().err
    noses = [row["value"] for row in rows_of(tmp_path / "out" / "measurements.csv")
             if row["code"] == "n-sn"]  # fmt: skip
    assert len(noses) == 2
    assert noses[0] == noses[1]


def test_measure_takes_one_file_of_a_specimen_that_has_two(tmp_path):
    write_face(tmp_path, a_face())
    write_landmarks(a_face(), tmp_path / "anna.csv")

    main(["measure", str(tmp_path), "--no-pages", "-o", str(tmp_path / "out")])

    rows = rows_of(tmp_path / "out" / "measurements.csv")
    assert len(rows) == len(measure(a_face()))
    assert not (tmp_path / "out" / "anna.html").exists()


def test_measure_file_of_many_specimens_gives_a_page_each(tmp_path, no_opengl):
    faces = [a_face("anna"), move_landmarks(a_face("bert.2"), np.diag([-1.0, -1, 1, 1]))]
    write_specimens(faces, tmp_path / "study.tps")
    write_ply(read_mesh(example_scan()), tmp_path / "anna.ply")

    code = main(["measure", str(tmp_path / "study.tps"), "--scheme", "palnet50",
                 "-o", str(tmp_path / "out")])  # fmt: skip

    assert code == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.html")) == [
        "anna.html",
        "bert.2.html",
    ]
    rows = rows_of(tmp_path / "out" / "measurements.csv")
    arcs = {row["specimen"] for row in rows if row["kind"] == "arc" and row["value"]}
    assert {row["specimen"] for row in rows} == {"anna", "bert.2"}
    assert arcs == {"anna"}


def test_measure_of_three_landmarks_in_one_place_has_a_page_without_a_drawing(tmp_path, no_opengl):
    face = a_face()
    together = replace(face, positions=np.full((50, 3), face.positions[0]))
    others = set(face.scheme.codes) - {"n", "prn", "sn"}
    path = write_face(tmp_path, without(together, *others))

    code = main(["measure", str(path), "--scan", str(example_scan()), "-o", str(tmp_path / "out")])

    assert code == 0
    page = (tmp_path / "out" / "anna.html").read_text(encoding="utf-8")
    assert "No drawing" in page
    assert "No picture" in page


def test_measure_pages_that_differ_by_case_alone_are_refused(tmp_path, capsys):
    one, two = (
        write_face(tmp_path / f"{n}", a_face(name)) for n, name in enumerate(("Anna", "anna"))
    )

    code = main(["measure", str(one), str(two), "-o", str(tmp_path / "out")])

    assert code == 2
    said = capsys.readouterr().err
    assert f"'anna' and 'Anna' in {one}" in said
    assert "into different folders with -o, or without pages (--no-pages)" in said
    assert not (tmp_path / "out").exists()


def test_measure_pages_of_one_file_are_told_by_their_specimens(tmp_path, capsys):
    """One file cannot be measured into two folders."""
    path = tmp_path / "study.tps"
    write_specimens([a_face("anna"), a_face("ANNA")], path)

    code = main(["measure", str(path), "--scheme", "palnet50", "-o", str(tmp_path / "out")])

    assert code == 2
    told = capsys.readouterr().err
    assert f"'ANNA' and 'anna' in {path} have the same page" in told
    assert "Measure them without pages (--no-pages)." in told


def test_measure_without_pages_takes_files_of_one_name(tmp_path, capsys):
    """Nothing is written over: the table has a name for each, and the first keeps its own."""
    folders = [tmp_path / each for each in ("first", "second", "third/second")]
    files = [write_face(folder, a_face("anna b")) for folder in folders]
    files.append(write_face(tmp_path, a_face("Anna b")))

    code = main(["measure", *map(str, files), "--no-pages", "-o", str(tmp_path / "out")])

    assert code == 0
    rows = rows_of(tmp_path / "out" / "measurements.csv")
    names = list(dict.fromkeys(row["specimen"] for row in rows))
    assert names == ["anna b", "second_anna b", "second_anna b_2", "Anna b"]
    said = capsys.readouterr().err
    assert f"{files[1]}: 'anna b' appears twice; the table calls this one 'second_anna b'" in said
    assert f"{files[0]}: " not in said


def test_measure_two_files_of_one_specimen_stay_apart_in_the_table(tmp_path, capsys):
    for name in ("before", "after"):
        write_landmarks(a_face("anna"), tmp_path / f"{name}.mrk.json")

    main(["measure", str(tmp_path), "--no-pages", "-o", str(tmp_path / "out")])

    rows = rows_of(tmp_path / "out" / "measurements.csv")
    assert {row["specimen"] for row in rows} == {"before", "after"}
    assert "'anna' appears twice" in capsys.readouterr().err


def of_a_lab(specimen, name="mylab", **measured):
    """The face with landmarks of a scheme that is not shipped."""
    face = a_face(specimen)
    return replace(face, scheme=replace(face.scheme, name=name, **measured))


def test_measure_takes_what_a_lab_s_own_scheme_names(tmp_path, no_opengl, capsys):
    faces = [a_face("anna"), of_a_lab("bert")]
    for face in faces:
        write_face(tmp_path / "in", face)

    code = main(["measure", str(tmp_path / "in"), "-o", str(tmp_path / "out")])

    assert code == 0
    # Arcs are not missed where no plan asks for them.
    assert "no scan beside the landmarks of 1 specimen" in capsys.readouterr().err
    rows = rows_of(tmp_path / "out" / "measurements.csv")
    for face in faces:
        got = [(row["code"], row["kind"]) for row in rows if row["specimen"] == face.specimen]
        assert got == [(entry.code, entry.kind) for entry in measure(face)]
    values = {(row["specimen"], row["code"]): row["value"] for row in rows}
    assert values["bert", "n-sn"] == values["anna", "n-sn"]
    assert f"<td>mylab</td><td>{faces[1].scheme.source}" in (
        tmp_path / "out" / "bert.html"
    ).read_text(encoding="utf-8")


def test_measure_leaves_out_files_whose_scheme_names_no_measurements(tmp_path, capsys):
    write_face(tmp_path / "in", a_face("anna"))
    for name in ("bert", "carl"):
        write_face(tmp_path / "in", of_a_lab(name, distances=(), angles=()))

    code = main(["measure", str(tmp_path / "in"), "--no-pages", "-o", str(tmp_path / "out")])

    (told,) = [line for line in capsys.readouterr().err.splitlines() if "not measured" in line]
    assert code == 1
    assert all(name in told for name in ("bert.mrk.json", "carl.mrk.json", "'mylab'"))
    assert {row["specimen"] for row in rows_of(tmp_path / "out" / "measurements.csv")} == {"anna"}


def test_measure_of_schemes_without_measurements_alone_says_what_to_add(tmp_path, capsys):
    path = write_face(tmp_path / "in", of_a_lab("anna", distances=(), angles=()))
    write_face(tmp_path / "in", of_a_lab("bert", "ourlab", distances=(), angles=()))

    code = main(["measure", str(tmp_path / "in"), "-o", str(tmp_path / "out")])

    told = capsys.readouterr().err.splitlines()
    assert code == 2
    assert ["'mylab'" in told[0], "'ourlab'" in told[1], len(told)] == [True, True, 2]
    assert all("'distances' or 'angles' (--scheme), or a measurement plan" in t for t in told)
    assert not (tmp_path / "out").exists()
    # What the message asks for helps.
    more = of_a_lab("anna", angles=()).scheme
    (tmp_path / "more.json").write_text(json.dumps(scheme_to_dict(more)), encoding="utf-8")
    given = ["--scheme", str(tmp_path / "more.json"), "-o", str(tmp_path / "out")]
    assert main(["measure", str(path), *given]) == 0
    kinds = [row["kind"] for row in rows_of(tmp_path / "out" / "measurements.csv")]
    assert kinds.count("distance") == len(more.distances)


def test_measure_of_a_plan_of_somebodys_own_asks_no_scheme(tmp_path):
    path = write_face(tmp_path, of_a_lab("anna", distances=(), angles=()))
    row = {"code": "a", "name": "A", "kind": "distance", "landmarks": ["n", "sn"], "source": "s"}
    plan = {"scheme": "mylab", "sources": {"s": "Ours"}, "measurements": [row]}
    (tmp_path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")

    code = main(["measure", str(path), "--plan", str(tmp_path / "plan.json"), "--no-pages",
                 "-o", str(tmp_path / "out")])  # fmt: skip

    assert code == 0
    rows = rows_of(tmp_path / "out" / "measurements.csv")
    assert [row["code"] for row in rows if row["kind"] != "asymmetry"] == ["a"]


def test_measure_never_writes_over_a_file_unasked(tmp_path, capsys):
    path = write_face(tmp_path, a_face())
    page = tmp_path / "out" / "anna.html"
    page.parent.mkdir()
    page.write_text("mine", encoding="utf-8")

    refused = main(["measure", str(path), "-o", str(page.parent)])

    assert refused == 2
    assert "exists already" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == "mine"
    assert not (page.parent / "measurements.csv").exists()
    assert main(["measure", str(path), "-o", str(page.parent), "--overwrite"]) == 0
    assert "<h1>Measurements of anna</h1>" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [[], ["--no-pages"]])
def test_measure_output_that_cannot_be_written_is_one_line(tmp_path, capsys, options):
    path = write_face(tmp_path, a_face())
    (tmp_path / "file").write_text("mine", encoding="utf-8")

    given = [str(path), "--scan", str(example_scan())]
    code = main(["measure", *given, "-o", str(tmp_path / "file" / "out"), *options])

    printed = capsys.readouterr().err
    assert (code, printed.count("\n")) == (2, 1)
    assert "cannot be written" in printed
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("command", ["measure", "evaluate", "procrustes"])
def test_measure_leaves_out_the_tables_that_palnet_writes(tmp_path, no_opengl, capsys, command):
    faces = tmp_path / "faces"
    paths = [write_face(faces, replace(a_face(name), positions=a_face().positions * size))
             for name, size in (("anna", 1.0), ("bert", 1.01), ("cy", 0.98))]  # fmt: skip
    again = [str(faces)] if command == "evaluate" else []
    assert main([command, str(faces), *again, "-o", str(faces)]) == 0
    tables = sorted(path.name for path in faces.glob("*.csv"))
    capsys.readouterr()

    code = main(["measure", str(faces), "--no-pages", "-o", str(tmp_path / "out")])

    assert code == 0
    assert tables
    why = "left out, since the first line is not that of a landmark table"
    told = f"palnet: {faces}: {why}: {', '.join(tables)}\n"
    without = "palnet: no scan beside the landmarks of 3 specimens: measured without arcs. "
    assert capsys.readouterr().err == (
        f"{told}{without}Name the folder of the scans with --scan.\n"
    )
    rows = rows_of(tmp_path / "out" / "measurements.csv")
    assert len({row["specimen"] for row in rows}) == len(paths)


@pytest.mark.parametrize("name", ["bert.csv", "bert.wide.csv"])
def test_measure_damaged_table_of_landmarks_is_still_told(tmp_path, capsys, name):
    write_face(tmp_path, a_face("anna"))
    path = tmp_path / name
    write_landmarks(a_face("bert"), path)
    twice = path.read_text(encoding="utf-8").replace("specimen,", "specimen,specimen,", 1)
    path.write_text(twice, encoding="utf-8-sig")

    code = main(["measure", str(tmp_path), "--no-pages", "-o", str(tmp_path / "out")])

    printed = capsys.readouterr().err
    assert (code, "left out" in printed) == (1, False)
    assert f"{path}:1: the header" in printed


def test_measure_broken_file_is_named_and_the_others_are_measured(tmp_path, capsys):
    write_face(tmp_path / "in", a_face())
    (tmp_path / "in" / "broken.mrk.json").write_text("{", encoding="utf-8")

    code = main(["measure", str(tmp_path / "in"), "-o", str(tmp_path / "out")])

    assert code == 1
    assert "broken.mrk.json" in capsys.readouterr().err
    assert {row["specimen"] for row in rows_of(tmp_path / "out" / "measurements.csv")} == {"anna"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{tmp}/empty"], "no landmark file"),
        (["{tmp}/one/anna.mrk.json", "{tmp}/two/anna.mrk.json"], "have the same page"),
        (["{tmp}/one", "--scan", "{tmp}/nowhere.ply"], "no such file"),
        (["{tmp}/one", "--unit", "furlong"], "furlong"),
    ],
)
def test_measure_wrong_usage_says_what_to_do(tmp_path, capsys, arguments, says):
    (tmp_path / "empty").mkdir()
    for folder in ("one", "two"):
        write_face(tmp_path / folder, a_face())

    code = main(["measure", *(text.format(tmp=tmp_path) for text in arguments),
                 "-o", str(tmp_path / "out")])  # fmt: skip

    assert code == 2
    assert says in capsys.readouterr().err


def test_measure_names_with_markup_do_no_harm_to_the_page(tmp_path):
    face = replace(a_face(), specimen='<b>"A & B"</b>')
    write_landmarks(face, tmp_path / "odd.mrk.json")

    main(["measure", str(tmp_path), "-o", str(tmp_path / "out")])

    text = (tmp_path / "out" / "odd.html").read_text(encoding="utf-8")
    assert "<h1>Measurements of &lt;b&gt;" in text
    tags_of(text)
