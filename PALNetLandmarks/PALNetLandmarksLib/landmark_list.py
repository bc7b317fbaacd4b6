# SPDX-License-Identifier: Apache-2.0
"""The landmarks of one scan as a point list of the scene."""

from __future__ import annotations

import numpy as np
import slicer

from palnet.landmarks import PLACED, LandmarkSet
from palnet.scheme import load_scheme
from PALNetLandmarksLib.list_state import ListState
from PALNetLandmarksLib.list_storage import (
    ERROR_NAME,
    SCHEME_ATTRIBUTE,
    STATUS_CODES,
    STATUS_NAME,
    UNKNOWN_ERROR,
    complete_list,
    find_scheme_name,
    read_record,
    read_values,
    write_point,
    write_record,
    write_values,
    written_by_program,
)
from PALNetLandmarksLib.models import to_local

MODEL_REFERENCE = "PALNet.Model"

_CLASS = "vtkMRMLMarkupsFiducialNode"
_DEFINED = slicer.vtkMRMLMarkupsNode.PositionDefined


class LandmarkList:
    """A point list with a fixed number of named landmarks.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        A list made by `create_list`, or one read back from a file.
    """

    def __init__(self, node):
        self.node = node
        self.scheme = load_scheme(find_scheme_name(node))
        complete_list(node)

    def __len__(self):
        return len(self.scheme)

    @property
    def positions(self):
        """Positions in the list's own coordinates, (n, 3), NaN where there is none."""
        rows = np.full((len(self), 3), np.nan)
        for index in range(len(self)):
            if self.node.GetNthControlPointPositionStatus(index) == _DEFINED:
                rows[index] = self.node.GetNthControlPointPosition(index)
        return rows

    @property
    def world_positions(self):
        """Positions where the user sees them (RAS), (n, 3), NaN where there is none."""
        rows = self.positions
        for index in np.flatnonzero(~np.isnan(rows[:, 0])):
            rows[index] = self.node.GetNthControlPointPositionWorld(int(index))
        return rows

    @property
    def expected_errors(self):
        """Expected error per landmark in mm, NaN where unknown."""
        errors = read_values(self.node, ERROR_NAME)
        return np.where(errors < 0, np.nan, errors)

    @property
    def status(self):
        """Status per landmark; a point moved behind our back is never called missing."""
        statuses = []
        for index, code in enumerate(read_values(self.node, STATUS_NAME)):
            status = STATUS_CODES[int(code)]
            placed = self.node.GetNthControlPointPositionStatus(index) == _DEFINED
            if placed != (status in PLACED):
                status = "corrected" if placed else "undefined"
            statuses.append(status)
        return tuple(statuses)

    @property
    def record(self):
        """The record of the detection: provenance, detected positions, quality, pose."""
        return read_record(self.node)

    @property
    def model_node(self):
        """The model that the list lies on, or None if it is gone."""
        return self.node.GetNodeReference(MODEL_REFERENCE)

    @property
    def mm_per_unit(self):
        """Millimeters in one unit of the scene's coordinates (1 unless a scan was not scaled)."""
        return float(self.record.get("mm_per_unit", 1.0))

    @property
    def detected(self):
        """What detection placed, as a state; None for a list that was never detected."""
        rows = self.record.get("detected")
        if rows is None:
            return None
        positions = np.array([[np.nan] * 3 if row is None else row for row in rows], dtype=float)
        placed = ~np.isnan(positions[:, 0])
        return ListState(positions, tuple("detected" if p else "missing" for p in placed))

    def state(self):
        """Take a snapshot for undo.

        Returns
        -------
        ListState
            Positions and statuses of now.
        """
        status = self.status
        absent = frozenset(
            index
            for index, code in enumerate(self.scheme.codes)
            if status[index] == "missing" and code in self.record.get("absent", ())
        )
        return ListState(self.positions, status, absent)

    def apply(self, state):
        """Write a state in one go; what does not change is not touched.

        Parameters
        ----------
        state : ListState
            What to write.
        """
        before = self.state()
        codes = np.array([STATUS_CODES.index(status) for status in state.status], dtype=float)
        with slicer.util.NodeModify(self.node):
            for index in before.changed_in(state):
                write_point(self.node, index, state.positions[index], state.status[index])
            write_values(self.node, STATUS_NAME, codes)
            self._write_errors(state.status)
            if state.absent != before.absent:
                absent = [self.scheme.codes[index] for index in sorted(state.absent)]
                write_record(self.node, {**self.record, "absent": absent})

    def set_detection(self, landmarks, record, keep=()):
        """Write a new detection; some landmarks stay as they are.

        Parameters
        ----------
        landmarks : LandmarkSet
            In world coordinates of the scene.
        record : dict
            What is to be remembered of the run; JSON-ready.
        keep : iterable of int
            Landmarks that are not overwritten.
        """
        positions = to_local(self.node, landmarks.positions)
        rows = [None if np.isnan(row).any() else [float(v) for v in row] for row in positions]
        errors = np.nan_to_num(landmarks.expected_error_mm, nan=UNKNOWN_ERROR).tolist()
        now, found = self.state(), ListState(positions, landmarks.status)
        kept = {int(index) for index in keep}
        chosen = [index for index in range(len(self)) if index not in kept]
        absent = [self.scheme.codes[index] for index in sorted(now.absent & kept)]
        with written_by_program(self.node):
            write_record(
                self.node,
                {**record, "absent": absent, "detected": rows, "detected_error_mm": errors},
            )
            self.apply(now.taken_from(found, chosen))

    def scale(self, factor):
        """Scale the landmarks with their model.

        Parameters
        ----------
        factor : float
            What coordinates are multiplied with.
        """
        state, record = self.state(), self.record
        with written_by_program(self.node):
            if record:
                rows = record.get("detected", [])
                record["detected"] = [row and [value * factor for value in row] for row in rows]
                record["mm_per_unit"] = self.mm_per_unit / factor
                write_record(self.node, record)
            self.apply(state.replaced(positions=state.positions * factor))

    def landmark_set(self, positions=None, *, mm_per_unit=None, frame="file", space="RAS"):
        """Give the landmarks to the library.

        Convention: by default world coordinates of the scene (RAS); other positions are given
        together with what they mean.

        Parameters
        ----------
        positions : ndarray of shape (n, 3), optional
            Instead of the world positions.
        mm_per_unit : float, optional
            Their unit, the scene's by default.
        frame, space : str
            Their frame, as in `LandmarkSet`.

        Returns
        -------
        LandmarkSet
            Positions, statuses and expected errors of now.
        """
        return LandmarkSet(
            scheme=self.scheme,
            positions=self.world_positions if positions is None else positions,
            status=self.status,
            expected_error_mm=self.expected_errors,
            mm_per_unit=self.mm_per_unit if mm_per_unit is None else mm_per_unit,
            frame=frame,
            specimen=self._specimen,
            space=space,
        )

    def _write_errors(self, status):
        """Write the expected errors; that of a detection says nothing about a corrected point."""
        errors = self.record.get("detected_error_mm")
        if errors is not None:
            known = [
                UNKNOWN_ERROR if status[index] == "corrected" else error
                for index, error in enumerate(errors)
            ]
            write_values(self.node, ERROR_NAME, known)

    @property
    def _specimen(self):
        """Name of the scan: of the model, else as it was detected, else of the list."""
        model = self.model_node
        names = (model and model.GetName(), self.record.get("specimen"), self.node.GetName())
        return next((name for name in names if name and name.isprintable()), "landmarks")

    def link_model(self, model_node):
        """Tie the list to a model: reference, parent transform and place in the hierarchy.

        Parameters
        ----------
        model_node : vtkMRMLModelNode
            The model that the landmarks lie on.
        """
        self.node.SetAndObserveNodeReferenceID(MODEL_REFERENCE, model_node.GetID())
        self.node.SetAndObserveTransformNodeID(model_node.GetTransformNodeID())
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.node.GetScene())
        if hierarchy is not None:
            parent = hierarchy.GetItemByDataNode(model_node)
            item = hierarchy.GetItemByDataNode(self.node)
            if parent and item:
                hierarchy.SetItemParent(item, parent)

    def find_model(self):
        """Find the model of a list that was read from a file, by the name in its record.

        Returns
        -------
        vtkMRMLModelNode or None
            The model, linked; None where the scene holds none of exactly that name.
        """
        if self.model_node is not None:
            return self.model_node
        wanted = self.record.get("specimen")
        for model in slicer.util.getNodesByClass("vtkMRMLModelNode", self.node.GetScene()):
            if wanted and model.GetName() == wanted:
                self.node.SetAndObserveNodeReferenceID(MODEL_REFERENCE, model.GetID())
                return model
        return None


