# SPDX-License-Identifier: Apache-2.0
"""Numbers as CSV text."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["csv_text"]


def csv_text(rows: Sequence[dict[str, Any]], columns: Sequence[str] = ()) -> str:
    """Write rows with the same keys under their column names; empty if there is no number.

    A table without rows is empty too, unless its columns are given.
    """
    names = columns or tuple(rows[0] if rows else ())
    if not names:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(_cells(row[name] for name in names) for row in rows)
    return text.getvalue()


def _cells(values: Iterable[Any]) -> list[str]:
    return [
        (f"{value:.4f}" if math.isfinite(value) else "") if isinstance(value, float) else str(value)
        for value in values
    ]
