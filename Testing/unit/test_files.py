# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from palnet import _files
from palnet._files import (
    check_free,
    check_writable,
    file_stem,
    hint_at_length,
    remove,
    replacing,
    write_text,
)
from palnet.errors import FormatError, MeshError, OutputError, OutputExistsError, PalnetError
from palnet.evaluation._tables import write_report
from palnet.exchange import find_format, read_landmarks, read_name_table, write_landmarks
from palnet.input_files import find_scans
from palnet.landmarks import LandmarkSet
from palnet.measurement import load_measurement_plan
from palnet.model import read_model
from palnet.preview import render_preview
from palnet.scheme import load_scheme
from palnet.surface import Mesh, read_colored_mesh, read_mesh, write_ply


def fail(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fail_as_in_use(*_, **__):
    raise PermissionError(errno.EACCES, "The file is in use")


def test_write_text_makes_the_folder_and_leaves_no_draft(tmp_path):
    write_text(tmp_path / "a" / "b" / "out.txt", "ä\n", overwrite=False)

    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["out.txt"]
    assert (tmp_path / "a" / "b" / "out.txt").read_bytes() == "ä\n".encode()


@pytest.mark.parametrize("below", ["out.txt", "deep/out.txt"])
def test_write_text_below_a_file_names_the_path_and_what_to_check(tmp_path, below):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    path = tmp_path / "file" / below

    with pytest.raises(
        OutputError, match=r"out\.txt: cannot be written \(.*Check the path"
    ) as told:
        write_text(path, "new", overwrite=True)

    assert str(path) in str(told.value)
    assert isinstance(told.value, PalnetError)
    assert isinstance(told.value, OSError)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "step", ["pathlib.Path.mkdir", "pathlib.Path.open", "pathlib.Path.replace"]
)
def test_write_text_that_the_system_refuses_leaves_all_as_it_was(tmp_path, monkeypatch, step):
    path = tmp_path / "out.txt"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(step, fail)

    with pytest.raises(OutputError, match=r"out\.txt: cannot be written \(No space left"):
        write_text(path, "new", overwrite=True)
    monkeypatch.undo()

    assert [entry.name for entry in tmp_path.iterdir()] == ["out.txt"]
    assert path.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize(
    ("write", "name", "step"),
    [
        (lambda path: write_text(path, "new", overwrite=True), "out.txt", "open"),
        (check_writable, "out.txt", "open"),
        (check_writable, "deep/out.txt", "mkdir"),
    ],
)
def test_ctrl_c_while_a_draft_is_made_leaves_none(write, name, step, tmp_path, monkeypatch):
    make = getattr(Path, step)

    def press_ctrl_c(path, *mode):
        made = make(path, *mode)
        if made is not None:
            made.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, step, press_ctrl_c)

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / name)

    assert list(tmp_path.iterdir()) == []


def test_write_text_makes_files_for_whom_the_system_lets_read(tmp_path):
    """Those that it lets read any new file, whatever its mask; a temporary file is one's own."""
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "out.txt", "new", overwrite=False)
        (tmp_path / "plain.txt").write_text("new", encoding="utf-8")
    finally:
        os.umask(before)

    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.fixture
def a_virus_scanner(monkeypatch):
    """Windows, whose scanner holds a new file so many times when it is to be moved."""
    rename, pauses = Path.rename, []

    def holding(n_times):
        refusals = iter([PermissionError(errno.EACCES, "Access is denied")] * n_times)

        def refuse(draft, target):
            for refusal in refusals:
                raise refusal
            return rename(draft, target)

        monkeypatch.setattr(Path, "rename", refuse)
        return pauses

    monkeypatch.setattr(_files, "os", SimpleNamespace(name="nt"))
    monkeypatch.setattr(_files.time, "sleep", pauses.append)
    return holding


