# SPDX-License-Identifier: Apache-2.0
"""Two processes of a torchrun train as one does."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import palnet
import toy_cohort
from palnet.errors import UsageError
from palnet.network.sizes import SMALL_SIZE
from palnet.network.torch_paper import PalNet
from palnet.training import parallel
from palnet.training.generated.landmarks import begin_network
from palnet.training.parallel import on_first
from toy_head import toy_scheme

# Sums of gradients in another order, through 12 steps of Adam; measured 2e-6 on weights near 0.3.
SAME_WEIGHTS = 1e-4

# A batch of 3 is shared as 2 and 1, and the last of an epoch, of 1, as 1 and none.
TRAIN = """
import sys
from pathlib import Path

import numpy as np
import torch

from palnet.errors import TrainingError
from palnet.network.sizes import SMALL_SIZE
from palnet.training.annotated.cohort import PatchSet
from palnet.training.batches import Drawing, place_patches
from palnet.training.generated.landmarks import begin_network, train_landmark_network
from palnet.training.loop import OneCycleSettings, run_loop
from palnet.training.parallel import count_processes, join_processes, on_first, rank
from palnet.training.annotated.protocol import CohortPart, PatchesPart, PaperProtocol, TrainingPart
from palnet.training.annotated.paper_network import train_paper_network
from toy_head import toy_scheme
from toy_patches import make_patches


def a_set(seed, n_scans):
    rng = np.random.default_rng(seed)
    patches = rng.normal(0, 5, (n_scans, 4, 250, 3)).astype(np.float32)
    truth = rng.normal(0, 5, (n_scans, 4, 3)).astype(np.float32)
    return PatchSet(patches, truth, truth, rng.random((n_scans, 4)) < 0.8)


folder = Path(sys.argv[1])
with join_processes():
    for variant in ("ndo", "topk"):
        protocol = PaperProtocol(
            variant, "closest", 2, 1, PatchesPart(250, 1.0), CohortPart(120, 0.2),
            TrainingPart(3, 1e-3, 0.5, 8, 30, 4),
        )
        place = folder / variant
        network = train_paper_network(a_set(1, 7), a_set(2, 3), protocol, place)
        weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
        np.savez(place / f"weights{rank()}.npz", **weights)
    # A batch of 10 in two parts of 5, each shared as 3 and 2.
    torch.manual_seed(4)
    network = torch.nn.Linear(4, 3)

    def draw_loss(network, rng, step):
        values = torch.from_numpy(rng.normal(size=(5, 4)).astype(np.float32))
        return (network(values) - values[:, :3].abs()).square().mean()

    settings = OneCycleSettings(12, 0.02, seed=3, save_every=6, n_parts=2)
    run_loop(network, draw_loss, settings, folder / "parts", lambda network: 1.0)
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    np.savez(folder / "parts" / f"weights{rank()}.npz", **weights)
    # The landmark network, whose batches each process draws in torch.
    patches, cpu = make_patches(1), torch.device("cpu")
    weights = train_landmark_network(
        begin_network(len(toy_scheme()), SMALL_SIZE, 6),
        place_patches(patches, cpu),
        place_patches(make_patches(2, n_scans=3), cpu),
        [int(other) for other in toy_scheme().mirror],
        folder / "landmarks",
        OneCycleSettings(4, 1e-3, seed=5, save_every=4, n_parts=2),
        drawing=Drawing(5, 32, 1.0),
    )
    np.savez(folder / "landmarks" / f"weights{rank()}.npz", **weights)
    assert on_first(lambda: [rank(), count_processes()]) == [0, count_processes()]

    def fail():
        raise TrainingError("the first one fails")

    try:
        on_first(fail)
    except TrainingError as err:
        (folder / f"failed{rank()}").write_text(str(err))
