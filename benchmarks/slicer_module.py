# SPDX-License-Identifier: Apache-2.0
r"""Time a detection through the Slicer module against the library, and how long its panel freezes.

PYTHONPATH=.:PALNetLandmarks:Testing:Testing/host PALNET_SHARED=../shared OMP_NUM_THREADS=1 \
    .venv-slicer/bin/python -m benchmarks.slicer_module

The module runs on the stand-in of Testing/host, with Slicer's real scene and Qt's event loop. A
timer fires every 5 ms; the longest pause between two ticks is how long the panel was unresponsive.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palnet_host import bootstrap

bootstrap.install()

import qt  # noqa: E402  # there is one only now
import slicer  # noqa: E402  # complete only now
from palnet_host import application, dialogs  # noqa: E402
from palnet_host.main_window import MainWindow  # noqa: E402
from palnet_host.module import load_module  # noqa: E402

import palnet  # noqa: E402
from benchmarks._data import add_common_options, generator_of  # noqa: E402
from benchmarks._dense import make_head  # noqa: E402
from palnet.surface import write_ply  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

N_VERTICES = 100_000
N_SCANS = 5
BEAT_MS = 5
ROOT = Path(__file__).parents[1]


class Heartbeat:
    """Longest pause of the event loop."""

    def __init__(self) -> None:
        self._last, self._longest = time.perf_counter(), 0.0
        self._timer = qt.QTimer()
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def _beat(self) -> None:
        now = time.perf_counter()
        self._longest = max(self._longest, now - self._last)
        self._last = now

    def start(self) -> None:
        """Start measuring."""
        self._last, self._longest = time.perf_counter(), 0.0

    def longest_ms(self) -> float:
        """Longest pause since the start."""
        return 1000 * self._longest


def main() -> None:
    """Print both times and the longest pause."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_options(parser)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "head.ply"
        head, _ = make_head(generator_of(arguments.ict), N_VERTICES)
        write_ply(head, path)
        application.start(folder)
        dialogs.renew()
        measure(path, arguments.repeats)
        application.stop()


def measure(path: Path, repeats: int) -> None:
    """Alternate between module and library, so that both run under the same load."""
    qt_app = qt.QApplication.instance() or qt.QApplication([])
    window = MainWindow()
    module = load_module(ROOT / "PALNetLandmarks")
    window.show()
    slicer.util.selectModule(module.name)
    panel = module.widgetRepresentation().self()
    model = slicer.util.loadModel(str(path))
    beat = Heartbeat()
    panel.ui.scanSelector.setCurrentNode(model)
    wait(qt_app, lambda: panel.inputSection._inspection.is_running)
    print(f"longest pause while the scan is selected and inspected: {beat.longest_ms():.0f} ms")
    mesh = palnet.surface.read_mesh(path)
    palnet.detect(mesh)
    library, through, pauses = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        palnet.detect(mesh, unit="mm")
        library.append(time.perf_counter() - start)
        panel.ui.landmarksSelector.setCurrentNode(None)
        qt_app.processEvents()
        beat.start()
        start = time.perf_counter()
        panel.ui.detectButton.click()
        wait(qt_app, lambda: panel.detectionSection.is_running)
        through.append(time.perf_counter() - start)
        pauses.append(beat.longest_ms())
    plain, module_s = min(library), min(through)
    print(f"{len(mesh.points)} vertices, best of {repeats}:")
    print(f"library {plain:.3f} s, module {module_s:.3f} s: {module_s / plain:.2f} times")
    print(f"longest pause during a detection: {max(pauses):.0f} ms", end=" ")
    print(f"(median over runs {statistics.median(pauses):.0f} ms)")
    measure_folder(qt_app, panel, path)
    module.close_panel()


def measure_folder(qt_app: Any, panel: Any, path: Path) -> None:
    """Detect a folder of copies of the scan, and measure the pauses while nothing is shown."""
    scans = path.parent / "scans"
    scans.mkdir()
    for number in range(N_SCANS):
        shutil.copy(path, scans / f"{number}.ply")
    dialogs.current().expect("file", str(scans))
    panel.ui.openFolderButton.click()
    wait(qt_app, lambda: panel.inputSection._inspection.is_running)
    dialogs.current().expect("message", "Ok")
    panel.ui.scanSelector.setCurrentNode(None)
    beat, start = Heartbeat(), time.perf_counter()
    panel.ui.detectFolderButton.click()
    wait(qt_app, lambda: panel.inputSection.folder.is_detecting)
    seconds = (time.perf_counter() - start) / N_SCANS
    print(f"a folder of {N_SCANS} such scans: {seconds:.3f} s each,", end=" ")
    print(f"longest pause {beat.longest_ms():.0f} ms")


def wait(qt_app: Any, condition: Callable[[], bool]) -> None:
    """Run the event loop while a condition holds."""
    while condition():
        qt_app.processEvents()
    qt_app.processEvents()


if __name__ == "__main__":
    main()
