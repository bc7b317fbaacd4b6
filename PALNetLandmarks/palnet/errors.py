# SPDX-License-Identifier: Apache-2.0
"""All errors as one small tree: every message says what was found and what to do."""

from __future__ import annotations

__all__ = [
    "ClusterError",
    "DoubtError",
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
    """Base of all errors that palnet raises on purpose."""


class MeshError(PalnetError, ValueError):
    """A mesh file or mesh array cannot be used as a surface."""


class UnitError(PalnetError, ValueError):
    """The numbers of a scan fit no unit of length, or the given unit is unknown."""


class ScanRefusedError(PalnetError, ValueError):
    """A readable surface on which no face was found that landmarks can be placed on."""


class FormatError(PalnetError, ValueError):
    """A landmark file does not follow its format."""


class DoubtError(FormatError):
    """Something in a landmark file is doubtful; a lenient read returns what is certain."""


class OutputError(PalnetError, OSError):
    """The system does not allow a file to be written."""


class OutputExistsError(PalnetError, FileExistsError):
    """An output file exists already, and overwriting was not requested."""


class PreviewError(PalnetError, RuntimeError):
    """A picture could not be drawn, usually because the machine has no OpenGL."""


class UsageError(PalnetError, ValueError):
    """Options or arguments that do not fit together."""


class ModelFileError(PalnetError, ValueError):
    """A model, atlas or data file is missing, damaged or of another version."""


class TrainingError(PalnetError, RuntimeError):
    """A training that cannot continue."""


class MissingDependencyError(PalnetError, ImportError):
    """A feature needs a package that is not installed."""


class ClusterError(PalnetError, RuntimeError):
    """A run on a cluster that cannot continue."""
