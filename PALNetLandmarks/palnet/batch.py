# SPDX-License-Identifier: Apache-2.0
"""Process many scans: one result and one set of files per scan; a failure affects no other scan."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from palnet._caught import catching
from palnet._files import check_free, check_writable, file_hash, write_text
from palnet.errors import (
    FormatError,
    MeshError,
    OutputExistsError,
    PalnetError,
    PreviewError,
    ScanRefusedError,
    UnitError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from palnet.detector import Detection
    from palnet.jobs import ScanJob
    from palnet.landmarks import LandmarkSet
    from palnet.surface import Mesh

    Detect = Callable[..., Detection]

__all__ = ["ScanResult", "process_scan"]

Outcome = Literal["done", "there", "refused", "unreadable", "failed"]


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The result of one scan.

    Attributes
    ----------
    scan : Path
        The mesh file.
    outcome : {"done", "there", "refused", "unreadable", "failed"}
        ``there``: done before, left unchanged. ``refused``: readable, but no landmarks can be
        placed on it. ``failed``: any other error.
    message : str
        Why it was not done; empty if it was.
    files : tuple of Path
        The files written.
    warnings : tuple of str
        Minor problems, such as a picture that could not be drawn.
    record : dict
        The content of the record file.
    landmarks : LandmarkSet or None
        The landmarks in the scan file's own numbers.
    seconds : float
        Time taken.
    """

    scan: Path
    outcome: Outcome
    message: str = ""
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
    landmarks: LandmarkSet | None = None
    seconds: float = 0.0


def process_scan(job: ScanJob, *, detect: Detect | None = None) -> ScanResult:
    """Detect the landmarks of one scan and write its files.

    Parameters
    ----------
    job : ScanJob
        The scan, its files and options.
    detect : callable, optional
        Replaces `palnet.detect`.

    Returns
    -------
    ScanResult
        The outcome; a scan that cannot be processed is an outcome, not an exception.
    """
    from palnet.surface import MESH_SUFFIXES, read_mesh

    start = time.perf_counter()
    outcome: Outcome
    try:
        if job.obstacle:
            raise UsageError(job.obstacle)
        if job.scan.suffix.lower() not in MESH_SUFFIXES:
            read_mesh(job.scan)  # raises with the file's type, before --overwrite is suggested
        if job.options.resume and _is_finished(job):
            return ScanResult(job.scan, "there", files=job.files, warnings=_not_drawn(job))
        _check_all_free(job)
        check_writable(job.record_file)
        result = _detect_and_write(job, detect)
    except (ScanRefusedError, UnitError) as err:
        outcome, message = "refused", str(err)
    except MeshError as err:
        outcome, message = "unreadable", str(err)
    except (PalnetError, OSError, MemoryError) as err:
        outcome, message = "failed", str(err) or type(err).__name__
    else:
        return replace(result, seconds=time.perf_counter() - start)
    return ScanResult(job.scan, outcome, message, seconds=time.perf_counter() - start)


def _check_all_free(job: ScanJob) -> None:
    """Require that the job's files may be written; with `resume` the picture may be replaced."""
    for path in _files_of_work(job) if job.options.resume else job.files:
        check_free(path, overwrite=job.options.overwrite)


def _is_finished(job: ScanJob) -> bool:
    """Whether an earlier run has finished the job, judged by its record, which is written last.

    A missing picture is no reason to detect again. Files that are not this job's complete result
    raise OutputExistsError, because they might be somebody's work.
    """
    if not job.record_file.exists():
        _check_other_names(job)
        left = [path for path in _files_of_work(job) if path.exists()]
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

    former = _files_of_record(job)
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


def _files_of_work(job: ScanJob) -> tuple[Path, ...]:
    """All files but the picture, which a resumed run may redraw after an interruption."""
    return (*job.landmark_files, job.record_file)


def _not_drawn(job: ScanJob) -> tuple[str, ...]:
    """Warn of a missing picture of a scan that was done before without one."""
    if job.preview_file is None or job.preview_file.exists():
        return ()
    text = (
        f"was done before, without {job.preview_file.name}. palnet measure draws the existing "
        "landmarks, with all corrections; --overwrite detects again."
    )
    return (text,)


def _check_other_names(job: ScanJob) -> None:
    """Require that the scan was not done under a shorter name, before others shared that name."""
    from palnet._record import read_record

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
    from palnet._record import read_record
    from palnet.model import find_model
    from palnet.surface import parse_unit

    asked = job.options
    scan_sha256, model_sha256 = file_hash(job.scan), file_hash(find_model(asked.model))
    unit = None if asked.unit == "auto" else parse_unit(asked.unit).name
    record = read_record(job.record_file)
    try:
        made = record["provenance"]
        same = {
            "scan": record["scan_sha256"] == scan_sha256,
            "unit": made["unit"] == unit if unit else made["unit_source"] != "given",
            "frame": record["frame"] == asked.frame,
            "model": made["model_sha256"] == model_sha256,
        }
    except (KeyError, TypeError):
        return ["version, or is damaged"]
    return [name for name, is_same in same.items() if not is_same]


