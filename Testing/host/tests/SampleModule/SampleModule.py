# SPDX-License-Identifier: Apache-2.0
"""A small scripted module on which the tests of the stand-in work."""

import enum

import qt
import slicer
import vtk
from slicer import vtkMRMLModelNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class Shade(enum.Enum):
    LIGHT = "light"
    DARK = "dark"


class SampleModule(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Sample module")
        parent.categories = ["Testing"]


@parameterNodeWrapper
class SampleParameterNode:
    model: vtkMRMLModelNode
    isVisible: bool = True
    label: str = "none"
    count: int = 3
    size: float = 0.5
    shade: Shade = Shade.LIGHT
    note: str | None = None

    def double(self):
        return 2 * self.count


class SampleModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        super().__init__(parent)
        VTKObservationMixin.__init__(self)
        self.calls = []

    def setup(self):
        super().setup()
        panel = slicer.util.loadUI(self.resourcePath("UI/SampleModule.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = SampleModuleLogic()
        self.parameterNode = self.logic.getParameterNode()
        self.tag = self.parameterNode.connectParametersToGui(self.widgets())
        self.addObserver(self.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onModified)
        self.ui.runButton.connect("clicked(bool)", self.onRun)

    def widgets(self):
        named = {each.property("SlicerParameterName"): each for each in vars(self.ui).values()}
        return {name: widget for name, widget in named.items() if name}

    def onModified(self, *_args):
        self.calls.append("modified")

    def onRun(self, checked):
        with slicer.util.tryWithErrorDisplay(_("It failed."), waitCursor=True):
            message = "there is no model"
            if self.parameterNode.model is None:
                raise ValueError(message)
            self.calls.append("run")

    def enter(self):
        self.calls.append("enter")

    def exit(self):
        self.calls.append("exit")

    def cleanup(self):
        self.calls.append("cleanup")
        self.removeObservers()


class SampleModuleLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return SampleParameterNode(super().getParameterNode())

    def askForFile(self):
        return qt.QFileDialog.getOpenFileName(None, _("Open it"), "", "*.ply")


class SampleModuleTest(ScriptedLoadableModuleTest):
    runs = 0

    def runTest(self):
        self.delayDisplay("Testing")
        assert SampleModuleLogic().getParameterNode().model is None
        SampleModuleTest.runs += 1
