# SPDX-License-Identifier: Apache-2.0
"""The scan and the list that the panel shows: those selected in the scene, whoever selects them."""

from __future__ import annotations

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from PALNetLandmarksLib.linking import all_lists, find_lists
from PALNetLandmarksLib.panel.parameter_link import ParameterLink
from PALNetLandmarksLib.selection import match_selection, show_instead


class SceneSelection(VTKObservationMixin):
    """Follows the selection in the scene, and shows the selected scan and list in the views.

    Parameters
    ----------
    panel : PALNetLandmarksWidget
        The panel, whose `showSelection`, `showTrainedModel` and `stopWork` are called.
    widgets : dict
        Widgets by the name of their parameter.

    Attributes
    ----------
    shown : tuple
        The scan and the list that the panel shows; None for either that is not selected.
    """

    def __init__(self, panel, widgets):
        VTKObservationMixin.__init__(self)
        self.shown = self._in_view = (None, None)
        self._panel, self._before_import = panel, None
        self._is_turning = self._is_list_due = self._is_closed = False
        self._link = ParameterLink(widgets, self.follow)

    @property
    def node(self):
        """The scene's parameter node; None between two scenes."""
        return self._link.node

    def watch_scene(self):
        """Follow the scene from now on."""
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_start_close)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_about_to_be_removed)
        self.addObserver(scene, scene.NodeAddedEvent, self._on_node_added)
        self.addObserver(scene, scene.StartImportEvent, self._on_start_import)
        # A loaded bundle brings its own selection; selectors list its nodes when the batch ends.
        for event in (scene.EndCloseEvent, scene.EndImportEvent, scene.EndBatchProcessEvent):
            self.addObserver(scene, event, self._on_scene_changed)

    def connect(self):
        """Connect to the scene's parameter node; do not change what is visible."""
        self._link.turn_to(self._panel.logic.getParameterNode())
        self._in_view = (self.node.scan, self.node.landmarks)
        self.follow()

    def disconnect(self):
        """Release the parameter node and the widgets."""
        self._link.turn_to(None)

    def close(self):
        """Follow nothing any more: the widgets may be gone."""
        self._is_closed = True
        self.removeObservers()

    def follow(self, *_args):
        """Show what the scene selects: a scan selects its list, a list its scan."""
        if slicer.mrmlScene.IsImporting() or slicer.mrmlScene.IsClosing():
            return  # the scene is incomplete; the end of the import calls this again
        self._panel.showTrainedModel()
        scan, landmarks = self.node.scan, self.node.landmarks
        chosen = match_selection(scan, landmarks, self.shown)
        if chosen != self.shown or (scan, landmarks) != self.shown:
            self.select(*chosen)

    def select(self, scan, list_node):
        """Select a scan and a list in the scene, and show them.

        Parameters
        ----------
        scan : vtkMRMLModelNode or None
            The scan.
        list_node : vtkMRMLMarkupsFiducialNode or None
            The list.
        """
        self.shown = (scan, list_node)
        self.node.scan, self.node.landmarks = self.shown
        self.show()

    def select_scan(self, scan):
        """Select a scan with its list, also if it is selected already.

        Parameters
        ----------
        scan : vtkMRMLModelNode
            The scan.
        """
        self.shown = (None, None)
        self.node.scan = scan
        self.follow()

    def show(self):
        """Show the selected scan and list in the views and in the panel."""
        if self._is_closed:
            return
        if self.node is None:
            self.shown = (None, None)
        if self.shown[0] is not None and self._in_view != self.shown:
            show_instead(self._in_view, *self.shown)
            self._in_view = self.shown
        self._panel.showSelection()

    def watch_lists(self):
        """Watch all lists of the scene."""
        self._is_list_due = False
        if self._is_closed or slicer.mrmlScene.IsBatchProcessing():
            return  # the end of an import or another batch calls this again
        scan, shown = self.shown
        review = self._panel.reviewSection
        new = review.watch(all_lists(slicer.mrmlScene, review.watched))
        if new and scan is not None and shown is None:
            # The list was loaded after its scan, so the user did not deselect it on purpose.
            added = {found.node for found in new}
            mine = [found.node for found in find_lists(scan) if found.node in added]
            if mine and mine[-1].GetStorageNode() is not None:
                self.node.landmarks = mine[-1]

    def _on_start_close(self, *_args):
        """Release the nodes before the scene is closed."""
        self._panel.stopWork()
        self.disconnect()
        self.show()

    def _on_start_import(self, *_args):
        """Remember the selection: a scene that is added may not bring its own."""
        model = ("", "")
        if self.node is not None:
            model = (self.node.trainedModel, self.node.trainedModelHash)
        self._before_import = (*self.shown, *model)
        self._link.pause()

    def _on_scene_changed(self, *_args):
        """Follow the selection in the scene, once the selectors list its nodes."""
        if not self._is_turning:
            self._is_turning = True
            qt.QTimer.singleShot(0, self._turn_to_scene)

    def _turn_to_scene(self):
        """Follow the selection in the scene."""
        self._is_turning = False
        if self._is_closed or not (self._panel.parent.isEntered or self.node is not None):
            return
        before, self._before_import = self._before_import, None
        self.connect()
        self.watch_lists()
        if before is None or before[0] is None or self.node.scan is not None:
            return
        if all(node is None or node.GetScene() is not None for node in before[:2]):
            self.node.scan, self.node.landmarks = before[:2]
            with slicer.util.NodeModify(self.node):
                self.node.trainedModel, self.node.trainedModelHash = before[2:]

    def _on_node_added(self, *_args):
        """Watch a list that was loaded or copied, once it is complete."""
        if not self._is_list_due:
            self._is_list_due = True
            qt.QTimer.singleShot(0, self.watch_lists)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_about_to_be_removed(self, _scene, _event, node):
        """Release a scan or list that is about to be deleted."""
        self._link.let_go_of(node)
        if node in self._in_view:
            self._in_view = tuple(None if each is node else each for each in self._in_view)
            qt.QTimer.singleShot(0, self.show)  # a list may lie on no scan then
