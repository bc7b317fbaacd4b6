# SPDX-License-Identifier: Apache-2.0
"""The keys of the panel."""

from __future__ import annotations

import qt


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
        steps = {
            "Alt+Down": review_section.on_next,
            "Alt+Up": review_section.on_previous,
        }
        decisions = {
            "Ctrl+Return": review_section.on_confirm,
            "Ctrl+Backspace": review_section.on_undo,
            "Ctrl+Shift+Backspace": review_section.on_redo,
        }
        self.all = [_shortcut(window, *each) for each in (*steps.items(), *decisions.items())]
        for shortcut in self.all[len(steps) :]:
            # A key that is held would confirm what nobody has looked at.
            shortcut.setAutoRepeat(False)

    def close(self):
        """Give the keys back."""
        for shortcut in self.all:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self.all = []


def _shortcut(window, keys, action):
    shortcut = qt.QShortcut(window)
    shortcut.setKey(qt.QKeySequence(keys))
    shortcut.activated.connect(action)
    return shortcut
