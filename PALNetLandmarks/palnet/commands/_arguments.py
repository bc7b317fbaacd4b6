# SPDX-License-Identifier: Apache-2.0
"""Argument types that several subcommands use."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["at_least", "output_folder"]

# Endings of tables, pages, models and texts; those of landmarks and scans come with their readers.
_FILE_ENDINGS = (
    *(".csv", ".tsv", ".xls", ".xlsx", ".ods", ".html", ".htm", ".pdf"),
    *(".json", ".npz", ".pt", ".txt", ".toml", ".zip"),
)


def at_least(minimum: int) -> Callable[[str], int]:
    """Return an argparse type for integers that are not below a minimum."""

    def number(text: str) -> int:
        value = int(text)
        if value < minimum:
            msg = f"must be at least {minimum}; got {value}"
            raise argparse.ArgumentTypeError(msg)
        return value

    # Name that argparse uses in the error for text that is not a number.
    number.__name__ = "number"
    return number


def output_folder(text: str) -> Path:
    """Refuse a folder with the name of a file, as an argparse type for the folder to write to.

    Elsewhere the same option takes a file. A folder that exists may have any name.
    """
    from palnet._files import is_folder
    from palnet.exchange import FORMATS
    from palnet.surface import MESH_SUFFIXES

    path, name = Path(text), text.lower()
    endings = (*_FILE_ENDINGS, *(form.suffix for form in FORMATS.values()), *MESH_SUFFIXES)
    ending = max((each for each in endings if name.endswith(each)), key=len, default="")
    if ending and not is_folder(path):
        msg = (
            f"{text!r} must be a folder, but its name is that of a file. Leave {ending} out, or "
            "make that folder first."
        )
        raise argparse.ArgumentTypeError(msg)
    return path
