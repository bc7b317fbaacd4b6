# SPDX-License-Identifier: Apache-2.0
"""The `palnet` command: reads arguments, hands over to one module a subcommand."""

from __future__ import annotations

import argparse
import contextlib
import errno
import glob
import importlib
import io
import os
import sys
import textwrap
from typing import TYPE_CHECKING

import palnet
from palnet.commands import COMMANDS
from palnet.errors import PalnetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["build_parser", "main"]

_SUMMARY = "Anatomical landmarks on 3D face scans, each with an expected error in millimeters."

# Those of Windows hand `*.ply` on as it was typed.
_SHELL_EXPANDS = os.name != "nt"

# Columns of what stands round the options in a help text.
_HELP_WIDTH = 100

EXIT_USAGE = 2
# What a shell expects of a program that was interrupted from the keyboard.
EXIT_INTERRUPTED = 130
# The same of one whose output nobody reads any more, as behind `| head`.
EXIT_PIPE_CLOSED = 141


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command with all its subcommands.

    Returns
    -------
    argparse.ArgumentParser
        Parser whose result holds the chosen subcommand's function as `run`.
    """
    parser = argparse.ArgumentParser(prog="palnet", description=_SUMMARY)
    parser.add_argument("--version", action="version", version=f"palnet {palnet.__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        command = importlib.import_module(f"palnet.commands.{name}")
        subparser = subparsers.add_parser(
            name.replace("_", "-"),
            help=command.HELP,
            description=textwrap.fill(command.DESCRIPTION, _HELP_WIDTH),
            epilog=getattr(command, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_options(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        0: all done; 1: some scans could not be done; 2: wrong usage, or the system refuses what all
        need, such as room on the disk.
    """
    _print_any_name()
    try:
        arguments = _parse(argv)
        run: Callable[[argparse.Namespace], int] = arguments.run
        exit_code = run(arguments)
        if sys.stdout is not None:  # as it is in a window without a console
            sys.stdout.flush()
    except PalnetError as err:
        print(f"palnet: {err}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("palnet: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as err:
        # Windows says EINVAL of a pipe that nobody reads, and of a file whose name cannot be.
        is_einval = err.errno == errno.EINVAL and err.filename is None
        is_pipe = sys.platform == "win32" and is_einval
        if is_pipe or isinstance(err, BrokenPipeError):
            _drop_output()
            return EXIT_PIPE_CLOSED
        if err.filename is None:  # of no file that was named: what is printed finds no room
            _drop_output()
        print(f"palnet: {_describe(err)}", file=sys.stderr)
        return EXIT_USAGE
    return exit_code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments; a help text that nobody reads to its end is told now, not at the end."""
    if argv is None and not _SHELL_EXPANDS:
        _check_quotes(sys.argv[1:])
        argv = _expand_wildcards(sys.argv[1:])
    try:
        return build_parser().parse_args(argv)
    except SystemExit:
        if sys.stdout is not None:
            sys.stdout.flush()
        raise


def _check_quotes(arguments: Sequence[str]) -> None:
    r"""Require that no argument ran into the next, as `"My scans\" -o out` does on Windows."""
    for argument in arguments:
        if '"' in argument:
            msg = f'{argument}: contains a ". Remove the \\ before the quote that ends a folder.'
            raise UsageError(msg)


def _expand_wildcards(arguments: Sequence[str]) -> list[str]:
    """Put the files in place of `*.ply`, as shells do.

    Brackets are left: names hold them more often than anybody means a set of letters.
    """
    expanded = []
    for argument in arguments:
        is_pattern = "*" in argument or "?" in argument
        pattern = argument.replace("[", "[[]")
        found = glob.glob(pattern) if is_pattern else []  # noqa: PTH207  # a path from any root
        expanded += sorted(found) or [argument]
    return expanded


def _describe(err: OSError) -> str:
    """Say what the system refused: a folder that may not be read, a full disk behind `>`."""
    where = f"{err.filename}: " if err.filename else ""
    return f"{where}{err.strerror or err}. Check the path, the rights and the free space."


def _drop_output() -> None:
    """Lead what is left in the buffer nowhere, or Python fails on it when it ends."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _print_any_name() -> None:
    """Let names that the console's encoding lacks be printed escaped instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
