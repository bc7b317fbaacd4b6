# SPDX-License-Identifier: Apache-2.0
"""Find the face in a scan in any rotation and position: networks guess, the atlas decides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from palnet.errors import ScanRefusedError
from palnet.face.fit import Round, fit_atlas
from palnet.face.region import move_cloud
from palnet.network.pose import (
    CROP_RADIUS_MM,
    KEY_POINTS_MM,
    N_POSE_POINTS,
    POSE_UNIT_MM,
    predict_key_points,
)
from palnet.similarity import (
    apply_similarity,
    compose_similarity,
    fit_similarity,
    invert_similarity,
    rotate_directions,
    similarity_scale,
)
from palnet.surface import PointCloud, sample_surface

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.network.layers import Weights
    from palnet.surface import Surface

__all__ = ["PoseCandidate", "find_poses"]

# Number of points that the whole scan is thinned to for the search, and their finest spacing.
N_SEARCH_POINTS = 6000
FINEST_SEARCH_SPACING_MM = 2.8
# Number of start rotations of the search: for the whole scan, and for each part of it.
N_STARTS, N_PART_STARTS = 12, 5
N_PARTS, PART_RADIUS_MM = 10, 135.0
# Rotation applied to the start rotations in a second search: 70 degrees about a diagonal.
NO_TURN = np.eye(3)
OTHER_TURN = Rotation.from_rotvec(np.full(3, np.deg2rad(70) / np.sqrt(3))).as_matrix()
# Steps of the coarse network around its own guess: shoulders pull the first one down.
N_SETTLING_STEPS = 2
# Guesses kept after each refinement (how far the first ones move says little), and how many are
# finally fitted: for the whole scan, and for the parts if that failed. A right guess that starts 40
# degrees off is among the most doubtful until its third refinement; on a head with long hair it was
# still 62nd then, and first after the fourth.
N_KEPT, N_CHECKED = (1000, 40, 16), 6
N_PART_KEPT, N_PART_CHECKED = (1000, 1000, 300, 40), 16
# Guesses whose key points are closer than this on average count as one (15 degrees are 17 mm).
SAME_POSE_MM = 17.0
# Candidates whose key points are closer than this count as one.
SAME_FIT_MM = 3.0
# Centres about which every rotation is tried in the search by parts. A closed head with long hair
# was found in none of six poses with 6 centres, in three with 12, in all with 20; a refused scan
# takes 5 seconds, most of them here.
N_CENTRES, SAME_CENTRE_MM = 20, 25.0
# How much smaller or larger than the mean a face may be during the search; the following fit allows
# somewhat more.
SEARCHED_SCALES = (0.5, 1.6)
# A candidate with this score is a face, so the parts of the scan are not searched.
SURE_SCORE = 0.33
# A short fit that distinguishes a face from anything else.
CHECK_SCHEDULE = (
    *(Round(0, 6, 30.0, 60.0),) * 3,
    *(Round(0, 5, 18.0, 60.0),) * 3,
    *(Round(10, 4, 12.0, 40.0),) * 3,
)


@dataclass(frozen=True, eq=False)
class PoseCandidate:
    """A pose guess and the score of its short fit.

    Attributes
    ----------
    face_from_scan : ndarray of shape (4, 4)
        Similarity from scan millimetres to the face frame.
    guess : ndarray of shape (4, 4)
        The pose from the networks, before the short fit.
    score : float
        Relief agreement times coverage; higher is better.
    doubt_mm : float
        Distance between the key points as last seen by the fine network and those of a mean face;
        lower is better, 3 to 8 is usual.
    """

    face_from_scan: NDArray[np.float64]
    guess: NDArray[np.float64]
    score: float
    doubt_mm: float


def find_poses(
    surface: Surface, atlas: FaceAtlas, coarse: Weights, fine: Weights, *, once_more: bool = False
) -> Iterator[list[PoseCandidate]]:
    """Find the few most likely poses of a face.

    The coarse network guesses from the whole scan first; only if none of its guesses looks like a
    face does it guess again from many parts of the scan, which takes ten times as long. A caller
    that accepts one of the first guesses should therefore stop iterating.

    The score ranks poses of faces that the atlas can represent. A face that it cannot, such as one
    of an unseen source, may score no better than a wrong pose; there the doubt is the better
    criterion.

    Parameters
    ----------
    surface : Surface
        The whole scan in millimetres, normals outward.
    atlas : FaceAtlas
        Ranks the guesses.
    coarse, fine : mapping of str to ndarray
        The two pose networks.
    once_more : bool, default False
        Whether to search only the parts, from other rotations than the first time.

    Yields
    ------
    list of PoseCandidate
        The best first; at least one, whether it is a face or not. The second list includes the
        candidates of the first.

    Raises
    ------
    ScanRefusedError
        If the scan has hardly any surface.
    """
    cloud = _thin_for_search(surface)
    if not len(cloud.points_mm):
        msg = (
            f"{surface.name}: no face: the triangles are scattered and make no surface. Export the "
            "scan as a connected mesh."
        )
        raise ScanRefusedError(msg)
    if once_more:
        found = _search_parts(cloud, [], coarse, fine, OTHER_TURN)
        yield _check_all(cloud, found, atlas)
        return
    guesses = _first_guesses(_stride(cloud), coarse, N_STARTS)
    guesses = _distinct(_settle(cloud, guesses, coarse))
    candidates = _check_all(cloud, _keep_likeliest(cloud, guesses, fine, N_KEPT)[:N_CHECKED], atlas)
    yield candidates
    if candidates[0].score < SURE_SCORE:
        found = _search_parts(cloud, guesses, coarse, fine)
        candidates = [*candidates, *_check_all(cloud, found, atlas)]
        candidates.sort(key=lambda candidate: -candidate.score)
        # Some guesses were fitted before: candidates that converged to the same fit are dropped.
        poses = [candidate.face_from_scan for candidate in candidates]
        yield [candidates[row] for row in _first_of_each(poses, SAME_FIT_MM)]


class _Guess(NamedTuple):
    """A pose, and the mean distance of its key points from their expected positions (mm)."""

    face_from_scan: NDArray[np.float64]
    doubt_mm: float


def _thin_for_search(surface: Surface) -> PointCloud:
    """Sample about `N_SEARCH_POINTS` points over the whole scan."""
    # A few thousand evenly spread triangles estimate the area well enough.
    some = surface.triangles[:: max(1, len(surface.triangles) // N_SEARCH_POINTS)]
    a, b, c = (surface.points_mm[some[:, k]] for k in range(3))
    doubled = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    area = 0.5 * doubled.mean() * len(surface.triangles)
    return sample_surface(surface, max(FINEST_SEARCH_SPACING_MM, np.sqrt(area / N_SEARCH_POINTS)))


@cache
def _start_rotations(n_starts: int) -> NDArray[np.float64]:
    """Return evenly spread rotations, always the same: (n_starts, 3, 3)."""
    chosen = [np.array([1.0, 0, 0, 0])]
    pool = np.random.default_rng(2026).normal(size=(4000, 4))
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    while len(chosen) < n_starts:
        nearest = np.abs(pool @ np.array(chosen).T).max(axis=1)
        chosen.append(pool[np.argmin(nearest)])
    return np.asarray(Rotation.from_quat(np.array(chosen)).as_matrix())


def _stride(cloud: PointCloud, within: NDArray[np.bool_] | None = None) -> PointCloud:
    """Take as many points as the networks need, spread evenly over the cells of a cloud."""
    rows = np.arange(len(cloud.points_mm)) if within is None else np.flatnonzero(within)
    if not len(rows):
        rows = np.arange(len(cloud.points_mm))
    rows = rows[(np.arange(N_POSE_POINTS) * len(rows)) // N_POSE_POINTS]
    return PointCloud(cloud.points_mm[rows], cloud.normals[rows])


def _cut_parts(cloud: PointCloud) -> list[PointCloud]:
    """Cut face-sized parts around points that are far from each other."""
    points = cloud.points_mm
    distance = np.linalg.norm(points - points.mean(axis=0), axis=1)
    centre = points[np.argmin(distance)]
    distance = np.full(len(points), np.inf)
    parts = []
    for _ in range(N_PARTS):
        from_centre = np.linalg.norm(points - centre, axis=1)
        parts.append(_stride(cloud, from_centre < PART_RADIUS_MM))
        distance = np.minimum(distance, from_centre)
        centre = points[np.argmax(distance)]
    return parts


def _search_parts(
    cloud: PointCloud,
    guesses: list[_Guess],
    coarse: Weights,
    fine: Weights,
    turn: NDArray[np.float64] = NO_TURN,
) -> list[_Guess]:
    """Return the likeliest of these guesses, new ones from parts of the scan, and all turned."""
    guesses = list(guesses)
    for part in _cut_parts(cloud):
        guesses += _settle(cloud, _first_guesses(part, coarse, N_PART_STARTS, turn), coarse)
    guesses += _turn_all_ways(guesses)
    return _keep_likeliest(cloud, guesses, fine, N_PART_KEPT)[:N_PART_CHECKED]


def _first_guesses(
    part: PointCloud, weights: Weights, n_starts: int, turn: NDArray[np.float64] = NO_TURN
) -> list[_Guess]:
    """Return the coarse network's guess from every start rotation, each turned by `turn`."""
    centre = part.points_mm.mean(axis=0)
    turns = _start_rotations(n_starts) @ turn
    positions = (part.points_mm - centre) @ turns.transpose(0, 2, 1) / POSE_UNIT_MM
    inputs = np.concatenate([positions, part.normals @ turns.transpose(0, 2, 1)], axis=2)
    predicted = predict_key_points(weights, inputs.astype(np.float32)).astype(np.float64)
    return [_pose_of(points) for points in predicted * POSE_UNIT_MM @ turns + centre]


