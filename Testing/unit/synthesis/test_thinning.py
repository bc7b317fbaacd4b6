# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from palnet.synthesis.thinning import cluster_vertices, decimate
from palnet_meshes import grid_triangles, make_sphere


@pytest.mark.parametrize("spacing_mm", [2.0, 5.0])
def test_cluster_moves_no_vertex_farther_than_a_cell(spacing_mm):
    points, triangles = make_sphere(30.0, [0, 0, 0], 40)

    means, kept = cluster_vertices(points, triangles, spacing_mm, np.random.default_rng(1))

    apart, _ = cKDTree(means).query(points)
    assert apart.max() <= spacing_mm * np.sqrt(3)
    assert kept.max() < len(means)
    assert all(len(set(row)) == 3 for row in kept.tolist())


def test_cluster_keeps_about_one_vertex_a_cell():
    points, triangles = make_sphere(30.0, [0, 0, 0], 60)

    means, kept = cluster_vertices(points, triangles, 4.0, np.random.default_rng(1))

    # A surface of area A crosses about 1.5 A / spacing^2 cells of a grid: measured 1.51.
    n_cells = 4 * np.pi * 30**2 / 4.0**2
    assert 1.3 * n_cells < len(means) < 1.7 * n_cells
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), 30, atol=0.5)
    a, b, c = (means[kept[:, k]] for k in range(3))
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), a) >= -1e-3).mean() > 0.99


# --- decimation ----------------------------------------------------------------------------------


def a_plate_with_a_dent():
    """A flat square of 120 mm at 1.5 mm spacing, with a dent 10 mm wide in its middle."""
    x, y = np.meshgrid(np.arange(-60, 60.1, 1.5), np.arange(-60, 60.1, 1.5))
    z = -4 * np.exp(-(x**2 + y**2) / (2 * 5.0**2))
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32)
    return points, grid_triangles(*x.shape)


def test_decimation_keeps_small_triangles_where_the_surface_bends():
    points, triangles = a_plate_with_a_dent()

    kept, few = decimate(points, triangles, 0.9)

    from_dent = np.hypot(*kept[few].mean(axis=1)[:, :2].T)
    assert len(few) < 0.11 * len(triangles)
    # The dent of 5 mm sigma keeps its 1.5 mm; the plate round it falls into a handful of triangles.
    n_before = np.hypot(*points[triangles].mean(axis=1)[:, :2].T)
    assert (from_dent < 8).sum() > 0.9 * (n_before < 8).sum()
    assert (from_dent > 30).sum() < 0.01 * (n_before > 30).sum()


def test_decimation_stays_on_the_surface_and_faces_as_before():
    points, triangles = a_plate_with_a_dent()

    kept, few = decimate(points, triangles, 0.6)

    expected = -4 * np.exp(-(kept[:, 0] ** 2 + kept[:, 1] ** 2) / (2 * 5.0**2))
    np.testing.assert_allclose(kept[:, 2], expected, atol=0.25)  # measured 0.07
    a, b, c = (kept[few[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).mean() > 0.99
    assert sorted(np.unique(few)) == list(range(len(kept)))
