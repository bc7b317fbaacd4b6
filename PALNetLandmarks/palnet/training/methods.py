# SPDX-License-Identifier: Apache-2.0
"""What is trained in a fold: one of the paper's networks, or the shipped one."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from palnet.errors import TrainingError
from palnet.face.similarity import apply_similarity, invert_similarity
from palnet.model import Calibration, read_model
from palnet.training import protocol as protocols
from palnet.training.carrying import carry_landmarks
from palnet.training.choosing import refit_calibration, write_tuned_model
from palnet.training.cohort import finish_landmarks, gather_sorted_patches, mean_landmarks
from palnet.training.faces import gather_training_patches, has_atlas_scheme, prepare_faces
from palnet.training.published import predict_landmarks, train_paper_network, write_network
from palnet.training.tuning import check_scheme, describe_recipe, train_on_faces, tune_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas
    from palnet.network.layers import Weights
    from palnet.scheme import Scheme
    from palnet.training.aligning import PreparedScan
    from palnet.training.dataset import DataSet
    from palnet.training.faces import AnnotatedFace

    Parts = dict[str, list[PreparedScan]]
    Landmarks = NDArray[np.floating]

__all__ = ["MIN_VALIDATION_PEOPLE", "FoldMethod", "choose_method"]

logger = logging.getLogger(__name__)

MIN_VALIDATION_PEOPLE = 3
"""Of fewer people a gain can hardly be told from chance."""


class FoldMethod(Protocol):
    """How a fold is trained and tested."""

    @property
    def least_validation(self) -> int:
        """People that have to say when to stop."""

    @property
    def digest(self) -> str:
        """Hash of what it was made from beside the prepared scans; empty if nothing."""

    def check(self, train: Sequence[PreparedScan]) -> None:
        """Raise `TrainingError` if nothing can be trained on these scans."""

    def train_and_predict(self, parts: Parts, place: Path) -> tuple[Landmarks, Landmarks]:
        """Train on ``train`` until ``validation`` says to stop, and predict ``test``.

        Returns landmarks and baseline, (n_scans, n_landmarks, 3) each, in the common frame; NaN
        where there are none.
        """


def choose_method(
    data: DataSet,
    protocol: protocols.Protocol | protocols.TuningProtocol,
    folder: Path,
    *,
    jobs: int = 1,
) -> FoldMethod:
    """Give the method of a protocol.

    Parameters
    ----------
    data : DataSet
        The annotated scans.
    protocol : Protocol or TuningProtocol
        What to do.
    folder : Path
        The run folder.
    jobs : int
        Processes for what is not training.

    Returns
    -------
    FoldMethod
        For all folds.
    """
    if isinstance(protocol, protocols.Protocol):
        return _PaperMethod(protocol, data.scheme)
    return _TuningMethod(protocol, data, folder / "faces", jobs=jobs)


@dataclass(frozen=True, eq=False)
class _PaperMethod:
    """One of the paper's networks, round the mean landmarks."""

    protocol: protocols.Protocol
    scheme: Scheme
    least_validation: int = 1
    digest: str = ""

    def check(self, train: Sequence[PreparedScan]) -> None:
        mean_landmarks([scan.aligned for scan in train], self.scheme.codes)

    def train_and_predict(self, parts: Parts, place: Path) -> tuple[Landmarks, Landmarks]:
        protocol = self.protocol
        means_mm = mean_landmarks([scan.aligned for scan in parts["train"]], self.scheme.codes)
        sets = {
            part: gather_sorted_patches(
                [scan.aligned for scan in scans], means_mm, protocol.patches.n_points
            )
            for part, scans in parts.items()
        }
        network = train_paper_network(sets["train"], sets["validation"], protocol, place)
        write_network(network, protocol.variant, means_mm, place / "network.pt")
        raw_mm = predict_landmarks(network, sets["test"].patches)
        finished = [
            finish_landmarks(scan.aligned.cloud_mm, raw, protocol.finish)
            for scan, raw in zip(parts["test"], raw_mm, strict=True)
        ]
        return np.array(finished), sets["test"].starts_mm


