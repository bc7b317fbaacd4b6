# SPDX-License-Identifier: Apache-2.0
"""Generalized Procrustes alignment of a cohort, and the principal components of its shapes.

Not taken from a library, since the well-maintained one (ktch) needs Python 3.11, pandas and
scikit-learn, which a hospital's Slicer does not have; the tests check it against independent code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._checks import check_finite
from palnet._mean_face import atlas_of
from palnet._numbers import to_numbers
from palnet._stored import counted
from palnet.errors import UsageError
from palnet.evaluation._pairs import check_any, check_once, list_sets
from palnet.similarity import apply_similarity, fit_similarity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from palnet.landmarks import LandmarkSet
    from palnet.scheme import Scheme

__all__ = ["Cohort", "ShapeSpace", "align_cohort", "align_shapes", "select_complete"]

# A landmark missing in more specimens than this is dropped, so that a few ears under hair do not
# cost the whole study; then only complete specimens are kept.
_MAX_MISSING_SHARE = 0.1
_MIN_SPECIMENS = 3
_MIN_LANDMARKS = 4
# The change of the unit-size mean is then below coordinate rounding; reached in under 10 rounds.
_TOLERANCE = 1e-12
_MAX_ROUNDS = 200
# Components below this share of the variance are rounding errors.
_MIN_SHARE = 1e-12


@dataclass(frozen=True, eq=False, slots=True)
class Cohort:
    """The part of a cohort that can be aligned: complete specimens with the same landmarks.

    Attributes
    ----------
    scheme : Scheme
        The landmark scheme.
    codes : tuple of str
        The kept landmarks.
    specimens : tuple of str
        The kept specimens.
    positions_mm : ndarray of shape (n_specimens, n_landmarks, 3)
        Their positions.
    dropped_landmarks, dropped_specimens : dict of str to str
        What was dropped, and why.
    """

    scheme: Scheme
    codes: tuple[str, ...]
    specimens: tuple[str, ...]
    positions_mm: NDArray[np.float64]
    dropped_landmarks: dict[str, str]
    dropped_specimens: dict[str, str]

    def __repr__(self) -> str:
        specimens, kept = counted(len(self.specimens), "specimen"), len(self.codes)
        return f"<Cohort of {specimens}: {counted(kept, 'landmark')} of {self.scheme.name}>"


@dataclass(frozen=True, eq=False, slots=True)
class ShapeSpace:
    """Aligned shapes and their principal components.

    Convention: axes of the face, +X the subject's left, +Y up, +Z front (of the first specimen if
    the scheme has no mean face); shapes have centroid size 1.

    Attributes
    ----------
    cohort : Cohort
        The aligned cohort.
    centroid_sizes_mm : ndarray of shape (n_specimens,)
        Square root of the summed squared distances of the landmarks to their mean.
    shapes : ndarray of shape (n_specimens, n_landmarks, 3)
        Aligned shapes.
    mean : ndarray of shape (n_landmarks, 3)
        Their mean, of centroid size 1.
    scores : ndarray of shape (n_specimens, n_components)
        Coordinates of the specimens along the components.
    components : ndarray of shape (n_components, n_landmarks, 3)
        Unit vectors, in order of decreasing variance.
    variances : ndarray of shape (n_components,)
        Variance of the scores.
    """

    cohort: Cohort
    centroid_sizes_mm: NDArray[np.float64]
    shapes: NDArray[np.float64]
    mean: NDArray[np.float64]
    scores: NDArray[np.float64]
    components: NDArray[np.float64]
    variances: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"<ShapeSpace of {self.cohort!r}: {counted(len(self.variances), 'component')}>"

    @property
    def distances(self) -> NDArray[np.float64]:
        """Procrustes distance of each specimen to the mean, of shape (n_specimens,)."""
        return np.asarray(np.sqrt(((self.shapes - self.mean) ** 2).sum(axis=(1, 2))))

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of each component in the total variance."""
        return np.asarray(self.variances / max(self.variances.sum(), np.finfo(float).tiny))

    @property
    def mean_mm(self) -> NDArray[np.float64]:
        """The mean shape in the cohort's mean size, of shape (n_landmarks, 3)."""
        return np.asarray(self.mean * self.centroid_sizes_mm.mean())

    def shape_at_mm(self, component: int, n_sd: float) -> NDArray[np.float64]:
        """Return the shape `n_sd` standard deviations along a component, in the mean size."""
        step = n_sd * np.sqrt(self.variances[component]) * self.components[component]
        return np.asarray((self.mean + step) * self.centroid_sizes_mm.mean())


