# SPDX-License-Identifier: Apache-2.0
"""Eyelids as scans show them, for training: sealed when closed, heavy, folded, deep-set.

A source closes an eye to a sharp slit in front of an eyeball; a capture system sees one surface
with a shallow groove, and often a deeper one above it, where the lid folds. Each eye has its own
frame: along from the inner to the outer corner, up, and out towards the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from palnet.synthesis.fields import bump, smooth_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Points = NDArray[np.float32]

__all__ = ["reshape_lids"]

# Approximate corners of the left eye on the template, in the face frame of a mean adult: the skin
# points nearest to these are 0.6 to 1.5 mm from the labels of the sources.
INNER_CORNER_MM, OUTER_CORNER_MM = (17.5, 33.0, 94.0), (45.0, 34.5, 87.5)
# Direction from which an eye is seen, as its lids face slightly outwards.
VIEW = np.array([0.35, 0.0, 0.94])
# Extent of the lids beside the corners, above and below, and the width of the transition.
BESIDE_MM, ABOVE_MM, BELOW_MM, FADE_MM = 4.0, 20.0, 18.0, 1.6
# Shifts of the eyes between brow and cheek: right-left, up-down, in-out (standard deviation).
SHIFT_SHARE, SHIFT_MM, SHIFT_WIDTH_MM = 0.6, (1.2, 4.0, 1.5), (14.0, 24.0)
# Share of closed and of open eyes that scans show as one surface with what the lids cover. The
# sheet over closed ones is smooth enough to remove the source's slit, which is in another place.
SEALED_SHARE, SEAL_WIDTH_MM = 0.85, (2.0, 3.5)
BLURRED_SHARE, BLUR_WIDTH_MM = 0.2, (0.8, 2.4)
# In closed eyes, the outer corner and the skin around it are lower.
DROP_MM, DROP_WIDTH_MM = (0.0, 4.5), 8.0
# Hidden points are moved to just under the sheet, or removed.
CELL_MM, UNDER_MM, BEHIND_MM = 0.8, 0.1, 6.0
# The groove between closed lids: sag below the corners, depth, width, and thickness of the upper
# lid above it.
HANG_MM, SLIT_DEPTH_MM, SLIT_WIDTH_MM = (0.5, 5.0), (0.0, 1.6), (0.5, 1.4)
LID_MM, LID_WIDTH_MM = (0.0, 1.2), (2.5, 5.0)
# One or two folds of the upper lid: height above the corners, arch, depth (exponential) and width.
FOLD_SHARE, FOLD_UP_MM, FOLD_ARCH_MM = 0.6, (2.0, 12.0), (0.0, 4.0)
FOLD_DEPTH_MM, FOLD_WIDTH_MM = 1.4, (0.8, 3.2)
DEEPEST_FOLD_MM = 5.0
# Skin that hangs over the lid or forms a bag below it: position along and up, and height.
HEAVY_SHARE, HEAVY_PLACE, HEAVY_UP_MM, HEAVY_MM = 0.35, (-0.4, 0.9), (4.0, 9.0), 3.0
BAG_SHARE, BAG_PLACE, BAG_UP_MM, BAG_MM = 0.3, (-0.5, 0.5), (-10.0, -6.0), 2.5
FULL_WIDTH_MM, HALF_MM = (3.5, 7.0), 14.0
# Difference between the two eyes (standard deviation, as a share).
UNEVEN = 0.2


@dataclass(frozen=True, eq=False)
class _Eye:
    """The frame of one eye and its points; lengths in millimetres of a mean adult.

    Attributes
    ----------
    which : ndarray of shape (n,)
        Points of the head in the region.
    along : ndarray of shape (n,)
        From -1 at the inner to 1 at the outer corner.
    up, out : ndarray of shape (n,)
        Height above the corners, and offset towards the viewer.
    share : ndarray of shape (n,)
        Weight of changes at each point, 0 at the rim of the region.
    view : ndarray of shape (3,)
        Direction of ``out``.
    half_mm : float
        Half the width of the eye.
    """

    which: NDArray[np.int64]
    along: Points
    up: Points
    out: Points
    share: Points
    view: Points
    half_mm: float


def reshape_lids(
    points_mm: Points,
    template_mm: Points,
    is_eyeball: NDArray[np.bool_],
    size: float,
    rng: np.random.Generator,
    *,
    closed: bool,
    slit_ends: Sequence[int] = (),
) -> tuple[Points, NDArray[np.bool_], dict[str, bool]]:
    """Shift the eyes, add folds and fullness to the lids, and seal closed ones.

    Parameters
    ----------
    points_mm : ndarray of shape (n_points, 3)
        The head on the fine points.
    template_mm : ndarray of shape (n_points, 3)
        The neutral head on the same points.
    is_eyeball : ndarray of shape (n_points,)
        Points of the eyeballs.
    size : float
        Size of the head as a share of the template's.
    rng : numpy.random.Generator
        Source of randomness.
    closed : bool
        Whether both eyes are closed in the source.
    slit_ends : sequence of int
        Points of the outer ends of closed slits; if empty, they end at the corner.

    Returns
    -------
    points_mm : ndarray of shape (n_points, 3)
        The head.
    is_covered : ndarray of shape (n_points,)
        Points that no capture shows: behind sealed lids, or behind lids of open eyes that are
        blurred into one surface with what they cover.
    about : dict
        Drawn parameters: ``lids_sealed``, whether the lids are one surface with what they cover,
        as in most closed eyes and a few open ones.
    """
    reshaped = points_mm.astype(np.float32).copy()
    is_covered = np.zeros(len(points_mm), dtype=bool)
    sealed = rng.random() < (SEALED_SHARE if closed else BLURRED_SHARE)
    is_closed_sheet = closed and sealed
    seal_mm = rng.uniform(*(SEAL_WIDTH_MM if closed else BLUR_WIDTH_MM))
    drop_mm = rng.uniform(*DROP_MM) if is_closed_sheet else 0.0
    shift_mm = rng.normal(0, SHIFT_MM) if rng.random() < SHIFT_SHARE else np.zeros(3)
    relief = _draw_relief(rng, with_slit=is_closed_sheet)
    width_mm = rng.uniform(*SHIFT_WIDTH_MM)
    sides = [np.array([side, 1.0, 1.0]) for side in (-1.0, 1.0)]
    corners_mm = [np.array([INNER_CORNER_MM, OUTER_CORNER_MM]) * side for side in sides]
    for side, both_mm in zip(sides, corners_mm, strict=True):
        own_shift_mm = shift_mm * (1 + UNEVEN * rng.normal(size=3)) * side * size
        near = bump(template_mm, both_mm.mean(axis=0), width_mm)
        reshaped += near[:, None] * own_shift_mm.astype(np.float32)
        reshaped[:, 1] -= size * drop_mm * bump(template_mm, both_mm[1], DROP_WIDTH_MM)
    skin_mm = np.where(is_eyeball[:, None], np.inf, template_mm)
    for side, both_mm in zip(sides, corners_mm, strict=True):
        corners = [int(np.argmin(((skin_mm - c) ** 2).sum(axis=1))) for c in both_mm]
        if is_closed_sheet:
            corners[1:] = [k for k in slit_ends if side[0] * template_mm[k, 0] > 0] or corners[1:]
        eye = _look_at(reshaped, corners, VIEW * side, size)
        is_ball = is_eyeball[eye.which]
        out_mm = eye.out.copy()
        if sealed:
            is_shown = ~is_ball if closed else np.ones_like(is_ball)
            surface_mm = _find_surface(eye, is_shown, seal_mm)
            out_mm += eye.share * (surface_mm - np.where(is_shown, 0, UNDER_MM) - out_mm)
            is_covered[eye.which] = (eye.share > 0.5) & (eye.out < surface_mm - BEHIND_MM)
        strength = np.float32(1 + UNEVEN * rng.normal())
        moves_mm = sum((part.outwards_mm(eye.along, eye.up) for part in relief), np.zeros(1))
        # A visible eyeball does not move with its lids.
        moves_mm = np.where(is_ball & (not sealed), 0, moves_mm)
        out_mm += eye.share * strength * moves_mm
        reshaped[eye.which] += size * (out_mm - eye.out)[:, None] * eye.view
    return reshaped, is_covered, {"lids_sealed": sealed}


def _look_at(
    points_mm: Points, corners: list[int], view: NDArray[np.floating], size: float
) -> _Eye:
    """Build the frame of an eye between two corners, with the points in its region."""
    inner, outer = points_mm[corners[0]], points_mm[corners[1]]
    out = view / np.linalg.norm(view)
    across = (outer - inner) - ((outer - inner) @ out) * out
    half_mm = float(np.linalg.norm(across)) / 2 / size
    across = across / np.linalg.norm(across)
    up = np.cross(out, across)
    up = up * np.sign(up[1])
    from_middle = (points_mm - (inner + outer) / 2) / np.float32(size)
    x, y, z = (from_middle @ axis.astype(np.float32) for axis in (across, up, out))
    share = smooth_step(half_mm + BESIDE_MM - np.abs(x), FADE_MM)
    share = share * smooth_step(ABOVE_MM - y, FADE_MM) * smooth_step(y + BELOW_MM, FADE_MM)
    share = np.where(np.abs(z) < 2 * half_mm, share, 0)
    which = np.flatnonzero(share > 0.02)
    along = x[which] / np.float32(half_mm)
    return _Eye(which, along, y[which], z[which], share[which], out.astype(np.float32), half_mm)


def _find_surface(eye: _Eye, is_shown: NDArray[np.bool_], width_mm: float) -> Points:
    """Compute the ``out`` coordinate of a smooth sheet over an eye at every point.

    The sheet passes through the foremost visible points and bridges the gaps between them.
    """
    flat = np.stack([eye.along * np.float32(eye.half_mm), eye.up], axis=1) / CELL_MM
    flat -= flat.min(axis=0)
    cells = np.floor(flat).astype(np.int64)
    shape = tuple(cells.max(axis=0) + 1)
    foremost = np.full(shape, -np.inf, dtype=np.float32)
    np.maximum.at(foremost, tuple(cells[is_shown].T), eye.out[is_shown])
    is_front = is_shown & (eye.out > foremost[tuple(cells.T)] - CELL_MM)
    heights, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(heights, tuple(cells[is_front].T), eye.out[is_front])
    np.add.at(counts, tuple(cells[is_front].T), 1)
    # Each cell counts once, however many points the source has there.
    heights, counts = heights / np.maximum(counts, 1), counts > 0
    blurred, known = (
        gaussian_filter(values.astype(float), width_mm / CELL_MM, mode="nearest", truncate=6)
        for values in (heights, counts)
    )
    sheet = blurred / np.maximum(known, 1e-6)
    surface_mm = map_coordinates(sheet, flat.T - 0.5, order=1, mode="nearest")
    return np.asarray(surface_mm, dtype=np.float32)


@dataclass(frozen=True)
class _Groove:
    """A sunken curved line, symmetric about the middle of the eye except for its ends."""

    depth_mm: float
    width_mm: float
    up_mm: float
    arch_mm: float
    ends: tuple[float, float]

    def outwards_mm(self, along: Points, up: Points) -> NDArray[np.floating]:
        """How far the skin is moved at each place of an eye."""
        beside = up - self.up_mm - self.arch_mm * np.maximum(1 - along**2, -0.5)
        line = np.exp(-(beside**2) / (2 * self.width_mm**2))
        first, last = self.ends
        line = line * smooth_step(along - first, 0.06) * smooth_step(last - along, 0.06)
        return np.asarray(-self.depth_mm * line)


@dataclass(frozen=True)
class _UpperLid:
    """The upper lid over the lower one: a step along the slit that fades away above it."""

    height_mm: float
    width_mm: float
    arch_mm: float

    def outwards_mm(self, along: Points, up: Points) -> NDArray[np.floating]:
        """How far the skin is moved at each place of an eye."""
        above = up - self.arch_mm * np.maximum(1 - along**2, 0)
        step = smooth_step(above, 0.3) * np.exp(
            -(np.maximum(above, 0) ** 2) / (2 * self.width_mm**2)
        )
        return np.asarray(self.height_mm * step * smooth_step(1 - np.abs(along), 0.06))


@dataclass(frozen=True)
class _Fullness:
    """A bulge of skin around a place, broader than it is high."""

    height_mm: float
    width_mm: float
    place: float
    up_mm: float

    def outwards_mm(self, along: Points, up: Points) -> NDArray[np.floating]:
        """How far the skin is moved at each place of an eye."""
        squared = ((along - self.place) * HALF_MM) ** 2 / 2 + (up - self.up_mm) ** 2
        return np.asarray(self.height_mm * np.exp(-squared / (2 * self.width_mm**2)))


def _draw_relief(
    rng: np.random.Generator, *, with_slit: bool
) -> list[_Groove | _UpperLid | _Fullness]:
    """Draw folds, fullness and the groove between closed lids."""
    relief: list[_Groove | _UpperLid | _Fullness] = []
    if with_slit:
        hang_mm = rng.uniform(*HANG_MM)
        ends = (-rng.uniform(0.98, 1.06), rng.uniform(0.98, 1.1))
        depth_mm, width_mm = rng.uniform(*SLIT_DEPTH_MM), rng.uniform(*SLIT_WIDTH_MM)
        relief.append(_Groove(depth_mm, width_mm, 0.0, -hang_mm, ends))
        relief.append(_UpperLid(rng.uniform(*LID_MM), rng.uniform(*LID_WIDTH_MM), -hang_mm))
    for _ in range(int(rng.integers(1, 3)) if rng.random() < FOLD_SHARE else 0):
        depth_mm = min(rng.exponential(FOLD_DEPTH_MM), DEEPEST_FOLD_MM)
        ends = (rng.uniform(-1.3, -0.6), rng.uniform(0.7, 1.5))
        up_mm, arch_mm = rng.uniform(*FOLD_UP_MM), rng.uniform(*FOLD_ARCH_MM)
        relief.append(_Groove(depth_mm, rng.uniform(*FOLD_WIDTH_MM), up_mm, arch_mm, ends))
    for share, places, ups_mm, most_mm in (
        (HEAVY_SHARE, HEAVY_PLACE, HEAVY_UP_MM, HEAVY_MM),
        (BAG_SHARE, BAG_PLACE, BAG_UP_MM, BAG_MM),
    ):
        if rng.random() < share:
            width_mm = rng.uniform(*FULL_WIDTH_MM)
            place, up_mm = rng.uniform(*places), rng.uniform(*ups_mm)
            relief.append(_Fullness(rng.uniform(0, most_mm), width_mm, place, up_mm))
    return relief
