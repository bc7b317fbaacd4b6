# SPDX-License-Identifier: Apache-2.0
"""Both ends of a round trip through R, by hand: docs/formats.md, "What was tested", says how.

`write DIR` writes landmark files, and as plain tables what a reader must find in them;
`read DIR` reads what `check_exchange.R` wrote and compares it with the same numbers.
"""

from __future__ import annotations

import csv
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from palnet.evaluation import align_cohort, select_complete
from palnet.exchange import FORMATS, read_landmarks, read_specimens, write_specimens
from palnet.samples import example_truth

if TYPE_CHECKING:
    from palnet.landmarks import LandmarkSet

# A blank, umlauts, a comma, digits only, a word that geomorph searches for, a long name.
NAMES = ("Anna Müller", "Größe, 3", "007", "SCALE 2", "x" * 100)
# Missing landmarks of each specimen in the set "holes": first, some, last, none.
HOLES: tuple[tuple[int, ...], ...] = ((0,), (3, 4, 30), (49,), (), (0, 49))
NOISE_MM = 2.0
# Morpho's write.fcsv writes seven digits.
ATOL = {"morpho.fcsv": 1e-4}
DEFAULT_ATOL = 1e-6


def make_sets() -> dict[str, list[LandmarkSet]]:
    """Turned, scaled and moved variants of the example, with negative numbers."""
    rng = np.random.default_rng(5)
    base = read_landmarks(example_truth())
    whole, holes = [], []
    for name, lost in zip(NAMES, HOLES, strict=True):
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        turn *= np.sign(np.linalg.det(turn))
        noisy = base.positions + rng.normal(0, NOISE_MM, base.positions.shape)
        points = (noisy @ turn.T * rng.uniform(0.9, 1.1) + rng.normal(0, 50, 3)).round(6)
        errors = np.full(len(points), np.nan)
        status = ["corrected"] * len(points)
        of_one = replace(base, specimen=name, status=tuple(status), expected_error_mm=errors)
        whole.append(replace(of_one, positions=points))
        points = points.copy()
        for row in lost:
            points[row], status[row] = np.nan, "missing"
        holes.append(replace(of_one, positions=points, status=tuple(status)))
    return {"whole": whole, "one": whole[:1], "holes": holes}


def write_all(folder: Path) -> None:
    """Write each set in every format that can hold it, and the tables."""
    sets = make_sets()
    expected, names = [], []
    for key, specimens in sets.items():
        for number, landmarks in enumerate(specimens, 1):
            rows = zip(landmarks.scheme.codes, landmarks.positions.tolist(), strict=True)
            expected += [[key, number, landmarks.specimen, code, *point] for code, point in rows]
        for entry in FORMATS.values():
            if not entry.holds_missing and key == "holes":
                continue
            if entry.holds_many:
                path = folder / f"{key}{entry.suffix}"
                write_specimens(specimens, path, rename=True, overwrite=True)
                written = written_names(path, specimens)
                names += [[path.name, k, name] for k, name in enumerate(written, 1)]
                continue
            for number, landmarks in enumerate(specimens, 1):
                path = folder / f"{key}_{number}{entry.suffix}"
                write_specimens([landmarks], path, overwrite=True)
    space = align_cohort(select_complete(sets["whole"]))
    shapes = zip(space.centroid_sizes_mm.tolist(), space.distances.tolist(), strict=True)
    means = zip(space.cohort.codes, space.mean.tolist(), strict=True)
    write_table(folder, "expected", ["set", "number", "specimen", "code", *"xyz"], expected)
    write_table(folder, "names", ["file", "number", "name"], names)
    write_table(folder, "sizes", ["centroid_size", "distance"], [list(row) for row in shapes])
    write_table(folder, "mean", ["code", *"xyz"], [[code, *point] for code, point in means])


def written_names(path: Path, specimens: list[LandmarkSet]) -> list[str]:
    """Names inside a file: the true ones, or those into which they were changed."""
    beside = path.with_name(f"{path.name}.frame.json")
    said = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    changed = {true: written for written, true in said.get("renamed", {}).items()}
    return [changed.get(entry.specimen, entry.specimen) for entry in specimens]


def write_table(folder: Path, name: str, header: list[str], rows: list[list[object]]) -> None:
    """Write a table that base R reads; NaN becomes empty."""
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows([["" if value != value else value for value in row] for row in rows])


def read_all(folder: Path) -> list[str]:
    """Compare the files that R wrote with the sets; return what differs."""
    sets, faults = make_sets(), []
    files = sorted((folder / "from_r").iterdir())
    for path in files:
        key, writer, ending = path.name.split("-", 2)
        chosen, _, number = key.partition("_")
        wanted = sets[chosen][int(number) - 1 :][:1] if number else sets[chosen]
        found = read_specimens(path, "palnet50")
        atol = ATOL.get(f"{writer}.{ending.rsplit('.', 1)[-1]}", DEFAULT_ATOL)
        is_same = len(found) == len(wanted) and all(
            np.allclose(a.positions, b.positions, rtol=0, atol=atol, equal_nan=True)
            for a, b in zip(found, wanted, strict=True)
        )
        print(f"{'ok  ' if is_same else 'FAIL'} {path.name}: {len(found)} specimens")
        if not is_same:
            faults.append(path.name)
    print(f"{len(files)} files of R read, {len(faults)} with faults")
    return faults


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    task, place = sys.argv[1], Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    if task == "write":
        write_all(place)
    else:
        sys.exit(bool(read_all(place)))
