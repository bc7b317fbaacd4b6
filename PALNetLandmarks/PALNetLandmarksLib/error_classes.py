# SPDX-License-Identifier: Apache-2.0
"""Names of the three classes of expected error."""

from __future__ import annotations

from slicer.i18n import tr as _

GOOD, CHECK, DOUBTFUL, UNKNOWN, UNPLACED = 0, 1, 2, 3, -1


def class_names():
    """Name the classes.

    Returns
    -------
    dict of int to str
        Names in the user's language, by class as `palnet.preview.classify_errors` returns it.
    """
    return {
        GOOD: _("good"),
        CHECK: _("check"),
        DOUBTFUL: _("doubtful"),
        UNKNOWN: _("unknown"),
        UNPLACED: _("not placed"),
    }
