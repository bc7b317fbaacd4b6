# SPDX-License-Identifier: Apache-2.0
"""A main window with the status bar and the module selector."""

from __future__ import annotations

import shiboken6
import slicer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QMainWindow, QScrollArea

# Shortcuts of Slicer's own tool bars and menus; if a module uses one, neither works.
SLICER_KEYS = (
    *("Ctrl+Left", "Ctrl+Right", "Ctrl+F", "Ctrl+O", "Ctrl+S", "Ctrl+W", "Ctrl+D", "Ctrl+Q"),
    *("Ctrl+X", "Ctrl+C", "Ctrl+V", "Ctrl+Z", "Ctrl+Y", "Ctrl+3", "Ctrl+0", "Ctrl+5"),
)


class MainWindow(QMainWindow):
    """`slicer.util.mainWindow()`."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._selector = ModuleSelector(self)
        self._area = QScrollArea(self)
        self._area.setWidgetResizable(True)
        self.setCentralWidget(self._area)
        self.statusBar()
        self._keys = [QShortcut(QKeySequence(keys), self) for keys in SLICER_KEYS]

    def moduleSelector(self) -> ModuleSelector:
        """Return the selector that `slicer.util.selectModule` uses."""
        return self._selector

    def show_panel(self, panel) -> None:
        """Show a panel; the previous one is kept, hidden."""
        self._take_panel()
        self._area.setWidget(panel)

    def end(self) -> None:
        """Close as in Slicer: leave the module first, and clean it up once the window is gone."""
        if shiboken6.isValid(self):
            self._selector.leave()
            self._take_panel()
            self.close()
            shiboken6.delete(self)

    def _take_panel(self) -> None:
        panel = self._area.takeWidget()
        if panel is not None:
            panel.setParent(None)


class ModuleSelector:
    """Selects modules; notifies the scripted ones when they are entered and left."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self.selectedModule = ""

    def selectModule(self, name: str) -> None:
        """Leave the current module and enter another one."""
        module = getattr(slicer.modules, name.lower(), None)
        if module is None:
            msg = f"no module {name!r} is loaded."
            raise ValueError(msg)
        self.leave()
        self.selectedModule = name
        if hasattr(module, "widgetRepresentation"):
            panel = module.widgetRepresentation()
            self._window.show_panel(panel)
            panel.enter()

    def leave(self) -> None:
        """Leave the current module."""
        module = getattr(slicer.modules, self.selectedModule.lower(), None)
        self.selectedModule = ""
        if hasattr(module, "widgetRepresentation"):
            module.widgetRepresentation().exit()
