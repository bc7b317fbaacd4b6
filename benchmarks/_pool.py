# SPDX-License-Identifier: Apache-2.0
"""Run many tasks in a few processes, and say how long it takes."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

from palnet._parallel import map_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["run_tasks"]

PROGRESS_S = 20.0

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def run_tasks(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], *, jobs: int
) -> Iterator[_Result]:
    """Yield the results of `palnet._parallel.map_tasks`, with occasional progress lines."""
    start = last = time.monotonic()
    for done, result in enumerate(map_tasks(work, tasks, jobs=jobs), start=1):
        yield result
        now = time.monotonic()
        if now - last > PROGRESS_S:
            last = now
            left = (now - start) / done * (len(tasks) - done)
            print(f"{done} of {len(tasks)}, {left:.0f} s left", file=sys.stderr, flush=True)
