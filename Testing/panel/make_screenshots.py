# SPDX-License-Identifier: Apache-2.0
r"""Regenerate the README's screenshots: panel and 3D view with the bundled face.

PYTHONPATH=PALNetLandmarks:Testing:Testing/host \
    .venv-slicer/bin/python Testing/panel/make_screenshots.py

The panel is drawn by the stand-in of Testing/host, the 3D view by Slicer's own classes. To keep the
history small, commit only pictures that changed, with 256 colors (Pillow):

Image.open(path).convert("RGB").quantize(
    256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
).save(path, optimize=True)
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from palnet_host import bootstrap

bootstrap.install()

import qt  # noqa: E402  # there is one only now
import slicer  # noqa: E402  # complete only now
from palnet_host import application, dialogs  # noqa: E402
from palnet_host.main_window import MainWindow  # noqa: E402
from palnet_host.module import load_module  # noqa: E402
from palnet_host.views import ThreeDView  # noqa: E402
from PySide6.QtGui import QImage, QPainter  # noqa: E402

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "Resources" / "Screenshots"
PANEL_PIXELS, VIEW_PIXELS, HEIGHT = 520, 700, 980


def main() -> None:
    """Go through a case and take three pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        host = application.start(Path(temporary))
        dialogs.renew()
        qt_app = qt.QApplication.instance() or qt.QApplication([])
        window = MainWindow()
        window.resize(PANEL_PIXELS, HEIGHT)
        window.show()
        view = ThreeDView(host, VIEW_PIXELS, HEIGHT)
        dress(view)
        module = load_module(ROOT / "PALNetLandmarks")
        slicer.util.selectModule(module.name)
        panel = module.widgetRepresentation().self()
        walk(panel, Camera(window, view, qt_app))
        module.close_panel()
        view.close()
        application.stop()


def dress(view) -> None:
    """Give the view Slicer's background, and hide the box and the axis labels."""
    view.node.SetBoxVisible(False)
    view.node.SetAxisLabelsVisible(False)
    view.node.SetBackgroundColor(0.76, 0.76, 0.91)
    view.node.SetBackgroundColor2(0.45, 0.47, 0.74)
    view.window.SetMultiSamples(4)


def walk(panel, camera) -> None:
    """Load the example, detect, and review some landmarks."""
    ui = panel.ui
    ui.exampleButton.click()
    while panel.inputSection._inspection.is_running:
        camera.qt_app.processEvents()
    panel.detectionSection.on_detect()
    while panel.detectionSection.is_running:
        camera.qt_app.processEvents()
    landmarks, summary = panel.reviewSection.review.landmarks, ui.statusLabel.text
    # The face from the front without landmarks, as before a detection.
    detected = landmarks.node
    ui.landmarksSelector.setCurrentNode(None)
    detected.GetDisplayNode().SetVisibility(False)
    camera.shoot("1-scan.png")
    detected.GetDisplayNode().SetVisibility(True)
    ui.landmarksSelector.setCurrentNode(detected)
    panel.detectionSection.say(summary)
    camera.shoot("2-detected.png")
    codes = landmarks.scheme.codes
    for code in codes[:11]:
        panel.reviewSection.review.confirm(codes.index(code))
    moved = codes.index("al_l")
    panel.reviewSection.table.select(moved)
    position = landmarks.world_positions[moved] + 2.0
    detected.SetNthControlPointPositionWorld(moved, *(float(value) for value in position))
    camera.shoot("3-review.png")


class Camera:
    """Takes pictures of the panel with the view beside it."""

    def __init__(self, window, view, qt_app) -> None:
        self._window, self._view, self.qt_app = window, view, qt_app

    def shoot(self, name: str) -> None:
        """Save one picture."""
        for _ in range(5):
            self.qt_app.processEvents()
        self._view.render()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "view.png"
            self._view.screenshot(path)
            right = QImage(str(path))
        left = self._window.grab().toImage()
        picture = QImage(left.width() + right.width(), HEIGHT, QImage.Format.Format_RGB32)
        painter = QPainter(picture)
        painter.drawImage(0, 0, left)
        painter.drawImage(left.width(), 0, right)
        painter.end()
        picture.save(str(FOLDER / name))
        print(FOLDER / name)  # command-line output


if __name__ == "__main__":
    main()
