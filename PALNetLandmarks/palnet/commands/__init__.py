# SPDX-License-Identifier: Apache-2.0
"""The subcommands of `palnet`, one module each.

A module offers `add_parser(subparsers)`, which adds its parser and sets its function as the default
of `run`, and that function, which takes the parsed arguments and returns the exit code. It imports
what it needs inside that function, so that `palnet --help` is quick. Then add its name here.
"""

from __future__ import annotations

__all__ = ["COMMANDS"]

COMMANDS = (
    "detect",
    "convert",
    "measure",
    "evaluate",
    "procrustes",
    "synthesize",
    "check_data",
    "train",
    "crossvalidate",
    "finetune",
    "calibrate",
    "models",
)
