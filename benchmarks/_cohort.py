# SPDX-License-Identifier: Apache-2.0
"""A generated cohort in LAFAS form: healthy adults, every landmark, a matrix."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._data import draw_placement, generator_of, place_mesh
from benchmarks._dense import write_obj
from benchmarks._pool import run_tasks
from palnet.data_sets.dataset import place_truth
from palnet.detection.finding import find_face
from palnet.errors import ScanRefusedError
from palnet.exchange import write_landmarks
from palnet.face.alignment import remove_scale
from palnet.model import read_model
from palnet.scheme import load_scheme
from palnet.surface import parse_unit
from palnet.synthesis import draw_person

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.model import Model
    from palnet.surface import Mesh

__all__ = ["FIRST_COHORT_SEED", "Subject", "fill_cohort", "subjects_of"]

# Seeds used only by this benchmark: a thousand per subject, of which the first suitable is taken.
FIRST_COHORT_SEED = 6_000_000
SEEDS_EACH = 1000
ABOUT_FILE = "subject.json"
PEOPLE_FILE = "people.csv"


@dataclass(frozen=True)
class Subject:
    """A subject to draw into `folder` by the source in `path`, with `n_shown` visible landmarks."""

    folder: Path
    path: Path
    first_seed: int
    presets: tuple[str, ...]
    n_shown: int


def subjects_of(
    folder: Path, sources: dict[str, Path], n_people: int, presets: tuple[str, ...], n_shown: int
) -> list[Subject]:
    """List the subjects, from each source in turn."""
    paths = list(sources.values())
    return [
        Subject(
            folder / f"subject{number + 1:03d}",
            paths[number % len(paths)],
            FIRST_COHORT_SEED + SEEDS_EACH * number,
            presets,
            n_shown,
        )
        for number in range(n_people)
    ]


def fill_cohort(
    subjects: Sequence[Subject], *, model: str | None, jobs: int
) -> list[dict[str, Any]]:
    """Draw and write the subjects that do not exist yet; `model` finds the poses for matrices.

    For each subject, returns seed, preset, person, and why other seeds were rejected. Two subjects
    from the same whole head are one person and stay in one part of a fold.
    """
    todo = [subject for subject in subjects if not (subject.folder / ABOUT_FILE).exists()]
    if todo:
        print(f"cohort: {len(todo)} of {len(subjects)} subjects to draw", file=sys.stderr)
        list(run_tasks(partial(_make, model), todo, jobs=jobs))
    drawn = []
    for subject in subjects:
        about = json.loads((subject.folder / ABOUT_FILE).read_text(encoding="utf-8"))
        head = about.get("head")
        about["person"] = subject.folder.name if head is None else f"{subject.path.stem}-{head}"
        drawn.append(about)
    lines = [f"{s.folder.name},{about['person']}" for s, about in zip(subjects, drawn, strict=True)]
    text = "\n".join(["specimen,person", *lines]) + "\n"
    (subjects[0].folder.parent / PEOPLE_FILE).write_text(text, encoding="utf-8")
    return drawn


def _make(model: str | None, subject: Subject) -> None:
    """Write the first suitable seed; the folder is created atomically."""
    generator = generator_of(subject.path, subject.presets)
    passed = {"no healthy adult": 0, "landmarks not shown": 0, "refused": 0}
    for seed in range(subject.first_seed, subject.first_seed + SEEDS_EACH):
        # A scan draws its person first, so unsuitable ones can be rejected early.
        if not _is_healthy_adult(draw_person(generator.model, np.random.default_rng(seed))):
            passed["no healthy adult"] += 1
            continue
        scan = generator.draw(seed)
        if np.count_nonzero(scan.visible) < subject.n_shown:
            passed["landmarks not shown"] += 1
            continue
        placement = draw_placement(np.random.default_rng([seed, 1]), "mm")
        mesh = place_mesh(scan.to_mesh(), placement)
        try:
            matrix = _find_matrix(mesh, read_model(model))
        except ScanRefusedError:
            passed["refused"] += 1
            continue
        about = {name: scan.description.get(name) for name in ("seed", "preset", "head")}
        about["passed_over"] = passed
        _write(subject.folder, mesh, matrix, placement.to_file(scan.landmarks_mm), about)
        return
    msg = f"{subject.folder.name}: none of {SEEDS_EACH} seeds does; lower --shown."
    raise SystemExit(msg)


def _is_healthy_adult(person: Any) -> bool:
    """Whether a person is neither childlike, nor a child, nor old, and has no condition."""
    about = person.description
    is_adult = about.get("age_group", "adult") == "adult" and not about.get("childlike", 0.0)
    return bool(is_adult and about["condition"] == "none")


def _find_matrix(mesh: Mesh, model: Model) -> NDArray[np.float64]:
    """Find the rigid transform to the common frame by the pose search, which uses no landmarks."""
    found = find_face(mesh, (parse_unit("mm"),), model, is_unit_known=True)
    return remove_scale(found.face_from_scan, model.atlas)


def _write(
    folder: Path,
    mesh: Mesh,
    matrix: NDArray[np.float64],
    positions: NDArray[np.float64],
    about: dict[str, Any],
) -> None:
    """Write one subject in LAFAS form."""
    # Outside the cohort, so that an incomplete subject is never read.
    draft = folder.parent.with_name(f"{folder.parent.name}-drafts") / folder.name
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    truth = place_truth(positions, load_scheme(), folder.name, mm_per_unit=1.0, space=mesh.space)
    write_obj(mesh, draft / "mesh.obj")
    np.save(draft / "transformation_matrix.npy", matrix)
    write_landmarks(truth, draft / "landmarks.txt", format="lafas", overwrite=True)
    (draft / ABOUT_FILE).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)
