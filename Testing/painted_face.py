# SPDX-License-Identifier: Apache-2.0
"""The bundled example with painted lips and eyes, which a network for photographs can see."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from palnet.detection.finding import find_face
from palnet.exchange import read_landmarks
from palnet.model import read_model
from palnet.photo import color_surface
from palnet.samples import example_scan, example_truth
from palnet.surface import parse_unit, read_mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from palnet import Mesh
    from palnet.detection.fitting import FoundFace

SKIN, LIPS, WHITE, IRIS = (214, 168, 142), (168, 82, 84), (236, 232, 228), (60, 40, 30)
# What lies farther behind the landmark is no lip or eye.
DEEP_MM = 12.0


def paint_example(*, lips_lower_by_mm: float = 0.0) -> Mesh:
    """Paint the example by its true landmarks, the lips if wanted below their place."""
    mesh, truth = read_mesh(example_scan()), read_landmarks(example_truth())
    places = dict(zip(truth.scheme.codes, truth.positions_mm, strict=True))
    frame, origin = _frame_of(places)
    at = {code: (place - origin) @ frame for code, place in places.items()}
    mm_per_unit = truth.mm_per_unit
    points = (mesh.points * mm_per_unit - origin) @ frame
    colors = np.full(points.shape, SKIN, np.uint8)
    for side in "rl":
        _paint_eye(colors, points, at[f"en_{side}"], at[f"ex_{side}"])
    moved = {code: place - [0.0, lips_lower_by_mm, 0.0] for code, place in at.items()}
    colors[_is_lip(points, moved)] = LIPS
    return replace(mesh, colors=colors)


def _frame_of(
    places: dict[str, NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Axes to the subject's left, up and to the front (columns), from the corners of the eyes."""
    across = places["ex_l"] - places["ex_r"]
    left = across / np.linalg.norm(across)
    rise = places["n"] - places["sn"]
    rise -= rise @ left * left
    up = rise / np.linalg.norm(rise)
    return np.stack([left, up, np.cross(left, up)], axis=1), places["sn"]


def _is_lip(points: NDArray[np.float64], at: dict[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Which points lie between the borders of the vermilion."""
    above = np.array([at[code] for code in ("ch_r", "cph_r", "ls", "cph_l", "ch_l")])
    below = np.array([at[code] for code in ("ch_r", "li", "ch_l")])
    x, y, z = points.T
    highest = np.interp(x, above[:, 0], above[:, 1])
    lowest = np.polyval(np.polyfit(below[:, 0], below[:, 1], 2), x)
    is_between = (x > above[0, 0]) & (x < above[-1, 0]) & (y < highest) & (y > lowest)
    return np.asarray(is_between & (z > at["ch_r"][2] - DEEP_MM))


def _paint_eye(
    colors: NDArray[np.uint8],
    points: NDArray[np.float64],
    inner: NDArray[np.float64],
    outer: NDArray[np.float64],
) -> None:
    """Paint an open eye between its corners."""
    middle, half = (inner + outer) / 2, abs(outer[0] - inner[0]) / 2
    x, y, z = (points - middle).T
    is_near = z > -DEEP_MM
    colors[is_near & ((x / half) ** 2 + (y / (0.4 * half)) ** 2 < 1)] = WHITE
    colors[is_near & (x**2 + y**2 < (0.38 * half) ** 2)] = IRIS


def find_example(mesh: Mesh) -> tuple[FoundFace, NDArray[np.uint8]]:
    """Find the face of the painted example, and look up the colors of its vertices."""
    unit = parse_unit(read_landmarks(example_truth()).mm_per_unit)
    found = find_face(mesh, (unit,), read_model(), is_unit_known=True)
    in_mm = np.diag([*[unit.mm_per_unit] * 3, 1.0])
    colors = color_surface(found.face, mesh, found.face_from_scan @ in_mm)
    assert colors is not None
    return found, colors
