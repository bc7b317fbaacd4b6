# SPDX-License-Identifier: Apache-2.0
"""The parts of a training on annotated faces, without one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from palnet.calibration import Calibration
from palnet.errors import TrainingError
from palnet.network.landmarks import OFFSET_UNIT_MM, LandmarkPrediction, run_network
from palnet.network.patches import FaceClouds
from palnet.network.sizes import SMALL_SIZE
from palnet.network.torch_landmarks import LandmarkNetwork
from palnet.surface import PointCloud
from palnet.training.annotated import tuning, tuning_result
from palnet.training.annotated.faces import AnnotatedFace, gather_training_patches
from palnet.training.annotated.label_transfer import N_CARRIERS, transfer_landmarks
from palnet.training.annotated.protocol import read_protocol
from palnet.training.annotated.tuning import choose_rows, tuning_loss
from palnet.training.annotated.tuning_result import (
    MIN_CALIBRATION_PEOPLE,
    is_sure_gain,
    refit_calibration,
)
from palnet.training.loop import export_weights
from toy_cohort import toy_landmarks
from toy_head import toy_atlas, toy_scheme

N_LANDMARKS = len(toy_scheme())


def make_outputs(seed, batch=3, n=5):
    rng = np.random.default_rng(seed)
    raw, held = rng.normal(size=(2, batch, n, 5)).astype(np.float32)
    centres = rng.normal(0, 40, (batch, n, 3)).astype(np.float32)
    truth = centres + rng.normal(0, 3, (batch, n, 3)).astype(np.float32)
    known = rng.random((batch, n)) < 0.6
    known[:, 0] = True
    return raw, centres, truth, known, held


def naive_loss(raw, centres, truth, known, held):
    """Term by term, one landmark at a time."""
    point = pair = spread = moved = 0.0
    n_known = n_pairs = n_free = 0
    for b, i in np.ndindex(known.shape):
        placed = centres[b] + raw[b, :, :3] * OFFSET_UNIT_MM
        free = range(3 if known[b, i] else 0, 5)
        moved += sum((raw[b, i, k] - held[b, i, k]) ** 2 for k in free)
        n_free += len(free)
        if not known[b, i]:
            continue
        error = np.linalg.norm(placed[i] - truth[b, i])
        point, n_known = point + error, n_known + 1
        spread += error / np.exp(raw[b, i, 3]) + raw[b, i, 3]
        for j in np.flatnonzero(known[b]):
            apart = np.linalg.norm(placed[i] - placed[j])
            pair += abs(apart - np.linalg.norm(truth[b, i] - truth[b, j]))
            n_pairs += 1
    position = 0.6 * point / n_known + 0.4 * pair / n_pairs
    return position + 0.1 * spread / n_known, position + 0.1 * moved / n_free


@pytest.mark.parametrize("seed", range(4))
def test_loss_equals_its_definition(seed):
    arrays = make_outputs(seed)
    *first, held = (torch.from_numpy(array) for array in arrays)

    found = float(tuning_loss(*first, None)), float(tuning_loss(*first, held))

    np.testing.assert_allclose(found, naive_loss(*arrays), rtol=1e-5)


@pytest.mark.parametrize("is_held", [False, True])
def test_masked_truth_does_not_leak(is_held):
    """Whatever stands where a landmark is missing, loss and gradient are the same to the bit."""
    results = []
    for noise in (0.0, 500.0):
        raw, centres, truth, known, held = make_outputs(7)
        truth[~known] += noise
        output = torch.from_numpy(raw).requires_grad_()
        others = [torch.from_numpy(array) for array in (centres, truth, known)]
        loss = tuning_loss(output, *others, torch.from_numpy(held) if is_held else None)
        loss.backward()
        results.append((loss.item(), output.grad.numpy().tobytes()))

    assert results[0] == results[1]


def test_each_scan_trains_once_an_epoch():
    drawn = np.concatenate([choose_rows(step, 4, 10, seed=3) for step in range(15)])

    for epoch in drawn.reshape(6, 10):
        assert sorted(epoch.tolist()) == list(range(10))
    assert not np.array_equal(drawn[:10], drawn[10:20])


def test_batch_may_be_larger_than_the_cohort():
    rows = choose_rows(0, 16, 6, seed=3)

    assert np.bincount(rows).max() - np.bincount(rows).min() <= 1


@pytest.mark.parametrize("n_people", [3, 10])
def test_chance_makes_a_sure_gain_once_in_twenty(n_people):
    rng = np.random.default_rng(2)

    share = np.mean([is_sure_gain(rng.normal(0, 1, n_people)) for _ in range(4000)])

    # Three standard errors of a share of 5 % of 4000.
    assert abs(share - 0.05) < 0.0104


def test_steady_gain_is_sure_and_one_person_says_nothing():
    assert is_sure_gain(np.array([0.1, 0.11, 0.09]))
    assert not is_sure_gain(np.array([-0.1, -0.11, -0.09]))
    assert not is_sure_gain(np.array([3.0]))


def test_gain_of_one_persons_many_scans_is_no_sure_one(monkeypatch):
    """Nine scans of one person are a millimeter better, one of another is as it was."""
    names = ["anna"] * 9 + ["ben"]
    faces = [SimpleNamespace(person=name) for name in names]

    def place(faces, weights, _atlas):
        offs = [weights if face.person == "anna" else 2.0 for face in faces]
        return [
            SimpleNamespace(
                predicted=SimpleNamespace(positions_mm=np.full((4, 3), off) / np.sqrt(3)),
                truth=SimpleNamespace(positions_mm=np.zeros((4, 3)), is_placed=np.ones(4, bool)),
            )
            for off in offs
        ]

    monkeypatch.setattr(tuning_result, "place_landmarks", place)

    choice = tuning_result.choose_weights(faces, 2.0, 1.0, toy_atlas())

    assert (choice.before_mm, choice.after_mm) == pytest.approx((2.0, 1.1))
    assert not choice.is_better


@pytest.mark.parametrize(("layers", "share"), [("head", 1.0), ("all", 0.1), (None, 1.0)])
def test_all_layers_of_a_model_are_tuned_at_a_tenth_of_the_rate(
    layers, share, tmp_path, monkeypatch
):
    rates = []
    monkeypatch.setattr(tuning, "place_patches", lambda *_: None)
    monkeypatch.setattr(tuning, "run_loop", lambda *given: rates.append(given[2].rate))
    train = SimpleNamespace(truth_mm=np.zeros((2, N_LANDMARKS, 3)))
    face = SimpleNamespace(truth=SimpleNamespace(scheme=toy_scheme()))
    weights = export_weights(LandmarkNetwork(N_LANDMARKS, SMALL_SIZE))
    protocol = replace(read_protocol("finetune"), layers=layers or "all")
    start = weights if layers else None

    tuning.train_on_faces(train, ([face], toy_atlas()), protocol, tmp_path, start=start)

    assert rates == pytest.approx([protocol.training.rate * share])


@pytest.mark.parametrize("layers", ["head", "all"])
def test_exported_network_equals_torch(layers):
    torch.manual_seed(4)
    first = LandmarkNetwork(5, SMALL_SIZE)
    torch.nn.init.normal_(first.out.weight, std=0.1)
    network = tuning._make_network(5, export_weights(first), layers)
    rng = np.random.default_rng(1)
    arrays = (
        rng.normal(0, 5, (2, 5, 40, 6)).astype(np.float32),
        rng.random((2, 5, 2), dtype=np.float32),
        rng.normal(0, 40, (2, 5, 3)).astype(np.float32),
    )

    with torch.no_grad():
        expected = network(*(torch.from_numpy(array) for array in arrays)).numpy()

    # Offsets are in units of 4 mm; measured 1e-6.
    np.testing.assert_allclose(run_network(export_weights(network), *arrays), expected, atol=1e-5)


# --- faces without scans -------------------------------------------------------------------------


def make_face(seed, truth_of):
    """A face of the atlas's own shape, with landmarks that a function of its points gives."""
    atlas, rng = toy_atlas(), np.random.default_rng(seed)
    shape = rng.normal(0, 1, atlas.n_modes)
    points = atlas.shape_points(shape)
    cloud = PointCloud(points, atlas.normals)
    truth = toy_landmarks(truth_of(points), f"p{seed}")
    return AnnotatedFace(
        f"p{seed}", truth, np.eye(4), FaceClouds(cloud, cloud), shape, 0.25, None, ""
    )


