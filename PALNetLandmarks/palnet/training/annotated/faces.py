# SPDX-License-Identifier: Apache-2.0
"""Prepare annotated scans as in a detection: find the face, fit the atlas, sample points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from palnet._stored import read_kept
from palnet.data_sets.dataset import load_annotated
from palnet.detection.refinement import predict_from_atlas
from palnet.face.region import sample_fine
from palnet.landmarks import LandmarkSet
from palnet.network.landmarks import LandmarkPredictor
from palnet.network.patches import FaceClouds
from palnet.similarity import apply_similarity
from palnet.surface import (
    PointCloud,
    Surface,
    crop_surface,
    project_onto_triangles,
)
from palnet.training.annotated.aligning import (
    find_annotated_face,
    pack_truth,
    to_file_numbers,
    unpack_truth,
)
from palnet.training.annotated.scan_cache import keep_scans
from palnet.training.patches import TrainingPatches, cut_patches, draw_starts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from palnet.data_sets.dataset import AnnotatedScan, DataSet
    from palnet.face.atlas import FaceAtlas
    from palnet.model import Model
    from palnet.network.landmarks import LandmarkPrediction
    from palnet.network.layers import Weights
    from palnet.scheme import Scheme

__all__ = ["AnnotatedFace", "gather_training_patches", "prepare_faces"]

# Cached faces of another version, refused ones included, are prepared again. Raise it when the
# face search or the choice of the unit improves.
CACHE_VERSION = 5
# The surface is kept within this distance of starts and true landmarks: a result farther off is
# wrong anyway.
SURFACE_REACH_MM = 20.0


@dataclass(frozen=True, eq=False, slots=True)
class AnnotatedFace:
    """A scan after the detection stages that precede the landmark network.

    Convention: the face frame of the model's atlas, millimetres of its mean face.

    Attributes
    ----------
    person : str
        Person scanned.
    truth : LandmarkSet
        The landmarks in file coordinates.
    face_from_scan : ndarray of shape (4, 4)
        Similarity, from scan millimetres.
    clouds : FaceClouds
        The face.
    mode_weights : ndarray of shape (n_modes,)
        Shape of the fitted atlas.
    residual_mm : float
        Median distance of the surface from the fitted atlas, as in `palnet.face.fit.AtlasFit`.
    path : Path
        The cache file, which also holds the surface around the landmarks.
    digest : str
        Hash of all inputs.
    """

    person: str
    truth: LandmarkSet
    face_from_scan: NDArray[np.float64]
    clouds: FaceClouds
    mode_weights: NDArray[np.float64]
    residual_mm: float
    path: Path
    digest: str

    @property
    def specimen(self) -> str:
        """Name of the scan."""
        return self.truth.specimen

    @property
    def truth_mm(self) -> NDArray[np.float64]:
        """True landmarks in the face frame, NaN where missing."""
        return apply_similarity(self.face_from_scan, self.truth.positions_mm)

    def predict(self, weights: Weights, atlas: FaceAtlas) -> LandmarkPrediction:
        """Run a landmark network as in a detection, before projection to the surface."""
        predictor = LandmarkPredictor(weights, self.truth.scheme.mirror)
        return predict_from_atlas(predictor, atlas, self.mode_weights, self.clouds)

    def project(self, positions_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project positions in the face frame to the nearest point of the triangles."""
        arrays = read_kept(self.path, "surface_mm", "triangles")
        points = arrays["surface_mm"]
        surface = Surface(points, arrays["triangles"], np.zeros_like(points))
        return project_onto_triangles(surface, positions_mm).points_mm

    def to_file(self, positions_mm: NDArray[np.float64]) -> LandmarkSet:
        """Convert positions in the face frame to file coordinates, all as detected."""
        return to_file_numbers(self.truth, self.face_from_scan, positions_mm)


