# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from palnet.network.landmarks import OFFSET_UNIT_MM, run_network
from palnet.network.sizes import LARGE_SIZE, SMALL_SIZE, NetworkSize
from palnet.training.batches import Drawing, place_patches, take_nearest
from palnet.training.generated.landmarks import begin_network, train_landmark_network
from palnet.training.loop import OneCycleSettings
from palnet.training.losses import landmark_loss
from toy_cohort import read_table
from toy_head import toy_scheme
from toy_patches import make_patches

MIRROR = toy_scheme().mirror


def placed(patches):
    return place_patches(patches, torch.device("cpu"))


# --- loss ----------------------------------------------------------------------------------------


def make_outputs(seed, batch=2, n=5):
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(batch, n, 5)).astype(np.float32)
    centres = rng.normal(0, 40, (batch, n, 3)).astype(np.float32)
    truth = centres + rng.normal(0, 3, (batch, n, 3)).astype(np.float32)
    visible = rng.random((batch, n)) < 0.7
    return raw, centres, truth, visible


def naive_loss(raw, centres, truth, visible):
    """Term by term, one landmark at a time."""
    point = spread = shown = pair = 0.0
    weights = pair_weights = 0.0
    batch, n = visible.shape
    for b in range(batch):
        placed = centres[b] + raw[b, :, :3] * OFFSET_UNIT_MM
        for i in range(n):
            w = 1.0 if visible[b, i] else 0.1
            error = np.linalg.norm(placed[i] - truth[b, i])
            weights += w
            point += w * error
            spread += w * (error / np.exp(raw[b, i, 3]) + raw[b, i, 3])
            chance = 1 / (1 + np.exp(-raw[b, i, 4]))
            shown -= np.log(chance if visible[b, i] else 1 - chance) / (batch * n)
            for j in range(n):
                v = w * (1.0 if visible[b, j] else 0.1)
                there = np.linalg.norm(placed[i] - placed[j])
                pair += v * abs(there - np.linalg.norm(truth[b, i] - truth[b, j]))
                pair_weights += v
    return 0.6 * point / weights + 0.4 * pair / pair_weights + 0.1 * spread / weights + 0.1 * shown


@pytest.mark.parametrize("seed", range(5))
def test_loss_equals_its_definition(seed):
    arrays = make_outputs(seed)

    loss = landmark_loss(*(torch.from_numpy(array) for array in arrays))

    np.testing.assert_allclose(float(loss), naive_loss(*arrays), rtol=1e-5)


def test_loss_of_the_truth_is_smaller_than_of_anything_near():
    raw, centres, truth, visible = make_outputs(1)
    raw[..., :3] = (truth - centres) / OFFSET_UNIT_MM
    best = naive_loss(raw, centres, truth, visible)

    for seed in range(5):
        nudge = np.random.default_rng(seed).normal(0, 0.05, raw[..., :3].shape)
        worse = raw.copy()
        worse[..., :3] += nudge

        assert naive_loss(worse, centres, truth, visible) > best


def test_spread_has_no_pull_on_the_position():
    raw, centres, truth, visible = (torch.from_numpy(a) for a in make_outputs(2))
    gradients = []
    for log_spread in (-2.0, 1.0):
        output = raw.clone()
        output[..., 3] = log_spread
        output.requires_grad_()
        landmark_loss(output, centres, truth, visible).backward()
        gradients.append(output.grad[..., :3])

    assert torch.equal(*gradients)


def test_best_spread_is_the_mean_error():
    raw, centres, truth, _ = make_outputs(3)
    visible = np.ones(raw.shape[:2], dtype=bool)
    error = np.linalg.norm(centres + raw[..., :3] * OFFSET_UNIT_MM - truth, axis=2)
    output = torch.from_numpy(raw)
    output[..., 3] = float(np.log(error.mean()))
    output.requires_grad_()

    landmark_loss(output, *(torch.from_numpy(a) for a in (centres, truth, visible))).backward()

    np.testing.assert_allclose(float(output.grad[..., 3].sum()), 0, atol=1e-6)


def test_gradient_is_finite_where_all_is_right():
    raw, centres, truth, visible = make_outputs(4)
    truth[:, 1] = truth[:, 0]
    raw[..., :3] = (truth - centres) / OFFSET_UNIT_MM
    output = torch.from_numpy(raw).requires_grad_()

    landmark_loss(output, *(torch.from_numpy(a) for a in (centres, truth, visible))).backward()

    assert torch.isfinite(output.grad).all()


# --- training ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def a_training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("landmarks")
    settings = OneCycleSettings(n_steps=30, peak_rate=4e-3, seed=1, save_every=10)
    weights = train_landmark_network(
        begin_network(len(MIRROR), SMALL_SIZE, 1),
        placed(make_patches(1)),
        placed(make_patches(2, n_scans=4)),
        MIRROR.tolist(),
        folder,
        settings,
        drawing=Drawing(part_size=5),
    )
    return folder, weights


def test_training_learns_the_offset(a_training):
    folder, _ = a_training
    curve = read_table(folder / "curve.csv")

    # The toy's offset is 2.5 mm long; measured 0.2 mm at the end.
    assert float(curve[-1]["validation_mm"]) < 1.0
    assert float(curve[-1]["loss"]) < float(curve[0]["loss"])


def test_trained_weights_run_in_numpy(a_training):
    data = make_patches(2, n_scans=4)
    batch = take_nearest(placed(data), torch.arange(4), torch.zeros(4, dtype=int))
    points, share, centres, truth, visible = (t.numpy() for t in batch)

    raw = run_network(a_training[1], points, share, centres)

    error = np.linalg.norm(centres + raw[..., :3] * OFFSET_UNIT_MM - truth, axis=2)
    recorded = float(read_table(a_training[0] / "curve.csv")[-1]["validation_mm"])
    np.testing.assert_allclose(error[visible].mean(), recorded, atol=1e-3)


def test_a_round_begins_where_the_one_before_ended(a_training):
    weights = a_training[1]

    grown = begin_network(len(MIRROR), LARGE_SIZE, 5, weights)

    state = {name: value.numpy() for name, value in grown.state_dict().items()}
    assert NetworkSize.of(state) == LARGE_SIZE
    data = placed(make_patches(2, n_scans=4))
    inputs = [t.numpy() for t in take_nearest(data, torch.arange(4), torch.zeros(4, dtype=int))[:3]]
    np.testing.assert_allclose(
        run_network(state, *inputs), run_network(weights, *inputs), rtol=0, atol=1e-5
    )


def test_new_networks_differ_by_their_seed():
    first, again, other = (begin_network(5, SMALL_SIZE, seed).token.weight for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
