# SPDX-License-Identifier: Apache-2.0
"""Poll a background job from the main thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt

from PALNetLandmarksLib.job import SLICE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from PALNetLandmarksLib.job import BackgroundJob

# Short, so that the worker gets most of the time; see SLICE_S in job.py.
INTERVAL_MS = 5


class Poller:
    """Watches one job at a time.

    Parameters
    ----------
    on_end : callable
        Called with the job when it has ended by itself.
    on_tick : callable, optional
        Called with the job while it runs.
    slice_s : float
        How long the panel waits for the job at each poll; short if the user is not waiting for it.
    """

    def __init__(
        self,
        on_end: Callable[[BackgroundJob], None],
        on_tick: Callable[[BackgroundJob], None] | None = None,
        slice_s: float = SLICE_S,
    ) -> None:
        self._on_end, self._on_tick, self._slice_s = on_end, on_tick, slice_s
        self._job: BackgroundJob | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def is_running(self) -> bool:
        """Whether a job is being watched."""
        return self._job is not None

    def watch(self, job: BackgroundJob) -> None:
        """Watch a job, instead of any previous one.

        Parameters
        ----------
        job : BackgroundJob
            The job.
        """
        self.stop()
        self._job = job
        self._timer.start()

    def stop(self) -> None:
        """Drop the job: its thread runs to its end, but the result is ignored."""
        self._job = None
        self._timer.stop()

    def _poll(self) -> None:
        job = self._job
        if job is None:
            return
        if not job.poll(self._slice_s):
            if self._on_tick is not None:
                self._on_tick(job)
            return
        self._job = None
        self._timer.stop()
        self._on_end(job)
