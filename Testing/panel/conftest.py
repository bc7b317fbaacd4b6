# SPDX-License-Identifier: Apache-2.0
"""The stand-in for Slicer; see Testing/host."""

from palnet_host.fixtures import *  # noqa: F403  # fixtures are found by their names

from palnet_folders import *  # noqa: F403
from palnet_scenes import *  # noqa: F403
