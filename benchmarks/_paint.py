# SPDX-License-Identifier: Apache-2.0
"""Paint a generated scan as a face has color: its vermilion ends at the true landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from scipy.interpolate import PchipInterpolator

from palnet.scheme import load_scheme
from palnet.synthesis.capture import compute_vertex_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet.synthesis import GeneratedScan

    Array = NDArray[np.float64]

__all__ = ["paint"]

# From light to dark skin, and the same for hair; irises from brown to blue.
SKIN = [[236, 200, 180], [222, 178, 150], [196, 146, 112], [158, 106, 76], [98, 64, 47]]
HAIR = [[170, 130, 80], [96, 66, 44], [52, 38, 30], [30, 24, 22], [24, 20, 20]]
IRISES = [[70, 46, 30], [92, 66, 40], [92, 104, 70], [96, 120, 140]]
SCLERA, DARK = np.array([225.0, 218, 212]), np.array([38.0, 22, 18])
# Of the width of the eye: how high the open lids stand above and below the line of its corners.
UPPER_LID, LOWER_LID = 0.24, 0.12
IRIS_MM, PUPIL_MM = 5.8, 2.0


def paint(scan: GeneratedScan, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Give each vertex a color, as the texture of a scanned person would.

    Parameters
    ----------
    scan : GeneratedScan
        A scan with its true landmarks and the expressions of the person.
    rng : Generator
        Draws the tone of skin and hair, make-up, light, and how much of a beard there is.

    Returns
    -------
    ndarray of shape (n_points, 3)
        Red, green and blue of each vertex, 0 to 255 (sRGB).
    """
    canvas = _Canvas(scan)
    tone = 4 * rng.random() ** 1.5
    canvas.colors[:] = skin = _between(SKIN, tone) * rng.normal(1, 0.03, 3)
    hair = _between(HAIR, rng.uniform(0.3 * tone, 4))
    for code, radius_mm in (("chk_r", 18), ("chk_l", 18), ("prn", 10)):
        near = np.exp(-(((canvas.points - canvas[code]) / radius_mm) ** 2).sum(axis=1))
        canvas.put(canvas.colors * [1, 0.85, 0.87], rng.uniform(0, 0.8) * near)
    _grow_hair(canvas, hair, rng)
    _color_lips(canvas, skin, rng)
    iris, brow = _between(IRISES, rng.uniform(0, 3)), rng.uniform([2, -3, 0.3], [5, 4, 0.9])
    for side in ("r", "l"):
        _color_nostril(canvas, side, rng)
        _color_brow(canvas, side, hair, brow)
        _color_eye(canvas, side, iris, rng)
    canvas.light(rng)
    return np.clip(np.rint(canvas.colors), 0, 255).astype(np.uint8)


class _Canvas:
    """The vertices of a scan in the frame of its landmarks, and the colors they have so far."""

    def __init__(self, scan: GeneratedScan) -> None:
        marks = dict(zip(load_scheme().codes, scan.landmarks_mm.astype(np.float64), strict=True))
        across = marks["ex_l"] - marks["ex_r"] + marks["ch_l"] - marks["ch_r"]
        ahead = np.cross(across, marks["n"] - marks["pg"])
        axes = np.array([across, np.cross(ahead, across), ahead])
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        self.marks: dict[str, Array] = {c: axes @ (p - marks["sn"]) for c, p in marks.items()}
        self.points = (scan.points_mm - marks["sn"]) @ axes.T
        self.normals = compute_vertex_normals(scan.points_mm, scan.triangles) @ axes.T
        depth, nearest = self.points[:, 2], self["t_r"][2] + 10
        self.is_front = (self.normals[:, 2] > 0.05) & (depth > nearest)
        self.is_front &= depth < self["prn"][2] + 5  # the rest is in front of the face
        ends = scan.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        edges_mm = np.linalg.norm(np.diff(scan.points_mm[ends], axis=1)[:, 0], axis=1)
        count = np.bincount(ends[:, 0], minlength=len(depth))
        spacing_mm = np.bincount(ends[:, 0], edges_mm, len(depth)) / np.maximum(count, 1)
        self.soft_mm = np.maximum(spacing_mm, 0.8) / 2
        self.colors = np.zeros(self.points.shape)
        self.acted = cast("dict[str, float]", scan.description["expressions"])
        self.may_have_beard = scan.description.get("may_have_beard", True)

    def __getitem__(self, code: str) -> Array:
        """Return a true landmark in the frame of the canvas."""
        return self.marks[code]

    def within(self, depth_mm: Array, blur_mm: float = 0) -> Array:
        """Return 1 where a depth below an outline is positive, 0 outside, soft at the spacing."""
        share = np.clip(0.5 + depth_mm / (2 * (self.soft_mm + blur_mm)), 0, 1)
        return np.asarray(share * share * (3 - 2 * share))

    def put(self, color: Array, share: Array) -> None:
        """Cover the vertices that the face shows to the front, as much as given for each."""
        self.colors += (self.is_front * share)[:, None] * (color - self.colors)

    def light(self, rng: np.random.Generator) -> None:
        """Mottle the colors, lay light from somewhere in front on them, and add noise."""
        waves = rng.normal(size=(8, 3)) / rng.uniform(5, 20, (8, 1))
        mottled = np.sin(self.points @ waves.T + rng.uniform(0, 7, 8)).mean(axis=1)
        towards = rng.uniform([-1, -0.3, 0.7], [1, 1, 1])
        lit = np.clip(self.normals @ towards / np.linalg.norm(towards), 0, 1)
        strength, gain = rng.uniform([0.1, 0.85], [0.6, 1.2])
        shade = gain * (1 - strength + strength * lit) * (1 + 0.08 * mottled)
        self.colors *= shade[:, None] * rng.normal(1, 0.03, 3)
        self.colors += rng.normal(0, rng.uniform(1, 5), self.colors.shape)


