# SPDX-License-Identifier: Apache-2.0
"""Many scans: one set of files a scan, and a result for each, whatever happens to the others."""

from __future__ import annotations

import os
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from palnet._files import check_free, file_hash, write_text
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
from palnet.landmarks import printable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from palnet.detector import Detection
    from palnet.landmarks import Frame, LandmarkSet
    from palnet.surface import Mesh

    Detect = Callable[..., Detection]

__all__ = [
    "BatchOptions",
    "ScanJob",
    "ScanResult",
    "find_scans",
    "plan_jobs",
    "process_scan",
    "scans_below",
]

# Folders whose names a scan's may take on.
MAX_DEPTH = 3

Outcome = Literal["done", "there", "refused", "unreadable", "failed"]


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
        Absolute paths, in the order given; those of a folder by name.

    Raises
    ------
    UsageError
        If a folder holds no mesh file.
    """
    from palnet.surface import MESH_SUFFIXES

    scans: dict[Path, None] = {}
    for path in map(Path, paths):
        found = [path]
        if path.is_dir():
            entries = path.rglob("*") if recursive else path.iterdir()
            found = sorted(entry for entry in entries if _is_scan(entry, MESH_SUFFIXES, path))
        if not found:
            n_below = len(scans_below([path]))
            hint = f" Scans in folders below: {n_below}; --recursive takes them." if n_below else ""
            known = ", ".join(MESH_SUFFIXES)
            msg = f"{path}: the folder holds no scan; expected files in {known}.{hint}"
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
        for pattern in ("*/*", "*/*/*")
        for entry in folder.glob(pattern)
        if _is_scan(entry, MESH_SUFFIXES, folder)
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
        One a scan. Scans of one name in several folders take the names of these as well, as many
        as tell them apart, where all files go into one folder. Scans that would still write the
        same files have an obstacle, all of them.
    """
    names = [scan.stem for scan in scans]
    for depth in range(1, MAX_DEPTH + 1):
        sharing = _by_target(scans, names, options)
        names = [
            "_".join((*scan.parent.parts[-depth:], scan.stem))
            if len(sharing[_target(scan, name, options)]) > 1
            else name
            for scan, name in zip(scans, names, strict=True)
        ]
    sharing = _by_target(scans, names, options)
    return [
        _plan_job(scan, name, sharing[_target(scan, name, options)], options)
        for scan, name in zip(scans, names, strict=True)
    ]


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
    start = time.perf_counter()
    outcome: Outcome
    try:
        if job.obstacle:
            raise UsageError(job.obstacle)
        if job.options.resume and _is_finished(job):
            return ScanResult(job.scan, "there", files=job.files)
        for path in job.files:
            check_free(path, overwrite=job.options.overwrite)
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


def _is_finished(job: ScanJob) -> bool:
    """Tell whether an earlier run has done the job: by its record, which is written last.

    A picture that is not there is no reason to detect again. What is neither the job's result nor
    nothing raises OutputExistsError: it might be somebody's work.
    """
    if not job.record_file.exists():
        left = [path for path in job.files if path.exists()]
        if left:
            msg = (
                f"{left[0]} exists, but no record of a finished detection: a run was broken off "
                "there, or it is somebody's work. Move it away, or run this scan with --overwrite."
            )
            raise OutputExistsError(msg)
        return False
    differing = _differing(job)
    if differing:
        msg = (
            f"{job.record_file} is of another {', '.join(differing)}. "
            "Choose another folder, or run this scan with --overwrite."
        )
        raise OutputExistsError(msg)
    absent = [path.name for path in job.landmark_files if not path.exists()]
    if absent:
        msg = (
            f"was done before, without {', '.join(absent)}. palnet convert makes that of what is "
            "there, with what a person corrected; --overwrite detects anew."
        )
        raise OutputExistsError(msg)
    return True


def _differing(job: ScanJob) -> list[str]:
    """Name in what the record that is there differs from the job."""
    from palnet._record import differences
    from palnet.model import find_model
    from palnet.surface import parse_unit

    asked = job.options
    return differences(
        job.record_file.read_text(encoding="utf-8", errors="replace"),
        scan_sha256=file_hash(job.scan),
        unit=None if asked.unit == "auto" else parse_unit(asked.unit).name,
        frame=asked.frame,
        model_sha256=file_hash(find_model(asked.model)),
    )