def prepare_faces(
    data: DataSet, model: Model, folder: Path, *, jobs: int = 1
) -> tuple[list[AnnotatedFace], list[str]]:
    """Run the detection stages on every scan, up to the landmark network.

    Matrices of the data set are not used, since a detection has none.

    Parameters
    ----------
    data : DataSet
        The scans.
    model : Model
        Pose networks and atlas.
    folder : Path
        Cache with one ``.npz`` per scan; reused if it was made from the same files.
    jobs : int
        Number of processes.

    Returns
    -------
    faces : list of AnnotatedFace
        The faces that were found, in the order of the data set.
    refusals : list of str
        One line per scan without a face, with the reason.
    """
    settings = f"faces {CACHE_VERSION} {model.sha256} {data.scheme.codes}"
    prepare = partial(_prepare, scheme=data.scheme, model=model)
    load = partial(_load, scheme=data.scheme)
    return keep_scans(data, settings, prepare, load, folder, jobs=jobs)


def _prepare(scan: AnnotatedScan, *, scheme: Scheme, model: Model) -> dict[str, NDArray[Any]]:
    """Prepare one scan: points and pose from its files."""
    found, truth = find_annotated_face(*load_annotated(scan, scheme), model)
    # Sample what a detection samples, or the whole face if the scheme's starts are still to be
    # learned. The truth must not influence the sampling, or the points would give it away.
    mode_weights = found.fit.mode_weights
    is_atlas_scheme = scheme.codes == model.scheme.codes
    centres = found.fit.landmarks_mm if is_atlas_scheme else model.atlas.shape_points(mode_weights)
    fine = sample_fine(found.face, centres)
    truth_mm = apply_similarity(found.face_from_scan, truth.positions_mm)[truth.is_placed]
    tree = cKDTree(np.concatenate([centres, truth_mm]))
    distance, _ = tree.query(found.face.points_mm, distance_upper_bound=SURFACE_REACH_MM)
    surface = crop_surface(found.face, np.isfinite(distance))
    return {
        **pack_truth(truth),
        "face_from_scan": found.face_from_scan,
        "fine": np.hstack([fine.points_mm, fine.normals]).astype(np.float32),
        "coarse": np.hstack([found.coarse.points_mm, found.coarse.normals]).astype(np.float32),
        "shape": mode_weights,
        "residual_mm": np.asarray(found.fit.residual_mm),
        "surface_mm": surface.points_mm.astype(np.float32),
        "triangles": surface.triangles,
    }


def _load(
    scan: AnnotatedScan, path: Path, arrays: dict[str, NDArray[Any]], *, scheme: Scheme
) -> AnnotatedFace:
    """Make a face from its cached arrays."""
    both = (arrays[name].astype(np.float64) for name in FaceClouds._fields)
    clouds = (PointCloud(each[:, :3], each[:, 3:]) for each in both)
    return AnnotatedFace(
        person=scan.person,
        truth=unpack_truth(arrays, scheme, scan.specimen),
        face_from_scan=arrays["face_from_scan"],
        clouds=FaceClouds(*clouds),
        mode_weights=arrays["shape"],
        residual_mm=float(arrays["residual_mm"]),
        path=path,
        digest=str(arrays["digest"]),
    )


def gather_training_patches(
    faces: Sequence[AnnotatedFace], atlas: FaceAtlas, seed: int
) -> TrainingPatches:
    """Cut the training patches for a network, with both starts.

    Parameters
    ----------
    faces : sequence of AnnotatedFace
        The training part.
    atlas : FaceAtlas
        Atlas that gives the first starts.
    seed : int
        Random seed for the second starts.

    Returns
    -------
    TrainingPatches
        `visible` marks the known landmarks; for the others, the truth is the first start.
    """
    rows: list[dict[str, NDArray[Any]]] = []
    for number, face in enumerate(faces):
        first_mm, truth_mm = atlas.shape_landmarks(face.mode_weights), face.truth_mm
        known = face.truth.is_placed
        starts = draw_starts(first_mm, truth_mm, known, np.random.default_rng([seed, number]))
        rows.append(
            {
                **cut_patches(face.clouds, starts),
                "truth_mm": np.where(known[:, None], truth_mm, first_mm).astype(np.float32),
                "visible": known,
            }
        )
    return TrainingPatches(**{name: np.stack([row[name] for row in rows]) for name in rows[0]})
