# SPDX-License-Identifier: Apache-2.0
"""What is left of the panel when Slicer ends."""

from __future__ import annotations

import shiboken6


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
