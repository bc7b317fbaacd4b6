# SPDX-License-Identifier: Apache-2.0
"""Check a data set for problems before hours of training are spent on it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._mean_face import atlas_of
from palnet._plausible import WRONG_ORDER_MM
from palnet._stored import counted, listing
from palnet.data_sets.common_shape import common_shape, median_shape
from palnet.data_sets.dataset import AnnotatedScan, DataSet, Problem
from palnet.data_sets.scan_checks import CheckedScan, check_scan, measure_profile
from palnet.face.refusal import LARGEST_FACE, SMALLEST_FACE
from palnet.similarity import apply_similarity, fit_similarity, similarity_scale

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from palnet.scheme import Scheme

__all__ = ["ERRORS", "KINDS", "WARNINGS", "CheckReport", "check_data_set"]

ERRORS = {
    "no_scans": "no scan with landmarks was found",
    "bad_mesh": "a mesh cannot be read",
    "bad_size": "a mesh is no face in any unit",
    "bad_landmarks": "a landmark file cannot be read",
    "bad_matrix": "a matrix cannot be read, scales or mirrors",
    "bad_indices": "the vertex numbers of FaceScape cannot be read",
    "ambiguous_files": "several files could be those of one scan",
    "repeated_name": "two scans have one name",
    "all_missing": "a scan has no landmark",
    "at_origin": "landmarks at 0, 0, 0",
    "coincident": "landmarks on one spot",
    "flat": "landmarks without depth",
    "off_surface": "single landmarks off the surface",
    "elsewhere": "landmarks off the surface as a whole",
    "other_axes": "landmarks along other axes than the mesh",
    "other_unit": "landmarks in another unit than the mesh",
    "already_moved": "landmarks in the common frame, the mesh in its own",
    "mirrored": "left and right are exchanged",
    "exchanged": "two landmarks are exchanged",
    "wrong_order": "the landmarks are no face in this order",
    "same_mesh": "two people have the same mesh",
    "same_landmarks": "two people have the same landmarks",
    "some_matrices": "some scans have a matrix and some have none",
    "registration": "a matrix brings a face to another place than the others",
    "never_placed": "a landmark is missing in every scan",
}
"""Kinds of `Problem` that spoil a training."""

WARNINGS = {
    "unreadable": "a file or folder cannot be looked at, or is a link that leads nowhere",
    "no_landmarks": "a mesh without landmarks",
    "no_mesh": "landmarks without a mesh",
    "doubtful_landmarks": "a landmark file that was read in part",
    "unreviewed": "landmarks that palnet detected, and nobody corrected or confirmed",
    "passed_over": "a landmark file beside another one of its name that says something else",
    "other_table": "a table that names no coordinates in its first line",
    "unknown_specimen": "a row of people.csv without a scan beside or below the table",
    "alike_people": "names of people that differ in capitals, accents, separators or zeros only",
    "several_visits": "scans that may be of one person and count as several",
    "coarse_mesh": "a mesh with few vertices",
    "odd_size": "a face much larger or smaller than the others",
    "mixed_units": "meshes in different units",
    "outlier": "a landmark far from where the others have it",
    "few_people": "fewer people than five folds need",
    "rarely_placed": "a landmark missing in most scans",
}
"""Kinds of `Problem` that are worth a look."""

KINDS = ERRORS | WARNINGS

# With these problems, the true place of the landmarks is unknown, so they are not compared further.
PLACE_UNKNOWN = (
    *("at_origin", "coincident", "flat", "elsewhere", "other_axes", "other_unit", "already_moved"),
    *("mirrored", "wrong_order", "odd_size"),
)
# Problems that make landmarks of different people look alike.
UNIT_UNKNOWN = ("at_origin", "coincident", "flat", "other_unit")
MIN_PEOPLE = 5
# Left and right count as swapped if the mirrored configuration has less than this share of the
# misfit.
MIRRORED_SHARE = 0.75
# Landmarks this far from the fitted mean are suspect: misplaced or swapped.
OUTLIER_MM = 15.0
# Faces of two people never agree this closely; a copy that was moved and rewritten does.
SAME_MM = 0.02
# As shares of half a head: 0.02 mm, which allows for rounded numbers.
SAME_PROFILE = 2e-4
# The paper's limit per landmark; see `palnet.training.annotated.cohort.find_outliers`.
REGISTRATION_MM = 120 / np.sqrt(50)
# The median converges in one round; two more cover an odd start.
_ROUNDS = 3
# Fewer landmarks cannot be fitted to the mean.
MIN_TO_FIT = 4


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Counts and problems of a data set.

    Attributes
    ----------
    n_scans, n_people, n_landmarks : int
        Number of loaded scans, of people, and of landmarks in the scheme.
    n_missing : int
        Landmarks that are missing, over all scans.
    problems : tuple of Problem
        Errors first.
    """

    n_scans: int
    n_people: int
    n_landmarks: int
    n_missing: int
    problems: tuple[Problem, ...]

    @property
    def n_errors(self) -> int:
        """Number of problems that spoil a training."""
        return sum(problem.kind in ERRORS for problem in self.problems)


