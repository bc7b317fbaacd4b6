# SPDX-License-Identifier: Apache-2.0
"""Shorten long tables of results/ for docs/; the JSON files keep every row."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

from benchmarks._report import Table

__all__ = ["count_reasons", "take_points", "take_range", "take_spread"]

NUMBER = re.compile(r"\d+(?:\.\d+)?")


def count_reasons(result: dict[str, Any]) -> Table:
    """Count the objects of results/refusals.json by their first reason of refusal, for each set.

    One row per reason, the most frequent first, and one that names accepted objects.
    """
    sets = {table["title"].rpartition(": ")[2]: table["rows"] for table in result["tables"]}
    counts = {
        name: Counter(_reason(row[3]) for row in rows if row[1] == row[2])
        for name, rows in sets.items()
    }
    accepted = {name: [row[0] for row in rows if row[1] != row[2]] for name, rows in sets.items()}
    reasons = [reason for reason, _ in sum(counts.values(), Counter()).most_common()]
    rows = [(reason, *(counts[name][reason] for name in sets)) for reason in reasons]
    rows.append(("**accepted**", *(_count_and_names(accepted[name]) for name in sets)))
    poses = {row[1] for rows_of_set in sets.values() for row in rows_of_set}
    return Table(
        f"Things that are no usable face, in {'/'.join(map(str, sorted(poses)))} poses each: "
        "how many were refused in all of them, and why",
        ("first reason", *(f"{name}: {len(rows_of_set)}" for name, rows_of_set in sets.items())),
        tuple(rows),
    )


def _reason(text: str) -> str:
    """Strip the class, the measured number and the advice from a reason."""
    sentence = text.partition(": ")[2].partition(". ")[0]
    return NUMBER.sub("...", sentence, count=1)


def _count_and_names(names: list[str]) -> str:
    listed = ", ".join(name.replace("_", " ") for name in names)
    return f"{len(names)}: {listed}" if names else "0"


def take_range(result: dict[str, Any]) -> Table:
    """Reduce a table to minimum and maximum of each numeric column, and its last row, the mean."""
    table = result["tables"][0]
    *rows, last = table["rows"]
    columns = enumerate(zip(*rows, strict=True))
    numbers = {index: [value for value in column if _is_number(value)] for index, column in columns}
    found = {index: values for index, values in numbers.items() if values}
    return Table(
        f"{table['title']} ({len(rows)} scans)",
        ("scan", *(table["columns"][index] for index in found)),
        (
            ("least", *(min(values) for values in found.values())),
            ("largest", *(max(values) for values in found.values())),
            (last[0], *(last[index] for index in found)),
        ),
    )


def take_points(result: dict[str, Any]) -> Table:
    """Take final and expected error of each point of the real scans from results/accuracy.json."""
    table = next(t for t in result["tables"] if t["title"].endswith("point by point, mm"))
    wanted = ("scan", "code", "grade", "final", "expected")
    columns = [table["columns"].index(name) for name in wanted]
    rows = tuple(tuple(row[index] for index in columns) for row in table["rows"])
    return Table(table["title"], wanted, rows)


def take_spread(result: dict[str, Any]) -> Table:
    """Take the real scans of results/real_capture.json, and least and largest of the presets."""
    table = result["tables"][0]
    real = [row for row in table["rows"] if not row[0].startswith("preset ")]
    rows = []
    for name, end, choose in (
        ("presets, least 10th percentile", "low", min),
        ("presets, largest 90th percentile", "high", max),
    ):
        some = [row for row in table["rows"] if row[0].endswith(f", {end}")]
        numbers = zip(*(row[2:] for row in some), strict=True)
        rows.append((name, sum(row[1] for row in some), *map(choose, numbers)))
    title = table["title"].partition(" (")[0]
    return Table(title, tuple(table["columns"]), tuple(map(tuple, (*real, *rows))))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
