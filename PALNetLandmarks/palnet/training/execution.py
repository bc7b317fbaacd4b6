# SPDX-License-Identifier: Apache-2.0
"""How a training runs, independent of its result: precision, and logging for TensorBoard."""

from __future__ import annotations

import importlib.util
import logging
import platform
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

import palnet
from palnet._dependencies import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "Execution",
    "Tracker",
    "describe_versions",
    "execute",
    "make_tracker",
    "round_layers",
]

logger = logging.getLogger(__name__)

TRACKER_FOLDER = "tensorboard"


@dataclass(frozen=True, slots=True)
class Execution:
    """Options of a training run.

    Attributes
    ----------
    mixed_precision : bool
        Whether layers run in bfloat16; losses, weights and validations stay in float32.
    tensorboard : bool or None
        Whether to log for TensorBoard; None means if it is installed.
    """

    mixed_precision: bool = False
    tensorboard: bool | None = None


_PLAIN = Execution()
_current: ContextVar[Execution] = ContextVar("execution", default=_PLAIN)


@contextmanager
def execute(execution: Execution) -> Iterator[None]:
    """Run all trainings in the ``with`` block with these options.

    Parameters
    ----------
    execution : Execution
        The options.

    Raises
    ------
    MissingDependencyError
        If TensorBoard is requested but not installed.
    """
    if execution.tensorboard:
        require("tensorboard", feature="--tensorboard")
    token = _current.set(execution)
    try:
        yield
    finally:
        _current.reset(token)


def round_layers(network: torch.nn.Module) -> torch.nn.Module:
    """Wrap a network to run in bfloat16 if requested; else return it unchanged.

    Parameters
    ----------
    network : torch.nn.Module
        On its device.

    Returns
    -------
    torch.nn.Module
        Its outputs are float32.
    """
    device = next(network.parameters()).device
    if not _current.get().mixed_precision:
        return network
    if device.type not in ("cuda", "cpu"):
        logger.warning("mixed precision is for CUDA and the processor; going on without")
        return network
    return _Rounded(network, device.type)


class _Rounded(torch.nn.Module):
    """Autocast to bfloat16, which has the range of float32, so that losses need no scaling."""

    def __init__(self, network: torch.nn.Module, device_type: str) -> None:
        super().__init__()
        self.network, self.device_type = network, device_type

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Run the network and cast its output back to float32."""
        with torch.autocast(self.device_type, torch.bfloat16):
            result: torch.Tensor = self.network(*inputs)
        return result.float()


def describe_versions() -> dict[str, str]:
    """Return the software versions that a model was made with."""
    return {
        "palnet": palnet.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
    }


class Tracker(Protocol):
    """The part of TensorBoard's `SummaryWriter` that is used."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:
        """Add a point to a curve."""

    def close(self) -> None:
        """Flush and close."""


def make_tracker(folder: Path, step: int) -> Tracker | None:
    """Open a TensorBoard writer in a training's folder.

    Parameters
    ----------
    folder : Path
        Where the folder ``tensorboard`` is created.
    step : int
        Step at which the training resumes; later points of an earlier run are dropped.

    Returns
    -------
    Tracker or None
        None if TensorBoard is not installed or not requested.
    """
    wanted = _current.get().tensorboard
    if wanted is None:
        wanted = importlib.util.find_spec("tensorboard") is not None
    if not wanted:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # a part of it
        if _current.get().tensorboard:
            raise
        return None
    tracker: Tracker = SummaryWriter(str(folder / TRACKER_FOLDER), purge_step=step + 1)
    return tracker
