# SPDX-License-Identifier: Apache-2.0
"""Precision, TensorBoard, and the options of the commands that train."""

from __future__ import annotations

import argparse
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from palnet.cli import main
from palnet.commands._training import add_training_options
from palnet.errors import MissingDependencyError
from palnet.network.torch_paper import PalNet
from palnet.training.execution import Execution, execute, make_tracker, round_layers
from palnet.training.loop import OneCycleSettings, run_loop

SETTINGS = OneCycleSettings(n_steps=40, peak_rate=0.02, seed=3, save_every=10)
TARGET = torch.from_numpy(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))


def draw_loss(network, rng, step):
    values = torch.from_numpy(rng.normal(size=(16, 4)).astype(np.float32))
    return (network(values) - values @ TARGET).square().mean()


def validate(network):
    values = torch.eye(4)
    with torch.no_grad():
        return float((network(values) - TARGET).abs().mean())


def train(folder):
    torch.manual_seed(5)
    network = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    run_loop(network, draw_loss, SETTINGS, folder, validate)
    return network


# --- mixed precision -----------------------------------------------------------------------------


def test_mixed_precision_trains_nearly_the_same(tmp_path):
    plain = train(tmp_path / "plain")
    with execute(Execution(mixed_precision=True)):
        mixed = train(tmp_path / "mixed")

    errors = [validate(network) for network in (plain, mixed)]
    assert np.isfinite(errors).all()
    assert errors[1] == pytest.approx(errors[0], rel=0.1)
    pairs = zip(plain.parameters(), mixed.parameters(), strict=True)
    apart = max(float((a - b).detach().abs().max()) for a, b in pairs)
    assert 0 < apart < 0.1
    assert all(weight.dtype == torch.float32 for weight in mixed.parameters())


@pytest.mark.parametrize("variant", ["palnet", "noatt", "topk", "2blk", "ndo"])
def test_mixed_precision_keeps_millimetres_of_the_paper_networks(variant):
    """Points and landmarks are never rounded: half a millimetre at 100 mm else."""
    torch.manual_seed(2)
    network = PalNet(3, 250, variant).eval()
    with torch.no_grad():
        network.head[-1].bias.copy_(torch.linspace(90.1, 110.7, 9))
    rng = np.random.default_rng(3)
    patches = torch.from_numpy(rng.normal(60, 8, (2, 3, 250, 3)).astype(np.float32))
    with execute(Execution(mixed_precision=True)):
        rounded = round_layers(network)

    with torch.no_grad():
        exact, mixed = network(patches), rounded(patches)
        own = float((exact - network.head[-1].bias.reshape(3, 3)).abs().max())

    assert mixed.dtype == torch.float32
    # Rounded scores let topk choose other tokens.
    share = 0.2 if variant == "topk" else 0.03
    assert 0 < float((mixed - exact).abs().max()) < share * own


def test_network_itself_runs_where_nothing_else_is_wanted():
    network = torch.nn.Linear(2, 2)

    assert round_layers(network) is network


# --- TensorBoard ---------------------------------------------------------------------------------


class Writer:
    def __init__(self, folder, purge_step):
        self.folder, self.purge_step = folder, purge_step
        self.points, self.is_closed = [], False
        made.append(self)

    def add_scalar(self, tag, value, step):
        self.points.append((tag, value, step))

    def close(self):
        self.is_closed = True


made: list[Writer] = []


@pytest.fixture
def a_tensorboard(monkeypatch):
    """As if it were installed."""
    made.clear()
    package, part = ModuleType("tensorboard"), ModuleType("torch.utils.tensorboard")
    package.__spec__ = SimpleNamespace(name="tensorboard")
    part.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "tensorboard", package)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", part)
    return made


@pytest.fixture
def no_tensorboard(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_installed_tensorboard_gets_the_curve(a_tensorboard, tmp_path):
    train(tmp_path)

    (writer,) = a_tensorboard
    assert (writer.folder, writer.purge_step) == (str(tmp_path / "tensorboard"), 1)
    assert writer.is_closed
    assert {tag for tag, _, _ in writer.points} == {"loss", "validation_mm", "rate"}
    rows = (tmp_path / "curve.csv").read_text("utf-8").splitlines()[1:]
    losses = {step: value for tag, value, step in writer.points if tag == "loss"}
    assert {int(row.split(",")[0]): float(row.split(",")[1]) for row in rows} == pytest.approx(
        losses, abs=1e-5
    )


def test_tensorboard_is_left_out_where_not_wanted_or_not_there(a_tensorboard, tmp_path):
    with execute(Execution(tensorboard=False)):
        train(tmp_path / "run")

    assert a_tensorboard == []


def test_nothing_is_said_where_tensorboard_is_not_installed(no_tensorboard, tmp_path, caplog):
    assert make_tracker(tmp_path, 0) is None
    assert caplog.records == []


def test_missing_tensorboard_that_was_asked_for_is_told(no_tensorboard):
    with (
        pytest.raises(MissingDependencyError, match="--tensorboard needs tensorboard"),
        execute(Execution(tensorboard=True)),
    ):
        pass


@pytest.mark.parametrize("command", ["train", "crossvalidate"])
def test_command_tells_that_tensorboard_is_missing(command, no_tensorboard, tmp_path, capsys):
    rest = ["--morphable-model", "x.npz"] if command == "train" else ["scans"]

    code = main([command, *rest, "-o", str(tmp_path / "run"), "--tensorboard"])

    assert code == 2
    assert "pip install tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_options_leave_all_as_it_was_by_default():
    parser = argparse.ArgumentParser()
    add_training_options(parser)

    arguments = parser.parse_args([])

    assert (arguments.mixed_precision, arguments.tensorboard) == (False, None)
    assert parser.parse_args(["--no-tensorboard"]).tensorboard is False
