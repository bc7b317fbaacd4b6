# SPDX-License-Identifier: Apache-2.0
"""Cache of what is prepared from each annotated scan, keyed by the content of its files."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from palnet._files import write_text
from palnet._parallel import run_tasks
from palnet._stored import read_arrays, read_kept, write_arrays
from palnet.data_sets.dataset import say_refusal
from palnet.errors import MeshError, PalnetError

_Prepared = TypeVar("_Prepared")

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.data_sets.dataset import AnnotatedScan, DataSet

    Arrays = dict[str, NDArray[Any]]
    Prepare = Callable[[AnnotatedScan], Arrays]
    Load = Callable[[AnnotatedScan, Path, Arrays], _Prepared]


__all__ = ["LEFT_OUT_FILE", "keep_scans", "tell_left_out", "write_left_out"]

logger = logging.getLogger(__name__)

LEFT_OUT_FILE = "left_out.txt"
"""File in a run folder that lists the scans that were not used, and why, one per line."""


def keep_scans(
    data: DataSet,
    settings: str,
    prepare: Prepare,
    load: Load[_Prepared],
    folder: Path,
    *,
    jobs: int,
) -> tuple[list[_Prepared], list[str]]:
    """Prepare each scan of a data set, unless it is cached for the same files and settings.

    Parameters
    ----------
    data : DataSet
        The scans.
    settings : str
        Everything else that determines the result.
    prepare : callable
        Returns the arrays of a scan; must be picklable. If it raises `PalnetError`, the only array
        stored is ``refusal``, with the reason.
    load : callable
        Takes a scan, its file and the arrays in it, and returns what was prepared.
    folder : Path
        Where a ``.npz`` is written for each scan, with its ``digest``.
    jobs : int
        Number of processes.

    Returns
    -------
    prepared : list
        The loaded scans, in the order of the data set.
    refusals : list of str
        One line per scan that could not be prepared, with the reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks, unreadable = [], {}
    for scan in data.scans:
        path = folder / f"{scan.specimen}.npz"
        try:
            digest = _digest(scan, settings)
        except MeshError as err:
            unreadable[scan.specimen] = f"{scan.specimen}: {err}"
            continue
        if not _is_kept(path, digest):
            tasks.append((scan, path, digest, settings))
    run_tasks(partial(_keep_one, prepare), tasks, jobs=jobs, what="scans prepared")
    prepared, refusals = [], []
    for scan in data.scans:
        if scan.specimen in unreadable:
            refusals.append(unreadable[scan.specimen])
            continue
        path = folder / f"{scan.specimen}.npz"
        arrays = read_kept(path)
        if "refusal" in arrays:
            refusals.append(str(arrays["refusal"]))
        else:
            prepared.append(load(scan, path, arrays))
    return prepared, refusals


def tell_left_out(lines: Sequence[str]) -> None:
    """Log which scans are not used, and why, one per line."""
    for line in lines:
        logger.warning("left out: %s", line)


def write_left_out(lines: Sequence[str], folder: Path) -> None:
    """Write the same lines to a file in the run folder."""
    text = "".join(f"{line}\n" for line in lines)
    write_text(folder / LEFT_OUT_FILE, text, overwrite=True)


def _digest(scan: AnnotatedScan, settings: str) -> str:
    """Hash of the files and settings that a prepared scan depends on."""
    digest = hashlib.sha256(settings.encode())
    try:
        digest.update(scan.mesh_path.read_bytes())
        if scan.matrix_path is not None:
            digest.update(scan.matrix_path.read_bytes())
    except OSError as err:
        msg = f"{err.filename}: cannot be read ({err.strerror}). Check the path and the rights."
        raise MeshError(msg) from err
    if scan.landmarks is not None:
        digest.update(scan.landmarks.positions.tobytes())
        digest.update(f"{scan.landmarks.frame} {scan.landmarks.mm_per_unit!r}".encode())
    digest.update(f"{scan.vertices} {scan.person}".encode())
    return digest.hexdigest()


def _is_kept(path: Path, digest: str) -> bool:
    """Whether the cache file was made from these files and settings."""
    if not path.exists():
        return False
    try:
        return str(read_arrays(path, "digest")["digest"]) == digest
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return False  # damaged, so it is made again


def _is_unchanged(scan: AnnotatedScan, settings: str, digest: str) -> bool:
    """Whether the files of a scan can still be read, and are the same."""
    try:
        return _digest(scan, settings) == digest
    except MeshError:
        return False


def _keep_one(prepare: Prepare, task: tuple[AnnotatedScan, Path, str, str]) -> None:
    """Prepare a scan and store it, or the reason why it cannot be prepared."""
    scan, path, digest, settings = task
    try:
        arrays = prepare(scan)
    except PalnetError as err:
        why = say_refusal(err).removeprefix(f"{scan.specimen}: ")
        arrays = {"refusal": np.array(f"{scan.specimen}: {why}")}
        # A file that was away for a moment must not be refused for ever.
        digest = digest if _is_unchanged(scan, settings, digest) else ""
    write_arrays(path, {"digest": np.array(digest), **arrays})
