# SPDX-License-Identifier: Apache-2.0
"""Dialogs with scripted answers; a dialog that the test did not expect fails it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtWidgets import QFileDialog as QtFileDialog
from PySide6.QtWidgets import QMessageBox as QtMessageBox
from PySide6.QtWidgets import QWidget


@dataclass(frozen=True)
class Shown:
    """A dialog that was shown: its kind, its text, its answer."""

    kind: str
    text: str
    answer: object
    title: str = ""


class UnexpectedDialogError(AssertionError):
    """A dialog was shown that the test did not announce."""


class Dialogs:
    """Answers to the next dialogs, and the dialogs that were shown."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.unexpected: list[str] = []
        self._answers: list[tuple[str, str, object, Callable | None]] = []

    def expect(
        self, kind: str, answer: object = None, match: str = "", meanwhile: Callable | None = None
    ) -> None:
        """Announce the next dialog.

        Parameters
        ----------
        kind
            "message" (answer: a button of qt.QMessageBox or its name, "Yes") or "file" (a path, ""
            for Cancel).
        answer
            The user's answer.
        match
            Regular expression for the text (of a file dialog: the caption).
        meanwhile
            Called while the dialog is open: timers keep running then.
        """
        self._answers.append((kind, match, answer, meanwhile))

    def answer(self, kind: str, text: str, title: str = "") -> object:
        """Return the answer to a dialog that was shown."""
        if not self._answers or self._answers[0][0] != kind:
            return self._refuse(f"{kind} dialog {title!r}: {text!r}")
        _, match, answer, meanwhile = self._answers.pop(0)
        if not re.search(match, f"{title}\n{text}"):
            return self._refuse(f"{kind} dialog {text!r} does not match {match!r}")
        self.shown.append(Shown(kind, text, answer, title))
        if meanwhile is not None:
            meanwhile()
        return answer

    def _refuse(self, message: str) -> object:
        self.unexpected.append(message)
        msg = f"unexpected {message}. Announce it with dialogs.expect(...)."
        raise UnexpectedDialogError(msg)

    def forget(self) -> None:
        """Forget the announced and the unannounced dialogs."""
        self._answers.clear()
        self.unexpected.clear()

    @property
    def left_over(self) -> list[str]:
        """Announced dialogs that were never shown, and unannounced ones that were."""
        never = [f"{kind} dialog {match!r} never came up" for kind, match, *_ in self._answers]
        return never + [f"unexpected {message}" for message in self.unexpected]


# The dialogs of the current test; the fixture puts a new object here.
_current = [Dialogs()]


def renew() -> Dialogs:
    """Forget all dialogs."""
    _current[0] = Dialogs()
    return _current[0]


def current() -> Dialogs:
    """Return the dialogs of the current test."""
    return _current[0]


class QMessageBox(QtMessageBox):
    """Message box answered by the test."""

    def exec(self) -> int:
        """Show and answer the box; return the button as an int, as PythonQt does."""
        text = str(self.property("text"))
        details = str(self.property("informativeText") or "")
        title = str(self.property("windowTitle"))
        answer = current().answer("message", f"{text}\n{details}".strip(), title)
        button = getattr(QtMessageBox.StandardButton, answer) if isinstance(answer, str) else answer
        if not QtMessageBox.standardButtons(self) & button:
            msg = f"the message box {text!r} has no button {answer!r}."
            raise UnexpectedDialogError(msg)
        return _number(button)

    exec_ = exec

    def open(self) -> None:
        """Show the box without blocking; the answer arrives with the signal `finished`."""
        self.done(self.exec())

    @classmethod
    def _ask(cls, parent, title: str, text: str, buttons=QtMessageBox.StandardButton.Ok, *_) -> int:
        box = cls(parent)
        box.setWindowTitle(title)
        box.setText(text)
        box.setStandardButtons(buttons)
        return box.exec()

    information = warning = critical = about = _ask

    @classmethod
    def question(cls, parent, title, text, buttons=None, *_) -> int:
        """Ask a question, with Yes and No unless other buttons are given."""
        standard = QtMessageBox.StandardButton
        return cls._ask(parent, title, text, buttons or standard.Yes | standard.No)


class QFileDialog(QtFileDialog):
    """File dialog answered by the test; like PythonQt, it returns paths only."""

    @staticmethod
    def _path(parent: QWidget | None = None, *texts: str) -> str:
        if not (parent is None or isinstance(parent, QWidget)):
            msg = f"parent of a file dialog must be a widget or None; got {parent!r}."
            raise TypeError(msg)
        for text in texts:
            if not isinstance(text, str):
                msg = f"caption, folder and filter of a file dialog must be str; got {text!r}."
                raise TypeError(msg)
        return str(current().answer("file", texts[0] if texts else "") or "")

    getOpenFileName = getSaveFileName = getExistingDirectory = _path


def _number(button) -> int:
    return int(getattr(button, "value", button))
