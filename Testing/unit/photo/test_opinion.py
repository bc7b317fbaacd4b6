# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

import palnet.photo.opinion as opinion_module
from painted_face import find_example, paint_example
from palnet.exchange import read_landmarks
from palnet.photo import color_surface, look_at_face
from palnet.photo.network import read_photo_network
from palnet.samples import example_truth
from palnet.similarity import apply_similarity, invert_similarity
from palnet.surface import Mesh


@pytest.fixture(scope="module")
def a_face():
    """The example as `find_face` finds it, in its own frame, with its colors."""
    return find_example(paint_example())


def _true_mm(found):
    truth = read_landmarks(example_truth())
    placed = apply_similarity(found.face_from_scan, truth.positions_mm)
    return dict(zip(truth.scheme.codes, placed, strict=True))


def test_it_sees_painted_lips_and_eyes(a_face):
    found, colors = a_face
    true_mm = _true_mm(found)

    seen = look_at_face(found.face, colors)

    assert seen.n_pictures == 4
    apart = {
        code: np.linalg.norm(place - true_mm[code])
        for code, place in zip(seen.codes, seen.positions_mm, strict=True)
    }
    assert max(apart[code] for code in ("ls", "cph_r", "cph_l")) < 1.5
    assert max(apart[code] for code in ("ch_r", "ch_l", "en_r", "en_l", "li")) < 3.5


def test_what_it_sees_moves_with_the_paint():
    found, colors = find_example(paint_example())
    _, lower = find_example(paint_example(lips_lower_by_mm=4.0))

    here, there = look_at_face(found.face, colors), look_at_face(found.face, lower)

    moved = dict(zip(here.codes, there.positions_mm - here.positions_mm, strict=True))
    assert moved["li"][1] < -2.0
    assert moved["ch_r"][1] < -1.5
    assert abs(moved["en_r"][1]) < 0.7


def test_a_mirrored_face_is_seen_as_the_mirror_image(a_face):
    found, colors = a_face
    face = found.face
    mirrored = replace(
        face,
        points_mm=face.points_mm * [-1.0, 1.0, 1.0],
        normals=face.normals * [-1.0, 1.0, 1.0],
        triangles=face.triangles[:, [0, 2, 1]],
        long_triangles=None,
    )

    here, there = look_at_face(face, colors), look_at_face(mirrored, colors)

    other = {"_r": "_l", "_l": "_r"}
    for code, place in zip(here.codes, here.positions_mm, strict=True):
        twin = here.codes.index(code[:-2] + other.get(code[-2:], code[-2:]))
        # A hundredth: pixels on the border of two triangles may show either.
        np.testing.assert_allclose(there.positions_mm[twin] * [-1, 1, 1], place, atol=0.05)


def test_no_opinion_on_what_shows_no_face(a_face):
    found, colors = a_face
    noise = np.random.default_rng(3).integers(0, 255, colors.shape).astype(np.uint8)
    upside_down = replace(
        found.face,
        points_mm=found.face.points_mm * [1.0, 1.0, -1.0],
        triangles=found.face.triangles[:, [0, 2, 1]],
        long_triangles=None,
    )

    assert look_at_face(upside_down, noise) is None


def test_it_looks_from_below_and_from_above(a_face, monkeypatch):
    found, colors = a_face
    take, pitches_deg = opinion_module.take_picture, []

    def note(face, its_colors, pitch_deg):
        pitches_deg.append(pitch_deg)
        return take(face, its_colors, pitch_deg)

    monkeypatch.setattr(opinion_module, "take_picture", note)
    look_at_face(found.face, colors)

    below, above = pitches_deg
    assert below == -above < 0


def test_pictures_without_a_face_do_not_count(a_face, monkeypatch):
    found, colors = a_face
    run = opinion_module.run_photo_network
    calls = []

    def sometimes(network, pixels):
        places, presence = run(network, pixels)
        calls.append(presence)
        lost = len(calls) in lost_pictures
        return (places + 40.0, 0.0) if lost else (places, 1e-3)

    monkeypatch.setattr(opinion_module, "run_photo_network", sometimes)
    lost_pictures = {2}
    assert look_at_face(found.face, colors).n_pictures == 3
    calls.clear()
    lost_pictures = {2, 3}
    assert look_at_face(found.face, colors) is None


