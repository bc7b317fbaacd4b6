# SPDX-License-Identifier: Apache-2.0
"""Collects the exceptions that Qt and VTK print and then forget."""

from __future__ import annotations

import re
import sys
import traceback


class HiddenFailures:
    """Exceptions of slots and observers since the start of a test; each fails it."""

    def __init__(self) -> None:
        self._errors: list[BaseException] = []
        self._before = None

    def start(self) -> None:
        """Collect from now on."""
        self._before = (sys.excepthook, sys.unraisablehook)
        sys.excepthook = lambda _kind, error, _trace: self._errors.append(error)
        sys.unraisablehook = lambda problem: self._errors.append(problem.exc_value)

    def stop(self) -> None:
        """Leave exceptions alone again."""
        sys.excepthook, sys.unraisablehook = self._before

    def take(self, kind: type[BaseException], match: str = "") -> BaseException:
        """Take the oldest failure, which the test expected; raises where it is another.

        Parameters
        ----------
        kind
            Class of the exception.
        match
            Regular expression that its text has to match.
        """
        if not self._errors:
            msg = f"no slot has failed; expected {kind.__name__}."
            raise AssertionError(msg)
        error = self._errors[0]
        if not isinstance(error, kind) or not re.search(match, str(error)):
            msg = f"expected {kind.__name__} matching {match!r}; got {error!r}."
            raise AssertionError(msg)
        return self._errors.pop(0)

    def __str__(self) -> str:
        return "\n".join("".join(traceback.format_exception(error)) for error in self._errors)
