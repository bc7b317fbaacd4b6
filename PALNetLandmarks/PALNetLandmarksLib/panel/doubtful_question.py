# SPDX-License-Identifier: Apache-2.0
"""The question before doubtful landmarks that nobody has seen leave the program."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _


def goes_on_with_doubtful(review):
    """Ask whether to go on, if there is anything to ask.

    Parameters
    ----------
    review : Review
        A list and what was done to it.

    Returns
    -------
    bool
        True if the user wants to, or all doubtful landmarks were reviewed.
    """
    codes = review.unreviewed_doubtful
    if not codes:
        return True
    text = _(
        "Doubtful landmarks that have not been reviewed ({n_codes}): {codes}.\n"
        "Their expected error is large. Go on all the same?"
    ).format(n_codes=len(codes), codes=", ".join(codes))
    return slicer.util.confirmYesNoDisplay(text)
