# SPDX-License-Identifier: Apache-2.0
"""Checks of arrays passed between stages; they neither modify nor return anything."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_finite", "check_length", "check_points", "check_transform", "check_triangles"]

# Allowed deviation of the last row of a transform, as an inverted matrix of single precision has.
_ROUNDING = 1e-6


def check_points(points: NDArray[Any], *, name: str) -> None:
    """Require an array of shape (n_points, 3)."""
    if points.ndim != 2 or points.shape[1] != 3:
        hint = " Transpose it." if points.ndim == 2 and points.shape[0] == 3 else ""
        msg = f"{name} must have shape (n_points, 3); got {points.shape}.{hint}"
        raise ValueError(msg)


def check_finite(values: NDArray[Any], *, name: str) -> None:
    """Require that no value is NaN or infinite."""
    if not np.isfinite(values).all():
        n_bad = int(np.count_nonzero(~np.isfinite(values)))
        msg = f"{name} must be finite; got {n_bad} NaN or infinite values. Remove or repair them."
        raise ValueError(msg)


def check_length(value: object, *, name: str) -> None:
    """Require a finite number above 0."""
    if not (isinstance(value, Real) and 0 < float(value) < math.inf):
        msg = f"{name} must be a positive number; got {value!r}."
        raise ValueError(msg)


def check_triangles(triangles: NDArray[Any], n_points: int, *, name: str) -> None:
    """Require integer triangles of shape (n_triangles, 3) that index existing points."""
    if triangles.ndim != 2 or triangles.shape[1] != 3 or triangles.dtype.kind not in "iu":
        msg = (
            f"{name} must be integers of shape (n_triangles, 3); "
            f"got {triangles.dtype} of shape {triangles.shape}.{_remedy_of_triangles(triangles)}"
        )
        raise ValueError(msg)
    if len(triangles) and (triangles.min() < 0 or triangles.max() >= n_points):
        low, high = int(triangles.min()), int(triangles.max())
        hint = " They are counted from 1: subtract 1." if (low, high) == (1, n_points) else ""
        msg = f"{name} must index 0 to {n_points - 1}; got {low} to {high}.{hint}"
        raise ValueError(msg)


def _remedy_of_triangles(triangles: NDArray[Any]) -> str:
    """Say what to do with corners as other programs hold them; empty if that is not known."""
    if triangles.ndim == 1 and len(triangles):
        return " Give a row for each; PyVista's faces are rows of 4: faces.reshape(-1, 4)[:, 1:]."
    if triangles.ndim != 2:
        return ""
    if triangles.shape[1] == 4:
        return " Split quadrilaterals in two; leave out a first column that counts corners."
    if triangles.shape[1] != 3:
        return " Transpose it." if triangles.shape[0] == 3 else ""
    return " Convert whole numbers: triangles.astype(int)."


def check_transform(matrix: NDArray[Any], *, name: str) -> None:
    """Require a finite homogeneous matrix of shape (4, 4), which moves column vectors."""
    if matrix.shape != (4, 4):
        msg = f"{name} must have shape (4, 4); got {matrix.shape}."
        raise ValueError(msg)
    check_finite(matrix, name=name)
    if not np.allclose(matrix[3], [0.0, 0.0, 0.0, 1.0], rtol=0.0, atol=_ROUNDING):
        hint = " Transpose it." if np.allclose(matrix[:3, 3], 0.0) else ""
        msg = f"{name} must have the last row 0, 0, 0, 1; got {matrix[3]}.{hint}"
        raise ValueError(msg)
