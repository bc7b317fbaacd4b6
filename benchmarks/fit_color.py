# SPDX-License-Identifier: Apache-2.0
"""Where the photo network's points lie beside ours, and how far it is off: `SEEN_BY_COLOR`.

Measured on painted development people (`benchmarks._paint`), half of each source, as stereo cameras
capture them, whose scans have color; no benchmark tests on these. It prints the constants of
`palnet.combining`, and how far the two sources are apart. Right and left are averaged.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._data import Task, add_common_options, add_people_options, tasks_in_turn
from benchmarks._paint import paint
from benchmarks._pool import run_tasks
from benchmarks._report import Table, to_markdown
from palnet.combining import ANOTHER_MM, SEEN_BY_COLOR
from palnet.errors import PalnetError
from palnet.finding import find_face
from palnet.model import read_model
from palnet.photo import color_surface, look_at_face
from palnet.placing import place_landmarks
from palnet.similarity import apply_similarity
from palnet.surface import parse_unit, prepare_scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Development people, of whom nothing is measured.
FIRST_SEED = 2_900_000
PRESETS = ("two_pods", "five_pods")
MIRROR = np.array([-1.0, 1.0, 1.0])
"""From the subject's left to the right."""


def measure(task: Task) -> tuple[str, dict[str, NDArray[np.float64]]]:
    """Return where the network sees the landmarks of a person, minus the truth, in mm."""
    scan = task.draw()
    mesh = replace(scan.to_mesh(), colors=paint(scan, np.random.default_rng([task.seed, 5])))
    unit, model = parse_unit("mm"), read_model(task.model)
    try:
        found = find_face(prepare_scan(mesh, unit), (unit,), model, is_unit_known=True)
    except PalnetError:
        return task.source, {}
    colors = color_surface(found.face, mesh, found.face_from_scan)
    opinion = None if colors is None else look_at_face(found.face, colors)
    if opinion is None:
        return task.source, {}
    placed = place_landmarks(found, model)
    to_face = partial(apply_similarity, found.face_from_scan)
    ours_mm, true_mm = to_face(placed.positions_mm), to_face(scan.landmarks_mm)
    offsets = {}
    for code in SEEN_BY_COLOR:
        row = model.scheme.index_of(code)
        seen_mm = opinion.positions_mm[opinion.codes.index(code)]
        is_same = np.linalg.norm(seen_mm - ours_mm[row]) < ANOTHER_MM
        if scan.visible[row] and placed.is_placed[row] and is_same:
            offsets[code] = seen_mm - true_mm[row]
    return task.source, offsets


def main() -> None:
    """Print the constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    add_people_options(parser, people=300, first_seed=FIRST_SEED)
    arguments = parser.parse_args()
    tasks = tasks_in_turn(arguments, PRESETS)
    # By landmark of the right side, then by source.
    offsets: dict[str, dict[str, list[NDArray[np.float64]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for source, seen in run_tasks(measure, tasks, jobs=arguments.jobs):
        for code, offset in seen.items():
            is_left = code.endswith("_l")
            right = f"{code[:-2]}_r" if is_left else code
            offsets[right][source].append(offset * MIRROR if is_left else offset)
    table = Table(
        "Points of the photo network minus the truth, mm of the face frame",
        ("code", "left", "up", "front", "error", "sources apart", "seen"),
        tuple(_row(code, by_source) for code, by_source in offsets.items()),
    )
    print(to_markdown(table))


def _row(code: str, by_source: dict[str, list[NDArray[np.float64]]]) -> tuple[str | float, ...]:
    """Compute the row of a landmark: each source counts alike."""
    groups = [np.stack(group) for group in by_source.values()]
    medians = np.stack([np.median(group, axis=0) for group in groups])
    if not code.endswith("_r"):
        medians[:, 0] = 0.0  # the middle is seen in the middle: each picture is shown mirrored too
    beside = medians.mean(axis=0)
    errors = [np.linalg.norm(group - beside, axis=1).mean() for group in groups]
    apart = float(np.linalg.norm(np.ptp(medians, axis=0)))
    n_seen = sum(len(group) for group in groups)
    return (code, *map(float, beside), float(np.mean(errors)), apart, n_seen)


if __name__ == "__main__":
    main()
