# SPDX-License-Identifier: Apache-2.0
"""Catch warnings in one thread at a time; a worker of a Dask cluster has several threads."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["catching"]

# The warning filters are global to the process.
_LOCK = threading.RLock()


@contextmanager
def catching(
    category: type[Warning], action: Literal["always", "error", "ignore"]
) -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings in a list, applying an action to those of one category."""
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action, category)
        yield caught
