# SPDX-License-Identifier: Apache-2.0
"""Cross-validations in separate processes, timed and with a time limit."""

from __future__ import annotations

import json
import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks._memory import peak_memory_mb
from palnet._files import write_text
from palnet.network.paper import VARIANTS
from palnet.training.annotated.protocol import PaperProtocol, read_protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from palnet.training.annotated.crossvalidation import FoldResult
    from palnet.training.annotated.protocol import TuningProtocol

__all__ = [
    "TUNED",
    "Limits",
    "OutOfTimeError",
    "Training",
    "make_protocol",
    "read_costs",
    "run_training",
    "share_folder",
]

TUNED = {"improved": "landmark network, these folds", "finetune": "shipped model, fine-tuned"}
"""Recipes of the landmark network, with their names in the tables."""

COSTS_FILE = "costs.json"
TRAIN_SHARE = 0.9


class OutOfTimeError(Exception):
    """No further training may be started."""


@dataclass(frozen=True)
class Limits:
    """Reductions of the protocols for a small machine; None leaves a protocol unchanged."""

    n_folds: int
    n_points: int
    n_epochs: int | None
    n_steps: int | None


@dataclass(frozen=True)
class Training:
    """One cross-validation: data set, protocol, folder, and time limit for starting trainings."""

    cohort: Path
    protocol: PaperProtocol | TuningProtocol
    folder: Path
    until: float
    jobs: int
    mixed_precision: bool


def make_protocol(
    name: str, limits: Limits, n_people: int, model: str | None
) -> PaperProtocol | TuningProtocol:
    """Return the shipped protocol of a row of the table (a network of the paper, or of `TUNED`).

    Within the limits, it has the same folds and cohort in all rows, and an epoch of the landmark
    network is as long as one of the paper's. `model` is fine-tuned instead of the shipped one.
    """
    protocol = read_protocol("paper" if name in VARIANTS else name)
    if isinstance(protocol, PaperProtocol):
        most = min(limits.n_epochs or protocol.training.n_epochs, protocol.training.n_epochs)
        return replace(
            protocol,
            variant=name,
            n_folds=limits.n_folds,
            patches=replace(protocol.patches, n_points=limits.n_points),
            training=replace(protocol.training, n_epochs=most),
        )
    part, n_steps = protocol.training, limits.n_steps
    if n_steps is None and limits.n_epochs is not None:
        n_steps = limits.n_epochs * batches_of_epoch(n_people, limits.n_folds, part.batch_size)
    n_steps = part.n_steps if n_steps is None else min(n_steps, part.n_steps)
    part = replace(part, n_steps=n_steps, validate_every=min(part.validate_every, n_steps))
    start = model if model and name == "finetune" else protocol.start
    return replace(protocol, start=start, n_folds=limits.n_folds, training=part)


def batches_of_epoch(n_people: int, n_folds: int, batch_size: int) -> int:
    """Return the number of batches in an epoch of a fold's training people."""
    n_train = round(n_people * (1 - 1 / (5 if n_folds == 1 else n_folds)) * TRAIN_SHARE)
    return -(-n_train // batch_size)


def share_folder(run: Path, name: str, shared: Path) -> None:
    """Let several runs share one folder of prepared scans, by a link in each."""
    shared.mkdir(parents=True, exist_ok=True)
    run.mkdir(parents=True, exist_ok=True)
    if not (run / name).exists():
        (run / name).symlink_to(shared.resolve(), target_is_directory=True)


def run_training(training: Training) -> Sequence[FoldResult]:
    """Train and test every fold; OutOfTimeError if it is too late to begin a training."""
    from palnet.data_sets.layouts import read_data_set
    from palnet.training.annotated.crossvalidation import cross_validate
    from palnet.training.execution import Execution, execute

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    data = read_data_set(training.cohort)

    @contextmanager
    def watch(place: Path) -> Iterator[None]:
        if time.time() > training.until:
            raise OutOfTimeError(place.name)
        with _measured(place):
            yield

    with execute(Execution(training.mixed_precision, tensorboard=False)):
        return cross_validate(
            data, training.protocol, training.folder, jobs=training.jobs, around=watch
        )


@contextmanager
def _measured(place: Path) -> Iterator[None]:
    """Add time and peak memory of a training to those of its previous parts."""
    path, checkpoint = place / COSTS_FILE, place / "checkpoint.pt"
    costs = {"seconds": 0.0, "peak_mb": 0.0, "begun": None} | _read_costs(path)
    if costs["begun"] is not None and checkpoint.exists():
        # It was killed: count the time up to its last checkpoint.
        costs["seconds"] += max(0.0, checkpoint.stat().st_mtime - costs["begun"])
    start = time.time()
    write_text(path, json.dumps(costs | {"begun": start}), overwrite=True)
    try:
        yield
    finally:
        seconds = costs["seconds"] + time.time() - start
        peak = max(costs["peak_mb"], peak_memory_mb())
        done = {"seconds": seconds, "peak_mb": peak, "begun": None}
        write_text(path, json.dumps(done), overwrite=True)


def read_costs(run: Path) -> tuple[float, float]:
    """Return the seconds of all folds' trainings and the largest peak memory in MB."""
    costs = [_read_costs(path) for path in sorted(run.glob(f"fold*/{COSTS_FILE}"))]
    return sum(c["seconds"] for c in costs), max((c["peak_mb"] for c in costs), default=0.0)


def _read_costs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found