"""


def start(*arguments):
    """Run something in two processes of a torchrun, and give what it printed."""
    library = [str(Path(palnet.__file__).parent.parent), str(Path(toy_cohort.__file__).parent)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(library),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launcher, *map(str, arguments)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What the script leaves behind, by one process and by two."""
    base = tmp_path_factory.mktemp("trained")
    script = base / "train.py"
    script.write_text(TRAIN, encoding="utf-8")
    for n in (1, 2):
        (base / f"of{n}").mkdir()
    start(script, base / "of2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script), str(base / "of1")])
        runpy.run_path(str(script))
    return base


@pytest.mark.parametrize("variant", ["ndo", "topk"])
def test_processes_end_with_the_same_weights(variant, trained):
    first, second = (np.load(trained / "of2" / variant / f"weights{n}.npz") for n in (0, 1))

    for name in first:
        np.testing.assert_array_equal(second[name], first[name], err_msg=name)


def test_two_processes_train_what_one_does(trained):
    """Without dropout, which drops other values in each process."""
    one, two = (np.load(trained / f"of{n}" / "ndo" / "weights0.npz") for n in (1, 2))

    moved = 0.0
    torch.manual_seed(1)
    for name, start_weight in PalNet(4, 250, "ndo").state_dict().items():
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=SAME_WEIGHTS, err_msg=name)
        moved = max(moved, float(np.abs(one[name] - start_weight.numpy()).max()))
    assert moved > 50 * SAME_WEIGHTS
    curves = [(trained / f"of{n}" / "ndo" / "curve.csv").read_text("utf-8") for n in (1, 2)]
    assert [curve.count("\n") for curve in curves] == [5, 5]


def three_runs(trained, what):
    """The weights that one process has, and each of two."""
    paths = [trained / f"of{n}" / what / f"weights{k}.npz" for n, k in ((1, 0), (2, 0), (2, 1))]
    return (dict(np.load(path)) for path in paths)


def test_two_processes_train_what_one_does_in_parts(trained):
    one, first, second = three_runs(trained, "parts")

    torch.manual_seed(4)
    for name, start_weight in torch.nn.Linear(4, 3).state_dict().items():
        np.testing.assert_array_equal(second[name], first[name], err_msg=name)
        np.testing.assert_allclose(first[name], one[name], rtol=0, atol=1e-6, err_msg=name)
        assert np.abs(one[name] - start_weight.numpy()).max() > 0.05


def test_two_processes_draw_the_same_batches(trained):
    one, first, second = three_runs(trained, "landmarks")

    begun = begin_network(len(toy_scheme()), SMALL_SIZE, 6).state_dict()
    moved = 0.0
    for name, weight in one.items():
        np.testing.assert_array_equal(second[name], first[name], err_msg=name)
        np.testing.assert_allclose(first[name], weight, rtol=0, atol=SAME_WEIGHTS, err_msg=name)
        moved = max(moved, float(np.abs(weight - begun[name].numpy()).max()))
    # Four steps of at most 1e-3 each; with other batches they go elsewhere.
    assert moved > 10 * SAME_WEIGHTS


def test_failure_of_the_first_process_reaches_all(trained):
    for rank in (0, 1):
        assert (trained / "of2" / f"failed{rank}").read_text("utf-8") == "the first one fails"


RECIPE = """
variant = "ndo"
finish = "closest"
n_folds = 2
seed = 42
[patches]
n_points = 100
spacing_mm = 4.0
[cohort]
outlier_mm = 120
validation_share = 0.2
[training]
batch_size = 2
rate = 3e-4
plateau_factor = 0.5
plateau_patience = 8
stop_after = 30
n_epochs = 2
"""


def test_crossvalidate_under_torchrun_writes_and_prints_once(tmp_path):
    scheme = toy_cohort.write_toy_cohort(tmp_path / "scans", 4)
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    output = tmp_path / "run"

    printed = start(
        "-m", "palnet", "crossvalidate", tmp_path / "scans", "--scheme", scheme, "--anyway",
        "--recipe", tmp_path / "tiny.toml", "--jobs", "1", "-o", output,
    )  # fmt: skip

    # Each line once: the second process prints nothing.
    lines = [line.split()[0] for line in printed.splitlines()]
    assert lines[:5] == ["fold", "1", "2", "all", "report:"]
    assert lines.count("all") == 1
    for fold in ("fold1", "fold2"):
        names = {path.name for path in (output / fold).iterdir()}
        assert {"network.pt", "predicted.npz", "curve.csv", "curve.svg"} <= names
        assert (output / fold / "curve.csv").read_text("utf-8").count("\n") == 3
    assert not [*output.rglob(".palnet-*"), *output.rglob("checkpoint.pt")]


def test_alone_nothing_is_joined_or_shared(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    network = torch.nn.Linear(2, 2)

    with parallel.join_processes():
        assert (parallel.rank(), parallel.count_processes(), parallel.is_first()) == (0, 1, True)
        assert parallel.share_batches(network) is network
        assert on_first(lambda: 7) == 7


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    with (
        pytest.raises(UsageError, match="--nproc-per-node 2"),
        parallel.join_processes(),
    ):
        pass
