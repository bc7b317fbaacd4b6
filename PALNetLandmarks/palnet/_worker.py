# SPDX-License-Identifier: Apache-2.0
"""What a worker process does before it imports numpy."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading

__all__ = ["start_worker"]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "VTK_SMP_MAX_THREADS",
)
# What shells have for a program that was interrupted.
_INTERRUPTED = 130


def start_worker() -> None:
    """Prepare this process for its tasks; it ends with the one that started it, however that ends.

    It gets one thread: several processes with many threads each slow each other. Ctrl-C reaches
    every process; this one then ends without a word, and the one that started it says what is.
    """
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, lambda *_: sys.exit(_INTERRUPTED))


def _end_with_parent() -> None:
    """Wait for the parent's end: one that was killed ends no worker, which would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
