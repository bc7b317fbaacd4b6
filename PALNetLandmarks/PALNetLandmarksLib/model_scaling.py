# SPDX-License-Identifier: Apache-2.0
"""Scaling a model to millimeters, and back to the numbers of its file."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from PALNetLandmarksLib.file_changes import file_stamp
from PALNetLandmarksLib.scan_unit import follow_choice, keep_choice

if TYPE_CHECKING:
    import slicer

# Records the scaling of a model. A saved and reloaded scene contains it too, but with new files: it
# is valid only in the session in which it was made.
SCALE_ATTRIBUTE = "PALNet.ScaledToMillimeters"

_SESSION = uuid.uuid4().hex
_SAME_SCALE = 1e-9


def model_scale(model_node: slicer.vtkMRMLModelNode) -> float:
    """Return by how much the points of a model are scaled relative to its file.

    Convention: the file's numbers times this factor are the model's.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    float
        1.0 if it was never scaled here, or was saved or changed otherwise since.
    """
    note = _scale_note(model_node)
    return note["factor"] if note else 1.0


def is_as_its_file(model_node: slicer.vtkMRMLModelNode) -> bool:
    """Return whether the points of a model are those of its file, up to `model_scale`.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    bool
        False after a hardened transform, for example, unless the model was saved since.
    """
    note = _scale_note(model_node)
    return note["was_as_its_file"] if note else not model_node.GetModifiedSinceRead()


def chosen_unit_of_file(model_node: slicer.vtkMRMLModelNode) -> float | None:
    """Return the unit that the user chose for a scan, in the numbers of its file.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The scan.

    Returns
    -------
    float or None
        Millimeters per unit; None if none was chosen, or the scan is not as its file any more.
    """
    own = follow_choice(model_node)
    if own is None or not is_as_its_file(model_node):
        return None
    return float(f"{own * model_scale(model_node):.7g}")  # as precise as the choice is kept


def scale_model(model_node: slicer.vtkMRMLModelNode, factor: float) -> None:
    """Scale the points of a model about the origin and record it; the inverse factor undoes it.

    Convention: the points themselves change (hardened); the parent transform does not.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.
    factor : float
        Factor that multiplies the coordinates.
    """
    total, was_as_its_file = model_scale(model_node) * factor, is_as_its_file(model_node)
    chosen = follow_choice(model_node)
    source = model_node.GetPolyData()
    scaled = vtk.vtkPolyData()
    scaled.ShallowCopy(source)
    points = vtk.vtkPoints()
    numbers = vtk_to_numpy(source.GetPoints().GetData()).astype(np.float64) * factor
    points.SetData(numpy_to_vtk(numbers, deep=True))
    scaled.SetPoints(points)
    model_node.SetAndObservePolyData(scaled)
    note = {
        "factor": 1.0 if abs(total - 1.0) < _SAME_SCALE else total,
        "was_as_its_file": was_as_its_file,
        **_present_points(model_node),
    }
    model_node.SetAttribute(SCALE_ATTRIBUTE, json.dumps(note))
    if chosen is not None:
        keep_choice(model_node, chosen / factor)


def _scale_note(model_node: slicer.vtkMRMLModelNode) -> dict[str, Any] | None:
    """Read the record of a scaling, if it matches the current points and file."""
    try:
        note = dict(json.loads(model_node.GetAttribute(SCALE_ATTRIBUTE) or "{}"))
    except (ValueError, TypeError):
        return None  # the scene was edited by hand
    present = _present_points(model_node)
    return note if all(note.get(key) == value for key, value in present.items()) else None


def _present_points(model_node: slicer.vtkMRMLModelNode) -> dict[str, Any]:
    """Identify a model's current points, and its file.

    Not by when Slicer has stored the model: that may have been in a scene bundle (.mrb).
    """
    poly = model_node.GetPolyData()
    has_points = poly is not None and poly.GetPoints() is not None
    return {
        "session": _SESSION,
        "points": poly.GetPoints().GetMTime() if has_points else 0,
        "file": file_stamp(model_node),
    }
