# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import signal
import sys
import threading

import pytest

import palnet_fakes
from palnet import _worker
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


def test_run_tasks_interrupted_while_its_processes_start_says_nothing_else(tmp_path):
    """Each printed a traceback, as long as it imported torch."""
    script = INTERRUPTED_RUN.replace("dawdle", "SlowWork()")

    told = palnet_fakes.run_in_own_console(script, folder=tmp_path)

    assert told == ("interrupted\n", "")
    assert not list(tmp_path.glob("*.worked"))


def test_ctrl_c_pressed_again_does_not_interrupt_the_tidying_of_a_worker(monkeypatch):
    tidied = []

    def work(task):
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            tidied.append(task)

    monkeypatch.setattr(_worker, "_stopped", threading.Event())
    before = signal.signal(signal.SIGINT, _worker._stop)
    try:
        with pytest.raises(SystemExit):
            _worker.work_on(work, "a scan")
        with pytest.raises(SystemExit):  # on Windows a wait for tasks would end in another error
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)

    assert tidied == ["a scan"]


INTERRUPTED_START = """
from contextlib import suppress
from pathlib import Path

import palnet_fakes
from palnet._parallel import run_tasks
from palnet._pool import run_jobs
from palnet.input_files import find_scans
from palnet.jobs import BatchOptions, plan_jobs

if __name__ == "__mp_main__":
    with suppress(FileExistsError):
        Path("pressed").touch(exist_ok=False)
        palnet_fakes.press_ctrl_c()
if __name__ == "__main__":
    try:
        if WHAT == "tasks":
            run_tasks(palnet_fakes.dawdle, range(9), jobs=2, what="tasks")
        else:
            jobs = plan_jobs(find_scans(["a.obj", "b.obj", "c.obj"]), BatchOptions())
            list(run_jobs(jobs, n_processes=2, process=palnet_fakes.answer))
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("what", ["tasks", "jobs"])
def test_process_that_ctrl_c_reaches_in_its_first_imports_says_nothing(what, tmp_path):
    """Each printed a traceback, before it could be told what to do with Ctrl-C."""
    script = INTERRUPTED_START.replace("WHAT", repr(what))

    printed, errors = palnet_fakes.run_in_own_console(script, folder=tmp_path)

    assert printed == "interrupted\n"
    assert not list(tmp_path.glob("*.begun"))
    if sys.platform != "win32":  # Windows cannot keep Ctrl-C from a process
        assert errors == ""
