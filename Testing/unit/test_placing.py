# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet.model import read_model
from palnet.network.landmarks import LandmarkPrediction
from palnet.placing import project_prediction
from palnet.surface import parse_unit, prepare_surface
from palnet.synthesis import ScanGenerator
from toy_head import toy_model
from toy_tuning import find_toy_face, write_toy_model


@pytest.fixture(scope="module")
def a_model(tmp_path_factory):
    return read_model(write_toy_model(tmp_path_factory.mktemp("model") / "toy.npz"))


@pytest.fixture(scope="module")
def a_face(a_model):
    scan = ScanGenerator(toy_model()).draw(3)
    millimetre = parse_unit("mm")
    return find_toy_face(prepare_surface(scan.to_mesh(), millimetre), (millimetre,), a_model)


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