Loaded = list[tuple[AnnotatedScan, CheckedScan]]


def check_data_set(data: DataSet) -> CheckReport:
    """Load every scan and check each by itself, then all together.

    Parameters
    ----------
    data : DataSet
        The data set, as read from a folder.

    Returns
    -------
    CheckReport
        Counts and problems.
    """
    loaded: Loaded = []
    problems = list(data.problems)
    for scan in data.scans:
        checked, found = check_scan(scan, data.scheme)
        problems += found
        if checked is not None:
            loaded.append((scan, checked))
    odd = {problem.specimen for problem in problems if problem.kind in UNIT_UNKNOWN}
    problems += [*_count(loaded, data.scheme), *_find_unreviewed(loaded)]
    problems += _find_copies(loaded, data.scheme, odd)
    for compare in (_compare_shapes, _compare_frames):
        spoilt = {problem.specimen for problem in problems if problem.kind in PLACE_UNKNOWN}
        problems += compare(
            [each for each in loaded if each[0].specimen not in spoilt], data.scheme
        )
    order = {kind: number for number, kind in enumerate(KINDS)}
    return CheckReport(
        n_scans=len(loaded),
        n_people=len({scan.person for scan, _ in loaded}),
        n_landmarks=len(data.scheme),
        n_missing=sum(int((~each.landmarks.is_placed).sum()) for _, each in loaded),
        problems=tuple(sorted(problems, key=lambda p: (order[p.kind], p.specimen))),
    )


def _count(loaded: Loaded, scheme: Scheme) -> Iterator[Problem]:
    """Check the numbers of scans and people, and how often each landmark is placed."""
    if not loaded:
        yield Problem(
            "no_scans", "", "no scan with landmarks could be loaded. See docs/training.md."
        )
        return
    n_people = len({scan.person for scan, _ in loaded})
    if n_people < MIN_PEOPLE:
        text = (
            f"{counted(n_people, 'person', 'people')}. The {MIN_PEOPLE} folds of palnet "
            f"crossvalidate need at least {MIN_PEOPLE}, palnet finetune needs 8; 3 are enough for "
            "a recipe with n_folds = 1 or 3."
        )
        yield Problem("few_people", "", text)
    placed = np.sum([checked.landmarks.is_placed for _, checked in loaded], axis=0)
    never = [code for code, count in zip(scheme.codes, placed, strict=True) if not count]
    if never:
        text = (
            f"{', '.join(never)}: missing in every scan. Leave them out of the scheme; palnet "
            "finetune does not change them."
        )
        yield Problem("never_placed", "", text)
    rarely = [
        f"{code} ({count})"
        for code, count in zip(scheme.codes, placed.tolist(), strict=True)
        if 0 < count < len(loaded) / 2
    ]
    if rarely:
        text = f"placed in fewer than half of the {len(loaded)} scans: {', '.join(rarely)}."
        yield Problem("rarely_placed", "", text)
    units = Counter(checked.landmarks.mm_per_unit for _, checked in loaded)
    if len(units) > 1:
        usual = units.most_common(1)[0][0]
        others = [s.specimen for s, c in loaded if c.landmarks.mm_per_unit != usual]
        text = (
            f"by their size, most meshes have {usual:g} mm per unit; others do not: "
            f"{', '.join(others)}."
        )
        yield Problem("mixed_units", "", text)


def _find_unreviewed(loaded: Loaded) -> Iterator[Problem]:
    """Find scans that palnet detected and nobody reviewed, such as those that were forgotten."""
    own = [(scan.specimen, scan.landmarks) for scan, _ in loaded]
    names = [name for name, landmarks in own if landmarks is not None and landmarks.is_unreviewed]
    if names:
        text = (
            "landmarks as palnet detected them, none of which anybody corrected or confirmed: "
            f"{listing(names)}. A training would learn the model's own errors, and no test would "
            "see them. Review these scans, or leave them out."
        )
        yield Problem("unreviewed", "", text)


