# SPDX-License-Identifier: Apache-2.0
"""What covers a head or is beside it in a scan: hair, beard, cap, clothes, loose pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet.synthesis.fields import bump, smooth_step, wave_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "HeadRegions",
    "Sheet",
    "add_hair",
    "draw_clothes",
    "draw_head_regions",
    "draw_loose_pieces",
    "grow_beard",
]

# Height of the hairline as a function of depth (mm): nape, above the ear, temple, forehead.
HAIRLINE_DEPTH_MM = (-110.0, -60.0, -5.0, 15.0, 30.0, 50.0, 75.0, 92.0, 140.0)
HAIRLINE_HEIGHT_MM = (-60.0, -55.0, -15.0, 5.0, 28.0, 58.0, 90.0, 106.0, 140.0)
BEARD_SHARE = 0.22


@dataclass(frozen=True, eq=False)
class HeadRegions:
    """Soft masks over the fine points, shape (n_fine,) each, defined on the template."""

    template_mm: NDArray[np.float32]
    hair_depth_mm: NDArray[np.float32]
    ears: NDArray[np.float32]
    beard: NDArray[np.float32]
    moustache: NDArray[np.float32]
    eyes: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sheet:
    """A surface beside the head: points (n_points, 3) in mm and triangles (n_triangles, 3)."""

    points_mm: NDArray[np.float32]
    triangles: NDArray[np.int32]


def draw_head_regions(template_mm: NDArray[np.float32]) -> HeadRegions:
    """Define the regions on the template of the morphable model.

    Parameters
    ----------
    template_mm : ndarray of shape (n_fine, 3)
        The mean head on the fine points, in the face frame.

    Returns
    -------
    HeadRegions
        One mask per region.
    """
    x, y, z = template_mm.T
    side = np.abs(x)
    hairline = np.interp(z, HAIRLINE_DEPTH_MM, HAIRLINE_HEIGHT_MM)
    ears = (
        smooth_step(side - 73, 1.0)
        * smooth_step(y + 26, 2)
        * smooth_step(44 - y, 2)
        * smooth_step(z + 30, 2)
        * smooth_step(20 - z, 2)
    )
    lips = smooth_step(27 - side, 1.5) * smooth_step(y + 47, 1.5) * smooth_step(-23 - y, 1.5)
    jaw = smooth_step(-14 - y - 0.35 * (z - 105), 5) * smooth_step(y + 105, 8)
    beard = jaw * smooth_step(z - 18, 5) * (1 - lips) * (1 - ears)
    under_nose = smooth_step(y + 25, 1.5) * smooth_step(-13 - y, 1.5)
    moustache = under_nose * smooth_step(30 - side, 3) * smooth_step(z - 95, 3)
    eye_centres = np.array([[-31.0, 34.0, 92.0], [31.0, 34.0, 92.0]])
    eyes = np.maximum(*(bump(template_mm, centre, 11.0) for centre in eye_centres))
    return HeadRegions(
        template_mm=template_mm,
        hair_depth_mm=(y - hairline).astype(np.float32),
        ears=ears.astype(np.float32),
        beard=np.clip(beard, 0, 1).astype(np.float32),
        moustache=np.clip(moustache, 0, 1).astype(np.float32),
        eyes=eyes.astype(np.float32),
    )


def grow_beard(
    points_mm: NDArray[np.float32],
    normals: NDArray[np.float32],
    regions: HeadRegions,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Add an uneven beard to chin, jaw and upper lip in a share of heads (moves landmarks too)."""
    if rng.random() > BEARD_SHARE:
        return points_mm
    amount = regions.beard * rng.uniform(0.2, 1.0)
    if rng.random() < 0.7:
        amount = np.maximum(amount, regions.moustache * rng.uniform(0.2, 0.7))
    length_mm = rng.choice([rng.uniform(0.3, 1.5), rng.uniform(1.5, 7.0)])
    texture = 1 + 0.35 * wave_field(rng, points_mm, (4, 18))
    lift = length_mm * amount * np.clip(texture, 0.1, 2.5)
    return np.asarray(points_mm + lift[:, None] * normals, dtype=np.float32)


