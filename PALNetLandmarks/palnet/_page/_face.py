# SPDX-License-Identifier: Apache-2.0
"""Landmarks and lines drawn on the mean face, from the front and from both sides."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from palnet.face.atlas import FaceAtlas

__all__ = ["Line", "Marker", "draw_face"]

# Name, axis to the right of the drawing, axis towards the viewer.
_VIEWS = {
    "right side": ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0)),
    "front": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "left side": ((0.0, 0.0, -1.0), (1.0, 0.0, 0.0)),
}
_PIXELS_PER_MM = 1.85
_MARGIN_MM = 10.0
_TITLE_HEIGHT = 22
# The atlas has a point every 4 to 8 mm: dots of this size merge into a shaded face.
_DOT_MM = 9.0
# Blends the dots into skin.
_BLUR_PX = 3
# Farther from any landmark the atlas is sparser and shows nothing of interest.
_REACH_MM = 52.0
_LABEL_SIZE = 9.5
# Width of a letter as a share of its height.
_LETTER_WIDTH = 0.56
_SHADES = ("#b9b4ae", "#c3beb9", "#cdc9c4", "#d7d3cf", "#e0ddda", "#e9e7e5")
# Direction of the light: from above and slightly from the viewer's left.
_LIGHT = (-0.3, 0.5, 0.8)
# A landmark farther behind the midline than this is hidden by the head in a side view.
_HIDDEN_MM = -8.0


@dataclass(frozen=True, eq=False, slots=True)
class Marker:
    """A landmark on the drawing; `title` is its tooltip, `radius` is in pixels."""

    position_mm: NDArray[np.float64]
    color: str
    title: str
    label: str = ""
    radius: float = 4.0


@dataclass(frozen=True, eq=False, slots=True)
class Line:
    """A line on the drawing, of shape (n_corners, 3), with its width in pixels."""

    corners_mm: NDArray[np.float64]
    color: str
    title: str
    width: float = 1.1


def draw_face(
    atlas: FaceAtlas, markers: Sequence[Marker], lines: Sequence[Line], caption: str
) -> str:
    """Draw landmarks and lines over the mean face, seen from the right, the front and the left.

    Convention: face frame, millimetres. Returns an HTML figure.
    """
    panels = []
    for name in _VIEWS:
        view = _View(name, atlas)
        hidden = view.hidden
        parts = [
            view.face(),
            *(view.line(line) for line in lines if not hidden(line.corners_mm.mean(axis=0))),
            *view.markers([marker for marker in markers if not hidden(marker.position_mm)]),
        ]
        panels.append((view, "".join(parts)))
    return _figure(panels, caption)


def _figure(panels: list[tuple[_View, str]], caption: str) -> str:
    height = panels[0][0].height + _TITLE_HEIGHT
    left, body = 0.0, []
    for view, parts in panels:
        body.append(
            f'<g transform="translate({left:.0f} {_TITLE_HEIGHT})">'
            f'<text x="{view.width / 2:.0f}" y="-8" text-anchor="middle">{view.name}</text>'
            f"{parts}</g>"
        )
        left += view.width
    return (
        f'<figure><svg viewBox="0 0 {left:.0f} {height:.0f}" width="{left:.0f}" '
        'font-family="system-ui, Helvetica, Arial, sans-serif" font-size="13" fill="#333" '
        f'role="img" aria-label="{escape(caption)}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(body)}</svg><figcaption>{escape(caption)}</figcaption></figure>"
    )


class _View:
    """One viewing direction, which maps millimetres in the face frame to pixels of its panel.

    All views show the same part of space, so that they can be compared.
    """

    def __init__(self, name: str, atlas: FaceAtlas) -> None:
        points = np.vstack([atlas.mean_mm[atlas.core], atlas.landmark_mean_mm])
        low, high = points.min(axis=0) - _MARGIN_MM, points.max(axis=0) + _MARGIN_MM
        self.name, self._atlas = name, atlas
        self._right, self._toward = (np.array(axis) for axis in _VIEWS[name])
        self._left, right = np.sort(np.stack([low, high]) @ self._right)
        self._top, self._middle = high[1], (low + high) / 2
        self.width = (right - self._left) * _PIXELS_PER_MM
        self.height = (high[1] - low[1]) * _PIXELS_PER_MM

    def pixels(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        across = points_mm @ self._right - self._left
        down = self._top - points_mm[..., 1]
        return np.stack([across, down], axis=-1) * _PIXELS_PER_MM

    def hidden(self, position_mm: NDArray[np.float64]) -> bool:
        """Whether the head is in front of a point; in the front view nothing is hidden."""
        is_front = bool(self._toward[2] > 0)
        depth = float((position_mm - self._middle) @ self._toward)
        return not is_front and depth < _HIDDEN_MM

    def face(self) -> str:
        """Draw the mean face as dots, darker where the light is grazing."""
        facing = self._atlas.normals @ self._toward
        points = self._atlas.mean_mm
        to_landmark_mm, _ = KDTree(self._atlas.landmark_mean_mm).query(points)
        dots = self.pixels(points)
        is_inside = ((dots > 0) & (dots < [self.width, self.height])).all(axis=1)
        is_inside &= (facing > 0.05) & (to_landmark_mm < _REACH_MM)
        light = np.array(_LIGHT) if self._toward[2] > 0 else np.array([0.0, 0.5, 0.4])
        light = light + 0.7 * self._toward
        shade = self._atlas.normals @ (light / np.linalg.norm(light))
        level = np.clip((shade * len(_SHADES)).astype(int), 0, len(_SHADES) - 1)
        paths = []
        for number, color in enumerate(_SHADES):
            chosen = np.round(dots[is_inside & (level == number)]).astype(int)
            steps = "".join(f"M{x} {y}h0" for x, y in chosen)
            paths.append(f'<path stroke="{color}" d="{steps}"/>')
        width = _DOT_MM * _PIXELS_PER_MM
        return (
            f'<g fill="none" stroke-linecap="round" stroke-width="{width:.1f}" '
            f'style="filter:blur({_BLUR_PX}px)">{"".join(paths)}</g>'
        )

    def line(self, line: Line) -> str:
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.pixels(line.corners_mm))
        return (
            f'<polyline points="{corners}" fill="none" stroke="{line.color}" '
            f'stroke-width="{line.width}" stroke-opacity=".85">'
            f"<title>{escape(line.title)}</title></polyline>"
        )

    def markers(self, markers: Sequence[Marker]) -> Iterator[str]:
        """Draw landmarks, with labels where there is room, else with a tooltip only.

        Labels are placed from the outermost landmark inward, since there is little room around the
        nose and the lips.
        """
        spots = self.pixels(np.array([marker.position_mm for marker in markers]).reshape(-1, 3))
        for (x, y), marker in zip(spots, markers, strict=True):
            yield (
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{marker.radius}" fill="{marker.color}" '
                f'stroke="#333" stroke-width=".7"><title>{escape(marker.title)}</title></circle>'
            )
        radii = np.array([marker.radius for marker in markers]).reshape(-1, 1)
        taken = np.column_stack([spots - radii, spots + radii])
        middle = spots.sum(axis=0) / max(len(spots), 1)
        for row in np.argsort(-np.linalg.norm(spots - middle, axis=1)):
            x, y = spots[row] + [markers[row].radius + 1.5, -1.0]
            right = x + len(markers[row].label) * _LETTER_WIDTH * _LABEL_SIZE
            box = np.array([x, y - 0.8 * _LABEL_SIZE, right, y])
            is_beside = (taken[:, 2:] < box[:2]).any(axis=1) | (taken[:, :2] > box[2:]).any(axis=1)
            if markers[row].label and is_beside.all() and right < self.width:
                taken = np.vstack([taken, box])
                text = escape(markers[row].label)
                yield f'<text x="{x:.1f}" y="{y:.1f}" font-size="{_LABEL_SIZE}">{text}</text>'
