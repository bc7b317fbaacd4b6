# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet.synthesis.capture import (
    compute_vertex_normals,
    cut_holes,
    draw_crop,
    find_seen_points,
    laplacian_matrix,
    roughen,
    smear,
)
from palnet.synthesis.presets import PRESETS, CapturePreset
from palnet_meshes import make_sphere
from toy_head import toy_model


class CalmGenerator:
    """Draws the middle of every range, so that the cameras stand where the preset says."""

    def normal(self, mean, spread):
        return mean

    def uniform(self, low, high):
        return 0.5 * (low + high)


GRAZING = 0.2
FRONT = CapturePreset("front", ((0, 0),), (0, 0), (0, 0), (0, 0), (1, 1), 0.0)


@pytest.fixture(scope="module")
def two_spheres():
    """A small sphere before the right half of a large one, seen from +Z."""
    near, near_triangles = make_sphere(14.0, [12.0, 0, 60], 18)
    far, far_triangles = make_sphere(30.0, [0.0, 0, 0], 36)
    points = np.concatenate([near, far])
    return points, np.concatenate([near_triangles, far_triangles + len(near)])


def rays_blocked(starts, points, triangles, towards, offset_mm):
    """Whether the ray from each start towards the camera meets any triangle: all against all."""
    a, b, c = (points[triangles[:, k]].astype(float) for k in range(3))
    along_b, along_c = b - a, c - a
    across = np.cross(towards, along_c)
    determinant = np.einsum("ij,ij->i", along_b, across)
    edge_on = np.abs(determinant) < 1e-9
    a, along_b, along_c, across, determinant = (
        each[~edge_on] for each in (a, along_b, along_c, across, determinant)
    )
    blocked = np.zeros(len(starts), dtype=bool)
    for i, point in enumerate(starts.astype(float)):
        start = point + offset_mm * towards - a
        u = (start * across).sum(axis=1) / determinant
        near = (u >= 0) & (u <= 1)
        turned = np.cross(start[near], along_b[near])
        v = turned @ towards / determinant[near]
        distance = (along_c[near] * turned).sum(axis=1) / determinant[near]
        blocked[i] = ((v >= 0) & (u[near] + v <= 1) & (distance > 0)).any()
    return blocked


# --- cameras -------------------------------------------------------------------------------------


def test_camera_sees_what_rays_reach(two_spheres):
    points, triangles = two_spheres
    normals = compute_vertex_normals(points, triangles)
    towards = np.array([0.0, 0, 1])

    seen = find_seen_points(points, normals, FRONT, CalmGenerator())

    facing = normals @ towards
    blocked = facing <= GRAZING
    blocked[~blocked] = rays_blocked(points[~blocked], points, triangles, towards, 0.5)
    expected = ~blocked
    assert expected.sum() > 400
    assert (blocked & (facing > GRAZING)).sum() > 100
    # The depth buffer's cells of 4 mm blur the shadow's edge: 3 % of the points differ.
    assert (seen != expected).mean() < 0.05
    from_edge_mm = np.abs(np.linalg.norm(points[:, :2] - [12, 0], axis=1) - 14.0)
    clear = (from_edge_mm > 6) & (np.abs(facing - GRAZING) > 0.02)
    np.testing.assert_array_equal(seen[clear], expected[clear])


@pytest.mark.parametrize("azimuth_deg", [-90, 45, 180])
def test_convention_camera_of_positive_azimuth_stands_on_the_left_of_the_subject(azimuth_deg):
    points, triangles = make_sphere(30.0, [0, 0, 0], 40)
    preset = CapturePreset("one", ((azimuth_deg, 0),), (0, 0), (0, 0), (0, 0), (1, 1), 0.0)
    normals = compute_vertex_normals(points, triangles)

    seen = find_seen_points(points, normals, preset, CalmGenerator())

    angle = np.radians(azimuth_deg)
    facing = normals @ [np.sin(angle), 0, np.cos(angle)]
    clear = np.abs(facing - GRAZING) > 0.02
    np.testing.assert_array_equal(seen[clear], (facing > GRAZING)[clear])


