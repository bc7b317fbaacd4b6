# SPDX-License-Identifier: Apache-2.0
"""`palnet crossvalidate`: the paper's networks on annotated scans, fold by fold."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from palnet.commands._training import TORCHRUN_HELP, add_training_options, training_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.training.crossvalidation import FoldResult
    from palnet.training.dataset import DataSet

__all__ = ["add_parser", "crossvalidate"]

# As in palnet.training.protocol, which would load numpy.
_NETWORKS = ("palnet", "noatt", "topk", "2blk", "ndo")

_EPILOG = """\
The data set is checked first (palnet check-data). DIR gets a folder a fold with the training curve
and the network, folds.csv, report.html and its tables, and every landmark file in DIR/predicted and
DIR/truth. The same command goes on where it was interrupted. Exit code 0: all done; 2: wrong usage,
or a data set with errors.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand.

    Parameters
    ----------
    subparsers : argparse subparsers
        Where to add it.
    """
    parser = subparsers.add_parser(
        "crossvalidate",
        help="train and test one of the paper's networks on annotated scans",
        description="Train one of the paper's networks on each fold of people and test it on the "
        "others. A GPU is used if there is one.",
        epilog=_EPILOG + TORCHRUN_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="annotated scans, as for check-data")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="run folder")
    add("--recipe", default="paper", help="shipped recipe or TOML file [%(default)s]")
    add("--network", choices=_NETWORKS, help="instead of the recipe's")
    add("--scheme", metavar="NAME_OR_PATH", help="landmark scheme [palnet50]")
    add("--jobs", type=int, default=2, metavar="N", help="processes for data [%(default)s]")
    add("--train-all", action="store_true", help="train on everybody as well: DIR/model.npz")
    add("--anyway", action="store_true", help="go on although check-data finds errors")
    add_training_options(parser)
    parser.set_defaults(run=crossvalidate)


def crossvalidate(arguments: argparse.Namespace) -> int:
    """Run the subcommand.

    Parameters
    ----------
    arguments : argparse.Namespace
        Parsed arguments.

    Returns
    -------
    int
        Exit code.
    """
    with training_run(arguments) as is_first:
        results = _cross_validate(arguments)
        if is_first:
            _print_table(results)
            _print_files(arguments.output, train_all=arguments.train_all)
    return 0


def _cross_validate(arguments: argparse.Namespace) -> Sequence[FoldResult]:
    """Read data set and recipe, check, and do it."""
    from dataclasses import replace
    from functools import partial

    from palnet.training.crossvalidation import cross_validate
    from palnet.training.layouts import read_data_set
    from palnet.training.parallel import on_first
    from palnet.training.protocol import read_protocol

    protocol = read_protocol(arguments.recipe)
    if arguments.network:
        protocol = replace(protocol, variant=arguments.network)
    data = read_data_set(arguments.folder, arguments.scheme)
    if not arguments.anyway:
        on_first(partial(_check, data, arguments.output))
    return cross_validate(
        data, protocol, arguments.output, jobs=arguments.jobs, train_all=arguments.train_all
    )


def _check(data: DataSet, output: Path) -> None:
    """Refuse a data set that would spoil the training; a run that has begun was checked then."""
    from palnet.errors import UsageError
    from palnet.training.checking import ERRORS, check_data_set

    if (output / "recipe.json").exists():
        return
    report = check_data_set(data)
    for problem in report.problems:
        if problem.kind in ERRORS:
            print(f"palnet: {problem.kind}: {problem.specimen} {problem.text}", file=sys.stderr)
    if report.n_errors:
        msg = (
            f"the data set has {report.n_errors} errors. Mend them; palnet check-data tells more. "
            "With --anyway it is used as it is."
        )
        raise UsageError(msg)


def _print_table(results: Sequence[FoldResult]) -> None:
    """Print a line a fold, then all together."""
    print("fold  scans  epochs  landmarks mm  distances mm  mean landmarks mm  distances mm")
    for row in results:
        print(
            f"{row.fold:4}  {row.n_test:5}  {row.n_epochs:6}  {row.mean_mm:12.2f}  "
            f"{row.pairwise_mm:12.2f}  {row.baseline_mm:17.2f}  {row.baseline_pairwise_mm:12.2f}"
        )


def _print_files(output: Path, *, train_all: bool) -> None:
    """Say where to look."""
    print(f"report: {output / 'report.html'}")
    model = output / "model.npz" if train_all else output / "fold1" / "model.npz"
    if model.exists():
        print(f"model:  {model}")
