# SPDX-License-Identifier: Apache-2.0
"""Time and memory of a detection by number of vertices, compared with the published steps.

Everything from the file to the landmarks is timed, in one thread, without interpreter start. The
detection includes the pose search, which the published steps lack. Both read the same OBJ file with
this project's reader, alternating within one run. Of several repeats, the one with the least CPU
time counts. Ratios are of CPU time, which other programs on the machine disturb less than wall
time; the latter is shown as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks._data import Placement, add_common_options, generator_of, place_mesh, settings_of
from benchmarks._dense import make_head, write_obj
from benchmarks._memory import in_new_process, peak_memory_mb
from benchmarks._published import run_published_steps
from benchmarks._report import Report
from palnet import detect
from palnet.network.torch_paper import PalNet
from palnet.surface import write_ply

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIZES = "45000,100000,179000,400000,1600000"
REFERENCE_SIZE, LARGEST_SIZE = 100_000, 1_600_000
TARGET_RATIO, TARGET_GROWTH = 1.0, 6.0
STEPS = ("load", "even sampling", "patches", "forward", "averaging")


def timed(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Run a function that returns seconds per step; add the wall time "total" and "cpu"."""
    start, start_cpu = time.perf_counter(), time.process_time()
    steps = work()
    return {
        **steps,
        "total": time.perf_counter() - start,
        "cpu": time.process_time() - start_cpu,
    }


def stages_of(path: Path, model: str | None) -> dict[str, float]:
    """Detect once and return the seconds of the stages."""
    seconds: dict[str, float] = detect(path, model=model).provenance["seconds"]
    return seconds


def measure_memory_mb(model: str | None, path: Path) -> float:
    """Detect once and return this process's peak memory in megabytes, including libraries."""
    detect(path, model=model)
    return peak_memory_mb()


def measure(size: int, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Write one head as OBJ and as PLY and time both methods."""
    head, landmarks_mm = make_head(generator_of(arguments.ict), size)
    placement = _placement(arguments.turned)
    mesh = place_mesh(head, placement)
    paths = {"obj": folder / f"{size}.obj", "ply": folder / f"{size}.ply"}
    write_obj(mesh, paths["obj"])
    write_ply(mesh, paths["ply"])
    network = PalNet().eval()
    centres = placement.to_file(landmarks_mm)
    detect(paths["ply"], model=arguments.model)
    runs: dict[str, list[dict[str, float]]] = {"obj": [], "ply": [], "published": []}
    for _ in range(arguments.repeats):
        runs["published"].append(
            timed(partial(run_published_steps, paths["obj"], centres, network))
        )
        for kind in ("obj", "ply"):
            runs[kind].append(timed(partial(stages_of, paths[kind], arguments.model)))
    best = {kind: min(repeats, key=itemgetter("cpu")) for kind, repeats in runs.items()}
    detect_once = partial(measure_memory_mb, arguments.model)
    memory = {kind: in_new_process(detect_once, paths[kind]) for kind in ("obj", "ply")}
    for path in paths.values():
        path.unlink()
    return {"size": len(mesh.points), "triangles": len(mesh.triangles), **best, "mb": memory}


def _placement(turned: float) -> Placement:
    """Rotate the head about the vertical axis, so that the pose search has something to find."""
    angle = np.radians(turned)
    rotation = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    shift: NDArray[np.float64] = np.array([120.0, -40.0, 300.0])
    return Placement(rotation, shift, "mm")


def make_report(rows: list[dict[str, Any]], settings: dict[str, Any]) -> Report:
    """Put the figures into tables."""
    report = Report("speed", settings)
    report.add_table(
        "Detection and the published steps, one thread: seconds of processor time (by the clock)",
        (
            "vertices",
            "triangles",
            "published steps, OBJ",
            "detection, OBJ",
            "ratio",
            "detection, PLY",
            "peak MB, OBJ",
            "peak MB, PLY",
        ),
        [
            (
                row["size"],
                row["triangles"],
                _both(row["published"]),
                _both(row["obj"]),
                row["obj"]["cpu"] / row["published"]["cpu"],
                _both(row["ply"]),
                round(row["mb"]["obj"]),
                round(row["mb"]["ply"]),
            )
            for row in rows
        ],
    )
    stages = [name for name in rows[0]["obj"] if name not in ("total", "cpu")]
    report.add_table(
        "Where the time goes: detection from OBJ, seconds by the clock",
        ("vertices", *stages, "all"),
        [(row["size"], *(row["obj"][s] for s in stages), row["obj"]["total"]) for row in rows],
    )
    report.add_table(
        "Where the time goes: published steps, seconds by the clock",
        ("vertices", *STEPS, "all"),
        [(r["size"], *(r["published"][s] for s in STEPS), r["published"]["total"]) for r in rows],
    )
    _add_growth(report, rows)
    return report


def _both(run: dict[str, float]) -> str:
    """Format CPU time and wall time."""
    return f"{run['cpu']:.2f} ({run['total']:.2f})"


def _add_growth(report: Report, rows: list[dict[str, Any]]) -> None:
    """Add CPU time by number of vertices, both as multiples of the reference size."""
    base = next((row for row in rows if row["size"] == REFERENCE_SIZE), rows[0])
    growth = [
        (
            row["size"],
            row["size"] / base["size"],
            row["obj"]["cpu"] / base["obj"]["cpu"],
            row["ply"]["cpu"] / base["ply"]["cpu"],
            row["published"]["cpu"] / base["published"]["cpu"],
        )
        for row in rows
    ]
    report.add_table(
        f"Growth of the processor time, in multiples of {base['size']} vertices",
        ("vertices", "vertices x", "detection OBJ x", "detection PLY x", "published steps x"),
        growth,
    )
    report.summary = {
        "ratio_at_reference": base["obj"]["cpu"] / base["published"]["cpu"],
        "target_ratio": TARGET_RATIO,
        "growth_obj": {row[0]: row[2] for row in growth},
        "growth_ply": {row[0]: row[3] for row in growth},
        "target_growth_at_largest": TARGET_GROWTH,
    }
    report.notes.append(
        f"Targets: at most {TARGET_RATIO:g} x the published steps at {REFERENCE_SIZE} vertices, "
        f"{LARGEST_SIZE} vertices in at most {TARGET_GROWTH:g} x the time of {REFERENCE_SIZE}. "
        f"Reached: {report.summary['ratio_at_reference']:.2f} x at {base['size']}; "
        f"{growth[-1][0]} vertices in {growth[-1][2]:.1f} x (OBJ) and {growth[-1][3]:.1f} x (PLY)."
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    parser.add_argument("--sizes", default=SIZES, help="vertices [%(default)s]")
    parser.add_argument("--repeats", type=int, default=5, help="[%(default)s]")
    parser.add_argument("--turned", type=float, default=60.0, help="degrees [%(default)s]")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in (int(word) for word in arguments.sizes.split(",")):
            rows.append(measure(size, arguments, Path(folder)))
            print(f"{size}: {rows[-1]['obj']['total']:.2f} s", file=sys.stderr, flush=True)
    make_report(rows, settings_of(arguments)).finish(arguments.output)


if __name__ == "__main__":
    main()
