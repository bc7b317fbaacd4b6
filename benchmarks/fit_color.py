# SPDX-License-Identifier: Apache-2.0
"""Where the photo network's points lie beside ours, and how far it is off: `SEEN_BY_COLOR`.

Measured on painted development people (`benchmarks._paint`), half of each source, as stereo cameras
capture them, whose scans have color; no benchmark tests on these. It prints the constants of
`palnet.detection.combining`, and how far the two sources are apart (right and left are averaged).
Then how far most points of a person lie to one side, and how little the color varies around one:
what the limits for wrong colors have to let pass.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks._data import Task, add_common_options, add_people_options, tasks_in_turn
from benchmarks._paint import paint
from benchmarks._pool import run_tasks
from benchmarks._report import Table, to_markdown
from palnet.detection.combining import ANOTHER_MM, SEEN_BY_COLOR
from palnet.detection.finding import find_face
from palnet.detection.placing import place_landmarks
from palnet.errors import PalnetError
from palnet.model import read_model
from palnet.photo import color_surface, look_at_face
from palnet.photo.opinion import contrast_near
from palnet.similarity import apply_similarity
from palnet.surface import parse_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Development people, of whom nothing is measured.
FIRST_SEED = 2_900_000
PRESETS = ("two_pods", "five_pods")
MIRROR = np.array([-1.0, 1.0, 1.0])
"""From the subject's left to the right."""


class Seen(NamedTuple):
    """What the network sees of a person.

    Attributes
    ----------
    source : str
        Of the person's head.
    offsets_mm : dict
        Where it sees each landmark, minus the truth.
    shift_mm : float
        How far most landmarks lie to one side of where the shape has them.
    contrast : float
        Standard deviation of the brightness around a landmark, the least of all.
    """

    source: str
    offsets_mm: dict[str, NDArray[np.float64]]
    shift_mm: float = np.nan
    contrast: float = np.nan


def measure(task: Task) -> Seen:
    """Let the network see the landmarks of a person."""
    scan = task.draw()
    mesh = replace(scan.to_mesh(), colors=paint(scan, np.random.default_rng([task.seed, 5])))
    model = read_model(task.model)
    try:
        found = find_face(mesh, (parse_unit("mm"),), model, is_unit_known=True)
    except PalnetError:
        return Seen(task.source, {})
    colors = color_surface(found.face, mesh, found.face_from_scan)
    opinion = None if colors is None else look_at_face(found.face, colors)
    if colors is None or opinion is None:
        return Seen(task.source, {})
    placed = place_landmarks(found, model)
    to_face = partial(apply_similarity, found.face_from_scan)
    ours_mm, true_mm = to_face(placed.positions_mm), to_face(scan.landmarks_mm)
    offsets, apart = {}, []
    for code in SEEN_BY_COLOR:
        row = model.scheme.index_of(code)
        seen_mm = opinion.positions_mm[opinion.codes.index(code)]
        apart.append(seen_mm - SEEN_BY_COLOR[code].beside_mm - ours_mm[row])
        is_same = np.linalg.norm(seen_mm - ours_mm[row]) < ANOTHER_MM
        if scan.visible[row] and placed.is_placed[row] and is_same:
            offsets[code] = seen_mm - true_mm[row]
    shift_mm = float(np.linalg.norm(np.nanmedian(apart, axis=0)))
    rows = [model.scheme.index_of(code) for code in SEEN_BY_COLOR]
    contrast = float(np.nanmin(contrast_near(ours_mm[rows], found.face, colors)))
    return Seen(task.source, offsets, shift_mm, contrast)


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
    people = list(run_tasks(measure, tasks, jobs=arguments.jobs))
    for person in people:
        for code, offset in person.offsets_mm.items():
            is_left = code.endswith("_l")
            right = f"{code[:-2]}_r" if is_left else code
            offsets[right][person.source].append(offset * MIRROR if is_left else offset)
    table = Table(
        "Points of the photo network minus the truth, mm of the face frame",
        ("code", "left", "up", "front", "error", "sources apart", "seen"),
        tuple(_row(code, by_source) for code, by_source in offsets.items()),
    )
    print(to_markdown(table))
    shift_mm = np.nanmax([person.shift_mm for person in people])
    contrast = np.nanmin([person.contrast for person in people])
    print(f"Most points of a person lie {shift_mm:.1f} mm to one side at most.")
    print(f"The brightness around a point varies by {contrast:.1f} at least.")


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
