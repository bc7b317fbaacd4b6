# SPDX-License-Identifier: Apache-2.0
"""The stand-in for Slicer, and the panel of a sample module on it."""

from pathlib import Path

import pytest
from palnet_host.fixtures import *  # noqa: F403  # fixtures are found by their names

SAMPLE_FOLDER = Path(__file__).parent / "SampleModule"


@pytest.fixture
def a_panel(panel_factory):
    return panel_factory(SAMPLE_FOLDER)


@pytest.fixture
def a_ui_file():
    return SAMPLE_FOLDER / "Resources" / "UI" / "SampleModule.ui"
