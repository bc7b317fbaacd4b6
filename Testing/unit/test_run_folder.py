# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import numpy as np
import pytest

from palnet._run_folder import claim_folder
from palnet._stored import read_kept, write_arrays
from palnet.errors import TrainingError, UsageError

CLAIM = {"seed": 42, "training": {"rate": 1e-3, "batch": 8}, "train": ["a", "b"],
         "scans_sha256": "12ab"}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"scans_sha256": "34cd"}, "of other scans, landmarks, people or model"),
        ({"train": ["a"], "scans_sha256": "34cd"}, "of other scans, landmarks, people"),
        ({"seed": 7, "train": ["b"]}, "of another recipe or version (seed 42, now 7)."),
        ({"training": {"rate": 0.01, "batch": 8}}, "version (training.rate 0.001, now 0.01)."),
        ({"version": 3}, "of another recipe or version (version absent, now 3)."),
        ({"model_sha256": 64 * "a"}, "of another recipe or version (model_sha256)."),
    ],
)
def test_folder_of_another_run_is_refused_with_what_differs(changed, says, tmp_path):
    """It said another recipe or version where a landmark had been moved."""
    claim_folder(tmp_path, CLAIM)
    claim_folder(tmp_path, CLAIM)

    with pytest.raises(UsageError, match=re.escape(says)):
        claim_folder(tmp_path, CLAIM | changed)


@pytest.mark.parametrize("name", ["0.csv", "face.ply", "report.html", "seed_7.npz", "x.mrk.json"])
def test_folder_of_other_files_is_no_run_folder(name, tmp_path):
    """The next run would have said to delete it."""
    (tmp_path / name).write_text("theirs", encoding="utf-8")

    with pytest.raises(UsageError, match=f"holds {re.escape(name)}, but no run"):
        claim_folder(tmp_path, CLAIM)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_log_recipe_and_folders_beside_a_run_are_no_reason_to_refuse_it(tmp_path):
    for name in ("run.log", "nohup.out", "lab.toml", "notes.txt", ".DS_Store", "README"):
        (tmp_path / name).touch()
    (tmp_path / "scans").mkdir()

    claim_folder(tmp_path, CLAIM)
    (tmp_path / "report.html").touch()
    claim_folder(tmp_path, CLAIM)


def test_what_may_change_in_a_claim_is_taken(tmp_path):
    claim_folder(tmp_path, CLAIM)
    claim_folder(tmp_path, CLAIM | {"seed": 7}, ignoring=("seed",))

    with pytest.raises(UsageError, match=r"\(training\.batch 8, now 9\)"):
        claim_folder(tmp_path, CLAIM | {"training": {"rate": 1e-3, "batch": 9}}, ignoring=("seed",))


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_damaged_claim_is_refused(content, tmp_path):
    (tmp_path / "recipe.json").write_text(content, encoding="utf-8")

    with pytest.raises(UsageError, match=r"recipe\.json is damaged"):
        claim_folder(tmp_path, CLAIM)


@pytest.mark.parametrize("kept", [0, 40, 300])
def test_damaged_arrays_of_a_run_are_refused_in_one_line(kept, tmp_path):
    """Tracebacks of zipfile and numpy were all that was said."""
    path = tmp_path / "7.npz"
    write_arrays(path, {"points": np.arange(60.0)})
    whole = path.read_bytes()
    path.write_bytes(whole[:kept] if kept else b"junk\n")

    with pytest.raises(TrainingError, match=r"7\.npz: is damaged .* Delete it") as refusal:
        read_kept(path)
    assert "\n" not in str(refusal.value)
    assert "pickle" not in str(refusal.value)  # numpy advises to allow it

    with pytest.raises(FileNotFoundError):  # it may be away for a moment
        read_kept(tmp_path / "8.npz")
