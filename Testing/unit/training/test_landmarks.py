# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from palnet.network.landmarks import OFFSET_UNIT_MM, run_network
from palnet.patches import RANKS
from palnet.training import landmarks as landmarks_module
from palnet.training.landmarks import (
    Drawing,
    draw_batch,
    landmark_loss,
    train_landmark_network,
)
from palnet.training.loop import LoopSettings
from palnet.training.patches import TrainingPatches
from toy_head import toy_scheme

N_LANDMARKS = len(toy_scheme())
N_STORED = 128
MIRROR = toy_scheme().mirror


def make_patches(seed, n_scans=8, offset_mm=(0.0, -2.0, 1.5)):
    """Bowl-shaped patches, sorted by distance in each half, off by about the same everywhere."""
    rng = np.random.default_rng(seed)
    shape = (n_scans, 2, N_LANDMARKS)
    points = np.zeros((*shape, 2 * N_STORED, 6))
    for half, reach in enumerate((11.0, 32.0)):
        part = slice(half * N_STORED, (half + 1) * N_STORED)
        radius = reach * np.sqrt(np.sort(rng.random((*shape, N_STORED)), axis=-1))
        angle = rng.uniform(0, 2 * np.pi, radius.shape)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        points[..., part, :3] = np.stack([x, y, radius**2 / 90], axis=-1)
    points[..., 5] = 1
    centres = np.array([0, 0, 80]) + rng.normal(0, 40, (n_scans, 1, N_LANDMARKS, 3))
    centres = centres + rng.normal(0, [[[0.0]], [[0.3]]], (*shape, 3))
    truth = centres[:, 0] + np.array(offset_mm) + rng.normal(0, 0.1, (n_scans, N_LANDMARKS, 3))
    return TrainingPatches(
        points=points.astype(np.float16),
        share=rng.uniform(0.5, 1, (*shape, 2)).astype(np.float32),
        centres_mm=centres.astype(np.float32),
        truth_mm=truth.astype(np.float32),
        visible=rng.random((n_scans, N_LANDMARKS)) < 0.8,
        scale=np.ones(n_scans, dtype=np.float32),
    )


def every_point_at_the_truth(seed):
    """Patches whose every point, relative to its centre, is the true landmark."""
    data = make_patches(seed)
    relative = data.truth_mm[:, None] - data.centres_mm
    points = data.points.astype(np.float32)
    points[..., :3] = relative[..., None, :]
    return TrainingPatches(
        points, data.share, data.centres_mm, data.truth_mm, data.visible, data.scale
    )


@pytest.fixture
def without_noise(monkeypatch):
    monkeypatch.setattr(landmarks_module, "POINT_NOISE_MM", 0.0)
    monkeypatch.setattr(landmarks_module, "NORMAL_NOISE", 0.0)


# --- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_points_turn_scale_shift_and_mirror_with_their_truth(seed, without_noise):
    """They once stayed behind: the augmentation turned a copy of them."""
    data = every_point_at_the_truth(seed)

    points, _, centres, truth, _ = draw_batch(
        data, np.arange(8), MIRROR, np.random.default_rng(seed)
    )

    placed = points[..., :3] + centres[:, :, None]
    # Single precision of about 100 mm.
    np.testing.assert_allclose(
        placed.numpy(), truth[:, :, None].numpy() + np.zeros_like(placed), atol=1e-4
    )


@pytest.mark.parametrize("n_drawn", [1, 32, 64])
def test_as_many_different_points_are_drawn_of_each_half_as_asked(n_drawn, without_noise):
    data = make_patches(3)
    points = draw_batch(
        data, np.arange(8), MIRROR, np.random.default_rng(0), Drawing(n_drawn=n_drawn)
    )[0].numpy()

    assert points.shape[2] == 2 * n_drawn
    for patch in points.reshape(-1, 2, n_drawn, 6):
        for half in patch:
            assert len(np.unique(half, axis=0)) == n_drawn


@pytest.mark.parametrize("seed", range(4))
def test_normals_turn_with_the_face(seed, without_noise):
    data = make_patches(seed)
    data.points[..., 3:] = np.array([0.6, 0.0, 0.8])

    drawn = draw_batch(data, np.arange(8), MIRROR, np.random.default_rng(seed))

    points, truth = drawn[0].numpy(), drawn[3].numpy()
    normals = points[..., 3:]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-3)
    for k in range(8):
        centred = data.truth_mm[k] - data.truth_mm[k].mean(axis=0)
        moved = truth[k] - truth[k].mean(axis=0)
        flipped = normals[k, 0, 0, 0] < 0
        if flipped:
            moved = moved[MIRROR] * [-1, 1, 1]
        u, _, vt = np.linalg.svd(moved.T @ centred)
        expected = (u @ vt) @ [0.6, 0, 0.8] * ([-1, 1, 1] if flipped else [1, 1, 1])
        np.testing.assert_allclose(normals[k, 0, 0], expected, atol=2e-3)
    assert np.abs(normals[:, 0, 0] * np.sign(normals[:, 0, 0, :1]) - [0.6, 0, 0.8]).max() > 0.01


