# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from palnet.face.fit import AtlasFit, fit_atlas
from palnet.face.refusal import find_refusal, measure_broad_relief
from palnet.face.region import extract_face, move_cloud, sample_coarse
from palnet.similarity import compose_similarity, fit_similarity
from palnet.surface import Mesh, PointCloud, parse_unit, prepare_surface
from palnet.synthesis import draw_person
from toy_head import smooth_bulge, toy_atlas, toy_model


def make_fit(residual_mm=0.4, coverage=0.95, mahalanobis=0.8):
    return AtlasFit(
        face_from_cloud=np.eye(4),
        mode_weights=np.zeros(3),
        landmarks_mm=np.zeros((5, 3)),
        residual_mm=residual_mm,
        coverage=coverage,
        relief=0.0,
        mahalanobis=mahalanobis,
    )


def pose_of_size(size):
    return compose_similarity(1 / size, np.eye(3), np.zeros(3))


@pytest.mark.parametrize("size", [0.75, 1.0, 1.15])
def test_face_of_a_human_size_is_accepted(size):
    assert find_refusal(make_fit(), 0.9, pose_of_size(size), is_unit_known=False) is None


@pytest.mark.parametrize("size", [0.1, 0.5, 1.5, 25.4])
def test_face_of_another_size_is_refused_with_the_unit_named(size):
    reason = find_refusal(make_fit(), 0.9, pose_of_size(size), is_unit_known=False)

    assert f"{size:.3g} times the mean face's size" in reason
    assert "unit" in reason


def test_smaller_face_passes_where_the_unit_is_known():
    assert find_refusal(make_fit(), 0.9, pose_of_size(0.5), is_unit_known=True) is None


@pytest.mark.parametrize("person", [0.6, 1.0, 1.2])
@pytest.mark.parametrize("factor", [1 / 2.54, 2.54])
def test_inches_given_as_centimetres_are_refused_with_what_to_do(person, factor):
    reason = find_refusal(make_fit(), 0.9, pose_of_size(person * factor), is_unit_known=True)

    assert reason.endswith("outside 0.48 to 1.37. If it is a person's, check its unit.")


@pytest.mark.parametrize("fit", [make_fit(coverage=0.4), make_fit(mahalanobis=4.0)])
@pytest.mark.parametrize("is_sure", [None, False])
def test_nobody_who_gave_a_unit_is_asked_for_one(fit, is_sure):
    told = find_refusal(fit, 0.9, np.eye(4), is_sure=is_sure, is_unit_known=True)
    asked = find_refusal(fit, 0.9, np.eye(4), is_sure=is_sure, is_unit_known=False)

    assert told == asked.replace("give its unit", "check its unit") != asked


def test_face_of_which_too_little_is_there_is_refused():
    reason = find_refusal(make_fit(coverage=0.4), 0.9, np.eye(4), is_unit_known=False)

    assert "only 40 % of a face" in reason


def test_face_of_which_almost_enough_is_there_is_not_called_complete():
    reason = find_refusal(make_fit(coverage=0.597), 0.9, np.eye(4), is_unit_known=False)

    assert "only 59 % of a face between brows and chin was found, less than 60 %" in reason


@pytest.mark.parametrize("fit", [make_fit(residual_mm=3.0), make_fit(mahalanobis=4.0)])
def test_shape_that_is_no_face_is_refused(fit):
    reason = find_refusal(fit, 0.9, np.eye(4), is_unit_known=False)

    assert reason.startswith("no face")


def test_network_that_is_sure_decides_in_place_of_the_likeness():
    assert find_refusal(make_fit(), 0.0, np.eye(4), is_sure=True, is_unit_known=False) is None


def test_network_that_is_unsure_sees_no_face_however_alike_it_is():
    reason = find_refusal(make_fit(), 0.95, np.eye(4), is_sure=False, is_unit_known=False)

    assert reason.startswith("no face")
    assert "give its unit" in reason


@pytest.mark.parametrize(
    ("fit", "size", "part"),
    [
        (make_fit(coverage=0.4), 1.0, "only 40 %"),
        (make_fit(mahalanobis=4.0), 1.0, "no face"),
        (make_fit(), 2.54, "2.54 times the mean face's size"),
    ],
)
def test_network_that_is_sure_accepts_no_part_nor_shape_nor_size_that_no_face_has(fit, size, part):
    assert part in find_refusal(fit, 0.9, pose_of_size(size), is_sure=True, is_unit_known=False)


