# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import sys
import unicodedata
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import palnet_fakes
from palnet import input_files
from palnet.batch import process_scan
from palnet.errors import UsageError
from palnet.exchange import read_landmarks
from palnet.input_files import _is_link, find_scans, scans_below
from palnet.jobs import BatchOptions, plan_jobs
from palnet_links import link_folder

process_fake = partial(process_scan, detect=palnet_fakes.fake_detect)


def plan(*paths, **options):
    return plan_jobs(find_scans(paths), BatchOptions(**options))


def test_find_scans_takes_the_meshes_of_a_folder_by_name(a_folder_of_scans):
    names = [scan.name for scan in find_scans([a_folder_of_scans])]

    assert names == ["anna.obj", "bo.obj", "broken.obj", "no_face.obj"]


def test_find_scans_takes_each_scan_once(a_folder_of_scans):
    scans = find_scans([a_folder_of_scans / "bo.obj", a_folder_of_scans])

    assert [scan.name for scan in scans] == ["bo.obj", "anna.obj", "broken.obj", "no_face.obj"]


@pytest.fixture
def a_disk_that_ignores_case(a_head_file, monkeypatch):
    """On others let a link stand for the name in other letters; no folder lists it."""
    other = a_head_file.with_name(a_head_file.name.upper())
    if not other.exists():
        other.symlink_to(a_head_file)
        monkeypatch.setattr(os, "listdir", lambda _: [a_head_file.name])
    return a_head_file, other


def test_scan_named_in_other_case_than_on_its_disk_gets_the_results_of_the_disk(
    a_disk_that_ignores_case, tmp_path
):
    """They were called after the command line: `palnet measure` then found no scan for them."""
    on_disk, typed = a_disk_that_ignores_case

    assert find_scans([typed, typed.with_name("absent.stl")]) == [
        on_disk,
        on_disk.with_name("absent.stl"),
    ]
    (job,) = plan(typed, output=tmp_path / "out")
    assert (job.specimen, job.record_file.name) == ("head", "head.palnet.json")


def test_scan_of_a_folder_that_cannot_be_listed_keeps_its_name(a_head_file, monkeypatch):
    def refuse(_):
        raise PermissionError

    monkeypatch.setattr(os, "listdir", refuse)

    assert find_scans([a_head_file]) == [a_head_file]


def test_find_scans_tells_what_else_a_folder_without_scans_holds(tmp_path):
    for name in ("anna.glb", "bo.GLB", "cy.fbx", "notes.txt", "anna.png"):
        (tmp_path / name).touch()

    with pytest.raises(
        UsageError,
        match=r"holds no scan.*Files of other formats: 1 \.fbx \(open it in Blender and export it "
        r"as PLY\); 2 \.glb \(open it in MeshLab or Blender and export it as PLY\)\.$",
    ):
        find_scans([tmp_path])


def test_folder_without_scans_tells_of_other_formats_where_it_was_searched(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "anna.glb").touch()

    with pytest.raises(UsageError, match=r"holds no scan; expected [a-z., ]*\.$"):
        find_scans([tmp_path])
    with pytest.raises(UsageError, match=r"Files of other formats: 1 \.glb"):
        find_scans([tmp_path], recursive=True)


def test_describe_foreign_counts_a_file_of_two_given_folders_once(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "anna.glb").touch()
    monkeypatch.chdir(tmp_path)

    told = input_files.describe_foreign(
        [tmp_path, "below", tmp_path / "below", "below/../below", "absent"], recursive=True
    )

    assert told.startswith("1 .glb (")


def test_describe_foreign_examines_only_files_beside_those_of_other_formats(tmp_path, monkeypatch):
    """On a network drive each of thousands takes a while."""
    for name in ("anna.ply", "bo.ply", "bo.glb", "cy.glb", "dora.PLY", "notes.txt"):
        (tmp_path / name).touch()
    examined, is_scan = [], input_files._is_scan
    monkeypatch.setattr(
        input_files, "_is_scan", lambda path: examined.append(path.name) or is_scan(path)
    )

    assert input_files.describe_foreign([tmp_path]).startswith("1 .glb (")
    assert not {"anna.ply", "dora.PLY"} & set(examined)


@pytest.mark.parametrize("place", ["7", "7/v1/export/mesh"])
def test_find_scans_hints_at_scans_in_folders_below(place, a_head_file, tmp_path):
    (tmp_path / "cohort" / place).mkdir(parents=True)
    shutil.copy(a_head_file, tmp_path / "cohort" / place)

    with pytest.raises(UsageError, match="There are scans in subfolders; --recursive includes"):
        find_scans([tmp_path / "cohort"])


