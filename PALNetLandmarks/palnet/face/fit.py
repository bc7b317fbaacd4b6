# SPDX-License-Identifier: Apache-2.0
"""Fit the atlas to a scan: similarity and shape weights jointly, robust to missing parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from palnet.face.relief import compare_relief
from palnet.similarity import (
    apply_similarity,
    compose_similarity,
    invert_similarity,
    rotate_directions,
    similarity_scale,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.surface import PointCloud

__all__ = ["AtlasFit", "Guide", "Round", "fit_atlas", "guide_fit", "measure_misfit"]


class Round(NamedTuple):
    """A round of the fit.

    Attributes
    ----------
    n_modes : int
        Number of modes; with 0 only pose and size are fitted.
    thinning : int
        Every n-th atlas point is matched.
    reach_mm : float
        Farthest match.
    ridge : float
        Variance of a match in mm^2 times the number of points with correlated errors (hair, a
        collar, a smile outside the modes).
    """

    n_modes: int
    thinning: int
    reach_mm: float
    ridge: float


# Pose alone first, then shape with a decreasing ridge.
SCHEDULE = (
    *(Round(0, 4, 30.0, 60.0),) * 3,
    *(Round(0, 3, 18.0, 60.0),) * 3,
    *(Round(10, 3, 14.0, 40.0),) * 3,
    *(Round(40, 3, 9.0, 14.0),) * 4,
    *(Round(140, 2, 6.0, 3.0),) * 5,
)
# Rounds of a landmark-guided fit, which starts from the first fit: its last rounds again. Five
# rounds instead of three gain 0.001 mm and take 12 ms longer.
GUIDED_SCHEDULE = SCHEDULE[-3:]
# The pull of a landmark with a spread of 1 mm; a matched point pulls by at most 1. Values of 1 and
# 10 are no better for the network that follows, on development people of both sources, held out or
# not.
GUIDE_PULL_MM = 3.0
MIN_NORMAL_AGREEMENT = 0.5
# Share of point-to-point in the residual: keeps the atlas from sliding along smooth cheeks.
POINT_SHARE = 0.01
# Matches are weighted by 1 / (1 + (distance / scale)^2): hair and clothes pull little.
ROBUST_SCALE_MM = 1.5

# With fewer matched points than this, the fit is not determined.
MIN_MATCHES = 60
# Residual of a typical face: the median of 300 people of the calibration (0.14 to 0.40 mm from the
# 1st to the 99th percentile); on a source unknown to the atlas it is 0.43 mm (0.32 to 0.65).
TYPICAL_RESIDUAL_MM = 0.25
# The residual counts scan points within this reach of the atlas; an atlas point counts as shown if
# there is a scan point within the shorter distance.
RESIDUAL_REACH_MM, SHOWN_MM = 8.0, 4.0
# Range to which the misfit is clipped.
MISFIT_RANGE = (0.5, 3.0)


class Guide(NamedTuple):
    """Landmarks found on a cloud, to which the atlas is fitted as well as to its points.

    Attributes
    ----------
    landmarks_mm : ndarray of shape (n_landmarks, 3)
        The landmarks, in the frame of the cloud; finite, even where nothing is known.
    spread_mm : ndarray of shape (n_landmarks,)
        Expected distance of each from the truth, above 0: a landmark pulls by `GUIDE_PULL_MM` over
        it, and with ``inf`` not at all.
    """

    landmarks_mm: NDArray[np.float64]
    spread_mm: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AtlasFit:
    """An atlas fitted to a scan.

    Attributes
    ----------
    face_from_cloud : ndarray of shape (4, 4)
        Similarity from the frame of the cloud to the face frame.
    mode_weights : ndarray of shape (n_modes,)
        Shape in standard deviations.
    landmarks_mm : ndarray of shape (n_landmarks, 3)
        The atlas's landmarks, in the face frame: the initial approximation.
    residual_mm : float
        Median distance between the core atlas points and the scan, along the scan's normals.
    coverage : float
        Share of the core atlas points that lie on the scan (0 to 1).
    relief : float
        Correlation between the scan's and the atlas's normals over the core, after removing from
        both what a smooth bulge explains (-1 to 1). It ranks poses.
    mahalanobis : float
        Root mean square of the weights: how unusual the shape is, about 0.5 to 1 for faces.
    """

    face_from_cloud: NDArray[np.float64]
    mode_weights: NDArray[np.float64]
    landmarks_mm: NDArray[np.float64]
    residual_mm: float
    coverage: float
    relief: float
    mahalanobis: float

    @property
    def misfit(self) -> float:
        """The misfit from `measure_misfit`."""
        return measure_misfit(self.residual_mm)


def measure_misfit(residual_mm: float) -> float:
    """Measure how badly the atlas fits a face: 1 is typical; clipped to 0.5 to 3.

    Landmarks are less accurate on faces unlike those the atlas was built from, and on rough or
    coarse scans. On an unseen source the residual shows this better than the weights do, because
    these stay small for faces outside the modes.

    Parameters
    ----------
    residual_mm : float
        `AtlasFit.residual_mm`.

    Returns
    -------
    float
        The residual as a ratio to that of a typical face.
    """
    return float(np.clip(residual_mm / TYPICAL_RESIDUAL_MM, *MISFIT_RANGE))


def fit_atlas(
    atlas: FaceAtlas,
    cloud: PointCloud,
    schedule: tuple[Round, ...] = SCHEDULE,
    guide: Guide | None = None,
) -> AtlasFit:
    """Fit pose, size and shape of the atlas to a point cloud, and to landmarks if any are known.

    Each round matches atlas points to the nearest scan points and solves one linearised
    least-squares problem for pose, size and shape together: point-to-plane with a small
    point-to-point share, the shape weights regularized by their prior.

    Parameters
    ----------
    atlas : FaceAtlas
        The atlas.
    cloud : PointCloud
        The region of interest at about 3 mm spacing, in a frame within about 20 degrees, 20 mm and
        15 % of the face frame.
    schedule : tuple of Round, optional
        The rounds.
    guide : Guide, optional
        Landmarks. They fix the size if the cloud ends within the face, where atlas points beyond
        its rim are matched to the rim.

    Returns
    -------
    AtlasFit
        The fit; `palnet.face.refusal` decides whether it is a face.
    """
    target = _Target.of(cloud, guide)
    mode_weights, face_from_cloud = _fit_rounds(atlas, target, np.zeros(atlas.n_modes), schedule)
    return _summarise(atlas, target.tree, cloud.normals, face_from_cloud, mode_weights)


def guide_fit(
    atlas: FaceAtlas,
    cloud: PointCloud,
    mode_weights: NDArray[np.float64],
    guide: Guide,
) -> NDArray[np.float64]:
    """Refit the atlas to landmarks found on the scan as well as to its points.

    The nearest scan point often corresponds to a different place on the face, above all for faces
    outside the modes. Landmarks establish the correspondence: eyes, nose and mouth, which a network
    finds reliably, also improve the places where the surface is featureless.

    Convention: all millimetres are in the face frame of the first fit, as is the cloud.

    Parameters
    ----------
    atlas : FaceAtlas
        The atlas.
    cloud : PointCloud
        The region of interest, in the face frame of the first fit.
    mode_weights : ndarray of shape (n_modes,)
        Shape of the first fit.
    guide : Guide
        The landmarks.

    Returns
    -------
    ndarray of shape (n_landmarks, 3)
        The atlas's landmarks after the fit; those of the first fit if too little lies on the cloud.
    """
    target = _Target.of(cloud, guide)
    mode_weights, face_from_cloud = _fit_rounds(atlas, target, mode_weights, GUIDED_SCHEDULE)
    return apply_similarity(invert_similarity(face_from_cloud), atlas.shape_landmarks(mode_weights))


@dataclass(frozen=True, eq=False)
class _Target:
    """The data to fit: points with normals, and landmarks with their pull if known."""

    tree: cKDTree
    normals: NDArray[np.float64]
    known: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @classmethod
    def of(cls, cloud: PointCloud, guide: Guide | None) -> _Target:
        """Build the target from a cloud and landmarks."""
        known = None if guide is None else (guide.landmarks_mm, GUIDE_PULL_MM / guide.spread_mm)
        return cls(cKDTree(cloud.points_mm), cloud.normals, known)


def _fit_rounds(
    atlas: FaceAtlas,
    target: _Target,
    mode_weights: NDArray[np.float64],
    schedule: tuple[Round, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Run the rounds from the given weights; return the last ones and ``face_from_cloud``."""
    mode_weights, face_from_cloud = mode_weights.copy(), np.eye(4)
    modes_by_point = atlas.modes_by_point
    for n_modes, thinning, reach_mm, ridge in schedule:
        chosen, now = slice(None, None, thinning), mode_weights[:n_modes]
        shape = atlas.mean_mm[chosen]
        if n_modes:
            # Single precision avoids a copy of the modes in double; einsum, because BLAS is slower
            # for one small product per point.
            modes = modes_by_point[chosen, :, :n_modes]
            shape = shape + np.einsum("pcm,m->pc", modes, now.astype(np.float32))
        facing = atlas.normals[chosen]
        match = _match(shape, facing, target.tree, target.normals, face_from_cloud, reach_mm)
        if len(match.rows) < MIN_MATCHES:
            break
        modes = modes_by_point[chosen][match.rows, :, :n_modes]
        pulled = _pull(atlas, target, now, face_from_cloud)
        motion, step = _solve(shape[match.rows], match, modes, now, ridge, pulled)
        mode_weights[:n_modes] += step
        face_from_cloud = motion @ face_from_cloud
    return mode_weights, face_from_cloud


