# SPDX-License-Identifier: Apache-2.0
"""A process of its own for what is measured, and its peak memory."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_new_process", "peak_memory_mb"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def in_new_process(work: Callable[[_Task], _Result], task: _Task) -> _Result:
    """Call a picklable function in a new process, and return its result or raise its exception."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, task).result()


def peak_memory_mb() -> float:
    """Return the peak memory of this process in MB, NaN on Windows.

    On Linux `ru_maxrss` is at least the peak of the process that started this one, since it
    survives the exec; VmHWM is of this program alone.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text("ascii").splitlines()
        return int(next(ln for ln in lines if ln.startswith("VmHWM")).split()[1]) / 2**10
    if sys.platform == "win32":
        return float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS reports bytes, others kilobytes.
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
