# SPDX-License-Identifier: Apache-2.0
"""Checks before landmarks are written to a file of some format."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from palnet._stored import listing
from palnet.errors import FormatError
from palnet.exchange._format import FormatWarning
from palnet.exchange._names import find_fault, make_fitting
from palnet.landmarks import LandmarkSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palnet.exchange._format import Format
    from palnet.landmarks import Frame

__all__ = ["Passage"]


@dataclass
class Passage:
    """Checks specimens one by one and adapts each to what a file's format can hold.

    Attributes
    ----------
    format : Format
        The format.
    frame : {"file", "LPS", "RAS"} or None
        Frame to write in; None keeps that of each specimen.
    rename : bool
        Whether to rename a specimen whose name does not fit, with a warning; otherwise an error.
    skip_incomplete : bool
        Whether to leave out a specimen that lacks a landmark, with a warning.
    first : LandmarkSet or None
        The first specimen passed on; all others must have its landmarks, frame and unit.
    renamed : dict
        Original names by written names.
    """

    format: Format
    frame: Frame | None = None
    rename: bool = False
    skip_incomplete: bool = False
    first: LandmarkSet | None = field(default=None, init=False)
    renamed: dict[str, str] = field(default_factory=dict, init=False)
    _names: set[str] = field(default_factory=set, init=False)
    _written_names: set[str] = field(default_factory=set, init=False)

    def let_through(self, specimens: Iterable[LandmarkSet]) -> Iterator[LandmarkSet]:
        """Yield the specimens as they are to be written."""
        if isinstance(specimens, LandmarkSet):
            msg = "specimens must be several LandmarkSet; got one. Put it in a list."
            raise FormatError(msg)
        for landmarks in specimens:
            _check_kind(landmarks)
            if self.skip_incomplete and not landmarks.is_placed.all():
                self._warn(f"{_missing_text(landmarks)}; left out.")
                continue
            self._check_complete(landmarks)
            framed = self._to_frame(landmarks)
            self._check_alike(framed)
            yield self._fit_name(framed)
        if self.first is None:
            msg = "there is no specimen to write. Name files with complete specimens."
            raise FormatError(msg)

    def _to_frame(self, landmarks: LandmarkSet) -> LandmarkSet:
        try:
            return landmarks if self.frame is None else landmarks.to_frame(self.frame)
        except ValueError as err:
            msg = f"specimen {landmarks.specimen!r}: {err}"
            raise FormatError(msg) from err

    def _check_complete(self, landmarks: LandmarkSet) -> None:
        if not self.format.holds_missing and not landmarks.is_placed.all():
            msg = (
                f"{_missing_text(landmarks)}, and {self.format.name} files cannot mark that for "
                "the programs that read them. Choose a format that can (tps, mrk.json), place the "
                "landmarks, or leave the specimen out (palnet convert --skip-incomplete)."
            )
            raise FormatError(msg)

    def _check_alike(self, landmarks: LandmarkSet) -> None:
        """Require the same landmarks, frame and unit throughout a file."""
        first = self.first = landmarks if self.first is None else self.first
        if landmarks is not first and not self.format.holds_many:
            msg = (
                f"a {self.format.name} file holds one specimen; got {first.specimen!r} and "
                f"{landmarks.specimen!r}. Write a file for each, or choose another format."
            )
            raise FormatError(msg)
        schemes = (landmarks.scheme, first.scheme)
        # Labs number their landmarks alike: the same codes may mean others.
        if len({(scheme.name, scheme.codes) for scheme in schemes}) > 1:
            msg = (
                f"all specimens of a file must have the same landmarks; {landmarks.specimen!r} has "
                f"those of {landmarks.scheme.name!r}, {first.specimen!r} {first.scheme.name!r}. If "
                "these are the same, name one for all (--scheme)."
            )
            raise FormatError(msg)
        ours, its = ((entry.frame, entry.space, entry.mm_per_unit) for entry in (landmarks, first))
        if ours != its:
            msg = (
                f"all specimens of a file must be in one frame and unit; {landmarks.specimen!r} "
                f"is in {ours[0]} ({ours[1]}, {ours[2]:g} mm per unit), {first.specimen!r} in "
                f"{its[0]} ({its[1]}, {its[2]:g} mm per unit). Write them in frame LPS or RAS "
                "(--frame), which is in millimeters."
            )
            raise FormatError(msg)

    def _fit_name(self, landmarks: LandmarkSet) -> LandmarkSet:
        name = landmarks.specimen
        if name in self._names:
            msg = (
                f"specimen {name!r} appears twice. Rename one of the two, or let palnet convert "
                "name each after its file (--name-by-file)."
            )
            raise FormatError(msg)
        self._names.add(name)
        fault = find_fault(name, self.format)
        written = name
        if (fault or name in self._written_names) and not self.rename:
            msg = (
                f"the name of a specimen in a {self.format.name} file {fault}; got {name!r}. "
                "Rename it, or allow renaming (--rename, or rename=True in Python)."
            )
            raise FormatError(msg)
        if fault or name in self._written_names:
            written = make_fitting(name, self.format, self._written_names)
            self.renamed[written] = name
            self._warn(f"specimen {name!r} is written as {written!r}.")
        self._written_names.add(written)
        return landmarks if written == name else replace(landmarks, specimen=written)

    def _warn(self, text: str) -> None:
        warnings.warn(text, FormatWarning, stacklevel=2)


def _check_kind(landmarks: object) -> None:
    if not isinstance(landmarks, LandmarkSet):
        msg = (
            f"each specimen must be a LandmarkSet; got {type(landmarks).__name__}. Of a detection, "
            "give its landmarks (detection.landmarks); several sets go to write_specimens."
        )
        raise FormatError(msg)


def _missing_text(landmarks: LandmarkSet) -> str:
    codes = landmarks.scheme.codes
    missing = [code for code, there in zip(codes, landmarks.is_placed, strict=True) if not there]
    return f"specimen {landmarks.specimen!r} lacks {listing(missing)}"
