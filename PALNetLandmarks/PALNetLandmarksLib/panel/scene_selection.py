# SPDX-License-Identifier: Apache-2.0
"""The scan and the list that the panel shows: those selected in the scene, whoever selects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from PALNetLandmarksLib.linking import all_lists, find_lists
from PALNetLandmarksLib.panel.parameter_link import ParameterLink, ParameterNode
from PALNetLandmarksLib.selection import match_selection, show_instead

if TYPE_CHECKING:
    from PALNetLandmarksLib.panel.review_section import ReviewSection
    from PALNetLandmarksLib.panel.trained_model_section import TrainedModelSection

    _Shown = tuple[slicer.vtkMRMLModelNode | None, slicer.vtkMRMLMarkupsFiducialNode | None]


class Panel(Protocol):
    """What is asked of the panel."""

    parent: qt.QWidget
    logic: Any
    ui: Any
    reviewSection: ReviewSection
    trainedModelSection: TrainedModelSection

    def showSelection(self) -> None:
        """Show the selected scan and list in all sections."""

    def stopWork(self) -> None:
        """Stop work in the background."""


class SceneSelection(VTKObservationMixin):
    """Follows the selection in the scene, and shows the selected scan and list in the views.

    Parameters
    ----------
    panel : Panel
        The panel.

    Attributes
    ----------
    shown : tuple
        The scan and the list that the panel shows; None for either that is not selected.
    """

    def __init__(self, panel: Panel) -> None:
        VTKObservationMixin.__init__(self)
        self.shown: _Shown = (None, None)
        self._in_view: _Shown = (None, None)
        self._panel = panel
        self._before_import: tuple[_Shown, tuple[str, str]] | None = None
        self._is_turning = self._is_list_due = self._is_closed = False
        named = {each.property("SlicerParameterName"): each for each in vars(panel.ui).values()}
        widgets = {name: widget for name, widget in named.items() if name}
        self._link = ParameterLink(widgets, self.follow)

    @property
    def node(self) -> ParameterNode | None:
        """The scene's parameter node; None between two scenes."""
        return self._link.node

    @property
    def connected(self) -> ParameterNode:
        """The scene's parameter node, for what is done with a scene only."""
        if self.node is None:
            msg = "The panel is not connected to a scene."
            raise RuntimeError(msg)
        return self.node

    def watch_scene(self) -> None:
        """Follow the scene from now on."""
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_start_close)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_about_to_be_removed)
        self.addObserver(scene, scene.NodeAddedEvent, self._on_node_added)
        self.addObserver(scene, scene.StartImportEvent, self._on_start_import)
        # A loaded bundle brings its own selection; selectors list its nodes when the batch ends.
        for event in (scene.EndCloseEvent, scene.EndImportEvent, scene.EndBatchProcessEvent):
            self.addObserver(scene, event, self._on_scene_changed)

    def connect(self) -> None:
        """Connect to the scene's parameter node; do not change what is visible."""
        self._link.turn_to(self._panel.logic.getParameterNode())
        self._in_view = (self.connected.scan, self.connected.landmarks)
        self.follow()

    def disconnect(self) -> None:
        """Release the parameter node and the widgets."""
        self._link.turn_to(None)

    def close(self) -> None:
        """Follow nothing any more: the widgets may be gone."""
        self._is_closed = True
        self.removeObservers()

    def follow(self, *_args: object) -> None:
        """Show what the scene selects: a scan selects its list, a list its scan."""
        if slicer.mrmlScene.IsImporting() or slicer.mrmlScene.IsClosing():
            return  # the scene is incomplete; the end of the import calls this again
        node = self.connected
        self._panel.trainedModelSection.show(node.trainedModel, node.trainedModelHash)
        scan, landmarks = node.scan, node.landmarks
        chosen = match_selection(scan, landmarks, self.shown)
        if chosen != self.shown or (scan, landmarks) != self.shown:
            self.select(*chosen)

    def select(
        self,
        scan: slicer.vtkMRMLModelNode | None,
        list_node: slicer.vtkMRMLMarkupsFiducialNode | None,
    ) -> None:
        """Select a scan and a list in the scene, and show them.

        Parameters
        ----------
        scan : vtkMRMLModelNode or None
            The scan.
        list_node : vtkMRMLMarkupsFiducialNode or None
            The list.
        """
        self.shown = (scan, list_node)
        self.connected.scan, self.connected.landmarks = self.shown
        self.show()

    def select_scan(self, scan: slicer.vtkMRMLModelNode) -> None:
        """Select a scan with its list, also if it is selected already.

        Parameters
        ----------
        scan : vtkMRMLModelNode
            The scan.
        """
        self.shown = (None, None)
        self.connected.scan = scan
        self.follow()

    def choose_trained_model(self, choice: str, sha256: str = "") -> None:
        """Store a trained model in the scene.

        Parameters
        ----------
        choice : str
            Name of a shipped model or path of a file.
        sha256 : str
            Hash of the file; empty if it was not read yet.
        """
        node = self.connected
        with slicer.util.NodeModify(node):
            node.trainedModel, node.trainedModelHash = choice, sha256

    def show(self) -> None:
        """Show the selected scan and list in the views and in the panel."""
        if self._is_closed:
            return
        if self.node is None:
            self.shown = (None, None)
        if self.shown[0] is not None and self._in_view != self.shown:
            show_instead(self._in_view, *self.shown)
            self._in_view = self.shown
        self._panel.showSelection()

    def watch_lists(self) -> None:
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
                self.connected.landmarks = mine[-1]

    def _on_start_close(self, *_args: object) -> None:
        """Release the nodes before the scene is closed."""
        self._panel.stopWork()
        self.disconnect()
        self.show()

    def _on_start_import(self, *_args: object) -> None:
        """Remember the selection: a scene that is added may not bring its own."""
        model = ("", "")
        if self.node is not None:
            model = (self.node.trainedModel, self.node.trainedModelHash)
        self._before_import = (self.shown, model)
        self._link.pause()

    def _on_scene_changed(self, *_args: object) -> None:
        """Follow the selection in the scene, once the selectors list its nodes."""
        if not self._is_turning:
            self._is_turning = True
            qt.QTimer.singleShot(0, self._turn_to_scene)

    def _turn_to_scene(self) -> None:
        """Follow the selection in the scene."""
        self._is_turning = False
        if self._is_closed or not (self._panel.parent.isEntered or self.node is not None):
            return
        before, self._before_import = self._before_import, None
        self.connect()
        self.watch_lists()
        if before is None or before[0][0] is None or self.connected.scan is not None:
            return
        shown, model = before
        if all(node is None or node.GetScene() is not None for node in shown):
            self.connected.scan, self.connected.landmarks = shown
            self.choose_trained_model(*model)

    def _on_node_added(self, *_args: object) -> None:
        """Watch a list that was loaded or copied, once it is complete."""
        if not self._is_list_due:
            self._is_list_due = True
            qt.QTimer.singleShot(0, self.watch_lists)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_about_to_be_removed(
        self, _scene: slicer.vtkMRMLScene, _event: str, node: slicer.vtkMRMLNode
    ) -> None:
        """Release a scan or list that is about to be deleted."""
        self._link.let_go_of(node)
        if node in self._in_view:
            scan, list_node = (None if each is node else each for each in self._in_view)
            self._in_view = (scan, list_node)
            qt.QTimer.singleShot(0, self.show)  # a list may lie on no scan then
