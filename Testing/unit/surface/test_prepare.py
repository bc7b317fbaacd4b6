# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from copy import copy, deepcopy
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from palnet.errors import MeshError
from palnet.surface import (
    Mesh,
    Surface,
    Unit,
    crop_surface,
    drop_unused,
    inspect_surface,
    mesh_without_lost,
    parse_unit,
    prepare_surface,
    project_onto_triangles,
    read_mesh,
    sample_surface,
)
from palnet.surface._surface import find_long_triangles
from palnet.surface._units import bulk_diameter
from palnet.surface._winding import sort_edges
from palnet_meshes import make_head, open_head, shuffle

MM = parse_unit("mm")
HEAD = make_head()


def _codes(surface):
    return {each.code for each in surface.findings}


def _assert_same(left, right):
    for name in ("points_mm", "triangles", "normals"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


def _flux(surface):
    a, b, c = (surface.points_mm[surface.triangles[:, k]] for k in range(3))
    middle = surface.points_mm.mean(axis=0)
    return float((np.cross(b - a, c - a) * ((a + b + c) / 3.0 - middle)).sum())


def _join(*meshes):
    starts = np.cumsum([0, *(len(mesh.points) for mesh in meshes)])
    return Mesh(
        np.vstack([mesh.points for mesh in meshes]),
        np.vstack([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=False)]),
    )


# --- numbering -----------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_numbering_never_changes_a_bit(seed):
    _assert_same(prepare_surface(shuffle(HEAD, seed), MM), prepare_surface(HEAD, MM))


@given(st.integers(0, 2**32 - 1))
def test_numbering_never_changes_a_bit_of_a_mesh_with_every_fault(seed):
    rng = np.random.default_rng(seed)
    broken = _broken_mesh()

    surface = prepare_surface(shuffle(broken, int(rng.integers(2**31))), MM)

    _assert_same(surface, prepare_surface(broken, MM))


def _broken_mesh():
    """Loose pieces, mixed winding, repeated, collapsed and flat triangles, unused points."""
    rng = np.random.default_rng(11)
    head = open_head(HEAD)
    turned = np.where(
        rng.random(len(head.triangles))[:, None] < 0.3, head.triangles[:, ::-1], head.triangles
    )
    small = Mesh(0.05 * HEAD.points + [200.0, 0.0, 0.0], HEAD.triangles[:, ::-1])
    mesh = _join(Mesh(head.points, turned), small)
    n = len(mesh.points)
    points = np.vstack([mesh.points, [[500.0, 0, 0], [0, 0, 0], [1, 0, 0], [3, 0, 0]]])
    triangles = np.vstack(
        [
            mesh.triangles,
            turned[:9, [1, 2, 0]],
            turned[5:12, ::-1],
            [[1, 1, 2]],
            [[n + 1, n + 2, n + 3]],
        ]
    )
    return Mesh(points, triangles)


def test_points_that_share_a_sorting_key_are_told_apart():
    """A stray point far away makes the grid of the sorting key coarse."""
    far = Mesh(np.vstack([HEAD.points, [[1e9, 0, 0], [1e9, 1, 0], [1e9, 0, 1]]]),
               np.vstack([HEAD.triangles, np.arange(3) + len(HEAD.points)]))  # fmt: skip

    surface = prepare_surface(far, MM)

    assert len(surface.points_mm) == len(far.points)
    _assert_same(prepare_surface(shuffle(far, 1), MM), surface)


@pytest.mark.parametrize("far", [1e4, -1e6, 1e8, -1e10])
def test_vertex_that_went_astray_leaves_the_rest_as_it_is(far):
    stray = Mesh(np.vstack([HEAD.points, [far, 0, 0]]),
                 np.vstack([HEAD.triangles, [0, 1, len(HEAD.points)]]))  # fmt: skip

    surface = prepare_surface(shuffle(stray, 2), MM)

    _assert_same(replace(surface, findings=()), replace(prepare_surface(HEAD, MM), findings=()))
    told = [found.message for found in surface.findings]
    assert told == ["Triangles many times as long as the scan, left out: 1."]


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("times", "stays"), [(9.0, True), (11.0, False)])
def test_triangle_up_to_ten_times_as_long_as_the_scan_stays(times, stays, factor):
    far = HEAD.points[0] + [times * bulk_diameter(HEAD.points), 0, 0]
    mesh = Mesh(factor * np.vstack([HEAD.points, far]),
                np.vstack([HEAD.triangles, [0, 1, len(HEAD.points)]]))  # fmt: skip

    surface = prepare_surface(mesh, MM)

    assert len(surface.triangles) == len(HEAD.triangles) + stays


