# SPDX-License-Identifier: Apache-2.0
"""The landmarks of one scan as a point list of the scene."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from palnet.error_classes import ErrorClass, classify_errors
from palnet.exchange._mrk_json import ERROR_NAME, STATUS_CODES, STATUS_NAME, UNKNOWN_ERROR
from palnet.landmarks import PLACED, LandmarkSet
from PALNetLandmarksLib.detection_record import read_detection_record
from PALNetLandmarksLib.hardened_transforms import hardened_by, set_anchor
from PALNetLandmarksLib.list_display import fit_glyphs
from PALNetLandmarksLib.list_scheme import find_scheme, restore_order, write_scheme
from PALNetLandmarksLib.list_state import ListState, joint_move, rescaled_unit
from PALNetLandmarksLib.list_storage import (
    complete_list,
    correct_moved,
    mark_changed,
    read_record,
    read_unit,
    read_values,
    says_unit,
    write_check,
    write_point,
    write_record,
    write_unit,
    write_values,
    written_by_program,
)
from PALNetLandmarksLib.models import name_of_scan, to_local, world_matrix

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeGuard

    from numpy.typing import NDArray

    from palnet.landmarks import Status

MODEL_REFERENCE = "PALNet.Model"
# There once a list was linked: Slicer takes the reference to a deleted model away.
_WAS_LINKED = "PALNet.WasLinked"

# Rounding in files is far below this, a manual correction above.
MOVED_MM = 0.01

LIST_CLASS = "vtkMRMLMarkupsFiducialNode"
_DEFINED = slicer.vtkMRMLMarkupsNode.PositionDefined


class LandmarkList:
    """A point list with a fixed number of named landmarks.

    Parameters
    ----------
    node : vtkMRMLMarkupsFiducialNode
        A list made by `create_list`, or read from a file.
    """

    def __init__(self, node: slicer.vtkMRMLMarkupsFiducialNode) -> None:
        scheme = find_scheme(node)
        if scheme is None:
            text = _(
                "The point list '{name}' holds other points than the landmarks of a scheme. "
                "Choose another list, or none for a new one."
            )
            raise ValueError(text.format(name=node.GetName()))
        self.node, self.scheme = node, scheme
        restore_order(node, scheme)
        write_scheme(node, scheme)
        complete_list(node)
        self._remember_foreign_detection()

    def __len__(self) -> int:
        return len(self.scheme)

    @property
    def positions(self) -> NDArray[np.float64]:
        """Positions in the list's own coordinates, (n, 3), NaN where there is none."""
        rows = np.full((len(self), 3), np.nan)
        for index in range(len(self)):
            if self.node.GetNthControlPointPositionStatus(index) == _DEFINED:
                rows[index] = self.node.GetNthControlPointPosition(index)
        return rows

    @property
    def world_positions(self) -> NDArray[np.float64]:
        """Positions in world coordinates (RAS), (n, 3), NaN where there is none."""
        rows = self.positions
        for index in np.flatnonzero(~np.isnan(rows[:, 0])):
            rows[index] = self.node.GetNthControlPointPositionWorld(int(index))
        return rows

    @property
    def expected_errors(self) -> NDArray[np.float64]:
        """Expected error per landmark in mm, NaN where unknown."""
        errors = read_values(self.node, ERROR_NAME)
        return np.where(errors < 0, np.nan, errors)

    @property
    def status(self) -> tuple[Status, ...]:
        """Status per landmark; what Slicer says of a point's position overrides what we noted."""
        statuses: list[Status] = []
        for index, code in enumerate(read_values(self.node, STATUS_NAME)):
            is_known = 0 <= code < len(STATUS_CODES)  # a file may hold any number
            status = STATUS_CODES[int(code)] if is_known else "undefined"
            position = self.node.GetNthControlPointPositionStatus(index)
            placed = position == _DEFINED
            if position == slicer.vtkMRMLMarkupsNode.PositionMissing:
                status = "missing"
            elif placed != (status in PLACED):
                status = "corrected" if placed else "undefined"
            statuses.append(status)
        return tuple(statuses)

    @property
    def record(self) -> dict[str, Any]:
        """The record of the detection: provenance, detected positions, quality, pose."""
        return read_record(self.node)

    @property
    def model_node(self) -> slicer.vtkMRMLModelNode | None:
        """The model that the list belongs to, or None if it is gone."""
        return self.node.GetNodeReference(MODEL_REFERENCE)

    @property
    def is_bereft(self) -> bool:
        """Whether the list was linked to a model that is gone, such as a deleted scan."""
        return self.model_node is None and self.node.GetAttribute(_WAS_LINKED) is not None

    @property
    def mm_per_unit(self) -> float:
        """Millimeters per unit of the list's own coordinates; 1 if they are in millimeters."""
        return read_unit(self.node)

    @property
    def mm_per_world_unit(self) -> float:
        """Millimeters per unit of the world coordinates, which differs if a transform scales."""
        return rescaled_unit(self.mm_per_unit, world_matrix(self.node))

    @property
    def detected(self) -> ListState | None:
        """The state as detected; None for a list that was never detected."""
        rows = self.record.get("detected")
        if rows is None:
            return None
        positions = np.array([[np.nan] * 3 if row is None else row for row in rows], dtype=float)
        placed = ~np.isnan(positions[:, 0])
        return ListState(positions, tuple("detected" if p else "missing" for p in placed))

    @property
    def edited(self) -> list[int]:
        """Landmarks that a person corrected, confirmed, or agreed to be missing."""
        state = self.state()
        return [
            index
            for index, status in enumerate(state.status)
            if status in ("corrected", "confirmed") or index in state.absent
        ]

    @property
    def unreviewed_doubtful(self) -> list[str]:
        """Codes of the landmarks that should not be used without a review, and had none."""
        doubtful = set(np.flatnonzero(classify_errors(self.landmark_set()) == ErrorClass.DOUBTFUL))
        return [self.scheme.codes[index] for index in sorted(doubtful.difference(self.edited))]

    def state(self) -> ListState:
        """Take a snapshot for undo.

        Returns
        -------
        ListState
            Current positions and statuses.
        """
        status, record = self.status, self.record
        agreed = record.pop("absent", ())
        absent = frozenset(
            index
            for index, code in enumerate(self.scheme.codes)
            if status[index] == "missing" and code in agreed
        )
        errors = tuple(read_values(self.node, ERROR_NAME).tolist())
        return ListState(self.positions, status, record, absent, self.mm_per_unit, errors)

    def apply(self, state: ListState) -> None:
        """Write a state as one change; unchanged values are not touched.

        Parameters
        ----------
        state : ListState
            The state.
        """
        before = self.state()
        codes = np.array([STATUS_CODES.index(status) for status in state.status], dtype=float)
        with slicer.util.NodeModify(self.node):
            for index in before.changed_in(state):
                write_point(self.node, index, state.positions[index], state.status[index])
            if state.record != before.record or state.absent != before.absent:
                absent = [self.scheme.codes[index] for index in sorted(state.absent)]
                write_record(self.node, {**state.record, "absent": absent})
            if state.mm_per_unit != before.mm_per_unit:  # a list without a stated unit stays so
                write_unit(self.node, state.mm_per_unit)
            write_values(self.node, STATUS_NAME, codes)
            write_values(self.node, ERROR_NAME, _errors_of(state, before))
            write_check(self.node, state.positions)
            set_anchor(self)
            if not before.is_same(state):
                mark_changed(self.node)

    def set_detection(
        self, landmarks: LandmarkSet, record: dict[str, Any], keep: Iterable[int] = ()
    ) -> None:
        """Write a new detection, optionally keeping some landmarks.

        Parameters
        ----------
        landmarks : LandmarkSet
            In world coordinates.
        record : dict
            JSON-ready data on the run to store in the list.
        keep : iterable of int
            Landmarks that are not overwritten.
        """
        positions = to_local(self.node, landmarks.positions)
        rows = [None if np.isnan(row).any() else row.tolist() for row in positions]
        errors = np.nan_to_num(landmarks.expected_error_mm, nan=UNKNOWN_ERROR).tolist()
        now, kept = self.state(), {int(index) for index in keep}
        for index in kept:
            if now.status[index] == "confirmed" and "detected" in now.record:
                # A person confirmed the position of the earlier detection.
                rows[index] = now.record["detected"][index]
                errors[index] = now.record["detected_error_mm"][index]
        found = ListState(positions, landmarks.status)
        chosen = [index for index in range(len(self)) if index not in kept]
        to_world, world_unit = world_matrix(self.node), record.get("mm_per_unit", 1.0)
        unit = rescaled_unit(world_unit, np.linalg.inv(to_world))
        own = {"detected": rows, "detected_error_mm": errors, "mm_per_unit": unit}
        remembered: dict[str, Any] = {**record, **own}
        pose = remembered.pop("face_from_scan_mm", None)
        if pose is not None:
            world_mm = np.diag([world_unit] * 3 + [1.0])
            remembered["face_from_list"] = (pose @ world_mm @ to_world).tolist()
        with written_by_program(self.node):
            written = now.taken_from(found, chosen)
            self.apply(replace(written, record=remembered, mm_per_unit=unit))
        fit_glyphs(self.node, self.mm_per_world_unit)

    def carry(self, matrix: NDArray[np.float64]) -> None:
        """Move all landmarks with their model.

        Parameters
        ----------
        matrix : ndarray of shape (4, 4)
            Affine in world coordinates; list and model may be under different transforms.
        """
        to_world = world_matrix(self.node)
        own = np.linalg.inv(to_world) @ matrix @ to_world
        with written_by_program(self.node, carried_by=own):
            self.apply(self.state().carried(own))
        fit_glyphs(self.node, self.mm_per_world_unit)

    def set_unit(self, mm_per_world_unit: float) -> None:
        """Set the unit of the scene's coordinates without moving any landmark.

        Parameters
        ----------
        mm_per_world_unit : float
            Millimeters per unit.
        """
        own = rescaled_unit(mm_per_world_unit, np.linalg.inv(world_matrix(self.node)))
        with written_by_program(self.node):
            if own != read_unit(self.node) or not says_unit(self.node):
                write_unit(self.node, own)
                mark_changed(self.node)
        fit_glyphs(self.node, mm_per_world_unit)

    def reconcile(self) -> None:
        """Bring statuses and record up to date with changes made while nothing observed the list.

        A landmark that is no longer where it was detected counts as corrected. If all moved
        jointly, as by a hardened transform, nothing was corrected, and the detected positions are
        moved along.
        """
        matrix = hardened_by(self)
        if matrix is not None:
            with written_by_program(self.node):
                self.apply(self.state().with_memory_carried(matrix))
        detected, now = self.detected, self.state()
        if detected is None:
            set_anchor(self)
            return
        unedited = np.array([status in ("detected", "confirmed") for status in now.status])
        before = np.where(unedited[:, None], detected.positions, np.nan)
        gaps = np.linalg.norm(before - now.positions, axis=1)
        moved = np.flatnonzero(gaps * self.mm_per_unit > MOVED_MM)
        if not len(moved):
            set_anchor(self)
            return
        matrix = joint_move(before, now.positions)
        with written_by_program(self.node):
            if matrix is None:
                self.apply(now.with_status([int(index) for index in moved], "corrected"))
            else:
                self.apply(now.with_memory_carried(matrix))

    def landmark_set(self) -> LandmarkSet:
        """Convert the landmarks for the library.

        Convention: world coordinates (RAS), with their unit.

        Returns
        -------
        LandmarkSet
            Current positions, statuses and expected errors.
        """
        return LandmarkSet(
            scheme=self.scheme,
            positions=self.world_positions,
            status=self.status,
            expected_error_mm=self.expected_errors,
            mm_per_unit=self.mm_per_world_unit,
            frame="file",
            specimen=self._specimen,
            space="RAS",
        )

    @property
    def _specimen(self) -> str:
        """Name of the scan: that of the model, else as recorded at detection, else of the list."""
        model = self.model_node
        names = (model and name_of_scan(model), self.record.get("specimen"), self.node.GetName())
        return next((name for name in names if name and name.isprintable()), "landmarks")

    def _remember_foreign_detection(self) -> None:
        """Treat a list written by `palnet detect` as detected and not yet edited."""
        if self.record or "detected" not in self.status:
            return
        beside = read_detection_record(self)
        correct_moved(self.node, self.positions)
        if "corrected" in self.status:  # their detected positions are unknown
            if beside:
                write_record(self.node, beside)
            return
        rows = [None if np.isnan(row).any() else row.tolist() for row in self.positions]
        errors = np.nan_to_num(self.expected_errors, nan=UNKNOWN_ERROR).tolist()
        own = {"detected": rows, "detected_error_mm": errors, "mm_per_unit": self.mm_per_unit}
        write_record(self.node, {**beside, **own})

    def link_model(self, model_node: slicer.vtkMRMLModelNode) -> None:
        """Link the list to a model, by a reference and in the subject hierarchy.

        The list becomes a sibling of the model, not a child: deleting a scan in the Data module
        also deletes its children without asking. It is moved only once; the user may move it again.

        Parameters
        ----------
        model_node : vtkMRMLModelNode
            The model that the landmarks lie on.
        """
        if self.model_node is model_node:
            return
        self.node.SetAndObserveNodeReferenceID(MODEL_REFERENCE, model_node.GetID())
        self.node.SetAttribute(_WAS_LINKED, "true")
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.node.GetScene())
        if hierarchy is not None:
            beside = hierarchy.GetItemByDataNode(model_node)
            item = hierarchy.GetItemByDataNode(self.node)
            if beside and item:
                hierarchy.SetItemParent(item, hierarchy.GetItemParent(beside))


def _errors_of(state: ListState, before: ListState) -> list[float]:
    """Return the expected errors to write; those detected do not apply to corrected points.

    Nor to missing ones. A list from elsewhere keeps its own, except for points that were moved.
    """
    detected = state.record.get("detected_error_mm")
    gone = set(before.moved_in(state)) if detected is None else range(len(state.status))
    known = state.errors_mm if detected is None else detected
    return [
        UNKNOWN_ERROR
        if status not in PLACED or (status == "corrected" and index in gone)
        else error
        for index, (status, error) in enumerate(zip(state.status, known, strict=True))
    ]


def is_landmark_list(
    node: slicer.vtkMRMLNode | None,
) -> TypeGuard[slicer.vtkMRMLMarkupsFiducialNode]:
    """Return whether a node is a landmark list of this module, in the scene or read from a file.

    Parameters
    ----------
    node : vtkMRMLNode or None
        Any node.

    Returns
    -------
    bool
        True if its control points are the landmarks of a scheme.
    """
    return node is not None and node.IsA(LIST_CLASS) and find_scheme(node) is not None
