# SPDX-License-Identifier: Apache-2.0
"""Run the scans of a batch: in this process, in other processes, or on a cluster."""

from __future__ import annotations

import multiprocessing
import queue
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TYPE_CHECKING

from palnet._cluster import run_on_cluster
from palnet._worker import deaf_at_first, start_worker, work_on
from palnet.batch import ScanResult, process_scan
from palnet.jobs import ScanJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Process = Callable[[ScanJob], ScanResult]

__all__ = ["run_jobs"]

_DIED = "the process working on it died, probably for lack of memory. Run it with fewer --jobs."
# On Windows Ctrl-C does not end a wait without a limit.
_WAIT_S = 0.1
# Ctrl-C ends a process that is still starting: so long its lane waits for the end of the whole run.
_PAUSE_S = 0.5


def run_jobs(
    jobs: Sequence[ScanJob],
    *,
    n_processes: int = 1,
    scheduler: str | None = None,
    process: Process = process_scan,
    notify: Callable[[str], None] = lambda _: None,
) -> Iterator[ScanResult]:
    """Process many scans and yield each result as soon as it is ready.

    A single scan is processed in this process. Several run in one-thread processes, one scan at a
    time in each, so that a crash affects no other scan; or on the workers of a Dask scheduler,
    which see the same folders. `process`, which must be importable, replaces
    `palnet.batch.process_scan`; `notify` is told why a cluster keeps one waiting. UsageError if no
    scheduler answers, ClusterError if it is lost, MissingDependencyError if Dask is not installed.
    """
    if scheduler is not None:
        yield from run_on_cluster(jobs, scheduler, process, notify)
    elif len(jobs) == 1:
        yield process(jobs[0])
    elif jobs:
        yield from _run_in_processes(jobs, min(n_processes, len(jobs)), process)


class _Lane:
    """A single worker process; a pool of several could not tell whose scan crashed it."""

    def __init__(self) -> None:
        self._pool = self._start()

    @staticmethod
    def _start() -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=start_worker)

    def run(self, job: ScanJob, process: Process) -> ScanResult:
        """Process one scan; replace the process if it crashed on it, or before.

        An interruption ends the whole run, even if it reached this process only.
        """
        try:
            future = self._submit(process, job)
        except BrokenProcessPool:
            self._replace()
            future = self._submit(process, job)
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, SystemExit):  # `palnet._worker.work_on` refuses all other scans
            raise KeyboardInterrupt from error
        if isinstance(error, BrokenProcessPool):
            self._replace()
        return _unexpected(job, error)

    def _submit(self, process: Process, job: ScanJob) -> Future[ScanResult]:
        """Hand out a scan; the first one starts the process."""
        with deaf_at_first():
            return self._pool.submit(work_on, process, job)

    def _replace(self) -> None:
        time.sleep(_PAUSE_S)
        self.close()
        self._pool = self._start()

    def close(self) -> None:
        """Stop the process."""
        self._pool.shutdown(cancel_futures=True)


def _run_in_processes(
    jobs: Sequence[ScanJob], n_processes: int, process: Process
) -> Iterator[ScanResult]:
    lanes: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
    for _ in range(n_processes):
        lanes.put(_Lane())
    threads = ThreadPoolExecutor(n_processes)
    # No other reference to the futures is kept, as each holds its result, 50 KB per scan.
    ended: queue.SimpleQueue[Future[ScanResult]] = queue.SimpleQueue()
    try:
        for job in jobs:
            threads.submit(_run_in_lane, lanes, job, process).add_done_callback(ended.put)
        for _ in jobs:
            yield _wait_for(ended).result()
    finally:
        threads.shutdown(cancel_futures=True)
        for _ in range(n_processes):
            lanes.get().close()


def _wait_for(ended: queue.SimpleQueue[Future[ScanResult]]) -> Future[ScanResult]:
    """Wait for the next scan to end, or for Ctrl-C."""
    while True:
        with suppress(queue.Empty):
            return ended.get(timeout=_WAIT_S)


def _run_in_lane(lanes: queue.SimpleQueue[_Lane], job: ScanJob, process: Process) -> ScanResult:
    lane = lanes.get()
    try:
        return lane.run(job, process)
    finally:
        lanes.put(lane)


def _unexpected(job: ScanJob, error: BaseException) -> ScanResult:
    """Turn an unexpected error of a worker into the result of its scan."""
    died = isinstance(error, BrokenProcessPool)
    message = _DIED if died else f"unexpected {type(error).__name__}: {error}. Please report it."
    return ScanResult(job.scan, "failed", message)
