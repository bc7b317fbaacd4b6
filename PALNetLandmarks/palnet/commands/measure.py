# SPDX-License-Identifier: Apache-2.0
"""`palnet measure`: measure landmarks; write one table for all and one page per specimen."""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from palnet._files import file_stem
from palnet.commands._arguments import output_folder
from palnet.commands._landmark_files import (
    add_reading_options,
    find_landmark_files,
    read_all,
)
from palnet.commands._telling import tell

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from palnet.landmarks import LandmarkSet
    from palnet.measurement import Measurement, MeasurementPlan
    from palnet.surface import Mesh

    # A file, its specimens, and what to measure of them.
    _Planned = tuple[Path, list[LandmarkSet], MeasurementPlan]

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_options", "run"]

HELP = "distances, angles, indices, arcs and asymmetry"
DESCRIPTION = (
    "Measure distances, angles, indices, arcs and asymmetry of landmark files, each with its "
    "expected error."
)

TABLE_NAME = "measurements.csv"
# Output of a run that was interrupted, or whose table was in use; that of an earlier run is kept.
PARTIAL_NAME = "measurements.partial.csv"

EPILOG = """\
It writes DIR/measurements.csv, with a row for each specimen and measurement, and DIR/<name>.html, a
page to print for each specimen. Arcs along the skin need the scan: the mesh file of the same name
beside the landmark file is used, or those given with --scan. Exit code 0: all done; 1: some files
or specimens could not be used, one line each on stderr, the others measured; 2: wrong usage.
"""

# Longest list of names in a message.
_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class _Job:
    """One specimen: its name, the file it comes from, and its results."""

    name: str
    file: Path
    landmarks: LandmarkSet
    plan: MeasurementPlan
    scan: Path | None
    page: Path | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add = parser.add_argument
    add("landmarks", nargs="+", type=Path, metavar="FILE_OR_FOLDER", help="landmark files")
    add("--scan", action="append", type=Path, default=[], metavar="PATH", help=_SCAN_HELP)
    add("-o", "--output", type=output_folder, default=Path("palnet-measurements"), metavar="DIR",
        help="folder for the files [%(default)s]")  # fmt: skip
    add("--plan", metavar="JSON", help="what to measure [what comes with the landmark scheme]")
    add("--no-pages", action="store_true", help="write the table only")
    add_reading_options(parser)
    add("--overwrite", action="store_true", help="replace existing files")


_SCAN_HELP = "mesh file, or folder of mesh files named like the landmark files; may be repeated"


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    from palnet._files import check_free, write_text
    from palnet._stored import counted
    from palnet.measurement import load_measurement_plan, table_of_measurements

    shared = load_measurement_plan(arguments.plan) if arguments.plan else None
    files = find_landmark_files(arguments.landmarks, arguments.scheme)
    read = list(read_all(files, arguments))
    planned = _with_plans(read, shared)
    jobs = _plan_jobs(planned, arguments)
    table = arguments.output / TABLE_NAME
    for path in (table, *(job.page for job in jobs if job.page is not None)):
        check_free(path, overwrite=arguments.overwrite)
    names = _specimen_names(jobs)
    done: list[tuple[str, tuple[Measurement, ...]]] = []
    try:
        for job in jobs:
            done.append((names[job.name], _measure_one(job, arguments)))
            taken = sum(entry.is_measured for entry in done[-1][1])
            n_all = counted(len(done[-1][1]), "measurement")
            print(f"{job.name}: {taken} of {n_all}", flush=True)
        if done:
            write_text(table, table_of_measurements(done), overwrite=arguments.overwrite)
    except BaseException:  # Ctrl-C, or a table opened in Excel: the results may have taken hours
        if done:
            part = arguments.output / PARTIAL_NAME
            write_text(part, table_of_measurements(done), overwrite=True)
            print(f"kept: {len(done)} of {counted(len(jobs), 'specimen')}: {part}")
        raise
    if done:
        print(f"{counted(len(done), 'specimen')}: {table}")
    return 0 if len(planned) == len(read) else 1


def _measure_one(job: _Job, arguments: argparse.Namespace) -> tuple[Measurement, ...]:
    from palnet._files import write_text
    from palnet.measurement import measure, page_of_measurements

    landmarks = job.landmarks
    mesh, why = _read_scan(job.scan, landmarks)
    taken = measure(landmarks, mesh, job.plan)
    if job.page is not None:
        picture = why if mesh is None else _picture(mesh, landmarks)
        text = page_of_measurements(landmarks, taken, job.plan.sources, picture)
        write_text(job.page, text, overwrite=arguments.overwrite)
    return taken