def is_landmark_list(node):
    """Tell whether a node is one of our lists, in the scene or read back from a file.

    Parameters
    ----------
    node : vtkMRMLNode or None
        Any node.

    Returns
    -------
    bool
        True if its control points are the landmarks of a scheme.
    """
    return node is not None and node.IsA(_CLASS) and find_scheme_name(node) is not None


def create_list(scene, scheme, model_node, name):
    """Make a point list whose landmarks are named and not yet placed.

    Parameters
    ----------
    scene : vtkMRMLScene
        Where to.
    scheme : Scheme
        Which landmarks.
    model_node : vtkMRMLModelNode
        The model they belong to.
    name : str
        Name of the list.

    Returns
    -------
    LandmarkList
        The list.
    """
    node = scene.AddNewNodeByClass(_CLASS, scene.GenerateUniqueName(name))
    with slicer.util.NodeModify(node):
        for index, definition in enumerate(scheme.landmarks):
            node.AddControlPoint([0.0, 0.0, 0.0], definition.code)
            node.SetNthControlPointDescription(index, definition.definition)
            node.UnsetNthControlPointPosition(index)
        node.SetFixedNumberOfControlPoints(True)
    node.SetAttribute(SCHEME_ATTRIBUTE, scheme.name)
    node.CreateDefaultDisplayNodes()
    _style(node.GetDisplayNode())
    made = LandmarkList(node)
    made.link_model(model_node)
    return made


def _style(display):
    """Small dots with small labels; the halo tells the class."""
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(1.8)
    display.SetTextScale(2.2)
    display.SetSelectedColor(0.13, 0.13, 0.13)
    display.SetColor(0.13, 0.13, 0.13)
    display.SetActiveColor(0.8, 0.47, 0.65)
    display.SetPropertiesLabelVisibility(False)
    display.SetSnapMode(slicer.vtkMRMLMarkupsDisplayNode.SnapModeToVisibleSurface)


def find_lists(model_node):
    """Find the landmark lists that belong to a model.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The model.

    Returns
    -------
    list of LandmarkList
        In the order in which they came into the scene.
    """
    scene = model_node.GetScene()
    nodes = slicer.util.getNodesByClass(_CLASS, scene)
    return [
        LandmarkList(node)
        for node in nodes
        if node.GetNodeReference(MODEL_REFERENCE) is model_node and is_landmark_list(node)
    ]
