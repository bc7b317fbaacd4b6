# SPDX-License-Identifier: Apache-2.0
"""The keys of the panel."""

from __future__ import annotations

import qt

# The key of each button.
_KEYS = {
    "nextButton": "Alt+Down",
    "previousButton": "Alt+Up",
    "confirmButton": "Ctrl+Return",
    "undoButton": "Ctrl+Backspace",
    "redoButton": "Ctrl+Shift+Backspace",
}
# Any other key would, if it is held, decide on what nobody has looked at.
_GOES_ON_IF_HELD = ("nextButton", "previousButton")


def name_keys(ui):
    """Say in the tooltips of the buttons which keys do the same, as the system calls its keys.

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
    """Keys of the review until they are given back.

    Parameters
    ----------
    window : QWidget
        Where the keys work: the main one, for the mouse may be in a view.
    review_section : ReviewSection
        What they act on.
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
        """Give the keys back."""
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
