# SPDX-License-Identifier: Apache-2.0
"""Plan a batch: which scans there are, and which files each one will produce."""

from __future__ import annotations

import math
import os
import stat
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from palnet._files import is_folder, is_hidden
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

# Number of parent folders that a name may include.
MAX_DEPTH = 10
# For each scan, at most this many others that would write the same files are named.
_MOST_NAMED = 3
# Windows' mark of a junction (IO_REPARSE_TAG_MOUNT_POINT), which Python names on Windows only.
_JUNCTION = 0xA0000003


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
        Whether scans finished by an earlier run are left as they are.
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
    """One scan and the files it will produce.

    Attributes
    ----------
    scan : Path
        The mesh file.
    specimen : str
        Name of the specimen in the files: the file name in printable characters.
    landmark_files : tuple of Path
        One per format of the options.
    record_file : Path
        The ``.palnet.json``.
    preview_file : Path or None
        The picture, if requested.
    options : BatchOptions
        How to process the scan.
    obstacle : str
        Why the scan cannot be processed; empty if it can.
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
    """List the scans in the given files and folders, each once.

    Parameters
    ----------
    paths : iterable of str or path
        Mesh files, and folders to search for mesh files.
    recursive : bool, default False
        Whether to search subfolders too.

    Returns
    -------
    list of Path
        Absolute paths, in the order given; those of a folder sorted by name. A subfolder that
        cannot be listed is returned like a scan, so that it is reported as unreadable.

    Raises
    ------
    UsageError
        If a folder holds no mesh file.
    """
    from palnet.surface import MESH_SUFFIXES

    scans: dict[Path, None] = {}
    for path in map(Path, paths):
        found = [path]
        if is_folder(path):
            entries, locked = _entries_below(path, math.inf if recursive else 0)
            found = [entry for entry in entries if _is_scan(entry, path)]
            found = sorted(found + locked)
        if not found:
            n_below = 0 if recursive else len(scans_below([path], depth=MAX_DEPTH))
            hint = f" Scans in subfolders: {n_below}; --recursive includes them." if n_below else ""
            known = ", ".join(MESH_SUFFIXES)
            msg = f"{path}: the folder holds no scan; expected files ending in {known}.{hint}"
            raise UsageError(msg)
        scans.update(dict.fromkeys(map(_absolute, found)))
    return list(scans)


def scans_below(
    paths: Iterable[str | os.PathLike[str]], taken: Iterable[Path] = (), *, depth: float = 2
) -> list[Path]:
    """List the scans some folders below those given, which `find_scans` does not search.

    Parameters
    ----------
    paths : iterable of str or path
        The paths given by the user; files are ignored.
    taken : iterable of Path
        Scans to leave out, as they are processed anyway.
    depth : float, default 2
        How many folders below to search.

    Returns
    -------
    list of Path
        Absolute paths, sorted by name.
    """
    found = {
        _absolute(entry)
        for folder in map(Path, paths)
        for entry in _entries_below(folder, depth)[0]
        if entry.parent != folder and _is_scan(entry, folder)
    }
    return sorted(found - set(taken))


def plan_jobs(scans: Sequence[Path], options: BatchOptions) -> list[ScanJob]:
    """Decide which files each scan will produce, before any work begins.

    Parameters
    ----------
    scans : sequence of Path
        Mesh files.
    options : BatchOptions
        How to process them.

    Returns
    -------
    list of ScanJob
        One per scan. Specimens of the same name in several folders are prefixed with as many folder
        names as tell them apart, and so are their files if all go into one folder. All scans that
        would still write the same files get an obstacle.
    """
    names = [scan.stem for scan in scans]
    # A folder that cannot be listed writes no files.
    targets = [
        set() if is_folder(scan) else _targets(scan, name, options)
        for scan, name in zip(scans, names, strict=True)
    ]
    writers = _writers(scans, targets)
    for depth in range(1, MAX_DEPTH + 1):
        for row, scan in enumerate(scans):
            if any(len(writers[file]) > 1 for file in targets[row]):
                names[row] = name_with_folders(scan, depth)
                targets[row] = _targets(scan, names[row], options)
        writers = _writers(scans, targets)
    # Files in different folders may share a name; specimens in one table may not.
    specimens = names if options.output else tell_apart(scans, [scan.stem for scan in scans])
    return [
        _plan_job(scan, name, specimen, _others(scan, files, writers), options)
        for scan, name, specimen, files in zip(scans, names, specimens, targets, strict=True)
    ]


def tell_apart(paths: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Prefix names that occur more than once with the names of their folders.

    Parameters
    ----------
    paths : sequence of Path
        Absolute paths.
    names : sequence of str
        The name of each file.

    Returns
    -------
    list of str
        The names, with as many folders as needed, up to `MAX_DEPTH`.
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
    """Prefix the name of a scan with those of its folders, without drive or root.

    Parameters
    ----------
    scan : Path
        The mesh file, as an absolute path.
    depth : int
        Number of folders.

    Returns
    -------
    str
        Joined by underscores: the scan's name if another scan has the same one.
    """
    return "_".join((*_folders(scan, depth), scan.stem))


def _folders(path: Path, depth: int) -> tuple[str, ...]:
    return path.parent.relative_to(path.anchor).parts[-depth:]


def _entries_below(folder: Path, depth: float) -> tuple[list[Path], list[Path]]:
    """List the files of a folder down to this depth, and the folders that cannot be listed.

    Links to folders are followed, after the folder's own contents. No folder is listed twice, and
    none that contains this one, so cyclic and upward links are harmless.
    """
    files: list[Path] = []
    locked: list[Path] = []
    listed: set[Path] = set()
    waiting, home = [folder], Path(os.path.realpath(folder))
    for start in waiting:
        real = Path(os.path.realpath(start))
        if start != folder and (real in listed or home.is_relative_to(real)):
            continue
        walk = os.walk(start, onerror=lambda err: locked.append(Path(err.filename)))
        for place, below, names in walk:
            here = Path(place)
            real_here = real / here.relative_to(start)
            is_deep = len(here.relative_to(folder).parts) >= depth
            below[:] = [] if is_deep else sorted(name for name in below if not is_hidden(name))
            files += [here / name for name in names if real_here not in listed]
            links = [name for name in below if _is_link(here / name)]
            below[:] = [name for name in below if name not in links]
            waiting += [here / name for name in links]
            listed.add(real_here)
    return files, locked


def _is_link(folder: Path) -> bool:
    """Whether a folder is a symbolic link or a junction of Windows, which `os.walk` enters."""
    try:
        state = folder.lstat()
    except OSError:
        return False
    # `Path.is_junction` exists in Python 3.12 and later only.
    is_junction = getattr(state, "st_reparse_tag", 0) == _JUNCTION
    return is_junction or stat.S_ISLNK(state.st_mode)


def _absolute(path: Path) -> Path:
    """Make a path absolute without "..", which would end up in a name; links are resolved first."""
    absolute = path.absolute()
    return absolute.resolve() if ".." in absolute.parts else absolute


def _is_scan(path: Path, folder: Path) -> bool:
    """Whether a file in or below a folder is a mesh and not hidden, nor a folder on the way to it.

    A file that cannot be examined counts (no permission, disk not connected, path too long); the
    error is reported when it is read.
    """
    from palnet.surface import MESH_SUFFIXES

    if path.suffix.lower() not in MESH_SUFFIXES:
        return False
    if any(is_hidden(part) for part in path.relative_to(folder).parts):
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _files_of(scan: Path, name: str, options: BatchOptions) -> tuple[list[Path], Path, Path | None]:
    """Return the landmark files, record and picture of a scan."""
    from palnet.exchange import get_format

    folder = (options.output or scan.parent).absolute()
    return (
        [folder / f"{name}{get_format(form).suffix}" for form in options.formats],
        folder / f"{name}.palnet.json",
        folder / f"{name}.palnet.png" if options.preview else None,
    )


def _targets(scan: Path, name: str, options: BatchOptions) -> set[str]:
    """Return the keys of the files that two scans must not share.

    Many file systems ignore case, and accents are encoded in two ways.
    """
    landmark_files, record, _ = _files_of(scan, name, options)
    return {printable_name(str(path)).casefold() for path in (*landmark_files, record)}


def _writers(scans: Sequence[Path], targets: Sequence[set[str]]) -> dict[str, list[Path]]:
    """List the scans that would write each file."""
    writers: dict[str, list[Path]] = defaultdict(list)
    for scan, files in zip(scans, targets, strict=True):
        for file in files:
            writers[file].append(scan)
    return writers


def _others(scan: Path, files: set[str], writers: dict[str, list[Path]]) -> list[Path]:
    """Some of the other scans that would write one of the files; nobody reads thousands."""
    most = _MOST_NAMED + 2  # the scan itself, and one more to know that there are others
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
    """Say why a scan's files cannot be written, to complete a sentence; empty if they can."""
    from palnet.exchange import find_format

    if others:
        names = ", ".join(map(str, others[:_MOST_NAMED]))
        names += " and others" if len(others) > _MOST_NAMED else ""
        remedy = "Rename one, or run them one by one, each into a folder of its own (-o)."
        return f"would write the same files as {names}. {remedy}"
    for file, form in zip(landmark_files, options.formats, strict=True):
        read_as = find_format(file).name
        if read_as != form:
            return f"would write {file.name}, which is read as {read_as}, not {form}. Rename it."
    return ""
