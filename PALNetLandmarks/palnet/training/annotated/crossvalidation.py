# SPDX-License-Identifier: Apache-2.0
"""Cross-validate a network on annotated scans; resumable at every step."""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._csv import csv_text
from palnet._files import remove, write_text
from palnet._page import section
from palnet._run_folder import CLAIM_NAME, check_run_folder, claim_folder
from palnet._stored import counted, read_kept, write_arrays
from palnet.errors import TrainingError
from palnet.evaluation import (
    Evaluation,
    Pair,
    compare,
    mean_pairwise_error_mm,
    page_of_evaluation,
    summarize_landmarks,
    tables_of_evaluation,
    take_figures,
)
from palnet.exchange import write_landmarks
from palnet.measurement import load_shipped_plan
from palnet.model import read_model
from palnet.scheme import SCHEME_FILE, scheme_to_dict
from palnet.training.annotated.aligning import prepare_scans
from palnet.training.annotated.cohort import find_outliers
from palnet.training.annotated.folds import split_for_training, split_people
from palnet.training.annotated.paper_method import PaperMethod
from palnet.training.annotated.protocol import PaperProtocol
from palnet.training.annotated.scan_cache import tell_left_out, write_left_out
from palnet.training.annotated.tuning import check_start
from palnet.training.annotated.tuning_method import TuningMethod
from palnet.training.curves import draw_curve, read_curve
from palnet.training.parallel import on_first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.data_sets.dataset import DataSet
    from palnet.scheme import Scheme
    from palnet.training.annotated.aligning import PreparedScan
    from palnet.training.annotated.fold_method import FoldMethod, Parts
    from palnet.training.annotated.folds import Fold
    from palnet.training.annotated.protocol import TuningProtocol

    Around = Callable[[Path], AbstractContextManager[object]]

__all__ = ["FoldResult", "check_folder", "choose_scans", "cross_validate"]

logger = logging.getLogger(__name__)

# Prefix of the fold folders, followed by a number from 1.
FOLD = "fold"


@dataclass(frozen=True, slots=True)
class FoldResult:
    """A row of ``folds.csv``.

    Attributes
    ----------
    fold : str
        Number from 1, or "all".
    n_train, n_validation, n_test : int
        Number of scans in each part.
    n_epochs : int
        Trained epochs; the last one may be partial.
    validation_mm : float
        Error of the best epoch on the validation people, before the finish.
    mean_mm, median_mm : float
        Errors of the landmarks on the tested people.
    pairwise_mm : float
        Mean error of all inter-landmark distances, without the zero diagonal.
    baseline_mm, baseline_pairwise_mm : float
        The same means for the network's starting point, on the surface: the mean landmarks of the
        training people (the paper's networks), those of the atlas (from scratch), or those of the
        model that was fine-tuned.
    """

    fold: str
    n_train: int
    n_validation: int
    n_test: int
    n_epochs: int
    validation_mm: float
    mean_mm: float
    median_mm: float
    pairwise_mm: float
    baseline_mm: float
    baseline_pairwise_mm: float


