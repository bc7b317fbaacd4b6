# SPDX-License-Identifier: Apache-2.0
"""Entry point for Slicer: the module, its panel, its logic and its self-test."""

# Annotations are not postponed: Slicer reads those of the parameter node as it makes the class.
import sys
from typing import TYPE_CHECKING, Any

import qt
import slicer
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

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from palnet import Scheme
    from PALNetLandmarksLib.detection import DetectionRun
    from PALNetLandmarksLib.landmark_list import LandmarkList
    from PALNetLandmarksLib.trained_models import TrainedModel


class PALNetLandmarks(ScriptedLoadableModule):
    """Name, help text and acknowledgment that Slicer shows for the module."""

    def __init__(self, parent: "slicer.qSlicerScriptedLoadableModule") -> None:
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


class PALNetLandmarksWidget(ScriptedLoadableModuleWidget):
    """The panel: passes selections between its sections, which are in PALNetLandmarksLib.

    Parameters
    ----------
    parent : QWidget, optional
        Parent widget, given by Slicer.
    logic : PALNetLandmarksLogic, optional
        Replacement for the logic, for tests.
    """

    def __init__(
        self, parent: "qt.QWidget | None" = None, logic: "PALNetLandmarksLogic | None" = None
    ) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.logic = logic or PALNetLandmarksLogic()
        self.ui: Any = None

    def setup(self) -> None:
        """Build the panel."""
        from PALNetLandmarksLib.panel.change_watcher import ChangeWatcher
        from PALNetLandmarksLib.panel.detection_section import DetectionSection
        from PALNetLandmarksLib.panel.input_section import InputSection
        from PALNetLandmarksLib.panel.measurement_section import MeasurementSection
        from PALNetLandmarksLib.panel.review_section import ReviewSection
        from PALNetLandmarksLib.panel.save_export_section import SaveExportSection
        from PALNetLandmarksLib.panel.scene_selection import SceneSelection
        from PALNetLandmarksLib.panel.shortcuts import Shortcuts
        from PALNetLandmarksLib.panel.trained_model_section import TrainedModelSection

        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/PALNetLandmarks.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        self.selection = SceneSelection(self)
        panel.setMRMLScene(slicer.mrmlScene)
        self.inputSection = InputSection(
            self.ui, self.selectScan, self.onUnitChosen, self.howToDetect
        )
        self.trainedModelSection = TrainedModelSection(
            self.ui, self.selection.choose_trained_model, self.onTrainedModelRead
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
            lambda: qt.QTimer.singleShot(0, self.selection.show),
        )
        self._shortcuts = Shortcuts(self.ui, self.reviewSection)
        self.selection.watch_scene()
        self.selection.show()
        self.selection.connect()
        if self.parent.isEntered:  # after a reload the panel is rebuilt but not entered
            self.enter()

    def cleanup(self) -> None:
        """Release everything when Slicer exits or reloads the module."""
        if self.ui is not None:
            if self.parent:  # false if Slicer exits without leaving the module: no widgets
                self._shortcuts.close()
                self.selection.disconnect()
            self.selection.close()  # removing the sections' nodes must trigger nothing
            self.changeWatcher.stop()
            self.inputSection.stop()
            self.inputSection.folder.stop()
            self.trainedModelSection.close()
            self.detectionSection.close()
            self.reviewSection.close()
            self.measurementSection.close()
            self.measurementSection.folder.close()
        self.ui = None

    def enter(self) -> None:
        """Connect the panel and its shortcuts when the user opens the module."""
        self.selection.connect()
        self.selection.watch_lists()
        self._shortcuts.connect(slicer.util.mainWindow() or self.parent)

    def exit(self) -> None:
        """Leave keys and clicks to other modules; a detection continues in the background."""
        self._shortcuts.close()
        self.reviewSection.placing.end()

    def onReload(self) -> None:
        """Drop the module's packages from the import cache, so that they are imported again."""
        ours = ("PALNetLandmarksLib", "palnet")
        for name in [name for name in sys.modules if name.split(".")[0] in ours]:
            del sys.modules[name]
        super().onReload()

    def showSelection(self) -> None:
        """Show the selected scan and list in all sections."""
        from PALNetLandmarksLib.list_opening import open_list
        from PALNetLandmarksLib.selection import remember_list

        scan, node = self.selection.shown
        self.changeWatcher.follow(scan, node)
        self.inputSection.show(scan)
        self.detectionSection.allow(scan is not None)
        self.ui.byHandButton.setEnabled(scan is not None)
        landmarks, problem = open_list(node)
        if landmarks is not None:
            remember_list(landmarks)
        self.detectionSection.show(landmarks, problem)
        self.selection.watch_lists()
        if self.selection.shown != (scan, node):
            return  # a list that was just loaded is selected and shown by now
        self.reviewSection.show(landmarks, snap_to_surface=self.ui.snapCheckBox.checked)
        self.measurementSection.show(self.reviewSection.review)
        self.saveExportSection.show(self.reviewSection.review)

    def selectScan(self, modelNode: vtkMRMLModelNode) -> None:
        """Select a scan in the panel and show it in the 3D views, from the front if known."""
        from PALNetLandmarksLib.camera import look_at_face, look_at_model

        self.selection.select_scan(modelNode)
        look_at_model(modelNode)
        if self.reviewSection.review is not None:
            look_at_face(self.reviewSection.review.landmarks)

    def howToDetect(self) -> tuple[str, bool]:
        """Return the trained model for the next detection, and whether it uses color."""
        return self.trainedModelSection.choice, self.selection.connected.useColor

    def startDetection(self) -> "DetectionRun":
        """Start a detection of the selected scan into the selected list."""
        scan, landmarks = self._startedFrom = self.selection.shown
        trainedModel, useColor = self.howToDetect()
        replace = self.reviewSection.table.replace
        return self.logic.startDetection(scan, landmarks, replace, trainedModel, useColor=useColor)

    def startByHand(self) -> "LandmarkList":
        """Create a list without positions for the selected scan."""
        self._startedFrom = self.selection.shown
        scheme = self.trainedModelSection.read_scheme()
        return self.logic.createEmptyList(self.selection.shown[0], scheme)

    def onTrainedModelRead(self, trainedModel: "TrainedModel") -> None:
        """Store the hash of the trained model's file in the scene."""
        if not self.selection.connected.trainedModelHash:
            self.selection.choose_trained_model(trainedModel.choice, trainedModel.sha256)
        if self.reviewSection.review is None and self.selection.shown[1] is not None:
            self.selection.show()  # a list may use this model's landmark scheme

    def onFound(self, landmarks: "LandmarkList") -> None:
        """Show the result of a detection, unless the user has moved on to another scan or list."""
        from PALNetLandmarksLib.camera import look_at_face
        from PALNetLandmarksLib.selection import remember_list

        remember_list(landmarks)
        scan, node = self.selection.shown
        if scan is not landmarks.model_node or (scan, node) != self._startedFrom:
            if scan is not None and landmarks.node is not node:
                landmarks.node.SetDisplayVisibility(False)  # the views show another one
            return
        self.selection.select(landmarks.model_node, landmarks.node)
        if self.parent.isEntered:
            look_at_face(landmarks)

    def onLandmarksChanged(self) -> None:
        """Discard what is outdated after a correction."""
        from PALNetLandmarksLib.list_opening import problem_of
        from PALNetLandmarksLib.scan_unit import adopt_unit

        self.measurementSection.forget()
        self.saveExportSection.refresh()
        if self.reviewSection.review is not None:
            landmarks = self.reviewSection.review.landmarks
            adopt_unit(landmarks)
            if self.detectionSection.is_undone(landmarks):
                self.detectionSection.show(landmarks, problem_of(landmarks))
        self.inputSection.show(self.selection.shown[0])

    def onUnitChosen(self) -> None:
        """Discard what is outdated after a change of unit, such as why a scan was refused."""
        self.onLandmarksChanged()
        self.detectionSection.forget_result()

    def onMovedElsewhere(self) -> None:
        """Update what is said of a scan and its list that were changed in another module."""
        from PALNetLandmarksLib.list_opening import problem_of

        if self.ui is None or slicer.mrmlScene.IsClosing():
            return
        self.inputSection.show(self.selection.shown[0])
        self.measurementSection.forget_if_moved()
        review = self.reviewSection.review
        if review is not None:
            self.detectionSection.follow(review.landmarks, problem_of(review.landmarks))

    def stopWork(self) -> None:
        """Stop work in the background."""
        self.detectionSection.cancel()
        self.inputSection.stop()
        self.trainedModelSection.stop()


