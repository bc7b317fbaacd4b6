# SPDX-License-Identifier: Apache-2.0
"""Set up a worker process before it imports numpy."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["deaf_at_first", "start_worker", "starting", "work_on"]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "VTK_SMP_MAX_THREADS",
)
# Exit code that shells use for an interrupted program.
_INTERRUPTED = 130

_stopped = threading.Event()
_at_work = threading.Event()

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@contextmanager
def deaf_at_first() -> Iterator[None]:
    """Start processes that Ctrl-C reaches in `start_worker`, not in their first imports.

    A process inherits which signals the thread that starts it has blocked. Windows has no such
    thing.
    """
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its start unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker() -> None:
    """Prepare this process for its tasks; it ends when its parent ends, for whatever reason.

    It gets one thread, because several processes with many threads slow each other down. Ctrl-C
    reaches every process; workers exit silently and the parent reports it.
    """
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, lambda *_: _stopped.set())
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGINT, _stop)


@contextmanager
def starting() -> Iterator[None]:
    """Prepare for the tasks of a pool; Ctrl-C meanwhile ends each of them, not the preparation.

    A pool prints what ends a preparation, and imports may turn it into errors of their own.
    """
    handler = signal.signal(signal.SIGINT, lambda *_: _stopped.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def work_on(work: Callable[[_Task], _Result], task: _Task) -> _Result:
    """Run a task, unless Ctrl-C has reached this process.

    A pool passes on what ends a task, `SystemExit` too, and its worker takes the next one: some are
    handed out in advance.
    """
    if _stopped.is_set():
        sys.exit(_INTERRUPTED)
    _at_work.set()
    try:
        return work(task)
    finally:
        _at_work.clear()


def _stop(*_: object) -> None:
    """End the current task, or the process if there is none.

    Ctrl-C pressed again does not interrupt a task that removes its unfinished files.
    """
    if not (_stopped.is_set() and _at_work.is_set()):
        _stopped.set()
        sys.exit(_INTERRUPTED)


def _end_with_parent() -> None:
    """Exit when the parent does: a killed parent stops no workers, which would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
