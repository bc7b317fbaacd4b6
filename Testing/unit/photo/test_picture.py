# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palnet.photo.picture import AMBIENT, BACKGROUND, MIDDLE_MM, N_PIXELS, take_picture
from palnet.surface import Mesh, parse_unit, prepare_surface
from palnet_meshes import grid_triangles

RED, GREEN = (200, 20, 20), (10, 180, 10)


def _surface(points, triangles):
    return prepare_surface(Mesh(np.asarray(points, float), np.array(triangles)), parse_unit("mm"))


def _bowl(n=60):
    """A smooth bump that fills the picture, its vertices in rows and columns."""
    across = np.linspace(-100, 100, n)
    x, y = np.meshgrid(across, across)
    z = 90 - (x**2 + 2 * y**2) / 300 + 3 * np.sin(x / 9)
    return _surface(np.stack([x, y, z], axis=-1).reshape(-1, 3), grid_triangles(n, n))


@pytest.fixture(scope="module")
def a_bowl():
    return _bowl()


def _slope(right, up, half_mm=300.0):
    """A plane, rising by so much per millimeter; it reaches beyond all borders of the picture."""
    across = np.linspace(-half_mm, half_mm, 61)
    x, y = np.meshgrid(across, across)
    points = np.stack([x, y, right * x + up * y], axis=-1).reshape(-1, 3)
    return _surface(points, grid_triangles(61, 61))


def _plain(surface, color=(255, 255, 255)):
    return np.full(surface.points_mm.shape, color, np.uint8)


def _shade_of_place(surface):
    """Colors that tell where a vertex lies: red grows to the left of the subject, green upwards."""
    x, y, _ = surface.points_mm.T
    return np.stack([x + 100, y + 100, np.full(len(x), 99)], axis=1).round().astype(np.uint8)


@pytest.mark.parametrize("pitch_deg", [-12.0, 0.0, 12.0])
def test_a_place_in_the_picture_leads_back_to_the_surface(pitch_deg, a_bowl):
    picture = take_picture(a_bowl, _plain(a_bowl), pitch_deg)
    rows, columns = np.nonzero(np.isfinite(picture.depth_mm))

    points_mm = picture.to_face(np.stack([columns, rows], axis=1) + 0.5)

    x, y, z = points_mm.T
    np.testing.assert_allclose(z, 90 - (x**2 + 2 * y**2) / 300 + 3 * np.sin(x / 9), atol=0.15)
    assert len(z) > 0.4 * N_PIXELS**2


def test_convention_left_of_the_subject_is_right_in_the_picture_and_up_is_up(a_bowl):
    picture = take_picture(a_bowl, _shade_of_place(a_bowl), 0.0)
    middle = N_PIXELS // 2

    right, left = picture.pixels[middle, middle + 60], picture.pixels[middle, middle - 60]
    top, bottom = picture.pixels[middle - 60, middle], picture.pixels[middle + 60, middle]

    assert right[0] / right[2] > 1.5 * left[0] / left[2]
    assert top[1] / top[2] > 1.5 * bottom[1] / bottom[2]
    assert picture.to_face(np.array([[middle + 60.0, middle]]))[0, 0] > 40
    assert picture.to_face(np.array([[middle, middle - 60.0]]))[0, 1] > 40


def test_from_above_the_camera_sees_what_faces_up(a_bowl):
    top = a_bowl.points_mm[:, 1].max()
    highest = a_bowl.points_mm[np.isclose(a_bowl.points_mm[:, 1], top)].mean(axis=0)

    def height(pitch_deg):
        return (take_picture(a_bowl, _plain(a_bowl), pitch_deg).axes @ (highest - MIDDLE_MM))[1]

    # The upper rim lies behind the middle: seen from above it comes up, as what is behind does.
    assert highest[2] < MIDDLE_MM[2]
    assert height(12.0) > height(0.0) > height(-12.0)
    above = take_picture(a_bowl, _plain(a_bowl), 12.0)
    assert above.axes[2, 1] > 0
    np.testing.assert_allclose(above.axes @ above.axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(above.axes) == pytest.approx(1.0)


def test_the_mirrored_surface_gives_the_mirrored_picture(a_bowl):
    points = a_bowl.points_mm * [-1.0, 1.0, 1.0]
    mirrored = _surface(points, a_bowl.triangles[:, ::-1])

    ours = take_picture(a_bowl, _plain(a_bowl, RED), 12.0)
    theirs = take_picture(mirrored, _plain(mirrored, RED), 12.0)

    np.testing.assert_allclose(theirs.pixels[:, ::-1], ours.pixels, atol=1e-5)


@pytest.mark.parametrize(("right", "up"), [(0.4, 0.0), (-0.4, 0.0), (0.0, 0.4), (0.3, -0.4)])
def test_a_surface_beyond_the_borders_is_shown_in_every_pixel_where_it_is(right, up):
    slope = _slope(right, up)
    rows, columns = np.indices((N_PIXELS, N_PIXELS)).reshape(2, -1)

    picture = take_picture(slope, _plain(slope), 0.0)
    x, y, z = picture.to_face(np.stack([columns, rows], axis=1) + 0.5).T

    # 0.008: depth is interpolated in the picture, as if triangles were not seen in perspective.
    np.testing.assert_allclose(z, right * x + up * y, atol=0.02)


@pytest.mark.parametrize("pitch_deg", [-12.0, 0.0, 12.0])
def test_what_faces_the_camera_is_brighter_than_what_is_turned_away(pitch_deg):
    slope = _slope(0.0, 0.4)
    facing = np.cos(np.arctan(0.4) + np.radians(pitch_deg))

    picture = take_picture(slope, _plain(slope, (255, 51, 0)), pitch_deg)

    light = AMBIENT + (1 - AMBIENT) * facing
    expected = np.broadcast_to(light * np.array([1.0, 0.2, 0.0]), picture.pixels.shape)
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-5)
    assert picture.pixels.dtype == np.float32


