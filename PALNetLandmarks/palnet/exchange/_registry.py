# SPDX-License-Identifier: Apache-2.0
"""The formats by name and by file extension."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from palnet._files import to_path
from palnet.errors import FormatError
from palnet.exchange._csv_long import CSV, LANDMARK_COLUMNS
from palnet.exchange._csv_wide import CSV_WIDE
from palnet.exchange._dta import DTA
from palnet.exchange._fcsv import FCSV
from palnet.exchange._lafas import LAFAS
from palnet.exchange._morphoj import MORPHOJ
from palnet.exchange._morphologika import MORPHOLOGIKA
from palnet.exchange._mrk_json import MRK_JSON
from palnet.exchange._nts import NTS
from palnet.exchange._pp import PP
from palnet.exchange._pts import PTS
from palnet.exchange._rows import SPECIMEN_COLUMNS, first_line
from palnet.exchange._text import encoding_of
from palnet.exchange._tps import TPS

if TYPE_CHECKING:
    import os

    from palnet.exchange._format import Format

__all__ = ["FORMATS", "find_format", "get_format", "is_other_table", "may_hold_landmarks"]

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        MRK_JSON,
        FCSV,
        CSV,
        CSV_WIDE,
        TPS,
        NTS,
        MORPHOLOGIKA,
        MORPHOJ,
        DTA,
        PTS,
        PP,
        LAFAS,
    )
}

# First-line entries that are no column names: numbers and binary data.
_NO_NAME = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?|nan|.*\0.*", re.DOTALL)
# Longest first line that is read: the wide table of about a thousand landmarks.
_MAX_HEADER = 100_000


def get_format(name: str) -> Format:
    """Return the format with a name.

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
        If there is no format with that name.

    Examples
    --------
    >>> get_format("mrk.json").suffix
    '.mrk.json'
    """
    if name not in FORMATS:
        msg = f"unknown landmark format {name!r}; expected one of {', '.join(FORMATS)}."
        raise FormatError(msg)
    return FORMATS[name]


def find_format(path: str | os.PathLike[str]) -> Format:
    """Find a file's format by the longest matching extension.

    Parameters
    ----------
    path : str or path
        Path of a landmark file.

    Returns
    -------
    Format
        The format.

    Raises
    ------
    FormatError
        If the name has no known extension.
    """
    path = to_path(path, name="path", error=FormatError)
    name = path.name.lower()
    fitting = [entry for entry in FORMATS.values() if name.endswith(entry.suffix)]
    if not fitting:
        endings = ", ".join(entry.suffix for entry in FORMATS.values())
        msg = (
            f"{path}: expected a file ending in one of {endings}; got {path.name!r}. "
            "Rename it, or name its format (palnet convert --from, or format= in Python)."
        )
        raise FormatError(msg)
    return max(fitting, key=lambda entry: len(entry.suffix))


def stem_of(path: str | os.PathLike[str]) -> str:
    """Return a file's name without the extension of its format, which may have two dots."""
    path = Path(path)
    try:
        return path.name[: -len(find_format(path).suffix)]
    except FormatError:
        return path.stem  # its format was given explicitly


def may_hold_landmarks(path: str | os.PathLike[str]) -> bool:
    """Return whether a file may hold landmarks, even if damaged, judging a table by its columns.

    Parameters
    ----------
    path : str or path
        Path of a file with the extension of a format.

    Returns
    -------
    bool
        False for any other CSV file, such as one written by `palnet measure`; True for all other
        files, including unreadable ones, which are reported when read.
    """
    columns = _columns(Path(path))
    if columns is None or any(column.endswith("_x") for column in columns):
        return True
    # Mean and components of shapes have coordinates too, but of no specimen.
    is_of_landmarks = columns >= {"x", "y", "z"} and columns.intersection(LANDMARK_COLUMNS)
    return bool(is_of_landmarks and columns & {*SPECIMEN_COLUMNS, "status"})


def is_other_table(path: str | os.PathLike[str]) -> bool:
    """Return whether a table certainly holds no positions, such as measurements.

    Parameters
    ----------
    path : str or path
        Path of a file with the extension of a format.

    Returns
    -------
    bool
        True for a CSV file whose first line names two or more columns, none of them coordinates.
    """
    columns = _columns(Path(path)) or set()
    if _name_positions(columns) or any(_NO_NAME.fullmatch(column) for column in columns):
        return False
    return len(columns - {""}) > 1


def _name_positions(columns: set[str]) -> bool:
    """Return whether columns are coordinates, in the naming of any program."""
    anatomical = columns >= {"l", "p", "s"} or columns >= {"r", "a", "s"}
    if anatomical or columns & {"x", "y", "z"} or any(column.endswith("_x") for column in columns):
        return True
    # lm1.x, x1, prnX: three names that differ in that letter only.
    return any(
        {column[:at] + axis + column[at + 1 :] for axis in "yz"} <= columns
        for column in columns
        for at, letter in enumerate(column)
        if letter == "x"
    )


def _columns(path: Path) -> set[str] | None:
    """Return the column names in a CSV file's first line; None for other or unreadable files."""
    if path.suffix.lower() != ".csv":
        return None
    try:
        with path.open("rb") as start:
            encoding = encoding_of(start.read(2))
        with path.open(encoding=encoding, errors="replace") as stream:
            header = first_line(stream.readline(_MAX_HEADER) + stream.readline(_MAX_HEADER))
    except OSError:
        return None
    return {column.strip(' "').lower() for column in re.split(r"[,;\t]", header.strip())}
