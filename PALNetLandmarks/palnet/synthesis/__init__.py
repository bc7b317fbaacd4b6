# SPDX-License-Identifier: Apache-2.0
"""Generated faces: random people and what a capture system makes of them, with exact landmarks."""

from palnet.synthesis.capture import PRESETS
from palnet.synthesis.morphable import MorphableModel, read_morphable_model
from palnet.synthesis.people import Person, draw_person
from palnet.synthesis.scans import GeneratedScan, ScanGenerator

__all__ = [
    "PRESETS",
    "GeneratedScan",
    "MorphableModel",
    "Person",
    "ScanGenerator",
    "draw_person",
    "read_morphable_model",
]