def test_landmarks_that_go_with_atlas_points_are_carried_to_new_people():
    atlas = toy_atlas()
    rows = np.linspace(0, len(atlas.mean_mm) - 1, N_LANDMARKS).astype(int)
    groups = [np.argsort(np.linalg.norm(atlas.mean_mm - atlas.mean_mm[row], axis=1))[:N_CARRIERS]
              for row in rows]  # fmt: skip

    def truth_of(points):
        return np.array([np.add(points[group].mean(axis=0), [0.5, -1.0, 0.8]) for group in groups])

    carried = transfer_landmarks(atlas, [make_face(seed, truth_of) for seed in range(6)])

    new = make_face(99, truth_of)
    error = np.linalg.norm(carried.shape_landmarks(new.mode_weights) - new.truth_mm, axis=1)
    # Other neighbours may be nearer on the six; measured 0.3 mm at most.
    assert error.max() < 1.0
    np.testing.assert_array_equal(carried.mean_mm.astype(np.float32), atlas.mean_mm.astype("f4"))


def test_landmark_that_no_training_face_has_cannot_be_carried():
    def truth_of(points):
        truth = points[:N_LANDMARKS].copy()
        truth[2] = np.nan
        return truth

    with pytest.raises(TrainingError, match=f"has landmark {toy_scheme().codes[2]}"):
        transfer_landmarks(toy_atlas(), [make_face(0, truth_of)])


