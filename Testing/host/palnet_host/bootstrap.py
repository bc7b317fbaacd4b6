# SPDX-License-Identifier: Apache-2.0
"""Completes the `slicer` package of slicer-core with the parts that only the application has."""

from __future__ import annotations

import importlib
import os
import sys

# What a scripted module imports, and where the host has its stand-in.
STAND_INS = {
    "qt": "palnet_host.qt",
    "ctk": "palnet_host.ctk",
    "slicer.i18n": "palnet_host.i18n",
    "slicer.parameterNodeWrapper": "palnet_host.parameter_node",
    "slicer.ScriptedLoadableModule": "palnet_host.scripted",
}


def install() -> None:
    """Make `import slicer` and its parts work as they do inside Slicer; no scene is opened."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        # VTK would find out by itself, after a warning about the absent X server.
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