def _turn_all_ways(guesses: list[_Guess]) -> list[_Guess]:
    """Return guesses with the icosahedron's 60 rotations about each distinct guessed centre.

    Every rotation is within 45 degrees of one of these, which the fine network can correct; the
    coarse one may confuse the front and the back of, for example, a closed head.
    """
    centres: list[NDArray[np.float64]] = []
    for guess in sorted(guesses, key=lambda guess: guess.doubt_mm):
        centre = apply_similarity(invert_similarity(guess.face_from_scan), KEY_POINTS_MM[0])
        if all(np.linalg.norm(centre - other) > SAME_CENTRE_MM for other in centres):
            centres.append(centre)
    turns = Rotation.create_group("I").as_matrix()
    return [
        _Guess(compose_similarity(1.0, turn, KEY_POINTS_MM[0] - turn @ centre), np.inf)
        for centre in centres[:N_CENTRES]
        for turn in turns
    ]


def _keep_likeliest(
    cloud: PointCloud, guesses: list[_Guess], fine: Weights, n_kept: tuple[int, ...]
) -> list[_Guess]:
    """Refine guesses with the fine network, keeping some after each step; most likely first."""
    for n in n_kept:
        guesses = _distinct(_refine(cloud, guesses, fine))[:n]
    return guesses


