# SPDX-License-Identifier: Apache-2.0
"""The numpy networks against their torch twins, and what both must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from palnet.model import read_model
from palnet.network.landmarks import (
    OFFSET_UNIT_MM,
    LandmarkPredictor,
    mirror_patches,
    run_network,
)
from palnet.network.patches import Patches
from palnet.network.pose import KEY_POINTS_MM, N_POSE_POINTS, POSE_UNIT_MM, predict_key_points
from palnet.network.sizes import SIZES, SMALL_SIZE
from palnet.network.torch_landmarks import LandmarkNetwork
from palnet.network.torch_pose import PoseNetwork
from palnet.scheme import load_scheme

TWIN_MM = 1e-3
# A sum over points in another order: measured 4e-6 mm, with numpy 1.26 1.2e-5 mm.
ORDER_MM = 3e-5
N_POINTS = 96


def stir(network, seed):
    """Weights as large as trained ones, none at its initial value."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        parameter.data += 0.03 * torch.randn_like(parameter)
    return network.eval()


def state_of(network):
    return {name: weight.numpy().copy() for name, weight in network.state_dict().items()}


def load(network, weights):
    network.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in weights.items()})
    return network.eval()


@pytest.fixture(scope="module")
def the_mirror():
    return load_scheme("palnet50").mirror


@pytest.fixture(scope="module", params=["small", "large", "shipped"])
def the_landmark_twins(request, the_mirror):
    """A torch network and its weights."""
    if request.param != "shipped":
        twin = stir(LandmarkNetwork(len(the_mirror), SIZES[request.param]), 1)
        return twin, state_of(twin)
    weights = read_model().network("landmarks")
    return LandmarkNetwork.from_weights(weights).eval(), weights


@pytest.fixture(scope="module", params=["random", "pose_coarse", "pose_fine"])
def the_pose_twins(request):
    if request.param == "random":
        twin = stir(PoseNetwork(), 2)
        return twin, state_of(twin)
    weights = read_model().network(request.param)
    return load(PoseNetwork(), weights), weights


