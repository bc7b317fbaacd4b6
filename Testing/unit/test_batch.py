# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import gc
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import distributed
import numpy as np
import pytest

import palnet
import palnet_fakes
from palnet import preview
from palnet._files import write_text
from palnet._pool import _Lane, run_jobs
from palnet.batch import ScanResult, process_scan
from palnet.errors import MissingDependencyError, UsageError
from palnet.exchange import read_landmarks, write_landmarks
from palnet.input_files import find_scans
from palnet.jobs import BatchOptions, plan_jobs
from palnet_models import write_lab_model

process_fake = partial(process_scan, detect=palnet_fakes.fake_detect)


def plan(*paths, **options):
    return plan_jobs(find_scans(paths), BatchOptions(**options))


def test_process_scan_writes_all_files(a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path / "out", preview=True)

    result = process_fake(job)

    names = ["head.mrk.json", "head.csv", "head.palnet.png", "head.palnet.json"]
    assert [path.name for path in result.files] == names
    assert sorted(names) == sorted(path.name for path in (tmp_path / "out").iterdir())


def test_process_scan_without_a_folder_writes_beside_the_scan(a_head_file):
    (job,) = plan(a_head_file, formats=("csv",))

    process_fake(job)

    assert a_head_file.with_suffix(".csv").is_file()


def test_process_scan_landmark_files_agree_with_the_result(a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path)

    result = process_fake(job)

    for path in job.landmark_files:
        np.testing.assert_allclose(
            read_landmarks(path).positions, result.landmarks.positions, atol=5.1e-7
        )


def test_process_scan_record_tells_how_it_came_about(a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path, frame="LPS")

    process_fake(job)

    record = json.loads(job.record_file.read_text(encoding="utf-8"))
    assert record["quality"] == {"residual_mm": 0.8, "coverage": 0.97, "verdict": "good"}
    assert (record["scan"], record["frame"], record["mm_per_unit"]) == ("head.obj", "LPS", 1.0)
    assert record["landmarks"][0] == {"code": "tr", "status": "detected", "expected_error_mm": 0.5}
    assert record["landmarks"][-1]["expected_error_mm"] is None
    assert record["provenance"]["model"] == "fake"


def test_process_scan_record_is_plain_data_as_read_again(a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path)

    record = process_fake(job).record

    again = json.loads(job.record_file.read_text(encoding="utf-8"))
    assert repr(sorted(again.items())) == repr(sorted(record.items()))  # with the same types


def test_process_scan_record_names_nothing_twice(a_head_file, tmp_path):
    """Readers disagree on which of two entries with one key holds."""
    (job,) = plan(a_head_file, output=tmp_path)

    process_fake(job)

    keys = []
    text = job.record_file.read_text(encoding="utf-8")
    json.loads(text, object_pairs_hook=lambda rows: keys.append([key for key, _ in rows]))
    assert all(len(set(names)) == len(names) for names in keys)
    assert "landmarks" in keys[-1]


@pytest.mark.parametrize("name", ["head.csv", "head.palnet.json", "head.palnet.png"])
def test_process_scan_whose_file_is_there_is_not_detected_first(name, a_head_file, tmp_path):
    """Detection takes seconds, and what is there is known before."""
    (job,) = plan(a_head_file, output=tmp_path / "out", preview=True)
    job.record_file.parent.mkdir()
    job.record_file.with_name(name).write_text("mine", encoding="utf-8")
    detected = []

    result = process_scan(job, detect=lambda *_, **__: detected.append(1))

    assert (result.outcome, f"{name} exists already" in result.message) == ("failed", True)
    assert not detected
    (kept,) = (tmp_path / "out").iterdir()
    assert (kept.name, kept.read_text(encoding="utf-8")) == (name, "mine")


def test_process_scan_detects_by_the_options(a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path / "out", unit="cm", model="lab")
    given = {}

    def detect(mesh, **options):
        given.update(options)
        return palnet_fakes.fake_detect(mesh)

    assert process_scan(job, detect=detect).outcome == "done"
    assert given == {"unit": "cm", "model": "lab", "use_color": True}


@pytest.fixture
def a_colored_file(a_head_file):
    """A head whose vertices have colors."""
    lines = a_head_file.read_text(encoding="utf-8").splitlines()
    colored = [f"{row} {n % 7 / 7} 0 1" if row[:2] == "v " else row for n, row in enumerate(lines)]
    a_head_file.write_text("\n".join(colored) + "\n", encoding="utf-8")
    return a_head_file


