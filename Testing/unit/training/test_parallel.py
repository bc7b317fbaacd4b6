# SPDX-License-Identifier: Apache-2.0
"""Two processes of a torchrun train as one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import palnet
import toy_cohort
from palnet.cli import main
from palnet.errors import UsageError
from palnet.training import parallel
from palnet.training.parallel import on_first

# Sums of gradients in another order, through 12 steps of Adam; measured 2e-6 on weights near 0.3.
SAME_WEIGHTS = 1e-4

# A batch of 3 is shared as 2 and 1, and the last of an epoch, of 1, as 1 and none.
TRAIN = """
import sys
from pathlib import Path

import numpy as np

from palnet.errors import TrainingError
from palnet.training.cohort import PatchSet
from palnet.training.parallel import count_processes, join_processes, on_first, rank
from palnet.training.protocol import CohortPart, PatchesPart, Protocol, TrainingPart
from palnet.training.published import train_paper_network


def a_set(seed, n_scans):
    rng = np.random.default_rng(seed)
    patches = rng.normal(0, 5, (n_scans, 4, 250, 3)).astype(np.float32)
    truth = rng.normal(0, 5, (n_scans, 4, 3)).astype(np.float32)
    return PatchSet(patches, truth, truth, rng.random((n_scans, 4)) < 0.8)


folder, variant = Path(sys.argv[1]), sys.argv[2]
protocol = Protocol(
    variant, "closest", 2, 1, PatchesPart(250, 1.0), CohortPart(120, 0.2),
    TrainingPart(3, 1e-3, 0.5, 8, 30, 4),
)
with join_processes():
    network = train_paper_network(a_set(1, 7), a_set(2, 3), protocol, folder)
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    np.savez(folder / f"weights{rank()}.npz", **weights)
    assert on_first(lambda: [rank(), count_processes()]) == [0, count_processes()]

    def fail():
        raise TrainingError("the first one fails")

    try:
        on_first(fail)
    except TrainingError as err:
        (folder / f"failed{rank()}").write_text(str(err))
"""


def start(n_processes, *arguments):
    """Run something as torchrun does; 1 is without it."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    library = [str(Path(palnet.__file__).parent.parent), str(Path(toy_cohort.__file__).parent)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(library),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, *(launcher if n_processes == 2 else []), *map(str, arguments)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
@pytest.mark.parametrize("variant", ["ndo", "topk"])
def test_two_processes_train_what_one_does(variant, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(TRAIN, encoding="utf-8")
    for n in (1, 2):
        (tmp_path / f"of{n}").mkdir()
        start(n, script, tmp_path / f"of{n}", variant)

    one, first, second = (
        dict(np.load(tmp_path / name))
        for name in ("of1/weights0.npz", "of2/weights0.npz", "of2/weights1.npz")
    )
    for name, weight in first.items():
        np.testing.assert_array_equal(second[name], weight, err_msg=name)
        if variant == "ndo":  # topk drops values, other ones in each process
            np.testing.assert_allclose(weight, one[name], rtol=0, atol=SAME_WEIGHTS, err_msg=name)
    for rank in (0, 1):
        assert (tmp_path / "of2" / f"failed{rank}").read_text("utf-8") == "the first one fails"
    rows = [(tmp_path / f"of{n}" / "curve.csv").read_text("utf-8").splitlines() for n in (1, 2)]
    assert len(rows[0]) == len(rows[1]) == 5


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


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_crossvalidate_under_torchrun_says_what_it_says_alone(tmp_path, capsys):
    scheme = toy_cohort.write_toy_cohort(tmp_path / "scans", 4)
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    arguments = [
        "crossvalidate", str(tmp_path / "scans"), "--scheme", str(scheme), "--anyway",
        "--recipe", str(tmp_path / "tiny.toml"), "--jobs", "1", "-o",
    ]  # fmt: skip

    printed = start(2, "-m", "palnet", *arguments, tmp_path / "two")

    assert main([*arguments, str(tmp_path / "one")]) == 0
    alone = capsys.readouterr().out
    names = [str(path.relative_to(tmp_path / "one")) for path in (tmp_path / "one").rglob("*")]
    assert sorted(names) == sorted(
        str(path.relative_to(tmp_path / "two")) for path in (tmp_path / "two").rglob("*")
    )
    # Each line once: the second process prints nothing.
    assert printed.replace("two", "one").splitlines() == alone.splitlines()


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
