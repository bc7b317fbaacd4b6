# SPDX-License-Identifier: Apache-2.0
"""What every landmark format provides: a text writer, a strict reader, and its capabilities."""

from __future__ import annotations

import csv
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from palnet._stored import listing, quote
from palnet.errors import DoubtError, FormatError
from palnet.landmarks import LandmarkSet, printable_name
from palnet.scheme import load_scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.landmarks import Frame, Space, Status
    from palnet.scheme import Scheme

__all__ = [
    "LARGEST",
    "OTHER_NAMES",
    "OTHER_SCHEME",
    "SPACE_OF_SYSTEM",
    "Format",
    "FormatWarning",
    "Reading",
    "parse_number",
    "read_one",
    "write_one",
]

SpecimenNames = Literal["any", "plain", "none"]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Remedy for names that a scheme does not have.
OTHER_NAMES = (
    "Name the right scheme, or translate another lab's names with a table that has a row for each "
    "(palnet convert --names)."
)
# Remedy for another number of landmarks than that of a scheme.
OTHER_SCHEME = "If these are other landmarks, give their scheme (--scheme, or scheme= in Python)."
# Above any coordinate; larger numbers mean damage.
LARGEST = 1e30
# Older versions of Slicer wrote the values of its constants instead of names.
SPACE_OF_SYSTEM: dict[str, Space] = {"LPS": "LPS", "RAS": "RAS", "1": "LPS", "0": "RAS"}


class FormatWarning(UserWarning):
    """A landmark file was read leniently, or not written exactly as requested."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One file to be read, with what its format may not hold.

    Attributes
    ----------
    path : Path
        Path of the file, for error messages.
    text : str
        Its content, without byte order mark and with LF line endings.
    scheme : Scheme or None
        The scheme requested or named in the sidecar; None leaves it to the format.
    frame : {"file", "LPS", "RAS"} or None
        Frame of the numbers; None if not stated.
    space : {"LPS", "RAS"} or None
        Axes of the scan file, for frame "file"; None if not stated.
    mm_per_unit : float or None
        Unit of the numbers; None if not stated.
    specimen : str
        Name of the specimen, for formats that do not hold one.
    strict : bool
        Whether a doubt is an error.
    compares_scheme : bool
        Whether the scheme was requested by its name, to be compared with the one in the file.
    names : set of str
        Names of the specimens read so far.
    """

    path: Path
    text: str
    scheme: Scheme | None
    frame: Frame | None
    space: Space | None
    mm_per_unit: float | None
    specimen: str
    strict: bool = True
    compares_scheme: bool = False
    names: set[str] = field(default_factory=set)

    @property
    def lines(self) -> list[str]:
        """The lines, without empty ones at the end of the file."""
        lines = self.text.split("\n")
        while lines and not lines[-1].strip():
            lines.pop()
        return lines

    @property
    def scheme_of_codes(self) -> Scheme:
        """The scheme, for a format that names the landmarks, so that the names can be compared."""
        return self.scheme or load_scheme()

    @property
    def scheme_said(self) -> Scheme:
        """The scheme, for a format that names no landmarks: it must be given, never guessed."""
        if self.scheme is None:
            msg = (
                f"{self.path}: holds no landmark names, so the scheme is needed to know which "
                "landmarks these are. Give it (--scheme palnet50, or scheme= in Python)."
            )
            raise FormatError(msg)
        return self.scheme

    def error(self, line: int | None, problem: str) -> FormatError:
        """Make a FormatError with file and line."""
        return FormatError(f"{self.where(line)}: {problem}")

    def where(self, line: int | None) -> str:
        """Return file and line in the notation of editors and compilers."""
        return str(self.path) if line is None else f"{self.path}:{line}"

    def doubt(self, line: int | None, problem: str) -> None:
        """Raise a problem as an error, or warn if reading is lenient."""
        if self.strict:
            msg = f"{self.where(line)}: {problem}"
            raise DoubtError(msg)
        warnings.warn(f"{self.where(line)}: {problem}", FormatWarning, stacklevel=3)

    def check_scheme(self, stated: str) -> None:
        """Doubt a scheme of another name than the stated one, if there is one.

        With the same codes, its landmarks may be defined differently.
        """
        asked = self.scheme if self.compares_scheme else None
        if stated and asked is not None and asked.name != stated:
            problem = f"says that its landmarks are those of scheme {quote(stated)}, not"
            self.doubt(None, f"{problem} {asked.name!r}. Name that scheme, or none.")

    def split_fields(self, line: int, text: str, delimiter: str = ",") -> list[str]:
        """Split one line like a spreadsheet."""
        try:
            return next(csv.reader([text], delimiter=delimiter))
        except csv.Error as err:
            raise self.error(line, f"is no row of a table ({err}).") from err

    def read_point(self, line: int, fields: Sequence[str]) -> list[float]:
        """Parse x, y and z; NaN for a missing point or, if lenient, an invalid one."""
        if len(fields) == 3 and all(field == "NA" for field in fields):
            return [np.nan] * 3
        numbers = [parse_number(field) for field in fields]
        point = [number for number in numbers if number is not None]
        if len(fields) == len(point) == 3:
            return point
        got = " ".join(fields)
        hint = " Write decimal points." if "," in got else ""
        if not any(sign.isdigit() for sign in got):
            hint = " Write NA NA NA for a missing point."
        self.doubt(line, f"expected three numbers x, y, z; got {quote(got)}.{hint}")
        return [np.nan] * 3

    def make_landmarks(
        self,
        scheme: Scheme,
        positions: NDArray[np.float64],
        specimen: str,
        *,
        line: int | None = None,
        absent: Status = "missing",
        status: tuple[Status, ...] | None = None,
        expected_error_mm: NDArray[np.float64] | None = None,
    ) -> LandmarkSet:
        """Make a landmark set of what was read.

        A position of unknown origin counts as placed by a person. In an anatomical frame, numbers
        are converted to millimetres, as `LandmarkSet` requires. `line` is that of the specimen's
        name.
        """
        frame, mm_per_unit = self.frame or "file", self.mm_per_unit or 1.0
        in_file = frame == "file"
        if status is None:
            is_absent = np.isnan(positions[:, 0]).tolist()
            status = tuple(absent if gone else "corrected" for gone in is_absent)
        if expected_error_mm is None:
            expected_error_mm = np.full(len(scheme), np.nan)
        return LandmarkSet(
            scheme=scheme,
            positions=positions if in_file else positions * mm_per_unit,
            status=status,
            expected_error_mm=expected_error_mm,
            mm_per_unit=mm_per_unit if in_file else 1.0,
            frame=frame,
            specimen=self._check_new(line, specimen),
            space=frame if frame != "file" else self.space or "LPS",
        )

    def _check_new(self, line: int | None, name: str) -> str:
        """Require a name that no previous specimen has."""
        checked = self.check_specimen(name, line)
        if checked in self.names:
            self.doubt(line, f"specimen {checked!r} appears twice. Rename one.")
        self.names.add(checked)
        return checked

    def check_specimen(self, name: str, line: int | None = None) -> str:
        """Require a name that is a single printable line."""
        if name and name.isprintable():
            return name
        self.doubt(
            line, f"the name of a specimen must be printable and not empty; got {quote(name)}."
        )
        return printable_name(name) or self.specimen

    def place_by_name(
        self,
        scheme: Scheme,
        points: Iterable[tuple[int | None, str, list[float]]],
    ) -> NDArray[np.float64]:
        """Sort named points into the order of the scheme; NaN for those that are not there.

        If a name occurs twice, neither position is certain.
        """
        positions = np.full((len(scheme), 3), np.nan)
        found: set[str] = set()
        line: int | None = max(len(self.lines), 1)
        for line, code, point in points:
            if code not in scheme.codes:
                msg = f"scheme {scheme.name!r} has no landmark {quote(code)}. {OTHER_NAMES}"
                self.doubt(line, msg)
                continue
            index = scheme.index_of(code)
            positions[index] = point
            if code in found:
                self.doubt(line, f"landmark {code!r} appears twice. Delete one of the two.")
                positions[index] = np.nan
            found.add(code)
        absent = [code for code in scheme.codes if code not in found]
        if absent:
            n = len(scheme)
            msg = f"ends without {listing(absent)} of the {n} landmarks of {scheme.name!r}."
            if len(absent) == len(scheme):
                raise self.error(line, msg)
            self.doubt(line, msg)
        return positions


