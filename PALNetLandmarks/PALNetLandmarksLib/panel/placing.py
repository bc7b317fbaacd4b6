# SPDX-License-Identifier: Apache-2.0
"""The mode of the application in which the next click in a view places one landmark."""

from __future__ import annotations

import qt
import slicer

from PALNetLandmarksLib.scan_unit import adopt_unit


class Placing:
    """Starts and ends the mode, and notices when it has ended otherwise, as by Esc.

    Attributes
    ----------
    on_end : callable or None
        Called soon after the mode, or what it is about, has changed.
    """

    def __init__(self):
        self.on_end = None
        self._is_due = False
        self._interaction = slicer.app.applicationLogic().GetInteractionNode()
        event = self._interaction.InteractionModeChangedEvent
        self._observer = self._interaction.AddObserver(event, self.check_soon)

    def close(self):
        """Notice nothing any more."""
        self.on_end = None
        self._interaction.RemoveObserver(self._observer)

    @property
    def is_on(self):
        """Whether the next click in a view places something."""
        return self._interaction.GetCurrentInteractionMode() == self._interaction.Place

    def start(self, landmarks, index):
        """Let the next click place a landmark.

        Parameters
        ----------
        landmarks : LandmarkList
            The list; one that has no landmark yet is in the unit of its scan from now on.
        index : int
            Which landmark.
        """
        adopt_unit(landmarks)
        logic = slicer.modules.markups.logic()
        logic.SetActiveListID(landmarks.node)
        landmarks.node.SetControlPointPlacementStartIndex(int(index))
        logic.StartPlaceMode(False)

    def stop(self):
        """Let clicks turn the view again."""
        if self.is_on:
            self._interaction.SwitchToViewTransformMode()

    def check_soon(self, *_args):
        """Have it looked at once what happens now is over: a click ends the mode by itself."""
        if not self._is_due:
            self._is_due = True
            qt.QTimer.singleShot(0, self._check)

    def _check(self):
        self._is_due = False
        if self.on_end is not None:
            self.on_end()
