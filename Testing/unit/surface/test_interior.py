# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from palnet.surface import Mesh, parse_unit, prepare_scan
from palnet.surface._interior import leave_out_interior
from palnet_meshes import make_head, make_sphere, open_head, shuffle


def join(*parts):
    """One mesh of several, without a name for its parts."""
    shifts = np.cumsum([0, *(len(points) for points, _ in parts[:-1])])
    points = np.concatenate([points for points, _ in parts]).astype(float)
    triangles = np.concatenate(
        [triangles + shift for (_, triangles), shift in zip(parts, shifts, strict=True)]
    )
    return Mesh(points, triangles.astype(np.int32), name="head")


SKIN, SKULL = make_sphere(90, (0, 0, 0), 90), make_sphere(75, (0, 0, 0), 80)
FOLDED = join(SKIN, SKULL, make_sphere(30, (10, 5, -20), 30))


def distances_from_the_middle(mesh):
    return np.hypot.reduce(mesh.points, axis=1)


def test_what_lies_within_is_left_out_and_named():
    left = leave_out_interior(FOLDED)

    np.testing.assert_allclose(distances_from_the_middle(left), 90, atol=1e-4)
    assert len(left.triangles) == len(SKIN[1])
    (finding,) = left.findings
    # Areas go as squares of radii.
    within = (75**2 + 30**2) / (90**2 + 75**2 + 30**2)
    assert finding.code == "interior"
    assert f"left out: {within:.0%}." in finding.message


@pytest.mark.parametrize(
    "mesh",
    [
        join(SKIN),
        join(SKIN, *(make_sphere(12, (x, 70, 0), 60) for x in (-30, 30))),
        make_head(40, 60),
        open_head(make_head(40, 60)),
    ],
    ids=["closed", "eyeballs", "lumpy", "open"],
)
def test_a_head_without_much_within_is_left_as_it_is(mesh):
    assert leave_out_interior(mesh) is mesh


def test_what_can_be_seen_through_an_opening_stays():
    points, triangles = SKIN
    is_open = (points[triangles][:, :, 2] > 85).any(axis=1)
    mesh = join((points, triangles[~is_open]), make_sphere(50, (0, 0, 0), 60))

    assert leave_out_interior(mesh) is mesh


def test_a_triangle_that_ends_outside_stays():
    outside, within = 0, len(SKIN[0])
    bridge = [[outside, outside + 1, within]]
    mesh = replace(FOLDED, triangles=np.concatenate([FOLDED.triangles, bridge]))

    left = leave_out_interior(mesh)

    np.testing.assert_array_equal(left.points[left.triangles[-1]], mesh.points[bridge[0]])
    assert len(left.triangles) == len(SKIN[1]) + 1


@pytest.mark.parametrize("n_rings", [12, 30])
def test_mesh_of_large_triangles_is_judged_like_one_of_small_ones(n_rings):
    """Triangles of 47 and 19 mm, whose vertices alone would make no wall."""
    outside = make_sphere(90, (0, 0, 0), n_rings)
    mesh = join(outside, make_sphere(55, (0, 0, 0), 30))

    left = leave_out_interior(mesh)

    np.testing.assert_allclose(distances_from_the_middle(left), 90, atol=1e-4)
    assert len(left.triangles) == len(outside[1])


def test_flat_end_of_a_volume_that_was_decimated_opens_no_way_into_the_head():
    """A decimation leaves two triangles of the plane where a recording ends."""
    side, height = 150.0, 180.0
    box, skull = make_box(side, height, n_steps=60), make_sphere(60, (0, 0, 0), 60)
    open_box = box[0], box[1][(box[0][box[1]][:, :, 2] > -height / 2).any(axis=1)]
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2
    lid = np.column_stack([corners, np.full(4, -height / 2)]), np.array([[0, 2, 1], [0, 3, 2]])
    mesh = join(open_box, lid, skull)

    left = leave_out_interior(mesh)

    assert len(left.triangles) == len(mesh.triangles) - len(skull[1])
    assert leave_out_interior(join(open_box, skull)).findings == ()  # there the skull is seen


def make_box(side, height, n_steps):
    """A box around the origin, each of its faces a grid."""
    steps = np.linspace(-0.5, 0.5, n_steps + 1)
    first, second = (each.ravel() for each in np.meshgrid(steps, steps, indexing="ij"))
    corner = (np.arange(n_steps)[:, None] * (n_steps + 1) + np.arange(n_steps)).ravel()
    next_row = corner + n_steps + 1
    grid = np.concatenate(
        [
            np.stack([corner, next_row, next_row + 1], axis=1),
            np.stack([corner, next_row + 1, corner + 1], axis=1),
        ]
    )
    points, triangles = [], []
    for axis in range(3):
        for end in (-0.5, 0.5):
            face = np.full((len(first), 3), end)
            face[:, (axis + 1) % 3], face[:, (axis + 2) % 3] = first, second
            triangles.append(grid + len(first) * len(points))
            points.append(face * (side, side, height))
    return np.concatenate(points), np.concatenate(triangles)


