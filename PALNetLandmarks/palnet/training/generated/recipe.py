# SPDX-License-Identifier: Apache-2.0
"""A recipe: everything that determines the result of a training, in one small TOML file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palnet._stored import check_keys
from palnet.errors import UsageError
from palnet.network.sizes import SIZES
from palnet.training.patches import MOST_DRAWN
from palnet.training.recipe_file import build_part, check_value, read_toml

if TYPE_CHECKING:
    import os

__all__ = [
    "AtlasRecipe",
    "JointRecipe",
    "LandmarkRecipe",
    "PeopleRecipe",
    "PoseRecipe",
    "Recipe",
    "UnseenSourceRecipe",
    "read_recipe",
]

# Scans per forward pass, so that their patches stay in the CPU cache.
PART_SIZE = 8


@dataclass(frozen=True)
class PeopleRecipe:
    """Numbers of generated people, from three consecutive ranges of seeds.

    A share of `wide_share` of the training, validation and atlas people varies more widely than
    their source; the calibration people do not.
    """

    first_seed: int
    n_train: int
    n_validation: int
    n_calibration: int
    wide_share: float


@dataclass(frozen=True)
class AtlasRecipe:
    """Size of the atlas."""

    n_people: int
    n_modes: int
    n_points: int


@dataclass(frozen=True)
class PoseRecipe:
    """Training of the two pose networks."""

    n_people: int
    n_steps_coarse: int
    n_steps_fine: int


@dataclass(frozen=True)
class LandmarkRecipe:
    """One round of the landmark network's training; each continues from the previous one.

    Attributes
    ----------
    n_steps : int
        Number of batches.
    peak_rate : float
        Peak learning rate of its cycle.
    batch_size : int
        Scans per batch: at most `PART_SIZE`, or a multiple of it.
    n_drawn : int
        Points drawn per half of a patch, 1 to `MOST_DRAWN`.
    warp : float
        Strength of the face warps, 0 to 1.
    network : str
        Size of the network, a key of `SIZES`; a larger one than in the previous round is grown from
        that.
    share_before : float
        Weight of the previous round's network in the weighted mean with this round's, which is the
        result of the round; below 1, and 0 if the previous network has another size or is absent.
    """

    n_steps: int
    peak_rate: float
    batch_size: int
    n_drawn: int
    warp: float
    network: str
    share_before: float

    @property
    def n_parts(self) -> int:
        """Number of parts that a CPU computes a batch in."""
        return max(1, self.batch_size // PART_SIZE)


@dataclass(frozen=True)
class JointRecipe:
    """The refit of the network's joint layer after each round.

    Attributes
    ----------
    ridge : float
        Penalty on its coefficients, above 0 (`palnet.training.generated.joint`).
    """

    ridge: float


@dataclass(frozen=True)
class UnseenSourceRecipe:
    """How much larger errors are on faces unlike the training data.

    Attributes
    ----------
    factor, power : float
        ``source_factor`` and ``source_power`` of `palnet.calibration.Calibration`, above 0; 1 and 1
        if no source was held out to measure it (`benchmarks.unseen_source`). They never reduce an
        expected error.
    """

    factor: float
    power: float


@dataclass(frozen=True)
class Recipe:
    """A whole training.

    Attributes
    ----------
    name : str
        Name of the model it makes.
    scheme : str
        Landmark scheme.
    seed : int
        Seed of atlas, weights and batches.
    people, atlas, pose
        The parts.
    landmarks : tuple of LandmarkRecipe
        Rounds, at least one.
    joint : JointRecipe
        The refit after each round.
    unseen_source : UnseenSourceRecipe
        Increase of the expected errors.
    """

    name: str
    scheme: str
    seed: int
    people: PeopleRecipe
    atlas: AtlasRecipe
    pose: PoseRecipe
    landmarks: tuple[LandmarkRecipe, ...]
    joint: JointRecipe
    unseen_source: UnseenSourceRecipe


def read_recipe(name_or_path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe by the name of a shipped one or by its path.

    Parameters
    ----------
    name_or_path : str or path-like
        ``palnet50``, or a TOML file.

    Returns
    -------
    Recipe
        Validated: every key is present and none unknown.

    Raises
    ------
    UsageError
        If the file is missing, not TOML, or has wrong keys.
    """
    path, content = read_toml(name_or_path, shipped="palnet50, held_out, held_out_short")
    parts = {
        "people": PeopleRecipe,
        "atlas": AtlasRecipe,
        "pose": PoseRecipe,
        "joint": JointRecipe,
        "unseen_source": UnseenSourceRecipe,
    }
    check_keys(content, f"{path}", {"scheme", "seed", "landmarks", *parts}, error=UsageError)
    check_value("scheme", content["scheme"], "str", f"{path}")
    check_value("seed", content["seed"], "int", f"{path}")
    built = {
        name: build_part(part, content[name], f"{path}: [{name}]") for name, part in parts.items()
    }
    for part, name in (("joint", "ridge"), ("unseen_source", "factor"), ("unseen_source", "power")):
        number = getattr(built[part], name)
        if not 0 < number < math.inf:
            msg = f"{path}: [{part}]: {name} must be a number above 0; got {number}."
            raise UsageError(msg)
    if not 0 <= built["people"].wide_share <= 1:
        msg = f"{path}: [people]: wide_share must be 0 to 1; got {built['people'].wide_share}."
        raise UsageError(msg)
    rounds = content["landmarks"]
    if not isinstance(rounds, list) or not rounds:
        msg = f"{path}: landmarks must be one or more rounds, each starting with [[landmarks]]."
        raise UsageError(msg)
    built["landmarks"] = tuple(
        _build_round(table, f"{path}: [[landmarks]] {number}")
        for number, table in enumerate(rounds, start=1)
    )
    order = [list(SIZES).index(part.network) for part in built["landmarks"]]
    if order != sorted(order):
        msg = f"{path}: [[landmarks]]: a network may grow from round to round, not shrink."
        raise UsageError(msg)
    for number, (part, size) in enumerate(zip(built["landmarks"], order, strict=True), start=1):
        if part.share_before and (number == 1 or size != order[number - 2]):
            msg = (
                f"{path}: [[landmarks]] {number}: share_before must be 0 unless the round before "
                f"has a network of that size; got {part.share_before}."
            )
            raise UsageError(msg)
    return Recipe(name=path.stem, scheme=content["scheme"], seed=content["seed"], **built)


def _build_round(table: Any, where: str) -> LandmarkRecipe:
    """Build a round from its table and check that its numbers are valid."""
    part: LandmarkRecipe = build_part(LandmarkRecipe, table, where)
    size = part.batch_size
    wanted = {
        f"batch_size must be 1 to {PART_SIZE} or a multiple of {PART_SIZE}; got {size}": (
            1 <= size <= PART_SIZE or (size > 0 and size % PART_SIZE == 0)
        ),
        f"n_drawn must be 1 to {MOST_DRAWN}; got {part.n_drawn}": 1 <= part.n_drawn <= MOST_DRAWN,
        f"warp must be 0 to 1; got {part.warp}": 0 <= part.warp <= 1,
        f"peak_rate must be a finite number; got {part.peak_rate}": 0 <= part.peak_rate < math.inf,
        f"network must be one of {sorted(SIZES)}; got {part.network!r}": part.network in SIZES,
        f"share_before must be 0 to below 1; got {part.share_before}": 0 <= part.share_before < 1,
    }
    for text, holds in wanted.items():
        if not holds:
            msg = f"{where}: {text}."
            raise UsageError(msg)
    return part
