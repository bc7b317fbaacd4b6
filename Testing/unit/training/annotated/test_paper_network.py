# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from palnet.network.torch_paper import PalNet
from palnet.training.annotated import paper_network
from palnet.training.annotated.cohort import AlignedScan, gather_sorted_patches, mean_landmarks
from palnet.training.annotated.paper_network import (
    settings_of,
    train_paper_network,
    write_network,
)
from palnet.training.annotated.protocol import read_protocol
from palnet.training.loop import run_loop
from palnet.training.losses import position_loss
from toy_cohort import read_table


def test_settings_count_epochs_in_batches():
    settings = settings_of(read_protocol(), 171)

    # 171 scans are ten batches of 16 and one of 11.
    assert (settings.validate_every, settings.n_steps) == (11, 55_000)
    assert settings.save_every % settings.validate_every == 0


def a_cohort(n_people=8, missing=()):
    """Bumpy sheets whose landmarks are fixed points of them, moved a little for each person."""
    scans = []
    for seed in range(n_people):
        rng = np.random.default_rng(seed)
        cloud = np.column_stack([rng.uniform(-60, 60, (900, 2)), np.zeros(900)])
        shift = rng.normal(0, 8, 3) * [1, 1, 0]
        cloud[:, 2] = 25 * np.exp(-np.sum((cloud[:, :2] - shift[:2]) ** 2, axis=1) / 800)
        truth = np.array([[0, 0, 25], [-30, 20, 0], [30, 20, 0.0]]) + shift
        if seed in missing:
            truth[1] = np.nan
        scans.append(AlignedScan(f"p{seed}", f"p{seed}", cloud, truth))
    return scans


def tiny_protocol(n_epochs=12, **training):
    protocol = read_protocol()
    return replace(
        protocol,
        patches=replace(protocol.patches, n_points=100),
        training=replace(protocol.training, batch_size=3, n_epochs=n_epochs, rate=3e-4, **training),
    )


def sets_of(scans, n_points=100):
    means = mean_landmarks(scans[:6])
    return tuple(gather_sorted_patches(part, means, n_points) for part in (scans[:6], scans[6:]))


def train(folder, protocol, scans=None):
    return train_paper_network(*sets_of(scans or a_cohort()), protocol, folder)


def read_curve(folder):
    return read_table(folder / "curve.csv")


def bits(network):
    return {name: weight.numpy().tobytes() for name, weight in network.state_dict().items()}


@pytest.fixture
def one_checkpoint_in_three_epochs(monkeypatch):
    monkeypatch.setattr(paper_network, "EPOCHS_BETWEEN_CHECKPOINTS", 3)


@pytest.mark.parametrize("stop_at", [4, 13, 19])
def test_resumed_run_equals_an_uninterrupted_one(
    stop_at, tmp_path, monkeypatch, one_checkpoint_in_three_epochs
):
    whole = train(tmp_path / "whole", tiny_protocol())
    calls = []

    def fail_once(*arguments):
        calls.append(arguments)
        if len(calls) == stop_at:
            raise InterruptedError
        return position_loss(*arguments)

    monkeypatch.setattr(paper_network, "position_loss", fail_once)
    with pytest.raises(InterruptedError):
        train(tmp_path / "parts", tiny_protocol())
    resumed = train(tmp_path / "parts", tiny_protocol())

    assert len(calls) > 24  # some batches twice
    assert bits(resumed) == bits(whole)
    assert read_curve(tmp_path / "parts") == read_curve(tmp_path / "whole")


def test_weights_of_the_best_epoch_are_kept_and_training_stops(tmp_path, monkeypatch):
    # No rate, no change: the first epoch is the best, and five more end it.
    protocol = tiny_protocol(40, stop_after=5)
    protocol = replace(protocol, training=replace(protocol.training, rate=1e-30))

    train(tmp_path, protocol)

    assert len(read_curve(tmp_path)) == 6
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert (state["best_step"], state["step"]) == (2, 12)


def test_network_has_the_weights_of_the_best_epoch(tmp_path):
    """Not those of the last one, nor after the same command was given again."""
    errors, seen = [3.0, 1.0, 2.0, 1.5], []

    def draw_loss(network, rng, _step):
        return network(torch.from_numpy(rng.normal(size=(4, 2)).astype(np.float32))).square().mean()

    def validate(network):
        seen.append(network.weight.detach().clone())
        return errors[len(seen) - 1]

    settings = replace(settings_of(tiny_protocol(40, stop_after=2), 3), rate=0.1)
    for _ in range(2):
        network = torch.nn.Linear(2, 1)
        run_loop(network, draw_loss, settings, tmp_path, validate)
        assert len(seen) == 4
        torch.testing.assert_close(network.weight.detach(), seen[1], rtol=0, atol=0)
    assert not torch.equal(seen[1], seen[3])


def test_rate_is_halved_on_a_plateau(tmp_path):
    protocol = tiny_protocol(8, plateau_patience=2, stop_after=30)
    protocol = replace(protocol, training=replace(protocol.training, rate=1e-30))

    train(tmp_path, protocol)

    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    # Worse than the first epoch are 2 to 8: after three of them and after three more.
    assert state["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0.25e-30)


def test_each_epoch_shows_every_scan_once(tmp_path, monkeypatch):
    shown = []

    def watch(predicted, truth, known):
        shown.append(truth.clone())
        return position_loss(predicted, truth, known)

    monkeypatch.setattr(paper_network, "position_loss", watch)
    train(tmp_path, tiny_protocol(3))

    epochs = [torch.cat(shown[i : i + 2]) for i in range(0, 6, 2)]
    as_sets = [sorted(map(tuple, epoch.flatten(1).tolist())) for epoch in epochs]
    assert as_sets[0] == as_sets[1] == as_sets[2]
    assert not torch.equal(epochs[0], epochs[1])


def test_missing_landmarks_do_not_leak(tmp_path):
    """What a scan lacks may be stored as anything: training comes out the same to the bit."""
    scans = a_cohort(missing=(1, 4, 7))
    (train_set, validation_set), protocol = sets_of(scans), tiny_protocol(4)
    spoilt = []
    for part in (train_set, validation_set):
        assert not part.known.all()
        stored = np.where(part.known[..., None], part.truth_mm, np.float32(1e4))
        spoilt.append(replace(part, truth_mm=stored))

    clean = train_paper_network(train_set, validation_set, protocol, tmp_path / "clean")
    other = train_paper_network(*spoilt, protocol, tmp_path / "spoilt")

    assert bits(clean) == bits(other)
    assert read_curve(tmp_path / "clean") == read_curve(tmp_path / "spoilt")


def test_same_network_gives_the_same_file(tmp_path):
    network, paths = PalNet(6, 100), [tmp_path / "a.pt", tmp_path / "b.pt"]

    for path in paths:
        write_network(network, "palnet", np.zeros((6, 3)), path)

    assert paths[0].read_bytes() == paths[1].read_bytes()
