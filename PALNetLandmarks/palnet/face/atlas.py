# SPDX-License-Identifier: Apache-2.0
"""The statistical face atlas: a mean face, its modes of variation and its landmarks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from palnet._checks import check_finite, check_points
from palnet._frozen import frozen_copy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["FaceAtlas"]


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
        Displacement of the landmarks per mode.
    core : ndarray of shape (n_points,)
        Points of the face proper, which hair and clothes seldom cover: they decide whether a face
        was found.
    """

    mean_mm: NDArray[np.float64]
    normals: NDArray[np.float64]
    modes_mm: NDArray[np.float32]
    landmark_mean_mm: NDArray[np.float64]
    landmark_modes_mm: NDArray[np.float32]
    core: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Check the shapes and freeze the arrays."""
        check_points(self.mean_mm, name="mean_mm")
        check_finite(self.mean_mm, name="mean_mm")
        n_modes, n_points = len(self.modes_mm), len(self.mean_mm)
        if self.modes_mm.shape != (n_modes, n_points, 3):
            msg = f"modes_mm must have shape (n_modes, {n_points}, 3); got {self.modes_mm.shape}."
            raise ValueError(msg)
        check_points(self.landmark_mean_mm, name="landmark_mean_mm")
        expected = {
            "normals": (n_points, 3),
            "core": (n_points,),
            "landmark_modes_mm": (n_modes, len(self.landmark_mean_mm), 3),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                msg = f"{name} must have shape {shape}; got {getattr(self, name).shape}."
                raise ValueError(msg)
        for name in ("normals", "modes_mm", "landmark_mean_mm", "landmark_modes_mm"):
            check_finite(getattr(self, name), name=name)
        if not np.any(self.core):
            msg = "core must name points of the face; got none."
            raise ValueError(msg)
        for name in ("mean_mm", "normals", "landmark_mean_mm"):
            object.__setattr__(self, name, frozen_copy(getattr(self, name)))
        for name in ("modes_mm", "landmark_modes_mm"):
            object.__setattr__(self, name, frozen_copy(getattr(self, name), np.float32))
        object.__setattr__(self, "core", frozen_copy(self.core, np.bool_))

    @cached_property
    def modes_by_point(self) -> NDArray[np.float32]:
        """The modes as (n_points, 3, n_modes), so that a subset of points is contiguous."""
        return np.ascontiguousarray(self.modes_mm.transpose(1, 2, 0))

    @property
    def n_modes(self) -> int:
        """Number of modes of variation."""
        return len(self.modes_mm)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays for `from_arrays`; half-precision modes, which costs under 0.01 mm."""
        return {
            "mean_mm": self.mean_mm.astype(np.float32),
            "normals": self.normals.astype(np.float32),
            "modes_mm": self.modes_mm.astype(np.float16),
            "landmark_mean_mm": self.landmark_mean_mm.astype(np.float32),
            "landmark_modes_mm": self.landmark_modes_mm.astype(np.float16),
            "core": self.core,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> FaceAtlas:
        """Build an atlas from the arrays of `to_arrays`; KeyError if one is absent."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def shape_points(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the points of the face with these weights (of the first len(weights) modes)."""
        return self.mean_mm + np.tensordot(weights, self.modes_mm[: len(weights)], axes=1)

    def shape_landmarks(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the landmarks of the face with these weights (of the first len(weights) modes)."""
        modes = self.landmark_modes_mm[: len(weights)]
        return self.landmark_mean_mm + np.tensordot(weights, modes, axes=1)