def test_find_scans_does_not_search_a_whole_drive_for_a_hint(a_head_file, tmp_path, monkeypatch):
    """A home folder without a scan took minutes until the error was told."""
    monkeypatch.setattr(input_files, "_MOST_SEARCHED", 4)
    for deep in (tmp_path / "near" / "1/2/3", tmp_path / "far" / "1/2/3/4"):
        deep.mkdir(parents=True)
        shutil.copy(a_head_file, deep)

    with pytest.raises(UsageError, match="There are scans in subfolders; "):
        find_scans([tmp_path / "near"])
    with pytest.raises(UsageError, match=r"the folder holds no scan; expected .*\.vtp\.$"):
        find_scans([tmp_path / "far"])


def test_plan_jobs_same_names_in_one_folder_are_both_refused(a_head_file, tmp_path):
    other = a_head_file.with_name("Head.ply")
    shutil.copy(a_head_file, other)

    results = [process_fake(job) for job in plan(a_head_file, other, output=tmp_path / "out")]

    assert [result.outcome for result in results] == ["failed", "failed"]
    assert "would write the same files as" in results[0].message
    assert not (tmp_path / "out").exists()


def test_what_comes_with_a_scan_does_not_keep_it_from_being_done(tmp_path):
    """`palnet detect scans/*` names the materials and pictures of an OBJ file, too."""
    scans = [tmp_path / name for name in ("anna.jpg", "anna.mtl", "anna.obj", "anna.ply")]

    with_ply = plan_jobs(scans, BatchOptions(output=tmp_path / "out"))
    without = plan_jobs(scans[:3], BatchOptions(output=tmp_path / "out"))

    assert [bool(job.obstacle) for job in with_ply] == [False, False, True, True]
    assert [job.obstacle for job in without] == ["", "", ""]
    assert without[2].record_file.name == "anna.palnet.json"


@pytest.mark.parametrize("output", [None, Path("out")])
def test_what_comes_with_a_scan_does_not_change_the_name_of_its_specimen(output, tmp_path):
    """It became that of all folders above, unless all results went into one folder."""
    scans = [tmp_path / name for name in ("anna.jpg", "anna.mtl", "anna.obj", "bo/anna.obj")]

    alone, with_others, two = (
        plan_jobs(some, BatchOptions(output=output)) for some in (scans[2:3], scans[:3], scans)
    )

    assert alone[0].specimen == with_others[2].specimen == "anna"
    assert two[2].specimen == f"{tmp_path.name}_anna"
    assert two[3].specimen == "bo_anna"


@pytest.mark.parametrize("other", ["Zo\u00eb", "zoe\u0308", "ZOE\u0308"])
def test_plan_jobs_names_that_some_system_takes_for_one_are_both_refused(other, tmp_path):
    """Accents are composed by one system and taken apart by another, and case may not count."""
    scans = [tmp_path / "Zoe\u0308.ply", tmp_path / f"{other}.obj"]

    jobs = plan_jobs(scans, BatchOptions(output=tmp_path / "out"))

    assert [job.obstacle.count("would write the same files as") for job in jobs] == [1, 1]


@pytest.mark.parametrize("output", [None, Path("out")])
@pytest.mark.parametrize("other", ["Zo\u00eb", "ZOE\u0308"])
def test_plan_jobs_tells_such_names_in_two_folders_apart(other, output, tmp_path):
    """Beside the scans, both specimens got one name, and no table held them both."""
    scans = [tmp_path / "1" / "Zoe\u0308.ply", tmp_path / "2" / f"{other}.ply"]

    jobs = plan_jobs(scans, BatchOptions(output=output))

    assert [job.obstacle for job in jobs] == ["", ""]
    names = [unicodedata.normalize("NFC", name) for name in ("1_Zoe\u0308", f"2_{other}")]
    assert [job.specimen for job in jobs] == names


def test_plan_jobs_names_few_of_many_scans_that_would_write_the_same_files(tmp_path):
    """Of 5,000 that each named all others the texts alone took 2 GB."""
    deep = "/".join("abcdefghij")
    scans = [tmp_path / f"{number}" / deep / "face.ply" for number in range(9)]

    jobs = plan_jobs(scans, BatchOptions(output=tmp_path / "out"))
    three = plan_jobs(scans[:4], BatchOptions(output=tmp_path / "out"))[0].obstacle

    assert [job.obstacle.count("face.ply") for job in jobs] == [3] * 9
    assert all("face.ply and others. Rename one" in job.obstacle for job in jobs)
    assert three.startswith(f"would write the same files as {scans[1]}, {scans[2]}, {scans[3]}. ")


