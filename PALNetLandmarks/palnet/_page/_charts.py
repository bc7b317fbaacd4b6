# SPDX-License-Identifier: Apache-2.0
"""Small plots as SVG: bars, lines, scatter plots and differences against means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "Bar",
    "Spot",
    "color_between",
    "draw_bars",
    "draw_color_scale",
    "draw_differences",
    "draw_lines",
    "draw_scatter",
    "nice_ticks",
]

_BLUE = "#0072b2"
_VERMILLION = "#d55e00"
_AXIS = "#666"
_FONT = 'font-family="system-ui, Helvetica, Arial, sans-serif" fill="#333"'

# Viridis, dark to light: even steps, also with colour blindness and in grey print.
_RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
# Relative difference below which values are drawn as equal.
_MIN_SPAN = 1e-6
# More points do not show more, and they make the page slow.
_MAX_SPOTS = 1500

_BAR_HEIGHT = 15
_BAR_LABEL_WIDTH = 250
_BAR_WIDTH = 420

_PLOT_WIDTH = 300
_PLOT_HEIGHT = 240
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 26, 24, 40


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; `mark` is drawn as a tick across it unless it is NaN."""

    label: str
    value: float
    mark: float = math.nan


@dataclass(frozen=True, slots=True)
class Spot:
    """One point of a scatter plot; `title` is shown as its tooltip."""

    x: float
    y: float
    title: str


def draw_bars(bars: Sequence[Bar], unit: str, caption: str) -> str:
    """Draw horizontal bars from zero, top to bottom, with their values, as an HTML figure."""
    top = max((v for bar in bars for v in (bar.value, bar.mark) if math.isfinite(v)), default=1.0)
    ticks = nice_ticks(0.0, top)
    scale = _BAR_WIDTH / max(ticks[-1], top)
    height = len(bars) * _BAR_HEIGHT
    parts = [
        f'<path d="M{_BAR_LABEL_WIDTH + tick * scale:.1f} 0V{height}" stroke="#ddd"/>'
        f'<text x="{_BAR_LABEL_WIDTH + tick * scale:.1f}" y="{height + 14}" '
        f'text-anchor="middle">{tick:g}</text>'
        for tick in ticks
    ]
    parts += [_bar(bar, number, scale) for number, bar in enumerate(bars)]
    middle = _BAR_LABEL_WIDTH + _BAR_WIDTH / 2
    parts.append(f'<text x="{middle}" y="{height + 30}" text-anchor="middle">{escape(unit)}</text>')
    return _figure("".join(parts), _BAR_LABEL_WIDTH + _BAR_WIDTH + 50, height + 36, caption)


def _bar(bar: Bar, number: int, scale: float) -> str:
    y = number * _BAR_HEIGHT
    middle = y + _BAR_HEIGHT - 4
    width = max(bar.value * scale, 0.5)
    text = (
        f'<text x="{_BAR_LABEL_WIDTH - 8}" y="{middle}" text-anchor="end">'
        f"{escape(bar.label)}</text>"
        f'<rect x="{_BAR_LABEL_WIDTH}" y="{y + 2}" width="{width:.1f}" height="{_BAR_HEIGHT - 4}" '
        f'fill="{_BLUE}"/>'
    )
    end = _BAR_LABEL_WIDTH + width
    if math.isfinite(bar.mark):
        x = _BAR_LABEL_WIDTH + bar.mark * scale
        text += f'<path d="M{x:.1f} {y}v{_BAR_HEIGHT}" stroke="{_VERMILLION}" stroke-width="2"/>'
        end = max(end, x + 2)
    return text + f'<text x="{end + 5:.1f}" y="{middle}">{bar.value:.1f}</text>'


