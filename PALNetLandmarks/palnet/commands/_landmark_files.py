# SPDX-License-Identifier: Apache-2.0
"""Landmark files named on the command line, for the subcommands that measure and compare."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from palnet.commands._telling import tell

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from palnet.exchange import Format, NameTable
    from palnet.landmarks import Frame, LandmarkSet
    from palnet.scheme import Scheme

__all__ = [
    "FRAME_OPTIONS",
    "add_reading_options",
    "check_has_names",
    "find_landmark_files",
    "hint_at_lenient",
    "read_all",
    "read_names",
    "says_other_unit",
    "warnings_on_stderr",
]

_MAKER = "palnet detect places landmarks on scans."
FRAME_OPTIONS: dict[str | None, Frame] = {"file": "file", "lps": "LPS", "ras": "RAS"}


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for information that a landmark file may not contain."""
    add = parser.add_argument
    add("--scheme", metavar="NAME_OR_PATH", help="landmark scheme [the one that the files name]")
    add("--frame", choices=tuple(FRAME_OPTIONS), help=_FRAME_HELP)
    add("--unit", help="unit of landmark files that do not name it [mm]")
    add("--lenient", action="store_true", help=_LENIENT_HELP)
    parser.set_defaults(unit_option="--unit")


_LENIENT_HELP = "warn about doubtful entries in a landmark file, and read what is certain"
_FRAME_HELP = "axes of landmark files that do not name them: the scan file's own, LPS or RAS [file]"


def read_names(path: Path | None, arguments: argparse.Namespace) -> NameTable | None:
    """Read the table of another lab's landmark names, if there is one."""
    from palnet.exchange import read_name_table
    from palnet.scheme import DEFAULT_SCHEME, load_scheme

    if path is None:
        return None
    return read_name_table(path, load_scheme(arguments.scheme or DEFAULT_SCHEME))


def check_has_names(path: Path, form: Format) -> None:
    """Require that a file names its landmarks, inside or in its sidecar, so that a table fits.

    Taken in the order of the table's rows they might be others.
    """
    from palnet.errors import FormatError
    from palnet.exchange import sidecar_path

    if not form.holds_codes and not sidecar_path(path).is_file():
        msg = (
            f"{path}: {form.name} files are read by the order of their landmarks, which a table of "
            "names does not say. Give a scheme with the landmarks in that order instead (--scheme)."
        )
        raise FormatError(msg)


def find_landmark_files(
    paths: Iterable[Path],
    scheme: Scheme | str | None = None,
    *,
    source: Format | None = None,
    output: Path | None = None,
) -> list[Path]:
    """List the landmark files in the given files and folders.

    In a folder use those of the source format, else one for each specimen. The output file is not
    read as input, even if an earlier run has left it in the folder.
    """
    from palnet.errors import UsageError
    from palnet.exchange import FORMATS
    from palnet.input_files import as_on_disk
    from palnet.scheme import load_scheme

    if isinstance(scheme, str):
        load_scheme(scheme)  # so that an unknown one is told once, not for each file
    suffixes = tuple(form.suffix for form in ([source] if source else FORMATS.values()))
    found: list[Path] = []
    for path in as_on_disk(paths):
        if not path.is_dir():
            if source is None:
                _check_landmarks_are_meant(path, suffixes)
            found.append(path)
            continue
        inside = (file for file in path.iterdir() if not _is_output(file, output))
        files = sorted(file for file in inside if _may_be_read(file, suffixes))
        if source is None:
            files = _one_per_specimen(path, files, scheme)
        elif not files:
            msg = f"{path}: the folder holds no file that ends in {source.suffix}."
            raise UsageError(msg)
        found += files
    return list(dict.fromkeys(found))


