# SPDX-License-Identifier: Apache-2.0
"""Run many tasks in a few processes, and say how long it takes."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["run_tasks"]

PROGRESS_S = 20.0


def run_tasks(work: Callable[[Any], Any], tasks: Sequence[Any], *, jobs: int) -> Iterator[Any]:
    """Run all tasks in order, with occasional progress lines.

    Parameters
    ----------
    work : callable
        Called with one task; it must be picklable.
    tasks : sequence
        The tasks.
    jobs : int
        Number of processes; 1 runs in this one.

    Yields
    ------
    object
        The result of each task.
    """
    start = last = time.monotonic()
    for done, result in enumerate(_results(work, tasks, jobs), start=1):
        yield result
        now = time.monotonic()
        if now - last > PROGRESS_S:
            last = now
            left = (now - start) / done * (len(tasks) - done)
            print(f"{done} of {len(tasks)}, {left:.0f} s left", file=sys.stderr, flush=True)


def _results(work: Callable[[Any], Any], tasks: Sequence[Any], jobs: int) -> Iterator[Any]:
    if jobs == 1:
        yield from map(work, tasks)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, tasks)
