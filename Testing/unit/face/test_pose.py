# SPDX-License-Identifier: Apache-2.0
"""The search for the pose with given guesses in place of the networks."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from palnet.errors import ScanRefusedError
from palnet.exchange import read_landmarks
from palnet.face import pose as pose_module
from palnet.face.pose import PART_RADIUS_MM, SEARCHED_SCALES, _Guess, find_poses
from palnet.face.region import move_surface
from palnet.model import read_model
from palnet.network.pose import CROP_RADIUS_MM, KEY_POINTS_MM, N_POSE_POINTS, POSE_UNIT_MM
from palnet.samples import example_scan, example_truth
from palnet.similarity import (
    apply_similarity,
    compose_similarity,
    fit_similarity,
    invert_similarity,
    rotation_angle_deg,
    similarity_scale,
)
from palnet.surface import Mesh, PointCloud, parse_unit, prepare_surface, read_mesh
from toy_head import toy_atlas, toy_model


@pytest.fixture(scope="module")
def the_head():
    """The mean head, which stands in the face frame."""
    model = toy_model()
    mesh = Mesh(model.fine_template_mm.astype(float), model.fine_triangles)
    return prepare_surface(mesh, parse_unit("mm"))


def random_pose(seed, scale=1.0):
    rng = np.random.default_rng([4, seed])
    rotation = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    return compose_similarity(scale, rotation, rng.normal(0, 300, 3))


def near(pose, seed, off_deg=8.0):
    """A pose a few degrees beside another, turned about the middle of the face."""
    axis = np.random.default_rng(seed).normal(size=3)
    turn = Rotation.from_rotvec(np.radians(off_deg) * axis / np.linalg.norm(axis)).as_matrix()
    middle = KEY_POINTS_MM[0]
    return compose_similarity(1.0, turn, middle - turn @ middle) @ pose


@pytest.fixture
def ask(monkeypatch):
    """Find poses with given guesses, one list for each call, in place of the coarse network.

    The fine one brings what is turned by less than 70 degrees near the truth, and nothing else.
    """

    def find(surface, truth, *calls):
        lists = iter(calls)

        def refine(cloud, guesses, weights, **rest):
            return [
                _Guess(near(truth, 7), 1.0)
                if rotation_angle_deg(guess.face_from_scan, truth) < 70
                else _Guess(guess.face_from_scan, 50.0)
                for guess in guesses
            ]

        monkeypatch.setattr(
            pose_module, "_first_guesses", lambda *rest: [_Guess(g, 1.0) for g in next(lists, [])]
        )
        monkeypatch.setattr(pose_module, "_refine", refine)
        *_, found = find_poses(surface, toy_atlas(), {}, {})
        return found, lists

    return find


@pytest.mark.parametrize("seed", range(3))
def test_right_guess_leads_to_the_pose(seed, ask, the_head):
    truth = random_pose(seed)
    scan = move_surface(the_head, invert_similarity(truth))

    candidates, _ = ask(scan, truth, [near(truth, seed)])

    # The check fits pose and a little shape: measured within 1 degree and 1 mm of the mean head.
    best = candidates[0]
    assert rotation_angle_deg(best.face_from_scan, truth) < 3
    middle = apply_similarity(invert_similarity(truth), KEY_POINTS_MM[0])
    moved = apply_similarity(best.face_from_scan, middle)
    assert np.linalg.norm(moved - KEY_POINTS_MM[0]) < 4


@pytest.mark.parametrize("seed", range(3))
def test_right_guess_wins_over_wrong_ones(seed, ask, the_head):
    truth = random_pose(seed + 10)
    scan = move_surface(the_head, invert_similarity(truth))
    wrong = [near(truth, k, off_deg=110) for k in range(2)]

    candidates, _ = ask(scan, truth, [*wrong, near(truth, 9)])

    assert len(candidates) == 3
    assert rotation_angle_deg(candidates[0].face_from_scan, truth) < 3
    scores = [candidate.score for candidate in candidates]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("rank", [62, 250])
def test_right_guess_may_be_doubtful_until_its_fourth_refinement(rank, monkeypatch):
    """As with a head of long hair: the 62nd of 719 after the third, the first after the fourth."""
    n_guesses, right = 719, 400
    guesses = [
        _Guess(compose_similarity(1.0, np.eye(3), np.array([200.0 * k, 0, 0])), np.inf)
        for k in range(n_guesses)
    ]
    doubts_of_right = iter([40.0, 47.0, 5 + 0.1 * (rank - 1.5), 3.8])

    def refine(cloud, guesses, weights):
        of_right = next(doubts_of_right)
        return [
            _Guess(pose, of_right if pose[0, 3] == 200.0 * right else 5 + 0.1 * pose[0, 3] / 200)
            for pose, _ in guesses
        ]

    monkeypatch.setattr(pose_module, "_refine", refine)

    kept = pose_module._keep_likeliest(None, guesses, {}, pose_module.N_PART_KEPT)

    assert kept[0].face_from_scan[0, 3] == 200.0 * right


def test_parts_are_searched_in_all_rotations_where_the_whole_gave_no_face(ask, the_head):
    """And a guess that is made of the whole and of parts is one candidate."""
    truth = random_pose(20)
    scan = move_surface(the_head, invert_similarity(truth))
    wrong = [near(truth, k, off_deg=110) for k in range(2)]

    candidates, _ = ask(scan, truth, wrong, [], wrong)

    assert rotation_angle_deg(candidates[0].face_from_scan, truth) < 3
    places = [
        apply_similarity(invert_similarity(candidate.face_from_scan), KEY_POINTS_MM)
        for candidate in candidates
    ]
    apart_mm = [
        np.linalg.norm(one - other, axis=1).mean() for one, other in combinations(places, 2)
    ]
    assert min(apart_mm) > pose_module.SAME_FIT_MM


def test_parts_are_not_searched_where_the_whole_gave_a_face(ask, the_head):
    truth = random_pose(21)
    scan = move_surface(the_head, invert_similarity(truth))

    _, rest = ask(scan, truth, [near(truth, 9)], ["never asked for"])

    assert list(rest) == [["never asked for"]]


def test_scattered_triangles_are_refused():
    """As of a point cloud that was exported as splats: between them there is no surface."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(3000, 1, 3))
    centres *= 100 / np.linalg.norm(centres, axis=2, keepdims=True)
    corners = (centres + rng.normal(0, 0.05, (3000, 3, 3))).reshape(-1, 3)
    mesh = Mesh(corners, np.arange(9000, dtype=np.int32).reshape(-1, 3), name="splats")
    model = read_model()
    networks = model.network("pose_coarse"), model.network("pose_fine")

    with pytest.raises(ScanRefusedError, match=r"splats: no face: .* make no surface"):
        next(find_poses(prepare_surface(mesh, parse_unit("mm")), model.atlas, *networks))