class _TuningMethod:
    """The shipped network, from scratch or from a model's weights, round the atlas's landmarks."""

    def __init__(
        self, protocol: protocols.TuningProtocol, data: DataSet, folder: Path, *, jobs: int
    ) -> None:
        self.protocol, self.scheme = protocol, data.scheme
        self.is_scratch = protocol.start == protocols.SCRATCH
        self.least_validation = 1 if self.is_scratch else MIN_VALIDATION_PEOPLE
        self.base = read_model(None if self.is_scratch else protocol.start)
        if not self.is_scratch:
            check_scheme(data.scheme, self.base)
        faces, refusals = prepare_faces(data, self.base, folder, jobs=jobs)
        for line in refusals:
            logger.warning("no face: %s", line)
        self.faces = {face.specimen: face for face in faces}

    @property
    def digest(self) -> str:
        text = "".join(face.digest for face in self.faces.values())
        return hashlib.sha256(f"{self.base.sha256} {text}".encode()).hexdigest()

    def check(self, train: Sequence[PreparedScan]) -> None:
        if self.is_scratch:
            mean_landmarks([scan.aligned for scan in train], self.scheme.codes)

    def train_and_predict(self, parts: Parts, place: Path) -> tuple[Landmarks, Landmarks]:
        train, validation = (self._find(parts[part]) for part in ("train", "validation"))
        if self.is_scratch:
            atlas, weights = self._train(train, validation, place)
        else:
            atlas = self.base.atlas
            weights = tune_model(train, validation, self.base, self.protocol, place)[0]
        plain = Calibration(np.ones(len(self.scheme)), 1.0, 0.0)
        known = plain if self.is_scratch else self.base.calibration
        write_tuned_model(
            place / "model.npz",
            self.base,
            scheme=self.scheme,
            atlas=atlas,
            weights=weights,
            calibration=refit_calibration(validation, weights, atlas, known),
            about={"recipe": describe_recipe(self.protocol, self.base), "scans": len(train)},
        )
        # What a user of the file gets, in every digit.
        kept = read_model(place / "model.npz")
        before = None if self.is_scratch else self.base.network("landmarks")
        return (
            self._predict(parts["test"], kept.network("landmarks"), kept.atlas),
            self._predict(parts["test"], before, kept.atlas),
        )

    def _find(self, scans: Sequence[PreparedScan]) -> list[AnnotatedFace]:
        """The faces of the scans; those without one teach nothing."""
        names = [scan.aligned.specimen for scan in scans]
        found = [self.faces[name] for name in names if name in self.faces]
        if not found:
            msg = f"no face was found on any of {', '.join(names)}. Look at them with check-data."
            raise TrainingError(msg)
        return found

    def _train(
        self, train: list[AnnotatedFace], validation: list[AnnotatedFace], place: Path
    ) -> tuple[FaceAtlas, Weights]:
        """Train from scratch, for the atlas's own scheme or another that it then carries."""
        atlas, seed = self.base.atlas, self.protocol.seed
        if not has_atlas_scheme(self.scheme, self.base):
            atlas = carry_landmarks(atlas, train)
        patches = gather_training_patches(train, atlas, seed)
        part = self.protocol.training
        return atlas, train_on_faces(patches, (validation, atlas), part, place, seed=seed)

    def _predict(
        self, scans: Sequence[PreparedScan], weights: Weights | None, atlas: FaceAtlas
    ) -> Landmarks:
        """Place landmarks on the triangles, those of the atlas without weights."""
        found = np.full((len(scans), len(self.scheme), 3), np.nan)
        for row, scan in enumerate(scans):
            face = self.faces.get(scan.aligned.specimen)
            if face is None:
                continue
            mm = (
                atlas.shape_landmarks(face.shape)
                if weights is None
                else face.predict(weights, atlas).positions_mm
            )
            frame_from_face = scan.frame_from_scan @ invert_similarity(face.face_from_scan)
            found[row] = apply_similarity(frame_from_face, face.project(mm))
        return found
