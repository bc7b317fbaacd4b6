# SPDX-License-Identifier: Apache-2.0
"""Entry point for Slicer: the module, its panel, its logic and its self-test."""

import sys

import qt
import slicer
import vtk
from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLModelNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class PALNetLandmarks(ScriptedLoadableModule):
    """Name, help text and acknowledgment that Slicer shows for the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("PALNet Landmarks")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Shape Analysis")]
        parent.dependencies = ["Markups", "Models"]
        parent.contributors = ["The SlicerPALNet developers"]
        parent.helpText = _(
            "Places 50 anatomical landmarks on a 3D face scan, each with its expected error, and "
            "helps to review, correct, save and export them. Choose a scan, click <b>Detect "
            "landmarks</b>, and look at every landmark that your study rests on, those to check "
            "and doubtful first. "
            'See the <a href="https://github.com/SlicerPALNet/SlicerPALNet">user guide</a>. '
            "For research; not a medical device."
        )
        parent.acknowledgementText = _(
            "The method follows PAL-Net: A. Yazdi et al., Informatics in Medicine Unlocked 60 "
            "(2026) 101729, doi 10.1016/j.imu.2025.101729. Please cite it together with this "
            "extension. The shipped model was trained on faces generated with ICT-FaceKit and anny."
        )


@parameterNodeWrapper
class PALNetLandmarksParameterNode:
    """Selections of the panel, saved with the scene."""

    scan: vtkMRMLModelNode
    landmarks: vtkMRMLMarkupsFiducialNode
    showColor: bool = True
    useColor: bool = True
    snapToSurface: bool = True
    showExpectedErrors: bool = True
    trainedModel: str = ""
    trainedModelHash: str = ""


class PALNetLandmarksWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: passes selections between its sections, which are in PALNetLandmarksLib.

    Parameters
    ----------
    parent : QWidget, optional
        Parent widget, given by Slicer.
    logic : PALNetLandmarksLogic, optional
        Replacement for the logic, for tests.
    """

    def __init__(self, parent=None, logic=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = logic
        self.ui = None
        self._parameterLink = None
        self._shortcuts = None
        self._shown = self._startedFrom = self._inView = (None, None)
        self._beforeImport = None
        self._isTurning = self._isListDue = False

    @property
    def _parameterNode(self):
        return self._parameterLink.node

    def setup(self):
        """Build the panel."""
        from PALNetLandmarksLib.panel.change_watcher import ChangeWatcher
        from PALNetLandmarksLib.panel.detection_section import DetectionSection
        from PALNetLandmarksLib.panel.input_section import InputSection
        from PALNetLandmarksLib.panel.measurement_section import MeasurementSection
        from PALNetLandmarksLib.panel.parameter_link import ParameterLink
        from PALNetLandmarksLib.panel.review_section import ReviewSection
        from PALNetLandmarksLib.panel.save_export_section import SaveExportSection
        from PALNetLandmarksLib.panel.trained_model_section import TrainedModelSection

        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/PALNetLandmarks.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        named = {each.property("SlicerParameterName"): each for each in vars(self.ui).values()}
        widgets = {name: widget for name, widget in named.items() if name}
        self._parameterLink = ParameterLink(widgets, self.onParameterNodeModified)
        panel.setMRMLScene(slicer.mrmlScene)
        if self.logic is None:
            self.logic = PALNetLandmarksLogic()
        self.inputSection = InputSection(
            self.ui, self.selectScan, self.onUnitChosen, self.howToDetect
        )
        self.trainedModelSection = TrainedModelSection(
            self.ui, self.onTrainedModelChosen, self.onTrainedModelRead
        )
        self.detectionSection = DetectionSection(
            self.ui, self.startDetection, self.startByHand, self.onFound
        )
        self.saveExportSection = SaveExportSection(self.ui, self.inputSection.folder)
        self.measurementSection = MeasurementSection(self.ui, self.inputSection.folder)
        self.changeWatcher = ChangeWatcher(self.onMovedElsewhere)
        self.reviewSection = ReviewSection(
            self.ui,
            self.resourcePath,
            self.onLandmarksChanged,
            lambda: qt.QTimer.singleShot(0, self.onListBroken),
        )
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAdded)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        # A loaded bundle brings its own selection; selectors list its nodes when the batch ends.
        for event in (scene.EndCloseEvent, scene.EndImportEvent, scene.EndBatchProcessEvent):
            self.addObserver(scene, event, self.onSceneChanged)
        self.showSelection()
        self.initializeParameterNode()
        if self.parent.isEntered:  # after a reload the panel is rebuilt but not entered
            self.enter()

    def cleanup(self):
        """Release everything when Slicer exits or reloads the module."""
        if self.ui is not None:
            if self.parent:  # false if Slicer exits without leaving the module: no widgets
                self._dropShortcuts()
                self._parameterLink.turn_to(None)
            self.removeObservers()  # removing the sections' nodes must trigger nothing
            self.changeWatcher.stop()
            self.inputSection.stop()
            self.inputSection.folder.stop()
            self.trainedModelSection.close()
            self.detectionSection.close()
            self.reviewSection.close()
            self.measurementSection.close()
            self.measurementSection.folder.close()
        self.ui = None

    def enter(self):
        """Connect the panel and its shortcuts when the user opens the module."""
        from PALNetLandmarksLib.panel.shortcuts import Shortcuts

        self.initializeParameterNode()
        self.watchLists()
        if self._shortcuts is None:
            self._shortcuts = Shortcuts(slicer.util.mainWindow() or self.parent, self.reviewSection)

    def exit(self):
        """Leave keys and clicks to other modules; a detection continues in the background."""
        self._dropShortcuts()
        self.reviewSection.placing.end()

    def onReload(self):
        """Drop the module's packages from the import cache, so that they are imported again."""
        ours = ("PALNetLandmarksLib", "palnet")
        for name in [name for name in sys.modules if name.split(".")[0] in ours]:
            del sys.modules[name]
        super().onReload()

    def onSceneStartClose(self, *_args):
        """Release the nodes before the scene is closed."""
        self.stopWork()
        self._parameterLink.turn_to(None)
        self.showSelection()

    def onSceneChanged(self, *_args):
        """Follow the selection in the scene, once the selectors list its nodes."""
        if not self._isTurning:
            self._isTurning = True
            qt.QTimer.singleShot(0, self.turnToScene)

    def onSceneStartImport(self, *_args):
        """Remember the selection: a scene that is added may not bring its own."""
        node = self._parameterNode
        model = ("", "") if node is None else (node.trainedModel, node.trainedModelHash)
        self._beforeImport = (*self._shown, *model)
        self._parameterLink.pause()

    def turnToScene(self):
        """Follow the selection in the scene."""
        self._isTurning = False
        if self.ui is None or not (self.parent.isEntered or self._parameterNode is not None):
            return
        before, self._beforeImport = self._beforeImport, None
        self.initializeParameterNode()
        self.watchLists()
        if before is None or before[0] is None or self._parameterNode.scan is not None:
            return
        if all(node is None or node.GetScene() is not None for node in before[:2]):
            self._parameterNode.scan, self._parameterNode.landmarks = before[:2]
            with slicer.util.NodeModify(self._parameterNode):
                self._parameterNode.trainedModel, self._parameterNode.trainedModelHash = before[2:]

    def onNodeAdded(self, *_args):
        """Watch a list that was loaded or copied, once it is complete."""
        if not self._isListDue:
            self._isListDue = True
            qt.QTimer.singleShot(0, self.watchLists)

    def watchLists(self):
        """Watch all lists of the scene."""
        from PALNetLandmarksLib.linking import all_lists, find_lists

        self._isListDue = False
        isHalf = slicer.mrmlScene.IsImporting() or slicer.mrmlScene.IsClosing()
        if self.ui is None or isHalf:
            return
        scan, shown = self._shown
        new = self.reviewSection.watch(all_lists(slicer.mrmlScene, self.reviewSection.watched))
        if new and scan is not None and shown is None:
            # The list was loaded after its scan, so the user did not deselect it on purpose.
            added = {found.node for found in new}
            mine = [found.node for found in find_lists(scan) if found.node in added]
            if mine and mine[-1].GetStorageNode() is not None:
                self._parameterNode.landmarks = mine[-1]

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, _scene, _event, node):
        """Release a scan or list that is about to be deleted."""
        self._parameterLink.let_go_of(node)
        if node in self._inView:
            self._inView = tuple(None if each is node else each for each in self._inView)
            qt.QTimer.singleShot(0, self.onListBroken)  # a list may lie on no scan then

    def initializeParameterNode(self):
        """Connect to the scene's parameter node; do not change what is visible."""
        self._parameterLink.turn_to(self.logic.getParameterNode())
        self._inView = (self._parameterNode.scan, self._parameterNode.landmarks)
        self.onParameterNodeModified()

    def onParameterNodeModified(self, *_args):
        """Follow the selection: a scan selects its list, a list its scan."""
        from PALNetLandmarksLib.selection import match_selection

        if slicer.mrmlScene.IsImporting() or slicer.mrmlScene.IsClosing():
            return  # the scene is incomplete; the end of the import calls this again
        self.trainedModelSection.show(
            self._parameterNode.trainedModel, self._parameterNode.trainedModelHash
        )
        scan, landmarks = self._parameterNode.scan, self._parameterNode.landmarks
        chosenScan, chosenLandmarks = match_selection(scan, landmarks, self._shown)
        if (chosenScan, chosenLandmarks) == self._shown and (scan, landmarks) == self._shown:
            return
        self._shown = (chosenScan, chosenLandmarks)
        self._parameterNode.scan, self._parameterNode.landmarks = self._shown
        self.showSelection()

    def showSelection(self):
        """Show the selected scan and list in all sections, and in the views."""
        from PALNetLandmarksLib.list_opening import open_list
        from PALNetLandmarksLib.selection import remember_list, show_instead

        scan, node = (None, None) if self._parameterNode is None else self._shown
        self._shown = (scan, node)
        if scan is not None and self._inView != self._shown:
            show_instead(self._inView, scan, node)
            self._inView = self._shown
        self.changeWatcher.follow(scan, node)
        self.inputSection.show(scan)
        self.detectionSection.allow(scan is not None)
        self.ui.byHandButton.setEnabled(scan is not None)
        landmarks, problem = open_list(node)
        if landmarks is not None:
            remember_list(landmarks)
        self.detectionSection.show(landmarks, problem)
        self.watchLists()
        self.reviewSection.show(landmarks, snap_to_surface=self.ui.snapCheckBox.checked)
        self.measurementSection.show(self.reviewSection.review)
        self.saveExportSection.show(self.reviewSection.review)

    def selectScan(self, modelNode):
        """Select a scan in the panel and show it in the 3D views, from the front if known."""
        from PALNetLandmarksLib.camera import look_at_face, look_at_model

        self._shown = (None, None)
        self._parameterNode.scan = modelNode
        self.onParameterNodeModified()
        look_at_model(modelNode)
        if self.reviewSection.review is not None:
            look_at_face(self.reviewSection.review.landmarks)

    def howToDetect(self):
        """Return the trained model for the next detection, and whether it uses color."""
        return self.trainedModelSection.choice, self._parameterNode.useColor

    def startDetection(self):
        """Start a detection of the selected scan into the selected list."""
        scan, landmarks = self._startedFrom = self._shown
        trainedModel, useColor = self.howToDetect()
        replace = self.reviewSection.table.replace
        return self.logic.startDetection(scan, landmarks, replace, trainedModel, useColor=useColor)

    def startByHand(self):
        """Create a list without positions for the selected scan."""
        self._startedFrom = self._shown
        scheme = self.trainedModelSection.read_scheme()
        return self.logic.createEmptyList(self._shown[0], scheme)

    def onTrainedModelChosen(self, choice):
        """Store the trained model that the user chose in the scene."""
        with slicer.util.NodeModify(self._parameterNode):
            self._parameterNode.trainedModel = choice
            self._parameterNode.trainedModelHash = ""

    def onTrainedModelRead(self, trainedModel):
        """Store the hash of the trained model's file in the scene."""
        if not self._parameterNode.trainedModelHash:
            with slicer.util.NodeModify(self._parameterNode):
                self._parameterNode.trainedModel = trainedModel.choice
                self._parameterNode.trainedModelHash = trainedModel.sha256
        if self.reviewSection.review is None and self._shown[1] is not None:
            self.showSelection()  # a list may use this model's landmark scheme

    def onFound(self, landmarks):
        """Show the result of a detection, unless the user has moved on to another scan or list."""
        from PALNetLandmarksLib.camera import look_at_face
        from PALNetLandmarksLib.selection import remember_list

        remember_list(landmarks)
        if self._shown[0] is not landmarks.model_node or self._shown != self._startedFrom:
            if self._shown[0] is not None and landmarks.node is not self._shown[1]:
                landmarks.node.SetDisplayVisibility(False)  # the views show another one
            return
        self._shown = (landmarks.model_node, landmarks.node)
        self._parameterNode.scan, self._parameterNode.landmarks = self._shown
        self.showSelection()
        if self.parent.isEntered:
            look_at_face(landmarks)

    def onLandmarksChanged(self):
        """Discard what is outdated after a correction."""
        from PALNetLandmarksLib.list_opening import problem_of
        from PALNetLandmarksLib.scan_unit import adopt_unit

        self.measurementSection.clear()
        self.saveExportSection.refresh()
        if self.reviewSection.review is not None:
            landmarks = self.reviewSection.review.landmarks
            adopt_unit(landmarks)
            if self.detectionSection.is_undone(landmarks):
                self.detectionSection.show(landmarks, problem_of(landmarks))
        self.inputSection.show(self._shown[0])

    def onUnitChosen(self):
        """Discard what is outdated after a change of unit, such as why a scan was refused."""
        self.onLandmarksChanged()
        self.detectionSection.forget_result()

    def onMovedElsewhere(self):
        """Update what is said of a scan and its list that were changed in another module."""
        from PALNetLandmarksLib.list_opening import problem_of

        if self.ui is None or slicer.mrmlScene.IsClosing():
            return
        self.inputSection.show(self._shown[0])
        self.measurementSection.forget_if_moved()
        review = self.reviewSection.review
        if review is not None:
            self.detectionSection.follow(review.landmarks, problem_of(review.landmarks))

    def onListBroken(self):
        """Report that the points of the selected list no longer match its landmarks."""
        if self.ui is not None:
            self.showSelection()

    def stopWork(self):
        """Stop work in the background."""
        self.detectionSection.cancel()
        self.inputSection.stop()
        self.trainedModelSection.stop()

    def _dropShortcuts(self):
        """Release the keys while the main window exists: Slicer deletes it before the modules."""
        if self._shortcuts is not None:
            self._shortcuts.close()
        self._shortcuts = None


