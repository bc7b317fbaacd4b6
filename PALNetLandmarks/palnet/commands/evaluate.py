# SPDX-License-Identifier: Apache-2.0
"""`palnet evaluate`: compare predicted and true landmarks, with tables and a report page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from palnet.commands._landmark_files import (
    FRAME_OPTIONS,
    add_reading_options,
    find_landmark_files,
    read_all,
    read_names,
)
from palnet.commands._telling import tell

if TYPE_CHECKING:
    from palnet.evaluation import Agreement, Pair
    from palnet.landmarks import LandmarkSet
    from palnet.measurement import MeasurementPlan

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_options", "run"]

HELP = "errors of predicted landmarks against true ones"
DESCRIPTION = "Compare predicted landmarks with true ones."

PAGE_NAME = "report.html"

EPILOG = """\
Specimens are matched by name (two single files always match), landmarks by code. --unit and --frame
apply to TRUTH, --repeat and --observer if the files do not say. It writes DIR/report.html and the
figures as DIR/landmarks.csv, measurement_errors.csv, specimens.csv and errors.csv. With --repeat
(the observer of TRUTH once more) or --observer (another one) it also reports how well the
annotations agree, in agreement_intra.csv and agreement_inter.csv. If a specimen of TRUTH has no
prediction, the report counts all its landmarks as lost, and in none of the errors; the columns
within_..._of_true count lost landmarks as outside. Exit code 0: all done; 1: some files or
specimens could not be used or have no partner, named on stderr; 2: wrong usage.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add = parser.add_argument
    add("predicted", type=Path, metavar="PREDICTED", help="landmark file, or folder of them")
    add("truth", type=Path, metavar="TRUTH", help="landmark file, or folder of them")
    add("--repeat", action="append", type=Path, default=[], metavar="PATH", help=_REPEAT_HELP)
    add("--observer", action="append", type=Path, default=[], metavar="PATH", help=_OBSERVER_HELP)
    add("--names", type=Path, metavar="CSV", help=_NAMES_HELP)
    add("--predicted-names", type=Path, metavar="CSV", help="the same for PREDICTED")
    add("-o", "--output", type=Path, default=Path("palnet-evaluation"), metavar="DIR",
        help="folder for the files [%(default)s]")  # fmt: skip
    add("--plan", metavar="JSON", help="what to measure [the plan of the landmark scheme]")
    add_reading_options(parser)
    add("--predicted-scheme", metavar="NAME_OR_PATH", help="as --scheme, for PREDICTED [--scheme]")
    add("--predicted-unit", metavar="UNIT", help="as --unit, for PREDICTED")
    add("--predicted-frame", choices=tuple(FRAME_OPTIONS), help="as --frame, for PREDICTED")
    add("--overwrite", action="store_true", help="replace an earlier report")


_REPEAT_HELP = "another annotation by the observer of TRUTH; may be repeated"
_OBSERVER_HELP = "annotation by another observer; may be repeated"
_NAMES_HELP = (
    "names of another lab in TRUTH, --repeat and --observer: a table 'their name,our code'"
)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand and return its exit code."""
    from palnet.errors import UsageError
    from palnet.evaluation import pair_specimens, with_unpredicted

    said = {
        "unit": arguments.predicted_unit,
        "frame": arguments.predicted_frame,
        "unit_option": "--predicted-unit",
        "scheme": arguments.predicted_scheme or arguments.scheme,
    }
    of_predicted = argparse.Namespace(**{**vars(arguments), **said})
    predicted, n_bad = _read(arguments.predicted, arguments.predicted_names, of_predicted)
    truth, n_bad_truth = _read(arguments.truth, arguments.names, arguments)
    are_files = not (arguments.predicted.is_dir() or arguments.truth.is_dir())
    pairs, alone = pair_specimens(predicted, truth, whatever_the_name=are_files)
    for line in alone:
        tell(line)
    if not any((pair.predicted.is_placed & pair.truth.is_placed).any() for pair in pairs):
        msg = (
            "PREDICTED and TRUTH must share a specimen with a landmark; got "
            f"{_names(predicted)} and {_names(truth)}. Specimens match by the names in the files."
        )
        raise UsageError(msg)
    _tell_other_names(pairs)
    _tell_other_landmarks(pairs[0].truth.scheme.codes, predicted)
    for pair in pairs:
        _warn_of_mistakes(pair, "PREDICTED")
    _tell_unreviewed(pairs)
    n_bad_again = _report(with_unpredicted(pairs, truth), truth, arguments)
    return 1 if alone or n_bad or n_bad_truth or n_bad_again else 0


def _tell_unreviewed(pairs: list[Pair]) -> None:
    """Say which true landmarks are a detection's: the folders are exchanged, or hold both."""
    from palnet._stored import listing

    names = [pair.truth.specimen for pair in pairs if pair.truth.is_unreviewed]
    if names:
        tell(
            "TRUTH holds landmarks as palnet detected them, none of which anybody corrected: "
            f"{listing(names)}. PREDICTED comes first, TRUTH second."
        )


