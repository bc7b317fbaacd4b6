# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from palnet.surface import parse_unit, prepare_surface, project_onto_triangles
from palnet.synthesis import PRESETS, ScanGenerator, draw_person
from palnet.synthesis.morphable import WholeHead
from palnet.synthesis.presets import CapturePreset
from toy_head import toy_generator, toy_model, toy_scheme
from toy_scans import COUNTS, N_SCANS, figures_of, read_kept

CLEAN = CapturePreset("clean", (), (0, 0), (0, 0), (0, 0), (1, 1), 0.0)


@pytest.fixture(scope="module")
def many_scans():
    return [toy_generator().draw(seed) for seed in range(N_SCANS)]


@pytest.fixture
def a_clean_generator(monkeypatch):
    """Scans without noise, smoothing, holes or crops, seen from everywhere."""
    monkeypatch.setattr("palnet.synthesis.capture.cut_holes", _no_points)
    monkeypatch.setattr("palnet.synthesis.capture.draw_crop", lambda p, rng: ~_no_points(p))
    return ScanGenerator(toy_model(), (CLEAN,))


def distance_to_surface(scan):
    surface = prepare_surface(scan.to_mesh(), parse_unit("mm"))
    return project_onto_triangles(surface, scan.landmarks_mm.astype(float)).distances_mm


def _no_points(points_mm, *rest):
    return np.zeros(len(points_mm), dtype=bool)


def test_same_seed_gives_the_identical_scan(many_scans):
    again = ScanGenerator(toy_model()).draw(7)

    for name in ("points_mm", "triangles", "landmarks_mm", "visible"):
        np.testing.assert_array_equal(getattr(again, name), getattr(many_scans[7], name))
    assert again.description == many_scans[7].description


def test_seeds_draw_the_scans_that_they_always_drew(many_scans):
    """Other versions of numpy, scipy and VTK move a scan's vertices by 0.02 mm on average."""
    found = np.array([figures_of(seed, scan) for seed, scan in enumerate(many_scans)])
    kept = read_kept()

    n = len(COUNTS)
    np.testing.assert_array_equal(found[:, [0, 2]], kept[:, [0, 2]])
    np.testing.assert_allclose(found[:, 1], kept[:, 1], atol=5)
    np.testing.assert_allclose(found[:, n : n + 6], kept[:, n : n + 6], atol=0.1)
    np.testing.assert_allclose(found[:, n + 6 :], kept[:, n + 6 :], atol=1e-3)


def test_scan_does_not_depend_on_what_was_drawn_before(many_scans):
    generator = ScanGenerator(toy_model())
    for seed in (3, 1):
        generator.draw(seed)

    again = generator.draw(9)

    np.testing.assert_array_equal(again.points_mm, many_scans[9].points_mm)


def test_scans_of_different_seeds_differ(many_scans):
    sizes = [(len(scan.points_mm), len(scan.triangles)) for scan in many_scans]

    assert len(set(sizes)) == N_SCANS


def test_scans_are_whole_meshes(many_scans):
    for scan in many_scans:
        assert np.isfinite(scan.points_mm).all()
        assert np.isfinite(scan.landmarks_mm).all()
        assert len(scan.triangles) > 500
        used = np.unique(scan.triangles)
        np.testing.assert_array_equal(used, np.arange(len(scan.points_mm)))
        assert (np.diff(np.sort(scan.triangles, axis=1), axis=1) > 0).all()


def test_all_presets_and_styles_are_drawn(many_scans):
    assert {scan.description["preset"] for scan in many_scans} == set(PRESETS)
    assert {scan.description["hair"] for scan in many_scans} >= {"bald", "short", "long"}


def test_presets_can_be_chosen():
    generator = ScanGenerator(toy_model(), (PRESETS["phone"], PRESETS["handheld"]))

    drawn = {generator.draw(seed).description["preset"] for seed in range(12)}

    assert drawn == {"phone", "handheld"}


def test_cameras_see_nothing_behind_sealed_lids(a_clean_generator):
    person = draw_person(a_clean_generator.model, np.random.default_rng(1))
    covered = np.zeros(len(person.points_mm), dtype=bool)
    covered[a_clean_generator.model.landmark_points] = True

    usual = a_clean_generator.outer_triangles(person)
    sealed = a_clean_generator.outer_triangles(replace(person, is_covered=covered))

    np.testing.assert_array_equal(sealed, usual[~covered[usual].any(axis=1)])
    assert len(sealed) < len(usual)


def test_landmarks_lie_on_the_bare_head(many_scans):
    """Only a beard lifts them off the skin of the person of that seed."""
    n_bare = 0
    for seed, scan in enumerate(many_scans):
        person = draw_person(toy_model(), np.random.default_rng(seed))
        lifted_mm = np.linalg.norm(scan.landmarks_mm - person.landmarks_mm, axis=1)
        n_bare += lifted_mm.max() == 0

        assert lifted_mm.max() < 7.0 * 2.5
        above_nose = [toy_scheme().index_of(code) for code in ("n", "prn", "ex_r", "en_l")]
        assert lifted_mm[above_nose].max() < 0.05

    assert n_bare > N_SCANS / 2


