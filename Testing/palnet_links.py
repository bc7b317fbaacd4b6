# SPDX-License-Identifier: Apache-2.0
"""Links to folders, on every system."""

from __future__ import annotations

import sys


def link_folder(link, target):
    """Let one folder be another; Windows lets everybody make junctions, but not links."""
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(target), str(link))
    else:
        link.symlink_to(target)