@pytest.fixture(scope="module")
def some_patches(the_mirror):
    """Caps of spheres round the centres, with a few empty and a few half-full ones."""
    rng = np.random.default_rng(3)
    n = len(the_mirror)
    x, y = rng.uniform(-11, 11, (2, n, N_POINTS))
    scale = np.r_[np.ones(N_POINTS // 2), np.full(N_POINTS // 2, 2.0)]
    points = np.stack([scale * x, scale * y, -(x**2 + y**2) / 80], axis=2)
    normals = np.stack([x / 40, y / 40, np.ones_like(x)], axis=2)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    patches = np.concatenate([points, normals], axis=2).astype(np.float32)
    share = rng.uniform(0.5, 1, (n, 2)).astype(np.float32)
    patches[[4, 9]], share[[4, 9]] = 0, 0
    return Patches(np.array([0, 0, 80]) + rng.normal(0, 50, (n, 3)), patches, share)


def in_mm(raw):
    """Offsets in mm, and spread and visibility as they are."""
    return raw * np.array([OFFSET_UNIT_MM] * 3 + [1, 1], dtype=np.float32)


def test_landmark_network_equals_its_twin(the_landmark_twins, some_patches):
    twin, weights = the_landmark_twins
    points, share = some_patches.points[None], some_patches.share[None]
    centres = some_patches.centres_mm[None].astype(np.float32)

    raw = run_network(weights, points, share, centres)

    with torch.no_grad():
        expected = twin(*(torch.from_numpy(a.copy()) for a in (points, share, centres)))
    # Measured 1e-5 mm.
    np.testing.assert_allclose(in_mm(raw), in_mm(expected.numpy()), rtol=0, atol=TWIN_MM)
    assert np.ptp(in_mm(raw)[..., :3]) > 0.1


def test_landmark_network_takes_every_scan_of_a_batch_alone(the_landmark_twins, some_patches):
    _, weights = the_landmark_twins
    points = np.stack([some_patches.points, some_patches.points[::-1]])
    share = np.stack([some_patches.share, some_patches.share[::-1]])
    centres = np.stack([some_patches.centres_mm, some_patches.centres_mm[::-1]]).astype(np.float32)

    both = run_network(weights, points, share, centres)

    for row in range(2):
        alone = run_network(weights, *(a[row : row + 1] for a in (points, share, centres)))
        np.testing.assert_allclose(in_mm(both[row]), in_mm(alone[0]), rtol=0, atol=1e-4)


def test_one_landmark_goes_along_with_another(the_landmark_twins, some_patches):
    """An entry of the joint layer adds its share of one coordinate's offset to another's."""
    _, weights = the_landmark_twins
    n_coordinates = len(weights["joint.bias"])
    inputs = (
        some_patches.points[None],
        some_patches.share[None],
        some_patches.centres_mm[None].astype(np.float32),
    )
    follower, leader = 3 * 7 + 1, 3 * 30 + 2
    alone = weights | {
        "joint.weight": np.zeros((n_coordinates, n_coordinates), dtype=np.float32),
        "joint.bias": np.zeros(n_coordinates, dtype=np.float32),
    }
    entry = alone["joint.weight"].copy()
    entry[follower, leader] = 0.25

    before = run_network(alone, *inputs)
    after = run_network(alone | {"joint.weight": entry}, *inputs)

    expected = before[0, :, :3].reshape(-1).copy()
    expected[follower] += 0.25 * expected[leader]
    np.testing.assert_allclose(after[0, :, :3].reshape(-1), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(after[..., 3:], before[..., 3:])


def test_order_of_the_points_changes_nothing(the_landmark_twins, the_mirror, some_patches):
    predictor = LandmarkPredictor(the_landmark_twins[1], the_mirror)
    order = np.random.default_rng(4).permutation(N_POINTS)
    shuffled = Patches(some_patches.centres_mm, some_patches.points[:, order], some_patches.share)

    first, second = map(predictor.predict, (some_patches, shuffled))

    apart = np.abs(first.positions_mm - second.positions_mm)
    assert apart.max() < ORDER_MM
    np.testing.assert_allclose(first.spread_mm, second.spread_mm, rtol=1e-5)
    np.testing.assert_allclose(first.visibility, second.visibility, rtol=1e-5)


def test_mirrored_face_gives_the_mirrored_landmarks(the_landmark_twins, the_mirror, some_patches):
    predictor = LandmarkPredictor(the_landmark_twins[1], the_mirror)
    points, centres = mirror_patches(some_patches.points, some_patches.centres_mm, the_mirror)
    mirrored = Patches(centres, points, some_patches.share[the_mirror])

    there = predictor.predict(mirrored)

    here = predictor.predict(some_patches)
    expected = here.positions_mm[the_mirror] * [-1, 1, 1]
    np.testing.assert_allclose(there.positions_mm, expected, rtol=0, atol=ORDER_MM)
    np.testing.assert_allclose(there.spread_mm, here.spread_mm[the_mirror], rtol=1e-5)
    np.testing.assert_allclose(there.visibility, here.visibility[the_mirror], rtol=1e-5)


def test_mirroring_twice_changes_nothing(the_mirror, some_patches):
    once = mirror_patches(some_patches.points, some_patches.centres_mm, the_mirror)

    points, centres = mirror_patches(*once, the_mirror)

    np.testing.assert_array_equal(points, some_patches.points)
    np.testing.assert_array_equal(centres, some_patches.centres_mm)


def test_prediction_is_centre_plus_offset(the_mirror, some_patches):
    """A network of zeros says: the centre, a spread of 1 mm, visible or not."""
    network = LandmarkNetwork(len(the_mirror), SMALL_SIZE)
    weights = {name: 0 * weight for name, weight in state_of(network).items()}

    prediction = LandmarkPredictor(weights, the_mirror).predict(some_patches)

    np.testing.assert_array_equal(prediction.positions_mm, some_patches.centres_mm)
    np.testing.assert_array_equal(prediction.spread_mm, 1)
    np.testing.assert_array_equal(prediction.visibility, 0.5)


def test_prediction_leaves_the_patches_as_they_were(the_landmark_twins, the_mirror, some_patches):
    before = some_patches.points.copy()

    LandmarkPredictor(the_landmark_twins[1], the_mirror).predict(some_patches)

    np.testing.assert_array_equal(some_patches.points, before)


# --- pose ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some_clouds():
    rng = np.random.default_rng(5)
    normals = rng.normal(size=(3, N_POSE_POINTS, 3))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    points = normals * [0.75, 1.1, 1.0] + rng.normal(0, 0.02, normals.shape)
    return np.concatenate([points, normals], axis=2).astype(np.float32)


def test_pose_network_equals_its_twin(the_pose_twins, some_clouds):
    twin, weights = the_pose_twins

    key_points = predict_key_points(weights, some_clouds)

    with torch.no_grad():
        expected = twin(torch.from_numpy(some_clouds.copy())).numpy()
    assert key_points.shape == (3, len(KEY_POINTS_MM), 3)
    np.testing.assert_allclose(
        key_points * POSE_UNIT_MM, expected * POSE_UNIT_MM, rtol=0, atol=TWIN_MM
    )


def test_pose_network_does_not_depend_on_the_order_of_points(the_pose_twins, some_clouds):
    _, weights = the_pose_twins
    order = np.random.default_rng(6).permutation(N_POSE_POINTS)

    shuffled = predict_key_points(weights, some_clouds[:, order])

    straight = predict_key_points(weights, some_clouds)
    # The mean over the points in another order: measured 6e-5 mm.
    np.testing.assert_allclose(shuffled * POSE_UNIT_MM, straight * POSE_UNIT_MM, atol=TWIN_MM)


def test_key_points_carry_a_pose():
    centred = KEY_POINTS_MM - KEY_POINTS_MM[0]

    np.testing.assert_allclose(KEY_POINTS_MM.mean(axis=0), KEY_POINTS_MM[0], atol=1e-12)
    np.testing.assert_allclose(centred.T @ centred, 2 * 80.0**2 * np.eye(3), atol=1e-9)
