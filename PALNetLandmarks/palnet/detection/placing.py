# SPDX-License-Identifier: Apache-2.0
"""The second half of a detection: place the landmarks on a found face with a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._stopwatch import Stopwatch
from palnet.detection.fitting import predict_in_face
from palnet.face.alignment import remove_scale
from palnet.face.region import extract_face, move_surface
from palnet.network.paper import run_palnet
from palnet.network.paper_patches import finish_landmarks, gather_sorted
from palnet.similarity import apply_similarity, invert_similarity, similarity_scale
from palnet.surface import project_onto_triangles, sample_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.detection.fitting import FoundFace
    from palnet.model import Model
    from palnet.network.landmarks import LandmarkPrediction
    from palnet.surface import Surface

__all__ = [
    "OFF_SURFACE_MM",
    "Placement",
    "place_by_paper",
    "place_landmarks",
    "project_prediction",
]

# A landmark farther from the surface than this counts as off the scan.
OFF_SURFACE_MM = 6.0


@dataclass(frozen=True, eq=False, slots=True)
class Placement:
    """Landmark positions of a scan, in its own frame and true millimetres.

    Attributes
    ----------
    positions_mm : ndarray of shape (n_landmarks, 3)
        Positions, including those of landmarks that are not placed.
    expected_error_mm : ndarray of shape (n_landmarks,)
        Expected distance of each landmark from the truth.
    is_placed : ndarray of shape (n_landmarks,)
        False where the scan does not show the landmark.
    """

    positions_mm: NDArray[np.float64]
    expected_error_mm: NDArray[np.float64]
    is_placed: NDArray[np.bool_]


def place_landmarks(found: FoundFace, model: Model, watch: Stopwatch | None = None) -> Placement:
    """Place the landmarks with the model's network.

    Parameters
    ----------
    found : FoundFace
        The face.
    model : Model
        The network.
    watch : Stopwatch, optional
        Records the time of the stages ``network`` and ``project``.

    Returns
    -------
    Placement
        In the frame of the scan.
    """
    watch = watch or Stopwatch()
    if model.paper is not None:
        with watch.stage("network"):
            return place_by_paper(found.surface, found.face_from_scan, model)
    with watch.stage("network"):
        prediction = predict_in_face(found, model)
    with watch.stage("project"):
        return project_prediction(found, prediction, model)


def project_prediction(found: FoundFace, prediction: LandmarkPrediction, model: Model) -> Placement:
    """Project a prediction onto the triangles, calibrate it, and transform it back to the scan.

    Parameters
    ----------
    found : FoundFace
        The face.
    prediction : LandmarkPrediction
        The network's prediction, in the face frame.
    model : Model
        The calibration.

    Returns
    -------
    Placement
        In the frame of the scan.
    """
    projection = project_onto_triangles(found.face, prediction.positions_mm)
    scan_from_face = invert_similarity(found.face_from_scan)
    in_face_mm = model.calibration.expected_error_mm(prediction.spread_mm, found.fit.misfit)
    known_mm = in_face_mm * similarity_scale(scan_from_face)
    is_placed = prediction.visibility >= model.calibration.min_visibility
    is_placed &= projection.distances_mm < OFF_SURFACE_MM
    return Placement(
        positions_mm=apply_similarity(scan_from_face, projection.points_mm),
        expected_error_mm=model.calibration.on_unseen_source(known_mm),
        is_placed=is_placed,
    )


def place_by_paper(
    surface: Surface, face_from_scan: NDArray[np.float64], model: Model
) -> Placement:
    """Place as the paper does, in the same steps as a cross-validation; none is missing.

    Parameters
    ----------
    surface : Surface
        The whole scan in millimetres.
    face_from_scan : ndarray of shape (4, 4)
        Pose of the found face.
    model : Model
        A model with one of the paper's networks.

    Returns
    -------
    Placement
        In the frame of the scan.

    Raises
    ------
    ValueError
        If the model has a different network.
    """
    paper = model.paper
    if paper is None:
        msg = f"model must have a network of the paper; got {model.name}."
        raise ValueError(msg)
    rigid = remove_scale(face_from_scan, model.atlas)
    face = move_surface(extract_face(surface, rigid), paper.frame_from_face)
    cloud_mm = sample_surface(face, paper.spacing_mm).points_mm.astype(np.float32)
    patches, _ = gather_sorted(cloud_mm, paper.means_mm, paper.n_points)
    predicted_mm = run_palnet(model.network("landmarks"), patches)
    finished_mm = finish_landmarks(cloud_mm, predicted_mm, paper.finish)
    scan_from_frame = invert_similarity(paper.frame_from_face @ rigid)
    return Placement(
        positions_mm=apply_similarity(scan_from_frame, finished_mm),
        expected_error_mm=model.calibration.factor,
        is_placed=np.ones(len(finished_mm), dtype=bool),
    )
