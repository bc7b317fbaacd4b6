# SPDX-License-Identifier: Apache-2.0
"""Compared quantities: accuracy of the landmarks, and cost of detecting them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._errors import EARS_AND_CHEEKS
from benchmarks._memory import peak_memory_mb
from palnet import detect
from palnet.detection.finding import find_face
from palnet.evaluation import (
    Pair,
    compare,
    mean_pairwise_error_mm,
    pair_specimens,
    summarize_measurements,
)
from palnet.exchange import read_landmarks
from palnet.face.alignment import remove_scale
from palnet.face.region import extract_face
from palnet.measurement import load_measurement_plan
from palnet.model import read_model
from palnet.network.paper_patches import gather_sorted
from palnet.scheme import load_scheme
from palnet.surface import (
    parse_unit,
    project_onto_triangles,
    read_mesh,
    sample_surface,
)
from palnet.training.annotated.cohort import gather_sorted_patches, mean_landmarks
from palnet.training.annotated.faces import prepare_faces
from palnet.training.annotated.tuning_result import place_landmarks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from palnet.data_sets.dataset import DataSet
    from palnet.evaluation import MeasurementErrors
    from palnet.training.annotated.aligning import PreparedScan
    from palnet.training.annotated.folds import Fold

__all__ = [
    "ATLAS",
    "ERROR_COLUMNS",
    "MEANS",
    "Detecting",
    "count_parameters",
    "describe_errors",
    "measure_detection",
    "place_by_atlas_and_model",
    "place_means",
    "read_pairs",
]

MEANS, ATLAS = "mean landmarks", "atlas fit"
# Spacing of the sampled surface, as in the paper's preset.
SPACING_MM = 1.2
ERROR_COLUMNS = (
    *("scans", "points mm, all 50", "ears and cheeks", "the other 38"),
    *("all distances mm", "20 distances mm", "9 angles, degrees"),
)


def describe_errors(pairs: Sequence[Pair]) -> tuple[Any, ...]:
    """Compute `ERROR_COLUMNS`: means over people and landmarks, distances or angles."""
    errors = compare(pairs).errors_mm
    scheme = load_scheme()
    steady = np.array([code.split("_")[0] not in EARS_AND_CHEEKS for code in scheme.codes])
    clinical = {frozenset((d.a, d.b)) for d in scheme.distances}
    plan = load_measurement_plan(scheme.name)
    codes = {d.code for d in plan.definitions if frozenset(d.landmarks) in clinical}
    measured = summarize_measurements(pairs, plan)
    distances = [m for m in measured if m.kind == "distance" and m.code in codes]
    return (
        len(pairs),
        *(float(np.nanmean(part)) for part in (errors, errors[:, ~steady], errors[:, steady])),
        mean_pairwise_error_mm(pairs),
        _mean(distances),
        _mean([m for m in measured if m.kind == "angle"]),
    )


def _mean(measured: Sequence[MeasurementErrors]) -> float:
    """Average over measurements."""
    return float(np.mean([m.mean for m in measured])) if measured else float("nan")


def read_pairs(run: Path) -> list[Pair]:
    """Read the landmarks of all test people of a cross-validation, sorted by name."""
    scheme = load_scheme()
    predicted, truth = (
        [read_landmarks(path, scheme) for path in sorted((run / kind).glob("*.csv"))]
        for kind in ("predicted", "truth")
    )
    return pair_specimens(predicted, truth)[0]


def place_means(scans: Sequence[PreparedScan], folds: Sequence[Fold], n_points: int) -> list[Pair]:
    """Place the training people's mean landmarks, each on the nearest point of the surface.

    The number of points of a patch has no effect on the result.
    """
    pairs = []
    for fold in folds:
        means_mm = mean_landmarks([scans[row].aligned for row in fold.train])
        tested = [scans[row] for row in fold.test]
        starts = gather_sorted_patches([s.aligned for s in tested], means_mm, n_points).starts_mm
        found = zip(tested, starts, strict=True)
        pairs += [Pair(scan.to_file(mm), scan.truth) for scan, mm in found]
    return pairs


def place_by_atlas_and_model(
    data: DataSet, names: Sequence[str], model: str | None, folder: Path, *, jobs: int
) -> tuple[list[Pair], list[Pair]]:
    """Place landmarks by the fitted atlas alone and by the unchanged model, both untrained on this.

    Of the named people, those on whom a face is found; the faces are cached in the folder.
    """
    kept = read_model(model)
    faces = [
        face
        for face in prepare_faces(data, kept, folder, jobs=jobs)[0]
        if face.specimen in set(names)
    ]
    by_atlas = [
        Pair(face.to_file(face.project(kept.atlas.shape_landmarks(face.mode_weights))), face.truth)
        for face in faces
    ]
    return by_atlas, place_landmarks(faces, kept.network("landmarks"), kept.atlas)


def count_parameters(model: str | Path | None) -> int:
    """Count the landmark network's parameters; all methods share atlas and pose search."""
    return sum(weight.size for weight in read_model(model).network("landmarks").values())


@dataclass(frozen=True)
class Detecting:
    """What to time: a model, or `MEANS` or `ATLAS` with that model, on some scans."""

    how: str
    model: str | None
    meshes: tuple[Path, ...]
    n_points: int


def measure_detection(task: Detecting) -> tuple[float, float]:
    """Return median seconds per scan, from the file on, after a warm-up, and peak memory in MB.

    To be called in a process of its own.
    """
    seconds = []
    for path in (task.meshes[0], *task.meshes):
        start = time.perf_counter()
        _detect(path, task)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:])), peak_memory_mb()


def _detect(path: Path, task: Detecting) -> None:
    """Detect by one method; the baselines share the reading and the pose search."""
    if task.how not in (MEANS, ATLAS):
        detect(path, unit="mm", model=task.model)
        return
    model = read_model(task.model)
    found = find_face(read_mesh(path), (parse_unit("mm"),), model, is_unit_known=True)
    if task.how == ATLAS:
        project_onto_triangles(found.face, found.fit.landmarks_mm)
        return
    face = extract_face(found.surface, remove_scale(found.face_from_scan, model.atlas))
    cloud_mm = sample_surface(face, SPACING_MM).points_mm.astype(np.float32)
    gather_sorted(cloud_mm, model.atlas.landmark_mean_mm, task.n_points)
