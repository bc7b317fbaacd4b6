# SPDX-License-Identifier: Apache-2.0
"""Results of earlier runs where a scan's files go: is it done, and what may be replaced."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palnet._caught import catching
from palnet._files import check_free, file_hash, remove
from palnet._record import read_record
from palnet.errors import OutputExistsError, PalnetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palnet.jobs import ScanJob

__all__ = ["check_all_free", "is_finished", "keep_changed", "keeping", "left_over", "what_lacks"]


def check_all_free(job: ScanJob) -> None:
    """Require that the job's files may be written.

    A resumed run may redraw the picture, which an interruption leaves alone.
    """
    for path in (*job.landmark_files, job.record_file) if job.options.resume else job.files:
        check_free(path, overwrite=job.options.overwrite)


def is_finished(job: ScanJob) -> bool:
    """Whether an earlier run has finished the job, judged by its record, which is written last.

    A missing picture is no reason to detect again. Files that are not this job's complete result
    raise OutputExistsError, because they might be somebody's work.
    """
    if not job.record_file.exists():
        _check_other_names(job)
        left = [path for path in job.landmark_files if path.exists()]
        if left:
            msg = (
                f"{left[0]} exists without the record of a finished detection: a run was "
                "interrupted there, or the file is somebody's work. Move it away, or run this "
                "scan with --overwrite."
            )
            raise OutputExistsError(msg)
        return False
    differing = _differing(job)
    if differing:
        msg = (
            f"{job.record_file} was made with another {', '.join(differing)}. Choose another "
            "folder, or run this scan with --overwrite."
        )
        raise OutputExistsError(msg)
    absent = [path.name for path in job.landmark_files if not path.exists()]
    if absent:
        msg = (
            f"was done before, without {', '.join(absent)}. palnet convert writes them from the "
            "existing landmarks, with all corrections, or says why it cannot; --overwrite detects "
            "again."
        )
        raise OutputExistsError(msg)
    _check_readable(job)
    return True


def _check_readable(job: ScanJob) -> None:
    """Require that landmark files changed since they were written can be read."""
    from palnet.exchange import FormatWarning, read_landmarks
    from palnet.model import read_model

    former = _recorded_hashes(job)
    for path, form in zip(job.landmark_files, job.options.formats, strict=True):
        if not _is_changed(path, former):
            continue
        try:
            with catching(FormatWarning, "ignore"):
                scheme = read_model(job.options.model).scheme
                read_landmarks(path, scheme, format=form, strict=False)
        except PalnetError as err:
            msg = f"was done before, but {err} Move it away, or run this scan with --overwrite."
            raise OutputExistsError(msg) from err


def what_lacks(job: ScanJob) -> tuple[str, ...]:
    """Warn of what a scan was done without: its picture, or the color of its texture."""
    from palnet.model import read_model

    lacks = []
    if job.preview_file is not None and not job.preview_file.exists():
        lacks.append(
            f"was done before, without {job.preview_file.name}. palnet measure draws the existing "
            "landmarks, with all corrections; --overwrite detects again."
        )
    lost = _lost_textures(read_record(job.record_file))
    if lost and job.options.use_color and read_model(job.options.model).uses_color:
        lacks.append(
            f"was done before, without its color: {' '.join(lost)} If that was mended since, "
            "--overwrite detects again."
        )
    return tuple(lacks)


def _lost_textures(record: dict[str, Any]) -> list[str]:
    """Return why textures could not be used."""
    return [each["message"] for each in record["findings"] if each["code"] == "texture"]


def _check_other_names(job: ScanJob) -> None:
    """Require that the scan was not done under a shorter name, before others shared that name."""
    name = job.record_file.name
    while "_" in name:
        name = name.split("_", 1)[1]
        record = read_record(job.record_file.with_name(name))
        if record and record.get("scan_sha256") == file_hash(job.scan):
            msg = (
                f"was done before as {name.removesuffix('.palnet.json')}, when no other scan had "
                f"that name. Rename its files to {job.specimen}, or move them away."
            )
            raise OutputExistsError(msg)


def _differing(job: ScanJob) -> list[str]:
    """List how the existing record differs from the job."""
    from palnet.detection.combining import COLOR_NOT_ASKED
    from palnet.model import find_model
    from palnet.surface import parse_unit

    asked = job.options
    scan_sha256, model_sha256 = file_hash(job.scan), file_hash(find_model(asked.model))
    unit = None if asked.unit == "auto" else parse_unit(asked.unit).name
    record = read_record(job.record_file)
    try:
        _lost_textures(record)  # whoever asks for them later finds the record whole
        made = record["provenance"]
        color = made.get("color", {})
        same = {
            "scan": record["scan_sha256"] == scan_sha256,
            "unit": made["unit"] == unit if unit else made["unit_source"] != "given",
            "frame": record["frame"] == asked.frame,
            "model": made["model_sha256"] == model_sha256,
            "use of color": color != COLOR_NOT_ASKED if asked.use_color else not color.get("used"),
        }
    except (AttributeError, KeyError, TypeError):
        return ["version, or is damaged"]
    return [name for name, is_same in same.items() if not is_same]


def keep_changed(job: ScanJob) -> tuple[str, ...]:
    """Back up landmark files that were changed since they were written, before replacing them."""
    notes, former = [], _recorded_hashes(job)
    for path in job.landmark_files:
        if path.exists() and any(_is_changed(file, former) for file in _with_sidecar(path)):
            copy = _keep(path)[path]
            notes.append(f"{path.name} was changed after the detection: kept as {copy.name}.")
    return tuple(notes)


@contextmanager
def keeping(path: Path) -> Iterator[Path]:
    """Back up a landmark file that is to be replaced; drop the copy if the new one is the same."""
    copies = _keep(path)
    try:
        yield copies[path]
    finally:
        now = {file: file_hash(file) for file in _with_sidecar(path)}
        if now == {file: file_hash(copy) for file, copy in copies.items()}:
            for copy in copies.values():
                remove(copy)


def _keep(path: Path) -> dict[Path, Path]:
    """Copy a landmark file and its sidecar, which holds unit and axes; return the copies."""
    number = next(n for n in count(1) if not _copy_of(path, n).exists())
    copies = {file: _copy_of(file, number) for file in _with_sidecar(path)}
    for file, copy in copies.items():
        shutil.copy2(file, copy)
    return copies


def _with_sidecar(path: Path) -> list[Path]:
    from palnet.exchange import sidecar_path

    return [file for file in (path, sidecar_path(path)) if file.exists()]


def _is_changed(file: Path, former: dict[str, str]) -> bool:
    """Whether a file differs from its record or is in none, so that it may be somebody's work."""
    return former.get(file.name.casefold()) != file_hash(file)


def _copy_of(path: Path, number: int) -> Path:
    """Name a backup next to a file so that no reader takes it for landmarks."""
    return Path(f"{path}.bak" if number == 1 else f"{path}.{number}.bak")


def _recorded_hashes(job: ScanJob) -> dict[str, str]:
    """Hashes of the files of an earlier detection, by file name in lower case.

    For Windows `Face.csv` is `face.csv`, and replaces it.
    """
    return {name.casefold(): sha256 for name, sha256 in _recorded_files(job).items()}


def _recorded_files(job: ScanJob) -> dict[str, str]:
    files = read_record(job.record_file).get("files")
    return files if isinstance(files, dict) else {}


def left_over(job: ScanJob, written: Iterable[Path]) -> tuple[str, ...]:
    """Warn of files of the detection to be replaced that were not written again."""
    again = {path.name.casefold() for path in written}
    names = sorted(name for name in _recorded_files(job) if name.casefold() not in again)
    there = [name for name in names if (job.record_file.parent / name).exists()]
    if not there:
        return ()
    return (f"{', '.join(there)} kept from the detection that was replaced.",)