def test_process_scan_hands_over_the_colors_of_the_scan(a_colored_file, tmp_path):
    (job,) = plan(a_colored_file, output=tmp_path / "out")
    seen = []

    def detect(mesh, **_):
        seen.append(mesh.colors[:8].tolist())
        return palnet_fakes.fake_detect(mesh)

    result = process_scan(job, detect=detect)

    assert (result.outcome, "color" in result.record["provenance"]) == ("done", False)
    assert seen == [[[round(255 * (n % 7) / 7), 0, 255] for n in range(8)]]


def test_process_scan_hands_over_no_colors_if_told_so(a_colored_file, tmp_path):
    (job,) = plan(a_colored_file, output=tmp_path / "out", use_color=False)
    seen = []

    def detect(mesh, **options):
        seen.append(mesh.colors)
        return palnet_fakes.fake_detect(mesh, **options)

    result = process_scan(job, detect=detect)

    assert (result.outcome, seen) == ("done", [None])
    assert result.record["provenance"]["color"] == {"used": False, "reason": "not asked for"}


def test_process_scan_file_that_appears_meanwhile_is_kept_and_nothing_drawn(a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path / "out", preview=True)

    def detect(*given, **options):
        job.landmark_files[1].parent.mkdir()
        job.landmark_files[1].write_text("mine", encoding="utf-8")
        return palnet_fakes.fake_detect(*given, **options)

    result = process_scan(job, detect=detect)

    assert (result.outcome, "head.csv exists already" in result.message) == ("failed", True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["head.csv"]
    assert job.landmark_files[1].read_text(encoding="utf-8") == "mine"


def test_process_scan_that_overwrites_keeps_what_a_person_decided(a_head_file, tmp_path):
    (first,) = plan(a_head_file, output=tmp_path)
    (again,) = plan(a_head_file, output=tmp_path, overwrite=True)
    process_fake(first)
    path = first.landmark_files[0]
    detected = read_landmarks(path)
    for number in range(2):
        shift = np.array([0.0, 0.0, 5.0 + number])
        corrected = replace(
            detected,
            positions=np.vstack([detected.positions[:1] + shift, detected.positions[1:]]),
            status=("corrected", *detected.status[1:]),
        )
        write_landmarks(corrected, path, overwrite=True)
        kept = path.with_name(f"{path.name}{'.2' if number else ''}.bak")
        before = path.read_bytes()

        result = process_fake(again)

        assert result.outcome == "done"
        assert (
            f"{path.name} was changed after the detection: kept as {kept.name}." in result.warnings
        )
        assert kept.read_bytes() == before
        assert read_landmarks(path).status == detected.status
    assert process_fake(again).warnings == ()
    assert len(list(tmp_path.glob("*.bak"))) == 2


def test_process_scan_that_overwrites_keeps_no_copy_of_what_nobody_touched(a_head_file, tmp_path):
    """Though a copy or a backup gave its files other times."""
    (first,) = plan(a_head_file, output=tmp_path, formats=("csv", "mrk.json"))
    (again,) = plan(a_head_file, output=tmp_path, formats=("csv", "mrk.json"), overwrite=True)
    process_fake(first)
    later = first.record_file.stat().st_mtime_ns + 10**9
    for path in first.landmark_files:
        os.utime(path, ns=(later, later))

    assert process_fake(again).warnings == ()


@pytest.mark.parametrize("what", ["landmarks", "what is beside them"])
def test_process_scan_that_overwrites_keeps_any_file_that_is_not_as_it_was_written(
    what, a_head_file, tmp_path
):
    """Whatever the times of copied files say; a point moved elsewhere has no status that does."""
    (first,) = plan(a_head_file, output=tmp_path, formats=("tps",))
    (again,) = plan(a_head_file, output=tmp_path, formats=("tps",), overwrite=True)
    process_fake(first)
    (path,) = first.landmark_files
    sidecar = path.with_name(f"{path.name}.frame.json")
    changed = path if what == "landmarks" else sidecar
    changed.write_bytes(changed.read_bytes() + b" ")
    before = path.read_bytes(), sidecar.read_bytes()
    for file in (path, sidecar):
        os.utime(file, ns=(0, 0))  # as of a copy whose record was written last

    assert process_fake(again).outcome == "done"

    kept = tuple(file.with_name(f"{file.name}.bak").read_bytes() for file in (path, sidecar))
    assert kept == before


def test_process_scan_of_which_a_file_is_in_use_leaves_all_as_it_was(
    a_head_file, tmp_path, monkeypatch
):
    """It was opened while the face was looked for; on Windows it cannot be replaced then."""
    (first,) = plan(a_head_file, output=tmp_path / "out", preview=True)
    process_fake(first)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    move = Path.rename

    def refuse(path, target):
        if path.name == "head.csv":
            raise PermissionError(13, "The file is in use")
        return move(path, target)

    def detect(*arguments, **options):
        monkeypatch.setattr(Path, "rename", refuse)
        return palnet_fakes.fake_detect(*arguments, **options)

    (again,) = plan(a_head_file, output=tmp_path / "out", preview=True, overwrite=True)
    result = process_scan(again, detect=detect)

    assert (result.outcome, "cannot be replaced" in result.message) == ("failed", True)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_process_scan_without_opengl_gives_landmarks_and_a_warning(
    a_head_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(preview.sys, "executable", palnet_fakes.FAILING_PROGRAM)
    (job,) = plan(a_head_file, output=tmp_path, preview=True)

    result = process_fake(job)

    assert (result.outcome, len(result.files)) == ("done", 3)
    assert "no OpenGL" in result.warnings[0]


def test_process_scan_that_cannot_write_is_told_before_it_detects(a_head_file, tmp_path):
    """Of a closed folder a night of detections was lost."""
    (tmp_path / "notes.txt").write_text("no folder", encoding="utf-8")
    (job,) = plan(a_head_file, output=tmp_path / "notes.txt" / "2026" / "out")

    result = process_scan(job, detect=lambda *_, **__: pytest.fail("it detects"))

    assert result.outcome == "failed"
    assert "head.palnet.json: cannot be written" in result.message


def test_process_scan_that_is_not_there_is_told_rather_than_its_files(a_head_file, monkeypatch):
    """Of a scan on a drive that was not connected it was said that its files cannot be written."""
    (job,) = plan(a_head_file)
    a_head_file.unlink()
    monkeypatch.setattr("palnet.batch.check_writable", lambda _: pytest.fail("it tries to write"))

    result = process_fake(job)

    assert (result.outcome, f"{a_head_file}: there is no such file" in result.message) == (
        "unreadable",
        True,
    )


@pytest.mark.parametrize("held", ["head.obj", "head.csv", "head.palnet.json"])
def test_process_scan_that_resumes_tells_which_file_is_in_use(a_head_file, held, monkeypatch):
    """As on Windows. It said `[Errno 13] ...` and the path with doubled backslashes."""
    (first,) = plan(a_head_file)
    process_fake(first)
    (again,) = plan(a_head_file, resume=True)
    open_file = Path.open

    def refuse(path, *arguments, **options):
        if path.name == held:
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)

    result = process_fake(again)

    told = "Permission denied. Check the rights, and whether another program has it open."
    assert (result.outcome, result.message) == ("failed", f"{a_head_file.with_name(held)}: {told}")


def test_process_scan_that_is_no_mesh_is_told_before_its_results_are_in_the_way(
    a_head_file, tmp_path
):
    """As of `palnet detect folder/*` the second time."""
    (job,) = plan(a_head_file, output=tmp_path / "out", formats=("csv", "mrk.json"))
    process_fake(job)

    for wrong in plan(*job.landmark_files, formats=("csv", "mrk.json")):
        result = process_fake(wrong)
        assert (result.outcome, "a mesh file ends in" in result.message) == ("unreadable", True)


@pytest.mark.parametrize("name", ["山田\u3000花子", "Anna\u00a0B", "M\udcfcller"])
def test_process_scan_file_name_with_anything_gives_a_printable_specimen(
    a_head_file, tmp_path, name
):
    try:
        scan = a_head_file.rename(a_head_file.with_name(f"{name}.obj"))
    except OSError:  # macOS and Windows know no bytes that are no text
        assert "\udcfc" in name
        return
    (job,) = plan(scan, output=tmp_path / "out", formats=("mrk.json", "csv", "tps"))

    result = process_fake(job)

    assert result.outcome == "done", result.message
    specimen = "".join(c if c.isprintable() else "_" for c in name)
    assert {read_landmarks(path).specimen for path in job.landmark_files} == {specimen}
    assert json.loads(job.record_file.read_text(encoding="utf-8"))["scan"] == f"{name}.obj"


@pytest.fixture
def a_done_scan(a_head_file, tmp_path):
    """A scan that was detected once, and how to plan it again with other options."""

    def again(**options):
        (job,) = plan(a_head_file, output=tmp_path / "out", resume=True, **options)
        return job

    (first,) = plan(a_head_file, output=tmp_path / "out")
    assert process_fake(first).outcome == "done"
    return again


def test_process_scan_that_resumes_leaves_what_is_done(a_done_scan):
    table = a_done_scan().landmark_files[1]
    table.write_bytes(table.read_bytes().replace(b",detected,", b",corrected,", 1))
    before = table.read_bytes()

    assert process_fake(a_done_scan()).outcome == "there"
    with_picture = process_fake(a_done_scan(preview=True))
    assert with_picture.outcome == "there"
    assert "was done before, without head.palnet.png." in with_picture.warnings[0]
    assert table.read_bytes() == before
    with_picture.files[-1].touch()
    assert process_fake(a_done_scan(preview=True)).warnings == ()


def test_process_scan_that_overwrites_tells_of_what_it_leaves(a_head_file, tmp_path):
    (first,) = plan(a_head_file, output=tmp_path, formats=("csv", "tps"))
    process_fake(first)
    (second,) = plan(a_head_file, output=tmp_path, formats=("csv",), overwrite=True)

    result = process_fake(second)

    assert "head.tps, head.tps.frame.json kept from the detection" in result.warnings[-1]


def test_process_scan_that_overwrites_files_named_in_other_case_tells_of_no_change(
    a_head_file, tmp_path
):
    """On Windows `HEAD.csv` is `head.csv`: all were called changed, and left over as well."""
    (first,) = plan(a_head_file, output=tmp_path / "out", formats=("csv", "tps"))
    process_fake(first)
    record = json.loads(first.record_file.read_bytes())
    record["files"] = {name.upper(): sha256 for name, sha256 in record["files"].items()}
    first.record_file.write_text(json.dumps(record), encoding="utf-8")
    (second,) = plan(a_head_file, output=tmp_path / "out", formats=("csv", "tps"), overwrite=True)

    result = process_fake(second)

    assert (result.outcome, result.warnings) == ("done", ())
    assert not list((tmp_path / "out").glob("*.bak"))


@pytest.mark.parametrize("use_color", [True, False])
def test_process_scan_that_resumes_tells_what_was_done_without_its_texture(
    use_color, a_head_file, tmp_path
):
    bare = a_head_file.rename(a_head_file.with_name("bare.obj"))
    options = {"output": tmp_path / "out", "use_color": use_color}
    process_fake(*plan(bare, **options))

    again = process_fake(*plan(bare, **options, resume=True))

    told = (
        "was done before, without its color: Its image is missing. If that was mended since, "
        "--overwrite detects again."
    )
    assert (again.outcome, again.warnings) == ("there", (told,) * use_color)


def test_process_scan_that_resumes_does_not_ask_for_a_texture_that_the_model_leaves_aside(
    a_head_file, tmp_path
):
    bare = a_head_file.rename(a_head_file.with_name("bare.obj"))
    options = {"output": tmp_path / "out", "model": str(write_lab_model(tmp_path / "lab.npz"))}
    process_fake(*plan(bare, **options))

    again = process_fake(*plan(bare, **options, resume=True))

    assert (again.outcome, again.warnings) == ("there", ())


@pytest.mark.parametrize("breaks_at", ["head.mrk.json", "head.tps", "head.palnet.json"])
def test_process_scan_that_is_broken_off_leaves_nothing_to_stumble_over(
    breaks_at, a_head_file, tmp_path, monkeypatch
):
    options = {"output": tmp_path / "out", "formats": ("mrk.json", "tps"), "preview": True}
    (job,) = plan(a_head_file, **options)

    def broken_off(write, path_of):
        def write_and_stop(*arguments, **options):
            written = write(*arguments, **options)
            if path_of(arguments).name == breaks_at:
                raise KeyboardInterrupt
            return written

        return write_and_stop

    record = broken_off(write_text, lambda arguments: arguments[0])
    monkeypatch.setattr("palnet.batch.write_text", record)
    table = broken_off(write_landmarks, lambda arguments: arguments[1])
    monkeypatch.setattr("palnet.exchange.write_landmarks", table)
    with pytest.raises(KeyboardInterrupt):
        process_fake(job)
    monkeypatch.undo()

    (again,) = plan(a_head_file, **options, resume=True)
    assert process_fake(again).outcome == "done"


def test_process_scan_whose_record_cannot_be_written_can_be_done_again(
    a_head_file, tmp_path, monkeypatch
):
    (job,) = plan(a_head_file, output=tmp_path / "out", formats=("csv", "tps"))

    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("palnet.batch.write_text", full)
    result = process_fake(job)
    monkeypatch.undo()

    assert (result.outcome, "No space left" in result.message) == ("failed", True)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("change", [lambda scan: scan.write_text("v 0 0 0"), Path.unlink])
def test_process_scan_that_is_changed_meanwhile_gives_no_landmarks(change, a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path / "out", formats=("csv",), preview=True)

    def detect_and_change(mesh, **options):
        change(a_head_file)
        return palnet_fakes.fake_detect(mesh, **options)

    result = process_scan(job, detect=detect_and_change)

    assert (result.outcome, "was changed while" in result.message) == ("unreadable", True)
    assert not any(path.exists() for path in job.files)


def test_process_scan_that_fails_takes_nothing_of_others_away(a_head_file, tmp_path):
    """A side file is no file of the job: nobody has looked whether it was there."""
    (job,) = plan(a_head_file, output=tmp_path / "out", formats=("csv", "tps"))
    theirs = tmp_path / "out" / "head.tps.frame.json"
    theirs.parent.mkdir()
    theirs.write_text("somebody's", encoding="utf-8")

    result = process_fake(job)

    assert (result.outcome, "frame.json exists already" in result.message) == ("failed", True)
    assert [path.name for path in theirs.parent.iterdir()] == [theirs.name]
    assert theirs.read_text(encoding="utf-8") == "somebody's"


def test_process_scan_that_comes_second_takes_nothing_of_the_first_away(
    a_head_file, tmp_path, monkeypatch
):
    """Two runs into one folder, of which the other one ends just before this one writes."""
    (job,) = plan(a_head_file, output=tmp_path / "out", formats=("csv", "tps"))

    def write_after_another_run(*arguments, **options):
        monkeypatch.undo()
        assert process_fake(job).outcome == "done"
        return write_landmarks(*arguments, **options)

    monkeypatch.setattr("palnet.exchange.write_landmarks", write_after_another_run)
    result = process_fake(job)

    assert (result.outcome, "exists already" in result.message) == ("failed", True)
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert there == {"head.csv", "head.tps", "head.tps.frame.json", "head.palnet.json"}


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"frame": "RAS"}, "with another frame"),
        ({"unit": "cm"}, "with another unit"),
        ({"formats": ("csv", "tps")}, "without head.tps. palnet convert writes them"),
    ],
)
def test_process_scan_that_resumes_takes_nothing_else_for_done(a_done_scan, options, what):
    result = process_fake(a_done_scan(**options))

    assert (result.outcome, what in result.message) == ("failed", True), result.message


