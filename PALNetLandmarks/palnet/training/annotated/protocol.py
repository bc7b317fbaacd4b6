# SPDX-License-Identifier: Apache-2.0
"""Protocols for training on annotated scans: shipped recipes, or a lab's copy of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from palnet._stored import check_keys
from palnet.errors import UsageError
from palnet.network.paper import VARIANTS, least_points
from palnet.network.paper_patches import FINISHES, Finish
from palnet.training.recipe_file import build_part, read_toml

if TYPE_CHECKING:
    import os

__all__ = [
    "FINISHES",
    "LAYERS",
    "SCRATCH",
    "CohortPart",
    "Layers",
    "PaperProtocol",
    "PatchesPart",
    "TrainingPart",
    "TuningPart",
    "TuningProtocol",
    "read_protocol",
]

Layers = Literal["head", "all"]
LAYERS: tuple[Layers, ...] = get_args(Layers)

SCRATCH = "scratch"
"""Value of `start` for training from scratch, without a model's weights."""

FRAME_SPACING_MM = 3.0
"""Spacing of the clouds in a tuning protocol, which only show that a scan can be used; its
patches are not cut from them."""


@dataclass(frozen=True)
class PatchesPart:
    """Points per patch, and the spacing at which surfaces are sampled."""

    n_points: int
    spacing_mm: float


@dataclass(frozen=True)
class CohortPart:
    """Limit for wrongly registered scans, which are left out, and share of validation people.

    `outlier_mm` is a norm over 50 landmarks; for other numbers it scales with the square root.
    """

    outlier_mm: float
    validation_share: float


@dataclass(frozen=True)
class TrainingPart:
    """Batch size, learning rate, and when to reduce it and to stop."""

    batch_size: int
    rate: float
    plateau_factor: float
    plateau_patience: int
    stop_after: int
    n_epochs: int


@dataclass(frozen=True)
class PaperProtocol:
    """A cross-validation of one of the paper's networks.

    Attributes
    ----------
    variant : str
        One of `palnet.network.paper.VARIANTS`.
    finish : str
        One of `FINISHES`: the nearest point of the sampled surface, or the mean of the nearest 12.
    n_folds : int
        Number of folds of people; 1 is a single 80/20 split.
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
        """Check the values."""
        _check_choice("variant", self.variant, VARIANTS)
        _check_choice("finish", self.finish, FINISHES)
        _check_common(self)
        _check_whole("n_points", self.patches.n_points, least_points(self.variant))
        _check_whole("n_epochs", self.training.n_epochs, 1)
        _check_between("spacing_mm", self.patches.spacing_mm, math.inf)

    @property
    def title(self) -> str:
        """What is trained, for headings."""
        return self.variant

    @property
    def is_tuning(self) -> bool:
        """Whether a model's weights are what the training starts from."""
        return False

    @property
    def baseline(self) -> str:
        """What the network is compared with, for headings."""
        return "mean landmarks"

    @property
    def spacing_mm(self) -> float:
        """Spacing of the clouds in the common frame."""
        return self.patches.spacing_mm

    def count_epochs(self, n_steps: int, n_train: int) -> int:
        """Count the epochs begun after that many batches; the last batch of each may be small."""
        return math.ceil(n_steps / math.ceil(n_train / self.training.batch_size))


@dataclass(frozen=True)
class TuningPart:
    """Batch size, learning rate, steps between validations, and patience in validations.

    `rate` applies to training from scratch or to the head; all layers of a model are tuned at a
    tenth of it.
    """

    batch_size: int
    rate: float
    plateau_factor: float
    plateau_patience: int
    stop_after: int
    validate_every: int
    n_steps: int


