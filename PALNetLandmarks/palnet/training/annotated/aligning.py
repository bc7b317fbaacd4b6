# SPDX-License-Identifier: Apache-2.0
"""Bring annotated scans into one frame and sample them; the results are cached."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet.data_sets.dataset import load_annotated, place_truth
from palnet.data_sets.scan_checks import read_matrix
from palnet.detection.finding import find_face
from palnet.errors import TrainingError, UsageError
from palnet.face.alignment import remove_scale
from palnet.face.region import extract_face, move_surface
from palnet.model import read_model
from palnet.similarity import apply_similarity, invert_similarity
from palnet.surface import prepare_scan, sample_surface
from palnet.training.annotated.cohort import AlignedScan
from palnet.training.annotated.scan_cache import keep_scans

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.data_sets.dataset import AnnotatedScan, DataSet
    from palnet.detection.fitting import FoundFace
    from palnet.landmarks import LandmarkSet, Status
    from palnet.model import Model
    from palnet.scheme import Scheme
    from palnet.surface import Mesh, Unit

__all__ = [
    "PreparedScan",
    "find_annotated_face",
    "pack_truth",
    "prepare_scans",
    "to_file_numbers",
    "unpack_truth",
]

# Cached scans of another version, refused ones included, are prepared again. Raise it when the
# face search or the choice of the unit improves.
CACHE_VERSION = 4
# A surface with fewer sampled points is a splinter.
MIN_CLOUD_POINTS = 100


@dataclass(frozen=True, eq=False, slots=True)
class PreparedScan:
    """A scan in the common frame, and the transform back to its mesh file.

    Attributes
    ----------
    aligned : AlignedScan
        Cloud and landmarks in the common frame.
    frame_from_scan : ndarray of shape (4, 4)
        Rigid transform, acting on millimetres.
    truth : LandmarkSet
        The landmarks in file coordinates.
    digest : str
        Hash of all inputs.
    """

    aligned: AlignedScan
    frame_from_scan: NDArray[np.float64]
    truth: LandmarkSet
    digest: str

    def to_file(self, predicted_mm: NDArray[np.floating]) -> LandmarkSet:
        """Convert landmarks from the common frame to file coordinates.

        Parameters
        ----------
        predicted_mm : ndarray of shape (n_landmarks, 3)
            In the common frame.

        Returns
        -------
        LandmarkSet
            All detected, without expected errors.
        """
        return to_file_numbers(self.truth, self.frame_from_scan, predicted_mm)


def to_file_numbers(
    truth: LandmarkSet, frame_from_scan: NDArray[np.float64], positions_mm: NDArray[np.floating]
) -> LandmarkSet:
    """Convert landmarks from another frame to file coordinates.

    Parameters
    ----------
    truth : LandmarkSet
        Any landmarks of the scan in file coordinates.
    frame_from_scan : ndarray of shape (4, 4)
        Similarity to the other frame, acting on millimetres.
    positions_mm : ndarray of shape (n_landmarks, 3)
        In the other frame.

    Returns
    -------
    LandmarkSet
        Detected, or missing where the position is NaN; without expected errors.
    """
    back_mm = apply_similarity(invert_similarity(frame_from_scan), positions_mm)
    is_there = np.asarray(np.isfinite(back_mm).all(axis=1)).tolist()
    status: list[Status] = ["detected" if there else "missing" for there in is_there]
    return replace(truth, positions=back_mm / truth.mm_per_unit, status=tuple(status))


def pack_truth(truth: LandmarkSet) -> dict[str, NDArray[Any]]:
    """Pack true landmarks into arrays for the cache.

    Parameters
    ----------
    truth : LandmarkSet
        As returned by `palnet.data_sets.dataset.load_scan`.

    Returns
    -------
    dict of str to ndarray
        ``positions`` and ``about``.
    """
    about = {"mm_per_unit": truth.mm_per_unit, "space": truth.space}
    return {"positions": truth.positions, "about": np.array(json.dumps(about))}


def unpack_truth(arrays: Mapping[str, NDArray[Any]], scheme: Scheme, specimen: str) -> LandmarkSet:
    """Restore the landmarks packed by `pack_truth`.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        With ``positions`` and ``about``.
    scheme : Scheme
        Landmark scheme.
    specimen : str
        Name of the scan.

    Returns
    -------
    LandmarkSet
        In the frame "file".
    """
    about = json.loads(str(arrays["about"]))
    return place_truth(arrays["positions"], scheme, specimen, **about)


def prepare_scans(
    data: DataSet, spacing_mm: float, folder: Path, *, jobs: int = 1
) -> tuple[list[PreparedScan], list[str]]:
    """Bring all scans of a data set into one frame and sample them.

    The frame is that of the data set's matrices, FaceScape's own, or the face frame as found by
    the shipped model's pose search, without its scale.

    Parameters
    ----------
    data : DataSet
        The scans.
    spacing_mm : float
        Distance between sampled points.
    folder : Path
        Cache with one ``.npz`` per scan; reused if it was made from the same files.
    jobs : int
        Number of processes.

    Returns
    -------
    scans : list of PreparedScan
        The scans that could be prepared, in the order of the data set.
    refusals : list of str
        One line per scan that could not, with the reason.

    Raises
    ------
    UsageError
        If some scans have a matrix and some have none.
    """
    bare = [scan.specimen for scan in data.scans if scan.matrix_path is None]
    if 0 < len(bare) < len(data.scans):
        msg = (
            f"all scans must have a matrix, or none; got none for {', '.join(bare)}. Add the "
            "missing ones, or delete all matrices."
        )
        raise UsageError(msg)
    is_placed = data.layout == "facescape"
    finder = None if is_placed or not bare else read_model()
    settings = f"{CACHE_VERSION} {spacing_mm!r} {is_placed} {finder.sha256 if finder else ''}"
    work = partial(_prepare, scheme=data.scheme, spacing_mm=spacing_mm, finder=finder)
    load = partial(_load, scheme=data.scheme)
    return keep_scans(data, settings, work, load, folder, jobs=jobs)


def _prepare(
    scan: AnnotatedScan, *, scheme: Scheme, spacing_mm: float, finder: Model | None
) -> dict[str, NDArray[Any]]:
    """Prepare one scan: cloud, landmarks and pose from its files."""
    mesh, units, truth = load_annotated(scan, scheme)
    if scan.matrix_path is not None:
        frame_from_scan = read_matrix(scan.matrix_path)
        face = move_surface(prepare_scan(mesh, units[0]), frame_from_scan)
    elif finder is None:
        frame_from_scan, face = np.eye(4), prepare_scan(mesh, units[0])
    else:
        found, truth = find_annotated_face(mesh, units, truth, finder)
        # Without the scale of the similarity millimetres stay true.
        frame_from_scan = remove_scale(found.face_from_scan, finder.atlas)
        face = extract_face(found.surface, frame_from_scan)
    cloud = sample_surface(face, spacing_mm)
    if len(cloud.points_mm) < MIN_CLOUD_POINTS:
        msg = (
            f"its face has only {len(cloud.points_mm)} points at {spacing_mm:g} mm: is it complete?"
        )
        raise TrainingError(msg)
    return {
        **pack_truth(truth),
        "cloud_mm": cloud.points_mm.astype(np.float32),
        "frame_from_scan": frame_from_scan,
    }


def find_annotated_face(
    mesh: Mesh, units: tuple[Unit, ...], truth: LandmarkSet, model: Model
) -> tuple[FoundFace, LandmarkSet]:
    """Find the face on an annotated scan as a detection does, which may decide the unit.

    Parameters
    ----------
    mesh, units, truth
        As returned by `palnet.data_sets.dataset.load_annotated`.
    model : Model
        Pose networks and atlas.

    Returns
    -------
    found : FoundFace
        The face.
    truth : LandmarkSet
        The landmarks in its unit.

    Raises
    ------
    ScanRefusedError
        If no face is found.
    """
    found = find_face(mesh, units, model, is_unit_known=False)
    return found, replace(truth, mm_per_unit=found.surface.unit.mm_per_unit)


def _load(
    scan: AnnotatedScan, _path: Path, arrays: dict[str, NDArray[Any]], *, scheme: Scheme
) -> PreparedScan:
    """Make a prepared scan from its cached arrays."""
    truth, frame_from_scan = unpack_truth(arrays, scheme, scan.specimen), arrays["frame_from_scan"]
    truth_mm = apply_similarity(frame_from_scan, truth.positions_mm)
    aligned = AlignedScan(scan.specimen, scan.person, arrays["cloud_mm"], truth_mm)
    return PreparedScan(aligned, frame_from_scan, truth, str(arrays["digest"]))
