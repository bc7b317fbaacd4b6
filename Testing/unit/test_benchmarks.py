# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks measure themselves; the library that they measure has its own tests."""

from __future__ import annotations

import numpy as np
from benchmarks._expected import ExpectedErrors
from benchmarks._shortened import take_spread
from benchmarks._trainings import in_new_process
from benchmarks.unseen_source import _among_others

MEASURE = "__import__('benchmarks._memory', fromlist=['_']).peak_memory_mb()"


def test_peak_memory_of_a_new_process_is_without_that_of_the_process_that_starts_it():
    large = np.ones(50_000_000)

    assert not in_new_process(eval, MEASURE) > large.nbytes / 2**20


def test_range_of_the_presets_is_from_the_least_low_to_the_largest_high_percentile():
    rows = [
        ["a_scan", 1, 4.0, None],
        ["preset near, low", 12, 1.0, 7.0],
        ["preset near, middle", 12, 0.0, 99.0],
        ["preset near, high", 12, 3.0, 9.0],
        ["preset far, low", 12, 2.0, 6.0],
        ["preset far, high", 12, 5.0, 8.0],
    ]
    columns = ["scan", "scans", "spacing, mm", "shown %"]
    stored = {"title": "Surface (presets: percentiles)", "columns": columns, "rows": rows}

    table = take_spread({"tables": [stored]})

    assert table.title == "Surface"
    assert table.rows == (
        ("a_scan", 1, 4.0, None),
        ("presets, least 10th percentile", 24, 1.0, 6.0),
        ("presets, largest 90th percentile", 24, 5.0, 9.0),
    )


def test_figures_of_each_source_are_given_with_what_other_people_would_give():
    # Ten people of two landmarks, one sort of people twice as far off as predicted.
    seeds = np.repeat(np.arange(10), 2)
    error_mm = np.where(seeds % 2, 2.0, 1.0)
    found = ExpectedErrors(seeds, np.array(["n", "sn"] * 10), np.ones(20), error_mm)

    ratio, held = _among_others(found, np.ones(20), ninety=1.5)

    # Of five in ten people, 2 to 8 are drawn in 95 % of cases.
    np.testing.assert_allclose(ratio, [1.2, 1.8])
    np.testing.assert_allclose(held, [0.2, 0.8])
