# SPDX-License-Identifier: Apache-2.0
"""A model of the toy head whose network reproduces the atlas, and cohorts to fine-tune it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from palnet.calibration import Calibration
from palnet.detection import fitting
from palnet.model import ModelParts, read_model, write_model
from palnet.network.sizes import SMALL_SIZE
from palnet.network.torch_landmarks import LandmarkNetwork
from palnet.surface import parse_unit, prepare_scan, prepare_surface, project_onto_triangles
from palnet.training.loop import export_weights
from toy_cohort import toy_person, write_toy_scan
from toy_head import toy_atlas, toy_scheme

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from palnet.detection.fitting import FoundFace
    from palnet.model import Model
    from palnet.surface import Mesh, Unit

PRN = toy_scheme().index_of("prn")


def write_toy_model(path: Path) -> Path:
    """Write the toy atlas, an untrained landmark network, and the shipped model's pose networks."""
    torch.manual_seed(3)
    own = export_weights(LandmarkNetwork(len(toy_scheme()), SMALL_SIZE))
    weights = {n: w for n, w in read_model().weights.items() if n.startswith("pose_")}
    weights |= {f"landmarks.{name}": weight for name, weight in own.items()}
    parts = ModelParts(
        scheme=toy_scheme(),
        atlas=toy_atlas(),
        weights=weights,
        calibration=Calibration(np.full(len(toy_scheme()), 1.5), 1.0, 0.4, misfit_power=0.6),
        metadata={"licence": "none"},
    )
    write_model(path, parts)
    return path


def find_toy_face(
    mesh: Mesh, units: tuple[Unit, ...], model: Model, *_watch: object, **_options: object
) -> FoundFace:
    """Replace the pose search, which fails on toy heads: they are already in the face frame."""
    return fitting.fit_face(prepare_scan(mesh, units[0]), np.eye(4), model)


def write_moved_cohort(
    folder: Path, n_people: int, move: Callable[[int, np.ndarray], np.ndarray]
) -> None:
    """Write p0, p1, ...: toy people with landmarks moved by `move`, then put onto the surface."""
    folder.mkdir(parents=True)
    for number in range(n_people):
        mesh, positions = toy_person(number)
        surface = prepare_surface(mesh, parse_unit("mm"))
        moved = move(number, positions.copy())
        there = np.isfinite(moved).all(axis=1)
        moved[there] = project_onto_triangles(surface, moved[there]).points_mm
        write_toy_scan(folder, f"p{number}", mesh, moved)
        (folder / f"p{number}.transformation_matrix.npy").unlink()


def prn_moved_up(_number: int, positions: np.ndarray) -> np.ndarray:
    """Move like a lab that places pronasale 3 mm higher."""
    positions[PRN, 1] += 3.0
    return positions
