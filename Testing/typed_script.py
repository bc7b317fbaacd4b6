# SPDX-License-Identifier: Apache-2.0
"""A user's script, whose types `make lint` checks and which a test runs.

It has arrays as trimesh and numpy give them, and lists; what must be an error to a type checker
bears an ignore, which mypy reports once it is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import palnet
from palnet.evaluation import compare, pair_specimens, summarize_landmarks
from palnet.measurement import match_scan, measure
from palnet.samples import example_scan, example_truth
from palnet.scheme import Distance, LandmarkDefinition
from palnet.surface import parse_unit, prepare_surface, project_onto_triangles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def study(
    vertices: NDArray[np.float32], faces: NDArray[np.int64], folder: Path
) -> dict[str, float]:
    """Detect, measure, save, read and compare."""
    mesh = palnet.Mesh(vertices, faces, name="P01")
    detection: palnet.Detection = palnet.detect(mesh, unit="mm")
    landmarks = detection.landmarks
    (file,) = palnet.write_landmarks(landmarks, folder / "P01.mrk.json")
    again = palnet.read_landmarks(str(file))
    pairs, alone = pair_specimens(iter([again]), (landmarks,))
    widths: dict[str, float] = {
        each.code: each.value for each in measure(landmarks, match_scan(mesh, landmarks))
    }
    errors = summarize_landmarks(compare(pairs))[0]
    assert not alone
    return widths | {"moved": errors.max_mm, "residual": detection.quality.residual_mm}


def lab_set() -> palnet.LandmarkSet:
    """Landmarks of a lab's own, from lists."""
    points = [LandmarkDefinition(code, code, "midline", "A point.") for code in ("n", "sn")]
    scheme = palnet.Scheme("lab2", points, [Distance("n", "sn")])
    return palnet.LandmarkSet(
        scheme, [[0, 0, 0], [0, 0, 50]], ["confirmed", "confirmed"], [0.5, 0.5], 1, "file", "P01"
    )


def gap_mm() -> float:
    """How far a point lies from a triangle."""
    mesh = palnet.Mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])
    surface = prepare_surface(mesh, parse_unit("mm"))
    return float(project_onto_triangles(surface, [[0.2, 0.2, 3.0]]).distances_mm[0])


def misspell() -> object:
    """A name that palnet does not have is none to a type checker either."""
    return palnet.detekt  # type: ignore[attr-defined]


def main(folder: Path) -> dict[str, float]:
    """Run it on the example."""
    scan, truth = palnet.read_mesh(example_scan()), palnet.read_landmarks(example_truth())
    figures = study(scan.points.astype(np.float32), scan.triangles.astype(np.int64), folder)
    tip: NDArray[np.float64] = truth.positions_mm[truth.scheme.index_of("prn")]
    return figures | {"tip": float(tip[0])}
