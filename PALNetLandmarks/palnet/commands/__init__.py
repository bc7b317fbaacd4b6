# SPDX-License-Identifier: Apache-2.0
"""The subcommands of `palnet`, one module each.

A module defines `HELP` (a line in the list of subcommands), `DESCRIPTION`, optionally `EPILOG`
(with its own line breaks), `add_options(parser)`, and `run(arguments)`, which returns the exit
code. `run` imports what it needs, so that `palnet --help` is quick. Add the name of a new module
below.
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
