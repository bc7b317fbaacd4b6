# SPDX-License-Identifier: Apache-2.0
"""`palnet finetune`: adapt a model to a lab's own annotated scans."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from palnet.commands._arguments import at_least, output_folder

if TYPE_CHECKING:
    import argparse

    from palnet.data_sets.dataset import DataSet
    from palnet.model import Model
    from palnet.training.annotated.finetuning import FineTuning
    from palnet.training.annotated.protocol import TuningProtocol

__all__ = ["DESCRIPTION", "HELP", "add_options", "run"]

HELP = "fit a model to a lab's own annotated scans"
DESCRIPTION = (
    "Fine-tune a model on annotated scans (10 to 100 people), as for check-data. A quarter of the "
    "people decides when to stop, and whether the result is clearly better than the start; if "
    "not, the start is written. If it was interrupted, the same command goes on from there. A GPU "
    "is used if there is one."
)

# Subfolder of the run folder.
_FOLDS = "folds"
# Number of printed landmarks: those that changed most.
_N_PRINTED = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add = parser.add_argument
    add("folder", type=Path, metavar="DATA", help="annotated scans, as for check-data")
    add("-o", "--output", type=output_folder, required=True, metavar="DIR", help="run folder")
    add("--model", metavar="NAME_OR_PATH", help="model to start from [the recipe's: palnet50]")
    add("--layers", choices=("head", "all"), help="what is trained [the recipe's: head]")
    add("--folds", type=int, metavar="K", help="also test K folds of people, before and after")
    add("--recipe", default="finetune", help="shipped recipe or TOML file [%(default)s]")
    add("--scheme", metavar="NAME_OR_PATH", help="landmark scheme of the scans [the model's]")
    add("--jobs", type=at_least(1), default=2, metavar="N", help="processes for data [%(default)s]")
    add("--anyway", action="store_true", help="continue even if check-data finds errors")


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    from palnet._dependencies import require
    from palnet.data_sets.layouts import read_data_set
    from palnet.model import read_model
    from palnet.training.annotated.scan_cache import LEFT_OUT_FILE

    require("torch", feature="training")
    from palnet.training.annotated.finetuning import finetune_model

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    protocol = _read_protocol(arguments)
    model = read_model(protocol.start)
    data = read_data_set(arguments.folder, arguments.scheme or model.scheme)
    _check(arguments, data, protocol, model)
    result = finetune_model(data, protocol, arguments.output, jobs=arguments.jobs)
    _print_result(result)
    if result.left_out:
        n_all, path = len(data.scans) + len(data.left_out), arguments.output / LEFT_OUT_FILE
        print(f"left out: {len(result.left_out)} of {n_all} scans: {path}")
    print(f"model: {result.path}\nreport: {arguments.output / 'report.html'}")
    if arguments.folds is not None:
        _test_folds(arguments, data, protocol)
    return 0


def _check(
    arguments: argparse.Namespace, data: DataSet, protocol: TuningProtocol, model: Model
) -> None:
    """Refuse what would be refused, or spoil the training, hours later; the folders first."""
    from palnet._run_folder import CLAIM_NAME
    from palnet.commands._data_sets import (
        HARMLESS_TO_TUNING,
        refuse_bad_data,
        refuse_run_among_scans,
    )
    from palnet.training.annotated import crossvalidation
    from palnet.training.annotated.finetuning import check_folder
    from palnet.training.annotated.folds import split_people
    from palnet.training.annotated.tuning import check_start

    refuse_run_among_scans(arguments.folder, arguments.output)
    check_start(data.scheme, model)
    check_folder(arguments.output, model, protocol)
    if arguments.folds is not None:
        crossvalidation.check_folder(arguments.output / _FOLDS, data.scheme, protocol)
    # A run that has already started was checked then.
    if not arguments.anyway and not (arguments.output / CLAIM_NAME).exists():
        refuse_bad_data(data, HARMLESS_TO_TUNING)
    if arguments.folds is not None:  # check that there are enough people before training
        split_people([scan.person for scan in data.scans], protocol.n_folds, protocol.seed, 0.5)


def _test_folds(arguments: argparse.Namespace, data: DataSet, protocol: TuningProtocol) -> None:
    """Test folds of people before and after, and print a table."""
    from palnet.commands.crossvalidate import print_table
    from palnet.training.annotated.crossvalidation import cross_validate
    from palnet.training.annotated.finetuning import FACES

    folder, faces = arguments.output / _FOLDS, arguments.output / FACES
    results = cross_validate(data, protocol, folder, jobs=arguments.jobs, faces=faces)
    print_table(results, protocol.baseline)
    print(f"report: {folder / 'report.html'}")


def _read_protocol(arguments: argparse.Namespace) -> TuningProtocol:
    """Read the recipe, with the requested model, layers and folds."""
    from dataclasses import replace

    from palnet.errors import UsageError
    from palnet.training.annotated.protocol import TuningProtocol, read_protocol

    protocol = read_protocol(arguments.recipe)
    if not isinstance(protocol, TuningProtocol):
        msg = (
            f"{arguments.recipe}: is a recipe of the paper's networks, which are trained by palnet "
            "crossvalidate. Give finetune, or a recipe with a start."
        )
        raise UsageError(msg)
    given = {"start": arguments.model, "layers": arguments.layers, "n_folds": arguments.folds}
    protocol = replace(protocol, **{name: v for name, v in given.items() if v is not None})
    if not protocol.is_tuning:
        msg = (
            f"{arguments.recipe}: trains a network from scratch, which palnet crossvalidate does. "
            "Give --model, or the recipe finetune."
        )
        raise UsageError(msg)
    return protocol


def _print_result(result: FineTuning) -> None:
    """Print errors before and after, of all landmarks and of those that changed most."""
    every, *landmarks = result.changes
    seen = [change for change in landmarks if change.n]
    most = sorted(seen, key=lambda change: -abs(change.after_mm - change.before_mm))[:_N_PRINTED]
    print("landmark  before mm  after mm  (validation people)")
    for change in (every, *most):
        print(f"{change.code:8}  {change.before_mm:9.2f}  {change.after_mm:8.2f}")
    if not result.is_better:
        print("No result was clearly better than the start: the model written is the start.")