def _absolute(path: Path) -> Path:
    """Absolute and without "..", which would become part of a name."""
    return Path(os.path.normpath(path.absolute()))


def _is_scan(path: Path, suffixes: tuple[str, ...], folder: Path) -> bool:
    """Whether a file of a folder, or of one below it, is a mesh that nobody hid."""
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in suffixes and path.is_file() and not is_hidden


def _target(scan: Path, name: str, options: BatchOptions) -> str:
    """Name what two scans must not share; many file systems take Face and face for one name."""
    folder = options.output or scan.parent
    return str(folder.absolute() / printable_name(name)).casefold()


def _by_target(
    scans: Sequence[Path], names: Sequence[str], options: BatchOptions
) -> dict[str, list[Path]]:
    """Gather the scans whose files would have the same names."""
    sharing: dict[str, list[Path]] = defaultdict(list)
    for scan, name in zip(scans, names, strict=True):
        sharing[_target(scan, name, options)].append(scan)
    return sharing


def _plan_job(scan: Path, name: str, sharing: list[Path], options: BatchOptions) -> ScanJob:
    from palnet.exchange import get_format

    folder = (options.output or scan.parent).absolute()
    suffixes = [get_format(form).suffix for form in options.formats]
    others = ", ".join(str(other) for other in sharing if other != scan)
    obstacle = f"would write the same files as {others}. Rename one, or run them one by one."
    return ScanJob(
        scan=scan,
        specimen=printable_name(name),
        landmark_files=tuple(folder / f"{name}{suffix}" for suffix in suffixes),
        record_file=folder / f"{name}.palnet.json",
        preview_file=folder / f"{name}.palnet.png" if options.preview else None,
        options=options,
        obstacle=obstacle if others else "",
    )


def _detect_and_write(job: ScanJob, detect: Detect | None) -> ScanResult:
    """Do the work of a job; the record is written last and so vouches for the rest."""
    from palnet._record import describe_detection, record_text
    from palnet.surface import read_mesh

    options = job.options
    mesh = read_mesh(job.scan)
    detection = (detect or _default_detect())(mesh, unit=options.unit, model=options.model)
    landmarks = replace(detection.landmarks, specimen=job.specimen)
    written = landmarks.to_frame(options.frame)
    landmark_files, refusals, notes = _write_landmark_files(job, written)
    pictures, picture_notes = _try_preview(job, mesh, detection)
    files = (*landmark_files, *pictures)
    record = describe_detection(
        detection,
        written,
        scan_name=job.scan.name,
        scan_sha256=file_hash(job.scan),
        files=tuple(path.name for path in files),
    )
    write_text(job.record_file, record_text(record), overwrite=options.overwrite)
    return ScanResult(
        scan=job.scan,
        outcome="failed" if refusals else "done",
        message=" ".join(refusals),
        files=(*files, job.record_file),
        warnings=(*notes, *picture_notes),
        record=record,
        landmarks=landmarks,
    )


def _write_landmark_files(
    job: ScanJob, landmarks: LandmarkSet
) -> tuple[tuple[Path, ...], tuple[str, ...], tuple[str, ...]]:
    """Write each format; one that cannot hold these landmarks does not keep back the others.

    Gives the files written, why others were not, and what was written not quite as it is.
    """
    from palnet.exchange import FormatWarning, write_landmarks

    options = job.options
    files: list[Path] = []
    refusals = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FormatWarning)
        for name, path in zip(options.formats, job.landmark_files, strict=True):
            try:
                files += write_landmarks(
                    landmarks, path, format=name, overwrite=options.overwrite, rename=True
                )
            except FormatError as err:
                refusals.append(f"{path.name} was not written: {err}")
    return tuple(files), tuple(refusals), tuple(str(entry.message) for entry in caught)


def _default_detect() -> Detect:
    from palnet.detector import detect

    return detect


def _try_preview(
    job: ScanJob, mesh: Mesh, detection: Detection
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Draw the picture if one is asked for; a machine that cannot still gives the landmarks."""
    from palnet.preview import render_preview

    if job.preview_file is None:
        return (), ()
    try:
        render_preview(mesh, detection, job.preview_file, overwrite=job.options.overwrite)
    except PreviewError as err:
        return (), (str(err),)
    return (job.preview_file,), ()