def test_write_text_waits_for_a_virus_scanner(a_virus_scanner, tmp_path):
    pauses = a_virus_scanner(3)

    write_text(tmp_path / "out.txt", "new", overwrite=False)

    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]
    assert pauses == [0.05, 0.1, 0.2]


def test_write_text_does_not_wait_for_ever(a_virus_scanner, tmp_path):
    pauses = a_virus_scanner(99)

    with pytest.raises(OutputError, match=r"Access is denied\).*another program has the file open"):
        write_text(tmp_path / "out.txt", "new", overwrite=False)

    assert list(tmp_path.iterdir()) == []
    assert sum(pauses) < 2


@pytest.fixture
def a_scanner_of_what_is_deleted(monkeypatch):
    """Windows, whose scanner holds each file that is there when it is first to be deleted."""
    unlink, seen = Path.unlink, set()

    def refuse_once(path, **how):
        if path.exists() and path not in seen:
            seen.add(path)
            raise PermissionError(errno.EACCES, "The file is in use")
        unlink(path, **how)

    monkeypatch.setattr(Path, "unlink", refuse_once)
    monkeypatch.setattr(_files, "os", SimpleNamespace(name="nt"))
    monkeypatch.setattr(_files.time, "sleep", lambda _: None)
    return seen


def leave_a_table(folder):
    write_report(folder, {"old.csv": "1"}, (), overwrite=True)
    write_report(folder, {}, ("old.csv",), overwrite=True)


def leave_a_sidecar(folder):
    scheme = load_scheme()
    n = len(scheme)
    landmarks = LandmarkSet(
        scheme, np.ones((n, 3)), ("confirmed",) * n, np.ones(n), 1.0, "file", "a"
    )
    write_landmarks(replace(landmarks, mm_per_unit=10.0), folder / "a.csv")
    write_landmarks(landmarks, folder / "a.csv", overwrite=True)
    (folder / "a.csv").rename(folder.with_name("kept.csv"))


@pytest.mark.parametrize("leave", [leave_a_table, leave_a_sidecar])
def test_what_is_left_over_goes_once_a_virus_scanner_lets_go(
    leave, a_scanner_of_what_is_deleted, tmp_path
):
    (tmp_path / "a").mkdir()

    leave(tmp_path / "a")

    assert list((tmp_path / "a").iterdir()) == []
    assert {path.parent for path in a_scanner_of_what_is_deleted} >= {tmp_path / "a"}


def test_remove_file_that_stays_open_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "unlink", fail_as_in_use)

    with pytest.raises(OutputError, match=r"a\.pt: cannot be deleted \(The file is in use\)"):
        remove(tmp_path / "a.pt")


def test_remove_of_nothing_is_no_error(tmp_path):
    remove(tmp_path / "a.pt")


def test_replacing_full_disk_while_writing_is_told_as_an_output(tmp_path):
    with (
        pytest.raises(OutputError, match="No space left"),
        replacing(tmp_path / "out.txt", overwrite=False),
    ):
        fail()

    assert list(tmp_path.iterdir()) == []


def test_replacing_other_errors_come_through_as_they_are(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "out.txt", overwrite=False):
        _ = 1 / 0

    assert list(tmp_path.iterdir()) == []


def test_replacing_a_file_that_came_meanwhile_is_kept(tmp_path):
    path = tmp_path / "out.txt"

    def write_as_another_does():
        with replacing(path, overwrite=False) as draft:
            draft.write_text("ours", encoding="utf-8")
            path.write_text("theirs", encoding="utf-8")

    with pytest.raises(OutputExistsError, match="exists already"):
        write_as_another_does()

    assert path.read_text(encoding="utf-8") == "theirs"