@pytest.mark.parametrize("n_beside", [2, 3])
def test_a_landmark_is_seen_if_half_of_the_pictures_show_the_surface_there(
    n_beside, a_face, monkeypatch
):
    found, colors = a_face
    run, codes = opinion_module.run_photo_network, read_photo_network().codes
    seen = look_at_face(found.face, colors)
    lip, calls = codes.index("li"), []

    def beside(network, pixels):
        places, presence = run(network, pixels)
        calls.append(presence)
        if len(calls) <= n_beside:
            places[lip] = 0.0
        return places, presence

    monkeypatch.setattr(opinion_module, "run_photo_network", beside)
    there = look_at_face(found.face, colors)

    others = np.arange(len(codes)) != lip
    np.testing.assert_array_equal(there.positions_mm[others], seen.positions_mm[others])
    assert there.n_pictures == 4
    if n_beside == 2:
        assert np.linalg.norm(there.positions_mm[lip] - seen.positions_mm[lip]) < 2.0
    else:
        assert np.isnan(there.positions_mm[lip]).all()


@pytest.mark.parametrize(("side", "other"), [("r", "l"), ("l", "r")])
def test_a_side_without_color_shows_no_landmarks(side, other, a_face):
    """The network would guess them from the rest of the face."""
    found, colors = a_face
    toward = {"r": -1.0, "l": 1.0}[side] * found.face.points_mm[:, 0]
    half = colors.copy()
    half[toward > -8.0] = (200, 200, 200)

    seen = look_at_face(found.face, half)

    is_seen = dict(zip(seen.codes, np.isfinite(seen.positions_mm).all(axis=1), strict=True))
    assert not any(is_seen[f"{code}_{side}"] for code in ("en", "ex", "cph", "ch"))
    assert all(is_seen[f"{code}_{other}"] for code in ("en", "cph", "ch"))


def test_colors_are_those_of_the_nearest_vertices_in_any_frame_and_order(a_face):
    found, _ = a_face
    mesh = paint_example()
    rng = np.random.default_rng(0)
    mesh = replace(mesh, colors=rng.integers(0, 256, mesh.colors.shape).astype(np.uint8))
    order = rng.permutation(len(mesh.points))
    number = np.argsort(order)
    shuffled = Mesh(mesh.points[order] * 10 + 5, number[mesh.triangles], colors=mesh.colors[order])
    unit = found.surface.unit.mm_per_unit
    face_from_file = found.face_from_scan @ np.diag([unit, unit, unit, 1.0])
    back = np.diag([0.1, 0.1, 0.1, 1.0])
    back[:3, 3] = -0.5

    ours = color_surface(found.face, mesh, face_from_file)
    theirs = color_surface(found.face, shuffled, face_from_file @ back)

    everywhere = cKDTree(apply_similarity(face_from_file, mesh.points))
    np.testing.assert_array_equal(ours, mesh.colors[everywhere.query(found.face.points_mm)[1]])
    np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("color", [(255, 255, 255), (128, 120, 115)])
def test_one_color_is_no_color(color, a_face):
    found, _ = a_face
    mesh = paint_example()
    plain = np.full(mesh.colors.shape, color, np.uint8)

    assert color_surface(found.face, replace(mesh, colors=plain), found.face_from_scan) is None
    assert color_surface(found.face, replace(mesh, colors=None), found.face_from_scan) is None


def test_the_colors_of_a_dense_scan_are_looked_up_in_a_part_of_it(a_face, monkeypatch):
    found, whole = a_face
    mesh = paint_example()
    unit = found.surface.unit.mm_per_unit
    face_from_file = found.face_from_scan @ np.diag([unit, unit, unit, 1.0])
    monkeypatch.setattr(opinion_module, "MOST_COLORED", len(mesh.points) // 2)

    part = color_surface(found.face, mesh, face_from_file)

    # Next to a border of the paint the nearest of half of the vertices may be of the other color.
    alike = (part == whole).all(axis=1)
    assert 0.95 < np.mean(alike) < 1


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [-1, 1])
def test_vertices_beside_the_face_do_not_make_its_colors_coarser(axis, side, a_face, monkeypatch):
    found, whole = a_face
    mesh = paint_example()
    unit = found.surface.unit.mm_per_unit
    face_from_file = found.face_from_scan @ np.diag([unit, unit, unit, 1.0])
    monkeypatch.setattr(opinion_module, "MOST_COLORED", len(mesh.points))
    low_mm, high_mm = found.face.points_mm.min(axis=0), found.face.points_mm.max(axis=0)
    beside_mm = np.tile((low_mm + high_mm) / 2, (len(mesh.points), 1))
    beside_mm[:, axis] = (high_mm if side > 0 else low_mm)[axis] + side * 6.0
    beside = apply_similarity(invert_similarity(face_from_file), beside_mm)
    points, colors = np.concatenate([beside, mesh.points]), np.tile(mesh.colors, (2, 1))

    seen = color_surface(found.face, replace(mesh, points=points, colors=colors), face_from_file)

    np.testing.assert_array_equal(seen, whole)


def test_the_network_is_named(a_face):
    found, colors = a_face

    assert look_at_face(found.face, colors).network_sha256 == read_photo_network().sha256