def test_one_long_triangle_is_no_stray_of_itself():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1000, 0]])

    surface = prepare_surface(Mesh(points, np.array([[0, 1, 2]])), MM)

    assert (len(surface.triangles), surface.points_mm.max()) == (1, 1000.0)


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize(("height", "stays"), [(2e-12, True), (7e-13, False)])
def test_a_sliver_without_a_direction_is_one_in_every_unit(height, stays, factor):
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0, height]])

    surface = prepare_surface(Mesh(factor * points, np.array([[0, 1, 2], [1, 0, 3]])), MM)

    assert len(surface.triangles) == 1 + stays


def test_convention_triangles_start_with_their_smallest_corner_and_are_sorted():
    triangles = prepare_surface(HEAD, MM).triangles

    assert (triangles[:, 0] < triangles[:, 1:].min(axis=1)).all()
    ranked = [tuple(sorted(row)) for row in triangles.tolist()]
    assert ranked == sorted(ranked)


def test_huge_numbers_of_points_take_the_other_way_to_the_same_order(monkeypatch):
    from palnet.surface import _canonical

    expected = prepare_surface(_broken_mesh(), MM)
    monkeypatch.setattr(_canonical, "MAX_PACKED", 0)
    monkeypatch.setattr(_canonical, "_position_keys", lambda points: np.zeros(len(points), int))

    by_rows = prepare_surface(_broken_mesh(), MM)

    assert len(by_rows.triangles) == len(expected.triangles)
    assert {tuple(p) for p in by_rows.points_mm} == {tuple(p) for p in expected.points_mm}


def test_edges_are_sorted_by_their_ends_and_then_by_triangle():
    turned = np.arange(len(HEAD.triangles))[:, None] % 5 == 0
    triangles = np.where(turned, HEAD.triangles[:, ::-1], HEAD.triangles)
    triangles = np.concatenate([triangles, triangles[:40], triangles[20:60, ::-1]])
    ways = [
        (min(way), max(way), row, way[0] > way[1])
        for row, (a, b, c) in enumerate(triangles.tolist())
        for way in ((a, b), (b, c), (c, a))
    ]

    keys, rows = sort_edges(triangles)

    ends = [
        (key >> 32, key % 2**32 >> 1, row, key % 2 == 1)
        for key, row in zip(keys.tolist(), rows.tolist(), strict=True)
    ]
    assert ends == sorted(ways)


# --- cleaning ------------------------------------------------------------------------------------


def test_points_at_the_same_place_are_welded():
    split = Mesh(
        HEAD.points[HEAD.triangles].reshape(-1, 3),
        np.arange(3 * len(HEAD.triangles)).reshape(-1, 3),
    )

    _assert_same(prepare_surface(split, MM), prepare_surface(HEAD, MM))


def test_zero_and_minus_zero_are_the_same_place():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [-0.0, -0.0, 0], [-1, 0, 0]])

    surface = prepare_surface(Mesh(points, np.array([[0, 1, 2], [3, 2, 4]])), MM)

    assert len(surface.points_mm) == 4


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_drop_unused_keeps_the_shape(kind):
    points, some = HEAD.points.astype(kind), HEAD.triangles[::9]

    kept, renumbered = drop_unused(points, some)

    assert kept.dtype == kind
    np.testing.assert_array_equal(kept[renumbered], points[some])
    assert sorted(np.unique(renumbered)) == list(range(len(kept)))
    assert len(kept) < len(points)