def _between(colors: list[list[int]], place: float) -> Array:
    """Return the color at a place of a row of colors, counted from 0."""
    return np.array([np.interp(place, range(len(c)), c) for c in zip(*colors, strict=True)])


def _grow_hair(canvas: _Canvas, hair: Array, rng: np.random.Generator) -> None:
    """Color hair behind a plane through the hairline and the ears, sometimes a beard."""
    x, y, z = canvas.points.T
    ear, corner = ((canvas[f"{c}_r"] + canvas[f"{c}_l"]) / 2 for c in ("pra", "ch"))
    rise = canvas["tr"] - ear
    line = np.array([0, rise[2], -rise[1]]) / np.hypot(rise[1], rise[2])
    behind_mm = (canvas.points - canvas["tr"]) @ line - rng.uniform(0, 10)
    for middle in ((canvas[f"t_{s}"] + canvas[f"pa_{s}"]) / 2 for s in ("r", "l")):
        behind_mm = np.minimum(behind_mm, np.linalg.norm(canvas.points - middle, axis=1) - 32)
    strands = hair * rng.normal(1, 0.15, (len(x), 1))
    share = rng.choice([0.08, 0.95], p=[0.2, 0.8]) * canvas.within(behind_mm, 3)
    canvas.colors += share[:, None] * (strands - canvas.colors)
    aside = np.abs(x - corner[0])
    beard_mm = corner[1] + np.maximum(aside - 22, 0) - 6 - y
    lip_mm = np.minimum(canvas["sn"][1] - 3 - y, canvas["ch_l"][0] - corner[0] + 4 - aside)
    ends_mm = np.minimum(y - canvas["gn"][1] + 12, z - ear[2] - 5)
    inside_mm = np.minimum(np.maximum(beard_mm, lip_mm), ends_mm)
    if rng.random() < 0.35 and canvas.may_have_beard:
        canvas.put(strands, rng.uniform(0.1, 0.7) * canvas.within(inside_mm, 7))


