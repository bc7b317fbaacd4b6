# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet.synthesis.morphable import loop_subdivision
from palnet.training.atlas import build_atlas
from palnet.training.registration import carry_labels, match_points
from toy_head import toy_model


@pytest.fixture(scope="module")
def the_same_heads_in_another_order():
    """The toy with its points renumbered and a little wider: another topology's numbers."""
    toy = toy_model()
    order = np.random.default_rng(4).permutation(len(toy.neutral_mm))
    new_number = np.argsort(order)
    triangles = new_number[toy.triangles].astype(np.int32)
    refine, fine_triangles = loop_subdivision(triangles, len(order))
    stretched = np.array([1.03, 1.0, 1.0], dtype=np.float32)
    fine = refine @ toy.neutral_mm[order]
    own = toy.fine_template_mm[toy.landmark_points]
    labels = [int(np.argmin(np.linalg.norm(fine - point, axis=1))) for point in own]
    return replace(
        toy,
        name="other",
        neutral_mm=toy.neutral_mm[order] * stretched,
        identity_mm=toy.identity_mm[:, order] * stretched,
        expression_mm=toy.expression_mm[:, order] * stretched,
        triangles=triangles,
        is_mouth=toy.is_mouth[order],
        is_eyeball=toy.is_eyeball[order],
        refine=refine,
        fine_triangles=fine_triangles,
        landmark_points=np.array(labels),
    )


def test_points_are_found_again_on_another_topology(the_same_heads_in_another_order):
    toy, other = toy_model(), the_same_heads_in_another_order
    skin = ~(toy.fine(toy.is_mouth) | toy.fine(toy.is_eyeball))
    in_front = np.flatnonzero(skin & (toy.fine_template_mm[:, 2] > 40))
    points = in_front[::7]

    matched = match_points(toy, other, points)

    wanted = toy.fine_template_mm[points] * [1.03, 1.0, 1.0]
    apart = np.linalg.norm(other.fine_template_mm[matched] - wanted, axis=1)
    # The toy's fine points lie 3 to 6 mm apart: measured 0.4 and 3.4.
    assert apart.mean() < 1.0
    assert np.percentile(apart, 95) < 4.5


def test_labels_carried_over_come_near_to_their_counterparts(the_same_heads_in_another_order):
    toy, other = toy_model(), the_same_heads_in_another_order

    carried = carry_labels(toy, other)

    apart = carried - other.fine_template_mm[other.landmark_points]
    assert np.linalg.norm(apart, axis=1).mean() < 1.5


def test_atlas_of_two_sources_explains_people_of_both(the_same_heads_in_another_order):
    atlas = build_atlas(
        [toy_model(), the_same_heads_in_another_order],
        n_people=30,
        n_modes=12,
        n_points=300,
        seed=2,
    )

    assert atlas.n_modes == 12
    assert np.isfinite(atlas.modes_mm).all()
    spread = np.sqrt((atlas.modes_mm**2).sum(axis=(0, 2)))
    # Were points mistaken for others, their spread would be centimetres.
    assert np.median(spread) < 6
    assert np.percentile(spread, 99) < 20
