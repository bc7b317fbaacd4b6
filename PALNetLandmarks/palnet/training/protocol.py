# SPDX-License-Identifier: Apache-2.0
"""The protocol of the PAL-Net paper as data: `recipes/paper.toml`, or a lab's copy of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palnet.errors import UsageError
from palnet.sorted_patches import FINISHES, Finish
from palnet.training.recipe import build_part, check_keys, read_toml

if TYPE_CHECKING:
    import os

__all__ = [
    "FINISHES",
    "NETWORKS",
    "CohortPart",
    "Finish",
    "PatchesPart",
    "Protocol",
    "TrainingPart",
    "read_protocol",
]

MIN_POINTS = {"palnet": 100, "noatt": 100, "topk": 250, "2blk": 25, "ndo": 100}
"""Points that a patch needs at least to last through all poolings."""

NETWORKS = tuple(MIN_POINTS)
"""The variants of `palnet.network.torch_palnet`, which needs torch to be imported."""


@dataclass(frozen=True)
class PatchesPart:
    """Points of a patch, and the spacing at which surfaces are sampled."""

    n_points: int
    spacing_mm: float


@dataclass(frozen=True)
class CohortPart:
    """Which scans are left out as registered wrongly, and how many people validate.

    `outlier_mm` is a norm over 50 landmarks; with others it grows as their square root.
    """

    outlier_mm: float
    validation_share: float


@dataclass(frozen=True)
class TrainingPart:
    """Batches, rate, and when to lower it and to stop."""

    batch_size: int
    rate: float
    plateau_factor: float
    plateau_patience: int
    stop_after: int
    n_epochs: int


@dataclass(frozen=True)
class Protocol:
    """A cross-validation of one of the paper's networks.

    Attributes
    ----------
    variant : str
        One of `NETWORKS`.
    finish : str
        One of `FINISHES`: the nearest point of the sampled surface, or the mean of the nearest 12.
    n_folds : int
        Folds of people; 1 is a single split, 80 to 20.
    seed : int
        Seed of folds, weights and batches.
    patches, cohort, training
        The parts.
    """

    variant: str
    finish: Finish
    n_folds: int
    seed: int
    patches: PatchesPart
    cohort: CohortPart
    training: TrainingPart

    def __post_init__(self) -> None:
        """Check what a table of numbers cannot tell."""
        _check_choice("variant", self.variant, NETWORKS)
        _check_choice("finish", self.finish, FINISHES)
        training = self.training
        _check_whole("seed", self.seed, 0)
        _check_whole("plateau_patience", training.plateau_patience, 0)
        _check_whole("n_folds", self.n_folds, 1)
        _check_whole("n_points", self.patches.n_points, MIN_POINTS[self.variant])
        _check_whole("batch_size", training.batch_size, 1)
        _check_whole("stop_after", training.stop_after, 1)
        _check_whole("n_epochs", training.n_epochs, 1)
        _check_between("validation_share", self.cohort.validation_share, 1.0)
        _check_between("plateau_factor", training.plateau_factor, 1.0)
        _check_between("rate", training.rate, math.inf)
        _check_between("spacing_mm", self.patches.spacing_mm, math.inf)
        _check_between("outlier_mm", self.cohort.outlier_mm, math.inf)


def _check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        msg = f"{name} must be one of {', '.join(known)}; got {value!r}."
        raise UsageError(msg)


def _check_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        msg = f"{name} must be a whole number of at least {least}; got {value!r}."
        raise UsageError(msg)


def _check_between(name: str, value: float, top: float) -> None:
    if not 0 < value < top:
        limit = "" if math.isinf(top) else f" and below {top:g}"
        msg = f"{name} must be above 0{limit}; got {value!r}."
        raise UsageError(msg)


def read_protocol(name_or_path: str | os.PathLike[str] = "paper") -> Protocol:
    """Read a protocol by the name of a shipped one or by its path.

    Parameters
    ----------
    name_or_path : str or path-like
        ``paper``, or a TOML file.

    Returns
    -------
    Protocol
        Checked: every key present, none unknown.

    Raises
    ------
    UsageError
        If the file is missing, not TOML, or has wrong keys or values.
    """
    path, content = read_toml(name_or_path, shipped="paper")
    parts = {"patches": PatchesPart, "cohort": CohortPart, "training": TrainingPart}
    plain = {"variant", "finish", "n_folds", "seed"}
    check_keys(content, {*plain, *parts}, f"{path}")
    values: dict[str, Any] = {name: content[name] for name in plain}
    for name, part in parts.items():
        values[name] = build_part(part, content[name], f"{path}: [{name}]")
    try:
        return Protocol(**values)
    except UsageError as err:
        msg = f"{path}: {err}"
        raise UsageError(msg) from err