def test_repeated_collapsed_and_flat_triangles_and_unused_points_are_left_out():
    clean = prepare_surface(HEAD, MM)
    n = len(HEAD.points)
    in_line = HEAD.points[0] + np.array([[0, 0, 1], [0, 0, 2]])
    points = np.vstack([HEAD.points, [[900.0, 0, 0]], in_line])
    triangles = np.vstack(
        [HEAD.triangles, HEAD.triangles[:5, ::-1], [[0, 0, 1], [0, n + 1, n + 2]]]
    )

    surface = prepare_surface(Mesh(points, triangles), MM)

    _assert_same(surface, clean)
    assert _codes(surface) == {"unreferenced_vertices", "duplicate_triangles"}


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 3)),
        np.zeros((3, 3)),
        np.array([[0.0, 0, 0], [1, 1, 1], [3, 3, 3]]),
        np.ones((3, 3)) * 7,
    ],
)
def test_a_mesh_without_area_is_refused(points):
    triangles = np.arange(len(points)).reshape(-1, 3)

    with pytest.raises(MeshError, match="no triangle of the mesh has an area"):
        prepare_surface(Mesh(points, triangles), MM)


# --- winding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mesh", [HEAD, open_head(HEAD)], ids=["closed", "open"])
def test_an_inward_surface_is_turned_outward_and_reported(mesh):
    surface = prepare_surface(Mesh(mesh.points, mesh.triangles[:, ::-1]), MM)

    _assert_same(surface, prepare_surface(mesh, MM))
    assert _flux(surface) > 0
    assert "inside_out" in _codes(surface)
    assert "inside_out" not in _codes(prepare_surface(mesh, MM))


def test_a_mirror_image_whose_winding_was_kept_is_told():
    """Most programs that reverse an axis leave the corners of the triangles in their order."""
    mirrored = prepare_surface(Mesh(HEAD.points * [-1, 1, 1], HEAD.triangles), MM)

    (told,) = (each.message for each in mirrored.findings if each.code == "inside_out")
    assert "left and right are exchanged" in told


def test_a_mess_of_windings_is_no_mirror_image():
    is_turned = np.random.default_rng(4).random(len(HEAD.triangles)) < 0.7
    mixed = np.where(is_turned[:, None], HEAD.triangles[:, ::-1], HEAD.triangles)

    codes = _codes(prepare_surface(Mesh(HEAD.points, mixed), MM))

    assert {"inconsistent_winding", "inward_normals"} <= codes
    assert "inside_out" not in codes


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.98))
def test_any_mixture_of_windings_is_made_consistent_and_outward(seed, share):
    is_turned = np.random.default_rng(seed).random(len(HEAD.triangles)) < share
    is_turned[:2] = True, False
    mixed = np.where(is_turned[:, None], HEAD.triangles[:, ::-1], HEAD.triangles)

    surface = prepare_surface(Mesh(HEAD.points, mixed), MM)

    _assert_same(surface, prepare_surface(HEAD, MM))
    assert "inconsistent_winding" in _codes(surface)


def test_every_large_piece_is_turned_by_itself():
    other = Mesh(0.5 * HEAD.points + [300.0, 0, 0], HEAD.triangles[:, ::-1])

    surface = prepare_surface(_join(HEAD, other), MM)

    _assert_same(surface, prepare_surface(_join(HEAD, Mesh(other.points, HEAD.triangles)), MM))
    assert {"inward_normals", "loose_pieces"} <= _codes(surface)


def test_a_small_piece_is_turned_with_the_largest():
    """What a crumb encloses says nothing of its winding: it was written as the rest was."""
    crumb = Mesh(0.03 * HEAD.points + [300.0, 0, 0], HEAD.triangles[:, ::-1])
    inward = Mesh(HEAD.points, HEAD.triangles[:, ::-1])

    kept, turned = (prepare_surface(_join(head, crumb), MM) for head in (HEAD, inward))

    def points_outward(surface):
        is_crumb = surface.points_mm[:, 0] > 200
        from_middle = surface.points_mm[is_crumb] - surface.points_mm[is_crumb].mean(axis=0)
        return bool((surface.normals[is_crumb] * from_middle).sum() > 0)

    assert (points_outward(kept), points_outward(turned)) == (False, True)


