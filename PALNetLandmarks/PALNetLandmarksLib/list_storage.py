# SPDX-License-Identifier: Apache-2.0
"""Storage in a point list for data that Slicer has no field for.

A markups file keeps names, positions and measurements of a list but no other data of ours; node
attributes and references exist in the scene only. Status and expected error are therefore
measurements with one value per control point, and the record of the detection is the description of
a third one: all survive .mrk.json and .mrb (Testing/scene/test_exchange_files.py).
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from palnet.exchange._mrk_json import (
    CHECK_NAME,
    ERROR_NAME,
    STATUS_CODES,
    STATUS_NAME,
    UNIT_NAME,
    UNKNOWN_ERROR,
    check_positions,
    find_moved,
)
from palnet.landmarks import PLACED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from palnet.landmarks import Status

RECORD_NAME = "palnet record"

# Invoked on a list after the program wrote to it, so that observers see no correction.
WRITTEN_EVENT = vtk.vtkCommand.UserEvent + 7301

_being_written: set[slicer.vtkMRMLMarkupsFiducialNode] = set()
_carried_by: dict[slicer.vtkMRMLMarkupsFiducialNode, NDArray[np.float64] | None] = {}
_DEFINED = slicer.vtkMRMLMarkupsNode.PositionDefined


@contextmanager
def written_by_program(
    node: slicer.vtkMRMLMarkupsFiducialNode, carried_by: NDArray[np.float64] | None = None
) -> Iterator[None]:
    """Write to a list in this context, so that observers see no corrections in the changes.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    carried_by : ndarray of shape (4, 4), optional
        The transform applied to all points, if nothing else changes.
    """
    _being_written.add(node)
    try:
        with slicer.util.NodeModify(node):
            yield
    finally:
        _being_written.discard(node)
        _carried_by[node] = carried_by
        node.InvokeEvent(WRITTEN_EVENT)
        del _carried_by[node]


def carried_by(node: slicer.vtkMRMLMarkupsFiducialNode) -> NDArray[np.float64] | None:
    """Return the transform that the program has just applied to a list, for observers.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list, during the event that ends `written_by_program`.

    Returns
    -------
    ndarray of shape (4, 4) or None
        None if anything else was written.
    """
    return _carried_by.get(node)


def is_being_written(node: slicer.vtkMRMLMarkupsFiducialNode) -> bool:
    """Return whether the program is writing to a list at this moment.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.

    Returns
    -------
    bool
        True within `written_by_program`.
    """
    return node in _being_written


def complete_list(node: slicer.vtkMRMLMarkupsFiducialNode) -> None:
    """Add missing data to a list from elsewhere; its points count as placed by a person.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        A list with the labels of a scheme.
    """
    node.SetFixedNumberOfControlPoints(True)
    n_points = node.GetNumberOfControlPoints()
    if node.GetMeasurement(ERROR_NAME) is None:
        write_values(node, ERROR_NAME, np.full(n_points, UNKNOWN_ERROR))
    if node.GetMeasurement(STATUS_NAME) is None:
        codes = [_code_of(node.GetNthControlPointPositionStatus(i)) for i in range(n_points)]
        write_values(node, STATUS_NAME, np.array(codes, dtype=float))


def write_check(node: slicer.vtkMRMLMarkupsFiducialNode, positions: NDArray[np.float64]) -> None:
    """Record where all points are, so that points moved without this module are recognized later.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    positions : ndarray of shape (n, 3)
        Its own coordinates, NaN where there is none.
    """
    write_values(node, CHECK_NAME, check_positions(positions))


def correct_moved(node: slicer.vtkMRMLMarkupsFiducialNode, positions: NDArray[np.float64]) -> None:
    """Mark points as corrected that were moved without this module since the list was written.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    positions : ndarray of shape (n, 3)
        Its own coordinates, NaN where there is none.
    """
    if node.GetMeasurement(CHECK_NAME) is None:
        return
    moved = find_moved(positions, read_values(node, CHECK_NAME))
    if moved.any():
        corrected = float(STATUS_CODES.index("corrected"))
        for name, value in ((STATUS_NAME, corrected), (ERROR_NAME, UNKNOWN_ERROR)):
            write_values(node, name, np.where(moved, value, read_values(node, name)))
        write_check(node, positions)
        mark_changed(node)


def mark_changed(node: slicer.vtkMRMLMarkupsFiducialNode) -> None:
    """Mark a list as modified since it was saved; Slicer does this only for moved points.

    A list from an .fcsv file, which holds only labels and positions, gets a file of its own when it
    is next saved, like one that was never saved.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    """
    node.StorableModified()
    storage = node.GetStorageNode()
    if storage is not None and storage.IsA("vtkMRMLMarkupsFiducialStorageNode"):
        node.SetAndObserveStorageNodeID(None)
        if storage.GetScene() is not None:
            storage.GetScene().RemoveNode(storage)


def _code_of(position_status: int) -> int:
    """Map a markups position status to one of our statuses."""
    if position_status == _DEFINED:
        return STATUS_CODES.index("corrected")
    missing = position_status == slicer.vtkMRMLMarkupsNode.PositionMissing
    return STATUS_CODES.index("missing" if missing else "undefined")


def write_point(
    node: slicer.vtkMRMLMarkupsFiducialNode,
    index: int,
    position: NDArray[np.float64],
    status: Status,
) -> None:
    """Place a control point or remove its position; a missing one is never set to zero.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    index : int
        Which point.
    position : ndarray of shape (3,)
        In the list's own coordinates; ignored for a landmark that is not placed.
    status : str
        Status as in `palnet.LandmarkSet`.
    """
    if status in PLACED:
        node.SetNthControlPointPosition(index, *(float(value) for value in position))
    elif status == "missing":
        node.SetNthControlPointPositionMissing(index)
    else:
        node.UnsetNthControlPointPosition(index)


def read_values(node: slicer.vtkMRMLMarkupsFiducialNode, name: str) -> NDArray[np.float64]:
    """Read a measurement's values per control point.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        A list that went through `complete_list`.
    name : str
        Name of the measurement.

    Returns
    -------
    ndarray of shape (n,)
        The values.
    """
    return vtk_to_numpy(node.GetMeasurement(name).GetControlPointValues()).astype(float)


def write_values(node: slicer.vtkMRMLMarkupsFiducialNode, name: str, values: ArrayLike) -> None:
    """Write a measurement's values per control point.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    name : str
        Name of the measurement; it is added if the list has none.
    values : array_like of shape (n,)
        Finite, since the file cannot hold other numbers.
    """
    array = numpy_to_vtk(np.ascontiguousarray(values, dtype=np.float64), deep=True)
    array.SetName(name)
    _measurement(node, name).SetControlPointValues(array)
    node.InvokeCustomModifiedEvent(vtk.vtkCommand.ModifiedEvent)


def read_text(node: slicer.vtkMRMLMarkupsNode, name: str) -> str:
    """Read the text stored in a measurement.

    Parameters
    ----------
    node : vtkMRMLMarkupsNode
        Any list.
    name : str
        Name of the measurement.

    Returns
    -------
    str
        Empty if there is none.
    """
    measurement = node.GetMeasurement(name)
    return (measurement.GetDescription() or "") if measurement is not None else ""


def write_text(node: slicer.vtkMRMLMarkupsFiducialNode, name: str, text: str) -> None:
    """Store a text in the description of a measurement.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    name : str
        Name of the measurement; it is added if the list has none.
    text : str
        Anything.
    """
    _measurement(node, name).SetDescription(text)


def read_record(node: slicer.vtkMRMLMarkupsFiducialNode) -> dict[str, Any]:
    """Read the record of a detection and review.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.

    Returns
    -------
    dict
        Empty for a list that was never detected, or whose record is damaged.
    """
    return parse_record(read_text(node, RECORD_NAME))


def parse_record(text: str | None) -> dict[str, Any]:
    """Parse the text of a record.

    Parameters
    ----------
    text : str or None
        As a list or its file holds it; None if it holds none.

    Returns
    -------
    dict
        What can be read of it: positions and statuses are stored elsewhere. Its ``absent`` is a
        list, if there is one.
    """
    try:
        record = json.loads(text) if text else {}
    except (TypeError, ValueError):
        return {}  # edited by hand
    if not isinstance(record, dict):
        return {}
    if not isinstance(record.get("absent", []), list):
        del record["absent"]
    return record


def write_record(node: slicer.vtkMRMLMarkupsFiducialNode, record: dict[str, Any]) -> None:
    """Store the record of a detection.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    record : dict
        JSON-ready.
    """
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    write_text(node, RECORD_NAME, text)


def read_unit(node: slicer.vtkMRMLMarkupsFiducialNode) -> float:
    """Read the unit, stored as the library does in .mrk.json.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.

    Returns
    -------
    float
        Millimeters per unit of the list's own coordinates, which Slicer also saves; 1 if not
        stated.
    """
    return node.GetMeasurement(UNIT_NAME).GetValue() if says_unit(node) else 1.0


def says_unit(node: slicer.vtkMRMLMarkupsFiducialNode) -> bool:
    """Return whether the unit of a list is stated.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.

    Returns
    -------
    bool
        False for a list written by Slicer or another program.
    """
    measurement = node.GetMeasurement(UNIT_NAME)
    return measurement is not None and measurement.GetValueDefined() and measurement.GetValue() > 0


def write_unit(node: slicer.vtkMRMLMarkupsFiducialNode, mm_per_unit: float) -> None:
    """Write the unit, for the library's reader of .mrk.json.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        The list.
    mm_per_unit : float
        Millimeters per unit of the list's own coordinates.
    """
    _measurement(node, UNIT_NAME).SetValue(float(mm_per_unit))


def _measurement(node: slicer.vtkMRMLMarkupsFiducialNode, name: str) -> slicer.vtkMRMLMeasurement:
    """Find a measurement of a list, or add it."""
    measurement = node.GetMeasurement(name)
    if measurement is None:
        measurement = slicer.vtkMRMLStaticMeasurement()
        measurement.SetName(name)
        measurement.SetEnabled(name == ERROR_NAME)
        if name == ERROR_NAME:
            measurement.SetUnits("mm")
        node.AddMeasurement(measurement)
    return measurement