@pytest.mark.parametrize("system", ["this", "nt"])
def test_replacing_a_file_that_came_since_the_last_look_is_kept(tmp_path, monkeypatch, system):
    """Two runs into one folder: both found the name free, and the other one was first."""
    path, look = tmp_path / "out.txt", _files.check_free

    def look_and_be_overtaken(path, **how):
        look(path, **how)
        if list(tmp_path.iterdir()):
            path.write_text("theirs", encoding="utf-8")

    def rename_as_windows_does(draft, target):
        os.link(draft, target)
        draft.unlink()

    if system == "nt":
        monkeypatch.setattr(_files, "os", SimpleNamespace(name="nt"))
        monkeypatch.setattr(Path, "rename", rename_as_windows_does)
    monkeypatch.setattr(_files, "check_free", look_and_be_overtaken)
    with pytest.raises(OutputExistsError, match="exists already"):
        write_text(path, "ours", overwrite=False)

    assert [entry.name for entry in tmp_path.iterdir()] == ["out.txt"]
    assert path.read_text(encoding="utf-8") == "theirs"


def test_replacing_on_a_disk_without_second_names_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", fail)

    write_text(tmp_path / "out.txt", "new", overwrite=False)

    assert [entry.name for entry in tmp_path.iterdir()] == ["out.txt"]
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "new"


def test_check_free_name_too_long_for_the_system_is_told(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write_text(tmp_path / ("x" * 5000), "new", overwrite=False)


def test_check_free_lets_a_free_path_pass_and_an_existing_one_when_told(tmp_path):
    (tmp_path / "there").write_text("x", encoding="utf-8")
    before = (tmp_path / "there").stat()

    check_free(tmp_path / "free", overwrite=False)
    check_free(tmp_path / "there", overwrite=True)
    after = (tmp_path / "there").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    with pytest.raises(OutputExistsError, match="there exists already"):
        check_free(tmp_path / "there", overwrite=False)


@pytest.fixture
def a_file_in_use(tmp_path, monkeypatch):
    """As on Windows: a file that another program has open can be neither moved nor replaced."""
    path = tmp_path / "in_use.csv"
    path.write_text("old", encoding="utf-8")

    def refusing(step):
        def move(source, target):
            if path in (source, Path(target)):
                raise PermissionError(errno.EACCES, "The file is in use")
            return step(source, target)

        return move

    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, refusing(getattr(Path, name)))
    return path


def test_check_free_file_that_another_program_has_open_is_told(a_file_in_use):
    with pytest.raises(
        OutputError, match=r"in_use\.csv: cannot be replaced \(The file is in use\)"
    ):
        check_free(a_file_in_use, overwrite=True)


def test_check_free_read_only_file_that_windows_moves_and_does_not_replace_is_told(
    tmp_path, monkeypatch
):
    path = tmp_path / "out.csv"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o444)
    monkeypatch.setattr(_files, "os", SimpleNamespace(name="nt"))

    with pytest.raises(OutputError, match=r"out\.csv: is read-only"):
        check_free(path, overwrite=True)
    path.chmod(0o644)  # or nothing on Windows takes it away

    check_free(path, overwrite=True)


@pytest.fixture
def a_long_path(tmp_path, monkeypatch):
    """As on Windows without long paths: the folder lists the file, which cannot be found."""
    monkeypatch.setattr(_files, "os", SimpleNamespace(name="nt"))
    path = tmp_path / "face.ply"
    path.touch()
    monkeypatch.setattr(_files, "_MAX_PATH", len(str(path)) - 1)
    stat = Path.stat

    def not_found(asked, **options):
        if asked == path:
            raise FileNotFoundError(errno.ENOENT, "The system cannot find the path specified")
        return stat(asked, **options)

    monkeypatch.setattr(Path, "stat", not_found)
    monkeypatch.setattr(Path, "is_file", lambda asked: asked != path)
    monkeypatch.setattr(Path, "read_bytes", not_found)
    return path


def test_find_scans_does_not_pass_over_one_of_a_long_path(a_long_path):
    assert find_scans([a_long_path.parent]) == [a_long_path]


