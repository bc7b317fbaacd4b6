# SPDX-License-Identifier: Apache-2.0
"""Result of a training: comparison with its start, calibration, and the model file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

from palnet.evaluation import Pair
from palnet.face.fit import measure_misfit
from palnet.model import ModelParts, write_model
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
    from palnet.training.annotated.faces import AnnotatedFace

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

# A result replaces its start if chance alone would give such a gain, by person, in fewer than one
# of this many cohorts. This only screens: the same people chose the weights (docs/training.md).
ONE_IN = 20
# The errors of one person's landmarks are correlated, so the number of people matters: with this
# many, the mean error is known to about 7 %.
MIN_CALIBRATION_PEOPLE = 20


@dataclass(frozen=True, eq=False, slots=True)
class Choice:
    """Comparison of a training's start and result on the validation people.

    Attributes
    ----------
    before, after : list of Pair
        Landmarks of start and result, on the triangles, with the truth.
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
    """Place all landmarks as a detection does, and pair them with the truth.

    Parameters
    ----------
    faces : sequence of AnnotatedFace
        The scans.
    weights : mapping of str to ndarray
        The landmark network.
    atlas : FaceAtlas
        Atlas that gives the starts.

    Returns
    -------
    list of Pair
        In file coordinates.
    """
    return [
        Pair(face.to_file(face.project(face.predict(weights, atlas).positions_mm)), face.truth)
        for face in faces
    ]


def choose_weights(
    faces: Sequence[AnnotatedFace], start: Weights, tuned: Weights, atlas: FaceAtlas
) -> Choice:
    """Compare a result with its start; only a statistically significant gain counts.

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
        Better if the mean error is lower and a one-sided paired t-test over people is significant.
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
    """Describe for a model's metadata which weights it holds, and how the others compare.

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
    """Count the people and scans for a model's metadata, without names.

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
    """Compute the mean error of all landmarks that the truth has.

    Parameters
    ----------
    pairs : sequence of Pair
        As returned by `place_landmarks`.

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
    """Test whether a mean gain is significant.

    Parameters
    ----------
    gains : ndarray of shape (n_people,)
        Gain of each person.

    Returns
    -------
    bool
        Result of a one-sided t-test; false for a single person.
    """
    if len(gains) < 2:
        return False
    chance = gains.std(ddof=1) / np.sqrt(len(gains)) * student.ppf(1 - 1 / ONE_IN, len(gains) - 1)
    return bool(gains.mean() > chance)


def refit_calibration(
    faces: Sequence[AnnotatedFace], weights: Weights, atlas: FaceAtlas, known: Calibration
) -> Calibration:
    """Fit the expected errors to these people, if there are enough.

    Parameters
    ----------
    faces : sequence of AnnotatedFace
        The validation part.
    weights : mapping of str to ndarray
        The landmark network.
    atlas : FaceAtlas
        Gives the starts of the landmarks.
    known : Calibration
        Returned if there are fewer people than `MIN_CALIBRATION_PEOPLE`; its minimum visibility
        and misfit power are kept in any case.

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
        misfit = measure_misfit(face.residual_mm)
        rows.append((error, prediction.spread_mm, face.truth.is_placed, misfit))
    sample = CalibrationSample(*(np.array(column) for column in zip(*rows, strict=True)))
    fitted = fit_calibration(sample, misfit_power=known.misfit_power)
    # A lab's validation people are few and alike, so the base model's limit for a face is kept.
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
    """Write a model for `palnet detect --model`.

    Parameters
    ----------
    path : Path
        Output file; an existing file is replaced.
    base : Model
        Model that the pose networks are taken from.
    scheme : Scheme
        The landmarks that the model places.
    atlas : FaceAtlas
        With the landmarks of that scheme.
    weights : mapping of str to ndarray
        The landmark network.
    calibration : Calibration
        Maps spread to expected error.
    about : dict
        Metadata of the training, apart from the base model and the versions.
    """
    pose = {name: w for name, w in base.weights.items() if not name.startswith("landmarks.")}
    landmarks = {f"landmarks.{name}": np.asarray(weight) for name, weight in weights.items()}
    metadata = {
        "base": {"name": base.name, "sha256": base.sha256, "metadata": base.metadata},
        "licence": f"what the scans allow, and of the base model: {base.metadata.get('licence')}",
        **about,
        "versions": describe_versions(),
    }
    parts = ModelParts(
        scheme=scheme,
        atlas=atlas,
        weights={**pose, **landmarks},
        calibration=calibration,
        metadata=metadata,
    )
    write_model(path, parts)
