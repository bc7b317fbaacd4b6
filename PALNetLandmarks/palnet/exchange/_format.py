# SPDX-License-Identifier: Apache-2.0
"""What every landmark format offers: a writer and a strict reader of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from palnet.landmarks import Frame, LandmarkSet
    from palnet.scheme import Scheme

__all__ = ["Format", "Reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One file to be read, with what its format may not be able to hold.

    Attributes
    ----------
    path : Path
        Path of the file, for error texts.
    text : str
        Its content.
    scheme : Scheme or None
        The scheme asked for; None takes the file's own, or the default one.
    frame : {"file", "LPS", "RAS"}
        Frame of the numbers, for formats that do not hold it.
    mm_per_unit : float
        Unit of the numbers, for formats that do not hold it.
    """

    path: Path
    text: str
    scheme: Scheme | None
    frame: Frame
    mm_per_unit: float


@dataclass(frozen=True, slots=True)
class Format:
    """One landmark format.

    Attributes
    ----------
    name : str
        Name on the command line ("mrk.json").
    suffix : str
        Ending of its files, with the dot.
    title : str
        What it is, in a few words.
    write : callable
        Text of the file for a landmark set.
    read : callable
        Landmark set of a `Reading`; raises FormatError.
    """

    name: str
    suffix: str
    title: str
    write: Callable[[LandmarkSet], str]
    read: Callable[[Reading], LandmarkSet]
