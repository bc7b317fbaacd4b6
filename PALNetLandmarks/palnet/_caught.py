# SPDX-License-Identifier: Apache-2.0
"""Warnings caught by one thread at a time; a worker of a Dask cluster has several."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["catching"]

# What is done with warnings is one setting of the whole process.
_LOCK = threading.RLock()


@contextmanager
def catching(
    category: type[Warning], action: Literal["always", "error", "ignore"]
) -> Iterator[list[warnings.WarningMessage]]:
    """Give a list that warnings are put into, and do with those of a category as told."""
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action, category)
        yield caught