@dataclass(frozen=True, slots=True)
class Format:
    """One landmark format.

    Attributes
    ----------
    name : str
        Name on the command line ("mrk.json").
    suffix : str
        File extension, with the dot.
    title : str
        A short description.
    write : callable
        Yields the file's text in pieces for landmark sets of one scheme and frame.
    read : callable
        Yields the landmark sets of a `Reading`; raises FormatError.
    holds_many : bool
        Whether a file can hold several specimens.
    holds_missing : bool
        Whether it marks a landmark without position in a way that its readers understand.
    holds_codes : bool
        Whether it identifies the landmarks.
    holds_axes, holds_unit : bool
        Whether it states the axes (LPS, RAS) and the unit of its numbers.
    specimen_names : {"any", "plain", "none"}
        Whether it can hold any specimen name, only letters, digits, ``_``, ``.`` and ``-``, or none
        at all.
    reserved_words : tuple of str
        Words that no specimen name may contain, in any case, because readers search for them.
    """

    name: str
    suffix: str
    title: str
    write: Callable[[Iterable[LandmarkSet]], Iterator[str]]
    read: Callable[[Reading], Iterator[LandmarkSet]]
    holds_many: bool = False
    holds_missing: bool = True
    holds_codes: bool = True
    holds_axes: bool = False
    holds_unit: bool = False
    specimen_names: SpecimenNames = "plain"
    reserved_words: tuple[str, ...] = ()


def write_one(
    write: Callable[[LandmarkSet], str],
) -> Callable[[Iterable[LandmarkSet]], Iterator[str]]:
    """Make a format's writer from a function that writes one specimen."""

    def write_each(specimens: Iterable[LandmarkSet]) -> Iterator[str]:
        for landmarks in specimens:
            yield write(landmarks)

    return write_each


def read_one(
    read: Callable[[Reading], LandmarkSet],
) -> Callable[[Reading], Iterator[LandmarkSet]]:
    """Make a format's reader from a function that reads its only specimen."""

    def read_only(reading: Reading) -> Iterator[LandmarkSet]:
        yield read(reading)

    return read_only


def parse_number(text: str) -> float | None:
    """Parse a number with a decimal point; None for anything else, such as nan or 1_000."""
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if abs(value) <= LARGEST else None
