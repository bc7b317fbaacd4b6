# SPDX-License-Identifier: Apache-2.0
"""Review with the panel's buttons, table and keys."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import qt
import slicer
from PySide6.QtCore import Qt
from PySide6.QtGui import QIcon, QKeySequence
from PySide6.QtTest import QTest

from palnet.error_classes import CLASS_COLORS, GOOD_MM
from palnet_panel import wait_while
from palnet_scenes import N_LANDMARKS
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.panel import review_section
from PALNetLandmarksLib.panel.landmark_table import (
    BY_ERROR,
    CODE,
    ERROR,
    REPLACE,
    SHOW_DOUBTFUL,
    SHOW_MISSING,
    SHOW_UNREVIEWED,
    STATUS,
)

MISSING = N_LANDMARKS - 1


@pytest.fixture
def a_panel(panel_factory, a_list):
    panel = panel_factory()
    panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    return panel


def click(button):
    assert button.enabled, f"{button.objectName} is disabled"
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def press(panel, key, modifier=Qt.KeyboardModifier.ControlModifier):
    qt.QApplication.processEvents()
    QTest.keyClick(slicer.util.mainWindow(), key, modifier)


def cell(panel, row, column):
    return panel.ui.landmarkTable.item(row, column).text()


def codes(panel):
    return [cell(panel, row, CODE) for row in range(panel.ui.landmarkTable.rowCount)]


def current(panel):
    return panel.reviewSection.table.current


def test_table_says_what_an_expected_error_does_not_promise(a_panel):
    header = a_panel.ui.landmarkTable.horizontalHeaderItem(ERROR)

    assert "Good does not mean right" in header.toolTip()


def test_table_tells_error_class_and_status(a_panel, a_list):
    row_of = {code: row for row, code in enumerate(codes(a_panel))}
    errors = a_list.expected_errors

    assert codes(a_panel) == list(a_list.scheme.codes)
    for index, word in ((0, "good"), (20, "check"), (48, "doubtful")):
        row = row_of[a_list.scheme.codes[index]]
        assert cell(a_panel, row, ERROR) == f"{errors[index]:.1f} mm {word}"
        assert cell(a_panel, row, STATUS) == "detected"
    below = [cell(a_panel, row, ERROR) for row in range(MISSING) if errors[row] < GOOD_MM]
    assert below[-1] == "1.9 mm good"  # 1.96 mm; rounded to 2.0 mm it would not be
    assert cell(a_panel, MISSING, STATUS) == "missing"
    assert cell(a_panel, MISSING, ERROR) == ""


def test_words_of_the_table_are_translated_once(a_panel, monkeypatch):
    """In Slicer, a word takes longer to translate than to show."""
    translated = []

    def translate(_context, text):
        translated.append(text)
        return text

    monkeypatch.setattr(slicer.i18n, "translate", translate)
    a_panel.reviewSection.refresh()

    assert a_panel.ui.landmarkTable.rowCount == 50
    assert len(translated) < 10


@pytest.mark.parametrize("is_selected", [False, True])
def test_color_of_a_class_is_the_same_in_the_selected_row(a_panel, is_selected):
    mode = QIcon.Mode.Selected if is_selected else QIcon.Mode.Normal
    for row, number in ((0, 0), (20, 1), (48, 2)):
        icon = a_panel.ui.landmarkTable.item(row, ERROR).icon()

        color = icon.pixmap(12, 12, mode).toImage().pixelColor(6, 6).getRgbF()[:3]

        np.testing.assert_allclose(color, CLASS_COLORS[number], atol=0.01)


def test_filters_and_order(a_panel, a_list):
    ui = a_panel.ui
    ui.filterSelector.setCurrentIndex(SHOW_MISSING)
    assert codes(a_panel) == [a_list.scheme.codes[MISSING]]

    ui.filterSelector.setCurrentIndex(SHOW_DOUBTFUL)
    ui.orderSelector.setCurrentIndex(BY_ERROR)
    shown = [a_list.scheme.codes.index(code) for code in codes(a_panel)]
    errors = a_list.expected_errors[shown]
    assert (errors >= 2.0).all()
    assert (np.diff(errors) <= 0).all()
    assert len(shown) == int((a_list.expected_errors >= 2.0).sum())

    ui.filterSelector.setCurrentIndex(SHOW_UNREVIEWED)
    a_panel.reviewSection.table.select(7)
    click(ui.confirmButton)
    assert a_list.scheme.codes[7] not in codes(a_panel)


def test_step_confirm_and_progress_by_buttons(a_panel, a_list, scene):
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetLayoutName("1")
    ui = a_panel.ui
    click(ui.nextButton)
    assert current(a_panel) == 0
    assert not ui.previousButton.enabled
    np.testing.assert_allclose(camera.GetFocalPoint(), a_list.world_positions[0])

    click(ui.nextButton)
    click(ui.confirmButton)

    assert a_list.status[1] == "confirmed"
    assert current(a_panel) == 2
    np.testing.assert_allclose(camera.GetFocalPoint(), a_list.world_positions[2])
    assert ui.reviewedLabel.text == "1 of 50 reviewed"
    click(ui.previousButton)
    assert current(a_panel) == 1


@pytest.mark.parametrize("pace_ms", [200, 900])
def test_double_click_confirms_one_landmark(a_panel, a_list, monkeypatch, pace_ms):
    """Qt sends two clicks, and after the first the button is about the next landmark.

    The second waits while the first is carried out, on a slow computer for long. How slow a double
    click may be is set in the system, by people with unsteady hands to 0.9 s.
    """
    monkeypatch.setattr(type(slicer.app), "doubleClickInterval", pace_ms)
    section, clock, go_on = a_panel.reviewSection, [100.0], a_panel.reviewSection._go_to
    monkeypatch.setattr(section, "_go_to", lambda index: (go_on(index), clock.append(109.0)))
    monkeypatch.setattr(review_section, "time", SimpleNamespace(monotonic=lambda: clock[-1]))
    section.table.select(4)
    click(a_panel.ui.confirmButton)
    click(a_panel.ui.confirmButton)

    assert a_list.status[4:6] == ("confirmed", "detected")
    assert current(a_panel) == 5

    clock.append(clock[-1] + 0.99 * pace_ms / 1000)
    click(a_panel.ui.confirmButton)
    assert a_list.status[4:6] == ("confirmed", "detected")

    clock.append(clock[-1] + 0.02 * pace_ms / 1000)
    click(a_panel.ui.confirmButton)

    assert a_list.status[4:7] == ("confirmed", "confirmed", "detected")


def test_confirm_goes_on_when_the_row_disappears(a_panel, a_list):
    a_panel.ui.filterSelector.setCurrentIndex(SHOW_UNREVIEWED)
    a_panel.reviewSection.table.select(4)

    click(a_panel.ui.confirmButton)

    assert a_list.status[4] == "confirmed"
    assert current(a_panel) == 5


def test_landmark_that_nobody_looked_at_is_not_under_the_buttons(a_panel, a_list, scene):
    """When the landmark's row disappears, the next one takes its place."""
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetLayoutName("1")
    ui = a_panel.ui
    ui.filterSelector.setCurrentIndex(SHOW_UNREVIEWED)
    a_panel.reviewSection.table.select(4)

    click(ui.confirmButton)
    np.testing.assert_allclose(camera.GetFocalPoint(), a_list.world_positions[5])
    click(ui.missingButton)
    assert current(a_panel) == 5
    assert not ui.missingButton.enabled
    press(a_panel, Qt.Key.Key_Return)

    assert a_list.status[4:7] == ("confirmed", "missing", "detected")
    assert current(a_panel) == 6


