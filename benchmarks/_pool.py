# SPDX-License-Identifier: Apache-2.0
"""Run many small tasks in a few processes, each with its own model and generator."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from palnet.model import read_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from palnet.model import Model

__all__ = ["run_tasks", "shared_model"]

PROGRESS_S = 20.0

_model: Model | None = None


def shared_model() -> Model:
    """Return the model that this process was started with."""
    if _model is None:
        msg = "no model was read in this process; call run_tasks."
        raise RuntimeError(msg)
    return _model


def run_tasks(
    work: Callable[[Any], Any], tasks: Sequence[Any], *, model: str | None, jobs: int
) -> Iterator[Any]:
    """Run all tasks in order, with occasional progress lines.

    Parameters
    ----------
    work : callable
        A module-level function, called with one task.
    tasks : sequence
        The tasks.
    model : str, optional
        Name or path of the model that `shared_model` returns.
    jobs : int
        Number of processes; 1 runs in this one.

    Yields
    ------
    object
        The result of each task.
    """
    start = last = time.monotonic()
    for done, result in enumerate(_results(work, tasks, model, jobs), start=1):
        yield result
        now = time.monotonic()
        if now - last > PROGRESS_S:
            last = now
            left = (now - start) / done * (len(tasks) - done)
            print(f"{done} of {len(tasks)}, {left:.0f} s left", file=sys.stderr, flush=True)


def _results(
    work: Callable[[Any], Any], tasks: Sequence[Any], model: str | None, jobs: int
) -> Iterator[Any]:
    if jobs == 1:
        _start(model)
        yield from map(work, tasks)
        return
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_start, initargs=(model,)
    ) as pool:
        yield from pool.map(work, tasks)


def _start(model: str | None) -> None:
    """Read the model once per process."""
    global _model  # noqa: PLW0603 - the only way to hand a pool's worker its state
    _model = read_model(model)
