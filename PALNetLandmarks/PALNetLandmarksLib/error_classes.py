# SPDX-License-Identifier: Apache-2.0
"""Three readable classes of expected error: how they are called."""

from __future__ import annotations

from slicer.i18n import tr as _

GOOD, CHECK, DOUBTFUL, UNKNOWN, UNPLACED = 0, 1, 2, 3, -1


def class_name(number):
    """Give the word for a class.

    Parameters
    ----------
    number : int
        A class as `palnet.preview.classify_errors` gives it.

    Returns
    -------
    str
        In the user's language.
    """
    return {
        GOOD: _("good"),
        CHECK: _("check"),
        DOUBTFUL: _("doubtful"),
        UNKNOWN: _("unknown"),
        UNPLACED: _("not placed"),
    }[number]
