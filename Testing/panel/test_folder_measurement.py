# SPDX-License-Identifier: Apache-2.0
"""Measure all scans of a folder with the panel."""

from __future__ import annotations

import csv
import json
import threading
from dataclasses import replace

import numpy as np
import pytest
import qt
import slicer

from palnet.cli import main
from palnet.scheme import Scheme
from palnet.surface import read_mesh
from palnet_folders import NAMES, SCAN, opened, write_list
from palnet_meshes import write_obj, write_ply_little
from palnet_panel import PATIENCE_S, click, detect, wait_while
from palnet_scenes import true_landmarks
from PALNetLandmarksLib import folder_measurement

DOUBTFUL = "Scans with doubtful landmarks that have not been reviewed"
DAMAGED = "it is damaged, such as cut off. Put a copy in its place, or detect again."
TITLE = "Save the measurements of the folder"


@pytest.fixture
def a_measured_panel(a_panel, a_folder):
    """With landmarks of two scans of three."""
    for name in ("anna", "carl"):
        write_list(a_folder / f"{name}.mrk.json")
    a_panel.ui.measurementSection.setProperty("collapsed", False)
    return a_panel


def measure_all(panel, answers, path):
    start(panel, answers, path)
    wait_while(lambda: panel.measurementSection.folder.is_running)
    return panel.ui.folderMeasurementLabel.text


def start(panel, answers, path):
    answers.expect("message", "Yes", DOUBTFUL)
    answers.expect("file", str(path), TITLE)
    click(panel.ui.measureFolderButton)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_table_is_that_of_the_command_line(a_measured_panel, a_folder, answers, tmp_path):
    path = tmp_path / "all.csv"

    said = measure_all(a_measured_panel, answers, path)

    assert said.splitlines() == [
        f"Written: {path.as_posix()}",
        "Scans: 2.",
        "Left out, since no landmarks are saved: bea.ply.",
    ]
    output = str(tmp_path / "by command")
    assert main(["measure", str(a_folder), "-o", output, "--no-pages"]) == 0
    assert path.read_bytes() == (tmp_path / "by command" / "measurements.csv").read_bytes()
    arcs = [row for row in rows_of(path) if row["kind"] == "arc"]
    assert any(row["value"] for row in arcs)


def test_table_is_proposed_beside_the_folder(a_measured_panel, a_folder, answers, monkeypatch):
    proposed, take = [], qt.QFileDialog.getSaveFileName
    monkeypatch.setattr(
        qt.QFileDialog, "getSaveFileName", lambda *args: proposed.append(args[2]) or take(*args)
    )
    answers.expect("message", "Yes", DOUBTFUL)
    answers.expect("file", "", TITLE)

    click(a_measured_panel.ui.measureFolderButton)

    assert proposed == [str(a_folder.parent / "Säuglinge 1.measurements.csv")]
    assert not a_measured_panel.measurementSection.folder.is_running


def test_landmarks_off_their_scan_are_measured_without_arcs(
    a_measured_panel, a_folder, answers, tmp_path
):
    moved = true_landmarks().positions + 300.0
    write_list(a_folder / "bea.mrk.json", positions=moved)
    (a_folder / "carl.ply").write_bytes(b"no mesh")

    said = measure_all(a_measured_panel, answers, tmp_path / "all.csv")

    text = "Without arcs, since the scan cannot be read or the landmarks do not lie on it: "
    assert said.splitlines()[-1] == f"{text}bea.ply, carl.ply."
    values = {(row["specimen"], row["code"]): row["value"] for row in rows_of(tmp_path / "all.csv")}
    widths = [float(values[name, "en_r-en_l"]) for name in NAMES]
    np.testing.assert_allclose(widths, widths[0], atol=1e-3)
    arcs = {row["code"] for row in rows_of(tmp_path / "all.csv") if row["kind"] == "arc"}
    assert all(values["bea", code] == values["carl", code] == "" for code in arcs)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path):
    path.write_bytes(b"")


def no_text(path):
    path.write_bytes(SCAN)


def of_another_program(path):
    points = [{"label": f"F-{number}", "position": [0, 0, number]} for number in (1, 2)]
    edit(path, controlPoints=points, measurements=[])


def of_an_unknown_scheme(path):
    edit(path, palnet={"scheme": "lab"})


