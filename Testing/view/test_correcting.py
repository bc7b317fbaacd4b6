# SPDX-License-Identifier: Apache-2.0
"""Corrections with the mouse in Slicer's own 3D view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
import vtk

from palnet_scenes import N_LANDMARKS, a_record, face_from_world, measured, true_landmarks
from PALNetLandmarksLib.camera import look_at, look_at_face
from PALNetLandmarksLib.error_spheres import ErrorSpheres
from PALNetLandmarksLib.list_creation import create_list
from PALNetLandmarksLib.measuring import MeasuredLine
from PALNetLandmarksLib.review import Review
from PALNetLandmarksLib.surface_snap import closest_point

MISSING = N_LANDMARKS - 1


@pytest.fixture
def a_seen_review(a_coarse_face, view):
    """Landmarks on the surface of the coarse face, seen from the front."""
    made = create_list(a_coarse_face.GetScene(), true_landmarks().scheme, a_coarse_face, "Seen")
    made.set_detection(true_landmarks(), a_record())
    look_at_face(made)
    review = Review(made)
    spheres = ErrorSpheres(made)
    spheres.update(review.is_reviewed)
    view.render()
    yield review
    spheres.remove()
    review.close()


def index_of(review, code):
    return review.landmarks.scheme.codes.index(code)


def aside(position, left, up):
    """Return a point to the left of and above a position, in terms of the face."""
    axes = face_from_world()[:3, :3]
    return position + left * axes[0] + up * axes[1]


def distance_to_face(review, point):
    model = review.landmarks.model_node
    return float(np.linalg.norm(np.array(closest_point(model, point)) - point))


def test_dragged_landmark_lies_on_the_face_and_is_corrected(a_seen_review, view):
    index = index_of(a_seen_review, "prn")
    before = a_seen_review.landmarks.world_positions

    view.drag(before[index], before[index_of(a_seen_review, "al_l")])

    after = a_seen_review.landmarks.world_positions
    assert a_seen_review.landmarks.status[index] == "corrected"
    assert np.linalg.norm(after[index] - before[index]) > 5.0
    assert distance_to_face(a_seen_review, after[index]) < 1e-3
    others = np.arange(N_LANDMARKS) != index
    np.testing.assert_array_equal(after[others], before[others])


def test_drag_ends_where_the_mouse_points(a_seen_review, view):
    """The sphere of the expected error does not intercept the mouse."""
    index = index_of(a_seen_review, "sl")
    positions = a_seen_review.landmarks.world_positions
    target = np.array(
        closest_point(a_seen_review.landmarks.model_node, positions[index] + [6, 0, 3])
    )

    view.drag(positions[index], target)

    after = a_seen_review.landmarks.world_positions[index]
    assert np.linalg.norm(after - target) < 2.0  # a pixel is 0.5 mm; the cheek is seen obliquely


def test_drag_is_undone_in_one_step(a_seen_review, view):
    index = index_of(a_seen_review, "prn")
    before = a_seen_review.landmarks.world_positions[index]
    view.drag(before, aside(before, 10.0, 5.0))

    assert a_seen_review.undo() == [index]

    np.testing.assert_allclose(a_seen_review.landmarks.world_positions[index], before, atol=1e-9)
    assert not a_seen_review.can_undo


def test_middle_drag_over_a_landmark_is_undone_in_one_step(a_seen_review, view):
    """This usually pans the view, but over a landmark it moves all of them."""
    before = a_seen_review.landmarks.world_positions
    start = before[index_of(a_seen_review, "prn")]

    view.drag(start, aside(start, 30.0, 0.0), button="Middle")

    moved = np.abs(a_seen_review.landmarks.world_positions - before).max(axis=1) > 1.0
    assert moved.sum() == N_LANDMARKS - 1
    assert a_seen_review.can_undo
    a_seen_review.undo()
    np.testing.assert_allclose(a_seen_review.landmarks.world_positions, before, atol=1e-9)


def test_locked_landmarks_stay_while_the_view_turns(a_seen_review, view):
    before = a_seen_review.landmarks.positions
    camera = np.array(view.camera_node.GetPosition())
    a_seen_review.landmarks.node.SetLocked(True)
    index = index_of(a_seen_review, "prn")
    start = a_seen_review.landmarks.world_positions[index]

    view.drag(start, aside(start, 30.0, 0.0))

    np.testing.assert_array_equal(a_seen_review.landmarks.positions, before)
    assert np.linalg.norm(np.array(view.camera_node.GetPosition()) - camera) > 1.0
    assert not a_seen_review.can_undo


def test_dragging_beside_the_landmarks_moves_none(a_seen_review, view):
    before = a_seen_review.landmarks.positions
    glabella = a_seen_review.landmarks.world_positions[index_of(a_seen_review, "g")]
    forehead = aside(glabella, 0, 25)

    view.drag(forehead, aside(forehead, 40.0, 0.0))

    np.testing.assert_array_equal(a_seen_review.landmarks.positions, before)


def test_missing_landmark_is_placed_by_one_click(a_seen_review, view, app):
    chin = a_seen_review.landmarks.world_positions[index_of(a_seen_review, "sl")]
    target = aside(chin, 8.0, 0.0)
    others = a_seen_review.landmarks.positions[:MISSING]
    a_seen_review.prepare_placing(MISSING)
    logic = slicer.modules.markups.logic()
    logic.SetActiveList(a_seen_review.landmarks.node)
    a_seen_review.landmarks.node.SetControlPointPlacementStartIndex(MISSING)
    logic.StartPlaceMode(False)
    view.render()

    view.click(target)

    landmarks = a_seen_review.landmarks
    assert landmarks.status[MISSING] == "corrected"
    assert distance_to_face(a_seen_review, landmarks.world_positions[MISSING]) < 1e-3
    assert np.linalg.norm(landmarks.world_positions[MISSING] - target) < 6.0
    np.testing.assert_array_equal(landmarks.positions[:MISSING], others)
    interaction = app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() != interaction.Place
    assert a_seen_review.undo() == [MISSING]
    assert landmarks.status[MISSING] == "missing"


@pytest.mark.parametrize("code", ["t_r", "t_l", "prn", "go_r", "ex_l", "tr", "gn"])
def test_landmark_that_is_looked_at_is_in_the_middle_and_not_hidden(a_seen_review, view, code):
    index = index_of(a_seen_review, code)

    look_at(a_seen_review.landmarks, index)
    view.render()

    position = a_seen_review.landmarks.world_positions[index]
    assert np.linalg.norm(np.array(view.display_point(position)) - 300) < 3
    eye = np.array(view.camera_node.GetPosition())
    model = a_seen_review.landmarks.model_node
    toward = (eye - position) / np.linalg.norm(eye - position)
    locator = vtk.vtkStaticCellLocator()
    locator.SetDataSet(model.GetPolyData())
    locator.BuildLocator()
    hit, where, at, part = vtk.reference(0.0), [0.0] * 3, [0.0] * 3, vtk.reference(0)
    blocked = locator.IntersectWithLine(
        list(position + 6.0 * toward), list(eye), 0.01, hit, where, at, part
    )
    assert not blocked


def test_spheres_are_drawn_in_the_colors_of_their_classes(a_seen_review, view):
    """A doubtful landmark's sphere is drawn on the face; a reviewed one has none."""
    index = index_of(a_seen_review, "stn_l")
    look_at(a_seen_review.landmarks, index)
    a_seen_review.landmarks.node.GetDisplayNode().SetOpacity(0.0)
    before = view.picture().astype(int)

    a_seen_review.confirm(index)
    spheres = ErrorSpheres(a_seen_review.landmarks)
    spheres.update(a_seen_review.is_reviewed)
    after = view.picture().astype(int)

    middle = (slice(296, 305), slice(296, 305))
    assert np.abs(before[middle] - after[middle]).mean() > 10
    # Vermilion: more red relative to blue than the bare skin.
    reddening = (before[..., 0] - before[..., 2]) - (after[..., 0] - after[..., 2])
    assert reddening[middle].mean() > 10


