# SPDX-License-Identifier: Apache-2.0
"""Ask for a file to write."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _


def ask_save_path(title, proposed, suffix):
    """Ask for a path; the dialog asks before it replaces a file.

    Parameters
    ----------
    title : str
        Title of the dialog.
    proposed : Path
        What the dialog proposes.
    suffix : str
        File extension, with its dot; a name without it gets it.

    Returns
    -------
    Path or None
        None if the user cancels.
    """
    window = slicer.util.mainWindow()
    answer = qt.QFileDialog.getSaveFileName(window, title, str(proposed), f"*{suffix}")
    if not answer:
        return None
    path = Path(answer)
    if path.name.lower().endswith(suffix):
        return path
    path = path.with_name(path.name + suffix)  # of which the dialog knows nothing
    return path if not path.exists() or may_replace(path) else None


def may_replace(path):
    """Ask whether to replace a file.

    Parameters
    ----------
    path : Path
        A file that exists.

    Returns
    -------
    bool
        True if the user agrees.
    """
    return slicer.util.confirmYesNoDisplay(_("{name} exists. Replace it?").format(name=path.name))