def _check_all(cloud: PointCloud, guesses: list[_Guess], atlas: FaceAtlas) -> list[PoseCandidate]:
    """Fit the atlas to every guess; the best first."""
    candidates = [_check(cloud, atlas, guess) for guess in guesses]
    return sorted(candidates, key=lambda candidate: -candidate.score)


def _settle(cloud: PointCloud, guesses: list[_Guess], coarse: Weights) -> list[_Guess]:
    """Run the coarse network again on the surroundings of its guess."""
    for _ in range(N_SETTLING_STEPS):
        guesses = _refine(cloud, guesses, coarse, about_mean=True)
    return guesses


def _refine(
    cloud: PointCloud, guesses: list[_Guess], weights: Weights, *, about_mean: bool = False
) -> list[_Guess]:
    """Run one network step for every guess, in its own frame; the doubt is how far it moves.

    The fine network was trained on clouds centred at the guessed centre of the face, the coarse one
    on clouds centred at the mean of the points.
    """
    inputs = np.zeros((len(guesses), N_POSE_POINTS, 6), dtype=np.float32)
    centres = np.zeros((len(guesses), 3))
    for row, (pose, _) in enumerate(guesses):
        middle = apply_similarity(invert_similarity(pose), KEY_POINTS_MM[0])
        offset = cloud.points_mm - middle
        reach = CROP_RADIUS_MM / similarity_scale(pose)
        near = _stride(cloud, np.einsum("ij,ij->i", offset, offset) < reach**2)
        centres[row] = near.points_mm.mean(axis=0) if about_mean else middle
        inputs[row, :, :3] = (near.points_mm - centres[row]) @ pose[:3, :3].T / POSE_UNIT_MM
        inputs[row, :, 3:] = rotate_directions(pose, near.normals)
    predicted = predict_key_points(weights, inputs).astype(np.float64) * POSE_UNIT_MM
    refined = []
    for key_points, (pose, _), centre in zip(predicted, guesses, centres, strict=True):
        in_scan = key_points @ np.linalg.inv(pose[:3, :3]).T + centre
        moved = np.linalg.norm(apply_similarity(pose, in_scan) - KEY_POINTS_MM, axis=1).mean()
        refined.append(_Guess(_pose_of(in_scan).face_from_scan, float(moved)))
    return refined


