# SPDX-License-Identifier: Apache-2.0
"""Anatomical landmarks on 3D face scans, each with an expected error in millimetres.

>>> import palnet
>>> palnet.load_scheme("palnet50").codes[:3]
('tr', 'g', 'n')

`palnet.detect("scan.ply")` returns a `Detection`. Heavy packages are imported only when used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from palnet.detector import Detection as Detection
    from palnet.detector import Quality as Quality
    from palnet.detector import detect as detect
    from palnet.errors import FormatError as FormatError
    from palnet.errors import MeshError as MeshError
    from palnet.errors import ModelFileError as ModelFileError
    from palnet.errors import OutputError as OutputError
    from palnet.errors import OutputExistsError as OutputExistsError
    from palnet.errors import PalnetError as PalnetError
    from palnet.errors import PreviewError as PreviewError
    from palnet.errors import ScanRefusedError as ScanRefusedError
    from palnet.errors import UnitError as UnitError
    from palnet.exchange import read_landmarks as read_landmarks
    from palnet.exchange import write_landmarks as write_landmarks
    from palnet.landmarks import LandmarkSet as LandmarkSet
    from palnet.preview import render_preview as render_preview
    from palnet.scheme import Scheme as Scheme
    from palnet.scheme import list_schemes as list_schemes
    from palnet.scheme import load_scheme as load_scheme
    from palnet.surface import Mesh as Mesh
    from palnet.surface import read_colored_mesh as read_colored_mesh
    from palnet.surface import read_mesh as read_mesh

__version__ = "0.1.0"

# Public name -> module that defines it, imported on first access.
_HOMES = {
    "Detection": "palnet.detector",
    "FormatError": "palnet.errors",
    "LandmarkSet": "palnet.landmarks",
    "Mesh": "palnet.surface",
    "MeshError": "palnet.errors",
    "ModelFileError": "palnet.errors",
    "OutputError": "palnet.errors",
    "OutputExistsError": "palnet.errors",
    "PalnetError": "palnet.errors",
    "PreviewError": "palnet.errors",
    "Quality": "palnet.detector",
    "ScanRefusedError": "palnet.errors",
    "Scheme": "palnet.scheme",
    "UnitError": "palnet.errors",
    "detect": "palnet.detector",
    "list_schemes": "palnet.scheme",
    "load_scheme": "palnet.scheme",
    "read_colored_mesh": "palnet.surface",
    "read_landmarks": "palnet.exchange",
    "read_mesh": "palnet.surface",
    "render_preview": "palnet.preview",
    "write_landmarks": "palnet.exchange",
}

__all__ = [  # noqa: PLE0604  # from one table, so that no name is forgotten
    "__version__",
    *_HOMES,
]


if not TYPE_CHECKING:  # else type checkers would take every misspelled name for an attribute

    def __getattr__(name: str) -> object:
        """Import a public name from its module (PEP 562)."""
        if name not in _HOMES:
            msg = f"module 'palnet' has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
