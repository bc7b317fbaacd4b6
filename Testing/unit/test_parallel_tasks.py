# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from palnet._parallel import run_tasks
from palnet_fakes import NotedThreads


def test_processes_of_tasks_have_one_thread_each_before_they_import_numpy(tmp_path, monkeypatch):
    """Work brings arrays along: unpacking it imports numpy, which counts its threads then."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    paths = [tmp_path / str(number) for number in range(3)]

    run_tasks(NotedThreads(), paths, jobs=2, what="notes")

    assert [path.read_text(encoding="utf-8") for path in paths] == ["1"] * 3