def test_mirrored_scans_swap_the_sides(without_noise):
    data = make_patches(1)
    side = np.array([{"left": 1, "right": -1}.get(m.side, 0) for m in toy_scheme().landmarks])
    data.truth_mm[..., 0] = 60 * side
    data.share[..., 0] = 0.5 + 0.1 * side
    data.visible[:] = side != 1

    _, share, _, truth, visible = draw_batch(data, np.arange(8), MIRROR, np.random.default_rng(2))

    flipped = ~visible[:, side == -1].all(dim=1).numpy()
    assert 0 < flipped.sum() < 8
    # Left stays at +x in the face frame, mirrored or not; what was hidden there changes sides.
    np.testing.assert_allclose(truth[..., 0].numpy(), 60 * side + np.zeros((8, 1)), atol=25)
    for k in range(8):
        sign = -1 if flipped[k] else 1
        np.testing.assert_allclose(share[k, :, 0], 0.5 + 0.1 * sign * side, atol=1e-6)
        np.testing.assert_array_equal(visible[k], sign * side != 1)


def test_same_generator_gives_the_same_batch_and_another_another():
    data = make_patches(3)

    first, again, other = (
        draw_batch(data, np.arange(8), MIRROR, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )

    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first[3], other[3])


def test_batch_without_generator_is_what_a_detection_takes():
    data = make_patches(4)
    scans = np.array([5, 0, 2])

    points, share, centres, truth, visible = draw_batch(data, scans, MIRROR, None)

    kept = np.r_[RANKS - 1, N_STORED + RANKS - 1]
    np.testing.assert_array_equal(points, data.points[scans, 0][:, :, kept].astype(np.float32))
    np.testing.assert_array_equal(share, data.share[scans, 0])
    np.testing.assert_array_equal(centres, data.centres_mm[scans, 0])
    np.testing.assert_array_equal(truth, data.truth_mm[scans])
    np.testing.assert_array_equal(visible, data.visible[scans])


def test_both_starts_are_drawn(without_noise):
    data = make_patches(5)
    data.share[:, 0], data.share[:, 1] = 0.25, 0.75

    drawn = [
        float(draw_batch(data, np.array([k % 8]), MIRROR, np.random.default_rng(k))[1].max())
        for k in range(60)
    ]

    assert 0.45 < np.mean(np.array(drawn) == 0.25) < 0.85


def test_drawing_leaves_the_stored_patches_as_they_were():
    data = make_patches(6)
    before = {name: getattr(data, name).copy() for name in ("points", "share", "centres_mm")}
    before |= {"truth_mm": data.truth_mm.copy(), "visible": data.visible.copy()}

    for seed in range(4):
        draw_batch(data, np.arange(8), MIRROR, np.random.default_rng(seed))

    for name, array in before.items():
        np.testing.assert_array_equal(getattr(data, name), array)


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
    settings = LoopSettings(n_steps=30, peak_rate=4e-3, seed=1, save_every=10)
    weights = train_landmark_network(
        make_patches(1),
        make_patches(2, n_scans=4),
        MIRROR.tolist(),
        folder,
        settings,
        drawing=Drawing(part_size=5),
    )
    return folder, weights


def test_training_learns_the_offset(a_training):
    folder, _ = a_training
    with (folder / "curve.csv").open(newline="", encoding="utf-8") as stream:
        curve = list(csv.DictReader(stream))

    # The toy's offset is 2.5 mm long; measured 0.2 mm at the end.
    assert float(curve[-1]["validation_mm"]) < 1.0
    assert float(curve[-1]["loss"]) < float(curve[0]["loss"])


def test_trained_weights_run_in_numpy(a_training):
    data = make_patches(2, n_scans=4)
    points, share, centres, truth, visible = (
        t.numpy() for t in draw_batch(data, np.arange(4), MIRROR, None)
    )

    raw = run_network(a_training[1], points, share, centres)

    error = np.linalg.norm(centres + raw[..., :3] * OFFSET_UNIT_MM - truth, axis=2)
    with (a_training[0] / "curve.csv").open(newline="", encoding="utf-8") as stream:
        recorded = float(list(csv.DictReader(stream))[-1]["validation_mm"])
    np.testing.assert_allclose(error[visible].mean(), recorded, atol=1e-3)