def test_plan_jobs_looks_at_each_scan_on_the_disk_once(tmp_path, monkeypatch):
    """A network drive takes milliseconds to say what a path is."""
    scans = [tmp_path / name / "face.ply" for name in ("anna", "bo")]
    looked_at = []
    is_dir = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: looked_at.append(path) or is_dir(path))

    jobs = plan_jobs(scans, BatchOptions(output=tmp_path / "out"))

    assert [job.specimen for job in jobs] == ["anna_face", "bo_face"]
    assert sorted(looked_at) == scans


def test_plan_jobs_one_folder_a_subject_gives_specimens_the_folder_s_name(a_head_file, tmp_path):
    for subject in ("1", "2"):
        (tmp_path / "cohort" / subject).mkdir(parents=True)
        shutil.copy(a_head_file, tmp_path / "cohort" / subject / "scan.obj")
    scans = find_scans([tmp_path / "cohort"], recursive=True)

    jobs = plan_jobs(scans, BatchOptions(output=tmp_path / "out", formats=("csv",)))
    results = [process_fake(job) for job in jobs]

    assert [result.outcome for result in results] == ["done", "done"]
    for name in ("1_scan", "2_scan"):
        assert read_landmarks(tmp_path / "out" / f"{name}.csv").specimen == name


def test_plan_jobs_beside_the_scans_tells_people_apart_as_well(a_head_file, tmp_path):
    """Their tables are put together later, and a name inside a file is not changed easily."""
    for subject in ("1", "2"):
        (tmp_path / subject).mkdir()
        shutil.copy(a_head_file, tmp_path / subject / "scan.obj")
    scans = [tmp_path / "1" / "scan.obj", tmp_path / "2" / "scan.obj", a_head_file]

    jobs = plan_jobs(scans, BatchOptions(formats=("csv",)))

    assert [job.specimen for job in jobs] == ["1_scan", "2_scan", "head"]
    assert [job.record_file.name for job in jobs[:2]] == ["scan.palnet.json"] * 2
    assert [job.obstacle for job in jobs] == ["", "", ""]


def test_plan_jobs_takes_as_many_folders_as_tell_scans_apart(a_head_file, tmp_path):
    scans = [tmp_path / person / "visit" / "scan.obj" for person in ("1", "2")]
    for scan in scans:
        scan.parent.mkdir(parents=True)
        shutil.copy(a_head_file, scan)
    (tmp_path / "1" / "visit" / ".trash").mkdir()
    shutil.copy(a_head_file, tmp_path / "1" / "visit" / ".trash" / "hidden.obj")

    found = find_scans([tmp_path / "1", tmp_path / "2" / ".." / "2"], recursive=True)
    jobs = plan_jobs(found, BatchOptions(output=tmp_path / "out"))

    assert [job.specimen for job in jobs] == ["1_visit_scan", "2_visit_scan"]


def test_plan_jobs_tells_scans_of_a_study_with_deep_folders_apart(tmp_path):
    """With -o they were refused from the fourth folder on."""
    places = ["7/v1/export/mesh", "7/v2/export/mesh", "8/v1/export/mesh"]
    scans = [tmp_path / place / "face.ply" for place in places]

    jobs = plan_jobs(scans, BatchOptions(output=tmp_path / "out"))

    assert [job.obstacle for job in jobs] == [""] * 3
    names = ["7_v1_export_mesh_face", "v2_export_mesh_face", "8_v1_export_mesh_face"]
    assert [job.specimen for job in jobs] == names


@pytest.mark.parametrize("recursive", [False, True])
def test_folder_without_rights_is_told_and_the_others_done(
    recursive, a_head_file, tmp_path, monkeypatch
):
    cohort, locked = tmp_path / "cohort", tmp_path / "cohort" / "locked"
    locked.mkdir(parents=True)
    for name in ("anna.obj", "locked.obj"):  # one of the folder's name, too
        shutil.copy(a_head_file, cohort / name)
    list_folder, may = os.scandir, os.access

    def refuse(path):
        if Path(path) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(locked))
        return list_folder(path)

    # Root, whom a test may run as, may list every folder.
    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: path != locked and may(path, mode))

    scans = sorted(find_scans([cohort, locked], recursive=recursive))
    results = [process_fake(job) for job in plan_jobs(scans, BatchOptions(output=tmp_path / "out"))]

    told = [(result.scan.name, result.outcome) for result in results]
    assert told == [("anna.obj", "done"), ("locked", "unreadable"), ("locked.obj", "done")]
    assert "locked: is a folder that cannot be listed. Check the rights." in results[1].message


