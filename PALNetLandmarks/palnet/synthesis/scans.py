# SPDX-License-Identifier: Apache-2.0
"""Generate a labelled scan from a random person, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from palnet.surface import Mesh, drop_unused
from palnet.synthesis import capture, covering, thinning
from palnet.synthesis.people import draw_person
from palnet.synthesis.presets import PRESETS, CapturePreset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.synthesis.morphable import MorphableModel
    from palnet.synthesis.people import Person

__all__ = ["GeneratedScan", "ScanGenerator"]

# A landmark is visible if the scan passes this close to it. Smoothing and coarse vertices alone
# move the surface by up to about 3 mm at the ear and the lips.
ON_SCAN_MM = 4.0
# Hair that lifts the surface by more than this hides the landmark below it.
HIDDEN_UNDER_HAIR_MM = 2.5
# Maximum vertex spacing before a decimation, which does most of the thinning.
DECIMATED_FROM_MM = 1.5
# Share of the triangles that a decimation removes.
DECIMATED_AWAY = (0.5, 0.93)
# Below this spacing, the points of the morphable model are left unchanged.
THINNED_FROM_MM = 1.6


@dataclass(frozen=True, eq=False)
class GeneratedScan:
    """A labelled scan in millimetres, in the face frame.

    Attributes
    ----------
    points_mm : ndarray of shape (n_points, 3)
        Vertices.
    triangles : ndarray of shape (n_triangles, 3)
        Triangles, outward.
    landmarks_mm : ndarray of shape (n_landmarks, 3)
        True landmarks on skin or beard, whether visible in the scan or not.
    visible : ndarray of shape (n_landmarks,)
        Whether the scan covers the landmark.
    description : dict
        Drawn parameters, for tables by group: preset, hair, condition, expressions, and childlike
        amount or age group, sex and shape group; for people wider than their source also
        lids_sealed, see `palnet.synthesis.lids.reshape_lids`.
    """

    points_mm: NDArray[np.float32]
    triangles: NDArray[np.int32]
    landmarks_mm: NDArray[np.float32]
    visible: NDArray[np.bool_]
    description: dict[str, object]

    def to_mesh(self) -> Mesh:
        """Return the scan without its truth, as if read from a file in millimetres."""
        return Mesh(
            self.points_mm.astype(np.float64), self.triangles, str(self.description["seed"])
        )


class ScanGenerator:
    """Draws labelled scans; the same seed always gives the same scan.

    Parameters
    ----------
    model : MorphableModel
        The source of head shape.
    presets : tuple of CapturePreset, optional
        The capture presets to draw from; those of training by default.
    """

    def __init__(
        self,
        model: MorphableModel,
        presets: tuple[CapturePreset, ...] = tuple(PRESETS.values()),
    ) -> None:
        self.model = model
        self.presets = presets
        self._regions = covering.draw_head_regions(model.fine_template_mm)
        self._mouth = model.fine(model.is_mouth)
        # Eyeballs are full spheres; only their front is outer surface.
        front_mm = self.model.fine_template_mm[:, 2]
        eyeball = model.fine(model.is_eyeball)
        self._hidden_eyeball = eyeball & (front_mm < np.median(front_mm[eyeball]) + 1)
        self._average = capture.laplacian_matrix(model.fine_triangles, model.refine.shape[0])

    def draw(self, seed: int) -> GeneratedScan:
        """Draw one scan.

        Parameters
        ----------
        seed : int
            Seed of the scan, which is independent of all others.

        Returns
        -------
        GeneratedScan
            Mesh and truth.
        """
        rng = np.random.default_rng(seed)
        person = draw_person(self.model, rng)
        preset = self.presets[int(rng.integers(len(self.presets)))]
        triangles = self.model.fine_triangles
        skin = person.points_mm
        normals = capture.compute_vertex_normals(skin, triangles)
        if person.may_have_beard:
            skin = covering.grow_beard(skin, normals, self._regions, rng)
        landmarks = np.asarray(person.label_weights @ skin, dtype=np.float32)
        head, hair = covering.add_hair(skin, normals, self._regions, rng)
        lifted_mm = np.linalg.norm(person.label_weights @ (head - skin), axis=1)
        head = self._smear(head, preset, rng)
        head_triangles = self.outer_triangles(person)
        points, all_triangles = _join(head, head_triangles, person.size, rng)
        points, all_triangles = self._capture(points, all_triangles, person.size, preset, rng)
        # Before thinning, since afterwards the nearest vertex on a flat cheek may be 8 mm away.
        distance, _ = cKDTree(points).query(landmarks)
        points, all_triangles = _thin(points, all_triangles, preset, rng)
        return GeneratedScan(
            points_mm=points,
            triangles=all_triangles,
            landmarks_mm=landmarks,
            visible=(distance < ON_SCAN_MM) & (lifted_mm < HIDDEN_UNDER_HAIR_MM),
            description={"preset": preset.name, "hair": hair, "seed": seed, **person.description},
        )

    def outer_triangles(self, person: Person) -> NDArray[np.int32]:
        """Return the triangles of a head that a camera could see from any direction.

        Parameters
        ----------
        person : Person
            A person from this generator's model.

        Returns
        -------
        ndarray of shape (n_triangles, 3)
            Indices of the fine points, without the inside of a closed mouth and what is behind
            sealed lids.
        """
        hidden = self._hidden_eyeball | person.is_covered
        if not person.mouth_open:
            hidden = hidden | self._mouth
        triangles = self.model.fine_triangles
        return triangles[~hidden[triangles].any(axis=1)]

    def _smear(
        self,
        head: NDArray[np.float32],
        preset: CapturePreset,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Apply stereo smoothing everywhere, and in some scans far more at eyes, ears and hair."""
        fewest, most = preset.smoothing_steps
        n_steps = round(fewest + (most - fewest) * rng.random() ** 2)
        head = capture.smear(head, self._average, 1.0, n_steps)
        for region, share in ((self._regions.eyes, 0.2), (self._regions.ears, 0.25)):
            if rng.random() < share:
                head = capture.smear(head, self._average, region, int(rng.integers(5, 40)))
        return head

    def _capture(
        self,
        points: NDArray[np.float32],
        triangles: NDArray[np.int32],
        size: float,
        preset: CapturePreset,
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Simulate cameras, noise, holes and crop."""
        normals = capture.compute_vertex_normals(points, triangles)
        kept = capture.find_seen_points(points, normals, preset, rng)
        as_adult = points / np.float32(size)
        kept &= ~capture.cut_holes(points, 0.05 + _hard_to_see(as_adult), rng)
        kept &= capture.draw_crop(as_adult, rng)
        points = capture.roughen(points, normals, preset, rng)
        return drop_unused(points, triangles[kept[triangles].all(axis=1)])


def _thin(
    points: NDArray[np.float32],
    triangles: NDArray[np.int32],
    preset: CapturePreset,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Thin to the system's vertex spacing, in some scans to far fewer vertices where it is flat."""
    spacing = rng.uniform(*preset.spacing_mm)
    decimated = rng.random() < preset.decimated_share
    if decimated:
        spacing = min(spacing, DECIMATED_FROM_MM)
    if spacing >= THINNED_FROM_MM or decimated:
        points, triangles = thinning.cluster_vertices(points, triangles, spacing, rng)
        points, triangles = drop_unused(points, triangles)
    if decimated:
        share_away = float(rng.uniform(*DECIMATED_AWAY))
        points, triangles = thinning.decimate(points, triangles, share_away)
    return points, triangles


def _hard_to_see(points_mm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weight where stereo fails most: hair, eyes and brows, under chin and nose, the ears."""
    x, y, z = points_mm.T
    scalp = (y > 95) | (z < 0)
    under = (y < -80) & (y > -130)
    ears = np.abs(x) > 70
    return np.asarray(0.5 * scalp + 0.6 * under + 0.8 * ears, dtype=np.float32)


def _join(
    head: NDArray[np.float32],
    head_triangles: NDArray[np.int32],
    size: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Tilt the body below the head, add clothes, and put loose pieces beside it."""
    pitch, roll = rng.normal(0, [0.28, 0.1])
    head = _bend_neck(head, size, pitch, roll, fade_mm=25.0)
    clothes = [
        covering.Sheet(
            _bend_neck(np.float32(size) * s.points_mm, size, pitch, roll, fade_mm=0.1), s.triangles
        )
        for s in covering.draw_clothes(rng)
    ]
    points, triangles = [head], [head_triangles]
    for sheet in (*clothes, *covering.draw_loose_pieces(rng)):
        triangles.append(sheet.triangles + sum(len(p) for p in points))
        points.append(sheet.points_mm)
    return np.concatenate(points), np.concatenate(triangles).astype(np.int32)


def _bend_neck(
    points_mm: NDArray[np.float32],
    size: float,
    pitch_rad: float,
    roll_rad: float,
    *,
    fade_mm: float,
) -> NDArray[np.float32]:
    """Rotate everything below the jaw about the base of the skull: neck extended or flexed."""
    pivot = np.array([0.0, -70.0 * size, 0.0], dtype=np.float32)
    below = np.clip((-105 - points_mm[:, 1] / size) / (2 * fade_mm), 0, 1)
    angle, lean = below * pitch_rad, below * roll_rad
    x, y, z = (points_mm - pivot).T
    y, z = y * np.cos(angle) - z * np.sin(angle), y * np.sin(angle) + z * np.cos(angle)
    x, y = x * np.cos(lean) - y * np.sin(lean), x * np.sin(lean) + y * np.cos(lean)
    return np.asarray(np.stack([x, y, z], axis=1) + pivot, dtype=np.float32)