# What the record of an earlier run says of the color, and with what use of it that run is repeated.
COLOR_RECORDS = [
    (None, True, "there"),
    (None, False, "there"),  # the scan has none
    ({"used": True}, True, "there"),
    ({"used": True}, False, "failed"),
    ({"used": False, "reason": "no face in the pictures"}, True, "there"),
    ({"used": False, "reason": "no face in the pictures"}, False, "there"),
    ({"used": False, "reason": "not asked for"}, True, "failed"),
    ({"used": False, "reason": "not asked for"}, False, "there"),
]


@pytest.mark.parametrize(("recorded", "use_color", "outcome"), COLOR_RECORDS)
def test_process_scan_that_resumes_knows_whether_color_was_used(
    a_done_scan, recorded, use_color, outcome
):
    path = a_done_scan().record_file
    record = json.loads(path.read_text(encoding="utf-8"))
    if recorded:
        record["provenance"]["color"] = recorded
    path.write_text(json.dumps(record), encoding="utf-8")

    result = process_fake(a_done_scan(use_color=use_color))

    assert result.outcome == outcome
    assert ("with another use of color." in result.message) == (outcome == "failed")


@pytest.mark.parametrize("unit", ["mm", "1", "1.0"])
def test_process_scan_that_resumes_knows_the_unit_whoever_said_it(a_done_scan, unit):
    assert process_fake(a_done_scan(unit=unit)).outcome == "there"


