# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from palnet.training.warping import MISFIT_MM, WAVE_MM, _draw_waves, warp_patches

N_FACES, N_LANDMARKS, N_POINTS, RADIUS_MM = 40, 6, 30, 90.0


def draw_sphere_patches(seed=0):
    """Patches of a sphere about the origin: whose normals are known anywhere."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(N_FACES, N_LANDMARKS, 3))
    centres *= RADIUS_MM / np.linalg.norm(centres, axis=2, keepdims=True)
    around = centres[:, :, None] + rng.normal(0, 8, (N_FACES, N_LANDMARKS, N_POINTS, 3))
    normals = around / np.linalg.norm(around, axis=3, keepdims=True)
    points = np.concatenate([RADIUS_MM * normals - centres[:, :, None], normals], axis=3)
    truth = centres + rng.normal(0, 1, centres.shape)
    return [values.astype(np.float32) for values in (points, centres, truth)]


def warp(arrays, *, atlas_start=False, strength=1.0, seed=3):
    """Warped copies."""
    starts, rng = torch.full((N_FACES,), atlas_start), torch.Generator().manual_seed(seed)
    warped = warp_patches(*(torch.from_numpy(a.copy()) for a in arrays), starts, strength, rng)
    return [values.numpy() for values in warped]


def rms(moved):
    return float(np.sqrt((moved**2).sum(axis=-1).mean()))


def test_landmarks_move_by_millimetres_and_each_face_otherwise():
    arrays = draw_sphere_patches()

    _, _, truth = warp(arrays)

    moved = truth - arrays[2]
    by_face = np.sqrt((moved**2).sum(axis=2).mean(axis=1))
    assert 1 < rms(moved) < 3 * WAVE_MM
    assert by_face.min() < 0.5 * by_face.mean() < by_face.max() / 3


def test_warp_is_smooth():
    """What lies 8 mm apart stays so within a few tenths: no fold, no tear."""
    arrays = draw_sphere_patches()

    points, *_ = warp(arrays)

    before, after = (
        np.linalg.norm(p[:, :, :1, :3] - p[:, :, 1:, :3], axis=3) for p in (arrays[0], points)
    )
    assert (after / before).min() > 0.65
    assert (after / before).max() < 1.5
    assert abs((after / before).mean() - 1) < 0.05


def test_the_same_place_of_two_patches_stays_the_same():
    points, centres, truth = draw_sphere_patches()
    # The second patch shows what the first does, from another centre.
    points[:, 1, :, :3] = points[:, 0, :, :3] + (centres[:, 0] - centres[:, 1])[:, None]
    points[:, 1, :, 3:] = points[:, 0, :, 3:]

    warped, moved, _ = warp((points, centres, truth))

    first, second = (warped[:, k, :, :3] + moved[:, k, None] for k in (0, 1))
    np.testing.assert_allclose(first, second, atol=1e-3)
    np.testing.assert_allclose(warped[:, 0, :, 3:], warped[:, 1, :, 3:], atol=1e-5)


def test_normals_are_those_of_the_warped_surface():
    """Told by two short ways along the surface, which are warped as points are."""
    points, centres, truth = draw_sphere_patches()
    step = 0.05
    normals = points[:, :, :10, 3:]
    along = np.cross(normals, np.array([0.3, 0.5, 0.8]))
    along /= np.linalg.norm(along, axis=3, keepdims=True)
    across = np.cross(normals, along)
    for part, way in ((slice(10, 20), along), (slice(20, 30), across)):
        points[:, :, part, :3] = points[:, :, :10, :3] + step * way
        points[:, :, part, 3:] = normals

    warped, _, _ = warp((points.astype(np.float32), centres, truth))

    base, one, two = (warped[:, :, part, :3] for part in (slice(10), slice(10, 20), slice(20, 30)))
    wanted = np.cross((one - base).astype(float), (two - base).astype(float))
    wanted /= np.linalg.norm(wanted, axis=3, keepdims=True)
    wanted *= np.sign((wanted * normals).sum(axis=3, keepdims=True))
    lost = np.degrees(np.arccos(np.clip((wanted * warped[:, :, :10, 3:]).sum(axis=3), -1, 1)))
    turned = np.degrees(np.arccos(np.clip((wanted * normals).sum(axis=3), -1, 1)))
    assert turned.mean() > 1
    assert lost.mean() < 0.15 * turned.mean()
    np.testing.assert_allclose(np.linalg.norm(warped[..., 3:], axis=3), 1, atol=1e-5)


def test_starts_of_a_second_pass_stay_as_good_as_they_were():
    arrays = draw_sphere_patches()

    _, centres, truth = warp(arrays)

    before, after = rms(arrays[1] - arrays[2]), rms(centres - truth)
    np.testing.assert_allclose(after, before, rtol=0.1)


def test_starts_of_the_atlas_get_worse():
    """By so much as a random share of the waves makes: its mean square is a third."""
    arrays = draw_sphere_patches()

    _, centres, truth = warp(arrays, atlas_start=True)

    before, after = rms(arrays[1] - arrays[2]), rms(centres - truth)
    added = np.sqrt(after**2 - before**2)
    assert 0.6 * MISFIT_MM < added * np.sqrt(3) < 1.5 * MISFIT_MM


@pytest.mark.parametrize("strength", [0.25, 0.5])
def test_half_the_strength_moves_half_as_far(strength):
    arrays = draw_sphere_patches()

    whole, part = (warp(arrays, strength=s)[2] - arrays[2] for s in (1.0, strength))

    np.testing.assert_allclose(part, strength * whole, atol=1e-4)


def test_short_waves_are_as_steep_as_long_ones():
    waves = _draw_waves(torch.Generator().manual_seed(1), torch.full((3000, 1), WAVE_MM))

    per_mm, heights = (v.norm(dim=2).numpy().ravel() for v in (waves.vectors, waves.amplitudes))
    is_short = per_mm > np.median(per_mm)
    steepness = per_mm * heights
    assert steepness[is_short].mean() == pytest.approx(steepness[~is_short].mean(), rel=0.05)
    field = waves.at(200 * torch.randn((3000, 20, 3), generator=torch.Generator().manual_seed(2)))
    # Measured 1.04: the lengths scatter.
    assert rms(field.numpy()) == pytest.approx(WAVE_MM, rel=0.08)


def test_another_seed_warps_otherwise():
    arrays = draw_sphere_patches()

    assert rms(warp(arrays, seed=1)[2] - warp(arrays, seed=2)[2]) > 1
