# SPDX-License-Identifier: Apache-2.0
"""Import a package that only one feature needs, or say how to get it."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from palnet.errors import MissingDependencyError

__all__ = ["require"]

# Package -> (tested version range, extra of palnet that installs it).
_OPTIONAL = {
    "distributed": (">=2024.8", "cluster"),
    "tensorboard": ("", None),
    "torch": (">=2.4", "train"),
    "vtk": (">=9.4", None),
}


def require(name: str, *, feature: str) -> ModuleType:
    """Import an optional package, never installing anything.

    `feature` is what needs it, as a noun phrase. If it is not installed, MissingDependencyError
    gives the command that installs it.

    >>> require("json", feature="an example").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(name)
    except ImportError as err:
        versions, extra = _OPTIONAL.get(name, ("", None))
        msg = f"{feature} needs {name}{versions}, which is not installed. {_remedy(name, extra)}"
        raise MissingDependencyError(msg) from err


def _remedy(name: str, extra: str | None) -> str:
    """Give the install command, which differs inside 3D Slicer."""
    if "slicer" in sys.modules and name == "torch":
        return "Install the PyTorch extension with Slicer's Extensions Manager."
    if "slicer" in sys.modules:
        return f'Type in Slicer\'s Python console: slicer.util.pip_install("{name}")'
    return (
        f'Install it: pip install "palnet[{extra}]"' if extra else f"Install it: pip install {name}"
    )
