# SPDX-License-Identifier: Apache-2.0
"""Find the files of a data set: hidden files and training run folders are left out."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from palnet._run_folder import CLAIM_NAME
from palnet.data_sets.dataset import Problem
from palnet.exchange import FORMATS
from palnet.input_files import files_below
from palnet.landmarks import printable_name
from palnet.surface import MESH_SUFFIXES

__all__ = ["is_mesh", "list_files", "may_be_data"]


def is_mesh(path: Path) -> bool:
    """Whether a file name is that of a mesh."""
    return path.suffix.lower() in MESH_SUFFIXES


def _is_run_folder(folder: Path) -> bool:
    """Whether a folder is a training run, whose tables and predictions are not annotations.

    It holds the recipe of a run and no mesh at any depth: training never writes a mesh, so a mesh
    in it must be the user's.
    """
    try:
        is_claimed = (folder / CLAIM_NAME).is_file()
        return is_claimed and not any(is_mesh(path) for path in folder.rglob("*"))
    except OSError:  # unreadable folders are reported when listed
        return False


def list_files(folder: Path) -> tuple[list[Path], list[Problem]]:
    """List all files of a data set's folder and its subfolders, following links.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    files : list of Path
        Sorted, without hidden files and without those of run folders below.
    problems : list of Problem
        Folders and files that cannot be read.
    """
    files: list[Path] = []
    found, errors = files_below(folder, passes_over=_is_run_folder)
    problems = [_unreadable(Path(err.filename), folder, err) for err in errors]
    for path in sorted(found):
        try:
            files += [path] if stat.S_ISREG(path.stat().st_mode) else []
        except OSError as err:
            problems.append(_unreadable(path, folder, err))
    return files, problems


def may_be_data(path: Path) -> bool:
    """Whether a file may be a scan or its landmarks, judging by its name."""
    endings = (*MESH_SUFFIXES, ".txt", *(entry.suffix for entry in FORMATS.values()))
    return path.name.lower().endswith(endings)


def _unreadable(path: Path, folder: Path, err: OSError) -> Problem:
    """Report why a file or folder cannot be read, and what to do."""
    if err.errno in (errno.ENOENT, errno.ELOOP) and path.is_symlink():
        text = (
            f"is a link to {path.readlink()}, which is not there. Connect its disk, or delete the "
            "link."
        )
    else:
        text = (
            f"cannot be read ({err.strerror}). Give yourself the right to read it, or move it away."
        )
    return Problem("unreadable", printable_name(path.relative_to(folder).as_posix()), text)