def test_visible_landmarks_are_near_the_scan(many_scans):
    for scan in many_scans:
        distance_mm = distance_to_surface(scan)[scan.visible]

        # 4 mm to a vertex, before the mesh is thinned: measured 4.3 after it.
        assert distance_mm.max(initial=0) < 5.0


def test_landmarks_far_from_the_scan_are_not_visible(many_scans):
    n_far = 0
    for scan in many_scans:
        far = distance_to_surface(scan) > 8.0
        n_far += far.sum()

        assert not scan.visible[far].any()
    assert n_far > 10


def test_landmarks_that_a_crop_removed_are_not_visible(a_clean_generator, monkeypatch):
    monkeypatch.setattr("palnet.synthesis.capture.draw_crop", lambda p, rng: p[:, 0] < 30)
    scheme = toy_scheme()

    scan = a_clean_generator.draw(0)

    assert not scan.visible[scheme.index_of("ex_l")]
    assert not scan.visible[scheme.index_of("t_l")]
    assert scan.visible[[scheme.index_of(code) for code in ("prn", "gn", "ex_r", "ch_r")]].all()


def test_clean_capture_passes_through_the_landmarks(a_clean_generator):
    """Without smoothing and noise only the slip of 0.15 mm an axis is left."""
    n_bald = 0
    for seed in range(24):
        scan = a_clean_generator.draw(seed)
        if scan.description["hair"] != "bald":
            continue
        n_bald += 1
        distance_mm, _ = cKDTree(scan.points_mm).query(scan.landmarks_mm)

        # Smearing of eyes and ears, in some of the scans, moves those by up to 3 mm on the toy.
        sharp = [toy_scheme().index_of(code) for code in ("prn", "sto", "gn", "ch_r", "ch_l")]
        assert distance_mm[sharp].max() < 0.8
        assert scan.visible[sharp].all()
    assert n_bald > 1


def test_single_view_shows_no_back(many_scans):
    views = [s for s in many_scans if s.description["preset"] == "single_view"]

    assert len(views) > 2
    for scan in views:
        a, b, c = (scan.points_mm[scan.triangles[:, k]] for k in range(3))
        normals = np.cross(b - a, c - a)

        # A camera in front, turned by a few degrees, sees nothing that faces backward.
        assert (normals[:, 2] > 0).mean() > 0.95


def test_scans_are_wound_outward(many_scans):
    for scan in many_scans:
        near = np.linalg.norm(scan.points_mm - [0, 10, 30], axis=1) < 110
        rows = near[scan.triangles].all(axis=1)
        a, b, c = (scan.points_mm[scan.triangles[rows, k]] for k in range(3))
        outward = np.einsum("ij,ij->i", np.cross(b - a, c - a), (a + b + c) / 3 - [0, 10, 0])

        assert (outward > 0).mean() > 0.8


@pytest.mark.parametrize("may_have_beard", [True, False])
def test_only_who_may_have_a_beard_grows_one(a_clean_generator, monkeypatch, may_have_beard):
    head = WholeHead(toy_model().neutral_mm, 1.0, {"may_have_beard": may_have_beard})
    grown = []
    monkeypatch.setattr(
        "palnet.synthesis.covering.grow_beard", lambda skin, *rest: grown.append(1) or skin
    )

    ScanGenerator(replace(toy_model(), heads=(head,)), (CLEAN,)).draw(0)

    assert bool(grown) == may_have_beard


@pytest.mark.parametrize("seed", range(12))
def test_crop_clothes_and_bent_neck_shrink_with_the_head(seed, monkeypatch):
    """An infant's scan is cut where an adult's is: the same head at half the size."""
    plain = {
        "people._warp": lambda points_mm, rng: points_mm,
        "people.add_scars": lambda points_mm, *rest: points_mm,
        "capture.roughen": lambda points_mm, *rest: points_mm,
        "covering.grow_beard": lambda points_mm, *rest: points_mm,
        "covering.add_hair": lambda points_mm, *rest: (points_mm, "bald"),
        "covering.draw_loose_pieces": lambda rng: (),
    }
    for name, change in plain.items():
        monkeypatch.setattr(f"palnet.synthesis.{name}", change)
    # A ragged hole is some millimetres wide on any head; where it lies is what counts here.
    monkeypatch.setattr(
        "palnet.synthesis.capture.cut_holes", lambda p, likely, rng: likely > likely.mean()
    )

    def scan_of_size(size):
        head = WholeHead(np.float32(size) * toy_model().neutral_mm, size, {"age_group": "adult"})
        model = replace(toy_model(), identity_mm=toy_model().identity_mm[:0], heads=(head,))
        return ScanGenerator(model, (CLEAN,)).draw(seed)

    adult, infant = scan_of_size(1.0), scan_of_size(0.5)

    np.testing.assert_array_equal(infant.triangles, adult.triangles)
    np.testing.assert_allclose(infant.points_mm, 0.5 * adult.points_mm, atol=2e-3)
