# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palnet.errors import UnitError
from palnet.surface import UNIT_NAMES, Mesh, Unit, parse_unit, plausible_units
from palnet.surface._units import _bulk_diameter, check_size
from palnet_meshes import make_head, open_head, shuffle

HEAD = make_head()
MM_PER_UNIT = {"um": 0.001, "mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4}


@pytest.mark.parametrize("name", UNIT_NAMES)
def test_convention_a_named_unit_has_its_length(name):
    assert parse_unit(f" {name.upper()} ") == Unit(name, MM_PER_UNIT[name])


@given(st.floats(1e-6, 1e6))
def test_a_number_is_the_millimetres_in_a_unit(value):
    assert parse_unit(repr(value)).mm_per_unit == value


@pytest.mark.parametrize("value", [50, 50.0, "50", "50 mm"])
def test_a_number_may_be_a_number_and_say_mm(value):
    assert parse_unit(value) == Unit("50 mm", 50.0)


def test_the_millimetres_of_a_known_unit_are_that_unit():
    assert parse_unit("25.4") == Unit("in", 25.4)


@pytest.mark.parametrize("text", ["", "parsec", "-3", "0", "nan", "inf", "mm mm", "1e400"])
def test_anything_else_is_refused(text):
    with pytest.raises(UnitError, match="a unit is one of um, mm, cm, m, in"):
        parse_unit(text)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_unit_is_positive_and_finite(value):
    with pytest.raises(UnitError, match="positive and finite"):
        Unit("x", value)


@pytest.mark.parametrize("name", UNIT_NAMES)
@pytest.mark.parametrize("scale", [0.75, 1.0, 1.2])
@pytest.mark.parametrize("mesh", [HEAD, open_head(HEAD)], ids=["head", "open"])
def test_the_unit_of_a_head_is_found_for_children_and_adults(name, scale, mesh):
    scan = Mesh(mesh.points * scale / MM_PER_UNIT[name], mesh.triangles)

    names = [unit.name for unit in plausible_units(scan)]

    assert name in names
    if name in ("um", "mm", "m"):
        assert names == [name]
    else:
        assert set(names) <= {"cm", "in"}


def test_an_adult_head_in_centimetres_is_first_taken_as_such():
    assert plausible_units(Mesh(HEAD.points / 10.0, HEAD.triangles))[0].name == "cm"


def test_the_unit_that_makes_the_more_usual_head_comes_first_by_ratio():
    """14.3 are 363 mm in inches and 143 mm in centimetres: 1.3 times too large, or half."""
    points = np.random.default_rng(0).normal(size=(4000, 3))
    points *= 14.3 / 2 / np.linalg.norm(points, axis=1, keepdims=True)
    scan = Mesh(points, np.arange(3999).reshape(-1, 3))

    assert [unit.name for unit in plausible_units(scan)] == ["in", "cm"]


@pytest.mark.parametrize("far", [3e2, 9e3, 1e7])
def test_loose_pieces_far_away_do_not_count(far):
    quarter = HEAD.points[: len(HEAD.points) // 4]
    stray = Mesh(quarter + np.array([far, 0.0, 0.0]), np.array([[0, 1, 2]]))
    n = len(HEAD.points)
    loose = np.arange(len(stray.points) - 2)[:, None] + np.arange(3) + n
    scan = Mesh(np.vstack([HEAD.points, stray.points]), np.vstack([HEAD.triangles, loose]))

    assert [unit.name for unit in plausible_units(scan)] == ["mm"]


def test_points_without_triangles_do_not_count():
    unused = np.full((1000, 3), 1e6)

    units = plausible_units(Mesh(np.vstack([HEAD.points, unused]), HEAD.triangles))

    assert [unit.name for unit in units] == ["mm"]


@given(st.integers(0, 2**32 - 1), st.floats(-1e3, 1e3))
def test_numbering_and_position_never_matter(seed, shift):
    moved = shuffle(Mesh(HEAD.points / 25.4 + shift, HEAD.triangles), seed)

    assert plausible_units(moved) == plausible_units(Mesh(HEAD.points / 25.4, HEAD.triangles))


@pytest.mark.parametrize("scale", [1e-9, 0.0065, 30.0, 1e9])
def test_a_size_that_fits_no_unit_is_refused_with_the_size_and_the_option(scale):
    scan = Mesh(HEAD.points * scale, HEAD.triangles)

    with pytest.raises(UnitError, match=r"measures .* units across.*scale it.*such as 50"):
        plausible_units(scan)


def test_large_size_is_told_in_digits():
    scan = Mesh(HEAD.points * 1e4, HEAD.triangles)

    with pytest.raises(UnitError, match=r"measures \d,\d{3},\d{3} units"):
        plausible_units(scan)
    with pytest.raises(UnitError, match=r"measures \d,\d{3},\d{3},\d{3} mm"):
        check_size(scan, parse_unit("m"))


@pytest.mark.parametrize("unit", UNIT_NAMES)
def test_infant_s_face_that_is_cut_down_is_large_enough_in_every_unit(unit):
    """The smallest of 20 young people, cut to 0.7 of the face's height, measured 64 mm."""
    factor = 64 / (_bulk_diameter(HEAD) * parse_unit(unit).mm_per_unit)
    face = Mesh(HEAD.points * factor, HEAD.triangles)

    assert parse_unit(unit) in plausible_units(face)
    check_size(face, parse_unit(unit))
