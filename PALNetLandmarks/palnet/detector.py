# SPDX-License-Identifier: Apache-2.0
"""The full detection: read, find the face, fit the atlas, refine by patches, ask the colors."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy

import palnet
from palnet._checks import check_transform
from palnet._frozen import Frozen, frozen_copy
from palnet._stopwatch import Stopwatch
from palnet.detection.combining import COLOR_NOT_ASKED, Combined, combine_with_color
from palnet.detection.finding import find_face
from palnet.detection.fitting import FoundFace
from palnet.detection.placing import place_landmarks
from palnet.error_classes import CHECK_MM
from palnet.errors import MeshError
from palnet.face.alignment import align_landmarks
from palnet.landmarks import LandmarkSet, printable_name
from palnet.model import Model, read_model
from palnet.similarity import similarity_scale
from palnet.surface import (
    Finding,
    Mesh,
    Unit,
    check_size,
    parse_unit,
    plausible_units,
    read_colored_mesh,
    read_mesh,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.detection.placing import Placement
    from palnet.face.fit import AtlasFit

__all__ = ["Detection", "Quality", "detect"]

# Thresholds for the verdict ``check``: less coverage, or more landmarks missing than hair can hide.
# So is a result half of whose landmarks are doubtful.
CHECK_BELOW_COVERAGE = 0.75
CHECK_BELOW_PLACED_SHARE = 2 / 3
# With fewer landmarks than this, the atlas fit gives the more reliable pose.
MIN_POSE_LANDMARKS = 8
# A face smaller than this (the mean face is 1) is a child's, or the unit is wrong. In the generated
# people infants range from 0.65 to 0.98, children 0.78 to 1.14, everyone older 0.90 to 1.29.
SMALL_SIZE = 0.85


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the atlas explains the scan as a face.

    Attributes
    ----------
    residual_mm : float
        Median distance between the fitted atlas and the scan.
    coverage : float
        Share of the face between brows and chin that the scan shows (0 to 1).
    verdict : {"good", "check"}
        ``check`` if the landmarks should be reviewed.
    """

    residual_mm: float
    coverage: float
    verdict: Literal["good", "check"]


@dataclass(frozen=True, eq=False, slots=True)
class Detection(Frozen):
    """The result for one scan.

    Attributes
    ----------
    landmarks : LandmarkSet
        In the scan file's own frame and numbers, with status and expected error.
    face_from_scan : ndarray of shape (4, 4)
        Similarity from the scan in millimetres to the face frame (at the atlas's mean size; +X the
        subject's left, +Y up, +Z front): the best fit of the landmarks to the atlas's mean
        landmarks, see `palnet.face.alignment`.
    quality : Quality
        How well the atlas explains the scan as a face.
    findings : tuple of Finding
        Oddities of the mesh, in plain words.
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

    def __repr__(self) -> str:
        found = [each.code for each in self.findings]
        return f"<Detection {self.landmarks!r}, {self.quality.verdict}, findings {found}>"


def detect(
    scan: str | os.PathLike[str] | Mesh,
    *,
    unit: str | float = "auto",
    model: str | os.PathLike[str] | None = None,
    use_color: bool = True,
) -> Detection:
    """Place the landmarks of a model on a face scan.

    Convention: the landmarks come back in the scan's own frame and unit; `face_from_scan` acts on
    column vectors from the left.

    Parameters
    ----------
    scan : path-like or Mesh
        OBJ, PLY, STL, VTK or VTP file, or a mesh in memory, such as
        ``palnet.Mesh(mesh.vertices, mesh.faces)`` of one of trimesh, or with its color
        `palnet.read_colored_mesh`.
    unit : str or float
        ``auto``, ``um``, ``mm``, ``cm``, ``m``, ``in``, or millimetres per unit as a number.
    model : str or path-like, optional
        Name of a shipped model or path of a model file.
    use_color : bool
        Whether color helps to place lips and inner corners of the eyes, if the scan has any. Choose
        False if only some scans of a study have color.

    Returns
    -------
    Detection
        Landmarks with expected errors, quality and provenance.

    Raises
    ------
    MeshError
        If `scan` is neither a path nor a mesh, cannot be read as a surface or has no triangles.
    UnitError
        If the size of the scan fits no unit, or the unit is unknown.
    ScanRefusedError
        If no face was found that landmarks can be placed on.
    ModelFileError
        If the model cannot be read.

    References
    ----------
    A. Yazdi et al., PAL-Net, Informatics in Medicine Unlocked 60 (2026) 101729,
    doi 10.1016/j.imu.2025.101729: initial approximation, patches, point-wise network with
    attention. Pose search, atlas, spread and projection are this project's. Color: `palnet.photo`.
    """
    watch = Stopwatch()
    with watch.stage("model"):
        network_model = read_model(model)
    with watch.stage("read"):
        mesh = _mesh_of(scan, use_color=use_color)
    is_given = not _is_auto(unit)
    found = find_face(mesh, _units(mesh, unit), network_model, watch, is_unit_known=is_given)
    placed = place_landmarks(found, network_model, watch)
    with watch.stage("color"):
        if use_color:
            combined = combine_with_color(placed, found, mesh, network_model)
        else:
            combined = Combined(placed, record=COLOR_NOT_ASKED)
    with watch.stage("project"):
        landmarks = _to_landmarks(combined.placement, found, network_model, mesh)
        face_from_scan = _estimate_pose(found, landmarks, network_model)
    size = 1 / similarity_scale(face_from_scan)
    return Detection(
        landmarks=landmarks,
        face_from_scan=face_from_scan,
        quality=_quality(found.fit, landmarks),
        findings=(
            *_doubt_unit(size, found.surface.unit),
            *combined.findings,
            *found.surface.findings,
        ),
        provenance=_describe(
            network_model,
            mesh,
            found.surface.unit,
            is_unit_given=is_given,
            face_scale=size,
            color=combined.record,
            seconds=watch.seconds,
        ),
    )


def _mesh_of(scan: object, *, use_color: bool) -> Mesh:
    """Return the mesh, read from its file if necessary; it must have a surface."""
    if isinstance(scan, (str, os.PathLike)):
        return read_colored_mesh(scan) if use_color else read_mesh(scan)
    if not isinstance(scan, Mesh):
        msg = (
            f"scan must be the path of a mesh file or a palnet.Mesh; got {type(scan).__name__}. "
            "Make one of it: palnet.Mesh(points, triangles), two arrays of shape (n, 3)."
        )
        raise MeshError(msg)
    if not len(scan.triangles):
        msg = (
            f"{scan.name}: holds {len(scan.points)} points and no triangles. Build a surface first."
        )
        raise MeshError(msg)
    return scan


def _describe(
    model: Model,
    mesh: Mesh,
    unit: Unit,
    *,
    is_unit_given: bool,
    face_scale: float,
    color: dict[str, object] | None,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Describe the software, the model and the scan behind a result, and how it was made."""
    calibration = model.calibration
    return {
        "palnet": palnet.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "model": model.name,
        "model_sha256": model.sha256,
        "scheme": model.scheme.name,
        "unit": unit.name,
        "mm_per_unit": unit.mm_per_unit,
        "n_vertices": len(mesh.points),
        "n_triangles": len(mesh.triangles),
        "unit_source": "given" if is_unit_given else "inferred from the size",
        "ninety_percent_factor": round(calibration.shown_ninety, 3),
        "unseen_source": {
            "factor": calibration.source_factor,
            "power": calibration.source_power,
        },
        "face_scale": round(face_scale, 4),
        **({} if color is None else {"color": color}),
        "seconds": seconds,
    }


