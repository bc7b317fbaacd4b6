# SPDX-License-Identifier: Apache-2.0
"""Keyboard shortcuts of the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt

if TYPE_CHECKING:
    from collections.abc import Callable

    from PALNetLandmarksLib.panel.review_section import ReviewSection

_KEYS = {
    "nextButton": "Alt+Down",
    "previousButton": "Alt+Up",
    "confirmButton": "Ctrl+Return",
    "undoButton": "Ctrl+Backspace",
    "redoButton": "Ctrl+Shift+Backspace",
}
# Any other key, if held down, would decide on landmarks that nobody has looked at.
_GOES_ON_IF_HELD = ("nextButton", "previousButton")


class Shortcuts:
    """Shortcuts for the review, while they are connected.

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name; the buttons name their keys from now on.
    review_section : ReviewSection
        The section that they control.
    """

    def __init__(self, ui: Any, review_section: ReviewSection) -> None:
        _name_keys(ui)
        self.all: list[qt.QShortcut] = []
        self._actions = {
            "nextButton": review_section.on_next,
            "previousButton": review_section.on_previous,
            "confirmButton": review_section.on_confirm,
            "undoButton": review_section.on_undo,
            "redoButton": review_section.on_redo,
        }

    def connect(self, window: qt.QWidget) -> None:
        """Take the keys, unless they are taken already.

        Parameters
        ----------
        window : QWidget
            Where the keys work: the main window, since the mouse may be in a view.
        """
        if not self.all:
            self.all = [_shortcut(window, name, act) for name, act in self._actions.items()]

    def close(self) -> None:
        """Release the keys."""
        for shortcut in self.all:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self.all = []


def _name_keys(ui: Any) -> None:
    """Add the shortcuts to the tooltips of the buttons, named as on this system."""
    for name, keys in _KEYS.items():
        button = getattr(ui, name)
        called = qt.QKeySequence(keys).toString(qt.QKeySequence.NativeText)
        button.setToolTip(f"{button.toolTip} ({called})")


def _shortcut(window: qt.QWidget, name: str, action: Callable[[], None]) -> qt.QShortcut:
    shortcut = qt.QShortcut(window)
    shortcut.setKey(qt.QKeySequence(_KEYS[name]))
    shortcut.setAutoRepeat(name in _GOES_ON_IF_HELD)
    shortcut.activated.connect(action)
    return shortcut
