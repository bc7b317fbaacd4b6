# SPDX-License-Identifier: Apache-2.0
"""Report pages: one self-contained HTML file, plots as inline SVG, no script, ready to print."""

from palnet._page._charts import (
    Bar,
    Spot,
    color_between,
    draw_bars,
    draw_color_scale,
    draw_differences,
    draw_lines,
    draw_scatter,
)
from palnet._page._face import Line, Marker, draw_face
from palnet._page._html import (
    build_page,
    format_error,
    format_number,
    image,
    paragraph,
    plots,
    section,
    table,
)

__all__ = [
    "Bar",
    "Line",
    "Marker",
    "Spot",
    "build_page",
    "color_between",
    "draw_bars",
    "draw_color_scale",
    "draw_differences",
    "draw_face",
    "draw_lines",
    "draw_scatter",
    "format_error",
    "format_number",
    "image",
    "paragraph",
    "plots",
    "section",
    "table",
]
