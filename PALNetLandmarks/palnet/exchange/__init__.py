# SPDX-License-Identifier: Apache-2.0
"""Landmark files: one module a format, one registry.

To add a format: a module with a `Format`, its entry in `FORMATS`, and a test of the round trip.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from palnet._files import write_text
from palnet.errors import FormatError
from palnet.exchange._csv_long import CSV
from palnet.exchange._format import Format, Reading
from palnet.exchange._mrk_json import MRK_JSON
from palnet.scheme import Scheme, load_scheme

if TYPE_CHECKING:
    import os

    from palnet.landmarks import Frame, LandmarkSet

__all__ = ["FORMATS", "Format", "get_format", "read_landmarks", "write_landmarks"]

FORMATS: dict[str, Format] = {entry.name: entry for entry in (MRK_JSON, CSV)}


def write_landmarks(
    landmarks: LandmarkSet,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    frame: Frame | None = None,
    overwrite: bool = False,
) -> None:
    """Write landmarks to a file, whole or not at all.

    Convention: ``frame="file"`` writes the scan file's own numbers, so that the list lies on the
    mesh file in any program; ``"LPS"`` and ``"RAS"`` write millimetres.

    Parameters
    ----------
    landmarks : LandmarkSet
        What to write.
    path : str or path
        Where to; its folder is made if need be.
    format : str, optional
        Name of a format in `FORMATS`; by default the one that the path ends in.
    frame : {"file", "LPS", "RAS"}, optional
        Frame of the numbers; by default that of `landmarks`.
    overwrite : bool, default False
        Whether an existing file may be replaced.

    Raises
    ------
    FormatError
        If the format is unknown.
    OutputExistsError
        If the file exists and `overwrite` is False.
    """
    path = Path(path)
    chosen = _format_of(path) if format is None else get_format(format)
    framed = landmarks if frame is None else landmarks.to_frame(frame)
    write_text(path, chosen.write(framed), overwrite=overwrite)


def read_landmarks(
    path: str | os.PathLike[str],
    scheme: Scheme | str | None = None,
    *,
    frame: Frame = "file",
    mm_per_unit: float = 1.0,
) -> LandmarkSet:
    """Read landmarks from a file, strictly.

    Parameters
    ----------
    path : str or path
        A file in one of `FORMATS`, recognised by its ending.
    scheme : Scheme or str, optional
        The scheme of the landmarks; by default the one the file names, else the default scheme.
    frame : {"file", "LPS", "RAS"}, default "file"
        Frame of the numbers, for formats that do not hold it (csv).
    mm_per_unit : float, default 1.0
        Millimetres in a unit of the numbers, for formats that do not hold it (csv).

    Returns
    -------
    LandmarkSet
        The landmarks.

    Raises
    ------
    FormatError
        If the file cannot be read or does not follow its format; the text names file and line.
    """
    path = Path(path)
    chosen = _format_of(path)
    wanted = load_scheme(scheme) if isinstance(scheme, str) else scheme
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as err:
        msg = f"{path}: cannot be read ({err.strerror}). Check the path."
        raise FormatError(msg) from err
    except UnicodeDecodeError as err:
        msg = f"{path}: must be text in UTF-8; got other bytes at position {err.start}."
        raise FormatError(msg) from err
    return chosen.read(Reading(path, text, wanted, frame, mm_per_unit))


def get_format(name: str) -> Format:
    """Give the format of a name.

    Parameters
    ----------
    name : str
        A name in `FORMATS`.

    Returns
    -------
    Format
        The format.

    Raises
    ------
    FormatError
        If there is none of that name.

    Examples
    --------
    >>> get_format("mrk.json").suffix
    '.mrk.json'
    """
    if name not in FORMATS:
        msg = f"unknown landmark format {name!r}; expected one of {', '.join(FORMATS)}."
        raise FormatError(msg)
    return FORMATS[name]


def _format_of(path: Path) -> Format:
    for entry in FORMATS.values():
        if path.name.lower().endswith(entry.suffix):
            return entry
    endings = ", ".join(entry.suffix for entry in FORMATS.values())
    msg = f"{path}: expected a file ending in one of {endings}; got {path.name!r}."
    raise FormatError(msg)