@dataclass(frozen=True, eq=False)
class _Pulled:
    """Atlas landmarks to pull to known positions: their points, gaps, modes and pull."""

    points: NDArray[np.float64]
    gap: NDArray[np.float64]
    modes: NDArray[np.float32]
    pull: NDArray[np.float32]


def _pull(
    atlas: FaceAtlas,
    target: _Target,
    mode_weights: NDArray[np.float64],
    face_from_cloud: NDArray[np.float64],
) -> _Pulled | None:
    """Return the gaps from the atlas's landmarks, at these weights, to the known ones."""
    if target.known is None:
        return None
    landmarks_mm, pull = target.known
    reached = atlas.shape_landmarks(mode_weights)
    gap = apply_similarity(face_from_cloud, landmarks_mm) - reached
    modes = atlas.landmark_modes_mm[: len(mode_weights)].transpose(1, 2, 0)
    return _Pulled(reached, gap, modes, pull.astype(np.float32))


@dataclass(frozen=True, eq=False)
class _Match:
    """Atlas rows with their scan points and normals in the current face frame."""

    rows: NDArray[np.int64]
    points: NDArray[np.float64]
    normals: NDArray[np.float64]
    robust: NDArray[np.float64]


def _match(
    shape: NDArray[np.float64],
    shape_normals: NDArray[np.float64],
    tree: cKDTree,
    normals: NDArray[np.float64],
    face_from_cloud: NDArray[np.float64],
    reach_mm: float,
) -> _Match:
    """Find the nearest scan point of each atlas point, if near enough and facing the same way."""
    cloud_from_face = invert_similarity(face_from_cloud)
    reach = reach_mm * similarity_scale(cloud_from_face)
    queries = apply_similarity(cloud_from_face, shape)
    distance, nearest = tree.query(queries, distance_upper_bound=reach)
    rows = np.flatnonzero(np.isfinite(distance))
    found_normals = rotate_directions(face_from_cloud, normals[nearest[rows]])
    agrees = np.einsum("ij,ij->i", found_normals, shape_normals[rows]) > MIN_NORMAL_AGREEMENT
    rows, found_normals = rows[agrees], found_normals[agrees]
    points = apply_similarity(face_from_cloud, tree.data[nearest[rows]])
    gap = np.einsum("ij,ij->i", points - shape[rows], found_normals)
    robust = 1 / (1 + (gap / max(ROBUST_SCALE_MM, reach_mm / 4)) ** 2)
    return _Match(rows, points, found_normals, robust)


