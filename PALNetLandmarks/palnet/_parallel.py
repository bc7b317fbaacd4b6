# SPDX-License-Identifier: Apache-2.0
"""Distribute independent tasks over processes."""

from __future__ import annotations

import logging
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

from palnet._worker import deaf_at_first, start_worker, starting, work_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["map_tasks", "run_tasks"]

logger = logging.getLogger(__name__)

LOG_EVERY = 500
# Windows cannot wait for more processes at once.
MAX_PROCESSES = 61

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def run_tasks(
    work: Callable[[_Task], None], tasks: Sequence[_Task], *, jobs: int, what: str
) -> None:
    """Run every task as `map_tasks` does, and log the progress now and then.

    `what` says in the log what a task produces ("scans generated").
    """
    for done, _ in enumerate(map_tasks(work, tasks, jobs=jobs), start=1):
        if done % LOG_EVERY == 0 or done == len(tasks):
            logger.info("%d of %d %s", done, len(tasks), what)


def map_tasks(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], *, jobs: int
) -> Iterator[_Result]:
    """Yield the result of every task, in their order, from this process or several new ones.

    `work` is sent to each process once, so it may hold what all tasks share.
    """
    if jobs == 1 or len(tasks) <= 1:
        yield from map(work, tasks)
        return
    # New processes, because a fork of one with running torch threads can hang.
    with ProcessPoolExecutor(
        min(jobs, len(tasks), MAX_PROCESSES),
        mp_context=get_context("spawn"),
        initializer=_start,
        initargs=(pickle.dumps(work),),
    ) as pool:
        with deaf_at_first():
            results = pool.map(_run, tasks)
        yield from results


_work: list[Callable[..., Any]] = []


def _start(pickled: bytes) -> None:
    """Store in this process what all tasks share.

    It arrives pickled: unpickling imports numpy, which counts its threads on import.
    """
    start_worker()
    with starting():
        _work[:] = [pickle.loads(pickled)]


def _run(task: object) -> Any:
    """Run one task in a started process."""
    return work_on(_work[0], task)
