# SPDX-License-Identifier: Apache-2.0
"""Work in a background thread that does not touch scene, widgets or VTK."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# How long the panel's timer waits for the worker without holding the GIL, which Slicer's event loop
# may hold otherwise. A user would notice a tenth of a second.
SLICE_S = 0.03


class BackgroundJob:
    """A function call in a thread, polled by a timer of the main thread.

    Parameters
    ----------
    function : callable
        Plain Python and numpy; its arguments must be copies of the scene's data.
    *arguments
        Its arguments.
    """

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self._started = time.perf_counter()
        self._thread = threading.Thread(
            target=self._run, args=(function, arguments), name="palnet", daemon=True
        )
        self._thread.start()

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self._started

    def poll(self, wait_s: float = SLICE_S) -> bool:
        """Let the worker run for a moment.

        Parameters
        ----------
        wait_s : float
            Longest time to wait.

        Returns
        -------
        bool
            True once the worker has ended.
        """
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait until the worker has ended."""
        self._thread.join()

    def _run(self, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
        try:
            self.result = function(*arguments)
        except Exception as err:  # noqa: BLE001  # passed on to the main thread, which shows it
            self.error = err