def cross_validate(
    data: DataSet,
    protocol: PaperProtocol | TuningProtocol,
    folder: Path,
    *,
    jobs: int = 1,
    train_all: bool = False,
    around: Around = nullcontext,
    faces: Path | None = None,
) -> list[FoldResult]:
    """Train and test every fold; call again with the same folder to resume.

    Parameters
    ----------
    data : DataSet
        The annotated scans.
    protocol : PaperProtocol or TuningProtocol
        The protocol to follow.
    folder : Path
        The run folder: prepared scans, a folder per fold, predictions, tables and the report.
    jobs : int
        Number of processes for everything but training.
    train_all : bool
        Whether to train on everybody at the end, for ``model.npz`` in the run folder.
    around : callable
        Takes a training's folder and returns a context manager to run the training in, e.g. to
        measure it, or to stop before it by raising. Not called for finished trainings.
    faces : Path, optional
        Where a fine-tuning of the same model has cached its faces; by default ``faces`` in the
        run folder.

    Returns
    -------
    list of FoldResult
        One per fold, then the pooled result.

    Raises
    ------
    ModelFileError
        If the model to fine-tune does not exist.
    UsageError
        If that model cannot be fine-tuned on these scans, the folder belongs to another run, or
        there are too few people.
    TrainingError
        If a training cannot continue.
    """
    if not isinstance(protocol, PaperProtocol) and protocol.is_tuning:
        # Before the folder is claimed, and hours are spent on the scans.
        check_start(data.scheme, read_model(protocol.start))
    scans = on_first(partial(choose_scans, data, protocol, folder, jobs))
    method: FoldMethod
    if isinstance(protocol, PaperProtocol):
        method = PaperMethod(data, protocol, scans)
    else:
        method = TuningMethod(data, protocol, faces or folder / "faces", jobs=jobs)
    people = [scan.aligned.person for scan in scans]
    seed, share = protocol.seed, protocol.cohort.validation_share
    folds = split_people(people, protocol.n_folds, seed, share, method.least_validation)
    everybody = split_for_training(people, seed, share, method.least_validation)
    # Check all folds before hours are spent on the first.
    for fold in (*folds, everybody) if train_all else folds:
        method.check(_part(scans, fold))
    results: list[FoldResult] = []
    pairs: list[Pair] = []
    baseline: list[Pair] = []
    for number, fold in enumerate(folds, start=1):
        place = folder / f"{FOLD}{number}"
        _train_fold(scans, fold, method, place, around)
        result, fold_pairs, fold_baseline = on_first(
            partial(_test_fold, scans, fold, method, place, data.scheme, protocol)
        )
        on_first(partial(method.export_fold, fold, place, fold_pairs, asdict(result)))
        results.append(result)
        pairs += fold_pairs
        baseline += fold_baseline
    results.append(_pool(results, pairs, baseline))
    on_first(partial(_report, folder, pairs, data.scheme, protocol, results))
    if train_all:
        _train_fold(scans, everybody, method, folder / "all", around)
        rows = [asdict(result) for result in results]
        on_first(partial(method.export_all, everybody, folder / "all", rows))
    return results


def check_folder(folder: Path, scheme: Scheme, protocol: PaperProtocol | TuningProtocol) -> None:
    """Refuse a folder that holds another run or other files, before the scans are read.

    Parameters
    ----------
    folder : Path
        The run folder, which need not exist.
    scheme : Scheme
        Landmark scheme of the scans.
    protocol : PaperProtocol or TuningProtocol
        The protocol to follow.

    Raises
    ------
    UsageError
        If the folder cannot be used.
    """
    check_run_folder(folder, _describe_recipe(scheme, protocol))


def _describe_recipe(scheme: Scheme, protocol: PaperProtocol | TuningProtocol) -> dict[str, Any]:
    """Everything that determines the result of the run, except the scans."""
    recipe = {"scheme": scheme.name, **asdict(protocol)}
    if not scheme.is_shipped:  # the name alone does not identify it
        recipe["landmarks"] = scheme_to_dict(scheme)["landmarks"]
    return recipe


