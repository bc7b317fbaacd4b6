# SPDX-License-Identifier: Apache-2.0
"""The training loop: resumable, seeded by step, with its curve in a CSV file."""

from __future__ import annotations

import csv
import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from palnet._files import replacing
from palnet.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["LoopSettings", "choose_device", "run_loop"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to train.

    Attributes
    ----------
    n_steps : int
        Batches in all.
    peak_rate : float
        Highest learning rate of the one-cycle schedule.
    weight_decay : float
        Decay of AdamW.
    seed : int
        Seed of weights and batches; batch k depends on it and k alone.
    save_every : int
        Steps between checkpoints (and validations).
    """

    n_steps: int
    peak_rate: float = 2e-3
    weight_decay: float = 0.01
    seed: int = 0
    save_every: int = 500


def choose_device() -> torch.device:
    """CUDA if there is one, else Apple's, else the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def run_loop(
    network: torch.nn.Module,
    draw_loss: Callable[[torch.nn.Module, np.random.Generator], torch.Tensor],
    settings: LoopSettings,
    folder: Path,
    validate: Callable[[torch.nn.Module], float],
) -> None:
    """Train a network in place; a run that was interrupted goes on from its last checkpoint.

    Parameters
    ----------
    network : torch.nn.Module
        What to train, already on its device.
    draw_loss : callable
        Draws a batch with the generator it is given and returns the loss.
    settings : LoopSettings
        Steps, rate, seed.
    folder : Path
        Gets ``checkpoint.pt`` and ``curve.csv``.
    validate : callable
        Returns the validation error in millimetres.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.peak_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=settings.peak_rate, total_steps=settings.n_steps, pct_start=0.15
    )
    first = _resume(network, optimizer, schedule, settings, folder)
    losses: list[float] = []
    start = time.perf_counter()
    for step in range(first, settings.n_steps):
        network.train()
        torch.manual_seed(settings.seed * 1_000_003 + step)
        loss = draw_loss(network, np.random.default_rng([settings.seed, step]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if not np.isfinite(losses[-1]):
            msg = f"{folder.name}: the loss is {losses[-1]} at step {step + 1}. Lower the rate."
            raise TrainingError(msg)
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.n_steps:
            network.eval()
            error_mm = validate(network)
            _save(network, optimizer, schedule, step + 1, settings, folder)
            _append(folder, step + 1, float(np.mean(losses)), error_mm)
            per_step = (time.perf_counter() - start) / (step + 1 - first)
            logger.info(
                "%s: step %d of %d, loss %.4f, validation %.3f mm, %.0f s to go",
                folder.name,
                step + 1,
                settings.n_steps,
                np.mean(losses),
                error_mm,
                per_step * (settings.n_steps - step - 1),
            )
            losses.clear()
    network.eval()


def _save(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    step: int,
    settings: LoopSettings,
    folder: Path,
) -> None:
    """Write a checkpoint that appears whole or not at all."""
    with replacing(folder / "checkpoint.pt", overwrite=True) as draft:
        torch.save(
            {
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "step": step,
                "settings": asdict(settings),
            },
            draft,
        )


def _resume(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    settings: LoopSettings,
    folder: Path,
) -> int:
    """Load the last checkpoint, if there is one; the step to go on with."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state.get("settings") != asdict(settings):
        msg = (
            f"{path} belongs to a training with {state.get('settings')}; this one has "
            f"{asdict(settings)}. Choose another output folder, or delete that one."
        )
        raise TrainingError(msg)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    logger.info("%s: going on from step %d", folder.name, state["step"])
    return int(state["step"])


def _append(folder: Path, step: int, loss: float, error_mm: float) -> None:
    """Add a row to the curve."""
    path = folder / "curve.csv"
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if is_new:
            writer.writerow(["step", "loss", "validation_mm"])
        writer.writerow([step, f"{loss:.5f}", f"{error_mm:.4f}"])
