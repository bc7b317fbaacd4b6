# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from palnet.surface import Mesh, Surface, crop_surface, parse_unit, prepare_surface
from palnet.surface import project_onto_triangles as project
from palnet_meshes import make_head, open_head

MM = parse_unit("mm")
SURFACE = prepare_surface(make_head(20, 30), MM)


def brute_force(surface, queries):
    """Distance to every triangle by the seven regions of Ericson, Real-Time Collision Detection."""
    return np.array(
        [
            min(
                np.linalg.norm(query - _ericson(query, *surface.points_mm[row]))
                for row in surface.triangles
            )
            for query in queries
        ]
    )


def _ericson(p, a, b, c):  # noqa: PLR0911 - as many as the regions
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = ab @ ap, ac @ ap
    if d1 <= 0 and d2 <= 0:
        return a
    bp = p - b
    d3, d4 = ab @ bp, ac @ bp
    if d3 >= 0 and d4 <= d3:
        return b
    vc = d1 * d4 - d3 * d2
    if vc <= 0 <= d1 and d3 <= 0:
        return a + d1 / (d1 - d3) * ab
    cp = p - c
    d5, d6 = ab @ cp, ac @ cp
    if d6 >= 0 and d5 <= d6:
        return c
    vb = d5 * d2 - d1 * d6
    if vb <= 0 <= d2 and d6 <= 0:
        return a + d2 / (d2 - d6) * ac
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 >= d3 and d5 >= d6:
        return b + (d4 - d3) / ((d4 - d3) + (d5 - d6)) * (c - b)
    total = va + vb + vc
    return a + vb / total * ab + vc / total * ac