def out_of_reach(path):
    path.unlink()
    path.mkdir()


def edit(path, **changes):
    content = json.loads(path.read_bytes())
    content["markups"][0].update(changes)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_off, DAMAGED),
        (empty, DAMAGED),
        (no_text, DAMAGED),
        (of_another_program, "it holds no landmarks that can be used: control points must be "),
        (
            of_an_unknown_scheme,
            "it holds no landmarks that can be used: its scheme 'lab' is not one of ibug68, "
            "palnet50.",
        ),
        (out_of_reach, "it cannot be read ("),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damaged_landmarks_leave_the_table_of_the_others_as_it_is(
    damage, reason, a_measured_panel, a_folder, answers, tmp_path
):
    measure_all(a_measured_panel, answers, tmp_path / "without.csv")
    write_list(a_folder / "bea.mrk.json")
    damage(a_folder / "bea.mrk.json")

    said = measure_all(a_measured_panel, answers, tmp_path / "all.csv")

    assert (tmp_path / "all.csv").read_bytes() == (tmp_path / "without.csv").read_bytes()
    _written, n_scans, left_out = said.splitlines()
    assert n_scans == "Scans: 2."
    assert left_out.startswith(f"Left out: bea.mrk.json: {reason}")
    assert "palnet convert" not in said
    assert "--" not in said
    assert str(a_folder) not in left_out


def test_reasons_of_many_damaged_files_fit_below_the_button(
    panel_factory, a_folder, answers, tmp_path
):
    write_list(a_folder / "anna.mrk.json")
    for number in range(20):
        (a_folder / f"s{number:02d}.ply").write_bytes(SCAN)
        empty(a_folder / f"s{number:02d}.mrk.json")
    panel = opened(panel_factory(), a_folder, answers)
    panel.ui.measurementSection.setProperty("collapsed", False)

    said = measure_all(panel, answers, tmp_path / "all.csv").splitlines()

    assert said[1:3] == [
        "Scans: 1.",
        "Left out, since no landmarks are saved: bea.ply, carl.ply.",
    ]
    assert [line[: len("Left out: s00.")] for line in said[3:6]] == [
        f"Left out: s{number:02d}." for number in range(3)
    ]
    assert said[6].startswith("Left out as well: s03.mrk.json, ")
    assert len(said) == 7


def test_folder_of_damaged_landmarks_is_not_measured(a_measured_panel, a_folder):
    for name in ("anna", "carl"):
        empty(a_folder / f"{name}.mrk.json")
    before = sorted(a_folder.parent.rglob("*"))

    click(a_measured_panel.ui.measureFolderButton)  # asks nothing

    assert not a_measured_panel.measurementSection.folder.is_running
    assert a_measured_panel.ui.folderMeasurementLabel.text.splitlines() == [
        "None of the landmarks that are saved for the scans of this folder can be read.",
        "Left out, since no landmarks are saved: bea.ply.",
        f"Left out: anna.mrk.json: {DAMAGED}",
        f"Left out: carl.mrk.json: {DAMAGED}",
    ]
    assert sorted(a_folder.parent.rglob("*")) == before


@pytest.fixture
def twins(panel_factory, a_folder, answers, tmp_path):
    """Measure a folder of face.obj and face.ply, "right" as their landmarks say or moved away."""
    mesh = read_mesh(a_folder / "anna.ply")
    meshes = {"right": mesh, "moved": replace(mesh, points=mesh.points + 300.0)}
    writers = {".obj": write_obj, ".ply": write_ply_little}
    for name in NAMES:
        (a_folder / f"{name}.ply").unlink()

    def measure_twins(**kinds):
        for suffix, kind in kinds.items():
            path = a_folder / f"face.{suffix}"
            path.write_bytes(writers[path.suffix](meshes[kind]))
        panel = opened(panel_factory(), a_folder, answers)
        panel.ui.measurementSection.setProperty("collapsed", False)
        write_list(a_folder / "face.mrk.json")
        path = tmp_path / f"{kinds}.csv".translate(dict.fromkeys(map(ord, "{':}")))
        said = measure_all(panel, answers, path)
        for each in a_folder.iterdir():
            each.unlink()
        return path.read_bytes(), said

    return measure_twins


