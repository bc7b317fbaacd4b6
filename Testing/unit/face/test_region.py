# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from palnet.face.region import (
    MARK_CELL_MM,
    REGION_CENTRE_MM,
    REGION_RADIUS_MM,
    _mark_near,
    extract_face,
    move_cloud,
    move_surface,
    sample_coarse,
    sample_fine,
)
from palnet.network.patches import COARSE_SPACING_MM, FINE_RADIUS_MM, FINE_SPACING_MM
from palnet.similarity import apply_similarity, compose_similarity, invert_similarity
from palnet.surface import Mesh, parse_unit, prepare_surface, sample_surface
from palnet_meshes import grid_triangles
from toy_head import toy_model


@pytest.fixture(scope="module")
def the_surface():
    model = toy_model()
    mesh = Mesh(model.fine_template_mm.astype(float), model.fine_triangles)
    return prepare_surface(mesh, parse_unit("mm"))


@pytest.fixture
def a_pose():
    turn = Rotation.from_euler("xyz", [40, -70, 20], degrees=True).as_matrix()
    return compose_similarity(1.3, turn, np.array([30.0, -500, 12]))


def test_face_is_what_lies_in_the_ball(the_surface):
    face = extract_face(the_surface, np.eye(4))

    radius = np.linalg.norm(face.points_mm - REGION_CENTRE_MM, axis=1)
    inside = np.linalg.norm(the_surface.points_mm - REGION_CENTRE_MM, axis=1) < REGION_RADIUS_MM
    assert radius.max() < REGION_RADIUS_MM
    whole = the_surface.triangles[inside[the_surface.triangles].all(axis=1)]
    np.testing.assert_array_equal(face.points_mm[face.triangles], the_surface.points_mm[whole])


def test_face_of_a_moved_scan_is_the_same(the_surface, a_pose):
    moved = move_surface(the_surface, invert_similarity(a_pose))

    face = extract_face(moved, a_pose)

    expected = extract_face(the_surface, np.eye(4))
    np.testing.assert_allclose(face.points_mm, expected.points_mm, atol=1e-9)
    np.testing.assert_allclose(face.normals, expected.normals, atol=1e-9)
    np.testing.assert_array_equal(face.triangles, expected.triangles)


def test_moved_surface_and_cloud_go_together(the_surface, a_pose):
    surface, cloud = move_surface(the_surface, a_pose), sample_coarse(the_surface)

    moved = move_cloud(cloud, a_pose)

    np.testing.assert_allclose(moved.points_mm, apply_similarity(a_pose, cloud.points_mm))
    np.testing.assert_allclose(np.linalg.norm(moved.normals, axis=1), 1, atol=1e-9)
    distance_mm, _ = cKDTree(surface.points_mm).query(moved.points_mm)
    assert distance_mm.max() < 1.3 * 10


