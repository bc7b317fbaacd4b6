# SPDX-License-Identifier: Apache-2.0
"""The panel when Slicer exits."""

from __future__ import annotations

import shiboken6
from PySide6.QtTest import QTest


def test_panel_that_was_cleaned_up_writes_nothing_any_more(panel_factory):
    panel = panel_factory()
    box = panel.ui.snapCheckBox

    panel.cleanup()
    box.setChecked(False)

    assert panel.logic.getParameterNode().snapToSurface


def test_panel_is_cleaned_up_after_the_main_window_is_gone(panel_factory, main_window):
    panel = panel_factory()
    main_window.end()

    panel.cleanup()

    assert panel.ui is None


def test_panel_that_went_with_the_main_window_is_cleaned_up(panel_factory, main_window, scene):
    panel = panel_factory()
    shiboken6.delete(main_window)

    panel.cleanup()
    scene.AddNewNodeByClass("vtkMRMLModelNode")

    assert panel.ui is None


def test_panel_that_went_with_its_list_and_its_detection_is_silent(
    panel_factory, main_window, a_list
):
    panel = panel_factory()
    panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    panel.detectionSection.on_detect()
    assert panel.detectionSection.is_running
    n_nodes = a_list.node.GetScene().GetNumberOfNodes()
    shiboken6.delete(main_window)

    panel.cleanup()
    a_list.node.SetNthControlPointPositionWorld(0, 0.0, 0.0, 0.0)
    QTest.qWait(100)

    assert not panel.detectionSection.is_running
    assert a_list.status[0] == "detected"  # no longer watched
    assert a_list.node.GetScene().GetNumberOfNodes() < n_nodes  # the spheres are gone
