# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
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
    return np.linalg.norm(mesh.points, axis=1)


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


def test_nothing_is_told_of_a_mesh_whose_vertices_are_far_apart():
    mesh = join(make_sphere(90, (0, 0, 0), 30), make_sphere(55, (0, 0, 0), 30))

    assert leave_out_interior(mesh) is mesh


@pytest.mark.parametrize("factor", [1e-3, 1 / 25.4, 1e3])
def test_convention_every_unit_and_numbering_gives_the_same_surface(factor):
    turn = Rotation.from_euler("xyz", (0.3, -1.1, 2.0)).as_matrix()
    other = shuffle(replace(FOLDED, points=FOLDED.points @ turn.T * factor), seed=3)

    left = leave_out_interior(other)

    np.testing.assert_allclose(distances_from_the_middle(left), 90 * factor, rtol=1e-5)
    assert len(left.triangles) == len(SKIN[1])


@pytest.mark.parametrize("far", [1e4, 1e12, 1e150])
def test_a_vertex_that_went_astray_hides_nothing_and_shows_nothing(far):
    points = FOLDED.points.copy()
    points[0] = far

    left = leave_out_interior(replace(FOLDED, points=points))

    assert np.percentile(distances_from_the_middle(left), 1) == pytest.approx(90, abs=1e-4)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((4, 3)), np.eye(3)])
def test_what_is_no_surface_is_left_as_it_is(points):
    triangles = np.array([[0, 1, 2]]) if len(points) else np.zeros((0, 3))
    mesh = Mesh(points, triangles.astype(np.int32), name="none")

    assert leave_out_interior(mesh) is mesh


def test_a_detection_looks_at_the_outside_alone():
    surface = prepare_scan(FOLDED, parse_unit("mm"))

    assert surface.findings[0].code == "interior"
    assert np.linalg.norm(surface.points_mm, axis=1).min() > 89
