# SPDX-License-Identifier: Apache-2.0
"""Read landmark files, strictly or with a warning for each doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_length
from palnet._files import hint_at_length, to_path
from palnet._stored import listing
from palnet.errors import FormatError
from palnet.exchange._format import Reading
from palnet.exchange._name_table import is_table_of_names
from palnet.exchange._registry import find_format, get_format
from palnet.exchange._sidecar import Sidecar, read_sidecar, sidecar_path
from palnet.exchange._text import read_file_text
from palnet.landmarks import FRAMES, printable_name
from palnet.scheme import Scheme, list_schemes, load_scheme

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from palnet.exchange._format import Format
    from palnet.landmarks import Frame, LandmarkSet

__all__ = ["read_landmarks", "read_specimens"]


def read_landmarks(
    path: str | os.PathLike[str],
    scheme: Scheme | str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    frame: Frame | None = None,
    mm_per_unit: float | None = None,
    strict: bool = True,
) -> LandmarkSet:
    """Read the landmarks of the only specimen in a file.

    Convention: as in `read_specimens`.

    Parameters
    ----------
    path : str or path
        A file in one of `FORMATS`.
    scheme : Scheme, str or path, optional
        The scheme of the landmarks, its name or its JSON file; by default the one stated in the
        file or its sidecar, else, for a format that names the landmarks, the default scheme.
        One of another name than the stated one is a doubt.
    format : str, optional
        Name of its format; by default found by the file extension.
    frame : {"file", "LPS", "RAS"}, optional
        Frame of the numbers, if neither the file nor its sidecar states it; by default ``"file"``.
    mm_per_unit : float, optional
        Millimetres per unit of the numbers, if not stated either; by default 1.
    strict : bool, default True
        Whether a doubt is an error; otherwise it is a warning, and what is certain is read.

    Returns
    -------
    LandmarkSet
        The landmarks.

    Raises
    ------
    FormatError
        If the file cannot be read, does not follow its format or holds several specimens; the
        message names file and line.
    ValueError
        If `frame` is unknown or `mm_per_unit` is no positive number.
    """
    specimens = read_specimens(
        path, scheme, format=format, frame=frame, mm_per_unit=mm_per_unit, strict=strict
    )
    if len(specimens) != 1:
        msg = (
            f"{path}: expected one specimen; got {len(specimens)}. "
            "Read it with read_specimens, or split it with palnet convert."
        )
        raise FormatError(msg)
    return specimens[0]


def read_specimens(
    path: str | os.PathLike[str],
    scheme: Scheme | str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    frame: Frame | None = None,
    mm_per_unit: float | None = None,
    strict: bool = True,
) -> list[LandmarkSet]:
    """Read the landmarks of all specimens in a file.

    Convention: the numbers are in the frame and unit that the file or its sidecar
    ``<file>.frame.json`` states. If neither does, they are taken for the scan file's own numbers,
    in millimetres along LPS axes, unless `frame` and `mm_per_unit` say otherwise.

    Parameters
    ----------
    path : str or path
        A file in one of `FORMATS`.
    scheme : Scheme, str or path, optional
        The scheme of the landmarks, its name or its JSON file; by default the one stated in the
        file or its sidecar, else, for a format that names the landmarks, the default scheme.
        One of another name than the stated one is a doubt.
    format : str, optional
        Name of its format; by default found by the file extension.
    frame : {"file", "LPS", "RAS"}, optional
        Frame of the numbers, if not stated.
    mm_per_unit : float, optional
        Millimetres per unit of the numbers, if not stated.
    strict : bool, default True
        Whether a doubt is an error; otherwise it is a warning, and what is certain is read.

    Returns
    -------
    list of LandmarkSet
        The specimens, in the order of the file.

    Raises
    ------
    FormatError
        If the file cannot be read or does not follow its format; the message names file and line.
    ValueError
        If `frame` is unknown or `mm_per_unit` is no positive number.
    """
    path = to_path(path, name="path", error=FormatError)
    _check_given(frame, mm_per_unit)
    _check_is_there(path)
    chosen = find_format(path) if format is None else get_format(format)
    said = read_sidecar(path)
    reading = Reading(
        path=path,
        text=read_file_text(path, strict=strict),
        scheme=_find_scheme(path, scheme, said),
        frame=frame or (said.frame if said else None),
        space=said.space if said else None,
        mm_per_unit=mm_per_unit or (said.mm_per_unit if said else None),
        specimen=(said.specimen if said else "") or _name_from(path, chosen),
        strict=strict,
        compares_scheme=scheme is not None and not is_table_of_names(scheme),
    )
    if said is not None:
        _compare(reading, said)
    renamed = said.renamed if said else {}
    return [
        replace(landmarks, specimen=reading.check_specimen(renamed[landmarks.specimen]))
        if landmarks.specimen in renamed
        else landmarks
        for landmarks in _unlike(reading, chosen)
    ]


def _unlike(reading: Reading, format: Format) -> list[LandmarkSet]:
    """Read the specimens; of those with the same name, reported elsewhere, only the first."""
    specimens: dict[str, LandmarkSet] = {}
    for landmarks in format.read(reading):
        if landmarks.specimen not in specimens:
            specimens[landmarks.specimen] = _without_origin(reading, landmarks)
    if not specimens:
        raise reading.error(1, "holds no specimen that could be read.")
    return list(specimens.values())


def _without_origin(reading: Reading, landmarks: LandmarkSet) -> LandmarkSet:
    """Doubt several landmarks at 0, 0, 0: some programs write that for a missing one.

    A single one may be valid: some labs put the tip of the nose at the origin.
    """
    is_origin = landmarks.is_at_origin
    if is_origin.sum() < 2:
        return landmarks
    codes = [landmarks.scheme.codes[index] for index in np.flatnonzero(is_origin)]
    problem = f"{listing(codes)} at 0, 0, 0: does this mean missing? If so, write them as missing."
    reading.doubt(None, f"specimen {landmarks.specimen!r} has {problem}")
    gone = is_origin.tolist()
    return replace(
        landmarks,
        positions=np.where(is_origin[:, None], np.nan, landmarks.positions),
        status=tuple(
            "missing" if lost else said for lost, said in zip(gone, landmarks.status, strict=True)
        ),
        expected_error_mm=np.where(is_origin, np.nan, landmarks.expected_error_mm),
    )


def _check_given(frame: object, mm_per_unit: object) -> None:
    """Require a frame and a length, where given: -1 would mirror a face, 0 make it a point."""
    if frame is not None and frame not in FRAMES:
        msg = f"frame must be one of {', '.join(FRAMES)}; got {frame!r}."
        raise ValueError(msg)
    if mm_per_unit is not None:
        check_length(mm_per_unit, name="mm_per_unit")


def _check_is_there(path: Path) -> None:
    """Require that a file exists before looking at its extension: a mistyped folder has none."""
    try:
        path.stat()
    except OSError as err:
        msg = f"{path}: cannot be read ({err.strerror}). Check the path.{hint_at_length(path)}"
        raise FormatError(msg) from err


def _find_scheme(
    path: Path, scheme: Scheme | str | os.PathLike[str] | None, said: Sidecar | None
) -> Scheme | None:
    """Return the requested scheme, else the one in the sidecar; never a path from a file."""
    if scheme is not None:
        return scheme if isinstance(scheme, Scheme) else load_scheme(scheme)
    if said is None:
        return None
    if isinstance(said.scheme, Scheme):
        return said.scheme
    if said.scheme not in list_schemes():
        msg = (
            f"{sidecar_path(path)}: its scheme {said.scheme!r} is not one of "
            f"{', '.join(list_schemes())}. Give its JSON file (--scheme, or scheme= in Python)."
        )
        raise FormatError(msg)
    return load_scheme(said.scheme)


def _compare(reading: Reading, said: Sidecar) -> None:
    """Require that the caller and the sidecar agree."""
    beside = sidecar_path(reading.path).name
    if reading.scheme is not None and reading.scheme.codes != said.landmarks:
        msg = (
            f"{beside} gives other landmarks than those of scheme {reading.scheme.name!r}. Name "
            "the right scheme."
        )
        reading.doubt(None, msg)
    reading.check_scheme(said.scheme if isinstance(said.scheme, str) else said.scheme.name)
    asked = (reading.frame, reading.mm_per_unit)
    if asked != (said.frame, said.mm_per_unit):
        msg = (
            f"{beside} says frame {said.frame} and {said.mm_per_unit:g} mm per unit; you asked "
            f"for {asked[0]} and {reading.mm_per_unit or 1.0:g}. Leave these out, or correct that "
            "file."
        )
        reading.doubt(None, msg)


def _name_from(path: Path, format: Format) -> str:
    """Derive the name of the specimen from that of the file."""
    name = path.name
    stem = name[: -len(format.suffix)] if name.lower().endswith(format.suffix) else path.stem
    return printable_name(stem or name)
