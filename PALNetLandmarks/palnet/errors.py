# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as one small tree: every error says what was found and what to do."""

from __future__ import annotations

__all__ = [
    "FormatError",
    "MeshError",
    "MissingDependencyError",
    "ModelFileError",
    "OutputError",
    "OutputExistsError",
    "PalnetError",
    "PreviewError",
    "ScanRefusedError",
    "TrainingError",
    "UnitError",
    "UsageError",
]


class PalnetError(Exception):
    """Base of every error that palnet raises on purpose."""


class MeshError(PalnetError, ValueError):
    """A mesh file or mesh array cannot be used as a surface."""


class UnitError(PalnetError, ValueError):
    """The numbers of a scan fit no unit of length, or an unknown unit was asked for."""


class ScanRefusedError(PalnetError, ValueError):
    """A readable surface on which no face could be found that landmarks may be placed on."""


class FormatError(PalnetError, ValueError):
    """A landmark file does not follow its format."""


class DoubtError(FormatError):
    """Something in a landmark file is doubtful; read leniently, it gives what is certain."""


class OutputError(PalnetError, OSError):
    """A file cannot be written, for the system does not let it."""


class OutputExistsError(PalnetError, FileExistsError):
    """A file to be written exists already, and nobody said that it may be overwritten."""


class PreviewError(PalnetError, RuntimeError):
    """A picture could not be drawn, mostly because the machine has no OpenGL."""


class UsageError(PalnetError, ValueError):
    """Options or arguments that do not fit together."""


class ModelFileError(PalnetError, ValueError):
    """A model, atlas or data file is missing, damaged or of another version."""


class TrainingError(PalnetError, RuntimeError):
    """A training that cannot go on."""


class MissingDependencyError(PalnetError, ImportError):
    """A feature needs a package that is not installed."""