def test_process_scan_that_resumes_takes_no_damaged_file_for_done(a_done_scan):
    """As of a disk that was full when somebody saved it, or of a copy that was broken off."""
    path = a_done_scan().landmark_files[0]
    path.write_bytes(path.read_bytes()[:3000])

    result = process_fake(a_done_scan())

    assert result.outcome == "failed"
    assert result.message.startswith("was done before, but ")
    assert path.name in result.message
    assert "Move it away, or run" in result.message


def test_process_scan_that_resumes_knows_a_scan_by_its_former_name(a_head_file, tmp_path):
    scans = [tmp_path / name / "head.obj" for name in ("1", "2")]
    for number, scan in enumerate(scans):
        scan.parent.mkdir()
        scan.write_text(f"# {number}\n{a_head_file.read_text(encoding='utf-8')}", encoding="utf-8")
    (alone,) = plan(scans[0], output=tmp_path / "out")
    process_fake(alone)

    results = [process_fake(job) for job in plan(*scans, output=tmp_path / "out", resume=True)]

    assert [result.outcome for result in results] == ["failed", "done"]
    assert "was done before as head, when" in results[0].message


def test_process_scan_that_resumes_takes_no_other_person_for_done(a_done_scan, a_head_file):
    with a_head_file.open("a", encoding="utf-8") as stream:
        stream.write("# another one\n")

    result = process_fake(a_done_scan())

    assert (result.outcome, "with another scan." in result.message) == ("failed", True)


