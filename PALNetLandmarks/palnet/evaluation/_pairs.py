# SPDX-License-Identifier: Apache-2.0
"""Match predictions to the truth by specimen, then by landmark code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from palnet.data_sets.dataset import specimen_of
from palnet.errors import UsageError
from palnet.landmarks import LandmarkSet, check_landmark_set, printable_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from palnet.landmarks import Space, Status

__all__ = [
    "Pair",
    "check_any",
    "check_once",
    "check_one_scheme",
    "list_annotations",
    "list_pairs",
    "list_sets",
    "pair_specimens",
    "to_one_frame",
    "with_unpredicted",
]

_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """Predicted and true landmarks of one specimen, in the same scheme and frame.

    `pair_specimens` brings them there.
    """

    predicted: LandmarkSet
    truth: LandmarkSet

    def __post_init__(self) -> None:
        for name in ("predicted", "truth"):
            check_landmark_set(getattr(self, name), name=name)
        if self.predicted.scheme.codes != self.truth.scheme.codes:
            msg = f"{self.specimen!r}: predicted and truth must be of one scheme; use to_scheme."
            raise ValueError(msg)
        frames = (self.predicted.frame, self.truth.frame)
        if len(set(frames)) > 1:
            msg = (
                f"{self.specimen!r}: predicted and truth must be in one frame; got "
                f"{' and '.join(frames)}. Use to_frame, or pair_specimens."
            )
            raise ValueError(msg)

    @property
    def specimen(self) -> str:
        """Name of the specimen in the truth."""
        return self.truth.specimen


def pair_specimens(
    predicted: Iterable[LandmarkSet],
    truth: Iterable[LandmarkSet],
    *,
    whatever_the_name: bool = False,
) -> tuple[list[Pair], list[str]]:
    """Pair landmark sets by specimen.

    Names also match without blanks around them and the ending of a file, such as ``P01.ply`` and
    ``P01``, if only one name on each side is so called.

    Convention: each pair is in the frame of its truth if both are in one frame, else in LPS.

    Parameters
    ----------
    predicted, truth : iterable of LandmarkSet
        One set per specimen each.
    whatever_the_name : bool, default False
        Whether to pair a single set with a single set regardless of names, as for two chosen files.

    Returns
    -------
    pairs : list of Pair
        In the order of `truth`, in the scheme of the truth.
    alone : list of str
        Specimens without a partner, with the side they are on.

    Raises
    ------
    UsageError
        If a specimen occurs twice on one side, or something else than landmark sets is given.
    """
    predicted, truth = list_sets(predicted, "predicted"), list_sets(truth, "truth")
    check_once(predicted, "predicted landmark set")
    check_once(truth, "true landmark set")
    if whatever_the_name and len(predicted) == len(truth) == 1:
        return [_pair(predicted[0], truth[0])], []
    # macOS decomposes accented letters in file names.
    found = {printable_name(landmarks.specimen): landmarks for landmarks in predicted}
    known = {printable_name(landmarks.specimen): landmarks for landmarks in truth}
    partner_of = _find_partners(list(found), list(known))
    pairs = [_pair(found[partner_of[name]], known[name]) for name in known if name in partner_of]
    alone = [
        f"{known[name].specimen} has no prediction" for name in known if name not in partner_of
    ]
    paired = set(partner_of.values())
    alone += [f"{found[name].specimen} has no truth" for name in found if name not in paired]
    return pairs, alone


def _find_partners(found: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Find for each known name the same one, or the only one that differs by a file's ending."""
    by_stem: dict[str, tuple[list[str], list[str]]] = {}
    for side, names in enumerate((known, found)):
        for name in names:
            by_stem.setdefault(specimen_of(name, ()), ([], []))[side].append(name)
    alike = {
        ours[0]: theirs[0] for ours, theirs in by_stem.values() if len(ours) == len(theirs) == 1
    }
    same = {name: name for name in set(found).intersection(known)}
    return alike | same


def with_unpredicted(pairs: Iterable[Pair], truth: Iterable[LandmarkSet]) -> list[Pair]:
    """Add the specimens without a prediction, as pairs whose prediction has no landmarks.

    Leaving them out would silently restrict the mean to the easy scans.

    Parameters
    ----------
    pairs : iterable of Pair
        At least one.
    truth : iterable of LandmarkSet
        All true sets, including those of the pairs.

    Returns
    -------
    list of Pair
        In the order of `truth`, all in one scheme.

    Raises
    ------
    UsageError
        If there is no pair.
    """
    pairs, truth = list_pairs(pairs), list_sets(truth, "truth")
    check_any(pairs, "pair")
    found = {pair.specimen: pair for pair in pairs}
    scheme = pairs[0].truth.scheme
    return [found.get(true.specimen) or _unpredicted(true.to_scheme(scheme)) for true in truth]


