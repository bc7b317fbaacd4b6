# SPDX-License-Identifier: Apache-2.0
"""Names of the three classes of expected error."""

from __future__ import annotations

from slicer.i18n import tr as _

GOOD, CHECK, DOUBTFUL, UNKNOWN, UNPLACED = 0, 1, 2, 3, -1


def class_name(number):
    """Return the name of a class.

    Parameters
    ----------
    number : int
        A class as returned by `palnet.preview.classify_errors`.

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