def test_process_scan_that_resumes_takes_no_other_model_for_done(a_done_scan, tmp_path):
    other = tmp_path / "other.npz"
    other.write_bytes(b"another model")

    result = process_fake(a_done_scan(model=str(other)))

    assert (result.outcome, "with another model." in result.message) == ("failed", True)


def test_process_scan_that_resumes_does_not_touch_what_has_no_record(a_done_scan):
    a_done_scan().record_file.unlink()

    result = process_fake(a_done_scan())

    assert (result.outcome, "without the record of a finished" in result.message) == (
        "failed",
        True,
    )


@pytest.mark.parametrize(
    "damage",
    [
        "", "[]", "[" * 100_000, '{"files": 5, "scan_sha256": ' + "9" * 5000,
        {"provenance": "none"}, {"provenance": {"color": "red"}}, {"findings": None},
        {"findings": ["texture"]},
    ],
)  # fmt: skip
def test_process_scan_whose_record_is_damaged_says_so_or_is_done_again(damage, a_done_scan):
    path = a_done_scan().record_file
    record = json.loads(path.read_text(encoding="utf-8"))
    text = damage if isinstance(damage, str) else json.dumps(record | damage)
    path.write_text(text, encoding="utf-8")

    result = process_fake(a_done_scan(use_color=False))

    assert result.outcome == "failed"
    assert "was made with another version, or is damaged." in result.message
    again = replace(a_done_scan().options, resume=False, overwrite=True)
    assert process_fake(replace(a_done_scan(), options=again)).outcome == "done"


