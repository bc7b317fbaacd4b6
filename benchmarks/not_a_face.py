# SPDX-License-Identifier: Apache-2.0
"""Objects that are not usable faces, each about the size of a scan; deterministic.

Parts of heads come from the generator of `palnet.synthesis`, everything else from formulas. A face
is usable if more than half of the area between brows and chin is present; a face with all triangles
wound inward is usable too, and therefore not in this list.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from benchmarks._data import generator_of
from benchmarks._shapes import capsule, ellipsoid, join, sheet, solid, union
from palnet.surface import Mesh, drop_unused
from palnet.synthesis import draw_person
from palnet.synthesis.capture import compute_vertex_normals
from palnet.synthesis.covering import add_hair, draw_clothes, draw_head_regions
from palnet.synthesis.fields import wave_field

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    Range = tuple[float, float]

__all__ = ["make_all"]

SEED = 3_900_000
SPACING_MM = 3.0
FAR = float("inf")
ALL = (-FAR, FAR)


class Box(TypedDict, total=False):
    """Ranges of a box, in millimetres of the mean head."""

    x: Range
    y: Range
    z: Range


class Heads:
    """Heads of generated people, cut by regions defined on the mean head."""

    def __init__(self, ict: Path) -> None:
        self._generator = generator_of(ict)
        self._model = self._generator.model
        self._template = self._model.fine_template_mm.astype(np.float64)

    def head(self, number: int) -> Mesh:
        """Return the whole bare head of one person."""
        person = draw_person(self._model, np.random.default_rng(SEED + number))
        triangles = self._generator.outer_triangles(replace(person, mouth_open=False))
        return Mesh(person.points_mm.astype(np.float64), triangles)

    def hairy_head(self, number: int) -> Mesh:
        """Return the same head with long hair."""
        bare = self.head(number)
        points = bare.points.astype(np.float32)
        normals = compute_vertex_normals(points, bare.triangles)
        regions = draw_head_regions(self._model.fine_template_mm)
        for seed in range(SEED, SEED + 100):
            covered, style = add_hair(points, normals, regions, np.random.default_rng(seed))
            if style == "long":
                return replace(bare, points=covered.astype(np.float64))
        msg = "no long hair within 100 seeds."
        raise RuntimeError(msg)

    def cut(
        self, head: Mesh, *, x: Range = ALL, y: Range = ALL, z: Range = ALL, rest: bool = False
    ) -> Mesh:
        """Cut a whole head to a box of the mean head, or to the rest of it."""
        kept = np.ones(len(self._template), dtype=bool)
        for values, (low, high) in zip(self._template.T, (x, y, z), strict=True):
            kept &= (values > low) & (values < high)
        kept = kept != rest
        triangles = head.triangles[kept[head.triangles].all(axis=1)]
        points, triangles = drop_unused(head.points.astype(np.float32), triangles)
        return Mesh(points.astype(np.float64), triangles)

    def cut_face(self, number: int, *, x: Range = ALL, y: Range = (-95.0, 95.0)) -> Mesh:
        """Cut a part of a tightly cropped face."""
        return self.cut(self.head(number), x=x, y=y, z=(25.0, FAR))


def make_all(ict: Path) -> list[Mesh]:
    """Make all objects, in millimetres, named."""
    heads = Heads(ict)
    made = {
        **_head_parts(heads),
        **_face_parts(heads),
        **_spoilt_faces(heads),
        **_bodies(heads),
        **_toys(),
        **_plain_shapes(),
        **_rough_shapes(),
        **_furniture(),
    }
    return [replace(mesh, name=name) for name, mesh in made.items()]


def _head_parts(heads: Heads) -> dict[str, Mesh]:
    """Large parts of heads without the face."""
    beside = Box(x=(50.0, FAR), y=(-90.0, 90.0), z=(-FAR, 60.0))
    face = Box(x=(-75.0, 75.0), y=(-95.0, 75.0), z=(40.0, FAR))
    return {
        "back_of_head": heads.cut(heads.head(1), z=(-FAR, -5.0)),
        "back_of_head_with_hair": heads.cut(heads.hairy_head(2), y=(-90.0, FAR), z=(-FAR, 20.0)),
        "top_of_head": heads.cut(heads.head(3), y=(70.0, FAR)),
        "side_of_head": heads.cut(heads.head(4), **beside),
        "head_without_face": heads.cut(heads.head(5), **face, rest=True),
    }


def _face_parts(heads: Heads) -> dict[str, Mesh]:
    """Parts of faces that are too small to use."""
    ear = Box(x=(65.0, FAR), y=(-37.0, 53.0), z=(-40.0, 30.0))
    nose = Box(x=(-22.0, 22.0), y=(-22.0, 35.0), z=(85.0, FAR))
    return {
        "less_than_half_a_face": heads.cut_face(6, x=(-FAR, -6.0)),
        "one_eye_and_cheek": heads.cut_face(7, x=(8.0, FAR), y=(-20.0, 95.0)),
        "mouth_and_chin": heads.cut_face(8, y=(-95.0, -18.0)),
        "band_over_the_eyes": heads.cut_face(9, y=(15.0, 60.0)),
        "ear": heads.cut(heads.head(10), **ear),
        "nose": heads.cut(heads.head(11), **nose),
        "forehead": heads.cut(heads.head(12), y=(50.0, FAR), z=(30.0, FAR)),
    }


def _spoilt_faces(heads: Heads) -> dict[str, Mesh]:
    """Faces too distorted to be usable."""
    face = heads.cut_face(13)
    rng = np.random.default_rng(SEED)
    cloud = face.points + 15 * rng.normal(size=face.points.shape)
    return {
        "face_stretched_3x": replace(face, points=face.points * [1.0, 3.0, 1.0]),
        "face_crushed_flat": replace(face, points=face.points * [1.0, 1.0, 0.05]),
        "face_as_noise_cloud": replace(face, points=cloud),
    }


def _bodies(heads: Heads) -> dict[str, Mesh]:
    """Parts below the head, and a hand."""
    neck = heads.cut(heads.head(14), y=(-FAR, -105.0))
    for seed in range(SEED, SEED + 100):
        clothes = draw_clothes(np.random.default_rng(seed))
        if len(clothes) == 2:
            break
    shoulders = [Mesh(piece.points_mm.astype(np.float64), piece.triangles) for piece in clothes]
    rng = np.random.default_rng(SEED + 1)

    def shirt(u: Values, v: Values) -> Values:
        angle = np.pi * (u - 0.5)
        points = np.stack([170 * np.sin(angle), 300 * (0.5 - v), 90 * np.cos(angle)], axis=1)
        points[:, 2] += 4 * wave_field(rng, points, (40, 160))
        return points

    return {
        "neck_and_shoulders": join([neck, *shoulders]),
        "shirt": sheet(shirt, 130, 100),
        "hand": solid(_hand, 130, SPACING_MM),
    }


def _hand(points: Values) -> Values:
    """A palm, four fingers and a thumb."""
    fingers = [
        capsule(points, (x, 20, 0), (1.5 * x, tip, bend), 9)
        for x, tip, bend in ((-30, 85, 5), (-11, 105, 0), (9, 102, 0), (28, 90, 8))
    ]
    palm = ellipsoid(points, (0, -15, 0), (42, 50, 18))
    thumb = capsule(points, (30, -30, 5), (72, 20, 25), 11)
    wrist = capsule(points, (0, -60, 0), (0, -115, 0), 26)
    return union([palm, thumb, wrist, *fingers], 4)


def _toys() -> dict[str, Mesh]:
    """A rabbit and a bear made of round solids."""

    def bunny(p: Values) -> Values:
        body = ellipsoid(p, (0, -40, 0), (55, 60, 75))
        head = ellipsoid(p, (0, 35, 55), (34, 36, 40))
        ears = [capsule(p, (s * 15, 60, 45), (s * 26, 115, 15), 11) for s in (-1, 1)]
        tail = ellipsoid(p, (0, -55, -80), (18, 18, 18))
        paws = [ellipsoid(p, (s * 35, -92, 45), (20, 14, 34)) for s in (-1, 1)]
        return union([body, head, tail, *ears, *paws], 5)

    def bear(p: Values) -> Values:
        head = ellipsoid(p, (0, 0, 0), (80, 75, 72))
        ears = [ellipsoid(p, (s * 62, 62, -5), (30, 30, 18)) for s in (-1, 1)]
        muzzle = ellipsoid(p, (0, -20, 62), (36, 28, 30))
        nose = ellipsoid(p, (0, -8, 92), (12, 9, 8))
        eyes = [ellipsoid(p, (s * 30, 20, 64), (9, 9, 6)) for s in (-1, 1)]
        body = ellipsoid(p, (0, -115, -10), (70, 65, 60))
        return union([head, muzzle, nose, body, *ears, *eyes], 3)

    return {"bunny": solid(bunny, 135, SPACING_MM), "teddy_bear": solid(bear, 185, SPACING_MM)}


def _plain_shapes() -> dict[str, Mesh]:
    """Solids and sheets without detail."""

    def flat(u: Values, v: Values) -> Values:
        return np.stack([240 * (u - 0.5), 240 * (v - 0.5), 0 * u], axis=1)

    def wavy(u: Values, v: Values) -> Values:
        points = flat(u, v)
        points[:, 2] = 12 * np.sin(12 * u) * np.cos(9 * v)
        return points

    def torus(p: Values) -> Values:
        ring = np.linalg.norm(p[:, :2], axis=1) - 75
        return np.asarray(np.hypot(ring, p[:, 2]) - 30)

    def cylinder(p: Values) -> Values:
        side = np.linalg.norm(p[:, [0, 2]], axis=1) - 70
        return np.asarray(np.maximum(side, np.abs(p[:, 1]) - 120))

    return {
        "plane": sheet(flat, 80, 80),
        "wavy_plane": sheet(wavy, 80, 80),
        "sphere": solid(lambda p: ellipsoid(p, (0, 0, 0), (100, 100, 100)), 110, SPACING_MM),
        "head_sized_ellipsoid": solid(
            lambda p: ellipsoid(p, (0, 0, 0), (75, 115, 95)), 125, SPACING_MM
        ),
        "cylinder": solid(cylinder, 130, SPACING_MM),
        "cube": solid(lambda p: np.abs(p).max(axis=1) - 90, 100, SPACING_MM),
        "torus": solid(torus, 110, SPACING_MM),
    }


def _rough_shapes() -> dict[str, Mesh]:
    """Noise, ground and crumpled paper."""
    rng = np.random.default_rng(SEED + 2)
    soup = rng.uniform(-100, 100, size=(4000, 1, 3)) + rng.normal(0, 4, size=(4000, 3, 3))

    def terrain(u: Values, v: Values) -> Values:
        points = np.stack([260 * (u - 0.5), 260 * (v - 0.5), 0 * u], axis=1)
        for wavelength in (150, 70, 30, 12):
            wave = wave_field(rng, points, (0.7 * wavelength, 1.4 * wavelength))
            points[:, 2] += 0.11 * wavelength * wave
        return points

    def paper(u: Values, v: Values) -> Values:
        points = np.stack([280 * (u - 0.5), 280 * (v - 0.5), 0 * u], axis=1)
        flat = points.copy()
        for axis in range(3):
            points[:, axis] += 14 * wave_field(rng, flat, (20, 90))
        return points

    return {
        "triangle_soup": Mesh(soup.reshape(-1, 3), np.arange(12000, dtype=np.int32).reshape(-1, 3)),
        "terrain": sheet(terrain, 110, 110),
        "crumpled_sheet": sheet(paper, 110, 110),
    }


def _furniture() -> dict[str, Mesh]:
    """A vase, and panels at right angles."""

    def vase(u: Values, v: Values) -> Values:
        radius = 45 + 30 * np.sin(2.6 * v + 0.3) - 25 * np.exp(-(((v - 0.85) / 0.08) ** 2))
        angle = 2 * np.pi * u
        return np.stack([radius * np.cos(angle), 240 * (v - 0.5), -radius * np.sin(angle)], axis=1)

    def panel(corner: list[float], along: list[float], up: list[float]) -> Mesh:
        def shape(u: Values, v: Values) -> Values:
            return np.array(corner) + u[:, None] * np.array(along) + v[:, None] * np.array(up)

        return sheet(shape, 40, 40)

    seat = panel([-100, 0, -100], [200, 0, 0], [0, 0, 200])
    back = panel([-100, 0, -100], [200, 0, 0], [0, 240, 0])
    legs = [panel([x, -150, z], [12, 0, 0], [0, 150, 0]) for x in (-100, 88) for z in (-95.0, 95.0)]
    floor = panel([-120, -100, -120], [240, 0, 0], [0, 0, 240])
    wall = panel([-120, -100, -120], [240, 0, 0], [0, 240, 0])
    return {
        "vase": sheet(vase, 110, 80, closed=True),
        "two_planes": join([floor, wall]),
        "chair": join([seat, back, *legs]),
    }