@pytest.mark.parametrize(("depth_mm", "is_turned"), [(1.0, False), (5.0, True)])
def test_a_dish_is_turned_only_where_it_has_a_clear_inside(depth_mm, is_turned):
    x, y = np.meshgrid(np.linspace(-60, 60, 25), np.linspace(-60, 60, 25))
    points = np.stack([x, y, -depth_mm * (x**2 + y**2) / 60**2], axis=-1).reshape(-1, 3)
    number = np.arange(25 * 25).reshape(25, 25)
    corners = number[:-1, :-1], number[1:, 1:], number[:-1, 1:]  # wound inward
    triangles = np.stack([each.ravel() for each in corners], axis=1)

    surface = prepare_surface(Mesh(points, triangles), MM)

    assert ("inside_out" in _codes(surface)) == is_turned
    assert (surface.normals[:, 2].mean() > 0) == is_turned


def test_a_one_sided_strip_is_left_in_peace():
    turns = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    arm = np.stack(
        [np.cos(turns / 2) * np.cos(turns), np.cos(turns / 2) * np.sin(turns), np.sin(turns / 2)], 1
    )
    ring = 50 * np.stack([np.cos(turns), np.sin(turns), 0 * turns], axis=1)
    points = np.vstack([ring + 10 * arm, ring - 10 * arm])
    k = np.arange(29)
    triangles = np.vstack(
        [
            np.stack([k, k + 1, k + 30], 1),
            np.stack([k + 1, k + 31, k + 30], 1),
            [[29, 30, 59], [30, 0, 59]],
        ]
    )

    surface = prepare_surface(Mesh(points, triangles), MM)

    assert len(surface.triangles) == 60
    assert "inconsistent_winding" in _codes(surface)


def test_an_edge_of_three_triangles_is_reported_and_survived():
    fin = np.vstack([HEAD.triangles, [[*HEAD.triangles[0, :2], len(HEAD.points)]]])
    points = np.vstack([HEAD.points, HEAD.points[:1] * 1.3])

    surface = prepare_surface(Mesh(points, fin), MM)

    assert {"non_manifold", "holes"} <= _codes(surface)
    assert _flux(surface) > 0


# --- normals, unit, crop -------------------------------------------------------------------------


def test_normals_are_unit_and_those_of_a_sphere_point_from_its_middle():
    fine = make_head(60, 90)
    sphere = Mesh(
        100.0 * fine.points / np.linalg.norm(fine.points, axis=1)[:, None], fine.triangles
    )

    surface = prepare_surface(sphere, MM)

    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1.0, rtol=1e-12)
    cosines = (surface.normals * surface.points_mm / 100.0).sum(axis=1)
    assert cosines.min() > np.cos(np.radians(2.0))  # measured: 1.1 degrees


def test_two_sheets_back_to_back_have_unit_normals():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 1e-300]])

    surface = prepare_surface(Mesh(points, np.array([[0, 1, 2], [3, 5, 4]])), MM)

    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1.0)


@pytest.mark.parametrize("name", ["um", "cm", "m", "in", "50"])
def test_convention_rescaled_equals_prepared_in_that_unit(name):
    unit = parse_unit(name)

    rescaled = prepare_surface(HEAD, MM).rescaled(unit)

    expected = prepare_surface(HEAD, unit)
    np.testing.assert_allclose(rescaled.points_mm, expected.points_mm, rtol=1e-14)
    np.testing.assert_array_equal(rescaled.triangles, expected.triangles)
    np.testing.assert_array_equal(rescaled.normals, expected.normals)
    assert rescaled.unit == unit
    np.testing.assert_allclose(
        np.sort(rescaled.points_mm / unit.mm_per_unit, axis=0),
        np.sort(HEAD.points, axis=0),
        rtol=1e-14,
    )


@pytest.mark.parametrize("name", ["um", "mm", "in", "50"])
def test_convention_long_triangles_that_a_surface_knows_are_those_it_has(name):
    unit = parse_unit(name)

    for surface in (prepare_surface(HEAD, unit), prepare_surface(HEAD, MM).rescaled(unit)):
        known, found = (
            surface.long_triangles,
            find_long_triangles(replace(surface, long_triangles=None)),
        )

        np.testing.assert_array_equal(known.rows, found.rows)
        assert known.limit_mm == pytest.approx(found.limit_mm, rel=1e-12)
        assert 0 < len(known.rows) < len(surface.triangles) / 2


