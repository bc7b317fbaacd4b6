# SPDX-License-Identifier: Apache-2.0
"""`slicer.ScriptedLoadableModule`: the base classes of a scripted module."""

from __future__ import annotations

import sys
import unittest
import warnings
from pathlib import Path

import slicer

__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
]


class _WithResources:
    """Mixin that knows its module and the Resources folder beside it."""

    def resourcePath(self, filename: str) -> str:
        """Return the path of a file below the module's Resources folder."""
        path = Path(sys.modules[type(self).__module__].__file__).parent
        return str(path / "Resources" / filename)


class ScriptedLoadableModule(_WithResources):
    """Metadata of the module for Slicer, stored in `parent`."""

    def __init__(self, parent) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = self.moduleName
        icon = Path(self.resourcePath(f"Icons/{self.moduleName}.png"))
        if icon.is_file():
            parent.icon = str(icon)

    def runTest(self, msec: int = 100, **kwargs) -> None:
        """Run the module's own test."""
        test = getattr(sys.modules[type(self).__module__], f"{self.moduleName}Test")()
        test.messageDelay = msec
        test.runTest(**kwargs)


class ScriptedLoadableModuleWidget(_WithResources):
    """The panel: `setup` fills `self.layout`; Slicer calls `enter`, `exit` and `cleanup`."""

    def __init__(self, parent=None) -> None:
        self.parent = parent
        self.layout = parent.layout()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue(
            "Developer/DeveloperMode", False, converter=slicer.util.toBool
        )

    def setup(self) -> None:
        """Build the panel; in developer mode Slicer adds its reload buttons first."""

    def cleanup(self) -> None:
        """Clean up when Slicer exits or reloads the module."""

    def enter(self) -> None:
        """Enter the module."""

    def exit(self) -> None:
        """Leave for another module."""

    def onReload(self) -> None:
        """Load the module file again and create a new panel from it, by Slicer's own function."""
        slicer.util.reloadScriptedModule(self.moduleName)


class ScriptedLoadableModuleLogic(_WithResources):
    """The logic behind the panel, with its parameters in a node of the scene."""

    def __init__(self, parent=None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True
        self.parent = parent

    def getParameterNode(self):
        """Return the module's parameter node, created if necessary."""
        if self.isSingletonParameterNode:
            kind = "vtkMRMLScriptedModuleNode"
            found = slicer.mrmlScene.GetSingletonNode(self.moduleName, kind)
        else:
            found = next(iter(self.getAllParameterNodes()), None)
        return found or slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self) -> list:
        """Return all parameter nodes of the module."""
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self):
        """Return a new parameter node, which is not in the scene yet."""
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The module's own test, run by Slicer's self-tests."""

    def __init__(self, *arguments, **kwargs) -> None:
        super().__init__(*arguments, **kwargs)
        self.messageDelay = 0

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec=None) -> None:
        """Report progress; here without a pause."""
        slicer.util.delayDisplay(message, 0)

    def runTest(self, **kwargs) -> None:
        """Warn: a module must define which of its tests to run."""
        warnings.warn(f"No test is defined in {type(self).__name__}.", stacklevel=2)