def select_complete(sets: Iterable[LandmarkSet]) -> Cohort:
    """Choose landmarks and specimens without missing data.

    Parameters
    ----------
    sets : iterable of LandmarkSet
        One set per specimen; matched to the scheme of the first by code.

    Returns
    -------
    Cohort
        Landmarks that at least 90 % of the specimens have, and the specimens that have them all.

    Raises
    ------
    UsageError
        If there is none, a specimen occurs twice, fewer than three specimens or four landmarks
        are left, or something else than landmark sets is given.
    """
    sets = list_sets(sets, "sets")
    check_any(sets, "landmark set")
    check_once(sets, "landmark set")
    scheme = sets[0].scheme
    matched = [landmarks.to_scheme(scheme) for landmarks in sets]
    is_placed = np.array([landmarks.is_placed for landmarks in matched])
    n_missing = (~is_placed).sum(axis=0)
    is_kept = np.asarray(n_missing <= _MAX_MISSING_SHARE * len(sets))
    is_whole = np.asarray(is_placed[:, is_kept].all(axis=1))
    dropped_landmarks = {
        code: f"missing in {count} of {len(sets)} specimens"
        for code, kept, count in zip(scheme.codes, is_kept, n_missing, strict=True)
        if not kept
    } | _of_other_schemes(sets)
    codes = tuple(code for code, kept in zip(scheme.codes, is_kept, strict=True) if kept)
    dropped_specimens = {
        landmarks.specimen: "lacks "
        + ", ".join(code for code, there in zip(codes, row, strict=True) if not there)
        for landmarks, row, whole in zip(matched, is_placed[:, is_kept], is_whole, strict=True)
        if not whole
    }
    if is_whole.sum() < _MIN_SPECIMENS or len(codes) < _MIN_LANDMARKS:
        msg = (
            f"a cohort must have {_MIN_SPECIMENS} complete specimens of {_MIN_LANDMARKS} "
            f"landmarks; got {int(is_whole.sum())} of {len(codes)}, out of "
            f"{counted(len(sets), 'specimen')}. "
            "Leave out the specimens that lack most, or give more."
        )
        raise UsageError(msg)
    chosen = [landmarks for landmarks, whole in zip(matched, is_whole, strict=True) if whole]
    return Cohort(
        scheme=scheme,
        codes=codes,
        specimens=tuple(landmarks.specimen for landmarks in chosen),
        positions_mm=np.array([landmarks.positions_mm[is_kept] for landmarks in chosen]),
        dropped_landmarks=dropped_landmarks,
        dropped_specimens=dropped_specimens,
    )


def _of_other_schemes(sets: Sequence[LandmarkSet]) -> dict[str, str]:
    """Return the placed landmarks that the scheme of the first specimen lacks, and why."""
    first = sets[0]
    placed = [
        code
        for landmarks in sets
        for code, is_placed in zip(landmarks.scheme.codes, landmarks.is_placed, strict=True)
        if is_placed
    ]
    reason = f"not in {first.scheme.name}, the scheme of {first.specimen}"
    return dict.fromkeys((code for code in placed if code not in first.scheme.codes), reason)