def test_landmark_stays_under_the_buttons_while_it_is_corrected(a_panel, a_list):
    """It takes several drags, with the definition in view; those skipped above come later."""
    ui, table = a_panel.ui, a_panel.reviewSection.table
    ui.filterSelector.setCurrentIndex(SHOW_DOUBTFUL)
    ui.orderSelector.setCurrentIndex(BY_ERROR)
    skipped, index, following = table.indices[2:5]
    table.select(index)
    before = a_list.world_positions[index]

    for shift in (3.0, 5.0):
        a_list.node.SetNthControlPointPositionWorld(index, *np.add(before, [0.0, shift, 0.0]))

    assert current(a_panel) == index
    assert ui.definitionLabel.text.startswith(a_list.scheme.landmarks[index].name)
    assert ui.restoreButton.enabled
    click(ui.nextButton)
    assert current(a_panel) == following
    assert a_list.scheme.codes[index] not in codes(a_panel)
    click(ui.previousButton)
    assert current(a_panel) == skipped


@pytest.mark.parametrize("how", ["undo", "moved"])
def test_buttons_are_about_the_landmark_that_changed_whatever_the_filter(a_panel, a_list, how):
    """Undo turned the view to it, while Confirm was about another one."""
    ui, table = a_panel.ui, a_panel.reviewSection.table
    moved = a_list.world_positions[30] + [[0.0, 3.0, 0.0], [0.0, 5.0, 0.0]]
    for position in moved:
        a_list.node.SetNthControlPointPositionWorld(30, *position)
    ui.filterSelector.setCurrentIndex(SHOW_DOUBTFUL)
    table.select(40)

    if how == "undo":
        click(ui.undoButton)
    else:
        a_list.node.SetNthControlPointPositionWorld(30, *moved[0])

    assert a_list.status[30] == "corrected"
    assert current(a_panel) == 30
    click(ui.nextButton)
    assert a_list.scheme.codes[30] not in codes(a_panel)


