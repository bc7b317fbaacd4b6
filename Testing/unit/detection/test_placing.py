# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet._stopwatch import Stopwatch
from palnet.detection.placing import place_by_paper, place_landmarks, project_prediction
from palnet.model import read_model
from palnet.network.landmarks import LandmarkPrediction
from palnet.surface import parse_unit, project_onto_triangles
from palnet.synthesis import ScanGenerator
from toy_head import toy_model
from toy_tuning import find_toy_face, write_toy_model


@pytest.fixture(scope="module")
def a_model(tmp_path_factory):
    return read_model(write_toy_model(tmp_path_factory.mktemp("model") / "toy.npz"))


@pytest.fixture(scope="module")
def a_face(a_model):
    scan = ScanGenerator(toy_model()).draw(3)
    return find_toy_face(scan.to_mesh(), (parse_unit("mm"),), a_model, is_unit_known=True)


@pytest.mark.parametrize(("residual_mm", "misfit"), [(0.25, 1.0), (0.5, 2.0), (4.0, 3.0)])
def test_more_is_expected_where_the_atlas_stays_far_from_the_face(
    residual_mm, misfit, a_face, a_model
):
    n_landmarks = len(a_model.scheme)
    spread = np.linspace(0.5, 2.0, n_landmarks)
    said = LandmarkPrediction(a_face.fit.landmarks_mm, spread, np.ones(n_landmarks))
    face = replace(a_face, fit=replace(a_face.fit, residual_mm=residual_mm))

    placed = project_prediction(face, said, a_model)

    # The toy model: 1.5 * spread * misfit ** 0.6, in millimetres of the face.
    scale = np.cbrt(np.linalg.det(face.face_from_scan[:3, :3]))
    np.testing.assert_allclose(placed.expected_error_mm, 1.5 * spread * misfit**0.6 / scale)


def test_more_is_expected_of_a_source_that_trained_nothing_in_true_millimetres(a_face, a_model):
    n_landmarks = len(a_model.scheme)
    said = LandmarkPrediction(
        a_face.fit.landmarks_mm, np.linspace(0.2, 2.0, n_landmarks), np.ones(n_landmarks)
    )
    law = replace(a_model.calibration, source_factor=1.9, source_power=0.7)

    known = project_prediction(a_face, said, a_model)
    unseen = project_prediction(a_face, said, replace(a_model, calibration=law))

    np.testing.assert_array_equal(unseen.positions_mm, known.positions_mm)
    np.testing.assert_array_equal(unseen.is_placed, known.is_placed)
    more = 1.9 * known.expected_error_mm**0.7
    np.testing.assert_allclose(unseen.expected_error_mm, np.maximum(more, known.expected_error_mm))


def test_times_of_network_and_projection_are_added_to_the_watch(a_face, a_model):
    watch = Stopwatch()
    watch.seconds["network"] = 7.0

    place_landmarks(a_face, a_model, watch)

    assert watch.seconds.keys() == {"network", "project"}
    assert watch.seconds["network"] > 7.0


def test_model_without_a_network_of_the_paper_cannot_place_by_one(a_face, a_model):
    with pytest.raises(ValueError, match="must have a network of the paper; got toy"):
        place_by_paper(a_face.surface, a_face.face_from_scan, a_model)


@pytest.mark.parametrize(("off_mm", "is_placed"), [(5.9, True), (6.1, False)])
def test_landmark_off_the_scan_is_not_placed(off_mm, is_placed, a_face, a_model):
    at = a_face.fit.landmarks_mm.copy()
    ones = np.ones(len(at))
    near = project_prediction(a_face, LandmarkPrediction(at, ones, ones), a_model)
    far = at[:1] + np.array([0.0, 0.0, 60.0])
    nearest = project_onto_triangles(a_face.face, far).points_mm
    at[:1] = nearest + off_mm * (far - nearest) / np.linalg.norm(far - nearest)

    lost = project_prediction(a_face, LandmarkPrediction(at, ones, ones), a_model)

    assert lost.is_placed[0] == is_placed
    np.testing.assert_array_equal(lost.is_placed[1:], near.is_placed[1:])
