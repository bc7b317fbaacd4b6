# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from palnet.surface import (
    Mesh,
    _prepare,
    parse_unit,
    prepare_scan,
    prepare_surface,
    project_onto_triangles,
    thin_mesh,
)
from palnet.surface._canonical import MAX_PACKED
from palnet.surface._thin import CELL_PARTS
from palnet.surface._vectors import CHUNK_ROWS
from palnet_meshes import make_head, shuffle

MM = parse_unit("mm")


@pytest.fixture
def a_low_limit(monkeypatch):
    """Makes every test mesh a dense one."""
    monkeypatch.setattr("palnet.surface._prepare.DENSE_POINTS", 100)
    monkeypatch.setattr("palnet.surface._prepare.THIN_CELL_MM", 12.0)


def naive_means(points, cell):
    """Mean of the points in each cell, in the order of the cells."""
    low = points.min(axis=0)
    cells = {}
    for point in points:
        cells.setdefault(tuple(((point - low) / cell).astype(int)), []).append(point)
    return np.array([np.mean(cells[key], axis=0) for key in sorted(cells)])


@given(st.integers(0, 2**32 - 1), st.floats(1.0, 300.0))
@settings(max_examples=20)
def test_every_cell_keeps_the_mean_of_its_vertices(seed, cell):
    points = np.random.default_rng(seed).uniform(-100, 100, (300, 3))
    triangles = np.arange(300).reshape(-1, 3)

    thinned = thin_mesh(Mesh(points, triangles), cell)

    # Positions are rounded to the nearest of the small parts of a cell.
    expected = naive_means(points, cell)
    np.testing.assert_allclose(thinned.points, expected, rtol=0, atol=0.501 * cell / CELL_PARTS)


def test_a_triangle_joins_the_means_of_three_cells_or_is_gone():
    """Of more vertices and triangles than are processed at once."""
    rng = np.random.default_rng(5)
    points = rng.uniform(-100, 100, (2 * CHUNK_ROWS, 3))
    triangles = rng.integers(0, len(points), (2 * CHUNK_ROWS, 3))

    thinned = thin_mesh(Mesh(points, triangles), 50.0)

    cells = ((points - points.min(axis=0)) / 50.0).astype(int)
    number = np.unique(cells, axis=0, return_inverse=True)[1].ravel()
    kept = [row for row in number[triangles].tolist() if len(set(row)) == 3]
    assert 0 < len(kept) < len(triangles)
    np.testing.assert_array_equal(thinned.triangles, kept)
    np.testing.assert_allclose(thinned.points, naive_means(points, 50.0), atol=50.0 / CELL_PARTS)


@pytest.mark.parametrize("seed", range(3))
def test_numbering_never_changes_a_bit(seed, a_low_limit):
    mesh = make_head(40, 60)

    surface = prepare_scan(mesh, MM)
    again = prepare_scan(shuffle(mesh, seed), MM)

    np.testing.assert_array_equal(again.points_mm, surface.points_mm)
    np.testing.assert_array_equal(again.triangles, surface.triangles)
    np.testing.assert_array_equal(again.normals, surface.normals)
    assert [each.code for each in again.findings] == [each.code for each in surface.findings]


def test_ordinary_meshes_are_left_as_they_are():
    mesh = make_head()

    surface, expected = prepare_scan(mesh, MM), prepare_surface(mesh, MM)

    np.testing.assert_array_equal(surface.points_mm, expected.points_mm)
    np.testing.assert_array_equal(surface.triangles, expected.triangles)
    assert surface.findings == expected.findings


def test_a_dense_mesh_keeps_its_shape_and_says_that_it_was_thinned(a_low_limit):
    mesh = make_head(40, 60)

    surface, whole = prepare_scan(mesh, MM), prepare_surface(mesh, MM)

    assert len(surface.points_mm) < 0.8 * len(whole.points_mm)
    assert surface.findings[0].code == "thinned"
    assert str(len(mesh.points)) in surface.findings[0].message
    off = project_onto_triangles(whole, surface.points_mm).distances_mm
    assert np.median(off) < 1.0  # of cells of 12 mm on a head of 90 mm radius
    nearest = cKDTree(whole.points_mm).query(surface.points_mm)[1]
    agreement = (whole.normals[nearest] * surface.normals).sum(axis=1)
    assert (agreement > 0).mean() > 0.98


@pytest.mark.parametrize("unit", ["um", "cm", "m", "in"])
def test_convention_cells_are_as_large_in_every_unit(unit, a_low_limit):
    mesh, unit = make_head(40, 60), parse_unit(unit)

    surface = prepare_scan(replace(mesh, points=mesh.points / unit.mm_per_unit), unit)

    expected = prepare_scan(mesh, MM)
    # A vertex on the very edge of a cell may fall to either side of it after the division.
    assert abs(len(surface.points_mm) - len(expected.points_mm)) < 0.02 * len(expected.points_mm)


def beside(mesh, piece, shift):
    return Mesh(
        np.vstack([mesh.points, piece.points + shift]),
        np.vstack([mesh.triangles, piece.triangles + len(mesh.points)]),
    )