def add_hair(
    points_mm: NDArray[np.float32],
    normals: NDArray[np.float32],
    regions: HeadRegions,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], str]:
    """Cover the scalp, and on some heads the ears or the forehead.

    Parameters
    ----------
    points_mm, normals : ndarray of shape (n_fine, 3)
        The bare head and its outward normals.
    regions : HeadRegions
        Where hair grows.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    points_mm : ndarray of shape (n_fine, 3)
        The head with hair.
    style : str
        ``bald``, ``short``, ``medium``, ``long`` or ``cap``.
    """
    style = str(rng.choice(["bald", "short", "medium", "long", "cap"], p=[0.2, 0.3, 0.2, 0.2, 0.1]))
    if style == "bald":
        return points_mm, style
    edge_mm = 3 * wave_field(rng, regions.template_mm, (15, 60)) + rng.normal(0, 2)
    if style in ("medium", "long"):
        edge_mm = edge_mm - rng.uniform(0, 8)
    scalp = smooth_step(regions.hair_depth_mm + edge_mm, rng.uniform(0.8, 3.0))
    scalp = scalp * (1 - regions.ears)
    low, high = {"short": (0.8, 6), "medium": (4, 16), "long": (5, 28), "cap": (1.5, 6)}[style]
    length_mm = rng.uniform(low, high)
    rough = {"short": 0.3, "medium": 0.35, "long": 0.35, "cap": 0.03}[style]
    waves = wave_field(rng, points_mm, (5, 30)) + wave_field(rng, points_mm, (30, 90))
    lift = length_mm * scalp * np.clip(1 + rough * waves, 0.05, 3)
    if style in ("medium", "long") and rng.random() < 0.3:
        lift = np.maximum(lift, _fringe(regions, rng) * np.clip(1 + 0.25 * waves, 0.2, 2))
    covered = points_mm + lift[:, None] * normals
    if style == "long" or (style in ("medium", "cap") and rng.random() < 0.3):
        covered = _cover_ears(covered, regions, rng)
    return covered.astype(np.float32), style


def _fringe(regions: HeadRegions, rng: np.random.Generator) -> NDArray[np.float32]:
    """Hair over the forehead, as an offset in millimetres for each point."""
    _, y, z = regions.template_mm.T
    lower_edge = rng.uniform(62, 95) + rng.normal(0, 0.15) * regions.template_mm[:, 0]
    over = smooth_step(y - lower_edge, 1.5) * smooth_step(z - 20, 5)
    return np.asarray(over * rng.uniform(2, 9), dtype=np.float32)