def _read_scan(scan: Path | None, landmarks: LandmarkSet) -> tuple[Mesh | None, str]:
    """Read the scan in the landmarks' coordinates; skip it with a remark if it does not fit."""
    from palnet.errors import PalnetError
    from palnet.measurement import match_scan
    from palnet.surface import read_mesh

    if scan is None:
        return None, "No picture: no scan was given, or none with this name."
    try:
        return match_scan(read_mesh(scan), landmarks), ""
    except PalnetError as err:
        tell(f"{scan.name}: measured without arcs: {err}")
        return None, f"No picture: {err}"


def _picture(mesh: Mesh, landmarks: LandmarkSet) -> bytes | str:
    """Draw the scan, or return why that failed."""
    from palnet._mean_face import face_from_landmarks
    from palnet.errors import PreviewError
    from palnet.preview import draw_preview

    pose = face_from_landmarks(landmarks)
    if pose is None:
        return "No picture: neither the scheme nor the landmarks say which way this face looks."
    try:
        return draw_preview(mesh, landmarks, pose)
    except PreviewError as err:
        return f"No picture: {err}"


def _with_plans(
    read: list[tuple[Path, list[LandmarkSet]]], shared: MeasurementPlan | None
) -> list[_Planned]:
    """Choose what to measure of each file; those without measurements are reported and left out.

    FormatError if these are all.
    """
    from palnet._stored import listing
    from palnet.errors import FormatError
    from palnet.measurement import plan_for

    planned: list[_Planned] = []
    without: dict[str, list[str]] = defaultdict(list)
    for path, specimens in read:
        if not specimens:
            continue
        scheme = specimens[0].scheme
        plan = shared or plan_for(scheme)
        if shared is None and not plan.definitions:
            without[scheme.name].append(str(path))
        else:
            planned.append((path, specimens, plan))
    texts = [
        f"{listing(paths, _MOST_NAMED)}: not measured, since the landmark scheme {name!r} names no "
        "measurements. Give a copy of its .json file with 'distances' or 'angles' (--scheme), or a "
        "measurement plan (--plan): docs/measurements.md says how."
        for name, paths in without.items()
    ]
    last = texts.pop() if texts and not planned else None
    for text in texts:
        tell(text)
    if last is not None:
        raise FormatError(last)
    return planned


def _plan_jobs(planned: list[_Planned], arguments: argparse.Namespace) -> list[_Job]:
    """Name scan and page of each specimen; pages of the same name would overwrite each other."""
    from palnet.errors import UsageError
    from palnet.exchange import stem_of

    n_specimens = sum(len(specimens) for _, specimens, _ in planned)
    scans = _Scans(arguments.scan, is_single=n_specimens == 1)
    jobs: dict[str, _Job] = {}
    without_scan: list[_Job] = []
    for path, specimens, plan in planned:
        for landmarks in specimens:
            # A file of one specimen is named after it; one of many contains the names.
            stem = stem_of(path) if len(specimens) == 1 else landmarks.specimen
            same = jobs.get(_page_key(stem))
            if same is not None and not arguments.no_pages:
                apart = "" if same.file == path else "into different folders with -o, or "
                msg = (
                    f"{path}: {stem!r} and {same.name!r} in {same.file} have the same page, "
                    f"{_page_name(stem)}. Measure them {apart}without pages (--no-pages)."
                )
                raise UsageError(msg)
            name = _free_name(stem, path, jobs)
            page = None if arguments.no_pages else arguments.output / _page_name(name)
            scan = scans.of(stem, path.parent)
            job = jobs[_page_key(name)] = _Job(name, path, landmarks, plan, scan, page)
            if scan is None and stem not in scans.doubted:
                without_scan.append(job)
    _tell_without_scan(without_scan, arguments.scan)
    for path in scans.unused:
        tell(
            f"{path}: no specimen has the name of this scan; it was not used. Give scan and "
            "landmarks the same name."
        )
    return list(jobs.values())


def _page_name(name: str) -> str:
    """Return the file name of a specimen's page."""
    return f"{file_stem('_'.join(name.split()))}.html"


def _page_key(name: str) -> str:
    """Return a key for a page name on file systems that ignore case."""
    return _page_name(name).casefold()


def _free_name(name: str, path: Path, taken: Container[str]) -> str:
    """Make a name unique with its folder, else with a number."""
    longer = f"{path.absolute().parent.name}_{name}"
    candidates = chain((name, longer), (f"{longer}_{number}" for number in count(2)))
    return next(each for each in candidates if _page_key(each) not in taken)


def _tell_without_scan(jobs: list[_Job], places: list[Path]) -> None:
    """Report specimens that have no scan of the same name, beside them or among those given."""
    from palnet._stored import counted, listing

    folders = [str(path) for path in places if path.is_dir()]
    with_arcs = [job for job in jobs if any(e.kind == "arc" for e in job.plan.definitions)]
    if with_arcs and not places:
        text = f"no scan beside the landmarks of {counted(len(with_arcs), 'specimen')}:"
        tell(f"{text} measured without arcs. Name the folder of the scans with --scan.")
    if with_arcs and folders:
        names = listing([job.name for job in with_arcs], _MOST_NAMED)
        text = f"no scan has the name of {names}: measured without arcs."
        tell(f"{', '.join(folders)}: {text} Give scan and landmarks the same name.")


