# SPDX-License-Identifier: Apache-2.0
"""Time and memory of `palnet detect --example` as a whole process, interpreter start included."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import THREAD_VARIABLES
from benchmarks._report import Report

TARGET_S, TARGET_MB = 3.0, 600.0
# Users have none of these set; the first would recompile every module at each start.
NOT_A_USERS = ("PYTHONDONTWRITEBYTECODE", *THREAD_VARIABLES)


@dataclass(frozen=True)
class Run:
    """Time and memory of one process."""

    seconds: float
    megabytes: float


def run_once(model: str | None) -> Run:
    """Run the command and measure its time and memory."""
    environment = {k: v for k, v in os.environ.items() if k not in NOT_A_USERS}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "palnet", "detect", "--example", "-o", folder]
        command += ["--model", model] if model else []
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        msg = f"palnet detect --example ended with {process.returncode}."
        raise SystemExit(msg)
    # Linux reports kilobytes, macOS bytes.
    return Run(seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="name or path of a model [the shipped one]")
    parser.add_argument("--repeats", type=int, default=5, help="[%(default)s]")
    parser.add_argument("--output", type=Path, help="JSON file [benchmarks/results/NAME.json]")
    arguments = parser.parse_args()
    first = run_once(arguments.model)
    runs = [run_once(arguments.model) for _ in range(arguments.repeats)]
    seconds = statistics.median(run.seconds for run in runs)
    megabytes = max(run.megabytes for run in runs)
    report = Report("cold_start", {"repeats": arguments.repeats})
    report.add_table(
        "`palnet detect --example`, whole process",
        ("", "target", f"median of {arguments.repeats}", "slowest", "first after installing"),
        [
            ("seconds", TARGET_S, seconds, max(run.seconds for run in runs), first.seconds),
            ("peak memory, MB", TARGET_MB, megabytes, megabytes, first.megabytes),
        ],
    )
    report.summary = {"seconds": seconds, "megabytes": megabytes}
    report.finish(arguments.output)


if __name__ == "__main__":
    main()
