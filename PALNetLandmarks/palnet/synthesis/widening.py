# SPDX-License-Identifier: Apache-2.0
"""Heads outside the range of a source, for training: parts of several people, and infants.

A network trained on one source errs on another where its heads are unlike the training data. Bumps
are in the template's face frame (+X the subject's left, +Y up, +Z front), so that they are in the
same place on every head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palnet.synthesis.fields import bump, smooth_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = NDArray[np.float32]

__all__ = ["draw_regions", "make_infantile", "shrink_face"]

# Number of people combined into one head, and width of the transitions between them.
PEOPLE, REGION_MM = (2, 5), (22.0, 45.0)
LOWEST_FACE_MM, REARMOST_FACE_MM = -90.0, 20.0
EYE_LEVEL_MM, BACK_MM, NECK_MM = 34.0, 20.0, 170.0
# An infant's face relative to an adult's of the same cranium: shorter and flatter below the eyes,
# broader, and smaller as a whole.
SHORTER, FLATTER, BROADER = (0.12, 0.34), (0.05, 0.25), (-0.02, 0.12)
SIZE, SIZE_SPREAD, SIZES, AXES_SPREAD = 0.72, 0.07, (0.55, 0.9), 0.03
# Also: full cheeks, a receding chin, a bulging forehead, a flat bridge, a short upturned nose.
CHEEK_MM, CHEEK_MOVE, CHEEK_WIDTH_MM = (61.0, -3.0, 84.0), (0.75, 0.0, 0.55), (16.0, 28.0)
CHIN_MM, CHIN_WIDTH_MM = (0.0, -61.0, 110.0), (16.0, 28.0)
FOREHEAD_MM, FOREHEAD_WIDTH_MM = (0.0, 80.0, 95.0), (30.0, 50.0)
BRIDGE_MM, BRIDGE_WIDTH_MM = (0.0, 22.0, 118.0), (9.0, 16.0)
NOSE_TIP_MM, NOSE_WIDTH_MM = (0.0, 1.0, 131.0), (10.0, 16.0)
CHEEK_MOST_MM, CHIN_MOST_MM, FOREHEAD_MOST_MM = 8.0, 8.0, 8.0
BRIDGE_MOST_MM, NOSE_MOST_MM = 6.0, 4.0


def draw_regions(template_mm: Points, rng: np.random.Generator) -> Points:
    """Draw smooth weights for combining several people in one head.

    Parameters
    ----------
    template_mm : ndarray of shape (n_points, 3)
        The neutral head.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_people, n_points)
        Weights that sum to one at every point and vary smoothly in space.
    """
    n_people = int(rng.integers(PEOPLE[0], PEOPLE[1] + 1))
    in_face = (template_mm[:, 2] > REARMOST_FACE_MM) & (template_mm[:, 1] > LOWEST_FACE_MM)
    centres_mm = rng.choice(template_mm[in_face], size=n_people)
    widths_mm = rng.uniform(*REGION_MM, n_people)
    squared = ((template_mm - centres_mm[:, None]) ** 2).sum(axis=2)
    closeness = -squared / (2 * widths_mm[:, None] ** 2)
    shares = np.exp(closeness - closeness.max(axis=0))
    return np.asarray(shares / shares.sum(axis=0), dtype=np.float32)


def shrink_face(points_mm: Points, shorter: float, flatter: float, broader: float) -> None:
    """Shrink the face below the eyes relative to the cranium, as in a child, in place.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        The head, which is modified.
    shorter, flatter : float
        Shares by which height and depth of the face are reduced.
    broader : float
        Share by which the head is widened, half as much in the face.
    """
    below = np.minimum(points_mm[:, 1] - EYE_LEVEL_MM, 0)
    in_face = smooth_step(-(points_mm[:, 1] - EYE_LEVEL_MM), 14)
    in_face = in_face * smooth_step(points_mm[:, 2] - 30, 20)
    points_mm[:, 1] -= shorter * below * smooth_step(points_mm[:, 1] + NECK_MM, 25)
    points_mm[:, 2] -= flatter * in_face * np.maximum(points_mm[:, 2] - BACK_MM, 0)
    points_mm[:, 0] *= 1 + broader * (1 - 0.5 * in_face)


def make_infantile(
    points_mm: Points, template_mm: Points, rng: np.random.Generator
) -> tuple[Points, float, float]:
    """Give an adult's head the proportions and size of a small child.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        The head.
    template_mm : ndarray of shape (n_points, 3)
        The neutral head on the same points.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    points_mm : ndarray of shape (n_points, 3)
        The head, at its own size.
    size : float
        Its size as a share of an adult's.
    amount : float
        How infantile it is, 0 to 1.
    """
    infant = points_mm.astype(np.float32).copy()
    amount = float(rng.uniform(0.3, 1.0))
    shorter, flatter, broader = (
        amount * rng.uniform(*most) for most in (SHORTER, FLATTER, BROADER)
    )
    shrink_face(infant, shorter, flatter, broader)

    def push(place_mm: tuple[float, ...], width_mm: float, move_mm: tuple[float, ...]) -> None:
        near = bump(template_mm, np.array(place_mm, dtype=np.float32), width_mm)
        infant[:] += near[:, None] * np.array(move_mm, dtype=np.float32)

    full_mm, width_mm = amount * rng.uniform(0, CHEEK_MOST_MM), rng.uniform(*CHEEK_WIDTH_MM)
    for side in (-1, 1):
        x, y, z = CHEEK_MM
        out, up, front = (full_mm * share for share in CHEEK_MOVE)
        push((side * x, y, z), width_mm, (side * out, up, front))
    push(CHIN_MM, rng.uniform(*CHIN_WIDTH_MM), (0, 0, -amount * rng.uniform(0, CHIN_MOST_MM)))
    bulge_mm = amount * rng.uniform(0, FOREHEAD_MOST_MM)
    push(FOREHEAD_MM, rng.uniform(*FOREHEAD_WIDTH_MM), (0, 0, bulge_mm))
    flat_mm = amount * rng.uniform(0, BRIDGE_MOST_MM)
    push(BRIDGE_MM, rng.uniform(*BRIDGE_WIDTH_MM), (0, 0, -flat_mm))
    up_mm, back_mm = amount * rng.uniform(0, NOSE_MOST_MM, size=2)
    push(NOSE_TIP_MM, rng.uniform(*NOSE_WIDTH_MM), (0, up_mm, -back_mm))
    size = float(np.clip(rng.normal(SIZE, SIZE_SPREAD), *SIZES))
    axes = rng.normal(1.0, AXES_SPREAD, size=3)
    return (infant * (size * axes)).astype(np.float32), size, amount
