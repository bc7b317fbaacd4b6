# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import palnet_fakes
from palnet._parallel import run_tasks
from palnet_fakes import NotedThreads

INTERRUPTED_RUN = """
import palnet_fakes
from palnet._parallel import run_tasks

if __name__ == "__main__":
    palnet_fakes.press_ctrl_c_once_begun("0", "1")
    try:
        run_tasks(palnet_fakes.dawdle, range(99), jobs=2, what="tasks")
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_processes_of_tasks_have_one_thread_each_before_they_import_numpy(tmp_path, monkeypatch):
    """Work brings arrays along: unpacking it imports numpy, which counts its threads then."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    paths = [tmp_path / str(number) for number in range(3)]

    run_tasks(NotedThreads(), paths, jobs=2, what="notes")

    assert [path.read_text(encoding="utf-8") for path in paths] == ["1"] * 3


def test_run_tasks_interrupted_from_the_keyboard_begins_no_other_task(tmp_path):
    """One more than the processes has been handed out by then."""
    told = palnet_fakes.run_in_own_console(INTERRUPTED_RUN, folder=tmp_path)

    assert told == ("interrupted\n", "")
    assert {path.stem for path in tmp_path.glob("*.begun")} == {"0", "1"}
