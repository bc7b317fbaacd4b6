# SPDX-License-Identifier: Apache-2.0
"""Measurements of a list, and the measured line in the views."""

from __future__ import annotations

import csv
import io

import slicer
import vtk

from palnet.measurement import measure
from PALNetLandmarksLib.models import mesh_from_model

LINE_ATTRIBUTE = "PALNet.MeasuredLine"

_COLOR = (0.10, 0.10, 0.10)
_WIDTH_PIXELS = 3


def measure_list(landmarks):
    """Take all measurements that come with the scheme of a list.

    Parameters
    ----------
    landmarks : LandmarkList
        The list; arcs are taken on its model if that is still in the scene.

    Returns
    -------
    tuple of Measurement
        Lines to draw are in world coordinates.
    """
    model = landmarks.model_node
    mesh = mesh_from_model(model) if model is not None else None
    return measure(landmarks.landmark_set(), mesh)


def table_for_spreadsheet(table):
    """Turn a CSV table into what a spreadsheet pastes into cells.

    Parameters
    ----------
    table : str
        Comma-separated, as `palnet.measurement.table_of_measurements` gives it.

    Returns
    -------
    str
        Separated by tabs.
    """
    out = io.StringIO()
    rows = csv.reader(io.StringIO(table))
    csv.writer(out, delimiter="\t", lineterminator="\n").writerows(rows)
    return out.getvalue()


class MeasuredLine:
    """The line of one measurement, drawn in the views.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where to draw.
    """

    def __init__(self, scene):
        node = slicer.vtkMRMLModelNode()
        node.SetName("Measured line")
        node.SetAttribute(LINE_ATTRIBUTE, "1")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.SetSelectable(False)
        scene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetColor(*_COLOR)
        display.SetLineWidth(_WIDTH_PIXELS)
        display.SetLighting(False)
        self.node = node

    def show(self, polyline):
        """Draw a line.

        Parameters
        ----------
        polyline : ndarray of shape (n_corners, 3)
            World coordinates; none draws nothing.
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
        """Take the line out of the scene."""
        scene = self.node.GetScene()
        if scene is not None:
            scene.RemoveNode(self.node.GetDisplayNode())
            scene.RemoveNode(self.node)