def _cover_ears(
    points_mm: NDArray[np.float32], regions: HeadRegions, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Let hair hang over one or both ears as a sheet with a gap to the head."""
    covered = points_mm.copy()
    x, y, z = regions.template_mm.T
    wide = np.abs(points_mm[regions.ears > 0.5, 0]).max() / 95
    for sign in (-1, 1):
        if rng.random() < 0.15:
            continue
        front = rng.uniform(5, 42)
        hangs = (
            smooth_step(sign * x - 35, 4)
            * smooth_step(front - z, 2)
            * smooth_step(y + rng.uniform(20, 130), 6)
        )
        stand_off = rng.uniform(78, 100) + 3 * wave_field(rng, regions.template_mm, (8, 50))
        target = np.maximum(sign * covered[:, 0], stand_off * wide)
        covered[:, 0] += sign * hangs * (target - sign * covered[:, 0])
    return covered


def draw_clothes(rng: np.random.Generator) -> tuple[Sheet, ...]:
    """Draw shoulders around the neck, with or without a collar, in the face frame."""
    pieces: list[Sheet] = []
    if rng.random() < 0.5:
        width, depth = rng.uniform(150, 290), rng.uniform(75, 140)
        top, drop = rng.uniform(-150, -100), rng.uniform(40, 190)
        neck = rng.uniform(58, 95)
        forward = rng.uniform(-20, 25)

        def shoulders(u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]:
            half_width = neck + (width - neck) * np.sin(np.minimum(v * 1.3, 1) * np.pi / 2)
            half_depth = neck + (depth - neck) * np.sin(np.minimum(v * 1.6, 1) * np.pi / 2)
            height = top - drop * v**1.7 - 18 * np.sin(v * np.pi) * np.abs(np.cos(u))
            return np.stack(
                [half_width * np.cos(u), height, forward + half_depth * np.sin(u)], axis=1
            )

        pieces.append(_ring_sheet(shoulders, rng, n_around=110, n_along=40, crumple_mm=2.0))
    if rng.random() < 0.3:
        radius, top = rng.uniform(58, 85), rng.uniform(-125, -80)
        flare, tall = rng.uniform(-0.1, 0.5), rng.uniform(20, 60)

        def collar(u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]:
            spread = radius * (1 + flare * v)
            dip = 14 * np.maximum(np.sin(u), 0)
            return np.stack(
                [spread * np.cos(u), top - dip - tall * v, 5 + 1.05 * spread * np.sin(u)], axis=1
            )

        pieces.append(_ring_sheet(collar, rng, n_around=90, n_along=14, crumple_mm=1.0))
    return tuple(pieces)


def draw_loose_pieces(rng: np.random.Generator) -> tuple[Sheet, ...]:
    """Draw zero to three pieces of background: lumps and panels 120 to 520 mm from the head."""
    pieces = []
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.65, 0.18, 0.1, 0.07]))):
        direction = rng.normal(size=3)
        centre = direction / np.linalg.norm(direction) * rng.uniform(190, 450)
        radii = rng.uniform(8, 70, size=3)
        extent = rng.uniform(0.15, 1.0)
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]

        def lump(
            u: NDArray[np.float32],
            v: NDArray[np.float32],
            centre: NDArray[np.float64] = centre,
            radii: NDArray[np.float64] = radii,
            extent: float = extent,
            turn: NDArray[np.float64] = turn,
        ) -> NDArray[np.float32]:
            polar = 0.1 + v * np.pi * extent * 0.95
            unit = np.stack(
                [np.sin(polar) * np.cos(u), np.cos(polar), np.sin(polar) * np.sin(u)], axis=1
            )
            return np.asarray(centre + (unit * radii) @ turn.T, dtype=np.float32)

        pieces.append(_ring_sheet(lump, rng, n_around=36, n_along=18, crumple_mm=4.0))
    return tuple(pieces)


def _ring_sheet(
    shape: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.floating]],
    rng: np.random.Generator,
    *,
    n_around: int,
    n_along: int,
    crumple_mm: float,
) -> Sheet:
    """Build a crumpled tube from `shape(angle, along)`, for angle 0 to 2 pi and along 0 to 1."""
    around, along = np.meshgrid(
        np.linspace(0, 2 * np.pi, n_around, endpoint=False, dtype=np.float32),
        np.linspace(0, 1, n_along, dtype=np.float32),
    )
    points = np.asarray(shape(around.ravel(), along.ravel()), dtype=np.float32)
    strength = min(rng.exponential(crumple_mm), 2.5 * crumple_mm)
    for axis in range(3):
        points[:, axis] += strength * wave_field(rng, points, (45, 200))
    index = np.arange(n_around * n_along).reshape(n_along, n_around)
    right = np.roll(index, -1, axis=1)
    a, b, c, d = (q.ravel() for q in (index[:-1], right[:-1], right[1:], index[1:]))
    # Seen from outside, the rings run downwards, so this order makes the normals point outwards.
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return Sheet(points, triangles.astype(np.int32))
