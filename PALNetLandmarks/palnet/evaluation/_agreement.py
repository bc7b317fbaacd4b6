# SPDX-License-Identifier: Apache-2.0
"""Agreement between annotations of the same scans: TEM, relative TEM and ICC(2,1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["compute_icc", "compute_relative_tem", "compute_tem"]


def compute_tem(values: ArrayLike) -> float:
    """Compute the technical error of measurement (TEM): the spread within a specimen.

    ``sqrt(sum over specimens and annotations of (value - specimen mean)^2 / (n (k - 1)))``, which
    for two annotations is ``sqrt(sum(difference^2) / (2 n))``.

    Parameters
    ----------
    values : array_like of shape (n_specimens, n_annotations) or (n_specimens, n_annotations, 3)
        A measurement, or the position of a landmark; a specimen with a NaN is left out.

    Returns
    -------
    float
        In the unit of the values; NaN if no specimen has two annotations.

    Raises
    ------
    ValueError
        If the values have another shape.

    References
    ----------
    Ulijaszek and Kerr 1999, doi 10.1017/S0007114599001348.
    """
    whole = _whole(values, dimensions=(2, 3))
    n_specimens, n_annotations = whole.shape[:2]
    if n_specimens == 0 or n_annotations < 2:
        return float("nan")
    deviations = whole - whole.mean(axis=1, keepdims=True)
    return float(np.sqrt((deviations**2).sum() / (n_specimens * (n_annotations - 1))))


def compute_relative_tem(values: ArrayLike) -> float:
    """Compute the technical error of measurement in percent of the mean value.

    Parameters
    ----------
    values : array_like of shape (n_specimens, n_annotations)
        A measurement with a true zero.

    Returns
    -------
    float
        In percent; NaN if there is no TEM or the mean is zero.

    Raises
    ------
    ValueError
        If the values have another shape.
    """
    whole = _whole(values)
    mean = float(whole.mean()) if len(whole) else float("nan")
    return 100.0 * compute_tem(values) / mean if mean > 0 else float("nan")


def compute_icc(values: ArrayLike) -> float:
    """Compute the intraclass correlation ICC(2,1): two-way random effects, absolute agreement.

    It is the share of the variance of single values that is between specimens; a constant offset
    of one annotator lowers it.

    Parameters
    ----------
    values : array_like of shape (n_specimens, n_annotations)
        A measurement; a specimen with a NaN is left out.

    Returns
    -------
    float
        At most 1; NaN with fewer than two specimens or annotations, or without any variance.

    Raises
    ------
    ValueError
        If the values have another shape.

    References
    ----------
    Shrout and Fleiss 1979, doi 10.1037/0033-2909.86.2.420.
    """
    whole = _whole(values)
    n, k = whole.shape
    if n < 2 or k < 2 or not np.ptp(whole):
        return float("nan")
    specimens = whole.mean(axis=1, keepdims=True)
    annotations = whole.mean(axis=0, keepdims=True)
    between = k * float(((specimens - whole.mean()) ** 2).sum()) / (n - 1)
    annotators = n * float(((annotations - whole.mean()) ** 2).sum()) / (k - 1)
    residual = float(((whole - specimens - annotations + whole.mean()) ** 2).sum())
    rest = residual / ((n - 1) * (k - 1))
    total = between + (k - 1) * rest + k * (annotators - rest) / n
    return (between - rest) / total if total > 0 else float("nan")


def _whole(values: ArrayLike, dimensions: tuple[int, ...] = (2,)) -> NDArray[np.float64]:
    """Keep the specimens without NaN in any annotation."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim not in dimensions:
        msg = f"values must have shape (n_specimens, n_annotations); got {values.shape}."
        raise ValueError(msg)
    axes = tuple(range(1, values.ndim))
    return np.asarray(values[np.isfinite(values).all(axis=axes)])
