# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a model on a lab's few annotated scans, and report the changes."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from palnet._csv import csv_text
from palnet._files import write_text
from palnet._run_folder import check_run_folder, claim_folder
from palnet.errors import UsageError
from palnet.model import read_model
from palnet.training.annotated.faces import prepare_faces
from palnet.training.annotated.folds import split_for_training
from palnet.training.annotated.scan_cache import LEFT_OUT_FILE, tell_left_out, write_left_out
from palnet.training.annotated.tuning import check_start, describe_recipe, tune_model
from palnet.training.annotated.tuning_method import MIN_VALIDATION_PEOPLE
from palnet.training.annotated.tuning_report import page_of_tuning, summarize_changes
from palnet.training.annotated.tuning_result import (
    MIN_CALIBRATION_PEOPLE,
    describe_choice,
    describe_people,
    refit_calibration,
    write_tuned_model,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from palnet.data_sets.dataset import DataSet
    from palnet.model import Model
    from palnet.training.annotated.faces import AnnotatedFace
    from palnet.training.annotated.protocol import TuningProtocol
    from palnet.training.annotated.tuning_report import LandmarkChange
    from palnet.training.annotated.tuning_result import Choice

__all__ = ["FACES", "MIN_PEOPLE", "FineTuning", "check_folder", "finetune_model"]

logger = logging.getLogger(__name__)

FACES = "faces"
"""Subfolder of a run folder with the prepared faces, shared with its folds."""

MIN_PEOPLE = 8
"""Otherwise, fewer than five people would remain for training after the validation split."""


# Folds are tested in their own folder, and may be requested later.
_MAY_DIFFER = ("n_folds",)


@dataclass(frozen=True, eq=False, slots=True)
class FineTuning:
    """Result of a fine-tuning.

    Attributes
    ----------
    path : Path
        The model file.
    is_better : bool
        Whether the file holds tuned weights; if no gain was significant, it holds the start.
    changes : list of LandmarkChange
        Errors before and after on the validation people, starting with all landmarks together.
    left_out : list of str
        Scans that could not be used, and why, as in ``left_out.txt``.
    """

    path: Path
    is_better: bool
    changes: list[LandmarkChange]
    left_out: list[str]


def finetune_model(
    data: DataSet, protocol: TuningProtocol, folder: Path, *, jobs: int = 1
) -> FineTuning:
    """Fine-tune a model; call again with the same folder to resume after an interruption.

    Parameters
    ----------
    data : DataSet
        Annotated scans in the model's scheme; landmarks may be missing.
    protocol : TuningProtocol
        Model, layers and training parameters.
    folder : Path
        The run folder: prepared faces, left-out scans, checkpoint, curve, report, model file.
    jobs : int
        Number of processes for everything but training.

    Returns
    -------
    FineTuning
        The model's path, and how it compares with its start.

    Raises
    ------
    ModelFileError
        If the model does not exist.
    UsageError
        If the scheme differs, there are too few people, or the folder belongs to another run.
    TrainingError
        If the training cannot continue.
    """
    base = read_model(protocol.start)
    check_start(data.scheme, base)
    _check_people([scan.person for scan in data.scans], "annotated scans")
    check_folder(folder, base, protocol)
    faces, refusals = prepare_faces(data, base, folder / FACES, jobs=jobs)
    left_out = [*data.left_out, *refusals]
    tell_left_out(left_out)
    train, validation = _split(faces, protocol)
    claim = _describe_recipe(base, protocol) | _describe_scans(train, validation)
    claim_folder(folder, claim, ignoring=_MAY_DIFFER)
    write_left_out(left_out, folder)
    weights, choice = tune_model(train, validation, base, protocol, folder / "training")
    calibration = base.calibration
    if choice.is_better:
        calibration = refit_calibration(validation, weights, base.atlas, calibration)
    changes = summarize_changes(choice.before, choice.after)
    about = _describe_result(base, protocol, (train, validation), choice)
    path = folder / f"{base.path.stem}-finetuned.npz"
    write_tuned_model(
        path,
        base,
        scheme=base.scheme,
        atlas=base.atlas,
        weights=weights,
        calibration=calibration,
        about={"finetuning": about | {"landmarks": [asdict(change) for change in changes]}},
    )
    title = f"{base.name} fine-tuned on {about['people']} people"
    page = page_of_tuning(title, _facts(base, about, len(left_out)), choice, changes)
    write_text(folder / "report.html", page, overwrite=True)
    table = csv_text([asdict(change) for change in changes])
    write_text(folder / "before_after.csv", table, overwrite=True)
    return FineTuning(path, choice.is_better, changes, left_out)


def check_folder(folder: Path, base: Model, protocol: TuningProtocol) -> None:
    """Refuse a folder that holds another run or other files, before the scans are read.

    Parameters
    ----------
    folder : Path
        The run folder, which need not exist.
    base : Model
        The model to start from.
    protocol : TuningProtocol
        Layers and training parameters.

    Raises
    ------
    UsageError
        If the folder cannot be used.
    """
    check_run_folder(folder, _describe_recipe(base, protocol), ignoring=_MAY_DIFFER)


def _split(
    faces: list[AnnotatedFace], protocol: TuningProtocol
) -> tuple[list[AnnotatedFace], list[AnnotatedFace]]:
    """Split the faces into training and validation parts of different people."""
    people = [face.person for face in faces]
    _check_people(people, "annotated scans with a face that is found")
    share = protocol.cohort.validation_share
    fold = split_for_training(people, protocol.seed, share, MIN_VALIDATION_PEOPLE)
    return [faces[row] for row in fold.train], [faces[row] for row in fold.validation]


def _check_people(people: Sequence[str], what: str) -> None:
    """Require enough people; called before the scans are prepared and again afterwards."""
    n_people = len(set(people))
    if n_people < MIN_PEOPLE:
        msg = (
            f"fine-tuning needs {what} of at least {MIN_PEOPLE} people; got {n_people}. "
            "Annotate more scans."
        )
        raise UsageError(msg)


def _digest(faces: Sequence[AnnotatedFace]) -> str:
    """Hash of the scans, their landmarks and the model's pose search."""
    return hashlib.sha256("".join(face.digest for face in faces).encode()).hexdigest()


def _describe_recipe(base: Model, protocol: TuningProtocol) -> dict[str, Any]:
    """Everything that determines the result of the run, except the scans."""
    return {"model_sha256": base.sha256, **asdict(protocol)}


def _describe_scans(
    train: Sequence[AnnotatedFace], validation: Sequence[AnnotatedFace]
) -> dict[str, Any]:
    """Scans and landmarks, which are known once the faces were prepared."""
    return {
        "train": [face.specimen for face in train],
        "validation": [face.specimen for face in validation],
        "scans_sha256": _digest([*train, *validation]),
    }


def _describe_result(
    base: Model,
    protocol: TuningProtocol,
    parts: tuple[list[AnnotatedFace], list[AnnotatedFace]],
    choice: Choice,
) -> dict[str, Any]:
    """Metadata of the training for the model file, without names of scans, people or folders."""
    people = describe_people(*parts)
    refitted = choice.is_better and people["people_validation"] >= MIN_CALIBRATION_PEOPLE
    return {
        "layers": protocol.layers,
        "recipe": describe_recipe(protocol, base),
        **people,
        "scans_sha256": _digest([*parts[0], *parts[1]]),
        **describe_choice(choice),
        "expected_errors": "fitted to the validation people" if refitted else "of the base model",
    }


def _facts(base: Model, about: dict[str, Any], n_left_out: int) -> list[tuple[str, str]]:
    """Rows of the report's first table."""
    kept = "of the base model"
    if about["people_validation"] < MIN_CALIBRATION_PEOPLE:
        kept += f" (fitting them takes {MIN_CALIBRATION_PEOPLE} validation people)"
    fitted = about["expected_errors"]
    return [
        ("Base model", f"{base.name}, SHA-256 {base.sha256}"),
        (
            "Layers",
            {"head": "head: the layers that say where a landmark lies", "all": "all"}[
                about["layers"]
            ],
        ),
        ("Scans", str(about["scans"])),
        ("Scans left out", f"{n_left_out}; {LEFT_OUT_FILE} says which and why"),
        ("People for training", str(about["people_train"])),
        ("People for validation", str(about["people_validation"])),
        ("Written", about["kept"]),
        ("Expected errors", fitted if fitted != "of the base model" else kept),
    ]
