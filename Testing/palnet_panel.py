# SPDX-License-Identifier: Apache-2.0
"""User actions on the panel."""

from __future__ import annotations

import time

import qt
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

# Only a hang exceeds it: the longest job computes for 20 s, several times that on a busy machine.
PATIENCE_S = 600.0


def click(button):
    assert button.enabled, f"{button.objectName} is disabled"
    assert not button.isHidden(), f"{button.objectName} is hidden"
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def wait_while(condition):
    start = time.monotonic()
    while condition():
        assert time.monotonic() - start < PATIENCE_S
        qt.QApplication.processEvents()


def detect(panel):
    click(panel.ui.detectButton)
    wait_while(lambda: panel.detectionSection.is_running)


def measure(panel):
    click(panel.ui.measureButton)
    wait_while(lambda: panel.measurementSection.is_running)
