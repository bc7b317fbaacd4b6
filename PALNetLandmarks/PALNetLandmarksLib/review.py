# SPDX-License-Identifier: Apache-2.0
"""What a person does to the landmarks of one list: correct, confirm, mark missing, undo."""

from __future__ import annotations

import numpy as np
import slicer

from palnet.landmarks import PLACED
from palnet.preview import classify_errors
from PALNetLandmarksLib.error_classes import DOUBTFUL
from PALNetLandmarksLib.list_storage import WRITTEN_EVENT, is_being_written
from PALNetLandmarksLib.models import to_local
from PALNetLandmarksLib.surface_snap import SurfaceSnap

# Nobody goes back farther; a state holds 50 positions, so this is a few hundred kilobytes.
MAX_UNDO = 500

_Markups = slicer.vtkMRMLMarkupsNode


class Review:
    """The corrections of one list, with undo and redo.

    It watches the list: whatever moves a landmark, be it a drag in a view, the Markups module or a
    script, becomes one step that can be undone, and turns the landmark to ``corrected``.

    Parameters
    ----------
    landmarks : LandmarkList
        The list.
    on_change : callable, optional
        Called without arguments after every change of positions or statuses.
    """

    def __init__(self, landmarks, on_change=None):
        self.landmarks = landmarks
        self.snap_to_surface = True
        self._snap = SurfaceSnap()
        self._on_change = on_change
        self._done, self._undone = [], []
        self._is_held = False
        self._settled = landmarks.state()
        self._observers = self._observe()

    def close(self):
        """Stop watching the list."""
        for tag in self._observers:
            self.landmarks.node.RemoveObserver(tag)
        self._observers = []

    @property
    def can_undo(self):
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self):
        """Whether there is an undone step."""
        return bool(self._undone)

    @property
    def is_reviewed(self):
        """Which landmarks a person has seen: corrected, confirmed, agreed to be missing; (n,)."""
        state = self.landmarks.state()
        return np.array(
            [
                status in ("corrected", "confirmed") or index in state.absent
                for index, status in enumerate(state.status)
            ]
        )

    @property
    def unreviewed_doubtful(self):
        """Codes of the landmarks that nobody has seen and that should not be used unseen."""
        landmarks = self.landmarks.landmark_set()
        doubtful = (classify_errors(landmarks) == DOUBTFUL) & ~self.is_reviewed
        return [landmarks.scheme.codes[index] for index in np.flatnonzero(doubtful)]

    def confirm(self, index):
        """Agree to a landmark as it is: where it lies, or that the scan does not show it.

        Parameters
        ----------
        index : int
            Which landmark.

        Raises
        ------
        ValueError
            If it was never placed nor called missing.
        """
        state = self.landmarks.state()
        if state.status[index] == "undefined":
            code = self.landmarks.scheme.codes[index]
            msg = f"Landmark {code} is not placed. Place it, or mark it as missing."
            raise ValueError(msg)
        if state.status[index] == "missing":
            self._step(state.replaced(absent=state.absent | {index}))
        elif state.status[index] == "detected":
            # A corrected one stays so: it is where a person put it, and counts as reviewed.
            self._step(state.with_status([index], "confirmed"))

    def mark_missing(self, index):
        """Say that the scan does not show a landmark.

        Parameters
        ----------
        index : int
            Which landmark.
        """
        state = self.landmarks.state()
        positions = state.positions.copy()
        positions[index] = np.nan
        cleared = state.replaced(positions=positions, absent=state.absent | {index})
        self._step(cleared.with_status([index], "missing"))

    def restore(self, indices=None):
        """Put landmarks back to where detection placed them.

        Parameters
        ----------
        indices : iterable of int, optional
            Which landmarks; all by default.

        Raises
        ------
        ValueError
            If the list never came out of a detection.
        """
        detected = self.landmarks.detected
        if detected is None:
            msg = "These landmarks were placed by hand: there is no detection to go back to."
            raise ValueError(msg)
        state = self.landmarks.state()
        chosen = range(len(self.landmarks)) if indices is None else list(indices)
        self._step(state.taken_from(detected, chosen))

    def undo(self):
        """Take the last step back.

        Returns
        -------
        list of int
            Which landmarks changed.
        """
        return self._travel(self._done, self._undone)

    def redo(self):
        """Take the last undone step again.

        Returns
        -------
        list of int
            Which landmarks changed.
        """
        return self._travel(self._undone, self._done)

    def prepare_placing(self, index):
        """Make a landmark ready to be placed by a click; until then nothing has changed.

        Parameters
        ----------
        index : int
            A landmark without a position.
        """
        self._is_held = True
        self.landmarks.node.UnsetNthControlPointPosition(index)
        self._is_held = False

    def settle(self):
        """Look at what has changed since the last step, and make that a step."""
        before, now = self._settled, self.landmarks.state()
        if not before.changed_in(now):
            return
        moved = before.moved_in(now)
        if self.snap_to_surface:
            now = self._snapped(now, moved)
        placed = [index for index in moved if now.status[index] in PLACED]
        now = now.replaced(absent=now.absent - set(placed)).with_status(placed, "corrected")
        self._step(now)

    def _snapped(self, state, moved):
        """Lay the landmarks that were moved onto the surface of their model."""
        model = self.landmarks.model_node
        if model is None:
            return state
        world, positions = self.landmarks.world_positions, state.positions.copy()
        for index in moved:
            if state.status[index] in PLACED:
                world[index] = self._snap.closest_point(model, world[index])
                positions[index] = to_local(self.landmarks.node, world[index : index + 1])[0]
        return state.replaced(positions=positions)

    def _step(self, state):
        """Write a state as a new step."""
        if not self._settled.changed_in(state):
            return
        self._done = [*self._done, self._settled][-MAX_UNDO:]
        self._undone = []
        self._write(state)

    def _travel(self, source, target):
        if not source:
            return []
        before = self._settled
        target.append(before)
        self._write(source.pop())
        return before.changed_in(self._settled)

    def _write(self, state):
        self._is_held = True
        try:
            self.landmarks.apply(state)
        finally:
            self._is_held = False
        self._settled = self.landmarks.state()
        self._report()

    def _report(self):
        if self._on_change is not None:
            self._on_change()

    def _observe(self):
        """Watch every event by which a control point changes; a drag counts when it ends."""
        node = self.landmarks.node
        settling = (
            _Markups.PointModifiedEvent,
            _Markups.PointPositionDefinedEvent,
            _Markups.PointPositionUndefinedEvent,
            _Markups.PointPositionMissingEvent,
        )
        return [
            node.AddObserver(WRITTEN_EVENT, self._on_written),
            node.AddObserver(_Markups.PointStartInteractionEvent, self._on_drag_started),
            node.AddObserver(_Markups.PointEndInteractionEvent, self._on_drag_ended),
            *(node.AddObserver(event, self._on_point_changed) for event in settling),
        ]

    def _on_drag_started(self, *_):
        self._is_held = True

    def _on_drag_ended(self, *_):
        self._is_held = False
        self.settle()

    def _on_point_changed(self, *_):
        if not self._is_held and not is_being_written(self.landmarks.node):
            self.settle()

    def _on_written(self, *_):
        """Start afresh from what the program has written, as after a new detection."""
        self._done, self._undone = [], []
        self._settled = self.landmarks.state()
        self._report()
