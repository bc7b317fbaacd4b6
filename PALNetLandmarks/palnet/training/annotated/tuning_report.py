# SPDX-License-Identifier: Apache-2.0
"""Effect of a fine-tuning on each landmark, as an HTML report and as a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palnet._page import (
    Bar,
    build_page,
    draw_bars,
    format_number,
    paragraph,
    section,
    table,
)
from palnet.evaluation import compare, summarize_landmarks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palnet.evaluation import Pair
    from palnet.training.annotated.tuning_result import Choice

__all__ = ["LandmarkChange", "page_of_tuning", "summarize_changes"]


@dataclass(frozen=True, slots=True)
class LandmarkChange:
    """A row of ``before_after.csv``.

    Attributes
    ----------
    code : str
        The landmark, or "all" for all together.
    n : int
        Number of errors.
    before_mm, after_mm : float
        Mean errors before and after.
    before_median_mm, after_median_mm : float
        Their medians.
    bias_before_mm, bias_after_mm : float
        Length of the mean difference vector: systematic offset between labels and landmarks.
    """

    code: str
    n: int
    before_mm: float
    after_mm: float
    before_median_mm: float
    after_median_mm: float
    bias_before_mm: float
    bias_after_mm: float


def summarize_changes(before: Sequence[Pair], after: Sequence[Pair]) -> list[LandmarkChange]:
    """Compute the figures of all landmarks together, then of each.

    Parameters
    ----------
    before, after : sequence of Pair
        Landmarks with the truth, for the same scans.

    Returns
    -------
    list of LandmarkChange
        "all" first, then the order of the scheme.
    """
    figures = [summarize_landmarks(compare(pairs)) for pairs in (before, after)]
    return [
        LandmarkChange(
            code=old.code,
            n=old.n,
            before_mm=old.mean_mm,
            after_mm=new.mean_mm,
            before_median_mm=old.median_mm,
            after_median_mm=new.median_mm,
            bias_before_mm=float(np.linalg.norm(old.bias_mm)),
            bias_after_mm=float(np.linalg.norm(new.bias_mm)),
        )
        for old, new in zip(*figures, strict=True)
    ]


def page_of_tuning(
    title: str, facts: Sequence[tuple[str, str]], choice: Choice, changes: Sequence[LandmarkChange]
) -> str:
    """Build the report page.

    Parameters
    ----------
    title : str
        Heading of the page.
    facts : sequence of tuple of str
        Names and values for the first table.
    choice : Choice
        Comparison of start and result.
    changes : sequence of LandmarkChange
        As returned by `summarize_changes`.

    Returns
    -------
    str
        A self-contained HTML file.
    """
    verdict = (
        "The result is the model that was written."
        if choice.is_better
        else "The gain, if any, may well be chance: the model that was written is the start."
    )
    lead = (
        f"Validation people: {choice.before_mm:.2f} mm before, {choice.after_mm:.2f} mm after. "
        f"{verdict}"
    )
    seen = [change for change in changes[1:] if change.n]
    bars = [Bar(change.code, change.after_mm, change.before_mm) for change in seen]
    header = ("Landmark", "n", "Before", "After", "Change", "Median before", "Median after",
              "Bias before", "Bias after")  # fmt: skip
    note = (
        "Millimeters, on the people that decided when to stop and which weights to keep: the "
        "figures after are a little too good. Those of palnet finetune --folds are on people used "
        "for neither. Bias: length of the mean difference from the labels."
    )
    return build_page(
        title,
        lead,
        [
            section("What was done", table(("", ""), facts, ())),
            section(
                "Mean error of each landmark", draw_bars(bars, "mm", "Bar: after. Tick: before.")
            ),
            section(
                "Landmarks",
                paragraph(note, is_note=True),
                table(header, [_cells(change) for change in changes], range(1, len(header))),
            ),
        ],
    )


def _cells(change: LandmarkChange) -> tuple[str, ...]:
    """Format a row of the table."""
    gain = change.after_mm - change.before_mm
    return (
        change.code,
        str(change.n),
        format_number(change.before_mm, 2),
        format_number(change.after_mm, 2),
        f"{gain:+.2f}" if math.isfinite(gain) else "-",
        format_number(change.before_median_mm, 2),
        format_number(change.after_median_mm, 2),
        format_number(change.bias_before_mm, 2),
        format_number(change.bias_after_mm, 2),
    )
