# SPDX-License-Identifier: Apache-2.0
"""Errors of predicted landmarks against true ones, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._page import atlas_of, face_from_landmarks
from palnet.evaluation._pairs import check_one_scheme
from palnet.face.similarity import fit_similarity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from palnet.evaluation._pairs import Pair
    from palnet.scheme import Scheme

__all__ = ["LIMITS_MM", "Comparison", "LandmarkErrors", "compare", "summarize_landmarks"]

# Within which errors are counted: 2 mm is what clinics ask for, the others are usual in reports.
LIMITS_MM = (2.0, 2.5, 3.0, 4.0)
# Three points that are not on a line hold a pose.
_MIN_LANDMARKS = 3


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """All differences, predicted minus true.

    Convention: axes of the face, +X the subject's left, +Y up, +Z front, millimetres; without a
    mean face for the scheme, the axes of the first specimen.

    Attributes
    ----------
    scheme : Scheme
        Which landmarks these are.
    specimens : tuple of str
        Names.
    truth_mm : ndarray of shape (n_specimens, n_landmarks, 3)
        True positions in the face's axes, NaN where missing.
    differences_mm : ndarray of shape (n_specimens, n_landmarks, 3)
        NaN where either is missing.
    is_lost : ndarray of shape (n_specimens, n_landmarks)
        True landmarks that were not predicted.
    is_extra : ndarray of shape (n_specimens, n_landmarks)
        Predicted landmarks that the truth does not have.
    expected_mm : ndarray of shape (n_specimens, n_landmarks)
        The expected errors that came with the prediction, NaN where unknown.
    """

    scheme: Scheme
    specimens: tuple[str, ...]
    truth_mm: NDArray[np.float64]
    differences_mm: NDArray[np.float64]
    is_lost: NDArray[np.bool_]
    is_extra: NDArray[np.bool_]
    expected_mm: NDArray[np.float64]

    @property
    def errors_mm(self) -> NDArray[np.float64]:
        """Distances between predicted and true, of shape (n_specimens, n_landmarks)."""
        return np.asarray(np.linalg.norm(self.differences_mm, axis=2))


@dataclass(frozen=True, slots=True)
class LandmarkErrors:
    """Figures of one landmark, or of all together.

    Attributes
    ----------
    code : str
        The landmark, "all" for all together.
    n : int
        How many errors there are.
    n_lost : int
        How often it was in the truth and not predicted.
    mean_mm, median_mm, p95_mm, max_mm : float
        Of the distances.
    bias_mm : tuple of float
        Mean difference, predicted minus true: to the subject's left, up, to the front.
    within : tuple of float
        Share of errors of at most each of `LIMITS_MM`.
    human_ratio : float
        Mean error over the mean distance between two passes of one observer; NaN if unknown.
    expected_mm : float
        Mean of the expected errors that came with the prediction; NaN if unknown.
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
    human_ratio: float
    expected_mm: float


def compare(pairs: Sequence[Pair]) -> Comparison:
    """Lay out the differences of all pairs in the axes of the face.

    Parameters
    ----------
    pairs : sequence of Pair
        At least one, all of one scheme.

    Returns
    -------
    Comparison
        The differences.

    Raises
    ------
    UsageError
        If they are of several schemes.
    """
    check_one_scheme(pair.truth for pair in pairs)
    scheme = pairs[0].truth.scheme
    atlas = atlas_of(scheme)
    truths, differences = [], []
    for pair in pairs:
        true_mm = pair.truth.positions_mm
        if np.isfinite(true_mm).all(axis=1).sum() < _MIN_LANDMARKS:
            pose = np.eye(4)
        elif atlas is None:
            pose = _pose_to(true_mm, pairs[0].truth.positions_mm)
        else:
            pose = face_from_landmarks(true_mm, atlas, with_scale=False)
        truths.append(true_mm @ pose[:3, :3].T + pose[:3, 3])
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
    )


def summarize_landmarks(comparison: Comparison) -> list[LandmarkErrors]:
    """Give the figures of all landmarks together, then of each.

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
    # The same landmarks count in both means, as often.
    human = np.broadcast_to(human_mm[rows], is_there.shape)[is_there]
    expected = comparison.expected_mm[:, rows][is_there]
    n_lost = int(comparison.is_lost[:, rows].sum())
    if not len(errors):
        nan = float("nan")
        return LandmarkErrors(
            code, 0, n_lost, nan, nan, nan, nan, (nan,) * 3, (nan,) * len(LIMITS_MM), nan, nan
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
        human_ratio=float(errors.mean() / human.mean()) if human.all() else float("nan"),
        expected_mm=float(expected[np.isfinite(expected)].mean())
        if np.isfinite(expected).any()
        else float("nan"),
    )


def _pose_to(
    positions_mm: NDArray[np.float64], target_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    is_there = np.isfinite(positions_mm).all(axis=1) & np.isfinite(target_mm).all(axis=1)
    if is_there.sum() < _MIN_LANDMARKS:
        return np.eye(4)
    return fit_similarity(positions_mm[is_there], target_mm[is_there], with_scale=False)
