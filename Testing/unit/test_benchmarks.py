# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks measure themselves; the library that they measure has its own tests."""

from __future__ import annotations

import numpy as np
from benchmarks._trainings import in_new_process

MEASURE = "__import__('benchmarks._memory', fromlist=['_']).peak_memory_mb()"


def test_peak_memory_of_a_new_process_is_without_that_of_the_process_that_starts_it():
    large = np.ones(50_000_000)

    assert not in_new_process(eval, MEASURE) > large.nbytes / 2**20