def test_patches_of_a_missing_landmark_know_the_start_alone():
    def truth_of(points):
        truth = points[:N_LANDMARKS] + 1.0
        truth[4] = np.nan
        return truth

    face = make_face(1, truth_of)

    data = gather_training_patches([face], toy_atlas(), seed=1)

    start = toy_atlas().shape_landmarks(face.mode_weights)[4].astype(np.float32)
    assert data.visible[0].tolist() == [k != 4 for k in range(N_LANDMARKS)]
    np.testing.assert_array_equal(data.truth_mm[0, 4], start)
    np.testing.assert_array_equal(data.centres_mm[0, :, 4], [start, start])
    assert np.isfinite(data.points.astype(np.float32)).all()


def fake_face(number):
    """Errors three times the spread, by the power of 0.6 more where the atlas fits badly."""
    spread = np.exp(np.random.default_rng(number).normal(0, 0.5, N_LANDMARKS))
    times_usual = (0.6, 1.0, 2.5)[number % 3]
    off = np.zeros((N_LANDMARKS, 3))
    off[:, 0] = 3 * spread * times_usual**0.6
    return SimpleNamespace(
        person=f"p{number}",
        truth=SimpleNamespace(is_placed=np.ones(N_LANDMARKS, dtype=bool)),
        truth_mm=np.zeros((N_LANDMARKS, 3)),
        project=lambda positions: positions,
        predict=lambda *_: LandmarkPrediction(off, spread, np.ones(N_LANDMARKS)),
        residual_mm=0.25 * times_usual,
    )


def test_expected_errors_are_fitted_to_enough_people_and_kept_with_fewer():
    law = {"source_factor": 1.9, "source_power": 0.7}
    known = Calibration(np.ones(N_LANDMARKS), 0.7, 0.25, 1.74, 0.6, 2.5, **law)
    faces = [fake_face(number) for number in range(MIN_CALIBRATION_PEOPLE)]
    twice_the_first = [*faces[:-1], replace_person(faces[0])]

    assert refit_calibration(faces[:-1], {}, toy_atlas(), known) is known
    assert refit_calibration(twice_the_first, {}, toy_atlas(), known) is known
    fitted = refit_calibration(faces, {}, toy_atlas(), known)
    np.testing.assert_allclose(fitted.factor, 3, rtol=1e-6)
    assert fitted.power == pytest.approx(1)
    assert fitted.min_visibility == known.min_visibility
    assert fitted.misfit_power == known.misfit_power
    assert fitted.largest_spread_mm == known.largest_spread_mm == 2.5
    # They are these people's own: no source is unseen.
    assert (fitted.source_factor, fitted.source_power) == (1, 1)


def replace_person(face):
    return SimpleNamespace(**vars(face))


def test_start_of_another_size_is_taken_as_it_is():
    weights = export_weights(LandmarkNetwork(3, replace(SMALL_SIZE, width=64)))

    network = tuning._make_network(3, weights, "all")

    assert network.landmark.shape == (3, 64)
    assert all(weight.requires_grad for weight in network.parameters())
    head = tuning._make_network(3, weights, "head")
    trained = {n for n, w in head.named_parameters() if w.requires_grad}
    output = {"norm.weight", "norm.bias", "out.weight", "out.bias"}
    assert trained == {"landmark", "joint.bias", *output}
