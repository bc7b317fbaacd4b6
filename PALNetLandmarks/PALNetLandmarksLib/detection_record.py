# SPDX-License-Identifier: Apache-2.0
"""The record of a detection: read that of `palnet detect`, and say what it tells of the color."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from slicer.i18n import tr as _

from palnet._record import read_record
from palnet.exchange import stem_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import slicer
    from numpy.typing import NDArray

    from palnet.scheme import Scheme

# Files hold six digits.
_SAME_ERROR_MM = 1e-3
_KEPT = ("specimen", "quality", "findings", "provenance")


class _Landmarks(Protocol):
    """What is read here of a `LandmarkList`, whose module imports this one."""

    node: slicer.vtkMRMLMarkupsFiducialNode
    scheme: Scheme

    @property
    def expected_errors(self) -> NDArray[np.float64]: ...


def read_detection_record(landmarks: _Landmarks) -> dict[str, Any]:
    """Read ``<stem>.palnet.json`` beside the file of a list, if it belongs to these landmarks.

    Parameters
    ----------
    landmarks : LandmarkList
        A list that was read from a file and not edited since.

    Returns
    -------
    dict
        As for `LandmarkList.set_detection`, without the detected positions; empty if there is no
        such file or it belongs to other landmarks.
    """
    storage = landmarks.node.GetStorageNode()
    if storage is None or not storage.GetFileName():
        return {}
    path = Path(storage.GetFullNameFromFileName())
    try:
        found = read_record(path.with_name(f"{stem_of(path)}.palnet.json"))
        if not _is_of(found["landmarks"], landmarks):
            return {}
        face_from_list = _face_from_list(found)
        return {**{key: found[key] for key in _KEPT}, "face_from_list": face_from_list.tolist()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # missing or damaged; the list works without it


def say_how_placed(record: dict[str, Any]) -> str:
    """Say whether the color of the scan helped to place the landmarks.

    Parameters
    ----------
    record : dict
        That of the detection, as in `LandmarkList.record`.

    Returns
    -------
    str
        To be put behind "detected" or "landmarks".
    """
    is_used = record.get("provenance", {}).get("color", {}).get("used", False)
    return _("by shape and color") if is_used else _("by shape alone")


def _is_of(rows: Iterable[dict[str, Any]], landmarks: _Landmarks) -> bool:
    """Return whether a record has these landmark names and expected errors."""
    told = {row["code"]: row["expected_error_mm"] for row in rows}
    if list(told) != list(landmarks.scheme.codes):
        return False
    errors = np.array(list(told.values()), dtype=float)
    return np.allclose(errors, landmarks.expected_errors, atol=_SAME_ERROR_MM, equal_nan=True)


def _face_from_list(record: dict[str, Any]) -> NDArray[np.float64]:
    """Return the face pose in the list's coordinates: RAS in its unit, not the scan's axes."""
    pose = np.array(record["face_from_scan_mm"], dtype=float).reshape(4, 4)
    sign = {"LPS": -1.0, "RAS": 1.0}[record["scan_space"]]
    unit = float(record["mm_per_unit"])
    return pose @ np.diag([sign * unit, sign * unit, unit, 1.0])