def test_where_normals_point_away_there_is_the_light_from_everywhere():
    slope = _slope(0.0, 0.4)

    picture = take_picture(replace(slope, normals=-slope.normals), _plain(slope), 0.0)

    np.testing.assert_allclose(picture.pixels, AMBIENT, atol=1e-5)


def test_the_nearest_surface_hides_what_is_behind_it(a_bowl):
    behind = replace(a_bowl, points_mm=a_bowl.points_mm - [0.0, 0.0, 30.0])
    n = len(a_bowl.points_mm)
    both = replace(
        a_bowl,
        points_mm=np.concatenate([behind.points_mm, a_bowl.points_mm]),
        triangles=np.concatenate([behind.triangles, a_bowl.triangles + n]),
        normals=np.concatenate([behind.normals, a_bowl.normals]),
        long_triangles=None,
    )
    colors = np.concatenate([_plain(behind, GREEN), _plain(a_bowl, RED)])

    picture = take_picture(both, colors, 0.0)
    alone = take_picture(a_bowl, _plain(a_bowl, RED), 0.0)

    shown = np.isfinite(alone.depth_mm)
    np.testing.assert_array_equal(picture.pixels[shown], alone.pixels[shown])
    np.testing.assert_array_equal(picture.depth_mm[shown], alone.depth_mm[shown])


def test_what_faces_away_is_not_shown(a_bowl):
    reversed_ = replace(a_bowl, triangles=a_bowl.triangles[:, [0, 2, 1]], normals=-a_bowl.normals)

    picture = take_picture(reversed_, _plain(reversed_, RED), 0.0)

    assert np.isneginf(picture.depth_mm).all()
    assert (picture.pixels == np.float32(BACKGROUND)).all()
    assert np.isnan(picture.to_face(np.array([[128.0, 128.0]]))).all()


def test_no_pixel_is_lost_between_triangles(a_bowl):
    picture = take_picture(a_bowl, _plain(a_bowl), 0.0)
    shown = np.isfinite(picture.depth_mm)

    rows = np.flatnonzero(shown.any(axis=1))
    for row in rows[1:-1]:
        columns = np.flatnonzero(shown[row])
        assert len(columns) == columns[-1] - columns[0] + 1


def test_what_is_seen_edge_on_is_not_shown():
    fin = _surface([[-20, -20, 0], [20, 20, 0], [0, 0, 30]], [[0, 1, 2]])

    assert np.isneginf(take_picture(fin, _plain(fin), 0.0).depth_mm).all()


def test_triangles_far_smaller_than_a_pixel_are_shown_from_their_front_only():
    dense = _slope(0.0, 0.0, half_mm=12.0)
    away = replace(dense, triangles=dense.triangles[:, ::-1])
    middle = slice(N_PIXELS // 2 - 10, N_PIXELS // 2 + 10)

    front, back = (take_picture(each, _plain(each), 0.0).depth_mm for each in (dense, away))

    np.testing.assert_allclose(front[middle, middle], -MIDDLE_MM[2])
    assert np.isneginf(back).all()


@pytest.mark.parametrize(
    ("place", "pixel"),
    [((-50.0, 20.0), (20, 0)), ((1e6, 1e6), (255, 255)), ((255.999, -1e-9), (0, 255))],
)
def test_places_outside_the_picture_have_the_depth_of_its_border(place, pixel):
    slope = _slope(0.3, -0.4)

    picture = take_picture(slope, _plain(slope), 0.0)

    found = picture.to_face(np.array([place]))
    assert found[0, 2] == pytest.approx(picture.depth_mm[pixel] + MIDDLE_MM[2], abs=1e-9)