@pytest.mark.parametrize(("read", "error"), [(read_mesh, MeshError), (read_landmarks, FormatError)])
def test_reading_a_long_path_tells_its_length(read, error, a_long_path):
    with pytest.raises(error, match=f"The path has {len(str(a_long_path))} characters; Windows"):
        read(a_long_path)


def test_write_text_of_which_the_draft_has_a_long_path_tells_its_length(tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "os", SimpleNamespace(name="nt"))
    monkeypatch.setattr(_files, "_MAX_PATH", len(str(tmp_path / "a.csv")))
    refusal = FileNotFoundError(errno.ENOENT, "The system cannot find the path specified")
    monkeypatch.setattr(Path, "open", Mock(side_effect=refusal))

    with pytest.raises(
        OutputError, match=r"a\.csv: cannot be written.* characters; Windows allows"
    ):
        write_text(tmp_path / "a.csv", "new", overwrite=False)


def test_hint_at_length_is_of_windows_and_of_long_paths_only(tmp_path, monkeypatch):
    longest = tmp_path / ("x" * (258 - len(str(tmp_path))))
    longer = longest.with_name(f"{longest.name}x")

    monkeypatch.setattr(_files, "os", SimpleNamespace(name="posix"))
    assert hint_at_length(longer) == ""
    monkeypatch.setattr(_files, "os", SimpleNamespace(name="nt"))
    assert hint_at_length(longest) == ""
    assert "has 260 characters" in hint_at_length(longer)


def test_check_free_on_a_disk_that_cannot_tell_lets_pass(tmp_path, monkeypatch):
    (tmp_path / "there").write_text("x", encoding="utf-8")
    monkeypatch.setattr(Path, "rename", fail)

    check_free(tmp_path / "there", overwrite=True)


def test_report_of_which_one_file_is_in_use_stays_as_it_was(a_file_in_use):
    texts = {"first.csv": "new", a_file_in_use.name: "new", "last.csv": "new"}
    for name in texts:
        (a_file_in_use.parent / name).write_bytes(b"old")

    with pytest.raises(OutputError, match="cannot be replaced"):
        write_report(a_file_in_use.parent, texts, (), overwrite=True)

    assert {path.read_text() for path in a_file_in_use.parent.iterdir()} == {"old"}


def test_landmarks_whose_file_is_in_use_keep_what_stands_beside_them(
    a_small_scheme, tmp_path, monkeypatch
):
    """Else old landmarks would be read by a new frame."""
    landmarks = LandmarkSet(
        a_small_scheme, np.eye(3), ("confirmed",) * 3, np.ones(3), 1.0, "file", "a"
    )
    path = tmp_path / "in_use.tps"
    write_landmarks(landmarks, path)
    before = {each: each.read_bytes() for each in path.parent.iterdir()}
    monkeypatch.setattr(Path, "rename", fail_as_in_use)

    with pytest.raises(OutputError, match="cannot be replaced"):
        write_landmarks(landmarks.to_frame("RAS"), path, overwrite=True)

    assert {each: each.read_bytes() for each in path.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("stem", "possible"),
    [
        ("AUX", "AUX_"), ("con.1", "con_.1"), ("COM1", "COM1_"),
        ("CONNY", "CONNY"), ("face.con", "face.con"), ("COM", "COM"),
        ("A/B\\C:\n", "A_B_C__"), ("../..", "_"), (" . ", "unnamed"), ("", "unnamed"),
        ("Ä B.", "Ä B"), ("NUL .1", "NUL_ .1"), ("com².x", "com²_.x"), ("CONIN$", "CONIN$_"),
    ],
)  # fmt: skip
def test_file_stem_is_one_that_every_system_takes(stem, possible):
    assert file_stem(stem) == possible


def test_folder_that_can_be_written_to_is_left_as_it_was(tmp_path):
    check_writable(tmp_path / "new" / "deep" / "a.json")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("step", "name"), [("open", "a.json"), ("mkdir", "results/a.json")])
