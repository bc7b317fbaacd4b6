# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet.synthesis.capture import compute_vertex_normals
from palnet.synthesis.covering import (
    add_hair,
    draw_clothes,
    draw_head_regions,
    draw_loose_pieces,
    grow_beard,
)
from toy_head import toy_model, toy_scheme

MASKS = ("ears", "beard", "moustache", "eyes")


@pytest.fixture(scope="module")
def the_head():
    template = toy_model().fine_template_mm
    return template, compute_vertex_normals(template, toy_model().fine_triangles)


@pytest.fixture(scope="module")
def the_regions(the_head):
    return draw_head_regions(the_head[0])


def landmark_values(mask, *codes):
    rows = [toy_scheme().index_of(code) for code in codes]
    return mask[toy_model().landmark_points[rows]]


@pytest.mark.parametrize("name", MASKS)
def test_region_is_a_soft_mask(the_regions, name):
    mask = getattr(the_regions, name)

    assert 0 <= mask.min() < 0.01
    assert 0.9 < mask.max() <= 1


def test_regions_lie_where_their_names_say(the_regions):
    assert landmark_values(the_regions.eyes, "ex_r", "en_l").min() > 0.1
    assert landmark_values(the_regions.beard, "gn").min() > 0.5
    assert landmark_values(the_regions.beard, "prn", "n", "ex_r").max() < 0.01
    assert landmark_values(the_regions.hair_depth_mm, "prn", "gn", "ex_l").max() < 0


@pytest.mark.parametrize("name", ["eyes", "ears"])
def test_regions_are_as_symmetrical_as_the_template(the_regions, name):
    mask, x = getattr(the_regions, name), the_regions.template_mm[:, 0]

    # Subdivision of diagonals makes the toy unequal by a few tenths of a millimetre.
    np.testing.assert_allclose(mask[x > 1].sum(), mask[x < -1].sum(), rtol=0.05)


def test_beard_lifts_only_its_region_and_outward(the_head, the_regions):
    points, normals = the_head
    n_grown = 0
    for seed in range(20):
        grown = grow_beard(points, normals, the_regions, np.random.default_rng(seed))
        lift = np.einsum("ij,ij->i", grown - points, normals)
        bare = np.maximum(the_regions.beard, the_regions.moustache) == 0
        n_grown += lift.max() > 0.1

        assert np.abs(grown - points)[bare].max(initial=0) < 1e-4
        assert lift.min() > -1e-4
        assert lift.max() < 7.0 * 2.5

    assert 0 < n_grown < 20


def test_hair_covers_the_scalp_and_leaves_the_face(the_head, the_regions):
    points, normals = the_head
    face = toy_model().landmark_points[[toy_scheme().index_of(c) for c in ("prn", "sto", "gn")]]
    styles = set()
    for seed in range(40):
        covered, style = add_hair(points, normals, the_regions, np.random.default_rng(seed))
        styles.add(style)
        lifted_mm = np.linalg.norm(covered - points, axis=1)

        assert lifted_mm[face].max() < 0.1
        assert np.isfinite(covered).all()
        assert (style == "bald") == (lifted_mm.max() == 0)

    assert styles == {"bald", "short", "medium", "long", "cap"}


@pytest.mark.parametrize("draw", [draw_clothes, draw_loose_pieces])
def test_sheets_are_whole_meshes(draw):
    n_sheets = 0
    for seed in range(12):
        for sheet in draw(np.random.default_rng(seed)):
            n_sheets += 1

            assert np.isfinite(sheet.points_mm).all()
            assert sorted(np.unique(sheet.triangles)) == list(range(len(sheet.points_mm)))

    assert n_sheets > 3


def test_sheets_of_the_same_seed_are_the_same():
    for draw in (draw_clothes, draw_loose_pieces):
        first, again = (draw(np.random.default_rng(2)) for _ in range(2))

        assert len(first) == len(again)
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one.points_mm, other.points_mm)


def test_clothes_are_wound_outward():
    for seed in range(12):
        for sheet in draw_clothes(np.random.default_rng(seed)):
            a, b, c = (sheet.points_mm[sheet.triangles[:, k]] for k in range(3))
            normal, radial = np.cross(b - a, c - a), (a + b + c) / 3 * [1, 0, 1]

            # Shoulders rise over the neck, so that a few crumples point inward.
            assert (np.einsum("ij,ij->i", normal, radial) > 0).mean() > 0.8


def test_loose_pieces_keep_off_the_face():
    for seed in range(30):
        for sheet in draw_loose_pieces(np.random.default_rng(seed)):
            assert np.linalg.norm(sheet.points_mm.mean(axis=0)) > 110


def test_covering_leaves_its_input_as_it_was(the_head, the_regions):
    points, normals = the_head
    before = points.copy()

    for seed in range(6):
        grow_beard(points, normals, the_regions, np.random.default_rng(seed))
        add_hair(points, normals, the_regions, np.random.default_rng(seed))

    np.testing.assert_array_equal(points, before)
