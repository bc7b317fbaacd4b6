# SPDX-License-Identifier: Apache-2.0
"""Ask about files to write, and about damaged ones to open."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from palnet.errors import PalnetError
from palnet.surface import read_mesh


def ask_save_path(title: str, proposed: Path, suffix: str) -> Path | None:
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


def may_replace(path: Path) -> bool:
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


def may_open(path: Path) -> bool:
    """Ask whether to open a scan that palnet cannot read.

    Slicer itself crashes on a PLY file that was cut off, such as by a copy that broke off, and all
    unsaved work with it.

    Parameters
    ----------
    path : Path
        A mesh file.

    Returns
    -------
    bool
        True if the file is in order, or the user wants it all the same.
    """
    try:
        with slicer.util.WaitCursor():
            read_mesh(path)
    except PalnetError as err:
        text = _("Slicer may crash when it opens such a file. Open it all the same?")
        return slicer.util.confirmYesNoDisplay(f"{err}\n\n{text}")
    return True


def changed_by_others(path: Path) -> str:
    """Say that a file was changed since its landmarks were opened.

    Parameters
    ----------
    path : Path
        The file of the landmarks.

    Returns
    -------
    str
        The message.
    """
    text = _(
        "{name} was changed since these landmarks were opened or saved here, perhaps by another "
        "person, whose work would be replaced."
    )
    return text.format(name=path.name)
