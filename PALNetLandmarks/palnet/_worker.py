# SPDX-License-Identifier: Apache-2.0
"""What a worker process does before it imports numpy."""

from __future__ import annotations

import os

__all__ = ["limit_threads"]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "VTK_SMP_MAX_THREADS",
)


def limit_threads() -> None:
    """Give this process one thread: several processes with many threads each slow each other."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"
