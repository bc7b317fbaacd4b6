# SPDX-License-Identifier: Apache-2.0
"""Review of a list's landmarks: correct, confirm, mark as missing, undo."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

from palnet.landmarks import PLACED
from PALNetLandmarksLib.hardened_transforms import follow_transform, hardened_by, hardened_warp
from PALNetLandmarksLib.list_scheme import restore_order, write_scheme
from PALNetLandmarksLib.list_state import joint_move
from PALNetLandmarksLib.list_storage import WRITTEN_EVENT, carried_by, is_being_written
from PALNetLandmarksLib.models import to_local, world_matrix
from PALNetLandmarksLib.surface_snap import closest_point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from PALNetLandmarksLib.landmark_list import LandmarkList
    from PALNetLandmarksLib.list_state import ListState

# Enough for any user; a state holds 50 positions and the record, about ten kilobytes.
MAX_UNDO = 200
# A manual placement is no farther from the skin; a point beyond this is reported, not snapped.
MAX_SNAP_MM = 15.0

_Markups = slicer.vtkMRMLMarkupsNode


class Review:
    """The corrections of one list, with undo and redo.

    It watches the list: each move of a landmark, whether by dragging in a view, in the Markups
    module or by a script, becomes an undo step and sets the status of the landmark to
    ``corrected``.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.

    Attributes
    ----------
    on_change : callable or None
        Called with the changed landmarks after each change of positions or statuses.
    on_moved : callable or None
        Called afterwards with the landmarks that somebody moved.
    on_broken : callable or None
        Called when points were added or removed: the list no longer matches its landmarks and is
        not watched any more.
    """

    def __init__(self, landmarks: LandmarkList) -> None:
        self.landmarks = landmarks
        self.snap_to_surface = True
        self.on_change: Callable[[list[int]], None] | None = None
        self.on_moved: Callable[[list[int]], None] | None = None
        self.on_broken: Callable[[], None] | None = None
        self.remark = ""
        self._done: list[ListState] = []
        self._undone: list[ListState] = []
        self._is_writing = self._is_dragging = False
        landmarks.reconcile()
        self._settled = landmarks.state()
        self._observers = self._observe()

    def close(self) -> None:
        """Stop watching the list."""
        for tag in self._observers:
            self.landmarks.node.RemoveObserver(tag)
        self._observers = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step."""
        return bool(self._undone)

    @property
    def is_reviewed(self) -> NDArray[np.bool_]:
        """Which landmarks a person has decided on, (n,)."""
        edited = self.landmarks.edited
        return np.array([index in edited for index in range(len(self.landmarks))])

    def confirm(self, index: int) -> None:
        """Confirm a landmark as it is, or that it is missing.

        Parameters
        ----------
        index : int
            Index of the landmark.

        Raises
        ------
        ValueError
            If it was never placed nor marked as missing.
        """
        state = self.landmarks.state()
        if state.status[index] == "undefined":
            code = self.landmarks.scheme.codes[index]
            msg = _("Landmark {code} is not placed. Place it, or mark it as missing.")
            raise ValueError(msg.format(code=code))
        if state.status[index] == "missing":
            self._step(replace(state, absent=state.absent | {index}))
        elif state.status[index] == "detected":
            # A corrected one keeps its status: a person placed it, and it counts as reviewed.
            self._step(state.with_status([index], "confirmed"))

    def mark_missing(self, index: int) -> None:
        """Mark a landmark as not visible on the scan.

        Parameters
        ----------
        index : int
            Index of the landmark.
        """
        state = self.landmarks.state()
        positions = state.positions.copy()
        positions[index] = np.nan
        cleared = replace(state, positions=positions, absent=state.absent | {index})
        self._step(cleared.with_status([index], "missing"))

    def restore(self, indices: Iterable[int] | None = None) -> None:
        """Restore the detected positions of landmarks.

        Parameters
        ----------
        indices : iterable of int, optional
            Indices of the landmarks; all by default.

        Raises
        ------
        ValueError
            If the list was never detected.
        """
        restored = self._restored(indices)
        if restored is None:
            msg = _("These landmarks were placed by hand: there is no detection to go back to.")
            raise ValueError(msg)
        self._step(restored)

    def can_restore(self, indices: Iterable[int] | None = None) -> bool:
        """Return whether landmarks differ from what was detected.

        Parameters
        ----------
        indices : iterable of int, optional
            Indices of the landmarks; all by default.

        Returns
        -------
        bool
            False also for a list that was never detected.
        """
        restored = self._restored(indices)
        return restored is not None and not self._settled.is_same(restored)

    def _restored(self, indices: Iterable[int] | None) -> ListState | None:
        """Return the state with some landmarks, or all, as detected; None without a detection."""
        detected = self.landmarks.detected
        if detected is None:
            return None
        chosen = range(len(self.landmarks)) if indices is None else list(indices)
        return self.landmarks.state().taken_from(detected, chosen)

    def undo(self) -> list[int]:
        """Undo the last step.

        Returns
        -------
        list of int
            Landmarks that changed.
        """
        return self._travel(self._done, self._undone)

    def redo(self) -> list[int]:
        """Redo the last undone step.

        Returns
        -------
        list of int
            Landmarks that changed.
        """
        return self._travel(self._undone, self._done)

    def prepare_placing(self, index: int) -> None:
        """Prepare a landmark for being placed with a click; nothing changes until then.

        Parameters
        ----------
        index : int
            A landmark without a position.
        """
        self._is_writing = True
        self.landmarks.node.UnsetNthControlPointPosition(index)
        self._is_writing = False

    def settle(self, *, is_dragged: bool = False) -> None:
        """Turn the changes since the last step into a step.

        Parameters
        ----------
        is_dragged : bool, default False
            Whether it was dragged in a view; dragging all points at once hardens no transform.
        """
        restore_order(self.landmarks.node, self.landmarks.scheme)
        # A file is recognized by its labels, and these may have been changed.
        write_scheme(self.landmarks.node, self.landmarks.scheme)
        before, now = self._settled, self.landmarks.state()
        moved = before.moved_in(now)
        if before.is_same(now) or (not is_dragged and self._is_carried(now)):
            return
        remark = ""
        # Snapping would distort a list that was shifted or warped as a whole.
        are_few = 2 * len(moved) <= sum(status in PLACED for status in now.status)
        if self.snap_to_surface and (are_few or len(moved) == 1):
            now, remark = self._snapped(now, moved)
        placed = [index for index in moved if now.status[index] in PLACED]
        now = replace(now, absent=now.absent - set(placed)).with_status(placed, "corrected")
        if before.is_same(now):
            self.remark = remark
            self._write(now)  # snapped back to its previous position
        else:
            self._step(now, remark)
        if moved and self.on_moved is not None:
            self.on_moved(moved)

    def _is_carried(self, now: ListState) -> bool:
        """Follow a transform that moved all points at once, which is not a correction."""
        matrix, warp = hardened_by(self.landmarks), None
        if matrix is None:
            matrix, warp = world_matrix(self.landmarks.node), hardened_warp(self.landmarks)
            if warp is None:
                return False
        self._done = [state.carried(matrix, warp) for state in self._done]
        self._undone = [state.carried(matrix, warp) for state in self._undone]
        self._write(now.with_memory_carried(matrix, warp))
        return True

    def _snapped(self, state: ListState, moved: Iterable[int]) -> tuple[ListState, str]:
        """Snap the moved landmarks to their model, and return those too far off."""
        model, landmarks, remark = self.landmarks.model_node, self.landmarks, ""
        if model is None:
            return state, remark
        world, positions = landmarks.world_positions, state.positions.copy()
        for index in moved:
            if state.status[index] not in PLACED:
                continue
            closest = np.array(closest_point(model, world[index]))
            gap_mm = float(np.linalg.norm(closest - world[index])) * landmarks.mm_per_world_unit
            if gap_mm > MAX_SNAP_MM:
                text = _("{code} lies {gap:.0f} mm away from the scan and was not laid onto it.")
                remark = text.format(code=landmarks.scheme.codes[index], gap=gap_mm)
            else:
                positions[index] = to_local(landmarks.node, closest[None])[0]
        return replace(state, positions=positions), remark

    def _step(self, state: ListState, remark: str = "") -> None:
        """Write a state as a new step and clear the remark on the last one."""
        if self._settled.is_same(state):
            return
        self.remark = remark
        self._done = [*self._done, self._settled][-MAX_UNDO:]
        self._undone = []
        self._write(state)

    def _travel(self, source: list[ListState], target: list[ListState]) -> list[int]:
        if not source or self._is_dragging:
            return []
        before, self.remark = self._settled, ""
        target.append(before)
        self._write(source.pop())
        return before.changed_in(self._settled)

    def _write(self, state: ListState) -> None:
        before = self._settled
        self._is_writing = True
        try:
            self.landmarks.apply(state)
        finally:
            self._is_writing = False
        self._settled = self.landmarks.state()
        self._report(before)

    def _report(self, before: ListState) -> None:
        if self.on_change is not None:
            self.on_change(before.changed_in(self._settled))

    def _observe(self) -> list[int]:
        """Watch every event that changes a control point; a drag counts when it ends."""
        node = self.landmarks.node
        settling = (
            _Markups.PointModifiedEvent,
            _Markups.PointPositionDefinedEvent,
            _Markups.PointPositionUndefinedEvent,
            _Markups.PointPositionMissingEvent,
        )
        return [
            node.AddObserver(_Markups.PointAddedEvent, self._on_count_changed),
            node.AddObserver(_Markups.PointRemovedEvent, self._on_count_changed),
            node.AddObserver(WRITTEN_EVENT, self._on_written),
            node.AddObserver(_Markups.PointStartInteractionEvent, self._on_drag_started),
            node.AddObserver(_Markups.PointEndInteractionEvent, self._on_drag_ended),
            node.AddObserver(_Markups.LockModifiedEvent, self._on_lock_changed),
            node.AddObserver(_Markups.TransformModifiedEvent, self._on_transformed),
            *(node.AddObserver(event, self._on_point_changed) for event in settling),
        ]

    def _on_drag_started(self, *_args: object) -> None:
        self._is_dragging = True

    def _on_drag_ended(self, *_args: object) -> None:
        self._is_dragging = False
        self.settle(is_dragged=True)

    def _on_count_changed(self, *_args: object) -> None:
        if self._observers and not self._is_whole:
            self.close()
            if self.on_broken is not None:
                self.on_broken()

    @property
    def _is_whole(self) -> bool:
        """Return whether the list still has as many points as its scheme has landmarks."""
        return self.landmarks.node.GetNumberOfControlPoints() == len(self.landmarks)

    def _on_point_changed(self, *_args: object) -> None:
        is_busy = self._is_dragging or self._is_writing or not self._is_whole
        if not is_busy and not is_being_written(self.landmarks.node):
            self.settle()

    def _on_transformed(self, *_args: object) -> None:
        if np.isnan(self._settled.positions).all():
            # The transform may have been hardened: older steps may be in other coordinates.
            self._done, self._undone = [], []
            self._report(self._settled)
        follow_transform(self.landmarks)

    def _on_lock_changed(self, *_args: object) -> None:
        self._report(self._settled)

    def _on_written(self, *_args: object) -> None:
        """Follow writes by the program: a new detection can be undone like a correction."""
        if self._is_writing:
            return
        before, self._settled = self._settled, self.landmarks.state()
        matrix = carried_by(self.landmarks.node)
        if matrix is None and before.differs_in_unit_only(self._settled):
            self._follow_unit(before.mm_per_unit)
            self._report(before)
            return
        if matrix is None:
            matrix = joint_move(before.positions, self._settled.positions)
        if matrix is not None:
            self._done = [state.carried(matrix) for state in self._done]
            self._undone = [state.carried(matrix) for state in self._undone]
        elif not before.is_same(self._settled):
            self._done, self._undone = [*self._done, before][-MAX_UNDO:], []
        self._report(before)

    def _follow_unit(self, before: float) -> None:
        """Adopt a new unit for the same numbers; this is not a step, and applies to all states.

        Detected landmarks are excepted: they keep the unit that they were detected in.
        """
        now = self._settled.mm_per_unit
        for steps in (self._done, self._undone):
            steps[:] = [
                replace(state, mm_per_unit=now)
                if state.mm_per_unit == before and "detected" not in state.record
                else state
                for state in steps
            ]
