# SPDX-License-Identifier: Apache-2.0
"""`palnet crossvalidate`: a network on annotated scans, fold by fold."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.training.crossvalidation import FoldResult

__all__ = ["add_parser", "crossvalidate", "print_table"]

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
        help="train and test a network on annotated scans, fold by fold",
        description="For each fold of people, train one of the paper's networks (recipe paper) or "
        "the shipped one from scratch (recipe improved) on the others, and test it on the fold. A "
        "GPU is used if there is one.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="annotated scans, as for check-data")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="run folder")
    add("--recipe", default="paper", help="paper, improved or TOML file [%(default)s]")
    add("--network", choices=_NETWORKS, help="instead of that of the recipe paper")
    add("--scheme", metavar="NAME_OR_PATH", help="landmark scheme [palnet50]")
    add("--jobs", type=int, default=2, metavar="N", help="processes for data [%(default)s]")
    add("--anyway", action="store_true", help="go on although check-data finds errors")
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
    from dataclasses import replace

    from palnet._dependencies import require
    from palnet.commands._data_sets import refuse_bad_data
    from palnet.errors import UsageError
    from palnet.training.layouts import read_data_set
    from palnet.training.protocol import Protocol, read_protocol

    require("torch", feature="training")
    from palnet.training.crossvalidation import cross_validate

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    protocol = read_protocol(arguments.recipe)
    if arguments.network:
        if not isinstance(protocol, Protocol):
            msg = "--network is for recipes of the paper's networks. Leave it out, or the recipe."
            raise UsageError(msg)
        protocol = replace(protocol, variant=arguments.network)
    data = read_data_set(arguments.folder, arguments.scheme)
    # A run that has begun was checked then.
    if not arguments.anyway and not (arguments.output / "recipe.json").exists():
        refuse_bad_data(data)
    results = cross_validate(data, protocol, arguments.output, jobs=arguments.jobs)
    print_table(results, protocol.baseline)
    print(f"report: {arguments.output / 'report.html'}")
    return 0


def print_table(results: Sequence[FoldResult], baseline: str) -> None:
    """Print a line a fold, then all together.

    Parameters
    ----------
    results : sequence of FoldResult
        The rows.
    baseline : str
        What the network is compared with.
    """
    heading = f"{baseline} mm"
    print(f"fold  scans  epochs  landmarks mm  distances mm  {heading:>17}  distances mm")
    for row in results:
        print(
            f"{row.fold:4}  {row.n_test:5}  {row.n_epochs:6}  {row.mean_mm:12.2f}  "
            f"{row.pairwise_mm:12.2f}  {row.baseline_mm:17.2f}  {row.baseline_pairwise_mm:12.2f}"
        )
