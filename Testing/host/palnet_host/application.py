# SPDX-License-Identifier: Apache-2.0
"""`slicer.app` and `slicer.modules`, as far as a scripted module needs them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import slicer

from palnet_host.files import CoreIOManager
from palnet_host.scene import SceneAndLogics


class Application:
    """`slicer.app` for one test; the names are those of qSlicerApplication in Python.

    Parameters
    ----------
    scene_and_logics
        The scene of this run.
    folder
        Folder for temporary files and settings.
    """

    applicationName = "Slicer"

    def __init__(self, scene_and_logics: SceneAndLogics, folder: str | Path | None = None) -> None:
        self._folder = Path(folder or tempfile.mkdtemp(prefix="palnet-host-"))
        self.scene_and_logics = scene_and_logics
        self.temporaryPath = str(self._folder)
        self._io = CoreIOManager(self)
        self._render_pauses = 0
        self._wait_cursors = 0
        self.isTesting = False

    def mrmlScene(self):
        """The scene."""
        return self.scene_and_logics.scene

    def applicationLogic(self):
        """The application's logic, with those of the modules."""
        return self.scene_and_logics.application_logic

    def coreIOManager(self) -> CoreIOManager:
        """Reader and writer of files."""
        return self._io

    def ioManager(self) -> CoreIOManager:
        """Reader and writer of files."""
        return self._io

    def layoutManager(self):
        """Layout manager, without views of its own."""
        return

    def moduleManager(self) -> Application:
        """Module manager: the application itself."""
        return self

    def module(self, name: str):
        """Return a module by its name, or None."""
        return getattr(slicer.modules, name.lower(), None)

    def testingEnabled(self) -> bool:
        """Whether Slicer was started for testing, which skips message boxes."""
        return self.isTesting

    def processEvents(self) -> None:
        """Process pending Qt events, if Qt is running."""
        application = _qt_application()
        if application is not None:
            application.processEvents()

    @property
    def doubleClickInterval(self) -> int:
        """Longest time between the clicks of a double click, in milliseconds."""
        return _qt_application().doubleClickInterval

    def topLevelWidgets(self) -> list:
        """All windows; none if Qt is not running."""
        application = _qt_application()
        return [] if application is None else list(application.topLevelWidgets())

    def clipboard(self):
        """The clipboard."""
        return _qt_application().clipboard()

    def setOverrideCursor(self, cursor) -> None:
        """Show a wait cursor."""
        self._wait_cursors += 1
        if _qt_application() is not None:
            _qt_application().setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        """Remove the last wait cursor."""
        self._wait_cursors -= 1
        if _qt_application() is not None:
            _qt_application().restoreOverrideCursor()

    def pauseRender(self) -> None:
        """Stop the views from rendering."""
        self._render_pauses += 1

    def resumeRender(self) -> None:
        """Let the views render again."""
        self._render_pauses -= 1

    @property
    def left_over(self) -> list[str]:
        """Wait cursors and paused views that a test must not leave behind."""
        counts = {"wait cursor": self._wait_cursors, "paused view": self._render_pauses}
        return [f"{count} x {name}" for name, count in counts.items() if count]


def _qt_application():
    """Return the running QApplication, or None."""
    qt = sys.modules.get("qt")
    return None if qt is None else qt.QApplication.instance()


class ModuleRegistry(SimpleNamespace):
    """`slicer.modules`: the built-in modules with their logics, and the loaded scripted ones."""

    def __init__(self, application: Application) -> None:
        super().__init__()
        for name, logic in application.scene_and_logics.logics.items():
            self.add(BuiltInModule(name, logic))

    def add(self, module) -> None:
        """Register a module under its name in lower case."""
        setattr(self, module.name.lower(), module)


class BuiltInModule:
    """A built-in module of Slicer, with its logic only."""

    def __init__(self, name: str, logic) -> None:
        self.name = name
        self._logic = logic

    def logic(self):
        """The module's logic."""
        return self._logic


def start(folder: str | Path | None = None) -> Application:
    """Start the stand-in with an empty scene; set `slicer.mrmlScene`, `.app` and `.modules`."""
    application = Application(SceneAndLogics(), folder)
    slicer.mrmlScene = application.mrmlScene()
    slicer.app = application
    slicer.modules = ModuleRegistry(application)
    return application


def stop() -> None:
    """Close the scene and undo `start`."""
    slicer.app.scene_and_logics.close()
    for name in ("mrmlScene", "app", "modules"):
        delattr(slicer, name)
