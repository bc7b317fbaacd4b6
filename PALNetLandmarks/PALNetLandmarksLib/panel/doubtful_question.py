# SPDX-License-Identifier: Apache-2.0
"""Confirmation before unreviewed doubtful landmarks are used outside the module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from palnet._stored import listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PALNetLandmarksLib.review import Review


def goes_on_with_doubtful(review: Review) -> bool:
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
    text = _("Doubtful landmarks that have not been reviewed ({number}): {names}.")
    return _goes_on(text, codes, ", ".join(codes))


def goes_on_with_doubtful_scans(scans: Sequence[str]) -> bool:
    """Ask whether to continue, if there are scans with unreviewed doubtful landmarks.

    Parameters
    ----------
    scans : sequence of str
        Their names.

    Returns
    -------
    bool
        True if the user continues or there are none.
    """
    text = _("Scans with doubtful landmarks that have not been reviewed ({number}): {names}.")
    return _goes_on(text, scans, listing(scans))


def _goes_on(text: str, names: Sequence[str], shown: str) -> bool:
    if not names:
        return True
    question = _("Their expected error is large. Go on all the same?")
    text = text.format(number=len(names), names=shown)
    return slicer.util.confirmYesNoDisplay(f"{text}\n{question}")