def draw_differences(
    title: str, means: NDArray[np.float64], differences: NDArray[np.float64], labels: Sequence[str]
) -> str:
    """Draw one Bland-Altman plot: difference against mean, bias and limits of agreement.

    Returns an SVG element, to be put into a figure.

    References
    ----------
    Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8.
    """
    bias = float(differences.mean())
    spread = 1.96 * float(differences.std(ddof=1)) if len(differences) > 1 else math.nan
    # Bias and limits are computed from all pairs, even if only some are drawn.
    chosen = np.linspace(0, len(means) - 1, min(len(means), _MAX_SPOTS)).astype(int)
    frame = _Frame(means, np.append(differences, [bias + spread, bias - spread, 0.0]))
    parts = [frame.axes(title, labels[0], labels[1])]
    for height, style in ((bias, ""), (bias + spread, "5 3"), (bias - spread, "5 3")):
        if math.isfinite(height):
            parts.append(frame.rule(height, style))
    pairs = zip(means[chosen], differences[chosen], strict=True)
    parts += [frame.spot(Spot(x, y, ""), 1.6) for x, y in pairs]
    note = f"bias {bias:+.2f}"
    note += (
        f", limits {bias - spread:+.2f} to {bias + spread:+.2f}" if math.isfinite(spread) else ""
    )
    parts.append(f'<text x="{_LEFT + 4}" y="{_TOP + 12}" font-size="11">{note} mm</text>')
    return frame.svg("".join(parts), title)


def draw_scatter(title: str, spots: Sequence[Spot], labels: tuple[str, str]) -> str:
    """Draw points, each with a name, as an SVG element, to be put into a figure."""
    xs = np.array([spot.x for spot in spots])
    ys = np.array([spot.y for spot in spots])
    frame = _Frame(xs, ys)
    parts = [frame.axes(title, *labels), *(frame.spot(spot, 3.0) for spot in spots)]
    return frame.svg("".join(parts), title)


def draw_lines(
    xs: NDArray[np.float64], panels: Mapping[str, NDArray[np.float64]], x_label: str
) -> str:
    """Draw one line in each of several plots side by side, with axes starting at zero.

    The titles are the keys of `panels`. The SVG element also works as a file of its own.
    """
    width, height = _LEFT + _PLOT_WIDTH + _RIGHT, _TOP + _PLOT_HEIGHT + _BOTTOM
    parts = [f'<rect width="{len(panels) * width}" height="{height}" fill="#fff"/>']
    for number, (title, ys) in enumerate(panels.items()):
        frame = _Frame(np.append(xs, 0.0), np.append(ys, 0.0))
        plot = frame.axes(title, x_label, "") + frame.line(xs, ys)
        parts.append(f'<g transform="translate({number * width})">{plot}</g>')
    return _svg("".join(parts), len(panels) * width, height, ", ".join(panels))


