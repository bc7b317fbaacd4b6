# SPDX-License-Identifier: Apache-2.0
"""Confirmation before unreviewed doubtful landmarks are used outside the module."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _


def goes_on_with_doubtful(review):
    """Ask whether to continue, if there are unreviewed doubtful landmarks.

    Parameters
    ----------
    review : Review
        Review of a list.

    Returns
    -------
    bool
        True if the user continues or all doubtful landmarks were reviewed.
    """
    codes = review.landmarks.unreviewed_doubtful
    if not codes:
        return True
    text = _(
        "Doubtful landmarks that have not been reviewed ({n_codes}): {codes}.\n"
        "Their expected error is large. Go on all the same?"
    ).format(n_codes=len(codes), codes=", ".join(codes))
    return slicer.util.confirmYesNoDisplay(text)