def _pose_of(key_points: NDArray[np.float64]) -> _Guess:
    """Return the pose that key points imply, with its scale clipped to the searched range."""
    pose = fit_similarity(key_points, KEY_POINTS_MM)
    misfit = apply_similarity(pose, key_points) - KEY_POINTS_MM
    scale = float(np.clip(similarity_scale(pose), 1 / SEARCHED_SCALES[1], 1 / SEARCHED_SCALES[0]))
    rotation = pose[:3, :3] / similarity_scale(pose)
    shift = KEY_POINTS_MM.mean(axis=0) - scale * rotation @ key_points.mean(axis=0)
    doubt_mm = float(np.linalg.norm(misfit, axis=1).mean())
    return _Guess(compose_similarity(scale, rotation, shift), doubt_mm)


def _distinct(guesses: list[_Guess]) -> list[_Guess]:
    """Keep one of each group of similar guesses, the least doubtful first."""
    guesses = sorted(guesses, key=lambda guess: guess.doubt_mm)
    poses = [guess.face_from_scan for guess in guesses]
    return [guesses[row] for row in _first_of_each(poses, SAME_POSE_MM)]


def _first_of_each(poses: list[NDArray[np.float64]], same_mm: float) -> list[int]:
    """Return the rows of poses whose key points are at least `same_mm` from all kept before."""
    key_points = np.array(
        [apply_similarity(invert_similarity(pose), KEY_POINTS_MM) for pose in poses]
    )
    kept: list[int] = []
    for row, points in enumerate(key_points):
        apart_mm = np.linalg.norm(key_points[kept] - points, axis=2).mean(axis=1)
        if not (apart_mm < same_mm).any():
            kept.append(row)
    return kept


def _check(cloud: PointCloud, atlas: FaceAtlas, guess: _Guess) -> PoseCandidate:
    """Fit the atlas for a few rounds and score the guess."""
    moved = move_cloud(cloud, guess.face_from_scan)
    near = np.linalg.norm(moved.points_mm - KEY_POINTS_MM[0], axis=1) < CROP_RADIUS_MM
    fit = fit_atlas(atlas, PointCloud(moved.points_mm[near], moved.normals[near]), CHECK_SCHEDULE)
    pose = fit.face_from_cloud @ guess.face_from_scan
    score = fit.relief * fit.coverage
    return PoseCandidate(pose, guess.face_from_scan, score, guess.doubt_mm)