def color_between(value: float, high: float) -> str:
    """Return the colour of a value from zero to `high`; larger values get the last one."""
    place = min(max(value / high, 0.0), 1.0) * (len(_RAMP) - 1)
    number = min(int(place), len(_RAMP) - 2)
    share = place - number
    low_color, high_color = _RAMP[number], _RAMP[number + 1]
    mixed = (round(a + (b - a) * share) for a, b in zip(low_color, high_color, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def draw_color_scale(high: float, unit: str) -> str:
    """Draw the legend for the colours of `color_between`, as an HTML figure."""
    n_steps, left, width, height = 40, 20, 320, 14
    step = width / n_steps
    parts = [
        f'<rect x="{left + number * step:.1f}" width="{step + 0.5:.1f}" height="{height}" '
        f'fill="{color_between((number + 0.5) / n_steps, 1.0)}"/>'
        for number in range(n_steps)
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        more = " and more" if share == 1.0 else ""
        text = f"{share * high:g} {unit}{more}"
        x = left + share * width
        anchor = "start" if share == 1.0 else "middle"
        shift = -8 if share == 1.0 else 0
        parts.append(f'<text x="{x + shift}" y="30" text-anchor="{anchor}">{text}</text>')
    return f"<figure>{_svg(''.join(parts), width + 130, 36, 'What the colors mean')}</figure>"


def nice_ticks(low: float, high: float, n_wanted: int = 5) -> list[float]:
    """Return two or more round numbers, from at or below `low` to at or above `high`."""
    if high - low < _MIN_SPAN * max(abs(low), abs(high), 1.0):
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / n_wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


class _Frame:
    """The axes of one plot, which map its numbers to pixels."""

    def __init__(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> None:
        xs, ys = xs[np.isfinite(xs)], ys[np.isfinite(ys)]
        self._x_ticks = nice_ticks(float(xs.min()), float(xs.max()), 4)
        self._y_ticks = nice_ticks(float(ys.min()), float(ys.max()), 5)

    def x(self, value: float) -> float:
        low, high = self._x_ticks[0], self._x_ticks[-1]
        return _LEFT + (value - low) / (high - low) * _PLOT_WIDTH

    def y(self, value: float) -> float:
        low, high = self._y_ticks[0], self._y_ticks[-1]
        return _TOP + (high - value) / (high - low) * _PLOT_HEIGHT

    def axes(self, title: str, x_label: str, y_label: str) -> str:
        bottom, middle = _TOP + _PLOT_HEIGHT, _LEFT + _PLOT_WIDTH / 2
        parts = [
            f'<rect x="{_LEFT}" y="{_TOP}" width="{_PLOT_WIDTH}" height="{_PLOT_HEIGHT}" '
            f'fill="none" stroke="{_AXIS}"/>',
            f'<text x="{middle}" y="16" text-anchor="middle" font-weight="600">'
            f"{escape(title)}</text>",
            f'<text x="{middle}" y="{bottom + 33}" text-anchor="middle">{escape(x_label)}</text>',
            f'<text transform="translate(13 {_TOP + _PLOT_HEIGHT / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(y_label)}</text>',
        ]
        parts += [
            f'<path d="M{self.x(tick):.1f} {bottom}v4" stroke="{_AXIS}"/>'
            f'<text x="{self.x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
            for tick in self._x_ticks
        ]
        parts += [
            f'<path d="M{_LEFT} {self.y(tick):.1f}h{_PLOT_WIDTH}" stroke="#e8e8e8"/>'
            f'<text x="{_LEFT - 5}" y="{self.y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
            for tick in self._y_ticks
        ]
        return "".join(parts)

    def rule(self, value: float, dashes: str) -> str:
        return (
            f'<path d="M{_LEFT} {self.y(value):.1f}h{_PLOT_WIDTH}" stroke="{_VERMILLION}" '
            f'stroke-width="1.5" stroke-dasharray="{dashes}"/>'
        )

    def line(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> str:
        """Draw a line through all points, with a marker on the last one."""
        places = [f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True)]
        return (
            f'<polyline points="{" ".join(places)}" fill="none" stroke="{_BLUE}" '
            'stroke-width="2" stroke-linejoin="round"/>'
        ) + self.spot(Spot(float(xs[-1]), float(ys[-1]), ""), 3.0)

    def spot(self, spot: Spot, radius: float) -> str:
        title = f"<title>{escape(spot.title)}</title>" if spot.title else ""
        return (
            f'<circle cx="{self.x(spot.x):.1f}" cy="{self.y(spot.y):.1f}" r="{radius}" '
            f'fill="{_BLUE}" fill-opacity=".6">{title}</circle>'
        )

    def svg(self, content: str, label: str) -> str:
        width, height = _LEFT + _PLOT_WIDTH + _RIGHT, _TOP + _PLOT_HEIGHT + _BOTTOM
        return _svg(content, width, height, label)


def _svg(content: str, width: float, height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" {_FONT} font-size="12" '
        f'role="img" aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">{content}</svg>'
    )


def _figure(content: str, width: float, height: float, caption: str) -> str:
    svg = _svg(content, width, height, caption)
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
