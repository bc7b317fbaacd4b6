# SPDX-License-Identifier: Apache-2.0
"""What a run on a Dask cluster meets: other machines, and their ends."""

from __future__ import annotations

import json
import os
import pickle
import platform
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import distributed
import pytest

import palnet
import palnet_fakes
from palnet import _cluster
from palnet._cluster import _is_new, _pack, work_here
from palnet._pool import run_jobs
from palnet.batch import process_scan
from palnet.errors import ClusterError, UsageError
from palnet.input_files import find_scans
from palnet.jobs import BatchOptions, plan_jobs

process_fake = partial(process_scan, detect=palnet_fakes.fake_detect)


def plan(*paths, **options):
    return plan_jobs(find_scans(paths), BatchOptions(**options))


@pytest.fixture
def make_cluster():
    """Start clusters in this process."""
    clusters = []

    def make(n_workers=1):
        cluster = distributed.LocalCluster(
            n_workers=n_workers, threads_per_worker=1, processes=False, dashboard_address=None
        )
        clusters.append(cluster)
        return cluster

    yield make
    for cluster in clusters:
        cluster.close()


@pytest.fixture
def some_jobs(tmp_path):
    return plan(*(tmp_path / f"{name}.obj" for name in "abc"))


@pytest.fixture
def what_never_greets():
    """The address of a program that takes connections and says nothing, as a web server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def accept():
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        for each in kept:
            each.close()


def test_address_of_what_never_greets_is_told(some_jobs, what_never_greets, monkeypatch):
    """As of a dashboard; Dask waited for ever."""
    monkeypatch.setattr(_cluster, "_CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(_cluster, "_GREETING_TIMEOUT_S", 0.5)

    with pytest.raises(UsageError, match="no Dask scheduler answers at 'tcp:"):
        list(run_jobs(some_jobs, scheduler=what_never_greets))


@pytest.mark.parametrize("kind", ["a worker", "without certificates"])
def test_address_that_dask_cannot_use_is_told(kind, some_jobs, make_cluster):
    """They ended in tracebacks of TypeErrors."""
    address = "tls://127.0.0.1:9"
    if kind == "a worker":
        (worker,) = make_cluster().workers.values()
        address = worker.address

    with pytest.raises(UsageError, match="Check the address \\(not that of a worker"):
        list(run_jobs(some_jobs, scheduler=address))


def test_cluster_without_a_worker_is_told_once_and_waited_for(some_jobs, make_cluster, monkeypatch):
    """A run whose workers had all ended waited for others without a word."""
    monkeypatch.setattr(_cluster, "_LOOK_S", 0.2)
    cluster = make_cluster(n_workers=0)
    told = []

    def start_worker(text):
        told.append(text)
        threading.Timer(1.0, cluster.scale, [1]).start()

    results = run_jobs(
        some_jobs,
        scheduler=cluster.scheduler_address,
        process=palnet_fakes.answer,
        notify=start_worker,
    )

    assert [result.outcome for result in results] == ["done"] * 3
    assert [text.split(" (")[0] for text in told[:-1]] == ["the Dask scheduler has no worker"]
    assert told[-1].startswith("the files of 3 scans done are not (yet) in")


def test_scheduler_that_is_lost_ends_the_run_with_one_line(tmp_path):
    """It ended in the traceback of a FutureCancelledError, and Dask logged another one."""
    script = (
        "import distributed, palnet_fakes, palnet._pool as pool\n"
        "from pathlib import Path\n"
        "from palnet.errors import ClusterError\n"
        "from palnet.jobs import BatchOptions, plan_jobs\n"
        "if __name__ == '__main__':\n"
        "    paths = [Path(f'{n}.obj').absolute() for n in ('a', 'deadly', 'deadly2')]\n"
        "    with distributed.LocalCluster(n_workers=1, threads_per_worker=1,\n"
        "            processes=False, dashboard_address=None) as cluster:\n"
        "        run = pool.run_jobs(plan_jobs(paths, BatchOptions()),\n"
        "            scheduler=cluster.scheduler_address, process=palnet_fakes.dawdle_over_some)\n"
        "        print(next(run).outcome)\n"
        "        cluster.sync(cluster.scheduler.close)\n"
        "        try:\n"
        "            next(run)\n"
        "        except ClusterError as err:\n"
        "            print(err, flush=True)\n"
        "        import os\n"
        "        os._exit(0)\n"
    )
    folders = (Path(palnet_fakes.__file__).parent, Path(palnet.__file__).parent.parent)

    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.stdout == (
        "done\nthe Dask scheduler was lost, or has dropped the scans. Scans left out: 2. Repeat "
        "with --resume.\n"
    )
    assert "distributed.client - ERROR" not in ended.stderr


def test_job_for_a_worker_is_received_where_palnet_is_not_installed(some_jobs):
    """Such a worker ended itself without an answer, and a scheduler refused all scans."""
    packed = _pack(palnet_fakes.answer, some_jobs[0])
    script = (
        "import pickle, sys\n"
        "sys.modules['palnet'] = sys.modules['numpy'] = None\n"
        f"received = pickle.loads({pickle.dumps(packed)!r})\n"
        "try:\n"
        "    pickle.loads(received)\n"
        "except ImportError as err:\n"
        "    print('told')\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert told.stdout == "told\n"


def lack_palnet(_job):
    msg = "No module named 'palnet'"
    raise ModuleNotFoundError(msg)


def test_worker_that_lacks_palnet_ends_the_run(some_jobs, make_cluster):
    """It would refuse scan after scan, faster than the others can do one."""
    results = run_jobs(some_jobs, scheduler=make_cluster().scheduler_address, process=lack_palnet)

    with pytest.raises(ClusterError, match=r"\(No module named 'palnet'\)\. Install .* out: 3\."):
        list(results)


def test_worker_with_another_version_ends_the_run(some_jobs, make_cluster, monkeypatch):
    """Its landmarks would be others, among those of this version."""
    monkeypatch.setattr(
        _cluster, "_pack", lambda *_: pickle.dumps(_cluster._Call(work_here, "0.0.1", "here", b""))
    )
    results = run_jobs(
        some_jobs, scheduler=make_cluster().scheduler_address, process=palnet_fakes.answer
    )

    with pytest.raises(ClusterError, match=f"has palnet {palnet.__version__}, this machine 0.0.1"):
        list(results)


def work(job, *, is_new=True, sender=None):
    """Do what a worker does."""
    packed = pickle.dumps((process_fake, job, is_new))
    return work_here(palnet.__version__, sender or platform.node(), packed)


def test_scan_whose_worker_died_before_it_told_of_it_is_done(a_head_file, tmp_path):
    """It failed, as its own files were in its way."""
    (job,) = plan(a_head_file, output=tmp_path / "out")
    first = work(job)
    before = {path: path.read_bytes() for path in job.files}

    again = work(job)

    assert (first.outcome, again.outcome) == ("done", "done")
    assert again.record == first.record
    assert {path: path.read_bytes() for path in job.files} == before


def test_scan_whose_worker_died_as_it_wrote_says_so(a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path / "out")
    work(job)
    job.record_file.unlink()

    result = work(job)

    assert (result.outcome, "without the record of a finished" in result.message) == (
        "failed",
        True,
    )


def test_scan_whose_files_were_there_before_the_run_is_not_done(a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path / "out")
    assert _is_new(job)
    work(job)
    assert not _is_new(job)

    result = work(job, is_new=False)

    assert (result.outcome, "exists already" in result.message) == ("failed", True)


def test_format_that_cannot_hold_the_landmarks_is_told_by_a_worker_too(a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path / "out", formats=("csv", "morphoj"))
    here = process_fake(job)
    (again,) = plan(a_head_file, output=tmp_path / "out2", formats=("csv", "morphoj"))

    there = work(again)

    assert (there.outcome, there.message) == (here.outcome, here.message)


def test_scan_that_a_worker_does_not_see_tells_where(a_head_file, tmp_path):
    (job,) = plan(a_head_file, output=tmp_path / "out")
    a_head_file.unlink()

    result = work(job, sender="another machine")

    assert result.outcome == "unreadable"
    assert result.message.endswith(f" (The worker ran on {platform.node()}.)")


def test_scan_that_is_damaged_is_told_as_without_a_cluster(tmp_path):
    scan = tmp_path / "broken.obj"
    scan.write_text("v 1 2\n", encoding="utf-8")
    (job,) = plan(scan)

    assert work(job, sender="another machine").message == process_fake(job).message


def test_files_that_a_worker_wrote_elsewhere_are_told(a_head_file, tmp_path, make_cluster):
    """The run said that all was done, and the folder was empty."""
    jobs = plan(a_head_file, output=tmp_path / "out")
    told = []
    results = run_jobs(
        jobs,
        scheduler=make_cluster().scheduler_address,
        process=palnet_fakes.answer,
        notify=told.append,
    )

    assert [result.outcome for result in results] == ["done"]
    assert told == [
        f"the files of 1 scan done are not (yet) in {tmp_path / 'out'} as this machine sees it. "
        "Are they on a disk of the workers' own? Use a folder that all see."
    ]


def test_cluster_gives_the_same_files_as_processes(a_head_file, tmp_path, make_cluster):
    told = []
    for name, options in (
        ("processes", {"n_processes": 1}),
        ("cluster", {"scheduler": make_cluster().scheduler_address, "notify": told.append}),
    ):
        jobs = plan(a_head_file, output=tmp_path / name)
        assert [each.outcome for each in run_jobs(jobs, process=process_fake, **options)] == [
            "done"
        ]

    def contents(name):
        files = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        record = json.loads(files.pop("head.palnet.json"))
        record["provenance"].pop("seconds")
        return files, record

    assert contents("processes") == contents("cluster")
    assert not told


def test_deadly_scan_ends_as_a_failure_that_names_what_helps(tmp_path):
    """It advised fewer --jobs, which a cluster does not have."""

    class Ended:
        def cancelled(self):
            return False

        def exception(self):
            return distributed.KilledWorker("loads-1", None, 3)

    (job,) = plan(tmp_path / "deadly.obj")
    result = _cluster._take_result(distributed, Ended(), job, n_left=1)

    assert (result.outcome, "--nthreads 1" in result.message) == ("failed", True)
    assert "--jobs" not in result.message


def test_wait_for_a_cluster_ends_at_an_interruption(some_jobs, make_cluster, monkeypatch):
    monkeypatch.setattr(_cluster, "_LOOK_S", 0.1)
    cluster = make_cluster(n_workers=0)

    def interrupt(_text):
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(run_jobs(some_jobs, scheduler=cluster.scheduler_address, notify=interrupt))

    assert time.monotonic() - start < 15
