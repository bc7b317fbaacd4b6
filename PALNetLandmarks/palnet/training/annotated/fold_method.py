# SPDX-License-Identifier: Apache-2.0
"""What a cross-validation asks of the network that it trains and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from palnet.evaluation import Pair
    from palnet.training.annotated.aligning import PreparedScan
    from palnet.training.annotated.folds import Fold

    Parts = dict[str, list[PreparedScan]]
    Landmarks = NDArray[np.floating]

__all__ = ["FoldMethod", "Landmarks", "Parts"]


class FoldMethod(Protocol):
    """How a fold is trained, tested, and written as a model file for `palnet detect`."""

    @property
    def least_validation(self) -> int:
        """Minimum number of validation people."""

    @property
    def digest(self) -> str:
        """Hash of inputs other than the prepared scans; empty if there are none."""

    def check(self, parts: Parts) -> None:
        """Raise `TrainingError` if these scans allow no training or no validation."""

    def is_trained(self, place: Path) -> bool:
        """Whether the folder of a fold has what `predict` needs."""

    def train(self, parts: Parts, place: Path) -> None:
        """Train with early stopping on the validation part; called in all processes at once."""

    def predict(self, tested: Sequence[PreparedScan], place: Path) -> tuple[Landmarks, Landmarks]:
        """Return landmarks and baseline, (n_scans, n_landmarks, 3) each, in the common frame.

        NaN for missing ones.
        """

    def export_fold(
        self, fold: Fold, place: Path, pairs: Sequence[Pair], result: Mapping[str, Any]
    ) -> None:
        """Write ``model.npz`` of a fold, unless it exists.

        `pairs` are the predictions for its test scans, `result` its figures for the card.
        """

    def export_all(self, fold: Fold, place: Path, results: Sequence[Mapping[str, Any]]) -> None:
        """Write ``model.npz`` of the run, after all folds."""