@pytest.mark.parametrize("right", ["obj", "ply"])
def test_of_two_scans_of_one_name_that_of_the_landmarks_is_measured(right, twins):
    alone, _said = twins(**{right: "right"})

    table, said = twins(**{"obj": "moved", "ply": "moved", right: "right"})

    assert table == alone
    assert said.splitlines()[1:] == ["Scans: 1."]


def test_landmarks_of_two_scans_on_which_they_lie_are_measured_once(twins):
    table, said = twins(obj="right", ply="right")

    assert table == twins(obj="right")[0]
    assert said.splitlines()[1:] == ["Scans: 1."]


def test_two_scans_of_one_name_on_which_no_landmarks_lie_are_named(twins):
    _table, said = twins(obj="moved", ply="moved")

    assert said.endswith("the landmarks do not lie on it: face.obj, face.ply.")


def test_measuring_is_stopped(a_measured_panel, answers, tmp_path, monkeypatch):
    may_go, begun = threading.Event(), []

    def wait(*_):
        begun.append(1)
        assert may_go.wait(PATIENCE_S)

    monkeypatch.setattr(folder_measurement, "measure", wait)
    start(a_measured_panel, answers, tmp_path / "all.csv")
    wait_while(lambda: not begun)
    assert a_measured_panel.ui.folderMeasurementLabel.text == "Measuring all scans: 0 of 2"

    click(a_measured_panel.ui.measureFolderButton)
    may_go.set()

    assert a_measured_panel.ui.folderMeasurementLabel.text == "Stopped; nothing was written."
    assert a_measured_panel.ui.measureFolderButton.text == "Measure folder..."
    for thread in threading.enumerate():
        if thread.name == "palnet":
            thread.join(PATIENCE_S)
    assert begun == [1]
    assert not (tmp_path / "all.csv").exists()


def test_scheme_of_a_lab_is_measured_as_it_says(a_measured_panel, a_folder, answers, tmp_path):
    found = true_landmarks()
    own = Scheme("lab", found.scheme.landmarks[1:])
    rest = {key: getattr(found, key)[1:] for key in ("positions", "status", "expected_error_mm")}
    write_list(a_folder / "bea.mrk.json", scheme=own, **rest)

    said = measure_all(a_measured_panel, answers, tmp_path / "all.csv")

    assert "No measurement plan comes with the scheme lab. Only the asymmetry" in said
    kinds = {row["kind"] for row in rows_of(tmp_path / "all.csv") if row["specimen"] == "bea"}
    assert kinds == {"asymmetry"}


def test_who_declines_measures_nothing(a_measured_panel, answers):
    answers.expect("message", "No", DOUBTFUL)

    click(a_measured_panel.ui.measureFolderButton)

    assert not a_measured_panel.measurementSection.folder.is_running


def test_folder_with_unsaved_landmarks_is_not_measured(a_panel, a_folder):
    write_list(a_folder / "bea.mrk.json")
    detect(a_panel)
    a_panel.ui.measurementSection.setProperty("collapsed", False)

    click(a_panel.ui.measureFolderButton)

    assert "are not saved: save them first" in a_panel.ui.folderMeasurementLabel.text


def test_folder_without_landmarks_is_not_measured(a_panel):
    a_panel.ui.measurementSection.setProperty("collapsed", False)

    click(a_panel.ui.measureFolderButton)

    assert a_panel.ui.folderMeasurementLabel.text.startswith("No landmarks are saved")


def test_table_that_cannot_be_written_is_told(a_measured_panel, answers, tmp_path):
    path = tmp_path / "all.csv"
    path.mkdir()

    said = measure_all(a_measured_panel, answers, path)

    assert "all.csv" in said
    assert "Written" not in said


def test_measuring_goes_on_when_the_scene_is_closed(a_measured_panel, answers, tmp_path):
    start(a_measured_panel, answers, tmp_path / "all.csv")
    slicer.mrmlScene.Clear()
    wait_while(lambda: a_measured_panel.measurementSection.folder.is_running)

    assert {row["specimen"] for row in rows_of(tmp_path / "all.csv")} == {"anna", "carl"}


def test_button_is_there_with_a_folder_only(panel_factory, a_folder, answers):
    panel = panel_factory()
    panel.ui.measurementSection.setProperty("collapsed", False)
    assert panel.ui.measureFolderButton.isHidden()

    opened(panel, a_folder, answers)

    assert not panel.ui.measureFolderButton.isHidden()
