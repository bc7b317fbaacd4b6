# SPDX-License-Identifier: Apache-2.0
"""From a recipe to a model file; every stage is kept in the run folder and never done twice."""

from __future__ import annotations

import logging
import platform
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import palnet
from palnet._files import replacing
from palnet.face.atlas import FaceAtlas
from palnet.model import Calibration, read_model, write_model
from palnet.scheme import load_scheme
from palnet.synthesis.folder import fill_folder
from palnet.training.atlas import build_atlas
from palnet.training.calibration import collect_sample, fit_calibration
from palnet.training.landmarks import train_landmark_network
from palnet.training.loop import LoopSettings
from palnet.training.parallel import is_first, on_first
from palnet.training.patches import fill_patches, load_patches
from palnet.training.pose import load_clouds, train_pose_networks
from palnet.training.recipe import claim_folder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.scheme import Scheme
    from palnet.synthesis.morphable import MorphableModel
    from palnet.training.recipe import Recipe

__all__ = ["train_model"]

logger = logging.getLogger(__name__)


def train_model(recipe: Recipe, source: MorphableModel, folder: Path, *, jobs: int = 1) -> Path:
    """Make a model; call again with the same folder to go on after an interruption.

    Parameters
    ----------
    recipe : Recipe
        What to make.
    source : MorphableModel
        Where the people come from.
    folder : Path
        The run folder: scans, patches, checkpoints, curves and the model.
    jobs : int
        Processes for what is not training.

    Returns
    -------
    Path
        The model file, ``<folder>/<recipe name>.npz``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    on_first(partial(claim_folder, folder, asdict(recipe)))
    scheme = load_scheme(recipe.scheme)
    atlas = on_first(partial(_atlas_stage, recipe, source, folder))
    people = recipe.people
    n_all = people.n_train + people.n_validation + people.n_calibration
    seeds = range(people.first_seed, people.first_seed + n_all)
    scans = on_first(partial(fill_folder, source, seeds, folder / "scans", jobs=jobs))
    weights = _pose_stage(recipe, atlas, scans, folder)
    weights |= _landmark_stage(recipe, atlas, scans, folder, scheme, jobs)
    path = folder / f"{recipe.name}.npz"
    if not is_first():
        return path
    metadata = _describe(recipe, source)
    plain = Calibration(np.ones(len(scheme)), 1.0, 0.5)
    parts: dict[str, Any] = {"scheme": scheme, "atlas": atlas, "weights": weights}
    write_model(path, calibration=plain, metadata=metadata, **parts)
    sample = collect_sample(read_model(path), scans[-people.n_calibration :])
    calibration = fit_calibration(sample)
    metadata["calibration"] = {
        "people": len(sample.error_mm),
        "mean_error_mm": round(float(sample.error_mm[sample.visible].mean()), 3),
    }
    write_model(path, calibration=calibration, metadata=metadata, **parts)
    logger.info("model: %s, %s", path, metadata["calibration"])
    return path


def _atlas_stage(recipe: Recipe, source: MorphableModel, folder: Path) -> FaceAtlas:
    """Build the atlas, or take it from the run folder."""
    path = folder / "atlas.npz"
    if not path.exists():
        atlas = build_atlas(source, seed=recipe.seed, **asdict(recipe.atlas))
        with replacing(path, overwrite=True) as draft, draft.open("wb") as stream:
            np.savez_compressed(stream, **atlas.to_arrays())  # type: ignore[arg-type]
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return FaceAtlas.from_arrays(dict(arrays))


def _pose_stage(
    recipe: Recipe, atlas: FaceAtlas, scans: list[Path], folder: Path
) -> dict[str, NDArray[np.float32]]:
    """Train the pose networks."""
    people = recipe.people
    n_train = min(recipe.pose.n_people, people.n_train)
    validation = scans[people.n_train : people.n_train + people.n_validation]
    return train_pose_networks(
        load_clouds(scans[:n_train], atlas, seed=recipe.seed),
        load_clouds(validation, atlas, seed=recipe.seed + 1),
        folder,
        n_steps=(recipe.pose.n_steps_coarse, recipe.pose.n_steps_fine),
        seed=recipe.seed,
    )


def _landmark_stage(
    recipe: Recipe,
    atlas: FaceAtlas,
    scans: list[Path],
    folder: Path,
    scheme: Scheme,
    jobs: int,
) -> dict[str, NDArray[np.float32]]:
    """Train the landmark network."""
    people = recipe.people
    n_used = people.n_train + people.n_validation
    fill = partial(fill_patches, atlas, scans[:n_used], folder / "patches", jobs=jobs)
    patches = on_first(fill)
    weights = train_landmark_network(
        load_patches(patches[: people.n_train]),
        load_patches(patches[people.n_train :]),
        [int(i) for i in scheme.mirror],
        folder / "landmarks",
        LoopSettings(recipe.landmarks.n_steps, recipe.landmarks.peak_rate, seed=recipe.seed),
    )
    return {f"landmarks.{name}": weight for name, weight in weights.items()}


def _describe(recipe: Recipe, source: MorphableModel) -> dict[str, Any]:
    """What the model was made from."""
    return {
        "recipe": asdict(recipe),
        "source": source.name,
        "licence": "Apache-2.0; trained on faces generated from ICT-FaceKit (MIT, copyright 2020 "
        "USC Institute for Creative Technologies)",
        "versions": {
            "palnet": palnet.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": str(torch.__version__),
        },
    }
