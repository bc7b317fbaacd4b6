# SPDX-License-Identifier: Apache-2.0
"""Generated faces: random people and their simulated scans, with exact landmarks."""

from palnet.synthesis.morphable import MorphableModel, read_morphable_model
from palnet.synthesis.people import Person, draw_person
from palnet.synthesis.presets import CALIBRATION_PRESETS, EVERY_PRESET, PRESETS, TEST_PRESETS
from palnet.synthesis.scans import GeneratedScan, ScanGenerator

__all__ = [
    "CALIBRATION_PRESETS",
    "EVERY_PRESET",
    "PRESETS",
    "TEST_PRESETS",
    "GeneratedScan",
    "MorphableModel",
    "Person",
    "ScanGenerator",
    "draw_person",
    "read_morphable_model",
]
