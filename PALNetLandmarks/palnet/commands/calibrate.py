# SPDX-License-Identifier: Apache-2.0
"""`palnet calibrate`: fit a model's expected errors to people unlike its training data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from palnet.commands._arguments import at_least

if TYPE_CHECKING:
    import argparse

__all__ = ["DESCRIPTION", "HELP", "add_options", "run"]

HELP = "fit a model's expected errors to another source of people"
DESCRIPTION = (
    "Generate people, captured by scanners that no training uses, and fit the expected errors to "
    "the errors found on them. Give heads that the model was not trained on. Networks and atlas "
    "do not change; the new model no longer adds anything for faces unlike all training faces, and "
    "does not use the color of scans. If it was interrupted, the same command goes on from there."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add = parser.add_argument
    add("model", nargs="?", help="name of a shipped model or a model file [the default one]")
    add("-o", "--output", type=Path, required=True, metavar="NPZ", help="model file to write")
    add("--morphable-model", type=Path, required=True, metavar="NPZ", help="source of people")
    add("-n", "--number", type=at_least(1), default=160, help="how many people [%(default)s]")
    add("--seed", type=at_least(0), default=0, help="seed of the first person [%(default)s]")
    add("--folder", type=Path, required=True, metavar="DIR", help="where generated scans are kept")
    add("--jobs", type=at_least(1), default=2, metavar="N", help="processes for data [%(default)s]")


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    from palnet.model import read_model
    from palnet.synthesis import read_morphable_model
    from palnet.training.generated.recalibration import recalibrate

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    model = read_model(arguments.model)
    source = read_morphable_model(arguments.morphable_model, model.scheme)
    seeds = range(arguments.seed, arguments.seed + arguments.number)
    recalibrate(
        model, source, seeds, arguments.output, folder=arguments.folder, jobs=arguments.jobs
    )
    print(f"model: {arguments.output}")
    return 0
