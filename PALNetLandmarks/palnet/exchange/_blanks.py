# SPDX-License-Identifier: Apache-2.0
"""Blank columns and rows at the end of a table, which spreadsheets write of cells once touched."""

from __future__ import annotations

__all__ = ["without_blank_end"]


def without_blank_end(fields: list[str], least: int = 0) -> list[str]:
    """Cut blank fields off the end of a row, down to a number; a row of blanks becomes empty."""
    if not any(field.strip() for field in fields):
        return []
    n_fields = len(fields)
    while n_fields > least and not fields[n_fields - 1].strip():
        n_fields -= 1
    return fields[:n_fields]
