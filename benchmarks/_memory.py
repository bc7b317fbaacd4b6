# SPDX-License-Identifier: Apache-2.0
"""Peak memory of a process, without that of the process which started it."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["peak_memory_mb"]


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
