# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests on the stand-in; a conftest.py imports them."""

from __future__ import annotations

import atexit
import gc
from pathlib import Path

import pytest

from palnet_host import bootstrap

bootstrap.install()

import qt  # noqa: E402  # there is one only now
import slicer  # noqa: E402  # complete only now

from palnet_host import application, dialogs, settings  # noqa: E402
from palnet_host.failures import HiddenFailures  # noqa: E402
from palnet_host.main_window import MainWindow  # noqa: E402
from palnet_host.module import load_module  # noqa: E402

__all__ = [
    "answers",
    "app",
    "hidden_failures",
    "main_window",
    "panel_factory",
    "qapp",
    "scene",
    "view",
]

MODULE_FOLDER = Path(__file__).parents[3] / "PALNetLandmarks"

# Something in Slicer's parts or Qt gives True and False back once too often. Before Python 3.12 the
# last collection of a process then ends it with "deallocating True or False".
atexit.register(gc.freeze)

# Each test ends with a collection, which need not look through what is imported by now.
gc.collect()
gc.freeze()


@pytest.fixture(autouse=True)
def hidden_failures():
    """Failures of slots and observers; any that the test does not `take` fail it."""
    failures = HiddenFailures()
    failures.start()
    yield failures
    failures.stop()
    assert not str(failures), f"a slot or an observer failed:\n{failures}"


@pytest.fixture(autouse=True)
def answers():
    """Answers to dialogs, and the dialogs shown; an unannounced dialog fails the test."""
    announced = dialogs.renew()
    yield announced
    assert announced.left_over == []


@pytest.fixture
def app(tmp_path):
    """`slicer.app` with an empty scene, stopped after the test."""
    settings.reset()
    started = application.start(tmp_path)
    yield started
    left_over = started.left_over
    application.stop()
    gc.collect()
    assert left_over == []


@pytest.fixture
def scene(app):
    """`slicer.mrmlScene`, empty."""
    return slicer.mrmlScene


@pytest.fixture
def view(app):
    """A 3D view of the scene, rendered offscreen."""
    from palnet_host.views import ThreeDView  # starts OpenGL

    opened = ThreeDView(app)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def qapp():
    """The running QApplication."""
    return qt.QApplication.instance() or qt.QApplication([])


@pytest.fixture
def main_window(qapp, app):
    """Slicer's main window, shown."""
    window = MainWindow()
    window.resize(500, 900)
    window.show()
    yield window
    window.end()
    for module in vars(slicer.modules).copy().values():
        if hasattr(module, "close_panel"):
            module.close_panel()
    qapp.sendPostedEvents(None, qt.QEvent.DeferredDelete)
    qapp.processEvents()


@pytest.fixture
def panel_factory(main_window):
    """Make and enter the panel of the module in a folder; returns the module's widget."""

    def make(folder: Path = MODULE_FOLDER, name: str | None = None):
        module = load_module(folder, name)
        slicer.util.selectModule(module.name)
        return module.widgetRepresentation().self()

    return make
