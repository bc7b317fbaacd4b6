# SPDX-License-Identifier: Apache-2.0
"""What is to be done with many scans: which there are, and which files each will give."""

from __future__ import annotations

import math
import os
import stat
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from palnet._files import is_hidden
from palnet.errors import UsageError
from palnet.landmarks import printable_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from palnet.landmarks import Frame

__all__ = [
    "MAX_DEPTH",
    "BatchOptions",
    "ScanJob",
    "find_scans",
    "name_with_folders",
    "plan_jobs",
    "scans_below",
    "tell_apart",
]

# Folders whose names a scan's may take on.
MAX_DEPTH = 3
# So many scans that would write the same files are named of each.
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What to do with every scan.

    Attributes
    ----------
    output : Path or None
        Folder for all files; None writes beside each scan.
    formats : tuple of str
        Names of landmark formats.
    frame : {"file", "LPS", "RAS"}
        Frame of the written landmarks.
    unit : str
        Unit of the scans, or "auto".
    model : str or None
        Name or path of a model; None takes the default one.
    preview : bool
        Whether to draw a picture of each scan.
    overwrite : bool
        Whether existing files may be replaced.
    resume : bool
        Whether scans that an earlier run has done are left as they are.
    """

    output: Path | None = None
    formats: tuple[str, ...] = ("mrk.json", "csv")
    frame: Frame = "file"
    unit: str = "auto"
    model: str | None = None
    preview: bool = False
    overwrite: bool = False
    resume: bool = False


@dataclass(frozen=True, slots=True)
class ScanJob:
    """One scan and the files that it is to give.

    Attributes
    ----------
    scan : Path
        The mesh file.
    specimen : str
        Name of the specimen in the files: theirs, in printable characters.
    landmark_files : tuple of Path
        One for each format of the options.
    record_file : Path
        The ``.palnet.json``.
    preview_file : Path or None
        The picture, if one is asked for.
    options : BatchOptions
        What to do.
    obstacle : str
        Why the scan cannot be worked on; empty if it can.
    """

    scan: Path
    specimen: str
    landmark_files: tuple[Path, ...]
    record_file: Path
    preview_file: Path | None
    options: BatchOptions
    obstacle: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the job writes."""
        picture = () if self.preview_file is None else (self.preview_file,)
        return (*self.landmark_files, self.record_file, *picture)


def find_scans(paths: Iterable[str | os.PathLike[str]], *, recursive: bool = False) -> list[Path]:
    """List the scans that files and folders stand for, each once.

    Parameters
    ----------
    paths : iterable of str or path
        Mesh files, and folders whose mesh files are taken.
    recursive : bool, default False
        Whether those in folders below are taken too.

    Returns
    -------
    list of Path
        Absolute paths, in the order given; those of a folder by name. A folder below that cannot be
        listed stands for its scans, so that it is told as one that cannot be read.

    Raises
    ------
    UsageError
        If a folder holds no mesh file.
    """
    from palnet.surface import MESH_SUFFIXES

    scans: dict[Path, None] = {}
    for path in map(Path, paths):
        found = [path]
        if _is_folder(path):
            entries, locked = _entries_below(path, math.inf if recursive else 0)
            found = [entry for entry in entries if _is_scan(entry, MESH_SUFFIXES, path)]
            found = sorted(found + locked)
        if not found:
            n_below = len(scans_below([path]))
            hint = f" Scans in subfolders: {n_below}; --recursive includes them." if n_below else ""
            known = ", ".join(MESH_SUFFIXES)
            msg = f"{path}: the folder holds no scan; expected files ending in {known}.{hint}"
            raise UsageError(msg)
        scans.update(dict.fromkeys(map(_absolute, found)))
    return list(scans)