class PALNetLandmarksLogic(ScriptedLoadableModuleLogic):
    """Logic for scripts and notebooks, also used by the panel.

    ``slicer.util.getModuleLogic("PALNetLandmarks").detect(modelNode)`` returns a point list.
    """

    def getParameterNode(self):
        """Return the selection of the panel as typed attributes."""
        return PALNetLandmarksParameterNode(super().getParameterNode())

    def detect(self, modelNode, markupsNode=None, replace=(), trainedModel="", *, useColor=True):
        """Place the landmarks on a model and wait for the result.

        Parameters
        ----------
        modelNode : vtkMRMLModelNode
            A face scan in any pose; its parent transforms are applied.
        markupsNode : vtkMRMLMarkupsFiducialNode, optional
            The list to write to. A new one is created by default, and if the list holds other
            landmarks than the trained model places. Corrected and confirmed landmarks are kept.
        replace : iterable of str
            Codes of landmarks to overwrite although they were corrected or confirmed.
        trainedModel : str or path, optional
            Name of a shipped model or path of a model file; by default the default model.
        useColor : bool
            Whether the color of the scan, if it has any, helps to place lips and corners of eyes.

        Returns
        -------
        vtkMRMLMarkupsFiducialNode
            The landmarks; expected errors and statuses are stored as measurements of the list.

        Raises
        ------
        palnet.errors.PalnetError
            If the model shows no usable face; the message says what was found and what to do.
        """
        from PALNetLandmarksLib.landmark_list import LandmarkList

        indices = ()
        if markupsNode is not None:
            scheme = LandmarkList(markupsNode).scheme
            indices = [scheme.index_of(code) for code in replace]
        run = self.startDetection(modelNode, markupsNode, indices, trainedModel, useColor=useColor)
        run.job.wait()
        return run.finish().node

    def startDetection(
        self, modelNode, markupsNode=None, replace=(), trainedModel="", *, useColor=True
    ):
        """Start a detection in the background; `DetectionRun.finish` writes its result."""
        from palnet.model import DEFAULT_MODEL
        from PALNetLandmarksLib.detection import DetectionRun
        from PALNetLandmarksLib.landmark_list import is_landmark_list

        usable = markupsNode if is_landmark_list(markupsNode) else None
        trained = trainedModel or DEFAULT_MODEL
        return DetectionRun(modelNode, usable, replace, trained, use_color=useColor)

    def createEmptyList(self, modelNode, scheme=None):
        """Create a list of named, unplaced landmarks for a model; by default the 50."""
        from palnet.scheme import load_scheme
        from PALNetLandmarksLib.detection import create_empty_list

        return create_empty_list(modelNode, scheme or load_scheme())

    def chooseUnit(self, modelNode, unit):
        """Set the unit of a scan ("um", "mm", "cm", "m", "in"); empty infers it from the size."""
        from PALNetLandmarksLib.scan_unit import choose_unit

        choose_unit(modelNode, unit)


class PALNetLandmarksTest(ScriptedLoadableModuleTest):
    """Self-test for "Reload and Test": the main workflow on the bundled face."""

    def setUp(self):
        """Start with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run the tests."""
        for test in (self.test_detect, self.test_correct, self.test_save):
            self.setUp()
            test()

    def test_detect(self):
        """Detected landmarks lie within 2 mm of the true ones on average."""
        from PALNetLandmarksLib.self_test import check_detection

        mean_mm = check_detection(self, PALNetLandmarksLogic().detect)
        self.delayDisplay(f"Mean error {mean_mm:.2f} mm")

    def test_correct(self):
        """A moved landmark lies on the surface, becomes "corrected" and can be restored."""
        from PALNetLandmarksLib.self_test import check_correction

        check_correction(self, PALNetLandmarksLogic().detect)

    def test_save(self):
        """A saved list can be read back with its statuses and expected errors."""
        from PALNetLandmarksLib.self_test import check_saving

        check_saving(self, PALNetLandmarksLogic().detect)