def _one_per_specimen(folder: Path, files: list[Path], scheme: Scheme | str | None) -> list[Path]:
    """Of files with the same name, take the one whose format holds most; list the rest on stderr.

    Any other with specimens that it lacks is taken, too.
    """
    from palnet.errors import UsageError
    from palnet.exchange import FORMATS, find_format, stem_of

    # The formats are ordered by how much they hold.
    rank = {name: number for number, name in enumerate(FORMATS)}
    by_stem: dict[str, list[Path]] = {}
    for file in sorted(_without_other_tables(files), key=lambda each: rank[find_format(each).name]):
        by_stem.setdefault(stem_of(file), []).append(file)
    if not by_stem:
        suffixes = tuple(form.suffix for form in FORMATS.values())
        n_below = sum(_may_be_read(file, suffixes) for file in folder.glob("*/*"))
        what = "no landmark file in this folder. Name a folder with landmark files;"
        msg = f"{folder}: {what} {_MAKER}"
        if n_below:
            msg += (
                f" Files in subfolders: {n_below}; name those folders, or collect the landmarks "
                "in one folder with palnet detect -o."
            )
        raise UsageError(msg)
    found: list[Path] = []
    passed_over: list[tuple[Path, Path]] = []
    for stem in sorted(by_stem):
        taken, others = _part_unlike(by_stem[stem], scheme)
        found += taken
        passed_over += [(other, taken[0]) for other in others]
    _tell_passed_over(folder, passed_over)
    return found


def _is_output(path: Path, output: Path | None) -> bool:
    """Whether a file is the output file, even if the paths are written differently."""
    if output is None or path.name.casefold() != output.name.casefold():
        return False
    return output.exists() and path.exists() and path.samefile(output)