def test_run_jobs_gives_a_result_a_scan_whatever_happens(a_folder_of_scans, tmp_path):
    jobs = plan(a_folder_of_scans, output=tmp_path / "out", formats=("csv",))

    results = run_jobs(jobs, n_processes=2, process=process_fake)

    outcomes = {result.scan.stem: result.outcome for result in results}
    assert outcomes == {
        "anna": "done",
        "bo": "done",
        "broken": "unreadable",
        "no_face": "refused",
    }


@pytest.fixture
def jobs_of_which_some_are_deadly(tmp_path):
    names = ("a.obj", "deadly_1.obj", "b.obj", "deadly_2.obj", "c.obj")
    return plan(*(tmp_path / name for name in names))


def test_run_jobs_worker_that_dies_takes_no_other_scan_along(jobs_of_which_some_are_deadly):
    results = run_jobs(
        jobs_of_which_some_are_deadly, n_processes=2, process=palnet_fakes.die_of_some
    )

    outcomes = {result.scan.stem: (result.outcome, "died" in result.message) for result in results}
    assert outcomes == {
        "a": ("done", False),
        "b": ("done", False),
        "c": ("done", False),
        "deadly_1": ("failed", True),
        "deadly_2": ("failed", True),
    }


@pytest.fixture(params=["processes", "cluster"])
def run_all(request):
    """Run jobs in other processes, or on a Dask cluster."""
    if request.param == "processes":
        yield partial(run_jobs, n_processes=2)
        return
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        yield partial(run_jobs, scheduler=cluster.scheduler_address)


