# SPDX-License-Identifier: Apache-2.0
"""Measurements of a list, and their lines in the views."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from palnet.measurement import has_shipped_plan, plan_for
from PALNetLandmarksLib.models import mesh_from_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from palnet.landmarks import LandmarkSet
    from palnet.measurement import Measurement, MeasurementPlan
    from palnet.scheme import Scheme
    from palnet.surface import Mesh
    from PALNetLandmarksLib.landmark_list import LandmarkList

# Numeric columns of a table of measurements.
NUMBER_COLUMNS = ("value", "expected_error")
LINE_ATTRIBUTE = "PALNet.MeasuredLine"

_COLOR = (0.10, 0.10, 0.10)
_WIDTH_MM = 1.0
# Inside the head; on the skin the line is opaque.
_HIDDEN_OPACITY = 0.6
# An arc along a dense scan has a thousand corners, each of which takes a millisecond to draw.
_MOST_CORNERS = 100


def what_to_measure(
    landmarks: LandmarkList,
) -> tuple[LandmarkSet, Mesh | None, MeasurementPlan, str]:
    """Collect the input of `palnet.measurement.measure`, for a worker thread.

    Parameters
    ----------
    landmarks : LandmarkList
        The list; arcs need its model in the scene.

    Returns
    -------
    LandmarkSet
        In world coordinates.
    Mesh or None
        The surface, if there is one.
    MeasurementPlan
        All measurements available for the scheme of the list.
    str
        What the user should know about the choice of measurements; empty for a shipped scheme.
    """
    model = landmarks.model_node
    mesh = mesh_from_model(model) if model is not None else None
    plan, remark = find_plan(landmarks.scheme)
    return landmarks.landmark_set(), mesh, plan, remark


def find_plan(scheme: Scheme) -> tuple[MeasurementPlan, str]:
    """Find the plan of a scheme, and say so if none comes with it.

    Parameters
    ----------
    scheme : Scheme
        The landmarks.

    Returns
    -------
    MeasurementPlan
        What to measure.
    str
        What the user should know about the choice; empty for a shipped scheme.
    """
    plan = plan_for(scheme)
    if has_shipped_plan(scheme.name):
        return plan, ""
    text = _("No measurement plan comes with the scheme {scheme}.").format(scheme=scheme.name)
    what = _("Only the asymmetry was measured: the scheme names no distances or angles.")
    if plan.definitions:
        what = _(
            "Only the asymmetry and the distances and angles that the scheme itself names "
            "({n_own}) were measured."
        )
    return plan, f"{text} {what.format(n_own=len(plan.definitions))}"


def table_for_spreadsheet(table: str, decimal_point: str = ".") -> str:
    """Convert a CSV table to text that a spreadsheet pastes into cells.

    Parameters
    ----------
    table : str
        Comma-separated, from `palnet.measurement.table_of_measurements`.
    decimal_point : str, default "."
        That of the system: a German spreadsheet reads 63.0887 as 630,887.

    Returns
    -------
    str
        Tab-separated.
    """
    out = io.StringIO()
    header, *rows = csv.reader(io.StringIO(table))
    numbers = [header.index(name) for name in NUMBER_COLUMNS if name in header]
    for row in rows:
        for column in numbers:
            row[column] = row[column].replace(".", decimal_point)
    csv.writer(out, delimiter="\t", lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


class MeasuredLine:
    """The line of one measurement in the views.

    It consists of curves, because most distances run inside the head, where views draw no model.

    Parameters
    ----------
    landmarks : LandmarkList
        The measured list; the line is shown in the same views.
    """

    def __init__(self, landmarks: LandmarkList) -> None:
        self._landmarks = landmarks
        self._curves: list[slicer.vtkMRMLMarkupsCurveNode] = []

    def show(self, measurement: Measurement) -> None:
        """Draw a measurement instead of the previous one.

        Parameters
        ----------
        measurement : Measurement
            In world coordinates; nothing is drawn if it has no line.
        """
        self.remove()
        self._curves = [_draw(corners, self._landmarks) for corners in _parts(measurement)]

    def remove(self) -> None:
        """Remove the line from the scene."""
        for node in self._curves:
            if node.GetScene() is not None:
                node.GetScene().RemoveNode(node.GetDisplayNode())
                node.GetScene().RemoveNode(node)
        self._curves = []


def _parts(measurement: Measurement) -> list[NDArray[np.float64]]:
    """Return the lines to draw: an index has those of its two distances, which do not meet."""
    line = measurement.polyline
    if not len(line):
        return []
    if measurement.kind == "index":
        return [line[:2], line[2:]]
    every = np.linspace(0, len(line) - 1, min(len(line), _MOST_CORNERS))
    return [line[np.round(every).astype(int)]]


def _draw(
    corners: Iterable[NDArray[np.float64]], landmarks: LandmarkList
) -> slicer.vtkMRMLMarkupsCurveNode:
    """Add a curve to the scene that is neither saved, listed nor movable."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    kind, active = selection.GetActivePlaceNodeClassName(), selection.GetActivePlaceNodeID()
    node = slicer.vtkMRMLMarkupsCurveNode()
    node.SetName("Measured line")
    node.SetAttribute(LINE_ATTRIBUTE, "1")
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node.SetSelectable(False)
    node.SetLocked(True)
    node.SetCurveTypeToLinear()
    landmarks.node.GetScene().AddNode(node)
    # Slicer makes each new list the active place node: restore the previous one.
    selection.SetActivePlaceNodeClassName(kind)
    selection.SetActivePlaceNodeID(active)
    node.CreateDefaultDisplayNodes()
    _style(node.GetDisplayNode(), landmarks)
    points = vtk.vtkPoints()
    for corner in corners:
        points.InsertNextPoint(*(float(value) for value in corner))
    node.SetControlPointPositionsWorld(points)
    return node


def _style(display: slicer.vtkMRMLMarkupsDisplayNode, landmarks: LandmarkList) -> None:
    """Draw a curve thin and dark, in the views of its list, also where the head hides it."""
    of_list, width = landmarks.node.GetDisplayNode(), _WIDTH_MM / landmarks.mm_per_world_unit
    display.SetSaveWithScene(False)
    if of_list is not None:
        display.SetViewNodeIDs(of_list.GetViewNodeIDs())
    display.SetVisibility2D(False)
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    display.SetColor(*_COLOR)
    display.SetSelectedColor(*_COLOR)
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(width)
    display.SetCurveLineSizeMode(display.UseLineDiameter)
    display.SetLineDiameter(width)
    display.SetOccludedVisibility(True)
    display.SetOccludedOpacity(_HIDDEN_OPACITY)