@pytest.mark.parametrize("shift", [(2e6, 0, 0), (-1e9, 1e12, 0), (0, 0, 1e300)])
def test_a_scrap_that_lies_very_far_away_leaves_the_rest_thinned(shift, a_low_limit):
    head = make_head(40, 60)
    scrap = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))

    surface, alone = (prepare_scan(mesh, MM) for mesh in (beside(head, scrap, shift), head))

    assert "thinned" in [finding.code for finding in surface.findings]
    # The grid lies otherwise.
    assert len(surface.points_mm) == pytest.approx(len(alone.points_mm), rel=0.05)
    away = np.linalg.norm(surface.points_mm[:, None] - alone.points_mm, axis=2).min(axis=1)
    assert away.max() < 12.0


def test_two_halves_that_lie_very_far_apart_are_left_as_they_are():
    mesh = beside(make_head(), make_head(), (1e9, 0, 0))

    assert thin_mesh(mesh, 1.0) is mesh


@pytest.mark.parametrize("shift", [1e9, -1e9])
def test_the_larger_part_is_thinned_where_the_other_lies_very_far_away(shift):
    larger = np.random.default_rng(3).uniform(0, 9, (60, 3))
    points = np.vstack([larger, larger[:40] + shift])

    thinned = thin_mesh(Mesh(points, np.arange(99).reshape(-1, 3)), 3.0)

    is_near = (np.abs(thinned.points) < 10).all(axis=1)
    assert 20 < is_near.sum() < 60
    assert (~is_near).sum() == 1


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("origin", [0.0, -5e6])
@pytest.mark.parametrize("ends", [(0, 1), (-1, 1)], ids=["one end", "both ends"])
@pytest.mark.parametrize("far", [MAX_PACKED + each for each in (-1.5, -0.5, 0.5, 1.5, 1e12)])
def test_cells_at_the_ends_of_the_grid_are_never_taken_for_others(far, ends, origin, axis):
    """The last cell of a row would be numbered as the first of the next."""
    points = np.full((7, 3), 0.25)
    points[:, 0] += [0, 1, 0, 1, 2, 3, 4]
    points[:2, axis] += [far * ends[1], far * ends[0]]
    points[2:, 0] += 5

    thinned = thin_mesh(Mesh(points + origin, np.arange(6).reshape(-1, 3)), 1.0)

    assert len(thinned.points) == len(points)
    np.testing.assert_allclose(
        np.sort(thinned.points[:, 0]), np.sort(points[:, 0]) + origin, atol=1e-3
    )
    stays = far * (ends[1] - ends[0]) < MAX_PACKED - 1
    expected = far if stays else MAX_PACKED / 2  # from the middle, where most of the points are
    assert np.ptp(thinned.points[:, axis]) == pytest.approx(expected * (ends[1] - ends[0]), abs=2.0)


def test_findings_that_thinning_alone_made_are_not_told(a_low_limit):
    """Both sheets of a shell share cells, and a crumb lies within one."""
    head = make_head(40, 60)
    within = Mesh(0.99 * head.points, head.triangles[:, ::-1])
    crumb = Mesh(0.001 * head.points, head.triangles)
    mesh = beside(beside(beside(head, within, 0), crumb, (300, 0, 0)), head, (0, 500, 0))
    whole, thinned = (
        {finding.code for finding in surface.findings}
        for surface in (prepare_surface(mesh, MM), prepare_surface(thin_mesh(mesh, 12.0), MM))
    )

    told = {finding.code for finding in prepare_scan(mesh, MM).findings}

    assert thinned - whole >= _prepare.MADE_BY_THINNING
    assert not told & _prepare.MADE_BY_THINNING
    assert {"thinned", "loose_pieces"} <= told <= whole | {"thinned", "holes"}


def test_what_cannot_be_thinned_is_not_said_to_be(a_low_limit):
    head = make_head()

    surface = prepare_scan(beside(head, head, (1e9, 0, 0)), MM)

    assert "thinned" not in [finding.code for finding in surface.findings]


@pytest.mark.parametrize("cell", [0.0, -1.0, np.nan, np.inf])
def test_a_cell_without_a_size_is_refused(cell):
    with pytest.raises(ValueError, match="cell must be a positive number; got"):
        thin_mesh(make_head(), cell)


def test_vertices_of_each_triangle_and_loose_ones_make_no_mesh_dense(monkeypatch):
    """An STL file holds each vertex six times; the surface is that of the other formats."""
    head = make_head(40, 60)
    monkeypatch.setattr(_prepare, "DENSE_POINTS", len(head.points))
    corners = head.points[head.triangles.ravel()]
    unwelded = replace(
        head, points=corners, triangles=np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    )
    loose = replace(head, points=np.vstack([head.points, head.points[:100] + 500.0]))
    expected = prepare_scan(head, MM)

    for mesh in (unwelded, loose):
        surface = prepare_scan(mesh, MM)

        np.testing.assert_array_equal(surface.points_mm, expected.points_mm)
        np.testing.assert_array_equal(surface.triangles, expected.triangles)
        assert "thinned" not in {finding.code for finding in surface.findings}


def test_points_without_triangles_are_not_thinned():
    for points in (np.zeros((0, 3)), make_head().points):
        mesh = Mesh(points, np.zeros((0, 3), dtype=int))

        assert thin_mesh(mesh, 1.0) is mesh