def _solve(
    shape: NDArray[np.float64],
    match: _Match,
    modes: NDArray[np.float32],
    mode_weights: NDArray[np.float64],
    ridge: float,
    pulled: _Pulled | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Do one Gauss-Newton step: return the scan's motion and the change of the weights.

    The unknowns are rotation vector, translation and log scale of the atlas, then its weights;
    the atlas's motion is inverted at the end, because the scan is moved.
    """
    gap = match.points - shape
    middle = shape.mean(axis=0)
    columns = _motion_columns(shape - middle, modes)
    root = np.sqrt(match.robust).astype(np.float32)
    facing = match.normals.astype(np.float32) * root[:, None]
    plane = np.matmul(facing[:, None], columns)[:, 0]
    plane_gap = np.einsum("ij,ij->i", gap, facing)
    thin = slice(None, None, 3)
    point_weight = np.sqrt(3 * POINT_SHARE).astype(np.float32) * root[thin]
    free, free_gap = _weighted_rows(columns[thin], gap[thin], point_weight)
    normal = (plane.T @ plane + free.T @ free).astype(np.float64)
    right = plane_gap @ plane + free_gap @ free
    if pulled is not None:
        held = _motion_columns(pulled.points - middle, pulled.modes)
        held, held_gap = _weighted_rows(held, pulled.gap, np.sqrt(pulled.pull))
        normal += held.T @ held
        right += held_gap @ held
    # The small term on the motion keeps the system solvable if the data do not constrain it.
    n_modes = modes.shape[2]
    normal[np.diag_indices_from(normal)] += np.repeat([1e-3, ridge], [7, n_modes])
    right[7:] -= ridge * mode_weights
    solution = cho_solve(cho_factor(normal), right)
    turn = Rotation.from_rotvec(solution[:3]).as_matrix()
    scale = float(np.exp(np.clip(solution[6], -0.2, 0.2)))
    shift = middle + solution[3:6] - scale * turn @ middle
    return invert_similarity(compose_similarity(scale, turn, shift)), solution[7:]


def _motion_columns(
    arms_mm: NDArray[np.float64], modes: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Derivative of each point by each unknown, (n_points, 3, 7 + n_modes)."""
    arms = arms_mm.astype(np.float32)
    columns = np.zeros((len(arms), 3, 7 + modes.shape[2]), dtype=np.float32)
    columns[:, (2, 0, 1), (0, 1, 2)] = arms[:, (1, 2, 0)]
    columns[:, (1, 2, 0), (0, 1, 2)] = -arms[:, (2, 0, 1)]
    columns[:, (0, 1, 2), (3, 4, 5)] = 1.0
    columns[:, :, 6] = arms
    columns[:, :, 7:] = modes
    return columns


def _weighted_rows(
    columns: NDArray[np.float32], gap: NDArray[np.float64], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the three weighted equations of each point: left and right side."""
    left = (columns * weight[:, None, None]).reshape(-1, columns.shape[2])
    return left, (gap * weight[:, None]).ravel()


def _summarise(
    atlas: FaceAtlas,
    tree: cKDTree,
    normals: NDArray[np.float64],
    face_from_cloud: NDArray[np.float64],
    mode_weights: NDArray[np.float64],
) -> AtlasFit:
    """Measure how well the fitted atlas matches the scan."""
    core = atlas.core
    shape = atlas.shape_points(mode_weights)[core]
    match = _match(shape, atlas.normals[core], tree, normals, face_from_cloud, RESIDUAL_REACH_MM)
    gap = np.abs(np.einsum("ij,ij->i", match.points - shape[match.rows], match.normals))
    distance = np.linalg.norm(match.points - shape[match.rows], axis=1)
    on_scan = distance < SHOWN_MM
    return AtlasFit(
        face_from_cloud=face_from_cloud,
        mode_weights=mode_weights,
        landmarks_mm=atlas.shape_landmarks(mode_weights),
        residual_mm=float(np.median(gap)) if len(gap) else np.inf,
        coverage=float(np.count_nonzero(on_scan)) / max(1, int(core.sum())),
        relief=compare_relief(shape, atlas.normals[core], tree, normals, face_from_cloud),
        mahalanobis=float(np.sqrt(np.mean(mode_weights**2))),
    )
