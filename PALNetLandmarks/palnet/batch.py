# SPDX-License-Identifier: Apache-2.0
"""Many scans: one set of files a scan, and a result for each, whatever happens to the others."""

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
    """What became of one scan.

    Attributes
    ----------
    scan : Path
        The mesh file.
    outcome : {"done", "there", "refused", "unreadable", "failed"}
        There: done before, and left as it is. Refused: read, but no landmarks may be placed on it.
        Failed: anything else.
    message : str
        Why it is not done; empty if it is.
    files : tuple of Path
        The files written.
    warnings : tuple of str
        What went less well than hoped, such as a picture that could not be drawn.
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
        What to do.
    detect : callable, optional
        Stands in for `palnet.detect`.

    Returns
    -------
    ScanResult
        The outcome; a scan that cannot be done is an outcome, not an exception.
    """
    from palnet.surface import MESH_SUFFIXES, read_mesh

    start = time.perf_counter()
    outcome: Outcome
    try:
        if job.obstacle:
            raise UsageError(job.obstacle)
        if job.scan.suffix.lower() not in MESH_SUFFIXES:
            read_mesh(job.scan)  # says what it is, before anybody is told to overwrite its results
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
    """Require that all files of the job may be written, but a picture that may be drawn again."""
    for path in _files_of_work(job) if job.options.resume else job.files:
        check_free(path, overwrite=job.options.overwrite)


def _is_finished(job: ScanJob) -> bool:
    """Tell whether an earlier run has done the job: by its record, which is written last.

    A picture that is not there is no reason to detect again. What is neither the job's result nor
    nothing raises OutputExistsError: it might be somebody's work.
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
    """Require that landmark files which are not as they were written can be read."""
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
    """All files but the picture: a run that goes on may draw that of one broken off again."""
    return (*job.landmark_files, job.record_file)


def _not_drawn(job: ScanJob) -> tuple[str, ...]:
    """Tell of a picture that was asked for, of a scan that was done before without one."""
    if job.preview_file is None or job.preview_file.exists():
        return ()
    text = (
        f"was done before, without {job.preview_file.name}. palnet measure draws the existing "
        "landmarks, with all corrections; --overwrite detects again."
    )
    return (text,)


def _check_other_names(job: ScanJob) -> None:
    """Require that the scan was not done under a shorter name, before others of that name came."""
    from palnet._record import scan_hash

    name, folder = job.record_file.name, job.record_file.parent
    while "_" in name:
        name = name.split("_", 1)[1]
        record = folder / name
        if record.exists() and scan_hash(_text_of(record)) == file_hash(job.scan):
            msg = (
                f"was done before as {name.removesuffix('.palnet.json')}, when no other scan had "
                f"that name. Rename its files to {job.specimen}, or move them away."
            )
            raise OutputExistsError(msg)


def _text_of(record: Path) -> str:
    return record.read_text(encoding="utf-8", errors="replace")


def _differing(job: ScanJob) -> list[str]:
    """Name in what the record that is there differs from the job."""
    from palnet._record import differences
    from palnet.model import find_model
    from palnet.surface import parse_unit

    asked = job.options
    return differences(
        _text_of(job.record_file),
        scan_sha256=file_hash(job.scan),
        unit=None if asked.unit == "auto" else parse_unit(asked.unit).name,
        frame=asked.frame,
        model_sha256=file_hash(find_model(asked.model)),
    )


def _detect_and_write(job: ScanJob, detect: Detect | None) -> ScanResult:
    """Do the work of a job; the record is written last and so vouches for the rest."""
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
    _check_all_free(job)  # again, for that took a while
    # It takes longest: whoever breaks off then finds no landmarks without their record.
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
    """Copy the landmark files that are not as they were written before they are replaced."""
    from palnet.exchange import sidecar_path

    notes = []
    for path in job.landmark_files:
        both = [file for file in (path, sidecar_path(path)) if file.exists()]
        if not path.exists() or not any(_is_changed(file, former) for file in both):
            continue
        number = next(n for n in count(1) if not _copy_of(path, n).exists())
        for file in both:  # the second says unit and axes
            shutil.copy2(file, _copy_of(file, number))
        notes.append(
            f"{path.name} was changed after the detection: kept as {_copy_of(path, number).name}."
        )
    return tuple(notes)


def _is_changed(file: Path, former: dict[str, str]) -> bool:
    """Whether a file is not as its record has it, or in no record: then it may be somebody's."""
    return former.get(file.name) != file_hash(file)


def _copy_of(path: Path, number: int) -> Path:
    """A name beside a file that no reader takes for landmarks."""
    return Path(f"{path}.bak" if number == 1 else f"{path}.{number}.bak")


def _stamp(scan: Path) -> tuple[int, int] | None:
    """Tell apart two states of a file, None where there is none."""
    try:
        state = scan.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _hash_unchanged(scan: Path, stamp: tuple[int, int] | None) -> str:
    """Hash a scan; one that was changed since it was read is not what the landmarks are of."""
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
    """Take away what was written if anything ends the work before the record is written.

    What was there before is not touched: it is somebody's, or an earlier detection's. Gives a list
    to note the files in that are written.
    """
    from palnet.exchange import sidecar_path

    beside = [sidecar_path(path) for path in job.landmark_files]
    new = [path for path in (*_files_of_work(job), *beside) if not path.exists()]
    written: list[Path] = []
    try:
        yield written
    except BaseException as err:
        # A file that came meanwhile is of another run, and so may be all that were not there.
        for path in written if isinstance(err, OutputExistsError) else new:
            with suppress(OSError):  # it was not written, and what kept it from that is told
                path.unlink()
        raise


def _files_of_record(job: ScanJob) -> dict[str, str]:
    """Hashes of the files of an earlier detection, by their names."""
    from palnet._record import files_of

    return files_of(_text_of(job.record_file)) if job.record_file.exists() else {}


def _left_over(job: ScanJob, names: set[str]) -> tuple[str, ...]:
    """Tell of files of the detection that was replaced, which were not written again."""
    there = sorted(name for name in names if (job.record_file.parent / name).exists())
    if not there:
        return ()
    return (f"{', '.join(there)} kept from the detection that was replaced.",)


def _write_landmark_files(
    job: ScanJob, landmarks: LandmarkSet, files: list[Path]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write each format; one that cannot hold these landmarks does not keep back the others.

    Notes the files written; gives why others were not, and what was written not quite as it is.
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
    """Draw the picture if one is asked for; a machine that cannot still gives the landmarks."""
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
