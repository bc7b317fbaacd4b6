# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palnet.surface import Surface, crop_surface, parse_unit, prepare_surface
from palnet.surface import project_onto_triangles as project
from palnet_meshes import make_head

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
    np.testing.assert_allclose(
        np.linalg.norm(queries - found.points_mm, axis=1), found.distances_mm, atol=1e-12
    )


def test_nothing_is_asked_and_nothing_is_found():
    assert project(SURFACE, np.zeros((0, 3))).points_mm.shape == (0, 3)


def test_triangles_without_an_area_are_passed_over():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 0, 5], [1, 0, 5], [0, 1, 5]])
    normals = np.tile([0.0, 0.0, 1.0], (6, 1))
    query = np.array([[0.25, 0.25, 0.0]])

    found = project(Surface(corners, np.array([[0, 1, 2], [3, 4, 5]]), normals), query)

    np.testing.assert_allclose(found.points_mm, [[0.25, 0.25, 5.0]])
    with pytest.raises(ValueError, match="triangles with an area"):
        project(Surface(corners, np.array([[0, 1, 2]]), normals), query)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"queries_mm must have shape \(n_points, 3\)"):
        project(SURFACE, np.zeros(3))
    with pytest.raises(ValueError, match="queries_mm must be finite"):
        project(SURFACE, np.array([[np.nan, 0, 0]]))
    with pytest.raises(ValueError, match="surface must have triangles"):
        project(
            crop_surface(SURFACE, np.zeros(len(SURFACE.points_mm), dtype=bool)), np.zeros((1, 3))
        )
