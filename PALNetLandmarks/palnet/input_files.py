# SPDX-License-Identifier: Apache-2.0
"""Find the files in folders: not the hidden ones, and none twice, whatever the links."""

from __future__ import annotations

import math
import os
import stat
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from palnet._files import is_folder
from palnet.errors import UsageError
from palnet.surface import FOREIGN_SCANS, MESH_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "as_on_disk",
    "describe_foreign",
    "files_below",
    "find_scans",
    "is_hidden",
    "scans_below",
]

# Folders that systems create on every disk, not accessible to users.
_SYSTEM_FOLDERS = ("lost+found", "System Volume Information", "$RECYCLE.BIN")
# Windows' mark of a junction (IO_REPARSE_TAG_MOUNT_POINT), which Python names on Windows only.
_JUNCTION = 0xA0000003
# For a hint, at most this many folders are searched: a home folder or network drive has thousands.
_MOST_SEARCHED = 500


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
    scans: dict[Path, None] = {}
    for path in as_on_disk(map(Path, paths)):
        found = [path]
        if is_folder(path):
            entries, errors = files_below(path, math.inf if recursive else 0)
            locked = [Path(err.filename) for err in errors]
            found = sorted([*filter(_is_scan, entries), *locked])
        if not found:
            below = [] if recursive else files_below(path, most=_MOST_SEARCHED)[0]
            is_below = any(map(_is_scan, below))
            hint = " There are scans in subfolders; --recursive includes them." if is_below else ""
            known = ", ".join(MESH_SUFFIXES)
            foreign = describe_foreign([path], recursive=recursive)
            hint += f" Files of other formats: {foreign}." if foreign else ""
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
        for entry in files_below(folder, depth)[0]
        if entry.parent != folder and _is_scan(entry)
    }
    return sorted(found - set(taken))


def describe_foreign(paths: Iterable[str | os.PathLike[str]], *, recursive: bool = False) -> str:
    """Say which files of some folders may be scans of formats that are not read.

    Parameters
    ----------
    paths : iterable of str or path
        The paths given by the user; files are ignored.
    recursive : bool, default False
        Whether to search subfolders too.

    Returns
    -------
    str
        Number, suffix and remedy of each format; empty if there is none. A file beside a readable
        one of the same name does not count.
    """
    found: set[Path] = set()
    for folder in filter(is_folder, map(Path, paths)):
        entries = files_below(folder, math.inf if recursive else 0)[0]
        foreign = [entry for entry in entries if entry.suffix.lower() in FOREIGN_SCANS]
        names = {entry.with_suffix("") for entry in foreign}
        # Few files are examined: on a network drive each takes a while.
        beside = [entry for entry in entries if names and entry.with_suffix("") in names]
        readable = {entry.with_suffix("") for entry in filter(_is_scan, beside)}
        found |= {_absolute(entry) for entry in foreign if entry.with_suffix("") not in readable}
    counts = Counter(entry.suffix.lower() for entry in found)
    remedies = {suffix: FOREIGN_SCANS[suffix].remedy for suffix in sorted(counts)}
    return "; ".join(
        f"{counts[suffix]} {suffix} ({remedy[0].lower()}{remedy[1:]})"
        for suffix, remedy in remedies.items()
    )


def files_below(
    folder: Path,
    depth: float = math.inf,
    *,
    most: float = math.inf,
    passes_over: Callable[[Path], bool] = lambda _: False,
) -> tuple[list[Path], list[OSError]]:
    """List the files of a folder down to this depth, and why others cannot be listed.

    Left out are what is hidden and the folders to pass over. Links to folders are followed, after
    the folder's own contents. No folder is listed twice, and none that contains this one, so cyclic
    and upward links are harmless. At most so many folders are listed.
    """
    files: list[Path] = []
    errors: list[OSError] = []
    listed: set[Path] = set()
    waiting, home = [folder], _real(folder)
    for start in waiting:
        real = _real(start)
        if start != folder and (real in listed or home.is_relative_to(real)):
            continue
        for place, below, names in os.walk(start, onerror=errors.append):
            if len(listed) >= most:
                return files, errors
            here = Path(place)
            real_here = real / here.relative_to(start)
            is_deep = len(here.relative_to(folder).parts) >= depth
            files += [here / n for n in names if real_here not in listed and not is_hidden(n)]
            new = [] if is_deep else sorted(name for name in below if not is_hidden(name))
            new = [name for name in new if not passes_over(here / name)]
            links = [name for name in new if _is_link(here / name)]
            below[:] = [name for name in new if name not in links]
            waiting += [here / name for name in links]
            listed.add(real_here)
    return files, errors


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, by the user or the system."""
    return name.startswith(".") or name in _SYSTEM_FOLDERS


def _is_link(folder: Path) -> bool:
    """Whether a folder is a symbolic link or a junction of Windows, which `os.walk` enters."""
    try:
        state = folder.lstat()
    except OSError:
        return False
    # `Path.is_junction` exists in Python 3.12 and later only.
    is_junction = getattr(state, "st_reparse_tag", 0) == _JUNCTION
    return is_junction or stat.S_ISLNK(state.st_mode)


def as_on_disk(paths: Iterable[Path]) -> list[Path]:
    """Spell the names of files as the disk does, of which some find `Face.ply` as `face.ply`, too.

    Results are named after their scan, and scans are found by that name.
    """
    listed: dict[Path, set[str]] = {}
    return [_spell(path, listed) for path in paths]


def _spell(path: Path, listed: dict[Path, set[str]]) -> Path:
    """Spell the last name of a path; remember what is in its folder for the next path."""
    if path.parent not in listed:
        try:
            listed[path.parent] = set(os.listdir(path.parent))  # noqa: PTH208  # names, no paths
        except OSError:  # it is not there, or cannot be listed
            listed[path.parent] = set()
    names = listed[path.parent]
    alike = [] if path.name in names else [n for n in names if n.lower() == path.name.lower()]
    with suppress(OSError):  # on a disk that tells them apart
        return next((n for n in map(path.with_name, alike) if n.samefile(path)), path)
    return path


def _real(folder: Path) -> Path:
    """Follow the links in a path, as far as the system says where they lead.

    Windows does not for every network drive.
    """
    try:
        return Path(os.path.realpath(folder))
    except OSError:
        return folder.absolute()


def _absolute(path: Path) -> Path:
    """Make a path absolute without "..", which would end up in a name; links are resolved first."""
    absolute = path.absolute()
    return absolute.resolve() if ".." in absolute.parts else absolute


def _is_scan(path: Path) -> bool:
    """Whether a file is a mesh.

    A file that cannot be examined counts (no permission, disk not connected, path too long); the
    error is reported when it is read.
    """
    if path.suffix.lower() not in MESH_SUFFIXES:
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True
