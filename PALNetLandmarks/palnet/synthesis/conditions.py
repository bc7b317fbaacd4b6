# SPDX-License-Identifier: Apache-2.0
"""Conditions of patients' faces: swelling, jaw deformity, one small side, cleft lip, scars.

The shapes are rough, not anatomical: they only have to show faces outside the span of the model.
Surface and landmarks move together. Regions are defined on the template, in the face frame of a
mean adult (+X the subject's left, +Y up, +Z front), so that they are in the same place on every
head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.synthesis.fields import bump, smooth_step, wave_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Points = NDArray[np.float32]
    Change = Callable[[Points, Points, float, np.random.Generator], Points]

__all__ = ["CONDITIONS", "CONDITION_SHARE", "add_scars", "deform"]

CONDITION_SHARE = 0.22
SCAR_SHARE = 0.08
# Centres of swellings, on the right side of the template: cheeks, jaw angle, lips, eye, brow, chin.
SWELLING_PLACES_MM = (
    *((-48.0, -5.0, 88.0), (-60.0, -30.0, 50.0), (-58.0, -45.0, 40.0), (-12.0, -25.0, 115.0)),
    *((-12.0, -43.0, 112.0), (-33.0, 24.0, 92.0), (-28.0, 50.0, 98.0), (-8.0, -65.0, 108.0)),
)
CLEFT_LIP_MM, NASAL_WING_MM, NASAL_TIP_MM = (8.0, -23.0, 116.0), (18.0, -4.0, 107.0), (0, 0, 128.0)


def deform(
    points_mm: Points, template_mm: Points, size: float, rng: np.random.Generator
) -> tuple[Points, str]:
    """Apply one condition to a share of heads.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        The head.
    template_mm : ndarray of shape (n_points, 3)
        The neutral head on the same points.
    size : float
        Size of the head as a share of the template's.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    points_mm : ndarray of shape (n_points, 3)
        The head with or without a condition.
    name : str
        Key in `CONDITIONS`, or ``none``.
    """
    if rng.random() > CONDITION_SHARE:
        return points_mm, "none"
    name = str(rng.choice(list(CONDITIONS)))
    return CONDITIONS[name](points_mm, template_mm, size, rng), name


def _swell(points_mm: Points, template_mm: Points, size: float, rng: np.random.Generator) -> Points:
    """Push one or two regions outwards."""
    swollen = points_mm.copy()
    for _ in range(int(rng.integers(1, 3))):
        centre = np.array(SWELLING_PLACES_MM[int(rng.integers(len(SWELLING_PLACES_MM)))])
        centre += rng.normal(0, 4, 3)
        centre[0] *= rng.choice([-1, 1])
        sigma_mm = rng.uniform(9, 26)
        outwards = centre - [0.3 * centre[0], 0.6 * centre[1], 15.0]
        outwards *= size * rng.uniform(0.08, 0.35) * sigma_mm / np.linalg.norm(outwards)
        swollen += bump(template_mm, centre, sigma_mm)[:, None] * outwards.astype(np.float32)
    return swollen


def _lower_jaw(template_mm: Points) -> NDArray[np.float32]:
    """Weight with which each point moves with the lower jaw."""
    _, y, z = template_mm.T
    # Down from the corner of the mouth, and along the mandible to the front of the ear.
    return np.asarray(
        smooth_step(-36 - y - 0.3 * (z - 100), 5) * smooth_step(z + 5, 12) * smooth_step(y + 118, 9)
    )


def _move_jaw(
    points_mm: Points, template_mm: Points, size: float, rng: np.random.Generator
) -> Points:
    """Move the lower jaw back or forward, make it too long or short, or shift it to one side."""
    shift = size * rng.normal(0, [3.5, 3.5, 5.5])
    return np.asarray(points_mm + _lower_jaw(template_mm)[:, None] * shift.astype(np.float32))


def _shrink_side(
    points_mm: Points, template_mm: Points, size: float, rng: np.random.Generator
) -> Points:
    """Shrink one side of the lower two thirds: cheek, jaw and ear move inwards and up."""
    x, y, z = template_mm.T
    side = float(rng.choice([-1, 1]))
    amount = rng.uniform(0.05, 0.2) * size
    weight = smooth_step(side * x - 8, 9) * smooth_step(30 - y, 14) * smooth_step(z + 40, 15)
    weight = (weight * smooth_step(y + 125, 10))[:, None]
    drawn = np.stack([-0.6 * x, 0.7 * (30 - y), -0.25 * np.maximum(z - 20, 0)], axis=1)
    return np.asarray(points_mm + weight * np.float32(amount) * drawn, dtype=np.float32)


def _cleave_lip(
    points_mm: Points, template_mm: Points, size: float, rng: np.random.Generator
) -> Points:
    """Add a repaired unilateral cleft: lip pulled up and in, nasal ala flat, tip deviated."""
    side = float(rng.choice([-1, 1]))
    mirrored = np.array([side, 1.0, 1.0])
    strength = size * rng.uniform(0.3, 1.0)
    cleft = points_mm.copy()
    for centre, sigma_mm, shift in (
        (CLEFT_LIP_MM, 5.0, (0.0, rng.uniform(1, 4.5), rng.uniform(-2.5, -0.5))),
        (NASAL_WING_MM, 7.0, (rng.uniform(1, 4), rng.uniform(-3, 0), rng.uniform(-3.5, -1))),
        (NASAL_TIP_MM, 10.0, (rng.uniform(-3, 0), 0.0, rng.uniform(-2, 0))),
    ):
        weight = bump(template_mm, np.array(centre) * mirrored, sigma_mm)[:, None]
        cleft += weight * (strength * np.array(shift) * mirrored).astype(np.float32)
    # The groove of the scar runs from the lip to the nostril.
    x, y, _ = template_mm.T
    line = np.exp(-((x - side * (8 - 0.15 * (y + 23))) ** 2) / (2 * 1.6**2))
    groove = line * smooth_step(y + 26, 2) * smooth_step(-10 - y, 2)
    cleft[:, 2] -= np.float32(strength * rng.uniform(0.2, 1.2)) * groove.astype(np.float32)
    return cleft


CONDITIONS: dict[str, Change] = {
    "swelling": _swell,
    "jaw": _move_jaw,
    "one_side_small": _shrink_side,
    "cleft_lip": _cleave_lip,
}


def add_scars(
    points_mm: Points, normals: Points, template_mm: Points, rng: np.random.Generator
) -> Points:
    """Raise or lower one or two curved lines on a small share of faces.

    Parameters
    ----------
    points_mm, normals : ndarray of shape (n_points, 3)
        The head on the fine points, and its outward normals.
    template_mm : ndarray of shape (n_points, 3)
        The neutral head on the same points.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_points, 3)
        The head.
    """
    if rng.random() > SCAR_SHARE:
        return points_mm
    scarred = points_mm.copy()
    for _ in range(int(rng.integers(1, 3))):
        centre = np.array([rng.uniform(-55, 55), rng.uniform(-70, 80), 95.0])
        angle = rng.uniform(0, np.pi)
        x, y = template_mm[:, 0] - centre[0], template_mm[:, 1] - centre[1]
        along = np.cos(angle) * x + np.sin(angle) * y
        across = -np.sin(angle) * x + np.cos(angle) * y
        across = across + 1.5 * wave_field(rng, template_mm, (20, 60))
        line = np.exp(-(across**2) / (2 * rng.uniform(0.8, 2.2) ** 2))
        line *= smooth_step(rng.uniform(8, 30) - np.abs(along), 2)
        line *= smooth_step(template_mm[:, 2] - 40, 5)
        height_mm = rng.choice([-1, 1]) * rng.uniform(0.3, 1.4)
        scarred += (height_mm * line)[:, None].astype(np.float32) * normals
    return scarred