def test_scale_of_a_guess_stays_within_those_searched():
    for scale in (0.01, 0.5, 1.0, 1.9, 70.0):
        key_points = apply_similarity(random_pose(1, scale), KEY_POINTS_MM)

        guess, misfit_mm = pose_module._pose_of(key_points)

        face = 1 / similarity_scale(guess)
        expected = np.clip(scale, *SEARCHED_SCALES)
        np.testing.assert_allclose(face, expected, rtol=1e-6)
        moved = apply_similarity(guess, key_points.mean(axis=0))
        np.testing.assert_allclose(moved, KEY_POINTS_MM.mean(axis=0), atol=1e-6)
        assert misfit_mm < 1e-6


def test_misfit_says_how_little_key_points_look_like_a_pose():
    rng = np.random.default_rng(2)
    misfits = [
        pose_module._pose_of(KEY_POINTS_MM + rng.normal(0, noise_mm, (7, 3)))[1]
        for noise_mm in (0, 2, 20)
    ]

    assert misfits[0] < 1e-9 < 0.5 < misfits[1] < misfits[2]


def test_guesses_close_together_are_one_and_the_least_doubtful_comes_first():
    one, other = random_pose(1), random_pose(2)
    beside = near(other, 3, off_deg=4)

    distinct = pose_module._distinct([_Guess(one, 5.0), _Guess(other, 7.0), _Guess(beside, 2.0)])

    assert len(distinct) == 2
    np.testing.assert_array_equal(distinct[0].face_from_scan, beside)
    np.testing.assert_array_equal(distinct[1].face_from_scan, one)


def test_start_rotations_cover_all_rotations():
    starts = pose_module._start_rotations(12)
    rng = np.random.default_rng(3)
    some = Rotation.from_quat(rng.normal(size=(500, 4))).as_matrix()

    cosine = (np.einsum("nij,mij->nm", some, starts).max(axis=1) - 1) / 2
    np.testing.assert_allclose(np.linalg.det(starts), 1, atol=1e-9)
    # Twelve rotations leave nothing farther away than this; a network bears 60 degrees and more.
    assert np.degrees(np.arccos(cosine)).max() < 100


