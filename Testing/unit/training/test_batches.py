# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from palnet.network.patches import RANKS
from palnet.training import batches as batches_module
from palnet.training.batches import Drawing, draw_batch, place_patches, take_nearest
from palnet.training.patches import TrainingPatches
from toy_head import toy_scheme
from toy_patches import N_STORED, make_patches

MIRROR = toy_scheme().mirror
PLAIN = Drawing()


def every_point_at_the_truth(seed):
    """Patches whose every point, relative to its centre, is the true landmark."""
    data = make_patches(seed)
    relative = data.truth_mm[:, None] - data.centres_mm
    points = data.points.astype(np.float32)
    points[..., :3] = relative[..., None, :]
    return TrainingPatches(points, data.share, data.centres_mm, data.truth_mm, data.visible)


def draw(data, scans, seed, drawing=PLAIN):
    """A batch; without a seed as in a detection."""
    placed, scans = place_patches(data, torch.device("cpu")), torch.as_tensor(scans)
    if seed is None:
        return take_nearest(placed, scans, torch.zeros_like(scans))
    rng = torch.Generator().manual_seed(seed)
    return draw_batch(placed, scans, torch.tensor(MIRROR), rng, drawing)


@pytest.fixture
def without_noise(monkeypatch):
    monkeypatch.setattr(batches_module, "POINT_NOISE_MM", 0.0)
    monkeypatch.setattr(batches_module, "NORMAL_NOISE", 0.0)


@pytest.mark.parametrize("drawing", [PLAIN, Drawing(warp=1.0)], ids=["plain", "warped"])
@pytest.mark.parametrize("seed", range(4))
def test_points_turn_scale_shift_and_mirror_with_their_truth(seed, drawing, without_noise):
    """They once stayed behind: the augmentation turned a copy of them."""
    data = every_point_at_the_truth(seed)

    points, _, centres, truth, _ = draw(data, np.arange(8), seed, drawing)

    placed = points[..., :3] + centres[:, :, None]
    # Single precision of about 100 mm.
    np.testing.assert_allclose(
        placed.numpy(), truth[:, :, None].numpy() + np.zeros_like(placed), atol=1e-4
    )


@pytest.mark.parametrize("n_drawn", [1, 32, 64])
def test_as_many_different_points_are_drawn_of_each_half_as_asked(n_drawn, without_noise):
    data = make_patches(3)
    points = draw(data, np.arange(8), 0, Drawing(n_drawn=n_drawn)).points.numpy()

    assert points.shape[2] == 2 * n_drawn
    for patch in points.reshape(-1, 2, n_drawn, 6):
        for half in patch:
            assert len(np.unique(half, axis=0)) == n_drawn


@pytest.mark.parametrize("seed", range(4))
def test_normals_turn_with_the_face(seed, without_noise):
    data = make_patches(seed)
    data.points[..., 3:] = np.array([0.6, 0.0, 0.8])

    drawn = draw(data, np.arange(8), seed)

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

    _, share, _, truth, visible = draw(data, np.arange(8), 2)

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

    first, again, other = (draw(data, np.arange(8), seed) for seed in (1, 1, 2))

    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first[3], other[3])


def test_nearest_points_are_what_a_detection_takes():
    data = make_patches(4)
    scans = np.array([5, 0, 2])

    points, share, centres, truth, visible = draw(data, scans, None)

    kept = np.r_[RANKS - 1, N_STORED + RANKS - 1]
    np.testing.assert_array_equal(points, data.points[scans, 0][:, :, kept].astype(np.float32))
    np.testing.assert_array_equal(share, data.share[scans, 0])
    np.testing.assert_array_equal(centres, data.centres_mm[scans, 0])
    np.testing.assert_array_equal(truth, data.truth_mm[scans])
    np.testing.assert_array_equal(visible, data.visible[scans])


def test_both_starts_are_drawn(without_noise):
    data = make_patches(5)
    data.share[:, 0], data.share[:, 1] = 0.25, 0.75

    drawn = [float(draw(data, [k % 8], k).share.max()) for k in range(60)]

    assert 0.45 < np.mean(np.array(drawn) == 0.25) < 0.85


@pytest.mark.parametrize("drawing", [PLAIN, Drawing(warp=1.0)], ids=["plain", "warped"])
def test_drawing_leaves_the_stored_patches_as_they_were(drawing):
    data = make_patches(6)
    before = {name: getattr(data, name).copy() for name in ("points", "share", "centres_mm")}
    before |= {"truth_mm": data.truth_mm.copy(), "visible": data.visible.copy()}

    for seed in range(4):
        draw(data, np.arange(8), seed, drawing)

    for name, array in before.items():
        np.testing.assert_array_equal(getattr(data, name), array)


def test_reach_differs_from_scan_to_scan(without_noise):
    """Each patch as other densities would show it: from the nearest 64 to all 128 points."""
    data = make_patches(7, n_scans=40)

    points = draw(data, np.arange(40), 1, Drawing(n_drawn=64)).points.numpy()

    # The stored points lie sorted by distance, which no augmentation changes by much.
    farthest = np.linalg.norm(points[:, :, :64, :3], axis=-1).max(axis=(1, 2))
    assert np.ptp(farthest) > 2
    assert np.all(farthest < 11 * 1.1 + 3)


def test_starts_of_the_atlas_alone_are_moved_by_a_warp(without_noise, monkeypatch):
    """Second starts are good ones, and stay so."""
    monkeypatch.setattr(batches_module, "CENTRE_SHIFT_MM", 0.0)
    data = make_patches(8, n_scans=60, offset_mm=(0.0, 0.0, 0.0))
    data.centres_mm[:] = data.truth_mm[:, None]
    data.share[:, 0], data.share[:, 1] = 0.25, 0.75

    batch = draw(data, np.arange(60), 3, Drawing(warp=1.0))

    off = torch.linalg.vector_norm(batch.centres_mm - batch.truth_mm, dim=2).mean(dim=1)
    is_first = batch.share[:, 0, 0] == 0.25
    assert 10 < is_first.sum() < 50
    assert off[~is_first].max() < 1e-3
    assert off[is_first].mean() > 0.3
