# SPDX-License-Identifier: Apache-2.0
"""Options and setup that `palnet train` and `palnet crossvalidate` share."""

from __future__ import annotations

import argparse
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TORCHRUN_HELP", "add_training_options", "training_run"]

TORCHRUN_HELP = """\
Several GPUs: torchrun --nproc-per-node N -m palnet ... with the same arguments.
"""


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the options on how to train."""
    add = parser.add_argument
    add("--mixed-precision", action="store_true", help="layers in bfloat16 (GPU, newest CPUs)")
    add(
        "--tensorboard",
        action=argparse.BooleanOptionalAction,
        help="curves for TensorBoard [if it is installed]",
    )


@contextmanager
def training_run(arguments: argparse.Namespace) -> Iterator[bool]:
    """Set up a training as the options say, with the other processes if started by torchrun.

    Yields whether this process is the one that prints. MissingDependencyError if torch is not
    installed, or TensorBoard is requested and not installed.
    """
    from palnet._dependencies import require

    require("torch", feature="training")
    from palnet.training.execution import Execution, execute
    from palnet.training.parallel import is_first, join_processes

    execution = Execution(arguments.mixed_precision, arguments.tensorboard)
    with execute(execution), join_processes():
        level = logging.INFO if is_first() else logging.ERROR
        logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        yield is_first()
