# SPDX-License-Identifier: Apache-2.0
"""The first half of a detection: find the face on the scan, or say why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from palnet._stopwatch import Stopwatch
from palnet.detection.fitting import fit_face, fit_face_by_landmarks
from palnet.detection.judging import Judge, Verdict
from palnet.errors import ScanRefusedError
from palnet.face.pose import find_poses
from palnet.surface import prepare_scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from palnet.detection.fitting import FoundFace
    from palnet.face.pose import PoseCandidate
    from palnet.model import Model
    from palnet.surface import Mesh, Surface, Unit

__all__ = ["find_face", "find_face_on"]

# A candidate that scores less than this after its short fit hardly looks like a face. Even if it
# passes, a better one in another unit is preferred: noise read in inches once passed although the
# scan held a face in centimetres.
HOPELESS_SCORE = 0.12
# Of the hopeless candidates, those few that the pose networks doubt least get a full fit, for the
# landmark network to judge; it has to be sure of them. Without this, 4 of 100 people of anny were
# refused by a model trained without anny (development); for three of them the first guess was right
# to 12 mm, at a score of 0.03 to 0.07.
N_LEAST_DOUBTED = 4
# Candidates judged before the parts of the scan are searched, which takes as long as judging ten.
N_BEFORE_PARTS = 2
# Below this score the face may have been missed, and the search is repeated from other rotations.
# In 102 poses of real scans and generated people (development), found faces score 0.22 and more.
# One in two hundred is missed, and then nearly any other set of rotations finds it.
POOR_SCORE = 0.21
# Guided by landmarks, the atlas can fit shapes that no person has: faces compressed to half their
# width or sheared passed that way. The root mean square of the weights after a fit by landmarks was
# 0.59 to 0.82 for development people in their right pose (15 scans cut to the face), and 1.00 and
# more for the 39 distorted whole faces that would have passed.
MOST_UNUSUAL_BY_LANDMARKS = 0.9


def find_face(
    mesh: Mesh,
    units: tuple[Unit, ...],
    model: Model,
    watch: Stopwatch | None = None,
    *,
    is_unit_known: bool,
) -> FoundFace:
    """Prepare a scan, and try each plausible unit and pose until one is surely a face.

    If none passes, the atlas is fitted to the landmarks that the network predicts for each guess.
    If nothing looked like a face, the search is repeated from other rotations.

    Parameters
    ----------
    mesh : Mesh
        The scan as it is in its file.
    units : tuple of Unit
        Units to try, the most likely first.
    model : Model
        Atlas and networks.
    watch : Stopwatch, optional
        Records the time of the stages ``prepare``, ``pose``, ``fit`` and ``network``.
    is_unit_known : bool
        Whether the unit was given rather than guessed from the size.

    Returns
    -------
    FoundFace
        The face.

    Raises
    ------
    MeshError
        If the mesh has no triangle with a nonzero area.
    ScanRefusedError
        With the reason why the most likely guess is not a usable face.
    """
    watch = watch or Stopwatch()
    in_unit = _prepare_in_units(mesh, units[0], watch)
    return _find(in_unit, units, Judge(model, watch, is_unit_known=is_unit_known))


def find_face_on(surface: Surface, model: Model) -> FoundFace:
    """Find the face on a surface that is prepared already, in a unit known to be right.

    Parameters
    ----------
    surface : Surface
        The whole scan in millimetres.
    model : Model
        Atlas and networks.

    Returns
    -------
    FoundFace
        The face.

    Raises
    ------
    ScanRefusedError
        As `find_face`.
    """
    return _find(lambda _: surface, (surface.unit,), Judge(model, Stopwatch(), is_unit_known=True))


def _prepare_in_units(mesh: Mesh, first: Unit, watch: Stopwatch) -> Callable[[Unit], Surface]:
    """Prepare a scan in the first unit; return a function that gives it in any unit."""
    with watch.stage("prepare"):
        surface = prepare_scan(mesh, first)
    # A scan thinned for one unit has lost too much detail for a larger unit.
    is_thinned = any(finding.code == "thinned" for finding in surface.findings)

    @cache
    def in_unit(unit: Unit) -> Surface:
        if unit == first:
            return surface
        with watch.stage("prepare"):
            return prepare_scan(mesh, unit) if is_thinned else surface.rescaled(unit)

    return in_unit


def _find(in_unit: Callable[[Unit], Surface], units: tuple[Unit, ...], judge: Judge) -> FoundFace:
    """Return the first sure face, else the surest one that passes."""
    first = _search(in_unit, units, judge)
    found = [first.verdict]
    if first.verdict is None and judge.by_network and not first.is_settled:
        found.append(_judge_by_landmarks(first))
    if not any(verdict.is_sure for verdict in found if verdict) and first.best_score < POOR_SCORE:
        found.append(_search(in_unit, units, judge, once_more=True).verdict)
    surest = _surest(found)
    if surest is None:
        unit, refusal = first.refusals[0]
        is_guess = not judge.is_unit_known and unit.mm_per_unit != 1
        guess = f" One unit was taken as {unit.mm_per_unit:g} mm." if is_guess else ""
        msg = f"{in_unit(unit).name}: {refusal}{guess}"
        raise ScanRefusedError(msg)
    return surest.face


def _surest(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """Return the surest of the accepted verdicts, if there are any."""
    known = [verdict for verdict in verdicts if verdict is not None]
    return min(known, key=lambda verdict: verdict.uncertainty, default=None)


@dataclass(frozen=True, eq=False)
class _Passed:
    """A guess accepted as a face; hopeless if it hardly looked like one."""

    verdict: Verdict
    is_hopeless: bool

    @property
    def is_final(self) -> bool:
        """Whether the search can stop."""
        return self.verdict.is_sure and not self.is_hopeless


@dataclass(frozen=True, eq=False)
class _Search:
    """The result of a search: the guesses in each unit, the surest face in each, the refusals."""

    poses: list[_Poses]
    passed: list[_Passed]
    refused: list[tuple[Unit, Verdict]]

    @property
    def refusals(self) -> list[tuple[Unit, str]]:
        """Units and reasons of the refusals, the most likely guess first."""
        return [(unit, each.refusal) for unit, each in self.refused if each.refusal is not None]

    @property
    def is_settled(self) -> bool:
        """Whether the network is sure of a face that was refused, for example in the wrong unit."""
        return any(verdict.is_sure_refusal for _, verdict in self.refused)

    @property
    def best_score(self) -> float:
        """The best face score of all candidates."""
        return max(poses.candidates[0].score for poses in self.poses)

    @property
    def verdict(self) -> Verdict | None:
        """The surest face among those that looked like one, else among the others."""
        hopeful = _surest(each.verdict for each in self.passed if not each.is_hopeless)
        return hopeful or _surest(each.verdict for each in self.passed)


def _search(
    in_unit: Callable[[Unit], Surface],
    units: tuple[Unit, ...],
    judge: Judge,
    *,
    once_more: bool = False,
) -> _Search:
    """Judge the guesses unit by unit until one is sure."""
    search = _Search([], [], [])
    for unit in units:
        poses = _guess_poses(in_unit(unit), judge, once_more=once_more)
        passed: list[_Passed] = []
        for candidate in poses.to_judge(or_the_best=not search.poses):
            verdict = poses.verdict_on(candidate)
            is_hopeless = candidate.score < HOPELESS_SCORE
            if verdict.refusal is not None:
                search.refused.append((unit, verdict))
            elif verdict.is_sure or not is_hopeless or candidate is poses.candidates[0]:
                passed.append(_Passed(verdict, is_hopeless))
            if verdict.is_sure:
                break
        search.poses.append(poses)
        passed.sort(key=lambda each: (each.verdict.uncertainty, each.is_hopeless))
        search.passed.extend(passed[:1])
        if any(each.is_final for each in passed):
            break
    return search


def _judge_by_landmarks(failed: _Search) -> Verdict | None:
    """Fit the guesses to the network's landmarks; return the first sure face, else the surest.

    If a scan ends within the face, a fit to the surface alone may let the atlas shrink: of 320
    scans of infants and children cut down to the face (development), 14 were refused without this
    and 3 with it. Right guesses passed with 0.5 to 0.85 of the largest spread; wrong ones had 1.46
    and more, 11 objects that are no face 1.93 and more. The score of the short fit does not count
    here, because that is a fit to the surface too.
    """
    passed: list[Verdict] = []
    for poses in failed.poses:
        for candidate in poses.to_judge():
            verdict = poses.verdict_by_landmarks(candidate)
            is_usual = verdict.face.fit.mahalanobis <= MOST_UNUSUAL_BY_LANDMARKS
            if is_usual and verdict.is_sure:
                return verdict
            if is_usual and verdict.refusal is None:
                passed.append(verdict)
    return _surest(passed)


def _guess_poses(surface: Surface, judge: Judge, *, once_more: bool) -> _Poses:
    """Search the whole scan for poses and, unless one of the likeliest is sure, its parts too."""
    model = judge.model
    networks = model.network("pose_coarse"), model.network("pose_fine")
    search = find_poses(surface, model.atlas, *networks, once_more=once_more)
    with judge.watch.stage("pose"):
        poses = _Poses(surface, judge, next(search))
    if judge.by_network:
        likeliest = poses.to_judge()[:N_BEFORE_PARTS]
        if any(poses.verdict_on(candidate).is_sure for candidate in likeliest):
            return poses
    with judge.watch.stage("pose"):
        return replace(poses, candidates=next(search, poses.candidates))


@dataclass(frozen=True, eq=False)
class _Poses:
    """The pose guesses on the surface in one unit, the best first, and the verdicts so far."""

    surface: Surface
    judge: Judge
    candidates: list[PoseCandidate]
    known: dict[PoseCandidate, Verdict] = field(default_factory=dict)

    def to_judge(self, *, or_the_best: bool = True) -> list[PoseCandidate]:
        """Return the likely candidates, the best first, then those the pose networks doubt least.

        Without a landmark network to judge, only the likely ones or, with `or_the_best`, the best.
        """
        n_likely = sum(each.score >= HOPELESS_SCORE for each in self.candidates)
        if not self.judge.by_network:
            return self.candidates[: max(n_likely, or_the_best)]
        n_likely = max(n_likely, 1)
        others = sorted(self.candidates[n_likely:], key=lambda each: each.doubt_mm)
        return self.candidates[:n_likely] + others[:N_LEAST_DOUBTED]

    def verdict_on(self, candidate: PoseCandidate) -> Verdict:
        """Fit the atlas to the surface at a candidate pose and judge the face; cached."""
        if candidate not in self.known:
            pose = candidate.face_from_scan
            self.known[candidate] = self.judge.fit_and_judge(fit_face, self.surface, pose)
        return self.known[candidate]

    def verdict_by_landmarks(self, candidate: PoseCandidate) -> Verdict:
        """Judge a fit to the network's landmarks, starting at the pose networks' own guess."""
        return self.judge.fit_and_judge(fit_face_by_landmarks, self.surface, candidate.guess)
