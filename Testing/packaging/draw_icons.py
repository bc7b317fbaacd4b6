# SPDX-License-Identifier: Apache-2.0
"""Draws the icons from their SVG: `python Testing/packaging/draw_icons.py` (needs PySide6)."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "Resources" / "Icons" / "PALNet.svg"
# The catalogue asks for 128 pixels; Slicer shows a module's icon in 16 to 64.
ICONS = {
    ROOT / "Resources" / "Icons" / "PALNet.png": 128,
    ROOT / "PALNetLandmarks" / "Resources" / "Icons" / "PALNetLandmarks.png": 64,
}


def draw(size: int):
    """Draw the icon as a QImage of `size` pixels a side."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    image = QImage(size, size, QImage.Format.Format_ARGB32)
    image.fill(0)
    painter = QPainter(image)
    QSvgRenderer(str(SOURCE)).render(painter)
    painter.end()
    return image


def main() -> None:
    """Write all icons."""
    for path, size in ICONS.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(size).save(str(path))


if __name__ == "__main__":
    main()
