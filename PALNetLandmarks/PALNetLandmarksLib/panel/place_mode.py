# SPDX-License-Identifier: Apache-2.0
"""Place mode of the application: the next click in a view places one landmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qt
import slicer

from PALNetLandmarksLib.landmark_list import LIST_CLASS
from PALNetLandmarksLib.scan_unit import adopt_unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from PALNetLandmarksLib.landmark_list import LandmarkList


class PlaceMode:
    """Starts and ends place mode, and notices when it ends otherwise, for example with Esc.

    Parameters
    ----------
    on_change : callable
        Called shortly after the mode or its target has changed.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change: Callable[[], None] | None = on_change
        self._is_due = False
        logic = slicer.app.applicationLogic()
        self._interaction, self._selection = logic.GetInteractionNode(), logic.GetSelectionNode()
        observed = (
            (self._interaction, self._interaction.InteractionModeChangedEvent),
            (self._selection, self._selection.ActivePlaceNodeIDChangedEvent),
        )
        self._observers = [(node, node.AddObserver(e, self.check_soon)) for node, e in observed]

    def close(self) -> None:
        """Stop observing."""
        self._on_change = None
        for node, tag in self._observers:
            node.RemoveObserver(tag)
        self._observers = []

    def is_on(self, landmarks: LandmarkList) -> bool:
        """Return whether the next click in a view places a landmark of a list.

        Parameters
        ----------
        landmarks : LandmarkList
            The list.

        Returns
        -------
        bool
            Also False if the click would go into another list, such as one just loaded.
        """
        is_placing = self._interaction.GetCurrentInteractionMode() == self._interaction.Place
        return is_placing and self._selection.GetActivePlaceNodeID() == landmarks.node.GetID()

    def start(self, landmarks: LandmarkList, index: int) -> None:
        """Let the next click place a landmark.

        Parameters
        ----------
        landmarks : LandmarkList
            The list, which is made visible; if it has no landmark yet, it takes on the unit of its
            scan.
        index : int
            Index of the landmark.
        """
        adopt_unit(landmarks)
        if not landmarks.node.GetDisplayVisibility():
            landmarks.node.SetDisplayVisibility(True)  # else clicks place invisible landmarks
        logic = slicer.modules.markups.logic()
        logic.SetActiveList(landmarks.node)
        landmarks.node.SetControlPointPlacementStartIndex(int(index))
        logic.StartPlaceMode(False)

    def stop(self) -> None:
        """Leave place mode, unless the user is placing something of another kind."""
        name = self._selection.GetActivePlaceNodeClassName()
        is_placing = self._interaction.GetCurrentInteractionMode() == self._interaction.Place
        if is_placing and name == LIST_CLASS:
            self._interaction.SwitchToViewTransformMode()

    def check_soon(self, *_args: object) -> None:
        """Check after the current event: a click ends place mode by itself."""
        if not self._is_due:
            self._is_due = True
            qt.QTimer.singleShot(0, self._check)

    def _check(self) -> None:
        self._is_due = False
        if self._on_change is not None:
            self._on_change()