def _find_copies(loaded: Loaded, scheme: Scheme, odd: Collection[str]) -> Iterator[Problem]:
    """Find copies among scans of different people: they would leak from training into testing.

    A mirrored copy, made to augment the data, counts as well. Landmarks with placement problems
    are not compared: in a wrong unit, those of all people look alike. A copy that was annotated
    again is found by its mesh.
    """
    by_mesh: dict[str, list[AnnotatedScan]] = defaultdict(list)
    for scan, checked in loaded:
        points = np.ascontiguousarray(checked.mesh.points)
        by_mesh[hashlib.sha256(points.tobytes()).hexdigest()].append(scan)
    copied = set()
    for same in by_mesh.values():
        if len({scan.person for scan in same}) > 1:
            names = ", ".join(scan.specimen for scan in same)
            text = f"{names} hold the same mesh. Delete all but one, or give them the same person."
            yield Problem("same_mesh", same[0].specimen, text)
            copied |= {scan.specimen for scan in same}
    left_out = copied | set(odd)
    rest = [(scan, each) for scan, each in loaded if scan.specimen not in left_out]
    # Distances between landmarks are invariant to moving the copy.
    positions = [checked.landmarks.positions_mm for _, checked in rest]
    distances = [_pair_distances(each) for each in positions]
    mirrored = [_pair_distances(each[scheme.mirror]) for each in positions]
    profiles = [measure_profile(checked.mesh) for _, checked in rest]
    for row, (scan, _) in enumerate(rest):
        for other, (earlier, _) in enumerate(rest[:row]):
            if scan.person == earlier.person:
                continue
            if _are_same(distances[row], distances[other]):
                text = f"its landmarks are those of {earlier.specimen}, at most moved as a whole."
            elif _are_same(mirrored[row], distances[other]):
                text = f"its landmarks are those of {earlier.specimen}, mirrored."
            elif _have_same_profile(profiles[row], profiles[other]):
                names = f"{earlier.specimen} and {scan.specimen}"
                text = (
                    f"{names} hold the same mesh, moved, mirrored, in another unit or order. "
                    "Delete one, or give them the same person."
                )
                yield Problem("same_mesh", earlier.specimen, text)
                continue
            else:
                continue
            yield Problem("same_landmarks", scan.specimen, text)