def test_run_jobs_fault_in_the_code_is_one_scan_s_outcome(run_all, jobs_of_which_some_are_deadly):
    results = run_all(jobs_of_which_some_are_deadly, process=palnet_fakes.stumble_over_some)

    messages = {result.scan.stem: result.message for result in results}
    for name in ("deadly_1", "deadly_2"):
        assert messages.pop(name).startswith("unexpected RuntimeError: a fault in the code")
    assert messages == {"a": "", "b": "", "c": ""}


def test_run_jobs_gives_each_process_one_thread(jobs_of_which_some_are_deadly, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # which it would hand on
        monkeypatch.delenv(name, raising=False)
    results = run_jobs(
        jobs_of_which_some_are_deadly[:2], n_processes=2, process=palnet_fakes.answer
    )

    assert {result.record["threads"] for result in results} == {"1"}


def count_results(jobs, *, most):
    """Results in memory of some scans; what is let go of elsewhere may take a moment."""
    scans = {job.scan for job in jobs}
    for _ in range(100):
        # Not isinstance, which asks lazy modules that other tests have loaded.
        results = (each for each in gc.get_objects() if type(each) is ScanResult)
        n_kept = sum(each.scan in scans for each in results)
        if n_kept <= most:
            break
        time.sleep(0.05)
    return n_kept


def test_run_jobs_keeps_no_result_that_was_taken(run_all, jobs_of_which_some_are_deadly):
    """Of 5,000 scans the results took 250 MB."""
    jobs = jobs_of_which_some_are_deadly
    results = run_all(jobs, process=palnet_fakes.answer)
    for _ in jobs:
        next(results)

    n_kept = count_results(jobs, most=2)
    results.close()

    assert n_kept <= 2  # the last one, here and on a cluster


def test_scans_in_threads_of_one_process_get_no_warnings_of_others(a_head_file, tmp_path):
    """As on a Dask cluster, whose workers have several threads unless told."""
    scans = [
        tmp_path / f"{'not one word' if number % 2 else 'word'} {number}.obj"
        for number in range(24)
    ]
    for scan in scans:
        shutil.copy(a_head_file, scan)
    jobs = plan(*scans, output=tmp_path / "out", formats=("tps", "nts"))
    state = warnings.showwarning, warnings._showwarnmsg_impl, list(warnings.filters)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(process_fake, jobs))

    for result in results:
        assert len(result.warnings) == 2
        assert all(f"specimen {result.scan.stem!r} is" in text for text in result.warnings)
    assert state == (warnings.showwarning, warnings._showwarnmsg_impl, list(warnings.filters))


def test_run_jobs_left_early_ends_its_processes(jobs_of_which_some_are_deadly):
    results = run_jobs(jobs_of_which_some_are_deadly, n_processes=2, process=palnet_fakes.answer)
    next(results)
    results.close()

    assert multiprocessing.active_children() == []