def test_last_landmark_leaves_the_table_when_it_is_confirmed(a_panel, a_list):
    a_panel.ui.filterSelector.setCurrentIndex(SHOW_UNREVIEWED)
    a_panel.reviewSection.table.select(MISSING)

    click(a_panel.ui.confirmButton)

    assert a_list.scheme.codes[MISSING] not in codes(a_panel)
    assert current(a_panel) is None


def test_landmark_of_another_kind_leaves_with_the_filter(a_panel):
    a_panel.reviewSection.table.select(3)

    a_panel.ui.filterSelector.setCurrentIndex(SHOW_MISSING)

    assert a_panel.reviewSection.table.indices == [MISSING]
    assert current(a_panel) is None


def test_next_goes_on_below_a_corrected_landmark_in_the_order_of_errors(a_panel, a_list):
    a_panel.ui.orderSelector.setCurrentIndex(BY_ERROR)
    table = a_panel.reviewSection.table
    index, following = table.indices[10:12]
    table.select(index)
    position = a_list.world_positions[index] + [0.0, 3.0, 0.0]
    a_list.node.SetNthControlPointPositionWorld(index, *position)
    assert a_list.status[index] == "corrected"

    click(a_panel.ui.nextButton)

    assert current(a_panel) == following


def test_snapping_is_switched_for_all_lists_that_were_shown(a_panel, a_list, a_face, scene):
    other = create_list(scene, a_list.scheme, a_face, "Other")
    a_panel.ui.landmarksSelector.setCurrentNode(other.node)
    before = a_list.world_positions[5]

    a_panel.ui.snapCheckBox.setChecked(False)
    away = np.add(before, [0.0, 2.0, 0.0])
    a_list.node.SetNthControlPointPositionWorld(5, *away)

    np.testing.assert_allclose(a_list.world_positions[5], away)


