# SPDX-License-Identifier: Apache-2.0
"""Errors of distances, angles and indices, and agreement between annotations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from palnet.errors import UsageError
from palnet.evaluation._agreement import (
    compute_icc,
    compute_icc_interval,
    compute_relative_tem,
    compute_tem,
)
from palnet.evaluation._pairs import (
    check_any,
    check_one_scheme,
    list_annotations,
    list_pairs,
    to_one_frame,
)
from palnet.landmarks import printable_name
from palnet.measurement import MeasurementPlan, measure
from palnet.measurement._definitions import check_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from palnet.evaluation._pairs import Pair
    from palnet.landmarks import LandmarkSet
    from palnet.scheme import Scheme

__all__ = [
    "Agreement",
    "MeasurementErrors",
    "mean_pairwise_error_mm",
    "summarize_agreement",
    "summarize_measurements",
]

_KINDS = ("distance", "angle", "index")


@dataclass(frozen=True, slots=True)
class MeasurementErrors:
    """Error statistics of one distance, angle or index.

    Attributes
    ----------
    code, name, kind, unit : str
        As in `Measurement`.
    n : int
        Number of specimens with the value on both sides.
    mean, p95 : float
        Mean and 95th percentile of the absolute difference.
    bias, sd : float
        Mean and standard deviation of the difference, predicted minus true.
    limits : tuple of float
        Limits of agreement, ``bias - 1.96 sd`` and ``bias + 1.96 sd``.
    limit_margin : float
        The 95 % confidence interval of each limit is this much to either side (Bland and Altman
        1999, doi 10.1177/096228029900800204); NaN if `sd` is NaN or 0.
    human_ratio : float
        `mean` over the mean difference between two passes of one observer; NaN if unknown.
    expected : float
        Mean of the value's expected errors, where known; else NaN.
    n_expected : int
        Number of specimens with an expected error; those with manually placed landmarks have none.
    mean_where_expected : float
        Same as `mean` but over these only, for comparison with `expected`.
    """

    code: str
    name: str
    kind: str
    unit: str
    n: int
    mean: float
    p95: float
    bias: float
    sd: float
    limits: tuple[float, float]
    limit_margin: float
    human_ratio: float
    expected: float
    n_expected: int
    mean_where_expected: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement between annotations on one landmark or measurement.

    Attributes
    ----------
    code, name, kind, unit : str
        As in `Measurement`; `kind` is "landmark" for a landmark.
    n : int
        Number of specimens for which every annotation has it.
    difference : float
        Mean absolute difference (landmarks: distance) over all pairs of annotations.
    tem : float
        Technical error of measurement.
    relative_tem : float
        TEM in percent of the mean; NaN for landmarks and angles, which have no true zero.
    icc : float
        ICC(2,1); NaN for landmarks, whose coordinates depend on the pose.
    icc_low, icc_high : float
        Its 95 % confidence interval.
    """

    code: str
    name: str
    kind: str
    unit: str
    n: int
    difference: float
    tem: float
    relative_tem: float
    icc: float
    icc_low: float
    icc_high: float


def summarize_measurements(pairs: Iterable[Pair], plan: MeasurementPlan) -> list[MeasurementErrors]:
    """Compare the distances, angles and indices of predicted and true landmarks.

    Parameters
    ----------
    pairs : iterable of Pair
        At least one.
    plan : MeasurementPlan
        What to measure.

    Returns
    -------
    list of MeasurementErrors
        In the order of the plan, without those that no pair has.

    Raises
    ------
    UsageError
        If there is no pair, or something else is given.
    ValueError
        If `plan` is no plan, such as only the name of one.
    """
    pairs = list_pairs(pairs)
    check_any(pairs, "pair")
    chosen = _without_arcs(plan)
    predicted, expected = _values([pair.predicted for pair in pairs], chosen)
    true, _ = _values([pair.truth for pair in pairs], chosen)
    human = _human(pairs[0].truth.scheme)
    found = []
    for row, definition in enumerate(chosen.definitions):
        differences = predicted[:, row] - true[:, row]
        is_there = np.isfinite(differences)
        differences = differences[is_there]
        if not len(differences):
            continue
        stated = expected[is_there, row]
        is_stated = np.isfinite(stated)
        mean, bias = float(np.abs(differences).mean()), float(differences.mean())
        sd = float(differences.std(ddof=1)) if len(differences) > 1 else float("nan")
        repeatability = human.get(_key(definition.kind, definition.landmarks), 0.0)
        found.append(
            MeasurementErrors(
                code=definition.code,
                name=definition.name,
                kind=definition.kind,
                unit=definition.unit,
                n=len(differences),
                mean=mean,
                p95=float(np.percentile(np.abs(differences), 95)),
                bias=bias,
                sd=sd,
                limits=(bias - 1.96 * sd, bias + 1.96 * sd),
                limit_margin=_limit_margin(sd, len(differences)),
                human_ratio=mean / repeatability if repeatability else float("nan"),
                expected=_mean(stated[is_stated]),
                n_expected=int(is_stated.sum()),
                mean_where_expected=_mean(np.abs(differences[is_stated])),
            )
        )
    return found


