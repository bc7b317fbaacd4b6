# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet.synthesis.capture import compute_vertex_normals
from palnet.synthesis.conditions import CONDITION_SHARE, CONDITIONS, add_scars, deform
from toy_head import toy_model


def changed_by(name, seed, size=1.0):
    template = toy_model().neutral_mm
    points = (size * template).astype(np.float32)
    return CONDITIONS[name](points, template, size, np.random.default_rng(seed)) - points


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_conditions_change_the_face_and_leave_the_scalp(name):
    template = toy_model().neutral_mm
    moved = [np.linalg.norm(changed_by(name, seed), axis=1) for seed in range(12)]

    assert min(each.max() for each in moved) > 0.3
    assert 2 < max(each.max() for each in moved) < 40
    scalp = (template[:, 1] > 105) | (template[:, 2] < -80)
    assert max(each[scalp].max() for each in moved) < 1.0


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_conditions_shrink_with_the_head(name):
    np.testing.assert_allclose(
        changed_by(name, 3, size=0.5), 0.5 * changed_by(name, 3), rtol=0.02, atol=0.02
    )


@pytest.mark.parametrize("name", ["one_side_small", "cleft_lip"])
def test_both_sides_are_drawn(name):
    x = toy_model().neutral_mm[:, 0]
    sides = {
        bool((np.linalg.norm(changed_by(name, seed), axis=1) * x).sum() > 0) for seed in range(16)
    }

    assert sides == {True, False}


def test_share_of_people_with_a_condition():
    template = toy_model().neutral_mm

    names = [deform(template, template, 1.0, np.random.default_rng(s))[1] for s in range(400)]

    share = 1 - names.count("none") / len(names)
    assert share == pytest.approx(CONDITION_SHARE, abs=0.06)
    assert set(names) == {"none", *CONDITIONS}


def test_scars_are_thin_lines_on_few_faces():
    model = toy_model()
    points = model.fine_template_mm
    normals = compute_vertex_normals(points, model.fine_triangles)
    lifted = [
        np.linalg.norm(
            add_scars(points, normals, points, np.random.default_rng(s)) - points, axis=1
        )
        for s in range(200)
    ]

    scarred = [each for each in lifted if each.max() > 0]
    assert 0 < len(scarred) < 50
    # At most 1.4 mm each, and two may cross; over a small part of the head.
    assert max(each.max() for each in scarred) < 2.9
    assert np.mean([(each > 0.1).mean() for each in scarred]) < 0.05
