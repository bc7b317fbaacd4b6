# SPDX-License-Identifier: Apache-2.0
"""`palnet models`: list the models and what they were trained on."""

from __future__ import annotations

import argparse

__all__ = ["DESCRIPTION", "HELP", "add_options", "run"]

HELP = "list the models that come with palnet, or show what a model file holds"
DESCRIPTION = (
    "List the models that come with palnet, or those that are named, with what they were made from."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.add_argument("models", nargs="*", metavar="NAME_OR_PATH", help="models to list [all]")


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    from palnet.model import list_models, read_model

    named = [read_model(name) for name in arguments.models]
    for model in named or list_models():
        print(model.name)
        print(f"  file: {model.path}")
        print(f"  sha256: {model.sha256}")
        print(f"  landmarks: {len(model.scheme)} of {model.scheme.name}")
        for key, value in model.metadata.items():
            _print_entry(key, value, "  ")
    return 0


def _print_entry(key: str, value: object, indent: str) -> None:
    """Print an entry of a model's description, with nested entries indented."""
    if isinstance(value, dict):
        print(f"{indent}{key}:")
        for name, part in value.items():
            _print_entry(name, part, indent + "  ")
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for number, part in enumerate(value, start=1):
            _print_row(f"{key} {number}", part, indent)
    else:
        print(f"{indent}{key}: {value}")


def _print_row(key: str, row: object, indent: str) -> None:
    """Print an entry of a list, such as the errors of one landmark: in one line if it is flat."""
    if not isinstance(row, dict) or any(isinstance(part, dict | list) for part in row.values()):
        _print_entry(key, row, indent)
        return
    told = (
        f"{name} {part:.4g}" if isinstance(part, float) else f"{name} {part}"
        for name, part in row.items()
    )
    print(f"{indent}{key}: {', '.join(told)}")
