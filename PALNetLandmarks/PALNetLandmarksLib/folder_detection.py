# SPDX-License-Identifier: Apache-2.0
"""Detect the landmarks of the scans of a folder into files; the scene is not touched."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from palnet._files import check_writable, is_folder
from palnet.batch import process_scan
from palnet.errors import OutputError
from palnet.jobs import BatchOptions, plan_jobs
from palnet.landmarks import printable_name
from PALNetLandmarksLib.job import BackgroundJob
from PALNetLandmarksLib.saved_lists import LIST_SUFFIX, Progress, read_progress
from PALNetLandmarksLib.trained_models import read_trained_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.jobs import ScanJob
    from PALNetLandmarksLib.scan_folder import ScanFolder


class Outcome(NamedTuple):
    """What came of a scan.

    Attributes
    ----------
    scan : Path
        The mesh file.
    progress : Progress or None
        What is to review; None if no landmarks were placed.
    reason : str
        Why not; empty if they were placed.
    in_the_way : Path or None
        The landmark file that exists already, or the other scan of the same name, if that is why.
    """

    scan: Path
    progress: Progress | None
    reason: str
    in_the_way: Path | None = None


class FolderDetection:
    """Detections in a background thread, one after another, as ``palnet detect`` makes them.

    No landmarks that exist are replaced; a record whose landmarks are gone is.

    Parameters
    ----------
    folder : ScanFolder
        The folder, whose `lists_folder` gets the landmarks.
    scans : sequence of Path
        Scans of the folder.
    trained_model : str
        Name of a shipped model or path of a file.
    use_color : bool
        Whether color is used where there is any.
    unit : str
        Unit of all the scans, as `palnet.surface.parse_unit` reads it; "auto" finds it from the
        size of each.

    Attributes
    ----------
    job : BackgroundJob
        Its error is one that concerns all scans: a model that cannot be read, OutputError if
        nothing can be written into `lists_folder`, or NotADirectoryError if it is out of reach.
    outcomes : list of Outcome
        Grows while the job runs.
    """

    def __init__(
        self,
        folder: ScanFolder,
        scans: Sequence[Path],
        trained_model: str,
        *,
        use_color: bool = True,
        unit: str = "auto",
    ) -> None:
        self.folder, self.n_scans = folder, len(scans)
        self.outcomes: list[Outcome] = []
        self._is_stopped = threading.Event()
        options = BatchOptions(
            output=folder.lists_folder,
            formats=(LIST_SUFFIX.removeprefix("."),),
            unit=unit,
            model=trained_model,
            use_color=use_color,
        )
        self.job = BackgroundJob(self._run, scans, trained_model, options)

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._is_stopped.is_set()

    def stop(self) -> None:
        """End the job after the current scan."""
        self._is_stopped.set()

    def _run(self, scans: Sequence[Path], trained_model: str, options: BatchOptions) -> None:
        read_trained_model(trained_model)
        if is_folder(self.folder.lists_folder):
            check_writable(self.folder.lists_folder / "any")
        # Of all: a scan that is not detected now may have the name of one that is.
        jobs = {job.scan: job for job in plan_jobs(self.folder.scans, options)}
        for scan in scans:
            if self.is_stopped:
                return
            if not is_folder(self.folder.lists_folder):  # it would be made where a drive was
                raise NotADirectoryError(self.folder.lists_folder)
            self.outcomes.append(self._detect(jobs[scan]))

    def _detect(self, job: ScanJob) -> Outcome:
        """Detect the landmarks of a scan."""
        if job.obstacle:
            return Outcome(job.scan, None, job.obstacle, self._namesake(job.scan))
        path = job.landmark_files[0]
        result = process_scan(_begun_anew(job))
        if result.outcome == "done":
            return Outcome(job.scan, read_progress(path), "")
        reason = result.message.removeprefix(f"{job.scan}: ").removeprefix(f"{job.specimen}: ")
        if result.is_disk_full:
            raise OutputError(reason)
        return Outcome(job.scan, None, reason, path if path.exists() else None)

    def _namesake(self, scan: Path) -> Path | None:
        """Return another scan whose landmarks would have the same file."""
        others = (each for each in self.folder.scans if each != scan)
        return next((each for each in others if _name(each) == _name(scan)), None)


def _name(scan: Path) -> str:
    """Return the name of a scan as a file system may see it that ignores case and accents' form."""
    return printable_name(scan.stem).casefold()


def _begun_anew(job: ScanJob) -> ScanJob:
    """Let the record of a detection be replaced whose landmarks somebody has deleted."""
    if job.record_file.exists() and not job.landmark_files[0].exists():
        return replace(job, options=replace(job.options, overwrite=True))
    return job