def _unpredicted(truth: LandmarkSet) -> Pair:
    n_landmarks = len(truth.scheme)
    missing: Status = "missing"
    nothing = replace(
        truth,
        positions=np.full((n_landmarks, 3), np.nan),
        status=(missing,) * n_landmarks,
        expected_error_mm=np.full(n_landmarks, np.nan),
    )
    return Pair(nothing, truth)


def to_one_frame(annotations: Sequence[LandmarkSet]) -> list[LandmarkSet]:
    """Convert several annotations of one specimen to a common frame.

    Convention: unchanged if all are in one frame, or all in the scan file's coordinates, whatever
    axes their files declare; else all in LPS. The scan file's coordinates then have the axes that
    any of the files declares: a file that declares none is read as LPS.
    """
    if len({each.frame for each in annotations}) == 1:
        return list(annotations)
    spaces = {each.space for each in annotations if each.frame == "file"}
    space: Space = "RAS" if "RAS" in spaces else "LPS"
    of_one_scan = [
        replace(each, space=space) if each.frame == "file" else each for each in annotations
    ]
    return [each.to_frame("LPS") for each in of_one_scan]


def _pair(predicted: LandmarkSet, truth: LandmarkSet) -> Pair:
    return Pair(*to_one_frame([predicted.to_scheme(truth.scheme), truth]))


def list_sets(given: Iterable[LandmarkSet], name: str) -> list[LandmarkSet]:
    """Take several landmark sets, once: of a generator a second look would find none."""
    sets = _listed(given, LandmarkSet, name)
    for each in sets:
        check_landmark_set(each, name=f"each of {name}", error=UsageError)
    return sets


def list_annotations(given: Iterable[Iterable[LandmarkSet]]) -> list[list[LandmarkSet]]:
    """Take the landmark sets of several annotations, once."""
    return [list_sets(sets, "annotations") for sets in _listed(given, LandmarkSet, "annotations")]


def list_pairs(given: Iterable[Pair]) -> list[Pair]:
    """Take several pairs, once."""
    pairs = _listed(given, Pair, "pairs")
    for each in pairs:
        _check_pair(each)
    return pairs


def _check_pair(value: object) -> None:
    if not isinstance(value, Pair):
        msg = (
            f"pairs must hold Pair only; got {type(value).__name__}. Make them so: "
            "pairs, alone = pair_specimens(predicted, truth)."
        )
        raise UsageError(msg)


def _listed(given: Iterable[_Item], kind: type, name: str) -> list[_Item]:
    if isinstance(given, kind):
        msg = f"{name} must hold several {kind.__name__}; got one. Put it in a list."
        raise UsageError(msg)
    try:
        items = iter(given)
    except TypeError as err:
        msg = (
            f"{name} must hold several {kind.__name__}; got {type(given).__name__}. Give a list of "
            f"{kind.__name__}."
        )
        raise UsageError(msg) from err
    return list(items)


def check_any(given: Sequence[object], what: str) -> None:
    """Require at least one of what statistics are about."""
    if not len(given):
        msg = f"a statistic needs at least one {what}; got none. Look whether the names match."
        raise UsageError(msg)


def check_one_scheme(sets: Iterable[LandmarkSet]) -> None:
    """Require the same landmarks in the same order in all sets."""
    names = {landmarks.scheme.codes: landmarks.scheme.name for landmarks in sets}
    if len(names) > 1:
        said = " and ".join(f"{name!r} ({len(codes)} landmarks)" for codes, name in names.items())
        msg = f"all landmark sets must be of one scheme; got {said}. Use to_scheme, or --scheme."
        raise UsageError(msg)


def check_once(sets: Sequence[LandmarkSet], what: str) -> None:
    """Require that no two sets are of one specimen."""
    names = [printable_name(landmarks.specimen) for landmarks in sets]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        msg = (
            f"each specimen must have one {what}; got more than one of {', '.join(repeated)}. "
            "Leave out the others, or let palnet convert name each after its file "
            "(--name-by-file)."
        )
        raise UsageError(msg)