def _report(pairs: list[Pair], truth: list[LandmarkSet], arguments: argparse.Namespace) -> int:
    """Compute all figures, then write them; count what is missing from the other annotations."""
    from palnet._stored import counted
    from palnet.evaluation import (
        OPTIONAL_EVALUATION_TABLES,
        page_of_evaluation,
        summarize_agreement,
        tables_of_evaluation,
        take_figures,
        write_report,
    )

    plan = _plan(pairs[0].truth.scheme.name, arguments.plan)
    agreement: dict[str, tuple[int, list[Agreement]]] = {}
    n_bad = 0
    for kind, folders in (("intra", arguments.repeat), ("inter", arguments.observer)):
        if folders:
            annotations, n_bad_here = _annotations(truth, folders, arguments)
            agreement[kind] = (len(annotations), summarize_agreement(annotations, plan))
            n_bad += n_bad_here
    evaluation = take_figures(pairs, plan, agreement)
    title = f"{arguments.predicted.name} against {arguments.truth.name}"
    files = {PAGE_NAME: page_of_evaluation(evaluation, title)} | tables_of_evaluation(evaluation)
    write_report(arguments.output, files, OPTIONAL_EVALUATION_TABLES, overwrite=arguments.overwrite)
    every, n_without = evaluation.landmarks[0], len(evaluation.comparison.unpredicted)
    print(
        f"{counted(len(pairs) - n_without, 'specimen')}, {counted(every.n, 'landmark')}: "
        f"{every.mean_mm:.2f} mm on "
        f"average, {every.p95_mm:.2f} mm at the 95th percentile"
        + (f"; {n_without} of {len(pairs)} specimens without a prediction" if n_without else "")
    )
    print(f"report: {arguments.output / PAGE_NAME}")
    return n_bad


def _read(
    path: Path, names: Path | None, arguments: argparse.Namespace
) -> tuple[list[LandmarkSet], int]:
    """Read one side, translating another lab's names; count the files that could not be used."""
    from palnet.errors import UsageError

    files = find_landmark_files([path], arguments.scheme)
    table = read_names(names, arguments)
    sets: list[LandmarkSet] = []
    n_bad = 0
    for _, specimens in read_all(files, arguments, table):
        sets += [table.translate(landmarks) for landmarks in specimens] if table else specimens
        n_bad += not specimens
    if not sets:
        msg = f"{path}: no readable landmark file. Name a file or a folder with some."
        raise UsageError(msg)
    return sets, n_bad


def _annotations(
    truth: list[LandmarkSet], folders: list[Path], arguments: argparse.Namespace
) -> tuple[list[list[LandmarkSet]], int]:
    """Return TRUTH and every other annotation of the specimens that all of them have.

    Unusable files are counted.
    """
    from palnet.errors import UsageError
    from palnet.evaluation import pair_specimens

    others: list[dict[str, LandmarkSet]] = []
    n_bad = 0
    for folder in folders:
        again, n_unread = _read(folder, arguments.names, arguments)
        are_files = not (folder.is_dir() or arguments.truth.is_dir())
        pairs, alone = pair_specimens(again, truth, whatever_the_name=are_files)
        _tell_other_names(pairs)
        for pair in pairs:
            _warn_of_mistakes(pair, str(folder))
        others.append({pair.specimen: pair.predicted for pair in pairs})
        if alone:
            said = ", ".join(alone).replace("no prediction", "no such annotation")
            tell(f"{folder}: left out of the agreement: {said}")
        n_bad += n_unread + len(alone)
    shared = [each for each in truth if all(each.specimen in other for other in others)]
    if not shared:
        places = ", ".join(map(str, folders))
        msg = (
            f"{places}: must share a specimen with TRUTH; got none. Specimens match by the names "
            "inside the files."
        )
        raise UsageError(msg)
    return [shared, *([other[true.specimen] for true in shared] for other in others)], n_bad


