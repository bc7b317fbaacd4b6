# SPDX-License-Identifier: Apache-2.0
"""Process many scans: one result and one set of files per scan; a failure affects no other scan."""

from __future__ import annotations

import errno
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from palnet._caught import catching
from palnet._earlier_results import (
    check_all_free,
    is_finished,
    keep_changed,
    left_over,
    what_lacks,
)
from palnet._files import check_writable, describe_error, file_hash, remove, write_text
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
    is_disk_full : bool
        Whether it failed for want of room on the disk, as other scans would.
    """

    scan: Path
    outcome: Outcome
    message: str = ""
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
    landmarks: LandmarkSet | None = None
    seconds: float = 0.0
    is_disk_full: bool = False


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
    is_disk_full = False
    try:
        if job.obstacle:
            raise UsageError(job.obstacle)
        if job.scan.suffix.lower() not in MESH_SUFFIXES or _stamp(job.scan) is None:
            # Raises with the file's type, or since it is not there, before anything is said of
            # the files to write.
            read_mesh(job.scan)
        if job.options.resume and is_finished(job):
            return ScanResult(job.scan, "there", files=job.files, warnings=what_lacks(job))
        check_all_free(job)
        check_writable(job.record_file)
        result = _detect_and_write(job, detect)
    except (ScanRefusedError, UnitError) as err:
        outcome, message = "refused", str(err)
    except MeshError as err:
        outcome, message = "unreadable", str(err)
    except (PalnetError, MemoryError) as err:
        outcome, message = "failed", str(err) or type(err).__name__
        is_disk_full = _is_for_want_of_room(err.__cause__)
    except OSError as err:
        outcome, message = "failed", describe_error(err)
        is_disk_full = _is_for_want_of_room(err)
    else:
        return replace(result, seconds=time.perf_counter() - start)
    seconds = time.perf_counter() - start
    return ScanResult(job.scan, outcome, message, seconds=seconds, is_disk_full=is_disk_full)


def _is_for_want_of_room(error: BaseException | None) -> bool:
    """Return whether the disk is full, or the user's share of it."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _detect_and_write(job: ScanJob, detect: Detect | None) -> ScanResult:
    """Run a job; the record is written last and so marks the other files as complete."""
    from palnet._record import describe_detection, record_text
    from palnet.surface import read_colored_mesh, read_mesh

    options = job.options
    stamp = _stamp(job.scan)
    mesh = read_colored_mesh(job.scan) if options.use_color else read_mesh(job.scan)
    if detect is None:
        from palnet import detector

        detect = detector.detect
    detection = detect(mesh, unit=options.unit, model=options.model, use_color=options.use_color)
    landmarks = replace(detection.landmarks, specimen=job.specimen)
    written = landmarks.to_frame(options.frame)
    scan_sha256 = _hash_unchanged(job.scan, stamp)
    check_all_free(job)  # again, because detection takes a while
    # Drawn first, as it takes longest: an interruption then leaves no landmarks without a record.
    pictures, picture_notes = _try_preview(job, mesh, detection)
    kept = keep_changed(job) if options.overwrite else ()
    with _together(job) as landmark_files:
        refusals, notes = _write_landmark_files(job, written, landmark_files)
        files = (*landmark_files, *pictures)
        left = left_over(job, files)
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
        warnings=(*kept, *notes, *picture_notes, *left),
        record=record,
        landmarks=landmarks,
    )


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
    new = [p for p in (*job.landmark_files, job.record_file, *beside) if not p.exists()]
    written: list[Path] = []
    try:
        yield written
    except BaseException as err:
        # A file that appeared meanwhile belongs to another run, and so may all the other new ones.
        for path in written if isinstance(err, OutputExistsError) else new:
            with suppress(OSError):  # it was never written, and the error raised says why
                remove(path)
        raise


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
