# SPDX-License-Identifier: Apache-2.0
"""Train, test and export one of the paper's networks, on patches around the mean landmarks."""

from __future__ import annotations

import logging
from dataclasses import asdict
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._stored import read_kept, write_arrays
from palnet.calibration import Calibration
from palnet.data_sets.dataset import load_scan
from palnet.detection.finding import find_face
from palnet.detection.placing import place_by_paper
from palnet.errors import ScanRefusedError, TrainingError
from palnet.face.alignment import remove_scale
from palnet.model import Model, ModelParts, PaperNetwork, read_model, write_model
from palnet.network.paper_patches import finish_landmarks
from palnet.similarity import apply_similarity, fit_similarity, invert_similarity
from palnet.surface import prepare_scan
from palnet.training.annotated.cohort import gather_sorted_patches, mean_landmarks
from palnet.training.annotated.paper_network import (
    predict_landmarks,
    read_network,
    train_paper_network,
    write_network,
)
from palnet.training.execution import describe_versions
from palnet.training.loop import choose_device
from palnet.training.parallel import on_first

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.data_sets.dataset import DataSet
    from palnet.evaluation import Pair
    from palnet.training.annotated.aligning import PreparedScan
    from palnet.training.annotated.fold_method import Landmarks, Parts
    from palnet.training.annotated.folds import Fold
    from palnet.training.annotated.protocol import PaperProtocol

__all__ = ["PaperMethod", "expected_errors"]

logger = logging.getLogger(__name__)

# A data set with matrices has its own frame. This many scans determine where the face lies in it.
MIN_FRAME_SCANS, MAX_FRAME_SCANS = 3, 30
# The card says whose errors it gives: the network trained on everybody has seen all test people.
TESTED = "mean error of each landmark on people who neither trained nor validated"
TESTED_IN_FOLDS = (
    "mean error of each landmark of the networks of the folds, each on people who neither trained "
    "nor validated it; this network was trained on these people as well"
)


