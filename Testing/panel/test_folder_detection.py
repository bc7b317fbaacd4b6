# SPDX-License-Identifier: Apache-2.0
"""Detect the landmarks of all scans of a folder with the panel."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer

from palnet.batch import process_scan
from palnet.exchange import read_landmarks
from palnet.jobs import BatchOptions, plan_jobs
from palnet_folders import NAMES, current, entries, lists, models, opened, settled, write_list
from palnet_models import lab_scheme, write_lab_model
from palnet_panel import PATIENCE_S, click, detect, wait_while
from PALNetLandmarksLib import folder_detection
from PALNetLandmarksLib.model_scaling import scale_model

ASKED = "Scans to detect: {}. Save their landmarks in "


def detect_all(panel, answers, n_scans=3, asked=""):
    start(panel, answers, n_scans, asked)
    return ended(panel)


def start(panel, answers, n_scans=3, asked=""):
    answers.expect("message", "Ok", f"{ASKED.format(n_scans)}(.|\n)*{asked}")
    click(panel.ui.detectFolderButton)


def ended(panel):
    wait_while(lambda: panel.inputSection.folder.is_detecting)
    return settled(panel)


@pytest.fixture
def held(monkeypatch):
    """Detections that wait for `go`, one release for each; `begun` counts them."""

    control = SimpleNamespace(go=threading.Semaphore(0), begun=[])
    real = folder_detection.process_scan

    def wait_and_process(job):
        control.begun.append(job.scan.stem)
        assert control.go.acquire(timeout=PATIENCE_S)
        return real(job)

    monkeypatch.setattr(folder_detection, "process_scan", wait_and_process)
    return control


def files_of(folder):
    """Return what was written; drafts, which may be gone by now, start with a dot."""
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*.json")}


def test_all_scans_get_the_files_of_the_command_line(a_panel, a_folder, answers, tmp_path):
    options = BatchOptions(output=tmp_path / "by command", formats=("mrk.json",))
    for job in plan_jobs(sorted(a_folder.glob("*.ply")), options):
        assert process_scan(job).outcome == "done"
    by_command = files_of(tmp_path / "by command")

    detect_all(a_panel, answers)

    written = files_of(a_folder)
    assert written.keys() == by_command.keys()
    for name in NAMES:
        assert written[f"{name}.mrk.json"] == by_command[f"{name}.mrk.json"]
    assert entries(a_panel) == [f"{name}.ply: 50 to review" for name in NAMES]
    text = f"Scans detected and saved in {a_folder.as_posix()}: 3 of 3."
    assert a_panel.ui.folderDetectionLabel.text == text
    assert a_panel.ui.detectFolderButton.text == "Detect all scans"


def test_landmarks_of_the_scan_that_is_shown_appear(a_panel, a_folder, answers):
    detect_all(a_panel, answers)

    assert (models(), lists()) == (["anna"], ["anna landmarks"])
    landmarks = current(a_panel)
    saved = read_landmarks(a_folder / "anna.mrk.json").to_frame("RAS")
    np.testing.assert_allclose(landmarks.world_positions, saved.positions, atol=1e-3)
    click(a_panel.ui.nextScanButton)  # nothing to save, so no question
    assert (models(), lists()) == (["bea"], ["bea landmarks"])


def test_scans_with_landmarks_and_the_one_at_work_stay_as_they_are(a_panel, a_folder, answers):
    write_list(a_folder / "carl.mrk.json")
    before = (a_folder / "carl.mrk.json").read_bytes()
    detect(a_panel)

    detect_all(a_panel, answers, 1, "Scans that have landmarks already, .*: 2")

    assert sorted(files_of(a_folder)) == ["bea.mrk.json", "bea.palnet.json", "carl.mrk.json"]
    assert (a_folder / "carl.mrk.json").read_bytes() == before
    assert lists() == ["anna landmarks"]


def test_detection_begins_with_the_scan_that_is_shown(a_panel, answers, held):
    click(a_panel.ui.nextScanButton)
    held.go.release(3)

    detect_all(a_panel, answers)

    assert held.begun == ["bea", "carl", "anna"]


def test_first_scan_is_reviewed_while_the_others_are_detected(a_panel, a_folder, answers, held):
    ui = a_panel.ui
    start(a_panel, answers)
    assert ui.folderDetectionLabel.text == "Detecting all scans: 0 of 3"
    held.go.release()
    wait_while(lambda: not lists())
    assert ui.folderDetectionLabel.text == "Detecting all scans: 1 of 3"
    click(ui.nextButton)
    click(ui.confirmButton)
    answers.expect("message", "Save", "are not saved. Save them as")
    click(ui.nextScanButton)
    assert (models(), lists()) == (["bea"], [])

    held.go.release(2)
    ended(a_panel)

    assert (models(), lists()) == (["bea"], ["bea landmarks"])
    left = zip(NAMES, (49, 50, 50), strict=True)
    assert entries(a_panel) == [f"{name}.ply: {n} to review" for name, n in left]
    assert read_landmarks(a_folder / "anna.mrk.json").status.count("confirmed") == 1


def test_detection_is_stopped_after_the_current_scan(a_panel, a_folder, answers, held):
    start(a_panel, answers)
    wait_while(lambda: not held.begun)
    click(a_panel.ui.detectFolderButton)
    assert not a_panel.ui.detectFolderButton.enabled
    said = a_panel.ui.folderDetectionLabel.text
    assert said == "Stopping after the current scan: 0 of 3"
    held.go.release()
    ended(a_panel)

    assert sorted(files_of(a_folder)) == ["anna.mrk.json", "anna.palnet.json"]
    text = f"Stopped. Scans detected and saved in {a_folder.as_posix()}: 1 of 3."
    assert a_panel.ui.folderDetectionLabel.text == text
    held.go.release(2)
    detect_all(a_panel, answers, 2)
    assert held.begun == ["anna", "bea", "carl"]


def test_scan_that_is_refused_is_told_and_the_others_are_done(a_panel, a_folder, answers):
    (a_folder / "bea.ply").write_bytes(b"no mesh")

    detect_all(a_panel, answers)

    assert entries(a_panel) == [
        "anna.ply: 50 to review",
        "bea.ply: not detected",
        "carl.ply: 50 to review",
    ]
    first, second, last = a_panel.ui.folderDetectionLabel.text.splitlines()
    assert last == "To see what can be done, open such a scan and click Detect landmarks."
    assert first.endswith(": 2 of 3.")
    assert second.startswith("bea.ply: the PLY header has no end_header line")


def test_many_refusals_fit_below_the_button(panel_factory, a_folder, answers):
    for number in range(20):
        (a_folder / f"s{number:02d}.stl").write_bytes(b"no mesh")
    panel = opened(panel_factory(), a_folder, answers)

    detect_all(panel, answers, 23)

    lines = panel.ui.folderDetectionLabel.text.splitlines()
    assert len(lines) == 6
    assert lines[-2].startswith("Not detected either: s03.stl, s04.stl, ")
    assert lines[-2].endswith(", s09.stl and 10 more.")


def test_who_declines_starts_nothing(a_panel, a_folder, answers):
    answers.expect("message", "Cancel", ASKED.format(3))

    click(a_panel.ui.detectFolderButton)

    assert not a_panel.inputSection.folder.is_detecting
    assert files_of(a_folder) == {}


def test_folder_whose_scans_have_landmarks_has_nothing_to_detect(a_panel, a_folder, answers):
    for name in NAMES:
        write_list(a_folder / f"{name}.mrk.json")
    answers.expect("message", "Ok", "All scans of this folder have landmarks")

    click(a_panel.ui.detectFolderButton)

    assert not a_panel.inputSection.folder.is_detecting


def test_landmarks_go_into_the_folder_that_was_chosen_for_them(
    a_panel, a_folder, answers, tmp_path
):
    answers.expect("file", str(tmp_path), "Folder of the landmarks")
    click(a_panel.ui.listsFolderButton)

    detect_all(a_panel, answers)

    assert files_of(a_folder) == {}
    assert {f"{name}.mrk.json" for name in NAMES} <= files_of(tmp_path).keys()


def test_unit_and_color_are_those_that_were_chosen(a_panel, a_folder, answers):
    ui = a_panel.ui
    ui.unitSelector.setCurrentIndex(ui.unitSelector.findData("cm"))
    ui.unitSelector.activated.emit(ui.unitSelector.currentIndex)
    scale_model(ui.scanSelector.currentNode(), 0.1)  # the file is still what was chosen
    ui.useColorCheckBox.click()

    detect_all(a_panel, answers, asked="By shape alone.\nUnit of all: cm, as chosen.")

    text = ui.folderDetectionLabel.text  # the scans are in millimeters: ten times too large
    assert text.splitlines()[0].endswith(": 0 of 3.")
    assert "is no face, head or bust" in text


def test_model_of_a_lab_places_its_landmarks(a_panel, a_folder, answers, tmp_path):
    a_panel.selection.node.trainedModel = str(write_lab_model(tmp_path / "lab12.npz"))

    detect_all(a_panel, answers, asked="Trained model: lab12.")

    assert entries(a_panel) == [f"{name}.ply: 12 to review" for name in NAMES]
    assert current(a_panel).scheme.codes == lab_scheme().codes


def test_model_that_is_gone_is_told_once(a_panel, a_folder, answers, tmp_path):
    path = tmp_path / "lab12.npz"
    a_panel.selection.node.trainedModel = str(path)

    detect_all(a_panel, answers, asked="Trained model: lab12.")

    text = f"The model file {path.as_posix()} is not there"
    assert a_panel.ui.folderDetectionLabel.text.startswith(text)
    assert a_panel.ui.detectFolderButton.text == "Detect all scans"
    assert files_of(a_folder) == {}


def test_folder_that_is_read_only_is_told_once_with_what_to_do(
    a_panel, a_folder, answers, monkeypatch
):
    real = Path.open

    def refuse(path, mode="r", *arguments, **options):
        if path.parent == a_folder and mode != "rb":  # a test may run with all rights
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)

    detect_all(a_panel, answers)

    assert a_panel.ui.folderDetectionLabel.text == (
        f"Nothing can be written into {a_folder.as_posix()}. Choose another folder by Landmarks "
        "folder..., or check the rights and the free space."
    )
    assert entries(a_panel) == [f"{name}.ply" for name in NAMES]


def test_detections_end_when_the_disk_is_full(a_panel, a_folder, answers, monkeypatch):
    real = Path.open

    def refuse(path, mode="r", *arguments, **options):
        if mode != "rb" and path.parent == a_folder and (a_folder / "anna.palnet.json").exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)

    detect_all(a_panel, answers)

    first, second = a_panel.ui.folderDetectionLabel.text.splitlines()
    assert first.startswith(f"Nothing can be written into {a_folder.as_posix()}.")
    assert second.endswith(": 1 of 3.")
    assert sorted(files_of(a_folder)) == ["anna.mrk.json", "anna.palnet.json"]


def test_file_that_appeared_meanwhile_is_not_replaced(a_panel, a_folder, answers, held):
    start(a_panel, answers)
    write_list(a_folder / "bea.mrk.json")
    before = (a_folder / "bea.mrk.json").read_bytes()
    held.go.release(3)

    ended(a_panel)

    assert (a_folder / "bea.mrk.json").read_bytes() == before
    said = a_panel.ui.folderDetectionLabel.text
    assert "\nbea.ply: bea.mrk.json exists already, and stays as it is.\n" in said


def test_folder_that_is_taken_away_is_not_made_again(a_panel, a_folder, answers, held):
    start(a_panel, answers)
    held.go.release()
    wait_while(lambda: len(files_of(a_folder)) < 2 or len(held.begun) < 2)
    unplugged = a_folder.rename(a_folder.with_name("unplugged"))
    held.go.release(2)

    ended(a_panel)

    assert not a_folder.exists()
    assert len(files_of(unplugged)) == 2
    first, second, *rest = a_panel.ui.folderDetectionLabel.text.splitlines()
    assert first == f"The folder {a_folder.as_posix()} cannot be reached at present."
    assert second.endswith(": 1 of 3.")
    assert rest[0].startswith("bea.ply: there is no such file")


def test_landmarks_that_were_deleted_are_detected_anew(a_panel, a_folder, answers):
    detect_all(a_panel, answers)
    before = files_of(a_folder)
    click(a_panel.ui.nextScanButton)
    (a_folder / "anna.mrk.json").unlink()
    (a_folder / "anna.csv").write_text("mine", encoding="utf-8")

    detect_all(a_panel, answers, 1)

    assert files_of(a_folder).keys() == before.keys()
    assert files_of(a_folder)["anna.mrk.json"] == before["anna.mrk.json"]
    assert (a_folder / "anna.csv").read_text(encoding="utf-8") == "mine"


def test_scan_with_the_name_of_the_one_at_work_does_not_take_its_file(
    panel_factory, a_folder, answers
):
    (a_folder / "carl.ply").rename(a_folder / "anna.stl")  # whatever it holds
    panel = opened(panel_factory(), a_folder, answers)
    detect(panel)

    detect_all(panel, answers, 2)

    assert sorted(files_of(a_folder)) == ["bea.mrk.json", "bea.palnet.json"]
    text = "anna.stl: it would share its landmarks with anna.ply. Give one of the two another name."
    assert text in panel.ui.folderDetectionLabel.text.splitlines()


def test_list_that_was_made_meanwhile_keeps_its_place(a_panel, a_folder, answers, held):
    start(a_panel, answers)
    click(a_panel.ui.byHandButton)
    held.go.release(3)

    ended(a_panel)

    assert len(lists()) == 1
    assert not current(a_panel).landmark_set().is_placed.any()


def test_detections_go_on_when_another_folder_is_opened(a_panel, a_folder, answers, held, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "anna.ply").write_bytes((a_folder / "anna.ply").read_bytes())
    start(a_panel, answers)
    opened(a_panel, other, answers)
    held.go.release(3)

    ended(a_panel)

    assert entries(a_panel) == ["anna.ply"]
    assert lists() == []
    assert a_panel.ui.folderDetectionLabel.text.endswith(f"saved in {a_folder.as_posix()}: 3 of 3.")
    assert len(files_of(a_folder)) == 6


def test_message_goes_when_another_folder_is_opened(a_panel, a_folder, answers):
    for name in NAMES[1:]:
        write_list(a_folder / f"{name}.mrk.json")
    detect_all(a_panel, answers, 1)
    assert not a_panel.ui.folderDetectionLabel.isHidden()

    opened(a_panel, a_folder, answers)

    assert a_panel.ui.folderDetectionLabel.isHidden()


def test_detections_go_on_when_the_scene_is_closed(a_panel, a_folder, answers, held):
    start(a_panel, answers)
    slicer.mrmlScene.Clear()
    held.go.release(3)

    ended(a_panel)

    assert entries(a_panel) == [f"{name}.ply: 50 to review" for name in NAMES]
    assert (models(), lists()) == ([], [])


def test_detections_end_with_the_panel(panel_factory, a_folder, answers, held):
    panel = opened(panel_factory(), a_folder, answers)
    start(panel, answers)
    wait_while(lambda: not held.begun)

    panel.cleanup()
    held.go.release(3)

    wait_while(lambda: len(files_of(a_folder)) < 2)
    for thread in threading.enumerate():
        if thread.name == "palnet":
            thread.join(PATIENCE_S)
    assert held.begun == ["anna"]