@dataclass(frozen=True)
class TuningProtocol:
    """A training of the landmark network on annotated scans.

    Attributes
    ----------
    start : str
        `SCRATCH`, or the name or path of the model that is fine-tuned.
    layers : str
        One of `LAYERS`: which layers of the network are trained.
    n_folds : int
        Number of folds of people; 1 is a single 80/20 split.
    seed : int
        Seed of folds, weights and batches.
    cohort, training
        The parts.
    """

    start: str
    layers: Layers
    n_folds: int
    seed: int
    cohort: CohortPart
    training: TuningPart

    def __post_init__(self) -> None:
        """Check the values."""
        _check_choice("layers", self.layers, LAYERS)
        _check_text("start", self.start)
        if self.start == SCRATCH and self.layers != "all":
            msg = f"layers must be 'all' where start is {SCRATCH!r}; got {self.layers!r}."
            raise UsageError(msg)
        _check_common(self)
        _check_whole("validate_every", self.training.validate_every, 1)
        _check_whole("n_steps", self.training.n_steps, 1)

    @property
    def title(self) -> str:
        """What is trained, for headings."""
        if self.start == SCRATCH:
            return "landmark network from scratch"
        return f"{Path(self.start).stem} fine-tuned ({self.layers})"

    @property
    def is_tuning(self) -> bool:
        """Whether a model's weights are what the training starts from."""
        return self.start != SCRATCH

    @property
    def baseline(self) -> str:
        """What the network is compared with, for headings."""
        return "start" if self.is_tuning else "atlas"

    @property
    def spacing_mm(self) -> float:
        """Spacing of the clouds in the common frame."""
        return FRAME_SPACING_MM

    def count_epochs(self, n_steps: int, n_train: int) -> int:
        """Count the epochs begun after that many batches, which are all full."""
        return math.ceil(n_steps * self.training.batch_size / n_train)


def _check_common(protocol: PaperProtocol | TuningProtocol) -> None:
    """Check the numbers that both kinds have."""
    cohort, training = protocol.cohort, protocol.training
    _check_whole("seed", protocol.seed, 0)
    _check_whole("n_folds", protocol.n_folds, 1)
    _check_whole("plateau_patience", training.plateau_patience, 0)
    _check_whole("batch_size", training.batch_size, 1)
    _check_whole("stop_after", training.stop_after, 1)
    _check_between("validation_share", cohort.validation_share, 1.0)
    _check_between("plateau_factor", training.plateau_factor, 1.0)
    _check_between("rate", training.rate, math.inf)
    _check_between("outlier_mm", cohort.outlier_mm, math.inf)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        msg = f"{name} must be {SCRATCH!r}, a model's name or its path; got {value!r}."
        raise UsageError(msg)


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


def read_protocol(name_or_path: str | os.PathLike[str] = "paper") -> PaperProtocol | TuningProtocol:
    """Read a protocol by the name of a shipped one or by its path.

    Parameters
    ----------
    name_or_path : str or path-like
        ``paper``, ``improved``, ``finetune``, or a TOML file.

    Returns
    -------
    PaperProtocol or TuningProtocol
        Validated: every key is present and none unknown. It is a `TuningProtocol` if it has the
        key `start`.

    Raises
    ------
    UsageError
        If the file is missing, not TOML, or has wrong keys or values.
    """
    path, content = read_toml(name_or_path, shipped="paper, improved, finetune")
    plain, parts = {"n_folds", "seed"}, dict[str, type](cohort=CohortPart)
    if "start" in content:
        plain |= {"start", "layers"}
        parts |= {"training": TuningPart}
    else:
        plain |= {"variant", "finish"}
        parts |= {"training": TrainingPart, "patches": PatchesPart}
    check_keys(content, f"{path}", {*plain, *parts}, error=UsageError)
    values: dict[str, Any] = {name: content[name] for name in plain}
    for name, part in parts.items():
        values[name] = build_part(part, content[name], f"{path}: [{name}]")
    try:
        return TuningProtocol(**values) if "start" in content else PaperProtocol(**values)
    except UsageError as err:
        msg = f"{path}: {err}"
        raise UsageError(msg) from err
