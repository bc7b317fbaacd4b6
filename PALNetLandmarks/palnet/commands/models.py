# SPDX-License-Identifier: Apache-2.0
"""`palnet models`: which models there are, with what they were made from."""

from __future__ import annotations

import argparse

__all__ = ["add_parser", "models"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand.

    Parameters
    ----------
    subparsers : argparse subparsers
        Where to add it.
    """
    parser = subparsers.add_parser(
        "models",
        help="list the models that come with palnet",
        description="List the models that come with palnet, with what they were made from.",
    )
    parser.set_defaults(run=models)


def models(arguments: argparse.Namespace) -> int:  # noqa: ARG001  # the shape of every subcommand
    """Run the subcommand.

    Parameters
    ----------
    arguments : argparse.Namespace
        Parsed arguments; there are none.

    Returns
    -------
    int
        Exit code.
    """
    from palnet.model import list_models

    for model in list_models():
        print(model.name)
        print(f"  file: {model.path}")
        print(f"  sha256: {model.sha256}")
        for key, value in model.metadata.items():
            print(f"  {key}: {value}")
    return 0
