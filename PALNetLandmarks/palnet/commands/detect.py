# SPDX-License-Identifier: Apache-2.0
"""`palnet detect`: place landmarks on scans and write one set of files per scan."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from palnet.commands._arguments import at_least
from palnet.commands._landmark_files import FRAME_OPTIONS
from palnet.commands._telling import tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from palnet.batch import ScanResult
    from palnet.jobs import BatchOptions

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_options", "run"]

HELP = "place landmarks on face scans"
DESCRIPTION = "Place landmarks on face scans (OBJ, PLY, STL, VTK, VTP) in any pose and unit."

# Default output of `--example`: the bundled scan's own folder may be read-only.
EXAMPLE_FOLDER = Path("palnet-example")

EPILOG = """\
For face.ply it writes face.<format> for each format and face.palnet.json (record of the detection).
If all files go into one folder, scans of the same name are called FOLDER_face. To continue an
interrupted run, add --resume. Exit code 0: all done; 1: some scans could not be done, one line each
on stderr, the others written; 2: wrong usage, or a problem with the whole run.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add = parser.add_argument
    add("scans", nargs="*", metavar="SCAN_OR_FOLDER", help="mesh files, or folders of them")
    add("--example", action="store_true", help="use the bundled scan and print its true error")
    add("-o", "--output", type=Path, metavar="DIR", help="folder for the files [beside each scan]")
    add("--format", type=str.lower, default="mrk.json,csv", metavar="LIST", help=_FORMAT_HELP)
    add("--frame", choices=tuple(FRAME_OPTIONS), default="file", help=_FRAME_HELP)
    add("--unit", default="auto", help=_UNIT_HELP)
    add("--model", metavar="NAME_OR_PATH", help="model to use; see: palnet models")
    add("--preview", action="store_true", help="draw front and side views into a PNG file")
    add("--no-color", action="store_true", help="place all landmarks by shape alone")
    add("--jobs", type=at_least(1), default=1, metavar="N", help="parallel processes [%(default)s]")
    add("--scheduler", metavar="ADDRESS", help="Dask scheduler to run on, instead of --jobs")
    add("--recursive", action="store_true", help="also take scans in subfolders")
    add("--resume", action="store_true", help="skip scans that an earlier run has done")
    add(
        "--overwrite",
        action="store_true",
        help="replace existing files; keep a copy of those that were corrected (.bak)",
    )


_FORMAT_HELP = (
    "landmark formats: mrk.json, csv, fcsv, tps and others (docs/formats.md) [%(default)s]"
)
_UNIT_HELP = (
    "unit of the scans: um, mm, cm, m, in, or its length in millimeters, such as 50 [%(default)s]"
)
_FRAME_HELP = (
    "numbers to write: the scan file's own, or millimeters along LPS or RAS axes [%(default)s]"
)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    from palnet._pool import run_jobs
    from palnet.errors import UsageError
    from palnet.input_files import describe_foreign, find_scans, scans_below
    from palnet.jobs import plan_jobs

    if arguments.resume and arguments.overwrite:
        msg = "--resume keeps existing files, --overwrite replaces them; use only one of the two."
        raise UsageError(msg)
    chosen = _chosen_scans(arguments)
    scans = find_scans(chosen, recursive=arguments.recursive)
    n_below = 0 if arguments.recursive else len(scans_below(chosen, scans))
    if n_below:
        tell(f"scans in subfolders, skipped: {n_below}; --recursive includes them.")
    foreign = describe_foreign(chosen, recursive=arguments.recursive)
    if foreign:
        tell(f"files of other formats, skipped: {foreign}.")
    jobs = plan_jobs(scans, _options(arguments))
    progress = _Progress(len(jobs), sys.stderr)
    results = run_jobs(
        jobs, n_processes=arguments.jobs, scheduler=arguments.scheduler, notify=progress.interrupt
    )
    return _report(results, [job.scan for job in jobs], progress)


def _chosen_scans(arguments: argparse.Namespace) -> list[Path]:
    from palnet.errors import UsageError
    from palnet.samples import example_scan

    if arguments.example and arguments.scans:
        msg = "--example brings its own scan; leave the others out."
        raise UsageError(msg)
    if arguments.example:
        return [example_scan()]
    if not arguments.scans:
        msg = "no scan given. Name a mesh file or a folder, or try: palnet detect --example"
        raise UsageError(msg)
    return [Path(scan) for scan in arguments.scans]


