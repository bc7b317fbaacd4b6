# SPDX-License-Identifier: Apache-2.0
"""Detection of generated people of one or two sources in random poses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._data import Task, draw_placement, place_mesh
from benchmarks._stages import STAGES, run_stages
from palnet import detect
from palnet.errors import PalnetError
from palnet.model import read_model
from palnet.surface import parse_unit, prepare_surface, project_onto_triangles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from benchmarks._data import Placement
    from palnet.surface import Mesh
    from palnet.synthesis import GeneratedScan

__all__ = ["Person", "detection_errors", "groups_of", "measure", "tasks_of"]

# Centroid size of the 50 landmarks of adults: 511 mm on average in ICT-FaceKit, 490 in anny.
ADULT_MM = 500.0


@dataclass(frozen=True, eq=False)
class Person:
    """Result of a detection on one generated person.

    Attributes
    ----------
    source : str
        Source of the person.
    seed : int
        Seed of the person.
    about : dict
        Drawn parameters.
    visible : ndarray of shape (n_landmarks,)
        Which landmarks are visible in the scan.
    offsets_mm : ndarray of shape (n_stages, n_landmarks, 3), optional
        Found minus true, in the face frame; None if refused.
    on_surface_mm : ndarray of shape (n_landmarks,), optional
        Distance of the final landmark from the point of the scan that is nearest to the truth.
    is_placed : ndarray of shape (n_landmarks,), optional
        False if called missing.
    expected_mm : ndarray of shape (n_landmarks,), optional
        The expected error without the allowance for unseen sources, NaN if missing.
    refusal : str
        The reason, if refused.
    size : float
        Centroid size of the true landmarks beside that of adults.
    """

    source: str
    seed: int
    about: dict[str, object]
    visible: NDArray[np.bool_]
    offsets_mm: NDArray[np.float64] | None = None
    on_surface_mm: NDArray[np.float64] | None = None
    is_placed: NDArray[np.bool_] | None = None
    expected_mm: NDArray[np.float64] | None = None
    refusal: str = ""
    size: float = 1.0

    @property
    def errors_mm(self) -> NDArray[np.float64]:
        """Distances from the truth, (n_stages, n_landmarks)."""
        if self.offsets_mm is None:
            msg = f"{self.seed} was refused and has no errors."
            raise ValueError(msg)
        return np.asarray(np.linalg.norm(self.offsets_mm, axis=2))


def detection_errors(
    mesh: Mesh, placement: Placement, truth_mm: NDArray[np.floating], model: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | tuple[None, None]:
    """Detect a mesh as placed: errors and expected errors in mm, NaN if missing; None if refused.

    The expected errors are those that users are shown.
    """
    try:
        found = detect(place_mesh(mesh, placement), model=model).landmarks
    except PalnetError:
        return None, None
    apart_mm = placement.from_file(found.positions) - truth_mm
    return np.linalg.norm(apart_mm, axis=1), found.expected_error_mm


def tasks_of(
    sources: dict[str, Path], seeds: range, presets: tuple[str, ...], model: str | None
) -> list[Task]:
    """List equal numbers of people of each source, the sources in turn."""
    return [
        Task(seed, name, path, model, presets) for seed in seeds for name, path in sources.items()
    ]


def measure(task: Task) -> Person:
    """Detect one generated person in a random pose.

    The expected errors are those for people of the training sources, without the allowance for
    unseen sources that is added for users' scans (`benchmarks.unseen_source`).
    """
    scan = task.draw()
    size = _centroid_size_mm(scan.landmarks_mm) / ADULT_MM
    placement = draw_placement(np.random.default_rng([task.seed, 3]), unit="mm")
    who = (task.source, task.seed, dict(scan.description), scan.visible)
    model = read_model(task.model)
    known = replace(model.calibration, source_factor=1.0, source_power=1.0)
    model = replace(model, calibration=known)
    try:
        result = run_stages(place_mesh(scan.to_mesh(), placement), model, "mm")
    except PalnetError as err:
        return Person(*who, refusal=str(err), size=size)
    found = np.stack([placement.from_file(result.positions[stage]) for stage in STAGES])
    return Person(
        *who,
        found - scan.landmarks_mm,
        np.linalg.norm(found[-1] - _on_scan(scan), axis=1),
        result.is_placed,
        result.expected_error_mm,
        size=size,
    )


def _centroid_size_mm(landmarks_mm: NDArray[np.floating]) -> float:
    """Root of the summed squared distances from the centroid."""
    return float(np.linalg.norm(landmarks_mm - landmarks_mm.mean(axis=0)))


def _on_scan(scan: GeneratedScan) -> NDArray[np.float64]:
    """Find the point of the scan nearest to each true landmark, where a person would click."""
    surface = prepare_surface(scan.to_mesh(), parse_unit("mm"))
    return project_onto_triangles(surface, scan.landmarks_mm.astype(np.float64)).points_mm


def groups_of(person: Person) -> Iterator[str]:
    """List the groups of the table that a person belongs to."""
    about = person.about
    yield f"source: {person.source}"
    yield f"age: {about.get('age_group') or ('childlike' if about['childlike'] else 'adult')}"
    for key in ("sex", "shape_group"):
        if key in about:
            yield f"{key.replace('_', ' ')}: {about[key]}"
    yield f"condition: {about['condition']}"
    acts = about["expressions"]
    yield f"expression: {'some' if acts else 'none'}"
    for name, action in (("eyes closed", "eyeBlink_L"), ("mouth open", "jawOpen")):
        if acts.get(action, 0) > 0.1:  # type: ignore[attr-defined]  # a dict of weights
            yield f"expression: {name}"
    yield f"preset: {about['preset']}"
    yield f"hair: {about['hair']}"