def test_landmark_to_check_that_is_looked_at_does_not_look_doubtful(a_seen_review, view):
    """The pink of the current landmark made the yellow of its class orange."""
    landmarks, index = a_seen_review.landmarks, index_of(a_seen_review, "pg")
    landmarks.node.GetDisplayNode().SetOpacity(0.0)
    spheres, pictures = ErrorSpheres(landmarks), {}
    others = np.arange(N_LANDMARKS) != index
    found = true_landmarks()
    for name, error, current in (("now", 3.0, index), ("check", 3.0, None), ("doubt", 5.0, None)):
        errors = np.where(others, found.expected_error_mm, error)
        landmarks.set_detection(replace(found, expected_error_mm=errors), a_record())
        spheres.update(others, current=current)
        look_at(landmarks, index)
        middle = view.picture()[296:305, 296:305].astype(float)
        pictures[name] = np.median(middle.reshape(-1, 3), axis=0)

    to_check, to_doubt = (np.linalg.norm(pictures["now"] - pictures[n]) for n in ("check", "doubt"))
    assert to_check < 0.6 * to_doubt


def test_measured_line_is_seen_though_it_runs_inside_the_head(a_seen_review, view):
    """From one side of the face to the other; in front of its middle is the nose."""
    landmarks = a_seen_review.landmarks
    width = next(each for each in measured(landmarks)[0] if each.name == "Face width")
    before = view.picture().astype(int)
    line = MeasuredLine(landmarks)

    line.show(width)

    is_drawn = np.abs(view.picture().astype(int) - before).sum(axis=2) > 100
    x, y = np.transpose([view.display_point(end) for end in width.polyline])
    middle = is_drawn[600 - y.max() - 5 : 600 - y.min() + 5, x.min() : x.max()]
    assert middle.any(axis=0).mean() > 0.9
    line.remove()
