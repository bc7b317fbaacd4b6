# SPDX-License-Identifier: Apache-2.0
"""Messages of the program beside its output."""

from __future__ import annotations

import sys

__all__ = ["tell"]


def tell(message: object) -> None:
    """Print a message on stderr, at once and with the program's name before it."""
    print(f"palnet: {message}", file=sys.stderr, flush=True)
