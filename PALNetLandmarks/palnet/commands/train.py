# SPDX-License-Identifier: Apache-2.0
"""`palnet train`: train a model from a recipe."""

from __future__ import annotations

import argparse
from pathlib import Path

from palnet.commands._arguments import at_least, output_folder
from palnet.commands._training import TORCHRUN_HELP, add_training_options, training_run
from palnet.commands.synthesize import MORPHABLE_MODEL_HELP

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_options", "run"]

HELP = "make a model from a recipe"
DESCRIPTION = (
    "Generate people, build the atlas, train the networks, calibrate, and write "
    "the model. Every stage is kept in the output folder: the same command goes on where it "
    "was interrupted. A GPU is used if there is one."
)
EPILOG = TORCHRUN_HELP


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add = parser.add_argument
    add("recipe", nargs="?", default="palnet50", help="shipped recipe or TOML file [%(default)s]")
    add("-o", "--output", type=output_folder, required=True, metavar="DIR", help="run folder")
    add(
        "--morphable-model",
        type=Path,
        required=True,
        action="append",
        metavar="NPZ",
        help=f"{MORPHABLE_MODEL_HELP}; given twice, people are drawn from both",
    )
    add("--jobs", type=at_least(1), default=2, metavar="N", help="processes for data [%(default)s]")
    add_training_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    from palnet.scheme import load_scheme
    from palnet.synthesis import read_morphable_model
    from palnet.training.generated.recipe import read_recipe

    with training_run(arguments) as is_first:
        from palnet.training.generated.pipeline import train_model

        recipe = read_recipe(arguments.recipe)
        scheme = load_scheme(recipe.scheme)
        sources = [read_morphable_model(path, scheme) for path in arguments.morphable_model]
        path = train_model(recipe, sources, arguments.output, jobs=arguments.jobs)
        if is_first:
            print(f"model: {path}")
    return 0
