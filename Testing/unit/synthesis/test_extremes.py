# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from palnet.errors import ModelFileError
from palnet.scheme import load_scheme
from palnet.synthesis.extremes import Extreme, find_label_weights, read_extremes
from palnet.synthesis.morphable import LABELS_FOLDER
from toy_head import toy_model, toy_scheme

UP, FRONT = np.array([0.0, 1, 0]), np.array([0.0, 0, 1])


def toy_with(*extremes):
    return replace(toy_model(), extremes=extremes)


def an_extreme(code, direction, reach_mm, across=()):
    scheme = toy_scheme()
    return Extreme(
        scheme.index_of(code), direction, reach_mm, tuple(scheme.index_of(c) for c in across)
    )


def place(model, points):
    return find_label_weights(model.topology, points) @ points


def test_without_extremes_landmarks_are_their_points():
    model = toy_model()
    points = model.fine_template_mm

    np.testing.assert_array_equal(place(model, points), points[model.landmark_points])


def test_weights_sum_to_one_and_keep_to_the_reach():
    model = toy_with(an_extreme("prn", FRONT, 7.0))
    points = model.fine_template_mm

    weights = find_label_weights(model.topology, points)

    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    row = toy_scheme().index_of("prn")
    used = weights[[row]].indices
    label = points[model.landmark_points[row]]
    assert np.linalg.norm(points[used] - label, axis=1).max() < 7.0
    assert np.abs(points[used, 0]).max() < 0.6


def test_landmark_follows_an_extreme_that_moves():
    """A bump that sits 6 mm above the label draws it up; the label alone would stay."""
    model = toy_with(an_extreme("prn", FRONT, 12.0))
    template = model.fine_template_mm
    label = template[model.landmark_points[toy_scheme().index_of("prn")]]
    away = template - (label + 6 * UP)
    bump = 5 * np.exp(-(away**2).sum(axis=1) / (2 * 4.0**2))[:, None] * FRONT

    moved = place(model, (template + bump).astype(np.float32))
    calm = place(model, template)

    row = toy_scheme().index_of("prn")
    assert moved[row, 1] - calm[row, 1] > 2.5
    others = np.arange(len(calm)) != row
    np.testing.assert_allclose(moved[others] - calm[others], 0, atol=1.0)


def test_place_is_a_smooth_function_of_the_shape():
    model = toy_with(an_extreme("prn", FRONT, 9.0), an_extreme("n", -FRONT, 9.0))
    points = model.fine_template_mm.astype(np.float64)
    wave = np.sin(points[:, 1] / 9)[:, None] * FRONT

    path = np.array(
        [place(model, (points + a * wave).astype(np.float32)) for a in np.linspace(0, 1, 41)]
    )

    # 0.025 mm of height a step; a jump to another vertex would be 2 mm and more.
    assert np.linalg.norm(np.diff(path, axis=0), axis=2).max() < 0.6


def test_direction_across_a_line_does_not_feel_a_tilt():
    extreme = an_extreme("sto", -FRONT, 8.0, ("sn", "gn"))
    model = toy_with(extreme)
    points = model.fine_template_mm.astype(np.float64)
    turn = np.radians(12)
    matrix = np.array(
        [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    )

    upright = place(model, points.astype(np.float32))
    tilted = place(model, (points @ matrix.T).astype(np.float32)) @ matrix

    row = extreme.landmark
    np.testing.assert_allclose(tilted[row], upright[row], atol=0.05)


def test_convention_left_extremes_are_the_mirrored_right_ones():
    extremes = {e.landmark: e for e in read_extremes(LABELS_FOLDER, load_scheme())}
    scheme = load_scheme()
    mirror = scheme.mirror

    assert set(extremes) == {int(mirror[k]) for k in extremes}
    for row, extreme in extremes.items():
        other = extremes[int(mirror[row])]
        np.testing.assert_allclose(other.direction, extreme.direction * [-1, 1, 1])
        np.testing.assert_allclose(np.linalg.norm(extreme.direction), 1)


def test_scheme_without_a_file_has_no_extremes(tmp_path):
    assert read_extremes(tmp_path, toy_scheme()) == ()


@pytest.mark.parametrize(
    "entry",
    [
        {"direction": [0, 0], "reach_mm": 5},
        {"direction": [0, 0, 0], "reach_mm": 5},
        {"direction": [0, 0, 1]},
        {"direction": [0, 0, 1], "reach_mm": "far"},
        {"direction": [0, 0, 1], "reach_mm": 5, "across": ["nowhere", "gn"]},
    ],
)
def test_wrong_entries_are_told(tmp_path, entry):
    path = tmp_path / f"extremes.{toy_scheme().name}.json"
    path.write_text(json.dumps({"extremes": {"prn": entry}}), encoding="utf-8")

    with pytest.raises(ModelFileError, match="no list of extremes"):
        read_extremes(tmp_path, toy_scheme())
