# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder are those of a data set: none that is hidden, none of a run."""

from __future__ import annotations

import os
from pathlib import Path

from palnet.surface import MESH_SUFFIXES
from palnet.training.recipe import CLAIM_NAME

__all__ = ["is_mesh", "list_files"]


def is_mesh(path: Path) -> bool:
    """Whether a file's name is one of a mesh."""
    return path.suffix.lower() in MESH_SUFFIXES


def _is_run_folder(folder: Path) -> bool:
    """Whether a folder is one of a training: its tables and predictions are no annotations.

    It holds the recipe of a run, and no mesh: no training writes one, and scans that lie there are
    somebody's.
    """
    try:
        is_claimed = (folder / CLAIM_NAME).is_file()
        return is_claimed and not any(is_mesh(path) for path in folder.iterdir())
    except OSError:  # one that cannot be read is told where it is looked into
        return False


def list_files(folder: Path) -> list[Path]:
    """List all files of a data set's folder and of those below it, also behind links to others.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    list of Path
        Sorted; none that somebody hid, and none of a run folder below.
    """
    files: list[Path] = []
    walked = [folder.resolve()]
    for place, subfolders, names in os.walk(folder, followlinks=True):
        below = [Path(place, name) for name in sorted(subfolders) if not name.startswith(".")]
        new = [path for path in below if not _is_run_folder(path) and _leads_away(path, walked)]
        subfolders[:] = [path.name for path in new]
        files += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(path for path in files if path.is_file())


def _leads_away(folder: Path, walked: list[Path]) -> bool:
    """Whether a folder is no link to what is walked through anyway; where it leads is noted."""
    if not folder.is_symlink():
        return True
    real = folder.resolve()
    if any(real == each or real in each.parents or each in real.parents for each in walked):
        return False
    walked.append(real)
    return True
