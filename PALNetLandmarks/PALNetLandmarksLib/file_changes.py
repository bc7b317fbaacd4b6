# SPDX-License-Identifier: Apache-2.0
"""Notice that the file of a node was changed since it was opened or saved here."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import slicer

# The file as it was. A saved scene contains the note too, but it is valid in its session only.
_NOTE = "PALNet.FileAsKnown"

_SESSION = uuid.uuid4().hex


def file_stamp(node: slicer.vtkMRMLStorableNode) -> list[str | int] | None:
    """Return what changes once the file of a node is written.

    Parameters
    ----------
    node : vtkMRMLStorableNode
        Any model or list.

    Returns
    -------
    list or None
        Path, time and size; None without a file, or if it is out of reach.
    """
    storage = node.GetStorageNode()
    if storage is None or not storage.GetFileName():
        return None
    path = Path(storage.GetFullNameFromFileName())
    try:
        found = path.stat()
    except OSError:
        return None
    return [str(path), found.st_mtime_ns, found.st_size]


def note_file(node: slicer.vtkMRMLMarkupsFiducialNode) -> None:
    """Note how the file of a list is, unless that was done since Slicer read or wrote it.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        A list that was just opened or saved.
    """
    if _noted(node) is None:
        note = {**_present(node), "file": file_stamp(node)}
        node.SetAttribute(_NOTE, json.dumps(note))


def is_changed_by_others(node: slicer.vtkMRMLMarkupsFiducialNode) -> bool:
    """Return whether the file of a list was changed since it was noted, and not by this Slicer.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        A list.

    Returns
    -------
    bool
        False if the file is gone: nothing of others would be replaced.
    """
    noted, now = _noted(node), file_stamp(node)
    return noted is not None and now is not None and noted != now


def _noted(node: slicer.vtkMRMLMarkupsFiducialNode) -> object:
    """Return the file as noted; None if there is no note since Slicer read or wrote it."""
    try:
        note = dict(json.loads(node.GetAttribute(_NOTE) or "{}"))
    except (ValueError, TypeError):
        return None  # the scene was edited by hand
    return note.pop("file", None) if note.items() >= _present(node).items() else None


def _present(node: slicer.vtkMRMLMarkupsFiducialNode) -> dict[str, str | int]:
    """Identify the session, and when Slicer has read or written the node."""
    storage = node.GetStorageNode()
    return {
        "session": _SESSION,
        "stored": 0 if storage is None else storage.GetStoredTime().GetMTime(),
    }
