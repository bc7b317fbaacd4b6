# SPDX-License-Identifier: Apache-2.0
"""Landmark files: one module per format, one registry.

To add a format: a module with a `Format`, its entry in `FORMATS`, its tests; see docs/formats.md.
"""

from __future__ import annotations

from palnet.exchange._format import Format, FormatWarning
from palnet.exchange._lafas import begins_as_lafas
from palnet.exchange._name_table import NameTable, read_name_table
from palnet.exchange._read import read_landmarks, read_specimens
from palnet.exchange._registry import (
    FORMATS,
    find_format,
    get_format,
    is_other_table,
    may_hold_landmarks,
    stem_of,
)
from palnet.exchange._sidecar import sidecar_path
from palnet.exchange._write import write_landmarks, write_specimens

__all__ = [
    "FORMATS",
    "Format",
    "FormatWarning",
    "NameTable",
    "begins_as_lafas",
    "find_format",
    "get_format",
    "is_other_table",
    "may_hold_landmarks",
    "read_landmarks",
    "read_name_table",
    "read_specimens",
    "sidecar_path",
    "stem_of",
    "write_landmarks",
    "write_specimens",
]