def test_file_in_a_closed_folder_is_refused(step, name, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, step, fail_as_in_use)

    with pytest.raises(OutputError, match=r"a\.json: cannot be written \(The file is in use\)"):
        check_writable(tmp_path / name)


def test_file_on_a_disk_that_is_not_connected_is_refused(tmp_path, monkeypatch):
    """Then not even the first folder of the path exists."""
    monkeypatch.setattr(Path, "exists", lambda _: False)
    monkeypatch.setattr(Path, "mkdir", fail)

    with pytest.raises(OutputError, match=r"a\.json: cannot be written"):
        check_writable(tmp_path / "a.json")


def test_new_folder_may_be_at_the_top_of_a_windows_drive(tmp_path, monkeypatch):
    """There users may make folders, but no files."""
    monkeypatch.setattr(Path, "open", fail_as_in_use)

    check_writable(tmp_path / "results" / "a.json")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["Anna: results", "new/a?b/deep"])
def test_name_that_windows_forbids_is_refused_before_the_work(folder, tmp_path, monkeypatch):
    """Every scan was detected before its folder could not be made."""
    monkeypatch.setattr(_files, "os", SimpleNamespace(name="nt"))

    with pytest.raises(OutputError, match=r"Windows forbids .* in names, as in '(Anna: r|a\?b)"):
        check_writable(tmp_path / folder / "a.json")

    check_writable(tmp_path / "Anna_ results" / "a.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["results ", "results. ", "results.."])
def test_folder_whose_end_windows_drops_is_named_if_it_is_not_found(name, tmp_path, monkeypatch):
    """It makes `results`, and then finds no `results ` to write to; the message did not say why."""
    monkeypatch.setattr(_files, "os", SimpleNamespace(name="nt"))
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)

    with pytest.raises(OutputError, match=f"ends in a blank or dots, as '{name}' does\\.$"):
        write_text(tmp_path / name / "a.json", "", overwrite=False)

    with pytest.raises(OutputError, match=r"has the file open\.$"):
        write_text(tmp_path / "results." / "a.json", "", overwrite=False)


TAKING_PATHS = {
    "read_mesh": read_mesh,
    "read_colored_mesh": read_colored_mesh,
    "read_landmarks": read_landmarks,
    "read_name_table": lambda path: read_name_table(path, load_scheme()),
    "find_format": find_format,
    "read_model": read_model,
    "load_scheme": load_scheme,
    "load_measurement_plan": load_measurement_plan,
    "write_landmarks": lambda path: write_landmarks(None, path),
    "write_ply": lambda path: write_ply(a_triangle(), path),
    "write_report": lambda path: write_report(path, {}, (), overwrite=True),
    "render_preview": lambda path: render_preview(a_triangle(), None, np.eye(4), path),
}


def a_triangle():
    return Mesh(np.eye(3), [[0, 1, 2]])


@pytest.mark.parametrize("take", TAKING_PATHS.values(), ids=TAKING_PATHS)
@pytest.mark.parametrize(
    ("path", "got"),
    [
        (b"face.ply", r"bytes\. Decode it: os\.fsdecode\(path\)"),
        ("fa\0ce.ply", r"one with a zero byte\. Correct it"),
        (3, r"int\. Give the path of the file"),
        (np.eye(3), r"ndarray\. Give the path of the file"),
    ],
)
def test_what_is_no_path_is_refused_with_a_remedy(take, path, got):
    with pytest.raises(PalnetError, match=f"must be a path as text or pathlib.Path; got {got}"):
        take(path)


def test_where_the_working_folder_is_gone_a_missing_file_is_told_as_ever(monkeypatch):
    monkeypatch.setattr(os, "getcwd", Mock(side_effect=FileNotFoundError))

    for take, told in ((read_mesh, "there is no such file"), (read_landmarks, "cannot be read")):
        with pytest.raises(PalnetError, match=rf"^face\.csv: {told}.*Check the"):
            take(Path("face.csv"))
