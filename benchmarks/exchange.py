# SPDX-License-Identifier: Apache-2.0
"""Time and memory of writing many specimens in each landmark format, one process per format.

Specimens are generated while writing, as if they came from files. A format with one specimen per
file writes that many files, and as many sidecar files if it needs them. Reading them back is timed
too, and the result is compared with what was written. CPU time is what an idle machine would take,
apart from waiting for the disk.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._memory import in_new_process, peak_memory_mb
from benchmarks._report import Report
from palnet.exchange import FORMATS, read_specimens, write_landmarks, write_specimens
from palnet.landmarks import LandmarkSet
from palnet.scheme import load_scheme

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGET_S, TARGET_MB = 20.0, 1000.0
# Half of the last digit, as numbers are written with six decimals.
HALF_STEP = 5.1e-7


@dataclass(frozen=True)
class Run:
    """Result of one format in its own process."""

    write_s: float
    write_cpu_s: float
    read_s: float
    peak_mb: float
    file_mb: float


def make_specimens(count: int) -> Iterator[LandmarkSet]:
    """Generate specimens with every landmark, in millimetres, lazily."""
    scheme = load_scheme()
    for number in range(count):
        yield LandmarkSet(
            scheme=scheme,
            positions=np.random.default_rng(number).normal(0, 60, (len(scheme), 3)),
            status=tuple(["detected"] * len(scheme)),
            expected_error_mm=np.full(len(scheme), 1.5),
            mm_per_unit=1.0,
            frame="LPS",
            specimen=f"case_{number:05d}",
        )


def measure_here(name: str, count: int, folder: Path) -> Run:
    """Write and read in this process."""
    entry = FORMATS[name]
    start, start_cpu = time.perf_counter(), time.process_time()
    if entry.holds_many:
        files = [folder / f"cohort{entry.suffix}"]
        write_specimens(make_specimens(count), files[0])
    else:
        files = [folder / f"case_{number:05d}{entry.suffix}" for number in range(count)]
        for path, landmarks in zip(files, make_specimens(count), strict=True):
            write_landmarks(landmarks, path)
    write_s, write_cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
    peak_mb = peak_memory_mb()
    start = time.perf_counter()
    back = (landmarks for path in files for landmarks in read_specimens(path))
    for found, true in zip(back, make_specimens(count), strict=True):
        if found.specimen != true.specimen or np.abs(found.positions - true.positions).max() > (
            HALF_STEP
        ):
            msg = f"{name}: {true.specimen} was read differently from how it was written."
            raise SystemExit(msg)
    read_s = time.perf_counter() - start
    file_mb = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    return Run(write_s, write_cpu_s, read_s, peak_mb, file_mb)


def measure(name: str, count: int) -> Run:
    """Write and read in a new process, to measure the memory of this format only."""
    with tempfile.TemporaryDirectory() as folder:
        return in_new_process(partial(measure_here, name, count), Path(folder))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--number", type=int, default=10_000, help="specimens [%(default)s]")
    parser.add_argument("--output", type=Path, help="JSON file [benchmarks/results/NAME.json]")
    arguments = parser.parse_args()
    runs = {name: measure(name, arguments.number) for name in FORMATS}
    report = Report("exchange", {"specimens": arguments.number})
    report.add_table(
        f"{arguments.number} specimens of 50 landmarks, one process a format "
        f"(target: written in {TARGET_S:.0f} s and {TARGET_MB:.0f} MB)",
        ("format", "files", "write, s", "processor, s", "peak memory, MB", "read, s", "size, MB"),
        [
            (
                name,
                1 if FORMATS[name].holds_many else arguments.number,
                run.write_s,
                run.write_cpu_s,
                run.peak_mb,
                run.read_s,
                run.file_mb,
            )
            for name, run in runs.items()
        ],
    )
    report.summary = {
        "slowest_write_s": max(run.write_s for run in runs.values()),
        "largest_peak_mb": max(run.peak_mb for run in runs.values()),
    }
    report.finish(arguments.output)


if __name__ == "__main__":
    main()
