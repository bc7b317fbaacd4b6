# SPDX-License-Identifier: Apache-2.0
"""Meshes from other programs' arrays."""

from __future__ import annotations

import numpy as np
import pytest

from palnet.errors import MeshError, UnitError
from palnet.surface import Mesh, check_size, mesh_without_lost, prepare_scan, prepare_surface
from palnet_meshes import make_head

POINTS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize(
    ("convert_points", "convert_triangles"),
    [
        (np.ndarray.tolist, np.ndarray.tolist),
        (np.asfortranarray, np.asfortranarray),
        (lambda points: points.astype(">f8"), lambda triangles: triangles.astype(">i4")),
        (lambda points: np.repeat(points, 2, axis=0)[::2], lambda triangles: triangles[:, ::1]),
        (lambda points: points.astype(object), lambda triangles: triangles.astype(np.uint64)),
        (np.ma.masked_array, np.ma.masked_array),
    ],
)
def test_arrays_of_every_kind_give_the_same_mesh(convert_points, convert_triangles):
    head = make_head()

    mesh = Mesh(convert_points(head.points.copy()), convert_triangles(head.triangles.copy()))

    for ours, theirs in ((mesh.points, head.points), (mesh.triangles, head.triangles)):
        assert ours.tobytes() == theirs.tobytes()
        assert (ours.dtype, ours.flags.writeable) == (theirs.dtype, False)


@pytest.mark.parametrize(
    ("triangles", "remedy"),
    [
        (TRIANGLES + 1, "They are counted from 1: subtract 1"),
        (np.array([[0, 1, 2, 3]]), "Split quadrilaterals in two"),
        (np.array([3, 0, 1, 2, 3, 0, 2, 3]), r"faces\.reshape\(-1, 4\)\[:, 1:\]"),
        (np.zeros((3, 500), dtype=int), "Transpose it"),
        (TRIANGLES.astype(float), r"triangles\.astype\(int\)"),
        (np.ma.masked_equal(TRIANGLES, 3), "leave out the masked ones"),
    ],
)
def test_triangles_as_other_programs_hold_them_are_refused_with_a_remedy(triangles, remedy):
    with pytest.raises(MeshError, match=f"^triangles must .*{remedy}"):
        Mesh(POINTS, triangles)


@pytest.mark.parametrize(
    "points",
    [POINTS.T, POINTS[:, :2], POINTS * np.nan, "face.ply", None, [[0, 1], [2]], POINTS * 1j],
)
def test_points_that_are_none_are_a_mesh_error(points):
    with pytest.raises(MeshError, match=r"^points must "):
        Mesh(points, TRIANGLES)


def test_masked_points_are_not_taken_for_measured_ones():
    masked = np.ma.masked_array(POINTS, mask=[[False] * 3] * 3 + [[True] * 3])

    with pytest.raises(MeshError, match="points must be finite; got 3 NaN"):
        Mesh(masked, TRIANGLES)


def test_masked_points_are_lost_ones():
    head = make_head()
    mask = np.zeros(head.points.shape, dtype=bool)
    mask[7] = True

    with pytest.raises(MeshError, match=r"^1 of 242 vertices are not finite.*number 7 \(nan"):
        mesh_without_lost(np.ma.masked_array(head.points, mask), head.triangles)


@pytest.mark.parametrize("take", [prepare_surface, prepare_scan, check_size])
@pytest.mark.parametrize("unit", ["mm", 1.0])
def test_name_of_a_unit_is_none(take, unit):
    with pytest.raises(UnitError, match=rf"got {unit!r}\. Make it: parse_unit\(unit\)"):
        take(make_head(), unit)
