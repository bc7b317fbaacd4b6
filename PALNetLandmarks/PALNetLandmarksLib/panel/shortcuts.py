# SPDX-License-Identifier: Apache-2.0
"""Keyboard shortcuts of the panel."""

from __future__ import annotations

import qt

_KEYS = {
    "nextButton": "Alt+Down",
    "previousButton": "Alt+Up",
    "confirmButton": "Ctrl+Return",
    "undoButton": "Ctrl+Backspace",
    "redoButton": "Ctrl+Shift+Backspace",
}
# Any other key, if held down, would decide on landmarks that nobody has looked at.
_GOES_ON_IF_HELD = ("nextButton", "previousButton")


def name_keys(ui):
    """Add the shortcuts to the tooltips of the buttons, named as on this system.

    Parameters
    ----------
    ui : object
        The widgets of the panel, by name.
    """
    for name, keys in _KEYS.items():
        button = getattr(ui, name)
        called = qt.QKeySequence(keys).toString(qt.QKeySequence.NativeText)
        button.setToolTip(f"{button.toolTip} ({called})")


class Shortcuts:
    """Shortcuts for the review, until they are released.

    Parameters
    ----------
    window : QWidget
        Where the keys work: the main window, since the mouse may be in a view.
    review_section : ReviewSection
        The section that they control.
    """

    def __init__(self, window, review_section):
        actions = {
            "nextButton": review_section.on_next,
            "previousButton": review_section.on_previous,
            "confirmButton": review_section.on_confirm,
            "undoButton": review_section.on_undo,
            "redoButton": review_section.on_redo,
        }
        self.all = [_shortcut(window, name, action) for name, action in actions.items()]

    def close(self):
        """Release the keys."""
        for shortcut in self.all:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self.all = []


def _shortcut(window, name, action):
    shortcut = qt.QShortcut(window)
    shortcut.setKey(qt.QKeySequence(_KEYS[name]))
    shortcut.setAutoRepeat(name in _GOES_ON_IF_HELD)
    shortcut.activated.connect(action)
    return shortcut
