# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from palnet.network.landmarks import OFFSET_UNIT_MM, mirror_patches, run_network
from palnet.network.patches import RANKS
from palnet.network.sizes import SMALL_SIZE
from palnet.network.torch_landmarks import LandmarkNetwork
from palnet.training.batches import place_patches
from palnet.training.generated import joint as joint_module
from palnet.training.generated.joint import MOST_REMAINING_MM, refit_joint_layer
from palnet.training.patches import TrainingPatches
from toy_head import toy_scheme
from toy_patches import N_STORED

N_LANDMARKS = len(toy_scheme())
MIRROR = toy_scheme().mirror
PICKED = np.concatenate([RANKS - 1, N_STORED + RANKS - 1])


def network_weights(seed):
    """Of a network that moves landmarks by a few tenths of a millimetre, joint layer and all."""
    torch.manual_seed(seed)
    network = LandmarkNetwork(N_LANDMARKS, SMALL_SIZE)
    rng = np.random.default_rng(seed)
    weights = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    for name, size in (("out.weight", 0.02), ("joint.weight", 0.05), ("joint.bias", 0.02)):
        weights[name] = rng.normal(0, size, weights[name].shape).astype(np.float32)
    return weights


def placed(patches):
    return place_patches(patches, torch.device("cpu"))


def make_patches(seed, n_scans):
    rng = np.random.default_rng(seed)
    shape = (n_scans, 2, N_LANDMARKS)
    points = rng.normal(0, 6, (*shape, 2 * N_STORED, 6))
    centres = rng.normal(0, 40, (*shape, 3))
    return TrainingPatches(
        points=points.astype(np.float16),
        share=rng.uniform(0.5, 1, (*shape, 2)).astype(np.float32),
        centres_mm=centres.astype(np.float32),
        truth_mm=centres[:, 0].astype(np.float32),
        visible=rng.random((n_scans, N_LANDMARKS)) < 0.8,
    )


def starts_of(data):
    """Every third scan with its second start."""
    scans = np.arange(len(data.truth_mm))
    return scans, (scans % 3 == 2).astype(int)


def both_sides(data):
    """What a detection gives the network: each face and its mirror image."""
    chosen = starts_of(data)
    points = data.points[chosen][:, :, PICKED].astype(np.float32)
    share, centres = data.share[chosen], data.centres_mm[chosen]
    yield points, share, centres
    mirrored, mirrored_centres = mirror_patches(points, centres, MIRROR)
    yield mirrored, share[:, MIRROR], mirrored_centres


def offsets_of(weights, data):
    """(2 n_scans, 3 n_landmarks), in millimetres."""
    raw = np.concatenate([run_network(weights, *inputs) for inputs in both_sides(data)])
    return raw[..., :3].reshape(len(raw), -1) * OFFSET_UNIT_MM


def with_truth(data, offsets_mm):
    """The same patches, their true landmarks where the offsets of the faces as they are lead to."""
    n_scans = len(data.truth_mm)
    moved = offsets_mm[:n_scans].reshape(n_scans, N_LANDMARKS, 3)
    return replace(data, truth_mm=(data.centres_mm[starts_of(data)] + moved).astype(np.float32))


def mean_error(weights, data):
    raw = run_network(weights, *next(both_sides(data)))
    placed = raw[..., :3] * OFFSET_UNIT_MM + data.centres_mm[starts_of(data)]
    return np.linalg.norm(placed - data.truth_mm, axis=2)[data.visible].mean()


@pytest.fixture(scope="module")
def weights():
    return network_weights(3)


def truth_on_both_sides(data):
    """Where the true landmarks lie from the centres, of each face and its mirror image."""
    offset = data.truth_mm - data.centres_mm[starts_of(data)]
    both = np.concatenate([offset, offset[:, MIRROR] * [-1, 1, 1]])
    return both.reshape(len(both), -1), np.concatenate([data.visible, data.visible[:, MIRROR]])


def by_a_rule(weights, data, seed):
    """The truth: offsets of all landmarks mixed by some linear rule."""
    rng = np.random.default_rng(seed)
    n_coordinates = 3 * N_LANDMARKS
    rule = rng.normal(0, 0.3 / np.sqrt(n_coordinates), (n_coordinates, n_coordinates))
    return with_truth(data, offsets_of(weights, data) @ (np.eye(n_coordinates) + rule).T + 0.2)


