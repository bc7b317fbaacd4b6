# SPDX-License-Identifier: Apache-2.0
"""Load a scripted module from its folder and show its panel, as Slicer does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import slicer
from PySide6.QtCore import Property
from PySide6.QtWidgets import QVBoxLayout

from palnet_host.mrml_widgets import qMRMLWidget
from palnet_host.pythonqt import stand_in

MODULE_TEXTS = ("title", "helpText", "acknowledgementText", "icon")
MODULE_LISTS = ("categories", "dependencies", "contributors", "associatedNodeTypes")
OTHERS = {"hidden": False, "index": -1, "widgetRepresentationCreationEnabled": True}


class ScriptedModule:
    """`slicer.modules.<name>`: the module's metadata and its panel.

    Attributes that Slicer does not know cannot be set.
    """

    _NAMES = frozenset({*MODULE_TEXTS, *MODULE_LISTS, *OTHERS, "name", "path", "instance"})

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = str(path)
        self._widget = None
        for text in MODULE_TEXTS:
            setattr(self, text, "")
        for words in MODULE_LISTS:
            setattr(self, words, [])
        for other, value in OTHERS.items():
            setattr(self, other, value)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self._NAMES and not name.startswith("_"):
            msg = f"a scripted module has no property {name!r}; got {value!r}."
            raise AttributeError(msg)
        super().__setattr__(name, value)

    def python_module(self) -> ModuleType:
        """Return the imported Python module (the host's own)."""
        return sys.modules[self.name]

    def widgetRepresentation(self):
        """Return the panel, created on first use."""
        if self._widget is None:
            self._widget = create_panel(self)
        return self._widget

    def createNewWidgetRepresentation(self):
        """Return another panel."""
        return create_panel(self)

    def close_panel(self) -> None:
        """Leave and clean up the panel, as Slicer does on exit."""
        if self._widget:
            if self._widget.isEntered:
                self._widget.exit()
            self._widget.self().cleanup()
            self._widget.deleteLater()
            self._widget = None


def load_module(folder: Path, name: str | None = None) -> ScriptedModule:
    """Load the module of a folder, as Slicer does at startup: every .py directly in it is one.

    Parameters
    ----------
    folder
        Folder of the module, which is added to `sys.path`, as Slicer does.
    name
        Name of the module; by default that of the folder.
    """
    path = Path(folder).resolve() / f"{name or Path(folder).name}.py"
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = ScriptedModule(path.stem, path)
    python_module = sys.modules.get(path.stem)
    if python_module is None or Path(python_module.__file__ or "").resolve() != path:
        python_module = _execute(path)
    module.instance = getattr(python_module, path.stem)(module)
    slicer.modules.add(module)
    return module


def _execute(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    python_module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = python_module
    spec.loader.exec_module(python_module)
    return python_module


@stand_in
class ModulePanel(qMRMLWidget):
    """The widget that is a scripted module's parent in Slicer."""

    def __init__(self, module: ScriptedModule) -> None:
        super().__init__()
        self._module = module
        self._python_widget = None
        self._is_entered = False
        self.setObjectName(f"{module.name}ModuleWidget")
        QVBoxLayout(self)

    def self(self):
        """Return the Python object of the panel."""
        return self._python_widget

    isEntered = Property(bool, lambda panel: panel._is_entered)

    def reload(self) -> None:
        """Create the Python object of the panel and set it up; also after a first one, in Slicer.

        The widget itself stays, and is neither left nor entered. `slicer.util.reloadScriptedModule`
        has cleaned up the first panel and hidden what it consists of, which lives on.
        """
        name = self._module.name
        self._python_widget = getattr(self._module.python_module(), f"{name}Widget")(self)
        setattr(slicer.modules, f"{name}Widget", self._python_widget)
        self._python_widget.setup()

    def enter(self) -> None:
        """Enter the module."""
        self._is_entered = True
        self._python_widget.enter()

    def exit(self) -> None:
        """Leave the module."""
        self._is_entered = False
        self._python_widget.exit()


def create_panel(module: ScriptedModule) -> ModulePanel:
    """Create a module's panel and set it up; return its parent widget."""
    panel = ModulePanel(module)
    panel.reload()
    panel.setMRMLScene(slicer.mrmlScene)
    return panel
