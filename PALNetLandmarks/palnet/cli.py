# SPDX-License-Identifier: Apache-2.0
"""The `palnet` command: parses arguments and dispatches to one module per subcommand."""

from __future__ import annotations

import argparse
import contextlib
import errno
import glob
import importlib
import io
import os
import signal
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import palnet
from palnet._files import describe_error
from palnet.commands import COMMANDS
from palnet.commands._telling import tell
from palnet.errors import PalnetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

__all__ = ["build_parser", "main"]

_SUMMARY = "Anatomical landmarks on 3D face scans, each with an expected error in millimeters."

# Windows shells pass `*.ply` on unexpanded.
_SHELL_EXPANDS = os.name != "nt"

# Width of help texts in columns.
_HELP_WIDTH = 100

EXIT_USAGE = 2
# Exit code that shells expect of a program interrupted from the keyboard.
EXIT_INTERRUPTED = 130
# The same if nobody reads the output any more, as behind `| head`.
EXIT_PIPE_CLOSED = 141

# Ctrl-C pressed again within this time is the same interruption.
_PATIENCE_S = 2.0


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
        0: all done; 1: some scans could not be done; 2: wrong usage, or a problem with the whole
        run.
    """
    _print_any_name()
    with _noting_interrupts() as pressed:
        try:
            return _run(argv, pressed)
        except KeyboardInterrupt:
            pass
        except Exception:
            if not pressed:
                raise
        tell("interrupted")
    if argv is None:
        _end_if_pressed_later()
    return EXIT_INTERRUPTED


@contextlib.contextmanager
def _noting_interrupts() -> Iterator[list[float]]:
    """Yield a list that Ctrl-C fills: an import that it ends may go on to another error.

    Who presses it several times does not interrupt the removal of unfinished files.
    """
    pressed: list[float] = []

    def note(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not pressed or now > pressed[-1] + _PATIENCE_S:
            pressed.append(now)
            signal.default_int_handler(number, frame)

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end_if_pressed_later() -> None:
    """Let Ctrl-C pressed again end this process, but not at once: its workers are tidying up.

    Python waits for them at its end, and Ctrl-C would give a traceback there.
    """
    last = time.monotonic()

    def end(*_: object) -> None:
        if time.monotonic() > last + _PATIENCE_S:
            os._exit(EXIT_INTERRUPTED)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, end)


def _run(argv: Sequence[str] | None, pressed: list[float]) -> int:
    """Parse the arguments and run the subcommand; tell errors in one line."""
    try:
        arguments = _parse(argv)
        run: Callable[[argparse.Namespace], int] = arguments.run
        exit_code = run(arguments)
        if sys.stdout is not None:  # None in a window without a console
            sys.stdout.flush()
    except PalnetError as err:
        if pressed:  # an import that was ended looks like a package that is not installed
            raise
        tell(err)
        return EXIT_USAGE
    except OSError as err:
        # Windows reports EINVAL for a pipe that nobody reads, and for an invalid file name.
        is_einval = err.errno == errno.EINVAL and err.filename is None
        is_pipe = sys.platform == "win32" and is_einval
        if is_pipe or isinstance(err, BrokenPipeError):
            _drop_output()
            return EXIT_PIPE_CLOSED
        if err.filename is None:  # not a named file: there is no space for the printed output
            _drop_output()
        tell(describe_error(err))
        return EXIT_USAGE
    return exit_code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments; flush a help text now, so that a closed pipe is noticed here."""
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
    """Replace `*.ply` by the matching files, as shells do.

    Brackets are literal: they occur in names more often than as a character set.
    """
    expanded = []
    for argument in arguments:
        is_pattern = "*" in argument or "?" in argument
        pattern = argument.replace("[", "[[]")
        found = glob.glob(pattern) if is_pattern else []  # noqa: PTH207  # a path from any root
        expanded += sorted(found) or [argument]
    return expanded


def _drop_output() -> None:
    """Discard the buffered output, which Python would fail to flush at exit."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _print_any_name() -> None:
    """Print names outside the console's encoding with escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