def test_coarse_sample_has_its_density(the_surface):
    a, b, c = (the_surface.points_mm[the_surface.triangles[:, k]] for k in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()

    cloud = sample_coarse(the_surface)

    np.testing.assert_allclose(len(cloud.points_mm), area / COARSE_SPACING_MM**2, rtol=0.15)


def test_fine_sample_is_complete_round_the_centres(the_surface):
    centres = np.array([[0.0, 0, 130], [-45, 34, 80]])

    fine = sample_fine(the_surface, centres)

    whole = sample_fine(the_surface, the_surface.points_mm[::7])
    for centre in centres:
        near, all_near = (
            np.linalg.norm(cloud.points_mm - centre, axis=1) < FINE_RADIUS_MM
            for cloud in (fine, whole)
        )
        np.testing.assert_allclose(near.sum(), all_near.sum(), rtol=0.02)
        area = np.pi * FINE_RADIUS_MM**2
        assert near.sum() > 0.8 * area / FINE_SPACING_MM**2
    assert len(fine.points_mm) < 0.3 * len(whole.points_mm)


def test_fine_sample_is_complete_where_a_second_pass_may_begin():
    """Of a real scan a landmark is 0.2 mm off with what is missing 4 mm farther out."""
    edge_mm, n_across = 1.0, 61
    x, y = np.meshgrid(edge_mm * np.arange(n_across), edge_mm * np.arange(n_across))
    points = np.stack([x, y, 5 * np.sin(x / 20)], axis=-1).reshape(-1, 3)
    surface = prepare_surface(Mesh(points, grid_triangles(n_across, n_across)), parse_unit("mm"))
    middle = points[n_across**2 // 2]

    fine = sample_fine(surface, middle[None])

    whole = sample_surface(surface, FINE_SPACING_MM).points_mm
    near = whole[np.linalg.norm(whole - middle, axis=1) < FINE_RADIUS_MM + 6.0]
    assert cKDTree(fine.points_mm).query(near)[0].max() < 1e-9
    assert len(fine.points_mm) < 0.7 * len(whole)


@pytest.mark.parametrize("height_mm", [200.0, 5.0])
@pytest.mark.parametrize("edge_mm", [2.0, 40.0])
def test_fine_sample_takes_a_long_triangle_that_passes_by_a_centre(edge_mm, height_mm):
    """With short triangles beside it, and where all are long: each way of finding it."""
    step = np.arange(0.0, 200.0, edge_mm)
    x, y = (each.ravel() for each in np.meshgrid(step, step))
    corners = [np.stack([x + dx, y + dy, 0 * x], axis=1) for dx, dy in ((0, 0), (1, 0), (0, 1))]
    points = np.stack(corners, axis=1).reshape(-1, 3)
    long = np.array([[0.0, 0, 50], [200, 0, 50], [0, height_mm, 50]])
    triangles = np.arange(len(points) + 3).reshape(-1, 3)
    surface = prepare_surface(Mesh(np.vstack([points, long]), triangles), parse_unit("mm"))
    centre = np.array([60.0, min(60.0, 0.35 * height_mm), 50])

    fine = sample_fine(surface, centre[None])

    near = np.linalg.norm(fine.points_mm - centre, axis=1) < FINE_RADIUS_MM
    area = min(np.pi * FINE_RADIUS_MM**2, 2 * FINE_RADIUS_MM * 0.7 * height_mm)
    assert near.sum() > 0.8 * area / FINE_SPACING_MM**2


@pytest.mark.parametrize("n_centres", [1, 12])
def test_all_points_that_a_centre_reaches_are_marked_and_none_far_from_all(n_centres):
    rng = np.random.default_rng(n_centres)
    centres, reach_mm = rng.uniform(-40, 40, (n_centres, 3)), 17.0
    away = rng.normal(size=(100_000, 3))
    away *= rng.uniform(0.9, 2.5, (len(away), 1)) / np.linalg.norm(away, axis=1, keepdims=True)
    points = centres[rng.integers(n_centres, size=len(away))] + reach_mm * away
    distance, _ = cKDTree(centres).query(points)

    marked = _mark_near(points, centres, reach_mm)

    # The cell of a point within reach may begin as far from it as its diagonal is long.
    assert marked[distance <= reach_mm].all()
    assert not marked[distance > reach_mm + MARK_CELL_MM * np.sqrt(3)].any()


def test_fine_sample_is_complete_where_all_triangles_are_equally_long():
    """None of them stands out, and all corners are far from the centre."""
    corners = np.array([[0.0, 0, 0], [150, 0, 0], [150, 150, 0], [0, 150, 0]])
    mesh = Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))
    surface, centre = prepare_surface(mesh, parse_unit("mm")), np.array([100.0, 50, 0])

    fine = sample_fine(surface, centre[None])

    near = np.linalg.norm(fine.points_mm - centre, axis=1) < FINE_RADIUS_MM
    assert near.sum() > 0.8 * np.pi * FINE_RADIUS_MM**2 / FINE_SPACING_MM**2


def test_fine_sample_takes_no_triangle_that_no_centre_is_near():
    """Each reaches as far as its own corners, however huge another one is."""
    near = np.array([[0.0, 0, 0], [200, 0, 0], [0, 200, 0]])
    far = np.array([[90.0, 90, 80], [100, 90, 80], [90, 100, 80]])
    mesh = Mesh(np.vstack([near, far]), np.arange(6).reshape(2, 3))
    surface = prepare_surface(mesh, parse_unit("mm"))

    fine = sample_fine(surface, np.array([[60.0, 60, 0]]))

    assert len(fine.points_mm) > 0
    assert np.abs(fine.points_mm[:, 2]).max() < 1


def test_fine_sample_far_from_the_surface_is_empty(the_surface):
    fine = sample_fine(the_surface, np.array([[0.0, 0, 900]]))

    assert fine.points_mm.shape == (0, 3)
