# SPDX-License-Identifier: Apache-2.0
"""Effect of thinning very dense meshes on the landmarks, on the same meshes with and without it.

Generated scans are subdivided, with a little noise, to more vertices than a detection keeps. The
distance between both results is compared with that between two poses of the unthinned mesh, as the
effect of any other change of the input.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._data import (
    Task,
    add_common_options,
    add_people_options,
    draw_placement,
    place_mesh,
    settings_of,
    tasks_in_turn,
)
from benchmarks._dense import NOISE_MM, halve_edges
from benchmarks._pool import run_tasks
from benchmarks._report import Report
from palnet import detect
from palnet.errors import PalnetError
from palnet.surface import Mesh, _prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST_SEED = 3_400_000
KEPT_POINTS = _prepare.DENSE_POINTS


@dataclass(frozen=True)
class Row:
    """Result of one scan: errors of both results, and their distance, in millimetres."""

    name: str
    n_points: int
    as_it_is: float
    thinned: float
    apart: float
    apart_in_two_poses: float
    refusal: str


def measure(task: Task) -> Row:
    """Detect on one dense mesh unthinned, unthinned in another pose, and thinned."""
    rng = np.random.default_rng([task.seed, 6])
    scan = task.draw()
    points, triangles = scan.points_mm, scan.triangles
    while len(points) <= KEPT_POINTS:
        points, triangles = halve_edges(points, triangles)
    noisy = points.astype(np.float64) + NOISE_MM * rng.normal(size=points.shape)
    mesh = Mesh(noisy, triangles, name=str(task.seed))
    truth = np.where(scan.visible[:, None], scan.landmarks_mm.astype(np.float64), np.nan)
    poses = [draw_placement(rng, unit="mm") for _ in range(2)]
    found = []
    try:
        for pose, limit in ((poses[0], None), (poses[1], None), (poses[0], KEPT_POINTS)):
            _prepare.DENSE_POINTS = limit or len(points)
            landmarks = detect(place_mesh(mesh, pose), model=task.model).landmarks
            found.append(pose.from_file(landmarks.positions))
    except PalnetError as err:
        nan = float("nan")
        return Row(task.name, len(points), nan, nan, nan, nan, str(err))
    finally:
        _prepare.DENSE_POINTS = KEPT_POINTS
    whole, turned, thinned = found
    return Row(
        task.name,
        len(points),
        mean_distance(whole, truth),
        mean_distance(thinned, truth),
        mean_distance(whole, thinned),
        mean_distance(whole, turned),
        refusal="",
    )


def mean_distance(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Compute the mean distance in mm of the landmarks that both have."""
    return float(np.nanmean(np.linalg.norm(left - right, axis=1)))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    add_people_options(parser, people=20, first_seed=FIRST_SEED, jobs=1)
    arguments = parser.parse_args()
    rows = list(run_tasks(measure, tasks_in_turn(arguments), jobs=arguments.jobs))
    figures = np.array([[r.as_it_is, r.thinned, r.apart, r.apart_in_two_poses] for r in rows])
    means = [float(value) for value in np.nanmean(figures, axis=0)]
    report = Report("thinning", settings_of(arguments))
    columns = ("error as it is", "error thinned", "both apart", "two poses apart")
    report.add_table(
        f"Meshes of more than {KEPT_POINTS} vertices: mean over the landmarks shown, mm",
        ("scan", "vertices", *columns, "refusal"),
        [
            *(
                (r.name, r.n_points, *values, r.refusal)
                for r, values in zip(rows, figures.tolist(), strict=True)
            ),
            ("all (mean of scans)", None, *means, ""),
        ],
    )
    report.summary = dict(zip(columns, means, strict=True))
    report.notes.append(
        f"Thinned, the error is {means[1]:.2f} mm instead of {means[0]:.2f}; the landmarks lie "
        f"{means[2]:.2f} mm apart, those of two poses of the same mesh {means[3]:.2f}."
    )
    report.finish(arguments.output)


if __name__ == "__main__":
    main()