def _tell_other_names(pairs: list[Pair]) -> None:
    """Report specimens with different names on the two sides: one may be a mistake."""
    from palnet._stored import listing
    from palnet.landmarks import printable_name

    texts = [
        f"{pair.predicted.specimen} is compared with {pair.specimen}"
        for pair in pairs
        if printable_name(pair.predicted.specimen) != printable_name(pair.specimen)
    ]
    if texts:
        tell(listing(texts, _MOST_NAMED))


def _tell_other_landmarks(codes: tuple[str, ...], predicted: list[LandmarkSet]) -> None:
    """Report predicted landmarks that the scheme of the truth lacks, which no figure counts."""
    from palnet._stored import listing

    others = {
        code: None
        for each in predicted
        for code, is_placed in zip(each.scheme.codes, each.is_placed, strict=True)
        if is_placed and code not in codes
    }
    if others:
        tell(f"not compared: the scheme of TRUTH lacks {listing(list(others), _MOST_NAMED)}")


def _plan(scheme: str, path: str | None) -> MeasurementPlan:
    """Load the measurement plan; without one for the scheme, only landmarks are compared."""
    from palnet.measurement import load_measurement_plan, load_shipped_plan

    if path is not None:
        return load_measurement_plan(path)
    plan = load_shipped_plan(scheme)
    if not plan.definitions:
        tell(f"no measurements: none come with scheme {scheme!r}")
    return plan


# Beyond this, a prediction that fits after alignment has another frame; it is not inaccurate.
_FAR_MM = 30.0
_NEAR_MM = 10.0


def _warn_of_mistakes(pair: Pair, side: str) -> None:
    """Warn of errors that stem from the files: another frame, or swapped labels."""
    if not _warn_of_frame(pair, side):
        _warn_of_exchanged(pair, side)


def _warn_of_frame(pair: Pair, side: str) -> bool:
    """Warn of a different frame or unit."""
    import numpy as np

    from palnet.similarity import measure_offset_mm

    is_there = pair.predicted.is_placed & pair.truth.is_placed
    if is_there.sum() < 4:
        return False
    predicted = pair.predicted.positions_mm[is_there]
    true = pair.truth.positions_mm[is_there]
    before = float(np.median(np.linalg.norm(predicted - true, axis=1)))
    after = measure_offset_mm(predicted, true)
    is_elsewhere = before > _FAR_MM and after < _NEAR_MM
    if is_elsewhere:
        tell(
            f"{pair.specimen}: {before:.0f} mm off, {after:.1f} mm when moved to fit: "
            f"{side} and TRUTH seem to be in different frames or units."
        )
    return is_elsewhere


# Two landmarks at least this far off, each this near to the other's true position, were swapped.
_EXCHANGED_FROM_MM, _EXCHANGED_WITHIN_MM = 10.0, 6.0
# Longest list of names in a message.
_MOST_NAMED = 4


def _warn_of_exchanged(pair: Pair, side: str) -> None:
    """Warn of swapped labels, especially those of left and right."""
    import numpy as np

    from palnet._stored import listing

    found, true = pair.predicted.positions_mm, pair.truth.positions_mm
    apart = np.nan_to_num(np.linalg.norm(found[:, None] - true[None], axis=2), nan=np.inf)
    nearest, codes = apart.argmin(axis=1), pair.truth.scheme.codes
    far = np.isfinite(np.diag(apart)) & (np.diag(apart) > _EXCHANGED_FROM_MM)
    far &= apart.min(axis=1) < _EXCHANGED_WITHIN_MM
    pairs = [
        f"{codes[a]} and {codes[b]}"
        for a, b in enumerate(nearest)
        if a < b and far[a] and far[b] and nearest[b] == a
    ]
    if pairs:
        text = f"{listing(pairs, _MOST_NAMED)} seem to be exchanged in {side} or in TRUTH."
        tell(f"{pair.specimen}: {text}")


def _names(sets: list[LandmarkSet]) -> str:
    from palnet._stored import listing

    return listing([landmarks.specimen for landmarks in sets], _MOST_NAMED)