def choose_scans(
    data: DataSet, protocol: PaperProtocol | TuningProtocol, folder: Path, jobs: int = 1
) -> list[PreparedScan]:
    """Prepare the scans; leave out and report those that were registered wrongly.

    Parameters
    ----------
    data : DataSet
        The annotated scans.
    protocol : PaperProtocol or TuningProtocol
        Gives the spacing and the limit for outliers.
    folder : Path
        The run folder, which is claimed for this protocol.
    jobs : int
        Number of processes.

    Returns
    -------
    list of PreparedScan
        The scans to split into folds.

    Raises
    ------
    UsageError
        If the folder belongs to another run.
    TrainingError
        If no scan can be prepared.
    """
    claim_folder(folder, _describe_recipe(data.scheme, protocol))
    scans, refusals = prepare_scans(data, protocol.spacing_mm, folder / "scans", jobs=jobs)
    left_out = [*data.left_out, *refusals]
    if not scans:
        msg = "no scan could be prepared. " + (left_out[0] if left_out else "The folder has none.")
        raise TrainingError(msg)
    outliers = find_outliers([scan.aligned for scan in scans], protocol.cohort.outlier_mm)
    left_out += [
        f"{name}: over {protocol.cohort.outlier_mm:g} mm from the median" for name in outliers
    ]
    tell_left_out(left_out)
    if not (folder / f"{FOLD}1" / CLAIM_NAME).exists():  # a run goes on with the same scans only
        write_left_out(left_out, folder)
    return [scan for scan in scans if scan.aligned.specimen not in set(outliers)]


def _part(scans: Sequence[PreparedScan], fold: Fold) -> Parts:
    """Select the scans of each part of a fold."""
    rows = {"train": fold.train, "validation": fold.validation, "test": fold.test}
    return {part: [scans[row] for row in rows[part]] for part in rows}


def _train_fold(
    scans: Sequence[PreparedScan], fold: Fold, method: FoldMethod, place: Path, around: Around
) -> None:
    """Train on one part with early stopping on another and save the network, unless done before."""
    parts = _part(scans, fold)
    if not on_first(partial(_begin_fold, scans, parts, method, place)):
        return
    with around(place):
        method.train(parts, place)
    on_first(partial(_drop_checkpoint, place))


def _begin_fold(
    scans: Sequence[PreparedScan], parts: Parts, method: FoldMethod, place: Path
) -> bool:
    """Claim the folder of a fold and return whether it still has to be trained."""
    members = {part: [scan.aligned.specimen for scan in parts[part]] for part in parts}
    digest = hashlib.sha256("".join(scan.digest for scan in scans).encode()).hexdigest()
    made_of = {"scans_sha256": digest} | ({"method": method.digest} if method.digest else {})
    claim_folder(place, {**members, **made_of}, part_of=place.parent)
    is_trained = method.is_trained(place)
    if is_trained:
        _drop_checkpoint(place)
    else:  # whose errors or weights it holds are about to change
        remove(place.parent / "model.npz")
    return not is_trained


def _drop_checkpoint(place: Path) -> None:
    """Delete the checkpoint: two moments per weight, 0.8 GB for the full network."""
    remove(place / "checkpoint.pt")


def _test_fold(
    scans: Sequence[PreparedScan],
    fold: Fold,
    method: FoldMethod,
    place: Path,
    scheme: Scheme,
    protocol: PaperProtocol | TuningProtocol,
) -> tuple[FoldResult, list[Pair], list[Pair]]:
    """Save the predictions of a fold for its test people, and write its tables."""
    tested = [scans[row] for row in fold.test]
    path = place / "predicted.npz"
    if not path.exists():
        finished_mm, starts_mm = method.predict(tested, place)
        write_arrays(path, {"finished_mm": finished_mm, "starts_mm": starts_mm})
    pairs, baseline = _read_pairs(tested, place)
    _write_tables(place, pairs, scheme)
    sizes = (len(fold.train), len(fold.validation), len(fold.test))
    number, curve = place.name.removeprefix(FOLD), read_curve(place)
    # The landmark network is not validated once per epoch.
    n_epochs = protocol.count_epochs(int(curve["step"][-1]), sizes[0])
    trained = n_epochs, curve["validation_mm"].min()
    result = _result(number, sizes, trained, pairs, baseline)
    logger.info(
        "fold %s: %.2f mm on %d scans; %s %.2f mm",
        number,
        result.mean_mm,
        len(tested),
        protocol.baseline,
        result.baseline_mm,
    )
    return result, pairs, baseline


