# SPDX-License-Identifier: Apache-2.0
"""Agreement between annotations of the same scans: TEM, relative TEM, ICC(2,1), its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import fdtri

from palnet._numbers import to_numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["compute_icc", "compute_icc_interval", "compute_relative_tem", "compute_tem"]

# Annotations whose differences, apart from an offset, are below this share of the values are
# copies of each other: what remains are rounding errors of the computation.
_ROUNDING = 1e-9


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
    between, annotators, rest = _mean_squares(whole)
    total = between + (k - 1) * rest + k * (annotators - rest) / n
    return (between - rest) / total if total > 0 else float("nan")


def compute_icc_interval(values: ArrayLike) -> tuple[float, float]:
    """Compute the 95 % confidence interval of ICC(2,1).

    It is the published one, from the F distribution, but for a negative ICC: that counts as 0 in
    the degrees of freedom, which can be almost 0 otherwise. Limits may be negative, too.

    Parameters
    ----------
    values : array_like of shape (n_specimens, n_annotations)
        A measurement; a specimen with a NaN is left out.

    Returns
    -------
    low, high : float
        NaN if there is no ICC, or if the annotations differ by nothing but an offset.

    Raises
    ------
    ValueError
        If the values have another shape.

    References
    ----------
    Shrout and Fleiss 1979, doi 10.1037/0033-2909.86.2.420; the same as ICC(A,1) of McGraw and Wong
    1996, doi 10.1037/1082-989X.1.1.30.
    """
    whole = _whole(values)
    icc = compute_icc(whole)
    if not np.isfinite(icc):
        return float("nan"), float("nan")
    n, k = whole.shape
    between, annotators, rest = _mean_squares(whole)
    if rest <= (_ROUNDING * np.abs(whole).max()) ** 2:
        return float("nan"), float("nan")
    share = max(icc, 0.0)
    # Satterthwaite's degrees of freedom of the two mean squares in this combination.
    parts = k * share * annotators, (n * (1 + (k - 1) * share) - k * share) * rest
    freedom = sum(parts) ** 2 * (k - 1) / (parts[0] ** 2 + parts[1] ** 2 / (n - 1))
    f_low, f_high = fdtri(n - 1, freedom, 0.975), fdtri(freedom, n - 1, 0.975)
    within = k * annotators + (k * n - k - n) * rest
    low = n * (between - f_low * rest) / (f_low * within + n * between)
    high = n * (f_high * between - rest) / (within + n * f_high * between)
    return float(low), float(high)


def _mean_squares(whole: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean squares between specimens, between annotations and of the residuals."""
    n, k = whole.shape
    specimens = whole.mean(axis=1, keepdims=True)
    annotations = whole.mean(axis=0, keepdims=True)
    between = k * float(((specimens - whole.mean()) ** 2).sum()) / (n - 1)
    annotators = n * float(((annotations - whole.mean()) ** 2).sum()) / (k - 1)
    residual = float(((whole - specimens - annotations + whole.mean()) ** 2).sum())
    return between, annotators, residual / ((n - 1) * (k - 1))


def _whole(values: ArrayLike, dimensions: tuple[int, ...] = (2,)) -> NDArray[np.float64]:
    """Keep the specimens without NaN in any annotation."""
    values = to_numbers(values, name="values")
    if values.ndim not in dimensions:
        msg = f"values must have shape (n_specimens, n_annotations); got {values.shape}."
        raise ValueError(msg)
    axes = tuple(range(1, values.ndim))
    return np.asarray(values[np.isfinite(values).all(axis=axes)])
