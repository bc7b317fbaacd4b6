# SPDX-License-Identifier: Apache-2.0
"""A detection split into stages, with the landmarks after each.

The stages are called as in `palnet.detector.detect`; `python -m benchmarks.accuracy` checks that
the last stage gives the same as `detect`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet.detection.finding import find_face
from palnet.detection.fitting import predict_in_face
from palnet.detection.placing import project_prediction
from palnet.detection.refinement import refine_landmarks
from palnet.face.fit import Guide, guide_fit
from palnet.face.region import sample_fine
from palnet.network.patches import FaceClouds, gather_patches
from palnet.similarity import apply_similarity, fit_similarity, invert_similarity
from palnet.surface import parse_unit, plausible_units, project_onto_triangles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.detection.fitting import FoundFace
    from palnet.model import Model
    from palnet.surface import Mesh

__all__ = ["STAGES", "StagedResult", "run_stages"]

STAGES = (
    "mean landmarks",
    "atlas fit",
    "network, pass 1",
    "network, last pass",
    "guided fit",
    "network, mean",
    "final",
)
"""The paper's initial approximation; this project's; the network; its further passes for landmarks
that moved far; the atlas refitted to their result; the mean of that result and of a pass around the
guided landmarks; the projection."""


@dataclass(frozen=True, eq=False)
class StagedResult:
    """Landmarks after each stage.

    Attributes
    ----------
    positions : dict of str to ndarray of shape (n_landmarks, 3)
        One for each of `STAGES`, in file coordinates, including those called missing.
    is_placed : ndarray of shape (n_landmarks,)
        False if a landmark was called missing.
    expected_error_mm : ndarray of shape (n_landmarks,)
        As returned by `detect`, NaN if missing.
    """

    positions: dict[str, NDArray[np.float64]]
    is_placed: NDArray[np.bool_]
    expected_error_mm: NDArray[np.float64]


def run_stages(mesh: Mesh, model: Model, unit: str = "auto") -> StagedResult:
    """Detect and keep the result of every stage; raises as `palnet.detect` if refused."""
    found = _find(mesh, model, unit)
    starts = found.fit.landmarks_mm
    clouds = FaceClouds(sample_fine(found.face, starts), found.coarse)
    first = model.landmark_predictor.predict(gather_patches(clouds, starts))
    last = refine_landmarks(model.landmark_predictor, clouds, starts)
    guide = Guide(last.positions_mm, last.spread_mm)
    guided_mm = guide_fit(model.atlas, found.coarse, found.fit.mode_weights, guide)
    prediction = predict_in_face(found, model)
    in_face = {
        "mean landmarks": _on_surface(found, _posed_mean(found, model)),
        "atlas fit": _on_surface(found, starts),
        "network, pass 1": first.positions_mm,
        "network, last pass": last.positions_mm,
        "guided fit": _on_surface(found, guided_mm),
        "network, mean": prediction.positions_mm,
        "final": _on_surface(found, prediction.positions_mm),
    }
    placement = project_prediction(found, prediction, model)
    file_from_face = invert_similarity(_face_from_file(found))
    return StagedResult(
        positions={name: apply_similarity(file_from_face, p) for name, p in in_face.items()},
        is_placed=placement.is_placed,
        expected_error_mm=np.where(placement.is_placed, placement.expected_error_mm, np.nan),
    )


def _find(mesh: Mesh, model: Model, unit: str) -> FoundFace:
    """The first half of `palnet.detector.detect`."""
    units = plausible_units(mesh) if unit == "auto" else (parse_unit(unit),)
    return find_face(mesh, units, model, is_unit_known=unit != "auto")


def _face_from_file(found: FoundFace) -> NDArray[np.float64]:
    """Return the pose, from file coordinates."""
    return found.face_from_scan @ np.diag([*[found.surface.unit.mm_per_unit] * 3, 1.0])


def _posed_mean(found: FoundFace, model: Model) -> NDArray[np.float64]:
    """Return the mean landmarks in the estimated pose, the paper's initial approximation.

    The pose is the similarity that maps the mean landmarks to the fitted ones, the best possible
    pose without shape.
    """
    mean = model.atlas.landmark_mean_mm
    return apply_similarity(fit_similarity(mean, found.fit.landmarks_mm), mean)


def _on_surface(found: FoundFace, positions_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project positions to the nearest point of the scan's triangles."""
    return project_onto_triangles(found.face, positions_mm).points_mm
