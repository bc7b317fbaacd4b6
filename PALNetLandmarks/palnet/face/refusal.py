# SPDX-License-Identifier: Apache-2.0
"""Decide whether a fitted atlas lies on a face at all: the reason for a refusal, or none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from palnet.face.relief import compare_relief
from palnet.similarity import similarity_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.face.fit import AtlasFit
    from palnet.surface import PointCloud

__all__ = [
    "LARGEST_FACE",
    "MIN_COVERAGE",
    "SMALLEST_FACE",
    "find_refusal",
    "measure_broad_relief",
]

# Relative to the atlas's mean face, which is 0.95 of an adult's because its people include infants.
# The 5,200 training people measure 0.59 to 1.33. If the unit of a scan is guessed, the range must
# stay below the 2.54 between inches and centimetres, or one face fits two units; if it is known, a
# preterm infant is a face as well.
LARGEST_FACE = 1.37
SMALLEST_FACE, SMALLEST_OF_KNOWN_UNIT = 0.54, 0.48
# 200 generated people never fall below 0.75.
MIN_COVERAGE = 0.6
# Larger than the noise of a scan, smaller than brows, nose and mouth.
RELIEF_RADIUS_MM = 12.0
# Number of points of the coarse cloud within the radius.
N_RELIEF_NEIGHBOURS = 64
# Likeness is broad relief minus 1 for every millimetre of residual on the scan, as noise is as
# large on a small face as on a large one. 72 generated people of the noisiest captures and six real
# scans have 0.29 and more; smooth objects and a face stretched threefold at most 0.06.
RESIDUAL_PENALTY = 1.0
MIN_LIKENESS = 0.18
MAX_MAHALANOBIS = 1.6


def measure_broad_relief(atlas: FaceAtlas, fit: AtlasFit, coarse: PointCloud) -> float:
    """Measure how well the scan's relief matches the atlas's, ignoring noise and small features.

    Parameters
    ----------
    atlas : FaceAtlas
        The atlas.
    fit : AtlasFit
        Its fit.
    coarse : PointCloud
        The region of interest at the coarse spacing, in the face frame.

    Returns
    -------
    float
        Correlation of the averaged normals, -1 to 1, as in `palnet.face.relief.compare_relief`.
    """
    if not len(coarse.points_mm):
        return 0.0
    shape = atlas.shape_points(fit.mode_weights)
    core = shape[atlas.core]
    ours = _average(cKDTree(shape), atlas.normals, core)
    tree = cKDTree(coarse.points_mm)
    places = coarse.points_mm[tree.query(core)[1]]
    theirs = _average(tree, coarse.normals, places, facing=ours)
    return compare_relief(core, ours, cKDTree(places), theirs, np.eye(4))


def _average(
    tree: cKDTree,
    normals: NDArray[np.float64],
    places: NDArray[np.float64],
    facing: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Average the normals around each place; with `facing`, only those facing that way."""
    _, near = tree.query(places, N_RELIEF_NEIGHBOURS, distance_upper_bound=RELIEF_RADIUS_MM)
    # A missing neighbour has the index after the last.
    around = np.vstack([normals, np.zeros((1, 3))])[near]
    if facing is not None:
        around = around * (np.einsum("ijk,ik->ij", around, facing) > 0)[..., None]
    mean = around.sum(axis=1)
    lengths = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.asarray(mean / np.maximum(lengths, np.finfo(float).tiny))


def find_refusal(
    fit: AtlasFit,
    broad_relief: float,
    face_from_scan: NDArray[np.float64],
    *,
    is_unit_known: bool,
    is_sure: bool | None = None,
) -> str | None:
    """Say why landmarks should not be placed; None if they can be.

    Parameters
    ----------
    fit : AtlasFit
        The fitted atlas.
    broad_relief : float
        Result of `measure_broad_relief`; ignored if `is_sure` decides.
    face_from_scan : ndarray of shape (4, 4)
        The resulting pose.
    is_unit_known : bool
        Whether the unit of the scan was given rather than guessed from its size.
    is_sure : bool, optional
        Whether the landmark network is sure of its prediction, a better criterion than likeness;
        None if it cannot tell.

    Returns
    -------
    str or None
        The reason, for the user, with a remedy.
    """
    size = 1 / similarity_scale(face_from_scan)
    smallest = SMALLEST_OF_KNOWN_UNIT if is_unit_known else SMALLEST_FACE
    what_to_do = "check its unit" if is_unit_known else "give its unit"
    residual_mm = fit.residual_mm * min(size, LARGEST_FACE)
    likeness = broad_relief - RESIDUAL_PENALTY * residual_mm
    is_like_a_face = likeness >= MIN_LIKENESS if is_sure is None else is_sure
    is_like_a_face &= fit.mahalanobis <= MAX_MAHALANOBIS
    if is_like_a_face and not smallest <= size <= LARGEST_FACE:
        return (
            f"the face would be {size:.3g} times the mean face's size, outside {smallest} to "
            f"{LARGEST_FACE}. If it is a person's, {what_to_do}."
        )
    if fit.coverage < MIN_COVERAGE:
        return (
            f"no usable face: only {math.floor(100 * fit.coverage)} % of a face between brows and "
            f"chin was found, less than {100 * MIN_COVERAGE:.0f} %. Scan the face from the front; "
            f"if the scan shows one, {what_to_do}."
        )
    if not is_like_a_face and is_sure is not None:
        return (
            "no face: at the best match too little looks like landmarks of a face. Check that the "
            f"scan shows a face; if it does, {what_to_do}."
        )
    if not is_like_a_face:
        return (
            f"no face: brows, nose and mouth are not where the best match has them (likeness "
            f"{likeness:.2f}, needed {MIN_LIKENESS}). Check that the scan shows a face; if it "
            f"does, {what_to_do}."
        )
    return None