def _may_be_read(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Return False for folders and the files that macOS adds on foreign disks (`._face.csv`)."""
    name = path.name.lower()
    return name.endswith(suffixes) and not name.startswith(".") and path.is_file()


def _without_other_tables(files: list[Path]) -> list[Path]:
    """Leave out tables without landmarks, such as those of `measure` and `evaluate`."""
    from palnet.exchange import may_hold_landmarks

    others = sorted(file for file in files if not may_hold_landmarks(file))
    if others:
        names = ", ".join(file.name for file in others)
        text = f"left out, since the first line is not that of a landmark table: {names}"
        tell(f"{others[0].parent}: {text}")
    return [file for file in files if file not in others]


def _part_unlike(files: list[Path], scheme: Scheme | str | None) -> tuple[list[Path], list[Path]]:
    """Split files of one name: the first and any with specimens it lacks, and the rest."""
    from palnet.exchange import find_format, stem_of

    kept, *others = files
    taken, passed_over = [kept], []
    sets = _read_quietly(kept, scheme) if others else []
    # An unreadable file of one specimen is reported later; older copies do not replace it.
    known = {entry.specimen for entry in sets} or {stem_of(kept)}
    if scheme is None and sets:
        scheme = sets[0].scheme  # the others may only name a lab's own scheme
    for file in others:
        if find_format(file).holds_many:
            specimens = {entry.specimen for entry in _read_quietly(file, scheme)}
            if not specimens <= known or not specimens:
                taken.append(file)
                known |= specimens
                continue
        passed_over.append(file)
    return taken, passed_over


def _tell_passed_over(folder: Path, passed_over: list[tuple[Path, Path]]) -> None:
    """Count the files of a folder that are not read, and name one that is alone of its kind."""
    from palnet._stored import listing
    from palnet.exchange import stem_of

    kinds: dict[str, dict[str, list[str]]] = {}
    for file, kept in passed_over:
        ending, kept_ending = (path.name[len(stem_of(path)) :] for path in (file, kept))
        kinds.setdefault(kept_ending, {}).setdefault(ending, []).append(file.name)
    for kept_ending, others in kinds.items():
        parts = [
            names[0] if len(names) == 1 else f"{len(names)} {ending}"
            for ending, names in others.items()
        ]
        tell(
            f"{folder}: skipped: {listing(parts)}; the {kept_ending} of the same name is used. "
            "Name a file to use it instead."
        )


def _read_quietly(path: Path, scheme: Scheme | str | None) -> list[LandmarkSet]:
    """Read the specimens of a file; none if it cannot be read, which is reported elsewhere."""
    from palnet._caught import catching
    from palnet.errors import PalnetError
    from palnet.exchange import FormatWarning, read_specimens

    with catching(FormatWarning, "ignore"):
        try:
            return read_specimens(path, scheme, strict=False)
        except PalnetError:
            return []


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Print warnings of the library as messages of this program."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        tell(message)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


def read_all(
    files: Iterable[Path], arguments: argparse.Namespace, names: NameTable | None = None
) -> Iterator[tuple[Path, list[LandmarkSet]]]:
    """Read the specimens of each file; one that cannot be read is reported on stderr and skipped.

    A specimen that is left out of its file is reported, too; the file then comes again, empty.
    With a table of names these are the landmarks as they are called there, still to be translated.
    The frame and unit options apply to files that state none, neither inside nor in a sidecar; a
    unit that does not apply is reported.
    """
    from palnet._stored import listing
    from palnet.errors import PalnetError
    from palnet.exchange import find_format, read_specimens, sidecar_path
    from palnet.surface import parse_unit

    unit = None if arguments.unit is None else parse_unit(arguments.unit).mm_per_unit
    in_other_unit: list[str] = []
    for path in files:
        n_left_out = 0
        try:
            form, has_sidecar = find_format(path), sidecar_path(path).is_file()
            if names is not None:
                check_has_names(path, form)
            says_frame = form.holds_axes or has_sidecar
            with warnings_on_stderr():
                specimens = read_specimens(
                    path,
                    arguments.scheme if names is None else names.reading_scheme,
                    frame=None if says_frame else FRAME_OPTIONS.get(arguments.frame),
                    mm_per_unit=None if has_sidecar else unit,
                    strict=not arguments.lenient,
                )
            in_other_unit += [path.name] if says_other_unit(specimens[0], unit) else []
            n_all, specimens = len(specimens), _of_face_size(specimens, path, arguments.unit_option)
            n_left_out = n_all - len(specimens)
            for landmarks in specimens:
                _tell_origin(landmarks, path)
                _tell_order(landmarks, path)
        except PalnetError as err:
            tell(f"{err}{hint_at_lenient(err)}")
            specimens = []
        yield path, specimens
        yield from [(path, [])] * n_left_out
    if in_other_unit:
        tell(
            f"{arguments.unit_option} {arguments.unit} does not count for {listing(in_other_unit)}:"
            " another unit is stated there. If it is wrong, correct it there."
        )


def says_other_unit(landmarks: LandmarkSet, mm_per_unit: float | None) -> bool:
    """Whether a file states another unit than the one asked for; what the file states counts."""
    is_asked = mm_per_unit is not None and landmarks.frame == "file"
    return is_asked and landmarks.mm_per_unit != mm_per_unit


def _tell_origin(landmarks: LandmarkSet, path: Path) -> None:
    """Report a single landmark at 0, 0, 0, which may be valid; the reader doubts several."""
    for index in landmarks.is_at_origin.nonzero()[0]:
        code = landmarks.scheme.codes[index]
        text = f"{landmarks.specimen}: {code} at 0, 0, 0 is read as a position."
        tell(f"{path}: {text} If it is missing, mark it as missing.")


def _tell_order(landmarks: LandmarkSet, path: Path) -> None:
    """Report landmarks that do not form a face in their order or by their labels."""
    from palnet._plausible import doubt_order

    doubt = doubt_order(landmarks)
    if doubt is not None:
        tell(f"{path}: {landmarks.specimen}: {doubt}")


def hint_at_lenient(err: Exception) -> str:
    """Suggest the option for lenient reading, if a doubt stopped the reading."""
    from palnet.errors import DoubtError

    return " (--lenient reads what is certain.)" if isinstance(err, DoubtError) else ""


def _check_landmarks_are_meant(path: Path, suffixes: tuple[str, ...]) -> None:
    """Require that a path is no scan, and that it exists if a folder may be meant."""
    from palnet.errors import UsageError
    from palnet.surface import MESH_SUFFIXES

    if path.suffix.lower() in MESH_SUFFIXES:
        msg = f"{path}: is a scan. Name a landmark file; {_MAKER}"
        raise UsageError(msg)
    if not path.name.lower().endswith(suffixes) and not os.path.lexists(path):
        msg = f"{path}: there is no such file or folder. Check the path."
        raise UsageError(msg)


def _of_face_size(specimens: list[LandmarkSet], path: Path, unit_option: str) -> list[LandmarkSet]:
    """Leave out and report specimens that span no face in millimetres.

    If they are not the fewer ones of their file, its unit is wrong: UnitError.
    """
    from palnet._plausible import doubt_size
    from palnet.errors import UnitError

    doubts = {each.specimen: doubt for each in specimens if (doubt := doubt_size(each))}
    is_whole_file = 2 * len(doubts) >= len(specimens)
    for specimen, doubt in doubts.items():
        text = f"{path}: the landmarks of {specimen!r} must span a face; {doubt}."
        if is_whole_file:
            msg = f"{text} Give the unit of the numbers with {unit_option}."
            raise UnitError(msg)
        tell(f"{text} Those of the others do: write its numbers in their unit. It is left out.")
    return [each for each in specimens if each.specimen not in doubts]