def test_link_to_a_disk_that_is_not_connected_is_told(tmp_path, monkeypatch):
    """As a test may do it on Windows too, where not everybody can make links."""
    link = tmp_path / "bo.obj"
    link.write_bytes(b"")

    def find_nothing(path, **_):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))

    for name in ("stat", "read_bytes"):
        monkeypatch.setattr(Path, name, find_nothing)
    monkeypatch.setattr(Path, "is_dir", lambda path: path == tmp_path)
    monkeypatch.setattr(Path, "is_symlink", lambda path: path == link)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    monkeypatch.setattr(Path, "readlink", lambda _: Path("/share/bo.obj"))

    (job,) = plan_jobs(find_scans([tmp_path]), BatchOptions(output=tmp_path / "out"))

    told = process_fake(job).message
    assert re.search(
        r"bo\.obj: is a link to .*bo\.obj, which is not there\. Connect its disk", told
    )


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize(
    "problem",
    [
        PermissionError(errno.EACCES, "Permission denied"),  # a folder of which only names are read
        OSError(errno.EIO, "Input/output error"),  # a network drive
    ],
)
def test_scan_of_which_the_system_says_nothing_is_told_and_the_others_done(
    recursive, problem, a_head_file, tmp_path, monkeypatch
):
    cohort, lost = tmp_path / "cohort", tmp_path / "cohort" / "lost.obj"
    cohort.mkdir()
    for name in ("anna.obj", "lost.obj"):
        shutil.copy(a_head_file, cohort / name)
    look, read = Path.stat, Path.read_bytes

    def refuse(step, path, **options):
        if path == lost:
            raise problem
        return step(path, **options)

    monkeypatch.setattr(Path, "stat", lambda path, **options: refuse(look, path, **options))
    monkeypatch.setattr(Path, "read_bytes", lambda path: refuse(read, path))
    monkeypatch.setattr(Path, "is_dir", lambda path: stat.S_ISDIR(path.stat().st_mode))

    scans = find_scans([cohort, lost], recursive=recursive)
    results = [process_fake(job) for job in plan_jobs(scans, BatchOptions(output=tmp_path / "out"))]

    told = [(result.scan.name, result.outcome) for result in results]
    assert told == [("anna.obj", "done"), ("lost.obj", "unreadable")]
    assert f"lost.obj: cannot be opened ({problem.strerror}). Check the" in results[1].message


def test_find_scans_follows_a_link_before_going_up(a_head_file, tmp_path):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    shutil.copy(a_head_file, tmp_path / "real" / "x.obj")
    shutil.copy(a_head_file, tmp_path / "other" / "x.obj")
    link_folder(tmp_path / "other" / "link", tmp_path / "real" / "deep")
    asked = tmp_path / "other" / "link" / ".." / "x.obj"

    (scan,) = find_scans([asked])

    assert ".." not in scan.parts
    assert scan.samefile(asked)  # whichever the system opens


def test_plan_jobs_never_leaves_the_folder():
    root = Path(Path.cwd().anchor)
    scans = [root / "tmp" / "scan.ply", root / "data" / "tmp" / "scan.ply"]

    jobs = plan_jobs(scans, BatchOptions(output=root / "out"))

    assert [job.specimen for job in jobs] == ["tmp_scan", "data_tmp_scan"]
    assert {path.parent for job in jobs for path in job.files} == {(root / "out").absolute()}


def test_plan_jobs_scans_whose_tables_would_be_one_file_are_both_refused(a_head_file, tmp_path):
    """The wide table of one would be the plain table of the other."""
    other = a_head_file.with_name("head.wide.obj")
    shutil.copy(a_head_file, other)
    options = {"output": tmp_path / "out", "formats": ("csv", "csv-wide")}

    results = [process_fake(job) for job in plan(a_head_file, other, **options)]

    assert [result.outcome for result in results] == ["failed", "failed"]
    assert all("would write the same files as" in result.message for result in results)
    assert not (tmp_path / "out").exists()


