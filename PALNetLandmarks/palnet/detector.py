# SPDX-License-Identifier: Apache-2.0
"""The whole way of a scan: read, find the face, fit the atlas, refine by patches, project."""

from __future__ import annotations

import os
import platform
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

import palnet
from palnet._checks import check_transform, frozen_copy
from palnet.errors import ScanRefusedError
from palnet.face.alignment import align_landmarks
from palnet.face.fit import AtlasFit, fit_atlas
from palnet.face.pose import find_poses
from palnet.face.region import extract_face, move_cloud, move_surface, sample_coarse, sample_fine
from palnet.face.similarity import apply_similarity, invert_similarity, similarity_scale
from palnet.face.verdict import find_refusal
from palnet.landmarks import LandmarkSet
from palnet.model import Model, find_model, read_model
from palnet.network.landmarks import LandmarkPrediction, refine_landmarks
from palnet.surface import (
    Finding,
    Mesh,
    Surface,
    Unit,
    check_size,
    parse_unit,
    plausible_units,
    prepare_scan,
    project_onto_triangles,
    read_mesh,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.surface import PointCloud

__all__ = [
    "Detection",
    "FoundFace",
    "Quality",
    "Stopwatch",
    "detect",
    "estimate_pose",
    "find_face",
    "predict_in_face",
]

# A candidate whose short fit scores less than this is not worth a full one.
HOPELESS_SCORE = 0.12
# A landmark farther from the surface than this is not on it.
OFF_SURFACE_MM = 6.0
# A result whose coverage or median expected error is past these deserves a look as a whole: half of
# its landmarks are doubtful (palnet.preview).
CHECK_ABOVE_MM, CHECK_BELOW_COVERAGE = 4.0, 0.75
# Fewer landmarks than this hold a pose less surely than the atlas fit does.
MIN_POSE_LANDMARKS = 8


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the scan is explained as a face.

    Attributes
    ----------
    residual_mm : float
        Median distance of the fitted atlas from the scan.
    coverage : float
        Share of the face between brows and chin that the scan shows (0 to 1).
    verdict : str
        ``good``, or ``check`` if the landmarks deserve a look.
    """

    residual_mm: float
    coverage: float
    verdict: str


@dataclass(frozen=True, eq=False, slots=True)
class Detection:
    """The result for one scan.

    Attributes
    ----------
    landmarks : LandmarkSet
        In the scan file's own frame and numbers, with status and expected error.
    face_from_scan : ndarray of shape (4, 4)
        Similarity from the scan in millimetres to the face frame (mean adult size; +X the
        subject's left, +Y up, +Z front): the one that best takes the landmarks to the atlas's mean
        landmarks, see `palnet.face.alignment`.
    quality : Quality
        How well the scan is explained as a face.
    findings : tuple of Finding
        What is odd about the mesh, in plain words.
    provenance : dict
        Model and its hash, versions, unit, face size, seconds per stage; JSON-ready.
    """

    landmarks: LandmarkSet
    face_from_scan: NDArray[np.float64]
    quality: Quality
    findings: tuple[Finding, ...]
    provenance: dict[str, Any]

    def __post_init__(self) -> None:
        """Check and freeze the pose."""
        check_transform(np.asarray(self.face_from_scan), name="face_from_scan")
        object.__setattr__(self, "face_from_scan", frozen_copy(self.face_from_scan))


def detect(
    scan: str | os.PathLike[str] | Mesh,
    *,
    unit: str = "auto",
    model: str | os.PathLike[str] | None = None,
) -> Detection:
    """Place the landmarks of a model on a face scan.

    Convention: the landmarks come back in the scan's own frame and unit; `face_from_scan` acts on
    column vectors from the left.

    Parameters
    ----------
    scan : path-like or Mesh
        OBJ, PLY, STL, VTK or VTP file, or a mesh in memory.
    unit : str
        ``auto``, ``um``, ``mm``, ``cm``, ``m``, ``in``, or millimetres per unit as a number.
    model : str or path-like, optional
        Name of a shipped model or path of a model file.

    Returns
    -------
    Detection
        Landmarks with expected errors, quality and provenance.

    Raises
    ------
    MeshError
        If the file cannot be read as a surface.
    UnitError
        If the size of the scan fits no unit, or the unit is unknown.
    ScanRefusedError
        If no face was found that landmarks may be placed on.
    ModelFileError
        If the model cannot be read.

    References
    ----------
    A. Yazdi et al., PAL-Net, Informatics in Medicine Unlocked 60 (2026) 101729,
    doi 10.1016/j.imu.2025.101729: initial approximation, patches, point-wise network with
    attention. Pose search, atlas, spread and projection are this project's.
    """
    watch = Stopwatch()
    with watch.stage("model"):
        network_model = _read_model_once(model)
    with watch.stage("read"):
        mesh = scan if isinstance(scan, Mesh) else read_mesh(scan)
    units = _units(mesh, unit)
    with watch.stage("prepare"):
        surface = prepare_scan(mesh, units[0])
    found = find_face(surface, units, network_model, watch)
    with watch.stage("network"):
        prediction = predict_in_face(found, network_model)
    with watch.stage("project"):
        landmarks = _finish(found, prediction, network_model, mesh)
        face_from_scan = estimate_pose(found, landmarks, network_model)
    return Detection(
        landmarks=landmarks,
        face_from_scan=face_from_scan,
        quality=_judge(found.fit, landmarks),
        findings=found.surface.findings,
        provenance={
            "palnet": palnet.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "model": network_model.name,
            "model_sha256": network_model.sha256,
            "scheme": network_model.scheme.name,
            "unit": found.surface.unit.name,
            "mm_per_unit": found.surface.unit.mm_per_unit,
            "unit_source": "inferred from the size" if unit == "auto" else "given",
            "face_scale": round(1 / similarity_scale(face_from_scan), 4),
            "n_vertices": len(mesh.points),
            "n_triangles": len(mesh.triangles),
            "seconds": watch.seconds,
        },
    )


def _units(mesh: Mesh, unit: str) -> tuple[Unit, ...]:
    """The units to try: those that the size allows, or the one that was given."""
    if unit == "auto":
        return plausible_units(mesh)
    given = parse_unit(unit)
    check_size(mesh, given)
    return (given,)


class Stopwatch:
    """Seconds spent in each named stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        yield
        spent = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self.seconds[name] = round(spent, 4)


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face that was found.

    Attributes
    ----------
    surface : Surface
        The whole scan in millimetres.
    face_from_scan : ndarray of shape (4, 4)
        Similarity from scan millimetres to the face frame.
    face : Surface
        The region of interest, in the face frame.
    coarse : PointCloud
        The region at the coarse spacing, in the face frame.
    fit : AtlasFit
        The fitted atlas.
    """

    surface: Surface
    face_from_scan: NDArray[np.float64]
    face: Surface
    coarse: PointCloud
    fit: AtlasFit


def _read_model_once(model: str | os.PathLike[str] | None) -> Model:
    """Read a model, or take it from the last calls."""
    path = find_model(model)
    changed = path.stat()
    return _cached_model(path, changed.st_mtime_ns, changed.st_size)


@lru_cache(maxsize=4)
def _cached_model(path: Path, changed_ns: int, size: int) -> Model:  # noqa: ARG001  # the cache's key
    """Read a model again when its file has changed."""
    return read_model(path)


def find_face(
    surface: Surface,
    units: tuple[Unit, ...],
    model: Model,
    watch: Stopwatch | None = None,
) -> FoundFace:
    """Try each plausible unit and pose; the first face that passes the verdict is taken.

    Parameters
    ----------
    surface : Surface
        The scan, prepared in any one of the units.
    units : tuple of Unit
        Units to try, the likeliest first.
    model : Model
        Atlas and pose networks.
    watch : Stopwatch, optional
        Gets the time of the stages ``pose`` and ``fit``.

    Returns
    -------
    FoundFace
        The face.

    Raises
    ------
    ScanRefusedError
        With the reason why the likeliest guess is no usable face.
    """
    watch = watch or Stopwatch()
    reasons: list[str] = []
    for unit in units:
        scaled = surface if unit == surface.unit else surface.rescaled(unit)
        with watch.stage("pose"):
            candidates = find_poses(
                scaled, model.atlas, model.network("pose_coarse"), model.network("pose_fine")
            )
        for candidate in candidates:
            if reasons and candidate.score < HOPELESS_SCORE:
                break
            with watch.stage("fit"):
                found = _fit(scaled, candidate.face_from_scan, model)
            refusal = find_refusal(found.fit, found.face_from_scan)
            if refusal is None:
                return found
            reasons.append(refusal)
    msg = f"{surface.name}: {reasons[0]}"
    raise ScanRefusedError(msg)


def _fit(surface: Surface, guess: NDArray[np.float64], model: Model) -> FoundFace:
    """Cut out the region of interest and fit the atlas to it."""
    region = extract_face(surface, guess)
    cloud = sample_coarse(region)
    fit = fit_atlas(model.atlas, cloud)
    return FoundFace(
        surface=surface,
        face_from_scan=fit.face_from_cloud @ guess,
        face=move_surface(region, fit.face_from_cloud),
        coarse=move_cloud(cloud, fit.face_from_cloud),
        fit=fit,
    )


def predict_in_face(found: FoundFace, model: Model) -> LandmarkPrediction:
    """Refine the atlas's landmarks by the network; those that it moves far, once more.

    Parameters
    ----------
    found : FoundFace
        The face.
    model : Model
        The landmark network.

    Returns
    -------
    LandmarkPrediction
        In the face frame, not yet on the surface nor calibrated.
    """
    starts = found.fit.landmarks_mm
    fine = sample_fine(found.face, starts)
    weights = model.network("landmarks")
    return refine_landmarks(weights, fine, found.coarse, starts, model.scheme.mirror)


def _finish(
    found: FoundFace, prediction: LandmarkPrediction, model: Model, mesh: Mesh
) -> LandmarkSet:
    """Project onto the triangles, calibrate, and go back to the file's numbers."""
    projection = project_onto_triangles(found.face, prediction.positions_mm)
    scan_from_face = invert_similarity(found.face_from_scan)
    mm_per_unit = found.surface.unit.mm_per_unit
    expected = model.calibration.expected_error_mm(prediction.spread_mm)
    is_placed = prediction.visibility >= model.calibration.min_visibility
    is_placed &= projection.distances_mm < OFF_SURFACE_MM
    positions = apply_similarity(scan_from_face, projection.points_mm) / mm_per_unit
    return LandmarkSet(
        scheme=model.scheme,
        positions=np.where(is_placed[:, None], positions, np.nan),
        status=tuple("detected" if placed else "missing" for placed in is_placed),
        expected_error_mm=np.where(is_placed, expected * similarity_scale(scan_from_face), np.nan),
        mm_per_unit=mm_per_unit,
        frame="file",
        specimen=mesh.name,
        space=mesh.space,
    )


def estimate_pose(found: FoundFace, landmarks: LandmarkSet, model: Model) -> NDArray[np.float64]:
    """Pose of the face by the landmarks that were placed; by the atlas fit if these are too few.

    The fit has to start from hair, collars and noise alike; the landmarks lie closer to the truth.

    Parameters
    ----------
    found : FoundFace
        The face.
    landmarks : LandmarkSet
        Its landmarks.
    model : Model
        The atlas.

    Returns
    -------
    ndarray of shape (4, 4)
        ``face_from_scan``, on millimetres.
    """
    if np.count_nonzero(landmarks.is_placed) < MIN_POSE_LANDMARKS:
        return found.face_from_scan
    errors_mm = landmarks.expected_error_mm * similarity_scale(found.face_from_scan)
    return align_landmarks(model.atlas, landmarks.positions_mm, errors_mm)


def _judge(fit: AtlasFit, landmarks: LandmarkSet) -> Quality:
    """Sum up how far the result can be trusted."""
    expected = landmarks.expected_error_mm[np.isfinite(landmarks.expected_error_mm)]
    doubtful = not len(expected) or np.median(expected) > CHECK_ABOVE_MM
    return Quality(
        residual_mm=round(fit.residual_mm, 3),
        coverage=round(fit.coverage, 3),
        verdict="check" if doubtful or fit.coverage < CHECK_BELOW_COVERAGE else "good",
    )