def test_keys_step_confirm_undo_and_redo(a_panel, a_list):
    press(a_panel, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    press(a_panel, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert current(a_panel) == 1
    press(a_panel, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert current(a_panel) == 0
    press(a_panel, Qt.Key.Key_Return)
    assert a_list.status[0] == "confirmed"
    press(a_panel, Qt.Key.Key_Backspace)
    assert a_list.status[0] == "detected"
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    press(a_panel, Qt.Key.Key_Backspace, both)
    assert a_list.status[0] == "confirmed"


def test_keys_belong_to_other_modules_after_leaving(a_panel, a_list):
    a_panel.exit()

    press(a_panel, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)

    assert current(a_panel) is None


def test_definition_and_picture_of_the_selected_landmark(a_panel, a_list):
    a_panel.reviewSection.table.select(3)

    definition = a_list.scheme.landmarks[3]
    assert a_panel.ui.definitionLabel.text == (
        f"{definition.name} ({definition.code})\n{definition.definition}"
    )
    assert not a_panel.ui.pictureLabel.isHidden()
    assert a_panel.ui.pictureLabel.pixmap.width() == 120


def test_every_landmark_has_a_picture_of_its_own(a_panel, a_list):
    names = [f"Landmarks/palnet50/landmark_{code}.png" for code in a_list.scheme.codes]
    paths = [Path(a_panel.resourcePath(name)) for name in names]

    assert len({path.read_bytes() for path in paths}) == N_LANDMARKS


def test_mark_missing_restore_and_undo(a_panel, a_list):
    before = a_list.positions
    a_panel.reviewSection.table.select(2)
    assert not a_panel.ui.placeButton.enabled

    click(a_panel.ui.missingButton)
    assert a_list.status[2] == "missing"
    assert a_panel.ui.placeButton.enabled
    assert not a_panel.ui.missingButton.enabled

    click(a_panel.ui.restoreButton)
    assert a_list.status[2] == "detected"
    np.testing.assert_allclose(a_list.positions, before)

    click(a_panel.ui.undoButton)
    assert a_list.status[2] == "missing"
    click(a_panel.ui.undoButton)
    assert a_list.status[2] == "detected"
    assert not a_panel.ui.undoButton.enabled
    click(a_panel.ui.redoButton)
    assert a_list.status[2] == "missing"


@pytest.mark.parametrize("step", ["confirm", "mark_missing"])
def test_restoring_is_offered_only_where_it_changes_something(a_panel, a_list, step):
    ui, review = a_panel.ui, a_panel.reviewSection.review
    a_panel.reviewSection.table.select(3)
    offered = [(ui.restoreButton.enabled, ui.restoreAllButton.enabled)]

    getattr(review, step)(3)
    offered.append((ui.restoreButton.enabled, ui.restoreAllButton.enabled))
    a_panel.reviewSection.table.select(4)
    offered.append((ui.restoreButton.enabled, ui.restoreAllButton.enabled))
    click(ui.restoreAllButton)
    offered.append((ui.restoreButton.enabled, ui.restoreAllButton.enabled))

    assert offered == [(False, False), (True, True), (False, True), (False, False)]


def test_restore_all(a_panel, a_list):
    before = a_list.state()
    for index in (3, 4):
        position = a_list.world_positions[index] + 5.0
        a_list.node.SetNthControlPointPositionWorld(index, *position)

    click(a_panel.ui.restoreAllButton)

    assert before.changed_in(a_list.state()) == []


def test_place_makes_the_next_click_place_this_landmark(a_panel, a_list):
    a_panel.reviewSection.table.select(MISSING)

    click(a_panel.ui.placeButton)

    assert slicer.modules.markups.logic().GetActiveListID() == a_list.node.GetID()
    assert a_list.node.GetControlPointPlacementStartIndex() == MISSING
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    assert not interaction.GetPlaceModePersistence()


@pytest.mark.parametrize("is_other_list", [False, True])
def test_click_places_no_landmark_that_the_user_has_left(a_panel, a_list, is_other_list):
    a_panel.reviewSection.table.select(MISSING)
    click(a_panel.ui.placeButton)

    if is_other_list:
        a_panel.ui.landmarksSelector.setCurrentNode(None)
    else:
        a_panel.reviewSection.table.select(3)

    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert a_list.status[MISSING] == "missing"


def test_remark_about_a_landmark_far_off_goes_with_the_next_step(a_panel, a_list):
    far = a_list.world_positions[3] + 80.0
    a_list.node.SetNthControlPointPositionWorld(3, *far)
    assert "away from the scan" in a_panel.ui.reviewedLabel.text

    click(a_panel.ui.undoButton)

    assert "away from the scan" not in a_panel.ui.reviewedLabel.text


def test_filter_that_nothing_fits_says_so(a_panel, a_list):
    a_panel.reviewSection.review.restore()
    a_list.node.SetNthControlPointPositionWorld(MISSING, *a_list.world_positions[0])

    a_panel.ui.filterSelector.setCurrentIndex(SHOW_MISSING)

    assert a_panel.ui.landmarkTable.rowCount == 0
    assert a_panel.ui.reviewedLabel.text.endswith("No landmark is of this kind.")


def test_status_is_readable_after_a_correction(a_panel, a_list):
    widget = a_panel.ui.landmarkTable
    position = a_list.world_positions[3] + 2.0

    a_list.node.SetNthControlPointPositionWorld(3, *position)

    assert widget.item(3, STATUS).text() == "corrected"
    assert widget.sizeHintForColumn(STATUS) <= widget.columnWidth(STATUS)


def test_landmark_of_another_list_that_is_moved_is_told_and_can_be_undone(a_panel, a_list, a_face):
    """If two scans overlap, a user easily drags the wrong point."""
    other = create_list(a_face.GetScene(), a_list.scheme, a_face, "Second pass")
    other.node.SetNthControlPointPositionWorld(0, *a_list.world_positions[0])
    a_panel.ui.landmarksSelector.setCurrentNode(None)
    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)
    before = other.world_positions[0]

    other.node.SetNthControlPointPositionWorld(0, *before + 4.0)

    said = a_panel.ui.reviewedLabel.text
    assert said.endswith("Moved in the list 'Second pass', which is not selected: tr.")
    a_panel.ui.landmarksSelector.setCurrentNode(other.node)
    assert "not selected" not in a_panel.ui.reviewedLabel.text
    click(a_panel.ui.undoButton)
    np.testing.assert_allclose(other.world_positions[0], before, atol=1e-6)


def test_all_that_was_moved_in_other_lists_is_told_until_they_are_looked_at(
    a_panel, a_list, a_face
):
    second, third = (
        create_list(a_face.GetScene(), a_list.scheme, a_face, name) for name in ("B", "C")
    )
    a_panel.selection.watch_lists()
    for landmarks, index in ((second, 0), (second, 2), (third, 5)):
        landmarks.node.SetNthControlPointPositionWorld(index, *a_list.world_positions[index])

    said = a_panel.ui.reviewedLabel.text
    assert "Moved in the list 'B', which is not selected: tr n." in said
    assert "Moved in the list 'C', which is not selected: sn." in said
    a_panel.ui.landmarksSelector.setCurrentNode(second.node)
    assert "list 'B'" not in a_panel.ui.reviewedLabel.text
    assert "list 'C'" in a_panel.ui.reviewedLabel.text


def test_list_of_a_file_is_followed_before_it_is_selected(a_panel, a_list, tmp_path):
    slicer.util.saveNode(a_list.node, str(tmp_path / "second.mrk.json"), properties={})
    node = slicer.util.loadMarkups(str(tmp_path / "second.mrk.json"))
    qt.QApplication.processEvents()
    before = a_list.world_positions[5]

    node.SetNthControlPointPositionWorld(5, *before + 3.0)
    a_panel.ui.landmarksSelector.setCurrentNode(node)
    click(a_panel.ui.undoButton)

    landmarks = a_panel.reviewSection.review.landmarks
    np.testing.assert_allclose(landmarks.world_positions[5], before, atol=1e-6)
    assert landmarks.status[5] == "detected"


@pytest.mark.parametrize("is_added", [True, False])
@pytest.mark.parametrize("is_selected", [True, False])
def test_list_that_holds_other_points_by_now_is_let_go(a_panel, a_list, is_added, is_selected):
    """Otherwise names would be at the positions of neighboring landmarks."""
    if not is_selected:
        a_panel.ui.landmarksSelector.setCurrentNode(None)
    a_list.node.SetFixedNumberOfControlPoints(False)

    if is_added:
        a_list.node.AddControlPoint([1.0, 2.0, 3.0])
    else:
        a_list.node.RemoveNthControlPoint(7)
    qt.QApplication.processEvents()

    assert a_panel.ui.landmarkTable.rowCount == 0
    assert not a_panel.ui.exportButton.enabled
    if is_selected:
        assert "holds other points" in a_panel.ui.statusLabel.text


def test_lock_is_the_lists_own(a_panel, a_list):
    a_panel.ui.lockCheckBox.setChecked(True)
    assert a_list.node.GetLocked()

    a_panel.ui.landmarksSelector.setCurrentNode(None)
    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)

    assert a_panel.ui.lockCheckBox.checked
    a_panel.ui.lockCheckBox.setChecked(False)
    assert not a_list.node.GetLocked()


def test_snapping_is_switched(a_panel, a_list):
    a_panel.ui.snapCheckBox.setChecked(False)

    a_list.node.SetNthControlPointPositionWorld(5, 1.0, 2.0, 3.0)

    np.testing.assert_allclose(a_list.world_positions[5], [1.0, 2.0, 3.0])
    a_panel.ui.snapCheckBox.setChecked(True)
    beside = a_list.world_positions[6] + [4.0, 4.0, 4.0]
    a_list.node.SetNthControlPointPositionWorld(6, *beside)
    assert np.linalg.norm(a_list.world_positions[6] - beside) > 0.1


def test_expected_errors_are_switched_in_the_view(a_panel, a_list):
    spheres = a_panel.reviewSection._spheres.node
    assert spheres.GetDisplayNode().GetVisibility()

    a_panel.ui.errorsCheckBox.setChecked(False)

    assert not spheres.GetDisplayNode().GetVisibility()


def test_ticked_landmark_is_replaced_by_the_next_detection(a_panel, a_list):
    for index in (3, 4):
        position = a_list.world_positions[index] + 5.0
        a_list.node.SetNthControlPointPositionWorld(index, *position)
    table = a_panel.ui.landmarkTable
    assert not table.item(2, REPLACE).flags() & Qt.ItemFlag.ItemIsUserCheckable

    table.item(3, REPLACE).setCheckState(Qt.CheckState.Checked)

    assert a_panel.reviewSection.table.replace == {3}
    a_panel.reviewSection.refresh()
    assert a_panel.reviewSection.table.replace == {3}
    table.item(3, REPLACE).setCheckState(Qt.CheckState.Unchecked)
    assert a_panel.reviewSection.table.replace == frozenset()


def test_corrections_made_elsewhere_show_in_the_table(a_panel, a_list):
    position = a_list.world_positions[5] + 3.0
    a_list.node.SetNthControlPointPositionWorld(5, *position)

    assert cell(a_panel, 5, STATUS) == "corrected"
    assert a_panel.ui.reviewedLabel.text == "1 of 50 reviewed"


def test_entering_again_connects_nothing_anew(a_panel, a_list, monkeypatch):
    """Slicer 5.10 never releases connected objects, and notifies them of every change."""
    connected = []
    kind = type(a_panel.selection.node)
    monkeypatch.setattr(kind, "connectParametersToGui", lambda *_: connected.append(1))

    for _ in range(3):
        a_panel.exit()
        a_panel.enter()

    assert connected == []


def test_deleted_list_leaves_an_empty_panel(a_panel, a_list, scene):
    scene.RemoveNode(a_list.node)

    assert a_panel.ui.landmarkTable.rowCount == 0
    assert a_panel.ui.reviewedLabel.text == "No landmarks yet."
    assert not a_panel.ui.saveButton.enabled


def test_moved_landmark_is_the_one_the_buttons_are_about(a_panel, a_list, scene):
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetLayoutName("1")
    a_panel.reviewSection.table.select(2)
    seen_from = camera.GetPosition()

    position = a_list.world_positions[9] + 3.0
    a_list.node.SetNthControlPointPositionWorld(9, *position)

    assert current(a_panel) == 9
    assert camera.GetPosition() == seen_from


def test_lock_set_elsewhere_shows_in_the_panel(a_panel, a_list):
    a_list.node.SetLocked(True)

    assert a_panel.ui.lockCheckBox.checked


def test_steps_come_back_with_the_list(a_panel, a_list):
    position = a_list.world_positions[5] + 3.0
    a_list.node.SetNthControlPointPositionWorld(5, *position)
    a_panel.ui.landmarksSelector.setCurrentNode(None)

    a_panel.ui.landmarksSelector.setCurrentNode(a_list.node)

    click(a_panel.ui.undoButton)
    assert a_list.status[5] == "detected"


def test_clicking_the_same_row_looks_at_it_again(a_panel, a_list, scene):
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetLayoutName("1")
    a_panel.reviewSection.table.select(2)
    camera.SetFocalPoint(0, 0, 0)

    a_panel.ui.landmarkTable.cellClicked.emit(2, 0)

    np.testing.assert_allclose(camera.GetFocalPoint(), a_list.world_positions[2])


def test_ticking_a_missing_landmark_lets_it_be_found_again(a_panel, a_list):
    a_panel.reviewSection.review.mark_missing(4)
    table = a_panel.ui.landmarkTable

    table.item(4, REPLACE).setCheckState(Qt.CheckState.Checked)

    assert a_panel.reviewSection.table.replace == {4}


def test_panel_that_is_cleaned_up_leaves_nothing_behind(a_panel, a_list, scene):
    click(a_panel.ui.measureButton) if a_panel.ui.measureButton.enabled else None
    keys = list(a_panel._shortcuts.all)

    a_panel.cleanup()

    assert not any(key.enabled for key in keys)
    assert scene.GetNumberOfNodesByClass("vtkMRMLModelNode") == 1


def test_buttons_name_their_keys_as_the_system_does(panel_factory, monkeypatch):
    """On macOS, Ctrl+Return as in the tooltip does nothing: the key is called Cmd there."""

    class KeysOfMac(QKeySequence):
        def toString(self, form):
            assert form == QKeySequence.SequenceFormat.NativeText
            return super().toString().replace("Ctrl+", "Cmd+")

    monkeypatch.setattr(qt, "QKeySequence", KeysOfMac)

    ui = panel_factory().ui

    tooltip = ui.confirmButton.toolTip
    assert tooltip == "Accept the landmark as it is and go to the next one. (Cmd+Return)"
    assert ui.nextButton.toolTip.endswith("(Alt+Down)")
    assert ui.previousButton.toolTip.endswith("(Alt+Up)")
    assert ui.undoButton.toolTip.endswith("(Cmd+Backspace)")
    assert ui.redoButton.toolTip.endswith("(Cmd+Shift+Backspace)")


def test_key_that_is_held_confirms_one_landmark_only(a_panel):
    repeated = [keys.key.toString() for keys in a_panel._shortcuts.all if keys.autoRepeat]

    assert repeated == ["Alt+Down", "Alt+Up"]


def test_filter_and_order_come_back_the_next_time(a_panel):
    a_panel.ui.filterSelector.setCurrentIndex(SHOW_DOUBTFUL)
    a_panel.ui.orderSelector.setCurrentIndex(BY_ERROR)

    again = slicer.modules.palnetlandmarks.createNewWidgetRepresentation().self()

    assert again.ui.filterSelector.currentIndex == SHOW_DOUBTFUL
    assert again.ui.orderSelector.currentIndex == BY_ERROR
    again.cleanup()


def test_long_sentence_about_the_review_does_not_widen_the_panel(a_panel):
    label = a_panel.ui.reviewedLabel
    before = label.minimumSizeHint.width()

    label.setText("Moved in another list: " + " ".join(["landmark"] * 50))

    assert label.minimumSizeHint.width() < before + 100


@pytest.mark.parametrize(
    "name",
    [
        "scanInfoLabel",
        "trainedModelInfoLabel",
        "statusLabel",
        "reviewedLabel",
        "measurementLabel",
        "saveExportLabel",
    ],
)
def test_path_without_blanks_does_not_widen_the_panel(a_panel, name):
    """Slicer makes its module panel as wide as requested, at the expense of the views."""
    panel, label = a_panel.ui.inputSection.parentWidget(), getattr(a_panel.ui, name)
    a_panel.ui.measurementSection.setProperty("collapsed", False)
    wait_while(lambda: a_panel.trainedModelSection.is_reading)
    wait_while(lambda: a_panel.inputSection._inspection.is_running)
    label.setVisible(True)
    qt.QApplication.processEvents()
    before = panel.minimumSizeHint.width()

    label.setText("Written: C:" + r"\folder_of_a_study" * 20)
    qt.QApplication.processEvents()

    assert panel.minimumSizeHint.width() == before
    assert label.minimumSizeHint.width() > before


@pytest.mark.parametrize("name", ["landmarkTable", "measurementTable"])
def test_keyboard_gets_out_of_a_table(a_panel, name):
    """The Tab key used to go from cell to cell, three hundred times."""
    table = getattr(a_panel.ui, name)
    a_panel.ui.measurementSection.setProperty("collapsed", False)
    table.setRowCount(3)
    qt.QApplication.processEvents()
    table.setCurrentCell(0, 0)

    QTest.keyClick(table, Qt.Key.Key_Tab)

    assert table.currentColumn() == 0
