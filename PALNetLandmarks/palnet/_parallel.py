# SPDX-License-Identifier: Apache-2.0
"""Distribute independent tasks over processes."""

from __future__ import annotations

import logging
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

from palnet._worker import start_worker, starting, work_on

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["run_tasks"]

logger = logging.getLogger(__name__)

LOG_EVERY = 500
# Windows cannot wait for more processes at once.
MAX_PROCESSES = 61

_Task = TypeVar("_Task")


def run_tasks(
    work: Callable[[_Task], None], tasks: Sequence[_Task], *, jobs: int, what: str
) -> None:
    """Run every task, in this process or in several new ones.

    `work` is sent to each process once, so it may hold what all tasks share. `what` says in the log
    what a task produces ("scans generated").
    """
    if jobs == 1 or len(tasks) <= 1:
        for done, task in enumerate(tasks, start=1):
            work(task)
            _log(done, len(tasks), what)
        return
    # New processes, because a fork of one with running torch threads can hang.
    with ProcessPoolExecutor(
        min(jobs, len(tasks), MAX_PROCESSES),
        mp_context=get_context("spawn"),
        initializer=_start,
        initargs=(pickle.dumps(work),),
    ) as pool:
        for done, _ in enumerate(pool.map(_run, tasks, chunksize=4), start=1):
            _log(done, len(tasks), what)


def _log(done: int, n_tasks: int, what: str) -> None:
    """Log the progress now and then."""
    if done % LOG_EVERY == 0 or done == n_tasks:
        logger.info("%d of %d %s", done, n_tasks, what)


_work: list[Callable[..., None]] = []


def _start(pickled: bytes) -> None:
    """Store in this process what all tasks share.

    It arrives pickled: unpickling imports numpy, which counts its threads on import.
    """
    start_worker()
    with starting():
        _work[:] = [pickle.loads(pickled)]


def _run(task: object) -> None:
    """Run one task in a started process."""
    work_on(_work[0], task)
