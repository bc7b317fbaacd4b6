# SPDX-License-Identifier: Apache-2.0
"""Annotated scans as a detection sees them: the face found, the atlas fitted, points sampled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from palnet._stored import read_arrays
from palnet.face.region import sample_fine
from palnet.face.similarity import apply_similarity
from palnet.finding import find_face
from palnet.landmarks import LandmarkSet
from palnet.refinement import predict_from_atlas
from palnet.surface import (
    PointCloud,
    Surface,
    crop_surface,
    prepare_scan,
    project_onto_triangles,
)
from palnet.training.aligning import pack_truth, to_file_numbers, unpack_truth
from palnet.training.dataset import load_annotated
from palnet.training.patches import TrainingPatches, cut_patches, draw_starts
from palnet.training.scan_cache import keep_scans, part_refusals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.model import Model
    from palnet.network.landmarks import LandmarkPrediction
    from palnet.network.layers import Weights
    from palnet.scheme import Scheme
    from palnet.training.dataset import AnnotatedScan, DataSet

__all__ = ["AnnotatedFace", "gather_training_patches", "has_atlas_scheme", "prepare_faces"]

# Kept faces of another version are prepared again, refused ones as well: raised when the search
# finds more.
CACHE_VERSION = 3
# Of the surface, what is nearer than this to an approximation or a true landmark is kept: a result
# that is farther off than that is wrong anyway.
SURFACE_REACH_MM = 20.0


@dataclass(frozen=True, eq=False, slots=True)
class AnnotatedFace:
    """A scan after the stages of a detection that come before the landmark network.

    Convention: the face frame of the model's atlas, millimetres of its mean face.

    Attributes
    ----------
    person : str
        Whose scan it is.
    truth : LandmarkSet
        The landmarks in the numbers of the mesh file.
    face_from_scan : ndarray of shape (4, 4)
        Similarity, from scan millimetres.
    fine, coarse : PointCloud
        The face at both spacings.
    shape : ndarray of shape (n_modes,)
        Weights of the fitted atlas.
    residual_mm : float
        Median distance of the surface from it, as of `palnet.face.fit.AtlasFit`.
    path : Path
        The kept file, which also holds the surface round the landmarks.
    digest : str
        Hash of everything that it was made from.
    """

    person: str
    truth: LandmarkSet
    face_from_scan: NDArray[np.float64]
    fine: PointCloud
    coarse: PointCloud
    shape: NDArray[np.float64]
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
        """Give the landmarks of a network as a detection does, before they go to the surface."""
        mirror = self.truth.scheme.mirror
        return predict_from_atlas(weights, atlas, self.shape, self.fine, self.coarse, mirror)

    def project(self, positions_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move positions in the face frame to the nearest point of the triangles."""
        arrays = read_arrays(self.path, "surface_mm", "triangles")
        points = arrays["surface_mm"]
        surface = Surface(points, arrays["triangles"], np.zeros_like(points))
        return project_onto_triangles(surface, positions_mm).points_mm

    def to_file(self, positions_mm: NDArray[np.float64]) -> LandmarkSet:
        """Give positions of the face frame in the numbers of the mesh file, all detected."""
        return to_file_numbers(self.truth, self.face_from_scan, positions_mm)


def has_atlas_scheme(scheme: Scheme, model: Model) -> bool:
    """Whether a scheme's landmarks are those that the model's atlas carries.

    Parameters
    ----------
    scheme : Scheme
        A data set's scheme.
    model : Model
        A model.

    Returns
    -------
    bool
        By the codes, in their order.
    """
    return scheme.codes == model.scheme.codes


def prepare_faces(
    data: DataSet, model: Model, folder: Path, *, jobs: int = 1
) -> tuple[list[AnnotatedFace], list[str]]:
    """Take every scan through the stages of a detection, up to the landmark network.

    Matrices of the data set are not used: a detection has none.

    Parameters
    ----------
    data : DataSet
        The scans.
    model : Model
        Pose networks and atlas.
    folder : Path
        Gets a ``.npz`` for each scan; one that was made from the same files is taken from there.
    jobs : int
        Processes.

    Returns
    -------
    faces : list of AnnotatedFace
        Those that were found, in the order of the data set.
    refusals : list of str
        Why the others were not, a line each.
    """
    settings = f"faces {CACHE_VERSION} {model.sha256} {data.scheme.codes}"
    paths = keep_scans(
        data, settings, partial(_prepare, scheme=data.scheme, model=model), folder, jobs=jobs
    )
    found = [_load(scan, data.scheme, path) for scan, path in zip(data.scans, paths, strict=True)]
    return part_refusals(found)


def _prepare(scan: AnnotatedScan, *, scheme: Scheme, model: Model) -> dict[str, NDArray[Any]]:
    """One scan from its files to points and pose."""
    mesh, unit, truth = load_annotated(scan, scheme)
    found = find_face(prepare_scan(mesh, unit), (unit,), model, is_unit_known=False)
    # What a detection samples; where a scheme's starts are yet to be learned, the whole face. The
    # truth has no part in it: nobody may find it by where points are.
    shape = found.fit.weights
    is_atlas_scheme = has_atlas_scheme(scheme, model)
    centres = found.fit.landmarks_mm if is_atlas_scheme else model.atlas.shape_points(shape)
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
        "shape": shape,
        "residual_mm": np.asarray(found.fit.residual_mm),
        "surface_mm": surface.points_mm.astype(np.float32),
        "triangles": surface.triangles,
    }


def _load(scan: AnnotatedScan, scheme: Scheme, path: Path) -> AnnotatedFace | str:
    """Load what is kept of a scan: itself, or why it could not be prepared."""
    arrays = read_arrays(path)
    if "refusal" in arrays:
        return str(arrays["refusal"])
    fine, coarse = arrays["fine"].astype(np.float64), arrays["coarse"].astype(np.float64)
    return AnnotatedFace(
        person=scan.person,
        truth=unpack_truth(arrays, scheme, scan.specimen),
        face_from_scan=arrays["face_from_scan"],
        fine=PointCloud(fine[:, :3], fine[:, 3:]),
        coarse=PointCloud(coarse[:, :3], coarse[:, 3:]),
        shape=arrays["shape"],
        residual_mm=float(arrays["residual_mm"]),
        path=path,
        digest=str(arrays["digest"]),
    )


def gather_training_patches(
    faces: Sequence[AnnotatedFace], atlas: FaceAtlas, seed: int
) -> TrainingPatches:
    """Cut the patches that a network is trained on, with both starts.

    Parameters
    ----------
    faces : sequence of AnnotatedFace
        The training part.
    atlas : FaceAtlas
        Gives the first starts of the scheme.
    seed : int
        For the second starts.

    Returns
    -------
    TrainingPatches
        `visible` says which landmarks are known; of the others the truth holds the first start.
    """
    rows: list[dict[str, NDArray[Any]]] = []
    for number, face in enumerate(faces):
        first_mm, truth_mm = atlas.shape_landmarks(face.shape), face.truth_mm
        known = face.truth.is_placed
        starts = draw_starts(first_mm, truth_mm, known, np.random.default_rng([seed, number]))
        rows.append(
            {
                **cut_patches(face.fine, face.coarse, starts),
                "truth_mm": np.where(known[:, None], truth_mm, first_mm).astype(np.float32),
                "visible": known,
            }
        )
    return TrainingPatches(**{name: np.stack([row[name] for row in rows]) for name in rows[0]})