def test_plan_jobs_scan_whose_table_would_be_read_as_another_format_is_refused(
    a_head_file, tmp_path
):
    scan = a_head_file.rename(a_head_file.with_name("head.wide.obj"))

    (refused,) = plan(scan, output=tmp_path, formats=("csv",))
    (taken,) = plan(scan, output=tmp_path, formats=("mrk.json",))

    assert refused.obstacle == (
        "would write head.wide.csv, which is read as csv-wide, not csv. Rename it."
    )
    assert taken.obstacle == ""


def test_find_scans_follows_links_to_folders_and_takes_no_folder_twice(a_head_file, tmp_path):
    """Without --recursive these were counted, with it they were passed over."""
    cohort, disk = tmp_path / "cohort", tmp_path / "disk"
    for folder in (cohort / "site1", disk / "deep"):
        folder.mkdir(parents=True)
    for scan in (cohort / "site1" / "anna.obj", disk / "bo.obj", disk / "deep" / "cy.obj"):
        shutil.copy(a_head_file, scan)
    link_folder(cohort / "a", disk / "deep")  # before the folder that holds it
    link_folder(cohort / "disk2", disk)
    link_folder(cohort / "again", cohort / "site1")
    for number in range(30):  # followed again and again, they would lead to 30^40 places
        link_folder(disk / f"round{number}", disk)
    link_folder(disk / "up", tmp_path)

    found = find_scans([cohort], recursive=True)

    places = [scan.relative_to(cohort).as_posix() for scan in found]
    assert places == ["a/cy.obj", "disk2/bo.obj", "site1/anna.obj"]
    assert scans_below([cohort]) == found


def test_find_scans_does_not_go_round_through_a_junction(a_head_file, tmp_path, monkeypatch):
    """To `os.walk` a junction of Windows is a folder like any other."""
    link_folder(tmp_path / "round", tmp_path)
    monkeypatch.setattr(os.path, "islink", lambda _: False)

    assert find_scans([tmp_path], recursive=True) == [a_head_file]


@pytest.mark.parametrize(("tag", "is_link"), [(0xA0000003, True), (0x9000001A, False), (0, False)])
def test_junction_of_windows_is_a_link(tag, is_link, monkeypatch):
    """Unlike the folder of a cloud drive, whose tag is another one."""
    state = SimpleNamespace(st_mode=stat.S_IFDIR, st_reparse_tag=tag)
    monkeypatch.setattr(Path, "lstat", lambda _: state)

    assert _is_link(Path("a")) == is_link


def test_find_scans_where_the_system_does_not_follow_links_goes_on(
    a_head_file, tmp_path, monkeypatch
):
    """As Windows does not on some network drives; it ended the whole run."""

    def refuse(path):
        raise OSError(59, "An unexpected network error occurred", str(path))

    (tmp_path / "below").mkdir()
    scan = shutil.copy(a_head_file, tmp_path / "below" / "bo.obj")
    monkeypatch.setattr(os.path, "realpath", refuse)

    assert find_scans([tmp_path], recursive=True) == [scan, a_head_file]
    assert scans_below([tmp_path, a_head_file]) == [scan]


def test_link_to_a_folder_that_is_not_there_is_made_on_windows(tmp_path, monkeypatch):
    """Windows itself makes a junction only to what is there."""
    made = []

    def create(target, link):
        made.append((Path(target).stat() and target, link))

    target, link = tmp_path / "share" / "bert.obj", tmp_path / "link"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "_winapi", SimpleNamespace(CreateJunction=create))

    link_folder(link, target)

    assert made == [(str(target), str(link))]
    assert not target.parent.exists()


def test_folder_that_is_gone_by_now_is_no_link(tmp_path):
    assert _is_link(tmp_path / "gone") is False


def test_find_scans_enters_no_hidden_folder(a_head_file, tmp_path):
    for name in (".git", "site1", "$RECYCLE.BIN"):
        (tmp_path / "cohort" / name / "below").mkdir(parents=True)
        shutil.copy(a_head_file, tmp_path / "cohort" / name / "below" / "anna.obj")

    found = find_scans([tmp_path / "cohort"], recursive=True)

    assert found == [tmp_path / "cohort" / "site1" / "below" / "anna.obj"]
    assert scans_below([tmp_path / "cohort"]) == found


def test_scans_below_are_those_of_two_folders_down(a_head_file, tmp_path):
    deep = tmp_path / "1" / "2" / "3"
    deep.mkdir(parents=True)
    for folder in (*deep.parents[:2], deep):
        shutil.copy(a_head_file, folder)

    assert scans_below([tmp_path]) == [
        tmp_path / "1" / "2" / a_head_file.name,
        tmp_path / "1" / a_head_file.name,
    ]