def _color_lips(canvas: _Canvas, skin: Array, rng: np.random.Generator) -> None:
    """Color the vermilion, hardly or strongly, and a darker line between the lips."""
    x, y, z = canvas.points.T
    above = np.array([canvas[c] for c in ("ch_r", "cph_r", "ls", "cph_l", "ch_l")])
    above[:, 0] = np.maximum.accumulate(above[:, 0]) + 1e-3 * np.arange(5)
    (right, left), low = above[[0, 4]], canvas["li"]
    place = np.clip(x, right[0], left[0])
    half = np.where(place > low[0], left[0] - low[0], low[0] - right[0])
    line = np.interp([*place, low[0]], [right[0], left[0]], [right[1], left[1]])
    lower = line[:-1] + (low[1] - line[-1]) * (1 - np.abs((place - low[0]) / half) ** 2.2)
    upper = PchipInterpolator(above[:, 0], above[:, 1])(place)
    inside_mm = np.minimum.reduce([upper - y, y - lower, 1 - np.abs(x - place)])
    change = np.array([1, 0.62, 0.66]) - (pale := rng.uniform(0.75, 1.05))
    vermilion = skin * (pale + rng.uniform(0.06, 1) * change)
    canvas.put(vermilion, canvas.within(inside_mm, 0.4))
    cleft = PchipInterpolator(*np.array([right, canvas["sto"], left])[:, :2].T)(place)
    cleft_mm = np.minimum(rng.uniform(0.4, 1) - np.abs(y - cleft), inside_mm)
    canvas.put(DARK, rng.uniform(0.3, 0.8) * canvas.within(cleft_mm, 0.3))
    if canvas.acted.get("jawOpen", 0) > 0.1:
        canvas.put(DARK, 0.8 * canvas.within(np.minimum(inside_mm, right[2] - 3 - z), 1))


def _color_nostril(canvas: _Canvas, side: str, rng: np.random.Generator) -> None:
    """Darken a nostril along its long axis."""
    back, axis = canvas[f"itn_{side}"], canvas[f"stn_{side}"] - canvas[f"itn_{side}"]
    along = np.clip((canvas.points - back) @ axis / (axis @ axis), 0.1, 0.9)
    off_mm = np.linalg.norm(canvas.points - back - along[:, None] * axis, axis=1)
    canvas.put(DARK, rng.uniform(0.5, 0.9) * canvas.within(2 - off_mm, 0.5))


def _color_brow(canvas: _Canvas, side: str, hair: Array, brow: Array) -> None:
    """Color a brow along the rim of the orbit: thickness and height in mm, and how dense."""
    start, end, notch = (canvas[f"{code}_{side}"] for code in ("en", "ex", "is"))
    along = (canvas.points[:, 0] - start[0]) / (end[0] - start[0])
    arc = notch[1] + brow[1] + np.interp(along, [-0.1, 0.3, 0.75, 1.3], [-2, 0, 2.5, -4])
    half = brow[0] * np.interp(along, [-0.15, 0.05, 0.7, 1.25], [0.6, 1, 0.8, 0.15])
    inside_mm = np.minimum(half - np.abs(canvas.points[:, 1] - arc), 12 * (along + 0.1))
    canvas.put(hair, brow[2] * canvas.within(np.minimum(inside_mm, 12 * (1.2 - along)), 1))


def _color_eye(canvas: _Canvas, side: str, iris: Array, rng: np.random.Generator) -> None:
    """Color an eye between its corners as far as it is open, and its lashes."""
    inner, axis = canvas[f"en_{side}"], (canvas[f"ex_{side}"] - canvas[f"en_{side}"])[:2]
    width = float(np.linalg.norm(axis))
    axes = np.array([axis, np.array([-axis[1], axis[0]]) * np.sign(axis[0])]) / width**2
    along, up = axes @ (canvas.points[:, :2] - inner[:2]).T
    arch = np.sqrt(np.clip(1 - (2 * along - 1) ** 2, 0, 1))
    closed = min(canvas.acted.get(f"eyeBlink_{side.upper()}", 0), 1)
    top, bottom = arch * (UPPER_LID - (UPPER_LID + LOWER_LID) * closed), -arch * LOWER_LID
    ends = np.minimum(along, 1 - along)
    opening_mm = width * np.minimum.reduce([top - up, up - bottom, ends])
    if closed < 0.85:
        canvas.put(SCLERA * rng.uniform(0.75, 1), canvas.within(opening_mm))
        off_mm = width * np.hypot(along - rng.normal(0.48, 0.02), up - 0.07 + 0.12 * closed)
        for color, radius_mm in ((iris, IRIS_MM), (DARK, PUPIL_MM)):
            canvas.put(color, canvas.within(np.minimum(radius_mm - off_mm, opening_mm)))
    for lid, (thick_mm, dark) in ((top, rng.uniform(0.4, 0.9, 2)), (bottom, (0.4, 0.2))):
        lash_mm = np.minimum(thick_mm - np.abs(up - lid) * width, ends * width + 0.5)
        canvas.put(DARK, dark * canvas.within(lash_mm, 0.3))