def _read_pairs(tested: Sequence[PreparedScan], place: Path) -> tuple[list[Pair], list[Pair]]:
    """Pair the truth with the predictions, and with the baseline."""
    arrays = read_kept(place / "predicted.npz")
    return _pair(tested, arrays["finished_mm"]), _pair(tested, arrays["starts_mm"])


def _pair(tested: Sequence[PreparedScan], predicted_mm: NDArray[np.floating]) -> list[Pair]:
    return [
        Pair(scan.to_file(positions), scan.truth)
        for scan, positions in zip(tested, predicted_mm, strict=True)
    ]


def _result(
    fold: str,
    sizes: tuple[int, int, int],
    trained: tuple[int, float],
    pairs: Sequence[Pair],
    baseline: Sequence[Pair],
) -> FoldResult:
    """Compute the figures of a fold."""
    every = summarize_landmarks(compare(pairs))[0]
    return FoldResult(
        fold,
        *sizes,
        n_epochs=trained[0],
        validation_mm=float(trained[1]),
        mean_mm=every.mean_mm,
        median_mm=every.median_mm,
        pairwise_mm=mean_pairwise_error_mm(pairs),
        baseline_mm=summarize_landmarks(compare(baseline))[0].mean_mm,
        baseline_pairwise_mm=mean_pairwise_error_mm(baseline),
    )


def _pool(
    results: Sequence[FoldResult], pairs: Sequence[Pair], baseline: Sequence[Pair]
) -> FoldResult:
    """Compute the figures over the test people of all folds; sizes and epochs are summed."""
    sizes = tuple(
        sum(getattr(result, name) for result in results)
        for name in ("n_train", "n_validation", "n_test")
    )
    n_epochs = sum(result.n_epochs for result in results)
    trained = n_epochs, float(np.mean([result.validation_mm for result in results]))
    return _result("all", sizes, trained, pairs, baseline)


def _write_tables(folder: Path, pairs: Sequence[Pair], scheme: Scheme) -> Evaluation:
    """Write the tables that `palnet evaluate` writes."""
    # A scheme without a plan is evaluated by its landmarks alone.
    evaluation = take_figures(pairs, load_shipped_plan(scheme.name))
    for name, text in tables_of_evaluation(evaluation).items():
        write_text(folder / name, text, overwrite=True)
    return evaluation


def _curves(folder: Path, n_folds: int) -> str:
    """Draw the training curve of each fold."""
    pictures = [
        f"<figure>{draw_curve(folder / f'{FOLD}{number}')}"
        f"<figcaption>Fold {number}</figcaption></figure>"
        for number in range(1, n_folds + 1)
    ]
    return section("Training", *pictures)


def _report(
    folder: Path,
    pairs: Sequence[Pair],
    scheme: Scheme,
    protocol: PaperProtocol | TuningProtocol,
    results: Sequence[FoldResult],
) -> None:
    """Write the pooled report, the tables, a row per fold, and all landmarks as files."""
    evaluation = _write_tables(folder, pairs, scheme)
    title = (
        f"{protocol.title}, {counted(protocol.n_folds, 'fold')} of {counted(len(pairs), 'scan')}"
    )
    page = page_of_evaluation(evaluation, title, [_curves(folder, protocol.n_folds)])
    write_text(folder / "report.html", page, overwrite=True)
    table = csv_text([asdict(result) for result in results])
    write_text(folder / "folds.csv", table, overwrite=True)
    if not scheme.is_shipped:  # the name alone does not identify it
        text = json.dumps(scheme_to_dict(scheme), indent=1, ensure_ascii=False) + "\n"
        write_text(folder / SCHEME_FILE, text, overwrite=True)
    for pair in pairs:
        for kind, landmarks in (("predicted", pair.predicted), ("truth", pair.truth)):
            write_landmarks(landmarks, folder / kind / f"{pair.specimen}.csv", overwrite=True)
