# SPDX-License-Identifier: Apache-2.0
"""What comes of a training: is it better than its start, how sure is it, and the model file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

from palnet.evaluation import Pair
from palnet.face.fit import measure_misfit
from palnet.model import write_model
from palnet.training.calibration import CalibrationSample, fit_calibration
from palnet.training.execution import describe_versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.calibration import Calibration
    from palnet.face.atlas import FaceAtlas
    from palnet.model import Model
    from palnet.network.layers import Weights
    from palnet.scheme import Scheme
    from palnet.training.faces import AnnotatedFace

__all__ = [
    "MIN_CALIBRATION_PEOPLE",
    "Choice",
    "choose_weights",
    "describe_choice",
    "describe_people",
    "is_sure_gain",
    "measure_error_mm",
    "place_landmarks",
    "refit_calibration",
    "write_tuned_model",
]

# A result replaces its start if chance alone would make such a gain, by person, in fewer than one
# of so many cohorts.
ONE_IN = 20
# A person's landmarks err together, so that people count and not landmarks: of so many people the
# mean error is known to about 7 % of itself.
MIN_CALIBRATION_PEOPLE = 20


@dataclass(frozen=True, eq=False, slots=True)
class Choice:
    """The start of a training against what came of it, on the people that said when to stop.

    Attributes
    ----------
    before, after : list of Pair
        Landmarks of the start and of the result, on the triangles, with the truth.
    before_mm, after_mm : float
        Mean errors.
    is_better : bool
        Whether the result replaces the start.
    """

    before: list[Pair]
    after: list[Pair]
    before_mm: float
    after_mm: float
    is_better: bool


def place_landmarks(
    faces: Sequence[AnnotatedFace], weights: Weights, atlas: FaceAtlas
) -> list[Pair]:
    """Place the landmarks as a detection does, all of them, and pair them with the truth.

    Parameters
    ----------
    faces : sequence of AnnotatedFace
        The scans.
    weights : mapping of str to ndarray
        The landmark network.
    atlas : FaceAtlas
        Gives the starts.

    Returns
    -------
    list of Pair
        In the numbers of the mesh files.
    """
    return [
        Pair(face.to_file(face.project(face.predict(weights, atlas).positions_mm)), face.truth)
        for face in faces
    ]


def choose_weights(
    faces: Sequence[AnnotatedFace], start: Weights, tuned: Weights, atlas: FaceAtlas
) -> Choice:
    """Compare a result with its start: a gain that may well be chance is none.

    Parameters
    ----------
    faces : sequence of AnnotatedFace
        The validation part.
    start, tuned : mapping of str to ndarray
        Weights of the landmark network.
    atlas : FaceAtlas
        Gives the starts of the landmarks.

    Returns
    -------
    Choice
        Better if the mean error is, and a one-sided paired t-test over people says so as well.
    """
    before, after = (place_landmarks(faces, weights, atlas) for weights in (start, tuned))
    by_person: dict[str, list[NDArray[np.float64]]] = {}
    for face, old, new in zip(faces, before, after, strict=True):
        by_person.setdefault(face.person, []).append(_errors(old) - _errors(new))
    gains = np.array([np.concatenate(each).mean() for each in by_person.values()])
    before_mm, after_mm = measure_error_mm(before), measure_error_mm(after)
    is_better = after_mm < before_mm and is_sure_gain(gains)
    return Choice(before, after, before_mm, after_mm, is_better)


def describe_choice(choice: Choice) -> dict[str, Any]:
    """Say for the metadata of a model which weights it holds, and what the others were like.

    Parameters
    ----------
    choice : Choice
        The result against its start.

    Returns
    -------
    dict
        JSON-ready.
    """
    return {
        "kept": "the result" if choice.is_better else "the start: nothing was clearly better",
        "before_mm": round(choice.before_mm, 3),
        "after_mm": round(choice.after_mm, 3),
    }


def describe_people(
    train: Sequence[AnnotatedFace], validation: Sequence[AnnotatedFace]
) -> dict[str, Any]:
    """Count for the metadata of a model who made it; nobody by name.

    Parameters
    ----------
    train, validation : sequence of AnnotatedFace
        Different people.

    Returns
    -------
    dict
        JSON-ready.
    """
    n_train, n_validation = (len({face.person for face in part}) for part in (train, validation))
    return {
        "scans": len(train) + len(validation),
        "people": n_train + n_validation,
        "people_train": n_train,
        "people_validation": n_validation,
    }


def measure_error_mm(pairs: Sequence[Pair]) -> float:
    """Give the mean error of all landmarks that the truth has.

    Parameters
    ----------
    pairs : sequence of Pair
        As `place_landmarks` gives them.

    Returns
    -------
    float
        In true millimetres.
    """
    return float(np.concatenate([_errors(pair) for pair in pairs]).mean())


def _errors(pair: Pair) -> NDArray[np.float64]:
    """Errors of the landmarks that the truth has, in true millimetres."""
    error = np.linalg.norm(pair.predicted.positions_mm - pair.truth.positions_mm, axis=1)
    return np.asarray(error[pair.truth.is_placed])


def is_sure_gain(gains: NDArray[np.float64]) -> bool:
    """Whether a mean gain is more than chance makes.

    Parameters
    ----------
    gains : ndarray of shape (n_people,)
        Gain of each person.

    Returns
    -------
    bool
        By a one-sided t-test; of one person nothing can be told.
    """
    if len(gains) < 2:
        return False
    chance = gains.std(ddof=1) / np.sqrt(len(gains)) * student.ppf(1 - 1 / ONE_IN, len(gains) - 1)
    return bool(gains.mean() > chance)


def refit_calibration(
    faces: Sequence[AnnotatedFace], weights: Weights, atlas: FaceAtlas, known: Calibration
) -> Calibration:
    """Fit the expected errors to these people, if they are enough.

    Parameters
    ----------
    faces : sequence of AnnotatedFace
        The validation part.
    weights : mapping of str to ndarray
        The landmark network.
    atlas : FaceAtlas
        Gives the starts of the landmarks.
    known : Calibration
        What is kept where they are fewer than `MIN_CALIBRATION_PEOPLE`; its least visibility stays,
        and how much a bad fit of the atlas counts.

    Returns
    -------
    Calibration
        Fitted, or the known one.
    """
    if len({face.person for face in faces}) < MIN_CALIBRATION_PEOPLE:
        return known
    rows = []
    for face in faces:
        prediction = face.predict(weights, atlas)
        placed = face.project(prediction.positions_mm)
        error = np.linalg.norm(placed - face.truth_mm, axis=1)
        shown, misfit = face.truth.is_placed, measure_misfit(face.residual_mm)
        rows.append((error, prediction.spread_mm, np.ones(len(shown)), shown, misfit))
    sample = CalibrationSample(*(np.array(column) for column in zip(*rows, strict=True)))
    fitted = fit_calibration(sample, misfit_power=known.misfit_power)
    # A lab's validation people are few and alike: whether a scan is a face, the base model knows.
    return replace(
        fitted,
        min_visibility=known.min_visibility,
        largest_spread_mm=known.largest_spread_mm,
    )


def write_tuned_model(
    path: Path,
    base: Model,
    *,
    scheme: Scheme,
    atlas: FaceAtlas,
    weights: Weights,
    calibration: Calibration,
    about: dict[str, Any],
) -> None:
    """Write a model that `palnet detect --model` takes.

    Parameters
    ----------
    path : Path
        Where; an existing file is replaced.
    base : Model
        Gives the pose networks.
    scheme : Scheme
        The landmarks it places.
    atlas : FaceAtlas
        With the landmarks of that scheme.
    weights : mapping of str to ndarray
        The landmark network.
    calibration : Calibration
        From spread to expected error.
    about : dict
        What the metadata say of the training, beside the base model and the versions.
    """
    pose = {name: w for name, w in base.weights.items() if not name.startswith("landmarks.")}
    landmarks = {f"landmarks.{name}": np.asarray(weight) for name, weight in weights.items()}
    metadata = {
        "base": {"name": base.name, "sha256": base.sha256, "metadata": base.metadata},
        "licence": f"what the scans allow, and of the base model: {base.metadata.get('licence')}",
        **about,
        "versions": describe_versions(),
    }
    write_model(
        path,
        scheme=scheme,
        atlas=atlas,
        weights={**pose, **landmarks},
        calibration=calibration,
        metadata=metadata,
    )