def scans_below(paths: Iterable[str | os.PathLike[str]], taken: Iterable[Path] = ()) -> list[Path]:
    """List the scans in folders below those given, two deep, which `find_scans` passes over.

    Parameters
    ----------
    paths : iterable of str or path
        What was asked for; files count for nothing.
    taken : iterable of Path
        Scans that are taken all the same.

    Returns
    -------
    list of Path
        Absolute paths, by name.
    """
    from palnet.surface import MESH_SUFFIXES

    found = {
        _absolute(entry)
        for folder in map(Path, paths)
        for entry in _entries_below(folder, 2)[0]
        if entry.parent != folder and _is_scan(entry, MESH_SUFFIXES, folder)
    }
    return sorted(found - set(taken))


def plan_jobs(scans: Sequence[Path], options: BatchOptions) -> list[ScanJob]:
    """Decide for each scan which files it will give, before any work begins.

    Parameters
    ----------
    scans : sequence of Path
        Mesh files.
    options : BatchOptions
        What to do with them.

    Returns
    -------
    list of ScanJob
        One a scan. Specimens of one name in several folders take the names of these as well, as
        many as tell them apart, and their files too where all go into one folder. Scans that would
        still write the same files have an obstacle, all of them.
    """
    names = [scan.stem for scan in scans]
    # Nothing is written for a folder that cannot be listed.
    targets = [
        set() if _is_folder(scan) else _targets(scan, name, options)
        for scan, name in zip(scans, names, strict=True)
    ]
    writers = _writers(scans, targets)
    for depth in range(1, MAX_DEPTH + 1):
        for row, scan in enumerate(scans):
            if any(len(writers[file]) > 1 for file in targets[row]):
                names[row] = name_with_folders(scan, depth)
                targets[row] = _targets(scan, names[row], options)
        writers = _writers(scans, targets)
    # Files beside their scans may share a name; people in one table may not.
    specimens = names if options.output else tell_apart(scans, [scan.stem for scan in scans])
    return [
        _plan_job(scan, name, specimen, _others(scan, files, writers), options)
        for scan, name, specimen, files in zip(scans, names, specimens, targets, strict=True)
    ]


