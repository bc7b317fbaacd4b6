# SPDX-License-Identifier: Apache-2.0
"""What the file of a landmark list holds: whether all of the list, and what is left to review."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from palnet.error_classes import ErrorClass, classify_errors
from palnet.errors import PalnetError
from palnet.exchange import read_landmarks
from palnet.exchange._mrk_json import UNIT_NAME
from palnet.landmarks import LandmarkSet
from PALNetLandmarksLib.landmark_list import MOVED_MM
from PALNetLandmarksLib.list_storage import RECORD_NAME, parse_record
from PALNetLandmarksLib.model_scaling import model_scale
from PALNetLandmarksLib.save_export import has_own_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import slicer

    from PALNetLandmarksLib.landmark_list import LandmarkList

LIST_SUFFIX = ".mrk.json"

# As precise as a unit is kept.
_SAME_UNIT = 1e-6


class Progress(NamedTuple):
    """How far the review of a scan has come, according to its saved landmarks.

    Attributes
    ----------
    n_open : int
        Landmarks that nobody has decided on, missing ones included.
    n_doubtful : int
        Those of them with a large expected error.
    is_readable : bool
        Whether the file could be read: it may be damaged, or hold other points.
    """

    n_open: int
    n_doubtful: int
    is_readable: bool = True


class _Saved(NamedTuple):
    """What a file holds: landmarks, missing ones that a person agreed on, notes on points, unit."""

    landmarks: LandmarkSet
    absent: frozenset[str]
    notes: dict[str, str] | None
    mm_per_unit: float | None


def read_progress(path: Path) -> Progress | None:
    """Count what is left to review in a file; may run in a thread.

    Parameters
    ----------
    path : Path
        A landmark file.

    Returns
    -------
    Progress or None
        None if there is no such file.
    """
    try:
        landmarks, absent, *_rest = _read(path)
    except (PalnetError, OSError):
        is_there = os.access(path, os.F_OK)  # raises nothing, wherever the drive is
        return Progress(0, 0, is_readable=False) if is_there else None
    is_open = np.array(
        [
            status in ("detected", "undefined") or (status == "missing" and code not in absent)
            for code, status in zip(landmarks.scheme.codes, landmarks.status, strict=True)
        ]
    )
    is_doubtful = is_open & (classify_errors(landmarks) == ErrorClass.DOUBTFUL)
    return Progress(int(is_open.sum()), int(is_doubtful.sum()))


def is_in_its_file(landmarks: LandmarkList) -> bool:
    """Return whether nothing of a list would be lost with the scene, by comparison with its file.

    Slicer itself takes a list for saved that went into a scene bundle (.mrb) only, and one of
    another program for changed as soon as it is prepared for the review.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.

    Returns
    -------
    bool
        True if its own file holds it as it is, or if it is empty and has none.
    """
    if not has_own_file(landmarks.node):
        return not (landmarks.landmark_set().is_placed.any() or landmarks.edited)
    try:
        saved = _read(Path(landmarks.node.GetStorageNode().GetFullNameFromFileName()))
    except (PalnetError, OSError):
        return False
    is_decided_alike = saved.landmarks.status == landmarks.status and (
        saved.absent == _absent(landmarks)
    )
    is_noted = saved.notes is None or saved.notes == _notes(landmarks.node)
    return is_decided_alike and is_noted and _is_in_place(saved, landmarks)


def _absent(landmarks: LandmarkList) -> frozenset[str]:
    """Return the codes of the missing landmarks that a person agreed on."""
    return frozenset(landmarks.scheme.codes[index] for index in landmarks.state().absent)


def _notes(node: slicer.vtkMRMLMarkupsFiducialNode) -> dict[str, str]:
    """Return the descriptions of the points, which a user may have edited, by their labels."""
    return {
        node.GetNthControlPointLabel(index): node.GetNthControlPointDescription(index)
        for index in range(node.GetNumberOfControlPoints())
    }


def _is_in_place(saved: _Saved, landmarks: LandmarkList) -> bool:
    """Return whether the landmarks of a file are where those of a list are.

    Lengths in millimeters do not tell: they stay if a scan and its landmarks are scaled. The file
    has to lie on the scan as it is now, or on the scan's file, which may not have been scaled.
    """
    if saved.mm_per_unit is not None:
        model = landmarks.model_node
        scale = 1.0 if model is None else model_scale(model)
        fitting = landmarks.mm_per_unit * np.array([1.0, scale])
        if not np.isclose(saved.mm_per_unit, fitting, rtol=_SAME_UNIT, atol=0.0).any():
            return False
    positions_mm = saved.landmarks.to_frame("RAS").positions
    gaps_mm = positions_mm - landmarks.positions * landmarks.mm_per_unit
    return not (np.abs(gaps_mm) > MOVED_MM).any()  # those without a position have one status


def _read(path: Path) -> _Saved:
    """Read a landmark file; of one that is no point list of Slicer, the landmarks only."""
    landmarks = read_landmarks(path)
    if not path.name.endswith(LIST_SUFFIX):
        return _Saved(landmarks, frozenset(), None, None)
    markup = json.loads(path.read_bytes())["markups"][0]
    points = markup["controlPoints"]
    notes = {point.get("label", ""): point.get("description", "") for point in points}
    is_missing = dict(zip(landmarks.scheme.codes, landmarks.status, strict=True))
    agreed = [code for code in _agreed(markup) if is_missing.get(code) == "missing"]
    return _Saved(landmarks, frozenset(agreed), notes, _unit(markup))


def _unit(markup: Mapping[str, Any]) -> float | None:
    """Return the unit of the numbers in a point list; None if another program may mean another."""
    values = {each.get("name"): each.get("value") for each in markup.get("measurements", ())}
    usual = 1.0 if markup.get("coordinateUnits", "mm") == "mm" else None
    value = values.get(UNIT_NAME)
    return value if isinstance(value, float | int) and value > 0 else usual


def _agreed(markup: Mapping[str, Any]) -> Iterable[str]:
    """Return what the record in a point list says of missing landmarks."""
    measurements = markup.get("measurements", ())
    texts = {each.get("name"): each.get("description") for each in measurements}
    return parse_record(texts.get(RECORD_NAME)).get("absent", ())
