# SPDX-License-Identifier: Apache-2.0
"""Argument types that several subcommands use."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["at_least"]


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
