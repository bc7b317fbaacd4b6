# SPDX-License-Identifier: Apache-2.0
"""The statistical face atlas: a mean face, its modes of variation and its landmarks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._checks import check_finite, check_points, frozen_copy
from palnet.errors import ModelFileError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["FaceAtlas", "read_atlas", "write_atlas"]

FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class FaceAtlas:
    """A linear face: ``points = mean + weights @ modes``, landmarks likewise.

    Convention: face frame, millimetres, +X the subject's left, +Y up, +Z front. Weights are in
    standard deviations.

    Attributes
    ----------
    mean_mm : ndarray of shape (n_points, 3)
        Points of the mean face.
    normals : ndarray of shape (n_points, 3)
        Its outward unit normals.
    modes_mm : ndarray of shape (n_modes, n_points, 3)
        Modes of variation, one standard deviation long, largest first.
    landmark_mean_mm : ndarray of shape (n_landmarks, 3)
        The mean landmarks (the paper's initial approximation before the nearest surface point).
    landmark_modes_mm : ndarray of shape (n_modes, n_landmarks, 3)
        How the landmarks move with the modes.
    core : ndarray of shape (n_points,)
        Points of the face proper, which hair and clothes seldom cover: the ones that decide
        whether a face was found.
    metadata : dict
        How it was built.
    """

    mean_mm: NDArray[np.float64]
    normals: NDArray[np.float64]
    modes_mm: NDArray[np.float32]
    landmark_mean_mm: NDArray[np.float64]
    landmark_modes_mm: NDArray[np.float32]
    core: NDArray[np.bool_]
    metadata: dict[str, Any]

    def __post_init__(self) -> None:
        """Check the shapes and freeze the arrays."""
        check_points(self.mean_mm, name="mean_mm")
        check_finite(self.mean_mm, name="mean_mm")
        n_modes, n_points = len(self.modes_mm), len(self.mean_mm)
        if self.modes_mm.shape != (n_modes, n_points, 3):
            msg = f"modes_mm must have shape (n_modes, {n_points}, 3); got {self.modes_mm.shape}."
            raise ValueError(msg)
        for name in ("mean_mm", "normals", "landmark_mean_mm"):
            object.__setattr__(self, name, frozen_copy(getattr(self, name)))
        for name in ("modes_mm", "landmark_modes_mm"):
            object.__setattr__(self, name, frozen_copy(getattr(self, name), np.float32))
        object.__setattr__(self, "core", frozen_copy(self.core, np.bool_))

    @property
    def n_modes(self) -> int:
        """How many modes of variation there are."""
        return len(self.modes_mm)

    def shape_points(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points of the face with these weights (the first len(weights) modes)."""
        return self.mean_mm + np.tensordot(weights, self.modes_mm[: len(weights)], axes=1)

    def shape_landmarks(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Landmarks of the face with these weights (the first len(weights) modes)."""
        modes = self.landmark_modes_mm[: len(weights)]
        return self.landmark_mean_mm + np.tensordot(weights, modes, axes=1)


def write_atlas(atlas: FaceAtlas, path: str | os.PathLike[str]) -> None:
    """Write an atlas as a compressed ``.npz`` without pickle.

    Parameters
    ----------
    atlas : FaceAtlas
        What to write.
    path : path-like
        Where; an existing file is replaced.
    """
    metadata = {**atlas.metadata, "format": "palnet-atlas", "format_version": FORMAT_VERSION}
    np.savez_compressed(
        Path(path),
        mean_mm=atlas.mean_mm.astype(np.float32),
        normals=atlas.normals.astype(np.float32),
        modes_mm=atlas.modes_mm.astype(np.float16),
        landmark_mean_mm=atlas.landmark_mean_mm.astype(np.float32),
        landmark_modes_mm=atlas.landmark_modes_mm.astype(np.float16),
        core=atlas.core,
        metadata=np.array(json.dumps(metadata)),
    )


def read_atlas(path: str | os.PathLike[str]) -> FaceAtlas:
    """Read an atlas written by `write_atlas`.

    Parameters
    ----------
    path : path-like
        The ``.npz`` file.

    Returns
    -------
    FaceAtlas
        The atlas.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged or not an atlas.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            metadata = json.loads(str(arrays["metadata"]))
            if metadata.get("format_version") != FORMAT_VERSION:
                msg = (
                    f"{path}: atlas format {metadata.get('format_version')} is not "
                    f"{FORMAT_VERSION}. Build the atlas again with `palnet train`."
                )
                raise ModelFileError(msg)
            return FaceAtlas(
                mean_mm=arrays["mean_mm"],
                normals=arrays["normals"],
                modes_mm=arrays["modes_mm"],
                landmark_mean_mm=arrays["landmark_mean_mm"],
                landmark_modes_mm=arrays["landmark_modes_mm"],
                core=arrays["core"],
                metadata=metadata,
            )
    except ModelFileError:
        raise
    except (OSError, KeyError, ValueError, EOFError) as err:
        msg = f"{path}: not a face atlas ({err}). Build one with `palnet train`."
        raise ModelFileError(msg) from err