def test_crop_keeps_exactly_the_triangles_of_kept_points():
    surface = prepare_surface(HEAD, MM)
    keep = surface.points_mm[:, 2] > 10.0

    cropped = crop_surface(surface, keep)

    whole = surface.points_mm[surface.triangles]
    expected = whole[keep[surface.triangles].all(axis=1)]
    np.testing.assert_array_equal(cropped.points_mm[cropped.triangles], expected)
    assert set(cropped.triangles.ravel()) == set(range(len(cropped.points_mm)))


def test_crop_of_nothing_is_an_empty_surface():
    surface = prepare_surface(HEAD, MM)

    assert len(crop_surface(surface, np.zeros(len(surface.points_mm), dtype=bool)).triangles) == 0


def test_crop_refuses_a_mask_of_another_length():
    with pytest.raises(ValueError, match=r"keep_points must have shape \(242,\); got \(3,\)"):
        crop_surface(prepare_surface(HEAD, MM), np.ones(3, dtype=bool))


# --- findings ------------------------------------------------------------------------------------


def test_a_whole_head_has_no_findings():
    surface = prepare_surface(HEAD, MM)

    assert surface.findings == ()
    assert inspect_surface(surface) == ()


def test_holes_are_counted_and_measured():
    surface = prepare_surface(open_head(open_head(HEAD)), MM)

    (finding,) = inspect_surface(surface)

    ring = surface.points_mm[surface.points_mm[:, 2] < surface.points_mm[:, 2].min() + 12.0]
    assert finding.code == "holes"
    assert "rims: 1," in finding.message
    length = float(finding.message.split("the longest ")[1].split()[0])
    assert length == pytest.approx(2 * np.pi * np.linalg.norm(ring[:, :2], axis=1).mean(), rel=0.1)


def test_loose_pieces_are_counted_with_their_share():
    pieces = [Mesh(0.1 * HEAD.points + [200.0 + 50 * k, 0, 0], HEAD.triangles) for k in range(3)]

    surface = prepare_surface(_join(HEAD, *pieces), MM)

    (finding,) = surface.findings
    assert finding.message.startswith("Loose pieces besides the largest: 3, with 2.9 %")


@pytest.mark.parametrize(
    ("size", "offset", "is_told"),
    [
        (0.9, 300.0, True),
        (0.9, 180.0, True),  # the boxes overlap, as of two people who sit close together
        (0.6, 300.0, False),  # a third of the area
        (0.9, 10.0, False),  # a layer within the head
        (1.0, 0.01, False),  # two layers of one head
        (1.3, 115.0, False),  # a cape: its middle is beside the head, the head's within it
    ],
)
def test_loose_piece_that_may_be_another_face_is_told(size, offset, is_told):
    other = Mesh(size * HEAD.points + [offset, 0, 0], HEAD.triangles)
    crumb = Mesh(0.1 * HEAD.points - [0, 300, 0], HEAD.triangles)

    surface = prepare_surface(_join(_join(HEAD, other), crumb), MM)

    told = [each.message for each in surface.findings if each.code == "second_body"]
    assert len(told) == is_told
    assert all("only one of the two gets landmarks" in message for message in told)


# --- borders -------------------------------------------------------------------------------------


def test_inputs_are_never_changed_and_results_cannot_be():
    points, triangles = HEAD.points.copy(), HEAD.triangles.copy()
    mesh = Mesh(points, triangles)

    surface = prepare_surface(mesh, MM)

    np.testing.assert_array_equal(points, HEAD.points)
    np.testing.assert_array_equal(triangles, HEAD.triangles)
    for values in (surface.points_mm, surface.triangles, surface.normals, mesh.points):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


def test_a_surface_checks_its_arrays():
    points, normals = np.eye(3), np.eye(3)
    triangles = np.array([[0, 1, 2]])

    with pytest.raises(ValueError, match="must index 0 to 2"):
        Surface(points, triangles + 1, normals)
    with pytest.raises(ValueError, match="normals must be as many as the 3 points"):
        Surface(points, triangles, normals[:2])
    with pytest.raises(ValueError, match="must be finite"):
        Surface(points * np.nan, triangles, normals)
    with pytest.raises(ValueError, match=r"must have shape \(n_points, 3\)"):
        Surface(points[:, :2], triangles, normals)