def test_search_cloud_has_a_bounded_size(the_head):
    for factor in (1.0, 6.0):
        scan = move_surface(the_head, compose_similarity(factor, np.eye(3), np.zeros(3)))

        cloud = pose_module._thin_for_search(scan)

        assert 2000 < len(cloud.points_mm) < 12_000


@pytest.mark.parametrize("n_points", [1, 100, 511, 512, 513, 9999])
def test_networks_see_every_part_of_a_cloud(n_points):
    rows = np.arange(n_points, dtype=float)
    cloud = PointCloud(np.stack([rows, 0 * rows, 0 * rows], axis=1), np.zeros((n_points, 3)))

    picked = pose_module._stride(cloud).points_mm[:, 0]

    assert len(picked) == N_POSE_POINTS
    assert picked[0] == 0
    assert np.diff(picked).min() >= 0
    assert np.diff([*picked, n_points]).max() <= n_points / N_POSE_POINTS + 1


def test_parts_have_the_size_of_a_face_and_cover_the_scan(the_head):
    cloud = pose_module._thin_for_search(
        move_surface(the_head, compose_similarity(2.5, np.eye(3), np.zeros(3)))
    )

    parts = pose_module._cut_parts(cloud)

    assert all(np.ptp(part.points_mm, axis=0).max() <= 2 * PART_RADIUS_MM for part in parts)
    seen = np.concatenate([part.points_mm for part in parts])
    apart = np.linalg.norm(cloud.points_mm[::20, None] - seen[None, ::4], axis=2).min(axis=1)
    assert apart.max() < PART_RADIUS_MM


def test_parts_begin_in_the_middle_and_move_with_the_scan():
    shift_mm = np.array([700.0, -300, 90])
    cloud = scattered_points((-400, -100, -200), (400, 900, 200))
    moved = PointCloud(cloud.points_mm + shift_mm, cloud.normals)

    parts, moved_parts = pose_module._cut_parts(cloud), pose_module._cut_parts(moved)

    middle = cloud.points_mm.mean(axis=0)
    assert np.linalg.norm(parts[0].points_mm - middle, axis=1).max() < 1.2 * PART_RADIUS_MM
    for part, there in zip(parts, moved_parts, strict=True):
        np.testing.assert_allclose(there.points_mm, part.points_mm + shift_mm, atol=1e-9)


def test_search_once_more_finds_the_pose_of_the_first(monkeypatch):
    """With the shipped networks, from other rotations, without a guess from the whole scan."""
    model = read_model()
    networks = model.network("pose_coarse"), model.network("pose_fine")
    surface = prepare_surface(read_mesh(example_scan()), parse_unit("mm"))
    first = next(find_poses(surface, model.atlas, *networks))[0]
    starts = []
    guess = pose_module._first_guesses
    monkeypatch.setattr(
        pose_module, "_first_guesses", lambda *rest: starts.append(rest) or guess(*rest)
    )

    again = next(find_poses(surface, model.atlas, *networks, once_more=True))[0]

    assert len(starts) == pose_module.N_PARTS
    assert all(rest[3] is pose_module.OTHER_TURN for rest in starts)
    assert rotation_angle_deg(again.face_from_scan, first.face_from_scan) < 3
    assert again.score == pytest.approx(first.score, abs=0.05)


@pytest.fixture
def clouds_shown(monkeypatch):
    """What a pose network that finds each cloud's face as it stands is shown, (n_points, 6)."""
    shown = []

    def predict(weights, clouds):
        shown.extend(clouds)
        return np.tile(KEY_POINTS_MM / POSE_UNIT_MM, (len(clouds), 1, 1)).astype(np.float32)

    monkeypatch.setattr(pose_module, "predict_key_points", predict)
    return shown


def scattered_points(low_mm, high_mm):
    points = np.random.default_rng(0).uniform(low_mm, high_mm, (4000, 3))
    return PointCloud(points, np.tile([0.0, 0, 1], (4000, 1)))


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.4])
def test_fine_network_sees_as_much_of_a_face_of_any_size(scale, clouds_shown):
    guess = _Guess(compose_similarity(scale, np.eye(3), np.zeros(3)), 0.0)

    pose_module._refine(scattered_points(-400, 400), [guess], {})

    reach_mm = POSE_UNIT_MM * np.linalg.norm(clouds_shown[0][:, :3], axis=1).max()
    assert 0.9 * CROP_RADIUS_MM < reach_mm < CROP_RADIUS_MM


def test_settled_guesses_are_looked_at_round_the_mean_of_what_is_there(clouds_shown):
    pose_module._settle(scattered_points(0, 100), [_Guess(np.eye(4), 0.0)], {})

    np.testing.assert_allclose(clouds_shown[0][:, :3].mean(axis=0), 0, atol=1e-5)


