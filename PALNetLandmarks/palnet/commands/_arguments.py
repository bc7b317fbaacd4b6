# SPDX-License-Identifier: Apache-2.0
"""Kinds of arguments that several subcommands take."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["at_least"]


def at_least(minimum: int) -> Callable[[str], int]:
    """Give the type of an argument that is a whole number, and not below the minimum."""

    def number(text: str) -> int:
        value = int(text)
        if value < minimum:
            msg = f"must be at least {minimum}; got {value}"
            raise argparse.ArgumentTypeError(msg)
        return value

    # What argparse calls it where it is no number.
    number.__name__ = "number"
    return number