@pytest.mark.parametrize("relief", [-0.8, 0.0, 0.55])
def test_smooth_thing_without_brows_nose_and_mouth_is_refused(relief):
    reason = find_refusal(make_fit(), relief, np.eye(4), is_unit_known=False)

    assert reason.startswith("no face: brows, nose and mouth")
    assert f"likeness {relief - 0.4:.2f}" in reason


@pytest.mark.parametrize("size", [0.6, 1.0, 1.3])
@pytest.mark.parametrize(("noise_mm", "is_refused"), [(0.4, False), (0.5, True)])
def test_the_same_noise_counts_alike_on_small_and_large_faces(size, noise_mm, is_refused):
    """In face millimetres it is larger on a small one."""
    fit = make_fit(residual_mm=noise_mm / size)

    reason = find_refusal(fit, 0.63, pose_of_size(size), is_unit_known=False)

    assert (reason is not None) == is_refused


def test_fit_that_found_nothing_is_refused():
    assert (
        find_refusal(
            make_fit(residual_mm=np.inf, coverage=0.0), 0.0, np.eye(4), is_unit_known=False
        )
        is not None
    )


@pytest.fixture(scope="module")
def the_face():
    """A generated face in the face frame, and its fit."""
    person = draw_person(toy_model(), np.random.default_rng([1, 3]))
    mesh = Mesh(person.points_mm.astype(float), toy_model().fine_triangles)
    guess = fit_similarity(person.landmarks_mm, toy_atlas().landmark_mean_mm)
    cloud = sample_coarse(extract_face(prepare_surface(mesh, parse_unit("mm")), guess))
    fit = fit_atlas(toy_atlas(), cloud)
    return fit, move_cloud(cloud, fit.face_from_cloud)


def test_broad_relief_of_the_atlas_with_itself_is_one():
    atlas = toy_atlas()
    cloud = PointCloud(atlas.mean_mm, atlas.normals)

    relief = measure_broad_relief(atlas, fit_atlas(atlas, cloud), cloud)

    np.testing.assert_allclose(relief, 1, atol=1e-3)


def test_noise_takes_little_of_a_faces_broad_relief(the_face):
    """What a phone leaves on an infant's face takes a third of the relief point by point."""
    fit, cloud = the_face
    rng = np.random.default_rng(5)
    normals = cloud.normals + rng.normal(0, 0.6, cloud.normals.shape)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    noisy = PointCloud(cloud.points_mm, normals)
    by_point = fit_atlas(toy_atlas(), noisy).relief

    clean, relief = (measure_broad_relief(toy_atlas(), fit, c) for c in (cloud, noisy))

    assert by_point < 0.75 * fit.relief
    assert relief > 0.9 * clean
    assert find_refusal(fit, relief, np.eye(4), is_unit_known=False) is None


def test_inner_layer_does_not_count(the_face):
    """Eyeballs and the inside of a mouth face the other way."""
    fit, cloud = the_face
    inner = PointCloud(
        np.vstack([cloud.points_mm, cloud.points_mm - 3 * cloud.normals]),
        np.vstack([cloud.normals, -cloud.normals]),
    )

    relief = measure_broad_relief(toy_atlas(), fit, inner)

    np.testing.assert_allclose(relief, measure_broad_relief(toy_atlas(), fit, cloud), atol=0.05)


def test_shape_whose_surface_faces_backwards_has_no_relief():
    """None of its normals counts, so there is nothing to compare."""
    atlas = toy_atlas()
    backwards = PointCloud(atlas.mean_mm, np.tile([0.0, 0, -1], (len(atlas.mean_mm), 1)))
    fit = fit_atlas(atlas, PointCloud(atlas.mean_mm, atlas.normals))

    assert measure_broad_relief(atlas, fit, backwards) == 0


@pytest.mark.parametrize("radii_mm", [(80, 80, 80), (74, 112, 105), (60, 90, 120)])
def test_smooth_bulge_is_refused(radii_mm):
    """However closely the atlas fits it."""
    bulge = smooth_bulge(radii_mm)
    fit = fit_atlas(toy_atlas(), bulge)

    relief = measure_broad_relief(toy_atlas(), fit, move_cloud(bulge, fit.face_from_cloud))

    assert find_refusal(fit, relief, fit.face_from_cloud, is_unit_known=False) is not None


@pytest.mark.parametrize("n_points", [0, 1, 30])
def test_few_points_have_no_relief(n_points):
    rng = np.random.default_rng(1)
    points = np.array([0, 0, 500]) + rng.normal(0, 20, (n_points, 3))
    cloud = PointCloud(points, np.tile([0.0, 0, 1], (n_points, 1)))

    assert measure_broad_relief(toy_atlas(), fit_atlas(toy_atlas(), cloud), cloud) == 0