def test_surface_of_a_file_keeps_unit_and_name(tmp_path):
    path = tmp_path / "case 7.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")

    surface = prepare_surface(read_mesh(path), Unit("3 mm", 3.0))

    assert surface.name == "case 7"
    assert surface.unit.mm_per_unit == 3.0
    assert surface.points_mm.max() == 3.0


@pytest.mark.parametrize("facet", [(8, 8, 8), (0, 0, 8)])
@pytest.mark.parametrize("side", [150.0, -150.0])
def test_collapsed_facet_leaves_no_point_without_a_triangle(facet, side):
    cube = np.array([[x, y, z] for x in (0.0, 100) for y in (0.0, 100) for z in (0.0, 100)])
    hull = ConvexHull(cube).simplices
    points = np.vstack([cube, [side, 0, 0]])
    mesh = Mesh(points, np.vstack([hull, facet]).astype(np.int32))

    surface = prepare_surface(mesh, parse_unit("mm"))

    assert len(surface.points_mm) == 8
    assert len(np.unique(surface.triangles)) == 8


def test_an_empty_crop_has_no_rims():
    surface = prepare_surface(make_head(), MM)

    nothing = crop_surface(surface, np.zeros(len(surface.points_mm), dtype=bool))

    assert "holes" not in {finding.code for finding in inspect_surface(nothing)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda points, triangles: (points.T, triangles), r"got \(3, \d+\). Transpose it"),
        (lambda points, triangles: (points, triangles * 1.0), "must be integers .* got float64"),
        (lambda points, triangles: (points, triangles + len(points)), "triangles must index 0 to"),
    ],
)
def test_lost_vertices_do_not_hide_arrays_that_do_not_fit(change, message):
    head = make_head()
    points = head.points.copy()
    points[0] = np.nan

    with pytest.raises(ValueError, match=message):
        mesh_without_lost(*change(points, head.triangles))


@pytest.mark.parametrize("wrong", [{"space": "ras"}, {"space": None}, {"name": None}])
def test_a_mesh_has_known_axes_and_a_name(wrong):
    head = make_head()

    with pytest.raises(ValueError, match="space must be LPS or RAS, name a text; got"):
        Mesh(head.points, head.triangles, **wrong)


def arrays_of(thing):
    values = (getattr(thing, each.name) for each in fields(thing))
    return [each for each in values if isinstance(each, np.ndarray)]


@pytest.mark.parametrize("copy_of", [lambda t: pickle.loads(pickle.dumps(t)), deepcopy, copy])
def test_copies_and_what_comes_from_other_processes_cannot_be_written_to(copy_of):
    head = make_head()
    colors = np.zeros(head.points.shape, dtype=np.uint8)
    surface = prepare_surface(head, MM)
    cloud = sample_surface(surface, 20.0)
    spots = project_onto_triangles(surface, cloud.points_mm)

    for thing in (replace(head, colors=colors), surface, cloud, spots):
        again = copy_of(thing)

        for before, after in zip(arrays_of(thing), arrays_of(again), strict=True):
            np.testing.assert_array_equal(after, before)
            assert not after.flags.writeable


def test_a_mesh_does_not_change_with_the_array_it_was_made_of():
    head = make_head()
    points = head.points.copy()
    view = points[:]
    view.flags.writeable = False

    mesh = Mesh(view, head.triangles)
    points[0] = 7.0

    np.testing.assert_array_equal(mesh.points, head.points)


def test_rows_are_sorted_by_their_corners_whatever_the_winding():
    rng = np.random.default_rng(5)
    head = make_head()
    is_turned = rng.random(len(head.triangles)) < 0.3
    mixed = np.where(is_turned[:, None], head.triangles[:, ::-1], head.triangles)

    triangles = prepare_surface(Mesh(head.points, mixed), MM).triangles

    np.testing.assert_array_equal(triangles[:, 0], triangles.min(axis=1))
    rows = np.sort(triangles, axis=1)
    np.testing.assert_array_equal(rows, rows[np.lexsort(rows.T[::-1])])