def align_shapes(
    positions: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Align shapes to their mean by translation, rotation and scaling, without reflection.

    Each is centred and scaled to centroid size 1; all are rotated onto the mean shape until it
    converges (Gower 1975; partial Procrustes fits, Dryden and Mardia 2016).

    Parameters
    ----------
    positions : array_like of shape (n_specimens, n_landmarks, 3)
        Landmarks without missing data.

    Returns
    -------
    shapes : ndarray of shape (n_specimens, n_landmarks, 3)
        Aligned shapes.
    mean : ndarray of shape (n_landmarks, 3)
        Their mean, of centroid size 1.

    Raises
    ------
    ValueError
        If the positions have another shape, are not finite, or those of a specimen coincide.

    References
    ----------
    Gower 1975, doi 10.1007/BF02291478. Dryden and Mardia 2016, doi 10.1002/9781119072492.
    """
    positions = to_numbers(positions, name="positions")
    if positions.ndim != 3 or positions.shape[2] != 3 or not len(positions):
        msg = f"positions must have shape (n_specimens, n_landmarks, 3); got {positions.shape}."
        raise ValueError(msg)
    check_finite(positions, name="positions")
    if not np.ptp(positions, axis=1).any(axis=1).all():
        msg = "the landmarks of each specimen must differ; got one with all in the same place."
        raise ValueError(msg)
    shapes = positions - positions.mean(axis=1, keepdims=True)
    shapes = shapes / np.sqrt((shapes**2).sum(axis=(1, 2), keepdims=True))
    mean = shapes[0]
    for _ in range(_MAX_ROUNDS):
        shapes = np.stack([_turned(shape, mean) for shape in shapes])
        before, mean = mean, shapes.mean(axis=0)
        mean = mean / np.linalg.norm(mean)
        if np.linalg.norm(mean - before) < _TOLERANCE:
            break
    return shapes, mean


def align_cohort(cohort: Cohort) -> ShapeSpace:
    """Align a cohort and compute the principal components of its shapes.

    The components are those in the tangent space of the mean, by orthogonal projection.

    Parameters
    ----------
    cohort : Cohort
        Complete specimens.

    Returns
    -------
    ShapeSpace
        Aligned shapes, mean, scores and components.

    Raises
    ------
    UsageError
        If the landmarks of a specimen coincide, or `cohort` is no cohort.

    References
    ----------
    Rohlf 1999, Journal of Classification 16, 197-223, doi 10.1007/s003579900054.
    """
    _check_cohort(cohort)
    has_size = np.ptp(cohort.positions_mm, axis=1).any(axis=1)
    if not has_size.all():
        names = ", ".join(np.array(cohort.specimens)[~has_size].tolist())
        msg = f"the landmarks of {names} must differ; all lie in one place. Leave the specimen out."
        raise UsageError(msg)
    shapes, mean = align_shapes(cohort.positions_mm)
    turn = _to_face(cohort, mean)
    shapes, mean = shapes @ turn, mean @ turn
    flat, pole = shapes.reshape(len(shapes), -1), mean.ravel()
    tangent = flat - np.outer(flat @ pole, pole)
    centred = tangent - tangent.mean(axis=0)
    left, lengths, components = np.linalg.svd(centred, full_matrices=False)
    variances = lengths**2 / (len(shapes) - 1)
    is_real = variances > _MIN_SHARE * max(variances.sum(), np.finfo(float).tiny)
    # The sign of a component is arbitrary, so its largest coordinate is made positive.
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), largest])
    middle = cohort.positions_mm.mean(axis=1, keepdims=True)
    return ShapeSpace(
        cohort=cohort,
        centroid_sizes_mm=np.sqrt(((cohort.positions_mm - middle) ** 2).sum(axis=(1, 2))),
        shapes=shapes,
        mean=mean,
        scores=(left * lengths * signs)[:, is_real],
        components=(components * signs[:, None])[is_real].reshape(-1, *mean.shape),
        variances=variances[is_real],
    )


def _check_cohort(value: object) -> None:
    if not isinstance(value, Cohort):
        msg = f"cohort must be a Cohort; got {type(value).__name__}. Make it by select_complete."
        raise UsageError(msg)


def _turned(shape: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotate centred points onto others."""
    return apply_similarity(fit_similarity(shape, target, with_scale=False), shape)


def _to_face(cohort: Cohort, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotate the mean shape to the axes of the face, or to those of the first specimen."""
    atlas = atlas_of(cohort.scheme)
    if atlas is None:
        target = cohort.positions_mm[0]
    else:
        target = atlas.landmark_mean_mm[[cohort.scheme.index_of(code) for code in cohort.codes]]
    matrix = fit_similarity(mean, target)[:3, :3]
    return np.asarray((matrix / np.cbrt(np.linalg.det(matrix))).T)
