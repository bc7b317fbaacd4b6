# SPDX-License-Identifier: Apache-2.0
"""Trailing blank columns and rows of a table, which spreadsheets write for edited cells."""

from __future__ import annotations

__all__ = ["without_blank_end"]


def without_blank_end(fields: list[str], least: int = 0) -> list[str]:
    """Strip blank fields from the end of a row, down to a minimum; blank rows become empty."""
    if not any(field.strip() for field in fields):
        return []
    n_fields = len(fields)
    while n_fields > least and not fields[n_fields - 1].strip():
        n_fields -= 1
    return fields[:n_fields]