def expected_errors(errors_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average each landmark's error over the test people.

    Parameters
    ----------
    errors_mm : ndarray of shape (n_scans, n_landmarks)
        Errors on people not used for training; NaN where nothing could be compared.

    Returns
    -------
    ndarray of shape (n_landmarks,)
        Means; the largest of the others where a landmark was never compared.

    Raises
    ------
    TrainingError
        If nothing was compared.
    """
    known = np.isfinite(errors_mm)
    if not known.any():
        msg = (
            "a model without one tested scan would have no expected errors: every tested scan was "
            "refused, or has no landmarks."
        )
        raise TrainingError(msg)
    counts = known.sum(axis=0)
    sums = np.where(known, errors_mm, 0.0).sum(axis=0)
    means = sums / np.maximum(counts, 1)
    return np.asarray(np.where(counts > 0, means, means.max()))


class PaperMethod:
    """A `FoldMethod` for one of the paper's networks.

    If the scans are in the face frame, the expected errors of an exported model are those of the
    cross-validation, as a detection does exactly the same. If the data set has its own frame, a
    detection finds the face instead of reading a matrix; the test scans are then detected again, so
    that the expected errors are those of a detection.

    Parameters
    ----------
    data : DataSet
        The annotated scans.
    protocol : PaperProtocol
        The protocol to follow.
    scans : sequence of PreparedScan
        The scans that the rows of a fold index.
    """

    least_validation = 1
    digest = ""

    def __init__(
        self, data: DataSet, protocol: PaperProtocol, scans: Sequence[PreparedScan]
    ) -> None:
        self.data, self.protocol, self.scans = data, protocol, scans
        self._base = read_model()
        self._files = {scan.specimen: scan for scan in data.scans}
        self._poses: dict[str, NDArray[np.float64] | None] = {}
        self._errors: list[NDArray[np.float64]] = []
        placed = data.layout == "facescape"
        self._has_own_frame = placed or any(scan.matrix_path is not None for scan in data.scans)

    def check(self, parts: Parts) -> None:
        """Require every landmark on some training scan."""
        mean_landmarks([scan.aligned for scan in parts["train"]], self.data.scheme.codes)

    def is_trained(self, place: Path) -> bool:
        """Whether the folder of a fold has its network."""
        return (place / "network.pt").exists()

    def train(self, parts: Parts, place: Path) -> None:
        """Train a network and write it with the mean landmarks."""
        protocol = self.protocol
        aligned = {part: [scan.aligned for scan in parts[part]] for part in parts}
        means_mm = mean_landmarks(aligned["train"], self.data.scheme.codes)
        train, validation = (
            gather_sorted_patches(aligned[part], means_mm, protocol.patches.n_points)
            for part in ("train", "validation")
        )
        network = train_paper_network(train, validation, protocol, place)
        path = place / "network.pt"
        on_first(partial(write_network, network, protocol.variant, means_mm, path))

    def predict(self, tested: Sequence[PreparedScan], place: Path) -> tuple[Landmarks, Landmarks]:
        """Return the network's landmarks, and the mean landmarks on the surface."""
        network, means_mm = read_network(place / "network.pt")
        aligned = [scan.aligned for scan in tested]
        patches = gather_sorted_patches(aligned, means_mm, self.protocol.patches.n_points)
        raw_mm = predict_landmarks(network.to(choose_device()), patches.patches)
        finished = [
            finish_landmarks(scan.cloud_mm, raw, self.protocol.finish)
            for scan, raw in zip(aligned, raw_mm, strict=True)
        ]
        return np.array(finished), patches.starts_mm

    def export_fold(
        self, fold: Fold, place: Path, pairs: Sequence[Pair], result: Mapping[str, Any]
    ) -> None:
        """Write ``model.npz`` into the folder of a fold, with the errors on its test people."""
        try:
            errors_mm = self._test(fold, place, pairs)
            self._errors.append(errors_mm)
            tested = errors_mm, TESTED
            self._write(place / "model.npz", place / "network.pt", fold, tested, [result])
        except TrainingError as err:  # the cross-validation's figures are valid without it
            logger.warning("%s: no model file: %s", place.name, err)

    def export_all(self, fold: Fold, place: Path, results: Sequence[Mapping[str, Any]]) -> None:
        """Write the network trained on everybody, with the errors of all test people.

        Raises `TrainingError` if detection refuses all of them.
        """
        errors_mm = np.concatenate([*self._errors, np.zeros((0, len(self.data.scheme)))])
        tested = errors_mm, TESTED_IN_FOLDS
        self._write(place.parent / "model.npz", place / "network.pt", fold, tested, results)

    def _test(self, fold: Fold, place: Path, pairs: Sequence[Pair]) -> NDArray[np.float64]:
        """Errors of a detection on the test scans, (n_tested, n_landmarks); NaN where it fails."""
        if not self._has_own_frame:
            apart = [pair.predicted.positions_mm - pair.truth.positions_mm for pair in pairs]
            return np.asarray(np.linalg.norm(apart, axis=2))
        path = place / "detected.npz"
        if not path.exists():
            unknown = Calibration(np.zeros(len(self.data.scheme)), 0.0, 0.0)
            parts = self._parts(place / "network.pt", unknown, {})
            weights = {name: weight.astype(np.float32) for name, weight in parts.weights.items()}
            read = {"name": "", "path": place, "sha256": "", "weights": weights}
            model = Model(**{**vars(parts), **read})
            errors = np.array([self._detect(self.scans[row], model) for row in fold.test])
            write_arrays(path, {"errors_mm": errors})
        return read_kept(path)["errors_mm"]

    def _write(
        self,
        path: Path,
        network: Path,
        fold: Fold,
        tested: tuple[NDArray[np.float64], str],
        results: Sequence[Mapping[str, Any]],
    ) -> None:
        """Write a model file, unless it exists, with the expected errors and their origin."""
        if path.exists():
            return
        errors_mm, what = tested
        expected = expected_errors(errors_mm)
        n_without = int(np.isnan(errors_mm).all(axis=1).sum())
        metadata = self._card(fold) | {
            "expected_errors": {
                "what": what,
                "scans": len(errors_mm) - n_without,
                "scans_refused": n_without,
                "mean_mm": round(float(np.nanmean(errors_mm)), 3),
            },
            "folds": [dict(result) for result in results],
        }
        calibration = Calibration(expected, 0.0, 0.0)
        write_model(path, self._parts(network, calibration, metadata))
        logger.info("model: %s, expected error %.2f mm", path, expected.mean())

    def _parts(
        self, network: Path, calibration: Calibration, metadata: dict[str, Any]
    ) -> ModelParts:
        """Combine a network with the atlas and pose networks of the shipped model."""
        twin, means_mm = read_network(network)
        weights: dict[str, NDArray[np.floating]] = {
            name: weight for name, weight in self._base.weights.items() if name.startswith("pose")
        }
        for name, weight in twin.state_dict().items():
            weights[f"landmarks.{name}"] = _halve(weight.numpy())
        patches = self.protocol.patches
        paper = PaperNetwork(
            variant=self.protocol.variant,
            n_points=patches.n_points,
            spacing_mm=patches.spacing_mm,
            finish=self.protocol.finish,
            means_mm=means_mm,
            frame_from_face=self._frame_from_face,
        )
        return ModelParts(
            scheme=self.data.scheme,
            atlas=self._base.atlas,
            weights=weights,
            calibration=calibration,
            metadata=metadata,
            paper=paper,
        )

    @cached_property
    def _frame_from_face(self) -> NDArray[np.float64]:
        """Pose of the face in the data set's frame, from detected poses, not from landmarks."""
        if not self._has_own_frame:
            return np.eye(4)
        middle = self._base.atlas.landmark_mean_mm
        places = []
        for scan in self.scans[:MAX_FRAME_SCANS]:
            pose = self._find(scan.aligned.specimen)
            if pose is not None:
                face_from_scan = remove_scale(pose, self._base.atlas)
                frame_from_face = scan.frame_from_scan @ invert_similarity(face_from_scan)
                places.append(apply_similarity(frame_from_face, middle))
        if len(places) < min(MIN_FRAME_SCANS, len(self.scans)):
            msg = (
                f"the pose search found the face on {len(places)} of the first {MAX_FRAME_SCANS} "
                "scans. A detection needs the search for scans without a matrix."
            )
            raise TrainingError(msg)
        return fit_similarity(middle, np.median(places, axis=0), with_scale=False)

    def _find(self, specimen: str) -> NDArray[np.float64] | None:
        """Find the face on a scan; None if detection refuses the scan."""
        if specimen not in self._poses:
            mesh, unit, _ = load_scan(self._files[specimen], self.data.scheme)
            try:
                found = find_face(mesh, (unit,), self._base, is_unit_known=False)
                self._poses[specimen] = found.face_from_scan
            except ScanRefusedError as err:
                logger.info("not detected: %s", err)
                self._poses[specimen] = None
        return self._poses[specimen]

    def _detect(self, scan: PreparedScan, model: Model) -> NDArray[np.float64]:
        """Compute the errors of a detection on one scan."""
        specimen = scan.aligned.specimen
        pose = self._find(specimen)
        if pose is None:
            return np.full(len(scan.truth), np.nan)
        mesh, unit, truth = load_scan(self._files[specimen], self.data.scheme)
        placement = place_by_paper(prepare_scan(mesh, unit), pose, model)
        return np.asarray(np.linalg.norm(placement.positions_mm - truth.positions_mm, axis=1))

    def _card(self, fold: Fold) -> dict[str, Any]:
        """Describe what the model was made from."""
        rows = {"train": fold.train, "validation": fold.validation}
        aligned = {part: [self.scans[row].aligned for row in rows[part]] for part in rows}
        return {
            "network": f"{self.protocol.variant} of the PAL-Net paper, by palnet crossvalidate",
            "recipe": asdict(self.protocol),
            "data": {
                "layout": self.data.layout,
                "scans": {part: len(scans) for part, scans in aligned.items()},
                "people": {
                    part: len({scan.person for scan in scans}) for part, scans in aligned.items()
                },
            },
            "alignment": "the data set's own frame, found by the pose search"
            if self._has_own_frame
            else "pose search, scale taken out",
            "licence": "weights: whoever holds the rights in the scans says; atlas and pose "
            f"networks: {self._base.metadata.get('licence')}",
            "pose_model_sha256": self._base.sha256,
            "versions": describe_versions(),
        }


def _halve(weight: NDArray[np.float32]) -> NDArray[np.floating]:
    """Halve the file by half precision, except for biases: those of the last layer are in mm."""
    with np.errstate(over="ignore"):
        half = weight.astype(np.float16)
    return half if weight.ndim > 1 and np.isfinite(half).all() else weight
