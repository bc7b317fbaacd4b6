# SPDX-License-Identifier: Apache-2.0
"""Write landmark files, completely or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palnet._files import check_free, remove, replacing, to_path, write_text
from palnet.errors import OutputError
from palnet.exchange._checked import Passage
from palnet.exchange._registry import find_format, get_format
from palnet.exchange._sidecar import describe, sidecar_path, sidecar_text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

    from palnet.landmarks import Frame, LandmarkSet

__all__ = ["write_landmarks", "write_specimens"]


def write_landmarks(
    landmarks: LandmarkSet,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    frame: Frame | None = None,
    overwrite: bool = False,
    rename: bool = False,
) -> tuple[Path, ...]:
    """Write the landmarks of one specimen to a file.

    Convention: as in `write_specimens`.

    Parameters
    ----------
    landmarks : LandmarkSet
        The landmarks.
    path : str or path
        Path of the file; its folder is created if necessary.
    format : str, optional
        Name of a format in `FORMATS`; by default found by the file extension.
    frame : {"file", "LPS", "RAS"}, optional
        Frame of the numbers; by default that of `landmarks`.
    overwrite : bool, default False
        Whether to overwrite an existing file.
    rename : bool, default False
        Whether to change a specimen name that the format cannot hold, with a warning.

    Returns
    -------
    tuple of Path
        The written files: that of the landmarks, and its sidecar if it needs one.

    Raises
    ------
    FormatError
        If the format is unknown or cannot hold the landmarks.
    OutputExistsError
        If the file exists and `overwrite` is False.
    OutputError
        If the system does not allow it to be written.
    """
    return write_specimens(
        [landmarks], path, format=format, frame=frame, overwrite=overwrite, rename=rename
    )


def write_specimens(
    specimens: Iterable[LandmarkSet],
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    frame: Frame | None = None,
    overwrite: bool = False,
    rename: bool = False,
    skip_incomplete: bool = False,
) -> tuple[Path, ...]:
    """Write the landmarks of many specimens to one file, as a stream.

    Convention: ``frame="file"`` writes the scan files' own numbers, so that landmarks lie on the
    mesh files in any program; ``"LPS"`` and ``"RAS"`` write millimetres. If the format cannot hold
    frame, unit or the order of the landmarks, the sidecar ``<file>.frame.json`` does.

    Parameters
    ----------
    specimens : iterable of LandmarkSet
        The specimens: all of one scheme, and in one frame and unit if `frame` is not given.
    path : str or path
        Path of the file; its folder is created if necessary.
    format : str, optional
        Name of a format in `FORMATS`; by default found by the file extension.
    frame : {"file", "LPS", "RAS"}, optional
        Frame of the numbers; by default that of the specimens.
    overwrite : bool, default False
        Whether to overwrite an existing file.
    rename : bool, default False
        Whether to change a specimen name that the format cannot hold, with a warning.
    skip_incomplete : bool, default False
        Whether to leave out specimens that lack a landmark, with a warning.

    Returns
    -------
    tuple of Path
        The written files: that of the landmarks, and its sidecar if it needs one.

    Raises
    ------
    FormatError
        If the format is unknown or cannot hold the specimens.
    OutputExistsError
        If the file exists and `overwrite` is False.
    OutputError
        If the system does not allow it to be written.
    """
    path = to_path(path, name="path", error=OutputError)
    chosen = find_format(path) if format is None else get_format(format)
    beside = sidecar_path(path)
    passage = Passage(chosen, frame, rename=rename, skip_incomplete=skip_incomplete)
    with replacing(path, overwrite=overwrite) as draft:
        check_free(beside, overwrite=overwrite)
        with draft.open("w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(chosen.write(passage.let_through(specimens)))
        first = passage.first
        said = None if first is None else describe(first, path, chosen, passage.renamed)
        # Written first: without it the landmarks would be misread.
        if said is not None:
            write_text(beside, sidecar_text(said), overwrite=overwrite)
    if said is not None:
        return path, beside
    if overwrite:
        remove(beside)
    return (path,)
