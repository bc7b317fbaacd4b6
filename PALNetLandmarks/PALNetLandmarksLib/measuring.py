# SPDX-License-Identifier: Apache-2.0
"""Measurements of a list, and their lines in the views."""

from __future__ import annotations

import csv
import io

import slicer
import vtk
from slicer.i18n import tr as _

from palnet.errors import FormatError
from palnet.measurement import (
    MeasurementDefinition,
    MeasurementPlan,
    load_measurement_plan,
)
from PALNetLandmarksLib.models import mesh_from_model

# Numeric columns of a table of measurements.
NUMBER_COLUMNS = ("value", "expected_error")
LINE_ATTRIBUTE = "PALNet.MeasuredLine"

_COLOR = (0.10, 0.10, 0.10)
_WIDTH_PIXELS = 3


def what_to_measure(landmarks):
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
    plan, remark = _find_plan(landmarks.scheme)
    return landmarks.landmark_set(), mesh, plan, remark


def _find_plan(scheme):
    """Find the plan of a scheme; if there is none, use the measurements named in the scheme."""
    try:
        return load_measurement_plan(scheme.name), ""
    except FormatError:
        plan = _own_plan(scheme)
    text = _("No measurement plan comes with the scheme {scheme}.").format(scheme=scheme.name)
    what = _("Only the asymmetry was measured: the scheme names no distances or angles.")
    if plan.definitions:
        what = _(
            "Only the asymmetry and the {n_own} distances and angles that the scheme itself names "
            "were measured."
        )
    return plan, f"{text} {what.format(n_own=len(plan.definitions))}"


def _own_plan(scheme):
    """Make a plan of the distances and angles that a scheme names, without duplicates."""
    taken = [(_("Distance {codes}"), "distance", (each.a, each.b)) for each in scheme.distances]
    taken += [(_("Angle {codes}"), "angle", (m.a, m.vertex, m.c)) for m in scheme.angles]
    definitions = {}
    for title, kind, codes in taken:
        code, name = "-".join(codes), title.format(codes=" - ".join(codes))
        definitions[code] = MeasurementDefinition(code, name, kind, codes, scheme.name)
    return MeasurementPlan(scheme.name, tuple(definitions.values()), {scheme.name: scheme.source})


def table_for_spreadsheet(table, decimal_point="."):
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

    Parameters
    ----------
    list_node : vtkMRMLMarkupsFiducialNode
        The measured list; the line is shown in the same views.
    """

    def __init__(self, list_node):
        node = slicer.vtkMRMLModelNode()
        node.SetName("Measured line")
        node.SetAttribute(LINE_ATTRIBUTE, "1")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.SetSelectable(False)
        list_node.GetScene().AddNode(node)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        if list_node.GetDisplayNode() is not None:
            display.SetViewNodeIDs(list_node.GetDisplayNode().GetViewNodeIDs())
        display.SetColor(*_COLOR)
        display.SetLineWidth(_WIDTH_PIXELS)
        display.SetLighting(False)
        self.node = node

    def show(self, polyline):
        """Draw a line.

        Parameters
        ----------
        polyline : ndarray of shape (n_corners, 3)
            World coordinates; empty draws nothing.
        """
        points, cells = vtk.vtkPoints(), vtk.vtkCellArray()
        for corner in polyline:
            points.InsertNextPoint(*(float(value) for value in corner))
        if len(polyline):
            cells.InsertNextCell(len(polyline), range(len(polyline)))
        poly = vtk.vtkPolyData()
        poly.SetPoints(points)
        poly.SetLines(cells)
        self.node.SetAndObservePolyData(poly)

    def remove(self):
        """Remove the line from the scene."""
        scene = self.node.GetScene()
        if scene is not None:
            scene.RemoveNode(self.node.GetDisplayNode())
            scene.RemoveNode(self.node)
