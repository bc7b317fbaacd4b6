# SPDX-License-Identifier: Apache-2.0
"""Other labs' names for the landmarks of a scheme: a table of their names and our codes."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from palnet._files import to_path
from palnet._stored import quote
from palnet.errors import FormatError
from palnet.exchange._rows import find_delimiter, first_line, split_rows
from palnet.exchange._text import read_file_text
from palnet.landmarks import printable_name
from palnet.scheme import LandmarkDefinition, Scheme, check_scheme

if TYPE_CHECKING:
    from palnet.landmarks import LandmarkSet

__all__ = ["NameTable", "is_table_of_names", "read_name_table"]

HEADER = ("their name", "our code")


@dataclass(frozen=True, slots=True)
class _TheirLandmark(LandmarkDefinition):
    """A landmark with the name used in another lab's files, which may contain blanks."""

    def _check_code(self) -> None:
        if not self.code or not self.code.isprintable():
            msg = f"their name must be text on one line; got {quote(self.code)}."
            raise FormatError(msg)


@dataclass(frozen=True, slots=True)
class NameTable:
    """Another lab's names for the landmarks of a scheme.

    Attributes
    ----------
    scheme : Scheme
        Our scheme.
    reading_scheme : Scheme
        Their names in the order of the table, for reading their files.
    codes : tuple of str
        Our code for each of their landmarks; empty for one that we do not have.
    """

    scheme: Scheme
    reading_scheme: Scheme
    codes: tuple[str, ...]

    def translate(self, landmarks: LandmarkSet) -> LandmarkSet:
        """Return landmarks that were read with `reading_scheme` in our scheme."""
        names = [code or f"not-ours-{row}" for row, code in enumerate(self.codes)]
        renamed = _plain_scheme(self.reading_scheme.name, names, LandmarkDefinition)
        return replace(landmarks, scheme=renamed).to_scheme(self.scheme)


def is_table_of_names(scheme: object) -> bool:
    """Whether a scheme is that of a table of names, which translates those of any scheme."""
    return isinstance(scheme, Scheme) and isinstance(scheme.landmarks[0], _TheirLandmark)


def read_name_table(path: str | os.PathLike[str], scheme: Scheme) -> NameTable:
    """Read a CSV of two columns, their name and our code, with a row per landmark of theirs.

    Parameters
    ----------
    path : str or path
        The table, with the header ``their name,our code``; every landmark of their files has a row,
        with its name exactly as in the files, and an empty second field if we do not have it.
    scheme : Scheme
        Our scheme.

    Returns
    -------
    NameTable
        The table, checked.

    Raises
    ------
    FormatError
        If the table cannot be read, a code is unknown or there are duplicates; the message names
        the line.
    ValueError
        If `scheme` is no `Scheme`, such as only the name of one.
    """
    check_scheme(scheme)
    path = to_path(path, name="path", error=FormatError)
    text = read_file_text(path)
    rows = split_rows(path, text, find_delimiter(text, HEADER))
    _, header = next(rows)
    if tuple(field.strip() for field in header) != HEADER:
        msg = f"{path}:1: the header must be {','.join(HEADER)}; got {quote(first_line(text))}."
        raise FormatError(msg)
    theirs: list[str] = []
    ours: list[str] = []
    for line, fields in rows:
        name, code = _read_row(f"{path}:{line}", fields, scheme)
        _check_new(f"{path}:{line}", name, theirs)
        if code:
            _check_new(f"{path}:{line}", code, ours)
        theirs.append(name)
        ours.append(code)
    if not any(ours):
        msg = f"{path}: must name at least one landmark of {scheme.name!r}; got none."
        raise FormatError(msg)
    try:
        reading = _plain_scheme(printable_name(path.name), theirs, _TheirLandmark)
    except FormatError as err:
        msg = f"{path}: {err}"
        raise FormatError(msg) from err
    return NameTable(scheme, reading, tuple(ours))


def _read_row(where: str, fields: list[str], scheme: Scheme) -> tuple[str, str]:
    if len(fields) != len(HEADER):
        msg = f"{where}: expected {len(HEADER)} fields; got {len(fields)}."
        raise FormatError(msg)
    name, code = (field.strip() for field in fields)
    if code and code not in scheme.codes:
        msg = f"{where}: scheme {scheme.name!r} has no landmark {quote(code)}. Correct the code."
        raise FormatError(msg)
    return name, code


def _check_new(where: str, name: str, known: list[str]) -> None:
    if name in known:
        msg = f"{where}: {quote(name)} appears twice. Keep one of the two rows."
        raise FormatError(msg)


def _plain_scheme(name: str, codes: list[str], kind: type[LandmarkDefinition]) -> Scheme:
    """Make a scheme that has names only; sides are not needed for reading a file."""
    return Scheme(name, tuple(kind(code, code, "midline", code) for code in codes))