@pytest.fixture
def refit(weights):
    """Refit on the given patches, which check themselves."""

    def run(data, ridge, start=weights):
        return refit_joint_layer(start, placed(data), placed(data), MIRROR, ridge=ridge)

    return run


@pytest.mark.parametrize("ridge", [1e-3, 30.0, 3000.0])
def test_layer_is_the_ridge_regression_behind_the_one_before(ridge, weights, refit):
    """Against rows that stand for the penalty, solved without normal equations."""
    data = by_a_rule(weights, make_patches(1, 80), seed=5)
    before = offsets_of(weights, data)
    truth, visible = truth_on_both_sides(data)
    assert np.abs(truth - before).max() < MOST_REMAINING_MM
    columns = (before - before.mean(axis=0)) / before.std(axis=0)
    penalty = np.sqrt(ridge) * np.eye(3 * N_LANDMARKS)
    expected = before.copy()
    for landmark in range(N_LANDMARKS):
        rows, xyz = visible[:, landmark], slice(3 * landmark, 3 * landmark + 3)
        table = np.block([[columns[rows], np.ones((rows.sum(), 1))],
                          [penalty, np.zeros((3 * N_LANDMARKS, 1))]])  # fmt: skip
        wanted = np.concatenate([(truth - before)[rows, xyz], np.zeros((3 * N_LANDMARKS, 3))])
        found = np.linalg.lstsq(table, wanted, rcond=None)[0]
        expected[:, xyz] += columns @ found[:-1] + found[-1]

    refitted = refit(data, ridge)

    np.testing.assert_allclose(offsets_of(refitted, data), expected, atol=2e-3)


def test_linear_rule_between_the_offsets_is_found_and_holds_on_new_faces(weights, monkeypatch):
    """Without mirror images: the network is not its own, so that no such rule holds for both."""
    monkeypatch.setattr(joint_module, "mirror_batch", lambda batch, mirror: batch)
    train, fresh = (by_a_rule(weights, make_patches(s, n), seed=5) for s, n in ((1, 120), (2, 20)))

    refitted = refit_joint_layer(
        weights, placed(train), placed(fresh), np.arange(N_LANDMARKS), ridge=1e-3
    )

    assert mean_error(refitted, fresh) < 0.02 * mean_error(weights, fresh)


def test_only_the_joint_layer_changes(weights, refit):
    data = by_a_rule(weights, make_patches(1, 30), seed=5)

    refitted = refit(data, ridge=10)

    assert refitted.keys() == weights.keys()
    changed = {n for n, w in refitted.items() if not np.array_equal(w, weights[n])}
    assert changed == {"joint.weight", "joint.bias"}
    assert {w.dtype for w in refitted.values()} == {np.dtype(np.float32)}


def test_layer_that_is_no_better_on_other_people_is_not_taken(weights):
    train = by_a_rule(weights, make_patches(1, 60), seed=5)
    others = by_a_rule(weights, make_patches(2, 20), seed=6)

    refitted = refit_joint_layer(weights, placed(train), placed(others), MIRROR, ridge=1e-3)

    for name, weight in refitted.items():
        np.testing.assert_array_equal(weight, weights[name])


def test_what_is_hidden_or_lies_centimetres_off_teaches_no_more_than_its_share(weights, refit):
    data = by_a_rule(weights, make_patches(1, 60), seed=5)
    data.visible[0, 0] = True
    far = data.truth_mm.copy()
    far[~data.visible] += 500.0
    at_limit, beyond = data.truth_mm.copy(), data.truth_mm.copy()
    at_limit[0, 0] += 3 * MOST_REMAINING_MM
    beyond[0, 0] += 500.0

    plain, hidden, limit, outlier = (
        refit(replace(data, truth_mm=truth), ridge=10)
        for truth in (data.truth_mm, far, at_limit, beyond)
    )

    for name in ("joint.weight", "joint.bias"):
        np.testing.assert_array_equal(hidden[name], plain[name])
        np.testing.assert_array_equal(outlier[name], limit[name])
        assert not np.array_equal(limit[name], plain[name])