def test_rotations_are_tried_about_each_centre_that_differs():
    """Two centres that lie on opposite sides of the origin are two, the third is the first."""
    apart, beside = np.array([90.0, 40, -30]), np.array([5.0, 0, 0])
    guesses = [
        _Guess(compose_similarity(1.0, np.eye(3), KEY_POINTS_MM[0] - centre), doubt)
        for doubt, centre in enumerate((apart, -apart, apart + beside))
    ]

    turned = [guess.face_from_scan for guess in pose_module._turn_all_ways(guesses)]

    assert len(turned) == 2 * 60
    middles = [apply_similarity(invert_similarity(pose), KEY_POINTS_MM[0]) for pose in turned]
    np.testing.assert_allclose(middles, np.repeat([apart, -apart], 60, axis=0), atol=1e-9)
    assert {round(similarity_scale(pose), 9) for pose in turned} == {1.0}


@pytest.fixture(scope="module")
def the_example():
    """The example, its true pose, and the two shipped pose networks."""
    model, truth = read_model(), read_landmarks(example_truth())
    surface = prepare_surface(read_mesh(example_scan()), parse_unit("mm"))
    placed = truth.is_placed
    pose = fit_similarity(truth.positions_mm[placed], model.atlas.landmark_mean_mm[placed])
    return surface, pose, model.network("pose_coarse"), model.network("pose_fine")


def off_mm(guess, truth):
    """How far a guess has the key points from where they are, on average."""
    in_scan = apply_similarity(invert_similarity(truth), KEY_POINTS_MM)
    there = apply_similarity(guess.face_from_scan, in_scan)
    return np.linalg.norm(there - KEY_POINTS_MM, axis=1).mean()


@pytest.mark.parametrize("seed", range(3))
def test_coarse_network_alone_guesses_near_in_any_pose(seed, the_example):
    """The search mends bad guesses, so that it finds a face without them too, only more slowly."""
    surface, pose, coarse, _ = the_example
    move = random_pose(seed)
    truth = pose @ invert_similarity(move)
    cloud = pose_module._thin_for_search(move_surface(surface, move))

    first = pose_module._first_guesses(pose_module._stride(cloud), coarse, pose_module.N_STARTS)
    settled = pose_module._settle(cloud, first, coarse)

    # Measured in 8 poses: a third within 24 to 35 mm, then half within 16 to 20 mm.
    assert sorted(off_mm(guess, truth) for guess in first)[3] < 45
    assert sorted(off_mm(guess, truth) for guess in settled)[5] < 26


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.4])
def test_fine_network_alone_mends_twenty_degrees_at_any_size(scale, the_example):
    surface, pose, _, fine = the_example
    move = random_pose(7, scale)
    truth = pose @ invert_similarity(move)
    cloud = pose_module._thin_for_search(move_surface(surface, move))
    guesses = [_Guess(near(truth, seed, off_deg=20), 0.0) for seed in range(4)]

    refined = pose_module._refine(cloud, guesses, fine)

    assert min(off_mm(guess, truth) for guess in guesses) > 15
    # Measured 4 to 10 mm and 1 to 6 degrees.
    assert max(off_mm(guess, truth) for guess in refined) < 13
    assert max(rotation_angle_deg(guess.face_from_scan, truth) for guess in refined) < 9


def test_candidate_keeps_the_guess_that_its_short_fit_began_with(monkeypatch):
    motion = compose_similarity(1.1, np.eye(3), np.array([3.0, 0, 0]))
    fit = SimpleNamespace(face_from_cloud=motion, relief=0.5, coverage=0.8)
    monkeypatch.setattr(pose_module, "fit_atlas", lambda *_: fit)
    guess = pose_module._Guess(compose_similarity(1.0, np.eye(3), np.array([0.0, 7, 0])), 4.0)

    found = pose_module._check(PointCloud(np.zeros((1, 3)), np.ones((1, 3))), None, guess)

    np.testing.assert_array_equal(found.guess, guess.face_from_scan)
    np.testing.assert_allclose(found.face_from_scan, motion @ guess.face_from_scan)
    assert (found.score, found.doubt_mm) == (0.4, 4.0)


def test_of_poses_that_are_alike_the_first_is_kept():
    poses = [
        compose_similarity(1.0, np.eye(3), np.array([shift_mm, 0.0, 0.0]))
        for shift_mm in (0.0, 2.0, 9.0, 4.0, 7.0)
    ]

    assert pose_module._first_of_each(poses, 3.0) == [0, 2, 3]
