# SPDX-License-Identifier: Apache-2.0
"""Run the scans of a batch on the workers of a Dask cluster."""

from __future__ import annotations

import logging
import pickle
import platform
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import palnet
from palnet._dependencies import require
from palnet._record import read_record
from palnet._stored import counted
from palnet.batch import ScanResult
from palnet.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from palnet.jobs import ScanJob

    Process = Callable[[ScanJob], ScanResult]
    Notify = Callable[[str], None]

__all__ = ["run_on_cluster"]

# How long to look for a Dask scheduler before giving up.
_CONNECT_TIMEOUT_S = 20
# Beyond that, for what answers and then says no more, such as a web server.
_GREETING_TIMEOUT_S = 10
_WAIT_S = 0.1
# How long no scan ends before it is asked whether there is any worker.
_LOOK_S = 5.0

_DIED = (
    "the workers that tried it died, probably for lack of memory. Give them more, or one thread "
    "each (--nthreads 1)."
)
_NO_WORKER = (
    "the Dask scheduler has no worker (the log of one tells why it ended). Waiting for one; "
    "Ctrl-C ends the run, and --resume continues it."
)


def run_on_cluster(
    jobs: Sequence[ScanJob], scheduler: str, process: Process, notify: Notify
) -> Iterator[ScanResult]:
    """Process many scans on the workers of a Dask scheduler; yield each result when it is ready.

    `notify` is told why nothing happens, and of files that do not appear here. UsageError if no
    scheduler answers, ClusterError if the run cannot continue.
    """
    distributed = require("distributed", feature="a run on a Dask cluster")
    records: list[Path] = []
    with _without_tracebacks(), _connect(distributed, scheduler) as client:
        job_of = {client.submit(pickle.loads, _pack(process, job), pure=False): job for job in jobs}
        for future in _as_they_end(distributed.as_completed(list(job_of)), client, notify):
            job = job_of.pop(future)  # else the cluster would keep every result to the end
            result = _take_result(distributed, future, job, n_left=len(job_of) + 1)
            del future
            if result.outcome == "done":
                records.append(job.record_file)
            yield result
    unseen = [record for record in records if not _is_seen(record)]
    if unseen:
        notify(
            f"the files of {counted(len(unseen), 'scan')} done are not (yet) in "
            f"{unseen[0].parent} as this machine sees it. Are they on a disk of the workers' own? "
            "Use a folder that all see."
        )


class _Call:
    """Once unpickled, the result of a function.

    Unpickling by itself needs nothing that the scheduler or a worker may lack: either would end
    itself without an answer.
    """

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


def _pack(process: Process, job: ScanJob) -> bytes:
    packed = pickle.dumps((process, job, _is_new(job)))
    return pickle.dumps(_Call(work_here, palnet.__version__, platform.node(), packed))


def _is_new(job: ScanJob) -> bool:
    """Whether a scan has none of its files."""
    return not any(map(_is_seen, (*job.landmark_files, job.record_file)))


def work_here(version: str, sender: str, packed: bytes) -> ScanResult:
    """Process a scan on a worker, for the machine `sender`, whose palnet has this version."""
    here = platform.node()
    if palnet.__version__ != version:
        msg = (
            f"a worker on {here} has palnet {palnet.__version__}, this machine {version}. Install "
            "the same version on all"
        )
        raise ClusterError(msg)
    process, job, is_new = pickle.loads(packed)
    result: ScanResult = process(job)
    if is_new and result.outcome == "failed" and not (result.files or result.is_disk_full):
        result = _take_earlier(process, job, result)
    if here != sender and (result.outcome == "failed" or not _is_seen(job.scan)):
        result = replace(result, message=f"{result.message} (The worker ran on {here}.)")
    return result


def _take_earlier(process: Process, job: ScanJob, result: ScanResult) -> ScanResult:
    """Return what an earlier try of this run has done, if its worker died before it could tell.

    A failed scan had no files when the run began. Dask gives it to another worker, which finds
    those of the first one in its way.
    """
    if _is_new(job):
        return result
    again = process(replace(job, options=replace(job.options, resume=True)))
    if again.outcome != "there":
        return again
    return replace(again, outcome="done", record=read_record(job.record_file))


def _is_seen(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _connect(distributed: Any, scheduler: str) -> Any:
    """Return a client of the scheduler; whatever else answers there may never end to greet."""
    opened: Future[Any] = Future()

    def open_client() -> None:
        try:
            opened.set_result(distributed.Client(scheduler, timeout=_CONNECT_TIMEOUT_S))
        except Exception as err:  # noqa: BLE001  # passed on to the main thread, which tells it
            opened.set_exception(err)

    threading.Thread(target=open_client, daemon=True).start()
    end = time.monotonic() + _CONNECT_TIMEOUT_S + _GREETING_TIMEOUT_S
    while not opened.done() and time.monotonic() < end:
        time.sleep(_WAIT_S)  # on Windows Ctrl-C does not end other waits
    error = opened.exception() if opened.done() else TimeoutError("no greeting")
    if error is None:
        return opened.result()
    msg = (
        f"no Dask scheduler answers at {scheduler!r} ({error}). Check the address (not that of a "
        "worker or the dashboard), the firewall, and that the scheduler has the Dask version of "
        f"this machine, {distributed.__version__}."
    )
    raise UsageError(msg) from error


@contextmanager
def _without_tracebacks() -> Iterator[None]:
    """Keep Dask from logging a lost connection, which is told in one line, with a traceback."""
    logger = logging.getLogger("distributed.client")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _as_they_end(ended: Any, client: Any, notify: Notify) -> Iterator[Any]:
    """Yield the futures of scans as they end; tell it if there is no worker to wait for."""
    is_told, last = False, time.monotonic()
    while not ended.is_empty():
        if ended.has_ready():
            yield next(ended)
            is_told, last = False, time.monotonic()
            continue
        time.sleep(_WAIT_S)
        if time.monotonic() > last + _LOOK_S:
            has_workers = _has_workers(client)
            if not has_workers and not is_told:
                notify(_NO_WORKER)
            is_told, last = not has_workers, time.monotonic()


def _has_workers(client: Any) -> bool:
    try:
        return bool(client.nthreads())
    except OSError:  # the scheduler is lost, and so is soon every future
        return True


def _take_result(distributed: Any, future: Any, job: ScanJob, *, n_left: int) -> ScanResult:
    """Return the result of a scan; raise ClusterError for what no other scan would escape."""
    again = f"Scans left out: {n_left}. Repeat with --resume."
    try:
        error = None if future.cancelled() else future.exception()
        if error is None:
            result: ScanResult = future.result()
            return result
    except distributed.CancelledError as err:
        msg = f"the Dask scheduler was lost, or has dropped the scans. {again}"
        raise ClusterError(msg) from err
    if isinstance(error, ClusterError):
        msg = f"{error}. {again}"
        raise ClusterError(msg) from error
    if isinstance(error, ImportError):
        msg = (
            f"a worker cannot run palnet {palnet.__version__} ({error}). Install it on every "
            f"worker, as on this machine. {again}"
        )
        raise ClusterError(msg) from error
    if isinstance(error, distributed.KilledWorker):
        return ScanResult(job.scan, "failed", _DIED)
    message = f"unexpected {type(error).__name__}: {error}. Please report it."
    return ScanResult(job.scan, "failed", message)
