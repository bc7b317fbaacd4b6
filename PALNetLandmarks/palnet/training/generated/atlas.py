# SPDX-License-Identifier: Apache-2.0
"""Build the face atlas: principal components of generated heads, before simulated capture."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from palnet.face.atlas import FaceAtlas
from palnet.similarity import apply_similarity, fit_similarity
from palnet.synthesis.capture import compute_vertex_normals
from palnet.synthesis.people import draw_person
from palnet.training.generated.registration import match_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from palnet.synthesis.morphable import MorphableModel

__all__ = ["build_atlas"]

logger = logging.getLogger(__name__)

# The atlas covers the face, both ears, the temples and the upper neck, in the template's frame.
LOWEST_MM, HIGHEST_MM, REARMOST_MM = -105.0, 118.0, -28.0


def build_atlas(
    sources: Sequence[MorphableModel],
    *,
    n_people: int,
    n_modes: int,
    n_points: int,
    seed: int,
) -> FaceAtlas:
    """Draw people, align them, and keep their principal components.

    Parameters
    ----------
    sources : sequence of MorphableModel
        Sources of people. The atlas points are chosen on the first and transferred to the others
        by registration.
    n_people : int
        Number of people to draw from each source.
    n_modes : int
        Number of components to keep.
    n_points : int
        Number of surface points to keep, spread evenly but denser on the mid-face.
    seed : int
        Random seed; people from this range of seeds are used for nothing else.

    Returns
    -------
    FaceAtlas
        Mean, modes and landmarks in the face frame.
    """
    first = sources[0]
    template = first.fine_template_mm
    chosen = _choose_points(first, template, n_points)
    people: list[NDArray[np.float32]] = []
    for source in sources:
        rows = chosen if source is first else match_points(first, source, chosen)
        for i in range(n_people):
            person = draw_person(source, np.random.default_rng([seed, len(people)]))
            people.append(np.concatenate([person.points_mm[rows], person.landmarks_mm]))
            if (i + 1) % 250 == 0:
                logger.info("atlas: %d of %d people of %s drawn", i + 1, n_people, source.name)
    kept = np.concatenate([template[chosen], template[first.landmark_points]])
    aligned = _align_all(np.array(people, dtype=np.float32), core=_is_core(kept))
    mean = aligned.mean(axis=0)
    modes = _principal_components(aligned, mean, n_modes)
    normals = compute_vertex_normals(template, first.fine_triangles)[chosen]
    n_chosen = len(chosen)
    return FaceAtlas(
        mean_mm=mean[:n_chosen].astype(np.float64),
        normals=normals.astype(np.float64),
        modes_mm=modes[:, :n_chosen],
        landmark_mean_mm=mean[n_chosen:].astype(np.float64),
        landmark_modes_mm=modes[:, n_chosen:],
        core=_is_core(template[chosen]),
    )


def _choose_points(
    model: MorphableModel, template: NDArray[np.float32], n_points: int
) -> NDArray[np.int64]:
    """Spread points over the atlas region by farthest point sampling, denser on the mid-face."""
    x, y, z = template.T
    usable = (y > LOWEST_MM) & (y < HIGHEST_MM) & (z > REARMOST_MM)
    usable &= ~(model.refine @ (model.is_mouth | model.is_eyeball).astype(np.float32) > 0)
    # The neck behind the jaw is usually hidden or clothed.
    usable &= ~((y < -60) & (z < 30))
    candidates = np.flatnonzero(usable)
    mid_face = (np.abs(x) < 55) & (y > -85) & (y < 62) & (z > 60)
    stretch = np.where(mid_face, 1.7, 1.0)[candidates]
    points = template[candidates]
    distance = np.full(len(candidates), np.inf, dtype=np.float32)
    picked = [int(np.argmax(points[:, 2]))]
    while len(picked) < min(n_points, len(candidates)):
        step = np.linalg.norm(points - points[picked[-1]], axis=1) * stretch
        distance = np.minimum(distance, step)
        picked.append(int(np.argmax(distance)))
    return np.sort(candidates[picked])


def _is_core(points_mm: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The face proper, between brows, cheeks and chin."""
    x, y, z = points_mm.T
    return np.asarray((np.abs(x) < 58) & (y > -78) & (y < 75) & (z > 45))


def _align_all(people: NDArray[np.float32], core: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Align every head to the running mean by its core points, with scaling.

    Size is removed: the pose carries it, so that a child's face is searched like an adult's.
    """
    aligned = people.copy()
    size_mm = _size(aligned[:, core].mean(axis=0))
    for _ in range(3):
        target = aligned[:, core].mean(axis=0)
        target *= size_mm / _size(target)
        for head in aligned:
            scaled = head * (size_mm / _size(head[core]))
            motion = fit_similarity(scaled[core], target, with_scale=False)
            head[:] = apply_similarity(motion, scaled)
    return aligned


def _size(points_mm: NDArray[np.float32]) -> np.float32:
    """Root mean square distance of the points from their centre."""
    return np.float32(np.sqrt(((points_mm - points_mm.mean(axis=0)) ** 2).sum(axis=1).mean()))


def _principal_components(
    aligned: NDArray[np.float32], mean: NDArray[np.float32], n_modes: int
) -> NDArray[np.float32]:
    """Return the largest components, each one standard deviation long."""
    n_people = len(aligned)
    centred = (aligned - mean).reshape(n_people, -1)
    gram = (centred @ centred.T).astype(np.float64) / (n_people - 1)
    values, vectors = np.linalg.eigh(gram)
    order = np.argsort(values)[::-1][: min(n_modes, n_people - 1)]
    logger.info(
        "atlas: %d modes hold %.2f %%", len(order), 100 * values[order].sum() / values.sum()
    )
    scaled = vectors[:, order] / np.sqrt(n_people - 1)
    modes = scaled.T.astype(np.float32) @ centred
    return np.asarray(modes.reshape(len(order), *mean.shape))
