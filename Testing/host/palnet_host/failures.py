# SPDX-License-Identifier: Apache-2.0
"""Collect errors that Qt and VTK only print."""

from __future__ import annotations

import re
import sys
import traceback

import vtk


class HiddenFailures:
    """Exceptions of slots and observers and VTK errors during a test; each fails it."""

    def __init__(self) -> None:
        self._errors: list[BaseException] = []
        self._vtk_errors: list[str] = []
        self._before = None
        self._tag = 0

    def start(self) -> None:
        """Start collecting."""
        self._tag = vtk.vtkOutputWindow.GetInstance().AddObserver("ErrorEvent", self._on_vtk_error)
        self._before = (sys.excepthook, sys.unraisablehook)
        sys.excepthook = lambda _kind, error, _trace: self._errors.append(error)
        sys.unraisablehook = lambda problem: self._errors.append(problem.exc_value)

    def stop(self) -> None:
        """Stop collecting exceptions."""
        sys.excepthook, sys.unraisablehook = self._before
        vtk.vtkOutputWindow.GetInstance().RemoveObserver(self._tag)

    @vtk.calldata_type(vtk.VTK_STRING)
    def _on_vtk_error(self, _caller, _event, text: str) -> None:
        self._vtk_errors.append(text.strip())

    def take(self, kind: type[BaseException], match: str = "") -> BaseException:
        """Take the oldest failure, which the test expected; raise if it is a different one.

        Parameters
        ----------
        kind
            Class of the exception.
        match
            Regular expression for its text.
        """
        if not self._errors:
            msg = f"no slot has failed; expected {kind.__name__}."
            raise AssertionError(msg)
        error = self._errors[0]
        if not isinstance(error, kind) or not re.search(match, str(error)):
            msg = f"expected {kind.__name__} matching {match!r}; got {error!r}."
            raise AssertionError(msg)
        return self._errors.pop(0)

    def take_vtk_errors(self, match: str) -> None:
        """Take all errors of VTK and MRML, which the test expected; raise if there are none.

        Parameters
        ----------
        match
            Regular expression for each of the texts.
        """
        if not self._vtk_errors:
            msg = f"VTK has reported no error; expected one matching {match!r}."
            raise AssertionError(msg)
        self._vtk_errors = [text for text in self._vtk_errors if not re.search(match, text)]

    def __str__(self) -> str:
        raised = ["".join(traceback.format_exception(error)) for error in self._errors]
        return "\n".join(raised + self._vtk_errors)
