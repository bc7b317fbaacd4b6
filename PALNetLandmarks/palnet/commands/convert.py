# SPDX-License-Identifier: Apache-2.0
"""`palnet convert`: convert landmark files to another format."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from palnet._files import file_stem
from palnet.commands._landmark_files import (
    FRAME_OPTIONS,
    check_has_names,
    find_landmark_files,
    hint_at_lenient,
    read_names,
    says_other_unit,
    warnings_on_stderr,
)
from palnet.commands._telling import tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palnet.exchange import Format, NameTable
    from palnet.landmarks import LandmarkSet

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_options", "run"]

HELP = "convert landmark files to another format"
DESCRIPTION = (
    "Convert landmark files, or folders of them, to the format that another program reads."
)

EPILOG = """\
palnet convert face.mrk.json --to tps          face.tps beside it
palnet convert results -o cohort.tps           all specimens of a folder into one file
palnet convert cohort.tps --to csv -o tables   a file for each specimen
palnet convert F.mrk.json --names n.csv -o ours.mrk.json   another lab's names into ours
palnet convert rec/*/scan.mrk.json --name-by-file -o all.csv   rec1_scan, rec2_scan, ...

Formats: mrk.json, fcsv, csv, csv-wide, tps, nts, morphologika, morphoj, dta, pts, pp, lafas.
What a format cannot hold (frame, unit, order of the landmarks) is written to FILE.frame.json beside
it and read from there. Exit code 0: all done; 1: some files or specimens could not be done, one
line each on stderr; 2: wrong usage. The formats are described in docs/formats.md.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE_OR_FOLDER", help="landmark files")
    add("--to", type=str.lower, metavar="FORMAT", help="format to write [by the ending of -o]")
    add("-o", "--output", type=Path, metavar="FILE_OR_DIR", help=_OUTPUT_HELP)
    add(
        "--from",
        type=str.lower,
        dest="source",
        metavar="FORMAT",
        help="format to read [by the endings of the files]",
    )
    add("--scheme", metavar="NAME_OR_PATH", help="landmark scheme [the one that the files name]")
    add("--names", type=Path, metavar="CSV", help=_NAMES_HELP)
    add("--frame", choices=tuple(FRAME_OPTIONS), help="numbers to write [as they are read]")
    add(
        "--from-frame",
        choices=tuple(FRAME_OPTIONS),
        help="frame of files that do not say it [file]",
    )
    add(
        "--unit", help="unit of files that do not say it: um, mm, cm, m, in, or a number of mm [mm]"
    )
    add("--lenient", action="store_true", help="warn about doubtful entries, read what is certain")
    add("--name-by-file", action="store_true", help=_BY_FILE_HELP)
    add("--rename", action="store_true", help="change names that the format cannot hold")
    add("--skip-incomplete", action="store_true", help="leave out specimens that lack landmarks")
    add("--overwrite", action="store_true", help="replace existing files")


_NAMES_HELP = "another lab's names in the files: a table 'their name,our code'"
_BY_FILE_HELP = "name the specimen of a file after the file, with its folder if needed"
_OUTPUT_HELP = "one file for all specimens, or a folder for one file each [beside each file]"


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    from palnet.exchange import get_format, stem_of
    from palnet.jobs import tell_apart

    target = _target_format(arguments)
    conversion = _Conversion(arguments, target, names=read_names(arguments.names, arguments))
    source = None if arguments.source is None else get_format(arguments.source)
    files = find_landmark_files(
        arguments.files, arguments.scheme, source=source, output=arguments.output
    )
    conversion.sources = {_place(path) for path in files}
    if arguments.name_by_file:
        names = tell_apart([path.absolute() for path in files], [stem_of(path) for path in files])
        conversion.names_of_files = dict(zip(files, names, strict=True))
    with warnings_on_stderr():
        if arguments.output is not None and _is_file_of(arguments.output, target):
            conversion.write_one_file(conversion.read_all(files), arguments.output)
        else:
            conversion.write_each(files, arguments.output)
    conversion.tell()
    return 1 if conversion.n_failed else 0


def _target_format(arguments: argparse.Namespace) -> Format:
    from palnet.errors import FormatError, UsageError
    from palnet.exchange import FORMATS, find_format, get_format

    if arguments.to is not None:
        return get_format(arguments.to)
    if arguments.output is None:
        msg = f"say the format to write with --to: one of {', '.join(FORMATS)}."
        raise UsageError(msg)
    try:
        return find_format(arguments.output)
    except FormatError as err:
        endings = ", ".join(entry.suffix for entry in FORMATS.values())
        msg = (
            f"-o {arguments.output}: say the format of a folder's files with --to, or name a file "
            f"that ends in one of {endings}."
        )
        raise UsageError(msg) from err


def _is_file_of(output: Path, target: Format) -> bool:
    """Distinguish a file from a folder, which may not exist yet, by the extension."""
    from palnet.errors import UsageError

    if output.is_dir():
        return False
    if output.name.lower().endswith(target.suffix):
        return True
    if output.suffix or output.exists():
        msg = f"-o {output}: expected a folder, or a file that ends in {target.suffix}."
        raise UsageError(msg)
    return False


def _place(path: Path) -> str:
    """Return where a file lies, links followed, the same for names that one file may have.

    Windows and macOS tell no capitals apart. `Path.resolve` raises where a link leads to itself.
    """
    return os.path.realpath(path).casefold()


@dataclass
class _Conversion:
    """The input, output and outcome of a conversion."""

    arguments: argparse.Namespace
    target: Format
    n_failed: int = field(default=0, init=False)
    names: NameTable | None = None
    names_of_files: dict[Path, str] = field(default_factory=dict, init=False)
    sources: set[str] = field(default_factory=set, init=False)
    written: list[Path] = field(default_factory=list, init=False)
    _assumed: list[Path] = field(default_factory=list, init=False)
    _doubts: list[str] = field(default_factory=list, init=False)

    def read_all(self, files: Iterable[Path]) -> Iterator[LandmarkSet]:
        """Read one file after the other; a lenient reader skips those that it cannot read."""
        from palnet.errors import FormatError

        for path in files:
            try:
                yield from self._read(path)
            except FormatError as err:
                if not self.arguments.lenient:
                    raise
                self._fail(f"{err} The file is left out.")

    def write_one_file(self, specimens: Iterable[LandmarkSet], output: Path) -> None:
        """Write all specimens to one file, or report why not."""
        from palnet.errors import FormatError, OutputError, OutputExistsError
        from palnet.exchange import write_specimens

        asked = self.arguments
        loses = asked.lenient or asked.skip_incomplete or asked.names is not None
        if asked.overwrite and loses and _place(output) in self.sources:
            self._fail(
                f"{output} was not replaced: it is itself one of the files to convert, and what "
                "--lenient, --skip-incomplete or --names leaves out would be lost. Choose another "
                "-o."
            )
            return
        try:
            self.written += write_specimens(
                specimens,
                output,
                format=self.target.name,
                frame=FRAME_OPTIONS.get(asked.frame),
                overwrite=asked.overwrite,
                rename=asked.rename,
                skip_incomplete=asked.skip_incomplete,
            )
        except (FormatError, OutputError, OutputExistsError) as err:
            self._fail(f"{output.name} was not written: {err}{hint_at_lenient(err)}")

    def write_each(self, files: Iterable[Path], folder: Path | None) -> None:
        """Write one file beside each, or one per specimen into a folder.

        Report those that fail, and of two with the same path the second.
        """
        taken: dict[str, Path] = {}
        for path in files:
            for output, specimens in self._outputs(path, folder):
                kept = [each for each in specimens if not self._leaves_out(path, each)]
                key = str(output).casefold()
                if kept and key in taken:
                    self._fail(
                        f"{path}: {output.name} is written for {taken[key]} already. Rename one, "
                        "or choose another -o."
                    )
                elif kept and self._may_replace(path, output):
                    taken[key] = path
                    self._write_in_place_of(kept, output)

    def _write_in_place_of(self, specimens: list[LandmarkSet], output: Path) -> None:
        """Write a file; if it replaces one that was passed over, which may be newer, keep that."""
        from palnet._earlier_results import keeping

        folders = {_place(path) for path in self.arguments.files if path.is_dir()}
        is_passed_over = _place(output) not in self.sources and _place(output.parent) in folders
        if not (self.arguments.overwrite and is_passed_over and output.is_file()):
            self.write_one_file(specimens, output)
            return
        with keeping(output) as copy:
            self.write_one_file(specimens, output)
        if copy.exists():
            tell(f"{output} was not converted, but replaced: kept as {copy.name}.")

    def _outputs(self, path: Path, folder: Path | None) -> list[tuple[Path, list[LandmarkSet]]]:
        """Name the files to write for one file, with their specimens."""
        from palnet.exchange import stem_of

        specimens, suffix = self._read_or_tell(path), self.target.suffix
        if folder is None:
            return [(path.with_name(stem_of(path) + suffix), specimens)]
        stems = [file_stem(each.specimen) for each in specimens]
        if len(specimens) == 1:
            stems = [self.names_of_files.get(path, stem_of(path))]
        return [
            (folder / f"{stem}{suffix}", [each])
            for stem, each in zip(stems, specimens, strict=True)
        ]

    def tell(self) -> None:
        """Report what was written and what had to be assumed."""
        for path in self.written:
            print(path)
        if self._assumed:
            more = f" and {len(self._assumed) - 1} more" if len(self._assumed) > 1 else ""
            tell(
                f"{self._assumed[0].name}{more}: nothing says frame or unit; the numbers "
                "were read as the scan file's own, in millimeters along LPS axes. If that is "
                "wrong, give --from-frame and --unit."
            )
        if self._doubts:
            more = f" Specimens of which the like is said: {len(self._doubts)}."
            tell(self._doubts[0] + (more if self._doubts[1:] else ""))

    def _fail(self, text: str) -> None:
        self.n_failed += 1
        tell(text)

    def _read_or_tell(self, path: Path) -> list[LandmarkSet]:
        from palnet.errors import FormatError

        try:
            return self._read(path)
        except FormatError as err:
            self._fail(f"{err}{hint_at_lenient(err)}")
            return []

    def _may_replace(self, path: Path, output: Path) -> bool:
        """Refuse to replace another of the input files; a file may replace itself."""
        target = _place(output)
        if target == _place(path) or target not in self.sources:
            return True
        self._fail(
            f"{path}: {output} is itself one of the files to convert. Rename one, or choose "
            "another -o."
        )
        return False

    def _leaves_out(self, path: Path, landmarks: LandmarkSet) -> bool:
        is_left_out = self.arguments.skip_incomplete and not landmarks.is_placed.all()
        if is_left_out:
            tell(f"{path}: {landmarks.specimen!r} is incomplete; left out.")
        return is_left_out

    def _read(self, path: Path) -> list[LandmarkSet]:
        from palnet.exchange import find_format, get_format, read_specimens, sidecar_path
        from palnet.landmarks import printable_name
        from palnet.surface import parse_unit

        asked = self.arguments
        unit = None if asked.unit is None else parse_unit(asked.unit).mm_per_unit
        source = find_format(path) if asked.source is None else get_format(asked.source)
        if self.names is not None:
            check_has_names(path, source)
        specimens = read_specimens(
            path,
            asked.scheme if self.names is None else self.names.reading_scheme,
            format=source.name,
            frame=FRAME_OPTIONS.get(asked.from_frame),
            mm_per_unit=unit,
            strict=not asked.lenient,
        )
        if unit is not None:
            self._check_unit(path, specimens[0], unit)
        says_frame = source.holds_axes or sidecar_path(path).is_file()
        needs_frame = asked.frame in ("lps", "ras") or self.target.holds_axes
        if needs_frame and not says_frame and asked.from_frame is None and unit is None:
            self._assumed.append(path)
        if path in self.names_of_files and len(specimens) == 1:
            name = printable_name(self.names_of_files[path])
            specimens = [replace(specimens[0], specimen=name)]
        if self.names is not None:
            specimens = [self.names.translate(landmarks) for landmarks in specimens]
        self._note_no_face(path, specimens)
        return specimens

    def _check_unit(self, path: Path, landmarks: LandmarkSet, mm_per_unit: float) -> None:
        """Require the unit that was asked for, if a file states its own, which counts."""
        from palnet.errors import DoubtError

        if says_other_unit(landmarks, mm_per_unit):
            problem = (
                f"{path}: says {landmarks.mm_per_unit:g} mm per unit; you asked for "
                f"{mm_per_unit:g}. Leave --unit out, or correct 'millimeters per unit' in that "
                "file."
            )
            if not self.arguments.lenient:
                raise DoubtError(problem)
            tell(f"{problem} What the file says counts.")

    def _note_no_face(self, path: Path, specimens: Iterable[LandmarkSet]) -> None:
        """Note which landmarks are no face: a wrong unit or order is converted like any other."""
        from palnet._plausible import doubt_order, doubt_size

        for landmarks in specimens:
            size = doubt_size(landmarks)
            doubt = doubt_order(landmarks) if size is None else f"{size}. Is their unit wrong?"
            if doubt is not None:
                self._doubts.append(f"{path}: {landmarks.specimen}: {doubt}")
