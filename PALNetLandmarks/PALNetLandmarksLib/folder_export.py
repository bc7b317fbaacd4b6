# SPDX-License-Identifier: Apache-2.0
"""Export the saved landmarks of all scans of a folder into one file."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from slicer.i18n import tr as _

from palnet._caught import catching
from palnet._files import is_folder
from palnet._stored import listing
from palnet.error_classes import ErrorClass, classify_errors
from palnet.errors import PalnetError
from palnet.exchange import FORMATS, FormatWarning, get_format, read_landmarks, write_specimens
from palnet.landmarks import printable_name
from PALNetLandmarksLib.scan_folder import out_of_reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from palnet.landmarks import LandmarkSet, Space
    from PALNetLandmarksLib.scan_folder import ScanFolder

# Reasons to show; nobody reads hundreds below a button.
_MOST_REASONS = 3


def read_folder(folder: ScanFolder) -> tuple[dict[tuple[Path, ...], LandmarkSet], list[str]]:
    """Read the landmarks that are saved for the scans of a folder.

    Parameters
    ----------
    folder : ScanFolder
        The folder.

    Returns
    -------
    dict of tuple of Path to LandmarkSet
        Landmarks, named after their scan, or after the scans of one name that share them.
    list of str
        What was left out and why, a line each.

    Raises
    ------
    ValueError
        If the folder of the landmarks is out of reach, or holds none that can be read.
    """
    if not is_folder(folder.lists_folder):
        raise ValueError(out_of_reach(folder.lists_folder))
    scans: dict[Path, list[Path]] = {}
    landmarks: dict[tuple[Path, ...], LandmarkSet] = {}
    without: list[str] = []
    refused: dict[str, str] = {}
    for scan in folder.scans:
        scans.setdefault(folder.list_path(scan), []).append(scan)
    for path, alike in scans.items():
        if not path.exists():
            without += [scan.name for scan in alike]
            continue
        try:
            read = read_landmarks(path)
        except PalnetError as err:
            refused[path.name] = _in_words(err, path)
            continue
        landmarks[tuple(alike)] = replace(read, specimen=printable_name(alike[0].stem))
    remarks = _say_left_out(without, refused)
    if not landmarks and not refused:
        msg = _("No landmarks are saved for the scans of this folder. Detect and save them first.")
        raise ValueError(msg)
    if not landmarks:
        msg = _("None of the landmarks that are saved for the scans of this folder can be read.")
        raise ValueError("\n".join((msg, *remarks)))
    return landmarks, remarks


def _in_words(error: PalnetError, path: Path) -> str:
    """Say why landmarks cannot be read, without path, line and options of the command line."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        text = _(
            "it cannot be read ({why}). Check the rights, and whether another program has it open."
        )
        return text.format(why=cause.strerror)
    if cause is not None:  # it cannot be parsed
        return _("it is damaged, such as cut off. Put a copy in its place, or detect again.")
    found = re.sub(rf"^{re.escape(str(path))}(:\d+)?: ", "", str(error))
    found = re.sub(r" [^.]*--[^.]*\.$", "", found)
    return _("it holds no landmarks that can be used: {found}").format(found=found)


def _say_left_out(without: Sequence[str], refused: Mapping[str, str]) -> list[str]:
    """Say which scans have no landmarks, and which files of landmarks cannot be read and why."""
    lines = []
    if without:
        text = _("Left out, since no landmarks are saved: {scans}.")
        lines.append(text.format(scans=listing(without)))
    names, text = list(refused), _("Left out: {file}: {reason}")
    lines += [text.format(file=name, reason=refused[name]) for name in names[:_MOST_REASONS]]
    if others := names[_MOST_REASONS:]:
        lines.append(_("Left out as well: {files}.").format(files=listing(others)))
    return lines


def proposed_path(folder: ScanFolder, suffix: str) -> Path:
    """Propose a file beside the folder of the landmarks, whose name it has.

    In that folder, `palnet measure` and others would read its landmarks a second time.

    Parameters
    ----------
    folder : ScanFolder
        The folder.
    suffix : str
        File extension, with its dot.

    Returns
    -------
    Path
        At the top of a drive, which has no name, "landmarks" with the extension.
    """
    lists = folder.lists_folder
    return lists.parent / f"{lists.name or 'landmarks'}{suffix}"


def check_specimens(specimens: Sequence[LandmarkSet], format_name: str) -> None:
    """Check that a format can hold the specimens, before its user is asked for a path.

    Parameters
    ----------
    specimens : sequence of LandmarkSet
        The landmarks of the scans.
    format_name : str
        A key of `palnet.exchange.FORMATS`.

    Raises
    ------
    ValueError
        If they have different landmarks, or the format holds one specimen only or no missing
        landmarks.
    """
    chosen = get_format(format_name)
    if not chosen.holds_many:
        suffixes = ", ".join(each.suffix for each in FORMATS.values() if each.holds_many)
        msg = _("A file of this format holds one scan. Choose another format: {suffixes}.")
        raise ValueError(msg.format(suffixes=suffixes))
    first = specimens[0].scheme
    others = [each.specimen for each in specimens if each.scheme.codes != first.codes]
    if others:
        msg = _(
            "A file holds landmarks of one scheme: {first} has those of {scheme}, others have "
            "{scans}. Move scans of one scheme, with their landmarks, to a folder of their own."
        )
        names = {"first": specimens[0].specimen, "scheme": first.name, "scans": listing(others)}
        raise ValueError(msg.format(**names))
    incomplete = [each.specimen for each in specimens if not each.is_placed.all()]
    if incomplete and not chosen.holds_missing:
        msg = _(
            "Scans with missing landmarks: {scans}. Programs that read this format would take them "
            "for placed. Place them, or choose a format that can leave them out: {suffixes}."
        )
        able = (each for each in FORMATS.values() if each.holds_missing and each.holds_many)
        suffixes = ", ".join(each.suffix for each in able)
        raise ValueError(msg.format(scans=listing(incomplete), suffixes=suffixes))


def doubtful_specimens(specimens: Iterable[LandmarkSet]) -> list[str]:
    """Return the names of the scans with doubtful landmarks that nobody has reviewed.

    Parameters
    ----------
    specimens : iterable of LandmarkSet
        The landmarks of the scans.

    Returns
    -------
    list of str
        Names of the specimens.
    """
    return [
        each.specimen
        for each in specimens
        if np.any(
            (classify_errors(each) == ErrorClass.DOUBTFUL)
            & (np.array(each.status, dtype=str) == "detected")
        )
    ]


def export_specimens(
    specimens: Iterable[LandmarkSet], path: Path, format_name: str, frame: Space
) -> tuple[tuple[Path, ...], list[str]]:
    """Write the landmarks of many scans into one file, which is replaced if it exists.

    Parameters
    ----------
    specimens : iterable of LandmarkSet
        The landmarks of the scans.
    path : Path
        File to write.
    format_name : str
        A key of `palnet.exchange.FORMATS`.
    frame : {"LPS", "RAS"}
        Axes to write along, in millimeters.

    Returns
    -------
    tuple of Path
        The written files: that of the landmarks, and its companion if the format needs one.
    list of str
        What was not written exactly as it is, such as a name that readers cannot handle.

    Raises
    ------
    PalnetError
        If a file cannot be written.
    """
    with catching(FormatWarning, "always") as caught:
        written = write_specimens(
            specimens, path, format=format_name, frame=frame, overwrite=True, rename=True
        )
    return written, [str(warning.message) for warning in caught]
