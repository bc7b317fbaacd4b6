# SPDX-License-Identifier: Apache-2.0
"""Measure the saved landmarks of the scans of a folder."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from palnet.errors import PalnetError
from palnet.measurement import match_scan, measure, table_of_measurements
from palnet.surface import read_mesh
from PALNetLandmarksLib.job import BackgroundJob
from PALNetLandmarksLib.measuring import find_plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from palnet.landmarks import LandmarkSet
    from palnet.measurement import Measurement, MeasurementPlan
    from palnet.surface import Mesh


class FolderMeasurement:
    """Measurements in a background thread, one scan after another, as by ``palnet measure``.

    Parameters
    ----------
    saved : mapping of tuple of Path to LandmarkSet
        Landmarks of a scan, or of one of several scans; as `folder_export.read_folder` returns.

    Attributes
    ----------
    job : BackgroundJob
        Its result is the table of all scans; None if it was stopped.
    n_scans, n_done : int
        Scans to measure, and those measured so far.
    without_arcs : list of str
        Names of scans that cannot be read, or on which their landmarks do not lie.
    remarks : list of str
        What the user should know about the choice of measurements.
    """

    def __init__(self, saved: Mapping[tuple[Path, ...], LandmarkSet]) -> None:
        self.n_scans, self.n_done = len(saved), 0
        self.without_arcs: list[str] = []
        self._is_stopped = threading.Event()
        schemes = {id(each.scheme): each.scheme for each in saved.values()}
        found = {key: find_plan(scheme) for key, scheme in schemes.items()}
        plans = {key: plan for key, (plan, _remark) in found.items()}
        self.remarks = list(dict.fromkeys(remark for _plan, remark in found.values() if remark))
        self.job = BackgroundJob(self._run, saved, plans)

    def stop(self) -> None:
        """End the job after the current scan."""
        self._is_stopped.set()

    def _run(
        self,
        saved: Mapping[tuple[Path, ...], LandmarkSet],
        plans: Mapping[int, MeasurementPlan],
    ) -> str | None:
        taken: list[tuple[str, tuple[Measurement, ...]]] = []
        for scans, landmarks in saved.items():
            if self._is_stopped.is_set():
                return None
            mesh = self._read_scan(scans, landmarks)
            taken.append(
                (landmarks.specimen, measure(landmarks, mesh, plans[id(landmarks.scheme)]))
            )
            self.n_done += 1
        return table_of_measurements(taken)

    def _read_scan(self, scans: tuple[Path, ...], landmarks: LandmarkSet) -> Mesh | None:
        """Read the scan on which landmarks lie, in their coordinates; None if they lie on none."""
        for scan in scans:
            with suppress(PalnetError):
                return match_scan(read_mesh(scan), landmarks)
        self.without_arcs += [scan.name for scan in scans]
        return None
