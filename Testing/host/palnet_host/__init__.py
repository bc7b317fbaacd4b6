# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Slicer's application, to run a module on slicer-core and PySide6.

`install()` completes the `slicer` package of slicer-core; the fixtures of `palnet_host.fixtures`
give every test a scene, dialogs with scripted answers, and the module's own panel.
"""

from palnet_host.bootstrap import install

__all__ = ["install"]
