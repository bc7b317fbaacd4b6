# SPDX-License-Identifier: Apache-2.0
"""`palnet crossvalidate`: train and test a network on annotated scans, fold by fold."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from palnet.commands._arguments import at_least, output_folder
from palnet.commands._training import TORCHRUN_HELP, add_training_options, training_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.data_sets.dataset import DataSet
    from palnet.training.annotated.crossvalidation import FoldResult
    from palnet.training.annotated.protocol import PaperProtocol, TuningProtocol

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_options", "print_table", "run"]

HELP = "train and test a network on annotated scans, fold by fold"
DESCRIPTION = (
    "For each fold of people, train one of the paper's networks (recipe paper) or "
    "the small landmark network from scratch (recipe improved) on the others, and test it on "
    "the fold. A GPU is used if there is one."
)

# As in palnet.network.paper, whose import would load numpy.
_NETWORKS = ("palnet", "noatt", "topk", "2blk", "ndo")

EPILOG = (
    """\
The data set is checked first (palnet check-data). DIR gets a folder for each fold (training curve,
network), folds.csv, report.html with its tables, and every landmark file in DIR/predicted and
DIR/truth. If it was interrupted, the same command goes on from there. Exit code 0: all done; 2:
wrong usage, or a data set with errors.
"""
    + TORCHRUN_HELP
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="annotated scans, as for check-data")
    add("-o", "--output", type=output_folder, required=True, metavar="DIR", help="run folder")
    add("--recipe", default="paper", help="paper, improved or TOML file [%(default)s]")
    add("--network", choices=_NETWORKS, help="instead of the one in the recipe paper")
    add("--scheme", metavar="NAME_OR_PATH", help="landmark scheme [palnet50]")
    add("--jobs", type=at_least(1), default=2, metavar="N", help="processes for data [%(default)s]")
    add("--train-all", action="store_true", help="also train on all people: DIR/model.npz")
    add("--anyway", action="store_true", help="continue even if check-data finds errors")
    add_training_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    with training_run(arguments) as is_first:
        results, baseline = _cross_validate(arguments)
        if is_first:
            print_table(results, baseline)
            _print_files(arguments.output, train_all=arguments.train_all)
    return 0


def _cross_validate(arguments: argparse.Namespace) -> tuple[Sequence[FoldResult], str]:
    """Read data set and recipe, check them, and run; also return what to compare with."""
    from functools import partial

    from palnet.commands._data_sets import refuse_run_among_scans
    from palnet.data_sets.layouts import read_data_set
    from palnet.training.annotated.crossvalidation import check_folder, cross_validate
    from palnet.training.annotated.folds import split_people
    from palnet.training.parallel import on_first

    protocol = _read_protocol(arguments)
    data = read_data_set(arguments.folder, arguments.scheme)
    refuse_run_among_scans(arguments.folder, arguments.output)
    on_first(partial(check_folder, arguments.output, data.scheme, protocol))
    if not arguments.anyway:
        on_first(partial(_check, data, protocol, arguments.output))
    people = [scan.person for scan in data.scans]  # enough? checked before preparation
    split_people(people, protocol.n_folds, protocol.seed, protocol.cohort.validation_share)
    results = cross_validate(
        data, protocol, arguments.output, jobs=arguments.jobs, train_all=arguments.train_all
    )
    return results, protocol.baseline


def _check(data: DataSet, protocol: PaperProtocol | TuningProtocol, output: Path) -> None:
    """Refuse a data set that would spoil the training, unless a fold has already started with it.

    An interrupted run is checked again, since its files may have changed.
    """
    from palnet._run_folder import CLAIM_NAME
    from palnet.commands._data_sets import HARMLESS_TO_TUNING, refuse_bad_data
    from palnet.training.annotated.crossvalidation import FOLD

    if not (output / f"{FOLD}1" / CLAIM_NAME).exists():
        refuse_bad_data(data, HARMLESS_TO_TUNING if protocol.is_tuning else ())


def _read_protocol(arguments: argparse.Namespace) -> PaperProtocol | TuningProtocol:
    """Read the recipe, with the requested network."""
    from dataclasses import replace

    from palnet.errors import UsageError
    from palnet.training.annotated.protocol import PaperProtocol, read_protocol

    protocol = read_protocol(arguments.recipe)
    if not arguments.network:
        return protocol
    if not isinstance(protocol, PaperProtocol):
        msg = (
            "--network works only with recipes of the paper's networks. Leave out --network or "
            "--recipe."
        )
        raise UsageError(msg)
    return replace(protocol, variant=arguments.network)


def print_table(results: Sequence[FoldResult], baseline: str) -> None:
    """Print a line per fold, then one for all folds, beside what the network is compared with."""
    heading = f"{baseline} mm"
    print(f"fold  scans  epochs  landmarks mm  distances mm  {heading:>17}  distances mm")
    for row in results:
        print(
            f"{row.fold:4}  {row.n_test:5}  {row.n_epochs:6}  {row.mean_mm:12.2f}  "
            f"{row.pairwise_mm:12.2f}  {row.baseline_mm:17.2f}  {row.baseline_pairwise_mm:12.2f}"
        )


def _print_files(output: Path, *, train_all: bool) -> None:
    """Print where to find the results."""
    print(f"report: {output / 'report.html'}")
    model = output / "model.npz" if train_all else output / "fold1" / "model.npz"
    if model.exists():
        print(f"model:  {model}")