def _detect_and_write(job: ScanJob, detect: Detect | None) -> ScanResult:
    """Run a job; the record is written last and so marks the other files as complete."""
    from palnet._record import describe_detection, record_text
    from palnet.surface import read_mesh

    options = job.options
    former = _files_of_record(job) if options.overwrite else {}
    stamp = _stamp(job.scan)
    mesh = read_mesh(job.scan)
    if detect is None:
        from palnet import detector

        detect = detector.detect
    detection = detect(mesh, unit=options.unit, model=options.model)
    landmarks = replace(detection.landmarks, specimen=job.specimen)
    written = landmarks.to_frame(options.frame)
    scan_sha256 = _hash_unchanged(job.scan, stamp)
    _check_all_free(job)  # again, because detection takes a while
    # Drawn first, as it takes longest: an interruption then leaves no landmarks without a record.
    pictures, picture_notes = _try_preview(job, mesh, detection)
    kept = _keep_changed(job, former) if options.overwrite else ()
    with _together(job) as landmark_files:
        refusals, notes = _write_landmark_files(job, written, landmark_files)
        files = (*landmark_files, *pictures)
        record = describe_detection(
            detection,
            written,
            scan_name=job.scan.name,
            scan_sha256=scan_sha256,
            files={path.name: file_hash(path) for path in files},
        )
        write_text(job.record_file, record_text(record), overwrite=options.overwrite)
    return ScanResult(
        scan=job.scan,
        outcome="failed" if refusals else "done",
        message=" ".join(refusals),
        files=(*files, job.record_file),
        warnings=(*kept, *notes, *picture_notes, *_left_over(job, former.keys() - record["files"])),
        record=record,
        landmarks=landmarks,
    )


def _keep_changed(job: ScanJob, former: dict[str, str]) -> tuple[str, ...]:
    """Back up landmark files that were changed since they were written, before replacing them."""
    from palnet.exchange import sidecar_path

    notes = []
    for path in job.landmark_files:
        both = [file for file in (path, sidecar_path(path)) if file.exists()]
        if not path.exists() or not any(_is_changed(file, former) for file in both):
            continue
        number = next(n for n in count(1) if not _copy_of(path, n).exists())
        for file in both:  # the sidecar holds unit and axes
            shutil.copy2(file, _copy_of(file, number))
        notes.append(
            f"{path.name} was changed after the detection: kept as {_copy_of(path, number).name}."
        )
    return tuple(notes)


def _is_changed(file: Path, former: dict[str, str]) -> bool:
    """Whether a file differs from its record or is in none, so that it may be somebody's work."""
    return former.get(file.name) != file_hash(file)


def _copy_of(path: Path, number: int) -> Path:
    """Name a backup next to a file so that no reader takes it for landmarks."""
    return Path(f"{path}.bak" if number == 1 else f"{path}.{number}.bak")


def _stamp(scan: Path) -> tuple[int, int] | None:
    """Return modification time and size of a file, to detect changes; None if there is no file."""
    try:
        state = scan.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _hash_unchanged(scan: Path, stamp: tuple[int, int] | None) -> str:
    """Hash a scan; raise if it changed since it was read, as the landmarks would not match it."""
    sha256 = file_hash(scan) if _stamp(scan) == stamp else ""
    if not sha256 or _stamp(scan) != stamp:
        msg = (
            f"{scan}: was changed while its landmarks were detected. Run it again when nothing "
            "changes the file."
        )
        raise MeshError(msg)
    return sha256


@contextmanager
def _together(job: ScanJob) -> Iterator[list[Path]]:
    """Remove the files written if an error or interruption occurs before the record is written.

    Existing files are kept: they are somebody's work or an earlier detection's. Yields a list in
    which to note the files written.
    """
    from palnet.exchange import sidecar_path

    beside = [sidecar_path(path) for path in job.landmark_files]
    new = [path for path in (*_files_of_work(job), *beside) if not path.exists()]
    written: list[Path] = []
    try:
        yield written
    except BaseException as err:
        # A file that appeared meanwhile belongs to another run, and so may all the other new ones.
        for path in written if isinstance(err, OutputExistsError) else new:
            with suppress(OSError):  # it was never written, and the error raised says why
                path.unlink()
        raise


def _files_of_record(job: ScanJob) -> dict[str, str]:
    """Hashes of the files of an earlier detection, by file name."""
    from palnet._record import read_record

    files = read_record(job.record_file).get("files")
    return files if isinstance(files, dict) else {}


def _left_over(job: ScanJob, names: set[str]) -> tuple[str, ...]:
    """Warn of files of the replaced detection that were not written again."""
    there = sorted(name for name in names if (job.record_file.parent / name).exists())
    if not there:
        return ()
    return (f"{', '.join(there)} kept from the detection that was replaced.",)


def _write_landmark_files(
    job: ScanJob, landmarks: LandmarkSet, files: list[Path]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write each format; one that cannot hold these landmarks does not stop the others.

    Notes the files written; returns why others were not, and what was not written exactly.
    """
    from palnet.exchange import FormatWarning, write_landmarks

    options = job.options
    refusals = []
    with catching(FormatWarning, "always") as caught:
        for name, path in zip(options.formats, job.landmark_files, strict=True):
            try:
                files += write_landmarks(
                    landmarks, path, format=name, overwrite=options.overwrite, rename=True
                )
            except FormatError as err:
                refusals.append(f"{path.name} was not written: {err}")
    return tuple(refusals), tuple(str(entry.message) for entry in caught)


def _try_preview(
    job: ScanJob, mesh: Mesh, detection: Detection
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Draw the picture if requested; landmarks are written even where drawing is impossible."""
    from palnet.preview import render_preview

    if job.preview_file is None:
        return (), ()
    try:
        may_replace = job.options.overwrite or job.options.resume
        landmarks, pose = detection.landmarks, detection.face_from_scan
        render_preview(mesh, landmarks, pose, job.preview_file, overwrite=may_replace)
    except PreviewError as err:
        return (), (str(err),)
    return (job.preview_file,), ()