def _specimen_names(jobs: list[_Job]) -> dict[str, str]:
    """Name the rows of each job: the specimen, or the file if two have the same specimen."""
    specimens = [job.landmarks.specimen for job in jobs]
    names = {}
    for job, specimen in zip(jobs, specimens, strict=True):
        is_alone = specimens.count(specimen) == 1
        names[job.name] = specimen if is_alone else job.name
        if names[job.name] != specimen:
            tell(f"{job.file}: {specimen!r} appears twice; the table calls this one {job.name!r}")
    return names


class _Scans:
    """Finds the scan of a specimen by its name; composed and decomposed accents are equal.

    Attributes
    ----------
    doubted : set of str
        Names shared by several scans, which were reported.
    """

    def __init__(self, paths: list[Path], *, is_single: bool) -> None:
        from palnet.errors import UsageError
        from palnet.input_files import as_on_disk

        self._files = as_on_disk(path for path in paths if not path.is_dir())
        self._folders = [path for path in paths if path.is_dir()]
        self._is_single = is_single and len(paths) == len(self._files) == 1
        self._by_stem: dict[Path, dict[str, list[Path]]] = {}
        self._used: set[Path] = set()
        self.doubted: set[str] = set()
        absent = [str(path) for path in self._files if not path.is_file()]
        if absent:
            msg = f"--scan {', '.join(absent)}: there is no such file or folder. Check the path."
            raise UsageError(msg)

    @property
    def unused(self) -> list[Path]:
        """The given files that matched no specimen so far."""
        return [path for path in self._files if path not in self._used]

    def of(self, stem: str, folder: Path) -> Path | None:
        """Return the scan of a specimen; None if no scan has its name, or several in subfolders do.

        If there are several, the one beside the landmarks is used.
        """
        from palnet._stored import listing
        from palnet.landmarks import printable_name

        name = self._name_of_scan(stem, folder)
        for path in self._files:
            if self._is_single or printable_name(path.stem) == name:  # a single scan always counts
                self._used.add(path)
                return path
        doubts = []
        for place in (*self._folders, folder):
            scans = self._scans_in(place).get(name, [])
            beside = [scan for scan in scans if scan.parent.absolute() == folder.absolute()]
            if beside or (len(scans) == 1 and scans[0] not in doubts):
                return (beside or scans)[0]
            doubts += [scan for scan in scans if scan not in doubts]
        if doubts:
            names = listing([str(scan) for scan in doubts], _MOST_NAMED)
            tell(
                f"{name} may belong to any of {names}; none is used. Choose one of them with "
                "--scan."
            )
            self.doubted.add(stem)
        return None

    def _name_of_scan(self, stem: str, folder: Path) -> str:
        """Strip the ending of a file from a specimen's name, unless a scan has the whole name."""
        from palnet.data_sets.dataset import specimen_of
        from palnet.landmarks import printable_name

        name = printable_name(stem)
        bare = specimen_of(name, ())
        if bare == name or any(printable_name(path.stem) == name for path in self._files):
            return name
        is_there = any(name in self._scans_in(place) for place in (*self._folders, folder))
        return name if is_there else bare

    def _scans_in(self, folder: Path) -> dict[str, list[Path]]:
        """List the mesh files of a folder by name; of the same name, the first suffix.

        Those in subfolders (of a folder that was not asked for: down to the second) are listed by
        their names, and by the names FOLDER_scan that `palnet detect` gives them if two are alike;
        a name may then have several scans.
        """
        from palnet.input_files import scans_below
        from palnet.jobs import MAX_DEPTH, name_with_folders
        from palnet.landmarks import printable_name
        from palnet.surface import MESH_SUFFIXES

        if folder not in self._by_stem:
            below: dict[str, list[Path]] = defaultdict(list)
            depth = math.inf if folder in self._folders else 2
            for scan in _one_of_each_stem(scans_below([folder], depth=depth)):
                longer = (name_with_folders(scan, n + 1) for n in range(MAX_DEPTH))
                for name in {printable_name(each) for each in (scan.stem, *longer)}:
                    below[name].append(scan)
            scans = [path for path in folder.iterdir() if path.suffix.lower() in MESH_SUFFIXES]
            own = _one_of_each_stem(path for path in scans if path.is_file())
            self._by_stem[folder] = below | {printable_name(path.stem): [path] for path in own}
        return self._by_stem[folder]


def _one_of_each_stem(scans: Iterable[Path]) -> list[Path]:
    """Of files that differ only in their suffix, take the first by suffix."""
    first: dict[Path, Path] = {}
    for path in sorted(scans, key=lambda path: (path.suffix.lower(), path.name)):
        first.setdefault(path.with_suffix(""), path)
    return list(first.values())