class PALNetLandmarksLogic(ScriptedLoadableModuleLogic):
    """Logic for scripts and notebooks, also used by the panel.

    ``slicer.util.getModuleLogic("PALNetLandmarks").detect(modelNode)`` returns a point list.
    """

    def getParameterNode(self) -> PALNetLandmarksParameterNode:
        """Return the selection of the panel as typed attributes."""
        wrap: Any = PALNetLandmarksParameterNode  # whose constructor is made by its decorator
        return wrap(super().getParameterNode())

    def detect(
        self,
        modelNode: vtkMRMLModelNode,
        markupsNode: "vtkMRMLMarkupsFiducialNode | None" = None,
        replace: "Iterable[str]" = (),
        trainedModel: "str | Path" = "",
        *,
        useColor: bool = True,
    ) -> vtkMRMLMarkupsFiducialNode:
        """Place the landmarks on a model and wait for the result.

        Parameters
        ----------
        modelNode : vtkMRMLModelNode
            A face scan in any pose; its parent transforms are applied.
        markupsNode : vtkMRMLMarkupsFiducialNode, optional
            The list to write to. A new one is created by default, and if the list holds other
            landmarks than the trained model places. Reviewed landmarks are kept.
        replace : iterable of str
            Codes of landmarks to overwrite although they were reviewed.
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
        from PALNetLandmarksLib.detection import find_replaced

        replaced = find_replaced(markupsNode, replace)
        run = self.startDetection(modelNode, markupsNode, replaced, trainedModel, useColor=useColor)
        return run.finish().node

    def startDetection(
        self,
        modelNode: vtkMRMLModelNode,
        markupsNode: "vtkMRMLMarkupsFiducialNode | None" = None,
        replace: "Iterable[int]" = (),
        trainedModel: "str | Path" = "",
        *,
        useColor: bool = True,
    ) -> "DetectionRun":
        """Start a detection in the background; `DetectionRun.finish` writes its result.

        As `detect`, but `replace` holds indices of landmarks, and a list of other points is left as
        it is: the landmarks go into a new one.
        """
        from palnet.model import DEFAULT_MODEL
        from PALNetLandmarksLib.detection import DetectionRun
        from PALNetLandmarksLib.landmark_list import is_landmark_list

        usable = markupsNode if is_landmark_list(markupsNode) else None
        trained = str(trainedModel or DEFAULT_MODEL)
        return DetectionRun(modelNode, usable, replace, trained, use_color=useColor)

    def createEmptyList(
        self, modelNode: vtkMRMLModelNode, scheme: "Scheme | str | Path | None" = None
    ) -> "LandmarkList":
        """Create a list of named, unplaced landmarks for a model; by default the 50.

        `scheme` is a `palnet.Scheme`, the name of a shipped one, or the path of a scheme file.
        Returns a `LandmarkList`, whose `node` is the point list.
        """
        from palnet.scheme import DEFAULT_SCHEME, Scheme, load_scheme
        from PALNetLandmarksLib.detection import create_empty_list

        if not isinstance(scheme, Scheme):
            scheme = load_scheme(scheme or DEFAULT_SCHEME)
        return create_empty_list(modelNode, scheme)

    def chooseUnit(self, modelNode: vtkMRMLModelNode, unit: str) -> None:
        """Set the unit of a scan ("um", "mm", "cm", "m", "in"); empty infers it from the size."""
        from PALNetLandmarksLib.scan_unit import choose_unit

        choose_unit(modelNode, unit)


class PALNetLandmarksTest(ScriptedLoadableModuleTest):
    """Self-test for "Reload and Test": the main workflow on the bundled face."""

    def setUp(self) -> None:
        """Start with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run the tests."""
        for test in (self.test_detect, self.test_correct, self.test_save):
            self.setUp()
            test()

    def test_detect(self) -> None:
        """Detected landmarks lie within 2 mm of the true ones on average."""
        from PALNetLandmarksLib.self_test import check_detection

        mean_mm = check_detection(self, PALNetLandmarksLogic().detect)
        self.delayDisplay(f"Mean error {mean_mm:.2f} mm")

    def test_correct(self) -> None:
        """A moved landmark lies on the surface, becomes "corrected" and can be restored."""
        from PALNetLandmarksLib.self_test import check_correction

        check_correction(self, PALNetLandmarksLogic().detect)

    def test_save(self) -> None:
        """A saved list can be read back with its statuses and expected errors."""
        from PALNetLandmarksLib.self_test import check_saving

        check_saving(self, PALNetLandmarksLogic().detect)
