# SPDX-License-Identifier: Apache-2.0
"""Place a list by hand, with one click per landmark in Slicer's own 3D view."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from PySide6.QtTest import QTest

from palnet_panel import click, wait_while
from palnet_scenes import true_landmarks
from PALNetLandmarksLib.camera import look_at_model
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.panel.landmark_table import SHOW_DOUBTFUL, SHOW_MISSING, SHOW_UNREVIEWED
from PALNetLandmarksLib.surface_snap import closest_point

# Long enough for anything that would happen by itself, where nothing should.
A_MOMENT_MS = 700


@pytest.fixture
def a_panel(panel_factory, a_coarse_face, view):
    """The panel with a face on which nothing is placed yet."""
    panel = panel_factory()
    panel.ui.scanSelector.setCurrentNode(a_coarse_face)
    click(panel.ui.byHandButton)
    look_at_model(a_coarse_face)
    view.look_at(
        true_landmarks().positions[3], toward=front_of_face(), up=(0, 0, 1), distance=400.0
    )
    view.render()
    return panel


def front_of_face():
    """Return the direction from the middle of the ears to the tip of the nose."""
    truth = true_landmarks()
    nose, right, left = (truth.positions[truth.scheme.index_of(c)] for c in ("prn", "t_r", "t_l"))
    front = nose - (right + left) / 2
    return front / np.linalg.norm(front)


def is_placing():
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    return interaction.GetCurrentInteractionMode() == interaction.Place


def place(panel, view, index):
    """Click on the landmark once the panel waits for it."""
    wait_while(lambda: not (is_placing() and panel.reviewSection.table.current == index))
    view.render()
    view.click(true_landmarks().positions[index])


def test_each_click_places_the_next_landmark(a_panel, view):
    codes = true_landmarks().scheme.codes
    wanted = [codes.index(code) for code in ("g", "n", "prn", "c")]
    assert wanted == [1, 2, 3, 4]
    a_panel.reviewSection.table.select(1)
    click(a_panel.ui.placeButton)

    for index in wanted:
        place(a_panel, view, index)

    landmarks = a_panel.reviewSection.review.landmarks
    found = landmarks.world_positions[wanted]
    truth = true_landmarks().positions[wanted]
    assert np.linalg.norm(found - truth, axis=1).max() < 3.0
    for point in found:
        on_skin = np.array(closest_point(landmarks.model_node, point))
        assert np.linalg.norm(on_skin - point) < 1e-3
    assert landmarks.status.count("corrected") == len(wanted)
    # One step each, so that a slip can be undone alone.
    wait_while(lambda: not is_placing())
    click(a_panel.ui.undoButton)
    assert landmarks.status[4] == "undefined"
    assert landmarks.status[3] == "corrected"


def test_list_that_was_hidden_is_shown_when_landmarks_are_placed_in_it(a_panel, view):
    """Slicer places points in a hidden list, but does not show them."""
    node = a_panel.reviewSection.review.landmarks.node
    node.SetDisplayVisibility(False)
    a_panel.reviewSection.table.select(3)

    click(a_panel.ui.placeButton)
    place(a_panel, view, 3)

    assert node.GetDisplayVisibility()
    wait_while(lambda: placed(a_panel) != [3])


def test_landmark_that_is_not_shown_is_passed_over(a_panel, view):
    a_panel.reviewSection.table.select(1)
    click(a_panel.ui.placeButton)
    place(a_panel, view, 1)
    wait_while(lambda: a_panel.reviewSection.table.current != 2)

    click(a_panel.ui.missingButton)
    place(a_panel, view, 3)

    status = a_panel.reviewSection.review.landmarks.status
    assert status[1:4] == ("corrected", "missing", "corrected")


def test_after_the_last_landmark_clicks_place_none(a_panel, view):
    last = len(true_landmarks()) - 1
    a_panel.reviewSection.table.select(last)
    click(a_panel.ui.placeButton)
    wait_while(lambda: not is_placing())
    view.render()
    view.click(true_landmarks().positions[3])

    QTest.qWait(A_MOMENT_MS)

    assert not is_placing()
    assert a_panel.reviewSection.review.landmarks.status.count("corrected") == 1


def click_where(view, index):
    view.render()
    view.click(true_landmarks().positions[index])
    QTest.qWait(A_MOMENT_MS)


def placed(panel):
    status = panel.reviewSection.review.landmarks.status
    return [index for index, each in enumerate(status) if each == "corrected"]


@pytest.mark.parametrize("shown", [SHOW_MISSING, SHOW_UNREVIEWED])
def test_next_landmark_is_the_one_below_although_the_row_is_gone(a_panel, view, shown):
    """Once placed and reviewed, it leaves the filter; the next click went into the first row."""
    a_panel.ui.filterSelector.setCurrentIndex(shown)
    a_panel.reviewSection.table.select(3)
    click(a_panel.ui.placeButton)

    place(a_panel, view, 3)
    place(a_panel, view, 4)

    assert placed(a_panel) == [3, 4]


def test_another_list_takes_no_click_that_was_meant_for_the_one_before(a_panel, view):
    a_panel.reviewSection.table.select(3)
    click(a_panel.ui.placeButton)

    click(a_panel.ui.byHandButton)
    click_where(view, 3)

    assert placed(a_panel) == []
    assert not is_placing()


def test_list_that_is_made_meanwhile_takes_no_click(a_panel, view, a_coarse_face):
    a_panel.reviewSection.table.select(3)
    click(a_panel.ui.placeButton)

    other = create_list(a_coarse_face.GetScene(), true_landmarks().scheme, a_coarse_face, "Later")
    click_where(view, 3)

    assert placed(a_panel) == [3]
    assert set(other.status) == {"undefined"}


def test_second_click_of_a_double_one_places_nothing(a_panel, view, monkeypatch):
    # Regardless of how slow clicks are on this machine.
    monkeypatch.setattr(type(slicer.app), "doubleClickInterval", 10_000)
    a_panel.reviewSection.table.select(2)
    click(a_panel.ui.placeButton)
    place(a_panel, view, 2)

    view.click(true_landmarks().positions[2])
    QTest.qWait(100)
    view.click(true_landmarks().positions[2])
    QTest.qWait(A_MOMENT_MS)

    assert placed(a_panel) == [2]


def test_list_that_is_loaded_meanwhile_takes_no_click(a_panel, view, tmp_path):
    landmarks = a_panel.reviewSection.review.landmarks
    landmarks.node.SetNthControlPointPositionWorld(0, *true_landmarks().positions[0])
    slicer.util.saveNode(landmarks.node, str(tmp_path / "other.mrk.json"), properties={})
    a_panel.reviewSection.table.select(3)
    click(a_panel.ui.placeButton)

    loaded = slicer.util.loadMarkups(str(tmp_path / "other.mrk.json"))
    QTest.qWait(A_MOMENT_MS)
    click_where(view, 3)

    assert loaded.GetNumberOfDefinedControlPoints() == 1
    assert not is_placing()


def test_clicks_by_slicer_s_own_button_go_into_the_list_just_made(a_panel, view, a_coarse_face):
    first = a_panel.reviewSection.review.landmarks
    a_panel.reviewSection.table.select(3)
    click(a_panel.ui.placeButton)
    press_escape()

    click(a_panel.ui.byHandButton)

    second = a_panel.reviewSection.review.landmarks
    active = slicer.app.applicationLogic().GetSelectionNode().GetActivePlaceNodeID()
    assert second.node is not first.node
    assert active == second.node.GetID()


def press_escape():
    slicer.app.applicationLogic().GetInteractionNode().SwitchToViewTransformMode()
    QTest.qWait(A_MOMENT_MS)


def test_after_escape_nothing_is_placed_unasked(a_panel, view):
    a_panel.reviewSection.table.select(2)
    click(a_panel.ui.placeButton)
    place(a_panel, view, 2)
    wait_while(lambda: not is_placing())
    press_escape()

    click(a_panel.ui.missingButton)
    click_where(view, 8)

    assert placed(a_panel) == [2]


def test_landmark_that_comes_back_by_a_redo_is_awaited_no_longer(a_panel, view):
    a_panel.reviewSection.table.select(2)
    click(a_panel.ui.placeButton)
    place(a_panel, view, 2)
    wait_while(lambda: not is_placing())
    click(a_panel.ui.undoButton)
    a_panel.reviewSection.table.select(2)
    click(a_panel.ui.placeButton)

    click(a_panel.ui.redoButton)
    QTest.qWait(A_MOMENT_MS)
    click_where(view, 8)

    assert placed(a_panel) == [2]
    assert not is_placing()


def test_leaving_the_module_ends_placing(a_panel, view):
    a_panel.reviewSection.table.select(2)
    click(a_panel.ui.placeButton)

    a_panel.exit()
    click_where(view, 8)

    assert placed(a_panel) == []


def test_filter_that_hides_the_awaited_landmark_ends_placing(a_panel, view):
    a_panel.reviewSection.table.select(3)
    click(a_panel.ui.placeButton)

    a_panel.ui.filterSelector.setCurrentIndex(SHOW_DOUBTFUL)
    QTest.qWait(A_MOMENT_MS)
    click_where(view, 3)

    assert placed(a_panel) == []


def test_landmark_called_missing_is_placed_alone(a_panel, view):
    """The user has decided on the others, so the panel asks for none of them."""
    review = a_panel.reviewSection.review
    for index in range(len(review.landmarks)):
        review.mark_missing(index)
    a_panel.reviewSection.table.select(3)
    click(a_panel.ui.placeButton)
    place(a_panel, view, 3)

    QTest.qWait(A_MOMENT_MS)

    assert not is_placing()
    assert review.landmarks.status.count("corrected") == 1