def _options(arguments: argparse.Namespace) -> BatchOptions:
    from palnet.errors import UsageError
    from palnet.jobs import BatchOptions
    from palnet.surface import parse_unit

    if arguments.unit != "auto":
        parse_unit(arguments.unit)
    output = arguments.output
    if arguments.example and output is None:
        output = EXAMPLE_FOLDER
    if output is not None and output.exists() and not output.is_dir():
        msg = f"-o {output} is not a folder. Give a folder."
        raise UsageError(msg)
    return BatchOptions(
        output=output,
        formats=tuple(dict.fromkeys(name.strip() for name in arguments.format.split(","))),
        frame=FRAME_OPTIONS[arguments.frame],
        unit=arguments.unit,
        model=_usable_model(arguments.model),
        preview=arguments.preview,
        use_color=not arguments.no_color,
        overwrite=arguments.overwrite,
        resume=arguments.resume,
    )


def _usable_model(name_or_path: str | None) -> str | None:
    """Load the given model first: if it is unusable, every scan would fail.

    Make a path absolute, for cluster workers with another working directory.
    """
    from palnet.model import MODELS_FOLDER, read_model

    if name_or_path is None:
        return None
    path = read_model(name_or_path).path
    return name_or_path if path.parent == MODELS_FOLDER else str(path.absolute())


def _report(results: Iterable[ScanResult], scans: Sequence[Path], progress: _Progress) -> int:
    """Report the outcome of each scan as it ends; return the exit code."""
    from palnet._stored import counted

    n_scans, times = len(scans), Counter(scan.name for scan in scans)
    outcomes: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for result in _with_progress(results, progress):
        outcomes[result.outcome] += 1
        place = f"[{outcomes.total()}/{n_scans}] " if n_scans > 1 else ""
        name = result.scan.name if times[result.scan.name] == 1 else str(result.scan)
        if result.outcome == "done":
            unit = _guessed_unit(result)
            units[unit] += 1
            told = f"; unit by its size: {unit}" if unit not in ("", "mm") and n_scans > 1 else ""
            print(f"{place}{name}: {_headline(result)}{told}", flush=True)
            if n_scans == 1:
                print("\n".join(_details(result)))
            for doubt in _doubts(result) if n_scans > 1 else ():
                tell(f"{name}: {doubt}")
        elif result.outcome != "there":
            tell(f"{place}{name}: {result.outcome}: {' '.join(result.message.split())}")
        for warning in result.warnings:
            tell(f"{name}: {warning}")
        if result.is_disk_full:
            break
    n_done, n_there = outcomes["done"], outcomes["there"]
    n_failed = outcomes.total() - n_done - n_there
    if n_scans > 1 or n_there:
        before = f" There already: {n_there}." if n_there else ""
        failed = f" {n_failed} could not be done, see above." if n_failed else ""
        print(f"{n_done} of {counted(n_scans, 'scan')} done.{before}{failed}{_say_units(units)}")
    n_left = n_scans - outcomes.total()
    if n_left:
        tell(f"the disk is full. Scans left out: {n_left}. Make room, and repeat with --resume.")
        return 2
    return 1 if n_failed else 0


def _with_progress(results: Iterable[ScanResult], progress: _Progress) -> Iterator[ScanResult]:
    """Show the progress while a result is awaited; clear it whatever ends the wait."""
    progress.show(0)
    try:
        for n_ended, result in enumerate(results, start=1):
            progress.clear()
            yield result
            progress.show(n_ended)
    finally:
        progress.clear()


def _guessed_unit(result: ScanResult) -> str:
    """Return the unit guessed from a scan's size; empty if the unit was given."""
    made = result.record["provenance"]
    return "" if made["unit_source"] == "given" else str(made["unit"])


def _say_units(units: Counter[str]) -> str:
    """Report guessed units if they are not all millimeters, since they may be wrong."""
    guessed = [f"{unit} {n}" for unit, n in units.most_common() if unit]
    if not units.keys() - {"", "mm"}:
        return ""
    return f" Units by size: {', '.join(guessed)}; --unit says one."


