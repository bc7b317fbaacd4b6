# SPDX-License-Identifier: Apache-2.0
"""The files for the check in R (Testing/r, by hand) are written, and wrong ones are found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "r" / "exchange.py"


def run(task, folder):
    command = [sys.executable, str(SCRIPT), task, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_files_for_r_are_written_and_a_wrong_number_from_r_is_found(tmp_path):
    assert run("write", tmp_path).returncode == 0
    (tmp_path / "from_r").mkdir()
    shutil.copy(tmp_path / "holes.tps", tmp_path / "from_r" / "holes-geomorph-a.tps")
    path = tmp_path / "from_r" / "whole_2-morpho-a.pts"
    shutil.copy(tmp_path / "whole_2.pts", path)

    good = run("read", tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[5] = "prn 1.0 2.0 3.0"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    bad = run("read", tmp_path)

    assert (good.returncode, good.stdout.splitlines()[-1]) == (
        0,
        "2 files of R read, 0 with faults",
    )
    assert bad.returncode == 1
    assert "FAIL whole_2-morpho-a.pts" in bad.stdout
