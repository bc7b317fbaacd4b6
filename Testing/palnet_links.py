# SPDX-License-Identifier: Apache-2.0
"""Links to folders, on every system."""

from __future__ import annotations

import sys


def link_folder(link, target):
    """Let one folder be another; Windows lets everybody make junctions, but not links."""
    if sys.platform == "win32":
        import _winapi

        # A junction is made only to a folder that exists; afterwards it may vanish.
        absent = [place for place in (target, *target.parents) if not place.exists()]
        target.mkdir(parents=True, exist_ok=True)
        _winapi.CreateJunction(str(target), str(link))
        for place in absent:
            place.rmdir()
    else:
        link.symlink_to(target)