def _limit_margin(sd: float, n: int) -> float:
    """Half of the 95 % interval of a limit of agreement: t times its standard error."""
    if not sd > 0:
        return float("nan")
    return float(stdtrit(n - 1, 0.975) * sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1))))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def mean_pairwise_error_mm(pairs: Iterable[Pair]) -> float:
    """Compute the mean absolute error of the distances between all landmarks.

    Each pair of landmarks that both sides have counts once; the zero diagonal is excluded.

    Parameters
    ----------
    pairs : iterable of Pair
        Any number.

    Returns
    -------
    float
        In millimetres; NaN if there is no pair of landmarks.

    Raises
    ------
    UsageError
        If something else than pairs is given.
    """
    errors = [np.zeros(0)]
    for pair in list_pairs(pairs):
        is_there = pair.predicted.is_placed & pair.truth.is_placed
        upper = np.triu_indices(int(is_there.sum()), k=1)
        predicted, true = (
            np.linalg.norm(points[:, None] - points[None], axis=2)[upper]
            for points in (pair.predicted.positions_mm[is_there], pair.truth.positions_mm[is_there])
        )
        errors.append(np.abs(predicted - true))
    every = np.concatenate(errors)
    return float(every.mean()) if len(every) else float("nan")


def summarize_agreement(
    annotations: Iterable[Iterable[LandmarkSet]], plan: MeasurementPlan
) -> list[Agreement]:
    """Compare several annotations of the same scans.

    Parameters
    ----------
    annotations : iterable of iterable of LandmarkSet
        The landmark sets of each annotation, of the same specimens in the same order; at least
        two annotations of one specimen.
    plan : MeasurementPlan
        What to measure.

    Returns
    -------
    list of Agreement
        Landmarks in the order of the scheme, then the measurements in that of the plan.

    Raises
    ------
    UsageError
        If the schemes, numbers or order of the specimens differ, there are too few, or something
        else than landmark sets is given.
    ValueError
        If `plan` is no plan, such as only the name of one.
    """
    listed = list_annotations(annotations)
    _check_alike(listed)
    check_one_scheme(landmarks for sets in listed for landmarks in sets)
    chosen = _without_arcs(plan)
    specimens = [to_one_frame(sets) for sets in zip(*listed, strict=True)]
    positions = np.array([[each.positions_mm for each in sets] for sets in specimens])
    found = [
        _agreement((entry.code, entry.name, "landmark", "mm"), positions[:, :, row])
        for row, entry in enumerate(listed[0][0].scheme.landmarks)
    ]
    values = np.stack([_values(sets, chosen)[0] for sets in listed], axis=1)
    for row, entry in enumerate(chosen.definitions):
        name = (entry.code, entry.name, entry.kind, entry.unit)
        found.append(_agreement(name, values[:, :, row]))
    return [entry for entry in found if entry.n]


def _check_alike(annotations: Sequence[Sequence[LandmarkSet]]) -> None:
    """Require the same specimens in the same order, as far as their names tell."""
    counts = [len(sets) for sets in annotations]
    if len(counts) < 2 or len(set(counts)) > 1 or not counts[0]:
        msg = (
            "there must be two annotations or more, each of the same specimens; got "
            f"{' and '.join(map(str, counts)) or 'no'} specimens. Leave out what others lack."
        )
        raise UsageError(msg)
    place = {printable_name(each.specimen): row for row, each in enumerate(annotations[0])}
    for sets in annotations[1:]:
        for row, each in enumerate(sets):
            if place.get(printable_name(each.specimen), row) != row:
                msg = (
                    "each annotation must have the specimens in the same order; got "
                    f"{each.specimen!r} where the first has {annotations[0][row].specimen!r}. "
                    "Sort each by specimen."
                )
                raise UsageError(msg)


def _agreement(name: tuple[str, str, str, str], values: NDArray[np.float64]) -> Agreement:
    is_whole = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    whole = values[is_whole]
    is_landmark = values.ndim == 3
    differences = [
        np.linalg.norm(whole[:, a] - whole[:, b], axis=-1)
        if is_landmark
        else np.abs(whole[:, a] - whole[:, b])
        for a, b in combinations(range(values.shape[1]), 2)
    ]
    has_zero = name[2] in ("distance", "index")
    nan = float("nan")
    icc_low, icc_high = (nan, nan) if is_landmark else compute_icc_interval(values)
    return Agreement(
        *name,
        n=len(whole),
        difference=float(np.mean(differences)) if len(whole) else nan,
        tem=compute_tem(values),
        relative_tem=compute_relative_tem(values) if has_zero else nan,
        icc=nan if is_landmark else compute_icc(values),
        icc_low=icc_low,
        icc_high=icc_high,
    )


def _without_arcs(plan: MeasurementPlan) -> MeasurementPlan:
    check_plan(plan)
    kept = tuple(entry for entry in plan.definitions if entry.kind in _KINDS)
    return MeasurementPlan(plan.scheme, kept, plan.sources)


def _values(
    sets: Sequence[LandmarkSet], plan: MeasurementPlan
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure each set: values and their expected errors, both (n_sets, n_definitions)."""
    n_wanted = len(plan.definitions)
    taken = [measure(landmarks, plan=plan)[:n_wanted] for landmarks in sets]
    values = [[entry.value for entry in entries] for entries in taken]
    errors = [[entry.expected_error for entry in entries] for entries in taken]
    shape = (len(sets), n_wanted)
    return np.array(values).reshape(shape), np.array(errors).reshape(shape)


def _human(scheme: Scheme) -> dict[tuple[object, ...], float]:
    """Return the human repeatability of the scheme's distances and angles."""
    known = {_key("distance", (d.a, d.b)): d.intra_observer_mm for d in scheme.distances}
    known |= {_key("angle", (a.a, a.vertex, a.c)): a.intra_observer_deg for a in scheme.angles}
    return {key: value for key, value in known.items() if value is not None}


def _key(kind: str, landmarks: Sequence[str]) -> tuple[object, ...]:
    """Key of a measurement by its landmarks in any direction, with the vertex for an angle."""
    vertex = landmarks[1] if kind == "angle" else ""
    return (kind, vertex, frozenset(landmarks))
