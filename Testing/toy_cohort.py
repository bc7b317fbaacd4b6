# SPDX-License-Identifier: Apache-2.0
"""A data set of annotated toy heads, in the layout of a lab."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np

from palnet.exchange import write_landmarks
from palnet.landmarks import LandmarkSet
from palnet.scheme import scheme_to_dict
from palnet.surface import Mesh, write_ply
from toy_head import toy_model, toy_scheme

if TYPE_CHECKING:
    from pathlib import Path


def toy_person(seed: int) -> tuple[Mesh, np.ndarray]:
    """Make a head and its 13 landmarks, in millimetres in the face frame."""
    model = toy_model()
    weights = np.random.default_rng(seed).normal(0, 0.8, len(model.identity_mm))
    points = model.neutral_mm + np.tensordot(weights, model.identity_mm, axes=1)
    fine = np.asarray(model.refine @ points, dtype=np.float64)
    mesh = Mesh(fine, np.asarray(model.fine_triangles, dtype=np.int32), f"p{seed}")
    return mesh, fine[model.landmark_points]


def toy_landmarks(positions_mm: np.ndarray, specimen: str, **changes: object) -> LandmarkSet:
    """Make a landmark set in the file's own millimetres; a row of NaN is missing."""
    there = np.isfinite(positions_mm).all(axis=1).tolist()
    values = {
        "scheme": toy_scheme(),
        "positions": positions_mm,
        "status": tuple("corrected" if each else "missing" for each in there),
        "expected_error_mm": np.full(len(positions_mm), np.nan),
        "mm_per_unit": 1.0,
        "frame": "file",
        "specimen": specimen,
    }
    return LandmarkSet(**(values | changes))


def write_toy_scan(
    folder: Path, name: str, mesh: Mesh, positions_mm: np.ndarray, **changes: object
) -> None:
    """Write a mesh, its landmarks beside it, and an identity matrix."""
    write_ply(mesh, folder / f"{name}.ply", overwrite=True)
    landmarks = toy_landmarks(positions_mm, name, **changes)
    write_landmarks(landmarks, folder / f"{name}.csv", overwrite=True)
    np.save(folder / f"{name}.transformation_matrix.npy", np.eye(4))


def write_toy_cohort(folder: Path, n_people: int) -> Path:
    """Write p0, p1, ... to a folder and the scheme beside it, and return the scheme's path."""
    folder.mkdir(parents=True)
    for seed in range(n_people):
        mesh, landmarks_mm = toy_person(seed)
        write_toy_scan(folder, f"p{seed}", mesh, landmarks_mm)
    path = folder.parent / "toy13.json"
    path.write_text(json.dumps(scheme_to_dict(toy_scheme())), encoding="utf-8")
    return path


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV that a run wrote."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def texts_of(folder: Path) -> dict[str, bytes]:
    """All that a run wrote, but for what holds times or depends on compression."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".csv", ".json", ".html", ".txt")
    }