def _units(mesh: Mesh, unit: str | float) -> tuple[Unit, ...]:
    """List the units to try: those that the size allows, or the given one."""
    if _is_auto(unit):
        return plausible_units(mesh)
    given = parse_unit(unit)
    check_size(mesh, given)
    return (given,)


def _is_auto(unit: str | float) -> bool:
    """Whether the unit is to be inferred; letters of any case, as in the names of units."""
    return isinstance(unit, str) and unit.strip().lower() == "auto"


def _to_landmarks(placement: Placement, found: FoundFace, model: Model, mesh: Mesh) -> LandmarkSet:
    """Convert a placement to the scan file's units."""
    mm_per_unit, is_placed = found.surface.unit.mm_per_unit, placement.is_placed
    positions = placement.positions_mm / mm_per_unit
    return LandmarkSet(
        scheme=model.scheme,
        positions=np.where(is_placed[:, None], positions, np.nan),
        status=tuple("detected" if placed else "missing" for placed in is_placed),
        expected_error_mm=np.where(is_placed, placement.expected_error_mm, np.nan),
        mm_per_unit=mm_per_unit,
        frame="file",
        specimen=printable_name(mesh.name) or "mesh",
        space=mesh.space,
    )


def _estimate_pose(found: FoundFace, landmarks: LandmarkSet, model: Model) -> NDArray[np.float64]:
    """Estimate the pose from the placed landmarks, or from the atlas fit if they are too few.

    The fit also has to cope with hair, collars and noise, so the landmarks give the better pose.
    The landmarks of the paper's networks may differ from the atlas's, so there the fit is used too.
    """
    is_few = np.count_nonzero(landmarks.is_placed) < MIN_POSE_LANDMARKS
    if is_few or model.paper is not None:
        return found.face_from_scan
    errors_mm = landmarks.expected_error_mm * similarity_scale(found.face_from_scan)
    return align_landmarks(model.atlas, landmarks.positions_mm, errors_mm)


def _doubt_unit(size: float, unit: Unit) -> tuple[Finding, ...]:
    """Report a face too small for an adult: in a wrong unit, all millimetres are wrong."""
    if size >= SMALL_SIZE:
        return ()
    text = (
        f"read in {unit.in_words}, the face has {100 * size:.0f} % of the mean size: it is an "
        "infant's or a small child's, or the unit is wrong: check it."
    )
    return (Finding("small_face", text),)


def _quality(fit: AtlasFit, landmarks: LandmarkSet) -> Quality:
    """Summarize how far the result can be trusted."""
    expected = landmarks.expected_error_mm[np.isfinite(landmarks.expected_error_mm)]
    doubtful = not len(expected) or np.median(expected) > CHECK_MM
    is_incomplete = np.mean(landmarks.is_placed) < CHECK_BELOW_PLACED_SHARE
    is_covered = fit.coverage >= CHECK_BELOW_COVERAGE
    return Quality(
        residual_mm=round(fit.residual_mm, 3),
        coverage=round(fit.coverage, 3),
        verdict="check" if doubtful or is_incomplete or not is_covered else "good",
    )