def _soup(seed, n=60):
    """Triangles of all sizes and shapes, everywhere, also crossing each other."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(scale=100.0, size=(n, 1, 3))
    corners = middle + rng.normal(size=(n, 3, 3)) * 10.0 ** rng.uniform(-2, 3, (n, 1, 1))
    triangles = np.arange(3 * n).reshape(-1, 3)
    return Surface(corners.reshape(-1, 3), triangles, np.tile([0.0, 0.0, 1.0], (3 * n, 1)))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 5.0, 300.0, 1e4]))
def test_distances_equal_those_of_brute_force_on_triangles_of_all_sizes(seed, spread):
    soup = _soup(seed)
    queries = np.random.default_rng(seed).normal(scale=spread, size=(12, 3))

    found = project(soup, queries)

    np.testing.assert_allclose(found.distances_mm, brute_force(soup, queries), rtol=1e-9, atol=1e-9)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 400.0))
def test_distances_equal_those_of_brute_force_on_a_head(seed, spread):
    rng = np.random.default_rng(seed)
    near = SURFACE.points_mm[rng.integers(0, len(SURFACE.points_mm), 10)]
    queries = near + rng.normal(scale=spread, size=near.shape)

    found = project(SURFACE, queries)

    np.testing.assert_allclose(found.distances_mm, brute_force(SURFACE, queries), atol=1e-9)


def test_the_point_lies_on_the_triangle_that_is_named():
    rng = np.random.default_rng(2)
    queries = rng.normal(scale=100.0, size=(200, 3))

    found = project(SURFACE, queries)

    corners = SURFACE.points_mm[SURFACE.triangles[found.triangles]]
    shares = np.stack(
        [np.linalg.lstsq(np.vstack([c.T, [1, 1, 1]]), [*p, 1.0], rcond=None)[0]
         for c, p in zip(corners, found.points_mm, strict=True)]
    )  # fmt: skip
    assert shares.min() > -1e-9
    np.testing.assert_allclose(np.einsum("ij,ijk->ik", shares, corners), found.points_mm, atol=1e-9)
    np.testing.assert_allclose(
        np.linalg.norm(queries - found.points_mm, axis=1), found.distances_mm, atol=1e-12
    )


def test_a_huge_triangle_is_hit_far_from_all_its_corners():
    head = make_head()
    points = np.vstack([head.points, [[-400, -400, 300.0], [800, 0, 300.0], [0, 800, 300.0]]])
    triangles = np.vstack([head.triangles, np.arange(3) + len(head.points)])
    surface = prepare_surface(Mesh(points, triangles), MM)

    found = project(surface, np.array([[10.0, 20.0, 290.0], [0.0, 0.0, 126.0]]))

    np.testing.assert_allclose(found.points_mm[0], [10.0, 20.0, 300.0], atol=1e-9)
    assert found.distances_mm[1] < 20.0


def test_vertex_that_went_astray_widens_no_search(monkeypatch):
    """One had every query look at all triangles, which took 20 times as long."""
    head = make_head(40, 60)
    points = head.points.copy()
    points[len(points) // 2] += 1000.0
    queries = np.random.default_rng(4).normal(scale=60.0, size=(30, 3))

    n_whole, _ = project_counting(prepare_surface(head, MM), queries, monkeypatch)
    astray = prepare_surface(Mesh(points, head.triangles), MM)
    n_astray, found = project_counting(astray, queries, monkeypatch)

    assert astray.points_mm.max() > 800.0
    assert n_astray < 1.5 * n_whole
    np.testing.assert_allclose(found.distances_mm, brute_force(astray, queries), atol=1e-9)


def project_counting(surface, queries, monkeypatch):
    """How many triangles the search by spheres looks at, and what it finds."""
    counts = []

    class CountingTree:
        def __init__(self, points):
            self.tree = cKDTree(points)
            self.query = self.tree.query

        def query_ball_point(self, *where):
            found = self.tree.query_ball_point(*where)
            counts.extend(map(len, found))
            return found

    monkeypatch.setattr("palnet.surface._project._tree", CountingTree)
    found = project(surface, queries)
    return sum(counts), found


def test_points_of_the_surface_stay_where_they_are():
    found = project(SURFACE, SURFACE.points_mm)

    np.testing.assert_allclose(found.points_mm, SURFACE.points_mm, atol=1e-12)
    assert found.distances_mm.max() < 1e-12


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 50.0))
def test_projection_follows_rotation_scale_and_translation(seed, scale):
    rng = np.random.default_rng(seed)
    turn, shift = Rotation.random(random_state=seed % 2**31), rng.normal(scale=200.0, size=3)
    queries = rng.normal(scale=90.0, size=(30, 3))
    moved = prepare_surface(
        Mesh(scale * turn.apply(SURFACE.points_mm.copy()) + shift, SURFACE.triangles), MM
    )

    found = project(moved, scale * turn.apply(queries) + shift)

    expected = project(SURFACE, queries)
    np.testing.assert_allclose(
        found.distances_mm, scale * expected.distances_mm, rtol=1e-7, atol=1e-9
    )
    np.testing.assert_allclose(
        found.points_mm,
        scale * turn.apply(expected.points_mm.copy()) + shift,
        atol=1e-6 * max(scale, 1.0),
    )


def test_projection_onto_a_crop_and_a_rescaled_surface_is_exact():
    keep = SURFACE.points_mm[:, 2] > 0.0
    cropped = crop_surface(SURFACE, keep)
    queries = np.random.default_rng(4).normal(scale=120.0, size=(20, 3))

    np.testing.assert_allclose(
        project(cropped, queries).distances_mm, brute_force(cropped, queries)
    )
    large = SURFACE.rescaled(parse_unit("cm"))
    np.testing.assert_allclose(project(large, queries).distances_mm, brute_force(large, queries))


def test_the_order_of_triangles_does_not_matter():
    rng = np.random.default_rng(9)
    shuffled = Surface(
        SURFACE.points_mm,
        SURFACE.triangles[rng.permutation(len(SURFACE.triangles))],
        SURFACE.normals,
    )
    queries = rng.normal(scale=120.0, size=(40, 3))

    np.testing.assert_allclose(
        project(shuffled, queries).points_mm, project(SURFACE, queries).points_mm, atol=1e-12
    )


def test_a_single_query_far_away_and_none_at_all():
    assert project(SURFACE, np.array([[1e6, 0.0, 0.0]])).distances_mm[0] == pytest.approx(
        1e6, rel=1e-3
    )
    assert project(SURFACE, np.zeros((0, 3))).points_mm.shape == (0, 3)


def test_an_open_surface_is_met_at_its_rim():
    opened = prepare_surface(open_head(make_head()), MM)
    below = np.array([[0.0, 0.0, -300.0]])

    found = project(opened, below)

    np.testing.assert_allclose(found.distances_mm, brute_force(opened, below))


def test_the_nearest_point_is_a_minimum():
    """Against an optimiser over the shares of the corners, which knows no geometry."""
    corners = np.array([[0.0, 0, 0], [10, 1, 2], [3, 8, -1]])
    surface = Surface(corners, np.array([[0, 1, 2]]), np.tile([0.0, 0, 1], (3, 1)))
    query = np.array([[6.0, 7.0, 5.0]])

    found = project(surface, query)

    best = minimize(
        lambda s: ((np.array([1 - s[0] - s[1], *s]) @ corners - query[0]) ** 2).sum(), [0.3, 0.3],
        bounds=[(0, 1), (0, 1)], constraints={"type": "ineq", "fun": lambda s: 1 - s.sum()},
    )  # fmt: skip
    assert found.distances_mm[0] == pytest.approx(np.sqrt(best.fun), abs=1e-4)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"queries_mm must have shape \(n_points, 3\)"):
        project(SURFACE, np.zeros(3))
    with pytest.raises(ValueError, match="queries_mm must be finite"):
        project(SURFACE, np.array([[np.nan, 0, 0]]))
    with pytest.raises(ValueError, match="surface must have triangles"):
        project(
            crop_surface(SURFACE, np.zeros(len(SURFACE.points_mm), dtype=bool)), np.zeros((1, 3))
        )