def _are_same(distances: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether the distances between landmarks that both scans have are the same."""
    apart = np.abs(distances - others)
    both = np.isfinite(apart)
    return bool(both.sum() >= MIN_TO_FIT and apart[both].max() < SAME_MM)


def _have_same_profile(profile: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two meshes are the same but for place, size, mirroring and numbering."""
    return bool(profile[0] == other[0] and np.abs(profile - other).max() < SAME_PROFILE)


def _pair_distances(positions_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = np.triu_indices(len(positions_mm), k=1)
    return np.asarray(np.linalg.norm(positions_mm[rows] - positions_mm[columns], axis=1))


def _compare_frames(loaded: Loaded, _scheme: Scheme) -> Iterator[Problem]:
    """Check that all scans or none have a matrix, and that faces coincide in the common frame."""
    moved = [(scan, checked) for scan, checked in loaded if scan.matrix_path is not None]
    if not moved:
        return
    bare = [scan.specimen for scan, _ in loaded if scan.matrix_path is None]
    if bare:
        text = (
            f"no matrix for {', '.join(bare)}; the others have one. Add it, or delete all matrices."
        )
        yield Problem("some_matrices", "", text)
    placed = [
        (scan.specimen, apply_similarity(checked.matrix, checked.landmarks.positions_mm))
        for scan, checked in moved
        if checked.matrix is not None
    ]
    if not placed:
        return
    middle = median_shape([positions for _, positions in placed])
    for specimen, positions in placed:
        off = _misfit(positions - middle)
        if off > REGISTRATION_MM:
            text = (
                f"its matrix leaves the landmarks {off:.0f} mm from where the others have them. "
                "Correct it. If the person is only of another size, such as a child, train with "
                "--anyway, and in palnet crossvalidate with a larger outlier_mm in your own recipe."
            )
            yield Problem("registration", specimen, text)


def _compare_shapes(loaded: Loaded, scheme: Scheme) -> Iterator[Problem]:
    """Compare each face with the scheme's mean face, or else the cohort's."""
    loaded = [each for each in loaded if each[1].landmarks.is_placed.sum() >= MIN_TO_FIT]
    if not loaded:
        return
    shapes = [checked.landmarks.positions_mm for _, checked in loaded]
    mean = _mean_shape(shapes, scheme)
    if mean is None:
        return
    scales: list[tuple[str, float]] = []
    for (scan, _), shape in zip(loaded, shapes, strict=True):
        if not _can_be_laid(shape, mean):
            continue
        fitted, scale = _fit(shape, mean)
        off = _misfit(fitted - mean)
        mirrored = _misfit(_fit(shape * [-1, 1, 1], mean)[0] - mean)
        if mirrored < MIRRORED_SHARE * off and mirrored < WRONG_ORDER_MM:
            text = (
                f"lies {off:.0f} mm from the others, but {mirrored:.0f} mm when mirrored: the "
                "scan is mirrored, or the labels of left and right are exchanged."
            )
            yield Problem("mirrored", scan.specimen, text)
        elif off > WRONG_ORDER_MM:
            text = (
                f"landmarks lie {off:.0f} mm from those of a face: are they in the order of the "
                "scheme?"
            )
            yield Problem("wrong_order", scan.specimen, text)
        else:
            scales.append((scan.specimen, scale))
            yield from _look_at_rows(scan.specimen, fitted, mean, scheme)
    usual = float(np.median([scale for _, scale in scales])) if scales else 1.0
    for specimen, scale in scales:
        if not SMALLEST_FACE < usual / scale < LARGEST_FACE:
            text = f"measures {usual / scale:.2f} times the usual size. Is the unit right?"
            yield Problem("odd_size", specimen, text)


def _look_at_rows(
    specimen: str, fitted: NDArray[np.float64], mean: NDArray[np.float64], scheme: Scheme
) -> Iterator[Problem]:
    """Report landmarks far from their expected place, and pairs that seem to be swapped."""
    errors = np.linalg.norm(fitted - mean, axis=1)
    far = np.flatnonzero(errors > OUTLIER_MM).tolist()
    used: set[int] = set()
    for number, i in enumerate(far):
        for j in far[number + 1 :]:
            other_way = np.linalg.norm(fitted[[j, i]] - mean[[i, j]], axis=1)
            if other_way.max() < OUTLIER_MM and other_way.sum() < 0.5 * (errors[i] + errors[j]):
                used |= {i, j}
                both = (scheme.codes[i], scheme.codes[j])
                yield Problem(
                    "exchanged", specimen, f"{both[0]} and {both[1]} seem to be exchanged.", both
                )
    for i in far:
        if i not in used:
            text = f"{scheme.codes[i]} lies {errors[i]:.0f} mm from where the others have it."
            yield Problem("outlier", specimen, text, (scheme.codes[i],))


def _mean_shape(
    shapes: Sequence[NDArray[np.float64]], scheme: Scheme
) -> NDArray[np.float64] | None:
    """Return the scheme's mean face, or else the median of the aligned cohort."""
    atlas = atlas_of(scheme)
    if atlas is not None:
        return atlas.landmark_mean_mm
    mean = common_shape(shapes)
    for _ in range(_ROUNDS):
        laid = [_fit(shape, mean)[0] for shape in shapes if _can_be_laid(shape, mean)]
        if not laid:
            return None
        mean = median_shape(laid)
    return mean


def _can_be_laid(shape: NDArray[np.float64], mean: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(shape - mean).all(axis=1).sum() >= MIN_TO_FIT)


def _fit(
    shape: NDArray[np.float64], mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Align a face to the mean face in two passes, the second with the landmarks that fit."""
    there = np.isfinite(shape - mean).all(axis=1)
    matrix = fit_similarity(shape[there], mean[there])
    errors = np.linalg.norm(apply_similarity(matrix, shape) - mean, axis=1)
    near = there & (errors < 2 * np.nanmedian(errors))
    if near.sum() >= max(MIN_TO_FIT, 0.6 * there.sum()):
        matrix = fit_similarity(shape[near], mean[near])
    return apply_similarity(matrix, shape), similarity_scale(matrix)


def _misfit(differences: NDArray[np.float64]) -> float:
    """Median length of the finite rows, robust to a single wrong landmark."""
    return float(np.nanmedian(np.linalg.norm(differences, axis=1)))
