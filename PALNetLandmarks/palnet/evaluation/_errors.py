# SPDX-License-Identifier: Apache-2.0
"""Error statistics of predicted against true landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._stored import counted
from palnet.evaluation._axes import holds_pose, poses_of
from palnet.evaluation._pairs import check_any, check_one_scheme, list_pairs
from palnet.similarity import apply_similarity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from palnet.evaluation._pairs import Pair
    from palnet.scheme import Scheme

__all__ = ["AXES", "LIMITS_MM", "Comparison", "LandmarkErrors", "compare", "summarize_landmarks"]

# Limits for success rates: clinics ask for 2 mm, the others are usual in publications.
LIMITS_MM = (2.0, 2.5, 3.0, 4.0)
# Names of the axes of a comparison, by whether they are those of the face.
AXES = {True: ("left", "up", "front"), False: ("x", "y", "z")}


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """All differences, predicted minus true.

    Convention: millimetres; axes of the face, +X the subject's left, +Y up, +Z front, if
    `are_of_face`; else those of the first specimen.

    Attributes
    ----------
    scheme : Scheme
        The landmark scheme.
    specimens : tuple of str
        Names of the specimens.
    truth_mm : ndarray of shape (n_specimens, n_landmarks, 3)
        True positions, NaN where missing.
    differences_mm : ndarray of shape (n_specimens, n_landmarks, 3)
        NaN if either is missing.
    is_lost : ndarray of shape (n_specimens, n_landmarks)
        True landmarks that were not predicted.
    is_extra : ndarray of shape (n_specimens, n_landmarks)
        Predicted landmarks that the truth does not have.
    expected_mm : ndarray of shape (n_specimens, n_landmarks)
        Expected errors of the prediction, NaN if unknown.
    are_of_face : bool
        Whether the axes are those of the face.
    """

    scheme: Scheme
    specimens: tuple[str, ...]
    truth_mm: NDArray[np.float64]
    differences_mm: NDArray[np.float64]
    is_lost: NDArray[np.bool_]
    is_extra: NDArray[np.bool_]
    expected_mm: NDArray[np.float64]
    are_of_face: bool

    def __repr__(self) -> str:
        n_errors, name = int(np.isfinite(self.errors_mm).sum()), self.scheme.name
        specimens = counted(len(self.specimens), "specimen")
        return f"<Comparison of {specimens}: {counted(n_errors, 'landmark')} of {name} compared>"

    @property
    def errors_mm(self) -> NDArray[np.float64]:
        """Distances between predicted and true, of shape (n_specimens, n_landmarks)."""
        return np.asarray(np.linalg.norm(self.differences_mm, axis=2))

    @property
    def unpredicted(self) -> list[str]:
        """Specimens with true landmarks but no predicted one."""
        is_predicted = (np.isfinite(self.errors_mm) | self.is_extra).any(axis=1)
        has_nothing = ~is_predicted & self.is_lost.any(axis=1)
        return [self.specimens[row] for row in np.flatnonzero(has_nothing)]


@dataclass(frozen=True, slots=True)
class LandmarkErrors:
    """Error statistics of one landmark, or of all together.

    Attributes
    ----------
    code : str
        The landmark, or "all" for all together.
    n : int
        Number of errors.
    n_lost : int
        How often it was in the truth but not predicted.
    mean_mm, median_mm, p95_mm, max_mm : float
        Statistics of the distances.
    bias_mm : tuple of float
        Mean difference, predicted minus true, along the axes of the comparison.
    within : tuple of float
        Share of errors of at most each of `LIMITS_MM`.
    within_of_true : tuple of float
        The same of all true landmarks: a lost one counts as outside.
    human_ratio : float
        Mean error over the mean distance between two passes of one observer; NaN if unknown.
    expected_mm : float
        Mean of the prediction's expected errors; NaN if unknown.
    """

    code: str
    n: int
    n_lost: int
    mean_mm: float
    median_mm: float
    p95_mm: float
    max_mm: float
    bias_mm: tuple[float, float, float]
    within: tuple[float, ...]
    within_of_true: tuple[float, ...]
    human_ratio: float
    expected_mm: float


def compare(pairs: Iterable[Pair]) -> Comparison:
    """Compute the differences of all pairs in the axes of the face, or of the first specimen.

    Parameters
    ----------
    pairs : iterable of Pair
        At least one, all with the same scheme.

    Returns
    -------
    Comparison
        The differences.

    Raises
    ------
    UsageError
        If there is no pair, their schemes differ, or something else is given.
    """
    pairs = list_pairs(pairs)
    check_any(pairs, "pair")
    check_one_scheme(pair.truth for pair in pairs)
    scheme = pairs[0].truth.scheme
    poses, are_of_face = poses_of([_that_holds_pose(pair) for pair in pairs], scheme)
    truths, differences = [], []
    for pair, pose in zip(pairs, poses, strict=True):
        true_mm = pair.truth.positions_mm
        truths.append(apply_similarity(pose, true_mm))
        differences.append((pair.predicted.positions_mm - true_mm) @ pose[:3, :3].T)
    predicted = np.array([pair.predicted.is_placed for pair in pairs])
    true = np.array([pair.truth.is_placed for pair in pairs])
    expected = np.array([pair.predicted.expected_error_mm for pair in pairs])
    return Comparison(
        scheme=scheme,
        specimens=tuple(pair.specimen for pair in pairs),
        truth_mm=np.array(truths),
        differences_mm=np.array(differences),
        is_lost=true & ~predicted,
        is_extra=predicted & ~true,
        expected_mm=np.where(true & predicted, expected, np.nan),
        are_of_face=are_of_face,
    )


def _that_holds_pose(pair: Pair) -> NDArray[np.float64]:
    """Return the true landmarks, or the predicted ones if those are too few to define the axes."""
    true_mm, predicted_mm = pair.truth.positions_mm, pair.predicted.positions_mm
    return predicted_mm if holds_pose(predicted_mm) and not holds_pose(true_mm) else true_mm


def summarize_landmarks(comparison: Comparison) -> list[LandmarkErrors]:
    """Compute the statistics of all landmarks together, then of each.

    Parameters
    ----------
    comparison : Comparison
        The differences.

    Returns
    -------
    list of LandmarkErrors
        "all" first, then the order of the scheme.
    """
    human = np.array(
        [np.nan if m.intra_observer_mm is None else m.intra_observer_mm
         for m in comparison.scheme.landmarks]
    )  # fmt: skip
    every = slice(None)
    entries = [_figures("all", comparison, every, human)]
    for row, code in enumerate(comparison.scheme.codes):
        entries.append(_figures(code, comparison, slice(row, row + 1), human))
    return entries


def _figures(
    code: str, comparison: Comparison, rows: slice, human_mm: NDArray[np.float64]
) -> LandmarkErrors:
    differences = comparison.differences_mm[:, rows]
    is_there = np.isfinite(differences).all(axis=2)
    differences = differences[is_there]
    errors = np.linalg.norm(differences, axis=1)
    # Both means are over the same landmarks with the same weights.
    human = np.broadcast_to(human_mm[rows], is_there.shape)[is_there]
    expected = comparison.expected_mm[:, rows][is_there]
    n_lost = int(comparison.is_lost[:, rows].sum())
    n_true, nan = len(errors) + n_lost, float("nan")
    of_true = tuple(
        float((errors <= limit).sum() / n_true) if n_true else nan for limit in LIMITS_MM
    )
    if not len(errors):
        no_shares = (nan,) * len(LIMITS_MM)
        return LandmarkErrors(
            code, 0, n_lost, nan, nan, nan, nan, (nan,) * 3, no_shares, of_true, nan, nan
        )
    bias = differences.mean(axis=0)
    return LandmarkErrors(
        code=code,
        n=len(errors),
        n_lost=n_lost,
        mean_mm=float(errors.mean()),
        median_mm=float(np.median(errors)),
        p95_mm=float(np.percentile(errors, 95)),
        max_mm=float(errors.max()),
        bias_mm=(float(bias[0]), float(bias[1]), float(bias[2])),
        within=tuple(float((errors <= limit).mean()) for limit in LIMITS_MM),
        within_of_true=of_true,
        human_ratio=float(errors.mean() / human.mean()) if human.all() else nan,
        expected_mm=float(expected[np.isfinite(expected)].mean())
        if np.isfinite(expected).any()
        else nan,
    )