def tell_apart(paths: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Put the names of folders before those of files that others have too.

    Parameters
    ----------
    paths : sequence of Path
        Absolute.
    names : sequence of str
        What each file is called.

    Returns
    -------
    list of str
        The names; with as many folders, up to `MAX_DEPTH`, as are needed.
    """
    apart = list(names)
    for depth in range(1, MAX_DEPTH + 1):
        times = Counter(apart)
        apart = [
            "_".join((*_folders(path, depth), own)) if times[name] > 1 else name
            for name, path, own in zip(apart, paths, names, strict=True)
        ]
    return apart


def name_with_folders(scan: Path, depth: int) -> str:
    """Give the name of a scan behind those of the folders that it lies in, without drive or root.

    Parameters
    ----------
    scan : Path
        The mesh file, absolute.
    depth : int
        How many folders.

    Returns
    -------
    str
        Joined by underscores: what the scan is called where another one has its name.
    """
    return "_".join((*_folders(scan, depth), scan.stem))


def _folders(path: Path, depth: int) -> tuple[str, ...]:
    return path.parent.relative_to(path.anchor).parts[-depth:]


def _entries_below(folder: Path, depth: float) -> tuple[list[Path], list[Path]]:
    """List the files of a folder and of those so deep below, and folders that cannot be listed.

    Links to folders are followed, after what lies here itself. No folder is listed twice, and none
    that holds this one: a link that leads round or up is no trap.
    """
    files: list[Path] = []
    locked: list[Path] = []
    listed: set[Path] = set()
    waiting, home = [folder], Path(os.path.realpath(folder))
    for start in waiting:
        real = Path(os.path.realpath(start))
        if start != folder and (real in listed or home.is_relative_to(real)):
            continue
        for place, below, names in os.walk(start, onerror=lambda err: locked.append(_place(err))):
            here = Path(place)
            real_here = real / here.relative_to(start)
            is_deep = len(here.relative_to(folder).parts) >= depth
            below[:] = [] if is_deep else sorted(name for name in below if not is_hidden(name))
            files += [here / name for name in names if real_here not in listed]
            waiting += [here / name for name in below if _is_link(here / name)]
            listed.add(real_here)
    return files, locked


def _place(err: OSError) -> Path:
    return Path(err.filename)


def _is_link(folder: Path) -> bool:
    """Whether a folder is one that `os.walk` does not enter by itself."""
    is_junction = getattr(folder, "is_junction", None)  # from Python 3.12 on; before, it enters it
    return folder.is_symlink() or (is_junction is not None and is_junction())


def _is_hidden(path: Path, folder: Path) -> bool:
    """Whether a person or a system hid what is below a folder."""
    return any(is_hidden(part) for part in path.relative_to(folder).parts)


def _absolute(path: Path) -> Path:
    """Absolute and without "..", which would become part of a name; a link is followed first."""
    absolute = path.absolute()
    return absolute.resolve() if ".." in absolute.parts else absolute


def _is_scan(path: Path, suffixes: tuple[str, ...], folder: Path) -> bool:
    """Whether a file of a folder, or of one below it, is a mesh that nobody hid.

    One that the system says nothing of counts, as without rights, on a disk that is not connected
    or behind too long a path: that is told when it is to be read.
    """
    if path.suffix.lower() not in suffixes or _is_hidden(path, folder):
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder; one that the system says nothing of is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _files_of(scan: Path, name: str, options: BatchOptions) -> tuple[list[Path], Path, Path | None]:
    """Landmark files, record and picture of a scan."""
    from palnet.exchange import get_format

    folder = (options.output or scan.parent).absolute()
    return (
        [folder / f"{name}{get_format(form).suffix}" for form in options.formats],
        folder / f"{name}.palnet.json",
        folder / f"{name}.palnet.png" if options.preview else None,
    )


def _targets(scan: Path, name: str, options: BatchOptions) -> set[str]:
    """Name what two scans must not share.

    Many file systems take Face and face for one name, and accents are written in two ways.
    """
    landmark_files, record, _ = _files_of(scan, name, options)
    return {printable_name(str(path)).casefold() for path in (*landmark_files, record)}


def _writers(scans: Sequence[Path], targets: Sequence[set[str]]) -> dict[str, list[Path]]:
    """Gather the scans that would write each file."""
    writers: dict[str, list[Path]] = defaultdict(list)
    for scan, files in zip(scans, targets, strict=True):
        for file in files:
            writers[file].append(scan)
    return writers


def _others(scan: Path, files: set[str], writers: dict[str, list[Path]]) -> list[Path]:
    """Some of the scans that would write one of the files; of thousands nobody reads all."""
    most = _MOST_NAMED + 2  # the scan itself, and one that tells that there are more
    return sorted({other for file in files for other in writers[file][:most]} - {scan})


def _plan_job(
    scan: Path, name: str, specimen: str, others: list[Path], options: BatchOptions
) -> ScanJob:
    landmark_files, record, preview = _files_of(scan, name, options)
    return ScanJob(
        scan=scan,
        specimen=printable_name(specimen),
        landmark_files=tuple(landmark_files),
        record_file=record,
        preview_file=preview,
        options=options,
        obstacle=_obstacle(landmark_files, others, options),
    )


def _obstacle(landmark_files: list[Path], others: list[Path], options: BatchOptions) -> str:
    """Say why the files of a scan cannot be written, in the end of a sentence; nothing if so."""
    from palnet.exchange import find_format

    if others:
        names = ", ".join(map(str, others[:_MOST_NAMED]))
        names += " and others" if len(others) > _MOST_NAMED else ""
        remedy = "Rename one, or run them one by one, each into a folder of its own."
        return f"would write the same files as {names}. {remedy}"
    for file, form in zip(landmark_files, options.formats, strict=True):
        read_as = find_format(file).name
        if read_as != form:
            return f"would write {file.name}, which is read as {read_as}, not {form}. Rename it."
    return ""