@pytest.mark.parametrize("factor", [1e-3, 1 / 25.4, 1e3])
def test_convention_every_unit_place_and_numbering_gives_the_same_surface(factor):
    turn = Rotation.from_euler("xyz", (0.3, -1.1, 2.0)).as_matrix()
    place = factor * np.array([700.0, -2000, 50])
    other = shuffle(replace(FOLDED, points=FOLDED.points @ turn.T * factor + place), seed=3)

    left = leave_out_interior(other)

    from_middle = np.linalg.norm(left.points - place, axis=1)
    np.testing.assert_allclose(from_middle, 90 * factor, rtol=1e-5)
    assert len(left.triangles) == len(SKIN[1])


@pytest.mark.parametrize("far", [1e4, 1e12, 1e150, 1e300])
def test_a_vertex_that_went_astray_hides_nothing_and_shows_nothing(far):
    points = FOLDED.points.copy()
    points[0] = far

    left = leave_out_interior(replace(FOLDED, points=points))

    assert np.percentile(distances_from_the_middle(left), 1) == pytest.approx(90, abs=1e-4)


def test_vertices_without_a_triangle_hide_nothing_and_show_nothing():
    """Most vertices are loose, and lie along a line through the head."""
    loose = np.linspace(-5e3, 5e3, 2 * len(FOLDED.points))[:, None] * [1, 0, 0]
    mesh = replace(FOLDED, points=np.concatenate([FOLDED.points, loose]))

    surface, expected = (prepare_scan(each, parse_unit("mm")) for each in (mesh, FOLDED))

    np.testing.assert_array_equal(surface.points_mm, expected.points_mm)
    np.testing.assert_array_equal(surface.triangles, expected.triangles)


@pytest.mark.parametrize(("radius", "is_left_out"), [(33, False), (40, True)])
def test_what_lies_within_stays_below_15_percent_of_the_area(radius, is_left_out):
    mesh = join(SKIN, make_sphere(radius, (0, 0, 0), 90))

    left = leave_out_interior(mesh)

    assert (len(left.triangles) < len(mesh.triangles)) == is_left_out


def make_even_sphere(radius, n_points):
    """Points on a spiral, each about as far from the next as from those beside it."""
    steps = np.arange(n_points)
    height, around = 1 - (2 * steps + 1) / n_points, np.pi * (3 - np.sqrt(5)) * steps
    width = np.sqrt(1 - height**2)
    unit = np.stack([width * np.cos(around), width * np.sin(around), height], axis=1)
    return radius * unit, ConvexHull(unit).simplices


def split(points, triangles):
    """Four triangles of each one."""
    middles = (points[triangles] + points[np.roll(triangles, -1, axis=1)]) / 2
    numbers = len(points) + np.arange(3 * len(triangles)).reshape(-1, 3)
    (a, b, c), (ab, bc, ca) = triangles.T, numbers.T
    corners = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return (
        np.concatenate([points, middles.reshape(-1, 3)]),
        np.concatenate([np.stack(each, axis=1) for each in corners]),
    )


def test_a_face_of_small_triangles_opens_no_way_through_the_large_ones_behind():
    """How wide the gaps of the wall are is told by the large triangles, though they are few."""
    points, triangles = make_even_sphere(90, 8000)
    is_face = (points[triangles][:, :, 2] > 20).all(axis=1)
    face = split(*split(points, triangles[is_face]))
    mesh = join(face, (points, triangles[~is_face]), make_sphere(75, (0, 0, 0), 80))

    left = leave_out_interior(mesh)

    assert distances_from_the_middle(left).min() > 85


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((4, 3)), np.eye(3)])
def test_what_is_no_surface_is_left_as_it_is(points):
    triangles = np.array([[0, 1, 2]]) if len(points) else np.zeros((0, 3))
    mesh = Mesh(points, triangles.astype(np.int32), name="none")

    assert leave_out_interior(mesh) is mesh


def test_a_detection_looks_at_the_outside_alone():
    surface = prepare_scan(FOLDED, parse_unit("mm"))

    assert surface.findings[0].code == "interior"
    assert np.linalg.norm(surface.points_mm, axis=1).min() > 89
