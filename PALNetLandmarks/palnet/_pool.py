# SPDX-License-Identifier: Apache-2.0
"""Where the scans of a batch are worked on: this process, processes beside it, or a cluster."""

from __future__ import annotations

import multiprocessing
import queue
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from palnet._dependencies import require
from palnet._worker import start_worker
from palnet.batch import ScanResult, process_scan
from palnet.errors import UsageError
from palnet.jobs import ScanJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Process = Callable[[ScanJob], ScanResult]

__all__ = ["run_jobs"]

_DIED = "the process working on it died, probably for lack of memory. Run it with fewer --jobs."
# How long to look for a Dask scheduler before saying that there is none.
_CONNECT_TIMEOUT_S = 20


def run_jobs(
    jobs: Sequence[ScanJob],
    *,
    n_processes: int = 1,
    scheduler: str | None = None,
    process: Process = process_scan,
) -> Iterator[ScanResult]:
    """Work on many scans and give each result as soon as it is there.

    A single scan is worked on in this process. Of several, each runs in a process with one
    thread, so that one that dies takes no other with it.

    Parameters
    ----------
    jobs : sequence of ScanJob
        What `palnet.jobs.plan_jobs` planned.
    n_processes : int, default 1
        Processes beside each other on this machine.
    scheduler : str, optional
        Address of a Dask scheduler whose workers see the same folders; replaces `n_processes`.
    process : callable, optional
        Stands in for `palnet.batch.process_scan`; it must be importable.

    Yields
    ------
    ScanResult
        One a job, in the order in which they end.

    Raises
    ------
    UsageError
        If no Dask scheduler answers.
    MissingDependencyError
        If a scheduler is given and Dask is not installed.
    """
    if scheduler is not None:
        yield from _run_on_cluster(jobs, scheduler, process)
    elif len(jobs) == 1:
        yield process(jobs[0])
    elif jobs:
        yield from _run_in_processes(jobs, min(n_processes, len(jobs)), process)


class _Lane:
    """One worker process at a time; a pool of several could not tell whose scan killed it."""

    def __init__(self) -> None:
        self._pool = self._start()

    @staticmethod
    def _start() -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=start_worker)

    def run(self, job: ScanJob, process: Process) -> ScanResult:
        """Work on one scan, and replace the process if it died of it, or before it."""
        try:
            future = self._pool.submit(process, job)
        except BrokenProcessPool:
            self._replace()
            future = self._pool.submit(process, job)
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, BrokenProcessPool):
            self._replace()
        return _unexpected(job, error)

    def _replace(self) -> None:
        self.close()
        self._pool = self._start()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(cancel_futures=True)


def _run_in_processes(
    jobs: Sequence[ScanJob], n_processes: int, process: Process
) -> Iterator[ScanResult]:
    lanes: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
    for _ in range(n_processes):
        lanes.put(_Lane())
    threads = ThreadPoolExecutor(n_processes)
    try:
        # The futures are kept nowhere else: each holds its result, 50 KB a scan.
        for future in as_completed(
            [threads.submit(_run_in_lane, lanes, job, process) for job in jobs]
        ):
            yield future.result()
    finally:
        threads.shutdown(cancel_futures=True)
        for _ in range(n_processes):
            lanes.get().close()


def _run_in_lane(lanes: queue.SimpleQueue[_Lane], job: ScanJob, process: Process) -> ScanResult:
    lane = lanes.get()
    try:
        return lane.run(job, process)
    finally:
        lanes.put(lane)


def _run_on_cluster(
    jobs: Sequence[ScanJob], scheduler: str, process: Process
) -> Iterator[ScanResult]:
    distributed = require("distributed", feature="a run on a Dask cluster")
    try:
        client = distributed.Client(scheduler, timeout=_CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as err:
        msg = f"no Dask scheduler answers at {scheduler!r} ({err}). Check address and firewall."
        raise UsageError(msg) from err
    with client:
        job_of = {client.submit(process, job, pure=False): job for job in jobs}
        for future in distributed.as_completed(list(job_of)):
            job = job_of.pop(future)  # or the cluster would keep each result to the end
            error = future.exception()
            yield future.result() if error is None else _unexpected(job, error)


def _unexpected(job: ScanJob, error: BaseException) -> ScanResult:
    """Turn what a worker did not foresee into the result of its one scan."""
    died = isinstance(error, BrokenProcessPool) or type(error).__name__ == "KilledWorker"
    message = _DIED if died else f"unexpected {type(error).__name__}: {error}. Please report it."
    return ScanResult(job.scan, "failed", message)
