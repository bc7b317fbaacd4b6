# SPDX-License-Identifier: Apache-2.0
"""The module's self-test, as run by "Reload and Test"."""

from __future__ import annotations

import sys

import pytest
import qt
import slicer
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest


def test_self_test_passes(panel_factory):
    panel_factory()

    slicer.modules.palnetlandmarks.python_module().PALNetLandmarksTest().runTest()


@pytest.fixture
def kept_packages():
    """Restore the packages from before a reload, for later tests."""
    before = {name: module for name, module in sys.modules.items() if is_ours(name)}
    yield before
    for name in [name for name in sys.modules if is_ours(name)]:
        del sys.modules[name]
    sys.modules.update(before)


def is_ours(name):
    return name.split(".")[0] in ("palnet", "PALNetLandmarksLib")


def test_module_can_be_reloaded(panel_factory, kept_packages):
    panel = panel_factory()
    old = sys.modules["PALNetLandmarksLib.review"]

    panel.onReload()

    again = slicer.modules.palnetlandmarks.widgetRepresentation().self()
    assert again is not panel
    assert again.ui.landmarkTable.columnCount == 6
    assert sys.modules["PALNetLandmarksLib.review"] is not old


def test_keys_work_once_after_a_reload(panel_factory, kept_packages, scene):
    panel_factory().onReload()
    panel = slicer.modules.palnetlandmarks.widgetRepresentation().self()
    panel.ui.exampleButton.click()
    panel.ui.byHandButton.click()
    qt.QApplication.processEvents()

    QTest.keyClick(slicer.util.mainWindow(), Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)

    assert panel.reviewSection.table.current == 0


def test_old_panel_selects_nothing_after_a_reload(panel_factory, kept_packages, scene):
    panel = panel_factory()
    panel.ui.exampleButton.click()
    selector, other = panel.ui.scanSelector, panel.selection.node.scan
    panel.onReload()
    new = slicer.modules.palnetlandmarks.widgetRepresentation().self()
    new.ui.exampleButton.click()

    scene.RemoveNode(new.selection.node.scan)
    qt.QApplication.processEvents()

    # The old selector lives on, hidden, and lists what is in the scene.
    assert (selector.nodeFromIndex(0), selector.visible) == (other, False)
    assert (new.selection.node.scan, new.ui.scanSelector.currentNode()) == (None, None)


def test_help_names_method_and_limits(panel_factory):
    panel_factory()
    module = slicer.modules.palnetlandmarks

    assert module.categories == ["Shape Analysis"]
    assert "10.1016/j.imu.2025.101729" in module.acknowledgementText
    assert "not a medical device" in module.helpText