def _headline(result: ScanResult) -> str:
    rows = result.record["landmarks"]
    errors = {
        row["code"]: row["expected_error_mm"]
        for row in rows
        if row["expected_error_mm"] is not None
    }
    absent = [row["code"] for row in rows if row["status"] in ("missing", "undefined")]
    text = f"{len(rows) - len(absent)} landmarks"
    if errors:
        worst = max(errors, key=lambda code: errors[code])
        mean = sum(errors.values()) / len(errors)
        text += f", expected error {mean:.1f} mm on average, {errors[worst]:.1f} mm at {worst}"
    return text + (f"; not on the scan: {', '.join(absent)}" if absent else "")


# Codes of the findings that put a result in doubt, or could make it better.
_DOUBTS = ("small_face", "second_body", "inside_out", "color", "texture")


def _doubts(result: ScanResult) -> list[str]:
    """Return the warnings that must not be overlooked among many scans."""
    findings = result.record["findings"]
    doubts = [entry["message"] for entry in findings if entry["code"] in _DOUBTS]
    if result.record["quality"]["verdict"] == "check":
        doubts.append("an unusual scan: look at each landmark.")
    return doubts


def _details(result: ScanResult) -> list[str]:
    """List the details for a single scan."""
    from palnet.surface import MINOR_FINDINGS

    quality = result.record["quality"]
    landmarks = result.landmarks
    lines = []
    if landmarks is not None:
        lines.append(f"  scan       one unit is {landmarks.mm_per_unit:g} mm")
    lines.append(
        f"  face       fitted to {quality['residual_mm']:.2f} mm, "
        f"{100 * quality['coverage']:.0f} % covered: {quality['verdict']}"
    )
    findings = result.record["findings"]
    notes = [each["message"] for each in findings if each["code"] not in MINOR_FINDINGS]
    if n_minor := len(findings) - len(notes):
        notes.append(f"Minor faults of the mesh, listed in the record: {n_minor}.")
    lines += [f"  note       {note}" for note in notes]
    true_error = _true_error(result)
    lines += [f"  true error {true_error}"] if true_error else []
    lines.append(f"  time       {result.seconds:.1f} s")
    lines += [f"  {_kind(path):<10} {path}" for path in result.files]
    return lines


def _kind(path: Path) -> str:
    return "picture" if path.suffix == ".png" else "file"


def _true_error(result: ScanResult) -> str:
    """Compare with the true landmarks, known for the bundled example only."""
    import numpy as np

    from palnet.exchange import read_landmarks
    from palnet.samples import example_scan, example_truth

    found = result.landmarks
    if found is None or result.scan != example_scan():
        return ""
    truth = read_landmarks(example_truth(), found.scheme, mm_per_unit=found.mm_per_unit)
    errors = np.linalg.norm(found.positions_mm - truth.positions_mm, axis=1)
    errors = errors[np.isfinite(errors)]
    return (
        f"{errors.mean():.2f} mm on average, {np.percentile(errors, 95):.2f} mm at the 95th "
        f"percentile ({len(errors)} landmarks with known truth; a generated face, which is "
        "easier than a real one)"
    )


class _Progress:
    """A progress line that is rewritten on a terminal; nothing in a log file."""

    def __init__(self, n_scans: int, stream: TextIO) -> None:
        self._n_scans = n_scans
        self._stream = stream
        self._is_shown = n_scans > 1 and stream.isatty()
        self._n_written = self._n_ended = 0

    def show(self, n_ended: int) -> None:
        self._n_ended = n_ended
        if self._is_shown:
            width = 30
            done = "#" * (width * n_ended // self._n_scans)
            line = f"[{done:<{width}}] {n_ended} of {self._n_scans} scans"
            self._stream.write(line)
            self._stream.flush()
            self._n_written = len(line)

    def clear(self) -> None:
        if self._is_shown:
            # Spaces instead of an escape sequence, which the older Windows console prints as text.
            self._stream.write(f"\r{'':{self._n_written}}\r")
            self._stream.flush()

    def interrupt(self, message: str) -> None:
        """Print a message while a result is awaited."""
        self.clear()
        tell(message)
        self.show(self._n_ended)
