# SPDX-License-Identifier: Apache-2.0
"""Train and test the landmark network on the people of a fold."""

from __future__ import annotations

import hashlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._files import replacing
from palnet.calibration import Calibration
from palnet.errors import TrainingError
from palnet.model import read_model
from palnet.similarity import apply_similarity, invert_similarity
from palnet.training.annotated.cohort import mean_landmarks
from palnet.training.annotated.faces import gather_training_patches, prepare_faces
from palnet.training.annotated.label_transfer import transfer_landmarks
from palnet.training.annotated.protocol import SCRATCH
from palnet.training.annotated.tuning import describe_recipe, train_on_faces, tune_model
from palnet.training.annotated.tuning_result import (
    describe_choice,
    describe_people,
    refit_calibration,
    write_tuned_model,
)
from palnet.training.parallel import on_first

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from palnet.data_sets.dataset import DataSet
    from palnet.evaluation import Pair
    from palnet.face.atlas import FaceAtlas
    from palnet.network.layers import Weights
    from palnet.training.annotated.aligning import PreparedScan
    from palnet.training.annotated.faces import AnnotatedFace
    from palnet.training.annotated.fold_method import Landmarks, Parts
    from palnet.training.annotated.folds import Fold
    from palnet.training.annotated.protocol import TuningProtocol

__all__ = ["MIN_VALIDATION_PEOPLE", "TuningMethod"]

logger = logging.getLogger(__name__)

MIN_VALIDATION_PEOPLE = 3
"""With fewer people, a gain can hardly be told from chance."""


class TuningMethod:
    """A `FoldMethod` for the landmark network, from scratch or from a model's weights.

    Parameters
    ----------
    data : DataSet
        The annotated scans.
    protocol : TuningProtocol
        The protocol to follow; if it starts from a model, one that `check_start` accepts.
    folder : Path
        Cache of the prepared faces.
    jobs : int
        Number of processes for everything but training.
    """

    def __init__(self, data: DataSet, protocol: TuningProtocol, folder: Path, *, jobs: int) -> None:
        self.protocol, self.scheme = protocol, data.scheme
        self.is_scratch = protocol.start == SCRATCH
        self.least_validation = 1 if self.is_scratch else MIN_VALIDATION_PEOPLE
        self.base = read_model(None if self.is_scratch else protocol.start)
        faces, refusals = on_first(partial(prepare_faces, data, self.base, folder, jobs=jobs))
        for line in refusals:
            logger.warning("no face: %s", line)
        self.faces = {face.specimen: face for face in faces}

    @property
    def digest(self) -> str:
        """Hash of the base model and of the faces found with it."""
        text = "".join(face.digest for face in self.faces.values())
        return hashlib.sha256(f"{self.base.sha256} {text}".encode()).hexdigest()

    def check(self, parts: Parts) -> None:
        """Require faces in both parts, and from scratch every landmark on some of them."""
        for part in ("train", "validation"):
            self._find(parts[part])
        if self.is_scratch:
            aligned = [scan.aligned for scan in parts["train"]]
            taught = [scan for scan in aligned if scan.specimen in self.faces]
            mean_landmarks(taught, self.scheme.codes)

    def is_trained(self, place: Path) -> bool:
        """Whether the folder of a fold has its model."""
        return (place / "model.npz").exists()

    def train(self, parts: Parts, place: Path) -> None:
        """Train a network and write it as a model."""
        train, validation = (self._find(parts[part]) for part in ("train", "validation"))
        about = {"recipe": describe_recipe(self.protocol, self.base)}
        about |= describe_people(train, validation)
        if self.is_scratch:
            atlas, weights = self._train(train, validation, place)
        else:
            atlas = self.base.atlas
            weights, choice = tune_model(train, validation, self.base, self.protocol, place)
            about |= describe_choice(choice)
        path = place / "model.npz"
        on_first(partial(self._write, path, atlas, weights, validation, about))

    def _write(
        self,
        path: Path,
        atlas: FaceAtlas,
        weights: Weights,
        validation: list[AnnotatedFace],
        about: dict[str, Any],
    ) -> None:
        """Write the model of a fold."""
        # The fitted atlas is still that of the base model.
        misfit_power = self.base.calibration.misfit_power
        plain = Calibration(
            np.ones(len(self.scheme)), 1.0, min_visibility=0.0, misfit_power=misfit_power
        )
        known = plain if self.is_scratch else self.base.calibration
        write_tuned_model(
            path,
            self.base,
            scheme=self.scheme,
            atlas=atlas,
            weights=weights,
            calibration=refit_calibration(validation, weights, atlas, known),
            about=about,
        )

    def predict(self, tested: Sequence[PreparedScan], place: Path) -> tuple[Landmarks, Landmarks]:
        """Return the model's landmarks, and those of its start: the base model, or the atlas."""
        # Read back, so that predictions match those from the file to the last digit.
        kept = read_model(place / "model.npz")
        before = None if self.is_scratch else self.base.network("landmarks")
        return (
            self._predict(tested, kept.network("landmarks"), kept.atlas),
            self._predict(tested, before, kept.atlas),
        )

    def export_fold(
        self, fold: Fold, place: Path, pairs: Sequence[Pair], result: Mapping[str, Any]
    ) -> None:
        """Do nothing: the training writes the model file."""

    def export_all(self, fold: Fold, place: Path, results: Sequence[Mapping[str, Any]]) -> None:  # noqa: ARG002  # as the other method
        """Copy the model file to the run folder."""
        with replacing(place.parent / "model.npz", overwrite=True) as draft:
            draft.write_bytes((place / "model.npz").read_bytes())

    def _find(self, scans: Sequence[PreparedScan]) -> list[AnnotatedFace]:
        """Return the faces of the scans; scans without a face are left out."""
        names = [scan.aligned.specimen for scan in scans]
        found = [self.faces[name] for name in names if name in self.faces]
        if not found:
            msg = f"no face was found on any of {', '.join(names)}. Look at them with check-data."
            raise TrainingError(msg)
        return found

    def _train(
        self, train: list[AnnotatedFace], validation: list[AnnotatedFace], place: Path
    ) -> tuple[FaceAtlas, Weights]:
        """Train from scratch, for the atlas's scheme or another transferred to it."""
        atlas = self.base.atlas
        if self.scheme.codes != self.base.scheme.codes:
            atlas = transfer_landmarks(atlas, train)
        patches = gather_training_patches(train, atlas, self.protocol.seed)
        return atlas, train_on_faces(patches, (validation, atlas), self.protocol, place)

    def _predict(
        self, scans: Sequence[PreparedScan], weights: Weights | None, atlas: FaceAtlas
    ) -> Landmarks:
        """Place landmarks on the triangles; without weights, those of the atlas."""
        found = np.full((len(scans), len(self.scheme), 3), np.nan)
        for row, scan in enumerate(scans):
            face = self.faces.get(scan.aligned.specimen)
            if face is None:
                continue
            mm = (
                atlas.shape_landmarks(face.mode_weights)
                if weights is None
                else face.predict(weights, atlas).positions_mm
            )
            frame_from_face = scan.frame_from_scan @ invert_similarity(face.face_from_scan)
            found[row] = apply_similarity(frame_from_face, face.project(mm))
        return found