def test_run_jobs_that_is_killed_leaves_no_process_behind():
    """A worker holds the output of the process that started it open for as long as it lives."""
    script = (
        "import time, palnet_fakes, palnet._pool as pool, palnet.jobs as jobs\n"
        "from palnet.input_files import find_scans\n"
        "plan = jobs.plan_jobs(find_scans(['a.obj', 'b.obj']), jobs.BatchOptions())\n"
        "for _ in pool.run_jobs(plan, n_processes=2, process=palnet_fakes.answer):\n"
        "    print('one', flush=True)\n"
        "    time.sleep(60)\n"
    )
    folders = (Path(palnet_fakes.__file__).parent, Path(palnet.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        stdout=subprocess.PIPE,
    ) as killed:
        killed.stdout.readline()
        killed.kill()

        assert killed.communicate(timeout=20) == (b"", None)


# Ends one scan; then one worker has nothing to do, or each has another scan, and more are left.
INTERRUPTED_RUN = """
import sys

import palnet_fakes
from palnet._pool import run_jobs
from palnet.input_files import find_scans
from palnet.jobs import BatchOptions, plan_jobs

if __name__ == "__main__":
    jobs = plan_jobs(find_scans(["a.obj", *sys.argv[1:]]), BatchOptions())
    try:
        for result in run_jobs(jobs, n_processes=2, process=palnet_fakes.dawdle_over_some):
            print(result.outcome, flush=True)
            palnet_fakes.press_ctrl_c_once_begun("deadly")
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("n_more", [0, 9])
def test_run_jobs_interrupted_from_the_keyboard_ends_its_workers_without_a_word(n_more, tmp_path):
    """A worker that was interrupted took the next scan, and everybody waited for it."""
    names = ["deadly.obj", *(f"deadly{number}.obj" for number in range(n_more))]

    told = palnet_fakes.run_in_own_console(INTERRUPTED_RUN, *names, folder=tmp_path)

    assert told == ("done\ninterrupted\n", "")
    assert len(list(tmp_path.glob("*.begun"))) <= 2


# Ctrl-C ends a worker that is still starting, and the main process learns of it a little later, as
# on Windows; `interrupt_main`, too, wakes no process that waits.
INTERRUPTED_START = """
import _thread
import threading
import time
from pathlib import Path

import palnet_fakes
from palnet import _pool
from palnet.input_files import find_scans
from palnet.jobs import BatchOptions, plan_jobs

_pool._PAUSE_S = 2.0  # a busy machine is late


def press():
    while not Path("deadly.begun").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    _thread.interrupt_main()


if __name__ == "__main__":
    threading.Thread(target=press, daemon=True).start()
    jobs = plan_jobs(find_scans(["deadly.obj", "b.obj", "c.obj"]), BatchOptions())
    try:
        for _ in _pool.run_jobs(jobs, process=palnet_fakes.die_as_it_starts):
            pass
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_run_jobs_interrupted_while_a_worker_starts_begins_no_other_scan(tmp_path):
    """On Windows its place was taken by another worker, and all waited for the scan of that one."""
    told = palnet_fakes.run_in_own_console(INTERRUPTED_START, folder=tmp_path)

    assert told == ("interrupted\n", "")
    assert [path.name for path in tmp_path.glob("*.begun")] == ["deadly.begun"]


def test_run_jobs_ends_as_interrupted_if_one_worker_alone_is(jobs_of_which_some_are_deadly):
    """It refused every other scan, each of which was told as an error of palnet's."""
    results = run_jobs(
        jobs_of_which_some_are_deadly, n_processes=2, process=palnet_fakes.interrupt_itself
    )

    with pytest.raises(KeyboardInterrupt):
        list(results)

    assert multiprocessing.active_children() == []


def test_worker_that_dies_between_two_scans_takes_none_with_it(jobs_of_which_some_are_deadly):
    job = next(job for job in jobs_of_which_some_are_deadly if "deadly" not in job.scan.stem)
    lane = _Lane()
    try:
        before = lane.run(job, palnet_fakes.answer)
        (worker,) = multiprocessing.active_children()
        worker.kill()
        worker.join()
        while not lane._pool._broken:
            time.sleep(0.01)

        assert lane.run(job, palnet_fakes.answer).outcome == before.outcome
    finally:
        lane.close()


def test_run_jobs_of_nothing_gives_nothing():
    assert list(run_jobs([])) == []


def test_run_jobs_without_dask_says_how_to_install_it(jobs_of_which_some_are_deadly, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(MissingDependencyError, match=r'pip install "palnet\[cluster\]"'):
        list(run_jobs(jobs_of_which_some_are_deadly, scheduler="tcp://localhost:1"))


def test_run_jobs_where_no_scheduler_answers_raises(jobs_of_which_some_are_deadly, monkeypatch):
    monkeypatch.setattr("palnet._cluster._CONNECT_TIMEOUT_S", 0.5)

    with pytest.raises(UsageError, match="no Dask scheduler answers at 'tcp:"):
        list(run_jobs(jobs_of_which_some_are_deadly, scheduler="tcp://127.0.0.1:9"))