def test_cameras_together_see_what_each_sees():
    points, triangles = make_sphere(30.0, [0, 0, 0], 40)
    normals = compute_vertex_normals(points, triangles)
    angles = ((-40, 0), (40, 10))
    presets = [
        CapturePreset("some", some, (0, 0), (0, 0), (0, 0), (1, 1), 0.0)
        for some in (angles, angles[:1], angles[1:])
    ]

    both, left, right = (find_seen_points(points, normals, p, CalmGenerator()) for p in presets)

    np.testing.assert_array_equal(both, left | right)


def test_preset_without_cameras_sees_all():
    points, triangles = make_sphere(30.0, [0, 0, 0], 10)
    normals = compute_vertex_normals(points, triangles)

    seen = find_seen_points(points, normals, PRESETS["closed_mesh"], np.random.default_rng(1))

    assert seen.all()


# --- normals and averaging -----------------------------------------------------------------------


def test_normals_of_a_sphere_point_outward():
    points, triangles = make_sphere(30.0, [5, -3, 8], 30)

    normals = compute_vertex_normals(points, triangles)

    outward = (points - [5, -3, 8]) / 30.0
    assert (np.einsum("ij,ij->i", normals, outward) > 0.998).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_laplacian_is_the_mean_of_the_neighbours():
    triangles = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    values = np.array([[0.0], [10], [20], [60], [7]])

    mean = laplacian_matrix(triangles, 5) @ values

    # The shared edge 0-2 counts once for each of its triangles; point 4 has no neighbours.
    np.testing.assert_allclose(mean.ravel(), [(10 + 20 + 20 + 60) / 4, 10, 70 / 4, 10, 7])


def test_smear_smooths_only_where_it_is_told():
    points, triangles = make_sphere(30.0, [0, 0, 0], 20)
    rng = np.random.default_rng(1)
    rough = (points + rng.normal(0, 1, points.shape)).astype(np.float32)
    amount = (points[:, 0] > 0).astype(np.float32)
    before = rough.copy()

    smooth = smear(rough, laplacian_matrix(triangles, len(points)), amount, 5)

    np.testing.assert_array_equal(rough, before)
    np.testing.assert_array_equal(smooth[amount == 0], rough[amount == 0])
    left = amount > 0
    roughness = [np.std(np.linalg.norm(each[left], axis=1)) for each in (rough, smooth)]
    assert roughness[1] < 0.7 * roughness[0]


def test_roughen_moves_points_by_the_noise_of_the_preset():
    points, triangles = make_sphere(30.0, [0, 0, 0], 40)
    normals = compute_vertex_normals(points, triangles)
    noise_mm = 0.4
    preset = CapturePreset("noisy", (), (noise_mm, noise_mm), (0, 0), (0, 0), (1, 1), 0.0)

    moved = roughen(points, normals, preset, np.random.default_rng(1)) - points

    # 0.5 to 1.5 times the noise along the normal, and 0.15 mm of slip on every axis.
    along = np.einsum("ij,ij->i", moved, normals)
    assert 0.6 * noise_mm < np.std(along) < 1.5 * noise_mm
    across = np.linalg.norm(moved - along[:, None] * normals, axis=1)
    np.testing.assert_allclose(np.sqrt(np.mean(across**2)), 0.15 * np.sqrt(2), rtol=0.1)


# --- cutting ------------------------------------------------------------------------


def test_holes_lie_where_they_are_likely():
    points = toy_model().fine_template_mm
    likely = (points[:, 2] > 60).astype(np.float32)

    lost = [cut_holes(points, likely, np.random.default_rng(seed)) for seed in range(30)]

    n_lost = np.array([mask.sum() for mask in lost])
    assert 0 < np.count_nonzero(n_lost) < 30
    # Holes of at most 13 mm radius with ragged edges round points in front.
    assert min(points[mask][:, 2].min() for mask in lost if mask.any()) > 60 - 13 * 2


def test_crop_keeps_the_nose():
    points = toy_model().fine_template_mm
    nose = int(np.argmax(points[:, 2]))

    kept = [draw_crop(points, np.random.default_rng(seed)) for seed in range(40)]

    assert all(mask[nose] for mask in kept)
    shares = np.array([mask.mean() for mask in kept])
    assert shares.max() == 1
    assert 0.05 < shares.min() < 0.6
