# SPDX-License-Identifier: Apache-2.0
"""Processes started by torchrun: each trains on one GPU, and the first does everything else."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import distributed

from palnet.errors import PalnetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["count_processes", "is_first", "join_processes", "on_first", "rank", "share_batches"]

# The others wait while the first prepares scans, which can take hours.
LONGEST_WAIT = timedelta(days=7)

_Result = TypeVar("_Result")


def count_processes() -> int:
    """Return the number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that writes and prints."""
    return rank() == 0


@contextmanager
def join_processes() -> Iterator[None]:
    """Join the process group of torchrun; without torchrun, do nothing.

    Raises
    ------
    UsageError
        If a machine with GPUs has fewer of them than processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        local, n_gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= n_gpus:
            msg = f"one process per GPU: got more than {n_gpus}. Use --nproc-per-node {n_gpus}."
            raise UsageError(msg)
        torch.cuda.set_device(local)
        if distributed.is_nccl_available():  # not on Windows
            backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    try:
        yield
        # No process may leave while another still reads from it.
        distributed.barrier()
    finally:
        # Shared networks are in reference cycles and hold the group's threads, which would abort
        # the interpreter at exit (code -6 after a finished training).
        gc.collect()
        distributed.destroy_process_group()


def on_first(work: Callable[[], _Result]) -> _Result:
    """Run something, such as writing, in the first process and broadcast the result.

    Parameters
    ----------
    work : callable
        Takes no arguments; its result is sent to the other processes.

    Returns
    -------
    object
        The same in all processes; a palnet error is raised in all of them.
    """
    if count_processes() == 1:
        return work()
    box: list[Any] = [None]
    if is_first():
        try:
            box[0] = (work(), None)
        except PalnetError as err:
            box[0] = (None, err)
    distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    result, failure = box[0]
    if failure is not None:
        raise failure
    return result  # type: ignore[no-any-return]  # the result of work


def share_batches(network: torch.nn.Module) -> torch.nn.Module:
    """Wrap a network so that each process runs its share of a batch; alone, return it unchanged.

    Every process gets the outputs for the whole batch, so that any loss is that of the whole batch.
    Gradients only reach a process's own share: the loss must be multiplied by the number of
    processes, by which `DistributedDataParallel` divides the sum of their gradients.

    Parameters
    ----------
    network : torch.nn.Module
        On its device; all processes start with the weights of the first.

    Returns
    -------
    torch.nn.Module
        Its inputs and outputs have the batch as first axis.
    """
    if count_processes() == 1:
        return network
    device = next(network.parameters()).device
    # Scores that are only used for selection (topk) get no gradient.
    spread = torch.nn.parallel.DistributedDataParallel(
        network,
        device_ids=[device] if device.type == "cuda" else None,
        find_unused_parameters=True,
    )
    return _SharedBatch(spread)


class _SharedBatch(torch.nn.Module):
    """Runs this process's rows of a batch and gathers those of the others."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Map the whole batch to its outputs."""
        n_rows, n_processes = len(inputs[0]), count_processes()
        share = -(-n_rows // n_processes)
        # Pad to equal shares by repeating the last row; the padding is cut off below.
        rows = torch.arange(rank() * share, (rank() + 1) * share).clamp(max=n_rows - 1)
        own: torch.Tensor = self.network(*(values[rows.to(values.device)] for values in inputs))
        parts = [torch.zeros_like(own) for _ in range(n_processes)]
        distributed.all_gather(parts, own.detach().contiguous())
        parts[rank()] = own
        # A process whose share is all padding must still take part in the gradients.
        return torch.cat(parts)[:n_rows] + 0.0 * own.sum()
