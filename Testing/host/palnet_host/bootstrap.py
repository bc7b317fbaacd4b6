# SPDX-License-Identifier: Apache-2.0
"""Complete the `slicer` package of slicer-core with what only the application has."""

from __future__ import annotations

import ctypes
import importlib
import locale
import os
import sys

# Modules that a scripted module imports, and their stand-ins.
STAND_INS = {
    "qt": "palnet_host.qt",
    "ctk": "palnet_host.ctk",
    "slicer.i18n": "palnet_host.i18n",
    "slicer.parameterNodeWrapper": "palnet_host.parameter_node",
    "slicer.ScriptedLoadableModule": "palnet_host.scripted",
}


def _keep_none_alive() -> None:
    """Give None as many references as it has from Python 3.12 on, where it cannot be freed.

    Each void method of PySide6 6.12 releases one reference to None too many on older Pythons; after
    some ten thousand calls the interpreter would exit with "deallocating None".
    """
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40


def _take_names_in_utf8() -> None:
    """Use UTF-8 for file names on Windows too, as Slicer does by its manifest.

    Otherwise MRML neither saves nor loads in a folder with an umlaut in its name.
    """
    if sys.platform == "win32":
        locale.setlocale(locale.LC_CTYPE, ".UTF8")


def install() -> None:
    """Make `import slicer` and its parts work as inside Slicer; no scene is opened."""
    _keep_none_alive()
    _take_names_in_utf8()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        # VTK would find this out itself, but only after a warning about the missing X server.
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    import slicer

    for name, home in STAND_INS.items():
        module = importlib.import_module(home)
        sys.modules[name] = module
        if name.startswith("slicer."):
            setattr(slicer, name.removeprefix("slicer."), module)
    from palnet_host.module import ModulePanel, ScriptedModule

    slicer.qSlicerScriptedLoadableModule = ScriptedModule
    slicer.qSlicerScriptedLoadableModuleWidget = ModulePanel
