# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Slicer's application: its module runs on slicer-core and PySide6, no desktop.

`install()` completes the `slicer` package of slicer-core; the fixtures of `palnet_host.fixtures`
give every test a scene, dialogs that answer as told, and the module's own panel.
"""

from palnet_host.bootstrap import install

__all__ = ["install"]
