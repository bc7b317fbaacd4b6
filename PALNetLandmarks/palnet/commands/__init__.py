# SPDX-License-Identifier: Apache-2.0
"""The subcommands of `palnet`, one module each.

A module offers `HELP` (a line in the list of subcommands), `DESCRIPTION`, where need be `EPILOG`
(with line ends of its own), `add_options(parser)`, and `run(arguments)`, which returns the exit
code. It imports what it needs inside that function, so that `palnet --help` is quick. Then add its
name here.
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
