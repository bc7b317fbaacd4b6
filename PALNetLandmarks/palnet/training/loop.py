# SPDX-License-Identifier: Apache-2.0
"""The training loop: resumable, seeded by step, with its curve in a CSV file."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from palnet._files import replacing
from palnet.errors import OutputError, TrainingError
from palnet.training.curves import cut_curve, try_to_append, try_to_draw
from palnet.training.execution import make_tracker, round_layers
from palnet.training.parallel import count_processes, is_first, on_first, rank, share_batches

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.training.execution import Tracker

    Schedule = torch.optim.lr_scheduler.LRScheduler | torch.optim.lr_scheduler.ReduceLROnPlateau

__all__ = [
    "OneCycleSettings",
    "PlateauSettings",
    "choose_device",
    "export_weights",
    "read_state",
    "run_loop",
    "start_generator",
    "write_state",
]

logger = logging.getLogger(__name__)

WEIGHT_DECAY = 0.01
# Offset between the seeds of processes that train together; larger than any number of steps.
RANK_STRIDE = 1_000_000_007


@dataclass(frozen=True)
class OneCycleSettings:
    """Settings for AdamW with a one-cycle schedule.

    Attributes
    ----------
    n_steps : int
        Total number of batches.
    peak_rate : float
        Peak learning rate of the one-cycle schedule.
    seed : int
        Seed of weights and batches; batch k depends only on it and on k.
    save_every : int
        Steps between checkpoints (and validations).
    n_parts : int
        Number of parts that a batch is drawn and computed in, one after the other: on a CPU, small
        parts stay in its cache.
    """

    n_steps: int
    peak_rate: float = 2e-3
    seed: int = 0
    save_every: int = 500
    n_parts: int = 1
    stop_after: ClassVar[float] = math.inf

    @property
    def validate_every(self) -> int:
        """Steps between validations."""
        return self.save_every

    def make_optimizer(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(network.parameters(), lr=self.peak_rate, weight_decay=WEIGHT_DECAY)

    def make_schedule(self, optimizer: torch.optim.Optimizer) -> Schedule:
        """One cycle."""
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.peak_rate, total_steps=self.n_steps, pct_start=0.15
        )


@dataclass(frozen=True)
class PlateauSettings:
    """Settings for Adam with early stopping and a learning rate that is reduced on plateaus.

    The network ends up with the weights of the best validation.

    Attributes
    ----------
    n_steps : int
        Maximum number of batches.
    rate : float
        Initial learning rate.
    factor : float
        Factor by which the rate is reduced on a plateau.
    patience : int
        Validations without improvement before the rate is reduced.
    stop_after : int
        Validations without improvement before the training stops.
    validate_every : int
        Steps between validations, usually those of an epoch.
    save_every : int
        Steps between checkpoints, a multiple of `validate_every`: writing a large network takes
        longer than validating it.
    seed : int
        Seed of weights and batches.
    """

    n_steps: int
    rate: float
    factor: float
    patience: int
    stop_after: int
    validate_every: int
    save_every: int
    seed: int

    @property
    def n_parts(self) -> int:
        """A batch is computed as a whole."""
        return 1

    def make_optimizer(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(network.parameters(), lr=self.rate)

    def make_schedule(self, optimizer: torch.optim.Optimizer) -> Schedule:
        """Lower the rate on a plateau."""
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=self.factor, patience=self.patience
        )


def choose_device() -> torch.device:
    """Choose CUDA if available (this process's device), else Apple's GPU, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def start_generator(rng: np.random.Generator, device: torch.device) -> torch.Generator:
    """Seed a torch generator on a device from a batch's numpy generator.

    Parameters
    ----------
    rng : numpy.random.Generator
        Gives the seed: the same batch has the same stream on the same kind of device. (GPU models
        differ in the numbers they draw, so processes that train together need the same model.)
    device : torch.device
        Where numbers will be drawn.

    Returns
    -------
    torch.Generator
        On that device.
    """
    return torch.Generator(device).manual_seed(int(rng.integers(2**32)))


def run_loop(
    network: torch.nn.Module,
    draw_loss: Callable[[torch.nn.Module, np.random.Generator, int], torch.Tensor],
    settings: OneCycleSettings | PlateauSettings,
    folder: Path,
    validate: Callable[[torch.nn.Module], float],
) -> None:
    """Train a network in place; an interrupted run resumes from its last checkpoint.

    Under torchrun, each process takes its share of every batch, and the first validates and writes.

    Parameters
    ----------
    network : torch.nn.Module
        The network to train, already on its device.
    draw_loss : callable
        Draws a batch, or a part of one, for the given generator and step (from 0), and returns the
        mean loss. It must call the network passed to it exactly once.
    settings : OneCycleSettings or PlateauSettings
        Steps, learning rate, seed.
    folder : Path
        Where ``checkpoint.pt``, ``curve.csv`` and ``curve.svg`` are written.
    validate : callable
        Returns the validation error in millimetres.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(network, settings, folder)
    run.resume()
    tracker = make_tracker(folder, run.step) if is_first() else None
    losses: list[float] = []
    start, first = time.perf_counter(), run.step
    while not run.is_over:
        losses.append(run.take_step(draw_loss))
        if run.step % settings.validate_every == 0 or run.step == settings.n_steps:
            network.eval()
            error_mm = on_first(partial(validate, network))
            run.judge(error_mm)
            run.note(float(np.mean(losses)), error_mm, tracker)
            per_step = (time.perf_counter() - start) / (run.step - first)
            logger.info(
                "%s: step %d of %d, loss %.4f, validation %.3f mm, %.0f s to go at most",
                folder.name,
                run.step,
                settings.n_steps,
                np.mean(losses),
                error_mm,
                per_step * (settings.n_steps - run.step),
            )
            losses.clear()
    if tracker is not None:
        tracker.close()
    run.keep_best()
    network.eval()
    if is_first():
        run.write_rest()
        try_to_draw(folder)


class _Run:
    """The state of a training, as saved in its checkpoint."""

    def __init__(
        self, network: torch.nn.Module, settings: OneCycleSettings | PlateauSettings, folder: Path
    ) -> None:
        self.network, self.settings, self.folder = network, settings, folder
        self.optimizer = settings.make_optimizer(network)
        self.schedule = settings.make_schedule(self.optimizer)
        self.step = 0
        self.best_mm, self.best_step = float("inf"), 0
        self.best: dict[str, torch.Tensor] = {}
        self.unwritten: list[tuple[int, str, str]] = []

    @property
    def identity(self) -> dict[str, Any]:
        """Settings that a checkpoint must match: all but how a batch is computed.

        A run may thus move from a CPU, which computes in parts, to a GPU.
        """
        return {key: value for key, value in asdict(self.settings).items() if key != "n_parts"}

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or early stopping applies."""
        longest_wait = self.settings.stop_after * self.settings.validate_every
        return self.step >= self.settings.n_steps or self.step - self.best_step >= longest_wait

    def take_step(
        self, draw_loss: Callable[[torch.nn.Module, np.random.Generator, int], torch.Tensor]
    ) -> float:
        """Train on one batch and return its loss."""
        seed = self.settings.seed
        self.network.train()
        # Dropout must differ between processes, batches must not.
        torch.manual_seed(seed * 1_000_003 + self.step + rank() * RANK_STRIDE)
        rng = np.random.default_rng([seed, self.step])
        n_parts = self.settings.n_parts
        self.optimizer.zero_grad(set_to_none=True)
        value = 0.0
        for _ in range(n_parts):
            loss = draw_loss(self.shared, rng, self.step) / n_parts
            (loss * count_processes()).backward()  # type: ignore[no-untyped-call]
            value += float(loss.detach())
        is_one_cycle = isinstance(self.settings, OneCycleSettings)
        if is_one_cycle:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        if is_one_cycle:
            self.schedule.step()
        self.step += 1
        if not np.isfinite(value):
            msg = f"{self.folder.name}: the loss is {value} at step {self.step}. Lower the rate."
            raise TrainingError(msg)
        return value

    @cached_property
    def shared(self) -> torch.nn.Module:
        """The network for a training step: in the requested precision, shared between processes."""
        return share_batches(round_layers(self.network))

    def note(self, loss: float, error_mm: float, tracker: Tracker | None) -> None:
        """Record a validation, and write a checkpoint if one is due; only in the first process."""
        if not is_first():
            return
        self.unwritten.append((self.step, f"{loss:.5f}", f"{error_mm:.4f}"))
        if try_to_append(self.folder, self.unwritten):
            self.unwritten.clear()
        if tracker is not None:
            tracker.add_scalar("loss", loss, self.step)
            tracker.add_scalar("validation_mm", error_mm, self.step)
            tracker.add_scalar("rate", self.optimizer.param_groups[0]["lr"], self.step)
        if self.step % self.settings.save_every == 0 or self.is_over:
            self.save()

    def judge(self, error_mm: float) -> None:
        """Adjust the learning rate after a validation, and keep the weights if it is the best."""
        if not isinstance(self.schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            return
        self.schedule.step(error_mm)
        if error_mm < self.best_mm:
            self.best_mm, self.best_step = error_mm, self.step
            weights = self.network.state_dict()
            self.best = {name: weight.cpu().clone() for name, weight in weights.items()}

    def keep_best(self) -> None:
        """Load the weights of the best validation into the network."""
        if self.best:
            self.network.load_state_dict(self.best)

    def save(self) -> None:
        """Write a checkpoint atomically."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "settings": self.identity,
            "unwritten": self.unwritten,
            "best": self.best,
            "best_mm": self.best_mm,
            "best_step": self.best_step,
        }
        write_state(state, self.folder / "checkpoint.pt")

    def resume(self) -> None:
        """Load the last checkpoint, if any, and truncate the curve after it."""
        path = self.folder / "checkpoint.pt"
        if path.exists():
            state = _read_checkpoint(path)
            if state.get("settings") != self.identity:
                msg = (
                    f"{path} belongs to a training with {state.get('settings')}; this one has "
                    f"{self.identity}. Choose another output folder, or delete that one."
                )
                raise TrainingError(msg)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.step = int(state["step"])
            if "best" in state:
                self.best, self.best_mm = state["best"], state["best_mm"]
                self.best_step = state["best_step"]
            logger.info("%s: going on from step %d", self.folder.name, self.step)
            self.unwritten = [(int(row[0]), row[1], row[2]) for row in state.get("unwritten", ())]
        if is_first():
            cut_curve(self.folder, self.step)

    def write_rest(self) -> None:
        """Write the rows that could not be written earlier; the checkpoint holds them too."""
        if self.unwritten and not try_to_append(self.folder, self.unwritten):
            path = self.folder / "curve.csv"
            msg = (
                f"{path}: the training is done, but rows are not written ({len(self.unwritten)}). "
                "Close the program that has it open and run the same command again."
            )
            raise OutputError(msg)


def export_weights(network: torch.nn.Module) -> dict[str, NDArray[np.float32]]:
    """Export a network's weights for the numpy network.

    Parameters
    ----------
    network : torch.nn.Module
        The torch version of the network.

    Returns
    -------
    dict of str to ndarray
        Copies.
    """
    return {name: w.detach().cpu().numpy().copy() for name, w in network.state_dict().items()}


def write_state(state: dict[str, Any], path: Path) -> None:
    """Write weights and numbers atomically; the same state gives the same file.

    Parameters
    ----------
    state : dict of str to object
        Tensors, and numbers and texts beside them.
    path : Path
        Output file; an existing file is replaced.

    Raises
    ------
    OutputError
        If the file cannot be written, e.g. because the disk is full.
    """
    # Given a path, torch would store the draft's random name in the file.
    with replacing(path, overwrite=True) as draft, draft.open("wb") as stream:
        try:
            torch.save(state, stream)
        except RuntimeError as err:
            # torch hides the stream's error behind its own, an "unexpected pos".
            why = err.__context__
            if isinstance(why, OSError):
                raise OSError(why.errno, why.strerror) from err
            raise


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote: numbers only, so that no code in the file is executed.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to object
        The state, on the CPU.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, or holds anything but numbers and texts.
    """
    with path.open("rb") as stream:
        try:
            state = torch.load(stream, weights_only=True, map_location="cpu")
        except MemoryError:
            raise
        except Exception as err:  # a damaged file can raise nearly anything
            # torch's own text advises to allow code to be executed.
            msg = f"it is damaged, or holds more than numbers: {type(err).__name__}"
            raise ValueError(msg) from err
    if not isinstance(state, dict):
        msg = f"it holds {type(state).__name__}"
        raise ValueError(msg)
    return state


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        return read_state(path)
    except ValueError as err:
        msg = f"{path}: is not a checkpoint ({err}). Delete it to start this training again."
        raise TrainingError(msg) from err
