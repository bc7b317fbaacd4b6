# SPDX-License-Identifier: Apache-2.0
"""Three readable classes of expected error: how they are called and colored."""

from __future__ import annotations

from slicer.i18n import tr as _

GOOD, CHECK, DOUBTFUL, UNKNOWN, UNPLACED = 0, 1, 2, 3, -1

# Those of the preview picture: blue, yellow, vermillion and gray are told apart with every common
# color blindness, and in print.
COLORS = {
    GOOD: (0.00, 0.45, 0.70),
    CHECK: (0.95, 0.90, 0.25),
    DOUBTFUL: (0.84, 0.37, 0.00),
    UNKNOWN: (0.35, 0.35, 0.35),
}


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
